"""Execute a plan: only what is missing, in worker processes, every outcome stored as it comes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmark import worker
from benchmark.cells import Cell, Outcome, StoredCell, Task
from benchmark.metrics.protocols import Protocol
from benchmark.registry import PROTOCOLS, create_metric, digest_plugin
from benchmark.source_digest import digest_source
from benchmark.store import Store
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure, WorkerPool

_MAX_DEFAULT_JOBS = 4
Result = TypeVar("Result")


def describe_rulers(protocols: Mapping[str, Protocol]) -> dict[tuple[str, str], str]:
    """Return (protocol, measure) -> what its scores depend on beside the pictures."""
    rulers: dict[tuple[str, str], str] = {}
    for name, protocol in protocols.items():
        for measure in protocol.measures:
            metric = create_metric(measure.metric)
            metric_version = _add_digest(type(metric).version, digest_source(type(metric)))
            protocol_version = _add_digest(protocol.version, _digest_protocol(name, protocol))
            parts = (protocol_version, metric_version, metric.weights_hash() or "-")
            rulers[name, measure.key] = "/".join(parts)
    return rulers


def _add_digest(version: str, digest: str | None) -> str:
    return version if digest is None else f"{version}+{digest}"


def _digest_protocol(name: str, protocol: Protocol) -> str | None:
    """Return a digest of what a protocol from outside says, None for what ships."""
    if PROTOCOLS.is_shipped(name):
        return None
    rules = repr((protocol.tracks, protocol.measures, sorted(protocol.slices.items())))
    return hashlib.sha256(rules.encode()).hexdigest()[:12]


def select_missing_tasks(
    tasks: Iterable[Task],
    store: Store,
    protocols: Mapping[str, Protocol],
    applies: Callable[[Cell, Protocol], bool],
    *,
    keep: bool = False,
) -> list[Task]:
    """Return what a store still lacks of a plan: unfinished and failed cells, and scores not there
    yet.

    Args:
        tasks: all of the plan.
        applies: whether a cell is to be scored under a protocol (it must have its input track).
        keep: outputs are asked for too, so a cell whose output was not kept is done again.
    """
    stored_cells = store.stored_cells()
    rulers = {name: _list_required_rulers(protocol) for name, protocol in protocols.items()}
    missing_tasks: list[Task] = []
    for task in tasks:
        names = tuple(p.id for p in protocols.values() if applies(task.cell, p))
        task = dataclasses.replace(task, protocols=names)
        stored_cell = stored_cells.get(task.cell.key)
        missing_task = _reduce_to_missing(task, stored_cell, rulers, store.folder, keep)
        if missing_task is not None:
            missing_tasks.append(missing_task)
    return missing_tasks


def _list_required_rulers(protocol: Protocol) -> dict[tuple[str, str], str | None]:
    """Return (protocol, measure) -> the ruler its score must have, None where any will do.

    A metric that is not available here cannot be measured again, so what was scored elsewhere
    stays.
    """
    rulers: dict[tuple[str, str], str | None] = {}
    rulers.update(describe_rulers({protocol.id: protocol}))
    for measure in protocol.measures:
        if create_metric(measure.metric).unavailable() is not None:
            rulers[protocol.id, measure.key] = None
    return rulers


def _reduce_to_missing(
    task: Task,
    stored_cell: StoredCell | None,
    rulers: Mapping[str, Mapping[tuple[str, str], str | None]],
    folder: Path,
    keep: bool,
) -> Task | None:
    """Return what of a task is left to do, None if nothing is."""
    if stored_cell is None or stored_cell.status in ("failed", "timeout"):
        return task
    if stored_cell.status == "skipped":
        return None
    output = stored_cell.output
    if output and not (folder / output).is_file():
        output = None
    if keep and not output:
        return task
    names = tuple(name for name in task.protocols if not _has_scores(stored_cell, rulers[name]))
    if not names:
        return None
    return dataclasses.replace(task, protocols=names, output=output or None)


def _has_scores(stored_cell: StoredCell, rulers: Mapping[tuple[str, str], str | None]) -> bool:
    return all(_has_score(stored_cell, key, ruler) for key, ruler in rulers.items())


def _has_score(stored_cell: StoredCell, key: tuple[str, str], ruler: str | None) -> bool:
    if key not in stored_cell.scores:
        return False
    stored_ruler, status = stored_cell.scores[key]
    return ruler is None or (stored_ruler == ruler and status != "unavailable")


def run_tasks(
    tasks: Sequence[Task],
    settings: RunSettings,
    store: Store,
    number: int,
    protocols: Mapping[str, Protocol],
    *,
    jobs: int = 1,
    timeout: float | None = None,
) -> Iterator[tuple[Task, Outcome]]:
    """Do the tasks and store each outcome; yield them as they come, for the progress display.

    Args:
        number: the run they belong to.
        jobs: worker processes. The cores are shared out among them.
        timeout: seconds a cell may take, loading and preparing its method included.
    """
    rulers = describe_rulers(protocols)
    stream = map_in_processes(worker.do_task, tasks, settings, jobs=jobs, timeout=timeout)
    with contextlib.closing(stream) as results:
        for task, result in results:
            if isinstance(result, Failure):
                outcome = Outcome(result.status, result.reason, result.traceback)
            else:
                outcome = result
            if task.output is None:
                store.put(number, task.cell, outcome, rulers)
            elif outcome.status == "ok":
                store.put_scores(number, task.cell.key, outcome.scores, rulers)
            yield task, outcome


def map_in_processes(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    settings: RunSettings,
    *,
    jobs: int,
    timeout: float | None = None,
) -> Generator[tuple[Task, Result | Failure]]:
    """Do some work on each task in worker processes and yield the results as they come.

    A task whose worker dies is tried once more, after those of other methods.

    Args:
        work: a function of a module, called with one task.
        tasks: they and the results travel between processes.
        settings: every worker is started with them.
        jobs: worker processes. The cores are shared out among them.
        timeout: seconds a task may take; its worker is ended, also inside a compiled library.

    Raises:
        WorkerStartError: workers cannot start, for example as a plug-in fails there.
    """
    settings = dataclasses.replace(
        settings,
        threads=max(1, count_cores() // jobs),
        plugin_digests=tuple(digest_plugin(path) for path in settings.plugins),
    )
    with WorkerPool(functools.partial(worker.start_worker, settings), jobs) as pool:
        yield from pool.map(work, tasks, timeout, kind=lambda task: task.cell.method)


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
