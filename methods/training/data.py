"""What networks are trained on: pairs of a blurred and a sharp crop, made on demand, each a
function of its number.

Example `i` depends on the settings, the seed and `i` alone. So a training can be resumed at any
step, and any number of processes can make examples in any order. Every sharp picture comes once in
as many examples as there are pictures.

Simulated defocus follows the data set `simulated` (`benchmark/optics`, 8 bits, disks most often),
but covers more: other apertures, and for who makes the examples in Python other ranges of radii and
JPEG. Noise is added as `benchmark.noise` does: to the picture's code values, neither clipped nor
rounded.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import DataError, Dataset, Picture, Scalar, UsageError
from benchmark.methods.training import pictures, scenes
from benchmark.methods.training.pictures import Pixels
from benchmark.methods.training.scenes import Family
from benchmark.noise import keyed_generator
from benchmark.optics import light
from benchmark.registry import DATASETS, create

USUAL: tuple[Family, ...] = (
    "disk",
    "disk",
    "disk",
    "disk",
    "polygon",
    "gaussian",
    "generalised",
    "cats-eye",
)
"""The apertures that are drawn from unless told otherwise; one that is named more often is drawn
more often.
"""

SMALLEST_CROP = 16

_SHRUNK = 0.5  # share of examples whose sharp picture is shrunk, which makes it sharper and finer
_SHRINK = (0.5, 0.85)
_JPEG_QUALITY = (70, 98)
_VALIDATION_SEED = (
    0  # the same pictures whatever the seed of a training, so that trainings can be compared
)
_LINEAR = light.to_linear(np.linspace(0, 1, 2**8, dtype=np.float32))
_CODE = np.rint(255 * light.to_srgb(np.linspace(0, 1, 2**16, dtype=np.float32))).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A pair to learn from.

    Attributes:
        blurred: crop x crop x 3 float32 RGB; in [0, 1] but for noise.
        sharp: what it should become, in [0, 1].
        views: the dual-pixel left and right pictures, or None.
    """

    blurred: Picture
    sharp: Picture
    views: tuple[Picture, Picture] | None = None


class Examples(ABC):
    """An endless sequence of examples.

    Attributes:
        trained_on: the data, as a checkpoint's card names it.
        licence: its terms, as far as they are known.
        sources: the sharp pictures, for `benchmark.methods.training.duplicates.refuse_duplicates`;
            none where a data set's own split says what is trained on.
    """

    trained_on: tuple[str, ...]
    licence: str
    sources: Sequence[Path] = ()

    @abstractmethod
    def example(self, index: int) -> Example:
        """Return example `index` >= 0; raises DataError if a picture that it needs is damaged."""

    @abstractmethod
    def card(self) -> dict[str, Scalar]:
        """Return the facts about the data and all settings, for a checkpoint's card."""

    @abstractmethod
    def at(self, crop: int) -> Examples:
        """Return the same examples with another side of the crop: of the same pictures, divided as
        they were found.
        """

    @abstractmethod
    def held_out(self) -> Examples:
        """Return examples of the same settings from pictures that training never sees, at a seed of
        their own.
        """


def validation(examples: Examples, count: int) -> Sequence[Example]:
    """Return fixed examples of pictures that training never sees.

    They do not depend on the seed of the training; the first ones are of different pictures, as far
    as there are so many.
    """
    held_out = examples.held_out()
    return [held_out.example(index) for index in range(count)]


def turn(index: int, count: int, seed: int) -> int:
    """Return which of `count` pictures example `index` is of: each once in a round, in another
    order every round.
    """
    round_, place = divmod(index, count)
    return int(_order(seed, round_, count)[place])


@lru_cache(maxsize=4)
def _order(seed: int, round_: int, count: int) -> NDArray[np.int64]:
    return keyed_generator(seed, -1 - round_).permutation(count)


# Simulated defocus
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """What simulated examples depend on besides the pictures and the seed; see `Simulated`."""

    crop: int
    max_radius: float
    noise: tuple[float, float] | None
    jpeg: float
    views: bool
    psfs: tuple[Family, ...]

    def __post_init__(self) -> None:
        _check_crop(self.crop)
        if not 0 < self.max_radius <= 50:
            raise UsageError(
                f"max_radius={self.max_radius:g}: a largest radius lies above 0 and up to 50 px"
            )
        _check_noise(self.noise)
        if not 0 <= self.jpeg <= 1:
            raise UsageError(f"jpeg={self.jpeg:g}: a probability lies in [0, 1]")
        unknown = [name for name in self.psfs if name not in scenes.FAMILIES]
        if unknown or not self.psfs:
            raise UsageError(f"psfs={self.psfs}: name one or more of {', '.join(scenes.FAMILIES)}")


def _check_crop(crop: int) -> None:
    if crop < SMALLEST_CROP:
        raise UsageError(f"crop={crop}: a crop has at least {SMALLEST_CROP} pixels on a side")


def _check_noise(noise: tuple[float, float] | None) -> None:
    if noise is not None and not (0 <= noise[0] <= noise[1] < math.inf):
        raise UsageError(
            f"noise={noise}: give the least and the most sigma, 0 <= least <= most, 0-255 scale"
        )


def _noise_card(noise: tuple[float, float] | None) -> str:
    return "none" if noise is None else "sigma {:g} to {:g}".format(*noise)


class Simulated(Examples):
    """Crops of sharp pictures, put out of focus. One in ten pictures of a folder is held out
    (`pictures.split`).

    `version` goes onto the card: it changes whenever an example may have other pixels.
    """

    version = "1"

    def __init__(
        self,
        folder: Path,
        *,
        crop: int,
        seed: int,
        max_radius: float = 8.0,
        noise: tuple[float, float] | None = None,
        jpeg: float = 0.0,
        views: bool = False,
        psfs: tuple[Family, ...] = USUAL,
        held_out: bool = False,
    ) -> None:
        """Find the pictures.

        Args:
            folder: holds the sharp pictures, 8 or 16 bits; they are used as 8-bit sRGB, upright.
            crop: side of the examples in pixels.
            seed: of all choices.
            max_radius: largest PSF radius in pixels, as in the data set `simulated`.
            noise: the range that an example's noise level is drawn from, standard deviation on the
                0-255 scale; views get sqrt(2) times as much, so that it is right for their mean.
                None for no noise.
            jpeg: the probability that an example's blurred pictures go through a JPEG of quality 70
                to 98, before the noise.
            views: make the dual-pixel views too; the blurred picture is then their mean in linear
                light.
            psfs: families of PSFs to draw from, one named more often is drawn more often.
            held_out: make examples of the pictures that are held out, not of those to train on.

        Raises:
            UsageError: for a setting out of its range.
            DataError: for a folder that is missing or has fewer than two pictures, and a file that
                is no picture or is smaller than a crop.
        """
        self._settings = Settings(crop, max_radius, noise, jpeg, views, tuple(psfs))
        self._folder, self._seed = folder, seed
        found = pictures.files(folder)
        _require_size(found, crop)
        train, kept_out = pictures.split(found)
        self.sources: Sequence[Path]
        self._others: Sequence[Path]
        self.sources, self._others = (kept_out, train) if held_out else (train, kept_out)
        self._facts: dict[str, Scalar] = {
            "pictures": f"{len(train)} to train on, {len(kept_out)} held out (the first tenth in "
            f"order of SHA-256)",
            "fingerprint": pictures.fingerprint(found),
        }
        self.trained_on = (_called(folder),)
        self.licence = f"that of the pictures in {_called(folder)}"

    def example(self, index: int) -> Example:
        """Return example `index`: a picture, a cut-out of it, an aperture, a scene, what the lens
        makes of it.
        """
        settings, random = self._settings, keyed_generator(self._seed, index)
        picture = pictures.remembered(self.sources[turn(index, len(self.sources), self._seed)])
        aperture = scenes.draw_aperture(settings.psfs, random)
        margin = aperture.reach(
            settings.max_radius
        )  # the light of so much around a crop falls into it
        size = settings.crop + 2 * margin
        sharp = cut(picture, size, random)
        scene = scenes.invent(size, settings.max_radius, random)
        inner = (slice(margin, margin + settings.crop),) * 2
        taken = [shot[inner] for shot in _photograph(sharp, scene, aperture, settings.views)]
        if random.random() < settings.jpeg:
            quality = int(random.integers(*_JPEG_QUALITY, endpoint=True))
            taken = [_through_jpeg(shot, quality) for shot in taken]
        blurred, *views = _noisy([_scaled(shot) for shot in taken], settings.noise, random)
        return Example(blurred, _scaled(sharp[inner]), (views[0], views[1]) if views else None)

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the folder, by its name and contents, and all settings."""
        settings = self._settings
        return {
            "folder": _called(self._folder),
            **self._facts,
            "generator": f"simulated defocus, version {self.version}",
            "seed": self._seed,
            "crop": settings.crop,
            "largest radius": settings.max_radius,
            "PSFs": ", ".join(settings.psfs),
            "noise": _noise_card(settings.noise),
            "JPEG": settings.jpeg,
            "views": settings.views,
        }

    def at(self, crop: int) -> Simulated:
        _require_size([*self.sources, *self._others], crop)
        made = copy.copy(self)
        made._settings = dataclasses.replace(self._settings, crop=crop)
        return made

    def held_out(self) -> Simulated:
        made = copy.copy(self)
        made.sources, made._others, made._seed = self._others, self.sources, _VALIDATION_SEED
        return made


def _require_size(found: Sequence[Path], crop: int) -> None:
    for path in found:
        if (side := pictures.smaller_side(path)) < crop:
            raise DataError(
                f"{path}: is {side} px on its shorter side, smaller than a crop of {crop}; take "
                f"it out"
            )


def _called(folder: Path) -> str:
    """Return the name of a folder, with that of the one around it where it is a part of a data set:
    BSDS500/train.
    """
    whole = folder.resolve()
    part = whole.name.lower().startswith(("train", "val", "test", "image", "img", "hr"))
    return f"{whole.parent.name}/{whole.name}" if part else whole.name


def cut(picture: Pixels, size: int, random: np.random.Generator) -> Pixels:
    """Return a random cut-out of size x size pixels, turned and mirrored, of a picture that may
    have been shrunk.

    A picture with fewer pixels is not shrunk, and continued by reflection.
    """
    smaller = min(picture.shape[:2])
    shrink = random.uniform(*_SHRINK) if random.random() < _SHRUNK else 1.0
    side = max(size, min(round(size / shrink), smaller))
    top, left = (int(random.integers(max(0, extent - side) + 1)) for extent in picture.shape[:2])
    part = _turned(picture[top : top + side, left : left + side], int(random.integers(8)))
    if side > size and min(part.shape[:2]) == side:
        return cast(Pixels, cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA))
    down, across = (size - extent for extent in part.shape[:2])
    around = (down // 2, down - down // 2, across // 2, across - across // 2)
    return cast(Pixels, cv2.copyMakeBorder(part, *around, cv2.BORDER_REFLECT))


def _turned(picture: Pixels, way: int) -> Pixels:
    """Return one of the 8 ways to turn and mirror a picture."""
    mirrored = picture[:, ::-1] if way >= 4 else picture
    return np.ascontiguousarray(np.rot90(mirrored, way % 4))


def _photograph(
    sharp: Pixels, scene: scenes.Scene, aperture: scenes.Aperture, views: bool
) -> list[Pixels]:
    """Return the picture, then the two views if they are wanted, all in 8 bits."""
    linear = cast(Picture, cv2.LUT(sharp, _LINEAR))
    if not views:
        return [_coded(scenes.expose(linear, scene, aperture))]
    left, right = (scenes.expose(linear, scene, aperture, half) for half in ("left", "right"))
    return [_coded((left + right) / np.float32(2)), _coded(left), _coded(right)]


def _coded(linear: Picture) -> Pixels:
    """Return linear light as 8-bit sRGB, by a table whose steps are at most a twentieth of a code
    value.
    """
    steps = np.clip(linear * np.float32(2**16 - 1) + np.float32(0.5), 0, 2**16 - 1)
    return cast(Pixels, _CODE[steps.astype(np.uint16)])


def _scaled(levels: Pixels) -> Picture:
    return levels.astype(np.float32) / np.float32(255)


def _through_jpeg(levels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cast(Pixels, cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])


def _noisy(
    shots: list[Picture], levels: tuple[float, float] | None, random: np.random.Generator
) -> list[Picture]:
    """Add noise to a picture; where it has views, independent noise to those and its mean to the
    picture.
    """
    if levels is None:
        return shots
    sigma = np.float32(random.uniform(*levels) / 255)
    fields = [random.standard_normal(shot.shape, np.float32) * sigma for shot in shots[1:] or shots]
    if len(fields) == 2:
        views = [field * np.float32(math.sqrt(2)) for field in fields]
        fields = [(views[0] + views[1]) / 2, *views]
    return [shot + field for shot, field in zip(shots, fields, strict=True)]


# DPD
# --------------------------------------------------------------------------------------------------


class DpdCrops(Examples):
    """Random crops of the training pictures of DPD, neither turned nor mirrored (Quan, Wu and Ji,
    section 4).

    Held out is the set's own validation part. Each process keeps decoded pictures up to
    `pictures.MEMORY`, in 16 bits; all 350 take 8 GB without the views, and those that are not kept
    are decoded for every crop.
    """

    def __init__(
        self,
        root: Path,
        *,
        crop: int,
        seed: int,
        noise: tuple[float, float] | None = None,
        views: bool = True,
        part: Literal["train", "val"] = "train",
    ) -> None:
        """Find the pictures under a data root.

        Args:
            root: the data root.
            crop: side of the examples in pixels.
            seed: of all choices.
            noise: as for `Simulated`.
            views: keep the dual-pixel views too, where they are there.
            part: of the set's official division.

        Raises:
            UsageError: for a crop that is too small, or noise out of its range.
            DataError: if that part is missing or incomplete, with the expected tree.
        """
        _check_crop(crop)
        _check_noise(noise)
        self._noise, self._views = noise, views
        self._data: Dataset = create(DATASETS, f"dpd:split={part}", root=root)[0]
        self._root, self._crop, self._seed, self._part = root, crop, seed, part
        self._ids = self._data.ids()
        self.trained_on = (f"DPD {part}",)
        self.licence = self._data.card.licence

    def example(self, index: int) -> Example:
        """Return example `index`, a crop of a picture that comes once in a round of all."""
        chosen = self._ids[turn(index, len(self._ids), self._seed)]
        key = (type(self).__name__, self._root, self._part, self._views, chosen)
        whole = pictures.kept(key, lambda: self._decoded(chosen))
        height, width = whole[0].shape[:2]
        if min(height, width) < self._crop:
            raise DataError(
                f"DPD {chosen}: is {width}x{height} px, smaller than a crop of {self._crop}; crop "
                f"less"
            )
        random = keyed_generator(self._seed, index)
        top, left = (int(random.integers(extent - self._crop + 1)) for extent in (height, width))
        box = np.s_[top : top + self._crop, left : left + self._crop]
        blurred, sharp, *views = (
            part[box].astype(np.float32) / np.float32(2**16 - 1) for part in whole
        )
        blurred, *views = _noisy([blurred, *views], self._noise, random)
        return Example(blurred, sharp, (views[0], views[1]) if views else None)

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the data and all settings."""
        prints = "".join(sorted(self._data.fingerprint(chosen) for chosen in self._ids))
        return {
            "data set": f"DPD {self._part}",
            "pictures": len(self._ids),
            "fingerprint": hashlib.sha256(prints.encode()).hexdigest()[:16],
            "seed": self._seed,
            "crop": self._crop,
            "noise": _noise_card(self._noise),
        }

    def held_out(self) -> DpdCrops:
        return DpdCrops(
            self._root,
            crop=self._crop,
            seed=_VALIDATION_SEED,
            noise=self._noise,
            views=self._views,
            part="val",
        )

    def at(self, crop: int) -> DpdCrops:
        _check_crop(crop)
        made = copy.copy(self)
        made._crop = crop
        return made

    def _decoded(self, chosen: str) -> tuple[NDArray[np.uint16], ...]:
        sample = self._data.load(chosen)
        assert sample.target is not None  # every entry of this set has one
        found = (sample.image, sample.target, *((sample.views or ()) if self._views else ()))
        return tuple(
            np.rint(picture * np.float32(2**16 - 1)).astype(np.uint16) for picture in found
        )
