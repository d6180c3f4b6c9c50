"""The files of a training: where they lie, how they are written, and the state that an unfinished
one goes on from.

The state is one file, replaced as a whole, so that a reader never sees half of one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import checkpoints
from benchmark.api import DataError, Scalar, UsageError
from benchmark.files import write_bytes

FORMAT = 2
"""Changes whenever a state holds other things."""

Identity = Mapping[str, Scalar]
"""What must be the same for a training to go on: method, recipe, data, seed ..."""


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """The files of a training: the checkpoint METHOD.TAG.safetensors and, under its name, the state
    and the curves.
    """

    checkpoint: Path

    @property
    def name(self) -> str:
        """METHOD.TAG."""
        return self.checkpoint.name.removesuffix(checkpoints.SUFFIX)

    @property
    def state(self) -> Path:
        """The state, while the training is unfinished."""
        return self._file_with_ending("training.pt")

    @property
    def table(self) -> Path:
        """The curves as CSV."""
        return self._file_with_ending("curves.csv")

    @property
    def figure(self) -> Path:
        """The curves as a figure."""
        return self._file_with_ending("curves.png")

    @property
    def rates(self) -> Path:
        """The learning rates that a search has tried; see `search`."""
        return self._file_with_ending("rates.csv")

    @property
    def card(self) -> Path:
        """The checkpoint's card for people."""
        return self._file_with_ending("md")

    @property
    def lock(self) -> Path:
        """Locked by the process that trains."""
        return self.checkpoint.with_name(f".{self.name}.lock")

    def require(self, resume: bool, force: bool, start: Path | None = None) -> None:
        """Raise UsageError if what is there does not go with the options.

        Args:
            resume, force: as for `trainer.train_network`.
            start: a checkpoint under whose name the training goes on; it may be the one that is
                there.
        """
        if resume and force:
            raise UsageError(
                "--resume and --force: go on with the unfinished training, or begin anew; give one"
            )
        if resume and not self.state.exists():
            raise UsageError(
                f"--resume: {self.state} does not exist, so there is no unfinished training; leave "
                "--resume out"
            )
        if not (resume or force) and self.state.exists():
            raise UsageError(
                f"{self.state}: an unfinished training; go on with --resume, or begin anew with "
                "--force"
            )
        goes_on = start is not None and start.resolve() == self.checkpoint.resolve()
        if not (resume or force or goes_on) and self.checkpoint.exists():
            raise UsageError(
                f"{self.checkpoint} exists already; overwrite it with --force, or choose another "
                "--tag"
            )

    def remove(self) -> None:
        """Remove checkpoint, card, curves and state; raises DataError if that fails."""
        for path in (self.checkpoint, self.card, self.table, self.figure, self.state):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise DataError(f"{path}: cannot be removed ({error.strerror})") from error

    def _file_with_ending(self, ending: str) -> Path:
        return self.checkpoint.with_name(f"{self.name}.{ending}")


# Writing
# --------------------------------------------------------------------------------------------------


def write_training_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file as a whole; raises DataError if that fails, with what can be done."""
    with advise_resuming():
        write_bytes(path, content)


@contextmanager
def advise_resuming() -> Iterator[None]:
    """Add to a DataError of the block, which writes a file, how a training can go on after it."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"{error}. What was there before is intact: once it can be written, go on with "
            "--resume if the training had begun"
        ) from error


@contextmanager
def lock_training(path: Path, name: str) -> Iterator[None]:
    """Hold a lock on the files of a training.

    Args:
        path: of the lock, beside the files.
        name: METHOD.TAG, for messages.

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


# The state of an unfinished training
# --------------------------------------------------------------------------------------------------


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers and texts; the one before it stays until this one is on the
    disk.

    Raises:
        DataError: if it cannot be written.
    """
    import torch

    buffer = io.BytesIO()  # torch hides the reason of a failed write, the file itself does not
    torch.save({"format": FORMAT, **state}, buffer)
    write_training_file(path, buffer.getbuffer())


def load_state(path: Path, identity: Identity) -> dict[str, Any]:
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
        state: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state_identity = dict(state["identity"])
        state_format = state.get("format")
    except Exception as error:  # damaged bytes make it raise nearly anything
        raise DataError(
            f"{path}: not a readable training state; train again with --force"
        ) from error
    if state_format != FORMAT:
        raise UsageError(
            f"{path}: the state of another version of the suite; go on with that, or begin anew: "
            "--force"
        )
    _require_same_training(path, state_identity, identity)
    return dict(state)


def _require_same_training(path: Path, there: Identity, here: Identity) -> None:
    differences = [
        f"{key}: {there.get(key, 'absent')} there, {here.get(key, 'absent')} here"
        for key in sorted({*there, *here})
        if there.get(key) != here.get(key)
    ]
    if differences:
        heading = f"--resume: {path} is the state of another training:"
        raise UsageError("\n  ".join([heading, *differences]))
