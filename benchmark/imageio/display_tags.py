"""What a viewer needs beside the pixels; it never changes what is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

ORIENTATION: Final = 274
"""Number of the tag in EXIF and TIFF."""


@dataclass(frozen=True, slots=True)
class DisplayTags:
    """What a viewer needs to show stored pixels as intended: EXIF orientation (1 to 8) and an RGB
    ICC profile.
    """

    orientation: int = 1
    icc_profile: bytes | None = None


def choose_display_tags(orientation: object, icc_profile: object) -> DisplayTags:
    """Keep what is meaningful for an RGB output: a grey or CMYK profile (bytes 16-19 name its
    colour space) is not.
    """
    tags = DisplayTags()
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        tags = replace(tags, orientation=orientation)
    if isinstance(icc_profile, bytes) and icc_profile[16:20] == b"RGB ":
        tags = replace(tags, icc_profile=icc_profile)
    return tags


def decode_orientation(exif: bytes) -> object:
    """Return what an EXIF block, without its name, says of the orientation; None for nothing, also
    if it is damaged.
    """
    tags = Image.Exif()
    try:
        tags.load(b"Exif\0\0" + exif)
        return tags.get(ORIENTATION)
    except Exception:  # Pillow raises anything on damaged bytes; a picture without tags is upright
        return None


def encode_exif(tags: DisplayTags) -> bytes:
    """Return an EXIF block that holds the orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = tags.orientation
    return exif.tobytes()
