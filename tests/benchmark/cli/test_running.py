"""What `run` and `score` print: the tables that were asked for, of a folder that may hold more."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from benchmark.cli.app import app

OTHER = "simulated:size=32"


def printed_tables(*words: str) -> list[tuple[str, str]]:
    """Return data set and protocol of every table that a command prints."""
    done = CliRunner().invoke(app, [*words, "--jobs", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return re.findall(r"(\w\S*), (\w+), track", done.output)


def test_the_tables_of_what_was_asked_for_are_printed(tmp_path: Path, toys: Path) -> None:
    plugin = ("--plugin", str(toys))
    quick = ("--protocol", "quick")
    sixteen_bits = ("--protocol", "dpdnet")

    def run(dataset: str, *protocols: str) -> list[tuple[str, str]]:
        words = ("--methods", "input", "--dataset", dataset, "--out", str(tmp_path), "--limit", "1")
        return printed_tables("run", *words, *plugin, *protocols)

    assert run("tiny", *quick) == [("tiny", "quick")]
    assert run(OTHER, *quick) == [(OTHER, "quick")]
    assert run("tiny", *sixteen_bits) == [("tiny", "dpdnet")]
    assert sorted(run("tiny", *quick, *sixteen_bits)) == [("tiny", "dpdnet"), ("tiny", "quick")]
    scored = printed_tables("score", str(tmp_path), *plugin, *quick)
    assert sorted(scored) == [(OTHER, "quick"), ("tiny", "quick")]
