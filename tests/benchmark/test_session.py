"""A metric that breaks is told, counted and no success, and takes no other score with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.store import Store

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
