from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.fft import idctn
from scipy.ndimage import correlate

from benchmark.api import Observation, UsageError
from benchmark.optics import gkm
from benchmark.registry import METHODS, create
from methods.fixed_point import FixedPoint, iterate

BANK = gkm.paper_bank()


def _picture(shape: tuple[int, int] = (24, 30), band: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """A band-limited picture: only the lowest `band` cosines of each axis."""
    spectrum = np.zeros((*shape, 3))
    spectrum[:band, :band] = np.random.default_rng(seed).standard_normal((band, band, 3))
    spectrum[0, 0] = 10
    waves = idctn(spectrum, axes=(0, 1), norm="ortho")
    return ((waves - waves.min()) / np.ptp(waves)).astype(np.float32)


def _constant(shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    return np.full(shape, sigma, np.float32)


def test_equals_equation_6_written_out() -> None:
    """beta_k[m, n] (g_k conv x)[m, n] summed in float64 by a library that shares no code with the operator."""
    y = np.random.default_rng(0).random((20, 26, 3)).astype(np.float32)
    blur_map = np.random.default_rng(1).uniform(0, 3, (20, 26)).astype(np.float32)
    beta = gkm.coefficients(blur_map, BANK)
    x = y.astype(np.float64)
    for _ in range(3):
        blurred = np.zeros_like(x)
        for weight, kernel in zip(beta, BANK.kernels, strict=True):
            for c in range(3):
                blurred[..., c] += weight * correlate(x[..., c], kernel, mode="reflect")
        x = y + x - blurred
    np.testing.assert_allclose(iterate(y, beta, BANK, steps=3, enough=0), x, atol=2e-5)


def test_converges_to_the_truth() -> None:
    truth = _picture()
    beta = gkm.coefficients(_constant((24, 30), 1.2), BANK)
    y = gkm.blur(truth, beta, BANK)
    start, five, twenty = (np.abs(iterate(y, beta, BANK, steps=n, enough=0) - truth).max() for n in (0, 5, 20))
    assert start > 0.1 and five < 0.001 and twenty < 1e-5


def test_stops_when_the_residual_is_small_enough() -> None:
    truth = _picture()
    beta = gkm.coefficients(_constant((24, 30), 1.2), BANK)
    y = gkm.blur(truth, beta, BANK)
    first = float(np.sqrt(np.mean((y - gkm.blur(y, beta, BANK)) ** 2)))
    np.testing.assert_array_equal(iterate(y, beta, BANK, steps=9, enough=1.01 * first), y)
    one = iterate(y, beta, BANK, steps=1, enough=0)
    np.testing.assert_array_equal(iterate(y, beta, BANK, steps=9, enough=0.99 * first), one)


def test_stops_when_the_residual_no_longer_shrinks() -> None:
    """Under a map that jumps B is no contraction towards y; the residual bottoms out and would grow without bound."""
    y = np.random.default_rng(0).random((24, 30, 3)).astype(np.float32)
    blur_map = np.where(np.indices((24, 30)).sum(axis=0) % 2, 0.0, 4.5).astype(np.float32)
    beta = gkm.coefficients(blur_map, BANK)
    stopped = iterate(y, beta, BANK, steps=2000, enough=0)
    assert np.abs(stopped).max() < 1e3
    np.testing.assert_array_equal(stopped, iterate(y, beta, BANK, steps=4000, enough=0))


def test_noise_stops_it() -> None:
    """What is left of a picture in focus is its noise: nothing to iterate on, whatever the map says."""
    rng = np.random.default_rng(0)
    noisy = (_picture((64, 64), band=3) + 0.02 * rng.standard_normal((64, 64, 3))).astype(np.float32)
    method = FixedPoint(map="oracle", iterations=5, tolerance=0)
    restored = method.restore(Observation(image=noisy, blur_map=_constant((64, 64), 1.0)))
    np.testing.assert_array_equal(restored, noisy)


def test_tolerance_stops_it() -> None:
    blur_map = _constant((64, 80), 3.0)
    beta = gkm.coefficients(blur_map, BANK)
    seen = Observation(image=gkm.blur(_picture((64, 80)), beta, BANK), blur_map=blur_map)
    strict = FixedPoint(map="oracle", iterations=2, tolerance=0).restore(seen)
    loose = FixedPoint(map="oracle", iterations=2, tolerance=0.5).restore(seen)
    np.testing.assert_array_equal(loose, seen.image)
    np.testing.assert_array_equal(strict, iterate(seen.image, beta, BANK, steps=2, enough=0))


def test_no_iterations_is_the_input() -> None:
    seen = Observation(image=_picture(), blur_map=_constant((24, 30), 2.0))
    np.testing.assert_array_equal(FixedPoint(map="oracle", iterations=0).restore(seen), seen.image)


@pytest.mark.parametrize("text", ["fixed-point:iterations=-1", "fixed-point:tolerance=-0.1", "fixed-point:psf=disk"])
def test_refuses_bad_parameters(text: str) -> None:
    with pytest.raises(UsageError, match="fixed-point"):
        create(METHODS, text)
