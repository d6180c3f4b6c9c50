"""Who works on a run folder: two commands that write it at once would do the same cells twice.

The lock is one of the operating system on a file in the folder, so it ends with the process that
holds it, however that ends. Who only reads a run takes none.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from benchmark import console
from benchmark.api import DataError, UsageError
from benchmark.files import write_bytes

LOCK_NAME = "run.lock"
HOLDER_NAME = "run.lock.json"
"""Says who holds the lock, so no two commands have the same."""
_LONGEST_COMMAND = 200


@contextlib.contextmanager
def hold_run_folder(folder: Path, command: str) -> Iterator[None]:
    """Be the only command that writes a run folder, while the block lasts.

    Where the folder or its file system takes no locks, that is said, and the block is done without
    one.

    Args:
        folder: it must be there.
        command: what others are told of this one.

    Raises:
        UsageError: if another command holds it; the message says which.
    """
    lock = FileLock(folder / LOCK_NAME, fallback_to_soft=False)
    if not _acquire(lock, folder):
        yield
        return
    try:
        _write_holder(folder, command)
        yield
    finally:
        for name in (HOLDER_NAME, LOCK_NAME):
            with contextlib.suppress(OSError):  # Windows keeps a file that is open
                (folder / name).unlink()
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> bool:
    """Return whether the lock is held now; False where there can be none, which is said."""
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{folder}: {_describe_holder(folder)} is working on this run. Wait until it has "
            "ended: nothing is lost, and the same command then does what is missing"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        console.print_note(
            f"{folder}: cannot be locked ({reason}); start no second command on it meanwhile"
        )
        return False
    return True


def _write_holder(folder: Path, command: str) -> None:
    facts = {
        "pid": os.getpid(),
        "host": platform.node(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }
    with contextlib.suppress(DataError):  # then others are told less
        write_bytes(folder / HOLDER_NAME, json.dumps(facts).encode())


def _describe_holder(folder: Path) -> str:
    """Return who holds the lock, as far as that is known: the file may be of one that died."""
    try:
        facts = json.loads((folder / HOLDER_NAME).read_text(encoding="utf-8"))
        pid = int(facts["pid"])
        host, started, command = (str(facts[name]) for name in ("host", "started", "command"))
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
    if host == platform.node() and not psutil.pid_exists(pid):
        return "another command"
    text = f"process {pid} on {host} since {started} ({command[:_LONGEST_COMMAND]})"
    return "".join(letter for letter in text if letter.isprintable())
