"""The fused GCM and its mixing against the plain operations, with gradients."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.methods.learned.networks.fast import mixing
from benchmark.methods.learned.networks.gkmnet import (
    Form,
    GaussianConvolution,
    Variant,
    order_channels,
)
from tests.methods.learned.networks.gradients import all_close, differentiate, draw_normal

sizes = st.integers(1, 9)


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
    assert all_close(
        differentiate(mixing.mix_gated_responses(*inputs), inputs),
        differentiate(plain, inputs),
    )


def test_mixing_over_more_pixels_than_go_at_a_time() -> None:
    inputs = [
        draw_normal(1, 2, 50, 60, seed=1),
        draw_normal(1, 3, 2, 50, 60, seed=2),
        draw_normal(3, 3, 2, seed=3),
    ]
    assert all_close(
        differentiate(mixing.mix_gated_responses(*inputs), inputs),
        differentiate(torch.einsum("nkhw,nckhw,ock->nohw", *inputs), inputs),
    )


@pytest.mark.slow
def test_a_picture_that_needs_no_gradient_gets_none() -> None:
    gcm = GaussianConvolution(Form()).double()
    gates, picture, weight = (
        draw_normal(1, 21, 3, 4),
        draw_normal(1, 3, 23, 24).detach(),
        draw_normal(3, 63),
    )
    mixing.filter_and_mix(gates, picture, weight, mixing.Filters(*gcm.channels())).sum().backward()
    assert gates.grad is not None and weight.grad is not None and picture.grad is None


def test_responses_that_need_no_gradient_get_none() -> None:
    gates, responses, weight = (
        draw_normal(1, 2, 3, 4),
        draw_normal(1, 3, 2, 3, 4).detach(),
        draw_normal(3, 3, 2),
    )
    mixing.mix_gated_responses(gates, responses, weight).sum().backward()
    assert gates.grad is not None and weight.grad is not None and responses.grad is None


@pytest.mark.slow
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
        ours = differentiate(
            mixing.filter_and_mix(*inputs, mixing.Filters(*gcm.channels())), inputs
        )
    finally:
        torch.set_num_threads(before)
    assert all_close(ours, differentiate(plain, inputs))
