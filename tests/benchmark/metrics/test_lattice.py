"""The peak of a lattice against its closed form, and where it is looked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

import benchmark
from benchmark.metrics.lattice import PERIODS, measure_lattices
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel

_NOISE = 2 / 255
_AMPLITUDE = 1 / 255


def _noisy_grey(side: int, seed: int = 0) -> NDArray[np.float64]:
    values = 0.5 + _NOISE * np.random.default_rng(seed).standard_normal((side, side, 1))
    return np.repeat(values, 3, axis=2)


def _stripes(period: int, direction: str, side: int) -> NDArray[np.float64]:
    rows, columns = np.indices((side, side))
    position = {"rows": columns, "columns": rows, "diagonal": rows + columns}[direction]
    return _AMPLITUDE * np.cos(2 * np.pi * position / period)[..., None]


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("direction", ["rows", "columns", "diagonal"])
def test_stripes_on_grey_stand_over_rounding_as_the_closed_form_says(
    period: int, direction: str
) -> None:
    grey = np.full((256, 256, 3), 0.5)
    ratios = measure_lattices(grey + _stripes(period, direction, 256), grey)
    # A cosine has half its amplitude at either frequency, and all of it where the two are one. The
    # sum of a Hann window is half its length, of its squares three eighths.
    line = _AMPLITUDE if period == 2 else _AMPLITUDE / 2
    rounding_power = 24.0**2 * (1 / 255) ** 2 / 12
    expected = 1 + (line * 32.0**2) ** 2 / rounding_power
    assert ratios == pytest.approx({2: 1, 4: 1, 8: 1} | {period: expected})


def test_white_noise_beneath_a_lattice_lowers_its_peak_as_the_closed_form_says() -> None:
    reference, output = _noisy_grey(1024, seed=1), _noisy_grey(1024, seed=2)
    ratio = measure_lattices(output + _stripes(2, "rows", 1024), reference)[2]
    noise_power = 24.0**2 * (_NOISE**2 + (1 / 255) ** 2 / 12)
    expected = 1 + (_AMPLITUDE * 32.0**2) ** 2 / noise_power
    # The reference's own bin is a mean over about a hundred windows independent of each other.
    assert ratio == pytest.approx(expected, rel=0.2)


def test_a_picture_against_itself_has_no_lattice() -> None:
    noisy = _noisy_grey(128)
    assert measure_lattices(noisy, noisy) == {2: 1.0, 4: 1.0, 8: 1.0}


def test_other_texture_is_no_lattice() -> None:
    ratios = measure_lattices(_noisy_grey(512, seed=1), _noisy_grey(512, seed=2))
    assert max(ratios.values()) < 2


def test_a_lattice_far_below_rounding_does_not_count() -> None:
    grey = np.full((128, 128, 3), 0.5)
    ratios = measure_lattices(grey + 0.001 * _stripes(2, "rows", 128), grey)
    assert ratios[2] == pytest.approx(1, abs=0.05)


def test_only_the_smooth_part_of_the_reference_is_looked_at() -> None:
    reference = _noisy_grey(256)
    reference[:, 128:] += np.random.default_rng(3).normal(0, 0.1, (256, 128, 1))
    stripes = _stripes(2, "rows", 256)
    in_texture, in_smooth = reference.copy(), reference.copy()
    in_texture[:, 128:] += stripes[:, 128:]
    in_smooth[:, :128] += stripes[:, :128]
    assert measure_lattices(in_texture, reference) == {2: 1.0, 4: 1.0, 8: 1.0}
    assert measure_lattices(in_smooth, reference)[2] > 50


def test_a_picture_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64x64 pixels"):
        measure_lattices(np.zeros((63, 80, 3)), np.zeros((63, 80, 3)))


@pytest.mark.slow
def test_the_network_that_weaves_is_told_from_a_filter_that_does_not() -> None:
    """Photographs under a disk of radius 4: `gkmnet.sim` weaves, `blur-posterior` does not."""
    kernel = psf_kernel("disk", 2.0)
    heights: dict[str, list[float]] = {"gkmnet.sim": [], "blur-posterior": []}
    for photograph in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket()):
        sharp = (photograph[:320, :320] / 255).astype(np.float32)
        light = cv2.filter2D(to_linear(sharp), -1, kernel, borderType=cv2.BORDER_REFLECT)
        blurred = (np.rint(to_srgb(light) * 255) / 255).astype(np.float32)
        for name, ratios in heights.items():
            output = benchmark.load_method(name, device="cpu").restore(blurred).clip(0, 1)
            ratios.append(measure_lattices(output, sharp)[2])
    assert min(heights["gkmnet.sim"]) > 2 * max(heights["blur-posterior"]), heights
