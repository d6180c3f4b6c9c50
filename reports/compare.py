"""Is a method better than another? The answer in one sentence, then the tables behind it.

Two methods are compared picture by picture under every measure of a protocol. Of more, each is
compared with the best under one measure, as the marks of `report` are. Only pictures that all of
them have take part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.api import UsageError
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import grid, paired_tests
from benchmark.reports.grid import Grid, TableCell, TableColumn
from benchmark.reports.tables import measure_heading
from benchmark.results import Results
from benchmark.results.bundles import is_bundle
from benchmark.results.comparison import (
    PairedCase,
    PairedTest,
    family_to_frame,
    name_compared_column,
    require_common_scores,
    run_family_tests,
    run_test,
)
from benchmark.results.exports import EXPORT_SUFFIXES
from benchmark.results.notes import Note, count_noun, note_texts, training_amount
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import CommonScores, ScoreColumn, Selection
from benchmark.results.summaries import name_interval_kinds
from benchmark.stats import ALPHA, count_scenes_to_show, mean_interval, rank_methods
from benchmark.store import FILE_NAME

if TYPE_CHECKING:
    import pandas as pd

_DECIMALS = 12
"""Means that are equal to so many are equal."""


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
    """Part what was named on a command line into methods and runs: run folders, bundles and
    exported files.

    A name is a run if one is there, or if it looks like a path.
    """
    runs = [name for name in names if _names_a_run(name)]
    return [name for name in names if name not in runs], [Path(name) for name in runs]


def _names_a_run(name: str) -> bool:
    path = Path(name)
    is_export = path.suffix in EXPORT_SUFFIXES and path.is_file()
    is_folder = (path / FILE_NAME).is_file() or is_bundle(path)
    return is_export or is_folder or "/" in name.partition(":")[0]


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
    gaps: Mapping[str, int] = {}
    if question.methods is None:
        methods, gaps = _leave_out_incomplete(comparison, methods)
    if len(methods) < 2:
        method_list = ", ".join(methods) or "none"
        available = ", ".join(selection.methods())
        raise UsageError(
            f"{comparison.name}: a comparison needs two methods, not {method_list}; the runs hold "
            f"{available}"
        )
    compare_methods = _compare_two if len(methods) == 2 else _compare_many
    answer = compare_methods(comparison, methods, exclusion_notes)
    if not gaps:
        return answer
    gap_texts = [f"{name} ({count_noun(count, 'picture')} missing)" for name, count in gaps.items()]
    return replace(answer, verdict=f"{answer.verdict} Left out: {', '.join(gap_texts)}.")


def _choose_methods(
    comparison: _Comparison, names: Sequence[str] | None
) -> tuple[list[str], list[Note]]:
    """Return the methods to compare, and why others of the run take no part."""
    if names is None:
        return comparison.selection.competitors(comparison.column)
    methods = [comparison.selection.find_method(name) for name in names]
    return list(dict.fromkeys(methods)), []


def _leave_out_incomplete(
    comparison: _Comparison, methods: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    """Return the methods that have a score of every picture, and how many the others lack; all of
    them where fewer than two are complete.
    """
    scores = comparison.selection.column_scores(comparison.column)
    counts = scores[scores["method"].isin(list(methods))].groupby("method")["sample"].nunique()
    run = comparison.selection.only(track=comparison.column.track, methods=methods)
    pictures = run.rows["sample"].nunique()
    gaps = {name: pictures - int(counts[name]) for name in methods if counts[name] < pictures}
    complete_methods = [name for name in methods if name not in gaps]
    return (complete_methods, gaps) if len(complete_methods) >= 2 else (list(methods), {})


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
    tests = [run_test(case) for case in cases]
    [test] = [test for test in tests if test.column == comparison.column]
    first, second = comparison.titles(methods)
    difference = f"{first} − {second}"
    notes = comparison.notes(exclusion_notes, common, methods)
    heads = ("n", first, second, difference, *paired_tests.TEST_HEADS)
    table = Grid(
        f"{first} against {second}, {comparison.name}",
        (TableColumn("measure", label=True), *map(TableColumn, heads)),
        (tuple(_measure_line(test) for test in tests),),
        (*paired_tests.explain_tests(tests), *missing, *notes),
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
        if card.warning:
            missing.append(f"{card.title} is not compared: {card.warning}")
            continue
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
    """Return one sentence; p of this measure decides."""
    difference = test.difference
    a, b = comparison.titles(test.methods)
    if difference.ties == difference.n:
        return f"{a} and {b} score the same on {test.pictures} {comparison.in_brackets}."
    wins, losses = difference.wins, difference.losses
    if not paired_tests.can_show(difference.n):
        claim = f"{a} − {b} is {_format_difference(test, 1)} on {test.pictures}"
        wins_text = _format_wins(wins, losses, difference.ties)
        return f"{claim}; {wins_text}; {_explain_too_few(test)} {comparison.in_brackets}."
    evidence = f"on {test.pictures}, {_name_p(test.p)}"
    if not test.is_significant:
        wins_text = _format_wins(wins, losses, difference.ties)
        claim = f"no difference shown: {a} − {b} is {_format_difference(test, 1)} {evidence}"
        return f"{claim}; {wins_text}{_explain_detectable(test)} {comparison.in_brackets}."
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


def _explain_too_few(test: PairedTest) -> str:
    return (
        f"too few to test: {count_noun(test.difference.n, test.unit)} can show no difference at "
        f"{100 * ALPHA:g} %, {count_scenes_to_show(1)} can"
    )


def _explain_detectable(test: PairedTest) -> str:
    """Return what the pictures could have shown, after a semicolon; nothing where unknown."""
    least = test.difference.detectable
    if least is None:
        return ""
    digits = paired_tests.difference_digits(test)
    return f"; {test.pictures} could have shown {least:.{digits}f}{_spaced_unit(test.card)}"


# Many methods
# --------------------------------------------------------------------------------------------------


def _compare_many(
    comparison: _Comparison, methods: Sequence[str], exclusion_notes: Sequence[Note]
) -> Answer:
    common = require_common_scores(comparison.selection, comparison.column, methods)
    values = common.values[comparison.column]
    scene_means = average_scenes(values, common.scenes)
    best_first = _sort_by_mean(scene_means, comparison.card)
    best = best_first[0]
    tests = run_family_tests(
        [
            PairedCase(comparison.column, comparison.card, values[[best, other]], common.scenes)
            for other in best_first[1:]
        ]
    )
    notes = comparison.notes(exclusion_notes, common, best_first)
    values = values[best_first]
    spread = values.max(axis=1) - values.min(axis=1)
    widest_first = values.loc[spread.sort_values(ascending=False, kind="stable").index]
    order = (
        "From the picture on which the methods differ most to the one on which they differ least."
    )
    titles = comparison.titles(best_first)
    return Answer(
        verdict=_state_ranking(comparison, tests),
        grids=(
            _rank_table(comparison, scene_means[best_first], tests[0].unit, notes),
            _best_table(comparison, tests, notes),
        ),
        pictures=_picture_table(comparison, titles, widest_first, (order, *notes)),
        numbers=family_to_frame(comparison.selection, tests),
        scores=widest_first.reset_index(),
    )


def _sort_by_mean(scene_means: pd.DataFrame, card: MeasureCard) -> list[str]:
    """Return the methods, the best mean first; equal means by name."""
    means = scene_means.mean().round(_DECIMALS).sort_index()
    best_first = means.sort_values(ascending=not card.higher_is_better, kind="stable")
    return [str(name) for name in best_first.index]


def _state_ranking(comparison: _Comparison, tests: Sequence[PairedTest]) -> str:
    """Return one sentence: which methods share the best mean, and what it is better than, by the
    tests of all others against it.
    """
    best = tests[0].methods[0]
    means = tests[0].scene_scores[best]
    equals = [test.methods[1] for test in tests if abs(test.difference.mean) < 10**-_DECIMALS]
    sharers = comparison.titles([best, *equals])
    verb = "share" if equals else "has"
    digits = comparison.card.digits
    amount = f"{means.mean():.{digits}f}{_spaced_unit(comparison.card)}"
    claim = (
        f"{_join_names(sharers)} {verb} the best mean of {len(tests) + 1} methods, {amount}, on "
        f"{tests[0].pictures}"
    )
    return f"{claim}; {_state_tests(comparison, tests, equals)} {comparison.in_brackets}."


def _state_tests(
    comparison: _Comparison, tests: Sequence[PairedTest], equals: Sequence[str]
) -> str:
    """Return what the best is shown to be better than."""
    n = tests[0].difference.n
    needed = count_scenes_to_show(len(tests))
    if n < needed:
        return (
            f"too few to test: {count_noun(n, tests[0].unit)} can show no difference between "
            f"{len(tests) + 1} methods at {100 * ALPHA:g} %, {needed} can"
        )
    inferior = [test.methods[1] for test in tests if test.is_significant]
    others = [test.methods[1] for test in tests if test.methods[1] not in equals]
    undecided = [name for name in others if name not in inferior]
    if not inferior:
        return "no difference to any other is shown"
    if not undecided:
        return "every other one is shown to be worse"
    return (
        f"shown to be worse: {', '.join(comparison.titles(inferior))}; not to be told from it: "
        f"{', '.join(comparison.titles(undecided))}"
    )


def _join_names(names: Sequence[str]) -> str:
    """Return names as a sentence has them: "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _rank_table(
    comparison: _Comparison, scene_means: pd.DataFrame, unit: str, notes: Sequence[str]
) -> Grid:
    card = comparison.card
    ranks = rank_methods(scene_means.to_numpy(), higher_is_better=card.higher_is_better)
    intervals = {
        str(name): mean_interval(scores.to_numpy(), limits=card.limits)
        for name, scores in scene_means.items()
    }
    cards = comparison.selection.method_cards()
    amounts = {name: training_amount(cards.get(name)) for name in intervals}
    has_amounts = len(set(filter(None, amounts.values()))) > 1
    lines = [
        (
            TableCell(comparison.title(name)),
            *([TableCell(amounts[name] or "–")] if has_amounts else []),
            TableCell(paired_tests.format_interval(interval, card.digits)),
            TableCell(f"{rank:.2f}"),
        )
        for (name, interval), rank in zip(intervals.items(), ranks, strict=True)
    ]
    return Grid(
        f"{len(lines)} methods, {comparison.name}",
        (
            TableColumn("method", label=True),
            *([TableColumn("trained for", label=True)] if has_amounts else []),
            TableColumn(measure_heading(card)),
            TableColumn("mean rank"),
        ),
        (tuple(lines),),
        (
            f"Mean over {unit}s{name_interval_kinds(intervals.values())}; rank 1 is the best on a "
            f"{unit}. The interval is of a mean, whose {unit}s are easier and harder: it does not "
            "tell methods apart, the differences do.",
            *notes,
        ),
    )


def _best_table(comparison: _Comparison, tests: Sequence[PairedTest], notes: Sequence[str]) -> Grid:
    lines = []
    for test in tests:
        names = (*comparison.titles(test.methods), str(test.difference.n))
        lines.append((*map(TableCell, names), *paired_tests.format_test(test, in_family=True)))
    heads = ("n", "best − other", *paired_tests.FAMILY_HEADS)
    return Grid(
        f"Differences from the best, {comparison.name}",
        (
            TableColumn("best", label=True),
            TableColumn("other", label=True),
            *map(TableColumn, heads),
        ),
        (tuple(lines),),
        (*paired_tests.explain_tests(tests, in_family=True), *notes),
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
