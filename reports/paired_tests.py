"""Paired tests written down: the cells of a table, its legend, and how numbers are rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmark.reports.grid import TableCell
from benchmark.results.comparison import PairedTest
from benchmark.results.significance import Mark
from benchmark.results.summaries import name_interval_kinds
from benchmark.stats import (
    ALPHA,
    FEWEST_FOR_BOOTSTRAP,
    Interval,
    count_scenes_to_show,
    least_p,
)

TEST_HEADS = ("wins–losses", "p", "could show")
"""Titles of the columns of `format_test` after the difference."""
FAMILY_HEADS = ("wins–losses", "p", "p (Holm)", "could show")
"""The same for tests that are a family."""
_MOST_DIGITS = 6


def format_test(test: PairedTest, *, in_family: bool = False) -> list[TableCell]:
    """Return the difference, marked where it is shown, and the columns of `TEST_HEADS`, or of
    `FAMILY_HEADS`.
    """
    difference = test.difference
    digits = difference_digits(test)
    p_values = (test.p, test.adjusted_p) if in_family else (test.p,)
    least = difference.detectable
    return [
        TableCell(
            format_interval(difference.interval, digits),
            Mark.significant if test.is_significant else None,
        ),
        TableCell(f"{difference.wins}–{difference.losses}"),
        *(TableCell(format_p(p)) for p in p_values),
        TableCell("–" if least is None else f"{least:.{digits}f}"),
    ]


def explain_tests(tests: Sequence[PairedTest], *, in_family: bool = False) -> list[str]:
    """Return what the columns of `format_test` are."""
    unit = "scene" if any(test.unit == "scene" for test in tests) else "picture"
    kinds = name_interval_kinds(test.difference.interval for test in tests)
    family = (
        f"p (Holm): adjusted for the {len(tests)} comparisons with the best; bold: it is at most "
        f"{100 * ALPHA:g} %."
        if in_family
        else f"Bold: p is at most {100 * ALPHA:g} %. Each measure is a question of its own, so p "
        "is not adjusted for their number."
    )
    notes = [
        f"Difference: mean over {unit}s{kinds}.",
        f"p: of that mean, two-sided; {name_tests(test.difference.n for test in tests)}. {family} "
        f"Could show: the least true difference that as many {unit}s show with a power of 80 %, if "
        "differences are normally distributed.",
    ]
    if any(not can_show(test.difference.n) for test in tests):
        notes.append(
            f"Fewer than {count_scenes_to_show(1)} {unit}s show nothing at {100 * ALPHA:g} %. "
            "Their interval takes differences to be normally distributed, which so few cannot tell."
        )
    return notes


def name_tests(sizes: Iterable[int]) -> str:
    """Return which tests decide, given how many scenes there are in each."""
    names = {
        "all sign flips" if n < FEWEST_FOR_BOOTSTRAP else "studentised bootstrap, equal tails"
        for n in sizes
    }
    return ", or ".join(sorted(names))


def can_show(n: int) -> bool:
    """Return whether n scenes can show a difference."""
    return least_p(n) <= ALPHA


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
