from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.special import ndtr
from scipy.stats import rankdata
from skimage.filters import apply_hysteresis_threshold
from skimage.measure import label

from benchmark.api import Mask, Picture
from benchmark.arrays import Float64Array
from benchmark.methods.two_stage import ebdb
from benchmark.methods.two_stage.domain_transform import recursive_filter

OFFSET = 0.3  # of the edge against the pixel in the middle
OCTAVE = np.load(Path(__file__).parent / "vectors" / "octave_canny.npz")
"""What GNU Octave 7.3 (image 2.14) made of three pictures, and of strengths and directions."""


def _picture(gray: Float64Array) -> Picture:
    """The grey picture whose de-gammaed luma is `gray`."""
    level = (gray ** (1 / 2.4) - 16 / 255) * 255 / 219
    return np.repeat(level[..., None], 3, axis=2).astype(np.float32)


def _across(angle: float, size: int) -> Float64Array:
    y, x = np.mgrid[:size, :size] - size // 2
    return np.asarray(x * np.cos(angle) + y * np.sin(angle) + OFFSET)


def _edge(
    sigma: float, *, angle: float = 0.0, low: float = 0.2, high: float = 0.8, size: int = 81
) -> Picture:
    """A straight edge blurred by a Gaussian in linear light, in closed form."""
    across = _across(angle, size)
    return _picture(low + (high - low) * (ndtr(across / sigma) if sigma else (across > 0)))


def _reading(sigma: float, beside: Float64Array, second: float) -> Float64Array:
    """What the closed form reads at a distance from the edge, where the gradients are Gaussians of
    the distance.
    """
    narrow, wide = sigma**2 + 1, sigma**2 + second**2
    ratio = wide / narrow * np.exp(beside**2 * (1 / wide - 1 / narrow))  # of the squared gradients
    return np.asarray(np.sqrt((second**2 - ratio) / (ratio - 1)))


def _patches(height: int = 80, width: int = 100, seed: int = 0) -> Float64Array:
    """Overlapping patches of one colour each."""
    rng = np.random.default_rng(seed)
    sharp = np.full((height, width, 3), 0.5)
    for _ in range(height * width // 130):
        top, left, tall, wide = *rng.integers(0, (height, width)), *rng.integers(8, 40, 2)
        sharp[top : top + tall, left : left + wide] = rng.uniform(0.1, 0.9, 3)
    return sharp


def _photograph(sigma: float = 1.2, **shape: int) -> Picture:
    return gaussian_filter(_patches(**shape), (sigma, sigma, 0)).astype(np.float32)


def _gray(image: Picture) -> Float64Array:
    """MATLAB's luma of a picture in [0, 1], de-gammaed."""
    luma = (16 + np.asarray(image, np.float64) @ np.array([65.481, 128.553, 24.966])) / 255
    return np.asarray(luma**2.4)


# The readings
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "worst"), [(0.7, 0.25), (1.0, 0.18), (2.0, 0.12), (3.0, 0.08), (4.0, 0.06)]
)
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_sigma_of_a_gaussian_step_edge(sigma: float, worst: float, angle: float) -> None:
    """On the edge the reading is sigma; Canny's pixel may lie up to half a diagonal beside it and
    then reads more.
    """
    known = ebdb.estimate_ebdb_edges(_edge(sigma, angle=angle), edges="matlab", connected=False)
    rows, columns = (
        index + 20 for index in np.nonzero(np.isfinite(known[20:-20, 20:-20]))
    )  # no border bends these
    beside = (columns - 40) * np.cos(angle) + (rows - 40) * np.sin(angle) + OFFSET
    assert rows.size >= 41 and np.abs(beside).max() < 0.75
    expected = _reading(sigma, beside, 2.5)  # a lone edge is found at every scale, up to 5
    np.testing.assert_allclose(known[rows, columns], expected, atol=0.02)
    np.testing.assert_allclose(known[rows, columns], sigma, atol=worst)


@given(low=st.floats(0.05, 0.4), high=st.floats(0.5, 1))
@settings(max_examples=10)
def test_sigma_does_not_depend_on_the_contrast(low: float, high: float) -> None:
    known = ebdb.estimate_ebdb_edges(_edge(1.5, low=low, high=high, size=41), edges="matlab")
    np.testing.assert_allclose(known[10:-10][np.isfinite(known[10:-10])], 1.5, atol=0.1)


@pytest.mark.parametrize(("radius", "documented"), [(2, 1.13), (3, 1.88), (4, 2.76), (6, 4.88)])
def test_a_step_blurred_by_a_disk_reads_as_documented(radius: int, documented: float) -> None:
    """The line spread of a disk is a half circle; its product with the re-blur's Gaussian gives the
    gradients.
    """

    def slope(sigma: float) -> float:
        def integrand(x: float) -> float:
            return math.sqrt(radius**2 - x**2) * math.exp(-(x**2) / (2 * sigma**2)) / sigma

        return float(quad(integrand, -radius, radius)[0])

    ratio = (slope(1.0) / slope(2.5)) ** 2
    expected = math.sqrt((2.5**2 - ratio) / (ratio - 1))
    assert expected == pytest.approx(documented, abs=0.006)
    x = np.clip((np.arange(81.0) - 40) / radius, -1, 1)  # the edge lies on a pixel
    profile = 0.5 + (x * np.sqrt(1 - x**2) + np.arcsin(x)) / np.pi
    known = ebdb.estimate_ebdb_edges(
        _picture(np.tile(0.2 + 0.6 * profile, (81, 1))), edges="matlab"
    )
    assert known[40, 40] == pytest.approx(expected, abs=0.05)


def test_values_end_at_five() -> None:
    known = ebdb.estimate_ebdb_edges(_edge(6.0, size=121))
    assert np.nanmax(known) == 5


def test_a_thin_line_is_no_step() -> None:
    """Its gradient falls faster than that of any step: the closed form has no solution, and the
    value is 0.
    """
    line = np.full((60, 61), 0.2)
    line[:, 30] = 0.9
    beside = np.zeros(line.shape, np.bool_)
    beside[:, 29:32] = True  # in the middle, both gradients vanish
    np.testing.assert_array_equal(ebdb._read_sigmas(line, beside, np.full(180, 2.5)), 0)


def _naive_reading(gray: Float64Array, row: int, column: int, second: float) -> float:
    """One reading from windows and two-dimensional kernels, on the picture mirrored by 21
    pixels.
    """
    reach = 2 * math.ceil(2 * second) + 1
    mirrored = np.pad(gray, 21, mode="symmetric")
    window = mirrored[
        row + 21 - reach : row + 22 + reach, column + 21 - reach : column + 22 + reach
    ]
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]

    def slope(s: float) -> float:
        bell = np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**4)
        return math.hypot((window * -x * bell).sum(), (window * -y * bell).sum())

    ratio = slope(1.0) / slope(second)
    squared = (ratio**2 - second**2) / (1 - ratio**2)
    return min(math.sqrt(squared), 5) if squared > 0 else 0


def test_readings_are_those_of_windows_and_two_dimensional_kernels() -> None:
    image = _photograph(height=50, width=60)
    gray = _gray(image)
    present = np.stack([ebdb.find_canny_edges(gray, s) for s in np.arange(1, 5.1, 0.5)])
    known = ebdb.estimate_ebdb_edges(image, connected=False)
    np.testing.assert_array_equal(np.isfinite(known), present[:4].all(axis=0))
    seconds = set()
    for row, column in np.argwhere(np.isfinite(known)):
        drops = [
            i for i, (now, then) in enumerate(pairwise(present[:, row, column])) if now and not then
        ]
        second = 0.5 * (1 + 0.5 * (drops[0] if drops else 8))
        seconds.add(second)
        assert known[row, column] == pytest.approx(
            _naive_reading(gray, row, column, second), abs=1e-7
        )
    assert len(seconds) >= 4  # the adaptive scale is put to use, borders included


@pytest.mark.parametrize(
    ("missed", "second"),
    [((4,), 1.25), ((4, 5, 6, 7, 8), 1.25), ((6, 8), 1.75), ((8,), 2.25), ((), 2.5)],
)
def test_the_second_reblur_follows_the_first_drop(missed: tuple[int, ...], second: float) -> None:
    present = np.ones((9, 1), np.bool_)
    present[list(missed)] = False
    assert ebdb._second_reblur(present) == second


# The edge detector
# --------------------------------------------------------------------------------------------------


def _naive_canny(gray: Float64Array, sigma: float) -> Mask:
    """MATLAB's detector in its own words: four sectors, 64 bins, growth from strong pixels."""
    reach = math.ceil(4 * sigma)
    bell = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    bell /= bell.sum()
    slopes = np.gradient(bell)
    slopes[slopes > 0] /= slopes[slopes > 0].sum()
    slopes[slopes < 0] /= -slopes[slopes < 0].sum()
    gx = correlate1d(correlate1d(gray, bell, 0, mode="nearest"), slopes, 1, mode="nearest")
    gy = correlate1d(correlate1d(gray, bell, 1, mode="nearest"), slopes, 0, mode="nearest")
    magnitude = np.sqrt(gx**2 + gy**2)
    magnitude /= magnitude.max()
    centres = np.arange(64) / 63
    bins = np.abs(magnitude.ravel()[:, None] - centres).argmin(axis=1)
    below = np.cumsum([np.sum(bins == k) for k in range(64)])
    high = next(k + 1 for k in range(64) if below[k] > 0.7 * gray.size) / 64
    weak = np.zeros(gray.shape, np.bool_)
    for r in range(1, gray.shape[0] - 1):
        for c in range(1, gray.shape[1] - 1):
            if magnitude[r, c] > 0.4 * high:
                weak[r, c] = _is_peak(magnitude, r, c, gx[r, c], gy[r, c])
    return _grown(weak, weak & (magnitude > high))


def _is_peak(m: Float64Array, r: int, c: int, gx: float, gy: float) -> bool:
    """Walk one step along the gradient: to the neighbour on the axis, mixed with the one on the
    diagonal.
    """
    x, y = (1, abs(gy / gx)) if abs(gx) >= abs(gy) else (abs(gx / gy), 1)
    sx, sy = (1 if gx > 0 else -1), (1 if gy > 0 else -1)
    part = min(x, y)

    def at(way: int) -> float:
        axis = m[r, c + way * sx] if x >= y else m[r + way * sy, c]
        return float((1 - part) * axis + part * m[r + way * sy, c + way * sx])

    return bool(m[r, c] >= at(1) and m[r, c] >= at(-1))


def _grown(weak: Mask, strong: Mask) -> Mask:
    found = strong.copy()
    queue = deque(map(tuple, np.argwhere(strong)))
    while queue:
        row, column = queue.popleft()
        for r in (row - 1, row, row + 1):
            for c in (column - 1, column, column + 1):
                if (
                    0 <= r < weak.shape[0]
                    and 0 <= c < weak.shape[1]
                    and weak[r, c]
                    and not found[r, c]
                ):
                    found[r, c] = True
                    queue.append((r, c))
    return found


@settings(max_examples=25)
@given(
    height=st.integers(3, 24),
    width=st.integers(3, 24),
    sigma=st.sampled_from(ebdb.SCALES),
    seed=st.integers(0, 999),
)
def test_canny_is_the_detector_written_out(
    height: int, width: int, sigma: float, seed: int
) -> None:
    gray = gaussian_filter(np.random.default_rng(seed).random((height, width)), 0.7)
    np.testing.assert_array_equal(
        ebdb.find_canny_edges(gray, sigma, "matlab"), _naive_canny(gray, sigma)
    )


def test_hysteresis_is_that_of_another_library() -> None:
    gray = _gray(_photograph(height=120, width=90))
    across, down = ebdb._matlab_gradients(gray, 1.5)
    slope = np.hypot(across, down) / np.hypot(across, down).max()
    counts = np.histogram(slope, bins=np.r_[0, (np.arange(63) + 0.5) / 63, 1])[0]
    high = (np.flatnonzero(np.cumsum(counts) > 0.7 * gray.size)[0] + 1) / 64
    ridges = np.where(ebdb._find_matlab_ridges(across, down, slope, 0.4 * high), slope, 0)
    expected = np.zeros(gray.shape, np.bool_)
    for region in range(1, (regions := label(ridges > 0, connectivity=2)).max() + 1):
        inside = np.where(regions == region, ridges, 0)
        if apply_hysteresis_threshold(inside, 0.4 * high, high).any():
            expected |= regions == region
    np.testing.assert_array_equal(ebdb.find_canny_edges(gray, 1.5, "matlab"), expected)
    assert 0 < expected.sum() < (ridges > 0).sum()  # something was kept, and something was dropped


@pytest.mark.parametrize("sigma", ebdb.SCALES)
@pytest.mark.parametrize("transposed", [False, True])
def test_canny_finds_an_edge_where_it_is(sigma: float, transposed: bool) -> None:
    """Not half a pixel aside, as kernels of even length would."""
    gray = np.tile(ndtr((np.arange(61.0) - 30) / 1.5), (61, 1))
    edges = ebdb.find_canny_edges(gray.T if transposed else gray, sigma, "matlab")
    expected = np.zeros((61, 61), np.bool_)
    expected[1:-1, 30] = True
    np.testing.assert_array_equal(edges, expected.T if transposed else expected)


@pytest.mark.parametrize("sigma", ebdb.SCALES)
@pytest.mark.parametrize("transposed", [False, True])
def test_the_detector_of_octave_finds_it_half_a_pixel_aside(sigma: float, transposed: bool) -> None:
    """An edge between the columns 30 and 31 is found on column 30 alone, as if it lay there."""
    gray = np.tile(ndtr((np.arange(61.0) - 30.5) / 1.5), (61, 1))
    edges = ebdb.find_canny_edges(gray.T if transposed else gray, sigma, "octave")
    expected = np.zeros((61, 61), np.bool_)
    expected[1:-1, 30] = True
    np.testing.assert_array_equal(edges, expected.T if transposed else expected)


def test_the_gradients_of_octave_written_out() -> None:
    gray = _gray(_photograph(height=40, width=50))
    length = 16
    bell = np.exp(-((np.arange(length) - 7.5) ** 2) / (2 * 1.5**2))
    bell /= bell.sum()
    padded = np.pad(gray, 30, mode="edge")
    for axis in (0, 1):  # the centre of an even window is the earlier of its two middle pixels
        padded = sum(weight * np.roll(padded, 7 - place, axis) for place, weight in enumerate(bell))
    inner = (slice(30, -30), slice(30, -30))
    across, down = ebdb._octave_gradients(gray, 1.5)
    np.testing.assert_allclose(
        across[1:-1, 1:-1], (np.gradient(padded, axis=1)[inner])[1:-1, 1:-1], atol=1e-12
    )
    np.testing.assert_allclose(
        down[1:-1, 1:-1], (np.gradient(padded, axis=0)[inner])[1:-1, 1:-1], atol=1e-12
    )


@pytest.mark.parametrize("sigma", [1, 2])
@pytest.mark.parametrize("name", ["disk", "texture", "ramp"])
def test_edges_are_those_that_octave_found(name: str, sigma: int) -> None:
    gray = OCTAVE[name] / 255
    edges = ebdb.find_canny_edges(gray, sigma)
    np.testing.assert_array_equal(edges, OCTAVE[f"{name}_auto_sigma_{sigma}"])
    across, down = ebdb._octave_gradients(gray, sigma)
    slope = np.hypot(across, down) / np.hypot(across, down).max()
    low, high = OCTAVE[f"{name}_auto_sigma_{sigma}_thresholds"]
    assert slope.mean() == pytest.approx(high, rel=1e-12)
    assert 0.4 * slope.mean() == pytest.approx(low, rel=1e-12)
    thresholds = OCTAVE[f"{name}_given_sigma_{sigma}_thresholds"]
    given_edges = ebdb._find_octave_edges(across, down, slope, *thresholds)
    np.testing.assert_array_equal(given_edges, OCTAVE[f"{name}_given_sigma_{sigma}"])


@pytest.mark.parametrize("name", ["ties", "four", "angles"])
def test_ridges_and_links_are_those_of_octave(name: str) -> None:
    strength = OCTAVE[f"nms_{name}_strength"]
    direction = OCTAVE[f"nms_{name}_direction"]  # with y upwards
    gradient = (np.cos(direction), -np.sin(direction))
    index, _ = ebdb._find_octave_ridges(*gradient, strength, 0)
    ridges = ebdb._mark_pixels(index, strength.shape)
    np.testing.assert_array_equal(ridges, OCTAVE[f"nms_{name}_kept"])
    edges = ebdb._find_octave_edges(*gradient, strength, *OCTAVE[f"nms_{name}_thresholds"])
    np.testing.assert_array_equal(edges, OCTAVE[f"nms_{name}_linked"])


def _naive_octave_edges(
    across: Float64Array, down: Float64Array, strength: Float64Array, low: float, high: float
) -> Mask:
    """Octave's rules in words: one of four lines, strictly stronger than both neighbours on it,
    weak pixels reached step by step along the edge of the last one.
    """
    lines = {0: (0, 1), 1: (-1, 1), 2: (-1, 0), 3: (-1, -1)}  # rows, columns; counter-clockwise
    line: dict[tuple[int, int], int] = {}
    for row in range(1, strength.shape[0] - 1):
        for column in range(1, strength.shape[1] - 1):
            angle = math.degrees(math.atan2(-down[row, column], across[row, column])) % 180
            number = round(angle / 45) % 4
            r, c = lines[number]
            neighbours = strength[row + r, column + c], strength[row - r, column - c]
            if strength[row, column] > max(low, *neighbours):
                line[row, column] = number
    queue = deque(place for place in line if strength[place] > high)
    edges = np.zeros(strength.shape, np.bool_)
    while queue:
        row, column = queue.popleft()
        edges[row, column] = True
        r, c = lines[(line[row, column] + 2) % 4]
        for place in ((row + r, column + c), (row - r, column - c)):
            if place in line and not edges[place]:
                queue.append(place)
    return edges


@settings(max_examples=50)
@given(
    height=st.integers(3, 24),
    width=st.integers(3, 24),
    levels=st.sampled_from([4, 1000]),
    high=st.floats(0.3, 0.95),
    seed=st.integers(0, 999),
)
def test_edges_of_octave_are_its_rules_written_out(
    height: int, width: int, levels: int, high: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    strength = random.integers(0, levels, (height, width)) / levels
    across, down = random.standard_normal((2, height, width))
    thresholds = (0.4 * high, high)
    np.testing.assert_array_equal(
        ebdb._find_octave_edges(across, down, strength, *thresholds),
        _naive_octave_edges(across, down, strength, *thresholds),
    )


def test_a_ridge_two_pixels_wide_is_whole_for_matlab_and_none_for_octave() -> None:
    slope = np.tile([0.1, 0.2, 0.8, 0.8, 0.2, 0.1], (5, 1))
    gradient = (np.ones_like(slope), np.zeros_like(slope))
    expected = np.zeros(slope.shape, np.bool_)
    expected[1:-1, 2:4] = True
    np.testing.assert_array_equal(ebdb._find_matlab_ridges(*gradient, slope, 0.15), expected)
    index, _ = ebdb._find_octave_ridges(*gradient, slope, 0.15)
    assert index.size == 0


def test_weak_pixels_that_touch_an_edge_sideways_stay_out_for_octave_only() -> None:
    """A strong column, and beside its end a weak one, which it touches at a corner."""
    slope = np.zeros((9, 9))
    slope[1:5, 3] = 0.9
    slope[5:8, 4] = 0.5
    gradient = (np.ones_like(slope), np.zeros_like(slope))
    np.testing.assert_array_equal(ebdb._find_octave_edges(*gradient, slope, 0.3, 0.7), slope == 0.9)
    np.testing.assert_array_equal(ebdb._find_matlab_edges(*gradient, slope, 0.3, 0.7), slope > 0)


def test_octave_follows_a_weak_edge_to_its_end() -> None:
    slope = np.full((400, 5), 0.1)
    slope[1:, 2] = 0.5
    slope[200, 2] = 0.9
    gradient = (np.ones_like(slope), np.zeros_like(slope))
    edges = ebdb._find_octave_edges(*gradient, slope, 0.3, 0.7)
    assert edges.sum() == 398 and edges[1:-1, 2].all()


# Connected edges
# --------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    share=st.floats(0.1, 0.9),
    seed=st.integers(0, 999),
)
def test_connected_edges_are_solved_as_published(
    height: int, width: int, share: float, seed: int
) -> None:
    """Component by component, by a dense matrix."""
    rng = np.random.default_rng(seed)
    edges = rng.random((height, width)) < share
    assume(edges.any())
    readings, votes = (
        rng.uniform(0, 5, edges.sum()),
        rng.integers(4, 10, edges.sum()).astype(np.float64),
    )
    places, components = np.argwhere(edges), label(edges, connectivity=2)[edges]
    expected = np.empty(len(places))
    for component in range(1, components.max() + 1):
        members = np.flatnonzero(components == component)
        matrix = np.zeros((members.size, members.size))
        for i, one in enumerate(members):
            for j, other in enumerate(members):
                if np.abs(places[one] - places[other]).max() == 1:
                    matrix[i, j] = -20
        matrix += np.diag(-matrix.sum(axis=1) + 1 + votes[members])
        expected[members] = np.linalg.solve(matrix, (1 + votes[members]) * readings[members])
    np.testing.assert_allclose(ebdb._smooth_connected(edges, readings, votes), expected, rtol=1e-10)


def test_an_edge_has_a_vote_for_every_scale_that_finds_it() -> None:
    image = _photograph()
    raw = ebdb.estimate_ebdb_edges(image, connected=False)
    edges = np.isfinite(raw)
    votes = sum(
        ebdb.find_canny_edges(_gray(image), s)[edges].astype(np.float64)
        for s in np.arange(1, 5.1, 0.5)
    )
    assert np.ptp(votes) > 1
    np.testing.assert_allclose(
        ebdb.estimate_ebdb_edges(image)[edges],
        ebdb._smooth_connected(edges, raw[edges], np.asarray(votes)),
        rtol=1e-9,
    )


def test_connected_edges_agree_more_than_their_readings() -> None:
    image = _photograph() + 0.005 * np.random.default_rng(0).standard_normal((80, 100, 3)).astype(
        np.float32
    )
    raw, smooth = ebdb.estimate_ebdb_edges(image, connected=False), ebdb.estimate_ebdb_edges(image)
    np.testing.assert_array_equal(np.isfinite(raw), np.isfinite(smooth))
    assert np.nanmean(np.abs(np.diff(smooth))) < 0.5 * np.nanmean(np.abs(np.diff(raw)))
    assert np.nanmin(smooth) >= np.nanmin(raw) and np.nanmax(smooth) <= np.nanmax(raw)


# The dense map
# --------------------------------------------------------------------------------------------------


def test_the_dense_map_is_the_published_propagation() -> None:
    image = _photograph()
    known = ebdb.estimate_ebdb_edges(image)
    guide = recursive_filter(image, 7, 0.5, 5)
    weighted, weight = (
        recursive_filter(plane, 80 / 8, 3.75, 5, guide)
        for plane in (np.nan_to_num(known), np.isfinite(known) * 1.0)
    )
    np.testing.assert_allclose(ebdb.estimate_ebdb_map(image), weighted / weight, atol=1e-6)


def test_the_dense_map_follows_two_depths() -> None:
    near, far = (gaussian_filter(_patches(), (sigma, sigma, 0)) for sigma in (0.6, 2.5))
    blur_map = ebdb.estimate_ebdb_map(np.concatenate([near, far], axis=1).astype(np.float32))
    assert blur_map.dtype == np.float32 and blur_map.shape == (80, 200)
    assert blur_map.min() >= 0 and blur_map.max() <= 5
    assert np.abs(blur_map[:, :90] - 0.6).mean() < 0.3
    assert np.abs(blur_map[:, 110:] - 2.5).mean() < 0.5


def test_a_pixel_out_of_reach_takes_the_nearest_value() -> None:
    """The propagation of an 8 pixels high picture reaches 1 pixel a step: after 3000 nothing is
    left of the weights.
    """
    image = np.full((8, 3000, 3), 0.2, np.float32)
    image[:, :21] = _edge(1.5, size=21)[:8]
    image[:, 21:] = image[0, 20]
    known = ebdb.estimate_ebdb_edges(image)
    last = np.flatnonzero(np.isfinite(known).any(axis=0)).max()
    assert last < 20
    blur_map = ebdb.estimate_ebdb_map(image)
    assert np.isfinite(blur_map).all()
    assert blur_map[4, -1] == np.float32(known[4, last])


@given(value=st.floats(-2, 2, width=32), height=st.integers(1, 12), width=st.integers(1, 12))
@settings(max_examples=20)
def test_a_flat_picture_is_in_focus(value: float, height: int, width: int) -> None:
    image = np.full((height, width, 3), value, np.float32)
    assert np.isnan(ebdb.estimate_ebdb_edges(image)).all()
    np.testing.assert_array_equal(
        ebdb.estimate_ebdb_map(image), np.zeros((height, width), np.float32)
    )


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    scale=st.sampled_from([1e-6, 1, 1e6]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_any_picture_gets_a_map(height: int, width: int, scale: float, seed: int) -> None:
    image = (scale * np.random.default_rng(seed).normal(0.5, 0.5, (height, width, 3))).astype(
        np.float32
    )
    blur_map = ebdb.estimate_ebdb_map(image)
    assert blur_map.shape == (height, width) and blur_map.dtype == np.float32
    assert np.isfinite(blur_map).all() and blur_map.min() >= 0 and blur_map.max() <= 5


# Real pictures
# --------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("edges", "sample", "width", "error", "correlation"),
    [
        ("octave", "01", 360, 0.1105, 0.952),
        ("octave", "05", 360, 0.1555, 0.899),
        ("octave", "01", 340, 0.1205, 0.936),
        ("octave", "05", 340, 0.1558, 0.893),
        ("matlab", "01", 360, 0.147, 0.953),
        ("matlab", "05", 360, 0.100, 0.919),
        ("matlab", "01", 340, 0.155, 0.944),
        ("matlab", "05", 340, 0.104, 0.914),
    ],
)
def test_maps_of_real_pictures(
    data_root: Path, edges: Any, sample: str, width: int, error: float, correlation: float
) -> None:
    """The two public pictures of RTF, scored without the last 20 columns, which the authors'
    demonstration cuts off before (`width` 340).
    """
    from benchmark.datasets.rtf import Rtf

    loaded = Rtf(data_root).load(sample)
    assert loaded.blur_map is not None
    truth = loaded.blur_map[:, :340]
    blur_map = ebdb.estimate_ebdb_map(loaded.image[:, :width], edges=edges)[:, :340]
    assert np.abs(blur_map - truth).mean() == pytest.approx(error, abs=5e-4)
    assert np.corrcoef(blur_map.ravel(), truth.ravel())[0, 1] == pytest.approx(
        correlation, abs=6e-4
    )


@pytest.mark.data
@pytest.mark.parametrize("sample", ["01", "05"])
@pytest.mark.parametrize(("suffix", "width"), [("", 360), ("_demo", 340)])
def test_real_pictures_have_the_edges_and_the_map_of_the_authors_program(
    data_root: Path, references_root: Path, sample: str, suffix: str, width: int
) -> None:
    from benchmark.datasets.rtf import Rtf

    if not (references_root / "ebdb").is_dir():
        pytest.skip(f"no arrays of the authors' program in {references_root / 'ebdb'}")
    theirs = np.load(references_root / "ebdb" / f"{sample}{suffix}.npz")
    image = Rtf(data_root).load(sample).image[:, :width]
    gray = _gray(image)
    for scale in ebdb.SCALES:
        edges = ebdb.find_canny_edges(gray, scale)
        np.testing.assert_array_equal(edges, theirs[f"edges_sigma_{scale}"], err_msg=f"{scale}")
    for name, connected in (("sigma_raw", False), ("sigma_at_edges", True)):
        sparse_map = ebdb.estimate_ebdb_edges(image, connected=connected)
        np.testing.assert_array_equal(np.isfinite(sparse_map), theirs["edges"])
        np.testing.assert_allclose(np.nan_to_num(sparse_map), theirs[name], atol=1e-5)
    np.testing.assert_allclose(ebdb.estimate_ebdb_map(image), theirs["map"], atol=1e-6)


@pytest.mark.data
def test_it_ranks_blurred_regions_above_sharp_ones(data_root: Path) -> None:
    """Area under the ROC curve on photographs with hand-drawn masks; here six, evenly spread."""
    from benchmark.datasets.cuhk_bd import CuhkBd

    photographs = CuhkBd(data_root)
    areas = []
    for sample_id in photographs.ids()[::20]:
        sample = photographs.load(sample_id)
        assert sample.mask is not None
        ranks = rankdata(ebdb.estimate_ebdb_map(sample.image))[sample.mask.ravel()]
        blurred, sharp = ranks.size, sample.mask.size - ranks.size
        areas.append((ranks.sum() - blurred * (blurred + 1) / 2) / (blurred * sharp))
    assert np.mean(areas) > 0.8
