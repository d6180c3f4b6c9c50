"""The tables of the GKMNet paper, made again: printed numbers beside measured ones, from one or
more runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.reports import grid
from benchmark.reports.paper import cost
from benchmark.reports.paper.cost import CostTable
from benchmark.reports.paper.later import LaterTable
from benchmark.reports.paper.layout import TABLES, Layout, lines, measured_on
from benchmark.reports.paper.quality import QualityTable
from benchmark.results import Results, choices

__all__ = ["LATER", "TABLES", "PaperTable", "tables", "write"]

LATER = "later"
"""The name of the table of what others printed later."""


class PaperTable(Protocol):
    """A table, or half of one, for people and as numbers."""

    def grid(self) -> grid.Grid:
        """Return the table for people."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers, one dictionary per printed or measured number."""


def tables(
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
        numbers: keys of `TABLES`, or LATER.
        dataset: id of the data set that takes the place of the paper's; None for the paper's own,
            or the only one.
        protocols: to measure by; empty for `canonical`, or the first one where the runs were not
            scored under it.
        cost_folder: of a cost pass; None to look for one, see `benchmark.reports.paper.cost.find`.

    Raises:
        UsageError: no such data set in the runs, a protocol that they were not scored under, no
            cost pass there.
    """
    costs = cost.find(results.paths, cost_folder)
    made: list[PaperTable] = []
    for number in numbers:
        if number == LATER:
            made.append(LaterTable())
            continue
        made += _qualities(results, TABLES[number], dataset, protocols)
        made += [CostTable(TABLES[number], costs)] if TABLES[number].costs else []
    return made


def write(made: Sequence[PaperTable], form: grid.Format) -> str:
    """Return tables as one text; CSV holds the numbers of them all in one long table."""
    if form != "csv":
        return grid.format_grids([half.grid() for half in made], form)
    import pandas as pd

    frame = pd.DataFrame([record for half in made for record in half.records()])
    return frame.convert_dtypes().to_csv(
        index=False
    )  # counts stay whole beside lines that have none


def _qualities(
    results: Results, layout: Layout, dataset: str | None, protocols: Sequence[str]
) -> Iterator[QualityTable]:
    """Yield the quality half: one per protocol and input track, or one of the printed numbers
    alone.
    """
    place = measured_on(results, layout, dataset)
    chosen = protocols or _usual(results)
    held = results.methods_of(place)
    methods = {line.method for line in lines(layout.number, held) if line.method}
    found = results.summaries(chosen, place, methods, layout.levels) if methods else []
    if found:
        yield from (QualityTable(layout, summary) for summary in found)
    else:
        yield QualityTable(
            layout, None, _lacking(results, layout, place, chosen, some=bool(methods))
        )


def _usual(results: Results) -> list[str]:
    known = list(results.protocols)
    preferred = choices.PREFERRED_PROTOCOL
    return [preferred] if preferred in known else known[:1]


def _lacking(
    results: Results,
    layout: Layout,
    place: str | None,
    protocols: Sequence[str],
    *,
    some: bool,
) -> str:
    """Return why there is nothing measured to show; `some`: methods of the table were run there,
    but not like this.
    """
    held = results.datasets
    if place is None and held:
        others = ", ".join(held)
        return (
            f"Nothing was measured on {layout.dataset}: the runs hold {others}; --dataset puts "
            f"one in its place."
        )
    where = f" on {place}" if place else ""
    under = f" under {', '.join(protocols)}" if protocols else ""
    levels = ",".join(f"{level:g}" for level in layout.levels)
    why = (
        f"not at its noise levels; run with --noise {levels}"
        if some
        else "none of the methods of this table"
    )
    return f"Nothing was measured{where}{under}: the runs hold {why}."
