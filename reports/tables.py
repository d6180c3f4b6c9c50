"""Summaries written down: as tables for people, and as one long table of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import grid
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.summaries import Entry, Row, Summary

if TYPE_CHECKING:
    from rich.table import Table

Format = Literal["markdown", "latex", "csv"]
_ARROWS = {True: "↑", False: "↓"}


def write(summaries: Sequence[Summary], form: grid.Format) -> str:
    """Return summaries as one text in the format asked for; CSV holds the numbers of them all in
    one long table.
    """
    if form == "csv":
        return _csv(summaries)
    return grid.format_grids([table(summary) for summary in summaries], form)


def terminal(summary: Summary) -> Table:
    """Return a summary as a rich table, with a line between noise levels."""
    return grid.grid_to_terminal(table(summary))


def table(summary: Summary) -> Grid:
    """Return a summary as a table: a line per method, grouped by noise level."""
    return Grid(
        caption=f"{summary.dataset}, {summary.protocol}, track {summary.track}",
        columns=(
            TableColumn("noise", label=True),
            TableColumn("method", label=True),
            TableColumn("n"),
            *(TableColumn(heading(card)) for card in summary.measures.values()),
        ),
        groups=tuple(
            tuple(_line(row, summary.measures) for row in rows)
            for _, rows in groupby(summary.rows, key=lambda row: row.level)
        ),
        footnotes=summary.footnotes,
    )


def heading(card: MeasureCard) -> str:
    """Return the title of a measure's column: name, unit, and an arrow to the better end."""
    return f"{card.title}{card.unit_in_brackets} {_ARROWS[card.higher_is_better]}"


def count(entries: Iterable[Entry]) -> str:
    """Return the number of pictures behind the entries of a line."""
    counts = {entry.interval.n for entry in entries if entry.interval}
    return str(counts.pop()) if len(counts) == 1 else ("–" if not counts else "mixed")


def cell(entry: Entry, card: MeasureCard) -> TableCell:
    """Return the mean with its interval and its mark, or why there is none."""
    return TableCell(
        _text(entry, card.digits), "best" if entry.best else "second" if entry.second else None
    )


def _line(row: Row, measures: Mapping[str, MeasureCard]) -> grid.TableLine:
    heads = (TableCell(row.level), TableCell(row.title), TableCell(count(row.entries.values())))
    return (*heads, *(cell(row.entries[key], card) for key, card in measures.items()))


def _text(entry: Entry, digits: int) -> str:
    found = entry.interval
    if found is None:
        return entry.note
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _csv(summaries: Sequence[Summary]) -> str:
    import pandas as pd

    lines = [
        {
            "dataset": summary.dataset,
            "protocol": summary.protocol,
            "track": summary.track,
            "noise": row.level,
            "method": row.method,
            "oracle": row.oracle,
            "learned from": summary.learned_from.get(row.method, ""),
            "measure": key,
            **numbers(entry),
        }
        for summary in summaries
        for row in summary.rows
        for key, entry in row.entries.items()
    ]
    return pd.DataFrame(lines).to_csv(index=False)


def numbers(entry: Entry) -> dict[str, Any]:
    """Return an entry as columns of a table of numbers."""
    found = entry.interval
    return {
        "mean": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "interval": found.kind if found else "",
        "n": found.n if found else 0,
        "best": entry.best,
        "second": entry.second,
        "note": entry.note,
    }
