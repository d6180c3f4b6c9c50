"""TIFF with 8 or 16 bits per channel, or float32 where asked: read and written by tifffile, whose
decompressors are those of imagecodecs.

tifffile fills what a strip or tile lacks with zeros and drops what it has too much. So each one is
decompressed first and must hold exactly its part of the picture; nothing larger is ever made.
"""

from __future__ import annotations

import io
import itertools
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import tifffile

from benchmark.api import Picture
from benchmark.imageio.display_tags import (
    ORIENTATION,
    SRGB,
    DisplayTags,
    choose_display_tags,
)
from benchmark.imageio.levels import (
    MAX_PIXELS,
    DecoderRow,
    Header,
    PixelLevels,
    UnsuitableFile,
)

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ICC_PROFILE = 34675
_COLOUR_TAGS = {301: "a transfer function", 318: "a white point", 319: "primary colours"}
"""Tags by which a file says what its colours are; few programs write them."""
_FILL_ORDER = 266
_MOST_PAGES = 16
"""Pages that are looked at; in a file whose directories point at themselves they never end."""
_NUMBER_FORMATS = {
    (tifffile.SAMPLEFORMAT.UINT, 8),
    (tifffile.SAMPLEFORMAT.UINT, 16),
    (tifffile.SAMPLEFORMAT.IEEEFP, 32),
}
_COLOURS = {tifffile.PHOTOMETRIC.MINISBLACK: 1, tifffile.PHOTOMETRIC.RGB: 3}
_ALPHA = (tifffile.EXTRASAMPLE.UNASSALPHA, tifffile.EXTRASAMPLE.ASSOCALPHA)
_COMPRESSIONS = {
    tifffile.COMPRESSION.NONE: "not compressed",
    tifffile.COMPRESSION.LZW: "LZW",
    tifffile.COMPRESSION.PACKBITS: "PackBits",
    tifffile.COMPRESSION.ADOBE_DEFLATE: "Deflate",
    tifffile.COMPRESSION.DEFLATE: "Deflate",
    tifffile.COMPRESSION.ZSTD: "Zstandard",
    tifffile.COMPRESSION.LZMA: "LZMA",
}
"""What is read, with names for a person."""
_LOGGER = logging.getLogger("tifffile")
_PREDICTORS = {
    8: (tifffile.PREDICTOR.NONE, tifffile.PREDICTOR.HORIZONTAL),
    16: (tifffile.PREDICTOR.NONE, tifffile.PREDICTOR.HORIZONTAL),
    32: (tifffile.PREDICTOR.NONE, tifffile.PREDICTOR.FLOATINGPOINT),
}
"""What is read, by bits of a sample."""
_COMPRESSION_LEVEL = 1
"""Of Zstandard for floating-point numbers; higher ones take more time and save next to nothing."""


_LAYOUT = "by pixels or by planes, strips or tiles, either byte order, BigTIFF"
_STORAGE = f"{_LAYOUT}; {', '.join(dict.fromkeys(_COMPRESSIONS.values()))}"
DECODERS = tuple(
    DecoderRow(
        "TIFF", kind, "grey, RGB, opaque alpha", bits, f"{_STORAGE}; {predictors}", "TIFF tag",
        "tifffile", "libtiff of imagecodecs", asked_for,
    )
    for kind, bits, predictors, asked_for in (
        ("integers", (8, 16), "horizontal predictor or none", False),
        ("float", (32,), "floating-point predictor or none", True),
    )
)  # fmt: skip


class _Complaints(logging.Handler):
    """What tifffile says in one thread of the damage that it passes over."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


@contextmanager
def _refuse_what_is_passed_over() -> Iterator[None]:
    """Raise UnsuitableFile at the end of the block if tifffile had to say anything inside."""
    complaints = _Complaints()
    _LOGGER.addHandler(complaints)
    try:
        yield
    finally:
        _LOGGER.removeHandler(complaints)
    if complaints.messages:
        raise UnsuitableFile(f"is damaged ({complaints.messages[0]})")


@contextmanager
def _open_page(file: BinaryIO) -> Iterator[tifffile.TiffPage]:
    with _refuse_what_is_passed_over(), tifffile.TiffFile(file) as tiff:
        all_pages = itertools.islice(tiff.pages, _MOST_PAGES)
        whole_pages = [page for page in all_pages if isinstance(page, tifffile.TiffPage)]
        pages = [page for page in whole_pages if not page.is_reduced]
        if len(pages) != 1:
            raise UnsuitableFile(f"holds {len(pages)} TIFF pages, not one picture")
        yield pages[0]


def parse_tiff_header(file: BinaryIO) -> Header:
    """Return what the one page says.

    Raises:
        UnsuitableFile: several pages, or a kind of picture that is not read exactly.
    """
    with _open_page(file) as page:
        if (page.sampleformat, page.bitspersample) not in _NUMBER_FORMATS:
            raise UnsuitableFile(
                f"holds {page.bitspersample}-bit samples of TIFF format {page.sampleformat}"
            )
        if page.photometric not in _COLOURS:
            name = tifffile.PHOTOMETRIC(page.photometric).name
            raise UnsuitableFile(f"is a TIFF in {name}, not in grey or RGB")
        extra = page.samplesperpixel - _COLOURS[tifffile.PHOTOMETRIC(page.photometric)]
        if extra not in (0, 1) or (extra == 1 and page.extrasamples[0] not in _ALPHA):
            raise UnsuitableFile(f"holds {extra} channels beside its colours, which are no alpha")
        _require_known_storage(page)
        return Header(
            "TIFF", page.imagewidth, page.imagelength, page.samplesperpixel, page.bitspersample
        )


def _require_known_storage(page: tifffile.TiffPage) -> None:
    """Raise UnsuitableFile unless the page is compressed in a way that is read exactly."""
    if page.compression not in _COMPRESSIONS:
        name = tifffile.COMPRESSION(page.compression).name
        raise UnsuitableFile(f"is a TIFF with {name} compression")
    if page.predictor not in _PREDICTORS[page.bitspersample]:
        raise UnsuitableFile(f"is a TIFF with predictor {page.predictor}")
    if page.tags.valueof(_FILL_ORDER, 1) != 1:
        raise UnsuitableFile("is a TIFF whose bits are stored in reverse order")


def decode_tiff(data: bytes) -> PixelLevels:
    """Return the levels of the one page.

    Raises:
        UnsuitableFile: if a strip or tile does not hold its part of the picture.
    """
    with _open_page(io.BytesIO(data)) as page:
        _check_segments(page, data)
        levels: PixelLevels = page.asarray()
        return np.moveaxis(levels, 0, -1) if page.axes == "SYX" else levels


def _check_segments(page: tifffile.TiffPage, data: bytes) -> None:
    spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if page.is_tiled and page.tilelength * page.tilewidth > MAX_PIXELS:
        raise UnsuitableFile(f"has tiles of {page.tilewidth}x{page.tilelength} px")
    sizes = _list_segment_sizes(page, most=len(spans) + 1)
    # One strip that is longer than the picture is common where nothing is compressed.
    if len(spans) != len(sizes):
        raise UnsuitableFile(f"holds {len(spans)} strips or tiles, but needs {len(sizes)}")
    is_compressed = page.compression != tifffile.COMPRESSION.NONE
    for (offset, count), size in zip(spans, sizes, strict=True):
        if count <= 0 or offset + count > len(data) or (count < size and not is_compressed):
            raise UnsuitableFile("is truncated")
        if is_compressed:
            decompress = tifffile.TIFF.DECOMPRESSORS[page.compression]
            # One byte more than needed shows that there are too many.
            content = decompress(data[offset : offset + count], out=size + 1)
            if len(content) != size:
                raise UnsuitableFile("is damaged (a strip or tile has not the size of its part)")


def _list_segment_sizes(page: tifffile.TiffPage, most: int) -> list[int]:
    """Return how many bytes each strip or tile holds when it is not compressed, in their order.

    Args:
        page: the picture.
        most: sizes at most, as tiles of one pixel would be very many.
    """
    is_planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    planes = page.samplesperpixel if is_planar else 1
    pixel_bytes = page.bitspersample // 8 * page.samplesperpixel // planes
    if page.is_tiled:
        rows = -(-page.imagelength // page.tilelength)
        columns = -(-page.imagewidth // page.tilewidth)
        count = min(rows * columns * planes, most)
        return [page.tilelength * page.tilewidth * pixel_bytes] * count
    strip_rows = min(page.rowsperstrip, page.imagelength)
    starts = range(0, page.imagelength, strip_rows)
    heights = [min(strip_rows, page.imagelength - start) for start in starts[:most]]
    return [height * page.imagewidth * pixel_bytes for height in heights] * planes


def read_tiff_tags(file: BinaryIO) -> DisplayTags:
    """Return orientation, profile and colours."""
    with _open_page(file) as page:
        names = [name for number, name in _COLOUR_TAGS.items() if number in page.tags]
        return choose_display_tags(
            page.tags.valueof(ORIENTATION),
            page.tags.valueof(_ICC_PROFILE),
            f"{' and '.join(names)} in TIFF tags" if names else SRGB,
        )


def encode_tiff(levels: PixelLevels, tags: DisplayTags) -> bytes:
    """Return levels as a TIFF file, not compressed: H x W x 1 grey, H x W x 3 RGB, or H x W x 4
    with alpha. Of EXIF it holds the orientation only.
    """
    return _encode(levels, tags, {})


def encode_compressed_float(picture: Picture) -> bytes:
    """Return a float32 picture, H x W x 3, as a TIFF file that is compressed without loss, as
    Zstandard after the floating-point predictor.
    """
    options = {
        "compression": "zstd",
        "predictor": tifffile.PREDICTOR.FLOATINGPOINT,
        "compressionargs": {"level": _COMPRESSION_LEVEL},
    }
    return _encode(picture, DisplayTags(), options)


def _encode(levels: PixelLevels, tags: DisplayTags, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    orientation = [(ORIENTATION, "H", 1, tags.orientation, True)]
    channels = levels.shape[2]
    tifffile.imwrite(
        buffer,
        levels[..., 0] if channels == 1 else levels,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        iccprofile=tags.icc_profile,
        extratags=orientation,
        metadata=None,
        **options,
    )
    return buffer.getvalue()
