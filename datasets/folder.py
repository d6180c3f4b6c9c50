"""Any pictures on disk, with or without targets: `folder:path=DIR`."""

from __future__ import annotations

from pathlib import Path

from benchmark.api import DatasetCard
from benchmark.datasets.layout import (
    FileDataset,
    Pairing,
    build_entries,
    find_folder,
    list_files,
    missing_dataset_error,
    pair_files,
)

_ROLES = ("target", "left", "right")


class Folder(FileDataset):
    """The pictures of one folder, for methods tried on one's own photographs or on a data set
    without adapter.
    """

    card = DatasetCard(
        title="Folder",
        paper="",
        licence="that of the pictures",
        source="the folder named by folder:path=DIR",
        layout=(
            "DIR/input/*    defocused pictures (or the pictures directly in DIR)\n"
            "DIR/target/*   all-in-focus pictures (optional)\n"
            "DIR/left/*, DIR/right/*   dual-pixel views (optional, both)"
        ),
        notes="PNG, TIFF or JPEG; pixels are used as stored, without turning them by their EXIF "
        "orientation.",
    )

    def __init__(self, root: Path, *, path: Path, pair: Pairing = "auto") -> None:
        """Find the pictures of a folder.

        Args:
            root: not used; the folder is named by `path`.
            path: the folder, relative to the current directory.
            pair: how targets and views belong to inputs: "name" (same name without suffix), "order"
                (sorted, equal counts), or "auto": by name if any name agrees, otherwise by order.

        Raises:
            DataError: if there are no pictures, or files are unpaired or of unequal size.
        """
        folder = path.expanduser()
        images = list_files(_find_inputs(self.card, folder))
        super().__init__(
            build_entries({"image": images} | _pair_subfolders(self.card, folder, images, pair))
        )


def _find_inputs(card: DatasetCard, folder: Path) -> Path:
    if not folder.is_dir():
        raise missing_dataset_error(card, folder, "no such folder")
    inputs = find_folder(folder, "input") or folder
    if not list_files(inputs):
        raise missing_dataset_error(card, folder, "no pictures")
    return inputs


def _pair_subfolders(
    card: DatasetCard, folder: Path, images: list[Path], how: Pairing
) -> dict[str, list[Path]]:
    """Return role -> files for the sub-folders that are there; they count only beside an `input`
    folder.
    """
    if find_folder(folder, "input") is None:
        return {}
    folders = {role: path for role in _ROLES if (path := find_folder(folder, role))}
    if ("left" in folders) != ("right" in folders):
        raise missing_dataset_error(card, folder, "only one of left/ and right/")
    return {role: pair_files(images, list_files(path), how) for role, path in folders.items()}
