"""The quality half of a table of the paper: printed and measured numbers side by side, never in one
column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.reports import published, tables
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.layout import Layout, PaperLine, list_lines
from benchmark.reports.published import PrintedNumber
from benchmark.results.summaries import Entry, Row, Summary

_TITLES = {"dpd": "DPD", "rtf": "RTF"}
_MEASURES: dict[str, MeasureCard] = {
    "psnr": MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2),
    "ssim": MeasureCard(metric="ssim", quantity="SSIM", title="SSIM"),
    "lpips": MeasureCard(metric="lpips", quantity="LPIPS", title="LPIPS", higher_is_better=False),
}
_UNMARKED = "Published numbers carry no marks: there are no pictures behind them to test."


@dataclass(frozen=True, slots=True)
class _Level:
    """One line at one noise level: what is printed, and what was measured."""

    sigma: float
    level: Noise
    line: PaperLine
    row: Row | None

    def entry(self, key: str | None) -> Entry:
        """Return what was measured by the measure of this key, or why there is nothing."""
        if self.line.method is None:
            return Entry(None, "not run")
        if key is None:
            return Entry(None, "not in this protocol")
        return Entry(None, "not run at this noise") if self.row is None else self.row.entries[key]


class QualityTable:
    """The quality half of one table."""

    def __init__(self, layout: Layout, summary: Summary | None, lacking: str = "") -> None:
        """Make the table.

        Args:
            layout: which table.
            summary: what was measured, of the methods that stand for its rows and no others; None
                for nothing.
            lacking: why nothing was measured; empty if something was.
        """
        self._layout, self._summary, self._lacking = layout, summary, lacking
        self._rows = {(row.level, row.method): row for row in summary.rows} if summary else {}
        self._keys = {name: _key(name, summary) for name in _MEASURES}
        self._printed: dict[tuple[str, str, float, str], PrintedNumber] = {
            (number.model, number.training, number.noise, number.measure): number
            for number in published.read_printed_numbers()
            if (number.source, number.table) == (published.GKMNET_PAPER, layout.number)
        }

    def grid(self) -> Grid:
        """Return the table for people."""
        groups: dict[Noise, list[tuple[TableCell, ...]]] = {}
        for at in self._levels():
            groups.setdefault(at.level, []).append(self._line(at))
        return Grid(
            self._caption(), self._columns(), tuple(map(tuple, groups.values())), self._footnotes()
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per line and measure."""
        for at in self._levels():
            for name, key in self._keys.items():
                number = self._number(at, name)
                yield {
                    "table": self._layout.number,
                    "half": "quality",
                    "model": at.line.row.model,
                    "training": at.line.row.training,
                    "noise": str(at.level),
                    "measure": key or name,
                    "published": number.value if number else "",
                    "published on": self._layout.dataset if number else "",
                    "published note": number.remark if number else "",
                    "method": at.line.method or "",
                    "learned from": self._summary.learned_from.get(at.line.method or "", "")
                    if self._summary
                    else "",
                    "dataset": self._summary.dataset if self._summary else "",
                    "protocol": self._summary.protocol if self._summary else "",
                    "track": self._summary.track if self._summary else "",
                    **at.entry(key).as_record(),
                }

    def _levels(self) -> Iterator[_Level]:
        measured = dict.fromkeys(level for level, _ in self._rows)
        methods = {method for _, method in self._rows}
        for sigma in self._layout.levels:
            levels = [level for level in measured if level.sigma == sigma] or [Noise(sigma)]
            for level in levels:
                for line in list_lines(self._layout.number, methods):
                    yield _Level(sigma, level, line, self._rows.get((level, line.method or "")))

    def _line(self, at: _Level) -> tuple[TableCell, ...]:
        row = at.line.row
        heads = [
            *([str(at.level)] if self._noisy else []),
            row.model or "–",
            *([row.training or "–"] if self._several_trainings else []),
        ]
        measured_as = TableCell(
            at.row.title if at.row else at.line.method or "–",
            note=self._learned_from(at.line.method),
        )
        entries = {name: at.entry(key) for name, key in self._keys.items()}
        return (
            *map(TableCell, heads),
            measured_as,
            *(_printed(self._number(at, name), at.line) for name in _MEASURES),
            *(tables.format_cell(entry, self._card(name)) for name, entry in entries.items()),
            TableCell(tables.count_pictures(entries.values())),
        )

    def _learned_from(self, method: str | None) -> str:
        source = self._summary.learned_from.get(method or "", "") if self._summary else ""
        return source and f"Weights or constants from {source}."

    def _number(self, at: _Level, measure: str) -> PrintedNumber | None:
        row = at.line.row
        return (
            self._printed.get((row.model, row.training, at.sigma, measure))
            if at.line.first
            else None
        )

    def _columns(self) -> tuple[TableColumn, ...]:
        labels = [
            *(["noise"] if self._noisy else []),
            "model",
            *(["trained on"] if self._several_trainings else []),
            "measured as",
        ]
        printed = f"published, {_TITLES[self._layout.dataset]}"
        measured = f"measured, {self._summary.dataset}" if self._summary else "measured"
        return (
            *(TableColumn(label, label=True) for label in labels),
            *(TableColumn(tables.measure_heading(card), printed) for card in _MEASURES.values()),
            *(
                TableColumn(tables.measure_heading(self._card(name)), measured)
                for name in _MEASURES
            ),
            TableColumn("n", measured),
        )

    def _card(self, name: str) -> MeasureCard:
        key = self._keys[name]
        return (
            _MEASURES[name] if key is None or self._summary is None else self._summary.measures[key]
        )

    @property
    def _noisy(self) -> bool:
        return any(self._layout.levels)

    @property
    def _several_trainings(self) -> bool:
        return any(training == "noise" for _, training, _, _ in self._printed)

    def _caption(self) -> str:
        layout, found = self._layout, self._summary
        own = _TITLES[layout.dataset]
        start = f"Table {layout.number} (quality). {layout.what}"
        if found is None:
            return f"{start}, as printed for {own}; nothing was measured."
        place = (
            ""
            if found.dataset.partition(":")[0] == layout.dataset
            else f", which takes the place of {own}"
        )
        learned = "; ".join(sorted(set(filter(None, found.learned_from.values()))))
        return (
            f"{start}, as printed for {own}, and as measured on {found.dataset}{place} (protocol "
            f"{found.protocol}, "
            f"track {found.track}). Measured methods were trained or tuned on: "
            f"{learned or 'nothing'}."
        )

    def _footnotes(self) -> tuple[str, ...]:
        source = next(
            source
            for source in published.read_published_sources()
            if source.source == published.GKMNET_PAPER
        )
        own = (f"Published: {source.reference}. {source.note}", _UNMARKED)
        return (*own, *(self._summary.footnotes if self._summary else (self._lacking,)))


def _key(name: str, summary: Summary | None) -> str | None:
    """Return the first measure of a protocol that is of this metric: `ssim_u7` for `ssim`."""
    measures = summary.measures if summary else {}
    return next((key for key, card in measures.items() if card.metric == name), None)


def _printed(number: PrintedNumber | None, line: PaperLine) -> TableCell:
    if not line.first:
        return TableCell("″")
    if number is None:
        return TableCell("not printed")
    return TableCell(number.value or "illegible", note=number.remark)
