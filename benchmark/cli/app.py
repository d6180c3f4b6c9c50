"""The application, and how it ends when something is wrong that a user can mend."""

from __future__ import annotations

import io
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8"
        )  # tables hold arrows, also where the locale has none
    try:
        app()
    except BenchmarkError as error:
        console.print_error(str(error))
        sys.exit(error.exit_code)
    except sqlite3.DatabaseError as error:
        console.print_error(f"the run store is damaged ({error}); restore it, or use another")
        sys.exit(2)
    except OSError as error:  # a folder that cannot be written, a full disk: the reason says enough
        console.print_error(
            f"{error.filename or 'input or output'}: {error.strerror or error}; check the path and "
            "the disk"
        )
        sys.exit(2)


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        console.out.print(__version__, highlight=False)
        raise typer.Exit
