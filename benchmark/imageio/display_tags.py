"""What a viewer needs beside the pixels; it never changes what is read."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image

ORIENTATION: Final = 274
"""Number of the tag in EXIF and TIFF."""
SRGB: Final = "sRGB"
"""Name of the colours that a picture has unless it says otherwise."""

_EXIF_IFD, _INTEROPERABILITY_IFD = 0x8769, 0xA005
_COLOUR_SPACE, _INTEROPERABILITY_INDEX = 0xA001, 1
_EXIF_NAME = b"Exif\0\0"
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_ADOBE_RGB = 2
"""Value of the tag that some cameras write; others write R03 into a directory of their own."""
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L"}
_CHANNELS_OF_PROFILE = {b"RGB ": 3, b"GRAY": 1}
"""By bytes 16 to 19 of a profile, which name its colour space."""
_LARGEST_EXIF = 65_000
"""Bytes; a JPEG file holds little more."""
_LARGEST_DIFFERENCE = 10
"""Levels of 255 by which the profiles that programs write for sRGB differ from each other: some
have a plain gamma of 2.2, which is 9 levels off near black.
"""
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class DisplayTags:
    """What a viewer needs to show stored pixels as intended.

    Attributes:
        orientation: of EXIF, 1 to 8.
        icc_profile: a profile of RGB or grey.
        colour_space: "sRGB", or what the file says instead, in words for a person.
        exif: the whole block, with the orientation, as `copy_exif` gives it; empty if there is
            none. Tags that show a picture in the same way are equal, whatever it says beside that.
    """

    orientation: int = 1
    icc_profile: bytes | None = None
    colour_space: str = SRGB
    exif: bytes = field(default=b"", compare=False, repr=False)

    def fit_channels(self, channels: int) -> DisplayTags:
        """Return the tags for a picture of so many channels; a profile for others is left out."""
        if self.icc_profile is None:
            return self
        colour_channels = 1 if channels <= 2 else 3
        if _CHANNELS_OF_PROFILE[self.icc_profile[16:20]] == colour_channels:
            return self
        return replace(self, icc_profile=None)


def choose_display_tags(
    orientation: object, icc_profile: object, colour_space: str = SRGB, exif: bytes = b""
) -> DisplayTags:
    """Keep what is meaningful for an output in RGB or grey: a CMYK profile is not.

    Args:
        orientation, icc_profile: as a library found them.
        colour_space: what the file says of its colours beside the profile, which goes first.
        exif: what `copy_exif` gave.
    """
    tags = DisplayTags(colour_space=colour_space, exif=exif)
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        tags = replace(tags, orientation=orientation)
    if isinstance(icc_profile, bytes) and icc_profile:
        tags = replace(tags, colour_space=_name_profile(icc_profile))
        if icc_profile[16:20] in _CHANNELS_OF_PROFILE:
            tags = replace(tags, icc_profile=icc_profile)
    return tags


@lru_cache(maxsize=16)
def _name_profile(profile: bytes) -> str:
    """Return sRGB if a profile gives the colours of sRGB, whatever it is called; else its name."""
    from PIL import ImageCms

    try:
        parsed_profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODE_OF_SPACE[parsed_profile.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(
            parsed_profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        colours = _list_test_colours(mode)
        srgb_colours = ImageCms.applyTransform(Image.fromarray(colours), transform)
        name = str(ImageCms.getProfileDescription(parsed_profile)).strip()
    except Exception:  # the library raises anything on damaged bytes
        return "an ICC profile that cannot be read"
    expected = np.atleast_3d(colours).astype(int)
    if srgb_colours is not None:
        difference = np.abs(np.asarray(srgb_colours, int) - expected).max()
        if difference <= _LARGEST_DIFFERENCE:
            return SRGB
    return f"ICC profile {name[:_LONGEST_NAME]!r}"


def _list_test_colours(mode: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return levels all over the cube of colours, or all greys, as a picture."""
    if mode == "L":
        return np.arange(256, dtype=np.uint8).reshape(16, 16)
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return cube.reshape(len(steps), -1, 3)


def decode_exif(exif: bytes) -> Image.Exif:
    """Return an EXIF block, which comes without its name; an empty one if it is damaged."""
    tags = Image.Exif()
    try:
        tags.load(_EXIF_NAME + exif)
    except Exception:  # Pillow raises anything on damaged bytes; a picture without tags is upright
        return Image.Exif()
    return tags


def read_orientation(tags: Image.Exif) -> object:
    """Return what EXIF says of the orientation; None for nothing, also if it is damaged."""
    try:
        return tags.get(ORIENTATION)
    except Exception:
        return None


def read_exif_colours(tags: Image.Exif) -> str:
    """Return Adobe RGB if EXIF says so, as cameras do that write no profile; else sRGB."""
    try:
        facts = tags.get_ifd(_EXIF_IFD)
        index = str(tags.get_ifd(_INTEROPERABILITY_IFD).get(_INTEROPERABILITY_INDEX, ""))
        is_adobe_rgb = facts.get(_COLOUR_SPACE) == _ADOBE_RGB or index.startswith("R03")
    except Exception:
        return SRGB
    return "Adobe RGB, by EXIF" if is_adobe_rgb else SRGB


def copy_exif(exif: bytes) -> bytes:
    """Return an EXIF block as it is, but for the link to its small preview, which would show the
    picture as it was; empty if the block is damaged or too large for a JPEG file.

    Args:
        exif: a block as a file holds it, with its name or without.
    """
    content = bytearray(exif.removeprefix(_EXIF_NAME))
    byte_order = _BYTE_ORDERS.get(bytes(content[:2]))
    if byte_order is None or len(content) > _LARGEST_EXIF:
        return b""
    try:
        (directory,) = struct.unpack_from(f"{byte_order}I", content, 4)
        (entries,) = struct.unpack_from(f"{byte_order}H", content, directory)
        link_to_preview = directory + 2 + 12 * entries
        struct.pack_into(f"{byte_order}I", content, link_to_preview, 0)
    except struct.error:
        return b""
    return _EXIF_NAME + bytes(content)


def encode_exif(tags: DisplayTags) -> bytes:
    """Return the EXIF block, or one that holds the orientation; empty if that is the usual one."""
    if tags.exif or tags.orientation == 1:
        return tags.exif
    exif = Image.Exif()
    exif[ORIENTATION] = tags.orientation
    return exif.tobytes()
