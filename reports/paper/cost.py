"""The cost half of a table of the paper: printed figures beside what is counted and
measured here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.files import PACKAGE_FOLDER
from benchmark.reports import cost as cost_tables
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.layout import Layout, PaperLine, list_lines
from benchmark.reports.published import GKMNET_PAPER, PaperRow
from benchmark.results.notes import name_suite
from benchmark.studies.cost import measurement, published
from benchmark.studies.cost.measurement import CostRecord, MethodCounts, PictureSize
from benchmark.studies.cost.published import PublishedCost

_PAPER_COLUMNS = {
    "parameters": "parameters (M)",
    "operations": "FLOPs as printed (G)",
    "size": "size (MB)",
    "cpu_seconds": "CPU (s)",
    "gpu_seconds": "GPU (s)",
}
_OWN_COLUMNS: Mapping[str, Sequence[str]] = {
    "parameters": ("parameters (M)",),
    "operations": ("FLOPs (G)", "thop-style (G)"),
    "size": ("weights (MB)",),
    "cpu_seconds": ("CPU (s)",),
    "gpu_seconds": ("GPU (s)",),
}
_SECONDS = ("CPU (s)", "GPU (s)")
_USUAL_FOLDERS = (
    Path("results/cost/1680x1120"),
    PACKAGE_FOLDER / "measured" / "cost",
)
_NOTHING_COUNTED = (
    "Nothing was counted here: there is no cost pass. Run `cost`, and name its folder with --cost."
)
_CONVENTION = (
    "What the paper prints as FLOPs of SRN and most forms of GKMNet is what the tool thop calls "
    "so: MACs without the Gaussian convolutions, with normalisation; the column thop-style is to "
    "be compared with it. No convention gives its figures for DPDNet (see the report of `cost`). "
    "FLOPs here are 2 x MACs of every operation."
)


class _CostLine(NamedTuple):
    """One line: a row of the paper, and a form of a network that stands for it, as
    `benchmark.reports.cost` shows it.

    Attributes:
        row: the row.
        first: whether it is the first line of its row, which has the printed figures.
        name: method and form; empty for none.
        texts, numbers: column -> value.
        further: it is a further form of a network, whose seconds stand in the line of the first.
        gap_reason: why there are no counts where there are none.
    """

    row: PaperRow
    first: bool
    name: str = ""
    texts: Mapping[Hashable, str] = {}
    numbers: Mapping[Hashable, float | None] = {}
    further: bool = False
    gap_reason: str = "no network"


class _CostForm(NamedTuple):
    """A form of a method's network: its row of the cost table, as texts and as numbers."""

    texts: Mapping[Hashable, str]
    numbers: Mapping[Hashable, float | None]


def find_cost_folder(runs: Sequence[Path], folder: Path | None) -> Path | None:
    """Return the folder of a cost pass: the one named; else one that lies with a run; else the
    usual one; else ours; None for none.
    """
    if folder is not None:
        return folder
    for candidate in (*runs, *_USUAL_FOLDERS):
        if (candidate / measurement.RECORD_FILE).is_file():
            return candidate
    return None


class CostTable:
    """The cost half of one table."""

    def __init__(self, layout: Layout, folder: Path | None) -> None:
        """Make the table from the cost pass in a folder; None for none.

        Raises:
            UsageError, DataError: as `benchmark.studies.cost.measurement.read_cost_pass` does.
        """
        self._layout = layout
        self._lines = [_CostLine(line.row, line.first) for line in list_lines(layout.number, ())]
        self._size: PictureSize | None = None
        self._notes: tuple[str, ...] = (_NOTHING_COUNTED,)
        if folder is not None:
            self._lines, self._size, self._notes = _read_costs(layout, folder)
        source = f"{GKMNET_PAPER}, Table {layout.number}"
        self._published = {
            (cost.model, cost.quantity): cost
            for cost in published.read_published_costs()
            if cost.source == source
        }

    def grid(self) -> Grid:
        """Return the table for people."""
        width, height = published.PUBLISHED_SIZE
        paper_group = f"published, {width}x{height}"
        own_group = f"here, {self._size}" if self._size else "here"
        quantities = self._layout.costs
        return Grid(
            caption=f"Table {self._layout.number} (cost). {self._layout.what}: what a picture "
            "costs, as printed and as counted here.",
            columns=(
                TableColumn("model", label=True),
                TableColumn("counted as", label=True),
                *(TableColumn(_PAPER_COLUMNS[quantity], paper_group) for quantity in quantities),
                *(TableColumn(name, own_group) for name in self._own_columns()),
            ),
            groups=(tuple(self._cells(line) for line in self._lines),),
            footnotes=(_CONVENTION, *self._notes),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per line and counted or measured quantity."""
        for line in self._lines:
            for quantity in self._layout.costs:
                for name in _OWN_COLUMNS[quantity]:
                    yield self._record(line, quantity, name)

    def _record(self, line: _CostLine, quantity: str, column: str) -> dict[str, Any]:
        figure = self._published_cost(line, quantity)
        number = line.numbers.get(column)
        return {
            "table": self._layout.number,
            "half": "cost",
            "model": line.row.model,
            "training": line.row.training,
            "measure": column,
            "published": figure.value if figure else "",
            "published note": figure.note if figure else "",
            "method": line.name,
            "mean": number,
            "note": _format_cost(line, column) if number is None else "",
        }

    def _own_columns(self) -> list[str]:
        columns: list[str] = []
        for quantity in self._layout.costs:
            columns += _OWN_COLUMNS[quantity]
        return columns

    def _cells(self, line: _CostLine) -> tuple[TableCell, ...]:
        return (
            TableCell(line.row.model or "–"),
            TableCell(line.name or "–"),
            *(self._published_cell(line, quantity) for quantity in self._layout.costs),
            *(TableCell(_format_cost(line, name)) for name in self._own_columns()),
        )

    def _published_cell(self, line: _CostLine, quantity: str) -> TableCell:
        figure = self._published_cost(line, quantity)
        if figure is None:
            return TableCell("not printed" if line.first else "″")
        return TableCell(figure.value, note=figure.note)

    def _published_cost(self, line: _CostLine, quantity: str) -> PublishedCost | None:
        if not line.first:
            return None
        return self._published.get((line.row.model, quantity))


def _format_cost(line: _CostLine, column: str) -> str:
    """Return a counted or measured value, or why there is none."""
    if not line.name:
        return "not counted"
    text = line.texts.get(column, "–")
    if text != "–":
        return text
    if column in _SECONDS:
        return "″" if line.further else "not timed"
    return line.gap_reason


def _read_costs(
    layout: Layout, folder: Path
) -> tuple[list[_CostLine], PictureSize, tuple[str, ...]]:
    """Return the lines of a table, the size of the picture, and what must be said beside them."""
    record, trials = measurement.read_cost_pass(folder)
    counts = dict(record.counts)
    if record.size == PictureSize(*published.PUBLISHED_SIZE):
        # What was counted to compare it with printed figures is for the size that these are for.
        counts = {**record.references, **counts}
    lines = list(list_lines(layout.number, counts, ignore_weights=True))
    own_record = _narrow_record(record, counts, {line.method for line in lines})
    table = cost_tables.build_cost_tables(own_record, trials)[0]
    forms = _forms_by_method(table)
    cost_lines: list[_CostLine] = []
    for line in lines:
        cost_lines += _lines_of_forms(line, forms.get(line.method or "", []), own_record)
    suite = name_suite(record.provenance["suite"], record.provenance.get("git"))
    return cost_lines, record.size, (f"Counted by {suite}.", *table.notes)


def _narrow_record(
    record: CostRecord, counts: Mapping[str, MethodCounts], methods: Collection[str | None]
) -> CostRecord:
    """Return a record of some methods, with these counts, and without published figures."""
    return dataclasses.replace(
        record,
        counts={method: count for method, count in counts.items() if method in methods},
        subjects=[subject for subject in record.subjects if subject.method in methods],
        published=[],
    )


def _forms_by_method(table: cost_tables.CostReportTable) -> dict[str, list[_CostForm]]:
    texts = table.texts.to_dict("records")
    numbers = table.numbers.astype(object).where(table.numbers.notna(), None).to_dict("records")
    forms: dict[str, list[_CostForm]] = {}
    for method, form_texts, form_numbers in zip(table.methods, texts, numbers, strict=True):
        forms.setdefault(method, []).append(_CostForm(form_texts, form_numbers))
    return forms


def _lines_of_forms(
    line: PaperLine, forms: Sequence[_CostForm], record: CostRecord
) -> list[_CostLine]:
    if not forms:
        return [_CostLine(line.row, line.first)]
    return [
        _CostLine(
            row=line.row,
            first=line.first and number == 0,
            name=str(form.texts["method"]),
            texts=form.texts,
            numbers=form.numbers,
            further=number > 0,
            gap_reason=_explain_no_counts(line, record),
        )
        for number, form in enumerate(forms)
    ]


def _explain_no_counts(line: PaperLine, record: CostRecord) -> str:
    if line.method and record.counts[line.method].problem:
        return "cannot be counted"
    return "no network"
