"""The mixing coefficients that GKMNet reports, against the imaging model of
`benchmark.optics.gkm`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.api import Observation, UsageError
from benchmark.methods.learned.networks.gkmnet import COLOURS, Form, GkmNet, Variant, order_channels
from benchmark.optics import gkm
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

PICTURE = np.random.default_rng(0).random((35, 50, 3), dtype=np.float32)


@pytest.fixture(autouse=True)
def _seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))


def _colours_apart(network: GkmNet) -> None:
    """Let the last mixing carry nothing from one colour to another, and the same in all three."""
    mix = network.mixes[-1]
    colours = torch.tensor(order_channels(network.form).colours * 2)
    weights = torch.randn(2, network.form.gates // 2)[
        :, order_channels(network.form).kernels
    ].flatten()
    with torch.no_grad():
        mix.weight[:, :, 0, 0] = (torch.arange(COLOURS)[:, None] == colours) * weights
        mix.bias.zero_()


@torch.no_grad()
def test_the_last_step_is_that_of_the_model() -> None:
    """Where x is y and colours are apart, the step is eq. (6): x <- y + x - B x, B by the suite's
    own operator.
    """
    network = GkmNet(Form("paper", scales=1)).eval()
    _colours_apart(network)
    y = torch.rand(1, 3, 32, 48)
    beta = network.coefficients(y)[0].numpy()
    x = np.ascontiguousarray(y[0].permute(1, 2, 0).numpy())
    expected = 2 * x - gkm.blur_picture(x, beta, gkm.paper_bank())
    output, _ = network.step(y, y, None, 0)
    np.testing.assert_allclose(output[0].permute(1, 2, 0), expected, atol=2e-5)
    assert np.abs(output.numpy() - y.numpy()).max() > 0.02, "it does something"


@torch.no_grad()
@pytest.mark.parametrize("variant", ["paper", "official", "v2"])
def test_every_gate_counts_for_the_kernels_it_weights(variant: Variant) -> None:
    network = GkmNet(Form(variant, scales=2, rounds=2, shared=False)).eval()
    y = torch.rand(1, 3, 16, 16)
    gates: list[torch.Tensor] = []
    network.srams[-1].register_forward_hook(lambda _, inputs, outputs: gates.append(outputs[0]))
    network.scales(y)
    order, weight = order_channels(network.form), network.mixes[-1].weight[:, :, 0, 0]
    count = network.form.gates // 2
    gamma = torch.zeros(count, 16, 16)
    for half in (0, 1):
        for channel in range(len(order.gates)):
            omega = weight[order.colours[channel], half * len(order.gates) + channel]
            gamma[order.kernels[channel]] += (
                omega * gates[-1][0, half * count + order.gates[channel]] / 3
            )
    expected = -gamma
    expected[0] += 1
    torch.testing.assert_close(network.coefficients(y)[0], expected)


@pytest.mark.parametrize(
    ("text", "bank"),
    [("gkmnet", gkm.paper_bank()), ("gkmnet:variant=official", gkm.official_bank())],
)
def test_the_method_reports_them_for_pictures_of_any_size(
    tmp_path: Path, text: str, bank: gkm.Bank
) -> None:
    draw(tmp_path, text)
    method = create(METHODS, "gkmnet.drawn")[0]
    method.prepare("cpu")
    before = method.restore(Observation(PICTURE))
    mixture = method.mixture(Observation(PICTURE))
    assert mixture is not None and mixture.sigmas == bank.sigmas
    assert mixture.beta.shape == (len(bank.sigmas), 35, 50)
    assert mixture.beta.dtype == np.float32 and np.isfinite(mixture.beta).all()
    np.testing.assert_array_equal(
        method.restore(Observation(PICTURE)), before, "asking changes no result"
    )
    whole = method.mixture(Observation(np.pad(PICTURE, ((0, 13), (0, 14), (0, 0)), mode="reflect")))
    assert whole is not None
    np.testing.assert_allclose(mixture.beta, whole.beta[:, :35, :50], atol=1e-6)


@pytest.mark.parametrize("text", ["gkmnet:head=sram", "gkmnet:kernels=xavier"])
def test_without_gaussians_there_is_no_mixture(tmp_path: Path, text: str) -> None:
    draw(tmp_path, text)
    method = create(METHODS, "gkmnet.drawn")[0]
    method.prepare("cpu")
    assert method.mixture(Observation(PICTURE)) is None


def test_without_weights_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.checkpoints.SHIPPED_FOLDER", tmp_path)
    with pytest.raises(UsageError, match="no weights"):
        create(METHODS, "gkmnet")[0].mixture(Observation(PICTURE))


def test_other_methods_have_none() -> None:
    assert create(METHODS, "unsharp")[0].mixture(Observation(PICTURE)) is None
