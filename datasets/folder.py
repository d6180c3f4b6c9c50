"""Any pictures on disk, with or without targets: `folder:path=DIR`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.api import DatasetCard, Picture
from benchmark.datasets.folder_reader import FolderPairing, FolderReader
from benchmark.datasets.layout import FileDataset, SampleFiles
from benchmark.optics.light import to_linear, to_srgb


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
            "DIR/left/*, DIR/right/*   dual-pixel views (optional, both)\n"
            "with nested=true a folder per scene:\n"
            "DIR/input/SCENE/*, DIR/target/SCENE/*   (one target for all: DIR/target/SCENE.png or "
            "SCENE_*.png)\n"
            "or DIR/SCENE/input/*, DIR/SCENE/target/*\n"
            "or DIR/SCENE/*   without targets"
        ),
        notes="Pixels are used as stored, without turning them by their EXIF orientation.",
    )

    def __init__(
        self,
        root: Path,
        *,
        path: Path,
        pair: FolderPairing = "auto",
        input: str = "input",
        target: str = "target",
        views: bool = False,
        nested: bool = False,
    ) -> None:
        """Find the pictures of a folder.

        Args:
            root: not used; the folder is named by `path`.
            path: the folder, relative to the current directory.
            pair: how targets and views belong to inputs: "name" (same name without suffix), "order"
                (sorted, equal counts), "number" (the last one in the name: 001_A and 001_F), or
                "auto": by name if any name agrees, otherwise by order.
            input, target: names of the sub-folders of defocused and of all-in-focus pictures.
            views: the dual-pixel views must be there. Where `input` is not, the image is their mean
                in linear light; files are taken to be sRGB.
            nested: sub-folders are scenes, which count once in means and tests.

        Raises:
            DataError: if there are no pictures, a sub-folder that is asked for is missing, files
                are unpaired, of unequal size, or of another orientation or colour space than their
                partners, or `nested` meets a format that is not read.
        """
        reader = FolderReader(self.card, input, target, pair, needs_views=views)
        folder = path.expanduser()
        entries = reader.read_nested(folder) if nested else reader.read_flat(folder)
        super().__init__(entries, remarks=reader.list_remarks(folder, entries))

    def read_pictures(self, entry: SampleFiles) -> tuple[dict[str, Picture], dict[str, int]]:
        """Return the pictures and their bits per channel, by role; the image is the mean of the
        views where only these are there.
        """
        pictures, bit_depth = super().read_pictures(entry)
        if "image" not in pictures:
            pictures["image"] = _average_views(pictures["left"], pictures["right"])
            bit_depth["image"] = min(bit_depth["left"], bit_depth["right"])
        return pictures, bit_depth


def _average_views(left: Picture, right: Picture) -> Picture:
    """Return what both halves of the pixels see together: the mean of their light."""
    return to_srgb((to_linear(left) + to_linear(right)) / np.float32(2))
