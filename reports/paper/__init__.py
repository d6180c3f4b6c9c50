"""The tables of the GKMNet paper, made again: printed numbers beside measured ones, from one or
more runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.reports import grid
from benchmark.reports.paper import cost
from benchmark.reports.paper.budgets import find_mixture
from benchmark.reports.paper.claims import build_claims_tables
from benchmark.reports.paper.cost import CostTable
from benchmark.reports.paper.later import build_later_tables
from benchmark.reports.paper.layout import (
    TABLES,
    Layout,
    choose_measured_dataset,
    choose_protocols,
    list_lines,
)
from benchmark.reports.paper.quality import QualityTable
from benchmark.reports.paper.training import build_training_tables
from benchmark.results import Results
from benchmark.results.summaries import Summary

__all__ = [
    "CLAIMS",
    "LATER",
    "TABLES",
    "TRAINING",
    "PaperTable",
    "build_paper_tables",
    "format_paper_tables",
]

CLAIMS = "claims"
"""The name of the table of what the paper claims, measured at an equal budget."""
LATER = "later"
"""The name of the table of what others printed later."""
TRAINING = "training"
"""The name of the table of methods by what they were trained and tested on."""
_FURTHER_TABLES: Mapping[
    str, Callable[[Results, str | None, Sequence[str]], Sequence[PaperTable]]
] = {LATER: build_later_tables, TRAINING: build_training_tables}


class PaperTable(Protocol):
    """A table, or half of one, for people and as numbers."""

    def grid(self) -> grid.Grid:
        """Return the table for people."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers, one dictionary per printed or measured number."""


def build_paper_tables(
    results: Results,
    numbers: Sequence[str],
    *,
    dataset: str | None = None,
    protocols: Sequence[str] = (),
    cost_folder: Path | None = None,
) -> list[PaperTable]:
    """Return tables of the paper, each in one or two halves: quality, and what it costs if the
    paper says that too.

    Args:
        results: the runs.
        numbers: keys of `TABLES`, CLAIMS, LATER or TRAINING.
        dataset: id of the data set that takes the place of the paper's; None for the paper's own,
            or the only one.
        protocols: to measure by; empty for `canonical`, or the first one where the runs were not
            scored under it.
        cost_folder: of a cost pass; None to look for one, see `cost.find_cost_folder`.

    Raises:
        UsageError: no such data set in the runs, a protocol that they were not scored under, no
            cost pass there.
    """
    folder = cost.find_cost_folder(results.paths, cost_folder)
    tables: list[PaperTable] = []
    for number in numbers:
        if number in _FURTHER_TABLES:
            tables += _FURTHER_TABLES[number](results, dataset, protocols)
            continue
        if number == CLAIMS:
            tables += build_claims_tables(results, dataset, protocols, folder)
            continue
        layout = TABLES[number]
        tables += _quality_tables(results, layout, dataset, protocols)
        if layout.costs:
            tables.append(CostTable(layout, folder))
    return tables


def format_paper_tables(tables: Sequence[PaperTable], form: grid.Format) -> str:
    """Return tables as one text; CSV holds the numbers of them all in one long table."""
    if form != "csv":
        return grid.format_grids([table.grid() for table in tables], form)
    import pandas as pd

    records: list[dict[str, Any]] = []
    for table in tables:
        records += table.records()
    # Counts stay whole beside lines that have none.
    return pd.DataFrame(records).convert_dtypes().to_csv(index=False)


def _quality_tables(
    results: Results, layout: Layout, dataset: str | None, protocols: Sequence[str]
) -> Iterator[QualityTable]:
    """Yield the quality half: one per protocol and input track, or one of the printed numbers
    alone.
    """
    dataset_id = choose_measured_dataset(results, layout, dataset)
    own_protocols = choose_protocols(results, protocols)
    lines = list(list_lines(layout.number, results.methods_of(dataset_id)))
    methods = {line.method for line in lines if line.method}
    mixture = find_mixture(results, layout, dataset_id, lines)
    methods -= set(mixture.left_out)
    summaries: list[Summary] = []
    if methods:
        summaries = results.summaries(own_protocols, dataset_id, methods, layout.levels)
    for summary in summaries:
        yield QualityTable(layout, summary, mixture=mixture)
    if not summaries:
        reason = _explain_nothing_measured(
            results, layout, dataset_id, own_protocols, bool(methods)
        )
        yield QualityTable(layout, None, reason, mixture=mixture)


def _explain_nothing_measured(
    results: Results,
    layout: Layout,
    dataset: str | None,
    protocols: Sequence[str],
    has_methods: bool,
) -> str:
    """Return why there is nothing measured to show; `has_methods`: methods of the table were run
    there, but not like this.
    """
    datasets = results.datasets
    if dataset is None and datasets:
        return (
            f"Nothing was measured on {layout.dataset}: the runs hold {', '.join(datasets)}; "
            "--dataset puts one in its place."
        )
    on_dataset = f" on {dataset}" if dataset else ""
    under_protocols = f" under {', '.join(protocols)}" if protocols else ""
    reason = "none of the methods of this table"
    if has_methods:
        levels = ",".join(f"{level:g}" for level in layout.levels)
        reason = f"not at its noise levels; run with --noise {levels}"
    return f"Nothing was measured{on_dataset}{under_protocols}: the runs hold {reason}."
