"""Fused passes against the plain operations, in double precision, with their gradients."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.methods.learned.networks import fused_attention, fused_mixing, strips
from benchmark.methods.learned.networks.gkmnet import (
    Form,
    GaussianConvolution,
    TripletAttention,
    Variant,
    order_channels,
)
from benchmark.methods.learned.networks.gkmnet_train import FusedAttention

sizes = st.integers(1, 9)


def draw_normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_(True)


def gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Return the result and its gradients under weights that are no constant."""
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), inputs)]


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(
        torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(ours, theirs, strict=True)
    )


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 2), channels=sizes, height=sizes, width=sizes, seed=st.integers(0, 99))
def test_pooling_is_maximum_and_mean_over_every_axis(
    count: int, channels: int, height: int, width: int, seed: int
) -> None:
    x = draw_normal(count, channels, height, width, seed=seed)
    plain = [torch.stack([x.amax(axis), x.mean(axis)], 1) for axis in (2, 3, 1)]
    plain[1] = plain[1].mT  # rows first
    for place, theirs in enumerate(plain):
        assert same(
            gradients(fused_attention.pool_over_axes(x)[place], [x]), gradients(theirs, [x])
        )


def test_of_two_equal_maxima_the_first_gets_the_gradient() -> None:
    x = torch.zeros(1, 1, 1, 4, requires_grad=True)
    fused_attention.pool_over_axes(x)[1][0, 0, 0, 0].backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]


def test_pooling_leaves_the_gradients_it_is_given_alone() -> None:
    x = draw_normal(1, 3, 4, 5)
    pools = fused_attention.pool_over_axes(x)[2]
    weights = torch.ones_like(pools)
    pools.backward(weights)
    assert torch.equal(weights, torch.ones_like(pools))


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 2), channels=sizes, height=sizes, width=sizes, seed=st.integers(0, 99))
def test_gating_is_the_product_with_the_mean_of_the_gates(
    count: int, channels: int, height: int, width: int, seed: int
) -> None:
    x = draw_normal(count, channels, height, width, seed=seed)
    shapes = ((channels, width), (height, channels), (height, width))
    gates = [
        draw_normal(count, 1, *shape, seed=seed + 1 + place) for place, shape in enumerate(shapes)
    ]
    over_rows, over_columns, over_channels = gates
    mean = (over_rows.transpose(1, 2) + over_columns.transpose(1, 3) + over_channels) / 3
    assert same(
        gradients(fused_attention.apply_gates(x, *gates), [x, *gates]),
        gradients(x * mean, [x, *gates]),
    )


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 2), kernels=sizes, height=sizes, width=sizes, seed=st.integers(0, 99))
def test_mixing_is_the_sum_over_gated_responses(
    count: int, kernels: int, height: int, width: int, seed: int
) -> None:
    inputs = [
        draw_normal(count, kernels, height, width, seed=seed),
        draw_normal(count, 3, kernels, height, width, seed=seed + 1),
        draw_normal(3, 3, kernels, seed=seed + 2),
    ]
    plain = torch.einsum("nkhw,nckhw,ock->nohw", *inputs)
    assert same(
        gradients(fused_mixing.mix_gated_responses(*inputs), inputs), gradients(plain, inputs)
    )


def test_mixing_over_more_pixels_than_go_at_a_time() -> None:
    inputs = [
        draw_normal(1, 2, 50, 60, seed=1),
        draw_normal(1, 3, 2, 50, 60, seed=2),
        draw_normal(3, 3, 2, seed=3),
    ]
    assert same(
        gradients(fused_mixing.mix_gated_responses(*inputs), inputs),
        gradients(torch.einsum("nkhw,nckhw,ock->nohw", *inputs), inputs),
    )


def test_a_picture_that_needs_no_gradient_gets_none() -> None:
    gcm = GaussianConvolution(Form()).double()
    gates, picture, weight = (
        draw_normal(1, 21, 3, 4),
        draw_normal(1, 3, 23, 24).detach(),
        draw_normal(3, 63),
    )
    fused_mixing.filter_and_mix(
        gates, picture, weight, fused_mixing.Filters(*gcm.channels())
    ).sum().backward()
    assert gates.grad is not None and weight.grad is not None and picture.grad is None


def test_responses_that_need_no_gradient_get_none() -> None:
    gates, responses, weight = (
        draw_normal(1, 2, 3, 4),
        draw_normal(1, 3, 2, 3, 4).detach(),
        draw_normal(3, 3, 2),
    )
    fused_mixing.mix_gated_responses(gates, responses, weight).sum().backward()
    assert gates.grad is not None and weight.grad is not None and responses.grad is None


@settings(deadline=None, max_examples=20)
@given(
    variant=st.sampled_from(get_args(Variant)),
    count=st.integers(1, 2),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@example(
    variant="paper", count=1, height=60, width=70, threads=1, seed=0
)  # more rows than go at a time
def test_filtering_is_the_mixture_of_gated_responses(
    variant: Variant, count: int, height: int, width: int, threads: int, seed: int
) -> None:
    """However many rows, and on however many threads."""
    gcm = GaussianConvolution(Form(variant)).double()
    rim, order = len(gcm.dense()[0]) // 2, order_channels(Form(variant))
    kernels = len(gcm.dense())
    gates = draw_normal(count, kernels, height, width, seed=seed)
    picture = draw_normal(count, 3, height + 2 * rim, width + 2 * rim, seed=seed + 1)
    weight = draw_normal(3, len(order.gates), seed=seed + 2)
    responses = F.conv2d(picture.flatten(0, 1)[:, None], gcm.dense()[:, None]).view(
        count, 3, -1, height, width
    )
    ordered_responses = responses[:, list(order.colours), list(order.kernels)]
    plain = torch.einsum(
        "nchw,nchw,oc->nohw", ordered_responses, gates[:, list(order.gates)], weight
    )
    inputs = [gates, picture, weight]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = gradients(
            fused_mixing.filter_and_mix(*inputs, fused_mixing.Filters(*gcm.channels())), inputs
        )
    finally:
        torch.set_num_threads(before)
    assert same(ours, gradients(plain, inputs))


def test_triplet_attention() -> None:
    plain = TripletAttention().double()
    inputs = [draw_normal(2, 8, 12, 10), *plain.parameters()]
    ours, theirs = (
        gradients(attention(inputs[0]), inputs) for attention in (FusedAttention(plain), plain)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))


def test_rectified_adds_and_pools() -> None:
    branch, trunk = (draw_normal(1, 5, 6, 7, seed=seed).detach().float() for seed in (1, 2))
    branch, trunk = (part.to(memory_format=torch.channels_last) for part in (branch, trunk))
    output = torch.empty_like(branch)
    of_columns, of_channels = torch.empty(2, 6, 5), torch.empty(2, 6, 7)
    of_rows = fused_attention.add_rectified_and_pool(branch, trunk, output, of_columns, of_channels)
    plain = branch.relu() + trunk
    assert torch.equal(output, plain)
    for pooled, axis in ((of_rows.mT, 2), (of_columns.mT, 3), (of_channels, 1)):
        assert torch.equal(pooled[0], plain.amax(axis)[0])
        assert torch.allclose(pooled[1], plain.sum(axis)[0], atol=1e-5)


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
