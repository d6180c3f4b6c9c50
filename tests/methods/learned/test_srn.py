"""SRN against its published size, Pillow's pyramid, a memory in numpy, and itself in its
fast form.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import correlate
from scipy.special import expit
from torch import Tensor, nn

from benchmark import conformance
from benchmark.api import ImporterCard, Observation
from benchmark.checkpoint_import import WeightsImporter, import_checkpoint
from benchmark.methods.learned.networks.blocks import make_deconv
from benchmark.methods.learned.networks.fast.tiles import Reach, apply_in_tiles
from benchmark.methods.learned.networks.fast.winograd import WinogradConv2d
from benchmark.methods.learned.networks.srn import (
    BottleneckMemory,
    ResidualBlock,
    Srn,
    build_srn_pyramid,
)
from benchmark.methods.learned.srn import SrnMethod
from benchmark.registry import IMPORTERS, METHODS, create
from tests.methods.random_weights import draw


@pytest.fixture(scope="module")
def network() -> Srn:
    return draw_network()


def draw_network(adds: bool = False) -> Srn:
    torch.manual_seed(0)
    srn = Srn(adds).eval().requires_grad_(False)
    for name, value in srn.named_parameters():
        if name.endswith("bias"):
            value.normal_(0, 0.05)
    return srn


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in Srn().parameters()) == 10_250_723


@pytest.mark.parametrize("text", ["srn", "srn:output=added"])
def test_it_keeps_the_contract(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, text)
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    results = list(conformance.check_method("srn.drawn"))
    assert [result for result in results if not result.passes] == []
    assert not any("skips" in result.detail for result in results)


def test_without_weights_it_is_skipped_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    reason = create(METHODS, "srn")[0].skip(Observation(np.zeros((16, 16, 3), np.float32)))
    assert reason is not None
    assert "no weights" in reason and "srn.TAG.safetensors" in reason


def test_smaller_scales_are_those_of_pillow() -> None:
    picture = np.random.default_rng(0).random((24, 40), np.float32)
    half = Image.fromarray(picture).resize((20, 12), Image.Resampling.BILINEAR)
    quarter = half.resize((10, 6), Image.Resampling.BILINEAR)
    sizes = build_srn_pyramid(torch.from_numpy(picture)[None, None])
    for got, want in zip(sizes, (quarter, half, picture), strict=True):
        np.testing.assert_allclose(got[0, 0].numpy(), np.asarray(want), atol=1e-6)


def _convolve(x: NDArray[np.float64], layer: nn.Conv2d) -> NDArray[np.float64]:
    """The 5 x 5 'same' convolution of C x H x W, in numpy."""
    assert layer.bias is not None
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    planes = [
        correlate(padded, weight, mode="valid")[0]
        for weight in layer.weight.detach().numpy().astype(np.float64)
    ]
    output: NDArray[np.float64] = np.stack(planes) + layer.bias.detach().numpy()[:, None, None]
    return output


def test_the_gates_of_the_memory_are_input_forget_output_candidate() -> None:
    torch.manual_seed(1)
    memory = BottleneckMemory(2).requires_grad_(False)
    x, hidden, cell = torch.randn(3, 2, 7, 6).double().numpy()
    enter, forget, leave, candidate = np.split(
        _convolve(np.concatenate([x, hidden]), memory.gates), 4
    )
    cell_after = expit(forget) * cell + expit(enter) * np.tanh(candidate)
    hidden_after = expit(leave) * np.tanh(cell_after)
    got = memory(_batch(x), (_batch(hidden), _batch(cell)))
    np.testing.assert_allclose(got[0][0].numpy(), hidden_after, atol=1e-5)
    np.testing.assert_allclose(got[1][0].numpy(), cell_after, atol=1e-5)


def _batch(x: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(x).float()[None]


def test_a_residual_block_ends_with_the_sum() -> None:
    torch.manual_seed(2)
    block = ResidualBlock(2).requires_grad_(False)
    x = torch.randn(2, 6, 5).double().numpy()
    inner = np.maximum(_convolve(x, block.first), 0)
    np.testing.assert_allclose(
        block(_batch(x))[0].numpy(), x + _convolve(inner, block.second), atol=1e-5
    )


def test_a_deconvolution_puts_each_input_at_the_even_places() -> None:
    layer = make_deconv(1, 1).requires_grad_(False)
    layer.bias.zero_()
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = 1
    output = layer(x)
    assert output.shape == (1, 1, 8, 8)
    assert torch.equal(output[0, 0, :5, 2:7], layer.weight[0, 0])  # centred at row 2, column 4
    assert output.count_nonzero() == 25


def test_scales_come_coarse_to_fine_and_the_last_is_the_result(network: Srn) -> None:
    x = torch.rand(2, 3, 32, 48)
    scales = network.scales(x)
    assert [tuple(scale.shape) for scale in scales] == [
        (2, 3, 8, 12),
        (2, 3, 16, 24),
        (2, 3, 32, 48),
    ]
    assert torch.equal(network(x), scales[-1])


def test_nothing_is_kept_between_calls(network: Srn) -> None:
    x = torch.rand(1, 3, 32, 32)
    first = network.scales(x)
    network(torch.rand(1, 3, 32, 32))
    network(torch.rand(2, 3, 16, 48))
    assert all(
        torch.equal(before, after) for before, after in zip(first, network.scales(x), strict=True)
    )


def _changed(network: Srn, weight: str, channels: slice) -> list[bool]:
    """Say for each scale whether its result changes when some input channels of a layer are cut
    off.
    """
    x = torch.rand(1, 3, 32, 32)
    cut = copy.deepcopy(network)
    cut.get_parameter(weight)[:, channels] = 0
    return [not torch.equal(a, b) for a, b in zip(network.scales(x), cut.scales(x), strict=True)]


def test_hidden_state_starts_at_nought_and_is_handed_on(network: Srn) -> None:
    assert _changed(network, "memory.gates.weight", slice(128, None)) == [False, True, True]


def test_the_previous_result_starts_at_nought_and_is_handed_on(network: Srn) -> None:
    assert _changed(network, "enter_fine.0.weight", slice(3, None)) == [False, True, True]


def test_inside_the_picture_lies_between_minus_one_and_one() -> None:
    """Grey, 0.5, is nought inside; and nought without biases stays nought all through."""
    torch.manual_seed(0)
    net = Srn().requires_grad_(False)
    for name, value in net.named_parameters():
        if name.endswith("bias"):
            value.zero_()
    assert torch.allclose(net(torch.full((1, 3, 16, 16), 0.5)), torch.tensor(0.5), atol=1e-7)
    net.leave_fine[-1].bias.fill_(1)
    net.leave_fine[-1].weight.zero_()
    assert torch.equal(net(torch.rand(1, 3, 16, 16)), torch.ones(1, 3, 16, 16))


def test_added_scales_are_the_pictures_and_half_of_what_lies_between_minus_one_and_one() -> None:
    """At its coarsest scale both forms see the same; what follows sees the sum."""
    x = torch.rand(1, 3, 32, 48)
    published = draw_network().scales(x)
    added = draw_network(adds=True).scales(x)
    coarsest = build_srn_pyramid(x)[0]
    assert torch.allclose(added[0], coarsest + published[0] - 0.5, atol=1e-6)
    assert not torch.allclose(added[2], x + published[2] - 0.5, atol=1e-3)


class AddedSrnWeights(WeightsImporter):
    """Weights of somebody whose SRN adds to the picture."""

    card = ImporterCard(
        title="SRN that adds",
        method="srn",
        tag="theirs",
        parameters={"output": "added"},
        source="a test",
        trained_on=(),
    )


def test_weights_of_the_added_form_are_imported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    torch.save(draw_network(adds=True).state_dict(), tmp_path / "theirs.pth")
    with IMPORTERS.temporarily():
        IMPORTERS.add("srn-theirs", AddedSrnWeights)
        import_checkpoint("srn-theirs", tmp_path / "theirs.pth")
    method, resolved = create(METHODS, "srn.theirs")
    assert isinstance(method, SrnMethod)
    assert method.structure == {"output": "added"}
    assert method.skip(Observation(np.zeros((16, 16, 3), np.float32))) is None
    assert "no weights for output=published" in str(
        create(METHODS, "srn.theirs:output=published")[0].skip(
            Observation(np.zeros((16, 16, 3), np.float32))
        )
    )
    assert resolved.label == create(METHODS, "srn.theirs:output=added")[1].label


def test_training_reaches_every_parameter_through_every_scale() -> None:
    torch.manual_seed(0)
    net = Srn()
    sum(scale.square().mean() for scale in net.scales(torch.rand(1, 3, 16, 16))).backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in net.parameters())


def _fast(network: Srn) -> nn.Module:
    fast = SrnMethod().compile_network(copy.deepcopy(network), "cpu")
    assert isinstance(fast, nn.Module)
    return fast


@pytest.mark.parametrize("adds", [False, True])
def test_the_fast_form_is_the_plain_one(adds: bool) -> None:
    network = draw_network(adds)
    quick = _fast(network)
    assert (
        sum(isinstance(layer, WinogradConv2d) for layer in quick.modules()) == 25
    )  # 24 in blocks, one in the memory
    x = torch.rand(1, 3, 48, 80)
    with torch.inference_mode():
        plain = network(x)
        assert plain.std() > 0.1  # the comparison is about something
        assert (quick(x) - plain).abs().max() < 1e-4


def test_seams_at_drawn_weights_are_as_small_as_said(network: Srn) -> None:
    x = torch.rand(1, 3, 32, 832)
    quick = _fast(network)
    halo = SrnMethod.halo
    assert halo is not None
    with torch.inference_mode():
        output = apply_in_tiles(quick, [x], 416, Reach(halo, multiple=16))
        assert isinstance(output, Tensor)
        error = (output - quick(x)).abs().max()
    assert 0 < error < 1e-4
