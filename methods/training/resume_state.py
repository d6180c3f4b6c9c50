"""The state of an unfinished training: one file, replaced as a whole, so that a reader never sees
half of one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.api import DataError, Scalar, UsageError
from benchmark.files import write_bytes

FORMAT = 2
"""Changes whenever a state holds other things."""

Identity = Mapping[str, Scalar]
"""What must be the same for a training to go on: method, recipe, data, seed ..."""


def save(path: Path, held: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers and texts; the one before it stays until this one is on the
    disk.

    Raises:
        DataError: if it cannot be written.
    """
    import torch

    buffer = io.BytesIO()  # torch hides the reason of a failed write, the file itself does not
    torch.save({"format": FORMAT, **held}, buffer)
    write(path, buffer.getbuffer())


def write(path: Path, content: bytes | memoryview) -> None:
    """Write a file as a whole; raises DataError if that fails, with what can be done."""
    with advising():
        write_bytes(path, content)


@contextmanager
def advising() -> Iterator[None]:
    """Add to a DataError of the block, which writes a file, how a training can go on after it."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"{error}. What was there before is intact: once it can be written, go on with "
            f"--resume if the training "
            "had begun"
        ) from error


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold a lock on the files of a training.

    Raises:
        UsageError: if another process holds it.
        DataError: if their folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{name} is being trained by another process; wait for it, or choose another --tag"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path.parent}: cannot be written to ({error.strerror}); name another --out"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def load(path: Path, identity: Identity) -> dict[str, Any]:
    """Return the state of a training. No code in the file is run.

    Raises:
        UsageError: the state of another training (the message says what differs), or of another
            version.
        DataError: a file that is not there or cannot be read, or a damaged one.
    """
    import torch

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); the training goes on once it can"
        ) from error
    try:
        held: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        theirs, known = dict(held["identity"]), held.get("format") == FORMAT
    except Exception as error:  # damaged bytes make it raise nearly anything
        raise DataError(
            f"{path}: not a readable training state; train again with --force"
        ) from error
    if not known:
        raise UsageError(
            f"{path}: the state of another version of the suite; go on with that, or begin anew: "
            f"--force"
        )
    differs = [
        f"{key}: {theirs.get(key, 'absent')} there, {identity.get(key, 'absent')} here"
        for key in sorted({*theirs, *identity})
        if theirs.get(key) != identity.get(key)
    ]
    if differs:
        raise UsageError(
            "\n  ".join([f"--resume: {path} is the state of another training:", *differs])
        )
    return dict(held)
