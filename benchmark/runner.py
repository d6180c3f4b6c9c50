"""Execute a plan: only what is missing, in worker processes, every outcome stored as it comes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmark import worker
from benchmark.cells import Cell, Outcome, StoredCell, Task
from benchmark.engines import Engine
from benchmark.metrics.protocols import Protocol
from benchmark.registry import METRICS, PROTOCOLS, create, create_metric, describe_estimator
from benchmark.source_digest import add_digests
from benchmark.store import Store
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure


def describe_rulers(protocols: Mapping[str, Protocol]) -> dict[tuple[str, str], str]:
    """Return (protocol, measure) -> what its scores depend on beside the pictures."""
    rulers: dict[tuple[str, str], str] = {}
    for name, protocol in protocols.items():
        for measure in protocol.measures:
            metric, metric_id = create(METRICS, measure.metric)
            metric_version = add_digests(type(metric).version, type(metric), metric_id.arguments)
            if metric.card.is_by_blur:
                metric_version += f"+{describe_estimator()}"
            protocol_version = _add_protocol_digest(name, protocol)
            parts = (protocol_version, metric_version, metric.weights_hash() or "-")
            rulers[name, measure.key] = "/".join(parts)
    return rulers


def _add_protocol_digest(name: str, protocol: Protocol) -> str:
    """Return the version of a protocol; of one from outside, with a digest of what it says, and of
    the source of its class if that is its own.
    """
    if PROTOCOLS.is_shipped(name):
        return protocol.version
    rules = repr((protocol.tracks, protocol.measures, sorted(protocol.slices.items())))
    digest = hashlib.sha256(rules.encode()).hexdigest()[:12]
    return add_digests(f"{protocol.version}+{digest}", type(protocol), {})


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
        stored_cell = stored_cells.get(task.cell.key)
        missing_task = _reduce_to_missing(task, names, stored_cell, rulers, store.folder, keep)
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
    protocols: tuple[str, ...],
    stored_cell: StoredCell | None,
    rulers: Mapping[str, Mapping[tuple[str, str], str | None]],
    folder: Path,
    keep: bool,
) -> Task | None:
    """Return what of a task, scored under protocols, is left to do; None if nothing is."""
    if stored_cell is None or stored_cell.status in ("failed", "timeout"):
        return dataclasses.replace(task, protocols=protocols)
    if stored_cell.status == "skipped":
        return None
    output = stored_cell.output
    if output and not (folder / output).is_file():
        output = None
    if keep and not output:
        return dataclasses.replace(task, protocols=protocols)
    names = tuple(name for name in protocols if not _has_scores(stored_cell, rulers[name]))
    if not names:
        return None
    if not output:
        return dataclasses.replace(task, protocols=names)
    digest = stored_cell.output_digest
    return dataclasses.replace(task, protocols=names, output=output, output_digest=digest)


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
    engine: Engine,
    timeout: float | None = None,
) -> Iterator[tuple[Task, Outcome]]:
    """Do the tasks and store each outcome; yield them as they come, for the progress display.

    Args:
        number: the run they belong to.
        engine: where they are done.
        timeout: seconds a cell may take, loading and preparing its method included.
    """
    rulers = describe_rulers(protocols)
    records = RunRecords(store, number)
    stream = engine.map(worker.do_task, tasks, settings, timeout=timeout)
    with contextlib.closing(stream) as results:
        for task, result in results:
            if isinstance(result, Failure):
                outcome = Outcome(result.status, result.reason, result.traceback)
            else:
                outcome = result
            run = records.find_run(outcome.origin)
            if outcome.rescored:
                store.put_scores(run, task.cell.key, outcome.scores, rulers)
            elif task.output is None or outcome.status == "ok":
                store.put(run, task.cell, outcome, rulers, asked_by=number)
            yield task, outcome


class RunRecords:
    """The numbers that results are stored under: of the command, and one for each other environment
    in which it was computed.
    """

    def __init__(self, store: Store, number: int) -> None:
        """Begin with a command's own number."""
        self._store = store
        self._number = number
        self._numbers: dict[str | None, int] = {None: number}

    def find_run(self, origin: str | None) -> int:
        """Return the number for results of an origin (see `Outcome`), recorded if it is new."""
        if origin is not None and origin not in self._numbers:
            commands = {
                row["id"]: json.loads(row["provenance"]) for row in self._store.rows("runs")
            }
            facts = {**commands[self._number], "environment": json.loads(origin)}
            self._numbers[origin] = self._store.start_run(facts)
        return self._numbers[origin]
