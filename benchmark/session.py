"""One command's work on one run folder: what is missing, doing it, and telling what became
of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import console, runner
from benchmark.api import UsageError
from benchmark.cells import Cell, Outcome, Task
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from benchmark.worker import Settings


class Session:
    """Use as a context manager; the start and the end of the command are recorded with its
    provenance.
    """

    def __init__(
        self,
        settings: Settings,
        protocols: Mapping[str, Protocol],
        provenance: Mapping[str, Any],
        *,
        create: bool = True,
    ) -> None:
        """Open (or make, if `create`) the run folder of `settings`; raises UsageError as `Store`
        does.
        """
        self.store = Store(settings.folder, create=create)
        self._settings, self._protocols = settings, protocols
        self._provenance = provenance
        self._number = 0
        self.lost = 0

    def __enter__(self) -> Session:
        return self

    def begin(self) -> None:
        """Record the command; not before everything that it could be refused for was checked."""
        self._number = self.store.start_run(self._provenance)
        protocols = self._protocols.items()
        self.store.put_cards({name: describe_protocol(protocol) for name, protocol in protocols})

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            console.note("stopped; what was finished is kept, and the same command does the rest")
        elif kind is None and self._number:
            self.store.finish_run(self._number)
        self.store.__exit__()

    def put_cards(self, methods: Sequence[PlannedMethod], data: PlannedDataset) -> None:
        """Write the cards of what is run, so that a report needs none of the plug-ins."""
        self.store.put_cards({method.id.label: method.card for method in methods})
        self.store.put_cards({data.id.label: data.dataset.card})

    def missing(self, cells: Sequence[Cell], tracks: Mapping[str, Track]) -> list[Task]:
        """Return what the run still lacks of these cells."""
        tasks = runner.missing(
            cells,
            self.store,
            self._protocols,
            lambda cell, protocol: tracks[protocol.id].id == cell.track,
            keep=self._settings.save,
        )
        self.store.ask(self._number, cells)
        console.note(
            f"{len(cells)} cells, {len(cells) - len(tasks)} already done -> {self.store.folder}"
        )
        return tasks

    def unscored(self) -> list[Task]:
        """Return the stored outputs that the protocols apply to and have not scored; say which are
        not there.

        Raises:
            UsageError: none of the run's outputs went through an input track of a protocol, or none
                was kept.
        """
        done = [(cell, known) for cell, known in self.store.cells() if known.status == "ok"]
        for name, protocol in self._protocols.items():
            tracks = {track.id for track in protocol.tracks}
            mine = [known for cell, known in done if cell.track in tracks]
            if not mine:
                has = ", ".join(sorted({cell.track for cell, _ in done})) or "none"
                raise UsageError(
                    f"protocol {name!r} sees pictures through track "
                    f"{' or '.join(sorted(tracks))}; this run has track "
                    f"{has}. A track changes what methods see, so run them again: run ... "
                    f"--protocol {name}"
                )
            if not any(known.output for known in mine):
                raise UsageError(
                    f"{self.store.folder}: no outputs were kept (--no-save-images), so none can "
                    f"be scored"
                )
        stored = [cell for cell, _ in done]
        tasks = runner.missing(
            stored,
            self.store,
            self._protocols,
            lambda cell, p: cell.track in {track.id for track in p.tracks},
        )
        gone = sum(task.output is None for task in tasks)
        if gone:
            console.note(
                f"{gone} outputs are no longer there and cannot be scored; `run` makes them again"
            )
        self.lost = gone
        return [task for task in tasks if task.output is not None]

    def do(self, tasks: Sequence[Task], *, jobs: int, timeout: float | None, what: str) -> int:
        """Do the tasks with a progress display; return how many did not end well."""
        jobs = runner.count_workers(jobs, len(tasks))
        stream = runner.run(
            tasks,
            self._settings,
            self.store,
            self._number,
            self._protocols,
            jobs=jobs,
            timeout=timeout,
        )
        outcomes = console.track(stream, len(tasks), what)
        return sum(_report_failure(task, outcome) for task, outcome in outcomes)

    def report_cells(self, cells: Sequence[Cell]) -> int:
        """Print how many of the plan's cells are ok, failed and skipped, and why; return how many
        failed.
        """
        keys = {cell.key for cell in cells}
        rows = [row for row in self.store.rows("cells") if row["key"] in keys]
        counts: dict[str, int] = {
            status: sum(row["status"] == status for row in rows)
            for status in ("ok", "failed", "timeout", "skipped")
        }
        console.out.print(
            ", ".join(f"{count} {status}" for status, count in counts.items()), highlight=False
        )
        reasons = [
            (row["status"], row["method"], str(row["reason"]))
            for row in rows
            if row["status"] != "ok"
        ]
        for line in console.tally(reasons):
            console.out.print(f"  {line}", highlight=False, markup=False)
        self._report_failed_scores(keys)
        console.out.print(_paces(rows), highlight=False, markup=False)
        return counts["failed"] + counts["timeout"]

    def _report_failed_scores(self, keys: set[str]) -> None:
        """Print how many scores of these cells failed, and why."""
        failed = [
            row
            for row in self.store.rows("scores")
            if row["cell"] in keys and row["status"] == "failed"
        ]
        if not failed:
            return
        console.out.print(f"{len(failed)} scores failed", highlight=False)
        reasons = [
            ("failed", f"{row['protocol']} {row['measure']}", row["reason"]) for row in failed
        ]
        for line in console.tally(reasons):
            console.out.print(f"  {line}", highlight=False, markup=False)


def _paces(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how long methods took, and that this is no measurement: the cells of a run share the
    machine.
    """
    seconds: dict[str, list[float]] = {}
    for row in rows:
        if row["seconds"] is not None:
            seconds.setdefault(row["method"], []).append(row["seconds"])
    paces = ", ".join(
        f"{method} {statistics.median(found):.2g} s" for method, found in seconds.items()
    )
    return (
        f"median time of a picture inside this run (shared machine, not a measurement): "
        f"{paces or 'none'}"
    )


def _report_failure(task: Task, outcome: Outcome) -> bool:
    """Say at once what went wrong; skips are counted at the end."""
    bad = outcome.status in ("failed", "timeout")
    if bad:
        where = f"{task.cell.method} on {task.cell.sample}, noise {task.cell.noise.sigma:g}"
        console.note(f"{outcome.status}: {where}: {outcome.reason}")
    return bad
