"""Which methods a figure draws: few enough to be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmark.reports.figures.style import MOST_METHODS
from benchmark.results.significance import INPUT


class MethodChoice(NamedTuple):
    """The methods that are drawn, and a line that says so where that is not all."""

    methods: list[str]
    notes: tuple[str, ...] = ()


def choose_methods(candidates: Sequence[str], ranking: Sequence[str], order: str) -> MethodChoice:
    """Return at most `MOST_METHODS` of the candidates, in their order: `input`, if it is one, and
    the best.

    Args:
        candidates: ids.
        ranking: ids of at least the candidates, the best first.
        order: what they are ranked by, in words.
    """
    if len(candidates) <= MOST_METHODS:
        return MethodChoice(list(candidates))
    has_input = INPUT in candidates
    ranked_candidates = [name for name in ranking if name in candidates and name != INPUT]
    best = ranked_candidates[: MOST_METHODS - has_input]
    chosen = [name for name in candidates if name in best or name == INPUT]
    input_words = f"{INPUT} and " if has_input else ""
    note = (
        f"Drawn are {len(chosen)} of {len(candidates)} methods: {input_words}the {len(best)} best "
        f"by {order}, oracles last. `--methods A,B,C` chooses others, at most {MOST_METHODS}."
    )
    return MethodChoice(chosen, (note,))
