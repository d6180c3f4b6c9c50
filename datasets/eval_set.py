"""What the evaluation sets share: photographs, their size, and samples that are made once.

Each of these sets is a generator of its own. None shares scenes, radii or tone with the generator
that networks are trained on here (`tests/test_architecture.py` holds that by the import graph), so
no method is tested on its own model.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
from pydantic import Field

from benchmark import imageio
from benchmark.api import DataError, DatasetCard, Map, Picture, Sample, Scalar
from benchmark.datasets.bundled import SharpPicture, bundled_photographs
from benchmark.datasets.eval_pinholes import SAMPLES_PER_PIXEL
from benchmark.datasets.layout import FileDataset, SampleFiles, list_files, sample_ids
from benchmark.left_out import list_left_out_folders
from benchmark.noise import keyed_generator

LAYOUT = "DIR/*   sharp pictures, of `size` pixels or more on the shorter side"


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What a generator makes of a photograph, all of one size.

    Attributes:
        image, target: out of focus and all in focus, code values.
        blur_map: H x W, sigma in pixels.
        facts: what else is known of it, for `Sample.meta`.
    """

    image: Picture
    target: Picture
    blur_map: Map
    facts: Mapping[str, Scalar] = field(default_factory=dict)


class EvaluationSet(FileDataset):
    """Photographs that a generator of its own puts out of focus. A scene is a photograph.

    `version` is part of every fingerprint: it changes whenever a picture may have other pixels.
    """

    version = "1"

    def __init__(
        self,
        root: Path,
        *,
        source: Path | None = None,
        size: Annotated[int, Field(ge=64)] = 256,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        """Find the photographs.

        Args:
            root: the data root; not used, this set needs none.
            source: a folder of sharp pictures, relative to the current directory; the default are
                those that come with the suite.
            size: side of the pictures, in pixels.
            seed: of all that is drawn for a picture: depths, objects, noise.

        Raises:
            DataError: if the folder is missing or holds no picture, or a file is not a picture, or
                too small.
        """
        self._size = size
        self._seed = seed
        pictures = (
            bundled_photographs("all") if source is None else _list_pictures(self.card, source)
        )
        entries = {name: _make_entry(picture) for name, picture in pictures.items()}
        parameters: dict[str, Scalar] = {
            "generator": self.card.generator,
            "size": size,
            "seed": seed,
        }
        remarks = []
        if source is not None:
            paths = [picture.path for picture in pictures.values()]
            remarks = list_left_out_folders(source.expanduser().resolve(), paths)
        super().__init__(
            entries, parameters=parameters, remarks=remarks, comes_with_suite=source is None
        )
        for picture in pictures.values():
            _require_size(picture.path, size)

    @abstractmethod
    def take_shot(self, codes: Picture, size: int, random: np.random.Generator) -> Shot:
        """Return what the generator makes of a photograph.

        Args:
            codes: the photograph's code values.
            size: side of the shot in pixels; the photograph has no side that is shorter.
            random: source of all choices.
        """

    def load(self, sample_id: str) -> Sample:
        """Return the picture, the same in focus as target, and the true blur map."""
        entry = self.entry(sample_id)
        shot = _load_shot(self, sample_id, entry.files["image"], self.fingerprint(sample_id))
        return Sample(
            id=sample_id,
            image=shot.image,
            target=shot.target,
            blur_map=shot.blur_map,
            scene=entry.scene,
            meta={**entry.meta, **shot.facts},
        )

    def fingerprint(self, sample_id: str) -> str:
        """Return a SHA-256 over the id, which all choices depend on, the file, all parameters and
        the version.
        """
        return hashlib.sha256(f"{sample_id}\0{super().fingerprint(sample_id)}".encode()).hexdigest()

    def make_shot(self, sample_id: str, path: Path) -> Shot:
        """Return the shot of a photograph, in 8 bits; raises DataError if the file is damaged."""
        random = keyed_generator(self.card.generator, self._seed, sample_id)
        shot = self.take_shot(imageio.read(path)[0], self._size, random)
        return replace(shot, image=_round_to_bytes(shot.image), target=_round_to_bytes(shot.target))


@lru_cache(maxsize=4)
def _load_shot(dataset: EvaluationSet, sample_id: str, path: Path, fingerprint: str) -> Shot:
    """Return a shot. The last few are kept; the fingerprint is there to tell a changed file from a
    known one.
    """
    return dataset.make_shot(sample_id, path)


def _round_to_bytes(codes: Picture) -> Picture:
    levels = np.rint(np.clip(codes, 0, 1) * np.float32(255))
    return cast(Picture, levels / np.float32(255))


# Photographs
# --------------------------------------------------------------------------------------------------


def _list_pictures(card: DatasetCard, source: Path) -> dict[str, SharpPicture]:
    """Return id -> sharp picture of a folder, each a photograph of its own."""
    folder = source.expanduser().resolve()
    paths = list_files(folder) if folder.is_dir() else []
    if not paths:
        problem = "holds no sharp picture" if folder.is_dir() else "no such folder"
        raise DataError(f"{card.title}: {folder}: {problem}. Give source=DIR with\n{card.layout}")
    names = sample_ids(paths)
    return {name: SharpPicture(path, name) for name, path in zip(names, paths, strict=True)}


def _make_entry(picture: SharpPicture) -> SampleFiles:
    # Made from, and compared with, the same sharp picture.
    files = {"image": picture.path, "target": picture.path}
    meta = {"source": picture.path.name, "map": "invented"}
    return SampleFiles(files=files, scene=picture.photograph, meta=meta)


def _require_size(path: Path, size: int) -> None:
    header = imageio.read_header(path)
    if min(header.width, header.height) < size:
        raise DataError(
            f"{path}: is {header.width}x{header.height} px, smaller than the pictures of size="
            f"{size}; take it out, or give a smaller size"
        )


def sample_photograph(
    codes: Picture, size: int, to_light: Callable[[Picture], Picture] | None = None
) -> Picture:
    """Return the middle square of a photograph as samples of a surface of `size` pixels.

    Args:
        codes: the photograph's code values.
        size: side of the surface in pixels.
        to_light: turns code values into light; None leaves them as they are. A large photograph is
            reduced by area, in light. A small one is enlarged by cubic interpolation, which invents
            no detail, in code values, where overshoot is less.
    """
    shortest = min(codes.shape[:2])
    top, left = ((length - shortest) // 2 for length in codes.shape[:2])
    square = codes[top : top + shortest, left : left + shortest]
    convert = to_light or np.asarray
    side = (SAMPLES_PER_PIXEL * size, SAMPLES_PER_PIXEL * size)
    if side[0] < shortest:
        return cast(Picture, cv2.resize(convert(square), side, interpolation=cv2.INTER_AREA))
    large = cv2.resize(square, side, interpolation=cv2.INTER_CUBIC)
    return convert(np.clip(large, 0, 1))
