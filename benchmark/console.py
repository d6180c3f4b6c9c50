"""What a person sees while the suite works: progress, counts, check marks. Plain lines when not a
terminal.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
import textwrap
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
from rich.table import Column

T = TypeVar("T")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_COLUMNS = 80
"""Of the narrowest terminal that the main screens are made for."""
_PLAIN_LINE_EVERY = 10.0
"""Seconds between progress lines when the output is not a terminal."""


def make_printable(text: str) -> str:
    """Return a text in which escapes stand for what would steer a terminal or cannot be encoded;
    lines stay lines.
    """
    if text.isprintable():
        return text
    return "".join(
        ascii(character)[1:-1] if _steers_terminal(character) else character for character in text
    )


def _steers_terminal(character: str) -> bool:
    """Return whether it is a control character, a sign that turns the direction of writing, or half
    of a character.
    """
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t"


def wide_console() -> Console:
    """Return a console for tables: a pipe or a log gets the whole table instead of one squeezed
    into 80 columns.
    """
    return out if out.is_terminal else Console(width=200)


def table_console() -> Console:
    """Return a console for tables that fit 80 columns: a pipe or a log gets just these."""
    return out if out.is_terminal else Console(width=_COLUMNS)


def print_line(text: object) -> None:
    """Print a line of a result as it is: no markup is read, no number coloured."""
    out.print(make_printable(str(text)), highlight=False, markup=False)


def print_paragraph(text: str) -> None:
    """Print a text in lines of at most 80 columns, or of the terminal if that is narrower; no id,
    path or command is cut.
    """
    lines = [
        textwrap.fill(
            line, min(_COLUMNS, out.width), subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )
        for line in text.split("\n")
    ]  # fmt: skip
    print_line("\n".join(lines))


def print_error(message: str) -> None:
    """Print an error for a person."""
    err.print(f"[bold red]error:[/] {escape(make_printable(message))}", highlight=False)


def print_note(message: str) -> None:
    """Print a line that is not part of a result."""
    err.print(escape(make_printable(message)), highlight=False)


@contextlib.contextmanager
def outlive_readers(limit: int | None = None) -> Iterator[None]:
    """Let what is printed inside go nowhere once nobody reads it any more.

    Args:
        limit: characters that each stream takes; what is more goes nowhere either. None for all.
    """
    outputs = LastingStream(sys.stdout, limit), LastingStream(sys.stderr, limit)
    with contextlib.redirect_stdout(outputs[0]), contextlib.redirect_stderr(outputs[1]):
        yield


class LastingStream:
    """A text stream that goes on, into nothing, when whoever reads it is gone (`| head`): the work
    is not done for its messages.
    """

    def __init__(self, stream: TextIO, limit: int | None = None) -> None:
        """Go on writing to `stream`; at most `limit` characters, None for all."""
        self._stream = stream
        self._limit = limit
        self._left = math.inf if limit is None else limit

    def write(self, text: str) -> int:
        """Write a text, and return how many characters."""
        if self._left < 0:
            return len(text)
        self._left -= len(text)
        line = f"\n(more than {self._limit} characters were printed; the rest is left out)\n"
        with self._outlive_reader():
            self._stream.write(text if self._left >= 0 else line)
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


def track_progress(
    items: Iterable[T], total: int, label: str, describe: Callable[[T], str] = lambda item: ""
) -> Iterator[T]:
    """Yield `items`, showing how many of `total` are done and how long the rest will take.

    Args:
        items: the work, done one after the other.
        total: how many there will be.
        label: what is done with them.
        describe: what to say of the one that was done last, after its turn.
    """
    if total == 0:
        return
    if sys.stderr.isatty():
        yield from _show_progress_bar(items, total, label, describe)
    else:
        yield from _print_progress_lines(items, total, label, describe)


def _show_progress_bar(
    items: Iterable[T], total: int, label: str, describe: Callable[[T], str]
) -> Iterator[T]:
    note_column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        TextColumn("{task.description}"), BarColumn(10), MofNCompleteColumn(),
        TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False, table_column=note_column),
    )  # fmt: skip
    with Progress(*columns, console=err, expand=True) as progress:
        task = progress.add_task(label, total=total, note="")
        for item in items:
            yield item
            progress.update(task, advance=1, note=make_printable(describe(item)))


def _print_progress_lines(
    items: Iterable[T], total: int, label: str, describe: Callable[[T], str]
) -> Iterator[T]:
    start = time.monotonic()
    last_line = start
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if number == total or now - last_line > _PLAIN_LINE_EVERY:
            last_line = now
            left = (now - start) / number * (total - number)
            note = describe(item)
            print_note(
                f"{label}: {number}/{total}, elapsed {_format_seconds(now - start)}, "
                f"left {_format_seconds(left)}{'; ' if note else ''}{note}"
            )


def _format_seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def count_reasons(reasons: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return one line per (status, subject, reason) with its count, most frequent first."""
    lines: list[str] = []
    for (status, subject, reason), count in Counter(reasons).most_common():
        lines.append(f"{status}: {subject} ({count}): {reason}")
    return lines
