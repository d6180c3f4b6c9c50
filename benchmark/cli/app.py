"""The application, and how it ends when something is wrong that a user can mend."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import sys
import time
from typing import Annotated

import typer

from benchmark import console
from benchmark.api import BenchmarkError
from benchmark.cli.help import SCRIPT, CommandGroup, name_program
from benchmark.programs import list_ending_signals
from benchmark.version import __version__

_PROGRAM = name_program()
app = typer.Typer(
    name=_PROGRAM,
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # its narrow columns cut ids at 80 columns
    add_completion=_PROGRAM == SCRIPT,  # else it would be that of every `python`
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which defocus deblurring method is better, on which data, by how much - and can I trust "
    f"the number? Start with: {_PROGRAM} run --methods all --dataset simulated",
    epilog="Exit codes: 0 everything went well, 1 some cells or checks failed, 2 bad usage or "
    "data.",
)


def app_main() -> None:
    """Run the application; turn errors that a user can mend into one line and their exit code."""
    _open_missing_streams()
    signals = _SignalHandler()
    signals.install()
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
            if end.code != _INTERRUPTED or signals.first is None:
                raise
            number = signals.first
            signals.retire()
            console.print_note(f"ended by {signal.Signals(number).name}")
            sys.exit(128 + number)


_INTERRUPTED = 130
"""Exit code that Typer gives Ctrl-C."""
_ENDING_SECONDS = 10.0
"""How long a command that was stopped may take to put its work away."""


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


class _SignalHandler:
    """Lets the signals that end a program end it as Ctrl-C does.

    The first one stops the work. Those that follow while it is being put away, which takes seconds
    at most, change nothing: who presses Ctrl-C twice leaves no process and no file behind either.
    One that comes later ends the command on the spot.

    Attributes:
        first: the number of the first one; None before it.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._own_pid = os.getpid()
        self._first_time = 0.0

    def install(self) -> None:
        """Take the place of what Python does on them, unless they are ignored (`nohup`)."""
        for number in list_ending_signals():
            handler = signal.getsignal(number)
            is_usual = handler in (signal.SIG_DFL, signal.default_int_handler)
            if is_usual or isinstance(handler, _SignalHandler):
                signal.signal(number, self)

    def retire(self) -> None:
        """Let later ones change nothing: everything is put away. Python itself would go back to
        ending on them while it ends, with another exit code.
        """
        for number in list_ending_signals():
            signal.signal(number, signal.SIG_IGN)

    def __call__(self, number: int, frame: object) -> None:
        """Take a signal."""
        if os.getpid() != self._own_pid:  # a fork ends as it would without this
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.first is None:
            self.first = number
            self._first_time = time.monotonic()
            raise KeyboardInterrupt
        elif time.monotonic() - self._first_time > _ENDING_SECONDS:
            os._exit(128 + number)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        console.out.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass
