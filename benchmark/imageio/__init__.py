"""Exact pictures in and out.

Read are PNG, TIFF, PPM and PGM with 8 or 16 bits per channel, and JPEG, BMP and WebP. The format is
recognised by content, never by suffix. What is promised, and tested on a corpus of files of all
kinds:

* Pixels are read *as stored*. EXIF orientation, ICC profile and gamma chunks change nothing, so
  that a benchmark sees the numbers in the file. A person's photograph keeps its looks because
  `write(..., like=source)` copies orientation, ICC profile and EXIF of the source to the
  output instead; a grey picture stays grey, and transparent pixels stay so.
* The bit depth of the file survives. Most readers silently turn a 16-bit RGB PNG into 8 bits
  (Pillow, and OpenCV with its default flags); here a decoder that returns another depth than the
  header declares is an error.
* v / 255 and v / 65535 in float32 come back as exactly v.
* Nothing is half-read or guessed: truncated, damaged, absurdly large or unsuitable files raise
  DataError, and so does a picture with transparent pixels, or of a kind that is not in the table.
* Grey becomes RGB by repetition, a palette is looked up, alpha that is opaque everywhere is left
  out.

Writing goes by suffix and is atomic.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.api import BenchmarkError, DataError, Picture, UsageError, as_picture
from benchmark.files import replace_file
from benchmark.imageio import bmp, jpeg, pillow, png, pnm, tiff
from benchmark.imageio.display_tags import SRGB, DisplayTags
from benchmark.imageio.levels import (
    MAX_PIXELS,
    DecoderRow,
    Header,
    PixelLevels,
    UnsuitableFile,
    check_levels,
    check_size,
    convert_to_rgb,
    read_alpha,
)
from benchmark.imageio.opencv import decode_with_opencv

_EXPECTED = "expected a PNG, TIFF, PPM or PGM with 8 or 16 bits per channel, or a JPEG, BMP or WebP"
_MAKE_AGAIN = "delete it and run the command that made it again"
_LARGEST_FILE = 16 * MAX_PIXELS
"""Bytes; no picture of the largest size needs more."""
_LONGEST_MAGIC = 12
_SUFFIXES_WITH_ALPHA = {".png", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class _Format:
    """A row of the table of formats.

    Attributes:
        matches: whether the first bytes of a file are this format's.
        parse_header, decode: as the module of the format documents them.
        read_display_tags: None for formats that have none.
    """

    matches: Callable[[bytes], bool]
    parse_header: Callable[[BinaryIO], Header]
    decode: Callable[[bytes], PixelLevels]
    read_display_tags: Callable[[BinaryIO], DisplayTags] | None


_FORMATS: Final = (
    _Format(
        lambda start: start.startswith(png.MAGIC),
        png.parse_png_header,
        png.decode_png,
        png.read_png_tags,
    ),
    _Format(
        lambda start: start.startswith(jpeg.MAGIC),
        jpeg.parse_jpeg_header,
        jpeg.decode_jpeg,
        pillow.read_image_tags,
    ),
    _Format(
        lambda start: start.startswith(tiff.MAGICS),
        tiff.parse_tiff_header,
        tiff.decode_tiff,
        tiff.read_tiff_tags,
    ),
    _Format(
        lambda start: start.startswith(bmp.MAGIC),
        bmp.parse_bmp_header,
        bmp.decode_bmp,
        None,
    ),
    _Format(
        lambda start: start[:4] == b"RIFF" and start[8:] == b"WEBP",
        partial(pillow.parse_image_header, picture_format="WebP"),
        pillow.decode_with_pillow,
        pillow.read_image_tags,
    ),
    _Format(lambda start: start.startswith(pnm.MAGICS), pnm.parse_pnm_header, pnm.decode_pnm, None),
    _Format(
        lambda start: start.startswith(pnm.PFM_MAGICS),
        pnm.parse_pfm_header,
        decode_with_opencv,
        None,
    ),
)


def read_header(path: Path, *, allow_float: bool = False) -> Header:
    """Return the header of a picture file without decoding it.

    Raises:
        DataError: if the file is missing or is not a picture that `read` accepts.
    """
    with _name_file_in_errors(path), _open_picture(path) as file:
        return _parse_header(file, allow_float)


def read(
    path: Path, *, allow_float: bool = False, allow_transparent: bool = False
) -> tuple[Picture, int]:
    """Return (picture, bits per channel of the file): H x W x 3 float32 RGB in [0, 1], pixels as
    stored.

    Args:
        path: the file.
        allow_float: whether a TIFF or PFM of float32 is read too, as 32 bits and as it is: it may
            leave [0, 1], as a restored picture does.
        allow_transparent: whether pixels may be transparent; their stored colour counts, as in a
            mask.

    Raises:
        DataError: if the file is missing, damaged, or not a picture of a kind this module reads
            exactly.
    """
    with _name_file_in_errors(path), _open_picture(path) as file:
        header = _parse_header(file, allow_float)
        return convert_to_rgb(_decode(file, header), allow_transparent), header.bit_depth


def list_decoders() -> tuple[DecoderRow, ...]:
    """Return the table of what is read; everything else is refused."""
    return (
        *png.DECODERS,
        *tiff.DECODERS,
        *jpeg.DECODERS,
        *bmp.DECODERS,
        *pillow.WEBP_DECODERS,
        *pnm.DECODERS,
    )


def is_picture(path: Path) -> bool:
    """Return whether a file begins like a picture of a format that is read, whatever it is
    called.
    """
    try:
        with _open_picture(path) as file:
            _recognise_format(file.read(_LONGEST_MAGIC))
    except (OSError, UnsuitableFile):
        return False
    return True


def read_display_tags(path: Path) -> DisplayTags:
    """Return orientation, ICC profile, colour space and EXIF of a picture file; raises
    DataError as `read_header` does.
    """
    with _name_file_in_errors(path), _open_picture(path) as file:
        _parse_header(file, allow_float=True)
        read_tags = _recognise_format(file.read(_LONGEST_MAGIC)).read_display_tags
        file.seek(0)
        return DisplayTags() if read_tags is None else read_tags(file)


def write(
    path: Path, picture: Picture, bit_depth: int, *, like: Path | None = None, quality: int = 95
) -> None:
    """Write a picture atomically in the format its suffix names.

    Values are clamped to [0, 1], scaled to the bit depth and rounded to the nearest integer, half
    to even.

    Args:
        path: .png, .tif, .tiff, .ppm, or (8 bits only) .jpg, .jpeg; an existing file is replaced as
            a whole or not at all.
        picture: H x W x 3 float32 RGB.
        bit_depth: 8 or 16.
        like: a picture file of the same size whose orientation, ICC profile, EXIF (not in TIFF)
            and transparency the output takes over; no other metadata is copied. If it is
            grey, the output is the mean of the three channels. Grey with transparency becomes RGB.
        quality: JPEG quality, 1 to 100; JPEGs are written without chroma subsampling.

    Raises:
        UsageError: if suffix, bit depth, quality and transparency do not fit together.
        DataError: if the file cannot be written, or `like` cannot be read.
        ValueError: if `picture` is not a finite H x W x 3 float32 array.
    """
    encode = _choose_encoder(path, bit_depth, quality)
    planes = as_picture(picture)
    tags = DisplayTags()
    if like is not None:
        planes = _take_over_channels(planes, like)
        tags = read_display_tags(like).fit_channels(planes.shape[2])
    if planes.shape[2] == 4 and path.suffix.lower() not in _SUFFIXES_WITH_ALPHA:
        raise UsageError(f"{path}: cannot hold the transparency of {like}; use .png or .tif")
    top = 2**bit_depth - 1
    levels = np.rint(np.clip(planes, 0, 1).astype(np.float64) * top)
    data = encode(levels.astype(np.uint8 if bit_depth == 8 else np.uint16), tags)
    with replace_file(path) as file:
        file.write(data)


def _take_over_channels(picture: Picture, like: Path) -> NDArray[np.float32]:
    """Return a picture as H x W x 1 where a file is grey, as H x W x 4 where it has transparent
    pixels, else as it is.
    """
    with _name_file_in_errors(like), _open_picture(like) as file:
        header = _parse_header(file, allow_float=True)
        if header.channels == 3:
            return picture
        levels = _decode(file, header).reshape(header.height, header.width, -1)
    alpha = read_alpha(levels)
    is_grey = levels.shape[2] <= 2
    planes = picture.mean(axis=2, keepdims=True) if is_grey else picture
    if alpha is None:
        return planes
    if alpha.shape != picture.shape[:2]:
        raise UsageError(
            f"{like}: is {alpha.shape[1]}x{alpha.shape[0]}, the picture that is to take over its "
            f"transparency {picture.shape[1]}x{picture.shape[0]}"
        )
    colour = np.broadcast_to(planes, picture.shape)
    return np.concatenate([colour, alpha[..., None]], axis=2)


def write_float_tiff(path: Path, picture: Picture) -> None:
    """Write a picture atomically as a TIFF of float32, exactly and unclamped.

    Raises:
        DataError: if the file cannot be written.
        ValueError: if `picture` is not a finite H x W x 3 float32 array.
    """
    data = tiff.encode_tiff(as_picture(picture), DisplayTags())
    with replace_file(path) as file:
        file.write(data)


def write_output(path: Path, picture: Picture) -> None:
    """Write a restored picture atomically as a TIFF of float32 that is compressed without loss.

    Args:
        path: ends in .tif.
        picture: H x W x 3 float32, not clamped; `round_to_half` makes the file half as large.

    Raises:
        DataError: if the file cannot be written.
        ValueError: if `picture` is not a finite H x W x 3 float32 array.
    """
    data = tiff.encode_compressed_float(as_picture(picture))
    with replace_file(path) as file:
        file.write(data)


def read_output(path: Path, digest: str | None = None) -> Picture:
    """Return a restored picture that a run has stored, H x W x 3 float32, not clamped.

    Args:
        path: a file of `write_output`, or the .npy that earlier releases wrote.
        digest: what `digest_array` gave when it was written; None where nobody kept it.

    Raises:
        DataError: if the file is missing, damaged, holds anything but one float32 picture, or has
            another digest.
    """
    if path.suffix == ".npy":
        picture = _read_any_array(path)
    else:
        picture, bit_depth = read(path, allow_float=True)
        if bit_depth != 32:
            raise DataError(f"{path}: holds integers, not what a run has stored; {_MAKE_AGAIN}")
    _require_digest(path, picture, digest)
    try:
        return as_picture(picture)
    except ValueError as error:
        raise DataError(f"{path}: holds no picture ({error}); {_MAKE_AGAIN}") from error


def round_to_half(picture: Picture) -> Picture:
    """Return a float32 picture whose numbers are those of half precision (float16): in [0, 1] they
    differ by 0.07 of 255 at most. Numbers beyond its range become its largest.
    """
    top = np.finfo(np.float16).max
    return np.clip(picture, -top, top).astype(np.float16).astype(np.float32)


def digest_array(array: NDArray[np.float32]) -> str:
    """Return a hex digest of an array's shape and numbers, the same on every machine and however a
    file holds them.
    """
    content = np.ascontiguousarray(array, dtype="<f4")
    digest = hashlib.blake2b(f"{content.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(content.ravel().data)
    return digest.hexdigest()


def read_array(path: Path, digest: str | None = None) -> NDArray[np.float32]:
    """Return a float32 array written by `write_array`.

    Args:
        path: the file.
        digest: what `digest_array` gave when it was written; None where nobody kept it.

    Raises:
        DataError: if the file is missing, damaged, holds anything but one float32 array, or has
            another digest.
    """
    array = _read_any_array(path)
    _require_digest(path, array, digest)
    return array


def _require_digest(path: Path, array: NDArray[np.float32], digest: str | None) -> None:
    if digest is not None and digest_array(array) != digest:
        raise DataError(
            f"{path}: does not hold the numbers that were written into it; {_MAKE_AGAIN}"
        )


def _read_any_array(path: Path) -> NDArray[np.float32]:
    with _name_file_in_errors(
        path, "expected a .npy file of float32; run the command that made it again"
    ):
        return np.array(_map_array(path))


def is_array_file(path: Path) -> bool:
    """Return whether a file is one of `write_array` by its header and its size; its values are not
    read.
    """
    try:
        _map_array(path)
    except Exception:  # numpy raises anything on damaged bytes
        return False
    return True


def _map_array(path: Path) -> NDArray[np.float32]:
    # Mapping compares the header's shape with the file's size before any memory is taken.
    content = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(content, np.ndarray) or content.dtype != np.float32:
        raise UnsuitableFile(f"holds {getattr(content, 'dtype', 'an archive')}")
    return content


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
    except UnsuitableFile as error:
        raise DataError(f"{path}: {error}; {expectation}. Restore or convert the file") from error
    except Exception as error:  # decoders raise anything on damaged bytes
        raise DataError(
            f"{path}: cannot be read ({error}); {expectation}. Restore or convert the file"
        ) from error


@contextmanager
def _open_picture(path: Path) -> Iterator[BinaryIO]:
    """Open an ordinary file of a size that a picture may have; a pipe would be waited for."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UnsuitableFile("is not a file")
    if facts.st_size > _LARGEST_FILE:
        raise UnsuitableFile(f"has {facts.st_size} bytes, more than any picture that is read")
    with path.open("rb") as file:
        yield file


def _recognise_format(data: bytes) -> _Format:
    start = data[:_LONGEST_MAGIC]
    for picture_format in _FORMATS:
        if picture_format.matches(start):
            return picture_format
    raise UnsuitableFile("is not a picture of a format that is read" if start else "is empty")


def _parse_header(file: BinaryIO, allow_float: bool) -> Header:
    picture_format = _recognise_format(file.read(_LONGEST_MAGIC))
    file.seek(0)
    header = picture_format.parse_header(file)
    file.seek(0)
    check_size(header)
    if header.bit_depth == 32 and not allow_float:
        raise UnsuitableFile("holds floating-point numbers")
    return header


def _decode(file: BinaryIO, header: Header) -> PixelLevels:
    """Return the levels of an open file, which must be what its header declares."""
    data = file.read()
    levels = _recognise_format(data).decode(data)
    check_levels(levels, header)
    return levels


def choose_suffix(path: Path, bit_depth: int) -> str:
    """Return the suffix of a path if a picture of this depth can be written under it, else
    .png.
    """
    try:
        _choose_encoder(path, bit_depth, quality=95)
    except UsageError:
        return ".png"
    return path.suffix


def _choose_encoder(
    path: Path, bit_depth: int, quality: int
) -> Callable[[PixelLevels, DisplayTags], bytes]:
    suffix = path.suffix.lower()
    if bit_depth not in (8, 16):
        raise UsageError(f"{path}: bit depth must be 8 or 16, not {bit_depth}")
    if not 1 <= quality <= 100:
        raise UsageError(f"{path}: JPEG quality must be 1 to 100, not {quality}")
    if suffix == ".png":
        return png.encode_png
    if suffix in {".tif", ".tiff"}:
        return tiff.encode_tiff
    if suffix == ".ppm":
        return lambda levels, _: pnm.encode_pnm(levels)
    if suffix in {".jpg", ".jpeg"} and bit_depth == 8:
        return partial(jpeg.encode_jpeg, quality=quality)
    raise UsageError(
        f"{path}: cannot hold {bit_depth} bits per channel; use .png or .tif (or .jpg for 8 bits)"
    )


__all__ = [
    "MAX_PIXELS",
    "SRGB",
    "DisplayTags",
    "Header",
    "choose_suffix",
    "digest_array",
    "is_picture",
    "list_decoders",
    "read",
    "read_array",
    "read_display_tags",
    "read_header",
    "read_output",
    "round_to_half",
    "write",
    "write_array",
    "write_float_tiff",
    "write_output",
]
