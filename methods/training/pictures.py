"""Folders of sharp pictures: which files they hold, what is on them, and which of them are kept out
of training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import DataError
from benchmark.files import (
    PICTURE_SUFFIXES,
    hash_file,
    is_picture_file,
    require_printable_name,
)

HELD_OUT_FRACTION = Fraction(1, 10)
"""Share of the pictures, rounded up, that is kept out of training."""
LARGEST_SIDE = 2048
"""Larger pictures are reduced to this many pixels: so large, they are seldom sharp to the pixel."""
MEMORY = 2 * 2**30
"""Bytes of decoded pictures that the processes which make a training's examples keep, all together.
"""

Pixels = NDArray[np.uint8]
"""H x W x 3 RGB."""

_TURN_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


def list_pictures(folder: Path) -> list[Path]:
    """Return the picture files that lie in a folder itself, in order of their names; hidden ones do
    not count.

    Raises:
        DataError: if the folder is missing, cannot be listed, or holds no picture.
    """
    remedy = f"give a folder with sharp pictures ({', '.join(PICTURE_SUFFIXES)}) in it"
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); {remedy}") from error
    paths = [path for path in inside if is_picture_file(path)]
    for path in paths:
        require_printable_name(path)
    if not paths:
        raise DataError(f"{folder}: holds no picture; {remedy}")
    return paths


def split_held_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the pictures to train on and those held out, told apart by the SHA-256 of their files.

    In order of the hash, the first tenth (rounded up) is held out. So names and places make no
    difference, and two copies of one file are on the same side.

    Raises:
        DataError: if one of the sides would be empty.
    """
    digests = {path: picture_digest(path) for path in paths}
    contents = sorted(set(digests.values()))
    if len(contents) < 2:
        raise DataError(
            f"{paths[0].parent}: holds {len(contents)} picture; training needs another one to be "
            "held out. Add some"
        )
    count = math.ceil(len(contents) * HELD_OUT_FRACTION)
    held_out = set(contents[:count])
    return (
        [path for path in paths if digests[path] not in held_out],
        [path for path in paths if digests[path] in held_out],
    )


def fingerprint_pictures(paths: Sequence[Path]) -> str:
    """Return 16 hex digits over the contents of the files, whatever their names and order."""
    digests = sorted(picture_digest(path) for path in paths)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def picture_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hashed once per process and state of the file; raises DataError
    if it is gone.
    """
    try:
        return hash_file(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); restore it or take it out"
        ) from error


def _file_state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); restore it or take it out"
        ) from error
    return status.st_size, status.st_mtime_ns


def smaller_side(path: Path) -> int:
    """Return the shorter side in pixels of what `read_upright` gives, by the file's header; raises
    DataError as it does.
    """
    header = imageio.read_header(path)
    scale = min(1.0, LARGEST_SIDE / max(header.width, header.height))
    return round(min(header.width, header.height) * scale)


def read_upright(path: Path, *, allow_transparent: bool = False) -> Pixels:
    """Return a picture as 8 bits, turned as its EXIF orientation says, at most `LARGEST_SIDE`
    pixels on a side.

    Args:
        path: the file.
        allow_transparent: whether pixels may be transparent; their stored colour counts.

    Raises:
        DataError: if the file is missing, damaged, or not a picture that `benchmark.imageio` reads.
    """
    picture, _ = imageio.read(path, allow_transparent=allow_transparent)
    scale = LARGEST_SIDE / max(picture.shape[:2])
    if scale < 1:
        height, width = (round(extent * scale) for extent in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    pixels = np.rint(picture * 255).astype(np.uint8)
    turn_upright = _TURN_UPRIGHT[imageio.read_display_tags(path).orientation]
    return np.ascontiguousarray(turn_upright(pixels))


# Memory
# --------------------------------------------------------------------------------------------------

Arrays = tuple[NDArray[Any], ...]
"""What is kept in memory under one key."""


class ArrayCache:
    """Arrays that are dear to make, kept until a number of bytes is reached; what comes later is
    made every time.

    Nothing is thrown out for something newer: examples visit all pictures in turn, so the newest is
    needed last.
    """

    def __init__(self, memory: int) -> None:
        """Keep at most so many bytes."""
        self._free = memory
        self._by_key: dict[Hashable, Arrays] = {}

    def limit(self, memory: int) -> None:
        """Keep at most so many bytes from now on; nothing may be in it yet."""
        self._free = memory

    def get(self, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of that key, made now if they are not here; read-only."""
        if key in self._by_key:
            return self._by_key[key]
        arrays = make()
        for array in arrays:
            array.flags.writeable = False
        size = sum(array.nbytes for array in arrays)
        if size <= self._free:
            self._free -= size
            self._by_key[key] = arrays
        return arrays


_CACHE = ArrayCache(MEMORY)


def share_memory(processes: int) -> None:
    """Make this process one of so many that keep `MEMORY` bytes together; to be called before
    pictures are kept.
    """
    _CACHE.limit(MEMORY // processes)


def cached_arrays(key: Hashable, make: Callable[[], Arrays]) -> Arrays:
    """Return arrays from this process's part of `MEMORY`, which all examples share."""
    return _CACHE.get(key, make)


def cached_picture(path: Path) -> Pixels:
    """Return `read_upright(path)`, decoded once per state of the file as far as memory goes;
    read-only.
    """
    key = (path, *_file_state(path))
    (pixels,) = cached_arrays(key, lambda: (read_upright(path),))
    return cast(Pixels, pixels)
