"""The blur map of Karaali and Jung, "Edge-Based Defocus Blur Estimation With Adaptive Scale
Selection", TIP 27(3) 2018.

Zhuo and Sim's reading of a re-blurred edge (see `zhuo_sim`), with four changes: only edges that
Canny's detector finds at each of its four finest scales count; the second re-blur is wider where an
edge survives to coarser scales; the values of connected edge pixels are smoothed together; and the
domain transform carries them to the other pixels.

The order, the constants and the borders are those of the authors' released MATLAB program. Its edge
detector is the language's own, `edge(..., 'canny', [], sigma)` with automatic thresholds, and two
detectors of that name differ:

- `octave` (the default): GNU Octave's (7.3, image package 2.14). Kernels of even length, the mean
  gradient as upper threshold, gradients rounded to four directions, and weak pixels that join only
  along an edge. It finds every edge half a pixel aside, where a re-blurred edge reads as blurrier
  than it is. The authors' program was run under it on the two public pictures of RTF (01 and 05):
  each of the nine edge sets is the same there, pixel by pixel, the values at edges to 1e-5 px, and
  the map to 1e-6 px. (The recursive filter that makes the map is not among the authors' files; it
  was written again for that comparison too.)
- `matlab`: MATLAB's of the year of the paper. Kernels of odd length, the 70 % quantile, gradients
  in between two neighbours, and weak pixels that join wherever they touch. It was compared with no
  run of MATLAB.

Mean error in px and correlation with the true maps of 01 and 05, over the first 340 columns:

    all 360 estimated    octave .110, .952 and .155, .899    matlab .147, .953 and .100, .919
    20 cut off before    octave .121, .936 and .156, .893    matlab .155, .944 and .104, .914

The second line is what the authors' demonstration does.

Deviations:

- A reading that the closed form leaves undefined (the ratio is that of no blurred step) is 0 and
  takes part in all that follows, as in the authors' program; here that includes a ratio of exactly
  1 and an edge without any gradient.
- A picture without a reliable edge counts as in focus (theirs divides 0 by 0). A pixel that no edge
  reaches, because the weights of the propagation vanish numerically, takes the value of the nearest
  edge pixel.
- Gradients below the round-off of the picture are no edges; luma below 0 counts as 0.

The grey picture is de-gammaed by a power of 2.4, as theirs: a method that works in linear light
does that twice. The closed form holds for Gaussian PSFs: a lone step blurred by a disk of radius 2,
3, 4, 6 reads as 1.13, 1.88, 2.76, 4.88 (wider re-blur 2.5, the usual one). There is no noise
handling: the thresholds are shares of the picture's own gradients, so noise alone yields edges.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from benchmark.api import Map, Mask, Picture
from benchmark.arrays import Float64Array
from benchmark.methods.two_stage.domain_transform import recursive_filter

Detector = Literal["octave", "matlab"]
Indices = NDArray[np.intp]
"""Flat indices of pixels, or the steps from one to another."""

MAX_SIGMA = 5.0
SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)  # of Canny's detector, sigma in pixels
RELIABLE = 4  # an edge counts if it is found at this many of the finest scales
FIRST = 1.0  # first re-blur, sigma in pixels;
SECOND_SHARE = 0.5  # the second is this share of the coarsest scale up to which the edge is found
GAMMA = 2.4
SMOOTHNESS = 10.0  # weight of the differences between connected edge pixels
GUIDE_FILTER = (7.0, 0.5, 5)  # sigma_space, sigma_range, iterations
SPREAD_SHARE = 1 / 8  # sigma_space of the propagation, as a share of the shorter side
SPREAD_RANGE = 3.75
SPREAD_ITERATIONS = 5
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)  # ITU-R BT.601 in studio range,
BLACK = 16 / 255  # which starts here
NOT_EDGES = 0.7  # share of the pixels below Canny's upper threshold,
LOW_SHARE = 0.4  # of which the lower one is this share
EIGHTH = math.tan(math.pi / 8)  # slope of the line half way between a row and a diagonal
BINS = 64
ROUND_OFF = 1e-12


def estimate_ebdb_map(image: Picture, *, edges: Detector = "octave") -> Map:
    """Return the dense blur map: sigma in pixels, in [0, 5]. A picture without a reliable edge
    counts as in focus.
    """
    sparse_map = estimate_ebdb_edges(image, edges=edges)
    return _spread_sparse_map(image, sparse_map).astype(np.float32)


def estimate_ebdb_edges(
    image: Picture, *, edges: Detector = "octave", connected: bool = True
) -> Float64Array:
    """Return sigma in pixels at the reliable edges, in [0, 5], and NaN everywhere else (H x W).

    Args:
        image: the picture.
        edges: whose edge detector.
        connected: smooth the values along connected edges, as published; False gives the raw
            readings.
    """
    gray = np.maximum(np.asarray(image, np.float64) @ np.array(LUMA) + BLACK, 0) ** GAMMA
    edges_by_scale = np.stack([find_canny_edges(gray, scale, edges) for scale in SCALES])
    reliable: Mask = np.asarray(edges_by_scale[:RELIABLE].all(axis=0))
    sparse_map = np.full(gray.shape, np.nan)
    if not reliable.any():
        return sparse_map
    edge_presence = edges_by_scale[:, reliable]
    sigmas = _read_sigmas(gray, reliable, _second_reblur(edge_presence))
    if connected:
        votes = edge_presence.sum(axis=0).astype(np.float64)
        sigmas = _smooth_connected(reliable, sigmas, votes)
    sparse_map[reliable] = sigmas
    return sparse_map


def find_canny_edges(gray: Float64Array, sigma: float, detector: Detector = "octave") -> Mask:
    """Return Canny's edges of an H x W plane with automatic thresholds, at a scale of sigma pixels.

    The upper threshold on the gradient magnitude (over its maximum) is its mean (Octave), or the
    first of 64 equal steps below which lie more than 70 % of the pixels (MATLAB); the lower one is
    0.4 of it. The outermost pixels are never edges.

    Args:
        gray: finite; a factor or an offset changes nothing.
        sigma: in pixels, > 0.
        detector: whose.

    Returns:
        H x W, True on edges.
    """
    if detector == "octave":
        across, down = _octave_gradients(gray, sigma)
    else:
        across, down = _matlab_gradients(gray, sigma)
    slope = np.sqrt(across**2 + down**2)
    steepest = float(slope.max())
    if steepest <= ROUND_OFF * float(np.abs(gray).max()) or min(gray.shape) < 3:
        return np.zeros(gray.shape, np.bool_)
    slope /= steepest
    if detector == "octave":
        high = float(slope.mean())
        return _find_octave_edges(across, down, slope, LOW_SHARE * high, high)
    high = _matlab_threshold(slope)
    return _find_matlab_edges(across, down, slope, LOW_SHARE * high, high)


def _matlab_threshold(slope: Float64Array) -> float:
    # The library's 64 bins are centred on multiples of 1/63, yet its threshold counts in steps of
    # 1/64.
    bins = (slope.ravel() * (BINS - 1) + 0.5).astype(np.intp)
    cumulative = np.cumsum(np.bincount(bins, minlength=BINS))
    return float(np.argmax(cumulative > NOT_EDGES * slope.size) + 1) / BINS


def _matlab_gradients(gray: Float64Array, sigma: float) -> tuple[Float64Array, Float64Array]:
    """Return the derivatives across columns and down rows by the sampled kernels of MATLAB, borders
    replicated.
    """
    reach = math.ceil(4 * sigma)
    smoothing = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    smoothing /= smoothing.sum()
    derivative = np.gradient(smoothing)
    derivative /= derivative[:reach].sum()  # each lobe sums to one
    border = cv2.BORDER_REPLICATE
    across = cv2.sepFilter2D(gray, cv2.CV_64F, derivative, smoothing, borderType=border)
    down = cv2.sepFilter2D(gray, cv2.CV_64F, smoothing, derivative, borderType=border)
    return across, down  # type: ignore[return-value]


def _octave_gradients(gray: Float64Array, sigma: float) -> tuple[Float64Array, Float64Array]:
    """Return the same by Octave: a Gaussian of even length, so half a pixel aside, then central
    differences.
    """
    half = 4 * math.ceil(sigma)
    smoothing = np.exp(-((np.arange(-half, half) + 0.5) ** 2) / (2 * sigma**2))
    smoothing /= smoothing.sum()
    border = cv2.BORDER_REPLICATE
    centre = (half - 1, half - 1)
    blurred = cv2.sepFilter2D(
        gray, cv2.CV_64F, smoothing, smoothing, anchor=centre, borderType=border
    )
    difference = np.array([-0.5, 0, 0.5])
    unity = np.ones(1)
    across = cv2.sepFilter2D(blurred, cv2.CV_64F, difference, unity, borderType=border)
    down = cv2.sepFilter2D(blurred, cv2.CV_64F, unity, difference, borderType=border)
    return across, down  # type: ignore[return-value]


def _find_octave_edges(
    across: Float64Array, down: Float64Array, slope: Float64Array, low: float, high: float
) -> Mask:
    """Return Octave's edges: ridges above `high`, and ridges above `low` that a chain of steps
    along the edge leads to from there.
    """
    index, along = _find_octave_ridges(across, down, slope, low)
    is_strong = slope.ravel()[index] > high
    is_edge = _follow_edges(index, along, is_strong, slope.size)
    return _mark_pixels(index[is_edge], slope.shape)


def _find_octave_ridges(
    across: Float64Array, down: Float64Array, slope: Float64Array, low: float
) -> tuple[Indices, Indices]:
    """Return the pixels above `low` that are steeper than both neighbours on the line of their
    gradient, rounded to one of four; and the step from each to the next pixel along its edge.

    On a ridge two pixels wide neither is steeper than both. Pixels are flat indices.
    """
    index = _list_inner_pixels(slope, low)
    width = slope.shape[1]
    x = across.ravel()[index]
    y = down.ravel()[index]
    x_size = np.abs(x)
    y_size = np.abs(y)
    diagonal = np.where((x > 0) == (y > 0), 1, 3)
    upright = np.where(x_size <= EIGHTH * y_size, 2, diagonal)
    line = np.where(y_size < EIGHTH * x_size, 0, upright)
    steps = np.array([1, width + 1, width, width - 1])  # along E-W, NW-SE, N-S and NE-SW
    over = steps[line]
    along = steps[(line + 2) % 4]
    slopes = slope.ravel()
    ridge = (slopes[index] > slopes[index + over]) & (slopes[index] > slopes[index - over])
    return index[ridge], along[ridge]


def _follow_edges(index: Indices, along: Indices, is_strong: Mask, pixels: int) -> Mask:
    """Return which ridge pixels are strong or reached from a strong one. A pixel leads to the next
    one on either side along its own edge, if that is a ridge too; the way back need not exist.
    """
    from scipy.sparse import coo_array, csgraph

    number = np.full(pixels, -1)
    number[index] = np.arange(index.size)
    neighbours = number[np.concatenate([index + along, index - along])]
    leads = neighbours >= 0
    strong = np.flatnonzero(is_strong)
    root = index.size  # one more node, which leads to all strong pixels
    origins = np.concatenate([np.tile(np.arange(index.size), 2)[leads], np.full_like(strong, root)])
    targets = np.concatenate([neighbours[leads], strong])
    links = coo_array((np.ones(origins.size), (origins, targets)), shape=(root + 1, root + 1))
    reached = csgraph.breadth_first_order(links.tocsr(), root, return_predecessors=False)
    is_edge = np.zeros(root + 1, np.bool_)
    is_edge[reached] = True
    return is_edge[:root]


def _find_matlab_edges(
    across: Float64Array, down: Float64Array, slope: Float64Array, low: float, high: float
) -> Mask:
    """Return MATLAB's edges: ridges above `low` in groups of touching pixels of which one is above
    `high`.
    """
    ridges = _find_matlab_ridges(across, down, slope, low)
    _, labels = cv2.connectedComponents(ridges.view(np.uint8), connectivity=8)
    ridge_labels = labels[ridges]
    strong = np.zeros(int(labels.max()) + 1, np.bool_)
    strong[ridge_labels[slope[ridges] > high]] = True
    ridges[ridges] = strong[ridge_labels]
    return ridges


def _find_matlab_ridges(
    across: Float64Array, down: Float64Array, slope: Float64Array, low: float
) -> Mask:
    """Return the pixels above `low` not exceeded by the slope one step along the gradient, forwards
    or backwards.

    A step leads to the square of neighbours around the pixel; the slope there is interpolated
    linearly.
    """
    index = _list_inner_pixels(slope, low)
    width = slope.shape[1]
    x = across.ravel()[index]
    y = down.ravel()[index]
    slopes = slope.ravel()
    x_size = np.abs(x)
    y_size = np.abs(y)
    is_horizontal = x_size >= y_size
    side = np.where((x > 0) == (y > 0), 1, -1)
    straight_step = np.where(is_horizontal, 1, width)
    diagonal_step = np.where(is_horizontal, 1 + side * width, width + side)
    share = np.minimum(x_size, y_size) / np.maximum(x_size, y_size)
    ridge = np.ones(index.size, np.bool_)
    for direction in (1, -1):
        straight_slope = slopes[index + direction * straight_step]
        diagonal_slope = slopes[index + direction * diagonal_step]
        ridge &= slopes[index] >= straight_slope * (1 - share) + diagonal_slope * share
    return _mark_pixels(index[ridge], slope.shape)


def _list_inner_pixels(slope: Float64Array, low: float) -> Indices:
    """Return the flat indices of the pixels above `low` that are not at the border."""
    candidates = slope > low
    candidates[[0, -1]] = False
    candidates[:, [0, -1]] = False
    return np.flatnonzero(candidates)


def _mark_pixels(index: Indices, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask.ravel()[index] = True
    return mask


def _second_reblur(edge_presence: Mask) -> Float64Array:
    """Return the sigma of the second re-blur: from the scale before an edge is first missed (scales
    x edges).
    """
    edge_absence = ~edge_presence
    first_absent = np.where(edge_absence.any(axis=0), edge_absence.argmax(axis=0), len(SCALES))
    second: Float64Array = SECOND_SHARE * np.array(SCALES)[first_absent - 1]
    return second


def _read_sigmas(gray: Float64Array, edges: Mask, second: Float64Array) -> Float64Array:
    """Return sigma at each edge pixel from the ratio of its gradients after two re-blurs; 0 if no
    step has that.
    """
    reach = _kernel_reach(float(second.min()))
    first_slope = _gaussian_slope(gray, FIRST, reach)[edges]
    second_slope = np.empty_like(first_slope)
    for sigma in np.unique(second):
        slope = _gaussian_slope(gray, float(sigma), _kernel_reach(float(sigma)))[edges]
        pixels = second == sigma
        second_slope[pixels] = slope[pixels]
    # The ratio R of a step blurred by sigma: R^2 = (sigma^2 + second^2) / (sigma^2 + first^2), here
    # written with the squares themselves, so that nothing is divided by a vanishing gradient.
    steep = first_slope**2
    flat = second_slope**2
    numerator = second**2 * flat - steep * FIRST**2
    denominator = steep - flat
    step = (numerator >= 0) & (denominator > 0)
    variance = np.divide(numerator, denominator, out=np.zeros_like(first_slope), where=step)
    return np.minimum(np.sqrt(variance), MAX_SIGMA)


def _kernel_reach(sigma: float) -> int:
    return 2 * math.ceil(2 * sigma) + 1


def _gaussian_slope(gray: Float64Array, sigma: float, reach: int) -> Float64Array:
    """Return the gradient magnitude by derivatives of a Gaussian, sampled, not normalised, borders
    mirrored.
    """
    x = np.arange(-reach, reach + 1.0)
    smoothing = np.exp(-(x**2) / (2 * sigma**2))
    derivative = x * smoothing / (2 * np.pi * sigma**4)
    border = cv2.BORDER_REFLECT
    across = cv2.sepFilter2D(gray, cv2.CV_64F, derivative, smoothing, borderType=border)
    down = cv2.sepFilter2D(gray, cv2.CV_64F, smoothing, derivative, borderType=border)
    return np.hypot(across, down)


def _smooth_connected(edges: Mask, readings: Float64Array, votes: Float64Array) -> Float64Array:
    """Return the readings smoothed over connected edge pixels.

    They are the s with the smallest

        sum over pixels (1 + votes) (s - reading)^2 + 2 * SMOOTHNESS * sum over pairs of neighbours
        (difference of s)^2

    where the eight pixels around a pixel are its neighbours, and votes are the scales at which the
    edge is found. All components are solved at once: pixels of different ones share no term.
    """
    from scipy.sparse import coo_array, csgraph, diags_array
    from scipy.sparse.linalg import splu

    first, second = _neighbour_pairs(edges)
    shape = (readings.size, readings.size)
    strength = np.full(first.size, 2 * SMOOTHNESS)
    links = coo_array((strength, (first, second)), shape=shape)
    matrix = csgraph.laplacian((links + links.T).tocsr()) + diags_array(1 + votes)
    factors = splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    smoothing: Float64Array = factors.solve((1 + votes) * readings)
    return smoothing.clip(0, MAX_SIGMA)


def _neighbour_pairs(edges: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the two numbers of each pair of neighbouring edge pixels, counted row by row."""
    number = np.full((edges.shape[0] + 2, edges.shape[1] + 2), -1)
    inner = number[1:-1, 1:-1]
    inner[edges] = np.arange(np.count_nonzero(edges))
    pairs = []
    for row, column in ((0, 1), (1, -1), (1, 0), (1, 1)):
        rows = slice(1 + row, number.shape[0] - 1 + row)
        columns = slice(1 + column, number.shape[1] - 1 + column)
        neighbour = number[rows, columns]
        pair_mask = edges & (neighbour >= 0)
        pairs.append(np.stack([inner[pair_mask], neighbour[pair_mask]]))
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def _spread_sparse_map(image: Picture, sparse_map: Float64Array) -> Float64Array:
    """Return the values carried to every pixel: the normalised convolution by the domain
    transform.
    """
    weight = np.isfinite(sparse_map).astype(np.float64)
    if not weight.any():
        return np.zeros(sparse_map.shape)
    guide = recursive_filter(np.asarray(image, np.float64), *GUIDE_FILTER)
    values = np.where(weight > 0, sparse_map, 0.0)
    spread = recursive_filter(
        np.stack([values, weight], axis=-1),
        SPREAD_SHARE * min(sparse_map.shape),
        SPREAD_RANGE,
        SPREAD_ITERATIONS,
        guide,
    )
    spread_values = spread[..., 0]
    spread_weight = spread[..., 1]
    limits = np.finfo(np.float64)
    precise = spread_weight > limits.tiny / limits.eps
    dense = np.divide(spread_values, spread_weight, out=np.zeros(sparse_map.shape), where=precise)
    if not precise.all():
        nearest = distance_transform_edt(weight == 0, return_distances=False, return_indices=True)
        dense[~precise] = values[tuple(nearest)][~precise]
    return dense.clip(0, MAX_SIGMA)
