"""CUHK-BD: photographs with hand-drawn masks of the defocused region, and no all-in-focus
targets.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmark.api import DatasetCard, Sample
from benchmark.datasets.layout import (
    FileDataset,
    build_entries,
    find_folder,
    list_files,
    missing_dataset_error,
    pair_files,
)

_FOLDERS = ("CUHK-BD", "CUHK", "BlurDetection", "test/CUHK")


class CuhkBd(FileDataset):
    """The out-of-focus part of the CUHK blur detection set."""

    card = DatasetCard(
        title="CUHK-BD",
        paper="Shi, Xu and Jia, Discriminative Blur Detection Features, CVPR 2014",
        licence="not stated",
        source="www.cse.cuhk.edu.hk/~leojia/projects/dblurdetect/dataset.html",
        layout=(
            "CUHK-BD/   (or CUHK/, BlurDetection/, test/CUHK/)\n"
            "  image/out_of_focus0001.jpg ...   (pictures may also lie directly in the folder, "
            "then without masks)\n"
            "  gt/out_of_focus0001.png ...      masks (optional)"
        ),
        count=704,
        has_target=False,
        notes=(
            "8-bit JPEG. The files motion*.jpg of the original distribution are motion blur and "
            "left out. Masks: white is out of focus; that was checked on 101 of the 704 files, "
            "where the black region is the sharper one in 99. Copies repackaged for blur "
            "detection may be inverted, for which there is white=sharp. Grey levels are cut at "
            "one half, alpha is ignored."
        ),
    )

    def __init__(self, root: Path, *, white: Literal["blurred", "sharp"] = "blurred") -> None:
        """Find the photographs and their masks.

        Args:
            root: folder that holds one of the layouts on the card.
            white: what white means in the masks of this copy.

        Raises:
            DataError: if there are no photographs, or a photograph or mask is unpaired or of
                another size.
        """
        folder = find_folder(root, *_FOLDERS)
        if folder is None:
            raise missing_dataset_error(self.card, root)
        images = _list_defocused(find_folder(folder, "image", "images") or folder)
        columns = {"image": images}
        masks = find_folder(folder, "gt")
        if masks is not None:
            columns["mask"] = pair_files(images, _list_defocused(masks), "name")
        self._white_is_sharp = white == "sharp"
        super().__init__(build_entries(columns), parameters={"white": white})

    def load(self, sample_id: str) -> Sample:
        """Return the photograph with its mask; raises DataError if a file is damaged."""
        sample = super().load(sample_id)
        if sample.mask is None or not self._white_is_sharp:
            return sample
        return replace(sample, mask=~sample.mask)


def _list_defocused(folder: Path) -> list[Path]:
    return [path for path in list_files(folder) if not path.name.casefold().startswith("motion")]
