"""LFDOF: defocused pictures synthesised from light fields, many of each scene with one
all-in-focus target.

The list of the test set, `lfdof_test.csv`, restates the file `Dataset_test_LFDOF` of the repository
github.com/csZcWu/NRKNet: 725 pictures of 50 scenes. A scene has three apertures (ap1, ap2, ap3),
and the columns say at how many focus settings each was taken; files are numbered from 00.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, Literal, NamedTuple

from benchmark.api import DataError, DatasetCard, Scalar
from benchmark.datasets.layout import (
    FileDataset,
    SampleFiles,
    find_folder,
    index_by_key,
    list_files,
    missing_dataset_error,
)
from benchmark.files import natural_key

LfdofSplit = Literal["train", "test"]

_TABLE = Path(__file__).with_name("lfdof_test.csv")
_COUNTS: Final = {"train": 11261, "test": 725}
_SIZE: Final = (1008, 688)
"""Width and height in px."""
_BASES: Final = ("LFDOF/{}_data", "{}_data")


class Lfdof(FileDataset):
    """The light-field data set of AIFNet's authors."""

    card = DatasetCard(
        title="LFDOF",
        paper="Ruan et al., AIFNet: All-in-Focus Image Restoration Network Using a Light "
        "Field-Based Dataset, TCI 2021",
        licence="not stated",
        source="sweb.cityu.edu.hk/miullam/AIFNET",
        layout=(
            "LFDOF/{train,test}_data/   (or {train,test}_data/)\n"
            "  input/IMG_1567/IMG_1567_ap1_00.png ...   one folder a scene: aperture 1 to 3, focus "
            "00 to 04\n"
            "  ground_truth/IMG_1567.png ...            the scene's all-in-focus picture"
        ),
        count=725,
        notes=(
            "1008x688. Training 11261 pictures; test 725 pictures of 50 light fields. A scene of "
            "the tables is a light field: its up to 15 pictures count once. Published means are "
            "over pictures. meta has aperture and focus, as numbered in the file's name. The bit "
            "depth is that of the files. Blur is synthetic: a sum of sub-aperture views."
        ),
    )

    def __init__(self, root: Path, *, split: LfdofSplit = "test", partial: bool = False) -> None:
        """Find the pictures of a split.

        Args:
            root: folder that holds one of the layouts on the card.
            split: part of the official division.
            partial: accept fewer pictures than the split has. Scores on a part are not scores on
                LFDOF.

        Raises:
            DataError: if the split is missing, incomplete (unless `partial`), unpaired, or not of
                688 rows and 1008 columns.
        """
        folders = _find_split_folders(self.card, root, split)
        entries = _build_entries(folders)
        _check_names(folders.images, list(entries), split, partial)
        super().__init__(entries, size=_SIZE, count=_COUNTS[split])


class _SplitFolders(NamedTuple):
    """Where the pictures and the targets of a split lie."""

    images: Path
    targets: Path


def _find_split_folders(card: DatasetCard, root: Path, split: LfdofSplit) -> _SplitFolders:
    base = find_folder(root, *(name.format(split) for name in _BASES))
    if base is None:
        raise missing_dataset_error(card, root, f"no {split} pictures")
    images = find_folder(base, "input")
    targets = find_folder(base, "ground_truth")
    if images is None or targets is None:
        missing = "input" if images is None else "ground_truth"
        raise missing_dataset_error(card, root, f"{base} has no folder {missing}")
    return _SplitFolders(images, targets)


def _list_scenes(folder: Path) -> dict[str, list[Path]]:
    """Return scene -> its pictures, in natural order."""
    strays = list_files(folder)
    if strays:
        raise DataError(f"{strays[0]}: belongs into the folder of its scene; move it there")
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return {path.name: list_files(path) for path in sorted(folders, key=natural_key)}


def _build_entries(folders: _SplitFolders) -> dict[str, SampleFiles]:
    """Return sample id -> its files; every picture has a target, and every target a picture."""
    scenes = _list_scenes(folders.images)
    targets = index_by_key(list_files(folders.targets))
    for scene, target in targets.items():
        if not scenes.get(str(scene)):
            raise DataError(
                f"{target}: is the target of no picture in {folders.images}; restore the pictures "
                "of its scene"
            )
    entries: dict[str, SampleFiles] = {}
    for path in index_by_key(list(chain.from_iterable(scenes.values()))).values():
        scene = path.parent.name
        if scene not in targets:
            raise DataError(f"{path}: its target {scene} is not in {folders.targets}; restore it")
        files = {"image": path, "target": targets[scene]}
        entries[path.stem] = SampleFiles(files=files, scene=scene, meta=_read_numbers(path))
    return entries


def _read_numbers(path: Path) -> dict[str, Scalar]:
    """Return the aperture and the focus that are numbered in the name of a picture."""
    scene = path.parent.name
    match = re.fullmatch(r"_ap(\d)_(\d\d)", path.stem.removeprefix(scene))
    if match is None:
        raise DataError(
            f"{path}: is not a picture of scene {scene}, which are called {scene}_ap1_00 and so "
            "on; move or rename it"
        )
    return {"aperture": int(match[1]), "focus": int(match[2])}


def _check_names(folder: Path, names: Sequence[str], split: LfdofSplit, partial: bool) -> None:
    """Raise DataError for pictures that the split does not have, or, unless `partial`, lacks."""
    official_names = dict.fromkeys(_list_test_names() if split == "test" else names)
    for name in names:
        if name not in official_names:
            raise DataError(
                f"{folder}: {name} is not one of the {len(official_names)} pictures of the "
                "official test split; remove it"
            )
    count = _COUNTS[split]
    if len(names) > count or (len(names) < count and not partial):
        missing = [name for name in official_names if name not in names]
        first = f" ({len(missing)} are missing, the first is {missing[0]})" if missing else ""
        raise DataError(
            f"{folder}: has {len(names)} pictures, but the official {split} split has {count}"
            f"{first}. A score on other pictures is not a score on LFDOF: get the original files, "
            "or measure on a part with lfdof:partial=true"
        )


def _list_test_names() -> Iterator[str]:
    """Yield the names of the test pictures, in natural order."""
    with _TABLE.open(newline="") as table:
        for row in csv.DictReader(table):
            for aperture in ("ap1", "ap2", "ap3"):
                for focus in range(int(row[aperture])):
                    yield f"{row['scene']}_{aperture}_{focus:02d}"
