"""What a user mistyped is told at once: before torch is imported or anything written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.api import UsageError
from benchmark.cli.options import check_out_folder

PICTURE = Path(__file__).parents[3] / "datasets" / "photographs" / "sundial.jpg"
MISTAKES = (
    ("run --methods input --dataset simulated --out {file}/run", "is a file"),
    ("run --methods all --dataset dpd --data {nowhere}", "DPDD"),
    ("run --methods inptu --dataset simulated", "did you mean 'input'"),
    ("run --methods gkmnet.none --dataset simulated", "no checkpoint of gkmnet"),
    ("run --methods input --dataset simulated --plugin {nowhere}/mine.py", "no such Python file"),
    ("run --methods input --dataset simulated --lpips-trunk {nowhere}", "no such file"),
    ("run --methods input --dataset simulated --protocol canonicla", "no protocol"),
    ("run --methods input --dataset dpd --data {nowhere} --device cuda", "DPDD"),
    ("maps --methods ebdb --dataset simulated --out {file}", "is a file"),
    ("conditions --out {file}", "is a file"),
    ("convergence --methods fixed-point --dataset simulated --out {file}", "is a file"),
    ("psf --out {file}", "is a file"),
    ("cost --methods gkmnet --out {file}/cost", "is a file"),
    ("control gkmnet.sim --out {file}", "is a file"),
    ("figures {nowhere} --out {file}", "is a file"),
    ("deblur {picture} --out {file}", "is a file"),
    ("deblur {nowhere}.png", "no such file"),
    ("simulate {picture} --out {file}", "is a file"),
    ("train gkmnet --data {nowhere}", "no such folder"),
    ("train gkmnet --data {folder} --validation {nowhere}", "--validation"),
)
PROGRAM = """
import sys
from typer.testing import CliRunner
from benchmark.cli import app
for line in sys.stdin.read().splitlines():
    error = CliRunner().invoke(app, line.split("\\t")).exception
    print(type(error).__name__, "torch" in sys.modules, str(error).replace("\\n", " "))
"""


def test_mistakes_are_told_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    places = {
        "file": tmp_path / "file",
        "nowhere": tmp_path / "nowhere",
        "folder": tmp_path,
        "picture": PICTURE,
    }
    lines = [
        "\t".join(word.format(**places) for word in command.split()) for command, _ in MISTAKES
    ]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PICTURE.parents[2])},
    )
    answers = process.stdout.splitlines()
    assert len(answers) == len(MISTAKES), process.stdout
    for (command, reason), answer in zip(MISTAKES, answers, strict=True):
        name, has_torch, text = answer.split(" ", 2)
        assert name in ("UsageError", "DataError"), (command, answer)
        assert has_torch == "False", command
        assert reason in text, (command, answer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]  # nothing was written


def test_a_folder_that_could_be_made_is_taken(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path / "a" / "b"):
        assert check_out_folder(folder) == folder
    assert not (tmp_path / "a").exists()


def test_a_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)  # root may do all
    with pytest.raises(UsageError, match="cannot be written to"):
        check_out_folder(tmp_path / "run")
