"""The example of an outside package: installed as a user would, found through its entry points,
checked and run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Install the example into a folder of its own, and return a way to run the command line with
    it.
    """
    work = tmp_path_factory.mktemp("outside")
    shutil.copytree(ROOT / "examples" / "outside_plugin", work / "source")
    place = work / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run(
        [*pip, "--target", str(place), str(work / "source")], check=True, capture_output=True
    )

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(place)}
        command = [sys.executable, "-m", "benchmark", *words]
        return subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True)

    return call


def test_it_runs_beside_ours(
    benchmark: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = benchmark(
        "run", "--methods", "input,laplacian:strength=0.5", "--dataset", "gradients:size=64",
        "--protocol", "worst-case", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        "6 ok" in done.stdout
        and "laplacian:strength=0.5" in done.stdout
        and "worst error" in done.stdout
    )


def test_it_keeps_the_contract(benchmark: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = benchmark("check", "--methods", "laplacian", "--dataset", "gradients")
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr


def test_it_is_listed_with_its_package(
    benchmark: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = benchmark("list", "methods")
    assert "laplacian" in done.stdout and "defocus-bench-example" in done.stdout
