"""PSF kernels against independent integration, closed-form moments and the laws that every PSF
obeys.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from benchmark.arrays import Float64Array
from benchmark.optics import psf

families = st.sampled_from(["disk", "gaussian", "polygon", "generalised"])
sigmas = (
    st.floats(0, 8) | st.floats(0, 1e-3) | st.floats(0.2, 0.3)
)  # up to, at and beyond the size of a pixel
blade_counts = st.integers(3, 11)


def offsets(kernel: Float64Array) -> Float64Array:
    return np.arange(len(kernel)) - len(kernel) // 2


def moments(kernel: Float64Array) -> tuple[float, float]:
    """Return the second moments along x and y about the centre of the kernel."""
    return float(kernel.sum(axis=0) @ offsets(kernel) ** 2), float(
        kernel.sum(axis=1) @ offsets(kernel) ** 2
    )


def embedded(kernel: Float64Array, size: int) -> Float64Array:
    return np.pad(kernel, (size - len(kernel)) // 2)


@settings(deadline=None)
@given(families, sigmas, blade_counts, st.sampled_from([None, "left", "right"]))
def test_is_an_odd_square_of_shares_that_sum_to_one(family, sigma, blades, half):
    kernel = psf.psf_kernel(family, sigma, blades=blades, half=half)
    assert kernel.shape[0] == kernel.shape[1]
    assert len(kernel) % 2 == 1
    assert kernel.dtype == np.float64
    assert (kernel >= 0).all()
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert not kernel.flags.writeable


@settings(deadline=None)
@given(families, st.floats(0, 0.09))
def test_inside_one_pixel_it_is_exactly_the_delta(family, sigma):
    assert psf.psf_kernel(family, sigma).tolist() == [[1.0]]


def test_disk_pixels_agree_with_dense_integration():
    for radius in (0.6, 0.8, math.sqrt(0.5), 1.5, 2.3, 4.71):
        kernel = psf.disk_kernel(radius)
        area = np.zeros_like(kernel)
        for column, x in enumerate(offsets(kernel)):
            t = x + (np.arange(20000) + 0.5) / 20000 - 0.5
            reach = np.sqrt(np.maximum(0, radius**2 - t**2))
            for row, y in enumerate(offsets(kernel)):
                area[row, column] = np.maximum(
                    0, np.minimum(y + 0.5, reach) - np.maximum(y - 0.5, -reach)
                ).mean()
        np.testing.assert_allclose(kernel, area / (np.pi * radius**2), atol=2e-6)


def test_gaussian_pixels_agree_with_adaptive_quadrature():
    sigma = 1.3
    kernel = psf.gaussian_kernel(sigma)
    middle = len(kernel) // 2
    for y, x in ((0, 0), (1, 0), (2, -3), (4, 4)):
        mass, _ = integrate.dblquad(
            lambda v, u: math.exp(-(u * u + v * v) / (2 * sigma**2)) / (2 * math.pi * sigma**2),
            *(x - 0.5, x + 0.5, y - 0.5, y + 0.5),
        )
        assert kernel[middle + y, middle + x] == pytest.approx(mass, rel=3e-6)


@pytest.mark.parametrize("blades", [3, 4, 5, 6, 8, 9])
def test_polygon_pixels_agree_with_dense_sampling(blades):
    radius = 3.3
    kernel = psf.polygon_kernel(radius, blades)
    fine = 60
    t = (np.arange(len(kernel) * fine) + 0.5) / fine - len(kernel) / 2
    angle = np.pi * (0.5 + (2 * np.arange(blades) + 1) / blades)  # of the normals of its sides
    apothem = radius * math.cos(math.pi / blades)
    inside = np.all(
        [t[None, :] * np.cos(a) + t[:, None] * np.sin(a) <= apothem for a in angle], axis=0
    )
    sampled = inside.reshape(len(kernel), fine, len(kernel), fine).mean(axis=(1, 3))
    np.testing.assert_allclose(kernel, sampled / sampled.sum(), atol=0.01 * kernel.max())


@settings(deadline=None)
@given(st.floats(1, 8))
def test_gaussian_variance_is_that_of_the_psf_and_of_a_pixel(sigma):
    assert moments(psf.gaussian_kernel(sigma)) == pytest.approx([sigma**2 + 1 / 12] * 2, rel=3e-5)


@settings(deadline=None)
@given(st.floats(1, 25))
def test_disk_variance_is_that_of_the_psf_and_of_a_pixel(radius):
    # A sharp edge is not band-limited, so the sampled moment swings round the closed form, ever
    # less as r grows.
    assert moments(psf.disk_kernel(radius)) == pytest.approx(
        [radius**2 / 4 + 1 / 12] * 2, abs=0.1 / math.sqrt(radius)
    )


@pytest.mark.parametrize("blades", [3, 4, 5, 6, 7, 12])
def test_sigma_means_the_same_for_every_family(blades):
    sigma = 25.0
    expected = [sigma**2 + 1 / 12] * 2
    assert moments(psf.psf_kernel("disk", sigma)) == pytest.approx(expected, rel=2e-4)
    assert moments(psf.psf_kernel("gaussian", sigma)) == pytest.approx(expected, rel=2e-4)
    assert moments(psf.psf_kernel("polygon", sigma, blades=blades)) == pytest.approx(
        expected, rel=2e-4
    )


def test_circumradius_has_the_closed_form_of_square_and_triangle():
    # A square of side a has variance a^2 / 12, an equilateral triangle of side a has a^2 / 24.
    assert psf.polygon_circumradius(math.sqrt(1 / 12), 4) == pytest.approx(1 / math.sqrt(2))
    assert psf.polygon_circumradius(math.sqrt(1 / 24), 3) == pytest.approx(1 / math.sqrt(3))
    assert psf.polygon_circumradius(3.0, 1000) == pytest.approx(6.0, rel=1e-4)


@settings(deadline=None)
@given(families, st.floats(0, 6), blade_counts)
def test_moves_continuously_with_its_size(family, sigma, blades):
    size, step = 81, 1e-6
    here, there = (
        embedded(psf.psf_kernel(family, s, blades=blades), size) for s in (sigma, sigma + step)
    )
    assert np.abs(here - there).sum() < 30 * step


@settings(deadline=None)
@given(families, sigmas, blade_counts)
def test_the_two_halves_mirror_each_other_and_make_the_whole(family, sigma, blades):
    whole, left, right = (
        psf.psf_kernel(family, sigma, blades=blades, half=half) for half in (None, "left", "right")
    )
    np.testing.assert_allclose((left + right) / 2, whole, atol=1e-13)
    np.testing.assert_allclose(left[:, ::-1], right, atol=1e-13)
    assert left[:, len(left) // 2 + 1 :].sum() < 1e-12


def test_centroid_of_half_a_disk():
    left = psf.disk_kernel(20.0, half="left")
    assert left.sum(axis=0) @ offsets(left) == pytest.approx(-4 * 20 / (3 * np.pi), abs=0.02)


def test_polygon_points_up():
    triangle = psf.polygon_kernel(6.0, 3)
    assert triangle[::-1][-1].sum() == 0  # last row of the flipped kernel: beyond the flat side
    assert triangle[-1].sum() > 0


def test_the_same_kernel_is_made_once():
    assert psf.psf_kernel("disk", 1.7) is psf.psf_kernel("disk", 1.7)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_refuses_a_size_that_is_none(bad):
    for family in ("disk", "gaussian", "polygon", "generalised"):
        with pytest.raises(ValueError, match="size of a PSF"):
            psf.psf_kernel(family, bad)


def test_refuses_unknown_families_and_two_blades():
    with pytest.raises(ValueError, match="airy"):
        psf.psf_kernel("airy", 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 blades"):
        psf.psf_kernel("polygon", 1.0, blades=2)
    for shape in (0.2, 0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="shape"):
            psf.psf_kernel("generalised", 1.0, shape=shape)


def relative(found: Float64Array, expected: Float64Array) -> float:
    size = max(len(found), len(expected))
    return float(
        np.linalg.norm(embedded(found, size) - embedded(expected, size)) / np.linalg.norm(expected)
    )


@settings(max_examples=25)
@given(st.floats(0.1, 8), st.sampled_from([None, "left", "right"]))
def test_generalised_gaussian_ends_in_the_gaussian_and_the_disk(sigma, half):
    assert (
        relative(
            psf.generalised_gaussian_kernel(sigma, 2.0, half=half),
            psf.gaussian_kernel(sigma, half=half),
        )
        < 1e-4
    )
    assert (
        relative(
            psf.generalised_gaussian_kernel(sigma, 1e6, half=half),
            psf.disk_kernel(2 * sigma, half=half),
        )
        < 1e-6
    )
    assert (
        psf.generalised_gaussian_kernel(sigma, math.inf, half=half).tolist()
        == psf.disk_kernel(2 * sigma, half=half).tolist()
    )


@pytest.mark.parametrize("shape", [1.0, 1.5, 3.0, 6.0])
def test_generalised_gaussian_pixels_agree_with_dense_sampling(shape):
    sigma, fine = 1.4, 40
    kernel = psf.generalised_gaussian_kernel(sigma, shape)
    a = sigma * math.sqrt(2 * math.gamma(2 / shape) / math.gamma(4 / shape))
    t = (np.arange(len(kernel) * fine) + 0.5) / fine - len(kernel) / 2
    density = np.exp(-((np.hypot(t[:, None], t) / a) ** shape))
    sampled = density.reshape(len(kernel), fine, len(kernel), fine).mean(axis=(1, 3))
    assert relative(kernel, sampled / sampled.sum()) < 2e-4


@pytest.mark.parametrize("shape", [0.5, 1.0, 3.0, 10.0])
def test_generalised_gaussian_is_named_by_its_deviation(shape):
    assert moments(psf.generalised_gaussian_kernel(4.0, shape)) == pytest.approx(
        [16 + 1 / 12] * 2, rel=3e-3
    )


def test_the_shape_belongs_to_the_generalised_family():
    assert psf.psf_kernel("generalised", 2.0, shape=3.0) is psf.psf_kernel(
        "generalised", 2.0, shape=3.0
    )
    assert (
        psf.psf_kernel("generalised", 2.0, shape=3.0).tolist()
        == psf.generalised_gaussian_kernel(2.0, 3.0).tolist()
    )
    peaks = [
        psf.psf_kernel("generalised", 2.0, shape=shape).max()
        for shape in (0.5, 1.0, 2.0, 4.0, 50.0)
    ]
    assert peaks == sorted(peaks, reverse=True)


@pytest.mark.parametrize("sigma", [0.4, 1.3, 4.0])
def test_the_cats_eye_without_a_cut_is_the_disk(sigma):
    np.testing.assert_allclose(
        psf.cats_eye_kernel(sigma, 0.0, 0.3), psf.disk_kernel(2 * sigma), atol=4e-3 / sigma**2
    )


@given(st.floats(2.5, 6.0), st.floats(0.0, 1.5), st.floats(0.0, math.pi))
@settings(max_examples=30, deadline=None)
def test_the_cats_eye_has_its_second_moment_and_centre(sigma, cut, angle):
    kernel = psf.cats_eye_kernel(sigma, cut, angle)
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-9)
    assert (kernel * (x**2 + y**2)).sum() / 2 == pytest.approx(sigma**2 + 1 / 12, rel=0.01)
    along = (kernel * (x * math.cos(angle) + y * math.sin(angle)) ** 2).sum()
    across = (kernel * (y * math.cos(angle) - x * math.sin(angle)) ** 2).sum()
    assert along <= across * 1.01
    if cut > 0.3:
        assert along < 0.9 * across


def test_the_cats_eye_that_fits_into_a_pixel_is_a_delta():
    for half in (None, "left"):
        np.testing.assert_array_equal(psf.cats_eye_kernel(0.1, 0.6, 1.0, half=half), [[1.0]])
