"""Pictures that others made, from a folder, as a method: `pictures:path=DIR,name=SFNet`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict

from benchmark import imageio
from benchmark.api import (
    DataError,
    Method,
    MethodCard,
    Observation,
    Picture,
    PicturePairs,
    PlannedPictures,
)
from benchmark.files import hash_file
from benchmark.methods.picture_files import (
    FileMatch,
    FilePairing,
    ProblemList,
    check_match,
    check_pictures,
    hash_pictures,
    list_levels,
    match_by_name,
    match_by_order,
)
from benchmark.metrics.tracks import Track
from benchmark.toml_file import read_toml_file

CARD_FILE = "card.toml"
_MAX_TEXT = 1000


def _require_line(text: str) -> str:
    if not text.isprintable() or len(text) > _MAX_TEXT:
        raise ValueError(f"expected one printable line of at most {_MAX_TEXT} characters")
    return text


_Line = Annotated[str, AfterValidator(_require_line)]


class _PictureCard(BaseModel):
    """What `card.toml` may say; `trained_on` left out means unknown."""

    model_config = ConfigDict(strict=True, extra="forbid")

    title: _Line = ""
    family: Literal["baseline", "classical", "learned"] = "learned"
    paper: _Line = ""
    trained_on: list[_Line] | None = None
    licence: _Line = "not stated"
    bits: Literal[8, 16] | None = None
    notes: _Line = ""


class PicturesOfOthers(Method):
    """What others restored, read from files; nothing is restored here."""

    card = MethodCard(
        title="Pictures of others",
        family="learned",
        trained_on=None,
        licence="not stated",
        reimplementation=False,
        made_elsewhere=True,
        notes="Read from files, exactly as stored.",
    )
    location_parameters = frozenset({"path"})

    def __init__(
        self,
        *,
        path: Path,
        name: str = "",
        pair: FilePairing = "name",
        pairs: PicturePairs | None = None,
    ) -> None:
        """Find the folder and its card.

        Args:
            path: the folder, relative to the current directory: picture files called like the
                samples, maybe with an ending such as `_restored` or what all share;
                sub-folders `noise-5/` for noise levels; and `card.toml`, if there is one.
            name: what tables call it; the folder's name if empty.
            pair: how files belong to samples: "name", or "order" (both sorted, equal counts).
            pairs: what `pair_pictures` returned, for the workers of a run.

        Raises:
            DataError: if the folder is missing, or its card cannot be read.
        """
        self._folder = path.expanduser()
        if not self._folder.is_dir():
            raise DataError(f"{path}: no such folder; path= names the folder of the pictures")
        self._how = pair
        self._pairs = pairs
        facts = _read_card(self._folder / CARD_FILE)
        self._bits = facts.bits
        self.card = _complete_card(self.card, facts)

    @classmethod
    def label_of(cls, parameters: Mapping[str, Any]) -> str:
        """Return the parameter `name`, or the name of the folder."""
        folder: Path = parameters["path"].expanduser()
        return str(parameters["name"] or folder.absolute().name)

    def weights_hash(self) -> str:
        """Return a SHA-256 over names and content of all pictures in the folder, and over the
        samples that they were paired with by order.
        """
        files = [file for level in list_levels(self._folder).values() for file in level]
        samples: list[str] = []
        if self._pairs is not None and self._how == "order":
            samples = sorted({sample for level in self._pairs.files.values() for sample in level})
        content = [hash_pictures(self._folder, files), samples]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def pair_pictures(self, pictures: PlannedPictures) -> PicturePairs:
        """Return the file of every sample at every noise level.

        Raises:
            DataError: naming every file that is missing, extra, damaged, of another size or bit
                depth, or that matches a sample that has one already.
        """
        levels = list_levels(self._folder)
        problems = ProblemList()
        files: dict[float, dict[str, str]] = {}
        remarks: dict[str, None] = {}
        for sigma in pictures.sigmas:
            if sigma not in levels:
                has = ", ".join(f"{level:g}" for level in levels)
                problems.add("no pictures", f"noise {sigma:g}; the folder holds noise {has}")
                continue
            match = self._match(levels[sigma], pictures)
            if match is None:
                line = f"{len(levels[sigma])} files, {len(pictures.samples)} samples"
                problems.add("cannot be paired by order", line)
                continue
            check_match(match, pictures, problems)
            check_pictures(self._folder, match, pictures, problems)
            files[sigma] = {sample: names[0] for sample, names in match.files.items()}
            remarks |= dict.fromkeys(match.assumptions)
        if problems:
            raise DataError(self._describe(problems, pictures))
        paired_files = {file for level in files.values() for file in level.values()}
        return PicturePairs(
            files=files,
            digests=hash_pictures(self._folder, sorted(paired_files)),
            remarks=(*remarks, *self._remark_on_inputs(pictures)),
        )

    def _match(self, files: Sequence[str], pictures: PlannedPictures) -> FileMatch | None:
        """Return the files of a noise level with their samples; None where they cannot be paired by
        order.
        """
        if self._how == "name":
            return match_by_name(files, pictures.samples)
        for samples in (pictures.samples, tuple(pictures.sizes)):
            if len(samples) == len(files):
                return match_by_order(files, samples)
        return None

    def _describe(self, problems: ProblemList, pictures: PlannedPictures) -> str:
        return (
            f"{self._folder}: does not fit {pictures.dataset} ({len(pictures.samples)} samples, "
            f"{len(pictures.sizes)} in this run):\n{problems}\nA file is called like its sample, "
            "maybe with an ending such as _restored; pair=order pairs sorted files with the "
            "samples in their order"
        )

    def _remark_on_inputs(self, pictures: PlannedPictures) -> Iterator[str]:
        """Yield where what the pictures were made of may differ from what this run reads."""
        depths = sorted(
            {Track.parse(track).depth for tracks in pictures.sizes.values() for track in tracks}
        )
        if self._bits is not None and depths != [f"u{self._bits}"]:
            yield (
                f"made of {self._bits}-bit pictures, as its card says, and this run reads "
                f"{', '.join(depths)}; see --track"
            )
        if any(pictures.sigmas):
            yield "taken to be made of the pictures with the noise that this suite adds"

    def skip(self, observation: Observation) -> str | None:
        """Return that there is no picture outside of a run."""
        if self._pairs is None:
            return "its pictures are paired with a data set by `run` alone"
        return None

    def restore(self, observation: Observation) -> Picture:
        """Return what the file of the sample holds.

        Raises:
            DataError: if it is not what it was when the run was planned.
        """
        assert self._pairs is not None and observation.sample is not None  # skip() says so
        file = self._pairs.files[observation.noise_sigma or 0.0][observation.sample]
        path = self._folder / file
        if hash_file(path) != self._pairs.digests[file]:
            raise DataError(f"{path}: is not what it was when this was planned; run again")
        picture, _ = imageio.read(path)
        if observation.order == "bgr":
            picture = np.ascontiguousarray(picture[..., ::-1])
        return picture


def _read_card(path: Path) -> _PictureCard:
    """Return what a folder's card says; all of it is unknown without one."""
    if not path.is_file():
        return _PictureCard()
    return read_toml_file(path, _PictureCard, "mend or remove it")


def _complete_card(card: MethodCard, facts: _PictureCard) -> MethodCard:
    return dataclasses.replace(
        card,
        title=facts.title or card.title,
        family=facts.family,
        paper=facts.paper,
        trained_on=None if facts.trained_on is None else tuple(facts.trained_on),
        licence=facts.licence,
        notes=f"{card.notes} {facts.notes}".strip(),
    )
