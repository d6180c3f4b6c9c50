"""Bundles that a pull request brings are verified, and only these."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.results.bundles import MANIFEST, SCORES, write_bundle
from benchmark.results.publication import publish_record
from benchmark.results.results import read_record
from tests.benchmark.results.made_runs import make_run, spread_values

ROOT = Path(__file__).parent.parent
SCRIPT = Path(".ci/verify_bundles")


def git(folder: Path, *words: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the script, and with one bundle that is damaged on its first branch."""
    folder = tmp_path / "checkout"
    (folder / SCRIPT.parent).mkdir(parents=True)
    shutil.copy(ROOT / SCRIPT, folder / SCRIPT)
    add_bundle(folder, "earlier")
    (folder / "results" / "submitted" / "earlier" / SCORES).write_bytes(b"damaged")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "before")
    git(folder, "checkout", "--quiet", "-b", "change")
    return folder


def add_bundle(checkout: Path, name: str) -> Path:
    run = make_run(checkout.parent / f"{name}-run", spread_values(["input", name]))
    bundle = checkout / "results" / "submitted" / name
    bundle.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(publish_record(read_record(run)), bundle)
    return bundle


def verify(checkout: Path, base: str = "main") -> tuple[int, str]:
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "change")
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", str(SCRIPT), base],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_what_did_not_change_is_left_alone(checkout: Path) -> None:
    (checkout / "results" / "submitted" / "README.md").write_text("how to")
    code, output = verify(checkout)
    assert code == 0 and "no bundle changed since main" in output


def test_an_unknown_commit_is_no_success(checkout: Path) -> None:
    code, output = verify(checkout, "nowhere")
    assert code != 0 and "nowhere" in output


@pytest.mark.slow
def test_a_sound_bundle_passes_and_a_changed_one_does_not(checkout: Path) -> None:
    add_bundle(checkout, "mine")
    code, output = verify(checkout)
    assert code == 0, output
    assert "results/submitted/mine:" in output and "earlier" not in output
    path = add_bundle(checkout, "theirs") / SCORES
    path.write_bytes(path.read_bytes() + b" ")
    code, output = verify(checkout)
    assert code == 1 and f"{path.relative_to(checkout)}: has" in output


@pytest.mark.slow
def test_links_are_refused_and_removed_bundles_need_no_check(checkout: Path) -> None:
    shutil.rmtree(checkout / "results" / "submitted" / "earlier")
    code, output = verify(checkout)
    assert code == 0 and "results/submitted/earlier: removed" in output
    bundle = add_bundle(checkout, "mine")
    (bundle / MANIFEST).unlink()
    code, output = verify(checkout)
    assert code == 1 and MANIFEST in output
