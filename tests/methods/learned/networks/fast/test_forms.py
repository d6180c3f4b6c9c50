"""The fast forms of networks against the plain ones, over tiles so small that every kind of cut
occurs.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from benchmark.methods.learned.method import AppliedNetwork
from benchmark.methods.learned.networks import nafnet
from benchmark.methods.learned.networks.fast import tiles
from benchmark.methods.learned.networks.fast.forms import make_fast_form
from benchmark.methods.learned.networks.fast.nafnet import SweptNafBlock, slide_averages
from benchmark.methods.learned.networks.fast.reach import measure_reach
from benchmark.methods.learned.networks.fast.restormer import SweptTransformerBlock
from benchmark.methods.learned.networks.fast.tiles import InTiles
from benchmark.methods.learned.networks.restormer import TransformerBlock
from benchmark.registry import METHODS, create

NAMES = (
    "restormer", "restormer-d", "nafnet:width=32", "lakdnet", "ifan:n=8", "drbnet", "drbnet-d",
    "nrknet", "iniknet", "kpac", "srn", "dpdnet-s", "attnet",
)  # fmt: skip


def make_picture(network: AppliedNetwork, height: int, width: int) -> Tensor:
    """Return what a network takes for a picture of a size."""
    torch.manual_seed(1)
    counted = network.network()
    assert counted is not None
    return torch.rand(*counted.shapes(height, width)[0])


def build_network(method: AppliedNetwork) -> nn.Module:
    """Return the plain form at weights drawn at random, none of which is zero throughout."""
    torch.manual_seed(0)
    network = method.build().eval().requires_grad_(False)
    for value in network.parameters():
        if not value.any():
            value.uniform_(-0.5, 0.5)
    return network


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_the_fast_form_gives_the_result_of_the_plain_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MEGABYTES", 0.1)
    method = create(METHODS, name)[0]
    assert isinstance(method, AppliedNetwork)
    plain = build_network(method)
    picture = make_picture(method, 56, 84)
    expected = plain(picture)
    output = make_fast_form(copy.deepcopy(plain), "cpu")(picture)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() < 2e-5 * expected.abs().max()


@torch.inference_mode()
def test_tiles_are_cut_where_the_picture_is_larger_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the tests above compare nothing."""
    monkeypatch.setattr(tiles, "MEGABYTES", 0.1)
    sizes: list[tuple[int, ...]] = []
    method = create(METHODS, "drbnet")[0]
    assert isinstance(method, AppliedNetwork)
    network = build_network(method)
    fast = make_fast_form(network, "cpu")
    for part in network.modules():
        if isinstance(part, InTiles):
            part.layers.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[-1].shape))
    fast(make_picture(method, 56, 84))
    assert sum(shape[-2] < 56 for shape in sizes) > 20


@pytest.mark.parametrize("size", [(13, 29), (40, 17)])
@pytest.mark.parametrize("window", [1, 2, 5, 12, 16, 50])
@torch.inference_mode()
def test_sliding_sums_give_the_means_of_the_plain_network(
    size: tuple[int, int], window: int
) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 70, *size)
    expected = nafnet.average_locally(x, window)
    assert torch.allclose(slide_averages(x, window), expected, atol=1e-6)


@pytest.mark.parametrize("window", [None, 6])
@torch.inference_mode()
def test_a_swept_block_gives_the_result_of_the_plain_one(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MEGABYTES", 0.01)
    torch.manual_seed(0)
    block = nafnet.NafBlock(8, window)
    for scale in (block.mixer_scale, block.feed_scale):
        scale.uniform_(-1, 1)
    x = torch.rand(2, 8, 24, 31)
    assert torch.allclose(SweptNafBlock(block)(x), block(x), atol=1e-5)


@torch.inference_mode()
def test_every_picture_of_a_batch_has_its_own_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MEGABYTES", 0.01)
    torch.manual_seed(0)
    block = TransformerBlock(8, 2)
    x = torch.rand(2, 8, 24, 31)
    assert torch.allclose(SweptTransformerBlock(block)(x), block(x), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_layers_see_no_further_than_their_reach(name: str) -> None:
    """Gradients of an output pixel in the middle of layers vanish beyond the reach."""
    method = create(METHODS, name)[0]
    assert isinstance(method, AppliedNetwork)
    network = method.build().eval()
    chains = [
        part
        for part in network.modules()
        if isinstance(part, nn.Sequential) and (reach := measure_reach(part)) and reach.halo
    ]
    for chain in chains[:3]:
        reach = measure_reach(chain)
        assert reach is not None
        scale = reach.scales[0]
        side = 64
        x = torch.rand(1, count_inputs(chain), side, side, requires_grad=True)
        output = chain(x)
        assert output.shape[-1] == side / scale
        middle = output.shape[-1] // 2
        output[..., middle, middle].abs().sum().backward()
        assert x.grad is not None
        rows = x.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
        assert int(rows.min()) >= (middle - reach.halo) * scale
        assert int(rows.max()) < (middle + 1 + reach.halo) * scale


@torch.inference_mode()
def test_a_picture_of_an_odd_size_is_not_cut_where_it_is_halved() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    x = torch.rand(1, 3, 31, 44)
    reach = measure_reach(conv)
    assert reach is not None
    output = tiles.apply_in_tiles(conv, [x], 4, reach)
    assert isinstance(output, Tensor)
    assert torch.equal(output, conv(x))


def count_inputs(layers: nn.Module) -> int:
    """Return how many channels the first convolution takes."""
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    first = next(layer for layer in layers.modules() if isinstance(layer, convolutions))
    return first.in_channels


def test_a_convolution_that_shrinks_the_picture_has_no_reach() -> None:
    assert measure_reach(nn.Conv2d(3, 3, 5)) is None
    assert measure_reach(nn.AvgPool2d(2)) is None
