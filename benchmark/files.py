"""Files: written as a whole or not at all, hashed once, known for pictures by their names, and put
in an order in which image2 comes before image10.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from benchmark.api import DataError

PACKAGE_FOLDER = Path(__file__).parent
"""Where the package lies; published tables and measured costs come with it."""
DATA_VARIABLE = "BENCHMARK_DATA"
"""Environment variable that names the folder of data sets."""
PICTURE_SUFFIXES = (
    ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".pnm",
)  # fmt: skip

_SETTLED_NS = 2 * 10**9
"""A file touched more recently may change again without a new time stamp."""


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically, in a folder that is made if need be.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); name another folder"
        ) from error
    with replace_file(path) as file:
        file.write(content)


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends well, and vanishes when
    it does not.

    Readers see the old file or the new one, never a part, because the bytes are flushed to disk
    under no name, or a hidden one, in the same folder and then renamed. Only where the system has
    no files without a name (they are Linux's) may a killed process leave a hidden `.*.tmp` behind.

    Raises:
        DataError: if the folder is missing or cannot be written to.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with _open_unnamed(path.parent) or temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not temporary.exists():
                _give_name(file, temporary)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{path}: cannot be written ({reason}); check the folder and the disk"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _open_unnamed(folder: Path) -> BinaryIO | None:
    """Open a file of a folder that has no name yet and goes with the process, None where the system
    or the disk has no such files.
    """
    if not (hasattr(os, "O_TMPFILE") and os.access("/proc/self/fd", os.R_OK)):
        return None
    try:
        number = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:
        return None
    return os.fdopen(number, "w+b")


def _give_name(file: BinaryIO, path: Path) -> None:
    """Let a file without a name appear under a path; as a copy where that is all one may do."""
    number = file.fileno()
    try:
        # With a src_dir_fd, of which an absolute path makes no use, links are followed.
        os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number)
    except OSError:
        file.seek(0)
        with path.open("xb") as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())


def is_picture_file(path: Path) -> bool:
    """Return whether a path is a file that is named like a picture and not hidden."""
    has_picture_name = path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    return has_picture_name and path.is_file()


def require_printable_name(path: Path) -> None:
    """Raise DataError for a file or folder whose name cannot be printed or stored: with control
    characters, or bytes that are no text.
    """
    if not path.name.isprintable():
        raise DataError(
            f"{path.parent}: holds {path.name!a}, a name that cannot be printed; change it"
        )


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key in which image2 comes before image10."""
    return [_natural_part(part) for part in re.split(r"(\d+)", path.name.casefold())], path.name


def _natural_part(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per process and state of the file; raises
    OSError if it cannot be read.
    """
    status = path.stat()
    age = time.time_ns() - status.st_mtime_ns
    if age > _SETTLED_NS:
        return _hash_settled_file(path, status.st_size, status.st_mtime_ns)
    return _hash_content(path)


@cache
def _hash_settled_file(path: Path, size: int, mtime_ns: int) -> str:
    return _hash_content(path)


def _hash_content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
