"""The files of the page: pictures as the runs kept them, their thumbnails, and true blur maps as
overlays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

import cv2
import numpy as np

from benchmark import imageio
from benchmark.api import BenchmarkError, Map, Picture
from benchmark.reports import live
from benchmark.reports.page.galleries import Gallery, RunPicture
from benchmark.results import Results
from benchmark.run_layout import file_name, path_in_run

THUMBNAIL = 192
"""Longer side of a thumbnail in pixels; lists show it at half that size, which suits dense screens.
"""
_QUALITY = 82


class MapOverlay(NamedTuple):
    """A blur map as a picture: its path in the folder of the files, and the sigma in px of its last
    colour.
    """

    path: str
    top: float


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files that the page shows.

    Attributes:
        pictures: those of the runs.
        maps: (data set, track) -> sample -> true blur map.
        thumbnails: whether there are small copies only.
    """

    pictures: set[RunPicture]
    maps: dict[tuple[str, str], dict[str, MapOverlay]]
    thumbnails: bool = False

    def url(self, source: RunPicture | None) -> str | None:
        """Return what the script calls a picture, which is where it finds it unless there are
        thumbnails only; None if there is none.
        """
        if source is None or source not in self.pictures:
            return None
        return quote_path(_page_path(source))

    def paths(self) -> set[str]:
        """Return the paths of all files, relative to their folder."""
        pictures = {_page_path(source) for source in self.pictures}
        paths = {thumbnail_path(path) for path in pictures}
        for overlays_by_sample in self.maps.values():
            paths.update(overlay.path for overlay in overlays_by_sample.values())
        return paths if self.thumbnails else paths | pictures


def find_page_pictures(results: Results, galleries: Sequence[Gallery]) -> dict[RunPicture, Path]:
    """Return where the pictures that galleries show lie, of those that the runs hold.

    Raises:
        DataError: a path that leads out of a run.
    """
    pictures: set[RunPicture] = set()
    for gallery in galleries:
        pictures.update(gallery.targets.values())
        pictures.update(each.picture for each in gallery.outputs.values() if each.picture)
    paths: dict[RunPicture, Path] = {}
    for picture in sorted(pictures):
        run = results.runs[picture.run].folder
        if run is None:
            continue  # an export has no pictures
        path = path_in_run(run, picture.path)
        if path.is_file():
            paths[picture] = path
    return paths


def write_page_files(
    sources: Mapping[RunPicture, Path],
    galleries: Sequence[Gallery],
    folder: Path,
    data: Path | None,
    *,
    thumbnails: bool = False,
) -> PageFiles:
    """Bring everything that galleries show into a folder.

    Pictures go to `run-0/...`, `run-1/...` under the paths that they have in their run, thumbnails
    where `thumbnail_path` says, true blur maps to `maps`.

    Args:
        sources: pictures, and where they lie.
        galleries: what is shown of them.
        folder: takes the files.
        data: data root in which true blur maps are looked for; None for no maps.
        thumbnails: leave out all but thumbnails; maps are as small.

    Raises:
        DataError: a file that is damaged.
    """
    from joblib import Parallel, delayed

    # Threads, because it is decoding, outside the interpreter's lock.
    Parallel(n_jobs=-1, prefer="threads")(
        delayed(_add_picture)(path, folder, _page_path(picture), whole=not thumbnails)
        for picture, path in sources.items()
    )
    maps: dict[tuple[str, str], dict[str, MapOverlay]] = {}
    if data is not None:
        maps = _write_all_overlays(galleries, folder, data, whole=not thumbnails)
    return PageFiles(set(sources), maps, thumbnails)


def thumbnail_path(path: str) -> str:
    """Return the path of a picture's thumbnail, both relative to the folder of the files."""
    return f"thumbnails/{PurePosixPath(path).with_suffix('.jpg')}"


def quote_path(path: str) -> str:
    """Return a relative URL: whatever has a meaning in URLs is percent-encoded."""
    return quote(path)


def _write_all_overlays(
    galleries: Sequence[Gallery], folder: Path, data: Path, *, whole: bool
) -> dict[tuple[str, str], dict[str, MapOverlay]]:
    samples: dict[tuple[str, str], dict[str, str]] = {}
    for gallery in galleries:
        samples.setdefault((gallery.dataset, gallery.track), {}).update(
            gallery.samples
        )  # noise changes no map
    return {
        key: write_map_overlays(*key, dataset_samples, data, folder, whole=whole)
        for key, dataset_samples in samples.items()
    }


def write_map_overlays(
    dataset: str,
    track: str,
    samples: Mapping[str, str],
    data: Path,
    folder: Path,
    *,
    whole: bool = True,
) -> dict[str, MapOverlay]:
    """Write the true blur maps of samples as pictures, in viridis, dark for sharp; return sample ->
    overlay.

    A sample that has no map, or is no longer what the run saw, is left out. A data set that is not
    here gives none.

    Args:
        dataset: id of the data set.
        track: id of the input track, whose geometry the kept outputs have.
        samples: sample id -> content fingerprint that the run saw.
        data: the data root.
        folder: folder of the files.
        whole: in the size of the pictures; else in that of their thumbnails.

    Raises:
        DataError: a damaged file of the data set.
    """
    try:
        adapter = live.open_dataset(dataset, data)
    except BenchmarkError:
        return {}
    overlays: dict[str, MapOverlay] = {}
    for sample, blur_map in live.read_true_maps(adapter, track, samples):
        top = float(blur_map.max())
        picture = _apply_viridis(blur_map / max(top, 1e-6))
        path = f"maps/{file_name(dataset)}/{file_name(sample)}-{file_name(track)}.png"
        _write_page_picture(folder / path, picture if whole else _shrink_to_thumbnail(picture))
        overlays[sample] = MapOverlay(path, top)
    return overlays


def _page_path(source: RunPicture) -> str:
    return f"run-{source.run}/{source.path}"


def _add_picture(source: Path, folder: Path, path: str, *, whole: bool) -> None:
    thumbnail = folder / thumbnail_path(path)
    if whole:
        _link_or_copy(source, folder / path)
    if not thumbnail.is_file() or thumbnail.stat().st_mtime < source.stat().st_mtime:
        _write_page_picture(thumbnail, _shrink_to_thumbnail(imageio.read(source)[0]))


def _link_or_copy(source: Path, target: Path) -> None:
    """Link a file, or copy it where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_page_picture(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.write(path, picture, 8, quality=_QUALITY)


def _shrink_to_thumbnail(picture: Picture) -> Picture:
    scale = min(THUMBNAIL / max(picture.shape[:2]), 1.0)
    size = tuple(max(1, round(extent * scale)) for extent in picture.shape[1::-1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _apply_viridis(share: Map) -> Picture:
    """Return a map on [0, 1] in viridis."""
    levels = np.rint(share * 255).astype(np.uint8)
    return (cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1] / 255).astype(np.float32)
