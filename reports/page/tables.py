"""Lines of the page's tables, ready to print: texts, what they are sorted by, and where the
intervals lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports.page.cards import PageCard, PageCards
from benchmark.reports.page.galleries import Gallery, SheetLevel
from benchmark.results.summaries import Entry, Row
from benchmark.stats import Interval

FAMILIES = {
    "baseline": "baselines",
    "classical": "classical",
    "learned": "learned",
    "oracle": "given the true blur map",
}
"""What a line's `family` may be, in the order of the tables, with the text for people."""


@dataclass(frozen=True, slots=True)
class PageCell:
    """One entry of a table.

    Attributes:
        text: the mean, or the note why there is none.
        bounds: its interval, or "".
        mean: to sort by; None without one.
        mark: "best", "second" or "", as in the other formats.
        whisker_ends: where lower bound, mean and upper bound lie between the least and the greatest
            of the column, in percent; None without an interval.
    """

    text: str
    bounds: str
    mean: float | None
    mark: str
    whisker_ends: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class PageLine:
    """One line of a table: a method.

    Attributes:
        title: id with marks that the footnotes explain.
        family: one of `FAMILIES`, or "" if the run kept no card.
        card: what there is to say about it, if the run keeps that.
        failure: what became of the pictures that did not end well, or "".
        count: number of scenes that the means are over, or "–".
        figures: one per measure.
    """

    title: str
    family: str
    card: PageCard | None
    failure: str
    count: str
    figures: tuple[PageCell, ...]


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table at one noise level; `number` counts all of the page."""

    number: int
    level: str
    lines: tuple[PageLine, ...]


def build_page_table(
    number: int,
    sheet_level: SheetLevel,
    gallery: Gallery,
    measures: Mapping[str, MeasureCard],
    cards: PageCards,
) -> PageTable:
    """Return a level of a sheet as a table.

    Args:
        number: of the table.
        sheet_level: what to show.
        gallery: its pictures, for what became of those that did not end well.
        measures: measure key -> its card, one column each.
        cards: cards of the methods.
    """
    columns = [
        _build_page_column([row.entries[key] for row in sheet_level.rows], card.digits)
        for key, card in measures.items()
    ]
    lines = []
    for position, row in enumerate(sheet_level.rows):
        card = cards.methods.get(row.method)
        line = PageLine(
            title=row.title,
            family=_family_of_row(row, card),
            card=card,
            failure=_failures_text(gallery, row.method),
            count=_counts_text(row),
            figures=tuple(column[position] for column in columns),
        )
        lines.append(line)
    return PageTable(number, str(sheet_level.level), tuple(lines))


def _family_of_row(row: Row, card: PageCard | None) -> str:
    if row.oracle:
        return "oracle"
    return "" if card is None else card.lines["Family"]


def _failures_text(gallery: Gallery, method: str) -> str:
    reasons = [output.failure for (name, _), output in gallery.outputs.items() if name == method]
    counts = Counter(reason for reason in reasons if reason)
    return "; ".join(
        f"{count} of {len(reasons)} pictures {reason}" for reason, count in counts.items()
    )


def _counts_text(row: Row) -> str:
    counts = sorted({entry.interval.n for entry in row.entries.values() if entry.interval})
    return "/".join(map(str, counts)) or "–"


def _build_page_column(entries: Sequence[Entry], digits: int) -> list[PageCell]:
    ends: list[float] = []
    for entry in entries:
        if entry.interval:
            ends += _interval_ends(entry.interval)
    span = (min(ends), max(ends)) if ends else (0.0, 0.0)
    return [_build_page_cell(entry, digits, span) for entry in entries]


def _build_page_cell(entry: Entry, digits: int, span: tuple[float, float]) -> PageCell:
    interval = entry.interval
    if interval is None:
        return PageCell(entry.note, "", None, "", None)
    bounds = ""
    if interval.low is not None:
        bounds = f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
    return PageCell(
        text=f"{interval.mean:.{digits}f}",
        bounds=bounds,
        mean=interval.mean,
        mark=entry.mark or "",
        whisker_ends=_whisker_positions(interval, span),
    )


def _whisker_positions(
    interval: Interval, span: tuple[float, float]
) -> tuple[float, float, float] | None:
    low, high = span
    if not _interval_ends(interval) or high <= low:
        return None
    first, middle, last = (
        round(100 * (end - low) / (high - low), 1) for end in _interval_ends(interval)
    )
    return first, middle, last


def _interval_ends(interval: Interval) -> tuple[float, float, float] | tuple[()]:
    if interval.low is None or interval.high is None:
        return ()
    return interval.low, interval.mean, interval.high
