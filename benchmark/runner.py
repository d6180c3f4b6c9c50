"""Execute a plan: only what is missing, in worker processes, every outcome stored as it comes.

Cells run in a pool that knows which worker has which cell (pebble), for two things joblib's loky
pool cannot do: a worker that dies (out of memory, killed) costs its own cell and not the pool, and
a time-out ends the worker even inside a compiled library.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Literal, TypeVar

from pebble import ProcessExpired, ProcessPool

from benchmark import worker
from benchmark.apply import describe_error
from benchmark.cells import Cell, Outcome, StoredCell, Task
from benchmark.metrics.protocols import Protocol
from benchmark.registry import create_metric
from benchmark.store import Store
from benchmark.worker import Settings

_MAX_DEFAULT_JOBS = 4
Item = TypeVar("Item")
Result = TypeVar("Result")


def rulers(protocols: Mapping[str, Protocol]) -> dict[tuple[str, str], str]:
    """Return (protocol, measure) -> what its scores depend on beside the pictures."""
    made: dict[tuple[str, str], str] = {}
    for name, protocol in protocols.items():
        for measure in protocol.measures:
            metric = create_metric(measure.metric)
            made[name, measure.key] = "/".join(
                (protocol.version, type(metric).version, metric.weights_hash() or "-")
            )
    return made


def missing(
    cells: Iterable[Cell],
    store: Store,
    protocols: Mapping[str, Protocol],
    applies: Callable[[Cell, Protocol], bool],
    *,
    keep: bool = False,
) -> list[Task]:
    """Return what a store still lacks of a plan: unfinished and failed cells, and scores not there
    yet.

    Args:
        applies: whether a cell is to be scored under a protocol (it must have its input track).
        keep: outputs are wanted too, so a cell whose output was not kept is done again.
    """
    done = store.done()
    wanted = {
        name: _wanted(protocol, rulers({name: protocol})) for name, protocol in protocols.items()
    }
    tasks = (
        _task(
            cell,
            done.get(cell.key),
            [p.id for p in protocols.values() if applies(cell, p)],
            wanted,
            store.folder,
            keep,
        )
        for cell in cells
    )
    return [task for task in tasks if task is not None]


def _wanted(
    protocol: Protocol, known: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], str | None]:
    """Return (protocol, measure) -> the ruler its score must have, None where any will do.

    A metric that is not available here cannot be measured again, so what was scored elsewhere
    stays.
    """
    absent = {m.key for m in protocol.measures if create_metric(m.metric).unavailable() is not None}
    return {key: None if key[1] in absent else ruler for key, ruler in known.items()}


def _task(
    cell: Cell,
    done: StoredCell | None,
    names: list[str],
    wanted: Mapping[str, Mapping[tuple[str, str], str | None]],
    folder: Path,
    keep: bool,
) -> Task | None:
    if done is None or done.status in ("failed", "timeout"):
        return Task(cell, tuple(names))
    if done.status == "skipped":
        return None
    kept = done.output if done.output and (folder / done.output).is_file() else None
    if keep and kept is None:
        return Task(cell, tuple(names))
    lacking = tuple(name for name in names if not _scored(wanted[name], done))
    return Task(cell, lacking, output=kept) if lacking else None


def _scored(wanted: Mapping[tuple[str, str], str | None], done: StoredCell) -> bool:
    return all(_has_score(done, key, ruler) for key, ruler in wanted.items())


def _has_score(done: StoredCell, key: tuple[str, str], ruler: str | None) -> bool:
    if key not in done.scores:
        return False
    stored_ruler, status = done.scores[key]
    return ruler is None or (stored_ruler == ruler and status != "unavailable")


def run(
    tasks: Sequence[Task],
    settings: Settings,
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
    known = rulers(protocols)
    for task, outcome in _execute(tasks, settings, jobs, timeout):
        if task.output is None:
            store.put(number, task.cell, outcome, known)
        elif outcome.status == "ok":
            store.put_scores(number, task.cell.key, outcome.scores, known)
        yield task, outcome


def _execute(
    tasks: Iterable[Task], settings: Settings, jobs: int, timeout: float | None
) -> Iterator[tuple[Task, Outcome]]:
    for task, done in map_in_processes(worker.do_task, tasks, settings, jobs=jobs, timeout=timeout):
        yield (
            task,
            Outcome(done.status, done.reason, done.traceback)
            if isinstance(done, Failure)
            else done,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """What came of an item whose work did not return: it raised, took too long, or its process
    died.
    """

    status: Literal["failed", "timeout"]
    reason: str
    traceback: str | None = None


def map_in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    settings: Settings,
    *,
    jobs: int,
    timeout: float | None = None,
) -> Iterator[tuple[Item, Result | Failure]]:
    """Do some work on each item in worker processes and yield the results as they come.

    Args:
        work: a function of a module, called with one item.
        items: hashable or not; they and the results travel between processes.
        settings: every worker is started with them.
        jobs: worker processes. The cores are shared out among them.
        timeout: seconds an item may take; its worker is ended, also inside a compiled library.
    """
    settings = dataclasses.replace(settings, threads=max(1, count_cores() // jobs))
    context = multiprocessing.get_context(
        "spawn"
    )  # fork is unsafe once a library has started threads
    pool = ProcessPool(
        max_workers=jobs, initializer=worker.start_worker, initargs=[settings], context=context
    )
    try:
        futures: dict[Future[Result], Item] = {
            pool.schedule(call_without_exit, args=[work, item], timeout=timeout): item
            for item in items
        }
        for future in as_completed(futures):
            done = result_of_future(future, timeout)
            yield futures[future], done
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def call_without_exit(work: Callable[[Item], Result], item: Item) -> Result:
    try:
        return work(item)
    except SystemExit as error:  # a plug-in that calls sys.exit must not end the worker
        raise RuntimeError(f"it called sys.exit({error})") from error


def result_of_future(future: Future[Result], timeout: float | None) -> Result | Failure:
    try:
        return future.result()
    except TimeoutError:
        return Failure("timeout", f"took longer than {timeout:g} s")
    except ProcessExpired as error:
        return Failure(
            "failed", f"its worker process died (exit code {error.exitcode}; often: out of memory)"
        )
    except Exception as error:  # raised by the work, or what the pool itself could not do
        return Failure("failed", describe_error(error), "".join(traceback.format_exception(error)))


def count_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_workers(jobs: int, tasks: int) -> int:
    """Return how many worker processes to start: what was asked for, 0 for one per core, four at
    most.
    """
    return min(jobs or min(count_cores(), _MAX_DEFAULT_JOBS), max(1, tasks))
