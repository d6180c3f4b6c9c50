"""What pictures of many small pictures share: bytes to show, and labels that fit above them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from benchmark.api import Picture

ByteImage = NDArray[np.uint8]
LabelFont = ImageFont.FreeTypeFont | ImageFont.ImageFont


def to_byte_image(picture: Picture) -> ByteImage:
    """Return a picture in bytes; what lies outside [0, 1] is clipped."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def fit_label(text: str, font: LabelFont, width: int) -> str:
    """Return as much of a text as fits into a width in pixels; the built-in font knows Latin
    letters only.
    """
    label = text.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    while font.getlength(label) > width:
        label = label.removesuffix("…")[:-1] + "…"
    return label
