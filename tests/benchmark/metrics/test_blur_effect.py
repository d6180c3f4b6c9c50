"""The blur effect: against its paper's definition, and what it is fooled by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.api import Observation
from benchmark.datasets.simulated import Simulated
from benchmark.methods.unsharp import UnsharpMask
from benchmark.metrics.blur_effect import BlurEffect
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.published_protocols import NO_REFERENCE
from benchmark.registry import create_metric

Array = NDArray[np.float64]


def compute_by_definition(picture: Array) -> float:
    """Return the larger of the two directions' blur effects: the share of the gradient that a
    further average over 11 pixels leaves; of grey, with Sobel's gradients, without the border.
    """
    grey = picture @ np.array([0.2125, 0.7154, 0.0721])
    inner = (slice(2, -1), slice(2, -1))
    effects = []
    for axis in (0, 1):
        averaged = ndimage.uniform_filter1d(grey, 11, axis=axis)
        gradient, rest = (
            np.abs(ndimage.sobel(plane, axis=axis))[inner] for plane in (grey, averaged)
        )
        lost = np.maximum(0, gradient - rest).sum()
        effects.append((gradient.sum() - lost) / gradient.sum())
    return max(effects)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3.0])
def test_it_is_what_the_paper_defines(sigma: float) -> None:
    picture = np.random.default_rng(0).random((60, 80, 3))
    picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0))
    assert BlurEffect()(picture, picture) == pytest.approx(compute_by_definition(picture), rel=1e-6)


def test_blur_raises_it_and_the_target_is_not_looked_at() -> None:
    picture = np.random.default_rng(0).random((60, 80, 3))
    values = [
        BlurEffect()(ndimage.gaussian_filter(picture, (sigma, sigma, 0)), picture)
        for sigma in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    assert values == sorted(values)
    assert BlurEffect()(picture, 0 * picture) == BlurEffect()(picture, picture)


def test_sharpening_lowers_it_while_the_picture_gets_worse(tmp_path: Path) -> None:
    """The proof beside the warning, on a photograph that ships."""
    sample = Simulated(tmp_path).load("astronaut")
    assert sample.target is not None
    sharpened = np.clip(UnsharpMask().restore(Observation(sample.image)), 0, 1)
    assert BlurEffect()(sharpened, sharpened) < BlurEffect()(sample.image, sample.image)
    assert Psnr()(sharpened, sample.target) < Psnr()(sample.image, sample.target)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((20, 20, 3), 0.5), "flat"),
        (np.tile(np.linspace(0, 1, 20)[:, None, None], (1, 20, 3)), "flat"),
        (np.zeros((20, 15, 3)), "needs at least 16x16 pixels, the picture is 15x20"),
    ],
)
def test_what_cannot_be_measured_has_a_reason(picture: Array, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        BlurEffect()(picture, picture)


def test_the_protocol_needs_neither_target_nor_input() -> None:
    picture = np.random.default_rng(0).random((60, 80, 3), dtype=np.float32)
    assert not NO_REFERENCE.uses_input(create_metric)
    [score] = NO_REFERENCE.score(3 * picture, None, "folder", create_metric)
    clamped = np.clip(3 * picture, 0, 1)
    assert score.value == pytest.approx(BlurEffect()(clamped, clamped), abs=1e-12)
