"""What a person sees while the suite works: progress, counts, check marks. Plain lines when not a
terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_PLAIN_LINE_EVERY = 10.0
"""Seconds between progress lines when the output is not a terminal."""


def wide_console() -> Console:
    """Return a console for tables: a pipe or a log gets the whole table instead of one squeezed
    into 80 columns.
    """
    return out if out.is_terminal else Console(width=200)


def print_line(text: object) -> None:
    """Print a line of a result as it is: no markup is read, no number coloured."""
    out.print(str(text), highlight=False, markup=False)


def print_error(message: str) -> None:
    """Print an error for a person."""
    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False)


def print_note(message: str) -> None:
    """Print a line that is not part of a result."""
    err.print(escape(message), highlight=False)


@contextlib.contextmanager
def outlive_readers() -> Iterator[None]:
    """Let what is printed inside go nowhere once nobody reads it any more."""
    outputs = LastingStream(sys.stdout), LastingStream(sys.stderr)
    with contextlib.redirect_stdout(outputs[0]), contextlib.redirect_stderr(outputs[1]):
        yield


class LastingStream:
    """A text stream that goes on, into nothing, when whoever reads it is gone (`| head`): the work
    is not done for its messages.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return how many characters."""
        with self._outlive_reader():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        with self._outlive_reader():
            self._stream.flush()

    @contextlib.contextmanager
    def _outlive_reader(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe, a terminal
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def track_progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield `items`, showing how many of `total` are done and how long the rest will take."""
    if total == 0:
        return
    if sys.stderr.isatty():
        yield from _show_progress_bar(items, total, label)
    else:
        yield from _print_progress_lines(items, total, label)


def _show_progress_bar(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _print_progress_lines(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    start = time.monotonic()
    last_line = start
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if number == total or now - last_line > _PLAIN_LINE_EVERY:
            last_line = now
            left = (now - start) / number * (total - number)
            print_note(f"{label}: {number}/{total}, {now - start:.0f} s, about {left:.0f} s left")


def count_reasons(reasons: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return one line per (status, subject, reason) with its count, most frequent first."""
    lines: list[str] = []
    for (status, subject, reason), count in Counter(reasons).most_common():
        lines.append(f"{status}: {subject} ({count}): {reason}")
    return lines
