"""What `run --dry-run` says: of cells, disk and time, and that it does nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.forecast import Forecast, describe_forecast


def run(folder: Path, toys: Path, *words: str) -> str:
    command = [
        *("run", "--methods", "input,echo:gain=2", "--dataset", "simulated:size=32"),
        *("--out", str(folder), "--jobs", "1", "--plugin", str(toys), "--protocol", "quick"),
        *words,
    ]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_a_dry_run_counts_cells_and_bytes_and_writes_nothing(tmp_path: Path, toys: Path) -> None:
    folder = tmp_path / "run"
    text = run(folder, toys, "--dry-run")
    assert "48 cells, 0 already done, 48 left" in text
    kilobytes = 48 * 32 * 32 * 8.5 / 1e3
    assert f"disk: about {kilobytes:.0f} kB of outputs" in text
    assert "time not known: input, echo:gain=2." in text
    assert not folder.exists()


def test_a_dry_run_takes_the_paces_of_what_is_done(tmp_path: Path, toys: Path) -> None:
    folder = tmp_path / "run"
    run(folder, toys, "--limit", "2")
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        connection.execute("UPDATE cells SET seconds = 30 WHERE method = 'input'")
        connection.execute("UPDATE cells SET seconds = 60 WHERE method != 'input'")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    text = run(folder, toys, "--dry-run")
    assert "48 cells, 4 already done, 44 left" in text
    assert "time: about 33 min by 1 worker" in text  # 22 x 90 s
    assert "not known" not in text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "48 cells, 48 already done, 0 left" in run_all_and_ask(folder, toys)


def run_all_and_ask(folder: Path, toys: Path) -> str:
    run(folder, toys)
    return run(folder, toys, "--dry-run")


def test_what_does_not_fit_the_disk_is_said() -> None:
    forecast = Forecast(760, 0, 760 * 1680 * 1120, 0.0, (), 10**10)
    lines = describe_forecast(forecast, Path("run"), 2, save=True)
    assert (
        "about 12.2 GB of outputs, at most 4.3 GB of pictures to look at; 10.0 GB are free"
        in lines[1]
    )
    assert "does not fit" in lines[2]
    lines = describe_forecast(forecast, Path("run"), 2, save=True, rounds_outputs=True)
    assert "about 5.7 GB of outputs" in lines[1] and "does not fit" not in " ".join(lines)
    assert describe_forecast(forecast, Path("run"), 2, save=False)[1:] == [
        "disk: scores and digests only"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "less than a second"), (61, "about 61 s"), (3600, "about 60 min"), (36000, "10.0 h")],
)
def test_times_are_in_units_for_people(seconds: float, text: str) -> None:
    forecast = Forecast(1, 0, 100, seconds, (), 10**10)
    assert text in describe_forecast(forecast, Path("run"), 1, save=True)[2]
    unknown = describe_forecast(forecast, Path("run"), None, save=True)[2]
    assert "of one worker, shared by those that there will be" in unknown
    assert "by 4 workers" in describe_forecast(forecast, Path("run"), 4, save=True)[2]
