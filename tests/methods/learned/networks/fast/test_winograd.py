"""Winograd convolutions against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.methods.learned.networks.fast.forms import make_fast_form
from benchmark.methods.learned.networks.fast.winograd import (
    TrainableWinograd,
    WinogradConv2d,
    use_winograd_for_inference,
)


@settings(max_examples=30)
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 430),
    side=st.sampled_from((3, 5)),
    bias=st.booleans(),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    batch=st.integers(1, 2),
    seed=st.integers(0, 9),
)
def test_it_is_the_convolution_at_any_size(
    height: int, width: int, side: int, bias: bool, channels: tuple[int, int], batch: int, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(*channels, side, padding=side // 2, bias=bias).double()
    x = torch.rand(batch, channels[0], height, width, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.allclose(WinogradConv2d(conv)(x), conv(x), rtol=0, atol=1e-12)


def test_under_autocast_the_trained_form_is_torch_s_own() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 5, padding=2)
    x = torch.randn(1, 64, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(TrainableWinograd(conv)(x), conv(x))


@pytest.mark.parametrize("side", [3, 5])
def test_rounding_stays_small(side: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, side, padding=side // 2)
    x = torch.randn(1, 64, 40, 40).relu()
    with torch.inference_mode():
        exact = F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=side // 2)
        error = (WinogradConv2d(conv)(x) - exact).abs().max() / exact.abs().max()
    assert error < 2e-5


def _layers() -> nn.Sequential:
    same = {"padding": 2}
    return nn.Sequential(
        # these two and the mirrored one gain
        nn.Conv2d(64, 96, 5, **same),
        nn.Conv2d(128, 128, 3, padding=1, bias=False),
        nn.Conv2d(32, 64, 5, **same),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.Conv2d(64, 64, 5, stride=2, **same),
        nn.Conv2d(64, 64, 5, groups=2, **same),
        nn.Conv2d(64, 64, 5),
        nn.Conv2d(64, 64, 1),
        nn.Conv2d(64, 64, 5, padding_mode="reflect", **same),
        nn.Conv2d(64, 64, 5, padding=4, dilation=2),
        nn.ConvTranspose2d(64, 64, 5, padding=2),
    )


def test_only_wide_same_convolutions_are_replaced() -> None:
    network = _layers()
    use_winograd_for_inference(network)
    replaced = [isinstance(layer, WinogradConv2d) for layer in network.children()]
    assert replaced == [True, True, *[False] * 6, True, False, False]


def test_a_gpu_keeps_its_convolutions() -> None:
    network = make_fast_form(_layers(), "cuda")
    assert isinstance(network, nn.Module)
    assert not any(isinstance(layer, WinogradConv2d) for layer in network.modules())


@pytest.mark.parametrize("side", [3, 5])
def test_the_mirrored_picture_lies_beyond_the_border(side: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 6, side, padding=side // 2, padding_mode="reflect").requires_grad_(False)
    x = torch.rand(2, 5, 13, 10)
    assert torch.allclose(WinogradConv2d(conv)(x), conv(x), atol=1e-5)
