"""The main table: methods ranked by their gain over the input, with the interval of the pairs.

The difficulty of pictures makes the intervals of plain means overlap and says nothing about
methods. So each is compared with the unprocessed input of the same scenes. A gain is positive where
the method is better than the input, also for measures of which less is better.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from benchmark.api import UsageError
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.reports import grid, harm
from benchmark.reports.grid import Grid, TableCell, TableColumn, TableLine
from benchmark.results.notes import Note, describe_pictures
from benchmark.results.significance import INPUT, Mark
from benchmark.results.summaries import Row, Summary, select_compared_scores
from benchmark.stats import PairedComparison, compare

if TYPE_CHECKING:
    import pandas as pd

GAIN = "gain"
METHOD = "method"
_MEASURES = 3
"""How many measures a table has beside the gain; three fit into 80 columns."""
_MAIN_NOTES = frozenset(
    {
        "pictures",
        "views",
        "parts",
        "marks",
        "budgets",
        "generator",
        "unscored",
        "symbols",
        "weights",
        "failure",
    }
)
"""Kinds of notes that stand under the table; `report.md` and the wide table have all."""


_MEGAPIXELS = re.compile(r"([\d.]+) megapixels")


@dataclasses.dataclass(frozen=True, slots=True)
class TableOptions:
    """What the main table shows.

    Attributes:
        measure: key of the measure whose gain ranks the methods; None for the protocol's first.
        methods: ids of the methods that are shown; None for all. Ranks are among these.
        levels: noise levels that are shown; None for all.
        sort: "gain", "method", or the key of a measure: what the lines are in order of.
        has_intervals: whether gains have theirs.
        is_plain: whether marks are shown by `*`, where there is no bold.
    """

    measure: str | None = None
    methods: tuple[str, ...] | None = None
    levels: tuple[Noise, ...] | None = None
    sort: str = GAIN
    has_intervals: bool = True
    is_plain: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _RankedMethod:
    """A method of the table: its row, and what it gains; None for the input, or where unknown."""

    row: Row
    gain: PairedComparison | None


def format_ranked_summaries(
    summaries: Sequence[Summary],
    form: grid.Format,
    options: TableOptions | None = None,
    all_summaries: Sequence[Summary] | None = None,
) -> str:
    """Return summaries as main tables in one text; CSV holds the numbers of them all in one table.

    Args:
        summaries: what is shown.
        form: how.
        options: what of it.
        all_summaries: of the same runs, where lines about harm are looked up; None for those shown.

    Raises:
        UsageError: a measure, a method or an order that no summary has.
    """
    options = options or TableOptions()
    all_summaries = summaries if all_summaries is None else all_summaries
    summaries = select_summaries(summaries, options)
    if form == "csv":
        return ranked_summaries_to_frame(summaries, options).to_csv(index=False)
    grids = [
        table
        for item in summaries
        for table in summary_to_ranked_grids(item, options, all_summaries)
    ]
    return grid.format_grids(grids, form)


def ranked_summaries_to_frame(
    summaries: Sequence[Summary], options: TableOptions | None = None
) -> pd.DataFrame:
    """Return main tables as numbers: a row per method and noise level; bounds of gains and means
    have columns of their own.
    """
    import pandas as pd

    options = options or TableOptions()
    records: list[dict[str, object]] = []
    for summary in summaries:
        measure = _choose_measure(summary, options)
        for level, lines in _list_blocks(summary, measure, options):
            places = _number_lines(lines, measure, summary)
            block = {
                "dataset": summary.dataset,
                "protocol": summary.protocol,
                "track": summary.track,
                "noise": str(level),
            }
            records += [
                {
                    **block,
                    "rank": places.get(line.row.method),
                    "method": line.row.method,
                    "trained": summary.amounts.get(line.row.method, ""),
                    "measure": measure,
                    **_record_gain(line.gain),
                    **_record_means(line.row, summary),
                }
                for line in lines
            ]
    return pd.DataFrame(records).astype({"rank": "Int64"}) if records else pd.DataFrame()


def _record_gain(gain: PairedComparison | None) -> dict[str, object]:
    if gain is None:
        return dict.fromkeys(("gain", "low", "high", "p", "wins", "n"))
    interval = gain.interval
    return {
        "gain": gain.mean,
        "low": interval.low,
        "high": interval.high,
        "p": gain.p,
        "wins": gain.wins,
        "n": gain.n,
    }


def _record_means(row: Row, summary: Summary) -> dict[str, object]:
    entries = {key: row.entries[key].interval for key in summary.measures}
    return {key: None if entry is None else entry.mean for key, entry in entries.items()}


def summary_to_ranked_grids(
    summary: Summary,
    options: TableOptions | None = None,
    all_summaries: Sequence[Summary] = (),
) -> tuple[Grid, ...]:
    """Return a summary that has what the options name as main tables, one for each noise level,
    with lines about harm where summaries of the same pictures have it (`benchmark.reports.harm`).
    """
    options = options or TableOptions()
    measure = _choose_measure(summary, options)
    input_rows = {row.level: row for row in summary.rows if row.method == INPUT}
    grids = []
    for level, lines in _list_blocks(summary, measure, options):
        table = _make_grid(summary, level, lines, measure, options, has_input=level in input_rows)
        methods = [line.row.method for line in lines if _is_measured(line.row)]
        harm_lines = tuple(harm.describe_harm(summary, all_summaries, level, methods))
        grids.append(dataclasses.replace(table, footnotes=(*harm_lines, *table.footnotes)))
    return tuple(grids)


def _list_blocks(
    summary: Summary, measure: str, options: TableOptions
) -> Iterator[tuple[Noise, list[_RankedMethod]]]:
    """Yield each noise level with its lines, in order of rank; those that have no result too."""
    card = summary.measures[measure]
    for level, rows in groupby(summary.table_rows, key=lambda row: row.level):
        if options.levels is not None and level not in options.levels:
            continue
        block = list(rows)
        input_row = next((row for row in block if row.method == INPUT), None)
        lines = [_RankedMethod(row, _measure_gain(row, input_row, measure, card)) for row in block]
        if options.methods is not None:
            lines = [line for line in lines if line.row.method in options.methods]
        yield level, _rank_lines(lines, measure, card)


def rank_methods(summary: Summary) -> list[str]:
    """Return all methods by their mean of the first measure at the lowest noise level: those that
    compete from the best to the worst, then those that were given what no photograph tells, then
    those without a mean.
    """
    measure, card = next(iter(summary.measures.items()))
    lowest_level = summary.levels()[0]
    rows = [row for row in summary.rows if row.level == lowest_level]

    def order(row: Row) -> tuple[bool, bool, float, str]:
        badness = _order_by(row, measure, card)
        return math.isinf(badness), row.oracle or row.noise_aware, badness, row.method

    ranking = [row.method for row in sorted(rows, key=order)]
    return list(dict.fromkeys([*ranking, *(row.method for row in summary.rows)]))


def name_leaders(summaries: Sequence[Summary], options: TableOptions) -> tuple[str, ...]:
    """Return the two best methods of the first table, or the best one and the input."""
    for summary in summaries:
        measure = _choose_measure(summary, options)
        for _, lines in _list_blocks(summary, measure, options):
            places = _number_lines(lines, measure, summary)
            has_input = any(line.row.method == INPUT for line in lines)
            return (*places, INPUT)[:2] if has_input else tuple(places)[:2]
    return ()


def select_summaries(summaries: Sequence[Summary], options: TableOptions) -> Sequence[Summary]:
    """Return the summaries that have the measure that the options name.

    Raises:
        UsageError: a measure, a method or an order that none has.
    """
    methods = {row.method for summary in summaries for row in summary.rows}
    measures = list(dict.fromkeys(key for summary in summaries for key in summary.measures))
    unknown = [name for name in options.methods or () if name not in methods]
    if unknown:
        raise UsageError(
            f"--methods {', '.join(unknown)}: not in the run; it has {', '.join(sorted(methods))}"
        )
    if options.measure not in (None, *measures):
        raise UsageError(f"--measure {options.measure}: expected {', '.join(measures)}")
    orders = (GAIN, METHOD, *measures)
    if options.sort not in orders:
        raise UsageError(f"--sort {options.sort}: expected {', '.join(orders)}")
    keys = {options.measure, options.sort} & set(measures)
    return [summary for summary in summaries if keys <= set(summary.measures)]


def _choose_measure(summary: Summary, options: TableOptions) -> str:
    return options.measure or next(iter(summary.measures))


def _make_grid(
    summary: Summary,
    level: Noise,
    lines: Sequence[_RankedMethod],
    measure: str,
    options: TableOptions,
    has_input: bool,
) -> Grid:
    card = summary.measures[measure]
    measured_lines = [line for line in lines if _is_measured(line.row)]
    places = _number_lines(measured_lines, measure, summary)
    keys = _choose_columns(summary, measure, [line.row for line in measured_lines])
    sorted_lines = _sort_lines(measured_lines, options.sort, summary.measures)
    return Grid(
        caption=_describe(summary, level, [line.row for line in lines]),
        columns=(
            TableColumn("#"),
            TableColumn("method", label=True),
            *([TableColumn("trained", label=True)] if summary.has_unequal_budgets else []),
            *([] if card.warning else [TableColumn(_head_gain(card, options))]),
            *(TableColumn(summary.measures[key].title) for key in keys),
            *([] if card.warning else [TableColumn("wins")]),
        ),
        groups=(
            tuple(
                _format_line(line, places, summary, measure, keys, options) for line in sorted_lines
            ),
        ),
        footnotes=tuple(
            _list_footnotes(summary, level, lines, has_input=has_input or bool(card.warning))
        ),
    )


def _measure_gain(
    row: Row, input_row: Row | None, measure: str, card: MeasureCard
) -> PairedComparison | None:
    """Return how much better a method is than the input; None where either has no scores, and
    where a measure ranks nothing.
    """
    if input_row is None or row.method == INPUT or card.warning:
        return None
    scores = select_compared_scores(row.entries[measure], card)
    input_scores = select_compared_scores(input_row.entries[measure], card)
    card = card.in_comparisons()
    if not scores or set(scores) != set(input_scores):
        return None
    method_column = [scores[scene] for scene in scores]
    input_column = [input_scores[scene] for scene in scores]
    pair = (method_column, input_column) if card.higher_is_better else (input_column, method_column)
    return compare(*pair, limits=card.difference_limits)


def _is_measured(row: Row) -> bool:
    return any(entry.interval is not None for entry in row.entries.values())


# The order
# --------------------------------------------------------------------------------------------------


def _rank_lines(
    lines: Sequence[_RankedMethod], measure: str, card: MeasureCard
) -> list[_RankedMethod]:
    """Return the lines from the best mean to the worst, the input among them; by name where a
    measure ranks nothing.
    """
    if card.warning:
        return sorted(lines, key=lambda line: line.row.method)
    return sorted(lines, key=lambda line: (_order_by(line.row, measure, card), line.row.method))


def _order_by(row: Row, measure: str, card: MeasureCard) -> float:
    """Return a number that is the less the better a row's mean is, infinite where it has none."""
    scores = select_compared_scores(row.entries[measure], card)
    if not scores:
        return float("inf")
    mean = fmean(scores.values())
    return -mean if card.in_comparisons().higher_is_better else mean


def _sort_lines(
    lines: Sequence[_RankedMethod], sort: str, measures: Mapping[str, MeasureCard]
) -> list[_RankedMethod]:
    if sort == GAIN:
        return list(lines)
    if sort == METHOD:
        return sorted(lines, key=lambda line: line.row.method)
    return sorted(lines, key=lambda line: _order_by(line.row, sort, measures[sort]))


def _number_lines(
    lines: Sequence[_RankedMethod], measure: str, summary: Summary
) -> Mapping[str, int]:
    """Return method -> place of those that have the measure and compete: neither the input, nor who
    is given what no photograph tells; none where the measure ranks nothing.
    """
    if summary.measures[measure].warning:
        return {}
    competitors = [
        line.row.method
        for line in lines
        if line.row.entries[measure].interval is not None
        and line.row.method != INPUT
        and not line.row.oracle
        and not line.row.noise_aware
    ]
    return {method: place for place, method in enumerate(competitors, 1)}


# Texts
# --------------------------------------------------------------------------------------------------


def _choose_columns(summary: Summary, measure: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the measures that have a column: the first ones of different quantities that any
    method has, and the one that ranks.
    """
    first_keys: dict[str, str] = {}
    for key, card in summary.measures.items():
        if any(row.entries[key].interval is not None for row in rows):
            first_keys.setdefault(card.quantity, key)
    keys = list(first_keys.values())[:_MEASURES]
    if measure not in keys:
        keys[_MEASURES - 1 :] = [measure]
    return tuple(keys)


def _head_gain(card: MeasureCard, options: TableOptions) -> str:
    head = f"gain in {card.unit or card.in_comparisons().title}"
    return f"{head} [95 %]" if options.has_intervals else head


def _format_line(
    line: _RankedMethod,
    places: Mapping[str, int],
    summary: Summary,
    measure: str,
    keys: Sequence[str],
    options: TableOptions,
) -> TableLine:
    row = line.row
    mark = row.entries[measure].mark
    place = str(places.get(row.method, "-"))
    if options.is_plain and mark is Mark.best:
        place += "*"
    card = summary.measures[measure]
    measures = (
        TableCell(_format_mean(row, key, summary.measures[key].digits), row.entries[key].mark)
        for key in keys
    )
    return (
        TableCell(place),
        TableCell(row.title),
        *_format_amount(summary, row.method),
        *(
            []
            if card.warning
            else [TableCell(_format_gain(line.gain, card.digits, options.has_intervals), mark)]
        ),
        *measures,
        *([] if card.warning else [_format_wins(line)]),
    )


def _format_wins(line: _RankedMethod) -> TableCell:
    return TableCell(f"{line.gain.wins}/{line.gain.n}" if line.gain else "")


def _format_amount(summary: Summary, method: str) -> list[TableCell]:
    """Return how much weights were trained on, in short, where that differs."""
    if not summary.has_unequal_budgets:
        return []
    amount = summary.amounts.get(method, "")
    megapixels = [float(number) for number in _MEGAPIXELS.findall(amount)]
    if megapixels:  # those of the weights that it began with come second
        numbers = (f"{number:.{0 if number >= 10 else 2}f}" for number in megapixels)
        amount = f"{'+'.join(numbers)} MP"
    return [TableCell(amount or "-")]


def _format_mean(row: Row, key: str, digits: int) -> str:
    interval = row.entries[key].interval
    return row.entries[key].note if interval is None else format_number(interval.mean, digits)


def _format_gain(gain: PairedComparison | None, digits: int, has_intervals: bool) -> str:
    if gain is None:
        return ""
    text = format_number(gain.mean, digits, sign=True)
    low, high = gain.interval.low, gain.interval.high
    if not has_intervals or low is None or high is None:
        return text
    bounds = ", ".join(format_number(bound, digits) for bound in (low, high))
    return f"{text} [{bounds}]"


def format_number(number: float, digits: int, sign: bool = False) -> str:
    """Return a number with its decimals, and a sign where asked; what rounds to 0 has none."""
    text = f"{number:+.{digits}f}" if sign else f"{number:.{digits}f}"
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")


def _describe(summary: Summary, level: Noise, rows: Sequence[Row]) -> str:
    """Return what a table shows, in one line."""
    entries = [entry for row in rows for entry in row.entries.values() if entry.interval]
    pictures = scenes = 0
    if entries:
        pictures, scenes = len(entries[0].scores), len(entries[0].scene_scores)
    return (
        f"{summary.dataset}: {describe_pictures(pictures, scenes)}, noise {level}, protocol "
        f"{summary.protocol} ({summary.track})"
    )


def _list_footnotes(
    summary: Summary, level: Noise, lines: Sequence[_RankedMethod], has_input: bool
) -> Iterator[str]:
    if not has_input:
        yield (
            "No gains: this run has no results of `input`. The same command with `--methods input` "
            "adds them."
        )
    yield from _explain_missing_measures(summary, lines)
    unmeasured = [line.row.method for line in lines if not _is_measured(line.row)]
    if unmeasured:
        yield f"Not measured: {', '.join(unmeasured)}."
    texts = (note.text for note in summary.notes if _is_shown(note, level))
    yield from dict.fromkeys(texts)


def _explain_missing_measures(summary: Summary, lines: Sequence[_RankedMethod]) -> Iterator[str]:
    """Yield which measures no method has, and why."""
    titles: dict[str, list[str]] = {}
    for key, card in summary.measures.items():
        entries = [line.row.entries[key] for line in lines]
        if entries and all(entry.interval is None for entry in entries):
            reasons = ", ".join(dict.fromkeys(entry.note for entry in entries if entry.note))
            titles.setdefault(reasons, []).append(card.title)
    for reasons, names in titles.items():
        yield f"Not in the table: {', '.join(names)} ({reasons or 'no reason was stored'})."


def _is_shown(note: Note, level: Noise) -> bool:
    return note.kind in _MAIN_NOTES and (not note.levels or level in note.levels)
