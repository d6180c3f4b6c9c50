"""What the board says about methods, and what it filters them by: facts of their cards."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from benchmark.api import MethodCard
from benchmark.reports.page.cards import collect_page_cards
from benchmark.results import Results

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_NOTHING = "nothing"
_UNKNOWN = "unknown"


def describe_methods(
    results: Results, methods: Sequence[str], rulers: Collection[str]
) -> list[dict[str, Any]]:
    """Return the facts of each method, in the order given.

    Args:
        results: where the cards are; of several, that of the last run that has one is shown.
        methods: ids.
        rulers: those that were given what no photograph tells.
    """
    rows = results.rows
    cards = results.method_cards(rows)
    origins = {
        method: number
        for number, run in enumerate(results.runs)
        for method in set(rows.loc[rows["store"] == number, "method"]) & set(run.methods)
    }
    page_cards = collect_page_cards(results, origins).methods
    return [
        {
            "name": method,
            "ruler": method in rulers,
            "card": page_cards[method].lines if method in page_cards else {},
            **describe_facets(cards.get(method)),
        }
        for method in methods
    ]


def describe_facets(card: MethodCard | None) -> dict[str, Any]:
    """Return what a method is filtered by; of a method without a card nothing is known."""
    if card is None:
        return {"family": "", "inputs": "", "trained": [_UNKNOWN], "year": None, "licence": ""}
    trained = [_UNKNOWN] if card.trained_on is None else list(card.trained_on) or [_NOTHING]
    return {
        "family": card.family,
        "inputs": card.inputs,
        "trained": trained,
        "year": find_year(card.paper),
        "licence": card.licence,
    }


def find_year(citation: str) -> int | None:
    """Return the year of a citation, the last one that it names; None without one."""
    years = _YEAR.findall(citation)
    return int(years[-1]) if years else None
