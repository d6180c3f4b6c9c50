"""One command's work on one run folder: what is missing, doing it, and telling what became
of it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import console, runner
from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Task
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.results.missing_weights import (
    explain_missing_weights,
    find_methods_without_weights,
)
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from benchmark.worker import RunSettings


class Session:
    """Use as a context manager; the start and the end of the command are recorded with its
    provenance.
    """

    def __init__(
        self,
        settings: RunSettings,
        protocols: Mapping[str, Protocol],
        provenance: Mapping[str, Any],
        *,
        create: bool = True,
    ) -> None:
        """Open (or make, if `create`) the run folder of `settings`; raises UsageError as `Store`
        does.
        """
        self.store = Store(settings.folder, create=create)
        self._settings = settings
        self._protocols = protocols
        self._provenance = provenance
        self._number = 0
        self.lost_outputs = 0

    def __enter__(self) -> Session:
        return self

    def begin(self) -> None:
        """Record the command; not before everything that it could be refused for was checked."""
        self._number = self.store.start_run(self._provenance)
        protocols = self._protocols.items()
        self.store.put_cards({name: describe_protocol(protocol) for name, protocol in protocols})

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            console.print_note(
                "stopped; what was finished is kept, and the same command does the rest"
            )
        elif kind is None and self._number:
            self.store.finish_run(self._number)
        self.store.__exit__()

    def put_cards(self, methods: Sequence[PlannedMethod], data: PlannedDataset) -> None:
        """Write the cards of what is run, so that a report needs none of the plug-ins."""
        self.store.put_cards({method.id.label: method.card for method in methods})
        self.store.put_cards({data.id.label: data.dataset.card})

    def select_missing(self, tasks: Sequence[Task], tracks: Mapping[str, Track]) -> list[Task]:
        """Return what the run still lacks of a plan."""
        missing_tasks = runner.select_missing_tasks(
            tasks,
            self.store,
            self._protocols,
            lambda cell, protocol: tracks[protocol.id].id == cell.track,
            keep=self._settings.save,
        )
        self.store.note_request(self._number, [task.cell for task in tasks])
        finished_count = len(tasks) - len(missing_tasks)
        console.print_note(
            f"{len(tasks)} cells, {finished_count} already done -> {self.store.folder}"
        )
        return missing_tasks

    def select_unscored(self) -> list[Task]:
        """Return the stored outputs that the protocols apply to and have not scored; say which are
        not there.

        Raises:
            UsageError: none of the run's outputs went through an input track of a protocol, or none
                was kept.
        """
        outputs_of_cells: dict[Cell, str | None] = {}
        for cell, stored_cell in self.store.cells():
            if stored_cell.status == "ok":
                outputs_of_cells[cell] = stored_cell.output
        for protocol in self._protocols.values():
            self._require_outputs(protocol, outputs_of_cells)
        tasks = runner.select_missing_tasks(
            [Task(cell) for cell in outputs_of_cells],
            self.store,
            self._protocols,
            lambda cell, protocol: cell.track in {track.id for track in protocol.tracks},
        )
        scorable_tasks = [task for task in tasks if task.output is not None]
        self.lost_outputs = len(tasks) - len(scorable_tasks)
        if self.lost_outputs:
            console.print_note(
                f"{self.lost_outputs} outputs are no longer there and cannot be scored; `run` "
                "makes them again"
            )
        return scorable_tasks

    def _require_outputs(
        self, protocol: Protocol, outputs_of_cells: Mapping[Cell, str | None]
    ) -> None:
        """Raise UsageError unless the run kept outputs that the protocol can score."""
        tracks = {track.id for track in protocol.tracks}
        outputs = [output for cell, output in outputs_of_cells.items() if cell.track in tracks]
        if not outputs:
            run_tracks = ", ".join(sorted({cell.track for cell in outputs_of_cells})) or "none"
            raise UsageError(
                f"protocol {protocol.id!r} sees pictures through track "
                f"{' or '.join(sorted(tracks))}; this run has track {run_tracks}. A track changes "
                f"what methods see, so run them again: run ... --protocol {protocol.id}"
            )
        if not any(outputs):
            raise UsageError(
                f"{self.store.folder}: no outputs were kept (--no-save-images), so none can be "
                "scored"
            )

    def do_tasks(
        self, tasks: Sequence[Task], *, jobs: int, timeout: float | None, label: str
    ) -> int:
        """Do the tasks with a progress display; return how many did not end well."""
        jobs = runner.count_workers(jobs, len(tasks))
        stream = runner.run_tasks(
            tasks,
            self._settings,
            self.store,
            self._number,
            self._protocols,
            jobs=jobs,
            timeout=timeout,
        )
        outcomes = console.track_progress(stream, len(tasks), label)
        failure_count = 0
        for task, outcome in outcomes:
            for remark in outcome.remarks:
                console.print_note(f"{_name_cell(task)}: {remark}")
            failure_count += _report_failure(task, outcome)
        return failure_count

    def report_cells(self, cells: Sequence[Cell]) -> int:
        """Print how many of the plan's cells are ok, failed and skipped, and why; return how many
        cells and scores failed.
        """
        keys = {cell.key for cell in cells}
        rows = [row for row in self.store.rows("cells") if row["key"] in keys]
        counts = Counter(row["status"] for row in rows)
        statuses = ("ok", "failed", "timeout", "skipped")
        summary = ", ".join(f"{counts[status]} {status}" for status in statuses)
        console.out.print(summary, highlight=False)
        without_weights = self._find_methods_without_weights(rows)
        if without_weights:
            line = explain_missing_weights(without_weights)
            console.out.print(f"  {line}", highlight=False, markup=False)
        unfinished_rows = [
            row for row in rows if row["status"] != "ok" and row["method"] not in without_weights
        ]
        reasons = [(row["status"], row["method"], str(row["reason"])) for row in unfinished_rows]
        for line in console.count_reasons(reasons):
            console.out.print(f"  {line}", highlight=False, markup=False)
        failed_scores = self.report_failed_scores(cells)
        console.out.print(_describe_paces(rows), highlight=False, markup=False)
        return counts["failed"] + counts["timeout"] + failed_scores

    def _find_methods_without_weights(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return them where they are several; of one alone the whole reason is printed."""
        cells = ((row["method"], row["status"], row["weights"]) for row in rows)
        methods = find_methods_without_weights(cells, self.store.cards(MethodCard))
        return methods if len(methods) > 1 else ()

    def report_failed_scores(self, cells: Sequence[Cell]) -> int:
        """Print how many scores of these cells failed under the command's protocols, and why;
        return how many.
        """
        keys = {cell.key for cell in cells}
        reasons = [
            ("failed", f"{row['protocol']} {row['measure']}", str(row["reason"]))
            for row in self.store.rows("scores")
            if row["status"] == "failed"
            and row["cell"] in keys
            and row["protocol"] in self._protocols
        ]
        if reasons:
            console.out.print(f"{len(reasons)} scores failed", highlight=False)
        for line in console.count_reasons(reasons):
            console.out.print(f"  {line}", highlight=False, markup=False)
        return len(reasons)


def _describe_paces(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how long methods took, and that this is no measurement: the cells of a run share the
    machine.
    """
    seconds: dict[str, list[float]] = {}
    for row in rows:
        if row["seconds"] is not None:
            seconds.setdefault(row["method"], []).append(row["seconds"])
    paces = [f"{method} {statistics.median(times):.2g} s" for method, times in seconds.items()]
    return (
        "median time of a picture inside this run (shared machine, not a measurement): "
        f"{', '.join(paces) or 'none'}"
    )


def _report_failure(task: Task, outcome: Outcome) -> bool:
    """Say at once what went wrong, and return whether anything did; skips are counted at the
    end.
    """
    if outcome.status not in ("failed", "timeout"):
        return False
    console.print_note(f"{outcome.status}: {_name_cell(task)}: {outcome.reason}")
    return True


def _name_cell(task: Task) -> str:
    return f"{task.cell.method} on {task.cell.sample}, noise {task.cell.noise.sigma:g}"
