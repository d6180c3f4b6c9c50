"""Paired tests written down: the cells of a table, its legend, and how numbers are rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmark.reports.grid import TableCell
from benchmark.results.comparison import PairedTest
from benchmark.results.significance import Mark
from benchmark.stats import ALPHA, Interval, PairedComparison

TEST_HEADS = ("wins–losses", "p", "p (Holm)", "p (Wilcoxon)", "could show")
"""Titles of the columns of `format_test` after the difference."""
_MOST_DIGITS = 6
_INTERVAL_KINDS = {
    "bootstrap": "BCa bootstrap",
    "t": "Student's, which covers better below 30 pictures",
}


def format_test(test: PairedTest) -> list[TableCell]:
    """Return the difference, marked where it is shown, and the columns of `TEST_HEADS`."""
    difference = test.difference
    digits = difference_digits(test)
    least = smallest_detectable(difference)
    p_values = (difference.sign_flip, test.adjusted_p, difference.wilcoxon)
    return [
        TableCell(
            format_interval(difference.interval, digits),
            Mark.significant if test.is_significant else None,
        ),
        TableCell(f"{difference.wins}–{difference.losses}"),
        *(TableCell(format_p(p)) for p in p_values),
        TableCell("–" if least is None else f"{least:.{digits}f}"),
    ]


def explain_tests(family: Sequence[PairedTest], kind: str) -> list[str]:
    """Return what the columns of `format_test` are, for a family of tests (`kind`: "measures",
    "pairs").
    """
    kinds = name_interval_kinds(test.difference.interval for test in family)
    unit = "scene" if any(test.unit == "scene" for test in family) else "picture"
    return [
        f"Difference: mean over {unit}s{kinds}.",
        f"p: of that mean, sign-flip test, two-sided; p (Holm): adjusted for the {len(family)} "
        f"{kind}; bold: at most {100 * ALPHA:g} %. Could show: the least true difference that a "
        f"paired t-test on as many such {unit}s shows with a power of 80 %.",
    ]


def name_interval_kinds(intervals: Iterable[Interval]) -> str:
    """Return in brackets which intervals these are; empty if none has bounds."""
    kinds = {interval.kind for interval in intervals}
    texts = [text for kind, text in _INTERVAL_KINDS.items() if kind in kinds]
    return f" [95 % interval: {'; '.join(texts)}]" if texts else ""


def least_p(n: int) -> float:
    """Return the least p that a sign-flip test on n scenes can give."""
    return 2.0 ** (1 - n)


def smallest_detectable(difference: PairedComparison) -> float | None:
    """Return the detectable difference; None also where so few scenes can show nothing."""
    return difference.detectable if least_p(difference.n) <= ALPHA else None


def format_p(p: float) -> str:
    """Return a p-value as text.

    >>> format_p(0.41234), format_p(0.04961), format_p(0.00042), format_p(0.00001)
    ('0.41', '0.0496', '0.0004', '< 0.0001')
    """
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def difference_digits(test: PairedTest) -> int:
    """Return how many decimals a difference gets: those of its measure, or more, so that two digits
    of it show.

    Where the interval is wider than the difference is large, two digits of the interval are enough.
    """
    interval = test.difference.interval
    half = 0.0
    if interval.low is not None and interval.high is not None:
        half = (interval.high - interval.low) / 2
    size = max(abs(test.difference.mean), half)
    needed = 1 - math.floor(math.log10(size)) if size else 0
    return int(max(test.card.digits, min(needed, _MOST_DIGITS)))


def format_interval(interval: Interval, digits: int) -> str:
    """Return a mean with its bounds, if it has any."""
    mean = f"{interval.mean:z.{digits}f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{interval.low:z.{digits}f}, {interval.high:z.{digits}f}]"
