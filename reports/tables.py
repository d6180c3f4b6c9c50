"""Summaries written down: as tables for people, and as one long table of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import grid
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.results.summaries import Entry, Row, Summary, summaries_to_frame

if TYPE_CHECKING:
    from rich.table import Table

Format = Literal["markdown", "latex", "csv"]


def format_summaries(summaries: Sequence[Summary], form: grid.Format) -> str:
    """Return summaries as one text in the format asked for; CSV holds the numbers of them all in
    one long table.
    """
    if form == "csv":
        return summaries_to_frame(summaries).to_csv(index=False)
    return grid.format_grids([summary_to_grid(summary) for summary in summaries], form)


def summary_to_terminal(summary: Summary) -> Table:
    """Return a summary as a rich table, with a line between noise levels."""
    return grid.grid_to_terminal(summary_to_grid(summary))


def summary_to_grid(summary: Summary) -> Grid:
    """Return a summary as a table: a line per method, grouped by noise level."""
    return Grid(
        caption=f"{summary.dataset}, {summary.protocol}, track {summary.track}",
        columns=(
            TableColumn("noise", label=True),
            TableColumn("method", label=True),
            *amount_columns(summary),
            TableColumn("n"),
            *(TableColumn(measure_heading(card)) for card in summary.measures.values()),
        ),
        groups=tuple(
            tuple(_summary_line(row, summary) for row in rows)
            for _, rows in groupby(summary.table_rows, key=lambda row: row.level)
        ),
        footnotes=summary.footnotes,
    )


def measure_heading(card: MeasureCard) -> str:
    """Return the title of a measure's column: name, unit, and an arrow to the better end."""
    return f"{card.title}{card.unit_in_brackets} {card.arrow}".rstrip()


def count_scenes(entries: Iterable[Entry]) -> str:
    """Return the number of scenes behind the entries of a line, which is that of pictures where
    every picture shows its own.
    """
    counts = {entry.interval.n for entry in entries if entry.interval}
    if not counts:
        return "–"
    return str(counts.pop()) if len(counts) == 1 else "mixed"


def format_cell(entry: Entry, card: MeasureCard) -> TableCell:
    """Return the mean with its interval and its mark, or why there is none."""
    return TableCell(_format_entry(entry, card.digits), entry.mark)


def amount_columns(summary: Summary | None) -> list[TableColumn]:
    """Return the column that says how much weights were trained on, where that differs."""
    has_column = summary is not None and summary.has_unequal_budgets
    return [TableColumn("trained for", label=True)] if has_column else []


def amount_cells(summary: Summary | None, method: str) -> list[TableCell]:
    """Return the cell of a method in that column."""
    if summary is None or not summary.has_unequal_budgets:
        return []
    return [TableCell(summary.amounts.get(method, "") or "–")]


def _summary_line(row: Row, summary: Summary) -> grid.TableLine:
    heads = (
        TableCell(str(row.level)),
        TableCell(row.title),
        *amount_cells(summary, row.method),
        TableCell(count_scenes(row.entries.values())),
    )
    cells = (format_cell(row.entries[key], card) for key, card in summary.measures.items())
    return (*heads, *cells)


def _format_entry(entry: Entry, digits: int) -> str:
    interval = entry.interval
    if interval is None:
        return entry.note
    mean = f"{interval.mean:.{digits}f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
