"""Is a method better than another? The answer in one sentence, then the tables behind it.

Two methods are compared picture by picture under every measure of a protocol; more are ranked, and
compared in pairs. Only pictures that all of them have take part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.api import UsageError
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import grid, paired_tests
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.tables import measure_heading
from benchmark.results import Results
from benchmark.results.comparison import (
    PairedCase,
    PairedTest,
    family_to_frame,
    name_compared_column,
    require_common_scores,
    run_family_tests,
)
from benchmark.results.exports import EXPORT_SUFFIXES
from benchmark.results.notes import Note, count_noun, note_texts
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import CommonScores, ScoreColumn, Selection
from benchmark.results.significance import Mark
from benchmark.stats import ALPHA, MethodRanks, mean_interval, rank_methods
from benchmark.store import FILE_NAME

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person wants to know.

    Attributes:
        methods: ids, two or more; None for all that saw neither the truth nor the noise level.
        dataset: id; None for the only one that the runs hold.
        noise: level as tables print it; None for the lowest.
        protocol, track, measure: ids; None for `canonical` or the first protocol, and there the
            first of all.
    """

    methods: Sequence[str] | None
    dataset: str | None = None
    noise: str | None = None
    protocol: str | None = None
    track: str | None = None
    measure: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A comparison.

    Attributes:
        verdict: one plain sentence.
        grids: the tables behind it.
        pictures: the scores of every picture, the most telling first.
        numbers: the tests as columns of numbers, for CSV.
        scores: the scores of every picture as numbers, for CSV.
    """

    verdict: str
    grids: tuple[Grid, ...]
    pictures: Grid
    numbers: pd.DataFrame
    scores: pd.DataFrame

    def all_grids(self, pictures: bool) -> tuple[Grid, ...]:
        """Return the tables, with the list of pictures or without."""
        return (*self.grids, self.pictures) if pictures else self.grids


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Where methods are compared: a selection of one noise level, and a column of it."""

    selection: Selection
    column: ScoreColumn

    @property
    def card(self) -> MeasureCard:
        return self.selection.card(self.column)

    @property
    def name(self) -> str:
        """For captions."""
        return name_compared_column(self.selection, self.column)

    @property
    def in_brackets(self) -> str:
        """For sentences."""
        return f"({self.card.title}, protocol {self.column.protocol})"

    def title(self, method: str) -> str:
        """Return a method with its symbols."""
        return self.selection.title(method)

    def titles(self, methods: Iterable[str]) -> list[str]:
        """Return methods with their symbols."""
        return [self.title(method) for method in methods]

    def notes(
        self, exclusion_notes: Sequence[Note], common: CommonScores, methods: Sequence[str]
    ) -> list[str]:
        """Return what stands under every table of a comparison."""
        facts = self.selection.describe([self.column], methods, common.pictures)
        return note_texts([*exclusion_notes, *common.left_out, *facts])


def split_names(names: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Part what was named on a command line into methods and runs: run folders and exported files.

    A name is a run if one is there, or if it looks like a path.
    """
    runs = [name for name in names if _names_a_run(name)]
    return [name for name in names if name not in runs], [Path(name) for name in runs]


def _names_a_run(name: str) -> bool:
    path = Path(name)
    is_export = path.suffix in EXPORT_SUFFIXES and path.is_file()
    return is_export or (path / FILE_NAME).is_file() or "/" in name.partition(":")[0]


def answer_question(results: Results, question: Question) -> Answer:
    """Compare methods of runs.

    Args:
        results: the runs.
        question: what to compare, and where.

    Raises:
        UsageError: fewer than two methods, something that the runs do not hold, or no picture that
            all methods have.
    """
    selection = results.select(question.dataset, question.noise)
    column = selection.column(question.protocol, question.track, question.measure)
    comparison = _Comparison(selection, column)
    methods, exclusion_notes = _choose_methods(comparison, question.methods)
    if len(methods) < 2:
        method_list = ", ".join(methods) or "none"
        available = ", ".join(selection.methods())
        raise UsageError(
            f"{comparison.name}: a comparison needs two methods, not {method_list}; the runs hold "
            f"{available}"
        )
    if len(methods) == 2:
        return _compare_two(comparison, methods, exclusion_notes)
    return _compare_many(comparison, methods, exclusion_notes)


def _choose_methods(
    comparison: _Comparison, names: Sequence[str] | None
) -> tuple[list[str], list[Note]]:
    """Return the methods to compare, and why others of the run take no part."""
    if names is None:
        return comparison.selection.competitors(comparison.column)
    methods = [comparison.selection.find_method(name) for name in names]
    return list(dict.fromkeys(methods)), []


def format_answer(
    answer: Answer, form: Literal["markdown", "csv"], *, pictures: bool = False
) -> str:
    """Return a comparison as text.

    Args:
        answer: the comparison.
        form: `markdown`: sentence and tables; `csv`: the numbers alone.
        pictures: add the list of pictures; in CSV it takes the place of the tests.
    """
    if form == "csv":
        return (answer.scores if pictures else answer.numbers).to_csv(index=False)
    tables = grid.format_grids(answer.all_grids(pictures), "markdown")
    return f"{grid.escape_markdown(answer.verdict)}\n\n{tables}"


# Two methods
# --------------------------------------------------------------------------------------------------


def _compare_two(
    comparison: _Comparison, methods: Sequence[str], exclusion_notes: Sequence[Note]
) -> Answer:
    a, b = methods
    common = require_common_scores(comparison.selection, comparison.column, methods)
    cases, missing = _collect_cases(comparison, methods)
    tests = run_family_tests(cases)
    [test] = [test for test in tests if test.column == comparison.column]
    first, second = comparison.titles(methods)
    difference = f"{first} − {second}"
    notes = comparison.notes(exclusion_notes, common, methods)
    heads = ("n", first, second, difference, *paired_tests.TEST_HEADS)
    table = Grid(
        f"{first} against {second}, {comparison.name}",
        (TableColumn("measure", label=True), *map(TableColumn, heads)),
        (tuple(_measure_line(test) for test in tests),),
        (*paired_tests.explain_tests(tests, "measures"), *missing, *notes),
    )
    scores = test.scores.assign(difference=test.scores[a] - test.scores[b])
    scores_best_first = scores.sort_values(
        "difference", ascending=not test.card.higher_is_better, kind="stable"
    )
    order = f"From the picture on which {first} is furthest ahead to the one on which {second} is."
    return Answer(
        verdict=_state_verdict(comparison, test),
        grids=(table,),
        pictures=_picture_table(
            comparison, (first, second, difference), scores_best_first, (order, *notes)
        ),
        numbers=family_to_frame(comparison.selection, tests),
        scores=scores_best_first.reset_index(),
    )


def _collect_cases(
    comparison: _Comparison, methods: Sequence[str]
) -> tuple[list[PairedCase], list[str]]:
    """Return the measures of the protocol with the scores of two methods, and why some measures
    have none.
    """
    cases: list[PairedCase] = []
    missing: list[str] = []
    for key in comparison.selection.measures(comparison.column.protocol):
        column = comparison.column._replace(measure=key)
        card = comparison.selection.card(column)
        common = comparison.selection.common_scores({column: methods})
        if common.pictures:
            cases.append(PairedCase(column, card, common.values[column], common.scenes))
        else:
            missing.append(f"{card.title}: {' '.join(note_texts(common.left_out))}")
    return cases, missing


def _measure_line(test: PairedTest) -> grid.TableLine:
    means = [f"{test.scene_scores[name].mean():.{test.card.digits}f}" for name in test.methods]
    heads = (measure_heading(test.card), str(test.difference.n), *means)
    return (*map(TableCell, heads), *paired_tests.format_test(test))


def _state_verdict(comparison: _Comparison, test: PairedTest) -> str:
    """Return one sentence; a difference counts as shown by the sign-flip test of this measure
    alone.
    """
    difference = test.difference
    a, b = comparison.titles(test.methods)
    if difference.ties == difference.n:
        return f"{a} and {b} score the same on {test.pictures} {comparison.in_brackets}."
    evidence = f"on {test.pictures}, {_name_p(difference.sign_flip)}"
    wins, losses = difference.wins, difference.losses
    if difference.sign_flip > ALPHA:
        wins_text = _format_wins(wins, losses, difference.ties)
        claim = f"no difference shown: {a} − {b} is {_format_difference(test, 1)} {evidence}"
        return f"{claim}; {wins_text}; {_explain_power(test)} {comparison.in_brackets}."
    amount = _format_difference(test, 1 if difference.mean > 0 else -1)
    if test.first_is_better:
        claim = f"{a} is better than {b} by {amount} {evidence}"
        return f"{claim}; {_format_wins(wins, losses, difference.ties)} {comparison.in_brackets}."
    claim = f"{b} is better than {a} by {amount} {evidence}"
    return f"{claim}; {_format_wins(losses, wins, difference.ties)} {comparison.in_brackets}."


def _format_wins(wins: int, losses: int, ties: int) -> str:
    counts = [count_noun(wins, "win"), count_noun(losses, "loss", "losses")]
    if ties:
        counts.append(count_noun(ties, "tie"))
    return ", ".join(counts)


def _format_difference(test: PairedTest, sign: Literal[1, -1]) -> str:
    """Return `sign` times the difference with unit and interval."""
    interval = test.difference.interval
    digits = paired_tests.difference_digits(test)
    text = f"{sign * interval.mean:z.{digits}f}{_spaced_unit(test.card)}"
    if interval.low is None or interval.high is None:
        return text
    low, high = sorted((sign * interval.low, sign * interval.high))
    return f"{text} [{low:z.{digits}f}, {high:z.{digits}f}]"


def _explain_power(test: PairedTest) -> str:
    """Return what the pictures could have shown."""
    least = paired_tests.smallest_detectable(test.difference)
    if least is None:
        p = paired_tests.format_p(paired_tests.least_p(test.difference.n))
        return f"so few {test.unit}s cannot show any at {100 * ALPHA:g} %, as no p is less than {p}"
    digits = paired_tests.difference_digits(test)
    return f"{test.pictures} could have shown {least:.{digits}f}{_spaced_unit(test.card)}"


# Many methods
# --------------------------------------------------------------------------------------------------


def _compare_many(
    comparison: _Comparison, methods: Sequence[str], exclusion_notes: Sequence[Note]
) -> Answer:
    common = require_common_scores(comparison.selection, comparison.column, methods)
    values = common.values[comparison.column]
    scene_means = average_scenes(values, common.scenes)
    if len(scene_means) < 2:
        reasons = " ".join(note_texts(common.left_out))
        raise UsageError(
            f"{comparison.selection.dataset}: ranks need pictures of two scenes that all have. "
            f"{reasons}"
        )
    test = rank_methods(scene_means.to_numpy(), higher_is_better=comparison.card.higher_is_better)
    ranked = sorted(zip(methods, test.mean_ranks, strict=True), key=lambda pair: pair[::-1])
    ranks = dict(ranked)
    values = values[list(ranks)]
    pairs = combinations(ranks, 2)
    tests = run_family_tests(
        [
            PairedCase(comparison.column, comparison.card, values[list(pair)], common.scenes)
            for pair in pairs
        ]
    )
    notes = comparison.notes(exclusion_notes, common, list(ranks))
    spread = values.max(axis=1) - values.min(axis=1)
    widest_first = values.loc[spread.sort_values(ascending=False, kind="stable").index]
    order = (
        "From the picture on which the methods differ most to the one on which they differ least."
    )
    titles = comparison.titles(ranks)
    return Answer(
        verdict=_state_ranking(comparison, ranks, test, tests),
        grids=(
            _rank_table(comparison, scene_means, ranks, test, tests[0].unit, notes),
            _pair_table(comparison, tests, notes),
        ),
        pictures=_picture_table(comparison, titles, widest_first, (order, *notes)),
        numbers=family_to_frame(comparison.selection, tests),
        scores=widest_first.reset_index(),
    )


def _state_ranking(
    comparison: _Comparison,
    ranks: Mapping[str, float],
    test: MethodRanks,
    pairs: Sequence[PairedTest],
) -> str:
    """Return one sentence; what the method of the best mean rank is better than is told by the
    tests in pairs.
    """
    evidence = f"on {pairs[0].pictures} (Friedman, {_name_p(test.p)})"
    if test.p > ALPHA:
        return f"no difference shown between {test.k} methods {evidence} {comparison.in_brackets}."
    first = next(iter(ranks))
    others = [pair for pair in pairs if pair.methods[0] == first]
    undecided = [pair.methods[1] for pair in others if not _is_first_shown_better(pair)]
    if len(undecided) == len(others):
        inferior_methods = "none of the others"
    elif undecided:
        inferior_methods = f"every other one but {', '.join(comparison.titles(undecided))}"
    else:
        inferior_methods = "every other one"
    rank = (
        f"{comparison.title(first)} has the best mean rank of {test.k} methods, "
        f"{ranks[first]:.2f}, {evidence}"
    )
    return f"{rank}; in paired tests it is better than {inferior_methods} {comparison.in_brackets}."


def _is_first_shown_better(test: PairedTest) -> bool:
    """Return whether the first method is shown to be better than the second."""
    return test.is_significant and test.first_is_better


def _rank_table(
    comparison: _Comparison,
    scene_means: pd.DataFrame,
    ranks: Mapping[str, float],
    test: MethodRanks,
    unit: str,
    notes: Sequence[str],
) -> Grid:
    intervals = {name: mean_interval(scene_means[name].to_numpy()) for name in ranks}
    kinds = paired_tests.name_interval_kinds(intervals.values())
    best = min(ranks.values())
    lines = []
    for name, rank in ranks.items():
        is_near = rank - best <= test.critical_difference
        mean = paired_tests.format_interval(intervals[name], comparison.card.digits)
        rank_cell = TableCell(f"{rank:.2f}", Mark.near_best if is_near else None)
        lines.append((TableCell(comparison.title(name)), rank_cell, TableCell(mean)))
    return Grid(
        f"{test.k} methods ranked, {comparison.name}",
        (
            TableColumn("method", label=True),
            TableColumn("mean rank"),
            TableColumn(measure_heading(comparison.card)),
        ),
        (tuple(lines),),
        (
            f"Mean over {unit}s{kinds}; rank 1 is the best on a {unit}.",
            f"Friedman: chi-squared {test.statistic:.2f}, {_name_p(test.p)}. Critical difference "
            f"of mean ranks {test.critical_difference:.2f} (Nemenyi, 5 %); bold: the best, and "
            "those within it. Ranks ignore how large differences are, so tests in pairs may show "
            "more.",
            *notes,
        ),
    )


def _pair_table(comparison: _Comparison, tests: Sequence[PairedTest], notes: Sequence[str]) -> Grid:
    lines = []
    for test in tests:
        names = (*comparison.titles(test.methods), str(test.difference.n))
        lines.append((*map(TableCell, names), *paired_tests.format_test(test)))
    heads = ("n", "a − b", *paired_tests.TEST_HEADS)
    return Grid(
        f"Differences in pairs, {comparison.name}",
        (
            TableColumn("a", label=True),
            TableColumn("b", label=True),
            *map(TableColumn, heads),
        ),
        (tuple(lines),),
        (*paired_tests.explain_tests(tests, "pairs"), *notes),
    )


# What both share
# --------------------------------------------------------------------------------------------------


def _picture_table(
    comparison: _Comparison, titles: Sequence[str], scores: pd.DataFrame, notes: Sequence[str]
) -> Grid:
    digits = comparison.card.digits + 1
    lines = []
    for picture, *values in scores.itertuples():
        lines.append([str(picture), *(f"{value:z.{digits}f}" for value in values)])
    return grid.grid_from_texts(
        f"{measure_heading(comparison.card)} of every picture, {comparison.name}",
        (TableColumn("picture", label=True), *map(TableColumn, titles)),
        lines,
        notes,
    )


def _spaced_unit(card: MeasureCard) -> str:
    return f" {card.unit}" if card.unit else ""


def _name_p(p: float) -> str:
    text = paired_tests.format_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
