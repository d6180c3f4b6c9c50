"""The picture on which costs are measured: photographs, because the time of classical methods
depends on content.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from skimage import data

from benchmark.api import Map, Picture
from benchmark.optics.depth_of_field import render_depth_of_field
from benchmark.optics.scenes import invent_radius

MAX_RADIUS = 8.0
"""Largest PSF radius of the defocus, in pixels."""


def make_mosaic(width: int, height: int) -> tuple[Picture, Map]:
    """Return a picture and its true blur map, the same each time: `photographs`, defocused, rounded
    to 8 bits.
    """
    radius = invent_radius(height, width, MAX_RADIUS, np.random.default_rng(0))
    blurred = render_depth_of_field(tile_photographs(width, height), radius)
    image = np.rint(255 * blurred.clip(0, 1)).astype(np.float32) / np.float32(255)
    return image, (np.abs(radius) / 2).astype(np.float32)


def tile_photographs(width: int, height: int) -> Picture:
    """Return the photographs that ship inside scikit-image, side by side and mirrored until the
    picture is filled.
    """
    shots: list[NDArray[np.uint8]] = [data.coffee(), data.astronaut(), data.rocket()]  # type: ignore[no-untyped-call]
    row = np.concatenate([shot[:400] for shot in shots], axis=1)
    mirror_image = row[:, ::-1]
    upper = np.concatenate([row, mirror_image], axis=1)
    lower = np.concatenate([mirror_image, row], axis=1)
    block = np.concatenate([upper, lower])
    rows = math.ceil(height / block.shape[0])
    columns = math.ceil(width / block.shape[1])
    picture = np.tile(block, (rows, columns, 1))[:height, :width]
    return picture.astype(np.float32) / np.float32(255)
