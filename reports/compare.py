"""Is a method better than another? The answer in one sentence, then the tables behind it.

Two methods are compared picture by picture under every measure of a protocol; more are ranked, and
compared in pairs. Only pictures that all of them have take part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.api import UsageError
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports import grid, paired_tests, tables
from benchmark.reports.grid import Grid, TableCell
from benchmark.reports.grid import TableColumn as Head
from benchmark.reports.paired_tests import Test
from benchmark.reports.selection import Column, Ground, Shared, counted
from benchmark.stats import ALPHA, MethodRanks, mean_interval, rank_methods
from benchmark.store import FILE_NAME, Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
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

    def shown(self, pictures: bool) -> tuple[Grid, ...]:
        """Return the tables, with the list of pictures or without."""
        return (*self.grids, self.pictures) if pictures else self.grids


def split(names: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Part what was named on a command line into methods and run folders.

    A name is a folder if a run is in it, or if it looks like a path.
    """
    folders = [
        name
        for name in names
        if (Path(name) / FILE_NAME).is_file() or "/" in name.partition(":")[0]
    ]
    return [name for name in names if name not in folders], [Path(name) for name in folders]


def answer(stores: Sequence[Store], asked: Asked) -> Answer:
    """Compare methods of runs.

    Args:
        stores: the runs; of what several hold, the last one's counts.
        asked: what to compare, and where.

    Raises:
        UsageError: fewer than two methods, something that the runs do not hold, or no picture that
            all methods have.
    """
    ground = Ground(stores, asked.dataset, asked.noise)
    column = ground.column(asked.protocol, asked.track, asked.measure)
    methods, notes = _compared(ground, column, asked.methods)
    if len(methods) < 2:
        held, named = ", ".join(ground.methods()), ", ".join(methods) or "none"
        raise UsageError(
            f"{_place(ground, column)}: a comparison needs two methods, not {named}; the runs "
            f"hold {held}"
        )
    return (_pair if len(methods) == 2 else _many)(ground, column, methods, notes)


def _compared(
    ground: Ground, column: Column, asked: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the methods to compare, and why others of the run take no part."""
    if asked is not None:
        return list(dict.fromkeys(map(ground.named, asked))), []
    return ground.competitors(column)


def write(found: Answer, form: Literal["markdown", "csv"], *, pictures: bool = False) -> str:
    """Return a comparison as text.

    Args:
        found: the comparison.
        form: `markdown`: sentence and tables; `csv`: the numbers alone.
        pictures: add the list of pictures; in CSV it takes the place of the tests.
    """
    if form == "csv":
        return (found.scores if pictures else found.numbers).to_csv(index=False)
    tables = grid.format_grids(found.shown(pictures), "markdown")
    return f"{grid.escape_markdown(found.verdict)}\n\n{tables}"


# Two methods
# --------------------------------------------------------------------------------------------------


def _pair(ground: Ground, column: Column, methods: Sequence[str], notes: Sequence[str]) -> Answer:
    a, b = methods
    shared = _shared(ground, column, methods)
    cases, missing = _under_all_measures(ground, column, methods)
    tests = paired_tests.tests(cases)
    [test] = [test for test in tests if test.column == column]
    first, second = _title(ground, a), _title(ground, b)
    about = (*notes, *shared.left_out, *ground.about([column], methods, shared.pictures))
    table = Grid(
        f"{first} against {second}, {_place(ground, column)}",
        (
            Head("measure", label=True),
            *map(Head, ("n", first, second, f"{first} − {second}", *paired_tests.HEADS)),
        ),
        (tuple(_measure_line(test) for test in tests),),
        (*paired_tests.legend(tests, "measures"), *missing, *about),
    )
    scores = test.scores.assign(difference=test.scores[a] - test.scores[b])
    best_first = scores.sort_values(
        "difference", ascending=not test.card.higher_is_better, kind="stable"
    )
    titles = (first, second, f"{first} − {second}")
    order = f"From the picture on which {first} is furthest ahead to the one on which {second} is."
    return Answer(
        _verdict(ground, test),
        (table,),
        _pictures(ground, column, titles, best_first, (order, *about)),
        paired_tests.numbers(ground, tests),
        best_first.reset_index(),
    )


def _under_all_measures(
    ground: Ground, column: Column, methods: Sequence[str]
) -> tuple[list[tuple[Column, MeasureCard, pd.DataFrame]], list[str]]:
    """Return the measures of the protocol with the scores of two methods, and why some measures
    have none.
    """
    cases, missing = [], []
    for key, card in ground.measures(column.protocol).items():
        other = column._replace(measure=key)
        shared = ground.shared({other: methods})
        if shared.pictures:
            cases.append((other, card, shared.values[other]))
        else:
            missing.append(f"{card.title}: {' '.join(shared.left_out)}")
    return cases, missing


def _measure_line(test: Test) -> grid.TableLine:
    means = [f"{test.scores[name].mean():.{test.card.digits}f}" for name in test.names]
    heads = (tables.heading(test.card), str(test.found.n), *means)
    return (*map(TableCell, heads), *paired_tests.cells(test))


def _verdict(ground: Ground, test: Test) -> str:
    """Return one sentence; a difference counts as shown by the sign-flip test of this measure
    alone.
    """
    found, where = test.found, _where(ground, test.column)
    a, b = (_title(ground, name) for name in test.names)
    pictures = counted(found.n, "picture")
    if found.ties == found.n:
        return f"{a} and {b} score the same on {pictures} {where}."
    evidence = f"on {pictures}, {_p(found.sign_flip)}"
    if found.sign_flip > ALPHA:
        tally = _tally(found.wins, found.losses, found.ties)
        return (
            f"no difference shown: {a} − {b} is {_amount(test, 1)} {evidence}; {tally}; "
            f"{_power(test)} {where}."
        )
    if (found.mean > 0) == test.card.higher_is_better:
        better, worse, tally = a, b, _tally(found.wins, found.losses, found.ties)
    else:
        better, worse, tally = b, a, _tally(found.losses, found.wins, found.ties)
    amount = _amount(test, 1 if found.mean > 0 else -1)
    return f"{better} is better than {worse} by {amount} {evidence}; {tally} {where}."


def _tally(wins: int, losses: int, ties: int) -> str:
    counts = [
        counted(wins, "win"),
        counted(losses, "loss", "losses"),
        *([counted(ties, "tie")] if ties else []),
    ]
    return ", ".join(counts)


def _amount(test: Test, sign: Literal[1, -1]) -> str:
    """Return `sign` times the difference with unit and interval."""
    found, digits = test.found.interval, paired_tests.digits_of(test)
    text = f"{sign * found.mean:z.{digits}f}{_unit(test.card)}"
    if found.low is None or found.high is None:
        return text
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{text} [{low:z.{digits}f}, {high:z.{digits}f}]"


def _power(test: Test) -> str:
    """Return what the pictures could have shown."""
    n, least = test.found.n, paired_tests.could_show(test.found)
    if least is None:
        p = paired_tests.p_value(paired_tests.least_p(n))
        return f"so few pictures cannot show any at {100 * ALPHA:g} %, as no p is less than {p}"
    return (
        f"{n} pictures could have shown {least:.{paired_tests.digits_of(test)}f}{_unit(test.card)}"
    )


# Many methods
# --------------------------------------------------------------------------------------------------


def _many(ground: Ground, column: Column, methods: Sequence[str], notes: Sequence[str]) -> Answer:
    shared = _shared(ground, column, methods)
    card, values = ground.card(column), shared.values[column]
    if len(values) < 2:
        raise UsageError(
            f"{ground.dataset}: ranks need two pictures that all have. {' '.join(shared.left_out)}"
        )
    found = rank_methods(values.to_numpy(), higher_is_better=card.higher_is_better)
    ranks = dict(
        sorted(zip(methods, found.mean_ranks, strict=True), key=lambda item: (item[1], item[0]))
    )
    values = values[list(ranks)]
    tests = paired_tests.tests(
        [(column, card, values[list(two)]) for two in combinations(ranks, 2)]
    )
    about = (*notes, *shared.left_out, *ground.about([column], list(ranks), shared.pictures))
    spread = values.max(axis=1) - values.min(axis=1)
    widest_first = values.loc[spread.sort_values(ascending=False, kind="stable").index]
    titles = [_title(ground, name) for name in ranks]
    order = (
        "From the picture on which the methods differ most to the one on which they differ least."
    )
    return Answer(
        _ranking(ground, column, ranks, found, tests),
        (
            _rank_table(ground, column, values, ranks, found, about),
            _pair_table(ground, column, tests, about),
        ),
        _pictures(ground, column, titles, widest_first, (order, *about)),
        paired_tests.numbers(ground, tests),
        widest_first.reset_index(),
    )


def _ranking(
    ground: Ground,
    column: Column,
    ranks: Mapping[str, float],
    found: MethodRanks,
    tests: Sequence[Test],
) -> str:
    """Return one sentence; what the method of the best mean rank is better than is told by the
    tests in pairs.
    """
    where = _where(ground, column)
    evidence = f"on {found.n} pictures (Friedman, {_p(found.p)})"
    if found.p > ALPHA:
        return f"no difference shown between {found.k} methods {evidence} {where}."
    first = next(iter(ranks))
    others = [test for test in tests if test.names[0] == first]
    not_shown = [_title(ground, test.names[1]) for test in others if not _won(test)]
    if len(not_shown) == len(others):
        shown = "none of the others"
    else:
        shown = "every other one" + (f" but {', '.join(not_shown)}" if not_shown else "")
    rank = (
        f"{_title(ground, first)} has the best mean rank of {found.k} methods, "
        f"{ranks[first]:.2f}, {evidence}"
    )
    return f"{rank}; in paired tests it is better than {shown} {where}."


def _won(test: Test) -> bool:
    """Return whether the first method is shown to be better than the second."""
    return test.adjusted <= ALPHA and (test.found.mean > 0) == test.card.higher_is_better


def _rank_table(
    ground: Ground,
    column: Column,
    values: pd.DataFrame,
    ranks: Mapping[str, float],
    found: MethodRanks,
    about: Sequence[str],
) -> Grid:
    card = ground.card(column)
    intervals = {name: mean_interval(values[name].to_numpy()) for name in ranks}
    best = min(ranks.values())
    lines = []
    for name, rank in ranks.items():
        near = rank - best <= found.critical_difference
        mean = paired_tests.interval(intervals[name], card.digits)
        lines.append(
            (
                TableCell(_title(ground, name)),
                TableCell(f"{rank:.2f}", "best" if near else None),
                TableCell(mean),
            )
        )
    return Grid(
        f"{found.k} methods ranked, {_place(ground, column)}",
        (Head("method", label=True), Head("mean rank"), Head(tables.heading(card))),
        (tuple(lines),),
        (
            f"Mean over pictures{paired_tests.kinds(intervals.values())}; rank 1 is the best on a "
            f"picture.",
            f"Friedman: chi-squared {found.statistic:.2f}, {_p(found.p)}. Critical difference of "
            f"mean ranks "
            f"{found.critical_difference:.2f} (Nemenyi, 5 %); bold: the best, and those within "
            f"it. Ranks ignore how "
            "large differences are, so tests in pairs may show more.",
            *about,
        ),
    )


def _pair_table(
    ground: Ground, column: Column, tests: Sequence[Test], about: Sequence[str]
) -> Grid:
    lines = [
        (
            *(TableCell(_title(ground, name)) for name in test.names),
            TableCell(str(test.found.n)),
            *paired_tests.cells(test),
        )
        for test in tests
    ]
    return Grid(
        f"Differences in pairs, {_place(ground, column)}",
        (
            Head("a", label=True),
            Head("b", label=True),
            *map(Head, ("n", "a − b", *paired_tests.HEADS)),
        ),
        (tuple(lines),),
        (*paired_tests.legend(tests, "pairs"), *about),
    )


# What both share
# --------------------------------------------------------------------------------------------------


def _shared(ground: Ground, column: Column, methods: Sequence[str]) -> Shared:
    """Return the scores to compare; raises UsageError if there is no picture that all
    methods have.
    """
    shared = ground.shared({column: methods})
    if not shared.pictures:
        raise UsageError(
            f"{_place(ground, column)}: no picture has a score ({column.measure}) of all of "
            f"{', '.join(methods)}. " + " ".join(shared.left_out)
        )
    return shared


def _pictures(
    ground: Ground,
    column: Column,
    titles: Sequence[str],
    scores: pd.DataFrame,
    notes: Sequence[str],
) -> Grid:
    card = ground.card(column)
    return grid.grid_from_texts(
        f"{tables.heading(card)} of every picture, {_place(ground, column)}",
        (Head("picture", label=True), *map(Head, titles)),
        (
            [str(row[0]), *(f"{value:z.{card.digits + 1}f}" for value in row[1:])]
            for row in scores.itertuples()
        ),
        notes,
    )


def _place(ground: Ground, column: Column) -> str:
    return f"{ground.dataset}, {column.protocol}, track {column.track}, noise {ground.level}"


def _where(ground: Ground, column: Column) -> str:
    return f"({ground.card(column).title}, protocol {column.protocol})"


def _title(ground: Ground, method: str) -> str:
    return method + ground.marks(method)


def _unit(card: MeasureCard) -> str:
    return f" {card.unit}" if card.unit else ""


def _p(p: float) -> str:
    text = paired_tests.p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
