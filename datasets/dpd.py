"""DPD (also DPDD): 500 real dual-pixel scenes, the training and test set of most published systems.

The official split, `dpd_splits.csv`, restates the file-name lists of the DPDNet repository (folder
`DPDNet/file_names` of github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel): 350 training, 74
validation and 76 test scenes. Source and target of a scene are two shots with two names (1P0A0917
and 1P0A0916).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from benchmark.api import DataError, DatasetCard, Scalar
from benchmark.datasets.layout import (
    FileDataset,
    build_entries,
    describe_positions,
    find_folder,
    index_by_key,
    list_files,
    missing_dataset_error,
    pair_files,
)

DpdSplit = Literal["train", "val", "test"]

_TABLE = Path(__file__).with_name("dpd_splits.csv")
_VIEW_MARKS = ("_L", "_R", "_C")
_SETTINGS = ("indoor", "outdoor")


class _LayoutFolders(NamedTuple):
    """Where a layout keeps the pictures of a split, which stands at `{}`."""

    source: str
    target: str
    left: str
    right: str


_PER_VIEW = (
    "dd_dp_dataset_canon/dd_dp_dataset_png/{}",
    "dd_dp_dataset_canon/{}",
    "dd_dp_dataset_png/{}",
    "DPDD/{}",
    "DPD/{}",
)
_PER_SPLIT = ("{}/DPDD", "DPDD/{}")
_LAYOUTS: Final = (
    *(
        _LayoutFolders(
            f"{base}_c/source", f"{base}_c/target", f"{base}_l/source", f"{base}_r/source"
        )
        for base in _PER_VIEW
    ),
    *(
        _LayoutFolders(f"{base}/inputC", f"{base}/target", f"{base}/inputL", f"{base}/inputR")
        for base in _PER_SPLIT
    ),
)


class Dpd(FileDataset):
    """Dual-pixel defocus pictures of Abuolaim and Brown, 16 bits per channel."""

    card = DatasetCard(
        title="DPD",
        paper="Abuolaim and Brown, Defocus Deblurring Using Dual-Pixel Data, ECCV 2020",
        licence="not stated (the authors ask for citation)",
        source="github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel "
        "(dd_dp_dataset_canon.zip)",
        layout=(
            "dd_dp_dataset_canon/   (or dd_dp_dataset_png/, DPDD/)\n"
            "  {train,val,test}_c/{source,target}/*.png   combined pictures and all-in-focus "
            "targets\n"
            "  {train,val,test}_{l,r}/source/*.png        dual-pixel views (optional)\n"
            "test/DPDD/{inputC,target}/*.png              (also val/, train/; inputL/, inputR/ "
            "for the views)\n"
            "indoor_labels.npy, outdoor_labels.npy beside these folders (optional)"
        ),
        count=76,
        notes=(
            "16 bits per channel, 1680x1120 (Canon EOS 5D Mark IV, processed to sRGB by the "
            "authors). Training 350, validation 74, test 76 scenes. Scenes are paired by the "
            "official list; where files were renamed, by sorted order, which agrees with the "
            "list. meta['setting'] is indoor or outdoor where the index files that come with "
            "Restormer are there (1-based positions in the sorted test set)."
        ),
    )

    def __init__(self, root: Path, *, split: DpdSplit = "test", partial: bool = False) -> None:
        """Find the pictures of a split.

        Args:
            root: folder that holds one of the layouts on the card.
            split: part of the official division.
            partial: accept fewer pictures than the split has. Scores on a part are not scores on
                DPD.

        Raises:
            DataError: if the split is missing, incomplete (unless `partial`), unpaired, or not in
                16 bits.
        """
        official = _read_official_split(split)
        folders = _find_folders(self.card, root, split)
        sources = list_files(folders["image"])
        targets = list_files(folders["target"])
        has_official_names = any(source.stem in official for source in sources)
        if has_official_names:
            targets = _pair_by_official_names(sources, targets, official, split)
        else:
            targets = pair_files(sources, targets)
        pairs = list(zip(sources, targets, strict=True))
        remarks = [] if has_official_names else describe_positions("target", pairs)
        columns = {"image": sources, "target": targets}
        for side in ("left", "right"):
            if side in folders:
                columns[side] = pair_files(sources, list_files(folders[side]), key=_shot_name)
        if len(sources) > len(official) or (len(sources) < len(official) and not partial):
            raise _wrong_count_error(folders["image"], sources, official, split)
        order = list(official) if has_official_names else [source.stem for source in sources]
        settings = _read_settings(folders["image"], order, len(official)) if split == "test" else {}
        super().__init__(
            build_entries(columns, settings), bit_depth=16, count=len(official), remarks=remarks
        )


def _read_official_split(split: DpdSplit) -> dict[str, str]:
    """Return source name -> target name of a split, in sorted order."""
    with _TABLE.open(newline="") as table:
        return {
            row["source"]: row["target"] for row in csv.DictReader(table) if row["split"] == split
        }


def _find_folders(card: DatasetCard, root: Path, split: DpdSplit) -> dict[str, Path]:
    """Return role -> folder in the first layout that has source pictures."""
    for layout in _LAYOUTS:
        source, target, left, right = (find_folder(root, name.format(split)) for name in layout)
        if source is None:
            continue
        if target is None:
            raise missing_dataset_error(card, root, f"{source} has no target folder beside it")
        if (left is None) != (right is None):
            raise missing_dataset_error(
                card, root, f"{left or right} is there without the other view"
            )
        folders = {"image": source, "target": target}
        if left is not None and right is not None:
            folders |= {"left": left, "right": right}
        return folders
    raise missing_dataset_error(card, root, f"no {split} pictures")


def _pair_by_official_names(
    sources: Sequence[Path], targets: Sequence[Path], official: Mapping[str, str], split: DpdSplit
) -> list[Path]:
    """Return the target of each source by the official list; a target may also carry its source's
    name.
    """
    by_stem = index_by_key(targets)
    partners: list[Path] = []
    for source in index_by_key(sources).values():
        if source.stem not in official:
            raise DataError(
                f"{source}: is not one of the {len(official)} files of the official {split} split; "
                "remove it"
            )
        target = by_stem.get(official[source.stem]) or by_stem.get(source.stem)
        if target is None:
            raise DataError(
                f"{source}: its target {official[source.stem]} is not in the target folder; "
                "restore it"
            )
        partners.append(target)
    for target in targets:
        if target not in partners:
            raise DataError(
                f"{target}: is the target of no source in the {split} folder; restore the source"
            )
    return partners


def _wrong_count_error(
    folder: Path, sources: Sequence[Path], official: Mapping[str, str], split: DpdSplit
) -> DataError:
    names = {source.stem for source in sources}
    missing = [name for name in official if name not in names]
    first = ""
    if 0 < len(missing) < len(official):
        first = f" ({len(missing)} are missing, the first is {missing[0]})"
    return DataError(
        f"{folder}: has {len(sources)} pictures, but the official {split} split has "
        f"{len(official)}{first}. A score on other pictures is not a score on DPD: get the "
        "original files, or measure on a part with dpd:partial=true"
    )


def _shot_name(path: Path) -> str:
    """Return the name of the shot: 1P0A0917 for 1P0A0917.png and for its views 1P0A0917_L.png and
    1P0A0917_R.png.
    """
    if path.stem.upper().endswith(_VIEW_MARKS):
        return path.stem[:-2]
    return path.stem


def _read_settings(sources: Path, order: Sequence[str], count: int) -> dict[str, dict[str, Scalar]]:
    """Return source name -> {"setting": ...} from the index files.

    It is empty where there are none, or where a part of the split has lost the names that the
    positions refer to.
    """
    labelled = (near for near in sources.parents[:2] if _has_label_files(near))
    folder = next(labelled, None)
    if folder is None or len(order) != count:
        return {}
    settings: dict[int, str] = {}
    total = 0
    for setting, path in zip(_SETTINGS, _label_files(folder), strict=True):
        positions = _read_positions(path)
        total += len(positions)
        settings |= dict.fromkeys(positions, setting)
    if total != count or set(settings) != set(range(1, count + 1)):
        raise DataError(
            f"{folder}: indoor_labels.npy and outdoor_labels.npy must together name each of the "
            f"positions 1 to {count} once; restore or remove them"
        )
    return {name: {"setting": settings[position]} for position, name in enumerate(order, start=1)}


def _has_label_files(folder: Path) -> bool:
    return all(path.is_file() for path in _label_files(folder))


def _label_files(folder: Path) -> list[Path]:
    return [folder / f"{setting}_labels.npy" for setting in _SETTINGS]


def _read_positions(path: Path) -> list[int]:
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); expected a .npy file of positions. Restore it"
        ) from error
    return [int(label) for label in np.ravel(labels)]
