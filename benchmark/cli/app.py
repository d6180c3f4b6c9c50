"""The application, and how it ends when something is wrong that a user can mend."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from benchmark import console
from benchmark.api import BenchmarkError
from benchmark.store import explain_store_error
from benchmark.version import __version__

app = typer.Typer(
    name="python -m benchmark",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which defocus deblurring method is better, on which data, by how much - and can I trust "
    "the number? Start with: python -m benchmark run --methods all --dataset simulated",
    epilog="Exit codes: 0 everything went well, 1 some cells or checks failed, 2 bad usage or "
    "data.",
)


def app_main() -> None:
    """Run the application; turn errors that a user can mend into one line and their exit code."""
    _open_missing_streams()
    signals = _stop_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8"
        )  # tables hold arrows, also where the locale has none
    outputs = LastingStream(sys.stdout), LastingStream(sys.stderr)
    with contextlib.redirect_stdout(outputs[0]), contextlib.redirect_stderr(outputs[1]):
        try:
            app()
        except BenchmarkError as error:
            console.print_error(str(error))
            sys.exit(error.exit_code)
        except sqlite3.DatabaseError as error:
            console.print_error(explain_store_error(error))
            sys.exit(2)
        except OSError as error:  # a folder that cannot be written: the reason says enough
            console.print_error(
                f"{error.filename or 'input or output'}: {error.strerror or error}; check the path "
                "and the disk"
            )
            sys.exit(2)
        except SystemExit as end:
            if end.code != _INTERRUPTED:
                raise
            number = signals[0] if signals else signal.SIGINT
            console.print_note(f"ended by {signal.Signals(number).name}")
            sys.exit(128 + number)


_INTERRUPTED = 130
"""Exit code that Typer gives Ctrl-C."""


def _open_missing_streams() -> None:
    """Put something in the place of standard streams that are closed, or the next file that is
    opened becomes one of them, and is printed into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r+"))  # noqa: SIM115 (for good)


def _stop_on_signals() -> list[int]:
    """Let the signals that end a program end it as Ctrl-C does, unless they are ignored (`nohup`);
    return the list that receives them.
    """
    numbers: list[int] = []
    own_pid = os.getpid()

    def stop(number: int, frame: object) -> None:
        if os.getpid() != own_pid:  # a fork ends as it would without this
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        numbers.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)
    return numbers


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
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        console.out.print(__version__, highlight=False)
        raise typer.Exit
