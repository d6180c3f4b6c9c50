"""The Gaussian kernel mixture against eqs. (2) to (4) of the paper, evaluated pixel by pixel in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.optics import gkm

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


def equation_2(x: NDArray[np.float32], beta: NDArray[np.float32], bank: gkm.Bank) -> NDArray[np.float64]:
    """Sum over the mixed kernel b_{m,n} of eq. (3) at every pixel."""
    reach = max(len(kernel) for kernel in bank.kernels) // 2
    stack = np.array([np.pad(kernel, reach - len(kernel) // 2) for kernel in bank.kernels])
    result = np.zeros(x.shape)
    for m, n in np.ndindex(x.shape[:2]):
        b = np.einsum("k,kij->ij", beta[:, m, n].astype(np.float64), stack)
        for i, j in np.ndindex(b.shape):
            row, column = reflected(m - (i - reach), x.shape[0]), reflected(n - (j - reach), x.shape[1])
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
    assert [len(taps) for taps in bank.taps] == [1, 3, 3, 3, *(m for m in range(5, 22, 2) for _ in range(2))]
    assert {
        s: round(math.sqrt(v), 2) for s, v in zip(bank.sigmas, bank.variances, strict=True) if s in (0.5, 2, 5.25)
    } == {
        0.5: 0.46,
        2.0: 1.85,
        5.25: 4.62,
    }


@banks
def test_kernels_are_sampled_gaussians_cut_and_normalised(bank):
    for sigma, taps, kernel, variance in zip(bank.sigmas, bank.taps, bank.kernels, bank.variances, strict=True):
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
    beta = gkm.coefficients(np.full((2, 3), sigma, np.float32), bank)
    assert beta.dtype == np.float32
    assert beta.shape == (len(bank.sigmas), 2, 3)
    assert (beta >= 0).all()
    np.testing.assert_allclose(beta.sum(axis=0), 1, atol=1e-6)
    assert ((beta > 0).sum(axis=0) <= 2).all()
    variance = np.tensordot(np.array(bank.variances), beta.astype(np.float64), 1)
    np.testing.assert_allclose(variance, min(sigma**2, bank.variances[-1]), rtol=1e-5, atol=1e-9)


def test_a_bank_of_one_kernel_is_the_delta_everywhere():
    assert (gkm.coefficients(some_map(4, 5, 3.0), gkm.paper_bank(1)) == 1).all()


@banks
def test_blur_is_equation_2(bank):
    x, beta = picture(9, 13), gkm.coefficients(some_map(9, 13, 6.0), bank)
    np.testing.assert_allclose(gkm.blur(x, beta, bank), equation_2(x, beta, bank), atol=1e-6)


def test_blur_is_linear_in_any_coefficients():
    bank = gkm.paper_bank(5)
    x, beta = picture(9, 8), np.random.default_rng(1).standard_normal((5, 9, 8), np.float32)
    beta[3] = 0
    np.testing.assert_allclose(gkm.blur(x, beta, bank), equation_2(x, beta, bank), atol=3e-6)


@banks
@pytest.mark.parametrize("shape", [(40, 31), (7, 50), (3, 2), (1, 1)])  # the last ones are smaller than the kernels
def test_adjoint_is_the_transpose_border_included(bank, shape):
    x, z = picture(*shape), picture(*shape, seed=1)
    beta = gkm.coefficients(some_map(*shape, 6.0), bank)
    forward = np.vdot(gkm.blur(x, beta, bank).astype(np.float64), z.astype(np.float64))
    backward = np.vdot(x.astype(np.float64), gkm.adjoint(z, beta, bank).astype(np.float64))
    assert forward == pytest.approx(backward, rel=1e-6)


def test_adjoint_differs_from_blur_where_the_map_varies():
    bank = gkm.paper_bank()
    x, beta = picture(20, 20), gkm.coefficients(some_map(20, 20, 4.0), bank)
    assert np.abs(gkm.adjoint(x, beta, bank) - gkm.blur(x, beta, bank)).max() > 0.05


@banks
def test_constant_picture_stays_constant(bank):
    x = np.full((17, 12, 3), 0.7, np.float32)
    beta = gkm.coefficients(some_map(17, 12, 6.0), bank)
    np.testing.assert_allclose(gkm.blur(x, beta, bank), x, atol=1e-6)


@banks
def test_in_focus_is_identity(bank):
    x = picture(11, 12)
    beta = gkm.coefficients(np.zeros((11, 12), np.float32), bank)
    assert (gkm.blur(x, beta, bank) == x).all()
    assert (gkm.adjoint(x, beta, bank) == x).all()


def test_refuses_coefficients_of_another_size():
    bank = gkm.paper_bank()
    beta = gkm.coefficients(some_map(5, 6, 2.0), bank)
    for operator in (gkm.blur, gkm.adjoint):
        with pytest.raises(ValueError, match="K x H x W"):
            operator(picture(6, 5), beta, bank)
        with pytest.raises(ValueError, match="K x H x W"):
            operator(picture(5, 6), beta, gkm.official_bank())
