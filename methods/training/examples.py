"""What networks are trained on: pairs of a blurred and a sharp crop, with the blur map where it is
known, made on demand, each a function of its number.

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
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import DataError, Dataset, Map, Picture, Scalar, UsageError
from benchmark.methods.training import pictures, scenes
from benchmark.methods.training.pictures import Pixels
from benchmark.methods.training.scenes import Family
from benchmark.noise import keyed_generator
from benchmark.optics import light
from benchmark.optics.scenes import GENERATOR
from benchmark.registry import DATASETS, create

DEFAULT_FAMILIES: tuple[Family, ...] = (
    "disk",
    "disk",
    "disk",
    "disk",
    "polygon",
    "gaussian",
    "generalised",
    "cats-eye",
)
"""The families of PSFs to draw from by default; one that is named more often is drawn more
often.
"""

SMALLEST_CROP = 16

_SHRINK_SHARE = 0.5  # of the examples, whose sharp picture is made smaller, so sharper and finer
_SHRINK_FACTORS = (0.5, 0.85)
_JPEG_QUALITY = (70, 98)
# The same pictures whatever the seed of a training, so that trainings can be compared.
_VALIDATION_SEED = 0
_LINEAR_OF_CODE = light.to_linear(np.linspace(0, 1, 2**8, dtype=np.float32))
_CODE_OF_LINEAR = np.rint(255 * light.to_srgb(np.linspace(0, 1, 2**16, dtype=np.float32))).astype(
    np.uint8
)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A pair to learn from.

    Attributes:
        blurred: crop x crop x 3 float32 RGB; in [0, 1] but for noise.
        sharp: what it should become, in [0, 1].
        views: the dual-pixel left and right pictures, or None.
        blur_map: Gaussian-equivalent sigma in pixels, crop x crop, or None where it is not known.
    """

    blurred: Picture
    sharp: Picture
    views: tuple[Picture, Picture] | None = None
    blur_map: Map | None = None


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
    def with_crop(self, crop: int) -> Examples:
        """Return the same examples with another side of the crop: of the same pictures, divided as
        they are here.
        """

    @abstractmethod
    def held_out(self) -> Examples:
        """Return examples of the same settings from pictures that training never sees, at a seed of
        their own.
        """


def held_out_examples(examples: Examples, count: int) -> Sequence[Example]:
    """Return fixed examples of pictures that training never sees.

    They do not depend on the seed of the training; the first ones are of different pictures, as far
    as there are so many.

    Raises:
        DataError: for pictures that are damaged, or where blur changes none of the examples, as
            they are of one colour: then nothing can be restored in them.
    """
    held_out = examples.held_out()
    held_out_list = [held_out.example(index) for index in range(count)]
    if all(np.array_equal(example.blurred, example.sharp) for example in held_out_list):
        names = ", ".join(str(path) for path in held_out.sources[:3]) or "the validation part"
        raise DataError(
            f"{names}: held out to validate on, and blur changes nothing there: pictures of one "
            "colour; take them out, or name others with --validation FOLDER"
        )
    return held_out_list


def picture_of_example(index: int, count: int, seed: int) -> int:
    """Return which of `count` pictures example `index` is of: each once in a round, in another
    order every round.
    """
    epoch, position = divmod(index, count)
    return int(_picture_order(seed, epoch, count)[position])


@lru_cache(maxsize=4)
def _picture_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return keyed_generator(seed, -1 - epoch).permutation(count)


# Folders of sharp pictures
# --------------------------------------------------------------------------------------------------


class FolderExamples(Examples):
    """Crops of the sharp pictures of a folder. Held out are the pictures of another folder, or one
    in ten of the same one (`pictures.split_held_out`).
    """

    def __init__(
        self, folder: Path, *, crop: int, seed: int, validation: Path | None = None
    ) -> None:
        """Find the pictures.

        Args:
            folder: holds the sharp pictures, 8 or 16 bits; they are used as 8-bit sRGB, upright.
            crop: side of the examples in pixels.
            seed: of all choices.
            validation: a folder of pictures to hold out; None holds out one in ten of `folder`.

        Raises:
            UsageError: for a crop that is too small.
            DataError: for a folder that is missing or has too few pictures, a file that is no
                picture or is smaller than a crop, and a picture that lies in both folders.
        """
        _check_crop(crop)
        self._folder = folder
        self._crop = crop
        self._seed = seed
        paths = pictures.list_pictures(folder)
        if validation is None:
            train, other = pictures.split_held_out(paths)
            origin = "the first tenth in order of SHA-256"
        else:
            train = paths
            other = pictures.list_pictures(validation)
            origin = _name_folder(validation)
            _refuse_common_pictures(train, other)
        _require_larger_pictures([*train, *other], crop)
        self._facts: dict[str, Scalar] = {
            "pictures": f"{len(train)} to train on, {len(other)} held out ({origin})",
            "fingerprint": pictures.fingerprint_pictures([*train, *other]),
        }
        self.sources: Sequence[Path] = train
        self._other_sources: Sequence[Path] = other
        self.trained_on = (_name_folder(folder),)
        self.licence = f"that of the pictures in {_name_folder(folder)}"

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the folder, by its name and contents."""
        return {"folder": _name_folder(self._folder), **self._facts}

    def with_crop(self, crop: int) -> Self:
        _check_crop(crop)
        _require_larger_pictures([*self.sources, *self._other_sources], crop)
        others = copy.copy(self)
        others._crop = crop
        return others

    def held_out(self) -> Self:
        others = copy.copy(self)
        others._seed = _VALIDATION_SEED
        others._swap_sources()
        return others

    def _swap_sources(self) -> None:
        self.sources, self._other_sources = self._other_sources, self.sources

    def _picture(self, index: int) -> Pixels:
        """Return the sharp picture that example `index` is of."""
        number = picture_of_example(index, len(self.sources), self._seed)
        return pictures.cached_picture(self.sources[number])


# Simulated defocus
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What simulated examples depend on besides the pictures and the seed; see
    `SimulatedExamples`.
    """

    max_radius: float
    noise: tuple[float, float] | None
    jpeg: float
    views: bool
    psfs: tuple[Family, ...]

    def __post_init__(self) -> None:
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
        if self.views and "lens" in self.psfs:
            raise UsageError(
                f"psfs={self.psfs}: lens has no half apertures, so no dual-pixel views; leave one "
                "of the two out"
            )


def _check_crop(crop: int) -> None:
    if crop < SMALLEST_CROP:
        raise UsageError(f"crop={crop}: a crop has at least {SMALLEST_CROP} pixels on a side")


def _check_noise(noise: tuple[float, float] | None) -> None:
    if noise is not None and not (0 <= noise[0] <= noise[1] < math.inf):
        raise UsageError(
            f"noise={noise}: give the least and the most sigma, 0 <= least <= most, 0-255 scale"
        )


def _describe_noise(noise: tuple[float, float] | None) -> str:
    if noise is None:
        return "none"
    return "sigma {:g} to {:g}".format(*noise)


class SimulatedExamples(FolderExamples):
    """Crops of sharp pictures, put out of focus. One in ten pictures of a folder is held out
    (`pictures.split_held_out`).

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
        psfs: tuple[Family, ...] = DEFAULT_FAMILIES,
        held_out: bool = False,
        validation: Path | None = None,
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
            validation: as for `FolderExamples`.

        Raises:
            UsageError: for a setting out of its range.
            DataError: for a folder that is missing or has fewer than two pictures, and a file that
                is no picture or is smaller than a crop.
        """
        self._settings = SimulationSettings(max_radius, noise, jpeg, views, tuple(psfs))
        super().__init__(folder, crop=crop, seed=seed, validation=validation)
        if held_out:
            self._swap_sources()

    def example(self, index: int) -> Example:
        """Return example `index`: a picture, a cut-out of it, an aperture, a scene, what the lens
        makes of it.
        """
        settings = self._settings
        random = keyed_generator(self._seed, index)
        aperture = scenes.draw_aperture(settings.psfs, random)
        # The light of so much around a crop falls into it.
        margin = aperture.reach(settings.max_radius)
        size = self._crop + 2 * margin
        sharp = cut_out(self._picture(index), size, random)
        scene = scenes.invent_scene(size, settings.max_radius, random)
        inner = np.s_[margin : margin + self._crop, margin : margin + self._crop]
        shots = [shot[inner] for shot in _take_shots(sharp, scene, aperture, settings.views)]
        if random.random() < settings.jpeg:
            quality = int(random.integers(*_JPEG_QUALITY, endpoint=True))
            shots = [_compress(shot, quality) for shot in shots]
        noisy = _add_noise([to_unit(shot) for shot in shots], settings.noise, random)
        blur_map = (np.abs(scene.radius[inner]) / 2).astype(np.float32)
        return _example_of_shots(noisy, to_unit(sharp[inner]), blur_map)

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the folder and all settings."""
        settings = self._settings
        return {
            **super().card(),
            "generator": f"{GENERATOR}, version {self.version}",
            "seed": self._seed,
            "crop": self._crop,
            "largest radius": settings.max_radius,
            "PSFs": ", ".join(settings.psfs),
            "noise": _describe_noise(settings.noise),
            "JPEG": settings.jpeg,
            "views": settings.views,
        }


def _example_of_shots(
    shots: Sequence[Picture], sharp: Picture, blur_map: Map | None = None
) -> Example:
    """Return the example of a blurred picture, and of its two views where they follow it."""
    if len(shots) == 1:
        return Example(shots[0], sharp, blur_map=blur_map)
    blurred, left, right = shots
    return Example(blurred, sharp, (left, right), blur_map)


def _refuse_common_pictures(train: Sequence[Path], held_out: Sequence[Path]) -> None:
    train_digests = {pictures.picture_digest(path) for path in train}
    for path in held_out:
        if pictures.picture_digest(path) in train_digests:
            raise DataError(
                f"{path}: is trained on too, so it cannot validate; take it out of one of the two "
                "folders"
            )


def _require_larger_pictures(paths: Sequence[Path], crop: int) -> None:
    for path in paths:
        side = pictures.smaller_side(path)
        if side < crop:
            raise DataError(
                f"{path}: is {side} px on its shorter side, smaller than a crop of {crop}; take it "
                "out"
            )


def _name_folder(folder: Path) -> str:
    """Return the name of a folder, with that of the one around it where it is a part of a data set:
    BSDS500/train.
    """
    path = folder.resolve()
    is_part = path.name.lower().startswith(("train", "val", "test", "image", "img", "hr"))
    if is_part:
        return f"{path.parent.name}/{path.name}"
    return path.name


def cut_out(picture: Pixels, size: int, random: np.random.Generator) -> Pixels:
    """Return a random cut-out of size x size pixels, turned and mirrored, of a picture that may
    be shrunk before.

    A picture with fewer pixels is not shrunk, and continued by reflection.
    """
    shortest = min(picture.shape[:2])
    shrink = 1.0
    if random.random() < _SHRINK_SHARE:
        shrink = random.uniform(*_SHRINK_FACTORS)
    side = max(size, min(round(size / shrink), shortest))
    top, left = (int(random.integers(max(0, extent - side) + 1)) for extent in picture.shape[:2])
    part = _orient(picture[top : top + side, left : left + side], int(random.integers(8)))
    if side > size and min(part.shape[:2]) == side:
        return cast(Pixels, cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA))
    down, across = (size - extent for extent in part.shape[:2])
    borders = (down // 2, down - down // 2, across // 2, across - across // 2)
    return cast(Pixels, cv2.copyMakeBorder(part, *borders, cv2.BORDER_REFLECT))


def _orient(picture: Pixels, orientation: int) -> Pixels:
    """Return one of the 8 ways to turn and mirror a picture."""
    if orientation >= 4:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, orientation % 4))


def _take_shots(
    sharp: Pixels, scene: scenes.Scene, aperture: scenes.Aperture, views: bool
) -> list[Pixels]:
    """Return the picture, then, with `views`, the left and the right one, all in 8 bits."""
    linear = cast(Picture, cv2.LUT(sharp, _LINEAR_OF_CODE))
    if not views:
        return [_encode_levels(scenes.expose_scene(linear, scene, aperture))]
    left = scenes.expose_scene(linear, scene, aperture, "left")
    right = scenes.expose_scene(linear, scene, aperture, "right")
    return [
        _encode_levels((left + right) / np.float32(2)),
        _encode_levels(left),
        _encode_levels(right),
    ]


def _encode_levels(linear: Picture) -> Pixels:
    """Return linear light as 8-bit sRGB, by a table whose steps are at most a twentieth of a code
    value.
    """
    steps = np.clip(linear * np.float32(2**16 - 1) + np.float32(0.5), 0, 2**16 - 1)
    return cast(Pixels, _CODE_OF_LINEAR[steps.astype(np.uint16)])


def to_unit(pixels: Pixels) -> Picture:
    """Return 8-bit pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def _compress(pixels: Pixels, quality: int) -> Pixels:
    """Return what a JPEG of that quality makes of a picture."""
    _, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    bgr = cast(Pixels, cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(bgr[..., ::-1])


def _add_noise(
    shots: list[Picture], levels: tuple[float, float] | None, random: np.random.Generator
) -> list[Picture]:
    """Add noise to a picture; where it has views, independent noise to those and its mean to the
    picture.
    """
    if levels is None:
        return shots
    sigma = np.float32(random.uniform(*levels) / 255)
    if len(shots) == 1:
        (shot,) = shots
        return [shot + random.standard_normal(shot.shape, np.float32) * sigma]
    blurred, *views = shots
    fields = [
        random.standard_normal(view.shape, np.float32) * sigma * np.float32(math.sqrt(2))
        for view in views
    ]
    mean = (fields[0] + fields[1]) / 2
    noisy_views = [view + field for view, field in zip(views, fields, strict=True)]
    return [blurred + mean, *noisy_views]


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
            noise: as for `SimulatedExamples`.
            views: take the dual-pixel views too, where they are there.
            part: of the set's official division.

        Raises:
            UsageError: for a crop that is too small, or noise out of its range.
            DataError: if that part is missing or incomplete, with the expected tree.
        """
        _check_crop(crop)
        _check_noise(noise)
        self._data: Dataset = create(DATASETS, f"dpd:split={part}", root=root)[0]
        self._root = root
        self._crop = crop
        self._seed = seed
        self._noise = noise
        self._views = views
        self._part = part
        self._ids = self._data.ids()
        self.trained_on = (f"DPD {part}",)
        self.licence = self._data.card.licence

    def example(self, index: int) -> Example:
        """Return example `index`, a crop of a picture that comes once in a round of all."""
        entry = self._ids[picture_of_example(index, len(self._ids), self._seed)]
        key = (type(self).__name__, self._root, self._part, self._views, entry)
        levels = pictures.cached_arrays(key, lambda: self._decode(entry))
        height, width = levels[0].shape[:2]
        if min(height, width) < self._crop:
            raise DataError(
                f"DPD {entry}: is {width}x{height} px, smaller than a crop of {self._crop}; crop "
                "less"
            )
        random = keyed_generator(self._seed, index)
        top, left = (int(random.integers(extent - self._crop + 1)) for extent in (height, width))
        box = np.s_[top : top + self._crop, left : left + self._crop]
        blurred, sharp, *views = (
            part[box].astype(np.float32) / np.float32(2**16 - 1) for part in levels
        )
        shots = _add_noise([blurred, *views], self._noise, random)
        return _example_of_shots(shots, sharp)

    def card(self) -> dict[str, Scalar]:
        """Return the facts about the data and all settings."""
        fingerprints = sorted(self._data.fingerprint(entry) for entry in self._ids)
        return {
            "data set": f"DPD {self._part}",
            "pictures": len(self._ids),
            "fingerprint": hashlib.sha256("".join(fingerprints).encode()).hexdigest()[:16],
            "seed": self._seed,
            "crop": self._crop,
            "noise": _describe_noise(self._noise),
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

    def with_crop(self, crop: int) -> DpdCrops:
        _check_crop(crop)
        others = copy.copy(self)
        others._crop = crop
        return others

    def _decode(self, entry: str) -> tuple[NDArray[np.uint16], ...]:
        """Return the blurred and the sharp picture, then the views if they are used, in 16 bits."""
        sample = self._data.load(entry)
        assert sample.target is not None  # every entry of this set has one
        images = [sample.image, sample.target]
        if self._views and sample.views is not None:
            images.extend(sample.views)
        return tuple(np.rint(image * np.float32(2**16 - 1)).astype(np.uint16) for image in images)
