"""Two methods tested on the same pictures, and families of such tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import UsageError
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.results.notes import describe_pictures
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import CommonScores, ScoreColumn, Selection
from benchmark.stats import (
    ALPHA,
    Interval,
    PairedComparison,
    adjust_p_values,
    compare,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class PairedTest:
    """Two methods under one measure, over the pictures that both have.

    Attributes:
        column, card: the measure.
        scores: one row per picture, one column for either method.
        scene_scores: one row per scene, the mean of its pictures; what is tested.
        difference: the first against the second: mean, interval, p, wins and losses.
        adjusted_p: p, adjusted for the family of tests by Holm.
        family_size: number of tests in the family.
    """

    column: ScoreColumn
    card: MeasureCard
    scores: pd.DataFrame
    scene_scores: pd.DataFrame
    difference: PairedComparison
    adjusted_p: float
    family_size: int = 1

    @property
    def methods(self) -> tuple[str, str]:
        """The two methods."""
        a, b = self.scores.columns
        return str(a), str(b)

    @property
    def unit(self) -> str:
        """What is tested and counted: "picture", or "scene" where pictures share some."""
        return "picture" if len(self.scene_scores) == len(self.scores) else "scene"

    @property
    def pictures(self) -> str:
        """How many pictures there are, and of how many scenes."""
        return describe_pictures(len(self.scores), len(self.scene_scores))

    @property
    def interval(self) -> Interval:
        """The mean difference, first minus second, with its 95 % interval."""
        return self.difference.interval

    @property
    def p(self) -> float:
        """P of `benchmark.stats.compare`, two-sided, not adjusted."""
        return self.difference.p

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant in its family."""
        return self.adjusted_p <= ALPHA

    @property
    def first_is_better(self) -> bool:
        """Whether the first method has the better mean."""
        return (self.difference.mean > 0) == self.card.higher_is_better

    def __str__(self) -> str:
        a, b = self.methods
        difference = self.difference
        amount = f"{difference.mean:+.{self.card.digits}f} {self.card.unit}".rstrip()
        bounds = ""
        if self.interval.low is not None:
            low, high = self.interval.low, self.interval.high
            bounds = f" [{low:.{self.card.digits}f}, {high:.{self.card.digits}f}]"
        counts = f"{difference.wins} wins, {difference.losses} losses"
        return (
            f"{self.card.title}, {a} - {b}: {amount}{bounds} on {self.pictures}, p = "
            f"{self.p:.2g}; {counts}"
        )

    def as_record(self) -> dict[str, Any]:
        """Return everything that was computed, as columns of a table."""
        difference = self.difference
        a, b = self.methods
        return {
            **self.column._asdict(),
            "higher_is_better": self.card.higher_is_better,
            "a": a,
            "b": b,
            "n": difference.n,
            "mean_a": self.scene_scores[a].mean(),
            "mean_b": self.scene_scores[b].mean(),
            "difference": difference.mean,
            "low": difference.interval.low,
            "high": difference.interval.high,
            "interval": difference.interval.kind,
            "wins": difference.wins,
            "losses": difference.losses,
            "ties": difference.ties,
            "p": difference.p,
            "p_holm": self.adjusted_p,
            "family": self.family_size,
            "detectable": difference.detectable,
        }


class PairedCase(NamedTuple):
    """What two methods are compared by.

    Attributes:
        column, card: the measure.
        scores: one row per picture, one column for either method.
        scenes: picture -> the scene it shows.
    """

    column: ScoreColumn
    card: MeasureCard
    scores: pd.DataFrame
    scenes: Mapping[str, str]


def run_test(case: PairedCase) -> PairedTest:
    """Return the test of two methods under one measure, a family of its own."""
    [test] = run_family_tests([case])
    return test


def run_family_tests(cases: Sequence[PairedCase]) -> list[PairedTest]:
    """Return the tests of a family: the comparisons with one method under one measure. The unit is
    a scene.
    """
    scene_scores = [average_scenes(case.scores, case.scenes) for case in cases]
    differences = [
        compare(
            *scores.to_numpy().T,
            higher_is_better=case.card.higher_is_better,
            limits=case.card.difference_limits,
        )
        for case, scores in zip(cases, scene_scores, strict=True)
    ]
    adjusted = adjust_p_values([difference.p for difference in differences])
    return [
        PairedTest(case.column, case.card, case.scores, means, difference, p, len(cases))
        for case, means, difference, p in zip(
            cases, scene_scores, differences, adjusted, strict=True
        )
    ]


def family_to_frame(selection: Selection, family: Sequence[PairedTest]) -> pd.DataFrame:
    """Return one row per test with everything that was computed."""
    import pandas as pd

    keys = {"dataset": selection.dataset, "noise": str(selection.level)}
    return pd.DataFrame([{**keys, **test.as_record()} for test in family])


def compare_methods(selection: Selection, column: ScoreColumn, a: str, b: str) -> PairedTest:
    """Return the test of two methods of a selection under one measure.

    Args:
        selection: of one noise level.
        column: the measure.
        a, b: ids, or several joined by `+`; see `Selection.find_method`.

    Raises:
        UsageError: a measure that ranks nothing, a method that was not run, one named twice, or no
            picture that both have.
    """
    methods = [selection.find_method(a), selection.find_method(b)]
    if methods[0] == methods[1]:
        raise UsageError(f"a comparison needs two methods, not {a} twice")
    common = require_common_scores(selection, column, methods)
    case = PairedCase(column, selection.card(column), common.values[column], common.scenes)
    return run_test(case)


def require_common_scores(
    selection: Selection, column: ScoreColumn, methods: Sequence[str]
) -> CommonScores:
    """Return the scores to compare; raises UsageError for a measure that ranks nothing, and if
    there is no picture that all methods have.
    """
    card = selection.card(column)
    if card.warning:
        raise UsageError(f"{card.title} cannot compare methods: {card.warning}")
    common = selection.common_scores({column: methods})
    if not common.pictures:
        reasons = " ".join(note.text for note in common.left_out)
        raise UsageError(
            f"{name_compared_column(selection, column)}: no picture has a score ({column.measure}) "
            f"of all of {', '.join(methods)}. {reasons}"
        )
    return common


def name_compared_column(selection: Selection, column: ScoreColumn) -> str:
    """Return where a comparison is made, for captions and messages."""
    return f"{selection.dataset}, {column.protocol}, track {column.track}, noise {selection.level}"
