"""What the readers of all formats share: headers, stored levels, and how a file is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture

PictureFormat = Literal["PNG", "JPEG", "TIFF", "BMP", "WebP", "PNM"]
PixelLevels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
"""H x W or H x W x C as stored: 1 channel is grey, 3 are RGB; a further one is alpha."""
MAX_PIXELS: Final = 178_956_970
"""Largest picture that is decoded; a header that claims more is taken for damage (Pillow draws the
same line).
"""


_LARGEST_LEVELS = {1: 255, 2: 65535, 4: 1}
"""By bytes of a number; the last are floating-point numbers."""


class UnsuitableFile(Exception):
    """What is wrong with the bytes; the public functions add the file's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its picture.
    `bit_depth` is 8 or 16, or 32 for floating-point numbers; PNG's 1, 2 and 4 bits count as 8.
    """

    format: PictureFormat
    width: int
    height: int
    channels: int
    bit_depth: int


def check_size(header: Header) -> None:
    """Raise UnsuitableFile unless a header claims a size that may be decoded."""
    if not 0 < header.width * header.height <= MAX_PIXELS:
        raise UnsuitableFile(
            f"claims {header.width}x{header.height} px, outside the limit of {MAX_PIXELS} pixels"
        )


def check_levels(levels: PixelLevels, header: Header) -> None:
    """Raise UnsuitableFile if a decoder's result is not what the header declares."""
    header_form = (header.height, header.width, header.bit_depth)
    level_form = (*levels.shape[:2], 8 * levels.dtype.itemsize)
    if level_form != header_form:
        raise UnsuitableFile(
            f"decodes to (height, width, bits) {level_form}, but its header declares {header_form}"
        )


def convert_to_rgb(levels: PixelLevels, allow_transparent: bool) -> Picture:
    """Return levels as H x W x 3 float32 RGB, integers divided by the largest of their type.

    Alpha is left out, never composited.

    Raises:
        UnsuitableFile: if a pixel is transparent and none may be; its colour then depends on what
            lies behind.
    """
    planes = levels.reshape(*levels.shape[:2], -1)
    channels = planes.shape[2]
    top = np.float32(_LARGEST_LEVELS[levels.dtype.itemsize])
    has_alpha = channels in (2, 4)
    if has_alpha and not allow_transparent and not (planes[..., -1] == top).all():
        raise UnsuitableFile("has transparent pixels, whose colour depends on what lies behind")
    colour = planes[..., :3] if channels >= 3 else np.repeat(planes[..., :1], 3, axis=2)
    return colour.astype(np.float32, order="C") / top
