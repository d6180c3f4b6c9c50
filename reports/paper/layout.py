"""What the tables of the GKMNet paper hold, and which of our methods stand in which line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.reports.published import PaperRow, TableNumber, read_paper_rows
from benchmark.results import Results, choices


@dataclass(frozen=True, slots=True)
class Layout:
    """One table.

    Attributes:
        number: as printed.
        what: what it compares.
        dataset: registered name of the data set that it is printed for.
        levels: noise levels (sigma on the 0-255 scale).
        costs: the quantities of `benchmark.studies.cost.published.QUANTITY_UNITS` that it prints
            too.
    """

    number: TableNumber
    what: str
    dataset: str
    levels: tuple[float, ...]
    costs: tuple[str, ...] = ()


_COSTS = ("parameters", "operations", "size", "cpu_seconds", "gpu_seconds")
_ABLATION_COSTS = ("parameters", "operations", "size", "gpu_seconds")
TABLES: dict[str, Layout] = {
    layout.number: layout
    for layout in (
        Layout("1", "Methods compared", "dpd", (0,), _COSTS),
        Layout("2", "Robustness to noise", "dpd", (1, 3, 5)),
        Layout("3", "Another data set, with and without noise", "rtf", (0, 1, 2.55)),
        Layout("4", "Ablations of GKMNet", "dpd", (0,), _ABLATION_COSTS),
        Layout("5", "GKMNet with S scales and R iterations a scale", "dpd", (0,), _ABLATION_COSTS),
    )
}


EQUAL_BUDGET_TABLES = ("4", "5")
"""Tables of one network in several forms: at unequal budgets their differences mean nothing."""


class PaperLine(NamedTuple):
    """One line of a table: a row of the paper, the method of ours that stands for it, and whether
    it is the first.
    """

    row: PaperRow
    method: str | None
    first: bool


def list_lines(
    number: TableNumber, methods: Collection[str], *, ignore_weights: bool = False
) -> Iterator[PaperLine]:
    """Yield the lines of a table: for each row of the paper as many as methods stand for it, or one
    without any.

    A method that the paper does not have is left out where it was not run.

    Args:
        number: of the table.
        methods: ids that there is something to say of.
        ignore_weights: take every method that has the network of a row, as for counting what it
            costs.
    """
    for row in read_paper_rows():
        if row.table == number:
            stands_for_row = row.counts_as if ignore_weights else row.means
            method_ids = sorted(filter(stands_for_row, methods))
            for index, method in enumerate(method_ids):
                yield PaperLine(row, method, index == 0)
            if row.model and not method_ids:
                yield PaperLine(row, None, True)


def choose_measured_dataset(results: Results, layout: Layout, name_or_id: str | None) -> str | None:
    """Return the id of the data set that a table is measured on, None where there is none for it.

    It is the one wanted; else the paper's own; else, where the runs hold one only, that one in
    its place.

    Raises:
        UsageError: as `choices.choose_dataset` does.
    """
    datasets = results.datasets
    if name_or_id or layout.dataset in datasets.values():
        return choices.choose_dataset(name_or_id or layout.dataset, datasets)
    return next(iter(datasets)) if len(datasets) == 1 else None


def choose_protocols(results: Results, protocols: Sequence[str]) -> list[str]:
    """Return the protocols to measure by: those wanted; else `canonical`, or the first one where
    the runs were not scored under it.
    """
    names = list(results.protocols)
    usual_names = [choices.PREFERRED_PROTOCOL] if choices.PREFERRED_PROTOCOL in names else names[:1]
    return list(protocols) or usual_names
