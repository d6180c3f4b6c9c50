"""Seams: what a method that works tile by tile shows of its tiles.

No full-reference metric sees them, because they need a second output: the same picture restored on
a grid of tiles that is moved by half a tile. Where the two outputs differ, the tiling is visible.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture
from benchmark.metrics.mae import Mae


def measure_seams(
    output: NDArray[np.floating], moved_output: NDArray[np.floating], *, margin: int = 0
) -> float:
    """Return the mean absolute difference of two outputs on the [0, 1] scale; 0 without seams.

    Args:
        output: H x W x 3, restored on a grid of tiles.
        moved_output: of the same picture, on the grid moved by half a tile
            (`restore_on_moved_grid`).
        margin: so many pixels at the top and the left are left out: as many as the method looks
            beyond a pixel, for there the picture was continued to move the grid.

    Raises:
        ValueError: shapes that differ, or a margin that leaves nothing.
    """
    return Mae()(output[margin:, margin:], moved_output[margin:, margin:])


def restore_on_moved_grid(
    restore: Callable[[Picture], Picture], picture: Picture, tile: int
) -> Picture:
    """Return a picture restored with every tile half a tile to the right and below.

    The picture is continued by its mirror image at the top and the left, so that a method whose
    grid starts at the first pixel has its seams elsewhere; any method can be asked so.

    Args:
        restore: maps an H x W x 3 picture to one of the same size.
        picture: H x W x 3, on the [0, 1] scale, at least half a tile high and wide.
        tile: side of the method's tiles in pixels, even.

    Raises:
        ValueError: for an odd tile, or a picture smaller than half a tile.
    """
    half = tile // 2
    if tile % 2 or half < 1:
        raise ValueError(f"a tile that can be halved has an even side, not {tile} pixels")
    if min(picture.shape[:2]) < half:
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise ValueError(f"the picture is {size}; half a tile is {half} pixels")
    wider = np.pad(picture, ((half, 0), (half, 0), (0, 0)), mode="symmetric")
    return restore(wider)[half:, half:]
