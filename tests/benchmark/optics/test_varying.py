"""The operator of a blur map against kernels summed pixel by pixel in float64, its transpose, and
the laws of blur.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.optics import gkm, psf, varying
from benchmark.optics.varying import VaryingBlur, kernel_ladder

FAMILIES = ("gaussian", "disk", "gkm")
families = pytest.mark.parametrize("family", FAMILIES)
shapes = pytest.mark.parametrize(
    "shape", [(23, 31), (5, 40), (3, 2), (1, 1)]
)  # mostly smaller than the kernels


def picture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((*shape, 3), np.float32)


def rough(shape: tuple[int, int], top: float = 5.0, seed: int = 1) -> NDArray[np.float32]:
    """Every pixel of another sigma."""
    return np.random.default_rng(seed).random(shape, np.float32) * np.float32(top)


def scene(shape: tuple[int, int], top: float = 5.0) -> NDArray[np.float32]:
    """A ramp with a sharp thing and a far thing before it: few rungs in most places, many at the
    edges.
    """
    ramp = np.linspace(0.2, 0.6 * top, shape[1], dtype=np.float32) * np.ones(shape, np.float32)
    ramp[shape[0] // 3 : shape[0] // 2, : shape[1] // 3] = 0
    ramp[: shape[0] // 5, shape[1] // 2 :] = top
    return ramp


def per_pixel(
    x: NDArray[np.float32], blur_map: NDArray[np.float32], family: varying.BlurFamily
) -> NDArray[np.float64]:
    """Gather at every pixel with its own kernel, made from the definition."""
    kernels, variances = kernel_ladder(family, float(blur_map.max()))
    reach = max(len(kernel) for kernel in kernels) // 2
    stack = np.array([np.pad(kernel, reach - len(kernel) // 2) for kernel in kernels])
    wide = np.pad(x.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    result = np.zeros(x.shape)
    for m, n in np.ndindex(x.shape[:2]):
        place = np.interp(float(blur_map[m, n]) ** 2, variances, np.arange(len(variances)))
        lower = min(int(place), len(kernels) - 1)
        upper = min(lower + 1, len(kernels) - 1)
        own = (1 - (place - lower)) * stack[lower] + (place - lower) * stack[upper]
        result[m, n] = np.einsum(
            "ij,ijc->c", own, wide[m : m + 2 * reach + 1, n : n + 2 * reach + 1]
        )
    return result


@families
@shapes
def test_forward_is_every_pixels_own_kernel(family, shape):
    x, blur_map = picture(shape), rough(shape)
    np.testing.assert_allclose(
        VaryingBlur(blur_map, family).forward(x), per_pixel(x, blur_map, family), atol=2e-6
    )


@families
@shapes
def test_adjoint_is_the_transpose_border_included(family, shape):
    x, z, blur = picture(shape), picture(shape, 2), VaryingBlur(rough(shape), family)
    forward = np.vdot(blur.forward(x).astype(np.float64), z.astype(np.float64))
    assert np.vdot(x.astype(np.float64), blur.adjoint(z).astype(np.float64)) == pytest.approx(
        forward, rel=1e-6
    )


@families
@pytest.mark.parametrize("ways", ["by cost", "all direct", "all transformed"])
def test_tiles_and_ways_to_apply_a_kernel_do_not_show(family, ways, monkeypatch):
    if ways != "by cost":
        monkeypatch.setattr(varying, "_TRANSFORM", math.inf if ways == "all direct" else 0.0)
    shape = (150, 270)  # several tiles each way
    x, blur_map = picture(shape), scene(shape)
    blur = VaryingBlur(blur_map, family)
    kernels, variances = kernel_ladder(family, float(blur_map.max()))
    place = np.interp(blur_map.astype(np.float64) ** 2, variances, np.arange(len(variances)))
    forward, backward = np.zeros(x.shape), np.zeros(x.shape)
    for rung, kernel in enumerate(kernels):
        weight = np.maximum(0, 1 - np.abs(place - rung))[..., None]
        if weight.any():
            forward += weight * cv2.filter2D(
                x.astype(np.float64), -1, kernel, borderType=gkm.BORDER
            )
            backward += cv2.filter2D(weight * x, -1, kernel, borderType=gkm.BORDER)
    np.testing.assert_allclose(blur.forward(x), forward, atol=3e-6)
    np.testing.assert_allclose(blur.adjoint(x), backward, atol=3e-6)


@settings(max_examples=25)
@given(
    st.sampled_from(FAMILIES),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.floats(0, 7, width=32),
    st.integers(0, 99),
)
def test_laws_on_any_size(family, shape, top, seed):
    blur_map = np.where(rough(shape, 1, seed) > 0.9, np.float32(top), scene(shape, top / 2))
    blur, x, z = VaryingBlur(blur_map, family), picture(shape, seed), picture(shape, seed + 1)
    np.testing.assert_allclose(blur.forward(np.full_like(x, 0.7)), 0.7, atol=1e-6)
    blurred, spread = blur.forward(x), blur.adjoint(z)
    assert blurred.dtype == spread.dtype == np.float32
    assert spread.mean(dtype=np.float64) == pytest.approx(
        z.mean(dtype=np.float64), rel=1e-5
    )  # it moves light, no more
    forward = np.vdot(blurred.astype(np.float64), z.astype(np.float64))
    assert np.vdot(x.astype(np.float64), spread.astype(np.float64)) == pytest.approx(
        forward, rel=1e-6
    )


@families
def test_in_focus_is_identity(family):
    x = picture((140, 30))
    blur = VaryingBlur(np.zeros((140, 30), np.float32), family)
    assert (blur.forward(x) == x).all()
    assert (blur.adjoint(x) == x).all()


@families
def test_a_sharp_pixel_stays_exactly_as_it_is(family):
    shape = (60, 70)
    x, blur_map = picture(shape), rough(shape)
    blur_map[20:40, 10:50] = 0
    assert (VaryingBlur(blur_map, family).forward(x)[20:40, 10:50] == x[20:40, 10:50]).all()


@families
def test_gkm_is_the_mixture_of_the_paper_and_a_rung_is_its_kernel(family):
    shape = (50, 60)
    x = picture(shape)
    if family == "gkm":
        blur_map, bank = rough(shape), gkm.paper_bank()
        expected = gkm.blur_picture(x, gkm.mixing_coefficients(blur_map, bank), bank)
    else:
        blur_map = np.full(shape, 3.125, np.float32)
        expected = cv2.filter2D(x, -1, psf.psf_kernel(family, 3.125), borderType=gkm.BORDER)
    np.testing.assert_allclose(VaryingBlur(blur_map, family).forward(x), expected, atol=3e-6)


@families
def test_threads_do_not_show(family):
    shape = (300, 290)
    x, blur = picture(shape), VaryingBlur(scene(shape), family)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = blur.forward(x), blur.adjoint(x)
        cv2.setNumThreads(4)
        assert (blur.forward(x) == alone[0]).all()
        assert (blur.adjoint(x) == alone[1]).all()
    finally:
        cv2.setNumThreads(before)


def test_takes_views_read_only_and_float64():
    shape = (40, 50)
    x, blur = picture(shape), VaryingBlur(scene(shape), "disk")
    expected = blur.forward(x)
    assert (blur.forward(np.asfortranarray(x)) == expected).all()
    assert (blur.forward(x.astype(np.float64)) == expected).all()
    x.flags.writeable = False
    assert (blur.forward(x) == expected).all()


def test_ladder_has_the_delta_and_reaches_the_largest_sigma():
    for family in FAMILIES:
        kernels, variances = kernel_ladder(family, 1.3)
        assert kernels[0].tolist() == [[1.0]]
        assert list(variances) == sorted(variances)
        assert len(kernels) == len(variances)
        assert variances[-1] >= 1.3**2


@pytest.mark.parametrize("reach", [-1.0, math.nan, math.inf])
def test_refuses_a_reach_that_is_none(reach):
    with pytest.raises(ValueError, match="sigma"):
        kernel_ladder("disk", reach)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_map_that_is_none_is_refused_everywhere(value: float) -> None:
    blur_map = np.full((4, 5), 1.0, np.float32)
    blur_map[2, 3] = value
    bank = gkm.paper_bank()
    for build in (
        lambda: VaryingBlur(blur_map, "disk"),
        lambda: gkm.mixing_coefficients(blur_map, bank),
        lambda: gkm.fit_coefficients(blur_map, bank),
    ):
        with pytest.raises(ValueError, match="blur map"):
            build()


def test_a_sigma_that_would_eat_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="0, 64"):
        VaryingBlur(np.full((4, 5), 65, np.float32), "disk")
