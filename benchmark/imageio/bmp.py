"""BMP with palettes or 24 bits a pixel, read by Pillow."""

from __future__ import annotations

import struct
from typing import BinaryIO

from benchmark.imageio import pillow
from benchmark.imageio.levels import Header, UnsuitableFile

MAGIC = b"BM"
_BITS = (1, 4, 8, 24)


def parse_bmp_header(file: BinaryIO) -> Header:
    """Return what the file says.

    Raises:
        UnsuitableFile: 16 or 32 bits a pixel (their colours have 5 bits, or an unused byte that
            some programs take for alpha), or compressed.
    """
    start = file.read(34)
    bits, compression = struct.unpack("<HI", start[28:34])
    if bits not in _BITS or compression:
        raise UnsuitableFile(f"is a BMP of {bits} bits a pixel, compression {compression}")
    file.seek(0)
    return pillow.parse_image_header(file, "BMP")
