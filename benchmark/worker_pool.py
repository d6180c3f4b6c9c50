"""Worker processes that do items, each by itself: what happens to one harms no other.

Every worker has a pipe of its own and shares no lock, so one that dies at any moment, also while it
reads or writes, costs the others nothing. joblib's loky gives up everything that is queued as soon
as one worker dies (80 of 100 items in our trial), and cannot end an item that takes too long.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal, TypeVar

import psutil

from benchmark.api import BenchmarkError
from benchmark.apply import describe_error
from benchmark.console import outlive_readers
from benchmark.programs import end_private_folders, end_with_parent, list_ending_signals

Item = TypeVar("Item")
Result = TypeVar("Result")
_Answer = tuple[Any, Any]
"""An item, and its result or `Failure`."""

_MARK = "DEFOCUS_BENCH_WORKER"
"""Environment variable that everything a worker starts inherits; it tells its processes."""
_STARTS = 3
"""How often in a row a worker may die before it is ready; any worker that gets ready counts."""
_START_SECONDS = 600.0
_POLL_SECONDS = 1.0
"""How long the death of a worker may go unseen where a child holds its pipes open."""
_PRINTED_CHARACTERS = 100_000
"""What the methods of a worker may print, on each stream: more would fill a terminal, or a disk."""
_QUICK_SECONDS = 0.05
"""A worker whose last job took less is handed the next one beforehand, so that it does not wait for
it. After a slow one it is not: the next may be better off with another worker.
"""
_LARGEST_BEFOREHAND = 4096
"""Bytes of a job that is handed over beforehand: a pipe holds so many until they are read."""
_environment_lock = threading.Lock()


class WorkerStartError(BenchmarkError):
    """Worker processes cannot be started, with the reason; what was finished before is kept."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of an item whose work did not return: it raised, took too long, or its process
    died.
    """

    status: Literal["failed", "timeout"]
    reason: str
    traceback: str | None = None


class WorkerPool:
    """Starts workers when there are items for them; use as a context manager.

    At the end, and when an item takes too long, a worker is ended with all that it has started.
    """

    def __init__(
        self,
        start: Callable[[], None],
        jobs: int,
        *,
        tries: int = 2,
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Prepare for work; no process is started yet.

        Args:
            start: called first in every worker; a function of a module, or a partial of one.
            jobs: how many workers there may be at a time (>= 1).
            tries: how often an item is tried whose worker dies.
            environments: one for each worker there may be: variables that no other worker has, for
                example the GPU it uses.
        """
        self._start = start
        self._jobs = jobs
        self._tries = tries
        self._is_closed = False
        self._free_environments = deque(environments)
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._start_error: WorkerStartError | None = None
        self._next_round = 0.0
        # Before multiprocessing waits for its processes at the exit of the interpreter.
        atexit.register(self.close)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, whatever they are doing; no further ones are started."""
        self._is_closed = True
        atexit.unregister(self.close)
        _end_workers(self._workers)
        self._workers.clear()

    def map(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        timeout: float | None = None,
        kind: Callable[[Item], Hashable] = id,
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """Do some work on each item and yield the results as they come.

        Args:
            work: a function of a module, called with one item.
            items: they and the results travel between processes.
            timeout: seconds an item may take; its worker is ended, also inside a compiled library.
            kind: what may be to blame when a worker dies over an item. All items of its kind are
                then left to the end, so that no others wait for new workers again and again.

        Raises:
            WorkerStartError: `start` raises, workers die before they are ready, or the pool was
                closed meanwhile.
        """
        waiting = _Queue([_Job(work, item, kind(item)) for item in items])
        left = len(waiting)
        self._hand_out(waiting, timeout)
        while left:
            answers = self._collect(waiting, timeout)
            # Before the caller does something with the answers, so that no worker waits for it.
            self._hand_out(waiting, timeout)
            left -= len(answers)
            yield from answers
            if self._start_error is not None:
                raise self._start_error

    def _hand_out(self, waiting: _Queue, timeout: float | None) -> None:
        for worker in self._workers:
            if waiting and worker.is_ready and not worker.jobs:
                job = waiting.take_first()
                worker.take(job, job.pack(), timeout)
        for worker in self._workers:
            if len(waiting) > self._jobs and worker.is_quick and len(worker.jobs) == 1:
                self._hand_out_beforehand(worker, waiting, timeout)
        starting = sum(not worker.is_ready for worker in self._workers)
        vacancies = self._jobs - len(self._workers)
        for _ in range(min(vacancies, len(waiting) - starting)):
            if self._is_closed:
                raise WorkerStartError("the worker processes were ended")
            environment = self._free_environments.popleft() if self._free_environments else {}
            worker = _Worker(self._start, environment)
            self._workers.append(worker)  # first, so that Ctrl-C at this moment leaves no process
            worker.launch()

    @staticmethod
    def _hand_out_beforehand(worker: _Worker, waiting: _Queue, timeout: float | None) -> None:
        job = waiting.take_first()
        content = job.pack()
        if len(content) <= _LARGEST_BEFOREHAND:
            worker.take(job, content, timeout)
        else:
            waiting.give_back([job])

    def _collect(self, waiting: _Queue, timeout: float | None) -> list[_Answer]:
        """Wait until something happens and return the answers that came of it."""
        worker_of_handle: dict[Any, _Worker] = {}
        for worker in self._workers:
            worker_of_handle[worker.connection] = worker
            worker_of_handle[worker.process.sentinel] = worker
        deadline = min(worker.deadline for worker in self._workers)
        seconds = min(_POLL_SECONDS, deadline - time.monotonic())
        handles = wait(list(worker_of_handle), max(0.0, seconds))
        now = time.monotonic()
        workers = {worker_of_handle[handle] for handle in handles}
        workers.update(worker for worker in self._workers if worker.deadline <= now)
        if now >= self._next_round:
            workers.update(self._workers)
            self._next_round = now + _POLL_SECONDS
        answers: list[_Answer] = []
        for worker in workers:
            answers += self._look_at(worker, waiting, timeout)
        return answers

    def _look_at(self, worker: _Worker, waiting: _Queue, timeout: float | None) -> list[_Answer]:
        """See what has become of a worker; return its answer, if there is one."""
        # What a process has sent before its end can be read after it.
        has_ended = worker.process.exitcode is not None
        reply = worker.receive()
        if reply is not None and worker.is_ready:
            return [(worker.finish_job(timeout).item, _unpickle_reply(reply))]
        if reply is not None:
            self._accept_start(worker, reply)
        elif has_ended or worker.is_lost:
            return self._replace_dead(worker, waiting)
        elif worker.deadline <= time.monotonic():
            return self._stop_late(worker, waiting, timeout)
        return []

    def _accept_start(self, worker: _Worker, reply: bytes) -> None:
        failure = _unpickle_reply(reply)
        if isinstance(failure, Failure):
            self._start_error = WorkerStartError(_explain_start(failure.reason))
            return
        worker.is_ready = True
        worker.deadline = math.inf
        self._failed_starts = 0

    def _replace_dead(self, worker: _Worker, waiting: _Queue) -> list[_Answer]:
        job = self._remove(worker, waiting)
        if not worker.is_ready:
            self._count_failed_start(f"they died ({worker.end})")
        if job is None:
            return []
        job.deaths += 1
        if job.deaths < self._tries:
            waiting.put_back(job)
            return []
        again = ", also when it was tried again" if job.deaths > 1 else ""
        return [(job.item, Failure("failed", f"its worker process died ({worker.end}){again}"))]

    def _stop_late(self, worker: _Worker, waiting: _Queue, timeout: float | None) -> list[_Answer]:
        job = self._remove(worker, waiting)
        if job is None:
            self._count_failed_start(f"they took longer than {_START_SECONDS:g} s")
            return []
        return [(job.item, Failure("timeout", f"took longer than {timeout:g} s"))]

    def _count_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _STARTS * self._jobs:
            self._start_error = WorkerStartError(_explain_start(reason))

    def _remove(self, worker: _Worker, waiting: _Queue) -> _Job[Any] | None:
        """End a worker and return what it was doing; what it had beforehand waits again."""
        job = worker.jobs.popleft() if worker.jobs else None
        waiting.give_back(worker.jobs)
        if self._is_closed:
            return job  # which has ended them all
        self._workers.remove(worker)
        _end_workers([worker])
        if worker.environment:
            self._free_environments.append(worker.environment)
        return job


def _explain_start(reason: str) -> str:
    return (
        f"worker processes cannot start: {reason}. What was finished before is kept; when this is "
        "mended, the same command does the rest"
    )


def _unpickle_reply(reply: bytes) -> Any | Failure:
    try:
        return pickle.loads(reply)  # noqa: S301 (from a process of ours)
    except Exception as error:  # a result that can be written and not be read
        return _describe_failure(error)


def _describe_failure(error: BaseException) -> Failure:
    text = "".join(traceback.format_exception(error))
    return Failure("failed", describe_error(error), text)


@dataclass(slots=True)
class _Job(Generic[Item]):
    """An item, what is to be done with it, its kind, and how many workers died over it."""

    work: Callable[[Item], Any]
    item: Item
    kind: Hashable
    deaths: int = 0

    def pack(self) -> bytes:
        """Return what a worker is sent."""
        return pickle.dumps((self.work, self.item), pickle.HIGHEST_PROTOCOL)


class _Queue:
    """The jobs that no worker has."""

    def __init__(self, jobs: Iterable[_Job[Any]]) -> None:
        self._jobs = deque(jobs)
        self._last_jobs: deque[_Job[Any]] = deque()
        self._deadly_kinds: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self._jobs) + len(self._last_jobs)

    def take_first(self) -> _Job[Any]:
        """Remove the next job and return it."""
        return self._jobs.popleft() if self._jobs else self._last_jobs.popleft()

    def give_back(self, jobs: Iterable[_Job[Any]]) -> None:
        """Put jobs in front that no worker has begun."""
        for job in reversed(list(jobs)):
            is_deadly = job.kind in self._deadly_kinds
            (self._last_jobs if is_deadly else self._jobs).appendleft(job)

    def put_back(self, job: _Job[Any]) -> None:
        """Put a job at the end that a worker died over, behind all of its kind."""
        if job.kind not in self._deadly_kinds:
            self._deadly_kinds.add(job.kind)
            self._last_jobs.extend(other for other in self._jobs if other.kind == job.kind)
            self._jobs = deque(other for other in self._jobs if other.kind != job.kind)
        self._last_jobs.append(job)


class _Worker:
    """One process and the pipe to it.

    Attributes:
        environment: variables that the process has beside those of this one.
        is_ready: it has said that it can take a job.
        is_lost: its end of the pipe is closed.
        jobs: what it is doing, and behind that what it was handed beforehand.
        is_quick: its last job took little time.
        deadline: when the first job, or its start, has taken too long; a time of `time.monotonic`.
        end: how it ended; empty before.
    """

    def __init__(self, start: Callable[[], None], environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.mark = uuid.uuid4().hex
        self.is_ready = False
        self.is_lost = False
        self.is_quick = False
        self.jobs: deque[_Job[Any]] = deque()
        self.deadline = time.monotonic() + _START_SECONDS
        self._begin = math.nan
        self.end = ""
        # fork is unsafe once a library has started threads
        context = multiprocessing.get_context("spawn")
        self.connection, self._worker_end = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(self._worker_end, start))

    def launch(self) -> None:
        """Start the process."""
        with (
            _defer_signals(),
            _prepare_environment({**self.environment, _MARK: self.mark}),
            _allow_children(),
        ):
            self.process.start()
            self._worker_end.close()

    def take(self, job: _Job[Any], content: bytes, timeout: float | None) -> None:
        """Hand a job, packed, to the process. That it has died meanwhile is seen later."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(content)
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._start_clock(timeout)

    def finish_job(self, timeout: float | None) -> _Job[Any]:
        """Return the first job, which is answered, and be free for another."""
        job = self.jobs.popleft()
        self.is_quick = time.monotonic() - self._begin < _QUICK_SECONDS
        self._start_clock(timeout)
        return job

    def _start_clock(self, timeout: float | None) -> None:
        """Note that the first job begins, if there is one."""
        self._begin = time.monotonic()
        self.deadline = self._begin + timeout if self.jobs and timeout is not None else math.inf

    def receive(self) -> bytes | None:
        """Return what the process has sent, None where there is nothing."""
        try:
            if self.connection.poll():
                return self.connection.recv_bytes()
        except (EOFError, OSError):
            self.is_lost = True
            self.process.join(_POLL_SECONDS)  # its exit status comes a little later
        return None


@contextlib.contextmanager
def _defer_signals() -> Iterator[None]:
    """Let this process take the signals that end it only after what is done meanwhile.

    Python runs handlers in the main thread whichever thread a signal has reached, so blocking them
    there is not enough. One in the middle of `Process.start` would leave a process that nobody
    knows of, and that prints a traceback as what it should do never comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    handlers = {}
    for number in list_ending_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = signal.signal(number, lambda number, _: pending.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for pending_number in pending:
            signal.raise_signal(pending_number)


@contextlib.contextmanager
def _prepare_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let a process that is started meanwhile have some variables, and be deaf to Ctrl-C from the
    start.

    Ctrl-C reaches all processes of a terminal; the one that the user started ends the others.
    """
    resource_tracker.ensure_running()  # or the first worker starts it, and it bears the mark
    with _environment_lock:
        variables_before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        signals_before = _block_interrupts()
        try:
            yield
        finally:
            for name, value in variables_before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            if signals_before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals_before)


@contextlib.contextmanager
def _allow_children() -> Iterator[None]:
    """Let this process start others also where it is a daemon, as a worker of Dask is: those that
    are started here end with it by themselves.
    """
    facts: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    was_daemon = facts.pop("daemon", None)
    try:
        yield
    finally:
        if was_daemon is not None:
            facts["daemon"] = was_daemon


def _block_interrupts() -> set[int] | None:
    """Keep SIGINT waiting in this thread; return the signals that were blocked before, None where
    the system has no such thing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]))


# Ending workers
# --------------------------------------------------------------------------------------------------


def _end_workers(workers: Sequence[_Worker]) -> None:
    """End processes with all that they have started, and note how each of them ended."""
    workers = [worker for worker in workers if worker.process.pid is not None]
    leftovers = _list_children(workers)
    for worker in workers:
        worker.end = _describe_end(worker.process.exitcode)
        worker.process.kill()
    for worker in workers:
        worker.process.join(_POLL_SECONDS)
        worker.connection.close()
    marks = {worker.mark for worker in workers}
    # Whoever supervises a program ends it and removes its folder as soon as the worker is gone.
    steps = (
        (0.2, psutil.Process.terminate),
        (2.0, psutil.Process.kill),
        (2.0, psutil.Process.kill),
    )
    for patience, end in steps:
        leftovers = {process for process in leftovers | _find_marked(marks) if _is_alive(process)}
        if not leftovers:
            return
        _, leftover_list = psutil.wait_procs(leftovers, patience)
        for process in leftover_list:
            with contextlib.suppress(psutil.Error):
                end(process)


def _describe_end(exit_code: int | None) -> str:
    if exit_code is None:
        return "it closed its pipe"
    if exit_code >= 0:
        return f"exit status {exit_code}"
    cause = ", often for want of memory" if exit_code == -9 else ""
    return f"signal {-exit_code}{cause}"


def _list_children(workers: Sequence[_Worker]) -> set[psutil.Process]:
    processes: set[psutil.Process] = set()
    for worker in workers:
        if worker.process.exitcode is not None:
            continue  # the number may belong to another process by now
        with contextlib.suppress(psutil.Error):
            processes.update(psutil.Process(worker.process.pid).children(recursive=True))
    return processes


def _find_marked(marks: set[str]) -> set[psutil.Process]:
    """Return the other processes that bear one of the marks; some systems show only the user's."""
    processes: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(_MARK) in marks:
                processes.add(process)
    return processes


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


# Inside the process
# --------------------------------------------------------------------------------------------------


def _serve(connection: Connection, start: Callable[[], None]) -> None:
    """Do what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    end_with_parent(_remove_leftovers)
    with outlive_readers(_PRINTED_CHARACTERS):
        _do_jobs(connection, start)


def _do_jobs(connection: Connection, start: Callable[[], None]) -> None:
    own_pid = os.getpid()
    try:
        start()
    except BaseException as error:  # a plug-in may raise anything
        connection.send_bytes(pickle.dumps(_describe_failure(error)))
        return
    connection.send_bytes(pickle.dumps(None))
    with contextlib.suppress(EOFError, OSError):  # the other end is closed: nobody waits any more
        while True:
            reply = _do_job(connection.recv_bytes())
            if os.getpid() != own_pid:
                os._exit(0)  # the work has forked, and this is the copy
            connection.send_bytes(reply)


def _do_job(content: bytes) -> bytes:
    try:
        work, item = pickle.loads(content)  # noqa: S301 (from the process that started this one)
        return pickle.dumps(work(item), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # a plug-in may raise anything; it is the item's failure
        return pickle.dumps(_describe_failure(error))


def _remove_leftovers() -> None:
    """End what this process has started, and remove the folders of programs."""
    for process in _find_marked({os.environ.get(_MARK, "")}):
        with contextlib.suppress(psutil.Error):
            process.terminate()
    end_private_folders()
