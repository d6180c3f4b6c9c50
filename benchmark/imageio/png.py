"""PNG with 8 or 16 bits per channel: read by OpenCV, palettes by Pillow; written by OpenCV.

Ancillary chunks are left out before decoding: profiles and gamma must not change pixels, nor make
libpng talk on stderr. Every checksum is verified, as some OpenCV versions decode a part.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from benchmark.imageio.display_tags import (
    SRGB,
    DisplayTags,
    choose_display_tags,
    copy_exif,
    decode_exif,
    encode_exif,
    read_exif_colours,
    read_orientation,
)
from benchmark.imageio.levels import DecoderRow, Header, PixelLevels, UnsuitableFile
from benchmark.imageio.opencv import decode_with_opencv

MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
_CHANNELS_OF_OPENCV = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
"""By their number: it stores blue first."""
_LARGEST_PROFILE = 2**24
"""Bytes."""
_MOST_CHUNKS = 2**20
"""More than a picture of the largest size has."""
_CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_TAG_CHUNKS = frozenset({b"eXIf", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"})
_NO_PROFILE = b"damaged"
"""Stands for a profile that cannot be read."""
_SRGB_GAMMA = 1 / 2.2
_SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green and blue."""
_SRGB_CODE_POINTS = bytes([1, 13, 0, 1])


_STORAGE = "any filter, interlaced or not"
DECODERS = (
    DecoderRow(
        "PNG", "grey and RGB, few bits", "grey, RGB, opaque alpha", (1, 2, 4, 8), _STORAGE, "EXIF",
        "OpenCV", "imagecodecs",
    ),
    DecoderRow(
        "PNG", "grey and RGB, 16 bits", "grey, RGB, opaque alpha", (16,), _STORAGE, "EXIF",
        "OpenCV", "imagecodecs",
    ),
    DecoderRow(
        "PNG", "palette", "palette without transparent colours", _DEPTHS[_PALETTE], _STORAGE,
        "EXIF", "Pillow", "OpenCV",
    ),
)  # fmt: skip


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
    for kind in kinds:
        if kind[:1].isupper() and kind not in _CRITICAL_CHUNKS:
            raise UnsuitableFile(f"holds a critical PNG chunk {kind!r}, which no standard knows")
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
    count = 0
    while kind != b"IEND":
        count += 1
        if count > _MOST_CHUNKS:
            raise UnsuitableFile(f"holds more than {_MOST_CHUNKS} PNG chunks")
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
    """Return orientation, profile and colours from the chunks before and behind the pixels, which
    are passed over; of a truncated file, what there is of it.
    """
    file.seek(len(MAGIC))
    payloads: dict[bytes, bytes] = {}
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            break
        is_tag = kind in _TAG_CHUNKS and length <= _LARGEST_PROFILE
        if is_tag:
            payloads.setdefault(kind, file.read(length))
        file.seek(4 if is_tag else length + 4, os.SEEK_CUR)  # 4 bytes are the checksum
    exif_content = payloads.get(b"eXIf", b"")
    exif = decode_exif(exif_content)
    profile = _decompress_profile(payloads[b"iCCP"]) if b"iCCP" in payloads else None
    colours = _name_chunk_colours(payloads)
    if colours == SRGB:
        colours = read_exif_colours(exif)
    tags = choose_display_tags(read_orientation(exif), profile, colours, copy_exif(exif_content))
    if b"cICP" in payloads:  # goes before a profile
        return replace(tags, colour_space=colours)
    return tags


def _name_chunk_colours(payloads: Mapping[bytes, bytes]) -> str:
    """Return what the chunks beside the profile say of the colours, the first that counts."""
    try:
        if b"cICP" in payloads:
            code_points = payloads[b"cICP"]
            is_srgb = code_points == _SRGB_CODE_POINTS
            return SRGB if is_srgb else f"code points {code_points[:4].hex(' ')} in a PNG chunk"
        if b"sRGB" in payloads:
            return SRGB
        if b"gAMA" in payloads:
            gamma = struct.unpack(">I", payloads[b"gAMA"])[0] / 100_000
            if abs(gamma - _SRGB_GAMMA) > 0.01:
                return f"gamma {gamma:g} in a PNG chunk"
        if b"cHRM" in payloads:
            numbers = struct.unpack(">8I", payloads[b"cHRM"])
            if any(
                abs(number / 100_000 - usual) > 0.005
                for number, usual in zip(numbers, _SRGB_CHROMATICITIES, strict=True)
            ):
                return "primary colours in a PNG chunk"
    except struct.error:
        return "colours in a damaged PNG chunk"
    return SRGB


def _decompress_profile(payload: bytes) -> bytes:
    """Return an ICC profile; what no reader takes for one if it is damaged or absurdly large."""
    _, _, content = payload.partition(b"\0")
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(content[1:], _LARGEST_PROFILE)
    except zlib.error:
        return _NO_PROFILE
    return profile if decompressor.eof and profile else _NO_PROFILE


def encode_png(levels: PixelLevels, tags: DisplayTags) -> bytes:
    """Return levels as a PNG file: H x W x 1 grey, H x W x 3 RGB, or H x W x 4 with alpha."""
    _, stream = cv2.imencode(".png", levels[..., _CHANNELS_OF_OPENCV[levels.shape[2]]])
    data = stream.tobytes()
    extra = b""
    if tags.icc_profile:
        extra += _build_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc_profile))
    exif = encode_exif(tags)
    if exif:
        extra += _build_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return data[:33] + extra + data[33:]  # right behind IHDR, before the pixels


def _build_chunk(kind: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)
