"""JPEG, read and written by Pillow.

libjpeg fills what is missing of the compressed data with grey and only warns, which Pillow keeps to
itself. So a file is decoded twice, the second time with bytes of no meaning behind each piece of
compressed data, and with further pieces behind each scan. They change the picture where something
ends before its part of the picture does, and are skipped where it does not.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from benchmark.imageio import pillow
from benchmark.imageio.display_tags import DisplayTags, encode_exif
from benchmark.imageio.levels import DecoderRow, Header, PixelLevels, UnsuitableFile

MAGIC = b"\xff\xd8\xff"
_END = 0xD9
_SCAN = 0xDA
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_RESTARTS = range(0xD0, 0xD8)
_NEXT_MARKER = re.compile(rb"\xff(?!\x00)")
"""0xff00 stands for a byte of compressed data."""
_MOST_SEGMENTS = 2**20
_MOST_SCANS = 128
"""Encoders write ten or so; each takes the time of a pass over the whole picture."""
_NOISE = bytes(1 + 37 * step % 251 for step in range(64))
"""Compressed data of no meaning; without a marker."""


_STORAGE = "Huffman codes, any sampling of colours, with or without restarts"
DECODERS = tuple(
    DecoderRow("JPEG", kind, "grey, YCbCr, RGB", (8,), _STORAGE, "EXIF", "Pillow", "OpenCV")
    for kind in ("baseline", "progressive")
)


class _Segment(NamedTuple):
    """A marker with its parameters, and the compressed data behind it.

    Attributes:
        marker: second byte of the marker.
        parameters: without their length.
        data_end: index after the compressed data; after the parameters if there are none.
    """

    marker: int
    parameters: bytes
    data_end: int


def parse_jpeg_header(file: BinaryIO) -> Header:
    """Return what Pillow says of the first picture of a file."""
    return pillow.parse_image_header(file, "JPEG")


def decode_jpeg(data: bytes) -> PixelLevels:
    """Return the levels of the first picture of a file.

    Raises:
        UnsuitableFile: of a kind that is not read exactly, or with missing data.
    """
    segments = list(itertools.islice(_iterate_segments(data), _MOST_SEGMENTS + 1))
    scan_count = sum(segment.marker == _SCAN for segment in segments)
    if len(segments) > _MOST_SEGMENTS or scan_count > _MOST_SCANS:
        raise UnsuitableFile(f"holds {scan_count} scans, more than any picture")
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1 or frames[0].marker > _PROGRESSIVE:
        kinds = ", ".join(f"SOF{frame.marker - _BASELINE}" for frame in frames) or "none"
        raise UnsuitableFile(f"is a JPEG of kind {kinds}; baseline and progressive are read")
    _require_restarts_in_order(segments)
    if frames[0].marker == _PROGRESSIVE:
        _require_whole_coefficients(segments, components=frames[0].parameters[5])
    levels = pillow.decode_with_pillow(data)
    if not np.array_equal(
        levels, pillow.decode_with_pillow(_extend_compressed_data(data, segments))
    ):
        raise UnsuitableFile("is damaged (its compressed data end before the picture does)")
    return levels


def _iterate_segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments of the first picture, its end marker last."""
    at = 2
    marker = 0
    while marker != _END:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at : at + 2] == b"\xff\xff":
            at += 1
        if at < 0 or at + 2 > len(data):
            raise UnsuitableFile("is truncated")
        marker = data[at + 1]
        at += 2
        parameters = b""
        if marker not in (_END, *_RESTARTS):
            (size,) = struct.unpack(">H", data[at : at + 2])
            if size < 2:
                raise UnsuitableFile("is damaged (a JPEG segment without length)")
            parameters = data[at + 2 : at + size]
            at += size
        if marker in (_SCAN, *_RESTARTS):
            at = _find_data_end(data, at)
        yield _Segment(marker, parameters, at)


def _find_data_end(data: bytes, start: int) -> int:
    """Return the index of the first marker behind compressed data."""
    marker = _NEXT_MARKER.search(data, start)
    return marker.start() if marker else len(data)


def _require_restarts_in_order(segments: list[_Segment]) -> None:
    """Raise UnsuitableFile if a restart is missing or doubled: they are numbered in each scan."""
    number = 0
    for segment in segments:
        if segment.marker in _RESTARTS:
            if segment.marker != _RESTARTS[number % len(_RESTARTS)]:
                raise UnsuitableFile("is damaged (a piece of its compressed data is missing)")
            number += 1
        elif segment.marker == _SCAN:
            number = 0


def _require_whole_coefficients(segments: list[_Segment], components: int) -> None:
    """Raise UnsuitableFile if a scan is missing that refines what another one began.

    A scan holds bands of coefficients down to a bit, its last parameter; the last scan of each
    begun band must reach bit 0 (ITU-T T.81, G.1.1.1).
    """
    last_bits: dict[tuple[int, int], int] = {}
    for segment in segments:
        if segment.marker == _SCAN:
            count = segment.parameters[0]
            names = segment.parameters[1 : 1 + 2 * count : 2]
            first, last, bits = segment.parameters[1 + 2 * count : 4 + 2 * count]
            last_bits |= {(name, k): bits & 15 for name in names for k in range(first, last + 1)}
    means = [name for name, k in last_bits if k == 0]
    if len(means) != components or any(last_bits.values()):
        raise UnsuitableFile("is damaged (scans of a progressive JPEG are missing)")


def _extend_compressed_data(data: bytes, segments: list[_Segment]) -> bytes:
    """Return the file with noise behind each piece of compressed data, and behind the last piece of
    a scan as eight pieces more, numbered on.
    """
    content = bytearray()
    start = 0
    restarts = 0
    for segment, following in itertools.pairwise(segments):
        if segment.marker == _SCAN:
            restarts = 0
        elif segment.marker not in _RESTARTS:
            continue
        content += data[start : segment.data_end] + _NOISE
        start = segment.data_end
        if following.marker in _RESTARTS:
            restarts += 1
        else:
            markers = [_RESTARTS[(restarts + step) % len(_RESTARTS)] for step in range(8)]
            content += b"".join(bytes([0xFF, marker]) + _NOISE for marker in markers)
    return bytes(content + data[start:])


def encode_jpeg(levels: PixelLevels, tags: DisplayTags, quality: int) -> bytes:
    """Return levels of 8 bits as a JPEG file without chroma subsampling: H x W x 1 grey, or
    H x W x 3 RGB.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    image.save(
        buffer,
        "JPEG",
        quality=quality,
        subsampling=0,
        exif=encode_exif(tags),
        icc_profile=tags.icc_profile,
    )
    return buffer.getvalue()
