"""What others printed after the paper: re-evaluations of its methods, and newer ones, source by
source.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from benchmark.reports import published
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.published import PrintedNumber

_MEASURES = {"psnr": "PSNR (dB) ↑", "ssim": "SSIM ↑", "lpips": "LPIPS ↓", "mae": "MAE ↓"}


class LaterTable:
    """The printed numbers of all sources but the paper. They do not compare between sources."""

    def __init__(self) -> None:
        """Read them."""
        self._numbers = [
            number
            for number in published.read_printed_numbers()
            if number.source != published.GKMNET_PAPER
        ]

    def grid(self) -> Grid:
        """Return the table for people, a group per source."""
        return Grid(
            caption="Quality on the test pictures of public data sets, as printed by others after "
            "the GKMNet paper.",
            columns=(
                *(
                    TableColumn(name, label=True)
                    for name in ("source", "model", "data", "pictures")
                ),
                *(TableColumn(title) for title in _MEASURES.values()),
            ),
            groups=tuple(
                tuple(map(_cells, _lines(list(numbers))))
                for _, numbers in groupby(self._numbers, key=lambda number: number.source)
            ),
            footnotes=(
                "Nothing here was measured by this suite. Sources measure differently: their "
                "numbers do not compare.",
                *(
                    ": ".join(
                        (source.source, ". ".join(filter(None, (source.reference, source.note))))
                    )
                    for source in published.read_published_sources()
                    if source.source != published.GKMNET_PAPER
                ),
            ),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the numbers as they are kept."""
        return (number.model_dump() for number in self._numbers)


def _lines(numbers: list[PrintedNumber]) -> list[dict[str, PrintedNumber]]:
    """Return measure -> number for each line: a model on some pictures, again for a number that
    differs otherwise.
    """
    lines: list[dict[str, PrintedNumber]] = []
    newest_lines: dict[tuple[str, str, str], dict[str, PrintedNumber]] = {}
    for number in numbers:
        row_key = (number.model, number.dataset, number.part)
        if row_key not in newest_lines or number.measure in newest_lines[row_key]:
            newest_lines[row_key] = {}
            lines.append(newest_lines[row_key])
        newest_lines[row_key][number.measure] = number
    return lines


def _cells(line: dict[str, PrintedNumber]) -> tuple[TableCell, ...]:
    first = next(iter(line.values()))
    return (
        *map(TableCell, (first.source, first.model, first.dataset, first.part or "all")),
        *(_cell(line.get(measure)) for measure in _MEASURES),
    )


def _cell(number: PrintedNumber | None) -> TableCell:
    return TableCell("–") if number is None else TableCell(number.value, note=number.footnote)
