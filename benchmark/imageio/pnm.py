"""PPM and PGM, binary or text, with 8 or 16 bits: the simplest format that a program can write."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

import numpy as np

from benchmark.imageio.levels import DecoderRow, Header, PixelLevels, UnsuitableFile

MAGICS = (b"P2", b"P3", b"P5", b"P6")
PFM_MAGICS = (b"PF", b"Pf")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")
_PFM_HEADER = re.compile(rb"P([Ff])\s(\d{1,9})\s(\d{1,9})\s(-?\d+(?:\.\d*)?)\s")
_LONGEST_HEADER = 65536
_DEPTHS = {255: 8, 65535: 16}
_LARGEST_TEXT = 2**26
"""Bytes; a list of numbers in text takes many times the memory of the picture."""


DECODERS = (
    *(
        DecoderRow("PNM", kind, "grey, RGB", (8, 16), storage, "none", "NumPy", second_library)
        for kind, storage, second_library in (
            ("binary", "P5, P6", "OpenCV"),
            ("text", "P2, P3", "Pillow"),
        )
    ),
    DecoderRow(
        "PFM", "float", "grey, RGB", (32,), "Pf, PF", "none", "OpenCV", "NumPy", asked_for=True
    ),
)


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
        if len(data) > _LARGEST_TEXT:
            raise UnsuitableFile(f"is text of {len(data)} bytes; P5 and P6 take a sixth of them")
        words = re.sub(rb"#[^\n]*", b"", data[start:]).split(maxsplit=count)[:count]
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


def parse_pfm_header(file: BinaryIO) -> Header:
    """Return what a file of floating-point numbers says, which OpenCV decodes.

    Raises:
        UnsuitableFile: if it is truncated.
    """
    start = file.read(_LONGEST_HEADER)
    match = _PFM_HEADER.match(start)
    if match is None:
        raise UnsuitableFile("has a damaged PFM header")
    width, height = map(int, match.groups()[1:3])
    channels = 3 if match[1] == b"F" else 1
    end = file.seek(0, os.SEEK_END)
    if end - match.end() < 4 * width * height * channels:
        raise UnsuitableFile("is truncated")
    return Header("PFM", width, height, channels, 32)


def encode_pnm(levels: PixelLevels) -> bytes:
    """Return levels as a PGM file (H x W x 1) or a PPM file (H x W x 3); 16-bit ones with the
    higher byte first.
    """
    height, width, channels = levels.shape
    magic = "P5" if channels == 1 else "P6"
    top = np.iinfo(np.uint8 if levels.itemsize == 1 else np.uint16).max
    return (
        f"{magic}\n{width} {height}\n{top}\n".encode()
        + levels.astype(f">u{levels.itemsize}").tobytes()
    )
