"""The engine that does work on the workers of a Dask scheduler, so on any cluster that Dask runs
on.

The command alone writes the run's store. Items of one picture travel together while they are quick,
and one by one when they are slow, so that little is lost with a worker. Only a window of them is on
its way. Workers may come and go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from benchmark import provenance
from benchmark.api import DataError, UsageError
from benchmark.apply import describe_error
from benchmark.cells import Task
from benchmark.engines import Item, Result, WorkItem
from benchmark.engines.dask_admission import (
    Requirements,
    list_parcels,
    make_portable,
    make_probe,
)
from benchmark.engines.dask_roster import Roster
from benchmark.engines.dask_worker import PACKET_BYTES, PackedJob, PacketResult, do_packet
from benchmark.engines.gpus import may_use_gpus
from benchmark.files import write_bytes
from benchmark.registry import digest_plugin
from benchmark.run_layout import path_in_run
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure, WorkerStartError

_PACKET_SECONDS = 5.0
"""How long a packet may take, as far as one can tell; its answers come when it ends."""
_LARGEST_PACKET = 200
_PACKETS_PER_SLOT = 2
"""One that is done, and one that waits beside it."""
_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_TRIES = 2
"""How often an item is tried alone when the workers that had it were lost."""


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """Workers of a Dask scheduler; see `Engine`.

    Attributes:
        scheduler: its address, for example tcp://host:8786, or the file that it wrote with
            `--scheduler-file`.
        allow_mixed: let workers take part that have other versions of the suite or of numerical
            libraries; each result then records them.
    """

    scheduler: str | Path
    allow_mixed: bool = False

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        settings: RunSettings,
        *,
        timeout: float | None = None,
    ) -> Generator[tuple[Item, Result | Failure]]:
        """Do some work on each item; see `Engine`.

        Raises:
            UsageError: no scheduler answers.
            WorkerStartError: the scheduler has ended, or no worker may take part.
        """
        if not items:
            return
        with self._connect() as client:
            settings = _complete_settings(settings)
            dispatch = _Dispatch(client, work, items, settings, timeout, self)
            with contextlib.closing(dispatch):
                yield from dispatch.do_all()

    def describe(self) -> dict[str, object]:
        """Return what the provenance of a command says of it."""
        return {"engine": "dask", "scheduler": str(self.scheduler), "mixed": self.allow_mixed}

    def describe_processes(
        self, items: Sequence[WorkItem], settings: RunSettings
    ) -> dict[str, object]:
        """Return nothing: workers come and go, each with threads of its own."""
        return {}

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Client]:
        location = self._locate_scheduler()
        with _quiet_logging():
            try:
                client = Client(**location, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError, LookupError) as error:
                raise UsageError(
                    f"no Dask scheduler answers at {self.scheduler} ({describe_error(error)}); "
                    "start one with `dask scheduler`, and name the address that it prints"
                ) from error
            try:
                yield client
            finally:
                client.close(timeout=_CONNECT_SECONDS)

    def _locate_scheduler(self) -> dict[str, str]:
        if isinstance(self.scheduler, str):
            return {"address": self.scheduler}
        if not self.scheduler.is_file():
            raise UsageError(
                f"--scheduler-file {self.scheduler}: no such file; `dask scheduler "
                f"--scheduler-file {self.scheduler}` writes it"
            )
        return {"scheduler_file": str(self.scheduler)}


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """Keep Dask from printing what it thinks of lost connections: the errors here say it too."""
    levels = {handler: handler.level for handler in logging.getLogger("distributed").handlers}
    for handler in levels:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


def _complete_settings(settings: RunSettings) -> RunSettings:
    """Return settings that mean the same in another folder and on another machine."""
    trunk = settings.lpips_trunk
    return dataclasses.replace(
        settings,
        folder=settings.folder.absolute(),
        root=settings.root.absolute(),
        plugins=tuple(path.resolve() for path in settings.plugins),
        plugin_digests=tuple(digest_plugin(path) for path in settings.plugins),
        lpips_trunk=None if trunk is None else trunk.absolute(),
        environment=provenance.describe_environment_as_text(),
    )


@dataclass(slots=True)
class _PlannedItem:
    """An item, and what has become of it.

    Attributes:
        number: its place among the items.
        item: as the command has it.
        is_suspect: workers that had it with others were lost, so it travels alone.
        losses: how often workers were lost that had it alone.
    """

    number: int
    item: WorkItem
    is_suspect: bool = False
    losses: int = 0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A packet on its way, and the workers that may take it."""

    jobs: Sequence[_PlannedItem]
    workers: frozenset[str]


class _Dispatch:
    """One command's items, and what has become of them."""

    def __init__(
        self,
        client: Client,
        work: Callable[[Any], Any],
        items: Sequence[WorkItem],
        settings: RunSettings,
        timeout: float | None,
        engine: DaskEngine,
    ) -> None:
        self._client = client
        self._work = work
        self._settings = settings
        self._engine = engine
        self._command = uuid.uuid4().hex
        self._backlog = _Backlog(items)
        self._flights: dict[Future[PacketResult], _Flight] = {}
        self._numbers = itertools.count()
        requirements = Requirements(
            environment=provenance.describe_environment(),
            allow_mixed=engine.allow_mixed,
            parcels=list_parcels(items, settings),
            probe=make_probe(settings.folder),
            uses_gpus=may_use_gpus(settings.device, items),
        )
        self._roster = Roster(client, self._command, requirements, settings, timeout)

    def do_all(self) -> Iterator[tuple[Any, Any]]:
        """Yield the items with their results as they come."""
        while self._backlog or self._flights:
            try:
                self._roster.update()
                self._submit_packets()
                futures = self._wait()
                self._recall_stranded()
            except (OSError, CancelledError) as error:
                raise self._explain_loss() from error
            for future in futures:
                yield from self._collect(future)

    def close(self) -> None:
        """Recall what is on its way and let the workers forget the command."""
        if self._client.status == "running":
            with contextlib.suppress(OSError, CancelledError):
                self._client.cancel(list(self._flights))
                self._roster.dismiss()

    def _explain_loss(self) -> WorkerStartError:
        return WorkerStartError(
            f"the Dask scheduler at {self._engine.scheduler} has ended or cannot be reached. What "
            "was finished is kept; when it runs again, the same command does the rest"
        )

    def _submit_packets(self) -> None:
        workers = self._roster.list_ready()
        while self._backlog and len(self._flights) < _PACKETS_PER_SLOT * self._roster.count_slots():
            jobs = self._backlog.take_packet(self._measure_upload)
            future = self._client.submit(
                do_packet,
                self._command,
                [self._pack(job) for job in jobs],
                self._read_uploads(jobs),
                key=f"defocus-bench-{self._command}-{next(self._numbers)}",
                workers=sorted(workers),
                allow_other_workers=False,
                pure=False,
            )
            self._flights[future] = _Flight(jobs, workers)

    def _pack(self, job: _PlannedItem) -> PackedJob:
        item = make_portable(job.item, self._settings)
        content = pickle.dumps((self._work, item), pickle.HIGHEST_PROTOCOL)
        return PackedJob(job.number, job.item.kind, content)

    def _measure_upload(self, item: WorkItem) -> int:
        """Return how many bytes `_read_uploads` reads for an item."""
        if not isinstance(item, Task) or item.output is None or self._roster.shares_folder():
            return 0
        try:
            return path_in_run(self._settings.folder, item.output).stat().st_size
        except (OSError, DataError):
            return 0

    def _read_uploads(self, jobs: Sequence[_PlannedItem]) -> dict[str, bytes]:
        """Return the stored outputs that jobs only score, unless all workers see the run folder. Of
        one that cannot be read, its job says so.
        """
        if self._roster.shares_folder():
            return {}
        tasks = [job.item for job in jobs if isinstance(job.item, Task)]
        contents: dict[str, bytes] = {}
        for output in filter(None, (task.output for task in tasks)):
            with contextlib.suppress(OSError, DataError):
                contents[output] = path_in_run(self._settings.folder, output).read_bytes()
        return contents

    def _wait(self) -> list[Future[PacketResult]]:
        """Return the packets that have ended, at the latest after a while."""
        futures: list[Future[Any]] = [*self._flights, *self._roster.list_futures()]
        if not futures:
            time.sleep(_POLL_SECONDS)
            return []
        with self._client.as_current(), contextlib.suppress(TimeoutError):
            wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
        if self._client.status != "running":
            raise CancelledError
        return [future for future in self._flights if future.done()]

    def _recall_stranded(self) -> None:
        """Take back the packets whose workers have all left; others may have come."""
        ready_workers = self._roster.list_ready()
        for future, flight in list(self._flights.items()):
            if not future.done() and not flight.workers & ready_workers:
                del self._flights[future]
                future.cancel()
                self._backlog.put_back(flight.jobs)

    def _collect(self, future: Future[PacketResult]) -> Iterator[tuple[Any, Any]]:
        jobs = self._flights.pop(future).jobs
        if future.status == "error":
            yield from self._count_loss(jobs, future.exception())
        elif future.status != "finished":
            raise self._explain_loss()
        else:
            yield from self._take_result(jobs, future.result())
        future.release()

    def _count_loss(
        self, jobs: Sequence[_PlannedItem], error: BaseException | None
    ) -> Iterator[tuple[Any, Failure]]:
        """Try jobs again, each alone, whose workers were lost again and again."""
        for job in jobs:
            job.is_suspect = True
            job.losses += len(jobs) == 1
            if job.losses < _TRIES:
                self._backlog.put_back([job])
            elif isinstance(error, KilledWorker):
                yield job.item, Failure("failed", "the Dask workers that had it were lost")
            else:
                yield job.item, Failure("failed", describe_error(error or RuntimeError()))

    def _take_result(
        self, jobs: Sequence[_PlannedItem], result: PacketResult
    ) -> Iterator[tuple[Any, Any]]:
        if not result.is_enlisted:
            self._roster.forget(result.worker)
            self._backlog.put_back(jobs)
            return
        if result.refusal is not None:
            self._roster.refuse(result.worker, result.refusal)
            self._backlog.put_back(jobs)
            return
        _write_files(self._settings.folder, result.files)
        item_of_number = {job.number: job.item for job in jobs}
        for answer in result.answers:
            item = item_of_number[answer.number]
            self._backlog.note_seconds(item, answer.seconds)
            yield item, answer.result
        answered_numbers = {answer.number for answer in result.answers}
        self._backlog.put_back([job for job in jobs if job.number not in answered_numbers])


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        write_bytes(path_in_run(folder, name), content)


class _Backlog:
    """The items that no worker has, in their order."""

    def __init__(self, items: Sequence[WorkItem]) -> None:
        self._jobs = deque(_PlannedItem(number, item) for number, item in enumerate(items))
        self._seconds: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def take_packet(
        self, measure_upload: Callable[[WorkItem], int] = lambda _: 0
    ) -> list[_PlannedItem]:
        """Remove the first job and return it, with those behind it on the same picture that may be
        done with it in a short time, and need not too much beside it.

        Args:
            measure_upload: returns the bytes that must travel to the worker with an item.
        """
        first = self._jobs.popleft()
        jobs = [first]
        seconds = self._estimate_seconds(first)
        upload_bytes = measure_upload(first.item)
        while self._jobs and len(jobs) < _LARGEST_PACKET:
            job = self._jobs[0]
            seconds += self._estimate_seconds(job)
            upload_bytes += measure_upload(job.item)
            is_same_picture = job.item.picture == first.item.picture
            is_too_much = seconds > _PACKET_SECONDS or upload_bytes > PACKET_BYTES
            if not is_same_picture or is_too_much:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    def _estimate_seconds(self, job: _PlannedItem) -> float:
        """Return how long a job may take; too long for company, if nothing tells."""
        if job.is_suspect:
            return _PACKET_SECONDS
        return self._seconds.get(job.item.kind, _PACKET_SECONDS)

    def note_seconds(self, item: WorkItem, seconds: float | None) -> None:
        """Learn how long the items of a kind take; the last ones count most."""
        if seconds is not None:
            earlier_seconds = self._seconds.get(item.kind, seconds)
            self._seconds[item.kind] = (earlier_seconds + seconds) / 2

    def put_back(self, jobs: Sequence[_PlannedItem]) -> None:
        """Put jobs that were not done in front of all others; behind them, if they were lost."""
        for job in reversed(jobs):
            if job.is_suspect:
                self._jobs.append(job)
            else:
                self._jobs.appendleft(job)
