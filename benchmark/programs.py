"""Programs of others: run without a shell in a folder of their own, and ended with all they
start.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_MESSAGE = 200
"""Letters of a program's last message that a reason holds."""
_private_folders: set[str] = set()
"""Of this process, while they are in use."""
_private_folders_lock = threading.Lock()
_REMOVALS = 100
"""How often a folder is removed that another thread still writes into."""


def list_ending_signals() -> list[signal.Signals]:
    """Return the signals that people and systems end a program by, as far as this one has them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [signal.Signals[name] for name in names if hasattr(signal, name)]


class ProgramFailure(Exception):
    """Why a program gave no answer: its exit status, and the end of its messages."""


@contextmanager
def make_private_folder() -> Iterator[Path]:
    """Make a folder that nobody else may read, and remove it at the end."""
    with _private_folders_lock:
        folder = tempfile.TemporaryDirectory(prefix="defocus-bench-", ignore_cleanup_errors=True)
        _private_folders.add(folder.name)
    try:
        with folder as name:
            yield Path(name)
    finally:
        _private_folders.discard(folder.name)


def end_private_folders() -> None:
    """Remove those that are in use, and let no others be made: for a process that ends at once. A
    supervisor knows its own only once it runs.
    """
    _private_folders_lock.acquire()  # for ever, or a folder would come after the last was removed
    for folder in list(_private_folders):
        for _ in range(_REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(0.001)


def end_with_parent(clean_up: Callable[[], None] | None = None) -> None:
    """Let this process end as soon as the one that started it has ended, however that came: nobody
    would take its results, and what it has started would go on.

    Args:
        clean_up: called just before the end, in a thread.
    """
    threading.Thread(target=_wait_for_parent, args=(clean_up,), daemon=True).start()


def _wait_for_parent(clean_up: Callable[[], None] | None) -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    if clean_up is not None:
        clean_up()
    os._exit(1)


def run_program(
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str],
    timeout: float | None = None,
) -> str:
    """Run a program and return the end of what it prints.

    Whatever it has started is ended with it, also when this very process is killed meanwhile; then
    its folder is removed too.

    Args:
        command: the program and its arguments; no shell sees them.
        folder: where it runs; its own.
        environment: variables beside those of this process.
        timeout: seconds it may take; None for any.

    Raises:
        ProgramFailure: it cannot be started, takes too long, or does not end with status 0.
    """
    request = {
        "command": list(command),
        "folder": str(folder),
        "environment": dict(environment),
        "timeout": timeout,
        "mark": uuid.uuid4().hex,
    }
    # In a session of its own, Ctrl-C does not end the supervisor before it has done its work.
    with subprocess.Popen(  # noqa: S603 (a script of ours)
        [sys.executable, "-I", "-S", str(_SUPERVISOR)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as supervisor:
        assert supervisor.stdin is not None and supervisor.stdout is not None
        supervisor.stdin.write(json.dumps(request).encode() + b"\n")
        supervisor.stdin.flush()
        text = supervisor.stdout.read()
    if not text:
        raise ProgramFailure("its supervisor was killed")
    answer = json.loads(text)
    if "error" in answer:
        raise ProgramFailure(f"cannot be started: {answer['error']}")
    messages = [answer[name].replace(f"{folder}/", "") for name in ("stderr", "stdout")]
    message = next(filter(None, map(_find_message, messages)), "")
    if answer["status"] != 0:
        reason = _describe_status(answer["status"], timeout)
        raise ProgramFailure(f"{reason}: {message}" if message else reason)
    return str(answer["stdout"])


def _describe_status(status: int | None, timeout: float | None) -> str:
    if status is None:
        return f"took longer than {timeout:g} s"
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}"


def _find_message(text: str) -> str:
    """Return the last lines of a text as one, without control characters and colours."""
    without_colours = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in without_colours).split())
    return line if len(line) <= _MESSAGE else f"…{line[-_MESSAGE:]}"
