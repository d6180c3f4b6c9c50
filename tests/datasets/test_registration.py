"""Displacement, resampling and gain, against displacements known exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.datasets.registration import Shift, estimate_shift, fit_gain, resample_plane


def scene(seed: int = 0, height: int = 216, width: int = 288) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width))
    return 0.2 + 0.6 * ndimage.gaussian_filter(noise, 2, mode="wrap")


def moved(picture: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """The exact (periodic, band-limited) displacement."""
    return np.real(np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(picture), (dy, dx))))


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0, 3), st.floats(0.5, 2))
def test_any_displacement_is_found_under_blur_and_gain(
    dy: float, dx: float, sigma: float, gain: float
) -> None:
    fixed = scene()
    moving = gain * ndimage.gaussian_filter(moved(fixed, dy, dx), sigma, mode="wrap")
    found = estimate_shift(moving, fixed)
    assert (found.dy, found.dx) == pytest.approx((-dy, -dx), abs=0.1)
    assert found.spread <= 0.1
    assert found.tiles >= 17


def test_the_better_half_of_the_tiles_decides() -> None:
    """More than half of the picture lies elsewhere, under something foreign."""
    fixed, moving = scene(), moved(scene(), 1.0, -2.0)
    moving[:, :170] = (moved(scene(), -3.0, 3.0) + scene(1))[:, :170]
    found = estimate_shift(moving, fixed)
    assert (found.dy, found.dx) == pytest.approx((-1.0, 2.0), abs=0.1)


def test_the_spread_tells_of_a_picture_that_is_also_scaled() -> None:
    fixed = scene()
    zoomed = ndimage.affine_transform(
        fixed, [1.02, 1.02], offset=[-2.16, -2.88], order=3, mode="mirror"
    )
    assert (
        estimate_shift(zoomed, fixed).spread
        > 0.3
        > estimate_shift(moved(fixed, 1, 1), fixed).spread
    )


def test_what_cannot_be_registered_is_refused() -> None:
    with pytest.raises(ValueError, match="without texture"):
        estimate_shift(scene(), np.full((216, 288), 0.5))
    with pytest.raises(ValueError, match="sizes"):
        estimate_shift(scene(), scene()[:-1])


@pytest.mark.parametrize(("dy", "dx"), [(0.5, 0.5), (-1.3, 2.7), (0.0, 0.0)])
def test_resampling_moves_by_the_displacement(dy: float, dx: float) -> None:
    picture = scene()
    found = resample_plane(picture, Shift(dy, dx, 0.0, 1), 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, moved(picture, dy, dx)[16:-16, 16:-16], atol=2e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.25, 4))
def test_the_gain_is_found_whatever_the_blur_and_a_few_highlights(gain: float) -> None:
    fixed = scene()
    moving = ndimage.gaussian_filter(fixed, 3, mode="reflect") / gain
    moving[100:110, 100:110] *= 5
    assert fit_gain(moving, fixed) == pytest.approx(gain, rel=0.01)


def test_the_dark_part_of_a_picture_does_not_decide_on_the_gain() -> None:
    """There the ratio is that of residues of the black level."""
    fixed, moving = scene(), scene() / 2
    fixed[:, :200], moving[:, :200] = 0, 1e-4
    assert fit_gain(moving, fixed) == pytest.approx(2, rel=0.05)


def test_black_pictures_have_no_gain() -> None:
    black = np.zeros((216, 288))
    for pair in ((black, scene()), (scene(), black)):
        with pytest.raises(ValueError, match="black"):
            fit_gain(*pair)
