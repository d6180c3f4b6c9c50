"""Equal budgets in tables of one network in several forms: what mixes with them is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.api import MethodCard
from benchmark.reports.paper.layout import EQUAL_BUDGET_TABLES, Layout, PaperLine
from benchmark.results import Results
from benchmark.results.notes import training_amount

_UNKNOWN = "not known for how long"


@dataclass(frozen=True, slots=True)
class BudgetMixture:
    """What a table of one budget leaves out.

    Attributes:
        amount: how much the weights in the table were trained on; empty where there are none, or
            where the table may hold any.
        left_out: method -> how much its weights were trained on.
    """

    amount: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def explain(self) -> list[str]:
        """Return what was left out and why, if anything was."""
        if not self.left_out:
            return []
        names = [f"{method} ({amount})" for method, amount in self.left_out.items()]
        return [
            f"This table holds weights of one budget only ({self.amount}), for at another the "
            f"difference would be that of the budgets. Left out: {', '.join(names)}."
        ]


def find_mixture(
    results: Results, layout: Layout, dataset: str | None, lines: Sequence[PaperLine]
) -> BudgetMixture:
    """Return what a table leaves out so that all its weights have one budget: that of most rows,
    and of several such the least.

    Args:
        results: the runs.
        layout: which table.
        dataset: id of the data set that it is measured on; None for none.
        lines: of the table, with the methods that were run there.
    """
    if layout.number not in EQUAL_BUDGET_TABLES or dataset is None:
        return BudgetMixture()
    cards = results.select_dataset(dataset).method_cards()
    amounts = {
        line.method: training_amount(cards[line.method]) or _UNKNOWN
        for line in lines
        if line.method in cards and _has_weights(cards[line.method])
    }
    rows_of_amount = Counter(
        amount
        for amount, _ in {
            (amounts[line.method], line.row.model) for line in lines if line.method in amounts
        }
    )
    if len(rows_of_amount) < 2:
        return BudgetMixture(next(iter(rows_of_amount), "").replace(_UNKNOWN, ""))
    usual = min(rows_of_amount, key=lambda amount: (-rows_of_amount[amount], _sort_key(amount)))
    left_out = {method: amount for method, amount in amounts.items() if amount != usual}
    return BudgetMixture(usual, left_out)


def _has_weights(card: MethodCard) -> bool:
    return card.family == "learned" and (bool(card.budget) or card.trained_on != ())


def _sort_key(amount: str) -> tuple[float, str]:
    number = re.match(r"\d+", amount)
    return (float(number[0]) if number else float("inf")), amount
