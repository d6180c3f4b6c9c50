"""Exact pictures in and out: PNG and TIFF at 8 or 16 bits per channel, JPEG at 8.

What is promised, and tested:

* Pixels are read *as stored*. EXIF orientation, ICC profile and gamma chunks change nothing, so
  that a benchmark sees the numbers in the file. A person's photograph keeps its looks because
  `write(..., like=source)` copies orientation and ICC profile of the source to the output instead.
* The bit depth of the file survives. Most readers silently turn a 16-bit RGB PNG into 8 bits
  (Pillow, and OpenCV with its default flags); here a decoder that returns another depth than the
  header declares is an error.
* v / 255 and v / 65535 in float32 come back as exactly v.
* Nothing is half-read: truncated, damaged, absurdly large or unsuitable files raise DataError.
* Grey becomes RGB by repetition, a palette is looked up, alpha is *dropped*, not composited: the
  colour values are those stored, also under transparent pixels.
* The format is recognised by content, never by suffix. Writing goes by suffix and is atomic.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.api import BenchmarkError, DataError, Picture, UsageError, as_picture
from benchmark.files import replace_file

MAX_PIXELS: Final = 178_956_970
"""Largest picture that is decoded; a header that claims more is taken for damage (Pillow draws the
same line).
"""

PictureFormat = Literal["PNG", "JPEG", "TIFF"]
PixelLevels = NDArray[np.uint8] | NDArray[np.uint16]

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_JPEG_CHANNELS = {"L": 1, "RGB": 3}
_ORIENTATION = 274
_ICC_PROFILE = 34675
_TIFFFILE_READS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
)
_EXPECTED = "expected a PNG or TIFF with 8 or 16 bits per channel, or an 8-bit JPEG"

logging.getLogger("tifffile").addHandler(
    logging.NullHandler()
)  # it reports damage on stderr; we raise instead


class _UnsuitableFile(Exception):
    """What is wrong with the bytes; the public functions add the file's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its picture.
    `bit_depth` is 8 or 16; PNG's 1, 2 and 4 bits count as 8.
    """

    format: PictureFormat
    width: int
    height: int
    channels: int
    bit_depth: int


@dataclass(frozen=True, slots=True)
class DisplayTags:
    """What a viewer needs to show stored pixels as intended: EXIF orientation (1 to 8) and an RGB
    ICC profile.
    """

    orientation: int = 1
    icc_profile: bytes | None = None


def read_header(path: Path) -> Header:
    """Return the header of a picture file without decoding it.

    Raises:
        DataError: if the file is missing or is not a picture that `read` accepts.
    """
    with _name_file_in_errors(path), path.open("rb") as file:
        return _parse_header(file)


def read(path: Path) -> tuple[Picture, int]:
    """Return (picture, bits per channel of the file): H x W x 3 float32 RGB in [0, 1], pixels as
    stored.

    Raises:
        DataError: if the file is missing, damaged, or not a picture of a kind this module reads
            exactly.
    """
    with _name_file_in_errors(path):
        data = path.read_bytes()
        header = _parse_header(io.BytesIO(data))
        pixels = _DECODERS[header.format](data)
        _check_decoded(pixels, header)
        return _levels_to_rgb(pixels), header.bit_depth


def read_display_tags(path: Path) -> DisplayTags:
    """Return orientation and ICC profile of a picture file; raises DataError as `read_header`
    does.
    """
    with _name_file_in_errors(path), path.open("rb") as file:
        if _parse_header(file).format == "TIFF":
            return _read_tiff_tags(file)
        with _open_with_pillow(file) as image:
            return _check_display_tags(
                image.getexif().get(_ORIENTATION), image.info.get("icc_profile")
            )


def write(
    path: Path, picture: Picture, bit_depth: int, *, like: Path | None = None, quality: int = 95
) -> None:
    """Write a picture atomically in the format its suffix names.

    Values are clamped to [0, 1], scaled to the bit depth and rounded to the nearest integer, half
    to even.

    Args:
        path: .png, .tif, .tiff, or (8 bits only) .jpg, .jpeg; an existing file is replaced as a
            whole or not at all.
        picture: H x W x 3 float32 RGB.
        bit_depth: 8 or 16.
        like: a picture file whose orientation and ICC profile the output takes over; no other
            metadata is copied.
        quality: JPEG quality, 1 to 100; JPEGs are written without chroma subsampling.

    Raises:
        UsageError: if suffix, bit depth and quality do not fit together.
        DataError: if the file cannot be written, or `like` cannot be read.
        ValueError: if `picture` is not a finite H x W x 3 float32 array.
    """
    encode = _choose_encoder(path, bit_depth, quality)
    top = 2**bit_depth - 1
    levels = np.rint(np.clip(as_picture(picture), 0, 1).astype(np.float64) * top)
    tags = read_display_tags(like) if like else DisplayTags()
    data = encode(levels.astype(np.uint8 if bit_depth == 8 else np.uint16), tags)
    with replace_file(path) as file:
        file.write(data)


def read_array(path: Path) -> NDArray[np.float32]:
    """Return a float32 array written by `write_array`.

    Raises:
        DataError: if the file is missing, damaged, or holds anything but one float32 array.
    """
    with _name_file_in_errors(
        path, "expected a .npy file of float32; run the command that made it again"
    ):
        # Mapping first compares the header's shape with the file's size before any memory is taken.
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(content, np.ndarray) or content.dtype != np.float32:
            raise _UnsuitableFile(f"holds {getattr(content, 'dtype', 'an archive')}")
        return np.array(content)


def write_array(path: Path, array: NDArray[np.float32]) -> None:
    """Write a float32 array, unclamped, as .npy, atomically.

    Raises:
        ValueError: if it is not float32.
        DataError: if the file cannot be written.
    """
    if array.dtype != np.float32:
        raise ValueError(f"expected a float32 array, got {array.dtype}")
    with replace_file(path) as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def _name_file_in_errors(path: Path, expectation: str = _EXPECTED) -> Iterator[None]:
    """Turn whatever goes wrong inside into a DataError that names the file."""
    try:
        yield
    except BenchmarkError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {expectation}") from error
    except _UnsuitableFile as error:
        raise DataError(f"{path}: {error}; {expectation}. Restore or convert the file") from error
    except Exception as error:  # decoders raise anything on damaged bytes
        raise DataError(
            f"{path}: cannot be read ({error}); {expectation}. Restore or convert the file"
        ) from error


def _parse_header(file: BinaryIO) -> Header:
    magic = file.read(8)
    file.seek(0)
    if magic == _PNG_MAGIC:
        header = _parse_png_header(file.read(33))
    elif magic.startswith(_JPEG_MAGIC):
        header = _parse_jpeg_header(file)
    elif magic.startswith(_TIFF_MAGICS):
        header = _parse_tiff_header(file)
    else:
        raise _UnsuitableFile("is not a PNG, TIFF or JPEG file" if magic else "is empty")
    file.seek(0)
    if not 0 < header.width * header.height <= MAX_PIXELS:
        raise _UnsuitableFile(
            f"claims {header.width}x{header.height} px, outside the limit of {MAX_PIXELS} pixels"
        )
    return header


def _check_decoded(pixels: PixelLevels, header: Header) -> None:
    """Refuse a decoder's result that is not what the header declares."""
    header_form = (header.height, header.width, header.bit_depth)
    pixel_form = (*pixels.shape[:2], 8 * pixels.dtype.itemsize)
    if pixel_form != header_form:
        raise _UnsuitableFile(
            f"decodes to (height, width, bits) {pixel_form}, but its header declares {header_form}"
        )


def _levels_to_rgb(pixels: PixelLevels) -> Picture:
    planes = pixels.reshape(*pixels.shape[:2], -1)
    is_grey = planes.shape[2] < 3
    colour = np.repeat(planes[..., :1], 3, axis=2) if is_grey else planes[..., :3]
    return colour.astype(np.float32, order="C") / np.float32(np.iinfo(pixels.dtype).max)


# PNG
# --------------------------------------------------------------------------------------------------


def _parse_png_header(start: bytes) -> Header:
    kind, width, height, depth, colour = struct.unpack(">4sIIBB", start[12:26])
    if kind != b"IHDR" or struct.unpack(">I", start[29:33])[0] != zlib.crc32(start[12:29]):
        raise _UnsuitableFile("has a damaged PNG header")
    return Header("PNG", width, height, _PNG_CHANNELS[colour], 16 if depth == 16 else 8)


def _decode_png(data: bytes) -> PixelLevels:
    # Ancillary chunks are left out: profiles and gamma must not change pixels, nor make libpng talk
    # on stderr.
    critical_chunks = b"".join(
        chunk
        for kind, chunk in _iterate_png_chunks(data)
        if kind in {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    )
    return _decode_with_opencv(_PNG_MAGIC + critical_chunks)


def _iterate_png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, whole chunk) up to IEND, each with its checksum verified: some OpenCV versions
    decode a part.
    """
    at = len(_PNG_MAGIC)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise _UnsuitableFile("is truncated")
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise _UnsuitableFile("is truncated")
        if struct.unpack(">I", data[end - 4 : end])[0] != zlib.crc32(data[at + 4 : end - 4]):
            raise _UnsuitableFile(f"is damaged (checksum of PNG chunk {kind!r})")
        yield kind, data[at:end]
        at = end


def _decode_with_opencv(data: bytes) -> PixelLevels:
    """Decode to RGB order or grey; IMREAD_UNCHANGED is the flag that keeps 16 bits and ignores
    orientation.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise _UnsuitableFile("cannot be decoded")
    if pixels.ndim == 3:
        pixels = pixels[..., 2::-1]
    return cast("PixelLevels", pixels)


def _encode_png(levels: PixelLevels, tags: DisplayTags) -> bytes:
    _, stream = cv2.imencode(".png", levels[..., ::-1])
    data = stream.tobytes()
    extra = b""
    if tags.icc_profile:
        extra += _build_png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc_profile))
    if tags.orientation != 1:
        extra += _build_png_chunk(b"eXIf", _encode_exif(tags).removeprefix(b"Exif\0\0"))
    return data[:33] + extra + data[33:]  # right behind IHDR, before the pixels


def _build_png_chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


# JPEG
# --------------------------------------------------------------------------------------------------


@contextmanager
def _open_with_pillow(file: BinaryIO) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata and large sizes; sizes have their own limit
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            yield image


def _parse_jpeg_header(file: BinaryIO) -> Header:
    with _open_with_pillow(file) as image:
        if image.mode not in _JPEG_CHANNELS:
            raise _UnsuitableFile(f"is a JPEG in {image.mode}, not in grey or RGB")
        return Header("JPEG", *image.size, _JPEG_CHANNELS[image.mode], 8)


def _decode_jpeg(data: bytes) -> PixelLevels:
    with _open_with_pillow(io.BytesIO(data)) as image:  # refuses files without their end marker
        return np.array(image)


def _encode_jpeg(levels: PixelLevels, tags: DisplayTags, quality: int) -> bytes:
    buffer = io.BytesIO()
    exif = _encode_exif(tags) if tags.orientation != 1 else b""
    image = Image.fromarray(levels)
    image.save(
        buffer, "JPEG", quality=quality, subsampling=0, exif=exif, icc_profile=tags.icc_profile
    )
    return buffer.getvalue()


def _encode_exif(tags: DisplayTags) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = tags.orientation
    return exif.tobytes()


# TIFF
# --------------------------------------------------------------------------------------------------


@contextmanager
def _open_tiff_page(file: BinaryIO) -> Iterator[tifffile.TiffPage]:
    with tifffile.TiffFile(file) as tiff:
        whole_pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
        pages = [page for page in whole_pages if not page.is_reduced]
        if len(pages) != 1:
            raise _UnsuitableFile(f"holds {len(pages)} TIFF pages, not one picture")
        yield pages[0]


def _parse_tiff_header(file: BinaryIO) -> Header:
    with _open_tiff_page(file) as page:
        if page.sampleformat != tifffile.SAMPLEFORMAT.UINT or page.bitspersample not in (8, 16):
            raise _UnsuitableFile(
                f"holds {page.bitspersample}-bit samples of TIFF format {page.sampleformat}"
            )
        if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            raise _UnsuitableFile(
                f"is a TIFF in {tifffile.PHOTOMETRIC(page.photometric).name}, not in grey or RGB"
            )
        return Header(
            "TIFF", page.imagewidth, page.imagelength, page.samplesperpixel, page.bitspersample
        )


def _decode_tiff(data: bytes) -> PixelLevels:
    with _open_tiff_page(io.BytesIO(data)) as page:
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if not spans or any(count <= 0 or offset + count > len(data) for offset, count in spans):
            raise _UnsuitableFile("is truncated")
        if page.compression in _TIFFFILE_READS and page.predictor == tifffile.PREDICTOR.NONE:
            pixels = page.asarray()
            if page.axes == "SYX":
                return np.moveaxis(pixels, 0, -1)
            return pixels
        # LZW and others need an optional package of tifffile. OpenCV reads them, with its own ideas
        # of the rest.
        if page.samplesperpixel in (1, 3) and page.tags.valueof(_ORIENTATION, 1) == 1:
            return _decode_with_opencv(data)
        raise _UnsuitableFile(
            f"combines {tifffile.COMPRESSION(page.compression).name} compression with alpha or an "
            "orientation"
        )


def _read_tiff_tags(file: BinaryIO) -> DisplayTags:
    with _open_tiff_page(file) as page:
        return _check_display_tags(page.tags.valueof(_ORIENTATION), page.tags.valueof(_ICC_PROFILE))


def _encode_tiff(levels: PixelLevels, tags: DisplayTags) -> bytes:
    buffer = io.BytesIO()
    orientation = [(_ORIENTATION, "H", 1, tags.orientation, True)]
    tifffile.imwrite(
        buffer,
        levels,
        photometric="rgb",
        iccprofile=tags.icc_profile,
        extratags=orientation,
        metadata=None,
    )
    return buffer.getvalue()


# --------------------------------------------------------------------------------------------------


def _check_display_tags(orientation: object, icc_profile: object) -> DisplayTags:
    """Keep what is meaningful for an RGB output: a grey or CMYK profile (bytes 16-19 name its
    colour space) is not.
    """
    tags = DisplayTags()
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        tags = replace(tags, orientation=orientation)
    if isinstance(icc_profile, bytes) and icc_profile[16:20] == b"RGB ":
        tags = replace(tags, icc_profile=icc_profile)
    return tags


def _choose_encoder(
    path: Path, bit_depth: int, quality: int
) -> Callable[[PixelLevels, DisplayTags], bytes]:
    suffix = path.suffix.lower()
    if bit_depth not in (8, 16):
        raise UsageError(f"{path}: bit depth must be 8 or 16, not {bit_depth}")
    if not 1 <= quality <= 100:
        raise UsageError(f"{path}: JPEG quality must be 1 to 100, not {quality}")
    if suffix == ".png":
        return _encode_png
    if suffix in {".tif", ".tiff"}:
        return _encode_tiff
    if suffix in {".jpg", ".jpeg"} and bit_depth == 8:
        return lambda levels, tags: _encode_jpeg(levels, tags, quality)
    raise UsageError(
        f"{path}: cannot hold {bit_depth} bits per channel; use .png or .tif (or .jpg for 8 bits)"
    )


_DECODERS: Final[dict[PictureFormat, Callable[[bytes], PixelLevels]]] = {
    "PNG": _decode_png,
    "JPEG": _decode_jpeg,
    "TIFF": _decode_tiff,
}
