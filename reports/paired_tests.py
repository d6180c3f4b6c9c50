"""Two methods tested on the same pictures: a family of such tests, as cells of a table and as
columns of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports.grid import TableCell
from benchmark.reports.selection import Column, Ground
from benchmark.stats import (
    ALPHA,
    Interval,
    PairedComparison,
    adjust_p_values,
    compare_paired_scores,
)

if TYPE_CHECKING:
    import pandas as pd

HEADS = ("wins–losses", "p", "p (Holm)", "p (Wilcoxon)", "could show")
"""Titles of the columns of `cells` after the difference."""
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Test:
    """Two methods under one measure.

    Attributes:
        column, card: the measure.
        scores: one row per picture, one column for either method.
        found: the first against the second.
        adjusted: p of the sign-flip test, adjusted for the family by Holm.
    """

    __test__ = False  # pytest takes classes of this name for its own

    column: Column
    card: MeasureCard
    scores: pd.DataFrame
    found: PairedComparison
    adjusted: float

    @property
    def names(self) -> tuple[str, str]:
        """The two methods."""
        a, b = self.scores.columns
        return str(a), str(b)


def tests(cases: Sequence[tuple[Column, MeasureCard, pd.DataFrame]]) -> list[Test]:
    """Return the tests of a family, given its measures and scores."""
    results = [
        compare_paired_scores(*scores.to_numpy().T, higher_is_better=card.higher_is_better)
        for _, card, scores in cases
    ]
    adjusted = adjust_p_values([found.sign_flip for found in results])
    return [Test(*case, found, p) for case, found, p in zip(cases, results, adjusted, strict=True)]


def cells(test: Test) -> list[TableCell]:
    """Return the difference, bold where it is shown, and the columns of `HEADS`."""
    found, digits = test.found, digits_of(test)
    least = could_show(found)
    return [
        TableCell(interval(found.interval, digits), "best" if test.adjusted <= ALPHA else None),
        TableCell(f"{found.wins}–{found.losses}"),
        *(TableCell(p_value(p)) for p in (found.sign_flip, test.adjusted, found.wilcoxon)),
        TableCell("–" if least is None else f"{least:.{digits}f}"),
    ]


def legend(family: Sequence[Test], of: str) -> list[str]:
    """Return what the columns of `cells` are, for a family of tests (`of`: "measures", "pairs")."""
    return [
        f"Difference: mean over pictures{kinds(test.found.interval for test in family)}.",
        f"p: of that mean, sign-flip test, two-sided; p (Holm): adjusted for the {len(family)} "
        f"{of}; bold: at most "
        f"{100 * ALPHA:g} %. Could show: the least true difference that a paired t-test on as "
        f"many such pictures shows "
        "with a power of 80 %.",
    ]


def kinds(intervals: Iterable[Interval]) -> str:
    """Return in brackets which intervals these are; empty if none has bounds."""
    names = {"bootstrap": "BCa bootstrap", "t": "Student's, which covers better below 30 pictures"}
    used = {found.kind for found in intervals}
    texts = [text for kind, text in names.items() if kind in used]
    return f" [95 % interval: {'; '.join(texts)}]" if texts else ""


def numbers(ground: Ground, family: Sequence[Test]) -> pd.DataFrame:
    """Return one row per test with everything that was found."""
    import pandas as pd

    return pd.DataFrame([_record(ground, test) for test in family])


def _record(ground: Ground, test: Test) -> dict[str, Any]:
    found, (a, b) = test.found, test.names
    return {
        "dataset": ground.dataset,
        "noise": ground.level,
        **test.column._asdict(),
        "higher_is_better": test.card.higher_is_better,
        "a": a,
        "b": b,
        "n": found.n,
        "mean_a": test.scores[a].mean(),
        "mean_b": test.scores[b].mean(),
        "difference": found.mean,
        "low": found.interval.low,
        "high": found.interval.high,
        "interval": found.interval.kind,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "p": found.sign_flip,
        "p_holm": test.adjusted,
        "p_wilcoxon": found.wilcoxon,
        "detectable": found.detectable,
    }


def least_p(n: int) -> float:
    """Return the least p that a sign-flip test on n pictures can give."""
    return 2.0 ** (1 - n)


def could_show(found: PairedComparison) -> float | None:
    """Return the detectable difference; None also where so few pictures can show nothing."""
    return found.detectable if least_p(found.n) <= ALPHA else None


def p_value(p: float) -> str:
    """Return a p-value as text.

    >>> p_value(0.41234), p_value(0.04961), p_value(0.00042), p_value(0.00001)
    ('0.41', '0.0496', '0.0004', '< 0.0001')
    """
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def digits_of(test: Test) -> int:
    """Return how many decimals a difference gets: those of its measure, or more, so that two digits
    of it show.

    Where the interval is wider than the difference is large, two digits of the interval are enough.
    """
    low, high = test.found.interval.low, test.found.interval.high
    half = 0.0 if low is None or high is None else (high - low) / 2
    size = max(abs(test.found.mean), half)
    needed = 1 - math.floor(math.log10(size)) if size else 0
    return int(max(test.card.digits, min(needed, _MOST_DIGITS)))


def interval(found: Interval, digits: int) -> str:
    """Return a mean with its bounds, if it has any."""
    if found.low is None or found.high is None:
        return f"{found.mean:z.{digits}f}"
    return f"{found.mean:z.{digits}f} [{found.low:z.{digits}f}, {found.high:z.{digits}f}]"
