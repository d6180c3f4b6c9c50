"""RTF: 22 light-field pictures of real scenes with all-in-focus pictures and blur maps, 360 x 360.

The maps hold the radius of a disk PSF in pixels. The literature (Karaali and Jung 2018, Lee et al.
2019) turns it into the sigma of a Gaussian by the look-up table below and not by radius / 2; so
does this adapter, so that estimated maps can be compared with published figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from benchmark.api import MAP_CROP_RIGHT, DataError, DatasetCard, Map, Sample
from benchmark.datasets.layout import (
    FileDataset,
    SampleFiles,
    check_same_size,
    find_folder,
    list_files,
    missing_dataset_error,
    number_in_name,
    pair_files,
    pixel_size,
)

ShippedNoise = Literal["none", "files", "1", "1.6"]

SIGMA_OF_RADIUS: Final = (
    (0.5, 0.3),
    (0.75, 0.5),
    (1.0, 0.65),
    (1.25, 0.775),
    (1.5, 0.875),
    (1.75, 0.975),
    (2.0, 1.125),
    (2.25, 1.275),
    (2.5, 1.375),
    (2.75, 1.525),
    (3.0, 1.65),
    (3.25, 1.8),
    (3.5, 1.925),
    (3.75, 2.05),
    (4.0, 2.2),
    (4.25, 2.325),
    (4.5, 2.45),
    (4.75, 2.6),
    (5.0, 2.725),
    (5.25, 2.875),
    (5.5, 3.0),
    (5.75, 3.15),
    (6.0, 3.275),
)
"""(disk radius, Gaussian sigma) in pixels: the table distributed with the RTF evaluation code of
DMENet.
"""

_BASES = ("RTF", "RTFDataset", "test/RTF")
_CLEAN = "0"
_UNSCORED = 20
"""Columns at the right edge that the evaluation code of works on blur maps leaves out."""


class Rtf(FileDataset):
    """The test set of the regression tree fields paper."""

    card = DatasetCard(
        title="RTF",
        paper="D'Andres et al., Non-Parametric Blur Map Regression for Depth of Field Extension, "
        "TIP 2016",
        licence="not stated",
        source="on request from the authors; two pictures come with "
        "github.com/alikaraali/edge-based-dfe-tip2018",
        layout=(
            "RTF/   (or RTFDataset/)\n"
            "  image/{0,1,1.6}/image_01.png ...   0 is clean, 1 and 1.6 are the shipped noisy "
            "versions\n"
            "  GT/sharp_01.png ...                all-in-focus pictures (also gt/{0,1,1.6}/)\n"
            "  GT/map_01.mat ...                  radius maps, variable blurMap (optional; also "
            "map/, gt/{0,1,1.6}/)\n"
            "or flat, without all-in-focus pictures:\n"
            "RTF/image_01.png, RTF/map_01.mat ..."
        ),
        count=22,
        notes=(
            "8-bit, 360x360. The blur map is the sigma of the literature's look-up table for the "
            "disk radius in the file (radius 2 gives 1.125), not radius / 2 as elsewhere in this "
            "suite. Pictures keep all columns; scores of blur maps leave out the last 20, as "
            "works on blur maps do. Noise: the GKMNet paper speaks of standard deviations 1 and "
            "2.55, the shipped noisy folders are called 1 and 1.6; since 1.6 is about the root of "
            "2.55, one of the two may be a variance. Noise added by the suite is a standard "
            "deviation; noise=files (both), noise=1 and noise=1.6 take the shipped folders as "
            "they are, on top of which no noise should be added."
        ),
    )

    def __init__(self, root: Path, *, noise: ShippedNoise = "none") -> None:
        """Find the pictures, their all-in-focus partners and their maps.

        Args:
            root: folder that holds one of the layouts on the card.
            noise: "none" for the clean pictures, "files" for all shipped noisy versions (samples
                such as 07@1.6), or the name of one of their folders.

        Raises:
            DataError: if nothing is found, this noise was not shipped, or files are unpaired or of
                unequal size.
        """
        base = find_folder(root, *_BASES)
        if base is None:
            raise missing_dataset_error(self.card, root)
        versions = _find_versions(base)
        names = _version_names(noise, list(versions))
        if not names or not set(names) <= versions.keys():
            has = ", ".join(versions) or "none"
            raise missing_dataset_error(
                self.card, root, f"{base} has no pictures for noise={noise}; its versions: {has}"
            )
        entries: dict[str, SampleFiles] = {}
        for name in names:
            entries |= _version_entries(self.card, base, versions[name], name)
        super().__init__(entries)

    def load(self, sample_id: str) -> Sample:
        """Return a sample with its blur map (sigma in px) where there is one; raises DataError if a
        file is damaged.
        """
        sample = super().load(sample_id)
        entry = self.entry(sample_id)
        if "blur_map" not in entry.files:
            return sample
        radius = _read_radius(entry.files["blur_map"])
        check_same_size(
            entry.files["blur_map"],
            pixel_size(radius),
            entry.files["image"],
            pixel_size(sample.image),
        )
        meta = {**sample.meta, MAP_CROP_RIGHT: _UNSCORED}
        return replace(sample, blur_map=sigma_of_radius(radius), meta=meta)


def sigma_of_radius(radius: NDArray[np.floating[Any]]) -> Map:
    """Return the sigma that the table gives for the nearest listed radius (the smaller one if two
    are as near).
    """
    radii, sigmas = np.array(SIGMA_OF_RADIUS).T
    nearest = np.searchsorted((radii[1:] + radii[:-1]) / 2, radius, side="left")
    return np.asarray(sigmas[nearest], dtype=np.float32)


def _version_names(noise: ShippedNoise, versions: list[str]) -> list[str]:
    if noise == "none":
        return [_CLEAN]
    if noise == "files":
        return [name for name in versions if name != _CLEAN]
    return [noise]


def _find_versions(base: Path) -> dict[str, Path]:
    """Return version name -> folder of its pictures; a layout without sub-folders has the clean
    version alone.
    """
    image = find_folder(base, "image")
    if image is None:
        return {_CLEAN: base}
    folders = [path for path in sorted(image.iterdir()) if path.is_dir()]
    versions = {folder.name: folder for folder in folders if list_files(folder)}
    return versions or {_CLEAN: image}


def _version_entries(
    card: DatasetCard, base: Path, folder: Path, version: str
) -> dict[str, SampleFiles]:
    images = [path for path in list_files(folder) if not _is_named_sharp(path)]
    candidates = (find_folder(base, name) for name in (f"GT/{version}", "GT", "map", "maps"))
    map_folders = [path for path in candidates if path is not None]
    sharp = [list_files(path) for path in map_folders]
    sharp.append([path for path in list_files(base) if _is_named_sharp(path)])
    maps = [list_files(path, [".mat"]) for path in (*map_folders, base)]
    columns = {"image": images}
    if any(sharp):
        columns["target"] = _pair_first_files(images, sharp)
    if any(maps):
        columns["blur_map"] = _pair_first_files(images, maps)
    if len(columns) == 1:
        raise missing_dataset_error(
            card, base.parent, f"{base} has neither all-in-focus pictures nor maps"
        )
    entries = {}
    for row in zip(*columns.values(), strict=True):
        files = dict(zip(columns, row, strict=True))
        scene = f"{number_in_name(files['image']):02d}"
        if version == _CLEAN:
            entries[scene] = SampleFiles(files=files, scene=scene)
        else:
            meta = {"noise_folder": version}
            entries[f"{scene}@{version}"] = SampleFiles(files=files, scene=scene, meta=meta)
    return entries


def _pair_first_files(images: Sequence[Path], lists: Sequence[Sequence[Path]]) -> list[Path]:
    """Pair by number with the first place that has files."""
    partners = next(files for files in lists if files)
    return pair_files(images, partners, "name", key=number_in_name)


def _is_named_sharp(path: Path) -> bool:
    return path.name.casefold().startswith("sharp")


def _read_radius(path: Path) -> NDArray[np.float64]:
    expectation = (
        "expected a MATLAB file (version 5 to 7.2) with a matrix blurMap of disk radii in pixels"
    )
    try:
        radius = np.asarray(loadmat(path, variable_names=["blurMap"])["blurMap"], dtype=np.float64)
    except Exception as error:  # the reader raises anything on damaged bytes
        raise DataError(f"{path}: cannot be read ({error}); {expectation}. Restore it") from error
    if radius.ndim != 2 or not np.isfinite(radius).all() or (radius < 0).any():
        raise DataError(
            f"{path}: holds {radius.shape} values that are not all radii; {expectation}. Restore it"
        )
    return radius
