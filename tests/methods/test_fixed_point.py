from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.fft import idctn
from scipy.ndimage import correlate

from benchmark.api import Observation, UsageError
from benchmark.arrays import Float32Array
from benchmark.methods.fixed_point import FixedPoint, iterate_fixed_point, spectral_radius
from benchmark.optics import gkm
from benchmark.optics.varying import VaryingBlur
from benchmark.registry import METHODS, create

BANK = gkm.paper_bank()


def _picture(
    shape: tuple[int, int] = (24, 30), band: int = 6, seed: int = 0
) -> NDArray[np.float32]:
    """A band-limited picture: only the lowest `band` cosines of each axis."""
    spectrum = np.zeros((*shape, 3))
    spectrum[:band, :band] = np.random.default_rng(seed).standard_normal((band, band, 3))
    spectrum[0, 0] = 10
    waves = idctn(spectrum, axes=(0, 1), norm="ortho")
    return ((waves - waves.min()) / np.ptp(waves)).astype(np.float32)


def _constant(shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    return np.full(shape, sigma, np.float32)


def _last(
    y: Float32Array, beta: Float32Array, bank: gkm.Bank = BANK, **options: Any
) -> Float32Array:
    *_, (x, _) = iterate_fixed_point(y, beta, bank, **options)
    return x


PLAIN: dict[str, Any] = {"light": "srgb", "psf": "gaussian", "damping": 1.0, "noise_weight": 0.0}


def test_equals_equation_6_written_out() -> None:
    """beta_k[m, n] (g_k conv x)[m, n] summed in float64 by a library that shares no code with the
    operator.
    """
    y = np.random.default_rng(0).random((20, 26, 3)).astype(np.float32)
    blur_map = np.random.default_rng(1).uniform(0, 3, (20, 26)).astype(np.float32)
    beta = gkm.mixing_coefficients(blur_map, BANK)
    x = y.astype(np.float64)
    for _ in range(3):
        blurred = np.zeros_like(x)
        for weight, kernel in zip(beta, BANK.kernels, strict=True):
            for c in range(3):
                blurred[..., c] += weight * correlate(x[..., c], kernel, mode="reflect")
        x = y + x - blurred
    np.testing.assert_allclose(_last(y, beta, steps=3, tolerance=0), x, atol=2e-5)


def test_damping_reaches_its_own_fixed_point() -> None:
    """x = y + c (I - B) x, that is (I - c (I - B)) x = y, solved densely."""
    rng = np.random.default_rng(0)
    y = rng.random((9, 8, 3)).astype(np.float32)
    beta = gkm.mixing_coefficients(rng.uniform(0, 2, (9, 8)).astype(np.float32), BANK)
    basis = np.eye(72, dtype=np.float32).reshape(72, 9, 8, 1).repeat(3, axis=3)
    blur = np.stack(
        [gkm.blur_picture(unit, beta, BANK)[..., 0].ravel() for unit in basis], axis=1
    ).astype(np.float64)
    exact = np.linalg.solve(
        np.eye(72) - 0.6 * (np.eye(72) - blur), y.reshape(72, 3).astype(np.float64)
    )
    found = _last(y, beta, steps=200, tolerance=0, damping=0.6)
    np.testing.assert_allclose(found.reshape(72, 3), exact, atol=2e-5)


def test_the_spectral_radius_is_that_of_the_dense_matrix() -> None:
    blur_map = np.where(np.indices((12, 12)).sum(axis=0) % 2, 0.0, 3.5).astype(np.float32)
    for sigma in (blur_map, _constant((12, 12), 1.5)):
        beta = gkm.mixing_coefficients(sigma, BANK)
        basis = np.eye(144, dtype=np.float32).reshape(144, 12, 12, 1).repeat(3, axis=3)
        blur = np.stack(
            [gkm.blur_picture(unit, beta, BANK)[..., 0].ravel() for unit in basis], axis=1
        ).astype(np.float64)
        exact = np.abs(np.linalg.eigvals(np.eye(144) - blur)).max()
        assert spectral_radius(beta, BANK, steps=100) == pytest.approx(exact, rel=0.01)
        assert 0.9 * exact < spectral_radius(beta, BANK) < 1.1 * exact


def test_damping_is_reduced_until_the_iteration_contracts() -> None:
    """Unconstrained coefficients can make I - B expand; plain steps then grow without bound."""
    y = _picture()
    beta = np.zeros((len(BANK.taps), 24, 30), np.float32)
    beta[0], beta[8] = -1.0, 2.0  # sums to 1, passes high frequencies with -1
    radius = spectral_radius(beta, BANK)
    assert radius == pytest.approx(2, rel=0.05)
    plain = _last(y, beta, steps=12, tolerance=0, damping=1.0)
    damped = _last(y, beta, steps=200, tolerance=0, damping=0.95 / radius)
    assert np.abs(damped).max() < 3
    assert np.abs(plain).max() < 10  # it stops when steps grow


@pytest.mark.parametrize(
    ("blur_map", "expands"),
    [
        (np.random.default_rng(0).uniform(0, 4.5, (24, 30)).astype(np.float32), True),
        (_constant((24, 30), 3.0), False),
    ],
    ids=["expands", "contracts"],
)
def test_the_method_reduces_its_damping_where_the_iteration_expands(
    blur_map: Float32Array, expands: bool
) -> None:
    seen = Observation(image=_picture(), blur_map=blur_map)
    beta = gkm.mixing_coefficients(blur_map, BANK)
    radius = spectral_radius(beta, BANK)
    assert (radius > 1) == expands
    damping = 0.95 / radius if expands else 1.0
    method = FixedPoint(map="oracle", iterations=2, tolerance=0, **PLAIN)
    assert [step.facts["damping"] for step in method.iterates(seen)] == 3 * [pytest.approx(damping)]
    expected = _last(seen.image, beta, steps=2, tolerance=0, damping=damping)
    np.testing.assert_array_equal(method.restore(seen), expected)


def test_noise_is_taken_back_from_the_detail() -> None:
    rng = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 0.5, np.float32)
    noisy = (clean + 0.02 * rng.standard_normal(clean.shape)).astype(np.float32)
    beta = gkm.mixing_coefficients(_constant((64, 64), 1.5), BANK)
    plain, aware = (
        _last(noisy, beta, steps=2, tolerance=0, damping=0.5, noise=noise)
        for noise in (None, _constant((64, 64), 0.02))
    )
    assert plain.std() > 1.5 * noisy.std() > 1.3 * aware.std()


def test_converges_to_the_truth() -> None:
    truth = _picture()
    beta = gkm.mixing_coefficients(_constant((24, 30), 1.2), BANK)
    y = gkm.blur_picture(truth, beta, BANK)
    start, five, twenty = (
        np.abs(_last(y, beta, steps=n, tolerance=0) - truth).max() for n in (0, 5, 20)
    )
    assert start > 0.1 and five < 0.001 and twenty < 1e-5


def test_stops_when_the_step_is_small_enough() -> None:
    truth = _picture()
    beta = gkm.mixing_coefficients(_constant((24, 30), 1.2), BANK)
    y = gkm.blur_picture(truth, beta, BANK)
    first = float(np.sqrt(np.mean((y - gkm.blur_picture(y, beta, BANK)) ** 2)))
    np.testing.assert_array_equal(_last(y, beta, steps=9, tolerance=1.01 * first), y)
    one = _last(y, beta, steps=1, tolerance=0)
    np.testing.assert_array_equal(_last(y, beta, steps=9, tolerance=0.99 * first), one)


def test_stops_when_the_steps_no_longer_shrink() -> None:
    """Under a map that jumps B is no contraction towards y; the steps bottom out and would grow
    without bound.
    """
    y = np.random.default_rng(0).random((24, 30, 3)).astype(np.float32)
    blur_map = np.where(np.indices((24, 30)).sum(axis=0) % 2, 0.0, 4.5).astype(np.float32)
    beta = gkm.mixing_coefficients(blur_map, BANK)
    stopped = _last(y, beta, steps=2000, tolerance=0)
    assert np.abs(stopped).max() < 1e3
    np.testing.assert_array_equal(stopped, _last(y, beta, steps=4000, tolerance=0))


def test_plain_parameters_are_the_printed_iteration() -> None:
    blur_map = _constant((64, 80), 3.0)
    beta = gkm.mixing_coefficients(blur_map, BANK)
    seen = Observation(image=gkm.blur_picture(_picture((64, 80)), beta, BANK), blur_map=blur_map)
    plain = FixedPoint(map="oracle", iterations=2, tolerance=0, **PLAIN).restore(seen)
    np.testing.assert_array_equal(plain, _last(seen.image, beta, steps=2, tolerance=0))
    loose = FixedPoint(map="oracle", iterations=2, tolerance=0.5, **PLAIN).restore(seen)
    np.testing.assert_array_equal(loose, seen.image)


def test_disk_coefficients_restore_a_disk_better() -> None:
    """Up to the frequencies that the disk inverts in sign, where no mixture of Gaussians can
    follow.
    """
    truth, blur_map = _picture((64, 80), band=8), _constant((64, 80), 2.5)
    seen = Observation(image=VaryingBlur(blur_map, "disk").forward(truth), blur_map=blur_map)
    options: dict[str, Any] = {
        "light": "srgb",
        "damping": 0.9,
        "noise_weight": 0.0,
        "iterations": 8,
        "tolerance": 0.0,
    }
    disk, gaussian = (
        FixedPoint(map="oracle", psf=psf, **options).restore(seen) for psf in ("disk", "gaussian")
    )
    errors = [np.square(picture - truth).mean() for picture in (disk, gaussian, seen.image)]
    assert errors[0] < 0.2 * errors[1] < 0.02 * errors[2]


def test_coarse_to_fine_starts_each_scale_from_the_coarser_result() -> None:
    truth, blur_map = _picture((64, 80)), _constant((64, 80), 3.0)
    beta = gkm.mixing_coefficients(blur_map, BANK)
    y = gkm.blur_picture(truth, beta, BANK)
    seen = Observation(image=y, blur_map=blur_map)
    options = {"map": "oracle", "tolerance": 0.0, **PLAIN}
    single, coarse = (
        FixedPoint(iterations=1, scales=scales, **options).restore(seen) for scales in (1, 2)
    )
    assert np.square(coarse - truth).mean() < np.square(single - truth).mean()
    half = cv2.resize(y, (40, 32), interpolation=cv2.INTER_AREA)
    half_beta = gkm.mixing_coefficients(_constant((32, 40), 1.5), BANK)
    start = cv2.resize(
        _last(half, half_beta, steps=1, tolerance=0), (80, 64), interpolation=cv2.INTER_LINEAR
    )
    np.testing.assert_allclose(coarse, y + start - gkm.blur_picture(start, beta, BANK), atol=1e-6)


def test_its_steps_can_be_followed() -> None:
    seen = Observation(image=_picture((64, 80)), blur_map=_constant((64, 80), 3.0))
    method = FixedPoint(map="oracle", iterations=4, tolerance=0, damping=0.9)
    steps = list(method.iterates(seen))
    np.testing.assert_allclose(steps[0].picture, seen.image, atol=1e-6)
    np.testing.assert_array_equal(steps[-1].picture, method.restore(seen))
    assert len(steps) == 5
    assert all(
        0.5 < step.facts["contraction"] < 1.2 and 0 < step.facts["damping"] <= 0.9 for step in steps
    )
    assert steps[0].residual > steps[-1].residual > 0


def test_no_iterations_is_the_input() -> None:
    seen = Observation(image=_picture(), blur_map=_constant((24, 30), 2.0))
    np.testing.assert_allclose(
        FixedPoint(map="oracle", iterations=0).restore(seen), seen.image, atol=1e-6
    )


@pytest.mark.parametrize(
    "text",
    [
        "iterations=-1",
        "tolerance=-0.1",
        "psf=square",
        "damping=1.1",
        "scales=0",
        "noise_weight=-1",
        "map=guess",
    ],
)
def test_refuses_bad_parameters(text: str) -> None:
    with pytest.raises(UsageError, match="fixed-point"):
        create(METHODS, f"fixed-point:{text}")
