from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.arrays import Float64Array
from benchmark.methods.two_stage.matting import _dissect_grid, propagate_by_colour


def _levin(colours: Float64Array, epsilon: float = 1e-7) -> Float64Array:
    """The dense matting Laplacian, written from Levin et al. 2008: windows of 3 x 3, all inside."""
    height, width, _ = colours.shape
    index = np.arange(height * width).reshape(height, width)
    laplacian = np.zeros((height * width,) * 2)
    for y in range(height - 2):
        for x in range(width - 2):
            members = index[y : y + 3, x : x + 3].ravel()
            pixels = colours[y : y + 3, x : x + 3].reshape(9, 3)
            centred = pixels - pixels.mean(axis=0)
            covariance = centred.T @ centred / 9 + epsilon / 9 * np.eye(3)
            affinity = (1 + centred @ np.linalg.inv(covariance) @ centred.T) / 9
            laplacian[np.ix_(members, members)] += np.eye(9) - affinity
    return laplacian


def _scene(
    seed: int = 0, shape: tuple[int, int] = (9, 11)
) -> tuple[NDArray[np.float32], Float64Array]:
    rng = np.random.default_rng(seed)
    guide = rng.random((*shape, 3)).astype(np.float32)
    known = np.where(rng.random(shape) < 0.3, rng.uniform(0, 4, shape), np.nan)
    return guide, known


@pytest.mark.parametrize("shape", [(9, 11), (26, 19), (5, 40)])
@pytest.mark.parametrize("strength", [0.001, 1.0])
def test_against_a_dense_solve(strength: float, shape: tuple[int, int]) -> None:
    guide, known = _scene(shape=shape)
    weight = strength * np.isfinite(known).ravel()
    system = _levin(guide.astype(np.float64)) + np.diag(weight)
    expected = np.linalg.solve(system, weight * np.nan_to_num(known).ravel()).reshape(known.shape)
    np.testing.assert_allclose(propagate_by_colour(guide, known, strength), expected, atol=1e-4)


def test_equal_values_fill_the_picture() -> None:
    guide, known = _scene()
    dense = propagate_by_colour(guide, np.where(np.isfinite(known), 2.5, np.nan), 0.001)
    np.testing.assert_allclose(dense, 2.5, atol=1e-5)


def test_values_affine_in_colour_are_recovered() -> None:
    """Known alpha: an affine function of the colour lies in the null space of L, so sparse samples
    of it fix all.
    """
    guide, known = _scene(3, (16, 18))
    truth = guide.astype(np.float64) @ [0.5, -1.0, 2.0] + 0.7
    dense = propagate_by_colour(guide, np.where(np.isfinite(known), truth, np.nan), 0.001)
    np.testing.assert_allclose(dense, truth, atol=0.02)


def test_values_stop_at_a_colour_edge() -> None:
    guide = np.zeros((20, 40, 3), np.float32)
    guide[:, 20:] = [0.9, 0.6, 0.1]
    guide += 0.01 * np.random.default_rng(0).random(guide.shape).astype(np.float32)
    known = np.full((20, 40), np.nan)
    known[10, 4], known[10, 35] = 1, 3
    dense = propagate_by_colour(guide, known, 0.001)
    assert np.abs(dense[:, :18] - 1).max() < 0.2 and np.abs(dense[:, 22:] - 3).max() < 0.2


def _large() -> tuple[NDArray[np.float32], Float64Array]:
    """Smooth colours, and known values with an error, so that their weight against smoothness
    matters.
    """
    rng = np.random.default_rng(5)
    guide = np.stack(
        [gaussian_filter(rng.standard_normal((90, 120)), 4) for _ in range(3)], axis=-1
    )
    ramp = np.linspace(1, 3, 120) + 0.5 * rng.standard_normal((90, 120))
    known = np.where(rng.random((90, 120)) < 0.1, ramp, np.nan)
    return ((guide - guide.min()) / np.ptp(guide)).astype(np.float32), known


@pytest.mark.parametrize(("pixels", "most"), [(6000, 0.025), (2000, 0.08)])
def test_a_shrunken_solve_stays_close(pixels: int, most: float) -> None:
    guide, known = _large()
    full = propagate_by_colour(guide, known, 0.001)
    small = propagate_by_colour(guide, known, 0.001, max_pixels=pixels)
    assert small.shape == full.shape
    assert 0 < np.abs(small - full).mean() < most


def test_the_limit_is_inclusive() -> None:
    guide, known = _large()
    np.testing.assert_array_equal(
        propagate_by_colour(guide, known, 0.001, max_pixels=90 * 120),
        propagate_by_colour(guide, known, 0.001),
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 2), (3, 3), (300, 1)])
@pytest.mark.parametrize("pixels", [10_000, 50])
def test_thin_pictures(shape: tuple[int, int], pixels: int) -> None:
    guide = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    known = np.full(shape, np.nan)
    known[0, 0] = 1.25
    np.testing.assert_allclose(
        propagate_by_colour(guide, known, 0.001, max_pixels=pixels), np.full(shape, 1.25), atol=1e-4
    )


def test_nothing_known() -> None:
    guide, known = _scene()
    with pytest.raises(ValueError, match="no value is known"):
        propagate_by_colour(guide, np.full_like(known, np.nan), 0.001)


def test_sizes_must_agree() -> None:
    guide, known = _scene()
    with pytest.raises(ValueError, match="size of the guide"):
        propagate_by_colour(guide, known[:-1], 0.001)


@pytest.mark.parametrize("shape", [(1, 9), (3, 3), (40, 31), (7, 64)])
def test_an_order_of_elimination_has_every_pixel_once(shape: tuple[int, int]) -> None:
    numbers = np.arange(shape[0] * shape[1])
    order = _dissect_grid(numbers.reshape(shape))
    np.testing.assert_array_equal(np.sort(order), numbers)


def test_what_two_lines_part_is_not_joined() -> None:
    order = _dissect_grid(np.arange(20 * 12).reshape(20, 12))
    rows = order // 12
    before, after, lines = rows[: 9 * 12], rows[9 * 12 : 18 * 12], rows[18 * 12 :]
    assert set(before) == set(range(9))
    assert set(after) == set(range(11, 20))
    assert set(lines) == {9, 10}
