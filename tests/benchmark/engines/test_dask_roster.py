"""What each worker is given of what its machine has, and how tasks are put into packets; the
workers are pretended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.cells import Cell, Task
from benchmark.engines import dask_engine, dask_roster, dask_worker
from benchmark.engines.dask_admission import Inspection, Parcel, Requirements, inspect_worker
from benchmark.engines.dask_engine import _Backlog
from benchmark.engines.dask_roster import Roster
from benchmark.engines.dask_worker import Order, PackedJob, check_packed_job
from benchmark.noise import Noise
from benchmark.worker import RunSettings
from benchmark.worker_pool import WorkerStartError


class Answered:
    """A question that is answered at once."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def done(self) -> bool:
        return True

    def exception(self) -> BaseException | None:
        return self.answer if isinstance(self.answer, BaseException) else None

    def result(self) -> object:
        return self.answer

    def cancel(self) -> None:
        pass


class PretendedClient:
    """A scheduler with workers that answer what they are said to have."""

    def __init__(self, inspections: Mapping[str, Inspection | BaseException], threads: int) -> None:
        self.inspections = inspections
        self.threads = threads
        self.orders: dict[str, Order] = {}

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.inspections, self.threads)

    def submit(self, question: Any, *arguments: Any, workers: list[str], **_: object) -> Answered:
        (address,) = workers
        if question is inspect_worker:
            return Answered(self.inspections[address])
        self.orders[address] = arguments[1]
        return Answered(None)


def inspect(cores: int = 8, gpus: tuple[str, ...] = (), refusal: str | None = None) -> Inspection:
    return Inspection(refusal, None, True, (), frozenset(range(cores)), gpus)


def enlist(
    inspections: Mapping[str, Inspection | BaseException],
    threads: int = 1,
    *,
    uses_gpus: bool = False,
) -> tuple[Roster, dict[str, Order]]:
    client = PretendedClient(inspections, threads)
    requirements = Requirements({}, False, (), Path("probe"), uses_gpus)
    settings = RunSettings(Path("out"), Path("data"), save=False)
    roster = Roster(client, "command", requirements, settings, None)  # type: ignore[arg-type]
    roster.update()
    roster.update()
    return roster, client.orders


def test_processors_are_shared_out_among_all_threads_of_a_machine() -> None:
    addresses = ["tcp://one:1", "tcp://one:2", "tcp://two:1"]
    roster, orders = enlist(dict.fromkeys(addresses, inspect(8)), threads=2)
    assert roster.list_ready() == set(addresses) and roster.count_slots() == 6
    threads = {address: order.settings.threads for address, order in orders.items()}
    assert threads == {"tcp://one:1": 2, "tcp://one:2": 2, "tcp://two:1": 4}


def test_workers_with_processors_of_their_own_share_none() -> None:
    """As jobs of SLURM have on one machine."""
    first = Inspection(None, None, True, (), frozenset({0, 1}), ())
    second = Inspection(None, None, True, (), frozenset({2, 3, 4}), ())
    _, orders = enlist({"tcp://one:1": first, "tcp://one:2": second})
    assert [order.settings.threads for order in orders.values()] == [2, 3]


def test_every_gpu_is_given_to_one_slot() -> None:
    gpus = ("0", "1", "2")
    inspections = {f"tcp://one:{n}": inspect(gpus=gpus) for n in range(3)}
    inspections["tcp://two:0"] = inspect(gpus=gpus)
    roster, orders = enlist(inspections, threads=2, uses_gpus=True)
    given_gpus = {address: list(order.gpus) for address, order in orders.items()}
    assert given_gpus == {
        "tcp://one:0": ["0", "1"],
        "tcp://one:1": ["2"],
        "tcp://two:0": ["0", "1"],
    }
    assert roster.count_slots() == 5
    assert "tcp://one:2" not in roster.list_ready()


def test_the_last_refusal_ends_the_command() -> None:
    roster, _ = enlist({"tcp://one:1": inspect(refusal="old torch"), "tcp://one:2": inspect()})
    assert roster.list_ready() == {"tcp://one:2"}
    roster.refuse("tcp://one:2", "other data")
    with pytest.raises(WorkerStartError, match=r"old torch \(1 worker\); other data \(1 worker\)"):
        roster.update()


def test_workers_that_are_refused_for_one_reason_are_counted() -> None:
    refused = inspect(refusal="old torch")
    with pytest.raises(WorkerStartError, match=r"old torch \(2 workers\)\. What"):
        enlist({"tcp://one:1": refused, "tcp://one:2": refused})


def test_a_worker_that_starts_anew_beside_a_refused_one_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(dask_roster.time, "monotonic", lambda: now)
    refused, good = inspect(refusal="old torch"), inspect()
    workers: dict[str, Inspection | BaseException] = {"tcp://one:1": refused, "tcp://one:2": good}
    roster, _ = enlist(workers)
    del workers["tcp://one:2"]
    now += 2
    roster.update()
    assert "waiting 60 s for one that may take part" in " ".join(capsys.readouterr().err.split())
    assert not roster.list_ready()
    workers["tcp://one:3"] = good
    now += 58
    roster.update()
    roster.update()
    assert roster.list_ready() == {"tcp://one:3"}
    del workers["tcp://one:3"]
    now += 2
    roster.update()
    now += 61
    with pytest.raises(WorkerStartError, match=r"old torch \(1 worker\)"):
        roster.update()


def test_a_worker_without_the_suite_is_refused() -> None:
    with pytest.raises(WorkerStartError, match="cannot be inspected: ModuleNotFoundError"):
        enlist({"tcp://one:1": ModuleNotFoundError("No module named 'benchmark'")})


# Packets
# --------------------------------------------------------------------------------------------------


def make_task(method: str, sample: str) -> Task:
    cell = Cell(method, method, None, "{}", "1", None, "d", "d", sample, sample, "u8", Noise())
    return Task(cell)


def list_packets(backlog: _Backlog) -> list[list[tuple[str, str]]]:
    packets = []
    while backlog:
        jobs = backlog.take_packet()
        packets.append([(job.item.picture, job.item.kind) for job in jobs])
    return packets


TASKS = [make_task(method, sample) for sample in "ab" for method in ("quick", "slow")]


def test_tasks_of_unknown_length_travel_alone() -> None:
    assert list(map(len, list_packets(_Backlog(TASKS)))) == [1, 1, 1, 1]


def test_quick_tasks_of_one_picture_travel_together() -> None:
    backlog = _Backlog(TASKS)
    backlog.note_seconds(TASKS[0], 0.01)
    backlog.note_seconds(TASKS[1], 0.2)
    together = [[(sample, "quick"), (sample, "slow")] for sample in "ab"]
    assert list_packets(backlog) == together


def test_slow_tasks_travel_alone_again() -> None:
    backlog = _Backlog(TASKS)
    backlog.note_seconds(TASKS[0], 0.01)
    backlog.note_seconds(TASKS[1], 5.0)
    assert list(map(len, list_packets(backlog))) == [1, 1, 1, 1]


def test_a_packet_needs_no_more_than_some_bytes_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "PACKET_BYTES", 250)
    backlog = _Backlog([make_task(f"m{number}", "a") for number in range(5)])
    for job in list(backlog._jobs):
        backlog.note_seconds(job.item, 0.01)
    counts = []
    while backlog:
        counts.append(len(backlog.take_packet(lambda _: 100)))
    assert counts == [2, 2, 1]


class PretendedPool:
    """Writes a file for every job."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size

    def map(self, work: Any, jobs: Sequence[PackedJob], *_: object, **__: object) -> Any:
        for job in jobs:
            if work is check_packed_job:
                yield job, None
                continue
            self.folder.mkdir(exist_ok=True)
            (self.folder / f"{job.number}.npy").write_bytes(bytes(self.size))
            yield job, (0.1, job.number)


@pytest.mark.parametrize(("size", "done"), [(100, 5), (400, 3), (5000, 1)])
def test_a_worker_sends_no_more_than_some_bytes_and_gives_the_other_jobs_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, done: int
) -> None:
    monkeypatch.setattr(dask_worker, "PACKET_BYTES", 1000)
    relocation = dask_worker._Relocation({}, Path("data"), Path("data"))
    folder = tmp_path / "run-0"
    slot = dask_worker._Slot(RunSettings(tmp_path, Path("data")), relocation, folder, {})
    pool = PretendedPool(folder, size)
    monkeypatch.setattr(slot, "_open_pool", lambda: pool)
    jobs = [PackedJob(number, "m", b"") for number in range(5)]
    result = slot.do_jobs(jobs, {}, None)
    slot.close()
    assert [answer.number for answer in result.answers] == list(range(done))
    assert {name: len(content) for name, content in result.files.items()} == {
        f"{number}.npy": size for number in range(done)
    }


def make_crew(folder: Path) -> dask_worker._Crew:
    """Return a crew that was sent one file."""
    parcel = Parcel(Path("plugin.py"), {"plugin.py": "0"})
    settings = RunSettings(folder / "run", Path("data"))
    order = Order(settings, None, True, [parcel], {0: {"plugin.py": b"x = 1"}}, 1, ())
    return dask_worker._Crew(order, folder / "crew", lambda: None)


def test_a_crew_that_nobody_gives_work_ends_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_worker, "_IDLE_SECONDS", 0.2)
    crew = make_crew(tmp_path)
    assert (tmp_path / "crew" / "0" / "plugin.py").read_bytes() == b"x = 1"
    deadline = time.monotonic() + 10
    while (tmp_path / "crew").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(dask_worker._CrewEnded):
        crew.do_jobs([PackedJob(0, "m", b"")], {}, lambda: True)


def test_a_crew_at_work_does_not_end_itself(tmp_path: Path) -> None:
    crew = make_crew(tmp_path)
    with crew._stay_open():
        crew.end_if_idle()
        assert (tmp_path / "crew").exists()
    crew.end_if_idle()
    assert not (tmp_path / "crew").exists()


def test_jobs_come_back_to_the_front_and_lost_ones_to_the_end_and_alone() -> None:
    backlog = _Backlog(TASKS)
    for task in TASKS[:2]:
        backlog.note_seconds(task, 0.01)
    first = backlog.take_packet()
    backlog.put_back(first)
    again = backlog.take_packet()
    assert [job.number for job in again] == [0, 1]
    for job in again:
        job.is_suspect = True
        backlog.put_back([job])
    assert [len(jobs) for jobs in list_packets(backlog)] == [2, 1, 1]
