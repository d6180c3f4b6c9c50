"""One command's work on one run folder: what is missing, doing it, and telling what became
of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmark import console, runner
from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Task
from benchmark.engines import Engine
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.results.missing_weights import (
    explain_missing_weights,
    find_methods_without_weights,
)
from benchmark.run_lock import hold_run_folder
from benchmark.running_gain import RunningGain
from benchmark.store import CellEnding, Store
from benchmark.stored_cards import describe_protocol
from benchmark.worker import RunSettings


class Session:
    """Use as a context manager; the start and the end of the command are recorded with its
    provenance, under the number that `begin` gives it.
    """

    def __init__(
        self,
        settings: RunSettings,
        protocols: Mapping[str, Protocol],
        provenance: Mapping[str, Any],
        *,
        create: bool = True,
    ) -> None:
        """Open (or make, if `create`) the run folder of `settings`, for this command alone.

        Raises:
            UsageError: as `Store` does, or if another command writes the folder.
            DataError: as `Store` does.
        """
        with contextlib.ExitStack() as resources:
            self.store = resources.enter_context(Store(settings.folder, create=create))
            command = str(provenance.get("command", ""))
            resources.enter_context(hold_run_folder(settings.folder, command))
            self._resources = resources.pop_all()
        self._settings = settings
        self._protocols = protocols
        self._provenance = provenance
        self.number = 0
        self.lost_outputs = 0

    def __enter__(self) -> Session:
        return self

    def begin(self) -> None:
        """Record the command; not before everything that it could be refused for was checked."""
        self.number = self.store.start_run(self._provenance)
        protocols = self._protocols.items()
        self.store.put_cards({name: describe_protocol(protocol) for name, protocol in protocols})

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._resources:
            if kind is KeyboardInterrupt:
                console.print_note(
                    "stopped; what was finished is kept, and the same command does the rest"
                )
            elif kind is None and self.number:
                self.store.finish_run(self.number)

    def put_cards(self, methods: Sequence[PlannedMethod], data: PlannedDataset) -> None:
        """Write the cards of what is run, so that a report needs none of the plug-ins."""
        self.store.put_cards({method.id.label: method.card for method in methods})
        remarks = tuple(data.dataset.remarks)
        card = dataclasses.replace(data.dataset.card, remarks=remarks)
        self.store.put_cards({data.id.label: card})

    def select_missing(self, tasks: Sequence[Task], tracks: Mapping[str, Track]) -> list[Task]:
        """Return what the run still lacks of a plan."""
        missing_tasks = runner.select_missing_tasks(
            tasks,
            self.store,
            self._protocols,
            lambda cell, protocol: tracks[protocol.id].id == cell.track,
            keep=self._settings.save,
        )
        self.store.note_request(self.number, [task.cell for task in tasks])
        finished_count = len(tasks) - len(missing_tasks)
        console.print_note(
            f"{len(tasks)} cells, {finished_count} already done -> {self.store.folder}"
        )
        return missing_tasks

    def select_unscored(self) -> list[Task]:
        """Return the stored outputs that the protocols apply to and have not scored; say which are
        not there, and which protocols apply to none, so that these are left out.

        Raises:
            UsageError: no protocol applies, as none of the run's outputs went through its input
                track, or none was kept.
        """
        outputs_of_cells: dict[Cell, str | None] = {}
        for cell, stored_cell in self.store.cells():
            if stored_cell.status == "ok":
                outputs_of_cells[cell] = stored_cell.output
        self._leave_out_protocols_without_outputs(outputs_of_cells)
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

    def _leave_out_protocols_without_outputs(
        self, outputs_of_cells: Mapping[Cell, str | None]
    ) -> None:
        """Say why protocols can score none of the outputs, and take them out; raise UsageError if
        none can.
        """
        reasons = {}
        for name, protocol in self._protocols.items():
            reason = self._explain_lack_of_outputs(protocol, outputs_of_cells)
            if reason is not None:
                reasons[name] = reason
        if len(reasons) == len(self._protocols):
            raise UsageError("\n".join(dict.fromkeys(reasons.values())))
        for reason in reasons.values():
            console.print_note(f"left out: {reason}")
        self._protocols = {
            name: protocol for name, protocol in self._protocols.items() if name not in reasons
        }

    def _explain_lack_of_outputs(
        self, protocol: Protocol, outputs_of_cells: Mapping[Cell, str | None]
    ) -> str | None:
        """Return why a protocol can score none of the outputs; None if it can score some."""
        tracks = {track.id for track in protocol.tracks}
        outputs = [output for cell, output in outputs_of_cells.items() if cell.track in tracks]
        if not outputs:
            run_tracks = ", ".join(sorted({cell.track for cell in outputs_of_cells})) or "none"
            return (
                f"protocol {protocol.id!r} sees pictures through track "
                f"{' or '.join(sorted(tracks))}; this run has track {run_tracks}. A track changes "
                f"what methods see, so run them again: run ... --protocol {protocol.id}"
            )
        if not any(outputs):
            return (
                f"{self.store.folder}: no outputs were kept (--no-save-images), so none can be "
                "scored"
            )
        return None

    def do_tasks(
        self, tasks: Sequence[Task], *, engine: Engine, timeout: float | None, label: str
    ) -> int:
        """Do the tasks with a progress display; return how many did not end well."""
        if tasks:
            facts = engine.describe_processes(tasks, self._settings)
            self.store.add_facts(self.number, facts)
        stream = runner.run_tasks(
            tasks,
            self._settings,
            self.store,
            self.number,
            self._protocols,
            engine=engine,
            timeout=timeout,
        )
        gains = RunningGain(self._protocols.values(), self.store)
        outcomes = console.track_progress(
            stream, len(tasks), label, describe=lambda pair: gains.describe(pair[0].cell)
        )
        failure_count = 0
        for task, outcome in outcomes:
            gains.add(task.cell, outcome)
            for remark in outcome.remarks:
                console.print_note(f"{task.title}: {remark}")
            failure_count += _report_failure(task, outcome)
        return failure_count

    def report_cells(self, cells: Sequence[Cell]) -> int:
        """Print how many of the plan's cells are ok, failed and skipped, and why; return how many
        cells and scores failed, at least 1 where no cell is ok.
        """
        keys = {cell.key for cell in cells}
        endings = [ending for ending in self.store.cell_endings() if ending.key in keys]
        counts = Counter(ending.status for ending in endings)
        statuses = ("ok", "failed", "timeout", "skipped")
        summary = ", ".join(f"{counts[status]} {status}" for status in statuses)
        console.out.print(summary, highlight=False)
        without_weights = self._find_methods_without_weights(endings)
        if without_weights:
            line = explain_missing_weights(without_weights)
            console.print_line(f"  {line}")
        reasons = [
            (ending.status, ending.method, str(ending.reason))
            for ending in endings
            if ending.status != "ok" and ending.method not in without_weights
        ]
        for line in console.count_reasons(reasons):
            console.print_line(f"  {line}")
        failed_scores = self.report_failed_scores(keys)
        if counts["ok"]:
            console.print_paragraph(_describe_paces(endings))
        failures = counts["failed"] + counts["timeout"] + failed_scores
        if endings and not counts["ok"]:
            console.print_line("Nothing could be measured; the lines above say why.")
            return max(1, failures)
        return failures

    def _find_methods_without_weights(self, endings: Sequence[CellEnding]) -> tuple[str, ...]:
        """Return them where they are several; of one alone the whole reason is printed."""
        cells = ((ending.method, ending.status, ending.weights) for ending in endings)
        methods = find_methods_without_weights(cells, self.store.cards(MethodCard))
        return methods if len(methods) > 1 else ()

    def report_failed_scores(self, keys: Collection[str]) -> int:
        """Print how many scores of the cells with these keys failed under the command's protocols,
        and why; return how many.
        """
        reasons = [
            ("failed", f"{score.protocol} {score.measure}", str(score.reason))
            for score in self.store.failed_scores()
            if score.cell in keys and score.protocol in self._protocols
        ]
        if reasons:
            console.out.print(f"{len(reasons)} scores failed", highlight=False)
        for line in console.count_reasons(reasons):
            console.print_line(f"  {line}")
        return len(reasons)


def _describe_paces(endings: Sequence[CellEnding]) -> str:
    """Say how long methods took, and that this is no measurement: the cells of a run share the
    machine.
    """
    seconds: dict[str, list[float]] = {}
    for ending in endings:
        if ending.seconds is not None:
            seconds.setdefault(ending.method, []).append(ending.seconds)
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
    console.print_note(f"{outcome.status}: {task.title}: {outcome.reason}")
    return True
