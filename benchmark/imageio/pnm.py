"""PPM and PGM, binary or text, with 8 or 16 bits: the simplest format that a program can write."""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from benchmark.imageio.levels import Header, PixelLevels, UnsuitableFile

MAGICS = (b"P2", b"P3", b"P5", b"P6")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")
_LONGEST_HEADER = 65536
_DEPTHS = {255: 8, 65535: 16}


def parse_pnm_header(file: BinaryIO) -> Header:
    """Return what the file says.

    Raises:
        UnsuitableFile: if its largest level is neither 255 nor 65535.
    """
    return _parse(file.read(_LONGEST_HEADER))[0]


def decode_pnm(data: bytes) -> PixelLevels:
    """Return the levels.

    Raises:
        UnsuitableFile: if there are fewer than the header says, or one is no level.
    """
    header, start = _parse(data)
    count = header.width * header.height * header.channels
    dtype = np.dtype(np.uint8 if header.bit_depth == 8 else ">u2")
    if data[1:2] in b"56":
        if len(data) < start + count * dtype.itemsize:
            raise UnsuitableFile("is truncated")
        levels = np.frombuffer(data, dtype, count, start)
    else:
        words = re.sub(rb"#[^\n]*", b"", data[start:]).split()[:count]
        if len(words) < count:
            raise UnsuitableFile("is truncated")
        numbers = np.array(words, np.int64)
        if numbers.min() < 0 or numbers.max() > np.iinfo(dtype).max:
            raise UnsuitableFile("holds numbers that are no levels")
        levels = numbers.astype(dtype)
    shape = (header.height, header.width, header.channels)
    if header.bit_depth == 8:
        return levels.astype(np.uint8).reshape(shape)
    return levels.astype(np.uint16).reshape(shape)


def _parse(start: bytes) -> tuple[Header, int]:
    """Return the header, and where the levels begin."""
    match = _HEADER.match(start)
    if match is None:
        raise UnsuitableFile("has a damaged PPM or PGM header")
    width, height, top = map(int, match.groups()[1:])
    if top not in _DEPTHS:
        raise UnsuitableFile(f"has {top} as its largest level, neither 255 nor 65535")
    channels = 3 if match[1] in b"36" else 1
    return Header("PNM", width, height, channels, _DEPTHS[top]), match.end()


def encode_ppm(levels: PixelLevels) -> bytes:
    """Return H x W x 3 RGB levels as a PPM file; 16-bit ones with the higher byte first."""
    height, width = levels.shape[:2]
    top = np.iinfo(np.uint8 if levels.itemsize == 1 else np.uint16).max
    return (
        f"P6\n{width} {height}\n{top}\n".encode() + levels.astype(f">u{levels.itemsize}").tobytes()
    )
