"""A run always ends, and what happens to one worker harms nothing but its own item."""

from __future__ import annotations

import functools
import multiprocessing.util
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from benchmark.cli import app, app_main
from benchmark.store import FILE_NAME
from benchmark.worker_pool import Failure, WorkerPool, WorkerStartError

PLUGINS = Path(__file__).parent.parent / "plugins"
HARMS = {
    "leaves": ("failed", r"process died \(exit status 0\), also when it was tried again"),
    "leaves-3": ("failed", r"died \(exit status 3\)"),
    "killed": ("failed", r"died \(signal 9, often for want of memory\)"),
    "interrupts": ("failed", "^KeyboardInterrupt$"),
    "exits": ("failed", "^SystemExit: 5$"),
    "despairs": ("failed", "^Despair: no use$"),
    "unspeakable": ("failed", "^Unspeakable: .its message cannot be shown"),
    "nan": ("failed", "NaN or infinite"),
    "hangs": ("timeout", "took longer than 6 s"),
    "forks": ("ok", None),
    "forks-and-leaves": ("failed", r"died \(exit status 4\)"),
    "copies-itself": ("ok", None),
    "leaves-a-program": ("ok", None),
    "crashes": ("failed", r"died \(signal 11\), also when it was tried again"),
    "wants-memory": ("failed", "MemoryError: Unable to allocate"),
    "leaks": ("ok", None),
    "prints": ("ok", None),
    "hangs-in-prepare": ("timeout", "took longer than 6 s"),
    "too-small": ("failed", r"the method returned \(15, 16, 3\), its input was \(16, 16, 3\)"),
    "grey": ("failed", r"what the method returned: .*H x W x 3.*\(16, 16\)"),
    "doubles": ("failed", "what the method returned: .*float32.*float64"),
    "text": ("failed", "what the method returned: .*str"),
    "nothing": ("failed", "what the method returned: .*NoneType"),
    "scribbles": ("failed", "assignment destination is read-only"),
    "0-255": ("ok", None),
    "-1-1": ("ok", None),
}  # fmt: skip
REMARKS = {
    "0-255": r"on 0 to 255, not 0 to 1 \(.*\); it must divide by 255",
    "-1-1": r"on -1 to 1, not 0 to 1 \(.*\); it must return \(x \+ 1\) / 2",
}
"""What is said of pictures that are stored and scored all the same."""


def run_command(out: Path, methods: str, *words: str) -> list[str]:
    return [
        "run", "--methods", methods, "--dataset", "tiny", "--out", str(out), "--protocol", "quick",
        "--plugin", str(PLUGINS / "toys.py"), "--no-save-images", *words,
    ]  # fmt: skip


def query(out: Path, sql: str) -> list[tuple]:
    db = sqlite3.connect(out / FILE_NAME)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def list_scores(out: Path) -> list[tuple]:
    return query(
        out,
        "SELECT method, sample, measure, value FROM cells JOIN scores ON key = cell "
        "WHERE method_name = 'echo' ORDER BY 1, 2, 3",
    )


def list_own_processes() -> set[int]:
    """Return all that this process has started, also where its parent is gone."""
    own = {process.pid for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get("TEST_OF_WORKERS") == str(os.getpid()):
            own.add(process.pid)
    return own - {os.getpid()}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TEST_OF_WORKERS", str(os.getpid()))
    resource_tracker.ensure_running()  # multiprocessing's own helper stays to the end
    before = list_own_processes()
    yield
    deadline = time.monotonic() + 5
    while list_own_processes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list_own_processes() - before


def do_nothing() -> None:
    pass


# A run
# --------------------------------------------------------------------------------------------------


def test_hostile_methods_fail_in_their_own_cells(tmp_path: Path) -> None:
    neighbours = "echo,echo:gain=0.5,echo:gain=0.25"
    methods = ",".join(f"hostile:how={how}" for how in HARMS)
    hostile = ["--plugin", str(PLUGINS / "hostile.py"), "--timeout", "6", "--limit", "1"]
    command = run_command(tmp_path / "a", f"{methods},{neighbours}", *hostile, "--jobs", "2")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    for how, remark in REMARKS.items():
        start = f"hostile:how={how} on picture 0, noise 0: its values look like those of a picture "
        assert re.search(start + remark, result.output)
    command = run_command(tmp_path / "b", neighbours, "--limit", "1", "--jobs", "1")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(list_scores(tmp_path / "a")) == 3 * 2
    assert list_scores(tmp_path / "a") == list_scores(tmp_path / "b")
    rows = query(
        tmp_path / "a", "SELECT method, status, reason FROM cells WHERE method_name = 'hostile'"
    )
    assert len(rows) == len(HARMS)
    for method, status, reason in rows:
        expected_status, expected_reason = HARMS[method.removeprefix("hostile:how=")]
        assert status == expected_status, (method, reason)
        assert expected_reason is None or re.search(expected_reason, reason), (method, reason)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("raise RuntimeError('not here')", "RuntimeError: not here"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("os._exit(7)", "they died (exit status 7)"),
    ],
)
def test_a_plugin_that_fails_in_workers_only_is_told_once(
    tmp_path: Path,
    failure: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert CliRunner().invoke(app, run_command(tmp_path / "out", "echo")).exit_code == 0
    scores = list_scores(tmp_path / "out")
    plugin = tmp_path / "parent_only.py"
    plugin.write_text(
        "import multiprocessing, os\n"
        f"if multiprocessing.parent_process() is not None:\n    {failure}\n"
    )
    words = ["--plugin", str(plugin), "--jobs", "1"]
    command = run_command(tmp_path / "out", "echo,input", *words)
    monkeypatch.setattr(sys, "argv", ["benchmark", *command])
    with pytest.raises(SystemExit) as end:
        app_main()
    message = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 1
    assert message.count("worker processes cannot start") == 1 and message.count(reason) == 1
    assert list_scores(tmp_path / "out") == scores


def test_ctrl_c_while_workers_start_ends_the_command(tmp_path: Path) -> None:
    words = ["--dataset", "tiny:slow=60", "--jobs", "2"]  # it does not end by itself
    command = run_command(tmp_path / "out", "echo", *words)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not find_workers(psutil.Process(process.pid)):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    text = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in text, text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_worker_is_started_waits_until_it_is(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches another thread here, as it may where libraries have threads."""

    def start_and_be_stopped(*arguments: object) -> int:
        pid = start_process(*arguments)
        os.kill(os.getpid(), number)
        time.sleep(0.1)
        return int(pid)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    start_process = multiprocessing.util.spawnv_passfds
    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", start_and_be_stopped)
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    handler = signal.signal(number, interrupt)
    pool = WorkerPool(do_nothing, 1)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(pool.map(abs, [-1]))
        (worker,) = pool._workers
        assert worker.process.is_alive()
        assert signal.getsignal(number) is interrupt
    finally:
        pool.close()
        signal.signal(number, handler)
        end.set()
        thread.join()


def find_workers(parent: psutil.Process) -> list[psutil.Process]:
    workers = []
    for process in parent.children():
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                workers.append(process)
        except psutil.Error:
            continue
    return workers


@pytest.mark.slow
def test_workers_that_are_killed_at_any_moment_cost_nothing(tmp_path: Path) -> None:
    """Six times one worker at a random moment from its start on, twice all of them."""
    methods, words = "echo,echo:gain=0.5", ["--limit", "60", "--dataset", "tiny:n=60,slow=0.01"]
    whole = run_command(tmp_path / "whole", methods, *words, "--jobs", "2")
    assert CliRunner().invoke(app, whole).exit_code == 0
    scores = list_scores(tmp_path / "whole")
    rng = random.Random(0)
    for trial in range(8):
        out = tmp_path / str(trial)
        command = run_command(out, methods, *words, "--jobs", "2")
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark", *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        workers: list[psutil.Process] = []
        while len(workers) < 2 and process.poll() is None:
            workers = find_workers(psutil.Process(process.pid))
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 3))
        for worker in workers[: 2 if trial >= 6 else 1]:
            if worker.is_running():
                worker.kill()
        assert process.wait(timeout=120) == 0, f"trial {trial}"
        assert list_scores(out) == scores, f"trial {trial}"


# The pool
# --------------------------------------------------------------------------------------------------


def add_one(number: int) -> int:
    return number + 1


def test_workers_killed_in_steady_work_cost_nothing() -> None:
    rng = random.Random(0)
    results = {}
    killed = 0
    with WorkerPool(do_nothing, 2) as pool:
        for number, result in pool.map(add_one, range(6000)):
            results[number] = result
            if len(results) % 1000 == 500:
                time.sleep(rng.uniform(0, 0.01))
                workers = find_workers(psutil.Process())
                rng.choice(workers).kill()
                killed += 1
    assert killed == 6
    assert results == {number: number + 1 for number in range(6000)}


def die_at_first(folder: Path, count: int) -> None:
    """End this process if fewer than `count` have done so."""
    for number in range(count):
        try:
            (folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


def test_workers_killed_while_they_start_cost_nothing(tmp_path: Path) -> None:
    with WorkerPool(functools.partial(die_at_first, tmp_path, 3), 2) as pool:
        assert sorted(pool.map(add_one, range(5))) == [(n, n + 1) for n in range(5)]
    with WorkerPool(functools.partial(die_at_first, tmp_path, 100), 1) as pool:  # noqa: SIM117
        with pytest.raises(WorkerStartError, match=r"they died \(signal 9"):
            list(pool.map(add_one, range(5)))


def misbehave(how: str) -> object:
    match how:
        case "unpicklable":
            return lambda: None
        case "unreadable":
            return Unreadable()
        case "large":
            return b"x" * 3_000_000
        case "exit":
            sys.exit(2)
        case "die":
            os._exit(1)
        case "hang":
            time.sleep(1000)
    return how


class Unreadable:
    def __reduce__(self) -> tuple[object, ...]:
        return int, ("no number",)


def test_whatever_an_item_does_it_is_answered_once() -> None:
    items = ["die", "unpicklable", "unreadable", "large", "exit", "hang", "fine"]
    with WorkerPool(do_nothing, 2) as pool:
        answers = list(pool.map(misbehave, items, timeout=1.5, kind=str))
        assert list(pool.map(misbehave, ["fine"])) == [("fine", "fine")], "the pool goes on"
    results = dict(answers)
    assert len(answers) == len(items) and results["fine"] == "fine"
    assert results["large"] == b"x" * 3_000_000
    failures = {item: result for item, result in results.items() if isinstance(result, Failure)}
    assert set(failures) == {"die", "unpicklable", "unreadable", "exit", "hang"}
    assert failures["hang"] == Failure("timeout", "took longer than 1.5 s")
    assert "no number" in failures["unreadable"].reason
    assert failures["exit"].reason == "SystemExit: 2"


def test_kinds_that_kill_come_last_and_nothing_is_tried_again_on_demand() -> None:
    items = ["die", "a", "die too", "b", "c", "d"]
    with WorkerPool(do_nothing, 1) as pool:
        answers = list(pool.map(die_by_name, items, kind=get_first_word))
    assert [item for item, _ in answers] == ["a", "b", "c", "d", "die too", "die"]
    with WorkerPool(do_nothing, 1, tries=1) as pool:
        ((_, failure),) = pool.map(die_by_name, ["die"])
    assert failure == Failure("failed", "its worker process died (exit status 9)")


def die_by_name(name: str) -> str:
    if name == "die":
        os._exit(9)
    return name


def get_first_word(name: str) -> str:
    return name.split()[0]


def test_a_pool_that_is_left_early_ends_its_workers() -> None:
    with WorkerPool(do_nothing, 2) as pool:
        for number, _ in pool.map(add_one, range(1000)):
            if number > 10:
                break
    assert not find_workers(psutil.Process())


# Jobs that are handed over beforehand
# --------------------------------------------------------------------------------------------------


def answer_slowly_or_not(item: str) -> str:
    if item == "hang":
        time.sleep(1000)
    return die_by_name(item)


@pytest.mark.parametrize(
    ("harm", "failure"),
    [
        ("die", Failure("failed", "its worker process died (exit status 9)")),
        ("hang", Failure("timeout", "took longer than 2 s")),
    ],
)
def test_what_waits_behind_a_lost_job_is_done_in_its_turn(harm: str, failure: Failure) -> None:
    """A quick worker has its next job already when it is lost over this one."""
    items = [*map(str, range(20)), harm, *map(str, range(20, 40))]
    with WorkerPool(do_nothing, 1, tries=1) as pool:
        answers = list(pool.map(answer_slowly_or_not, items, timeout=2))
    assert answers == [(item, failure if item == harm else item) for item in items]


def echo_bytes(content: bytes) -> bytes:
    return content


def test_large_jobs_and_answers_wait_for_each_other_not_for_ever() -> None:
    """Neither end of a pipe may write what the other one does not read."""
    items = [bytes([number]) * 1_000_000 for number in range(40)]
    with WorkerPool(do_nothing, 2) as pool:
        answers = list(pool.map(echo_bytes, items))
    assert sorted(answers) == [(item, item) for item in items]
