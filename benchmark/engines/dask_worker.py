"""What happens on a worker of Dask: it does packets of tasks in child processes.

They are the same as those that a command has on its own machine, so that a time-out, a crash or
`os._exit` costs one task there too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pickle
import queue
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from distributed import get_worker

from benchmark import worker
from benchmark.apply import describe_error
from benchmark.cells import Task
from benchmark.checkpoints import Checkpoint
from benchmark.engines.dask_admission import Parcel, find_parcel
from benchmark.engines.gpus import VARIABLE
from benchmark.files import DATA_VARIABLE, write_bytes
from benchmark.run_layout import path_in_run
from benchmark.spec import ResolvedId
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure, WorkerPool, WorkerStartError

_IDLE_SECONDS = 60.0
"""After so long without a packet, child processes are ended and files removed, as their command may
be gone; one that is not enlists the worker again.
"""
_WATCH_SECONDS = 2.0
"""How often it is looked whether anybody still waits for a packet."""
PACKET_BYTES = 2**28
"""What may travel with a packet, one way, beyond its first task; a worker gives the rest back."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is given when it is enlisted.

    Attributes:
        settings: of the command.
        timeout: seconds a task may take.
        shares_folder: whether it writes into the run folder, or sends back what it writes.
        parcels: the files that are needed.
        contents: number of a parcel that it lacked -> name below the folder -> content.
        slots: how many tasks it does at a time.
        gpus: one for each slot; empty where none are used.
    """

    settings: RunSettings
    timeout: float | None
    shares_folder: bool
    parcels: Sequence[Parcel]
    contents: Mapping[int, Mapping[str, bytes]]
    slots: int
    gpus: Sequence[str]


class PackedJob(NamedTuple):
    """A piece of work and its item, which only child processes unpack, as they have the plug-ins.

    Attributes:
        number: tells it from the others of its command.
        kind: what is to blame when a process dies.
        content: the pickled pair of work and item.
    """

    number: int
    kind: str
    content: bytes


class JobAnswer(NamedTuple):
    """What came of a job, and the seconds it took; None where it did not return."""

    number: int
    seconds: float | None
    result: Any | Failure


@dataclass(frozen=True, slots=True)
class PacketResult:
    """What came of a packet.

    Attributes:
        worker: address of the worker.
        answers: one for each job that was done. The others were not begun.
        files: path relative to the run folder -> content, where the folder is not shared.
        refusal: why the worker may not take part after all, if so; there are no answers then.
        is_enlisted: whether the worker knows of the command; it does not after a new start.
    """

    worker: str
    answers: Sequence[JobAnswer] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    refusal: str | None = None
    is_enlisted: bool = True


def enlist_worker(command: str, order: Order) -> None:
    """Make this worker ready for the packets of a command."""
    end_command(command)
    # Of this crew alone: the one before it may still be removing its own.
    name = f"defocus-bench-{command}-{uuid.uuid4().hex[:8]}"
    folder = Path(get_worker().local_directory, name)
    _crews[command] = _Crew(order, folder, functools.partial(_crews.pop, command, None))


def do_packet(
    command: str, jobs: Sequence[PackedJob], uploads: Mapping[str, bytes]
) -> PacketResult:
    """Do jobs on one picture in a child process.

    Args:
        command: as the worker was enlisted for.
        jobs: what to do.
        uploads: path relative to the run folder -> content, of what they read there, where the
            folder is not shared.
    """
    dask_worker = get_worker()
    address = dask_worker.address
    crew = _crews.get(command)
    if crew is None:
        return PacketResult(address, is_enlisted=False)
    is_wanted = functools.partial(_is_wanted, dask_worker, dask_worker.get_current_task())
    try:
        return dataclasses.replace(crew.do_jobs(jobs, uploads, is_wanted), worker=address)
    except _CrewEnded:
        return PacketResult(address, is_enlisted=False)
    except Exception as error:  # of this worker: what goes wrong in a job is its answer
        if not is_wanted():
            crew.end_if_idle()
            return PacketResult(address)
        return PacketResult(address, refusal=describe_error(error))


def _is_wanted(dask_worker: Any, key: Any) -> bool:
    """Return whether somebody waits for a task of Dask: nobody does once its client is gone."""
    task = dask_worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled"


def end_command(command: str) -> None:
    """End the child processes of a command and remove its files, as far as there are any."""
    crew = _crews.pop(command, None)
    if crew is not None:
        crew.close()


class _CrewEnded(Exception):
    """A crew takes no more packets."""


class _Crew:
    """The slots of one command on this worker; each does one packet at a time."""

    def __init__(self, order: Order, folder: Path, forget: Callable[[], object]) -> None:
        """Unpack what was sent; no process is started yet.

        Args:
            order: what to do, and how.
            folder: of this crew alone; removed at its end.
            forget: called when the crew has ended itself.
        """
        self._folder = folder
        self._forget = forget
        self._lock = threading.Lock()
        self._packets = 0
        self._timer: threading.Timer | None = None
        self._is_closed = False
        self._timeout = order.timeout
        settings, relocation = _relocate_settings(order, folder)
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._all_slots: list[_Slot] = []
        for number in range(order.slots):
            own_folder = None if order.shares_folder else folder / f"run-{number}"
            environment = {VARIABLE: order.gpus[number]} if order.gpus else {}
            slot = _Slot(settings, relocation, own_folder, environment)
            self._all_slots.append(slot)
            self._slots.put(slot)
        self._start_timer()

    def do_jobs(
        self,
        jobs: Sequence[PackedJob],
        uploads: Mapping[str, bytes],
        is_wanted: Callable[[], bool],
    ) -> PacketResult:
        """Do a packet as soon as a slot is free.

        Raises:
            _CrewEnded: the crew has.
            Exception: whatever comes of ending the child process once nobody wants the packet.
        """
        with self._stay_open():
            slot = self._slots.get()
            try:
                with slot.give_up_unless(is_wanted):
                    return slot.do_jobs(jobs, uploads, self._timeout)
            finally:
                self._slots.put(slot)

    @contextlib.contextmanager
    def _stay_open(self) -> Iterator[None]:
        """Let the crew not end by itself meanwhile; raise _CrewEnded if it has."""
        with self._lock:
            if self._is_closed:
                raise _CrewEnded
            self._stop_timer()
            self._packets += 1
        try:
            yield
        finally:
            with self._lock:
                self._packets -= 1
                if not self._packets and not self._is_closed:
                    self._start_timer()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(_IDLE_SECONDS, self.end_if_idle)
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def end_if_idle(self) -> None:
        """End the crew, unless a packet is being done."""
        with self._lock:
            if self._packets or self._is_closed:
                return
            self._is_closed = True
            self._forget()
        self.close()

    def close(self) -> None:
        """End all child processes, whatever they are doing, and remove all files."""
        with self._lock:
            self._is_closed = True
            self._stop_timer()
        for slot in self._all_slots:
            slot.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Relocation:
    """Where this worker has what a command has elsewhere.

    Attributes:
        checkpoints: file of the command -> file here.
        command_root, root: the folder of data sets of the command, and here.
    """

    checkpoints: Mapping[Path, Path]
    command_root: Path
    root: Path


def _relocate_settings(order: Order, folder: Path) -> tuple[RunSettings, _Relocation]:
    """Return the settings of this worker, and where it has what the command has elsewhere; parcels
    that were sent are unpacked.
    """
    paths: dict[Path, Path] = {}
    for number, parcel in enumerate(order.parcels):
        contents = order.contents.get(number)
        path = find_parcel(parcel) if contents is None else None
        paths[parcel.path] = path or _unpack_parcel(parcel, contents or {}, folder / str(number))
    settings = order.settings
    root = Path(os.environ.get(DATA_VARIABLE) or settings.root).absolute()
    trunk = settings.lpips_trunk
    local_settings = dataclasses.replace(
        settings,
        root=root,
        plugins=tuple(paths[path] for path in settings.plugins),
        lpips_trunk=None if trunk is None else paths[trunk],
    )
    return local_settings, _Relocation(paths, settings.root, root)


def _unpack_parcel(parcel: Parcel, contents: Mapping[str, bytes], folder: Path) -> Path:
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return folder / parcel.path.name


class _Slot:
    """A place for one task at a time, with the child process that does it."""

    def __init__(
        self,
        settings: RunSettings,
        relocation: _Relocation,
        own_folder: Path | None,
        environment: Mapping[str, str],
    ) -> None:
        """Prepare for work; no process is started yet.

        Args:
            settings: of this worker.
            relocation: where this worker has what the command has elsewhere.
            own_folder: what stands for the run folder; None where that is shared.
            environment: variables of the child process.
        """
        if own_folder is not None:
            settings = dataclasses.replace(settings, folder=own_folder)
        self._own_folder = own_folder
        self._start = functools.partial(start_child, settings, relocation)
        self._environment = environment
        self._pool: WorkerPool | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def do_jobs(
        self, jobs: Sequence[PackedJob], uploads: Mapping[str, bytes], timeout: float | None
    ) -> PacketResult:
        """Do jobs one after another; raises WorkerStartError if no child process can start."""
        pool = self._open_pool()
        try:
            self._write_uploads(uploads)
            reason = self._check_data(pool, jobs[0], timeout)
            if reason is not None:
                return PacketResult("", refusal=reason)
            answers: list[JobAnswer] = []
            for part in self._divide(jobs):
                if answers and self._measure_files(uploads) > PACKET_BYTES:
                    break
                results = pool.map(do_packed_job, part, timeout, kind=_get_kind)
                answers += [_make_answer(job, result) for job, result in results]
            return PacketResult("", answers, self._collect_files(uploads))
        finally:
            if self._own_folder is not None:
                shutil.rmtree(self._own_folder, ignore_errors=True)

    @contextlib.contextmanager
    def give_up_unless(self, is_wanted: Callable[[], bool]) -> Iterator[None]:
        """End the child process, whatever it is doing, as soon as the block is not wanted."""
        has_ended = threading.Event()

        def watch() -> None:
            while not has_ended.wait(_WATCH_SECONDS):
                if not is_wanted():
                    with self._lock:
                        if not has_ended.is_set():  # else the pool has other work by now
                            self._close_pool()
                    return

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                has_ended.set()

    def _divide(self, jobs: Sequence[PackedJob]) -> list[Sequence[PackedJob]]:
        """Return the jobs in the parts after which it is looked how much they have written."""
        return [jobs] if self._own_folder is None else [[job] for job in jobs]

    def _check_data(self, pool: WorkerPool, job: PackedJob, timeout: float | None) -> str | None:
        """Return why the picture of a job is not the command's, None if it is."""
        for _, reason in pool.map(check_packed_job, [job], timeout):
            if isinstance(reason, Failure):  # the job itself will fail in the same way
                return None
            return reason
        return None

    def _open_pool(self) -> WorkerPool:
        with self._lock:
            if self._is_closed:
                raise WorkerStartError("the command has ended")
            if self._pool is None:
                self._pool = WorkerPool(self._start, 1, environments=[self._environment])
            return self._pool

    def _write_uploads(self, uploads: Mapping[str, bytes]) -> None:
        if self._own_folder is not None:
            for name, content in uploads.items():
                write_bytes(path_in_run(self._own_folder, name), content)

    def _measure_files(self, uploads: Mapping[str, bytes]) -> int:
        return sum(path.stat().st_size for path in self._list_files(uploads).values())

    def _collect_files(self, uploads: Mapping[str, bytes]) -> dict[str, bytes]:
        return {name: path.read_bytes() for name, path in self._list_files(uploads).items()}

    def _list_files(self, uploads: Mapping[str, bytes]) -> dict[str, Path]:
        """Return name -> path of what the jobs have written, where the run folder is not shared."""
        paths: dict[str, Path] = {}
        if self._own_folder is not None:
            for path in self._own_folder.rglob("*"):
                name = path.relative_to(self._own_folder).as_posix()
                if path.is_file() and name not in uploads:
                    paths[name] = path
        return paths

    def close(self) -> None:
        """End the child process, whatever it is doing, for good."""
        with self._lock:
            self._is_closed = True
            self._close_pool()

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None


def _get_kind(job: PackedJob) -> str:
    return job.kind


def _make_answer(job: PackedJob, result: tuple[float, Any] | Failure) -> JobAnswer:
    if isinstance(result, Failure):
        return JobAnswer(job.number, None, result)
    return JobAnswer(job.number, *result)


_crews: dict[str, _Crew] = {}


# Inside the child process
# --------------------------------------------------------------------------------------------------


def start_child(settings: RunSettings, relocation: _Relocation) -> None:
    """Set this process up for the tasks of one command."""
    global _relocation
    _relocation = relocation
    worker.start_worker(settings)


def do_packed_job(job: PackedJob) -> tuple[float, Any]:
    """Do a job; return the seconds it took, and the result."""
    work, item = pickle.loads(job.content)  # noqa: S301 (from the command)
    start = time.perf_counter()
    result = work(_relocate_item(item))
    return time.perf_counter() - start, result


def check_packed_job(job: PackedJob) -> str | None:
    """Return why the picture of a job is not the command's, None if it is."""
    _, item = pickle.loads(job.content)  # noqa: S301 (from the command)
    if not isinstance(item, Task):
        return None
    return worker.find_wrong_sample(_relocate_item(item))


_relocation: _Relocation | None = None


def _relocate_item(item: Any) -> Any:
    """Return an item with the paths of this worker."""
    assert _relocation is not None, "start_child() was not called in this process"
    if not isinstance(item, Task):
        return item
    method = _relocate_id(item.method, _relocation)
    dataset = _relocate_id(item.dataset, _relocation)
    return dataclasses.replace(item, method=method, dataset=dataset)


def _relocate_id(id_: ResolvedId | None, relocation: _Relocation) -> ResolvedId | None:
    if id_ is None:
        return None
    arguments = {name: _relocate_value(value, relocation) for name, value in id_.arguments.items()}
    return dataclasses.replace(id_, arguments=arguments)


def _relocate_value(value: object, relocation: _Relocation) -> object:
    if isinstance(value, Checkpoint):
        return dataclasses.replace(value, path=relocation.checkpoints[value.path])
    if isinstance(value, Path) and value.is_relative_to(relocation.command_root):
        return relocation.root / value.relative_to(relocation.command_root)
    return value
