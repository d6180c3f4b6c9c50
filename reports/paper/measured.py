"""The measured half of a table of the paper, and the measures that papers print."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.results.summaries import Entry, Row, Summary

PRINTED_MEASURES: dict[str, MeasureCard] = {
    "psnr": MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2),
    "ssim": MeasureCard(metric="ssim", quantity="SSIM", title="SSIM"),
    "lpips": MeasureCard(metric="lpips", quantity="LPIPS", title="LPIPS", higher_is_better=False),
}
UNMARKED = "Published numbers carry no marks: there are no pictures behind them to test."


@dataclass(frozen=True, slots=True)
class MeasuredHalf:
    """What was measured for a table, or why nothing was; a summary that may be missing."""

    summary: Summary | None
    gap_reason: str

    @property
    def dataset(self) -> str:
        return self.summary.dataset if self.summary else ""

    @property
    def protocol(self) -> str:
        return self.summary.protocol if self.summary else ""

    @property
    def track(self) -> str:
        return self.summary.track if self.summary else ""

    @property
    def notes(self) -> tuple[str, ...]:
        return self.summary.footnotes if self.summary else (self.gap_reason,)

    def entry(self, method: str | None, row: Row | None, key: str | None) -> Entry:
        """Return what was measured by the measure of this key, or why nothing was.

        Args:
            method: id of the method; None where none of the runs stands there.
            row: its row in the summary, if it has one.
            key: of the measure; None where the protocol has none of that metric.
        """
        if method is None:
            return Entry(None, "not run")
        if self.summary is not None and method in self.summary.without_weights:
            return Entry(None, "no weights")
        if key is None:
            return Entry(None, "not in this protocol")
        if row is None:
            return Entry(None, "not run at this noise")
        return row.entries[key]

    def learned_from(self, method: str) -> str:
        """Return what a method learned from; empty for nothing."""
        return self.summary.learned_from.get(method, "") if self.summary else ""

    def rows(self) -> dict[tuple[Noise, str], Row]:
        """Return (level, method) -> row."""
        rows = self.summary.rows if self.summary else ()
        return {(row.level, row.method): row for row in rows}

    def first_level_rows(self) -> list[Row]:
        """Return the rows that a table shows at the first noise level."""
        rows = self.summary.table_rows if self.summary else ()
        return [row for row in rows if row.level == rows[0].level]

    def first_measure(self, metric: str) -> str | None:
        """Return the first measure of a metric: `ssim_u7` for `ssim`; None for none."""
        measures = self.summary.measures if self.summary else {}
        return next((key for key, card in measures.items() if card.metric == metric), None)

    def card(self, metric: str) -> MeasureCard:
        """Return the card of that measure; else that of what is printed."""
        key = self.first_measure(metric)
        if key is None or self.summary is None:
            return PRINTED_MEASURES[metric]
        return self.summary.measures[key]
