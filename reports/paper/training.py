"""What training data are worth: methods by what they were trained on, and by what they were tested
on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.reports import tables
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.layout import choose_protocols
from benchmark.reports.paper.measured import PRINTED_MEASURES, MeasuredHalf
from benchmark.results import Results, notes
from benchmark.results.summaries import Entry, Row
from benchmark.spec import parse_id

_NOTHING = "nothing"
_NOT_RUN = "not run"


def build_training_tables(
    results: Results, dataset: str | None, protocols: Sequence[str]
) -> list[TrainingTable]:
    """Return the table once per protocol, input track and metric that was measured there.

    Args:
        results: the runs.
        dataset: id of the only data set that is shown; None for all that the runs hold.
        protocols: to measure by; empty for the usual one.

    Raises:
        UsageError: a protocol that the runs were not scored under.
    """
    halves: dict[tuple[str, str], list[_TestedHalf]] = {}
    if results.datasets:
        own_protocols = choose_protocols(results, protocols)
        for summary in results.summaries(own_protocols, dataset, levels=(0,)):
            cards = results.select_dataset(summary.dataset).method_cards()
            sources = {name: notes.training_data(card) for name, card in cards.items()}
            half = _TestedHalf(summary, "", sources)
            halves.setdefault((summary.protocol, summary.track), []).append(half)
    tables_of_metrics = [
        TrainingTable(group, metric) for group in halves.values() for metric in PRINTED_MEASURES
    ]
    return [table for table in tables_of_metrics if table.is_measured] or [
        TrainingTable([], next(iter(PRINTED_MEASURES)))
    ]


@dataclass(frozen=True, slots=True)
class _TestedHalf(MeasuredHalf):
    """What was measured on one data set; `sources`: method -> the data it was trained on."""

    sources: Mapping[str, str]


class TrainingTable:
    """Method x trained on x tested on, by one metric."""

    def __init__(self, halves: Sequence[_TestedHalf], metric: str) -> None:
        """Make the table.

        Args:
            halves: the data sets that methods were tested on, all under one protocol and through
                one track; none for an empty table.
            metric: a key of `PRINTED_MEASURES`.
        """
        self._halves = halves
        self._metric = metric

    @property
    def is_measured(self) -> bool:
        """Whether the protocol measures by the metric, and gave a number for some method."""
        return any(entry.interval for _, _, entry in self._entries())

    def grid(self) -> Grid:
        """Return the table for people: a line per method and training data, a group per network,
        a column per data set.
        """
        return Grid(
            caption=self._caption(),
            columns=self._columns(),
            groups=tuple(map(tuple, self._line_groups().values())),
            footnotes=tuple(self._footnotes()),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per method and data set that it was tested on."""
        for half, row, entry in self._entries():
            yield {
                "table": "training",
                "measure": half.first_measure(self._metric) or self._metric,
                "noise": str(row.level),
                "method": row.method,
                "learned from": half.learned_from(row.method),
                "dataset": half.dataset,
                "protocol": half.protocol,
                "track": half.track,
                **entry.as_record(),
            }

    def _entries(self) -> Iterator[tuple[_TestedHalf, Row, Entry]]:
        """Yield every entry, with the row and the data set that it belongs to."""
        for half in self._halves:
            key = half.first_measure(self._metric)
            for row in half.first_level_rows():
                yield half, row, half.entry(row.method, row, key)

    def _line_groups(self) -> dict[str, list[tuple[TableCell, ...]]]:
        """Return network -> its lines."""
        cells: dict[tuple[str, str], dict[str, TableCell]] = {}
        titles: dict[str, str] = {}
        for half, row, entry in self._entries():
            source = half.sources.get(row.method) or _NOTHING
            amount = half.summary.amounts.get(row.method, "") if half.summary else ""
            line = (row.method, f"{source} ({amount})" if amount else source)
            titles[row.method] = row.title
            cells.setdefault(line, {})[half.dataset] = tables.format_cell(
                entry, half.card(self._metric)
            )
        groups: dict[str, list[tuple[TableCell, ...]]] = {}
        for (method, source), by_dataset in sorted(cells.items()):
            own_cells = [by_dataset.get(half.dataset, TableCell(_NOT_RUN)) for half in self._halves]
            heads = (TableCell(titles[method]), TableCell(source))
            groups.setdefault(parse_id(method).name, []).append((*heads, *own_cells))
        return groups

    def _columns(self) -> tuple[TableColumn, ...]:
        return (
            TableColumn("method", label=True),
            TableColumn("trained on", label=True),
            *(
                TableColumn(tables.measure_heading(half.card(self._metric)), half.dataset)
                for half in self._halves
            ),
        )

    def _caption(self) -> str:
        start = "Methods by what they were trained on and what they were tested on"
        if not self._halves:
            return f"{start}; nothing was measured."
        half = self._halves[0]
        title = half.card(self._metric).title
        return f"{start}: {title} (protocol {half.protocol}, track {half.track})."

    def _footnotes(self) -> Iterator[str]:
        if not self._halves:
            yield "Nothing was measured: the runs hold nothing without noise."
            return
        yield (
            "A column compares methods on the same pictures. Along a line only the rank of a "
            "method can be compared, as other data sets are easier or harder."
        )
        yield from dict.fromkeys(note for half in self._halves for note in half.notes)
