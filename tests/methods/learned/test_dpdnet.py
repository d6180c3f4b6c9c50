"""DPDNet against its published size, hand-computed padding, and a U-Net written with concatenations
in float64.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark import conformance
from benchmark.api import Observation
from benchmark.checkpoints import find_checkpoint
from benchmark.methods.learned.dpdnet import DpdNetD, DpdNetS
from benchmark.methods.learned.networks.dpdnet import DpdNet, FastUpConv, UpConv
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in ("dpdnet-s", "dpdnet-d"):
        draw(folder, name)
        draw(folder, f"{name}:output=added", "added")
    return folder


@pytest.fixture
def weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(folder))


@pytest.fixture(scope="module")
def network() -> DpdNet:
    torch.manual_seed(0)
    dpdnet = DpdNet(6).eval().requires_grad_(False)
    for name, value in dpdnet.named_parameters():
        if name.endswith("bias"):
            value.normal_(0, 0.05)  # so that a lost or misplaced one shows
    return dpdnet


@pytest.mark.parametrize(("channels", "parameters"), [(3, 31_033_423), (6, 31_035_151)])
def test_it_has_the_published_number_of_parameters(channels: int, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in DpdNet(channels).parameters()) == parameters


@pytest.mark.slow
@pytest.mark.parametrize("text", ["dpdnet-s.drawn", "dpdnet-d.drawn", "dpdnet-d.added"])
@pytest.mark.usefixtures("weights")
def test_it_keeps_the_contract(text: str) -> None:
    results = list(conformance.check_method(text))
    assert [result for result in results if not result.passes] == []
    assert not any("skips" in result.detail for result in results)


@pytest.mark.parametrize("kind", [DpdNetS, DpdNetD])
def test_without_weights_it_is_skipped_and_says_how_to_get_them(
    kind: type[DpdNetS | DpdNetD], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    reason = create(METHODS, kind.id)[0].skip(Observation(np.zeros((16, 16, 3), np.float32)))
    assert reason is not None
    assert "no weights" in reason and f"{kind.id}.TAG.safetensors" in reason


def test_a_2x2_convolution_is_padded_at_the_bottom_and_the_right() -> None:
    layer = UpConv(1, 1)
    with torch.inference_mode():
        layer.conv.weight.copy_(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
        layer.conv.bias.fill_(0.5)
        output = layer(torch.full((1, 1, 1, 1), 2.0))
    assert output[0, 0].tolist() == [[2222.5, 202.5], [22.5, 2.5]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4), (6, 1)])
def test_the_fast_step_up_is_the_plain_one(height: int, width: int) -> None:
    torch.manual_seed(height)
    plain = UpConv(4, 3).double()
    x = torch.randn(2, 4, height, width, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.allclose(FastUpConv(plain)(x), plain(x), rtol=0, atol=1e-12)


def _keras(net: DpdNet, x: Tensor) -> Tensor:
    """The U-Net as the authors' program lists it, with concatenations and whole filters, in
    float64.

    torch, like Keras, pads an even filter of the same size at the bottom and the right.
    """

    def conv(x: Tensor, layer: nn.Module, other: nn.Module | None = None) -> Tensor:
        weight = layer.weight if other is None else torch.cat([layer.weight, other.weight], 1)
        return F.conv2d(x, weight.double(), layer.bias.double(), padding="same").relu()

    def pair(x: Tensor, stage: nn.Module) -> Tensor:
        return conv(conv(x, stage[0]), stage[2])

    skips = []
    for stage in net.down:
        skips.append(pair(x, stage))
        x = F.max_pool2d(skips[-1], 2)
    x = pair(x, net.deepest)
    for level in (3, 2, 1, 0):
        x = conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), net.up[level].conv)
        x = conv(torch.cat([skips[level], x], 1), net.across[level], net.merge[level])
        x = conv(x, net.last[level])
    last = net.out[2]
    return F.conv2d(conv(x, net.out[0]), last.weight.double(), last.bias.double()).sigmoid()


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch warns of a copy
def test_plain_and_fast_form_are_the_unet_of_the_authors(network: DpdNet, weights: None) -> None:
    x = torch.rand(1, 6, 32, 48)
    method = DpdNetD(checkpoint=find_checkpoint(DpdNetD.id, "drawn"))
    copy = DpdNet(6).eval().requires_grad_(False)
    copy.load_state_dict(network.state_dict())
    with torch.inference_mode():
        truth, plain, quick = (
            _keras(network, x.double()),
            network(x),
            method.compile_network(copy, "cpu")(x),
        )
    assert truth.std() > 0.01  # the comparison is about something
    assert (plain - truth).abs().max() < 1e-5
    assert (quick - truth).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["dpdnet-s", "dpdnet-d"])
@pytest.mark.usefixtures("weights")
def test_the_added_form_adds_what_the_sigmoid_would_be_applied_to(name: str) -> None:
    method, _ = create(METHODS, f"{name}.added")
    assert isinstance(method, DpdNetS | DpdNetD)
    network = method.build().eval().requires_grad_(False)
    published = create_published_form(network)
    picture_count = 2 if name == "dpdnet-d" else 1
    x = torch.rand(1, 3 * picture_count, 32, 48)
    expected = x.view(1, picture_count, 3, 32, 48).mean(1) + published(x).logit()
    with torch.inference_mode():
        assert torch.allclose(network(x), expected, atol=1e-5)
        assert torch.allclose(method.compile_network(network, "cpu")(x), expected, atol=1e-5)


def create_published_form(network: nn.Module) -> DpdNet:
    published = DpdNet(network.get_parameter("down.0.0.weight").shape[1]).eval()
    published.load_state_dict(network.state_dict())
    return published.requires_grad_(False)


def test_dropout_is_for_training_only(network: DpdNet) -> None:
    rates = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.4, 0.4]
    x = torch.rand(1, 6, 16, 16)
    assert torch.equal(network(x), network(x))
    network.train()
    try:
        assert not torch.equal(network(x), network(x))
    finally:
        network.eval()


def test_initial_weights_are_those_of_he_for_the_whole_convolution(network: DpdNet) -> None:
    whole = torch.cat([network.across[0].weight, network.merge[0].weight], 1)
    assert whole.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert network.deepest[0].weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.02)


def test_training_reaches_every_parameter() -> None:
    net = DpdNet(3)
    net(torch.rand(1, 3, 16, 16)).sum().backward()
    assert all(value.grad is not None for value in net.parameters())


def test_the_reach_is_exactly_what_is_said() -> None:
    """With all weights positive nothing cancels and nothing is cut off, so a change shows wherever
    it can.
    """
    net = DpdNet(3).eval().requires_grad_(False).double()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.fill_(1 / layer.weight[0].numel())
    columns = (141, 146, 128)  # 13 and 2 modulo 16 are the places that reach furthest
    x = torch.full((1 + len(columns), 3, 16, 288), 0.01, dtype=torch.float64)
    for index, column in enumerate(columns, 1):
        x[index, :, :, column] = 1e6
    outputs = net(x)
    reaches = [
        (outputs[index] - outputs[0]).abs().amax((0, 1)).gt(1e-15).nonzero()
        for index in range(1, len(x))
    ]
    first, last = ([int(places[end]) for places in reaches] for end in (0, -1))
    assert columns[0] - first[0] == 123
    assert last[1] - columns[1] == 108
    halo = DpdNetS.halo
    assert halo is not None
    assert all(
        column - halo <= low and high <= column + halo
        for column, low, high in zip(columns, first, last, strict=True)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_tiles_change_nothing() -> None:
    picture = Observation(np.random.default_rng(0).random((13, 300, 3), np.float32))
    pictures = []
    for tile in (0, 160):
        method = DpdNetS(checkpoint=find_checkpoint(DpdNetS.id, "drawn"), tile=tile)
        method.prepare("cpu")
        pictures.append(method.restore(picture))
    assert np.abs(pictures[0] - pictures[1]).max() < 1e-5
    assert np.ptp(pictures[0]) > 0.01


def test_the_left_view_comes_first() -> None:
    left, right = (np.full((4, 5, 3), value, np.float32) for value in (0.25, 0.75))
    inputs = DpdNetD().select_inputs(Observation((left + right) / 2, (left, right)))
    assert inputs.shape == (4, 5, 6)
    assert (inputs[..., :3] == 0.25).all() and (inputs[..., 3:] == 0.75).all()
