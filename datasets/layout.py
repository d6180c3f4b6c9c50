"""What the adapters of data sets on disk share: finding folders, pairing files, checked reading,
fingerprints.

An adapter looks for its files in the constructor and hands `FileDataset` one `Entry` per sample.
Headers of all files are checked there and then, so that a wrong size or bit depth shows before a
run starts and not in the middle of it; damage behind the header shows on `load`.
"""

from __future__ import annotations

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
from benchmark.files import PICTURE_SUFFIXES, hash_file, natural_key, require_printable_name
from benchmark.left_out import list_left_out_files
from benchmark.spec import suggest_name

PICTURE_ROLES = ("image", "target", "left", "right", "mask")

Pairing = Literal["auto", "name", "order"]

PairingKey = Callable[[Path], object]
PixelSize = tuple[int, int]
"""Width and height in px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFiles:
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
        entries: Mapping[str, SampleFiles],
        *,
        parameters: Mapping[str, Scalar] | None = None,
        bit_depth: int | None = None,
        size: PixelSize | None = None,
        count: int | None = None,
        remarks: Sequence[str] = (),
        comes_with_suite: bool = False,
    ) -> None:
        """Check the headers of all files.

        Args:
            entries: sample id -> its files, in the order of the ids.
            parameters: those of the adapter's parameters that change what `load` returns; part of
                the fingerprint.
            bit_depth: bits per channel that every picture is promised to have, or None if the file
                decides.
            size: size that every picture is promised to have, or None if the file decides.
            count: samples in the complete set, where it depends on a parameter.
            remarks: what the adapter left out or assumed.
            comes_with_suite: whether the card knows the files, so that nothing of them is told.

        Raises:
            DataError: if there are no entries, or a file is missing, unsuitable, of another size or
                bit depth, or the pictures of a sample differ in orientation or colour space.
        """
        if not entries:
            raise DataError(f"{self.card.title}: no pictures found. Expected\n{self.card.layout}")
        self._entries = dict(entries)
        self._parameters = dict(parameters or {})
        self._bit_depth = bit_depth
        self._picture_size = size
        self._mixed_depths: dict[str, dict[str, int]] = {}
        self._colour_spaces: dict[Path, str] = {}
        for sample_id, entry in entries.items():
            depths = self._check_headers(entry)
            if depths.get("target", depths.get("image")) != depths.get("image"):
                self._mixed_depths[sample_id] = depths
        self.remarks = list(remarks)
        if not comes_with_suite:
            files = {path for entry in entries.values() for path in entry.files.values()}
            self.remarks += list_left_out_files(files)
            self.remarks += _describe_colours(self._colour_spaces)
        self._annotate_card(count or self.card.count)

    def ids(self) -> Sequence[str]:
        """Return the sample ids in natural order."""
        return tuple(self._entries)

    def entry(self, sample_id: str) -> SampleFiles:
        """Return the files of a sample; raises UsageError for an id that does not exist."""
        try:
            return self._entries[sample_id]
        except KeyError:
            hint = suggest_name(sample_id, self._entries)
            if not hint:
                hint = f"the first of {len(self._entries)} is {self.ids()[0]!r}"
            raise UsageError(f"{self.card.title} has no sample {sample_id!r}; {hint}") from None

    def load(self, sample_id: str) -> Sample:
        """Return a sample at the full precision of its files; raises DataError if one of them is
        damaged.
        """
        entry = self.entry(sample_id)
        pictures, bit_depth = self.read_pictures(entry)
        views = None
        if "left" in pictures:
            views = (pictures["left"], pictures["right"])
        mask = None
        if "mask" in pictures:
            mask = pictures["mask"][..., 0] > 0.5
        return Sample(
            id=sample_id,
            image=pictures["image"],
            target=pictures.get("target"),
            views=views,
            mask=mask,
            bit_depth=bit_depth["image"],
            target_bit_depth=bit_depth.get("target"),
            scene=entry.scene,
            meta=entry.meta,
        )

    def fingerprint(self, sample_id: str) -> str:
        """Return a SHA-256 over adapter version, parameters, facts and file contents of a sample,
        not over names.
        """
        entry = self.entry(sample_id)
        content: dict[str, object] = {
            "version": self.version,
            "parameters": self._parameters,
            "meta": dict(entry.meta),
            "files": {role: _file_digest(path) for role, path in entry.files.items()},
        }
        if sample_id in self._mixed_depths:
            # Tracks used to read such a target as if it had the bit depth of the image.
            content["bit_depth"] = self._mixed_depths[sample_id]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def picture_size(self, sample_id: str) -> tuple[int, int]:
        """Return height and width of a sample, from the header where the file is the picture."""
        files = self.entry(sample_id).files
        if type(self).load is not FileDataset.load or "image" not in files:
            return super().picture_size(sample_id)
        header = imageio.read_header(files["image"])
        return header.height, header.width

    def read_pictures(self, entry: SampleFiles) -> tuple[dict[str, Picture], dict[str, int]]:
        """Return the pictures and their bits per channel, by role, with promised depth and sizes
        checked.
        """
        pictures: dict[str, Picture] = {}
        bit_depth: dict[str, int] = {}
        for role, path in entry.pictures.items():
            pictures[role], bit_depth[role] = imageio.read(path, allow_transparent=role == "mask")
        self._check_depth(entry, bit_depth)
        self.check_sizes(entry, {role: pixel_size(picture) for role, picture in pictures.items()})
        return pictures, bit_depth

    def check_sizes(self, entry: SampleFiles, sizes: Mapping[str, PixelSize]) -> None:
        """Raise DataError unless the pictures, whose sizes are given by role, fit together: here,
        are of one size, and that the promised one.
        """
        reference = "image" if "image" in sizes else next(iter(sizes))
        for role, role_size in sizes.items():
            self._check_promised_size(entry.files[role], role_size)
            check_same_size(entry.files[role], role_size, entry.files[reference], sizes[reference])

    def _check_promised_size(self, path: Path, size: PixelSize) -> None:
        if self._picture_size is not None and size != self._picture_size:
            raise DataError(
                f"{path}: is {_size_text(size)} px, but {self.card.title} has "
                f"{_size_text(self._picture_size)} px: this is a turned, cropped or resized copy. "
                "Get the original files, or measure on the copy with folder:path=..."
            )

    def _check_headers(self, entry: SampleFiles) -> dict[str, int]:
        """Return the bits per channel of the pictures, by role, after all checks of headers."""
        headers = {role: imageio.read_header(path) for role, path in entry.pictures.items()}
        bit_depth = {role: header.bit_depth for role, header in headers.items()}
        self._check_depth(entry, bit_depth)
        sizes = {role: (header.width, header.height) for role, header in headers.items()}
        self._colour_spaces |= _check_display_tags(entry)
        self.check_sizes(entry, sizes)
        return bit_depth

    def _check_depth(self, entry: SampleFiles, bit_depth: Mapping[str, int]) -> None:
        for role, bits in bit_depth.items():
            if self._bit_depth not in (None, bits):
                raise DataError(
                    f"{entry.files[role]}: has {bits} bits per channel, but {self.card.title} has "
                    f"{self._bit_depth}: this is a converted copy. Get the original files, or "
                    "measure on the copy with folder:path=..."
                )

    def _annotate_card(self, count: int | None) -> None:
        of_all = f" of {count}" if count else ""
        facts = f"{len(self._entries)}{of_all} samples found."
        if self.remarks:
            facts += f" Of this copy: {'; '.join(self.remarks)}."
        has_target = all("target" in entry.files for entry in self._entries.values())
        # The class's card describes the set, the instance's this copy of it.
        self.card = replace(
            self.card,
            count=count,
            has_target=has_target,
            notes=f"{self.card.notes} {facts}".strip(),
        )


# Folders and files
# --------------------------------------------------------------------------------------------------


def list_files(folder: Path, suffixes: Iterable[str] = PICTURE_SUFFIXES) -> list[Path]:
    """Return the files of a folder with one of `suffixes` (in any case), in natural order; hidden
    ones do not count. Links that lead nowhere and pipes do: whoever reads them refuses them.

    Raises:
        DataError: if the folder cannot be listed, or one of the names cannot be printed.
    """
    lower_suffixes = set(suffixes)
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in lower_suffixes]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error
    files = [path for path in paths if not path.name.startswith(".") and not path.is_dir()]
    for path in files:
        require_printable_name(path)
    return sorted(files, key=natural_key)


def find_folder(root: Path, *candidates: str) -> Path | None:
    """Return the first of the relative `candidates` that is a folder under `root`, whatever the
    case of its name.
    """
    for candidate in candidates:
        folder: Path | None = root
        for name in candidate.split("/"):
            folder = folder and _find_subfolder(folder, name)
        if folder is not None:
            return folder
    return None


def _find_subfolder(folder: Path, name: str) -> Path | None:
    exact_path = folder / name
    if exact_path.is_dir():
        return exact_path
    if not folder.is_dir():
        return None
    for path in sorted(folder.iterdir()):
        if path.name.casefold() == name.casefold() and path.is_dir():
            return path
    return None


def missing_dataset_error(card: DatasetCard, root: Path, reason: str = "not found") -> DataError:
    """Return the error that shows where the data set was looked for and the tree that was
    expected.
    """
    return DataError(
        f"{card.title}: {reason} (looked under {root.absolute()}). Expected\n{card.layout}\n"
        f"Get it from: {card.source}. Then point --data (or $BENCHMARK_DATA) at the folder that "
        "holds it."
    )


# Pairing
# --------------------------------------------------------------------------------------------------


def file_stem(path: Path) -> str:
    """Return the file's name without its suffix: the default pairing key."""
    return path.stem


def number_in_name(path: Path) -> int:
    """Return the last number in a file's name (`image_07.png` -> 7); raises DataError if there is
    none.
    """
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise DataError(
            f"{path}: expected a number in the file's name, such as image_07.png; rename it"
        )
    return int(digits[-1])


def sample_ids(images: Sequence[Path]) -> list[str]:
    """Return one id per image: its stem, or its full name where two files share the stem."""
    counts = Counter(path.stem for path in images)
    return [path.stem if counts[path.stem] == 1 else path.name for path in images]


def build_entries(
    columns: Mapping[str, Sequence[Path]], meta: Mapping[str, Mapping[str, Scalar]] | None = None
) -> dict[str, SampleFiles]:
    """Return sample id -> entry from columns (role -> files) of equal length and facts by sample
    id. Samples are called after the files of the first column.
    """
    facts = meta or {}
    names = sample_ids(next(iter(columns.values())))
    entries = {}
    for name, *paths in zip(names, *columns.values(), strict=True):
        files = dict(zip(columns, paths, strict=True))
        entries[name] = SampleFiles(files=files, meta=facts.get(name, {}))
    return entries


def pair_files(
    images: Sequence[Path],
    partners: Sequence[Path],
    how: Pairing = "auto",
    key: PairingKey = file_stem,
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
        common_keys = {key(path) for path in images} & {key(path) for path in partners}
        how = "name" if common_keys else "order"
    if how == "order":
        return _pair_by_order(images, partners)
    return _pair_by_key(images, partners, key)


def _pair_by_order(images: Sequence[Path], partners: Sequence[Path]) -> list[Path]:
    if len(images) != len(partners):
        raise DataError(
            f"{_folder_of_files(images)} has {len(images)} files, {_folder_of_files(partners)} has "
            f"{len(partners)}: they cannot be paired by order. Complete them, or give partners the "
            "same name"
        )
    return list(partners)


def _pair_by_key(images: Sequence[Path], partners: Sequence[Path], key: PairingKey) -> list[Path]:
    partner_of_key = index_by_key(partners, key)
    image_of_key = index_by_key(images, key)
    for path in (*images, *partners):
        if key(path) not in partner_of_key or key(path) not in image_of_key:
            other = _folder_of_files(partners if path in images else images)
            raise DataError(
                f"{path}: has no partner in {other}; every file needs one of the same name. "
                "Restore it"
            )
    return [partner_of_key[key(path)] for path in images]


def describe_positions(role: str, pairs: Sequence[tuple[Path, Path]]) -> list[str]:
    """Return a line if files were paired by their positions, as no two of them have one name.

    Args:
        role: of the partners.
        pairs: images with their partners, in their order.
    """
    if not pairs or names_agree(pairs):
        return []
    line = (
        f"no names agree, so {role}s are paired by position: {_name_pair(pairs[0])} ... "
        f"{_name_pair(pairs[-1])}"
    )
    for pair in pairs:
        numbers = [re.findall(r"\d+", path.stem) for path in pair]
        if all(numbers) and int(numbers[0][-1]) != int(numbers[1][-1]):
            line += f"; the numbers in the names differ, first in {_name_pair(pair)}"
            break
    return [line]


def names_agree(pairs: Iterable[tuple[Path, Path]]) -> bool:
    """Return whether any two files that were paired have one name without suffix."""
    return any(image.stem == partner.stem for image, partner in pairs)


def _name_pair(pair: tuple[Path, Path]) -> str:
    image, partner = pair
    return f"{image.name} with {partner.name}"


def index_by_key(paths: Sequence[Path], key: PairingKey = file_stem) -> dict[object, Path]:
    """Return key -> file; raises DataError if two files have the same key."""
    path_of_key: dict[object, Path] = {}
    for path in paths:
        first = path_of_key.setdefault(key(path), path)
        if first != path:
            raise DataError(
                f"{path}: stands for the same sample as {first.name}; remove one of them"
            )
    return path_of_key


def _folder_of_files(paths: Sequence[Path]) -> str:
    if not paths:
        return "an empty folder"
    return str(paths[0].parent)


def pixel_size(array: NDArray[Any]) -> PixelSize:
    """Return (width, height) of a picture, map or mask."""
    return array.shape[1], array.shape[0]


def check_same_size(
    path: Path, size: PixelSize, reference: Path, reference_size: PixelSize
) -> None:
    """Raise DataError unless the picture in `path` has the size of the one in `reference`."""
    if size != reference_size:
        raise DataError(
            f"{path}: is {_size_text(size)} px, but {reference} is "
            f"{_size_text(reference_size)}; the files of a sample must have one size. "
            "Get undamaged originals"
        )


def _check_display_tags(entry: SampleFiles) -> dict[Path, str]:
    """Return file -> its colour space, of the pictures of a sample except its mask.

    Raises:
        DataError: if a viewer would turn one picture and not another, as their pixels do not lie
            over each other then, or if the same numbers mean other colours in one than in another.
    """
    tags = {role: imageio.read_display_tags(path) for role, path in entry.pictures.items()}
    reference = next(iter(tags))
    for role, own_tags in tags.items():
        if own_tags.orientation != tags[reference].orientation:
            raise DataError(
                f"{entry.files[role]}: is to be shown by EXIF orientation {own_tags.orientation}, "
                f"but {entry.files[reference]} by {tags[reference].orientation}: pixels are used "
                "as stored, and these do not fit. Turn the pixels of both upright and save them "
                "again"
            )
    colour_spaces = {role: tags[role].colour_space for role in tags if role != "mask"}
    for role, colour_space in colour_spaces.items():
        if colour_space != colour_spaces[reference]:
            raise DataError(
                f"{entry.files[role]}: has the colours of {colour_space}, but "
                f"{entry.files[reference]} those of {colour_spaces[reference]}: numbers are used "
                "as stored, and these do not mean the same. Convert both to sRGB and save them "
                "again"
            )
    return {entry.files[role]: colour_space for role, colour_space in colour_spaces.items()}


def _describe_colours(colour_spaces: Mapping[Path, str]) -> list[str]:
    """Return a line for each colour space that is not sRGB."""
    counts = Counter(colour_spaces.values())
    return [
        f"{count} of {len(colour_spaces)} pictures have the colours of {colour_space}; numbers are "
        "used as stored, as if they were sRGB"
        for colour_space, count in counts.most_common()
        if colour_space != imageio.SRGB
    ]


def _size_text(size: PixelSize) -> str:
    width, height = size
    return f"{width}x{height}"


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
