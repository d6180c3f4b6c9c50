"""How a command ends that somebody stops, that nobody listens to, or whose folder lets it down."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmark import store as stores
from benchmark.api import DataError
from benchmark.console import LastingStream
from benchmark.store import FILE_NAME, Store, explain_store_error
from tests.benchmark.earlier_stores import take_back_schema

ROOT = Path(__file__).parents[3]
PLUGIN = ["--plugin", str(ROOT / "tests" / "plugins" / "toys.py")]
PYTHON = f"{sys.executable} -m benchmark"


def start_run(
    out: Path, *, seconds: float, count: int, ignored: int | None = None
) -> subprocess.Popen[str]:
    """Start a run of so many cells, each of so many seconds; `ignored` is a signal."""
    command = [
        *(sys.executable, "-m", "benchmark", "run", "--methods", "echo", "--protocol", "quick"),
        *("--dataset", f"tiny:n={count},slow={seconds}", "--out", str(out), "--jobs", "1", *PLUGIN),
    ]

    def set_signals() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True, preexec_fn=set_signals,
    )  # fmt: skip


def count_cells(folder: Path) -> int:
    file = folder / FILE_NAME
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as store:
        try:
            return int(store.execute("SELECT count(*) FROM cells").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # not laid out yet


def wait_for_cell(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while count_cells(folder) == 0:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_as_ctrl_c_does_and_is_named(name: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    process = start_run(tmp_path, seconds=0.2, count=300)
    wait_for_cell(tmp_path, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "the same command does the rest" in text and f"ended by {name}" in text
    assert "Traceback" not in text
    assert count_cells(tmp_path) > 0
    _, alive = psutil.wait_procs(workers, 10)
    assert not alive


def test_under_nohup_a_run_goes_on(tmp_path: Path) -> None:
    process = start_run(tmp_path, seconds=0.2, count=8, ignored=signal.SIGHUP)
    wait_for_cell(tmp_path, process)
    os.kill(process.pid, signal.SIGHUP)
    text = process.communicate(timeout=120)[1]
    assert process.returncode == 0, text
    assert count_cells(tmp_path) == 8


def run_in_shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    "streams", ["| head -n 1", "2>&1 | head -n 1", "2>&-", ">&-", "<&- >&- 2>&-"]
)
def test_a_run_that_nobody_reads_is_done_all_the_same(streams: str, tmp_path: Path) -> None:
    words = f"--methods echo --dataset tiny --protocol quick --out {tmp_path} {' '.join(PLUGIN)}"
    process = run_in_shell(f"{PYTHON} run {words} {streams}")
    assert process.returncode == 0, process.stderr
    assert "error" not in process.stdout + process.stderr
    assert count_cells(tmp_path) == 3
    assert "echo" in (tmp_path / "report.md").read_text()


def test_workers_find_all_streams_open_where_they_were_closed(tmp_path: Path) -> None:
    """Else their first file becomes one of them, and what libraries print goes into it."""
    report = tmp_path / "streams.txt"
    plugin = tmp_path / "streams.py"
    plugin.write_text(
        "import multiprocessing, os, pathlib\n"
        "if multiprocessing.parent_process() is not None:\n"
        "    names = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        f"    pathlib.Path({str(report)!r}).write_text(' '.join(names))\n"
    )
    words = f"--methods echo --dataset tiny --protocol quick --out {tmp_path / 'out'} --jobs 1"
    plugins = f"{' '.join(PLUGIN)} --plugin {plugin}"
    process = run_in_shell(f"{PYTHON} run {words} {plugins} <&- >&- 2>&-")
    assert process.returncode == 0
    assert report.read_text().split() == ["/dev/null"] * 3


def test_a_listing_that_nobody_reads_to_its_end_is_no_error() -> None:
    process = run_in_shell(f"{PYTHON} list methods | head -n 2")
    assert process.returncode == 0 and process.stderr == ""
    assert len(process.stdout.splitlines()) == 2


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_stream_outlives_its_reader(number: int, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:

        class Gone:
            def write(self, text: str) -> None:
                raise OSError(number, "gone")

            def fileno(self) -> int:
                return file.fileno()

        assert LastingStream(Gone()).write("text") == 4  # type: ignore[arg-type]
        file.write("text")
    assert (tmp_path / "log").read_text() == ""


def make_store(folder: Path) -> Path:
    with Store(folder, create=True) as store:
        store.start_run({"commit": "c"})
    return folder


def fill_disk(store: Store) -> None:
    store._db.execute("PRAGMA max_page_count=1")
    store.start_run({"text": "x" * 100_000})


def move_away(store: Store) -> None:
    file = store.folder / FILE_NAME
    file.rename(file.with_name("moved"))
    store.start_run({})


def delete_folder(store: Store) -> None:
    for path in store.folder.iterdir():
        path.unlink()
    store.folder.rmdir()
    store.start_run({})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (fill_disk, "the disk is full; make room: what was finished is kept, and the same command"),
        (move_away, "was moved or deleted while it was in use"),
        (delete_folder, "was moved or deleted while it was in use"),
    ],
)
def test_what_happens_to_a_store_in_use_is_said_at_once(
    harm: Callable[[Store], None], message: str, tmp_path: Path
) -> None:
    folder = make_store(tmp_path / "run")
    with Store(folder) as store, pytest.raises(DataError, match=message) as caught:
        harm(store)
    assert str(folder / FILE_NAME) in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_after_a_full_disk_the_store_is_sound(tmp_path: Path) -> None:
    with Store(make_store(tmp_path)) as store:
        with pytest.raises(DataError):
            fill_disk(store)
        store._db.execute("PRAGMA max_page_count=1000000")
        assert store.start_run({}) == 2


def test_a_store_that_somebody_else_writes_is_not_called_damaged(tmp_path: Path) -> None:
    make_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, timeout=0)) as one:
        one.execute("BEGIN IMMEDIATE")
        with (
            closing(sqlite3.connect(tmp_path / FILE_NAME, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError) as caught,
        ):
            other.execute("UPDATE runs SET finished = 1")
    assert "another command is writing it" in explain_store_error(caught.value)


@pytest.fixture
def read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in a folder that SQLite must not write into."""
    make_store(tmp_path)
    monkeypatch.setattr(stores.os, "access", lambda path, mode: False)
    connect = sqlite3.connect

    def refuse_locks(address: object, **options: object) -> sqlite3.Connection:
        if str(address).endswith("mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(address, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(stores.sqlite3, "connect", refuse_locks)
    return tmp_path


def test_a_store_on_read_only_media_is_read(read_only_folder: Path) -> None:
    before = sorted(path.name for path in read_only_folder.iterdir())
    file = read_only_folder / FILE_NAME
    content = file.read_bytes()
    with Store(read_only_folder, read_only=True) as store:
        assert [row["provenance"] for row in store.rows("runs")] == ['{"commit": "c"}']
    assert sorted(path.name for path in read_only_folder.iterdir()) == before
    assert file.read_bytes() == content


def test_an_early_store_on_read_only_media_is_read(read_only_folder: Path) -> None:
    file = read_only_folder / FILE_NAME
    take_back_schema(read_only_folder, 2)
    content = file.read_bytes()
    with Store(read_only_folder, read_only=True) as store:
        assert len(store.rows("runs")) == 1
    assert file.read_bytes() == content


def test_a_run_of_somebody_else_is_read_while_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path, create=True) as running:
        running.start_run({"commit": "c"})
        monkeypatch.setattr(stores.os, "access", lambda path, mode: False)
        with Store(tmp_path, read_only=True) as store:
            assert len(store.rows("runs")) == 1


@pytest.mark.parametrize("code", [sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, 0])
def test_only_a_damaged_store_is_called_damaged(code: int) -> None:
    error = sqlite3.OperationalError("reason")
    error.sqlite_errorcode = code
    assert "damaged" not in explain_store_error(error)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert "damaged" in explain_store_error(error)


def test_results_that_only_a_writer_could_save_are_not_left_out(read_only_folder: Path) -> None:
    (read_only_folder / f"{FILE_NAME}-wal").write_bytes(b"something")
    with pytest.raises(DataError, match="is in use or was not ended"):
        Store(read_only_folder, read_only=True)
