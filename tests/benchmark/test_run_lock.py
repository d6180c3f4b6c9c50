"""Two commands on one run folder: the second says who is there, and readers go on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import filelock
import psutil
import pytest
from typer.testing import CliRunner, Result

from benchmark import run_lock
from benchmark.api import BenchmarkError, UsageError
from benchmark.cli import app
from benchmark.run_lock import LOCK_NAME, hold_run_folder
from benchmark.store import FILE_NAME
from tests.benchmark.cli.test_ending import PLUGIN, count_cells, start_run, wait_for_cell


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, *PLUGIN])


def test_a_second_command_says_who_is_there_and_readers_go_on(tmp_path: Path) -> None:
    process = start_run(tmp_path, seconds=0.3, count=200)
    wait_for_cell(tmp_path, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    run = ["run", "--methods", "echo", "--dataset", "tiny:n=2", "--out", str(tmp_path)]
    score = ["score", str(tmp_path), "--protocol", "quick"]
    for words in (run, score):
        result = invoke(*words, "--jobs", "1")
        assert isinstance(result.exception, UsageError), result.output
        text = str(result.exception)
        assert f"process {process.pid} on {platform.node()} since " in text
        assert "benchmark run --methods echo" in text and "nothing is lost" in text
    export = ["export", str(tmp_path), "--out", str(tmp_path / "scores.csv")]
    for words in (["report", str(tmp_path)], export):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert process.poll() is None, "the first goes on"
    process.kill()
    process.communicate(timeout=60)
    psutil.wait_procs(workers, 10)
    count = count_cells(tmp_path)
    assert count > 0
    with hold_run_folder(tmp_path, "next"):  # a dead process holds nothing
        assert count_cells(tmp_path) == count


def test_after_a_command_the_folder_holds_nothing_of_its_lock(tmp_path: Path) -> None:
    with hold_run_folder(tmp_path, "first"):
        assert (tmp_path / LOCK_NAME).exists()
        with pytest.raises(UsageError, match=rf"process {os.getpid()} on .* \(first\) is working"):
            hold_run_folder(tmp_path, "second").__enter__()
    assert list(tmp_path.iterdir()) == []
    with hold_run_folder(tmp_path, "second"):
        pass


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"pid": "x", "host": "h", "started": "s", "command": "c"}',
        json.dumps({"pid": 2**22 + 1, "host": platform.node(), "started": "s", "command": "c"}),
    ],
)
def test_who_is_there_is_not_guessed(content: str, tmp_path: Path) -> None:
    with hold_run_folder(tmp_path, "first"):
        (tmp_path / "run.lock.json").write_text(content)
        with pytest.raises(UsageError, match=": another command is working on this run"):
            hold_run_folder(tmp_path, "second").__enter__()


def test_what_a_file_says_of_who_is_there_moves_no_cursor(tmp_path: Path) -> None:
    facts = {"pid": 1, "host": "elsewhere\x1b[2J", "started": "s", "command": "c" * 5000}
    with hold_run_folder(tmp_path, "first"):
        (tmp_path / "run.lock.json").write_text(json.dumps(facts))
        with pytest.raises(UsageError) as caught:
            hold_run_folder(tmp_path, "second").__enter__()
    assert "process 1 on elsewhere[2J since s" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("error", [OSError(37, "No locks available"), NotImplementedError("none")])
def test_where_nothing_can_be_locked_it_is_said_and_work_goes_on(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(self: filelock.FileLock, **_: object) -> None:
        raise error

    monkeypatch.setattr(run_lock.FileLock, "acquire", refuse)
    with hold_run_folder(tmp_path, "first"):
        pass
    text = " ".join(capsys.readouterr().err.split())
    assert "cannot be locked" in text and "start no second command" in text


def test_a_refused_run_leaves_a_store_that_opens(tmp_path: Path) -> None:
    with hold_run_folder(tmp_path, "first"):
        words = ["--dataset", "tiny", "--protocol", "quick", "--out", str(tmp_path)]
        result = invoke("run", "--methods", "echo", *words)
        assert isinstance(result.exception, BenchmarkError)
    assert (tmp_path / FILE_NAME).exists() and count_cells(tmp_path) == 0
