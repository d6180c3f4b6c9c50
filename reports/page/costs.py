"""What methods cost, as columns of the page's tables: counted and timed by `cost`.

Seconds of runs are no costs, because runs share the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.reports import cost
from benchmark.reports.paper.cost import find_cost_folder
from benchmark.results import Results
from benchmark.studies.cost.measurement import CostRecord, read_cost_pass

_COUNTED = ("parameters (M)", "MACs (G)")
_TIMED = ("CPU (s)", "GPU (s)")
"""Columns of the cost table that the page shows."""


class CostColumn(NamedTuple):
    """A column of costs: its head, and method -> text."""

    head: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PageCosts:
    """What methods cost.

    Attributes:
        record: the cost pass; None without one.
        columns: of the cost pass, all methods that it has.
        timing: how seconds were measured, and on what.
    """

    record: CostRecord | None = None
    columns: tuple[CostColumn, ...] = ()
    timing: tuple[str, ...] = ()

    def list_columns(self, methods: Sequence[str]) -> tuple[CostColumn, ...]:
        """Return the columns that have something to say about any of the methods, for them."""
        if self.record is None:
            return ()
        counted_ids = self.record.find_counted_ids(methods)
        columns = []
        for head, all_texts in self.columns:
            texts = {
                method: all_texts[counted_id]
                for method, counted_id in counted_ids.items()
                if counted_id in all_texts
            }
            if texts:
                columns.append(CostColumn(head, texts))
        return tuple(columns)

    def explain(self, columns: Sequence[CostColumn]) -> Iterator[str]:
        """Yield what columns are, or how to get some."""
        heads = {column.head for column in columns}
        if self.record is None or not heads:
            yield "No costs of these methods are known; measure them with `cost`, or name --cost."
            return
        if heads & set(_COUNTED):
            yield f"Parameters and MACs: of a picture of {self.record.size}, by `cost`."
        if heads & set(_TIMED):
            yield from self.timing


def read_page_costs(results: Results, folder: Path | None) -> PageCosts:
    """Return what methods cost by a cost pass.

    Args:
        results: the runs; a pass that lies with one is taken.
        folder: of the pass; None for one that is found, or none.

    Raises:
        UsageError, DataError: as `benchmark.studies.cost.measurement.read_cost_pass` does.
    """
    import pandas as pd

    folder = find_cost_folder(results.paths, folder)
    if folder is None:
        return PageCosts()
    record, trials = read_cost_pass(folder)
    table = next(each for each in cost.build_cost_tables(record, trials) if each.name == "cost")
    columns = []
    for head in (*_COUNTED, *_TIMED):
        if head not in table.texts:
            continue
        texts: dict[str, str] = {}
        cells = zip(table.methods, table.numbers[head], table.texts[head], strict=True)
        for method, number, text in cells:
            if pd.notna(number):
                texts.setdefault(method, text)  # that of the first form of a network
        columns.append(CostColumn(head, texts))
    timing = [note for note in table.notes if note.startswith(("Seconds:", "Measured on"))]
    return PageCosts(record, tuple(columns), tuple(timing))
