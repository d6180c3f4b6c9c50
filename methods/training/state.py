"""The state of an unfinished training: one file, replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark import imageio
from benchmark.api import DataError, Scalar, UsageError

Identity = Mapping[str, Scalar]
"""What must be the same for a training to go on: method, recipe, data, seed ..."""


def save(path: Path, held: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers and texts; the one before it stays until this one is on the disk.

    Raises:
        DataError: if it cannot be written.
    """
    import torch

    buffer = io.BytesIO()  # torch hides the reason of a failed write, the file itself does not
    torch.save(dict(held), buffer)
    write(path, buffer.getbuffer())


def write(path: Path, content: bytes | memoryview) -> None:
    """Write a file as a whole; raises DataError if that fails, with what can be done."""
    with advising():
        imageio.write_bytes(path, content)


@contextmanager
def advising() -> Iterator[None]:
    """Add to a DataError of the block, which writes a file, how a training can go on after it."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"{error}. What was there before is intact: make room, or name another folder with --out, then go on with "
            "--resume if the training had begun"
        ) from error


def load(path: Path, identity: Identity) -> dict[str, Any]:
    """Return the state of a training. No code in the file is run.

    Raises:
        UsageError: no such file, or the state of another training; the message says what differs.
        DataError: a damaged file.
    """
    import torch

    if not path.is_file():
        raise UsageError(f"--resume: {path} does not exist, so there is no unfinished training; leave --resume out")
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
        theirs = dict(held["identity"])
    except Exception as error:  # damaged bytes make it raise nearly anything
        raise DataError(f"{path}: not a readable training state; train again with --force") from error
    differs = [
        f"{key}: {theirs.get(key, 'absent')} there, {identity.get(key, 'absent')} here"
        for key in sorted({*theirs, *identity})
        if theirs.get(key) != identity.get(key)
    ]
    if differs:
        raise UsageError("\n  ".join([f"--resume: {path} is the state of another training:", *differs]))
    return dict(held)
