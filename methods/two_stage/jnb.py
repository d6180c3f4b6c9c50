"""The blur map of Shi, Xu and Jia, "Just Noticeable Defocus Blur Detection and Estimation", CVPR
2015 (JNB).

JNB-style, dictionary re-trained: the authors' dictionary is not available, so
`benchmark.methods.two_stage.jnb_dictionary` learns another. The less a picture is blurred, the more
atoms of a dictionary of slightly blurred patches it takes to explain an 8 x 8 patch of it up to a
small error. The number of atoms that orthogonal matching pursuit (OMP) takes is counted for every
patch, carried along the guide picture, and turned into sigma by the inverse of the logistic
function of eq. (4).

The steps and their constants are those of the authors' released program (`demo_blur_detection.m`).
Deviations:

- The dictionary (as published: K-SVD, 64 x 128, blurred patches) and the logistic function are
  learned here, from BSDS500 train; the file that holds them says how.
- Sigma is cut at 3.275, where DMENet's authors cut it in their comparison on RTF. The logistic
  function is almost flat there, and a stronger blur cannot be told apart.
- The guide is continued beyond its border by replication and not by zeros, and cut to [0, 1].
- The weights of the bilateral filter fall with the difference in the guide alone, inside a 5 x 5
  window. Its spatial weights are not known.
- Where no patch takes more than three atoms the authors' quotient is 0 / 0; here the counts are
  then carried without the mask, as in their other mode.

Measured with the file that ships. Mean absolute error, correlation and mean error against the true
map: 1.04 px, 0.31 and -0.87 px on 8 pictures of BSDS500 val rendered with disks of up to 8 px in
linear light (`simulated`, seed 7), where a constant map (the mean of the truth cut at 3.275) is
wrong by 0.98 px; 0.28 px, 0.79 and -0.21 px on 2 pictures of RTF. The mean area under the ROC curve
against the masks of 30 pictures of CUHK-BD is 0.79. The map reads too sharp: a blurred region has
few patches of more than three atoms, so it takes its value from those and from sharper neighbours.

The counts make a map of (H - 7) x (W - 7). As in the authors' guide, a patch stands for the fourth
pixel of its fourth row; the map is brought to H x W by replicating its border, three pixels to the
top and left and four to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmark.api import Map, Picture
from benchmark.arrays import Float32Array
from benchmark.methods.two_stage.domain_transform import recursive_filter

Counts = NDArray[np.uint8]

MAX_SIGMA = 3.275
PATCH = 8
STOP = PATCH * 2 * 1.15
"""OMP ends when the residual of a patch (grey values 0-255) is no longer than this: noise of sigma
2, gain 1.15.
"""
MAX_ATOMS = 64
TEXTURED = 3
"""A patch that takes no more atoms than this says nothing by itself; its value comes from
elsewhere.
"""
LUMA = (0.2989, 0.5870, 0.1140)
LEARNED = Path(__file__).with_name("jnb_dictionary.npz")

_BAND = 16
"""Rows of patches that one thread codes at a time."""
_DISK = np.array([[abs(x) + abs(y) <= 2 for x in range(-2, 3)] for y in range(-2, 3)], np.uint8)
"""All pixels no farther than 2 from the middle one."""


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """What is learned.

    Attributes:
        atoms: 64 x 128 float32; the columns are patches, row by row, with mean 0 and length 1.
        logistic: (a, b, c, d) of the number of atoms expected at sigma (pixels): a / (1 + exp(b
            sigma + c)) + d, with a, b > 0.
        provenance: what both were learned from, and how.
    """

    atoms: Float32Array
    logistic: tuple[float, float, float, float]
    provenance: str


@lru_cache
def load_dictionary(path: Path = LEARNED) -> Dictionary:
    """Return a learned dictionary; raises OSError, KeyError or ValueError if the file is missing or
    is no such file.
    """
    with np.load(path, allow_pickle=False) as arrays:
        a, b, c, d = (float(value) for value in arrays["logistic"])
        atoms = np.ascontiguousarray(arrays["atoms"], np.float32)
        return Dictionary(atoms=atoms, logistic=(a, b, c, d), provenance=str(arrays["provenance"]))


def estimate_jnb_map(image: Picture) -> Map:
    """Return the dense blur map: sigma in pixels, in [0, 3.275].

    A picture narrower than a patch, and one in which no patch takes an atom (flat), counts as in
    focus.
    """
    if min(image.shape[:2]) < PATCH:
        return np.zeros(image.shape[:2], np.float32)
    dictionary = load_dictionary()
    gray = scale_luma(image)
    counts = count_atoms(gray, dictionary.atoms)
    if not counts.any():
        return np.zeros(gray.shape, np.float32)
    blur_map = sigma_of_counts(propagate_counts(counts, gray), dictionary.logistic)
    return np.pad(blur_map, (PATCH // 2 - 1, PATCH // 2), mode="edge")


def scale_luma(image: Picture) -> Float32Array:
    """Return the grey picture on the 0-255 scale, H x W, neither rounded nor cut."""
    return np.asarray(image, np.float32) @ np.array([255 * weight for weight in LUMA], np.float32)


def count_atoms(gray: Float32Array, atoms: Float32Array) -> Counts:
    """Return how many atoms OMP takes for each 8 x 8 patch: (H - 7) x (W - 7), 0 to 64, high where
    sharp.

    Args:
        gray: H x W on the 0-255 scale, at least 8 x 8.
        atoms: as in `Dictionary`.
    """
    from numba import get_num_threads

    patches = sliding_window_view(np.ascontiguousarray(gray, np.float32), (PATCH, PATCH))
    bands = [patches[row : row + _BAND] for row in range(0, len(patches), _BAND)]
    _compile_pursuit()  # once, before the threads ask for it
    with ThreadPoolExecutor(get_num_threads()) as threads:
        counts = threads.map(lambda band: pursue_patches(band, atoms)[0], bands)
        return np.concatenate(list(counts))


def pursue_patches(patches: Float32Array, atoms: Float32Array) -> tuple[Counts, Counts]:
    """Return the atoms that OMP takes for each patch without its mean.

    Error-constrained batch OMP (Rubinstein, Zibulevsky and Elad, 2008) in single precision, one
    patch after the other, compiled: the patches, the atoms' correlations with the residual and the
    orthogonalised atoms stay in the cache. A patch costs time in proportion to the square of its
    number of atoms, a flat one nothing.

    Args:
        patches: M x N x 8 x 8 on the 0-255 scale; may be a sliding window.
        atoms: as in `Dictionary`.

    Returns:
        The number of atoms, M x N, and their columns in the dictionary in the order in which they
        were taken, M x N x 64; entries beyond the number mean nothing.
    """
    counts = np.zeros(patches.shape[:2], np.uint8)
    columns = np.zeros((*patches.shape[:2], MAX_ATOMS), np.uint8)
    _compile_pursuit()(patches, atoms, atoms.T @ atoms, STOP**2, counts, columns)
    return counts, columns


@lru_cache(maxsize=1)
def _compile_pursuit() -> Callable[..., None]:
    """Return the compiled loop over all patches; its parts are the functions below.

    With q_1 ... q_k the atoms so far made orthonormal (Gram-Schmidt), row k of `spans` is D^T q_k,
    all that is needed of q_k: the correlations D^T r fall by (q_k . r) D^T q_k, and the squared
    length of the residual r by (q_k . r)^2.
    """
    import numba

    # Vectorising the search for the largest correlation takes leave to ignore NaN, which finite
    # pictures do not make.
    compiler = numba.njit(nogil=True, fastmath={"contract", "nnan", "nsz"})
    centre_patch = compiler(_centre_patch)
    correlate_atoms = compiler(_correlate_atoms)
    find_strongest = compiler(_find_strongest)
    orthogonalise_atom = compiler(_orthogonalise_atom)

    def pursue(
        patches: Float32Array,
        atoms: Float32Array,
        gram: Float32Array,
        stop: float,
        counts: Counts,
        columns: NDArray[np.uint8],
    ) -> None:
        pixels, width = atoms.shape
        most = columns.shape[2]
        residual = np.empty(pixels, np.float32)
        correlation = np.empty(width, np.float32)
        span = np.empty(width, np.float32)
        spans = np.empty((most, width), np.float32)
        for row in range(patches.shape[0]):
            for column in range(patches.shape[1]):
                energy = centre_patch(patches[row, column], residual)
                if energy <= stop:
                    continue
                correlate_atoms(residual, atoms, correlation)
                count = 0
                while energy > stop and count < most:
                    best = find_strongest(correlation)
                    orthogonalise_atom(best, gram, spans, count, span)
                    if span[best] < 1e-6:  # in the span of those before: nothing left to explain
                        break
                    scale = np.float32(1 / np.sqrt(span[best]))
                    step = correlation[best] * scale
                    for c in range(width):
                        spans[count, c] = span[c] * scale
                        correlation[c] -= step * spans[count, c]
                    energy -= np.float64(step) * step
                    columns[row, column, count] = best
                    count += 1
                counts[row, column] = count

    function: Callable[..., None] = compiler(pursue)
    return function


def _centre_patch(patch: Float32Array, residual: Float32Array) -> float:
    """Fill `residual` with a patch without its mean and return its squared length."""
    side = patch.shape[1]
    pixels = residual.size
    total = 0.0
    for i in range(pixels):
        residual[i] = patch[i // side, i % side]
        total += residual[i]
    mean = np.float32(total / pixels)
    energy = 0.0
    for i in range(pixels):
        residual[i] -= mean
        energy += np.float64(residual[i]) * residual[i]
    return energy


def _correlate_atoms(
    residual: Float32Array, atoms: Float32Array, correlation: Float32Array
) -> None:
    """Fill `correlation` with D^T r."""
    pixels, width = atoms.shape
    for c in range(width):
        correlation[c] = 0
    for i in range(pixels):
        value = residual[i]
        for c in range(width):
            correlation[c] += value * atoms[i, c]


def _find_strongest(correlation: Float32Array) -> int:
    """Return the first atom of the largest absolute correlation."""
    highest = np.float32(0)
    for c in range(correlation.size):
        highest = max(highest, abs(correlation[c]))
    for c in range(correlation.size):
        if abs(correlation[c]) == highest:
            return c
    return 0


def _orthogonalise_atom(
    atom: int, gram: Float32Array, spans: Float32Array, count: int, span: Float32Array
) -> None:
    """Fill `span` with D^T of the part of an atom that is orthogonal to those before.

    Args:
        atom: its column.
        gram: D^T D.
        spans: D^T q_k of those before, one a row.
        count: how many there are.
        span: is filled.
    """
    for c in range(span.size):
        span[c] = gram[atom, c]
    for k in range(count):
        share = spans[k, atom]
        for c in range(span.size):
            span[c] -= share * spans[k, c]


def propagate_counts(counts: Counts, gray: Float32Array) -> Float32Array:
    """Return the counts carried from textured patches to all others: (H - 7) x (W - 7).

    Args:
        counts: (H - 7) x (W - 7).
        gray: H x W on the 0-255 scale, the guide.
    """
    guide = _smooth_guide(gray)
    values = counts.astype(np.float64)
    mask = cv2.erode((counts > TEXTURED).astype(np.uint8), _DISK).astype(np.float64)
    if not mask.any():
        return recursive_filter(values, 10, 0.2, 3, guide).astype(np.float32)
    sums = recursive_filter(np.dstack([values * mask, mask]), 15, 0.15, 3, guide)
    # Far from everything textured the weight leaves the range of floats; the count there is 0, the
    # strongest blur.
    total = sums[..., 0]
    weight = sums[..., 1]
    dense = np.divide(
        total, weight, out=np.zeros_like(weight), where=weight > np.finfo(np.float64).tiny
    )
    return _filter_bilateral(dense.astype(np.float32), guide)


def _smooth_guide(gray: Float32Array) -> Float32Array:
    inner = slice(PATCH // 2 - 1, -(PATCH // 2))
    middle = np.clip(gray[inner, inner] / 255, 0, 1)
    return cv2.GaussianBlur(middle, (5, 5), 1, borderType=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _filter_bilateral(
    values: Float32Array, guide: Float32Array, reach: int = 2, width: float = 0.1
) -> Float32Array:
    """Return the joint bilateral filter over (2 reach + 1)^2 pixels inside the picture, Gaussian in
    the guide.
    """
    total = np.zeros_like(values)
    total_weight = np.zeros_like(values)
    for down in range(-reach, reach + 1):
        rows, neighbour_rows = _overlapping_slices(guide.shape[0], down)
        for right in range(-reach, reach + 1):
            columns, neighbour_columns = _overlapping_slices(guide.shape[1], right)
            centres = (rows, columns)
            neighbours = (neighbour_rows, neighbour_columns)
            difference = np.square(guide[centres] - guide[neighbours])
            weight = np.exp(difference * np.float32(-0.5 / width**2))
            total[centres] += weight * values[neighbours]
            total_weight[centres] += weight
    return total / total_weight


def _overlapping_slices(length: int, shift: int) -> tuple[slice, slice]:
    """Return the places of an axis that have a neighbour so far ahead, and those of the
    neighbours.
    """
    centres = slice(max(0, -shift), max(0, length - shift))
    neighbours = slice(max(0, shift), max(0, length + shift))
    return centres, neighbours


def sigma_of_counts(counts: Float32Array, logistic: tuple[float, float, float, float]) -> Map:
    """Return sigma in pixels, in [0, 3.275], at which the logistic function takes these values."""
    a, b, c, d = logistic
    odds = a / np.maximum(np.asarray(counts, np.float64) - d, 1e-9) - 1
    sigma = (np.log(np.maximum(odds, 1e-9)) - c) / b
    return np.clip(sigma, 0, MAX_SIGMA).astype(np.float32)
