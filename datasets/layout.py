"""What the adapters of data sets on disk share: finding folders, pairing files, checked reading,
fingerprints.

An adapter looks for its files in the constructor and hands `FileDataset` one `Entry` per sample.
Headers of all files are checked there and then, so that a wrong size or bit depth shows before a
run starts and not in the middle of it; damage behind the header shows on `load`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import DataError, Dataset, DatasetCard, Picture, Sample, Scalar, UsageError
from benchmark.files import PICTURE_SUFFIXES, hash_file

PICTURE_ROLES = ("image", "target", "left", "right", "mask")

Pairing = Literal["auto", "name", "order"]

Key = Callable[[Path], object]
Size = tuple[int, int]
"""Width and height in px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The files and facts of one sample.

    Attributes:
        files: role -> file. `image`, `target`, `left`, `right` and `mask` are pictures; other roles
            (`blur_map`) belong to the adapter.
        scene, meta: as in `Sample`.
    """

    files: Mapping[str, Path]
    scene: str = ""
    meta: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def pictures(self) -> dict[str, Path]:
        """Return the files that hold pictures."""
        return {role: self.files[role] for role in PICTURE_ROLES if role in self.files}


class FileDataset(Dataset):
    """A data set whose samples are files: ids, fingerprints, and samples with image, target, views
    and mask (white).
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        *,
        parameters: Mapping[str, Scalar] | None = None,
        bit_depth: int | None = None,
        count: int | None = None,
    ) -> None:
        """Check the headers of all files.

        Args:
            entries: sample id -> its files, in the order of the ids.
            parameters: those of the adapter's parameters that change what `load` returns; part of
                the fingerprint.
            bit_depth: bits per channel that every picture is promised to have, or None if the file
                decides.
            count: samples in the complete set, where it depends on a parameter.

        Raises:
            DataError: if there are no entries, or a file is missing, unsuitable, of another size or
                bit depth.
        """
        if not entries:
            raise DataError(f"{self.card.title}: no pictures found. Expected\n{self.card.layout}")
        self._entries = dict(entries)
        self._parameters = dict(parameters or {})
        self._bit_depth = bit_depth
        self._annotate_card(count or self.card.count)
        for entry in entries.values():
            self._check_headers(entry)

    def ids(self) -> Sequence[str]:
        """Return the sample ids in natural order."""
        return tuple(self._entries)

    def entry(self, sample_id: str) -> Entry:
        """Return the files of a sample; raises UsageError for an id that does not exist."""
        try:
            return self._entries[sample_id]
        except KeyError:
            near = difflib.get_close_matches(sample_id, self._entries, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; the first of {len(self._entries)} is {self.ids()[0]!r}"
            )
            raise UsageError(f"{self.card.title} has no sample {sample_id!r}{hint}") from None

    def load(self, sample_id: str) -> Sample:
        """Return a sample at the full precision of its files; raises DataError if one of them is
        damaged.
        """
        entry = self.entry(sample_id)
        pictures, bit_depth = self.read_pictures(entry)
        mask = pictures.get("mask")
        return Sample(
            id=sample_id,
            image=pictures["image"],
            target=pictures.get("target"),
            views=(pictures["left"], pictures["right"]) if "left" in pictures else None,
            mask=None if mask is None else mask[..., 0] > 0.5,
            bit_depth=bit_depth["image"],
            scene=entry.scene,
            meta=entry.meta,
        )

    def fingerprint(self, sample_id: str) -> str:
        """Return a SHA-256 over adapter version, parameters, facts and file contents of a sample,
        not over names.
        """
        entry = self.entry(sample_id)
        content = {
            "version": self.version,
            "parameters": self._parameters,
            "meta": dict(entry.meta),
            "files": {role: _file_digest(path) for role, path in entry.files.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def read_pictures(self, entry: Entry) -> tuple[dict[str, Picture], dict[str, int]]:
        """Return the pictures and their bits per channel, by role, with promised depth and sizes
        checked.
        """
        decoded = {role: imageio.read(path) for role, path in entry.pictures.items()}
        pictures = {role: picture for role, (picture, _) in decoded.items()}
        bit_depth = {role: depth for role, (_, depth) in decoded.items()}
        self._check_depth(entry, bit_depth)
        self.check_sizes(entry, {role: size(picture) for role, picture in pictures.items()})
        return pictures, bit_depth

    def check_sizes(self, entry: Entry, sizes: Mapping[str, Size]) -> None:
        """Raise DataError unless the pictures, whose sizes are given by role, fit together: here,
        are of one size.
        """
        for role, found in sizes.items():
            check_size(entry.files[role], found, entry.files["image"], sizes["image"])

    def _check_headers(self, entry: Entry) -> None:
        headers = {role: imageio.probe(path) for role, path in entry.pictures.items()}
        self._check_depth(entry, {role: header.bit_depth for role, header in headers.items()})
        self.check_sizes(
            entry, {role: (header.width, header.height) for role, header in headers.items()}
        )

    def _check_depth(self, entry: Entry, bit_depth: Mapping[str, int]) -> None:
        for role, found in bit_depth.items():
            if self._bit_depth not in (None, found):
                raise DataError(
                    f"{entry.files[role]}: has {found} bits per channel, but {self.card.title} "
                    f"has {self._bit_depth}: "
                    f"this is a converted copy. Get the original files, or measure on the copy "
                    f"with folder:path=..."
                )

    def _annotate_card(self, count: int | None) -> None:
        found = (
            f"{len(self._entries)} of {count} samples found."
            if count
            else f"{len(self._entries)} samples found."
        )
        has_target = all("target" in entry.files for entry in self._entries.values())
        # The class's card describes the set, the instance's this copy of it.
        self.card = replace(
            self.card,
            count=count,
            has_target=has_target,
            notes=f"{self.card.notes} {found}".strip(),
        )


# Folders and files
# --------------------------------------------------------------------------------------------------


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key in which image2 comes before image10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], path.name


def files(folder: Path, suffixes: Iterable[str] = PICTURE_SUFFIXES) -> list[Path]:
    """Return the files of a folder with one of `suffixes` (in any case), in natural order; hidden
    ones do not count.
    """
    allowed = set(suffixes)
    named = [path for path in folder.iterdir() if path.suffix.lower() in allowed]
    visible = [path for path in named if not path.name.startswith(".")]
    return sorted((path for path in visible if path.is_file()), key=natural_key)


def locate(root: Path, *candidates: str) -> Path | None:
    """Return the first of the relative `candidates` that is a folder under `root`, whatever the
    case of its name.
    """
    return next(
        (found for candidate in candidates if (found := _descend(root, candidate.split("/")))), None
    )


def _descend(folder: Path, names: Sequence[str]) -> Path | None:
    for name in names:
        exact = folder / name
        if exact.is_dir():
            folder = exact
            continue
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        match = next(
            (path for path in inside if path.name.casefold() == name.casefold() and path.is_dir()),
            None,
        )
        if match is None:
            return None
        folder = match
    return folder


def not_found(card: DatasetCard, root: Path, why: str = "not found") -> DataError:
    """Return the error that shows where the data set was looked for and the tree that was
    expected.
    """
    return DataError(
        f"{card.title}: {why} (looked under {root.absolute()}). Expected\n{card.layout}\n"
        f"Get it from: {card.source}. Then point --data (or $BENCHMARK_DATA) at the folder that "
        f"holds it."
    )


# Pairing
# --------------------------------------------------------------------------------------------------


def stem(path: Path) -> str:
    """Return the file's name without its suffix: the default pairing key."""
    return path.stem


def number(path: Path) -> int:
    """Return the last number in a file's name (`image_07.png` -> 7); raises DataError if there is
    none.
    """
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise DataError(
            f"{path}: expected a number in the file's name, such as image_07.png; rename it"
        )
    return int(digits[-1])


def ids(images: Sequence[Path]) -> list[str]:
    """Return one id per image: its stem, or its full name where two files share the stem."""
    counts = Counter(path.stem for path in images)
    return [path.stem if counts[path.stem] == 1 else path.name for path in images]


def entries(
    columns: Mapping[str, Sequence[Path]], meta: Mapping[str, Mapping[str, Scalar]] | None = None
) -> dict[str, Entry]:
    """Return sample id -> entry from columns (role -> files) of equal length and facts by sample
    id.
    """
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    facts = meta or {}
    names = ids(columns["image"])
    return {
        name: Entry(files=row, meta=facts.get(name, {}))
        for name, row in zip(names, rows, strict=True)
    }


def pair(
    images: Sequence[Path], partners: Sequence[Path], how: Pairing = "auto", key: Key = stem
) -> list[Path]:
    """Return the partner (target, view, map ...) of each image.

    Args:
        images, partners: files in natural order.
        how: by `key` ("name"), by position ("order"), or "auto": by key if any key occurs on both
            sides, otherwise by position.
        key: what makes two files partners; the name without suffix unless told otherwise.

    Raises:
        DataError: for an empty folder, an unpaired file, two files with one key, or unequal counts.
    """
    if how == "auto":
        how = (
            "name" if {key(path) for path in images} & {key(path) for path in partners} else "order"
        )
    return _by_order(images, partners) if how == "order" else _by_key(images, partners, key)


def _by_order(images: Sequence[Path], partners: Sequence[Path]) -> list[Path]:
    if len(images) != len(partners):
        where = (
            f"{_folder(images)} has {len(images)} files, {_folder(partners)} has {len(partners)}"
        )
        raise DataError(
            f"{where}: they cannot be paired by order. Complete them, or give partners the same "
            f"name"
        )
    return list(partners)


def _by_key(images: Sequence[Path], partners: Sequence[Path], key: Key) -> list[Path]:
    by_key, wanted = unique(partners, key), unique(images, key)
    for path in (*images, *partners):
        if key(path) not in by_key or key(path) not in wanted:
            other = _folder(partners if path in images else images)
            raise DataError(
                f"{path}: has no partner in {other}; every file needs one of the same name. "
                f"Restore it"
            )
    return [by_key[key(path)] for path in images]


def unique(paths: Sequence[Path], key: Key = stem) -> dict[object, Path]:
    """Return key -> file; raises DataError if two files have the same key."""
    found: dict[object, Path] = {}
    for path in paths:
        if (first := found.setdefault(key(path), path)) != path:
            raise DataError(
                f"{path}: stands for the same sample as {first.name}; remove one of them"
            )
    return found


def _folder(paths: Sequence[Path]) -> str:
    return str(paths[0].parent) if paths else "an empty folder"


def size(array: NDArray[Any]) -> Size:
    """Return (width, height) of a picture, map or mask."""
    return array.shape[1], array.shape[0]


def check_size(path: Path, found: Size, reference: Path, expected: Size) -> None:
    """Raise DataError unless the picture in `path` has the size of the one in `reference`."""
    if found != expected:
        raise DataError(
            f"{path}: is {found[0]}x{found[1]} px, but {reference} is "
            f"{expected[0]}x{expected[1]}; the files of a "
            f"sample must have one size. Get undamaged originals"
        )


# Fingerprints
# --------------------------------------------------------------------------------------------------


def _file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per state of the file: every cell asks for its
    sample's fingerprint.
    """
    try:
        return hash_file(path)
    except OSError as error:
        raise DataError(f"{path}: has gone ({error.strerror}); restore it") from error
