"""Losses against closed forms and a second library; what is supervised; one step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from benchmark.methods.learned.networks.gkmnet import GkmNet
from benchmark.methods.learned.networks.srn import build_srn_pyramid
from benchmark.methods.training import step
from benchmark.methods.training.step import Diverged, restore_scales, take_step
from benchmark.optics.light import to_linear


def pictures(seed: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, size, size, generator=generator), torch.rand(
        2, 3, size, size, generator=generator
    )


@given(st.floats(-1, 1))
def test_losses_of_a_constant_error(error: float) -> None:
    sharp = torch.full((1, 3, 16, 16), 0.5, dtype=torch.float64)
    made = sharp + error
    assert step.squared_loss(made, sharp).item() == pytest.approx(error**2, abs=1e-12)


def test_ssim_is_that_of_skimage() -> None:
    made, sharp = pictures()
    maps = []
    for ours, theirs in zip(made.double().numpy(), sharp.double().numpy(), strict=True):
        _, found = structural_similarity(
            ours,
            theirs,
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            truncate=3.5,
            use_sample_covariance=False,
            full=True,
        )
        maps.append(found[:, 5:-5, 5:-5])  # skimage continues the picture beyond its border
    assert step.ssim_loss(made.double(), sharp.double()).item() == pytest.approx(
        1 - np.mean(maps), abs=1e-6
    )


def test_ssim_of_equal_pictures_is_no_loss() -> None:
    made, _ = pictures()
    assert step.ssim_loss(made, made).item() == pytest.approx(0, abs=1e-6)


@given(st.floats(1e-4, 0.3), st.floats(1e-4, 0.3))
def test_a_decibel_counts_the_same_in_every_picture(first: float, second: float) -> None:
    """But for the floor; and at the typical error the gradient is that of the squared error."""
    sharp = torch.zeros((2, 3, 16, 16), dtype=torch.float64)
    offsets = torch.tensor([first, second], dtype=torch.float64)
    loss = step.psnr_loss(sharp + offsets[:, None, None, None], sharp)
    decibels = 10 * np.log10(1 + np.square([first, second]) / 1e-5)
    assert loss.item() == pytest.approx(2e-3 * decibels.mean() * np.log(10) / 10)


def test_the_psnr_loss_falls_like_the_squared_error_at_typical_errors() -> None:
    sharp = torch.zeros((1, 3, 16, 16), dtype=torch.float64)
    output = (sharp + 2e-3**0.5).requires_grad_()
    gradients = [
        torch.autograd.grad(loss(output, sharp), output)[0]
        for loss in (step.psnr_loss, step.squared_loss)
    ]
    assert torch.allclose(*gradients, rtol=0.01)


def test_light_is_that_of_the_imaging_model() -> None:
    output, sharp = (picture.double() for picture in pictures(size=64))
    light_error = to_linear(output.numpy()) - to_linear(sharp.numpy())
    windows = light_error.reshape(2, 3, 2, 32, 2, 32).mean(axis=(3, 5))
    assert step.light_loss(output, sharp).item() == pytest.approx(
        np.square(windows).mean(), rel=1e-5
    )


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_light_of_plain_pictures_is_that_of_their_codes(output: float, sharp: float) -> None:
    plain = torch.ones((1, 3, 40, 40), dtype=torch.float64)
    lights = to_linear(np.array([output, sharp]))
    expected = float(lights[0] - lights[1]) ** 2
    assert step.light_loss(output * plain, sharp * plain).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_what_is_darker_than_black_has_no_light_and_no_steep_gradient() -> None:
    output = torch.full((1, 3, 32, 32), -0.5, requires_grad=True)
    loss = step.light_loss(output, torch.zeros(1, 3, 32, 32))
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_light_adds_to_the_loss_of_the_finest_scale() -> None:
    network = Linear(0.5)
    picture = pictures(size=64)[1]
    optimiser = torch.optim.SGD(network.parameters(), lr=0)
    with torch.no_grad():
        output = network(picture)
    expected = step.squared_loss(output, picture) + 3 * step.light_loss(output, picture)
    loss = take_step(network, optimiser, picture, picture, criterion="squared", rate=0, light=3)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_scales_are_weighted_and_summed() -> None:
    sharp = pictures()[1]
    offsets = 0.3, 0.2, 0.1
    made = [
        target + offset
        for target, offset in zip(step.halve_repeatedly(sharp, 3), offsets, strict=True)
    ]
    assert step.scales_loss(made, sharp, "squared").item() == pytest.approx(
        0.09 + 0.04 + 0.01, rel=1e-4
    )
    assert step.scales_loss(made, sharp, "squared", coarse=0.25).item() == pytest.approx(
        0.25 * 0.13 + 0.01, rel=1e-4
    )


def test_coarse_targets_are_halved_as_the_networks_halve_their_input() -> None:
    sharp = pictures(size=64)[1]
    for theirs in (GkmNet().pyramid(sharp), build_srn_pyramid(sharp)):
        assert all(map(torch.equal, step.halve_repeatedly(sharp, 3), theirs))


class Linear(nn.Module):
    """One factor, so that a step can be computed by hand."""

    def __init__(self, factor: float = 0.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def taken(
    network: Linear, sharp: float = 1.0, rate: float = 0.1, clip: float | None = None
) -> float:
    optimiser = torch.optim.SGD(network.parameters(), lr=99.0)
    ones = torch.ones(1, 3, 16, 16)
    return take_step(
        network, optimiser, ones, sharp * ones, criterion="squared", rate=rate, clip=clip
    )


def test_a_step_goes_down_the_gradient_at_the_rate_it_is_given() -> None:
    network = Linear()
    assert taken(network) == pytest.approx(1.0)
    assert network.factor.item() == pytest.approx(0.2)  # the gradient of (f - 1)^2 at 0 is -2
    assert taken(network) == pytest.approx(0.64)


def test_a_long_gradient_is_cut() -> None:
    network = Linear()
    taken(network, clip=0.5)
    assert network.factor.item() == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("sharp", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_nothing(sharp: float) -> None:
    network = Linear(0.25)
    with pytest.raises(Diverged, match=r"the loss is (nan|inf)"):
        taken(network, sharp)
    assert network.factor.item() == 0.25


def test_a_network_without_scales_is_supervised_at_its_only_one() -> None:
    (made,) = restore_scales(Linear(2.0), torch.ones(1, 3, 4, 4))
    assert (made == 2).all()
    assert [len(x[0, 0]) for x in restore_scales(GkmNet(), torch.rand(1, 3, 64, 64))] == [
        16,
        32,
        64,
    ]
