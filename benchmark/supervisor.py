"""Runs one program and lets nothing of it outlive the process that asked for it.

It is a script of its own, with nothing but the standard library, as it must go on when its caller
is killed: the caller holds the other end of its standard input, and the end of that is the end of
the program, of all that it has started, and of its folder. `benchmark.programs` speaks to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

MARK = "DEFOCUS_BENCH_PROGRAM"
"""Environment variable that everything a program starts inherits; it tells its processes."""
_SET_CHILD_SUBREAPER = 36
"""An option of prctl(2)."""
_TAIL = 4096
"""Bytes of its messages that are kept."""


def main() -> None:
    """Read a request, one line of JSON, and write the answer, one line of JSON."""
    request = json.loads(sys.stdin.buffer.readline())
    _adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: _end_everything(request["mark"], request["folder"]))
    answer = _run(request)
    sys.stdout.write(json.dumps(answer))


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends, where the system can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    environment = {**os.environ, **request["environment"], MARK: request["mark"]}
    try:
        process = subprocess.Popen(  # noqa: S603 (the user's own command)
            request["command"],
            cwd=request["folder"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return {"error": f"{request['command'][0]!r}: {reason}"}
    messages = _wait(process, request)
    is_late = process.poll() is None
    _end_processes(request["mark"], process.pid)
    return {
        "status": None if is_late else process.wait(),
        "stdout": messages["stdout"].decode(errors="replace"),
        "stderr": messages["stderr"].decode(errors="replace"),
    }


def _wait(process: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, bytearray]:
    """Wait for the end of a program or of its time, and return the end of its messages.

    A process that the program leaves behind may hold its pipes open; nothing waits for it.
    """
    deadline = time.monotonic() + (request["timeout"] or float("inf"))
    messages = {"stdout": bytearray(), "stderr": bytearray()}
    exit_reader, exit_writer = os.pipe()
    threading.Thread(target=_report_exit, args=(process, exit_writer), daemon=True).start()
    assert process.stdout is not None and process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.buffer, selectors.EVENT_READ, "caller")
        selector.register(exit_reader, selectors.EVENT_READ, "exit")
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, name)
        has_ended = False
        while not has_ended:
            seconds = min(deadline - time.monotonic(), 3600.0)
            names = [key.data for key, _ in selector.select(max(0.0, seconds))]
            if "caller" in names:
                _end_everything(request["mark"], request["folder"], process.pid)
            has_ended = "exit" in names or time.monotonic() >= deadline
            for name in {"stdout", "stderr"} & set(names):
                pipe = process.stdout if name == "stdout" else process.stderr
                if not _read_tail(pipe, messages[name]):
                    selector.unregister(pipe)
    for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
        _read_tail(pipe, messages[name])
    return messages


def _report_exit(process: subprocess.Popen[bytes], writer: int) -> None:
    process.wait()
    os.write(writer, b"x")


def _read_tail(pipe: IO[bytes], tail: bytearray) -> bool:
    """Read what there is, keep its end, and return whether there may be more."""
    for _ in range(64):  # a program that never stops writing must not stop its supervisor
        content: bytes | None = pipe.read(65536)
        if content is None:
            return True
        if not content:
            return False
        tail += content
        del tail[:-_TAIL]
    return True


def _end_everything(mark: str, folder: str, leader: int | None = None) -> None:
    """End the program as nobody waits for its answer any more."""
    _end_processes(mark, leader)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _end_processes(mark: str, leader: int | None) -> None:
    """End a program's group and every process that bears its mark; new ones may start meanwhile."""
    if leader is not None:
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
    for _ in range(10):
        processes = list(_iterate_processes(mark))
        for process in processes:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if not processes:
            return
        time.sleep(0.01)


def _iterate_processes(mark: str) -> Iterator[int]:
    """Yield the processes that bear a mark, and the children of this one, which those become that
    have lost both mark and parent; nothing where there is no /proc.
    """
    entry = f"{MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # After the name in brackets, which may hold anything: state and parent.
            state, parent = (
                (path / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            )
            is_child = int(parent) == os.getpid()
            if state != "Z" and (is_child or entry in (path / "environ").read_bytes().split(b"\0")):
                yield int(path.name)


if __name__ == "__main__":
    main()
