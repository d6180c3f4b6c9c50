"""GKMNet, the plain network and the method, against its paper, a description of its release, and
second computations.

Whole networks are compared in `test_gkmnet_weights.py` (the released one) and
`fast/test_fast_gkmnet.py` (the fast form).
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console
from scipy.signal import correlate2d
from torch import Tensor, nn

from benchmark import checkpoints, conformance, plan
from benchmark.api import DataError, Observation, Scalar, UsageError
from benchmark.arrays import Float64Array
from benchmark.cli import listing
from benchmark.methods.learned.gkmnet import LIGHT_REACH, GkmNetMethod
from benchmark.methods.learned.networks.blocks import double_size
from benchmark.methods.learned.networks.gkmnet import (
    ConvLstm,
    Filtering,
    Form,
    GaussianConvolution,
    GkmNet,
    MemorylessConvolution,
    TripletAttention,
    Variant,
    halve_in_8_bits,
)
from benchmark.optics import gkm
from benchmark.optics.light import take_local_light, to_linear
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

ROOT = Path(__file__).parents[3]
VARIANTS: tuple[Variant, ...] = ("paper", "official", "v2")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# Parameters
# --------------------------------------------------------------------------------------------------


def _count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _meta(form: Form) -> GkmNet:
    with torch.device("meta"):
        return GkmNet(form)


def test_parameters_are_those_of_the_release() -> None:
    network = _meta(Form("official"))
    [sram] = network.srams
    blocks = (
        sram.entrance,
        sram.encoder1,
        sram.encoder2,
        sram.bottleneck,
        sram.decoder1,
        sram.decoder2,
    )
    state = network.state_dict()
    assert _count(*blocks) == 1_061_352
    assert _count(network) == 1_409_131
    assert len(state) == 240 and sum(value.numel() for value in state.values()) == 1_409_131 + 2_784


def test_parameters_of_the_paper() -> None:
    """One convolution in the second path and one mix, as released, but 21 kernels would make
    1,384,923.

    The paper has "two convolutional layers" there, and eq. (9) has weights for each of the three
    steps.
    """
    second_convolution = 42 * 42 * 9 + 42
    two_more_mixes = 2 * (2 * 3 * 21 * 3 + 3)
    assert (
        _count(_meta(Form("paper"))) == 1_384_923 + second_convolution + two_more_mixes == 1_401_603
    )


def test_a_resized_decoder_has_one_filter_for_all_four_places() -> None:
    transposed = _count(_meta(Form()))
    assert _count(_meta(Form(decoder="resized"))) == transposed - 3 * (128 * 64 + 64 * 32)


# Released and paper's form; Tables 4 and 5 print millions. The prints are those of the released
# form but for Table 5, where they are cut off rather than rounded.
@pytest.mark.parametrize(
    ("options", "printed", "official", "paper"),
    [
        ({}, 1.41, 1_409_131, 1_401_603),
        ({"head": "sram"}, 1.41, 1_408_867, 1_400_847),
        ({"scales": 1}, 1.41, 1_409_131, 1_400_841),
        ({"memory": "convolution"}, 1.11, 1_109_799, 1_124_277),
        ({"kernels": "gaussian"}, 1.41, 1_412_681, 1_405_144),
        ({"kernels": "xavier"}, 1.41, 1_412_681, 1_405_144),
        ({"scales": 1, "rounds": 3}, 1.41, 1_409_131, 1_401_603),
        (
            {"scales": 2, "rounds": 3, "shared": False},
            4.22,
            3 * 1_408_732 + 399,
            3 * 1_400_460 + 6 * 381,
        ),
        ({"rounds": 2, "shared": False}, 2.81, 2 * 1_408_732 + 399, 2 * 1_400_460 + 6 * 381),
    ],
)
def test_parameters_of_the_ablations(
    options: dict[str, Any], printed: float, official: int, paper: int
) -> None:
    assert _count(_meta(Form("official", **options))) == official
    assert _count(_meta(Form("paper", **options))) == paper
    assert round(official / 1e6, 2) == printed or official // 10_000 / 100 == printed
    assert abs(paper / 1e6 - printed) < 0.02


# The Gaussian convolution module
# --------------------------------------------------------------------------------------

PAPER_LADDER = [(0.0, 1), *(((m - step) / 4, m) for m in range(3, 22, 2) for step in (2, 1))]
OFFICIAL_LADDER = [
    (0.0, 1),
    (0.25, 3),
    (0.5, 3),
    (0.75, 3),
    (1.0, 5),
    (1.25, 5),
    (1.5, 7),
    (1.75, 7),
    (2.0, 9),
    (2.25, 9),
    (2.5, 11),
    (2.75, 11),
    (3.0, 13),
    (3.25, 13),
    (3.5, 15),
    (3.75, 15),
    (4.0, 17),
    (4.25, 17),
    (4.5, 19),
    (4.75, 19),
    (5.0, 21),
    (5.25, 21),
]
LADDERS = {"paper": PAPER_LADDER, "official": OFFICIAL_LADDER, "v2": OFFICIAL_LADDER}
BORDERS = {"paper": "symmetric", "official": "constant", "v2": "reflect"}


def _gaussian(sigma: float, size: int) -> Float64Array:
    """Return a Gaussian sampled at integers, cut to `size` and normalised; a delta for sigma 0."""
    y, x = np.mgrid[:size:1, :size:1] - size // 2
    weights = np.exp(-(x**2 + y**2) / (2 * sigma**2)) if sigma else np.ones((1, 1))
    kernel: Float64Array = weights / weights.sum()
    return kernel


def _role(variant: Variant, channel: int) -> tuple[int, int, int]:
    """Return colour, kernel and gate of a channel."""
    if variant == "paper":
        return channel // 21, channel % 21, channel % 21
    if variant == "official":
        return channel // 22, channel // 3, channel % 22
    return channel % 3, channel // 3, channel // 3


def _responses(picture: Float64Array, variant: Variant) -> Float64Array:
    """Return what the GCM makes of H x W x 3, channels first, in double precision."""
    responses = []
    for channel in range(3 * len(LADDERS[variant])):
        colour, number, _ = _role(variant, channel)
        kernel = _gaussian(*LADDERS[variant][number])
        around = np.pad(picture[..., colour], len(kernel) // 2, mode=BORDERS[variant])  # type: ignore[call-overload]
        responses.append(correlate2d(around, kernel, mode="valid"))
    return np.stack(responses)


def _batch(picture: NDArray[Any]) -> Tensor:
    """Return H x W x C as 1 x C x H x W of its own."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_kernels_are_those_of_the_ladder(variant: Variant) -> None:
    bank = Form(variant).bank
    assert bank.sigmas == tuple(sigma for sigma, _ in LADDERS[variant])
    for kernel, rung in zip(bank.kernels, LADDERS[variant], strict=True):
        np.testing.assert_allclose(kernel, _gaussian(*rung), atol=1e-15)
    assert (
        Form(variant).gates
        == 2 * len(bank.kernels)
        == {"paper": 42, "official": 44, "v2": 44}[variant]
    )


@pytest.mark.parametrize("filtering", ["dense", "separable", "banded"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("colour", range(3))
def test_a_point_in_one_colour_shows_which_channel_is_which(
    variant: Variant, colour: int, filtering: Filtering
) -> None:
    point = torch.zeros(1, 3, 41, 41)
    point[0, colour, 20, 20] = 1
    responses = GaussianConvolution(Form(variant), filtering)(point)[0].numpy()
    for channel, response in enumerate(responses):
        its_colour, number, _ = _role(variant, channel)
        kernel = _gaussian(*LADDERS[variant][number])
        expected = np.pad(kernel, 20 - len(kernel) // 2) * (its_colour == colour)
        np.testing.assert_allclose(response, expected, atol=1e-7, err_msg=f"channel {channel}")


def test_released_red_sees_narrow_kernels_and_blue_no_delta() -> None:
    sigmas = [
        {
            OFFICIAL_LADDER[_role("official", channel)[1]][0]
            for channel in range(66)
            if channel // 22 == colour
        }
        for colour in range(3)
    ]
    assert [(min(own_sigmas), max(own_sigmas)) for own_sigmas in sigmas] == [
        (0, 1.75),
        (1.75, 3.5),
        (3.5, 5.25),
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_response_meets_its_gate(variant: Variant) -> None:
    """With gates of known values, what is mixed is the responses of y and x times the values of
    their gates.
    """
    form = Form(variant)
    network = GkmNet(form)
    count = form.gates // 2
    values = torch.arange(1.0, 1 + form.gates)
    network.srams[0] = _Constant(values)
    mixed: list[Tensor] = []
    network.mixes[0].register_forward_pre_hook(lambda _, inputs: mixed.append(inputs[0]))
    y, x = torch.rand(2, 1, 3, 5, 6)
    with torch.no_grad():
        network.step(y, x, None, 0)
        of_y, of_x = network.gcm(y), network.gcm(x)
    order = [_role(variant, channel)[2] for channel in range(3 * count)]
    expected = [
        of_y * values[order].view(1, -1, 1, 1),
        of_x * values[[count + k for k in order]].view(1, -1, 1, 1),
    ]
    torch.testing.assert_close(mixed[0], torch.cat(expected, 1))


class _Constant(nn.Module):
    """Stands for an SRAM: the same gates everywhere."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self._values = values

    def forward(self, y: Tensor, state: object) -> tuple[Tensor, object]:
        return self._values.view(1, -1, 1, 1).expand(-1, -1, *y.shape[-2:]), state


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    filtering=st.sampled_from(("dense", "separable", "banded")),
    seed=st.integers(0, 99),
)
@hypothesis_settings(max_examples=12)
def test_borders_and_both_ways_to_filter(
    variant: Variant, height: int, width: int, filtering: Filtering, seed: int
) -> None:
    """Also for pictures smaller than the halo, where a reflection comes back more than once."""
    picture = np.random.default_rng(seed).random((height, width, 3))
    module = GaussianConvolution(Form(variant), filtering)
    responses = module(_batch(picture))[0].numpy()
    np.testing.assert_allclose(responses, _responses(picture, variant), atol=1e-6)


def test_the_paper_s_module_is_the_operator_of_the_imaging_model() -> None:
    form = Form("paper")
    picture = np.random.default_rng(0).random((17, 23, 3)).astype(np.float32)
    responses = GaussianConvolution(form)(_batch(picture))[0].unflatten(0, (3, 21)).numpy()
    for k in range(21):
        beta = np.zeros((21, 17, 23), np.float32)
        beta[k] = 1
        np.testing.assert_allclose(
            responses[:, k],
            gkm.blur_picture(picture, beta, form.bank).transpose(2, 0, 1),
            atol=1e-6,
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_learned_kernels_begin_as_the_fixed_ones(variant: Variant) -> None:
    picture = torch.rand(1, 3, 9, 12)
    learned = GaussianConvolution(Form(variant, kernels="gaussian"))
    torch.testing.assert_close(learned(picture), GaussianConvolution(Form(variant))(picture))
    assert [tuple(kernel.shape) for kernel in learned.parameters()] == [
        (size, size) for _, size in LADDERS[variant]
    ]
    random_kernels = GaussianConvolution(Form(variant, kernels="xavier"))
    for kernel in random_kernels.parameters():
        bound = (6 / (2 * len(kernel))) ** 0.5
        assert kernel.abs().max() <= bound and (len(kernel) < 5 or kernel.abs().max() > 0.5 * bound)
    with pytest.raises(ValueError, match="not separable"):
        GaussianConvolution(Form(variant, kernels="gaussian"), "separable")


def test_gradients_of_the_module_are_exact() -> None:
    module = GaussianConvolution(Form("paper", kernels="gaussian")).double()
    picture = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    kernels = list(module.parameters())[:3]  # delta and 3 x 3; the others take the same way
    assert torch.autograd.gradcheck(
        lambda *_: module(picture).sum(1), (picture, *kernels), fast_mode=True
    )


# Attention, memory, gates
# ---------------------------------------------------------------------------------------------


def _sigmoid(x: Float64Array) -> Float64Array:
    values: Float64Array = 1 / (1 + np.exp(-x))
    return values


def _convolve(x: Float64Array, weight: Tensor, bias: Tensor | None = None) -> Float64Array:
    """Return a zero-padded convolution, in: C x H x W, out: D x H x W."""
    kernels = weight.detach().double().numpy()
    half = kernels.shape[-1] // 2
    around = np.pad(x, ((0, 0), (half, half), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(around, kernels.shape[-2:], axis=(1, 2))
    output: Float64Array = np.einsum("chwij,dcij->dhw", windows, kernels)
    return output if bias is None else output + bias.detach().double().numpy()[:, None, None]


def test_triplet_attention_pools_rows_columns_and_channels() -> None:
    module = TripletAttention().eval().requires_grad_(False)
    for gate in (module.cw, module.hc, module.hw):
        gate.conv.weight.mul_(3)
        gate.bn.weight.uniform_(0.5, 1.5)
        gate.bn.bias.normal_()
        gate.bn.running_mean.normal_()
        gate.bn.running_var.uniform_(0.5, 1.5)
    x = np.random.default_rng(0).normal(size=(4, 5, 6))  # channels, rows, columns

    def gate_values_of(name: str, pooled_axis: int, layout: str) -> Float64Array:
        """Return the gate over what is left when one axis is pooled, with that axis back in its
        place.
        """
        gate = getattr(module, name)
        pooled = np.stack([x.max(pooled_axis), x.mean(pooled_axis)])
        gate_values = _convolve(
            pooled.transpose(0, *((1, 2) if layout == "kept" else (2, 1))), gate.conv.weight
        )[0]
        gain, bias, mean, variance = (
            value.item()
            for value in (gate.bn.weight, gate.bn.bias, gate.bn.running_mean, gate.bn.running_var)
        )
        gate_values = _sigmoid((gate_values - mean) / np.sqrt(variance + 1e-5) * gain + bias)
        return np.expand_dims(gate_values if layout == "kept" else gate_values.T, pooled_axis)

    # cw: pooled over rows, seen as channels x columns; hc: over columns, seen as rows x channels;
    # hw: over channels
    total = (
        gate_values_of("cw", 1, "kept")
        + gate_values_of("hc", 2, "turned")
        + gate_values_of("hw", 0, "kept")
    )
    gate_values = module(torch.from_numpy(x).float()[None])[0].numpy()
    np.testing.assert_allclose(gate_values, x * total / 3, atol=1e-5)


def test_statistics_of_the_gates_move_slowly_in_training() -> None:
    momenta = {
        name: m.momentum
        for name, m in _meta(Form()).named_modules()
        if isinstance(m, nn.BatchNorm2d)
    }
    assert {momentum for name, momentum in momenta.items() if "attention" in name} == {0.01}
    assert {momentum for name, momentum in momenta.items() if "attention" not in name} == {0.1}


def test_the_memory_s_gates_come_as_input_forget_output_candidate() -> None:
    module = ConvLstm(inputs=3, hidden=2).requires_grad_(False)
    module.conv.bias.normal_()
    x, h, c = (
        np.random.default_rng(0).normal(size=(3, 5, 6)),
        *np.random.default_rng(1).normal(size=(2, 2, 5, 6)),
    )
    i, f, o, g = np.split(
        _convolve(np.concatenate([x, h]), module.conv.weight, module.conv.bias), 4
    )
    cell = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    hidden = _sigmoid(o) * np.tanh(cell)
    x_tensor, old_h, old_c = (torch.from_numpy(array).float()[None] for array in (x, h, c))
    output, (new_h, new_c) = module(x_tensor, (old_h, old_c))
    np.testing.assert_allclose(new_c[0], cell, atol=1e-5)
    np.testing.assert_allclose(new_h[0], hidden, atol=1e-5)
    assert output is new_h
    from_nothing, _ = module(x_tensor, None)
    torch.testing.assert_close(
        from_nothing, module(x_tensor, (torch.zeros_like(old_h), torch.zeros_like(old_c)))[0]
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_coefficients_are_tanh_and_as_released_half_of_it(variant: Variant) -> None:
    sram = GkmNet(Form(variant)).srams[0].eval().requires_grad_(False)
    features: dict[str, Tensor] = {}
    sram.up.register_forward_hook(lambda *args: features.update(smooth=args[2]))
    sram.detail.register_forward_hook(lambda *args: features.update(detail=args[2]))
    sram.memory.conv.weight.mul_(100)
    coefficients, _ = sram(torch.rand(1, 3, 16, 16), None)
    u = features["smooth"] * features["detail"] + features["smooth"]
    assert u.std() > 0.1
    torch.testing.assert_close(
        coefficients, torch.tanh(u) if variant == "paper" else 2 * torch.sigmoid(u) - 1
    )
    assert (features["detail"].min() < 0) == (variant == "paper"), (
        "as released the path ends in a rectifier"
    )


# Scales
# --------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(2, 20), st.integers(0, 99))
@hypothesis_settings(max_examples=30)
def test_the_released_pyramid_is_that_of_pil(half_height: int, half_width: int, seed: int) -> None:
    """PIL halves columns first; since version 13 rows, if a picture is more than twice as high as
    wide.
    """
    height, width = 2 * min(half_height, 2 * half_width), 2 * half_width
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    expected = PIL.Image.fromarray(picture).resize(
        (width // 2, height // 2), PIL.Image.Resampling.BILINEAR
    )
    half = halve_in_8_bits(_batch(picture) / 255)[0].permute(1, 2, 0)
    np.testing.assert_array_equal((255 * half).round().to(torch.uint8).numpy(), np.array(expected))
    torch.testing.assert_close(half, (255 * half).round() / 255, rtol=0, atol=1e-7)


def test_the_paper_s_pyramid_is_the_same_without_rounding() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    batch = _batch(picture) / 255
    exact, released = GkmNet(Form("paper")).pyramid(batch), GkmNet(Form("v2")).pyramid(batch)
    assert [tuple(scale.shape[-2:]) for scale in exact] == [(8, 12), (16, 24), (32, 48)]
    for steps, (ours, theirs) in enumerate(zip(reversed(exact), reversed(released), strict=True)):
        assert (ours - theirs).abs().max() <= steps / 255 + 1e-6, (
            "half a level for each of two axes"
        )
    taps = np.array([1, 3, 3, 1]) / 8
    inner = picture[3:7, 5:9, 0] / 255  # rows 3 to 6 lie under row 2 of the half
    assert exact[1][0, 0, 2, 3].item() == pytest.approx(taps @ inner @ taps, abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_a_mix_the_paper_s_network_changes_nothing(variant: Variant) -> None:
    """Eq. (9) adds y; the released program has lost it, and only its bias is left."""
    network = GkmNet(Form(variant)).eval().requires_grad_(False)
    bias = torch.tensor([0.1, -0.2, 0.3])
    for mix in network.mixes:
        mix.weight.zero_()
        mix.bias.copy_(torch.zeros(3) if variant == "paper" else bias)
    picture = torch.rand(1, 3, 16, 32)
    scales = network.scales(picture)
    if variant == "paper":
        assert all(map(torch.equal, scales, network.pyramid(picture)))
    else:
        assert all(torch.equal(scale, bias.view(1, 3, 1, 1).expand_as(scale)) for scale in scales)


def _random_network(form: Form) -> GkmNet:
    return GkmNet(form).eval().requires_grad_(False)


def test_the_memory_goes_on_enlarged_and_ends_with_the_picture() -> None:
    network = _random_network(Form("paper"))
    met: list[Any] = []
    left: list[Any] = []
    memory = network.srams[0].memory
    memory.register_forward_pre_hook(lambda _, inputs: met.append(inputs[1]))
    memory.register_forward_hook(lambda _, inputs, outputs: left.append(outputs[1]))
    picture = torch.rand(1, 3, 32, 48)
    first, second = network(picture), network(picture)
    assert torch.equal(first, second)
    assert met[0] is None and met[3] is None
    for before, after in ((0, 1), (1, 2)):
        for old, new in zip(left[before], met[after], strict=True):
            expected = F.interpolate(old, scale_factor=2, mode="bilinear", align_corners=False)
            assert torch.equal(new, expected)
    assert [tuple(h.shape) for h, _ in left[:3]] == [(1, 42, 4, 6), (1, 42, 8, 12), (1, 42, 16, 24)]


def test_the_last_scale_is_the_result_and_begins_with_the_one_before() -> None:
    network = _random_network(Form("paper"))
    picture = torch.rand(1, 3, 32, 16)
    starts: list[Tensor] = []
    step = network.step
    network.step = lambda y, x, state, index: starts.append(x) or step(y, x, state, index)  # type: ignore[method-assign]
    scales = network.scales(picture)
    assert torch.equal(network(picture), scales[-1])
    assert [tuple(scale.shape) for scale in scales] == [(1, 3, 8, 4), (1, 3, 16, 8), (1, 3, 32, 16)]
    assert torch.equal(starts[0], network.pyramid(picture)[0])
    assert torch.equal(starts[1], double_size(scales[0]))
    assert torch.equal(starts[2], double_size(scales[1]))


def test_pictures_of_a_batch_do_not_meet() -> None:
    network = _random_network(Form("official"))
    batch = torch.rand(2, 3, 16, 32)
    torch.testing.assert_close(network(batch)[1:], network(batch[1:]), rtol=0, atol=1e-5)


# Ablations
# --------------------------------------------------------------------------------------------------


def _calls(form: Form) -> tuple[list[int], list[int]]:
    """Return which SRAM and which mix each step uses."""
    network = _random_network(form)
    srams: list[int] = []
    mixes: list[int] = []
    for modules, order in ((network.srams, srams), (network.mixes, mixes)):
        for number, module in enumerate(modules):
            module.register_forward_hook(lambda *_, n=number, calls=order: calls.append(n))
    network(torch.rand(1, 3, 32, 32))
    return srams, mixes


@pytest.mark.parametrize(
    ("form", "srams", "mixes"),
    [
        (Form("paper"), [0, 0, 0], [0, 1, 2]),
        (Form("official"), [0, 0, 0], [0, 0, 0]),
        (Form("paper", scales=1), [0], [0]),
        (Form("paper", scales=1, rounds=3), [0, 0, 0], [0, 1, 2]),
        (Form("official", scales=1, rounds=3), [0, 0, 0], [0, 0, 0]),
        (Form("paper", scales=2, rounds=3, shared=False), [0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]),
        (Form("paper", rounds=2, shared=False), [0, 1] * 3, [0, 1, 2, 3, 4, 5]),
        (Form("paper", rounds=2), [0] * 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_which_weights_each_step_uses(form: Form, srams: list[int], mixes: list[int]) -> None:
    assert _calls(form) == (srams, mixes)


def test_rounds_work_on_one_scale() -> None:
    network = _random_network(Form("paper", scales=2, rounds=3))
    scales = network.scales(torch.rand(1, 3, 16, 16))
    assert [tuple(scale.shape[-2:]) for scale in scales] == [(8, 8), (16, 16)]


def test_without_the_memory_a_convolution_stands_in() -> None:
    network = _random_network(Form("paper", memory="convolution"))
    memory = network.srams[0].memory
    assert isinstance(memory, MemorylessConvolution) and not any(
        isinstance(m, ConvLstm) for m in network.modules()
    )
    x = torch.rand(1, 32, 4, 5)
    output, state = memory(x, None)
    assert state is None
    expected = _convolve(x[0].double().numpy(), memory.conv.weight, memory.conv.bias)
    np.testing.assert_allclose(output[0], expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_attention_module_alone_makes_a_picture(variant: Variant) -> None:
    network = _random_network(Form(variant, head="sram"))
    assert not any(isinstance(module, GaussianConvolution) for module in network.modules())
    gates: list[Tensor] = []
    network.srams[0].register_forward_hook(lambda _, args, outputs: gates.append(outputs[0]))
    outputs = network(torch.rand(1, 3, 16, 16))
    torch.testing.assert_close(outputs, torch.sigmoid(network.mixes[-1](gates[-1])))


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        *(Form(variant) for variant in VARIANTS),
        Form("paper", kernels="gaussian"),
        Form("official", kernels="xavier"),
        Form("paper", head="sram"),
        Form("paper", memory="convolution"),
        Form("official", scales=2, rounds=2, shared=False),
    ],
    ids=repr,
)
def test_training_reaches_every_parameter(form: Form) -> None:
    network = GkmNet(form).eval()  # in training a bias before BatchNorm has no effect to learn from
    picture = torch.rand(1, 3, 32, 32)
    torch.stack([scale.square().sum() for scale in network.scales(picture)]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_initial_weights_are_xavier_s() -> None:
    network = GkmNet(Form("paper"))
    weight = network.srams[0].bottleneck.conv.weight
    assert weight.abs().max().item() == pytest.approx((6 / (2 * 128 * 9)) ** 0.5, rel=1e-3)
    assert network.mixes[0].bias.abs().max() == 0


# The method
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where checkpoints are looked for: here alone, and there are none."""
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr(checkpoints, "SHIPPED_FOLDER", tmp_path / "none")
    return tmp_path / "weights"


def _observation(height: int = 32, width: int = 48) -> Observation:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return Observation(image=(picture / 255).astype(np.float32))


def _prepare_method(text: str) -> GkmNetMethod:
    restorer, _ = create(METHODS, text)
    assert isinstance(restorer, GkmNetMethod)
    restorer.prepare("cpu")
    return restorer


def _plain(path: Path, variant: Variant) -> GkmNet:
    network = GkmNet(Form(variant)).requires_grad_(False)
    network.load_state_dict(checkpoints.load_tensors(path))
    return network.eval()


@pytest.mark.usefixtures("folder")
def test_without_weights_it_is_skipped_with_the_reason() -> None:
    bare = _prepare_method("gkmnet")
    reason = bare.skip(_observation()) or ""
    assert (
        reason.startswith("no weights: ")
        and "import gkmnet-official" in reason
        and checkpoints.VARIABLE in reason
    )
    assert bare.weights_hash() is None
    with pytest.raises(UsageError, match="no weights"):
        bare.restore(_observation())
    with pytest.raises(UsageError, match="bring the authors' file"):
        create(METHODS, "gkmnet.official")
    assert [result for result in conformance.check_method("gkmnet") if not result.passes] == []


def test_weights_of_another_structure_are_no_error_but_a_reason_to_skip(folder: Path) -> None:
    draw(folder, "gkmnet:variant=official", "official")
    assert create(METHODS, "gkmnet.official")[0].skip(_observation()) is None
    assert (
        create(METHODS, "gkmnet.official:variant=official,scales=3")[0].skip(_observation()) is None
    )
    other = _prepare_method("gkmnet.official:variant=paper,rounds=2")
    assert "no weights for variant=paper, rounds=2 (those of gkmnet.official have" in (
        other.skip(_observation()) or ""
    )


def test_ablations_are_skipped_until_they_are_trained(folder: Path) -> None:
    draw(folder, "gkmnet")
    texts = GkmNetMethod.variants["ablations"]
    assert len(texts) == 8
    for text in texts:
        reason = create(METHODS, f"gkmnet:{text}")[0].skip(_observation()) or ""
        assert all(option in reason for option in text.replace("false", "False").split(",")), reason
    planned = {choice.id.label for choice in plan.select_methods(["ablations"])}
    assert {f"gkmnet.drawn:{text}" for text in texts} <= planned


def test_an_ablation_runs_from_its_own_weights(folder: Path) -> None:
    path = draw(folder, "gkmnet:scales=2,rounds=2,shared=false", "small")
    network = GkmNet(Form("paper", scales=2, rounds=2, shared=False)).requires_grad_(False).eval()
    network.load_state_dict(checkpoints.load_tensors(path))
    observation = _observation(16, 32)
    expected = network(_batch(observation.image))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(
        _prepare_method("gkmnet.small").restore(observation), expected, atol=1e-4
    )


@pytest.mark.parametrize(
    "parameters",
    [{"scales": 10_000_000}, {"variant": "mine"}, {"foo": 1}, {"kernels": "fixed; rm"}],
)
def test_a_card_with_a_structure_that_does_not_exist_is_refused(
    folder: Path, parameters: dict[str, Scalar]
) -> None:
    path = draw(folder, "gkmnet", "odd")
    card = checkpoints.read_card(path)
    structure = {**card.parameters, **parameters}
    checkpoints.save_checkpoint(
        path, checkpoints.load_tensors(path), card.model_copy(update={"parameters": structure})
    )
    with pytest.raises(
        DataError, match=r"gkmnet\.odd: its card is not one of gkmnet: .*get the file again"
    ):
        create(METHODS, "gkmnet.odd")


def test_an_ablation_finds_its_own_weights_and_is_called_what_it_is(folder: Path) -> None:
    draw(folder, "gkmnet", "sim")
    draw(folder, "gkmnet.sim:head=sram", "other")
    for text in ("gkmnet:head=sram", "gkmnet.other", "gkmnet.other:head=sram"):
        assert create(METHODS, text)[1].label == "gkmnet.other:head=sram"
    labels = {choice.id.label for choice in plan.select_methods(["ablations"])}
    assert "gkmnet.other:head=sram" in labels and "gkmnet.sim:scales=1" in labels


@pytest.mark.parametrize(
    ("variant", "options", "batch"),
    [
        ("paper", "", False),
        ("v2", "", False),
        ("official", "", True),
        ("official", ":bn=batch", True),
        ("official", ":bn=running", False),
        ("paper", ":bn=batch", True),
    ],
)
def test_which_statistics_normalise(
    folder: Path, variant: Variant, options: str, batch: bool
) -> None:
    path = draw(folder, f"gkmnet:variant={variant}")
    observation = _observation()
    expected = (
        _plain(path, variant).train(batch)(_batch(observation.image))[0].permute(1, 2, 0).numpy()
    )
    output = _prepare_method(f"gkmnet.drawn{options}").restore(observation)
    np.testing.assert_allclose(output, expected, atol=2e-4 * np.abs(expected).max())
    other = (
        _plain(path, variant)
        .train(not batch)(_batch(observation.image))[0]
        .permute(1, 2, 0)
        .numpy()
    )
    assert np.abs(output - other).max() > 0.01 * np.abs(expected).max(), (
        "the statistics make a difference"
    )


def test_nothing_of_a_picture_is_kept(folder: Path) -> None:
    """Statistics of the picture must not flow into the running ones, nor into the next picture."""
    draw(folder, "gkmnet:variant=official")
    restorer = _prepare_method("gkmnet.drawn")
    first = restorer.restore(_observation())
    restorer.restore(Observation(image=np.ones((32, 48, 3), np.float32)))
    np.testing.assert_array_equal(restorer.restore(_observation()), first)


@pytest.mark.parametrize(("height", "width"), [(37, 53), (32, 17), (5, 70)])
@pytest.mark.parametrize("pad", ["reflect", "black"])
def test_any_size_is_continued_and_cut_again(
    folder: Path, height: int, width: int, pad: str
) -> None:
    path = draw(folder, "gkmnet")
    observation = _observation(height, width)
    rows, columns = -height % 16, -width % 16
    if pad == "black":
        margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0))
        around = np.pad(observation.image, margins)
    else:
        margins = ((0, rows), (0, columns), (0, 0))
        around = np.pad(observation.image, margins, mode="reflect")
    network = _plain(path, "paper")
    whole = network(_batch(around))[0].permute(1, 2, 0).numpy()
    top, left = margins[0][0], margins[1][0]
    output = _prepare_method(f"gkmnet:pad={pad}").restore(observation)
    np.testing.assert_allclose(output, whole[top : top + height, left : left + width], atol=1e-4)


def test_the_black_frame_of_rtf_is_four_pixels() -> None:
    padding = GkmNetMethod(pad="black").choose_padding(360, 360)
    assert (padding.rows, padding.columns, padding.mode) == ((4, 4), (4, 4), "constant")
    assert not GkmNetMethod().choose_padding(1120, 1680)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_keeps_the_contract_with_weights(folder: Path, variant: Variant) -> None:
    draw(folder, f"gkmnet:variant={variant}")
    assert [
        result for result in conformance.check_method("gkmnet.drawn") if not result.passes
    ] == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gkmnet:variant=v3", "'paper', 'official' or 'v2'"),
        ("gkmnet:scales=4", "less than or equal to 3"),
        ("gkmnet:rounds=0", "greater than or equal to 1"),
        ("gkmnet:scale=1", "did you mean 'scales'"),
    ],
)
def test_parameters_are_validated(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create(METHODS, text)


@pytest.mark.usefixtures("folder")
def test_what_is_counted() -> None:
    network = GkmNetMethod(variant="official").network()
    with torch.device("meta"):
        built = {name: build() for name, build in network.forms.items()}
    assert {name: _count(module) for name, module in built.items()} == {
        "dense GCM": 1_409_131,
        "separable GCM": 1_409_131,
    }
    assert network.shapes(360, 361) == ((1, 3, 368, 368),)
    assert list(GkmNetMethod(kernels="gaussian").network().forms) == ["dense GCM"]
    assert list(GkmNetMethod(head="sram").network().forms) == ["dense GCM"]


@pytest.mark.usefixtures("folder")
def test_the_list_shows_its_parameters() -> None:
    console = Console(width=400, file=io.StringIO())
    console.print(listing.make_topic_table("methods"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for line in (
        "variant: paper|official|v2",
        "kernels: fixed|gaussian|xavier",
        "bn: running|batch",
        "rounds: int",
    ):
        assert line in text


def test_a_run_without_weights_says_how_to_get_them(toys: Path, tmp_path: Path) -> None:
    """Of DPDNet, as weights of GKMNet ship, and its own would be too large."""
    words = [
        "run",
        "--methods",
        "dpdnet-s",
        "--dataset",
        "tiny:n=1",
        "--protocol",
        "quick",
        "--plugin",
        str(toys),
    ]
    environment = os.environ | {checkpoints.VARIABLE: str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *words, "--jobs", "1", "--out", str(tmp_path / "run")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    for words_said in ("0 failed", "1 skipped", "no weights: train them", "Nothing could be"):
        assert words_said in process.stdout


def test_results_have_the_light_of_the_input_where_the_decoder_resizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    draw(tmp_path, "gkmnet:decoder=resized")
    smooth = np.linspace(0.3, 0.7, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
    observation = Observation(smooth)
    pictures = {}
    for text in ("gkmnet.drawn", "gkmnet.drawn:light=input", "gkmnet.drawn:light=network"):
        method = create(METHODS, text)[0]
        method.prepare("cpu")
        pictures[text] = method.restore(observation)
    kept, asked, plain = pictures.values()
    assert np.array_equal(kept, asked)
    assert np.array_equal(kept, take_local_light(plain, smooth, LIGHT_REACH))
    assert abs(to_linear(kept).mean() / to_linear(smooth).mean() - 1) < 0.01
    assert not np.allclose(plain, kept, atol=1e-3)
