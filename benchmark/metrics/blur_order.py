"""Which parts of a picture are more blurred than others: its sharp quarter, its middle half, its
blurred quarter.

Only the order of the pixels counts, so any map will do that grows with the blur. The true map is
taken where a sample has one, else the disparity of its dual-pixel views, else a map that a method
of this suite estimates from the input. Which it was is said with every score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.api import MAP_CROP_RIGHT, BlurPart, Map, Mask, Picture, Sample
from benchmark.arrays import Float32Array

ESTIMATOR = "ebdb"
"""The method whose map orders pixels where nothing else does: of those that ship, its maps agree
best with masks and measured maps of photographs (`results/measured/maps`).
"""

TRUE_MAP = "the true blur map"
VIEWS = "the disparity of the dual-pixel views"
ESTIMATE = f"the blur map that {ESTIMATOR} estimates from the input"

LEAST_TILES = 4
"""Fewer tiles have no quarters."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, on code values."""
_SMALLEST_VIEW = 32
"""Side in pixels below which views say nothing: the coarsest patches that are matched cover it."""


@dataclass(frozen=True, slots=True, eq=False)
class BlurOrder:
    """Which pixels are more blurred than which.

    Attributes:
        values: H x W, greater where more blurred, in any unit; NaN where it is not known.
        basis: what told it, for people.
    """

    values: Map
    basis: str


def order_by_blur(sample: Sample, estimate: Callable[[Picture], Map]) -> BlurOrder:
    """Return the order of a sample's pixels, H x W. Columns that the sample wants left out of
    scores of maps are not known.

    Args:
        sample: without added noise, so that all noise levels have the same parts.
        estimate: returns the blur map of a picture; asked only where nothing better is there.
    """
    if sample.blur_map is not None:
        values = sample.blur_map.copy()
        values[:, values.shape[1] - int(sample.meta.get(MAP_CROP_RIGHT, 0)) :] = np.nan
        return BlurOrder(values, TRUE_MAP)
    if sample.views is not None and min(sample.image.shape[:2]) >= _SMALLEST_VIEW:
        return BlurOrder(measure_disparity(*sample.views), VIEWS)
    return BlurOrder(estimate(sample.image), ESTIMATE)


def measure_disparity(left: Picture, right: Picture) -> Map:
    """Return how far apart the two dual-pixel views show each pixel, H x W in pixels, >= 0.

    It is 0 in focus and grows in proportion to the blur on either side of it (Punnappurath,
    Abuolaim, Afifi and Brown, Modeling Defocus-Disparity in Dual-Pixel Sensors, ICCP 2020). The
    displacement is found by dense inverse search (Kroeger, Timofte, Dai and Van Gool, ECCV 2016, in
    OpenCV) on 8-bit luma.

    Args:
        left, right: H x W x 3, at least 32 x 32.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*left.shape[:2], 2), np.float32)
    flow = search.calc(_to_grey_levels(left), _to_grey_levels(right), start)
    return np.hypot(flow[..., 0], flow[..., 1]).astype(np.float32)


def _to_grey_levels(picture: Picture) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(np.clip(picture @ _LUMA, 0, 1) * 255).astype(np.uint8)
    return levels


def select_part(values: Float32Array, part: BlurPart) -> Mask:
    """Return which values belong to a part: up to the lower quartile, from the upper one on, or
    between the two. Values that are not known belong to none.

    Equal values stay together, so a quarter is larger than one where many are equal.

    Args:
        values: of any shape; NaN where not known.
        part: which part.

    Raises:
        ValueError: if half the values or more are equal, so that they have no quarters, or if there
            is nothing between the two.
    """
    known_values = values[~np.isnan(values)]
    if not known_values.size:
        raise ValueError("nothing is known of the blur")
    lower, upper = np.quantile(known_values, (0.25, 0.75))
    if lower == upper:
        raise ValueError("half the picture or more is equally blurred, so it has no quarters")
    mask: Mask
    if part == "sharp quarter":
        mask = values <= lower
    elif part == "blurred quarter":
        mask = values >= upper
    else:
        mask = (values > lower) & (values < upper)
    if not mask.any():
        raise ValueError(f"no pixel belongs to the {part}")
    return mask


def select_tiles(values: Map, part: BlurPart, side: int) -> list[tuple[slice, slice]]:
    """Return the tiles of a part, as rows and columns; the mean of what is known of it is the blur
    of a tile.

    Tiles are spread evenly over the picture, as few as cover it, so neighbours may overlap.

    Args:
        values: H x W; NaN where not known.
        part: which part.
        side: of the tiles in pixels.

    Raises:
        ValueError: if there are fewer than four tiles of which the blur is known, or as
            `select_part`.
    """
    height, width = values.shape
    if min(height, width) < side:
        raise ValueError(f"tiles of {side}x{side} pixels do not fit into {width}x{height}")
    tiles = [
        (slice(top, top + side), slice(left, left + side))
        for top in _spread_starts(height, side)
        for left in _spread_starts(width, side)
    ]
    tiles = [tile for tile in tiles if not np.isnan(values[tile]).all()]
    if len(tiles) < LEAST_TILES:
        raise ValueError(f"fewer than {LEAST_TILES} tiles of {side}x{side} pixels")
    blur = np.array([np.nanmean(values[tile], dtype=np.float64) for tile in tiles])
    return [tiles[index] for index in np.flatnonzero(select_part(blur, part))]


def _spread_starts(length: int, side: int) -> list[int]:
    """Return where tiles begin along an axis."""
    count = -(-length // side)
    return [round(start) for start in np.linspace(0, length - side, count)]
