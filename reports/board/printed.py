"""Printed numbers that the board sets beside measured ones, never mixed with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.api import UsageError
from benchmark.reports import published
from benchmark.reports.published import GKMNET_PAPER, PrintedNumber
from benchmark.results import Results


def list_printed_lines(results: Results, methods: Sequence[str]) -> dict[str, Any]:
    """Return the printed numbers of the methods of the board, and those on its data sets.

    Args:
        results: for the data sets and the titles of methods.
        methods: of the board.

    Returns:
        `printed`: a line for each model, source, data set and noise level, with the places of the
        methods that stand for the model, and measure -> value and footnote; `sources`: name -> what
        is known of all numbers of a source.
    """
    stands_for = _MethodsOfModels(results, methods)
    datasets = set(results.datasets.values())
    lines: dict[tuple[object, ...], dict[str, Any]] = {}
    for number in published.read_printed_numbers():
        places = stands_for.list_places(number)
        if not places and number.dataset not in datasets:
            continue
        key = (number.source, number.table, number.model, number.training, number.dataset)
        line = lines.setdefault((*key, number.part, number.noise), _start_line(number, places))
        line["values"].setdefault(number.measure, []).append([number.value, number.footnote])
    sources = {line["source"] for line in lines.values()}
    return {
        "printed": list(lines.values()),
        "sources": {
            source.source: ". ".join(filter(None, (source.reference, source.note)))
            for source in published.read_published_sources()
            if source.source in sources
        },
    }


def _start_line(number: PrintedNumber, places: Sequence[int]) -> dict[str, Any]:
    return {
        "source": number.source,
        "model": number.model,
        "training": number.training,
        "dataset": number.dataset,
        "part": number.part,
        "sigma": number.noise,
        "methods": list(places),
        "values": {},
    }


class _MethodsOfModels:
    """Which methods of the board stand for what papers print."""

    def __init__(self, results: Results, methods: Sequence[str]) -> None:
        cards = results.method_cards(results.rows)
        self._methods = methods
        self._titles = {name: card.title for name, card in cards.items()}
        self._paper_rows = published.read_paper_rows()
        self._later_models = dict(self._find_later_models())
        self._known: dict[tuple[object, ...], list[int]] = {}

    def list_places(self, number: PrintedNumber) -> list[int]:
        """Return the places of the methods that stand for a printed number."""
        key = (number.source, number.table, number.model, number.training)
        if key not in self._known:
            self._known[key] = [
                place
                for place, method in enumerate(self._methods)
                if self._is_meant(number, method)
            ]
        return self._known[key]

    def _is_meant(self, number: PrintedNumber, method: str) -> bool:
        if number.source != GKMNET_PAPER:
            return self._later_models.get(method) == number.model
        name = (number.table, number.model, number.training)
        rows = (row for row in self._paper_rows if (row.table, row.model, row.training) == name)
        try:
            return any(row.means(method) for row in rows)
        except UsageError:  # an id that is none stands for no model
            return False

    def _find_later_models(self) -> Iterator[tuple[str, str]]:
        models = published.read_printed_models()
        names = list(dict.fromkeys(number.model for number in published.read_printed_numbers()))
        for method in self._methods:
            try:
                model = published.find_printed_model(
                    method, self._titles.get(method, ""), models, names
                )
            except UsageError:
                continue
            if model is not None:
                yield method, model
