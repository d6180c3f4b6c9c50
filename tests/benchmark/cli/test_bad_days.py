"""Bad days: a run folder, a machine or a user lets a command down.

Each has its message and its exit code, and nothing else is harmed. Methods that let it down are in
`test_worker_pool.py`, streams and signals in `test_ending.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from numba.core import caching

from benchmark import compilation, files, imageio
from benchmark import store as stores
from benchmark.cli import app_main
from benchmark.store import FILE_NAME
from tests.benchmark.cli.test_ending import start_run, wait_for_cell
from tests.benchmark.test_worker_pool import HARMS as METHOD_HARMS

TOYS = Path(__file__).parents[2] / "plugins" / "toys.py"
ROOT = Path(__file__).parents[3]
RUN = ["run", "--methods", "echo,echo:gain=0.5", "--dataset", "tiny", "--protocol", "quick"]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Call the command line in this process; return its exit code and all that it prints."""

    def run_here(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["benchmark", *words])
        with pytest.raises(SystemExit) as end:
            app_main()
        printed = capfd.readouterr()
        return int(end.value.code or 0), " ".join((printed.out + printed.err).split())

    return run_here


# A store
# --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two methods on three pictures, with its outputs."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *RUN, "--plugin", str(TOYS), "--out", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture
def run_folder(sound_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_run, tmp_path / "run"))


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_to_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def overwrite_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)


def make_newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as store:
        store.execute("PRAGMA user_version=99")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut in half": (cut_in_half, "damaged|not a readable run store"),
    "cut to its header": (cut_to_header, "not a readable run store|damaged"),
    "overwritten": (overwrite_middle, "damaged|not a readable run store"),
    "emptied": (lambda file: file.write_bytes(b""), "is empty, so its results are lost"),
    "another file": (lambda file: file.write_text("text " * 999), "not a readable run store"),
    "of a newer version": (make_newer, "schema 99, but this version reads"),
    "a folder": (replace_by_folder, "no run here|cannot be read or written"),
    "gone": (lambda file: file.unlink(), "no run here"),
}
COMMANDS: dict[str, list[str]] = {
    "run": [*RUN, "--plugin", str(TOYS), "--out", "{run}"],
    "score": ["score", "{run}", "--protocol", "harm", "--plugin", str(TOYS)],
    "report": ["report", "{run}"],
    "page": ["page", "{run}", "--out", "{out}"],
    "compare": ["compare", "echo", "echo:gain=0.5", "{run}", "--protocol", "quick"],
    "rulers": ["rulers", "{run}"],
    "figures": ["figures", "{run}", "--out", "{out}"],
    "export": ["export", "{run}", "--out", "{out}.csv"],
}
WRITERS = ("run", "score")
GOES_ON = {("emptied", "run"), ("gone", "run")}
"""A run that is killed as it begins leaves a store of no bytes; the same command does the rest."""


def list_contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_store_is_refused_in_a_line_and_left_as_it_is(
    harm: str, command: str, run_folder: Path, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    if (harm, command) in GOES_ON:
        return
    inflict, message = HARMS[harm]
    for other in run_folder.glob(f"{FILE_NAME}-*"):
        other.unlink()
    inflict(run_folder / FILE_NAME)
    contents = list_contents(run_folder)
    words = [word.format(run=run_folder, out=tmp_path / "out") for word in COMMANDS[command]]
    code, text = call(*words)
    assert code == 2, text
    assert any(part in text for part in message.split("|")), text
    assert str(run_folder) in text and "Traceback" not in text and text.count("error:") == 1
    after = list_contents(run_folder)
    log_files = {run_folder / f"{FILE_NAME}{ending}" for ending in ("-wal", "-shm")}
    assert {path: after[path] for path in after if path not in log_files} == contents


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_that_another_program_keeps_locked_holds_up_only_who_writes(
    command: str,
    run_folder: Path,
    tmp_path: Path,
    call: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "_PATIENCE", 0.2)
    words = [word.format(run=run_folder, out=tmp_path / "out") for word in COMMANDS[command]]
    with closing(sqlite3.connect(run_folder / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, text = call(*words)
    refusal = "another command is writing it; wait until that has ended"
    assert "Traceback" not in text
    if command in WRITERS:
        assert code == 2, text
        assert refusal in text and text.count("error:") == 1
    else:
        assert refusal not in text


def test_the_documented_counts_are_those_of_the_tests() -> None:
    lines = (ROOT / "docs" / "reliability.md").read_text("utf-8").splitlines()
    counts = {
        line.split(":")[0]: line.split("|")[-6:-1] for line in lines if line.startswith("| A ")
    }
    read_while_locked = len(COMMANDS) - len(WRITERS)
    run_right = 1 + read_while_locked  # a run that is gone begins anew, which is no case
    refused = (len(HARMS) + 1) * len(COMMANDS) - len(GOES_ON) - read_while_locked
    right = sum(status == "ok" for status, _ in METHOD_HARMS.values())
    expected = {
        "| A run folder": (refused + run_right, run_right, refused, 0, 0),
        "| A method": (len(METHOD_HARMS), right, len(METHOD_HARMS) - right, 0, 0),
    }
    assert {name: tuple(map(int, cells)) for name, cells in counts.items()} == expected


def test_a_store_of_no_bytes_is_begun_anew(
    run_folder: Path, call: Callable[..., tuple[int, str]]
) -> None:
    for file in run_folder.glob(f"{FILE_NAME}*"):
        file.unlink()
    (run_folder / FILE_NAME).touch()
    words = [word.format(run=run_folder) for word in COMMANDS["run"]]
    code, text = call(*words, "--limit", "1", "--jobs", "1")
    assert code == 0 and "2 ok, 0 failed" in text


# Outputs
# --------------------------------------------------------------------------------------------------


def test_outputs_that_are_gone_are_counted_and_made_again(
    run_folder: Path, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    shutil.rmtree(run_folder / "outputs")
    score = [word.format(run=run_folder) for word in COMMANDS["score"]]
    code, text = call(*score)
    assert code == 1 and "Traceback" not in text
    assert "6 outputs are no longer there and cannot be scored; `run` makes them again" in text
    code, text = call("report", str(run_folder))
    assert code == 0 and "echo" in text
    page = [word.format(run=run_folder, out=tmp_path / "page") for word in COMMANDS["page"]]
    code, text = call(*page)
    assert code == 0 and "Traceback" not in text, text
    code, text = call(*[word.format(run=run_folder) for word in COMMANDS["run"]], "--jobs", "1")
    assert code == 0 and "6 cells, 0 already done" in text
    assert call(*score, "--jobs", "1")[0] == 0


def test_a_damaged_output_is_named_and_the_others_are_scored(
    run_folder: Path, call: Callable[..., tuple[int, str]]
) -> None:
    outputs = sorted((run_folder / "outputs").rglob("*.tif"))
    outputs[0].write_bytes(outputs[0].read_bytes()[:40])
    score = [word.format(run=run_folder) for word in COMMANDS["score"]]
    code, text = call(*score, "--jobs", "1")
    assert code == 1 and "Traceback" not in text
    assert outputs[0].name in text and text.count("failed: echo") == 1


# The machine and its user
# --------------------------------------------------------------------------------------------------


def test_a_bare_environment_is_enough(tmp_path: Path) -> None:
    """No home, no terminal, no language, no place for caches, and names that ASCII has not."""
    pictures = tmp_path / "Bäume Δ"
    for name in ("input", "target"):
        (pictures / name).mkdir(parents=True)
        picture = np.full((24, 24, 3), 0.4, np.float32)
        imageio.write(pictures / name / "Ζωή.png", picture, 8)
    nowhere = "/dev/null/nowhere"
    environment = {
        "PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", "HOME": nowhere, "TERM": "",
        "NUMBA_CACHE_DIR": nowhere, "MPLCONFIGDIR": nowhere, "XDG_CACHE_HOME": nowhere,
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    words = ["run", "--methods", "input", "--dataset", f"folder:path={pictures}", "--out", "out"]
    quick = ["--protocol", "quick", "--plugin", str(TOYS), "--jobs", "1"]
    process = subprocess.run(
        [sys.executable, "-m", "benchmark", *words, *quick],
        cwd=tmp_path, env=environment, capture_output=True, stdin=subprocess.DEVNULL,
        start_new_session=True, check=False,
    )  # fmt: skip
    text = process.stdout.decode() + process.stderr.decode()
    assert process.returncode == 0, text
    assert "Traceback" not in text and "1 ok, 0 failed" in text and "Bäume Δ" in text
    assert "Bäume Δ" in (tmp_path / "out" / "report.md").read_text("utf-8")


def test_without_a_home_a_path_from_home_is_told_in_a_line(
    call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    words = ["--methods", "input", "--dataset", "folder:path=~nobody-of-this-name/pictures"]
    code, text = call("run", *words, "--out", str(tmp_path / "out"))
    assert code == 2 and "Traceback" not in text
    assert "~nobody-of-this-name" in text and not (tmp_path / "out").exists()


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only suite of a user without a home."""

    def add_one(values):  # type: ignore[no-untyped-def]
        for index in range(len(values)):
            values[index] += 1

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    values = np.zeros(3)
    compilation.compile_function(add_one)(values)
    assert list(values) == [1, 1, 1]


WRITE_AND_DIE = """
import os, pathlib, sys
from benchmark.files import replace_file
with replace_file(pathlib.Path(sys.argv[1]) / "result.txt") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="no files without a name on this system")
def test_a_file_that_was_being_written_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("what was there")
    process = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, tmp_path], cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "what was there"


@pytest.mark.parametrize("system", ["Linux", "no files without a name", "no links"])
def test_a_file_takes_the_place_of_another_as_a_whole(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_link(*_: object, **__: object) -> None:
        raise PermissionError("no links here")

    if system == "no files without a name":
        monkeypatch.setattr(files, "_open_unnamed", lambda folder: None)
    elif system == "no links":
        monkeypatch.setattr(files.os, "link", refuse_link)
    path = tmp_path / "result.txt"
    path.write_text("before")
    with files.replace_file(path) as file:
        file.write(b"after")
        assert path.read_text() == "before"
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), files.replace_file(path):
        raise KeyboardInterrupt
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


def find_temporary_files(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.tmp"))


@pytest.mark.parametrize(
    ("presses", "code"), [([signal.SIGINT] * 2, 130), ([signal.SIGKILL], -signal.SIGKILL)]
)
def test_whoever_ends_a_run_in_a_hurry_leaves_nothing_behind(
    presses: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    process = start_run(tmp_path, seconds=0.2, count=300)
    wait_for_cell(tmp_path, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    for press in presses:
        os.kill(process.pid, press)
        time.sleep(0.05)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in text
    assert workers and not wait_for_end(workers, seconds=1)
    assert not find_temporary_files(tmp_path)


def wait_for_end(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait so long at most, and return those that still run; nobody may ask what became of the
    others.
    """
    deadline = time.monotonic() + seconds
    running = list(processes)
    while running and time.monotonic() < deadline:
        running = [process for process in running if is_at_work(process)]
        time.sleep(0.02)
    return running


def is_at_work(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
