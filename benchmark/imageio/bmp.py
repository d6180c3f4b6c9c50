"""BMP with palettes or 24 bits a pixel, read by Pillow."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np

from benchmark.imageio import pillow
from benchmark.imageio.levels import DecoderRow, Header, PixelLevels, UnsuitableFile

MAGIC = b"BM"
_BITS = (1, 4, 8, 24)
_SHORTEST_HEADER = 40
_COLOUR_PROFILES = (b"DEBM", b"KNIL")
"""Embedded and linked, in the order of the bytes."""


_STORAGE = "not compressed, from below or from above"
DECODERS = (
    DecoderRow("BMP", "palette", "palette", (1, 4, 8), _STORAGE, "none", "Pillow", "OpenCV"),
    DecoderRow("BMP", "24 bits", "RGB", (8,), _STORAGE, "none", "Pillow", "OpenCV"),
)


def parse_bmp_header(file: BinaryIO) -> Header:
    """Return what the file says.

    Raises:
        UnsuitableFile: 16 or 32 bits a pixel (their colours have 5 bits, or an unused byte that
            some programs take for alpha), compressed, of OS/2, or with a colour profile.
    """
    start = file.read(74)
    (header_size,) = struct.unpack("<I", start[14:18])
    if header_size < _SHORTEST_HEADER:
        raise UnsuitableFile("is a BMP with the header of OS/2")
    bits, compression = struct.unpack("<HI", start[28:34])
    if bits not in _BITS or compression:
        raise UnsuitableFile(f"is a BMP of {bits} bits a pixel, compression {compression}")
    if header_size >= 108 and start[70:74] in _COLOUR_PROFILES:
        raise UnsuitableFile("is a BMP with a colour profile")
    file.seek(0)
    return pillow.parse_image_header(file, "BMP")


def decode_bmp(data: bytes) -> PixelLevels:
    """Return the levels; a palette is looked up.

    Raises:
        UnsuitableFile: if it uses a colour that its palette does not have, or ends early.
    """
    (bits,) = struct.unpack("<H", data[28:30])
    (colour_count,) = struct.unpack("<I", data[46:50])
    if bits <= 8 and 0 < colour_count < 2**bits:
        with pillow.open_image(io.BytesIO(data)) as image:
            largest_index = int(np.array(image).max())
        if largest_index >= colour_count:
            raise UnsuitableFile(f"uses colour {largest_index} of a palette of {colour_count}")
    return pillow.decode_with_pillow(data)
