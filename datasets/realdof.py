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
    describe_positions,
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
        source, target = self._find_pair(root)
        images = list_files(source)
        targets = pair_files(images, list_files(target))
        pairs = list(zip(images, targets, strict=True))
        super().__init__(
            build_entries({"image": images, "target": targets}),
            remarks=describe_positions("target", pairs),
        )

    def _find_pair(self, root: Path) -> tuple[Path, Path]:
        """Return the folders of the first layout of which both are there."""
        for source_name, target_name in _LAYOUTS:
            source = find_folder(root, source_name)
            target = find_folder(root, target_name)
            if source is not None and target is not None:
                return source, target
        raise missing_dataset_error(self.card, root)
