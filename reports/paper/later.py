"""What others printed after the paper, of its methods and of newer ones, beside what was measured
of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.reports import published, tables
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.paper.layout import choose_protocols
from benchmark.reports.paper.measured import PRINTED_MEASURES, UNMARKED, MeasuredHalf
from benchmark.reports.published import PrintedNumber
from benchmark.results import Results, choices
from benchmark.results.summaries import Row, Summary

_PUBLISHED_HEADINGS = {
    "psnr": "PSNR (dB) ↑", "ssim": "SSIM ↑", "lpips": "LPIPS ↓", "mae": "MAE ↓",
}  # fmt: skip
_SAME = TableCell("″")
_NONE = TableCell("–")
_INCOMPARABLE = (
    "Sources measure differently: published numbers compare neither with each other nor with ours."
)

_PrintedLine = dict[str, PrintedNumber]
"""Measure -> number, all by one source."""


def build_later_tables(
    results: Results, dataset: str | None, protocols: Sequence[str]
) -> list[LaterTable]:
    """Return the table once per protocol and input track, or once with the printed numbers alone.

    Args:
        results: the runs.
        dataset: id of the data set that lines are measured on: those that are printed for it, or
            all of them where none is; None for the printed ones that the runs hold.
        protocols: to measure by; empty for the usual one.

    Raises:
        UsageError: a protocol that the runs were not scored under, or two data sets of one name.
    """
    own_protocols = choose_protocols(results, protocols)
    models: dict[str, str] = {}
    summaries: dict[tuple[str, str], dict[str, Summary]] = {}
    for name, dataset_id in _choose_datasets(results, dataset).items():
        models_there = _find_models(results, dataset_id)
        models |= models_there
        if models_there:
            for summary in results.summaries(own_protocols, dataset_id, models_there, (0,)):
                ruler = (summary.protocol, summary.track)
                summaries.setdefault(ruler, {})[name] = summary
    return [LaterTable(by_dataset, models) for by_dataset in summaries.values() or [{}]]


def _choose_datasets(results: Results, dataset: str | None) -> dict[str, str]:
    """Return registered name of a printed data set -> id of the one that it is measured on."""
    names = list(dict.fromkeys(number.dataset for number in _read_later_numbers()))
    if dataset is None:
        names_of_runs = results.datasets.values()
        return {
            name: choices.choose_dataset(name, results.datasets)
            for name in names
            if name in names_of_runs
        }
    dataset_id = choices.choose_dataset(dataset, results.datasets)
    own_name = results.datasets[dataset_id]
    return dict.fromkeys([own_name] if own_name in names else names, dataset_id)


def _find_models(results: Results, dataset: str) -> dict[str, str]:
    """Return method -> the printed model that it stands for."""
    models = published.read_printed_models()
    printed_names = list(dict.fromkeys(number.model for number in _read_later_numbers()))
    cards = results.select_dataset(dataset).method_cards()
    model_of_method: dict[str, str] = {}
    for method in sorted(results.methods_of(dataset)):
        title = cards[method].title if method in cards else ""
        model = published.find_printed_model(method, title, models, printed_names)
        if model is not None:
            model_of_method[method] = model
    return model_of_method


def _read_later_numbers() -> list[PrintedNumber]:
    return [
        number
        for number in published.read_printed_numbers()
        if number.source != published.GKMNET_PAPER
    ]


class LaterTable:
    """The printed numbers of all sources but the paper, model by model, beside measured ones."""

    def __init__(self, summaries: Mapping[str, Summary], models: Mapping[str, str]) -> None:
        """Read the printed numbers.

        Args:
            summaries: registered name of a data set that numbers are printed for -> what was
                measured there, or in its place; all under one protocol and through one track.
            models: method -> the printed model that it stands for.
        """
        self._numbers = _read_later_numbers()
        self._measured = {name: MeasuredHalf(summary, "") for name, summary in summaries.items()}
        self._models = models

    def grid(self) -> Grid:
        """Return the table for people, a group per data set and part of it."""
        parts = dict.fromkeys((number.dataset, number.part) for number in self._numbers)
        return Grid(
            caption=self._caption(),
            columns=self._columns(),
            groups=tuple(tuple(self._part_lines(*part)) for part in parts),
            footnotes=tuple(self._footnotes()),
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the printed numbers as they are kept, then the measured ones."""
        yield from (number.model_dump() for number in self._numbers)
        for half in {half.dataset: half for half in self._measured.values()}.values():
            for model, rows in self._rows_by_model(half).items():
                for row in rows:
                    yield from self._measured_records(half, model, row)

    def _measured_records(
        self, half: MeasuredHalf, model: str, row: Row
    ) -> Iterator[dict[str, Any]]:
        for name in PRINTED_MEASURES:
            key = half.first_measure(name)
            yield {
                "table": "later",
                "model": model,
                "noise": str(row.level),
                "measure": key or name,
                "method": row.method,
                "learned from": half.learned_from(row.method),
                "dataset": half.dataset,
                "protocol": half.protocol,
                "track": half.track,
                **half.entry(row.method, row, key).as_record(),
            }

    # Lines

    def _part_lines(self, dataset: str, part: str) -> Iterator[tuple[TableCell, ...]]:
        numbers = [
            number for number in self._numbers if (number.dataset, number.part) == (dataset, part)
        ]
        lines_of_model = _list_printed_lines(numbers)
        half = self._measured.get(dataset) if not part else None
        rows = self._rows_by_model(half) if half else {}
        data = " ".join(filter(None, (dataset, part)))
        for model in dict.fromkeys([*lines_of_model, *rows]):
            own_lines = [self._measured_cells(half, row) for row in rows.get(model, []) if half]
            for source, printed_cells, measured_cells in _set_beside(
                lines_of_model.get(model, []), own_lines
            ):
                name, *own_cells = measured_cells
                yield (*map(TableCell, (data, model)), source, name, *printed_cells, *own_cells)

    def _rows_by_model(self, half: MeasuredHalf) -> dict[str, list[Row]]:
        """Return model -> the rows of the methods that stand for it, without noise."""
        rows_by_model: dict[str, list[Row]] = {}
        for row in half.first_level_rows():
            if row.method in self._models:
                rows_by_model.setdefault(self._models[row.method], []).append(row)
        return rows_by_model

    def _measured_cells(self, half: MeasuredHalf, row: Row) -> tuple[TableCell, ...]:
        source = half.learned_from(row.method)
        note = f"Weights or constants from {source}." if source else ""
        entries = {
            name: half.entry(row.method, row, half.first_measure(name)) for name in PRINTED_MEASURES
        }
        return (
            TableCell(_title_with_amount(half, row), note=note),
            *(tables.format_cell(entry, half.card(name)) for name, entry in entries.items()),
            TableCell(tables.count_scenes(entries.values())),
        )

    # Heads and notes

    def _columns(self) -> tuple[TableColumn, ...]:
        half = next(iter(self._measured.values()), MeasuredHalf(None, ""))
        own_heads = [tables.measure_heading(half.card(name)) for name in PRINTED_MEASURES]
        return (
            *(
                TableColumn(name, label=True)
                for name in ("data", "model", "printed by", "measured as")
            ),
            *(TableColumn(head, "published") for head in _PUBLISHED_HEADINGS.values()),
            *(TableColumn(head, "measured") for head in own_heads),
            TableColumn("n", "measured"),
        )

    def _caption(self) -> str:
        start = (
            "Quality on the test pictures of public data sets, as printed by others after the "
            "GKMNet paper"
        )
        halves = list(self._measured.items())
        if not halves:
            return f"{start}; nothing was measured."
        datasets = ", ".join(dict.fromkeys(half.dataset for _, half in halves))
        name, half = halves[0]
        is_own = half.dataset.partition(":")[0] == name
        place = "" if is_own else ", which takes the place of them all"
        return (
            f"{start}, and as measured on {datasets}{place} (protocol {half.protocol}, track "
            f"{half.track})."
        )

    def _footnotes(self) -> Iterator[str]:
        yield _INCOMPARABLE
        for source in published.read_published_sources():
            if source.source != published.GKMNET_PAPER:
                details = ". ".join(filter(None, (source.reference, source.note)))
                yield f"{source.source}: {details}"
        if not self._measured:
            yield "Nothing was measured: the runs hold no such method on these data sets."
            return
        yield UNMARKED
        yield "Parts of a data set (indoor, outdoor) are not measured apart."
        yield from dict.fromkeys(note for half in self._measured.values() for note in half.notes)


def _title_with_amount(half: MeasuredHalf, row: Row) -> str:
    """Return a method with how much its weights were trained on, where that differs."""
    summary = half.summary
    if summary is None or not summary.has_unequal_budgets or not summary.amounts.get(row.method):
        return row.title
    return f"{row.title} ({summary.amounts[row.method]})"


def _list_printed_lines(numbers: Iterable[PrintedNumber]) -> dict[str, list[_PrintedLine]]:
    """Return model -> its lines: one per source, and again for a number that differs otherwise."""
    lines: dict[str, list[_PrintedLine]] = {}
    newest_lines: dict[tuple[str, str], _PrintedLine] = {}
    for number in numbers:
        key = (number.model, number.source)
        if key not in newest_lines or number.measure in newest_lines[key]:
            newest_lines[key] = {}
            lines.setdefault(number.model, []).append(newest_lines[key])
        newest_lines[key][number.measure] = number
    return lines


def _set_beside(
    printed_lines: Sequence[_PrintedLine], own_lines: Sequence[tuple[TableCell, ...]]
) -> Iterator[tuple[TableCell, list[TableCell], tuple[TableCell, ...]]]:
    """Yield the source, the printed and the measured cells of each line of a model.

    The first of both stand in one line. Others have a line each, in which the other half only says
    that there is nothing new.
    """
    blank_cells = ((_SAME if own_lines else _NONE),) * (len(PRINTED_MEASURES) + 2)
    for index, line in enumerate(printed_lines or [{}]):
        source = TableCell(next(iter(line.values())).source) if line else TableCell("not printed")
        cells = [_printed_cell(line.get(measure)) for measure in _PUBLISHED_HEADINGS]
        yield source, cells, own_lines[0] if own_lines and not index else blank_cells
    for own_cells in own_lines[1:]:
        yield _SAME, [_SAME] * len(_PUBLISHED_HEADINGS), own_cells


def _printed_cell(number: PrintedNumber | None) -> TableCell:
    if number is None:
        return _NONE
    return TableCell(number.value or "not read", note=number.footnote)
