"""What lies beside the pictures of a data set and takes no part in it, so that it is told."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from benchmark import imageio
from benchmark.api import DataError
from benchmark.files import PICTURE_SUFFIXES, natural_key

UNREADABLE_SUFFIXES = frozenset({
    ".3fr", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".exr", ".fits", ".gif",
    ".hdr", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jls", ".jp2", ".jpx", ".jxl", ".jxr",
    ".nef", ".orf", ".pam", ".pbm", ".pcx", ".pef", ".psd", ".qoi", ".raf", ".rw2", ".srw", ".tga",
    ".xcf",
})  # fmt: skip
"""Formats of pictures that the suite does not read."""

_MOST_NAMES = 5
"""Names of files in one remark."""
_MOST_NAMES_READ = 10_000
"""Files and folders below a folder that are looked at."""


def list_left_out_files(files: Collection[Path]) -> list[str]:
    """Return what lies in the folders of `files`, looks like a picture and is none of them: a line
    for each reason.
    """
    folders = {path.parent for path in files}
    reasons: dict[str, list[Path]] = {}
    for folder in folders:
        for path in folder.iterdir():
            reason = None if path in files or path.name[0] == "." else _explain_file(path)
            if reason:
                reasons.setdefault(reason, []).append(path)
    return [describe_left_out(folders, reason, reasons[reason]) for reason in sorted(reasons)]


def list_left_out_folders(folder: Path, files: Iterable[Path]) -> list[str]:
    """Return a line that names the sub-folders of a folder that hold pictures, but none of
    `files`.
    """
    used_folders = {path.parent for path in files}
    folders = [path for path in list_folders(folder) if path not in used_folders]
    unused_folders = [path for path in folders if holds_pictures(path)]
    if not unused_folders:
        return []
    return [describe_left_out([folder], "in sub-folders", unused_folders, counts=True)]


def _explain_file(path: Path) -> str | None:
    """Return why a file that is not used is none of the pictures; None for what is no picture."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return None
    if suffix in UNREADABLE_SUFFIXES:
        return "of formats that are not read"
    if suffix in PICTURE_SUFFIXES:
        return "no part of the data set"
    if imageio.is_picture(path):
        return f"pictures, but not called so ({', '.join(PICTURE_SUFFIXES)})"
    return None


def describe_left_out(
    folders: Iterable[Path], reason: str, paths: Sequence[Path], *, counts: bool = False
) -> str:
    """Return a line that names the first of the files or folders that were left out.

    Args:
        folders: where they were looked for.
        reason: why they take no part.
        paths: what was left out.
        counts: whether to say how many pictures each folder holds.
    """
    base = Path(os.path.commonpath([*folders, *(path.parent for path in paths)]))
    names = []
    for path in sorted(paths, key=_path_key)[:_MOST_NAMES]:
        count = f" ({_describe_pictures(path)})" if counts else ""
        names.append(f"{_escape_name(path.relative_to(base))}{count}")
    further_count = len(paths) - len(names)
    more = f" and {further_count} more" if further_count > 0 else ""
    return f"left out of {base}, {reason}: {', '.join(names)}{more}"


def _path_key(path: Path) -> tuple[object, ...]:
    return tuple(natural_key(Path(part)) for part in path.parts)


def holds_pictures(folder: Path) -> bool:
    """Return whether a file in a folder or below it is called like a picture."""
    names, _ = _list_some_names(folder)
    return any(map(_is_called_picture, names))


def _describe_pictures(folder: Path) -> str:
    """Return how many pictures a folder holds, with those below it."""
    names, is_complete = _list_some_names(folder)
    count = sum(map(_is_called_picture, names))
    text = "1 picture" if count == 1 else f"{count} pictures"
    return text if is_complete else f"{text} or more"


def _list_some_names(folder: Path) -> tuple[list[str], bool]:
    """Return names of files in a folder and below it, and whether these are all; a link may lead to
    all files of a machine. Links below the folder are not followed.
    """
    names: list[str] = []
    for place_count, (_, _, names_here) in enumerate(os.walk(folder), start=1):
        names += names_here
        if len(names) + place_count > _MOST_NAMES_READ:
            return names, False
    return names, True


def _is_called_picture(name: str) -> bool:
    return name[0] != "." and Path(name).suffix.lower() in (*PICTURE_SUFFIXES, *UNREADABLE_SUFFIXES)


def _escape_name(path: Path) -> str:
    """Return a name as it is, or with escapes where it cannot be printed."""
    name = path.as_posix()
    return name if name.isprintable() else ascii(name)


def list_folders(folder: Path) -> list[Path]:
    """Return the sub-folders in natural order; hidden ones do not count."""
    folders = [path for path in folder.iterdir() if path.is_dir()]
    return sorted((path for path in folders if path.name[0] != "."), key=natural_key)


def iterate_folders(folder: Path) -> Iterator[Path]:
    """Yield a folder and all below it, each before those in it; links are followed.

    Raises:
        DataError: if a link leads back to a folder that it lies in.
    """
    waiting = [(folder, frozenset[str]())]
    while waiting:
        path, real_parents = waiting.pop()
        real_path = os.path.realpath(path)
        if real_path in real_parents:
            raise DataError(f"{path}: is a link to a folder that it lies in; remove it")
        yield path
        parents = real_parents | {real_path}
        waiting += [(inside, parents) for inside in reversed(list_folders(path))]
