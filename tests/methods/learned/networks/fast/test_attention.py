"""Fused triplet attention against the plain operations, in double precision, with gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.methods.learned.networks.fast import attention
from benchmark.methods.learned.networks.fast.gkmnet_training import FusedAttention
from benchmark.methods.learned.networks.gkmnet import (
    TripletAttention,
)
from tests.methods.learned.networks.gradients import all_close, differentiate, draw_normal

sizes = st.integers(1, 9)


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 2), channels=sizes, height=sizes, width=sizes, seed=st.integers(0, 99))
def test_pooling_is_maximum_and_mean_over_every_axis(
    count: int, channels: int, height: int, width: int, seed: int
) -> None:
    x = draw_normal(count, channels, height, width, seed=seed)
    plain = [torch.stack([x.amax(axis), x.mean(axis)], 1) for axis in (2, 3, 1)]
    plain[1] = plain[1].mT  # rows first
    for place, theirs in enumerate(plain):
        assert all_close(
            differentiate(attention.pool_over_axes(x)[place], [x]),
            differentiate(theirs, [x]),
        )


def test_of_two_equal_maxima_the_first_gets_the_gradient() -> None:
    x = torch.zeros(1, 1, 1, 4, requires_grad=True)
    attention.pool_over_axes(x)[1][0, 0, 0, 0].backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]


def test_pooling_leaves_the_gradients_it_is_given_alone() -> None:
    x = draw_normal(1, 3, 4, 5)
    pools = attention.pool_over_axes(x)[2]
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
    assert all_close(
        differentiate(attention.apply_gates(x, *gates), [x, *gates]),
        differentiate(x * mean, [x, *gates]),
    )


def test_triplet_attention() -> None:
    plain = TripletAttention().double()
    inputs = [draw_normal(2, 8, 12, 10), *plain.parameters()]
    ours, theirs = (
        differentiate(attention(inputs[0]), inputs) for attention in (FusedAttention(plain), plain)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))


def test_rectified_adds_and_pools() -> None:
    branch, trunk = (draw_normal(1, 5, 6, 7, seed=seed).detach().float() for seed in (1, 2))
    branch, trunk = (part.to(memory_format=torch.channels_last) for part in (branch, trunk))
    output = torch.empty_like(branch)
    of_columns, of_channels = torch.empty(2, 6, 5), torch.empty(2, 6, 7)
    of_rows = attention.add_rectified_and_pool(branch, trunk, output, of_columns, of_channels)
    plain = branch.relu() + trunk
    assert torch.equal(output, plain)
    for pooled, axis in ((of_rows.mT, 2), (of_columns.mT, 3), (of_channels, 1)):
        assert torch.equal(pooled[0], plain.amax(axis)[0])
        assert torch.allclose(pooled[1], plain.sum(axis)[0], atol=1e-5)
