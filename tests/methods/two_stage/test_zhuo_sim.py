from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from benchmark.methods.two_stage import zhuo_sim
from benchmark.methods.two_stage.matting import propagate_by_colour

OFFSET = 0.3  # of the edge against the pixel in the middle


def _edge(
    sigma: float, *, angle: float = 0.0, low: float = 0.2, high: float = 0.8, size: int = 61
) -> NDArray[np.float32]:
    """A straight edge blurred by a Gaussian, in closed form: the normal distribution function."""
    y, x = np.mgrid[:size, :size] - size // 2
    across = x * np.cos(angle) + y * np.sin(angle) + OFFSET
    profile = low + (high - low) * (ndtr(across / sigma) if sigma else (across > 0))
    return np.repeat(profile[..., None], 3, axis=2).astype(np.float32)


def _reading(sigma: float, beside: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the closed form reads at a distance from the edge, where the gradients are Gaussians of
    the distance.
    """
    first, second = sigma**2 + 1, sigma**2 + 1.5**2
    ratio = (
        second / first * np.exp(beside**2 * (1 / second - 1 / first))
    )  # of the squared gradients
    return np.sqrt((1.5**2 - ratio) / (ratio - 1))


@pytest.mark.parametrize(
    ("sigma", "worst"), [(0.5, 0.30), (1.0, 0.17), (2.0, 0.09), (3.0, 0.06), (4.0, 0.05)]
)
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_sigma_of_a_gaussian_step_edge(sigma: float, worst: float, angle: float) -> None:
    """On the edge the reading is sigma; Canny's pixel may lie up to half a diagonal beside it and
    then reads more.
    """
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(sigma, angle=angle))
    rows, columns = (
        index + 15 for index in np.nonzero(np.isfinite(known[15:-15, 15:-15]))
    )  # no border bends these
    beside = (columns - 30) * np.cos(angle) + (rows - 30) * np.sin(angle) + OFFSET
    assert rows.size >= 31 and np.abs(beside).max() < 0.75
    np.testing.assert_allclose(known[rows, columns], _reading(sigma, beside), atol=0.02)
    np.testing.assert_allclose(known[rows, columns], sigma, atol=worst)


@given(low=st.floats(0, 0.4), high=st.floats(0.5, 1))
def test_sigma_does_not_depend_on_the_contrast(low: float, high: float) -> None:
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(1.5, low=low, high=high, size=41))
    np.testing.assert_allclose(known[np.isfinite(known)], 1.5, atol=0.06)


def test_a_perfect_step_is_sharp() -> None:
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(0))
    assert np.nanmax(known) < 0.5


def test_values_end_at_five() -> None:
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(6.0, size=101))
    assert np.nanmax(known) == 5


def test_a_blur_beyond_measure_is_left_out() -> None:
    """At sigma 9 the re-blur changes the gradient by 0.8 %, less than the smallest ratio that
    counts.
    """
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(9.0, size=121))
    assert np.isnan(known[30:-30, 30:-30]).all()


def test_a_thin_line_is_no_step() -> None:
    """Its gradient falls with the square of the re-blur, so the ratio exceeds that of any blurred
    step.
    """
    line = np.zeros((40, 41, 3), np.float32)
    line[:, 20] = 1
    assert np.isnan(zhuo_sim.estimate_zhuo_sim_edges(line)).all()


def test_values_stand_on_the_edge_only() -> None:
    known = zhuo_sim.estimate_zhuo_sim_edges(_edge(2.0))
    columns = np.flatnonzero(np.isfinite(known).any(axis=0))
    assert set(columns) <= {29, 30, 31}


@pytest.mark.parametrize(("between", "found"), [(0.07, True), (0.0, False)])
def test_a_faint_edge_counts_as_the_end_of_a_strong_one(between: float, found: bool) -> None:
    """Canny's two thresholds, 0.1 and 0.04 of the strongest gradient; the edge fades to 0.07, with
    or without a gap.
    """
    contrast = np.interp(np.arange(100), [0, 20, 60, 70, 80], [1, 1, between, between, 0.07])
    edge = _edge(1.5, low=0.05, high=0.95)[30]
    known = zhuo_sim.estimate_zhuo_sim_edges(
        (0.5 + contrast[:, None, None] * (edge - 0.5)).astype(np.float32)
    )
    assert np.isfinite(known[:20]).any()
    assert np.isfinite(known[80:]).any() == found


def test_noise_alone_yields_few_edges() -> None:
    image = (0.5 + 0.02 * np.random.default_rng(0).standard_normal((80, 80, 3))).astype(np.float32)
    assert np.isfinite(zhuo_sim.estimate_zhuo_sim_edges(image)).mean() < 0.001


def test_noise_does_not_hide_an_edge() -> None:
    noisy = _edge(2.0) + (5 / 255) * np.random.default_rng(0).standard_normal((61, 61, 3)).astype(
        np.float32
    )
    known = zhuo_sim.estimate_zhuo_sim_edges(noisy)
    assert np.nanmedian(known) == pytest.approx(2.0, abs=0.3)


def _patches() -> NDArray[np.float64]:
    """Overlapping patches of one colour each."""
    rng = np.random.default_rng(0)
    sharp = np.full((80, 100, 3), 0.5)
    for _ in range(60):
        top, left, tall, wide = *rng.integers(0, (80, 100)), *rng.integers(8, 40, 2)
        sharp[top : top + tall, left : left + wide] = rng.uniform(0.1, 0.9, 3)
    return sharp


@pytest.mark.slow
def test_the_dense_map_follows_two_depths() -> None:
    near, far = (gaussian_filter(_patches(), (sigma, sigma, 0)) for sigma in (0.6, 2.5))
    blur_map = zhuo_sim.estimate_zhuo_sim_map(
        np.concatenate([near, far], axis=1).astype(np.float32)
    )
    assert blur_map.dtype == np.float32 and blur_map.shape == (80, 200)
    assert blur_map.min() >= 0 and blur_map.max() <= 5
    assert np.abs(blur_map[:, :90] - 0.6).mean() < 0.3
    assert np.abs(blur_map[:, 110:] - 2.5).mean() < 0.5


def test_the_dense_map_is_the_published_propagation() -> None:
    image = gaussian_filter(_patches(), (1.5, 1.5, 0)).astype(np.float32)
    expected = propagate_by_colour(image, zhuo_sim.estimate_zhuo_sim_edges(image), 0.001).clip(0, 5)
    np.testing.assert_array_equal(zhuo_sim.estimate_zhuo_sim_map(image), expected)


@given(value=st.floats(-2, 2, width=32), height=st.integers(1, 12), width=st.integers(1, 12))
def test_a_flat_picture_is_in_focus(value: float, height: int, width: int) -> None:
    blur_map = zhuo_sim.estimate_zhuo_sim_map(np.full((height, width, 3), value, np.float32))
    np.testing.assert_array_equal(blur_map, np.zeros((height, width), np.float32))
