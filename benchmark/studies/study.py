"""One way to do a study: its items are spread over worker processes, what comes of each is stored
in the run folder at once, and the same command again does only what is missing.

A study says what it measures (`Study`) and on what (`StudyItem`); everything else is here. What is
stored counts for the same item under the same version of the study; what failed is tried again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from benchmark import console, provenance, runner, worker
from benchmark.apply import Skip, one_line
from benchmark.cells import Status, StudyResult, Task
from benchmark.engines import Engine, WorkItem
from benchmark.session import Session
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure

Subject = TypeVar("Subject", bound=WorkItem)


@dataclasses.dataclass(frozen=True, slots=True)
class Study(Generic[Subject]):
    """What is measured.

    Attributes:
        name: under which results are stored.
        version: is raised when the study would give other values for the same item.
        measure: a function of a module, called in a worker with the subject of an item. It returns
            values that JSON can hold, or raises `Skip`.
        label: of the progress display.
    """

    name: str
    version: str
    measure: Callable[[Subject], Mapping[str, Any]]
    label: str


@dataclasses.dataclass(frozen=True, slots=True)
class StudyItem(Generic[Subject]):
    """What a study measures on.

    Attributes:
        study: what is measured.
        identity: texts that differ between any two items whose values may differ.
        facts: what the item is, for tables: column -> value.
        title: what messages call it.
        subject: what `Study.measure` gets.
        skip: why there is nothing to measure, where that is known without a worker.
    """

    study: Study[Subject]
    identity: tuple[str, ...]
    facts: Mapping[str, Any]
    title: str
    subject: Subject
    skip: str | None = None

    @property
    def key(self) -> str:
        """Hex digest of what the item is, and of the study and its version."""
        text = json.dumps([self.study.name, self.study.version, *self.identity])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def make_result(
        self, status: Status, reason: str | None = None, traceback: str | None = None
    ) -> StudyResult:
        """Return what came of the item, without values."""
        return StudyResult(self.key, self.facts, status, reason, traceback)


def make_cell_item(study: Study[Task], task: Task, skip: str | None = None) -> StudyItem[Task]:
    """Return the item of a study that measures on cells."""
    cell = task.cell
    facts = {
        "key": cell.key,
        "dataset": cell.dataset,
        "data": cell.data,
        "sample": cell.sample,
        "noise": cell.noise.sigma,
        "clip": cell.noise.clip,
        "round8": cell.noise.round8,
        "seed": cell.noise.seed,
        "on_views": cell.noise.on_views,
        "track": cell.track,
        "method": cell.method,
        "version": cell.method_version,
        "weights": cell.weights,
    }
    return StudyItem(study, (cell.key,), facts, task.title, task, skip)


def do_study(
    study: Study[Subject],
    items: Sequence[StudyItem[Subject]],
    settings: RunSettings,
    *,
    engine: Engine,
    timeout: float | None = None,
    is_intact: Callable[[StudyResult], bool] = lambda _: True,
) -> list[StudyResult]:
    """Measure what the run folder still lacks, and return a result for each item, in their order.

    Args:
        study: what is measured.
        items: on what; of those with one identity, one is measured for all.
        settings: run folder, data root, plug-ins and device.
        engine: where it is measured.
        timeout: seconds an item may take.
        is_intact: whether what belongs to a stored result (a file, say) is there.

    Raises:
        UsageError, DataError: the run folder cannot be used.
        WorkerStartError: worker processes cannot start.
    """
    facts = {
        "study": f"{study.name} {study.version}",
        "plugins": provenance.hash_files(settings.plugins),
        "device": settings.device,
        **engine.describe(),
    }
    items_of_keys = {item.key: item for item in items if item.skip is None}
    with Session(settings, {}, provenance.collect_provenance(**facts)) as session:
        session.begin()
        results = {
            key: result
            for key, result in session.store.study_results(study.name).items()
            if key in items_of_keys and _is_finished(result, is_intact)
        }
        missing_items = [item for key, item in items_of_keys.items() if key not in results]
        console.print_note(
            f"{study.name}: {len(items_of_keys)} items, {len(results)} already done -> "
            f"{settings.folder}"
        )
        items_of_subjects = {id(item.subject): item for item in missing_items}
        records = runner.RunRecords(session.store, session.number)
        subjects = [item.subject for item in missing_items]
        work = functools.partial(measure_subject, study.measure)
        stream = engine.map(work, subjects, settings, timeout=timeout)
        with contextlib.closing(stream) as outcomes:
            for subject, outcome in console.track_progress(outcomes, len(subjects), study.label):
                item = items_of_subjects[id(subject)]
                result = _read_outcome(item, outcome)
                origin = None if isinstance(outcome, Failure) else outcome.origin
                session.store.put_study_result(records.find_run(origin), study.name, result)
                results[item.key] = result
    return [_find_result(item, results) for item in items]


def _find_result(item: StudyItem[Any], results: Mapping[str, StudyResult]) -> StudyResult:
    """Return the result of an item, under the facts of this command."""
    if item.skip is not None:
        return item.make_result("skipped", item.skip)
    return dataclasses.replace(results[item.key], facts=item.facts)


def _is_finished(result: StudyResult, is_intact: Callable[[StudyResult], bool]) -> bool:
    return result.status in ("ok", "skipped") and is_intact(result)


def _read_outcome(item: StudyItem[Any], outcome: Measurement | Failure) -> StudyResult:
    """Return what came of an item as a result; say at once what went wrong."""
    if isinstance(outcome, Failure):
        console.print_note(f"{outcome.status}: {item.title}: {outcome.reason}")
        return item.make_result(outcome.status, outcome.reason, outcome.traceback)
    if outcome.skip is not None:
        return item.make_result("skipped", outcome.skip)
    return dataclasses.replace(item.make_result("ok"), values=json.loads(outcome.content))


class Measurement(NamedTuple):
    """What comes back from a worker: values as JSON, or why there are none; and from where, if that
    differs from where the command runs (see `Outcome`).
    """

    content: str
    skip: str | None = None
    origin: str | None = None


def measure_subject(
    measure: Callable[[Subject], Mapping[str, Any]], subject: Subject
) -> Measurement:
    """Measure one subject, inside a worker; raises whatever goes wrong.

    Raises:
        TypeError: what was measured is nothing that JSON can hold.
    """
    try:
        values = measure(subject)
    except Skip as skip:
        return Measurement("", one_line(skip.reason), worker.find_origin())
    content = json.dumps(values, default=_to_plain_number)
    return Measurement(content, origin=worker.find_origin())


def _to_plain_number(value: object) -> Any:
    if isinstance(value, np.number | np.bool_):
        return value.item()
    raise TypeError(f"a study measured {type(value).__name__}, which JSON cannot hold")
