"""PNG with 8 or 16 bits per channel: read by OpenCV, palettes by Pillow; written by OpenCV.

Ancillary chunks are left out before decoding: profiles and gamma must not change pixels, nor make
libpng talk on stderr. Every checksum is verified, as some OpenCV versions decode a part.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from benchmark.imageio.display_tags import (
    DisplayTags,
    choose_display_tags,
    decode_orientation,
    encode_exif,
)
from benchmark.imageio.levels import Header, PixelLevels, UnsuitableFile
from benchmark.imageio.opencv import decode_with_opencv

MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
_LARGEST_PROFILE = 2**24
"""Bytes."""
_CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


def parse_png_header(file: BinaryIO) -> Header:
    """Return what the first chunk says."""
    start = file.read(33)
    kind, width, height, depth, colour, compression, filtering, interlace = struct.unpack(
        ">4sIIBBBBB", start[12:29]
    )
    if kind != b"IHDR" or struct.unpack(">I", start[29:33])[0] != zlib.crc32(start[12:29]):
        raise UnsuitableFile("has a damaged PNG header")
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise UnsuitableFile("has a PNG header that the standard does not know")
    return Header("PNG", width, height, _CHANNELS[colour], 16 if depth == 16 else 8)


def decode_png(data: bytes) -> PixelLevels:
    """Return the levels; a palette is looked up.

    Raises:
        UnsuitableFile: damaged, an animation, or with transparent colours.
    """
    chunks = list(_iterate_chunks(data))
    kinds = [kind for kind, _ in chunks]
    if b"acTL" in kinds:
        raise UnsuitableFile("is an animation")
    if kinds.count(b"IHDR") != 1:
        raise UnsuitableFile(f"holds {kinds.count(b'IHDR')} PNG headers")
    content = MAGIC + b"".join(chunk for kind, chunk in chunks if kind in _CRITICAL_CHUNKS)
    payloads = {kind: chunk[8:-4] for kind, chunk in chunks}
    is_palette = data[25] == _PALETTE
    if b"tRNS" in payloads and (not is_palette or payloads[b"tRNS"].strip(b"\xff")):
        raise UnsuitableFile("has transparent colours")
    if is_palette:
        return _look_up_palette(content, payloads.get(b"PLTE", b""))
    return decode_with_opencv(content)


def _look_up_palette(content: bytes, palette: bytes) -> PixelLevels:
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        indices = np.array(image)
    if indices.max() >= len(colours):
        raise UnsuitableFile(f"uses colour {indices.max()} of a palette of {len(colours)}")
    levels: PixelLevels = colours[indices]
    return levels


def _iterate_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, whole chunk) up to IEND, each with its checksum verified."""
    at = len(MAGIC)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise UnsuitableFile("is truncated")
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise UnsuitableFile("is truncated")
        if struct.unpack(">I", data[end - 4 : end])[0] != zlib.crc32(data[at + 4 : end - 4]):
            raise UnsuitableFile(f"is damaged (checksum of PNG chunk {kind!r})")
        yield kind, data[at:end]
        at = end


def read_png_tags(file: BinaryIO) -> DisplayTags:
    """Return orientation and profile from the chunks before and behind the pixels, which are passed
    over; of a truncated file, what there is of it.
    """
    file.seek(len(MAGIC))
    orientation = icc_profile = None
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            orientation = decode_orientation(file.read(length))
        elif kind == b"iCCP":
            icc_profile = _decompress_profile(file.read(length))
        else:
            file.seek(length, os.SEEK_CUR)
        file.seek(4, os.SEEK_CUR)  # the checksum
    return choose_display_tags(orientation, icc_profile)


def _decompress_profile(payload: bytes) -> bytes | None:
    """Return an ICC profile, None if it is damaged or absurdly large."""
    _, _, content = payload.partition(b"\0")
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(content[1:], _LARGEST_PROFILE)
    except zlib.error:
        return None
    return profile if decompressor.eof else None


def encode_png(levels: PixelLevels, tags: DisplayTags) -> bytes:
    """Return H x W x 3 RGB levels as a PNG file."""
    _, stream = cv2.imencode(".png", levels[..., ::-1])
    data = stream.tobytes()
    extra = b""
    if tags.icc_profile:
        extra += _build_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc_profile))
    if tags.orientation != 1:
        extra += _build_chunk(b"eXIf", encode_exif(tags).removeprefix(b"Exif\0\0"))
    return data[:33] + extra + data[33:]  # right behind IHDR, before the pixels


def _build_chunk(kind: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)
