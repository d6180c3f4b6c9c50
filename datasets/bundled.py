"""The sharp photographs that need no download: scikit-image's, and the crops in `photographs`. Its
NOTICE.md names their authors and licences.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import skimage

PhotographSet = Literal["all", "five"]
"""Every bundled picture, or only the five photographs of scikit-image."""

CROP_SIZE = 256
"""Side of the crops in px."""

_SCIKIT_IMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_CROPS: Mapping[str, tuple[str, ...]] = {
    "china": ("china-1", "china-2"),
    "flower": ("flower",),
    "hopper": ("hopper",),
    "bridge": ("bridge-1", "bridge-2"),
    "brook": ("brook-1", "brook-2"),
    "brushes": ("brushes",),
    "dogs": ("dogs-1", "dogs-2"),
    "drum": ("drum",),
    "fig": ("fig-1", "fig-2"),
    "larches": ("larches-1", "larches-2"),
    "peaks": ("peaks-1", "peaks-2"),
    "sundial": ("sundial",),
}
"""Photograph -> its crops, which do not overlap."""


class SharpPicture(NamedTuple):
    """A file with a sharp picture, and the photograph that it is, or is a part of."""

    path: Path
    photograph: str


def bundled_photographs(photographs: PhotographSet) -> dict[str, SharpPicture]:
    """Return sample id -> picture, scikit-image's five first."""
    folder = Path(skimage.__file__).parent / "data"
    pictures = {
        Path(name).stem: SharpPicture(folder / name, Path(name).stem) for name in _SCIKIT_IMAGE
    }
    if photographs == "all":
        pictures |= _crops()
    return pictures


def _crops() -> dict[str, SharpPicture]:
    folder = Path(__file__).with_name("photographs")
    return {
        crop: SharpPicture(folder / f"{crop}.jpg", photograph)
        for photograph, crops in _CROPS.items()
        for crop in crops
    }
