"""The engine that does everything in processes of this machine."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Generator, Sequence

from benchmark import console, worker
from benchmark.engines import Item, Result, WorkItem
from benchmark.engines.gpus import list_gpu_environments
from benchmark.registry import digest_plugin
from benchmark.results.notes import count_noun
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure, WorkerPool

_MAX_DEFAULT_JOBS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class LocalEngine:
    """Processes of this machine; see `Engine`.

    Attributes:
        jobs: how many; 0 for one per core, four at most, or one per GPU where networks use them.
            The cores are shared out among them.
    """

    jobs: int = 0

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        settings: RunSettings,
        *,
        timeout: float | None = None,
    ) -> Generator[tuple[Item, Result | Failure]]:
        """Do some work on each item; see `Engine`."""
        gpus = list_gpu_environments(settings.device, items)
        jobs = self._count_processes(len(gpus), len(items))
        if jobs < count_workers(self.jobs or len(gpus), len(items)):
            processes = count_noun(jobs, "process", "processes")
            console.print_note(f"{processes}, as networks use GPUs and each takes one alone")
        settings = dataclasses.replace(
            settings,
            threads=count_threads(jobs),
            plugin_digests=tuple(digest_plugin(path) for path in settings.plugins),
        )
        start = functools.partial(worker.start_worker, settings)
        with WorkerPool(start, jobs, environments=gpus[:jobs]) as pool:
            yield from pool.map(work, items, timeout, kind=lambda item: item.kind)

    def describe(self) -> dict[str, object]:
        """Return how many processes were asked for."""
        return {"jobs": self.jobs or "one per core, four at most"}

    def describe_processes(
        self, items: Sequence[WorkItem], settings: RunSettings
    ) -> dict[str, object]:
        """Return how many processes do these items, and how many threads each of them has."""
        gpus = list_gpu_environments(settings.device, items)
        jobs = self._count_processes(len(gpus), len(items))
        return {"workers": jobs, "threads": count_threads(jobs)}

    def _count_processes(self, gpus: int, tasks: int) -> int:
        jobs = count_workers(self.jobs or gpus, tasks)
        return min(jobs, gpus) if gpus else jobs


def count_threads(jobs: int) -> int:
    """Return how many threads each of so many processes may use."""
    return max(1, count_cores() // jobs)


def count_cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_workers(jobs: int, tasks: int) -> int:
    """Return how many worker processes to start: what was asked for, 0 for one per core, four at
    most.
    """
    if not jobs:
        jobs = min(count_cores(), _MAX_DEFAULT_JOBS)
    return min(jobs, max(1, tasks))
