"""Point spread functions of real lens designs out of focus, ray-traced by others.

Three photographic lenses at three image heights each; `lenses/LICENSE.md` says whose they are. Two
lenses are for training, the third is for evaluation only, so that no network is tested on a lens
that it learned from.

As in `benchmark.optics.psf`, a kernel is named by `sigma`, its per-axis standard deviation in
pixels (the root mean square over the two axes) before the integration over pixels. The samples of
the ray tracing count as squares of constant light, and a kernel holds the light that falls on each
pixel.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from benchmark.arrays import Float64Array
from benchmark.optics.psf import freeze_array

TrainingLens = Literal["summilux", "pentax-da"]
EvaluationLens = Literal["pentax-q"]
LensDesign = TrainingLens | EvaluationLens

TRAINING_LENSES: tuple[TrainingLens, ...] = get_args(TrainingLens)
EVALUATION_LENSES: tuple[EvaluationLens, ...] = get_args(EvaluationLens)

IMAGE_HEIGHTS = (1, 2, 3)
"""On the axis, at two thirds of the way to the corner, and near the corner."""

_FILE = Path(__file__).parent / "lenses" / "ray_traced.npz"


@lru_cache(maxsize=4096)
def ray_traced_kernel(
    design: LensDesign, height: int, sigma: float, turns: float = 0
) -> Float64Array:
    """Return the PSF of a lens design, behind the plane of focus.

    Args:
        design: which lens.
        height: one of `IMAGE_HEIGHTS`; the image point lies that far above the axis.
        sigma: standard deviation in pixels, >= 0; 0 gives the 1 x 1 delta.
        turns: quarter turns anticlockwise, to where else on a circle about the axis the point lies;
            parts of a turn are interpolated linearly between the samples.

    Returns:
        An odd square kernel that sums to 1, its centroid in the middle; read-only.

    Raises:
        ValueError: for an unknown design or height, or a sigma that is negative or not finite.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"the size of a PSF must be a finite number >= 0, got {sigma}")
    samples = _turn_samples(design, height, turns)
    rows = _centred_edges(samples.sum(axis=1))
    columns = _centred_edges(samples.sum(axis=0))
    spacing = sigma / _standard_deviation(samples, rows, columns)
    reach = spacing * max(np.abs(rows).max(), np.abs(columns).max())
    pixels = max(0, math.ceil(reach - 0.5))
    if pixels == 0:
        return freeze_array(np.ones((1, 1)))
    edges = np.arange(-pixels, pixels + 2) - 0.5
    down = _measure_overlaps(edges, spacing * rows)
    across = _measure_overlaps(edges, spacing * columns)
    mass = down @ samples @ across.T
    return freeze_array(mass / mass.sum())


@lru_cache(maxsize=64)
def _turn_samples(design: str, height: int, turns: float) -> Float64Array:
    samples = _read_samples(design, height)
    if turns == round(turns):
        return np.rot90(samples, round(turns))
    turned: Float64Array = ndimage.rotate(samples, 90 * turns, order=1)
    return freeze_array(turned / turned.sum())


@lru_cache(maxsize=16)
def _read_samples(design: str, height: int) -> Float64Array:
    """Return the samples of one PSF that hold light, summing to 1."""
    with np.load(_FILE, allow_pickle=False) as file:
        name = f"{design}-{height}"
        if name not in file:
            raise ValueError(f"there is no ray-traced PSF {name}; there are {', '.join(file)}")
        samples = file[name].astype(np.float64)
    rows = np.flatnonzero(samples.any(axis=1))
    columns = np.flatnonzero(samples.any(axis=0))
    light = samples[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return freeze_array(light / light.sum())


def _centred_edges(profile: Float64Array) -> Float64Array:
    """Return the edges of samples on one axis, in samples, from the centroid of their light."""
    edges = np.arange(len(profile) + 1) - 0.5
    return edges - profile @ np.arange(len(profile))


def _standard_deviation(samples: Float64Array, rows: Float64Array, columns: Float64Array) -> float:
    """Return the root mean square over the axes of the standard deviation, in samples; each sample
    is a square, whose own variance is 1/12.
    """
    down = samples.sum(axis=1) @ (rows[:-1] + 0.5) ** 2
    across = samples.sum(axis=0) @ (columns[:-1] + 0.5) ** 2
    return math.sqrt((down + across) / 2 + 1 / 12)


def _measure_overlaps(pixels: Float64Array, samples: Float64Array) -> Float64Array:
    """Return which share of each sample (columns) lies in each pixel (rows), by their edges."""
    share_below = np.clip((pixels[:, None] - samples[:-1]) / np.diff(samples), 0, 1)
    shares: Float64Array = np.diff(share_below, axis=0)
    return shares
