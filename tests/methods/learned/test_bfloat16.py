"""Networks in bfloat16: near to single precision, on any processor that can be made to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import checkpoints, precision
from benchmark.api import Observation, Picture, Precision
from benchmark.datasets.simulated import Simulated
from benchmark.methods.learned.method import AppliedNetwork
from benchmark.methods.learned.networks.fast.gkmnet import FastGkmNet
from benchmark.methods.learned.networks.fast.winograd import WinogradConv2d
from benchmark.methods.two_stage.dmenet import DmeNetEstimator
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

QUICK = ("nafnet:width=32", "drbnet", "kpac", "nrknet", "iniknet", "gkmnet", "dpdnet-s", "ifan")


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch computes in bfloat16 everywhere, if slowly."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda gpu: True)


def restore(text: str, kind: Precision, picture: Picture) -> Picture:
    """Return what a method makes of a picture in a precision."""
    separator = "," if ":" in text else ":"
    method, _ = create(METHODS, f"{text}{separator}precision={kind}")
    method.prepare("cpu")
    return method.restore(Observation(picture, (picture, picture)))


def peak_ratio(first: Picture, second: Picture) -> float:
    """Return the PSNR of two pictures in dB."""
    return float(-10 * np.log10(np.square(first.astype(np.float64) - second).mean()))


def test_gkmnet_restores_a_picture_almost_as_in_single_precision() -> None:
    data = Simulated(Path(), set="five", size=96)
    image = data.load(data.ids()[0]).image
    single = restore("gkmnet.sim", "32", image)
    coarse = restore("gkmnet.sim", "bf16", image)
    assert coarse.dtype == np.float32
    assert not np.array_equal(single, coarse)
    assert peak_ratio(single, coarse) > 40
    assert np.array_equal(coarse, restore("gkmnet.sim", "bf16", image))


@pytest.mark.parametrize("text", QUICK)
def test_results_differ_by_roundings(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    draw(tmp_path, text)
    picture = np.random.default_rng(0).random((32, 48, 3), np.float32)
    name = f"{text.partition(':')[0]}.drawn"
    single = restore(name, "32", picture)
    coarse = restore(name, "bf16", picture)
    assert not np.array_equal(single, coarse)
    assert np.abs(single - coarse).max() < 0.03 * np.abs(single).max()


@pytest.mark.parametrize("name", ["srn", "attnet", "dpdnet-s"])
def test_winograd_s_filtering_stays_out_of_bfloat16(name: str) -> None:
    for kind, uses_winograd in (("32", True), ("bf16", False)):
        method = create(METHODS, f"{name}:precision={kind}")[0]
        assert isinstance(method, AppliedNetwork)
        forward = method.compile_network(method.build().eval(), "cpu")
        assert isinstance(forward, torch.nn.Module)
        layers = [isinstance(layer, WinogradConv2d) for layer in forward.modules()]
        assert any(layers) is uses_winograd


def test_gkmnet_runs_in_its_fast_form() -> None:
    method = create(METHODS, "gkmnet:precision=bf16")[0]
    assert isinstance(method, AppliedNetwork)
    assert isinstance(method.compile_network(method.build().eval(), "cpu"), FastGkmNet)


def test_the_map_of_dmenet_is_made_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    torch.manual_seed(0)
    state = DmeNetEstimator().build().state_dict()
    state["head.2.weight"] *= 1e-4  # as drawn, the sigmoid after it is 0 or 1 everywhere
    card = checkpoints.CheckpointCard(method="dmenet", parameters={}, source="drawn for a test")
    checkpoints.save_checkpoint(tmp_path / "dmenet.drawn.safetensors", state, card)
    checkpoint = checkpoints.CheckpointCatalogue.of_user().of_method("dmenet")["drawn"]
    picture = np.random.default_rng(0).random((32, 32, 3), np.float32)
    defocus = []
    for kind in ("32", "bf16"):
        estimator = DmeNetEstimator(checkpoint, precision=kind)
        estimator.prepare("cpu")
        defocus.append(estimator.apply(picture))
    assert not np.array_equal(*defocus)
    assert np.abs(defocus[0] - defocus[1]).max() < 0.02
