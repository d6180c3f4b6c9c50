"""The quality half of a table of the paper: printed and measured numbers side by side, never in one
column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.noise import Noise
from benchmark.reports import published, tables
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.budgets import BudgetMixture
from benchmark.reports.paper.layout import Layout, PaperLine, list_lines
from benchmark.reports.paper.measured import PRINTED_MEASURES, UNMARKED, MeasuredHalf
from benchmark.reports.published import PaperRow, PrintedNumber
from benchmark.results.missing_weights import EmptyRow, find_row_command
from benchmark.results.summaries import Entry, Row, Summary

NO_MIXTURE = BudgetMixture()
_TITLES = {"dpd": "DPD", "rtf": "RTF"}


@dataclass(frozen=True, slots=True)
class _QualityLine:
    """One line at one noise level: what is printed, and what was measured."""

    sigma: float
    level: Noise
    line: PaperLine
    row: Row | None

    @property
    def method(self) -> str:
        """Id of the method of ours that stands in the line; empty for none."""
        return self.line.method or ""


class QualityTable:
    """The quality half of one table."""

    def __init__(
        self,
        layout: Layout,
        summary: Summary | None,
        gap_reason: str = "",
        mixture: BudgetMixture = NO_MIXTURE,
    ) -> None:
        """Make the table.

        Args:
            layout: which table.
            summary: what was measured, of the methods that stand for its rows and no others; None
                for nothing.
            gap_reason: why nothing was measured; empty if something was.
            mixture: what is left out because of its budget.
        """
        self._mixture = mixture
        self._layout = layout
        self._measured = MeasuredHalf(summary, gap_reason)
        self._rows = self._measured.rows()
        self._keys = {name: self._measured.first_measure(name) for name in PRINTED_MEASURES}
        self._printed: dict[tuple[str, str, float, str], PrintedNumber] = {
            (number.model, number.training, number.noise, number.measure): number
            for number in published.read_printed_numbers()
            if (number.source, number.table) == (published.GKMNET_PAPER, layout.number)
        }

    def grid(self) -> Grid:
        """Return the table for people."""
        groups: dict[Noise, list[tuple[TableCell, ...]]] = {}
        for line in self._lines():
            groups.setdefault(line.level, []).append(self._cells(line))
        return Grid(
            self._caption(), self._columns(), tuple(map(tuple, groups.values())), self._footnotes()
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per line and measure."""
        for line in self._lines():
            for name in self._keys:
                yield self._record(line, name)

    def _record(self, line: _QualityLine, name: str) -> dict[str, Any]:
        key = self._keys[name]
        number = self._printed_number(line, name)
        return {
            "table": self._layout.number,
            "half": "quality",
            "model": line.line.row.model,
            "training": line.line.row.training,
            "noise": str(line.level),
            "measure": key or name,
            "published": number.value if number else "",
            "published on": self._layout.dataset if number else "",
            "published note": number.footnote if number else "",
            "method": line.method,
            "learned from": self._measured.learned_from(line.method),
            "dataset": self._measured.dataset,
            "protocol": self._measured.protocol,
            "track": self._measured.track,
            **self._entry(line, key).as_record(),
        }

    def _lines(self) -> Iterator[_QualityLine]:
        measured_levels = dict.fromkeys(level for level, _ in self._rows)
        methods = {method for _, method in self._rows}
        for sigma in self._layout.levels:
            levels = [level for level in measured_levels if level.sigma == sigma]
            for level in levels or [Noise(sigma)]:
                # What mixes budgets is left out of the summary, so its row stays empty.
                for line in list_lines(self._layout.number, methods):
                    row = self._rows.get((level, line.method or ""))
                    yield _QualityLine(sigma, level, line, row)

    def _cells(self, line: _QualityLine) -> tuple[TableCell, ...]:
        paper_row = line.line.row
        heads = []
        if self._is_noisy:
            heads.append(str(line.level))
        heads.append(paper_row.model or "–")
        if self._has_training_column:
            heads.append(paper_row.training or "–")
        title = line.row.title if line.row else line.method or "–"
        source = self._measured.learned_from(line.method)
        note = f"Weights or constants from {source}." if source else ""
        entries = {name: self._entry(line, key) for name, key in self._keys.items()}
        return (
            *map(TableCell, heads),
            TableCell(title, note=note),
            *tables.amount_cells(self._measured.summary, line.method),
            *(self._printed_cell(line, name) for name in PRINTED_MEASURES),
            *(
                tables.format_cell(entry, self._measured.card(name))
                for name, entry in entries.items()
            ),
            TableCell(tables.count_scenes(entries.values())),
        )

    def _entry(self, line: _QualityLine, key: str | None) -> Entry:
        return self._measured.entry(line.line.method, line.row, key)

    def _printed_number(self, line: _QualityLine, measure: str) -> PrintedNumber | None:
        if not line.line.first:
            return None
        row = line.line.row
        return self._printed.get((row.model, row.training, line.sigma, measure))

    def _printed_cell(self, line: _QualityLine, measure: str) -> TableCell:
        if not line.line.first:
            return TableCell("″")
        number = self._printed_number(line, measure)
        if number is None:
            return TableCell("not printed")
        return TableCell(number.value or "illegible", note=number.footnote)

    def _columns(self) -> tuple[TableColumn, ...]:
        labels = ["noise"] if self._is_noisy else []
        labels.append("model")
        if self._has_training_column:
            labels.append("trained on")
        labels.append("measured as")
        paper_group = f"published, {_TITLES[self._layout.dataset]}"
        dataset = self._measured.dataset
        own_group = f"measured, {dataset}" if dataset else "measured"
        printed_heads = [tables.measure_heading(card) for card in PRINTED_MEASURES.values()]
        own_heads = [tables.measure_heading(self._measured.card(name)) for name in PRINTED_MEASURES]
        return (
            *(TableColumn(label, label=True) for label in labels),
            *tables.amount_columns(self._measured.summary),
            *(TableColumn(head, paper_group) for head in printed_heads),
            *(TableColumn(head, own_group) for head in own_heads),
            TableColumn("n", own_group),
        )

    @property
    def _is_noisy(self) -> bool:
        return any(self._layout.levels)

    @property
    def _has_training_column(self) -> bool:
        return any(training == "noise" for _, training, _, _ in self._printed)

    def _caption(self) -> str:
        layout = self._layout
        summary = self._measured.summary
        title = _TITLES[layout.dataset]
        start = f"Table {layout.number} (quality). {layout.what}, as printed for {title}"
        if summary is None:
            return f"{start}; nothing was measured."
        dataset = summary.dataset
        if dataset.partition(":")[0] != layout.dataset:
            dataset += f", which takes the place of {title}"
        sources = sorted(set(filter(None, summary.learned_from.values())))
        return (
            f"{start}, and as measured on {dataset} (protocol {summary.protocol}, track "
            f"{summary.track}). Measured methods were trained or tuned on: "
            f"{'; '.join(sources) or 'nothing'}."
        )

    def _footnotes(self) -> tuple[str, ...]:
        source = next(
            source
            for source in published.read_published_sources()
            if source.source == published.GKMNET_PAPER
        )
        source_note = f"Published: {source.reference}. {source.note}"
        return (
            source_note,
            UNMARKED,
            *self._mixture.explain(),
            *self._explain_empty_rows(),
            *self._measured.notes,
        )

    def _explain_empty_rows(self) -> Iterator[str]:
        """Yield the command that fills each row of the paper in which nothing was measured."""
        if not self._measured.dataset:
            return
        lines_of_row: dict[PaperRow, list[_QualityLine]] = {}
        for line in self._lines():
            lines_of_row.setdefault(line.line.row, []).append(line)
        for row, lines in lines_of_row.items():
            if all(line.row is None or self._has_no_weights(line) for line in lines):
                yield self._explain_empty_row(row)

    def _has_no_weights(self, line: _QualityLine) -> bool:
        summary = self._measured.summary
        return summary is not None and line.method in summary.without_weights

    def _explain_empty_row(self, row: PaperRow) -> str:
        command = find_row_command(
            EmptyRow(
                tuple(row.methods.split()),
                row.means,
                self._measured.dataset,
                self._layout.levels,
                self._mixture.amount,
            )
        )
        model = f"{row.model}+" if row.training == "noise" else row.model
        return f"Row {model} has no measured number: {command or 'nothing here makes its weights.'}"
