"""Strips of layers against whole pictures, and strips on several threads."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.methods.learned.networks.fast import strips
from benchmark.methods.learned.networks.fast.strips import (
    DoublePicture,
    Strip,
    StripDeconvolution,
    WholePicture,
)

CUTS = st.tuples(st.integers(0, 9), st.integers(7, 16)).map(
    lambda cut: (cut[0], cut[0] + min(cut[1], 16 - cut[0]))
)


@given(cut=CUTS, size=st.sampled_from([1, 3, 5, 7]), relu=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_convolved_strip_is_part_of_the_convolved_picture(
    cut: tuple[int, int], size: int, relu: bool
) -> None:
    torch.manual_seed(0)
    conv, bn = nn.Conv2d(3, 4, size, padding=size // 2), nn.BatchNorm2d(4).eval()
    nn.init.normal_(bn.running_mean)
    x = torch.rand(1, 3, 16, 9)
    with torch.no_grad():
        whole = bn(conv(x)).relu() if relu else bn(conv(x))
        strip = strips.StripConvolution(conv.eval(), bn, relu)(
            Strip(x[:, :, cut[0] : cut[1]], cut[0], 16)
        )
    reach = size // 2
    assert strip.first == (0 if cut[0] == 0 else cut[0] + reach)
    assert strip.end == (16 if cut[1] == 16 else cut[1] - reach)
    assert torch.allclose(strip.rows, whole[:, :, strip.first : strip.end], atol=1e-5)


@given(first=st.integers(0, 7), rows=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_a_strided_convolution_of_a_strip(first: int, rows: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    x = torch.rand(1, 2, 16, 8)
    end = min(8, first + rows)
    with torch.no_grad():
        strip = strips.StripConvolution(conv)(WholePicture(x).strip(2 * first - 1, 2 * end))
        assert (strip.first, strip.end, strip.height) == (first, end, 8)
        assert torch.allclose(strip.rows, conv(x)[:, :, first:end], atol=1e-6)


@given(first=st.integers(0, 7), rows=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_doubled_strips_are_parts_of_the_doubled_picture(first: int, rows: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 2, 8, 5)
    whole = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    large = DoublePicture(x).strip(2 * first - 1, 2 * (first + rows) + 1)
    assert torch.equal(large.rows, whole[:, :, large.first : large.end])
    conv, bn = nn.ConvTranspose2d(2, 3, 2, stride=2).eval(), nn.BatchNorm2d(3).eval()
    nn.init.uniform_(bn.running_var, 0.5, 1.5)
    with torch.no_grad():
        strip = StripDeconvolution(conv, bn)(WholePicture(x).strip(first, first + rows))
        assert strip.first == 2 * first
        assert torch.allclose(
            strip.rows, bn(conv(x)).relu()[:, :, strip.first : strip.end], atol=1e-6
        )


def test_a_convolution_padded_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="padded by half"):
        strips.StripConvolution(nn.Conv2d(3, 3, 3))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_strips_come_in_order_whatever_the_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            results = list(
                strips.map_strips(
                    lambda first, end: (first, end, torch.is_inference_mode_enabled()), 50, 8
                )
            )
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert results == [(first, min(first + 8, 50), True) for first in range(0, 50, 8)]
    assert not torch.ones(1, requires_grad=True).mul(2).is_inference()


def test_an_error_in_a_strip_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(strips.map_strips(lambda first, end: 1 // first, 10, 5))
