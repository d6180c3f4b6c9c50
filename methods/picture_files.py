"""Which file of a folder answers for which sample: listing by noise level, pairing, and checks that
name every problem at once.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from benchmark import imageio
from benchmark.api import DataError, PlannedPictures
from benchmark.files import PICTURE_SUFFIXES, hash_file, natural_key, require_printable_name

FilePairing = Literal["name", "order"]

_LEVEL_FOLDER = re.compile(r"noise[-_]?(\d+(?:\.\d+)?)")
"""The sub-folder of a noise level; `noise-5` is what runs call theirs."""
_ENDING = re.compile(
    r"[-_. ](restored|restoration|deblurred|deblur|sharp|output|out|result|res|prediction|pred)$",
    re.IGNORECASE,
)
"""What programs put behind the name of the picture that they restored."""
_SEPARATORS = "-_. "
_SAMPLE = "*"
"""Stands for the sample in the pattern of a file's name."""
_MAX_FILES = 100_000
"""More files than any set of results has: another folder was meant."""
_MAX_BYTES = 2**31
"""More than the largest picture that is read has without compression."""
_MAX_LINES = 25
"""Lines that a message has of one kind of problem."""


# Listing
# --------------------------------------------------------------------------------------------------


def list_levels(folder: Path) -> dict[float, list[str]]:
    """Return noise sigma -> its picture files, as paths from `folder` in natural order.

    `noise-5/` holds the pictures of sigma 5. Without a `noise-0/`, the pictures of no noise are
    what else the folder holds.

    Raises:
        DataError: if the folder is missing, holds no pictures, leads back into itself, has two
            sub-folders of one level, or holds more files than results have.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; path= names the folder that holds the pictures")
    names = _find_level_folders(folder)
    levels = {sigma: _list_picture_files(folder, folder / name) for sigma, name in names.items()}
    if 0.0 not in levels:
        other_files = _list_picture_files(folder, folder, set(names.values()))
        if other_files:
            levels[0.0] = other_files
    if not any(levels.values()):
        raise DataError(f"{folder}: holds no pictures; path= names the folder that does")
    return dict(sorted(levels.items()))


def _find_level_folders(folder: Path) -> dict[float, str]:
    names: dict[float, str] = {}
    for path in sorted(folder.iterdir()):
        match = _LEVEL_FOLDER.fullmatch(path.name)
        if match is None or not path.is_dir():
            continue
        first = names.setdefault(float(match[1]), path.name)
        if first != path.name:
            raise DataError(
                f"{folder}: {first}/ and {path.name}/ are of one noise level; keep one of them"
            )
    return names


def _list_picture_files(root: Path, folder: Path, level_folders: Iterable[str] = ()) -> list[str]:
    """Return the picture files below `folder`, as paths from `root`; links are followed.

    Args:
        root: the folder that `folder` is, or lies in.
        folder: what is searched.
        level_folders: names of sub-folders of `root` that are left out.
    """
    pictures: list[Path] = []
    file_count = 0
    for place, folders, names in _walk(folder):
        if place == root:
            folders[:] = [name for name in folders if name not in set(level_folders)]
        file_count += len(names)
        if file_count > _MAX_FILES:
            raise DataError(
                f"{folder}: holds more than {_MAX_FILES} files; name the folder that holds the "
                "pictures alone"
            )
        pictures += [place / name for name in names if _is_picture(place / name)]
    for path in pictures:
        require_printable_name(path)
    paths = [path.relative_to(root) for path in pictures]
    return [path.as_posix() for path in sorted(paths, key=_natural_path_key)]


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder with its sub-folders, which the caller may shorten, and its files; raise
    DataError for a link that leads back.
    """
    real_places: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real_place = os.path.realpath(place)
        if real_place in real_places:
            raise DataError(f"{place}: is a folder that was listed already; remove the link to it")
        real_places.add(real_place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            require_printable_name(Path(place, name))
        yield Path(place), folders, names


def _is_picture(path: Path) -> bool:
    """Return whether a path is called like a picture; links that lead nowhere and pipes are kept,
    to be named among the damaged files.
    """
    return not path.name.startswith(".") and path.suffix.lower() in PICTURE_SUFFIXES


def _natural_path_key(path: Path) -> list[object]:
    return [natural_key(Path(part)) for part in path.parts]


def hash_pictures(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """Return file -> SHA-256 of its content; raises DataError for one that cannot be read, or is
    too large for a picture.
    """
    digests: dict[str, str] = {}
    for file in files:
        path = folder / file
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise DataError(f"{path}: is not a file; restore or remove it")
            if facts.st_size > _MAX_BYTES:
                raise DataError(f"{path}: is too large for a picture; restore or remove it")
            digests[file] = hash_file(path)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); restore or remove it"
            ) from error
    return digests


# Pairing
# --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class FileMatch:
    """Which files of a noise level stand for which samples.

    Attributes:
        files: sample -> its files; more than one is an error.
        extra_files: those that stand for no sample.
        assumptions: what was assumed, for the user.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    extra_files: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)


def match_by_name(files: Sequence[str], samples: Sequence[str]) -> FileMatch:
    """Return the files by the names of samples: the same, or the same with an ending that programs
    put behind it (`_restored`), or with a beginning or an ending that all files share.

    A sample in a folder (`scene/name`) is found by its path, by `scene_name`, or by `name` where no
    other sample has it.

    Args:
        files: paths from the method's folder; the noise level's sub-folder is no part of a name.
        samples: ids of all samples.
    """
    sample_of_name = _name_samples(samples)
    paths = {file: _remove_level_folder(PurePosixPath(file)) for file in files}
    stems = [path.stem for path in paths.values()]
    beginnings, endings = _list_common_beginnings(stems), _list_common_endings(stems)
    scenes = {sample.rpartition("/")[0] for sample in samples}
    match = FileMatch()
    patterns: Counter[str] = Counter()
    for file, path in paths.items():
        for name, pattern in _list_names(path, beginnings, endings):
            sample = sample_of_name.get(name)
            if sample is not None and not _is_of_another_scene(path, sample, scenes):
                match.files.setdefault(sample, []).append(file)
                patterns[pattern] += 1
                break
        else:
            match.extra_files.append(file)
    match.assumptions += [
        f"{count} files are called {pattern}, where * is the sample"
        for pattern, count in patterns.items()
        if pattern != _SAMPLE
    ]
    return match


def _is_of_another_scene(path: PurePosixPath, sample: str, scenes: Set[str]) -> bool:
    """Return whether a file lies in the folder of a scene that is not the sample's."""
    folder = str(path.parent)
    return folder in scenes and folder != sample.rpartition("/")[0]


def _name_samples(samples: Sequence[str]) -> dict[str, str]:
    """Return name -> the sample that a file of this name stands for."""
    sample_of_name = {sample: sample for sample in samples}
    flat_names = [sample.replace("/", "_") for sample in samples]
    last_parts = [sample.rpartition("/")[2] for sample in samples]
    for names in (flat_names, last_parts):
        counts = Counter(names)
        for sample, name in zip(samples, names, strict=True):
            if counts[name] == 1:
                sample_of_name.setdefault(name, sample)
    return sample_of_name


def _remove_level_folder(path: PurePosixPath) -> PurePosixPath:
    is_in_level_folder = len(path.parts) > 1 and _LEVEL_FOLDER.fullmatch(path.parts[0])
    return PurePosixPath(*path.parts[1:]) if is_in_level_folder else path


def _list_names(
    path: PurePosixPath, beginnings: Sequence[str], endings: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield what a file may be called after, each with the pattern that it takes the file to have,
    the plainest first.

    Args:
        path: of the file, without the noise level's sub-folder.
        beginnings, endings: what all files share.
    """
    stem = str(path.with_suffix(""))
    names = [(stem, _SAMPLE), (str(path), _SAMPLE), (path.stem, _SAMPLE), (path.name, _SAMPLE)]
    for name in (stem, path.stem):
        match = _ENDING.search(name)
        if match is not None:
            names.append((name[: match.start()], _SAMPLE + match[0]))
        names += [(name.removesuffix(ending), _SAMPLE + ending) for ending in endings]
    yield from names
    for beginning in beginnings:
        yield from ((name.removeprefix(beginning), beginning + rest) for name, rest in names)


def _list_common_beginnings(stems: Sequence[str]) -> list[str]:
    """Return the beginnings that a separator ends and that all stems share, the longest first."""
    start = os.path.commonprefix(stems)  # noqa: RUF071 (letters, not folders)
    places = [at for at, letter in enumerate(start) if letter in _SEPARATORS]
    return [start[: at + 1] for at in reversed(places)]


def _list_common_endings(stems: Sequence[str]) -> list[str]:
    """Return the endings that begin with a separator and that all stems share, the longest
    first.
    """
    reversed_stems = [stem[::-1] for stem in stems]
    ending = os.path.commonprefix(reversed_stems)[::-1]  # noqa: RUF071 (letters, not folders)
    return [ending[at:] for at, letter in enumerate(ending) if letter in _SEPARATORS]


def match_by_order(files: Sequence[str], samples: Sequence[str]) -> FileMatch:
    """Return the files in their order with the samples in theirs; raises ValueError if there are
    not as many of both.
    """
    match = FileMatch()
    for sample, file in zip(samples, files, strict=True):
        match.files[sample] = [file]
    match.assumptions.append(
        f"paired by order, from {files[0]} for {samples[0]} to {files[-1]} for {samples[-1]}"
    )
    return match


# Checks
# --------------------------------------------------------------------------------------------------


class ProblemList:
    """What is wrong with a folder, a line for each file, by kind."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, kind: str, line: str) -> None:
        """Add a line."""
        self._lines.setdefault(kind, []).append(line)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        return "\n".join(self._format_lines())

    def _format_lines(self) -> Iterator[str]:
        for kind, lines in self._lines.items():
            yield f"  {kind}:"
            yield from (f"    {line}" for line in lines[:_MAX_LINES])
            if len(lines) > _MAX_LINES:
                yield f"    and {len(lines) - _MAX_LINES} more"


def check_match(match: FileMatch, pictures: PlannedPictures, problems: ProblemList) -> None:
    """Add the samples of a run without a file, those with several, and files without a sample."""
    for sample in pictures.sizes:
        if sample not in match.files:
            problems.add("missing", f"{sample}: no file is called so")
    for sample, files in match.files.items():
        if len(files) > 1:
            problems.add("match one sample twice", f"{sample}: {', '.join(files)}")
    for file in match.extra_files:
        problems.add("extra", f"{file}: no sample of {pictures.dataset} is called so")


def check_pictures(
    folder: Path, match: FileMatch, pictures: PlannedPictures, problems: ProblemList
) -> None:
    """Add files that cannot be read, have another size than their sample, or another bit depth,
    other channels, another orientation or other colours than most. All of them are decoded, so that
    no run breaks off for one. What all of them say and is not looked at becomes an assumption.
    """
    depths: dict[str, str] = {}
    colours: dict[str, str] = {}
    orientations: dict[str, str] = {}
    colour_spaces: dict[str, str] = {}
    for sample, files in match.files.items():
        for file in files:
            try:
                header = imageio.read_header(folder / file)
                tags = imageio.read_display_tags(folder / file)
                imageio.read(folder / file)
            except DataError as error:
                problems.add("damaged", str(error))
                continue
            depths[file] = f"{header.bit_depth} bits"
            colours[file] = "grey" if header.channels < 3 else "colour"
            orientations[file] = f"EXIF orientation {tags.orientation}"
            colour_spaces[file] = f"the colours of {tags.colour_space}"
            for line in _explain_sizes(
                (header.height, header.width), pictures.sizes.get(sample, {})
            ):
                problems.add("another size", f"{file}: {line}")
    _check_alike(depths, "another bit depth", problems)
    _check_alike(colours, "grey or colour unlike the others", problems)
    _check_alike(orientations, "another orientation", problems)
    _check_alike(colour_spaces, "another colour space", problems)
    for facts, usual_fact in (
        (orientations, "EXIF orientation 1"),
        (colour_spaces, f"the colours of {imageio.SRGB}"),
    ):
        unusual_facts = set(facts.values()) - {usual_fact}
        match.assumptions += [
            f"the pictures have {fact}; they are used as stored" for fact in sorted(unusual_facts)
        ]


def _check_alike(facts: Mapping[str, str], kind: str, problems: ProblemList) -> None:
    """Add files of which something else is true than of most."""
    for usual_fact, count in Counter(facts.values()).most_common(1):
        for file, fact in facts.items():
            if fact != usual_fact:
                problems.add(kind, f"{file}: has {fact}, {count} others have {usual_fact}")


def _explain_sizes(
    size: tuple[int, int], expected_sizes: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    """Yield how the height and width of a file differ from those of its sample."""
    for track, expected_size in expected_sizes.items():
        if size != expected_size:
            turned = ", turned by 90 degrees" if size == expected_size[::-1] else ""
            expectation = f"the sample {_describe_size(expected_size)} on track {track}{turned}"
            yield f"is {_describe_size(size)} px, {expectation}"


def _describe_size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
