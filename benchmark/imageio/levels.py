"""What the readers of all formats share: headers, stored levels, and how a file is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture

PictureFormat = Literal["PNG", "JPEG", "TIFF", "BMP", "WebP", "PNM", "PFM"]
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


@dataclass(frozen=True, slots=True)
class DecoderRow:
    """A row of the table of what is read.

    Attributes:
        format: of the file.
        kind: of pictures in this format.
        colours: what a pixel holds.
        bits: per channel.
        storage: how the pixels may lie in the file.
        orientation: where the file says how it is to be shown; no pixel is turned.
        library: what decodes it.
        second_library: what decodes it to the same pixels in the tests.
        asked_for: whether it is read only where the caller allows it.
    """

    format: PictureFormat
    kind: str
    colours: str
    bits: tuple[int, ...]
    storage: str
    orientation: Literal["EXIF", "TIFF tag", "none"]
    library: str
    second_library: str
    asked_for: bool = False


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
    top = np.float32(_LARGEST_LEVELS[levels.dtype.itemsize])
    if not allow_transparent and read_alpha(planes) is not None:
        raise UnsuitableFile("has transparent pixels, whose colour depends on what lies behind")
    colour = planes[..., :3] if planes.shape[2] >= 3 else np.repeat(planes[..., :1], 3, axis=2)
    return colour.astype(np.float32, order="C") / top


def read_alpha(planes: PixelLevels) -> NDArray[np.float32] | None:
    """Return the opacity of each pixel, H x W in [0, 1]; None if all are opaque.

    Args:
        planes: H x W x C levels; with 2 or 4 channels the last is alpha.
    """
    if planes.shape[2] not in (2, 4):
        return None
    alpha = planes[..., -1]
    top = np.float32(_LARGEST_LEVELS[alpha.dtype.itemsize])
    if (alpha == top).all():
        return None
    return alpha.astype(np.float32) / top
