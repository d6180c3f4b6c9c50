"""The Gaussian kernel mixture against eqs. (2) to (4) of the paper, evaluated pixel by pixel in
float64.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize

from benchmark.optics import gkm
from benchmark.optics.psf import psf_kernel as psf_kernel

BANKS = {"paper": gkm.paper_bank(), "official": gkm.official_bank(), "small": gkm.paper_bank(5)}
banks = pytest.mark.parametrize("bank", BANKS.values(), ids=BANKS)


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def some_map(height: int, width: int, top: float, seed: int = 0) -> NDArray[np.float32]:
    chosen = np.random.default_rng(seed).random((height, width), np.float32) * top
    chosen[0, 0] = 0
    return chosen


def reflected(index: int, size: int) -> int:
    """Half-sample reflection, written out: -1 -> 0, -2 -> 1, size -> size - 1."""
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


def equation_2(
    x: NDArray[np.float32], beta: NDArray[np.float32], bank: gkm.Bank
) -> NDArray[np.float64]:
    """Sum over the mixed kernel b_{m,n} of eq. (3) at every pixel."""
    reach = max(len(kernel) for kernel in bank.kernels) // 2
    stack = np.array([np.pad(kernel, reach - len(kernel) // 2) for kernel in bank.kernels])
    result = np.zeros(x.shape)
    for m, n in np.ndindex(x.shape[:2]):
        b = np.einsum("k,kij->ij", beta[:, m, n].astype(np.float64), stack)
        for i, j in np.ndindex(b.shape):
            row, column = (
                reflected(m - (i - reach), x.shape[0]),
                reflected(n - (j - reach), x.shape[1]),
            )
            result[m, n] += b[i, j] * x[row, column]
    return result


def test_ladder_of_the_paper():
    bank = gkm.paper_bank()
    assert len(bank.sigmas) == 21
    assert bank.sigmas[:5] == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert bank.sigmas[-2:] == (4.75, 5.0)
    assert [len(taps) for taps in bank.taps] == [1, *(m for m in range(3, 22, 2) for _ in range(2))]


def test_ladder_of_the_released_program():
    bank = gkm.official_bank()
    assert bank.sigmas == tuple(i / 4 for i in range(22))
    assert [len(taps) for taps in bank.taps] == [
        1,
        3,
        3,
        3,
        *(m for m in range(5, 22, 2) for _ in range(2)),
    ]
    assert {
        s: round(math.sqrt(v), 2)
        for s, v in zip(bank.sigmas, bank.variances, strict=True)
        if s in (0.5, 2, 5.25)
    } == {
        0.5: 0.46,
        2.0: 1.85,
        5.25: 4.62,
    }


@banks
def test_kernels_are_sampled_gaussians_cut_and_normalised(bank):
    for sigma, taps, kernel, variance in zip(
        bank.sigmas, bank.taps, bank.kernels, bank.variances, strict=True
    ):
        assert kernel.sum() == pytest.approx(1, abs=1e-14)
        assert not kernel.flags.writeable
        assert not taps.flags.writeable
        y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
        assert (kernel * x**2).sum() == pytest.approx(variance, abs=1e-13)
        if sigma:
            ratio = np.exp(-(x**2 + y**2) / (2 * sigma**2))
            np.testing.assert_allclose(kernel / kernel.max(), ratio, rtol=1e-12)
        else:
            assert kernel.tolist() == [[1.0]]
    assert list(bank.variances) == sorted(bank.variances)


@pytest.mark.parametrize("size", [0, -3, 4])
def test_refuses_kernel_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="odd"):
        gkm.paper_bank(size)


@banks
@settings(deadline=None)
@given(st.floats(0, 8))
def test_coefficients_are_two_shares_with_the_variance_of_the_map(bank, sigma):
    beta = gkm.mixing_coefficients(np.full((2, 3), sigma, np.float32), bank)
    assert beta.dtype == np.float32
    assert beta.shape == (len(bank.sigmas), 2, 3)
    assert (beta >= 0).all()
    np.testing.assert_allclose(beta.sum(axis=0), 1, atol=1e-6)
    assert ((beta > 0).sum(axis=0) <= 2).all()
    variance = np.tensordot(np.array(bank.variances), beta.astype(np.float64), 1)
    np.testing.assert_allclose(variance, min(sigma**2, bank.variances[-1]), rtol=1e-5, atol=1e-9)


def test_a_bank_of_one_kernel_is_the_delta_everywhere():
    assert (gkm.mixing_coefficients(some_map(4, 5, 3.0), gkm.paper_bank(1)) == 1).all()


@banks
def test_blur_is_equation_2(bank):
    x, beta = picture(9, 13), gkm.mixing_coefficients(some_map(9, 13, 6.0), bank)
    np.testing.assert_allclose(
        gkm.blur_picture(x, beta, bank), equation_2(x, beta, bank), atol=1e-6
    )


def test_blur_is_linear_in_any_coefficients():
    bank = gkm.paper_bank(5)
    x, beta = picture(9, 8), np.random.default_rng(1).standard_normal((5, 9, 8), np.float32)
    beta[3] = 0
    np.testing.assert_allclose(
        gkm.blur_picture(x, beta, bank), equation_2(x, beta, bank), atol=3e-6
    )


@banks
@pytest.mark.parametrize(
    "shape", [(40, 31), (7, 50), (3, 2), (1, 1)]
)  # the last ones are smaller than the kernels
def test_adjoint_is_the_transpose_border_included(bank, shape):
    x, z = picture(*shape), picture(*shape, seed=1)
    beta = gkm.mixing_coefficients(some_map(*shape, 6.0), bank)
    forward = np.vdot(gkm.blur_picture(x, beta, bank).astype(np.float64), z.astype(np.float64))
    backward = np.vdot(
        x.astype(np.float64), gkm.blur_picture_adjoint(z, beta, bank).astype(np.float64)
    )
    assert forward == pytest.approx(backward, rel=1e-6)


def test_adjoint_differs_from_blur_where_the_map_varies():
    bank = gkm.paper_bank()
    x, beta = picture(20, 20), gkm.mixing_coefficients(some_map(20, 20, 4.0), bank)
    assert (
        np.abs(gkm.blur_picture_adjoint(x, beta, bank) - gkm.blur_picture(x, beta, bank)).max()
        > 0.05
    )


@banks
def test_constant_picture_stays_constant(bank):
    x = np.full((17, 12, 3), 0.7, np.float32)
    beta = gkm.mixing_coefficients(some_map(17, 12, 6.0), bank)
    np.testing.assert_allclose(gkm.blur_picture(x, beta, bank), x, atol=1e-6)


@banks
def test_in_focus_is_identity(bank):
    x = picture(11, 12)
    beta = gkm.mixing_coefficients(np.zeros((11, 12), np.float32), bank)
    assert (gkm.blur_picture(x, beta, bank) == x).all()
    assert (gkm.blur_picture_adjoint(x, beta, bank) == x).all()


def test_refuses_coefficients_of_another_size():
    bank = gkm.paper_bank()
    beta = gkm.mixing_coefficients(some_map(5, 6, 2.0), bank)
    for operator in (gkm.blur_picture, gkm.blur_picture_adjoint):
        with pytest.raises(ValueError, match="K x H x W"):
            operator(picture(6, 5), beta, bank)
        with pytest.raises(ValueError, match="K x H x W"):
            operator(picture(5, 6), beta, gkm.official_bank())


@pytest.fixture
def threads():
    """Set the number of threads, and put it back."""
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


def test_tiles_and_threads_do_not_show(threads):
    bank = gkm.paper_bank()
    x, beta = (
        picture(400, 530),
        gkm.mixing_coefficients(some_map(400, 530, 5.0), bank),
    )  # several tiles each way
    beta[7] = 0
    threads(1)
    one = gkm.blur_picture(x, beta, bank), gkm.blur_picture_adjoint(x, beta, bank)
    threads(3)
    assert (gkm.blur_picture(x, beta, bank) == one[0]).all()
    assert (gkm.blur_picture_adjoint(x, beta, bank) == one[1]).all()
    whole = sum(
        w[..., None] * cv2.sepFilter2D(x, -1, t, t, borderType=gkm.BORDER)
        for w, t in zip(beta, bank.taps, strict=True)
    )
    back = sum(
        cv2.sepFilter2D(w[..., None] * x, -1, t, t, borderType=gkm.BORDER)
        for w, t in zip(beta, bank.taps, strict=True)
    )
    np.testing.assert_allclose(one[0], whole, atol=1e-6)
    np.testing.assert_allclose(one[1], back, atol=2e-6)


def test_coefficients_in_a_corner_of_a_tile():
    bank = gkm.paper_bank()
    x, beta = picture(30, 45), np.zeros((21, 30, 45), np.float32)
    beta[20, :3, 40:] = 1  # the widest kernel at a corner of the picture only
    beta[3, 29, 7] = -2
    np.testing.assert_allclose(
        gkm.blur_picture(x, beta, bank), equation_2(x, beta, bank), atol=1e-6
    )
    z = picture(30, 45, seed=3)
    forward = np.vdot(gkm.blur_picture(x, beta, bank).astype(np.float64), z.astype(np.float64))
    assert np.vdot(x.astype(np.float64), gkm.blur_picture_adjoint(z, beta, bank)) == pytest.approx(
        forward, rel=1e-6
    )


def test_takes_views_and_float64_pictures():
    bank = gkm.paper_bank()
    x, beta = picture(20, 24), gkm.mixing_coefficients(some_map(20, 24, 4.0), bank)
    expected = gkm.blur_picture(x, beta, bank)
    assert (gkm.blur_picture(np.asfortranarray(x), beta, bank) == expected).all()
    assert (gkm.blur_picture(x.astype(np.float64), beta, bank) == expected).all()
    x.flags.writeable = beta.flags.writeable = False
    assert (gkm.blur_picture(x, beta, bank) == expected).all()
    assert gkm.blur_picture(x, beta, bank).dtype == np.float32


def embedded(kernels, size: int) -> NDArray[np.float64]:
    return np.stack([np.pad(k, (size - len(k)) // 2).ravel() for k in kernels], axis=1)


SHAPES = {
    "disk": psf_kernel("disk", 2.3),
    "wide": psf_kernel("disk", 7.0),
    "lopsided": psf_kernel("disk", 2, half="left"),
}
shapes = pytest.mark.parametrize("wanted", SHAPES.values(), ids=SHAPES)


@shapes
@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_nonnegative_fit_is_the_optimum_under_its_bounds(wanted, ridge):
    bank = gkm.paper_bank()
    found = gkm.fit_mixture(wanted, bank, ridge=ridge)
    size = max(21, len(wanted))
    matrix, target = embedded(bank.kernels, size), embedded([wanted], size).ravel()

    def cost(beta):
        return np.sum((matrix @ beta - target) ** 2) + ridge**2 * np.sum(beta**2)

    stacked = np.vstack([matrix, ridge * np.eye(21), np.full((1, 21), 100.0)])
    bounded = lsq_linear(
        stacked, np.concatenate([target, np.zeros(21), [100.0]]), (0, np.inf), tol=1e-14
    )
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert cost(found) <= cost(np.maximum(bounded.x, 0)) + 1e-9


def test_nonnegative_fit_agrees_with_a_constrained_search():
    bank, wanted = gkm.paper_bank(5), psf_kernel("disk", 0.8)
    matrix, target = embedded(bank.kernels, 5), embedded([wanted], 5).ravel()
    searched = minimize(
        lambda beta: np.sum((matrix @ beta - target) ** 2),
        np.full(5, 0.2),
        jac=lambda beta: 2 * matrix.T @ (matrix @ beta - target),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda beta: beta.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert np.sum((matrix @ gkm.fit_mixture(wanted, bank) - target) ** 2) == pytest.approx(
        searched.fun, abs=1e-7
    )


@shapes
@pytest.mark.parametrize("ridge", [1e-4, 1e-3, 1e-1])
def test_ridge_fit_solves_the_normal_equations_with_a_multiplier(wanted, ridge):
    bank = gkm.paper_bank()
    size = max(21, len(wanted))
    matrix, target = embedded(bank.kernels, size), embedded([wanted], size).ravel()
    bordered = np.ones((22, 22))
    bordered[:21, :21] = matrix.T @ matrix + ridge**2 * np.eye(21)
    bordered[21, 21] = 0
    exact = np.linalg.solve(bordered, np.append(matrix.T @ target, 1.0))[:21]
    np.testing.assert_allclose(
        gkm.fit_mixture(wanted, bank, nonnegative=False, ridge=ridge), exact, atol=2e-5, rtol=1e-4
    )


def test_a_ridge_buys_small_coefficients_with_error():
    bank, wanted = gkm.paper_bank(), psf_kernel("disk", 2.0)
    matrix, target = embedded(bank.kernels, 21), embedded([wanted], 21).ravel()
    fits = [
        gkm.fit_mixture(wanted, bank, nonnegative=False, ridge=ridge)
        for ridge in (0, 1e-4, 1e-3, 1e-2)
    ]
    errors = [np.linalg.norm(matrix @ found - target) / np.linalg.norm(target) for found in fits]
    largest = [np.abs(found).max() for found in fits]
    assert errors == sorted(errors)
    assert largest == sorted(largest, reverse=True)
    assert [round(e, 3) for e in errors] == [0.101, 0.117, 0.122, 0.174]
    assert largest[0] > 900
    assert largest[2] < 5


def test_fit_returns_a_mixture_of_the_bank():
    bank = gkm.paper_bank(9)
    share = np.array([0.2, 0, 0, 0, 0.5, 0, 0, 0.3, 0])
    np.testing.assert_allclose(
        gkm.fit_mixture((embedded(bank.kernels, 9) @ share).reshape(9, 9), bank), share, atol=1e-6
    )


def test_fit_refuses_what_is_no_psf_and_no_ridge():
    bank = gkm.paper_bank(5)
    for bad in (np.ones((4, 5)), np.ones(5), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="PSF"):
            gkm.fit_mixture(bad, bank)
    for ridge in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="ridge"):
            gkm.fit_mixture(np.ones((3, 3)), bank, ridge=ridge)


@pytest.mark.parametrize("family", ["disk", "gaussian"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_fitted_coefficients_are_the_fit_of_each_pixel(family, nonnegative):
    bank = gkm.paper_bank()
    sigmas = np.array([[0, 0.31, 0.66, 1.234], [2.5, 3.01, 4.0, 4.4]], np.float32)
    beta = gkm.fit_coefficients(sigmas, bank, family, nonnegative=nonnegative)
    assert beta.dtype == np.float32
    assert beta.shape == (21, 2, 4)
    np.testing.assert_allclose(beta.sum(axis=0), 1, atol=1e-5)
    assert np.abs(beta).max() < 5
    if nonnegative:
        assert (beta >= 0).all()
    for place in np.ndindex(sigmas.shape):
        wanted = psf_kernel(family, float(sigmas[place]))
        size = max(21, len(wanted))
        matrix, target = embedded(bank.kernels, size), embedded([wanted], size).ravel()
        best = gkm.fit_mixture(
            wanted, bank, nonnegative=nonnegative, ridge=0 if nonnegative else gkm.RIDGE
        )
        errors = [
            np.linalg.norm(matrix @ b - target) / np.linalg.norm(target)
            for b in (beta[:, *place], best)
        ]
        assert errors[0] <= errors[1] + 0.02


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 30, width=32))
def test_fitted_coefficients_clamp_and_stay_a_mixture(sigma):
    for bank in BANKS.values():
        beta = gkm.fit_coefficients(np.full((1, 2), sigma, np.float32), bank)
        assert (beta >= 0).all()
        np.testing.assert_allclose(beta.sum(axis=0), 1, atol=1e-5)
        reach = math.sqrt(bank.variances[-1])
        if sigma >= reach:
            top = gkm.fit_mixture(psf_kernel("disk", reach), bank)
            np.testing.assert_allclose(beta[:, 0, 0], top, atol=1e-6)


def test_fitted_coefficients_of_the_delta_alone():
    assert (gkm.fit_coefficients(some_map(3, 4, 2.0), gkm.paper_bank(1)) == 1).all()
    with pytest.raises(ValueError, match="airy"):
        gkm.fit_coefficients(some_map(3, 4, 2.0), gkm.paper_bank(), "airy")
