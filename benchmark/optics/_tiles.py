"""Work on a picture tile by tile, on as many threads as OpenCV may use.

A tile and its scratch fit into a core's cache, tiles without a kernel skip it, and OpenCV, numpy
and scipy release the interpreter's lock, so plain threads serve. The division into tiles depends on
the size of the picture alone and each tile is written once, so no result depends on the number of
threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from typing import TypeVar

import cv2
import numpy as np

from benchmark.arrays import Box, Float32Array

TileItem = TypeVar("TileItem")

BORDER = cv2.BORDER_REFLECT
"""Half-sample reflection, d c b a | a b c d | d c b a, as often as it takes."""


def tile_boxes(shape: tuple[int, int], size: tuple[int, int]) -> list[Box]:
    """Return boxes of nearly equal size, none above `size`, that cover a picture of that shape
    once.
    """
    rows = _split_length(shape[0], size[0])
    columns = _split_length(shape[1], size[1])
    return list(product(rows, columns))


def _split_length(length: int, most: int) -> list[slice]:
    count = -(-length // most)
    stops = [length * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(stops)]


def for_each_in_threads(work: Callable[[TileItem], None], items: Sequence[TileItem]) -> None:
    """Do the work for every item, on `cv2.getNumThreads()` threads; an exception is raised here."""
    threads = min(cv2.getNumThreads(), len(items))
    if threads <= 1:
        for item in items:
            work(item)
        return
    # The pool ends with the call: a pool that outlived it would not survive a fork of the process.
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


def crop_with_halo(array: Float32Array, box: Box, halo: int) -> Float32Array:
    """Return the box with `halo` more pixels on every side, reflected at the border of the array (H
    x W [x C]).

    A view where it lies inside, so it must not be written to.
    """
    rows, columns = box
    height, width = array.shape[:2]
    top = max(0, halo - rows.start)
    left = max(0, halo - columns.start)
    bottom = max(0, rows.stop + halo - height)
    right = max(0, columns.stop + halo - width)
    view = array[
        max(0, rows.start - halo) : rows.stop + halo,
        max(0, columns.start - halo) : columns.stop + halo,
    ]
    if not (top or bottom or left or right):
        return view
    # Where the view is cut on one side only it still holds the `halo` pixels that are mirrored
    # there.
    return cv2.copyMakeBorder(view, top, bottom, left, right, BORDER)  # type: ignore[return-value]


def nonzero_box(weight: Float32Array) -> Box | None:
    """Return a box that holds all non-zero weights, the smallest where they are few; None where
    there are none.
    """
    count = cv2.countNonZero(weight)
    if count == 0:
        return None
    if 2 * count > weight.size:
        return slice(0, weight.shape[0]), slice(0, weight.shape[1])
    rows = np.flatnonzero(weight.any(axis=1))
    columns = np.flatnonzero(weight.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def grow_box(box: Box, margin: int) -> Box:
    """Return the box with a margin on every side, in the coordinates of an array that is larger by
    just that margin.
    """
    rows, columns = box
    return (
        slice(rows.start, rows.stop + 2 * margin),
        slice(columns.start, columns.stop + 2 * margin),
    )


def inner_box(array: Float32Array, margin: int) -> Box:
    """Return the box of all pixels that are `margin` or more from the border."""
    return slice(margin, array.shape[0] - margin), slice(margin, array.shape[1] - margin)
