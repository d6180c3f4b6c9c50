"""The network in AttNet's place: its size, its parts, its fast form, and that nobody can take it
for AttNet.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn

from benchmark import conformance
from benchmark.api import Observation
from benchmark.methods.learned.attnet import AttNetMethod
from benchmark.methods.learned.networks.attnet import AttentiveBlock, AttNet, PixelGate, merge_skip
from benchmark.methods.learned.networks.fast.tiles import Reach, apply_in_tiles
from benchmark.methods.learned.networks.fast.winograd import WinogradConv2d
from benchmark.methods.learned.networks.srn import build_srn_pyramid
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw


@pytest.fixture(scope="module")
def network() -> AttNet:
    torch.manual_seed(0)
    attnet = AttNet().eval().requires_grad_(False)
    for name, value in attnet.named_parameters():
        if name.endswith("bias"):
            value.normal_(0, 0.05)
    return attnet


def test_its_size_is_what_is_known_of_attnet() -> None:
    macs = {"thop": 0, "true": 0}

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        filters, places = (
            layer.weight[0, 0].numel() * layer.in_channels * layer.out_channels,
            output[0, 0].numel(),
        )
        macs["thop"] += filters * places
        macs["true"] += filters * (
            inputs[0][0, 0].numel() if isinstance(layer, nn.ConvTranspose2d) else places
        )

    with torch.device("meta"):
        net = AttNet()
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(count)
        net(torch.empty(1, 3, 1120, 1680))
    assert sum(value.numel() for value in net.parameters()) == 6_906_255  # 6.91 million
    assert macs["thop"] == pytest.approx(3450.4e9, rel=0.02)
    assert macs["true"] == pytest.approx(3450.4e9, rel=0.04)


def test_nobody_can_take_it_for_the_authors_system() -> None:
    card = AttNetMethod.card
    assert "re-implementation from incomplete information" in card.title
    assert card.reimplementation
    assert "Guessed" in card.notes and "Not the authors' system" in card.notes


@pytest.mark.slow
def test_it_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, "attnet")
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    results = list(conformance.check_method("attnet.drawn"))
    assert [result for result in results if not result.passes] == []
    assert not any("skips" in result.detail for result in results)


def test_without_weights_it_is_skipped_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("benchmark.checkpoints.SHIPPED_FOLDER", tmp_path / "none")
    reason = create(METHODS, "attnet")[0].skip(Observation(np.zeros((16, 16, 3), np.float32)))
    assert reason is not None
    assert "no weights" in reason and "attnet.TAG.safetensors" in reason


def test_a_gate_sees_each_pixel_alone() -> None:
    torch.manual_seed(1)
    gate = PixelGate(16).requires_grad_(False)
    x = torch.randn(1, 16, 4, 5)
    squeeze, expand = (layer.weight[..., 0, 0].numpy() for layer in (gate.squeeze, gate.expand))
    biases = [layer.bias.numpy() for layer in (gate.squeeze, gate.expand)]
    pixel = np.maximum(squeeze @ x[0, :, 2, 3].numpy() + biases[0], 0)
    np.testing.assert_allclose(
        gate(x)[0, :, 2, 3].numpy(), expit(expand @ pixel + biases[1]), atol=1e-6
    )


def test_a_shut_gate_leaves_the_features_as_they_are() -> None:
    torch.manual_seed(1)
    block = AttentiveBlock(16).requires_grad_(False)
    x = torch.randn(1, 16, 6, 6)
    assert not torch.allclose(block(x), x, atol=0.1)
    block.gate.expand.bias.fill_(-100)
    assert torch.allclose(block(x), x)


@pytest.mark.parametrize(("bias", "share"), [(-100, 0), (100, 1)])
def test_a_gate_on_a_skip_lets_the_encoder_through_or_not(bias: float, share: float) -> None:
    torch.manual_seed(1)
    gate = PixelGate(16).requires_grad_(False)
    gate.expand.bias.fill_(bias)
    skip, up = torch.randn(2, 1, 16, 4, 4)
    assert torch.allclose(merge_skip(gate, skip, up), up + share * skip)


def test_a_gate_on_a_skip_sees_both_sides() -> None:
    torch.manual_seed(1)
    gate = PixelGate(16).requires_grad_(False)
    skip, up = torch.randn(2, 1, 16, 4, 4)
    assert torch.allclose(merge_skip(gate, skip, up), up + gate(skip + up) * skip)


def test_scales_come_coarse_to_fine_and_the_last_is_the_result(network: AttNet) -> None:
    x = torch.rand(2, 3, 32, 48)
    scales = network.scales(x)
    assert [tuple(scale.shape) for scale in scales] == [
        (2, 3, 8, 12),
        (2, 3, 16, 24),
        (2, 3, 32, 48),
    ]
    assert torch.equal(network(x), scales[-1])
    assert all(
        torch.equal(before, after) for before, after in zip(scales, network.scales(x), strict=True)
    )


def test_it_corrects_the_picture_at_every_scale(network: AttNet) -> None:
    silent = copy.deepcopy(network)
    silent.leave_fine[-1].weight.zero_()
    silent.leave_fine[-1].bias.zero_()
    x = torch.rand(1, 3, 32, 32)
    assert all(
        torch.equal(a, b) for a, b in zip(silent.scales(x), build_srn_pyramid(x), strict=True)
    )


def test_each_scale_is_given_the_result_of_the_one_before(network: AttNet) -> None:
    deaf = copy.deepcopy(network)
    deaf.enter_fine[0].weight[:, 3:] += deaf.enter_fine[0].weight[:, :3]
    deaf.enter_fine[0].weight[:, :3] = 0
    x = torch.rand(1, 3, 32, 32)
    same = [
        torch.allclose(a, b, atol=1e-5)
        for a, b in zip(network.scales(x), deaf.scales(x), strict=True)
    ]
    assert same == [True, False, False]  # at first the picture stands in for it


def test_training_reaches_every_parameter_through_every_scale() -> None:
    torch.manual_seed(0)
    net = AttNet()
    sum(scale.square().mean() for scale in net.scales(torch.rand(1, 3, 16, 16))).backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in net.parameters())


def _fast(network: AttNet) -> nn.Module:
    fast = AttNetMethod().compile_network(copy.deepcopy(network), "cpu")
    assert isinstance(fast, nn.Module)
    return fast


def test_the_fast_form_is_the_plain_one(network: AttNet) -> None:
    quick = _fast(network)
    assert (
        sum(isinstance(layer, WinogradConv2d) for layer in quick.modules()) == 26
    )  # those of 64 and 128 channels
    x = torch.rand(1, 3, 48, 80)
    with torch.inference_mode():
        plain = network(x)
        assert (plain - x).std() > 0.1  # the comparison is about something
        assert (quick(x) - plain).abs().max() < 1e-4


@pytest.mark.slow
def test_seams_at_drawn_weights_are_as_small_as_said(network: AttNet) -> None:
    x = torch.rand(1, 3, 32, 832)
    quick = _fast(network)
    halo = AttNetMethod.halo
    assert halo is not None
    with torch.inference_mode():
        output = apply_in_tiles(quick, [x], 416, Reach(halo, multiple=16))
        assert isinstance(output, Tensor)
        error = (output - quick(x)).abs().max()
    assert 0 < error < 1e-4
