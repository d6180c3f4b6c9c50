"""Lenses: their kernels over the field against those of the families and of ray tracing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.optics import psf
from benchmark.optics.lens import LENS_DESIGNS, FieldPosition, Lens
from benchmark.optics.ray_traced import EVALUATION_LENSES, TRAINING_LENSES, ray_traced_kernel

CORNER = FieldPosition(0.8, 0.6)
ABOVE = FieldPosition(0.0, -0.7)


@pytest.mark.parametrize("family", ["disk", "gaussian", "polygon"])
def test_kernel_of_a_family_is_the_same_everywhere(family):
    lens = Lens(family, blades=7)
    expected = psf.psf_kernel(family, 2.5, blades=7)
    for at in (FieldPosition(0, 0), CORNER):
        np.testing.assert_array_equal(lens.kernel(5.0, at=at), expected)
    assert not lens.varies_over_field


def test_a_cats_eye_is_round_in_the_middle_and_cut_along_the_radius_elsewhere():
    lens = Lens("cats-eye", cut=0.8)
    np.testing.assert_array_equal(lens.kernel(6.0), psf.cats_eye_kernel(3.0, 0.0, 0.0))
    for at, cut in ((CORNER, 0.8), (FieldPosition(-0.3, 0.4), 0.4), (FieldPosition(3, 4), 0.8)):
        expected = psf.cats_eye_kernel(3.0, cut, math.atan2(at.y, at.x))
        np.testing.assert_array_equal(lens.kernel(6.0, at=at), expected)


def test_there_are_the_designs_that_were_traced():
    assert {*TRAINING_LENSES, *EVALUATION_LENSES} == LENS_DESIGNS
    assert all(Lens(design).varies_over_field for design in LENS_DESIGNS)


@pytest.mark.parametrize("design", sorted(LENS_DESIGNS))
def test_a_design_has_the_kernels_that_were_traced(design):
    lens = Lens(design)
    for at, height, turns in (
        (FieldPosition(0, 0), 1, 0),
        (ABOVE, 2, 0),
        (FieldPosition(0, -1), 3, 0),
        (FieldPosition(-0.7, 0), 2, 1),
        (FieldPosition(0, 1), 3, 2),
        (FieldPosition(1, 0), 3, -1),
    ):
        expected = ray_traced_kernel(design, height, 3.0, turns)
        np.testing.assert_allclose(lens.kernel(6.0, at=at), expected, atol=1e-9)


@pytest.mark.parametrize("design", sorted(LENS_DESIGNS))
@pytest.mark.parametrize("at", [FieldPosition(0.2, 0.1), FieldPosition(-0.5, 0.7), CORNER])
def test_between_them_it_keeps_second_moment_mass_and_centre(design, at):
    sigma = 4.0
    kernel = Lens(design).kernel(2 * sigma, at=at)
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1)
    assert abs((kernel * x).sum()) < 0.02 and abs((kernel * y).sum()) < 0.02
    assert (kernel * (x**2 + y**2)).sum() / 2 == pytest.approx(sigma**2 + 1 / 12, rel=0.01)


def test_a_design_turns_with_the_place():
    """To an eighth turn it is what the mirror in the diagonal makes of itself."""
    kernel = Lens("summilux").kernel(8.0, at=FieldPosition(-0.5, -0.5))
    np.testing.assert_allclose(kernel, kernel.T, atol=0.03 * kernel.max())
    other = Lens("summilux").kernel(8.0, at=FieldPosition(0.5, -0.5))
    np.testing.assert_allclose(kernel, other[:, ::-1], atol=0.03 * kernel.max())
    assert np.abs(kernel - other).max() > 0.1 * kernel.max()


def test_what_has_no_kernel_or_no_halves_is_refused():
    with pytest.raises(ValueError, match="bank"):
        Lens("gkm").kernel(3.0)
    for name in ("gkm", *LENS_DESIGNS):
        with pytest.raises(ValueError, match="no half"):
            Lens(name).kernel(3.0, "left")
        assert not Lens(name).has_halves
    assert Lens("cats-eye").has_halves


@pytest.mark.parametrize(
    "options",
    [
        {"cut": 2.0},
        {"cut": -0.1},
        {"colour_shift": math.inf},
        {"psf": "gkm", "colour_shift": 1.0},
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"cut|colour"):
        Lens(**options)
