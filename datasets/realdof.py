"""RealDOF: 50 real pairs shot with two cameras behind one beam splitter; a test set without
training part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmark.api import DatasetCard
from benchmark.datasets.layout import (
    FileDataset,
    build_entries,
    find_folder,
    list_files,
    missing_dataset_error,
    pair_files,
)

_LAYOUTS: Final = (
    ("RealDOF/source", "RealDOF/target"),
    ("test/RealDOF/inputC", "test/RealDOF/target"),
    ("test/RealDOF/source", "test/RealDOF/target"),
    ("RealDOF/test/input", "RealDOF/test/target"),
)


class RealDof(FileDataset):
    """The RealDOF test set of IFAN's authors."""

    card = DatasetCard(
        title="RealDOF",
        paper="Lee et al., Iterative Filter Adaptive Network for Single Image Defocus Deblurring, "
        "CVPR 2021",
        licence="not stated",
        source="github.com/codeslake/IFAN (links in its README)",
        layout=(
            "RealDOF/{source,target}/*.png\n"
            "test/RealDOF/{inputC,target}/*.png   (or source/ for inputC/)\n"
            "RealDOF/test/{input,target}/*.png"
        ),
        count=50,
        notes="Paired by name, or by order where no names agree. The bit depth is that of the "
        "files.",
    )

    def __init__(self, root: Path) -> None:
        """Find the pairs under `root`; raises DataError if they are missing, unpaired or of unequal
        size.
        """
        found = (
            (find_folder(root, source), find_folder(root, target)) for source, target in _LAYOUTS
        )
        source, target = next((both for both in found if all(both)), (None, None))
        if source is None or target is None:
            raise missing_dataset_error(self.card, root)
        images = list_files(source)
        super().__init__(
            build_entries({"image": images, "target": pair_files(images, list_files(target))})
        )
