"""Which means of a column are marked: the best and the second best, with all that a paired test
cannot tell from them.

The best is the best mean. A method whose paired difference to it is not significant is marked like
it: sign-flip test per scene, adjusted by Holm for the number of methods compared with the best,
at 5 % two-sided. The second best are the same among the rest. Where the scenes are so few that no
such test could show any difference, only the best and the second best mean are marked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from statistics import fmean

from benchmark.stats import ALPHA, adjust_p_values, compare_paired_scores

ScoresByMethod = Mapping[str, Mapping[str, float]]
"""Method -> scene -> score, the mean of its pictures; every method on the same scenes."""


class Mark(enum.StrEnum):
    """What a number of a table is marked for; `benchmark.reports.grid` alone decides how that
    looks.
    """

    best = "best"
    """The best mean of its column, or not to be told from it."""
    second = "second"
    """The same among the rest."""
    significant = "shown"
    """A difference that a test shows."""
    near_best = "near_best"
    """A mean rank within the critical difference of the best."""


TESTED_LEGEND = (
    "Bold: the best mean, and every other whose paired difference to it is not significant "
    "(sign-flip test, Holm over the methods compared, 5 %); italic: the same among the rest."
)
UNTESTED_LEGEND = (
    "Bold: the best mean; italic: the second best. They are not tested: with so few pictures no "
    "paired test could show a difference between so many methods at 5 %."
)


def explain_marks(columns: Iterable[tuple[int, int]]) -> list[str]:
    """Return what the marks of a table mean.

    Args:
        columns: how many methods compete in each, and on how many scenes.
    """
    testable = {_is_testable(methods, scenes) for methods, scenes in columns if methods > 1}
    legends = []
    if True in testable:
        legends.append(TESTED_LEGEND)
    if False in testable:
        legends.append(UNTESTED_LEGEND)
    return legends


def _is_testable(methods: int, scenes: int) -> bool:
    """Return whether the least p that so many scenes can give, 2^(1 - n), outlasts Holm's
    adjustment.
    """
    return (methods - 1) * 2.0 ** (1 - scenes) <= ALPHA


def find_marks(scores: ScoresByMethod, *, higher_is_better: bool) -> dict[str, Mark]:
    """Return method -> mark, for those that have one.

    Args:
        scores: of the methods that compete; one alone has nothing to be best of.
        higher_is_better: which end of the scores is best.
    """
    if len(scores) < 2:
        return {}
    testable = _is_testable(len(scores), min(map(len, scores.values())))
    best = _find_leaders(scores, higher_is_better, testable)
    other_scores = {method: scenes for method, scenes in scores.items() if method not in best}
    second = _find_leaders(other_scores, higher_is_better, testable)
    return {**dict.fromkeys(best, Mark.best), **dict.fromkeys(second, Mark.second)}


def _find_leaders(scores: ScoresByMethod, higher_is_better: bool, testable: bool) -> list[str]:
    """Return the method with the best mean and those that cannot be told from it; untested, those
    of equal mean.
    """
    if not scores:
        return []
    sign = 1 if higher_is_better else -1
    means = {method: fmean(scenes.values()) for method, scenes in scores.items()}
    top = max(sorted(means), key=lambda method: sign * means[method])
    others = [method for method in scores if method != top]
    if not testable:
        return [top, *(method for method in others if means[method] == means[top])]
    adjusted = adjust_p_values([_p_of_difference(scores[top], scores[method]) for method in others])
    return [top, *(method for method, p in zip(others, adjusted, strict=True) if p > ALPHA)]


def _p_of_difference(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    return compare_paired_scores([a[scene] for scene in a], [b[scene] for scene in a]).sign_flip
