"""The application, and how it ends when something is wrong that a user can mend."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import sys
from typing import Annotated

import typer

from benchmark import console
from benchmark.api import BenchmarkError
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
    with console.outlive_readers():
        try:
            app()
        except BenchmarkError as error:
            console.print_error(str(error))
            sys.exit(error.exit_code)
        except sqlite3.DatabaseError as error:
            from benchmark.store import explain_store_error

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
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
            os.set_inheritable(nowhere, True)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


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


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        console.out.print(__version__, highlight=False)
        raise typer.Exit
