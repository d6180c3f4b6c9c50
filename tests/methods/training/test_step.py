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
