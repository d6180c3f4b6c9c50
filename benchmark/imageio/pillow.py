"""Pillow as a decoder: JPEG, BMP and WebP with 8 bits per channel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image

from benchmark.imageio.display_tags import (
    DisplayTags,
    choose_display_tags,
    copy_exif,
    read_exif_colours,
    read_orientation,
)
from benchmark.imageio.levels import (
    DecoderRow,
    Header,
    PictureFormat,
    PixelLevels,
    UnsuitableFile,
)

_CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3, "RGBA": 4}


WEBP_DECODERS = tuple(
    DecoderRow("WebP", kind, "RGB, opaque alpha", (8,), "one picture", "EXIF", "Pillow", "OpenCV")
    for kind in ("lossless", "lossy")
)


@contextmanager
def open_image(file: BinaryIO) -> Iterator[Image.Image]:
    """Open a picture of one of the formats that Pillow is asked to read; nothing is decoded yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata and large sizes; sizes have their own limit
        with Image.open(file, formats=("JPEG", "PNG", "BMP", "DIB", "WEBP")) as image:
            yield image


def parse_image_header(file: BinaryIO, picture_format: PictureFormat) -> Header:
    """Return size and channels.

    Raises:
        UnsuitableFile: an animation, or colours that are not grey, RGB or a palette of them.
    """
    with open_image(file) as image:
        if image.mode not in _CHANNELS:
            raise UnsuitableFile(f"is a {picture_format} in {image.mode}, not in grey or RGB")
        if picture_format == "WebP" and getattr(image, "n_frames", 1) > 1:
            raise UnsuitableFile("is an animation")
        return Header(picture_format, *image.size, _CHANNELS[image.mode], 8)


def decode_with_pillow(data: bytes) -> PixelLevels:
    """Return the levels; a palette is looked up, one bit becomes 0 or 255."""
    with open_image(io.BytesIO(data)) as image:  # refuses files that end early
        if image.mode == "P":
            return np.array(image.convert("RGB"))
        if image.mode == "1":
            return np.array(image.convert("L"))
        return np.array(image)


def read_image_tags(file: BinaryIO) -> DisplayTags:
    """Return orientation, profile and colours."""
    with open_image(file) as image:
        exif = image.getexif()
        return choose_display_tags(
            read_orientation(exif),
            image.info.get("icc_profile"),
            read_exif_colours(exif),
            copy_exif(image.info.get("exif", b"")),
        )
