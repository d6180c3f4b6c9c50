"""The cost half of a table of the paper: printed figures beside what is counted and
measured here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.cost import measurement
from benchmark.cost import published as figures
from benchmark.cost.measurement import CostRecord, PictureSize
from benchmark.cost.published import PublishedCost
from benchmark.files import PACKAGE_FOLDER
from benchmark.reports import cost
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.layout import Layout, Line, lines
from benchmark.reports.published import GKMNET_PAPER, PaperRow
from benchmark.results.notes import name_suite

_PRINTED = {
    "parameters": "parameters (M)",
    "operations": "FLOPs as printed (G)",
    "size": "size (MB)",
    "cpu_seconds": "CPU (s)",
    "gpu_seconds": "GPU (s)",
}
_COUNTED: Mapping[str, Sequence[str]] = {
    "parameters": ("parameters (M)",),
    "operations": ("FLOPs (G)", "thop-style (G)"),
    "size": ("weights (MB)",),
    "cpu_seconds": ("CPU (s)",),
    "gpu_seconds": ("GPU (s)",),
}
_SECONDS = ("CPU (s)", "GPU (s)")
_PLACES = (
    Path("results/cost/1680x1120"),
    PACKAGE_FOLDER / "measured" / "cost",
)
_ABSENT = (
    "Nothing was counted here: there is no cost pass. Run `cost`, and name its folder with --cost."
)
_CONVENTION = (
    "What the paper prints as FLOPs of SRN and most forms of GKMNet is what the tool thop calls "
    "so: MACs without the "
    "Gaussian convolutions, with normalisation; the column thop-style is to be compared with it. "
    "No convention gives "
    "its figures for DPDNet (see the report of `cost`). FLOPs here are 2 x MACs of every operation."
)


class _Line(NamedTuple):
    """One line: a row of the paper, and a form of a network that stands for it, as
    `benchmark.reports.cost` shows it.

    Attributes:
        row: the row.
        first: whether it is the first line of its row, which has the printed figures.
        name: method and form; empty for none.
        texts, numbers: column -> value.
        further: it is a further form of a network, whose seconds stand in the line of the first.
        lacking: why there are no counts where there are none.
    """

    row: PaperRow
    first: bool
    name: str = ""
    texts: Mapping[Hashable, str] = {}
    numbers: Mapping[Hashable, float | None] = {}
    further: bool = False
    lacking: str = "no network"


def find(runs: Sequence[Path], asked: Path | None) -> Path | None:
    """Return the folder of a cost pass: the one asked for; else one kept with a run; else the usual
    one; else ours.
    """
    if asked is not None:
        return asked
    return next(
        (folder for folder in (*runs, *_PLACES) if (folder / measurement.RECORD_FILE).is_file()),
        None,
    )


class CostTable:
    """The cost half of one table."""

    def __init__(self, layout: Layout, folder: Path | None) -> None:
        """Make the table from the cost pass in a folder; None for none.

        Raises:
            UsageError, DataError: as `benchmark.cost.measurement.read_cost_pass` does.
        """
        self._layout = layout
        self._lines: list[_Line] = [
            _Line(line.row, line.first) for line in lines(layout.number, ())
        ]
        self._size: PictureSize | None = None
        self._notes: tuple[str, ...] = (_ABSENT,)
        if folder is not None:
            self._lines, self._size, self._notes = _counted(layout, folder)
        source = f"{GKMNET_PAPER}, Table {layout.number}"
        self._printed = {
            (f.model, f.quantity): f for f in figures.read_published_costs() if f.source == source
        }

    def grid(self) -> Grid:
        """Return the table for people."""
        number, what, printed = (
            self._layout.number,
            self._layout.what,
            "published, {}x{}".format(*figures.PUBLISHED_SIZE),
        )
        here = f"here, {self._size}" if self._size else "here"
        return Grid(
            caption=f"Table {number} (cost). {what}: what a picture costs, as printed and as "
            f"counted here.",
            columns=(
                TableColumn("model", label=True),
                TableColumn("counted as", label=True),
                *(TableColumn(_PRINTED[quantity], printed) for quantity in self._layout.costs),
                *(
                    TableColumn(name, here)
                    for quantity in self._layout.costs
                    for name in _COUNTED[quantity]
                ),
            ),
            groups=(tuple(map(self._cells, self._lines)),),
            footnotes=(_CONVENTION, *self._notes),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield its numbers: a dictionary per line and counted or measured quantity."""
        for line in self._lines:
            for quantity in self._layout.costs:
                figure = self._figure(line, quantity)
                for name in _COUNTED[quantity]:
                    yield {
                        "table": self._layout.number,
                        "half": "cost",
                        "model": line.row.model,
                        "training": line.row.training,
                        "measure": name,
                        "published": figure.value if figure else "",
                        "published note": figure.note if figure else "",
                        "method": line.name,
                        "mean": line.numbers.get(name),
                        "note": _text(line, name) if line.numbers.get(name) is None else "",
                    }

    def _cells(self, line: _Line) -> tuple[TableCell, ...]:
        return (
            TableCell(line.row.model or "–"),
            TableCell(line.name or "–"),
            *(self._published(line, quantity) for quantity in self._layout.costs),
            *(
                TableCell(_text(line, name))
                for quantity in self._layout.costs
                for name in _COUNTED[quantity]
            ),
        )

    def _published(self, line: _Line, quantity: str) -> TableCell:
        figure = self._figure(line, quantity)
        if figure is None:
            return TableCell("not printed" if line.first else "″")
        return TableCell(figure.value, note=figure.note)

    def _figure(self, line: _Line, quantity: str) -> PublishedCost | None:
        return self._printed.get((line.row.model, quantity)) if line.first else None


def _text(line: _Line, column: str) -> str:
    """Return a counted or measured value, or why there is none."""
    if not line.name:
        return "not counted"
    text = line.texts.get(column, "–")
    if text != "–":
        return text
    if column in _SECONDS:
        return "″" if line.further else "not timed"
    return line.lacking


def _counted(layout: Layout, folder: Path) -> tuple[list[_Line], PictureSize, tuple[str, ...]]:
    """Return the lines of a table, the size of the picture, and what must be said beside them."""
    kept, trials = measurement.read_cost_pass(folder)
    # What was counted to compare it with printed figures is for the size that these are for.
    counts = {
        **(kept.references if kept.size == PictureSize(*figures.PUBLISHED_SIZE) else {}),
        **kept.counts,
    }
    found = list(lines(layout.number, counts, whatever_weights=True))
    mine = {line.method for line in found}
    own: CostRecord = dataclasses.replace(
        kept,
        counts={method: counted for method, counted in counts.items() if method in mine},
        subjects=[subject for subject in kept.subjects if subject.method in mine],
        published=[],
    )
    table = cost.build_cost_tables(own, trials)[0]
    numbers = table.numbers.astype(object).where(table.numbers.notna(), None).to_dict("records")
    shown = list(zip(table.texts.to_dict("records"), numbers, strict=True))
    made: list[_Line] = []
    for line in found:
        forms = [pair for pair in shown if line.method and _is(str(pair[0]["method"]), line.method)]
        made += [
            _Line(
                line.row,
                line.first and place == 0,
                str(texts["method"]),
                texts,
                values,
                place > 0,
                _lack(own, line),
            )
            for place, (texts, values) in enumerate(forms)
        ] or [_Line(line.row, line.first)]
    suite = name_suite(kept.provenance["suite"], kept.provenance.get("git"))
    return made, kept.size, (f"Counted by {suite}.", *table.notes)


def _lack(kept: CostRecord, line: Line) -> str:
    return "cannot be counted" if line.method and kept.counts[line.method].problem else "no network"


def _is(name: str, method: str) -> bool:
    """Return whether a line of the cost table is of this method: its id, or that and a form of its
    network.
    """
    return name == method or name.startswith(f"{method} (")
