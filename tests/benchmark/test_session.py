"""A metric that breaks is told, counted and no success, and takes no other score with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.results import read_results
from benchmark.store import FILE_NAME, Store
from tests.benchmark.earlier_stores import take_back_schema

PLUGIN = """
from benchmark.api import Metric, MetricCard
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.tracks import Track
from benchmark.registry import METRICS, PROTOCOLS


@METRICS.register("brittle")
class Brittle(Metric):
    card = MetricCard(title="Brittle", higher_is_better=True, digits=2)

    def __call__(self, output, target):
        raise RuntimeError("glass")


for name in ("fragile", "also-fragile"):
    PROTOCOLS.add(
        name,
        Protocol(
            id=name,
            title=name,
            source="a test",
            version="1",
            tracks=(Track("u8"),),
            measures=(
                Measure("brittle", "brittle", clamp=True, round8=False),
                Measure("mae", "mae", clamp=True, round8=False),
            ),
        ),
    )
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plug-in file with a metric that always raises, and two protocols that use it."""
    path = tmp_path / "fragile.py"
    path.write_text(PLUGIN)
    return path


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark", *words, "--jobs", "1"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_failed_scores_are_told_by_run_and_by_score(plugin: Path, tmp_path: Path) -> None:
    words = ["--plugin", str(plugin), "--methods", "input", "--dataset", "simulated:size=32"]
    run = call(
        tmp_path, "run", *words, "--limit", "2", "--protocol", "fragile,restormer", "--out", "run"
    )
    assert run.returncode == 1 and "2 scores failed" in run.stdout
    assert "fragile brittle" in run.stdout and "glass" in run.stdout
    again = call(tmp_path, "score", "run", "--plugin", str(plugin), "--protocol", "also-fragile")
    assert again.returncode == 1 and "2 scores failed" in again.stdout
    with Store(tmp_path / "run") as store:
        rows = store.rows("scores")
    assert {(row["measure"], row["status"]) for row in rows} >= {
        ("brittle", "failed"),
        ("mae", "ok"),
        ("psnr", "ok"),
    }


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        ("input,srn,attnet", "  Without weights: attnet, srn (python -m benchmark train ID "),
        ("input,srn", "  skipped: srn (1): no weights: train them (`python -m benchmark train srn"),
    ],
)
def test_several_methods_without_weights_are_one_line(
    tmp_path: Path, methods: str, line: str
) -> None:
    words = ["--methods", methods, "--dataset", "simulated:size=32", "--limit", "1"]
    run = call(tmp_path, "run", *words, "--protocol", "restormer")
    assert run.returncode == 0, run.stderr
    above_table = run.stdout.partition("median time")[0]
    assert [text for text in above_table.splitlines() if "weights" in text] == [
        text for text in above_table.splitlines() if text.startswith(line)
    ]
    assert line in above_table and "│ srn" not in run.stdout


def test_a_run_in_which_nothing_is_measured_says_so_and_is_no_success(tmp_path: Path) -> None:
    words = ["--methods", "srn", "--dataset", "simulated:size=32", "--limit", "1"]
    run = call(tmp_path, "run", *words)
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert "Nothing could be measured; the lines above say why." in run.stdout
    assert "no weights" in run.stdout and "median time" not in run.stdout


@pytest.mark.slow
def test_a_run_of_an_earlier_release_is_told_scored_and_continued(tmp_path: Path) -> None:
    """What it calls `simulated` is `simulated:set=five` today, with the same fingerprints."""
    words = [
        "--methods",
        "input",
        "--dataset",
        "simulated:set=five",
        "--limit",
        "1",
        "--out",
        "old",
    ]
    assert call(tmp_path, "run", *words).returncode == 0
    database = sqlite3.connect(tmp_path / "old" / FILE_NAME)
    database.execute("UPDATE cells SET dataset = 'simulated'")
    database.execute("UPDATE cards SET name = 'simulated' WHERE kind = 'dataset'")
    database.commit()
    database.close()
    take_back_schema(tmp_path / "old", 2)
    [summary] = read_results(tmp_path / "old").summaries()
    assert summary.footnotes[0].startswith("Data: simulated:set=five, 1 picture, fingerprint ")
    scoring = call(tmp_path, "score", "old", "--protocol", "restormer")
    assert scoring.returncode == 0, scoring.stderr
    assert "1 cells, 1 already done" in call(tmp_path, "run", *words).stderr
    with Store(tmp_path / "old") as store:
        scores = [row for row in store.rows("scores") if row["measure"] == "psnr"]
    assert {row["protocol"] for row in scores} == {"canonical", "restormer"}
    assert all(row["value"] for row in scores)
