"""DMENet computes what its authors' TensorFlow program computes, and is a two-stage method like the
others.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from benchmark import checkpoints, conformance, imageio, plan, worker
from benchmark.api import DataError, Observation, UsageError
from benchmark.arrays import Float64Array
from benchmark.checkpoints import find_checkpoint
from benchmark.engines.local import LocalEngine
from benchmark.methods.learned.networks import dmenet
from benchmark.methods.two_stage import hyper_laplacian, richardson_lucy
from benchmark.methods.two_stage.dmenet import (
    DmeNetEstimator,
    DmeNetMethod,
    defocus_of_sigma,
    sigma_of_defocus,
)
from benchmark.methods.two_stage.methods import Pipeline
from benchmark.noise import Noise
from benchmark.registry import METHODS, create, describe_parameters
from benchmark.studies.maps import MapRow, score_maps
from benchmark.worker import RunSettings

CARD = checkpoints.CheckpointCard(
    method="dmenet", trained_on=("drawn pictures",), notes="Drawn at random."
)


def _picture(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Return smooth shapes under fine texture, in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    stripes = 0.5 + 0.3 * np.sin(x / 5 + rng.random()) * np.cos(y / 9 + rng.random())
    made: NDArray[np.float64] = stripes[..., None] + 0.2 * rng.random((height, width, 3)) - 0.1
    return made.astype(np.float32)


def _batch(picture: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def plain() -> dmenet.DmeNet:
    """A network whose weights are random and whose every layer still works: its statistics fit a
    picture.
    """
    torch.manual_seed(0)
    network = dmenet.DmeNet().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(0, 0.3)
            layer.momentum = 1.0
        elif isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            layer.bias.normal_(0, 0.1)
    with torch.inference_mode():
        network(_batch(_picture(96, 96)))
        made = network.eval()(_batch(_picture(64, 64, seed=1)))
    assert (
        made.std() > 0.1 and 0.2 < made.mean() < 0.8
    )  # else comparisons of its outputs would say nothing
    return network


@pytest.fixture(scope="module")
def file(plain: dmenet.DmeNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "dmenet.drawn.safetensors"
    checkpoints.save_checkpoint(path, plain.state_dict(), CARD)
    return path


@pytest.fixture
def weights(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The drawn checkpoint, where methods find it."""
    monkeypatch.setenv(checkpoints.VARIABLE, str(file.parent))
    return file


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    monkeypatch.setattr(checkpoints, "SHIPPED_FOLDER", tmp_path)


@pytest.fixture
def estimator(weights: Path) -> DmeNetEstimator:
    estimator = DmeNetEstimator(find_checkpoint("dmenet", "drawn"))
    estimator.prepare("cpu")
    return estimator


# The network
# --------------------------------------------------------------------------------------------------


def _count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _count_gains(module: nn.Module) -> int:
    return _count(*(norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d))) // 2


def test_parameters_are_those_of_the_authors_program_and_gains() -> None:
    with torch.device("meta"):
        whole = dmenet.Supervised()
    network = whole.network
    assert _count(network) - _count_gains(network) == 25_349_025
    assert _count(whole) - _count_gains(whole) == 26_939_819
    assert _count(network.encoder) == 20_024_384
    assert _count(network.decoder, network.blocks, network.head) == 5_327_489
    assert _count(whole.heads) == 1_591_311
    assert _count(network) == 25_351_873
    assert _count(whole) == 26_943_184


class Reference:
    """The network in numpy and double precision, written down from its description with
    TensorFlow's operations.
    """

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self._state = {name: value.double().numpy() for name, value in state.items()}

    def __call__(self, picture: Float64Array) -> Float64Array:
        x = 255 * picture[..., ::-1] - np.array([103.939, 116.779, 123.68])
        taps = []
        for stage, count in enumerate((2, 2, 4, 4, 4)):
            if stage:
                x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))
            for index in range(count):
                x = np.maximum(self._convolved(x, f"encoder.{stage}.{2 * index}"), 0)
            taps.append(x)
        taps.pop()
        for stage, count in enumerate((3, 3, 3, 1)):
            rows, columns = (_aligned(side) for side in x.shape[:2])
            x = np.concatenate([x[rows][:, columns], taps.pop()], axis=2)
            for index in range(count):
                x = self._unit(x, f"decoder.{stage}.{index}")
        for block in range(7):
            inside = self._unit(self._unit(x, f"blocks.{block}.units.0"), f"blocks.{block}.units.1")
            x = inside + self._unit(x, f"blocks.{block}.beside")
        x = self._convolved(self._unit(self._unit(x, "head.0"), "head.1"), "head.2")
        made: Float64Array = 1 / (1 + np.exp(-x[..., 0]))
        return made

    def _unit(self, x: Float64Array, name: str) -> Float64Array:
        x = self._convolved(x, f"{name}.0")
        gain, bias, mean, var = (
            self._state[f"{name}.1.{key}"]
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / np.sqrt(var + 1e-5) * gain + bias
        return np.where(x > 0, x, 0.2 * x)

    def _convolved(self, x: Float64Array, name: str) -> Float64Array:
        weight, bias = self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        size = weight.shape[2]
        x = np.pad(x, [(size // 2, size // 2)] * 2 + [(0, 0)], mode="symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
        made: Float64Array = np.tensordot(windows, weight, axes=((2, 3, 4), (1, 2, 3))) + bias
        return made


def _aligned(size: int) -> NDArray[np.int64]:
    """Return where TensorFlow's nearest-neighbour resize with `align_corners` takes each of 2 n
    pixels from.
    """
    step = np.float32(size - 1) / np.float32(2 * size - 1)
    return np.floor(np.arange(2 * size, dtype=np.float32) * step + np.float32(0.5)).astype(np.int64)


def test_it_computes_what_its_description_says(plain: dmenet.DmeNet) -> None:
    picture = _picture(32, 48, seed=2)
    with torch.inference_mode():
        made = plain(_batch(picture))[0, 0].numpy()
    np.testing.assert_allclose(
        made, Reference(plain.state_dict())(picture.astype(np.float64)), atol=1e-4
    )


@pytest.mark.parametrize(
    ("size", "sources"),
    [  # i (n - 1) / (2 n - 1), for n = 4 for example 0, 0.43, 0.86, 1.29, 1.71, 2.14, 2.57, 3
        (1, [0, 0]),
        (2, [0, 0, 1, 1]),
        (3, [0, 0, 1, 1, 2, 2]),
        (4, [0, 0, 1, 1, 2, 2, 3, 3]),
    ],
)
def test_the_resize_by_hand(size: int, sources: list[int]) -> None:
    assert _aligned(size).tolist() == sources


@given(st.integers(1, 4000))
def test_align_corners_makes_no_difference_to_doubling(size: int) -> None:
    """Also in TensorFlow's single precision; so the map does not depend on the size of the picture,
    and tiles work.
    """
    doubled = F.interpolate(
        torch.arange(size, dtype=torch.float64)[None, None], scale_factor=2, mode="nearest"
    )
    np.testing.assert_array_equal(doubled[0, 0].long().numpy(), _aligned(size))


def test_the_form_that_runs_is_the_plain_one(plain: dmenet.DmeNet) -> None:
    made = DmeNetEstimator().compile_network(copy.deepcopy(plain), "cpu")
    assert isinstance(made, dmenet.DmeNet)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in made.modules())
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    picture = _batch(_picture(64, 80, seed=3))
    with torch.inference_mode():
        torch.testing.assert_close(made(picture), plain(picture), rtol=0, atol=1e-5)


def test_training_statistics_are_not_folded() -> None:
    with torch.device("meta"), pytest.raises(AssertionError, match="eval"):
        dmenet.fold_normalisation(dmenet.DmeNet())


def test_training_reaches_every_weight_and_its_checkpoint_is_the_network_alone() -> None:
    torch.manual_seed(0)
    trained = dmenet.Supervised()
    picture = torch.rand(2, 3, 32, 48)
    maps = trained(picture)
    assert [tuple(made.shape[2:]) for made in maps] == [
        (32, 48),
        (2, 3),
        (4, 6),
        (8, 12),
        (16, 24),
        (32, 48),
    ]
    torch.stack([made.square().mean() for made in maps]).sum().backward()
    assert all(parameter.grad is not None for parameter in trained.parameters())
    inference = dmenet.DmeNet()
    inference.load_state_dict(trained.network.state_dict())
    with torch.inference_mode():
        assert torch.equal(inference.eval()(picture), trained.eval()(picture)[0])


# Large pictures
# --------------------------------------------------------------------------------------------------


def _reach(position: int) -> int:
    """Return how far away the furthest pixel is that the map at this position may depend on, along
    one axis.
    """
    low = high = position
    low, high = low - 3 - 7 * 2, high + 3 + 7 * 2  # head and blocks
    seen = []
    for convolutions in (1, 3, 3, 3):  # u0 to u3: each meets a tap of its size and what lies below
        low, high = low - convolutions, high + convolutions
        seen.append((low, high))
        low, high = low // 2, high // 2
    for convolutions, tap in zip((4, 4, 4, 2, 2), (*reversed(seen), None), strict=True):
        low, high = low - convolutions, high + convolutions
        if tap is not None:
            low, high = min(2 * low, tap[0]), max(2 * high + 1, tap[1])
    return max(position - low, high - position)


def test_the_halo_is_what_the_network_sees() -> None:
    assert max(map(_reach, range(16))) == 193
    assert 193 <= DmeNetEstimator.halo < 193 + 16 and DmeNetEstimator.halo % 16 == 0


def test_tiles_change_nothing(estimator: DmeNetEstimator) -> None:
    tiled = DmeNetEstimator(find_checkpoint("dmenet", "drawn"), tile=272)
    tiled.prepare("cpu")
    picture = _picture(30, 541, seed=4)  # the tiles see 480 columns each
    np.testing.assert_allclose(tiled.apply(picture), estimator.apply(picture), atol=1e-5)


# The method
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defocus", "pixels"), [(0, 0), (0.05, 0), (1 / 15, 0), (0.2, 1), (0.6, 4), (1, 7)]
)
def test_sigma_of_a_defocus_map(defocus: float, pixels: float) -> None:
    made = sigma_of_defocus(np.array([[defocus]], np.float32))
    assert made.dtype == np.float32
    assert made[0, 0] == pytest.approx(pixels, abs=1e-6)


@given(st.floats(0, 7, width=32))
def test_sigma_undoes_the_authors_scale(pixels: float) -> None:
    assert sigma_of_defocus(np.array([[(1 + 2 * pixels) / 15]], np.float32))[0, 0] == pytest.approx(
        pixels, abs=2e-6
    )


@given(st.floats(0, 20, width=32))
def test_a_blur_map_is_written_so_that_it_is_read_again_up_to_sigma_7(pixels: float) -> None:
    defocus = defocus_of_sigma(np.array([[pixels]], np.float32))
    assert defocus.dtype == np.float32 and 0 < defocus[0, 0] <= 1
    assert sigma_of_defocus(defocus)[0, 0] == pytest.approx(min(pixels, 7), abs=2e-6)


@pytest.mark.parametrize("shape", [(37, 53), (16, 40), (1, 1), (3, 70)])
def test_the_map_of_any_picture_in_pixels(
    estimator: DmeNetEstimator, plain: dmenet.DmeNet, shape: tuple[int, int]
) -> None:
    picture = _picture(*shape, seed=5)
    height, width = shape
    around = np.pad(picture, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="reflect")
    with torch.inference_mode():
        defocus = plain(_batch(around))[0, 0, :height, :width].numpy()
    found = estimator.blur_map(Observation(image=picture))
    assert found.shape == shape
    np.testing.assert_allclose(found, np.maximum((15 * defocus - 1) / 2, 0), atol=1e-4)


def test_the_deconvolver_works_under_that_map(weights: Path) -> None:
    seen = Observation(image=_picture(40, 48, seed=6))
    default = _prepared("dmenet.drawn")
    blur_map = default.estimate_blur(seen)
    assert np.ptp(blur_map) > 1
    expected = hyper_laplacian.deconvolve_hyper_laplacian(
        seen.image,
        blur_map,
        psf="gaussian",
        alpha=1.5,
        weight=16.8,
        mismatch=0,
        bins="hard",
        eight_bit=True,
    )
    np.testing.assert_array_equal(default.restore(seen), expected)
    other = _prepared("dmenet.drawn:deconvolution=richardson-lucy,psf=disk,iterations=2")
    expected = richardson_lucy.deconvolve_richardson_lucy(
        seen.image, blur_map, psf="disk", iterations=2
    )
    np.testing.assert_array_equal(other.restore(seen), expected)


def _prepared(text: str) -> DmeNetMethod:
    made, _ = create(METHODS, text)
    assert isinstance(made, DmeNetMethod)
    made.prepare("cpu")
    return made


def test_its_options_are_those_of_the_other_pipelines() -> None:
    own_options = {"tile": "int = 0", "precision": "32|bf16 = 32"}
    assert describe_parameters(DmeNetMethod) == describe_parameters(Pipeline) | own_options


@pytest.mark.parametrize(
    "options",
    [
        "light=linear,psf=disk,constants=tuned",
        "alpha=1,weight=50,bins=feathered,mismatch=0.01,eight_bit=false",
        "deconvolution=richardson-lucy,iterations=2",
    ],
)
def test_every_option_reaches_the_deconvolver(options: str) -> None:
    rng = np.random.default_rng(0)
    seen = Observation(
        image=_picture(32, 40), blur_map=rng.uniform(0, 3, (32, 40)).astype(np.float32)
    )
    others, _ = create(METHODS, f"jnb:map=oracle,{options}")
    np.testing.assert_array_equal(
        _prepared(f"dmenet:map=oracle,{options}").restore(seen), others.restore(seen)
    )


def test_an_option_of_another_deconvolver_is_refused() -> None:
    with pytest.raises(UsageError, match="is an option of deconvolution="):
        create(METHODS, "dmenet:iterations=3")


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("text", ["dmenet", "dmenet:map=oracle"])
def test_it_keeps_the_contract_without_weights(text: str) -> None:
    assert [result for result in conformance.check_method(text) if not result.passes] == []


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_it_keeps_the_contract_with_weights() -> None:
    results = list(conformance.check_method("dmenet.drawn"))
    assert [result for result in results if not result.passes] == []
    # It has no variants, no mixture and no oracle map.
    assert sum("does not apply" in result.detail for result in results) == 3


@pytest.mark.usefixtures("no_weights")
def test_without_weights_it_is_skipped_with_the_reason() -> None:
    seen = Observation(image=_picture(16, 16))
    bare = _prepared("dmenet")
    assert "no weights" in (bare.skip(seen) or "") and "dmenet.TAG.safetensors" in (
        bare.skip(seen) or ""
    )
    with pytest.raises(UsageError, match="no weights"):
        bare.estimate_blur(seen)
    assert bare.weights_hash() is None


@pytest.mark.usefixtures("weights")
def test_the_true_map_needs_no_weights() -> None:
    oracle = _prepared("dmenet.drawn:map=oracle")
    seen = Observation(image=_picture(16, 16), blur_map=np.ones((16, 16), np.float32))
    assert oracle.skip(seen) is None
    assert "true blur map" in (oracle.skip(Observation(image=seen.image)) or "")
    assert oracle.weights_hash() is None
    assert oracle.card.oracle and oracle.card.trained_on == ("DPD test",)


def test_the_card_says_what_weights_and_constants_saw(weights: Path) -> None:
    found = DmeNetMethod(checkpoint=find_checkpoint("dmenet", "drawn"))
    assert found.card.family == "learned" and not found.card.oracle
    assert found.card.trained_on == ("drawn pictures", "DPD test")
    assert DmeNetMethod(
        checkpoint=find_checkpoint("dmenet", "drawn"), constants="tuned"
    ).card.trained_on == (
        "drawn pictures",
        "BSDS500",
    )
    assert "Drawn at random." in found.card.notes and "Krishnan" in found.card.notes
    assert found.weights_hash() == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert DmeNetMethod.card.trained_on is None  # the class is not changed


def test_unknown_training_data_stay_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    checkpoints.save_checkpoint(
        tmp_path / "dmenet.found.safetensors", {}, checkpoints.CheckpointCard(method="dmenet")
    )
    assert DmeNetMethod(checkpoint=find_checkpoint("dmenet", "found")).card.trained_on is None


def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    state = {"head.2.bias": torch.zeros(2), "other": torch.zeros(1)}
    checkpoints.save_checkpoint(tmp_path / "dmenet.bad.safetensors", state, CARD)
    with pytest.raises(DataError, match=r"head.2.bias is \(2,\), expected \(1,\)"):
        DmeNetMethod(checkpoint=find_checkpoint("dmenet", "bad")).prepare("cpu")


def test_what_is_counted() -> None:
    network = DmeNetMethod().network()
    with torch.device("meta"):
        counts = {name: _count(build()) for name, build in network.forms.items()}
    assert counts == {"inference": 25_351_873, "with auxiliary heads": 26_943_184}
    assert network.shapes(1120, 1680) == ((1, 3, 1120, 1680),)
    assert network.shapes(360, 361) == ((1, 3, 368, 368),)


@pytest.mark.usefixtures("no_weights")
def test_maps_without_weights_are_skipped(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _maps("dmenet", toys, tmp_path, monkeypatch)
    assert {row["status"] for row in rows} == {"skipped"}
    assert all("no weights" in str(row["reason"]) for row in rows)


@pytest.mark.usefixtures("weights")
def test_maps_are_made_and_kept(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _maps("dmenet.drawn", toys, tmp_path, monkeypatch)
    assert {row["status"] for row in rows} == {"ok"}
    found = imageio.read_array(tmp_path / str(rows[0]["map"]))
    assert found.min() >= 0 and found.max() <= 7 and np.ptp(found) > 0


def _maps(text: str, toys: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[MapRow]:
    """Run `maps` on the toy data set, in this process."""

    def here(_: object, work: Any, items: Any, settings: RunSettings, **__: object) -> Any:
        monkeypatch.setattr(worker, "_limit_threads", lambda threads: None)
        worker.start_worker(settings)
        return ((item, work(item)) for item in items)

    monkeypatch.setattr(LocalEngine, "map", here)
    methods, data = plan.select_methods([text]), plan.select_dataset("tiny", folder)
    return score_maps(
        methods,
        data,
        [Noise(0.0)],
        RunSettings(folder, folder, (toys,), device="cpu"),
        engine=LocalEngine(1),
    )
