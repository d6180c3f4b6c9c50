"""Lines of the page's tables, ready to print: texts, what they are sorted by, and gains as bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports.page.cards import PageCard, PageCards
from benchmark.reports.page.costs import PageCosts
from benchmark.reports.page.gains import GainBar, MethodGain, place_gain_bar
from benchmark.reports.page.galleries import Gallery, Sheet, SheetLevel
from benchmark.reports.ranked import format_number
from benchmark.results.summaries import Entry, Row

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
        gain: over the input, with its interval, or "".
        order: to sort by, less is better; None without a mean, or where nothing is ranked.
        place: among those that compete under this measure, or "–".
        wins: on how many scenes of how many it is better than the input, or "".
        mark: "best", "second" or "", as in the other formats.
        bar: the gain as a bar, if there is one.
        bar_kind: "gain" or "loss", and "unsure" where the interval holds 0.
    """

    text: str
    bounds: str
    gain: str
    order: int | None
    place: str
    wins: str
    mark: str
    bar: GainBar | None
    bar_kind: str


@dataclass(frozen=True, slots=True)
class PageLine:
    """One line of a table: a method.

    Attributes:
        title: id with marks that the footnotes explain.
        family: one of `FAMILIES`, or "" if the run kept no card.
        trained: how much its weights were trained on, where that differs between methods, or "".
        card: what there is to say about it, if the run keeps that.
        failure: what became of the pictures that did not end well, or "".
        is_measured: whether it has a mean.
        figures: one per measure.
        costs: one per column of costs.
    """

    title: str
    family: str
    trained: str
    card: PageCard | None
    failure: str
    is_measured: bool
    figures: tuple[PageCell, ...]
    costs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table at one noise level; `number` counts all of the page.

    Attributes:
        number: of the table.
        level: noise, as tables print it.
        lines: methods, the best by the first measure first, those without a mean last.
        cost_columns: heads of the columns of costs.
        notes: what holds at this level.
    """

    number: int
    level: str
    lines: tuple[PageLine, ...]
    cost_columns: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def count_unmeasured(self) -> int:
        """The number of methods without a mean."""
        return sum(not line.is_measured for line in self.lines)


def build_page_table(
    number: int,
    sheet: Sheet,
    sheet_level: SheetLevel,
    gallery: Gallery,
    cards: PageCards,
    costs: PageCosts,
) -> PageTable:
    """Return a level of a sheet as a table.

    Args:
        number: of the table.
        sheet: what the level is of.
        sheet_level: what to show.
        gallery: its pictures, for what became of those that did not end well.
        cards: cards of the methods.
        costs: what methods cost.
    """
    measures = sheet.summary.measures
    columns = [_build_page_column(sheet_level, key, card) for key, card in measures.items()]
    methods = [row.method for row in sheet_level.rows]
    cost_columns = costs.list_columns(methods)
    lines = []
    for position, row in enumerate(sheet_level.rows):
        card = cards.methods.get(row.method)
        line = PageLine(
            title=row.title,
            family=_family_of_row(row, card),
            trained=_amount_text(sheet, row.method),
            card=card,
            failure=_failures_text(gallery, row.method),
            is_measured=any(entry.interval for entry in row.entries.values()),
            figures=tuple(column[position] for column in columns),
            costs=tuple(column.texts.get(row.method, "–") for column in cost_columns),
        )
        lines.append(line)
    heads = tuple(column.head for column in cost_columns)
    notes = (*sheet_level.notes, *costs.explain(cost_columns))
    return PageTable(number, str(sheet_level.level), tuple(lines), heads, notes)


def _family_of_row(row: Row, card: PageCard | None) -> str:
    if row.oracle:
        return "oracle"
    return "" if card is None else card.lines["Family"]


def _amount_text(sheet: Sheet, method: str) -> str:
    if not sheet.summary.has_unequal_budgets:
        return ""
    return sheet.summary.amounts.get(method, "")


def _failures_text(gallery: Gallery, method: str) -> str:
    reasons = [output.failure for (name, _), output in gallery.outputs.items() if name == method]
    counts = Counter(reason for reason in reasons if reason)
    return "; ".join(
        f"{count} of {len(reasons)} pictures {reason}" for reason, count in counts.items()
    )


def _build_page_column(sheet_level: SheetLevel, measure: str, card: MeasureCard) -> list[PageCell]:
    column = [sheet_level.gains[row.method, measure] for row in sheet_level.rows]
    return [
        _build_page_cell(row.entries[measure], gain, column, card)
        for row, gain in zip(sheet_level.rows, column, strict=True)
    ]


def _build_page_cell(
    entry: Entry, gain: MethodGain, column: Sequence[MethodGain], card: MeasureCard
) -> PageCell:
    interval = entry.interval
    if interval is None:
        return PageCell(entry.note, "", "", None, "–", "", "", None, "")
    return PageCell(
        text=format_number(interval.mean, card.digits),
        bounds=_bounds_text(interval.low, interval.high, card.digits),
        gain=_gain_text(gain, card.digits),
        order=None if card.warning else gain.order,
        place="–" if gain.place is None else str(gain.place),
        wins=f"{gain.wins}/{gain.scenes}" if gain.scenes else "",
        mark=entry.mark or "",
        bar=place_gain_bar(gain, column),
        bar_kind=_bar_kind(gain),
    )


def _gain_text(gain: MethodGain, digits: int) -> str:
    if gain.mean is None:
        return ""
    mean = format_number(gain.mean, digits, sign=True)
    return f"{mean} {_bounds_text(gain.low, gain.high, digits)}".rstrip()


def _bounds_text(low: float | None, high: float | None, digits: int) -> str:
    if low is None or high is None:
        return ""
    return f"[{format_number(low, digits)}, {format_number(high, digits)}]"


def _bar_kind(gain: MethodGain) -> str:
    if gain.mean is None:
        return ""
    kind = "gain" if gain.mean > 0 else "loss"
    return kind if gain.is_sure else f"{kind} unsure"
