"""The numbers of the board: what tables of the same results print, column by column.

A column is a data set at a noise level, under a protocol and through an input track. Gains, their
intervals and ranks are those of the main table (`benchmark.reports.ranked`), and means those of
summaries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.reports import ranked
from benchmark.reports.ranked import TableOptions
from benchmark.results import Results
from benchmark.results.notes import name_suite
from benchmark.results.run_record import Command
from benchmark.results.selection import LEVEL_COLUMNS
from benchmark.results.summaries import Entry, Row, Summary

if TYPE_CHECKING:
    import pandas as pd

_GAIN_COLUMNS = ("rank", "gain", "low", "high", "p", "wins", "n")
_FURTHER_DIGITS = 3
"""Decimals of a score beyond those that are printed, so that differences are right to the printed
digit.
"""
CommandNumbers = Mapping[tuple[object, ...], list[int]]
"""(method, noise level) -> numbers of the commands that made its scores."""


@dataclass(slots=True)
class BoardNumbers:
    """The numbers of some results.

    Attributes:
        methods: ids of those that were measured at all.
        rulers: those of them that were given what no photograph tells.
        measures, columns, results, commands, notes: as the script of the board reads them; they
            refer to each other by their places.
    """

    methods: list[str] = field(default_factory=list)
    rulers: set[str] = field(default_factory=set)
    measures: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_payload(self) -> dict[str, Any]:
        """Return the lists for JSON."""
        return {
            "measures": self.measures,
            "columns": self.columns,
            "results": self.results,
            "commands": self.commands,
            "notes": self.notes,
        }

    def number_method(self, row: Row) -> int:
        """Return the place of a method, which is added if it is new."""
        if row.oracle or row.noise_aware:
            self.rulers.add(row.method)
        return _place_in(self.methods, row.method)

    def number_note(self, text: str) -> int:
        """Return the place of a note, which is added if it is new."""
        return _place_in(self.notes, text)

    def number_measure(self, protocol: str, key: str, card: MeasureCard) -> int:
        """Return the place of a measure of a protocol, which is added if it is new."""
        return _place_in(self.measures, _describe_board_measure(protocol, key, card))


def _place_in(places: list[Any], item: Any) -> int:
    if item not in places:
        places.append(item)
    return places.index(item)


def collect_numbers(results: Results) -> BoardNumbers:
    """Return all numbers of results; raises UsageError where they hold no cells."""
    numbers = BoardNumbers()
    command_places = _place_commands(results, numbers)
    for summary in results.summaries():
        made_by = _find_commands(results, summary)
        frames = {key: _index_gains(summary, key) for key, card in summary.measures.items()}
        for level in summary.levels():
            rows = [row for row in summary.table_rows if row.level == level]
            _add_column(numbers, results, summary, level, rows)
            for row in rows:
                key = (row.method, *_level_key(level))
                commands = [command_places[number] for number in made_by.get(key, ())]
                numbers.results.append(
                    {
                        "method": numbers.number_method(row),
                        "column": len(numbers.columns) - 1,
                        "marks": row.title.removeprefix(row.method),
                        "commands": commands,
                        "scores": _describe_entries(numbers, summary, row, frames),
                    }
                )
    return numbers


def _describe_board_measure(protocol: str, key: str, card: MeasureCard) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "key": key,
        "metric": card.metric,
        "title": card.title,
        "unit": card.unit,
        "digits": card.digits,
        "arrow": card.arrow,
        "higher": card.in_comparisons().higher_is_better,
        "ideal": card.ideal,
        "warning": card.warning,
    }


def _add_column(
    numbers: BoardNumbers,
    results: Results,
    summary: Summary,
    level: Noise,
    rows: Sequence[Row],
) -> None:
    samples = sorted({sample for row in rows for sample in _list_samples(row)})
    numbers.columns.append(
        {
            "dataset": summary.dataset,
            "registered": results.datasets.get(summary.dataset, summary.dataset),
            "noise": str(level),
            "sigma": level.sigma,
            "kind": level.kind,
            "protocol": summary.protocol,
            "track": summary.track,
            "samples": samples,
            "notes": [numbers.number_note(text) for text in summary.footnotes],
        }
    )


def _list_samples(row: Row) -> Iterator[str]:
    for entry in row.entries.values():
        yield from entry.scores


# Scores
# --------------------------------------------------------------------------------------------------


def _index_gains(summary: Summary, measure: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return (noise level, method) -> what the main table says of its gain in a measure."""
    frame = ranked.ranked_summaries_to_frame([summary], TableOptions(measure=measure))
    if frame.empty:
        return {}
    return {
        (record["noise"], record["method"]): {name: record[name] for name in _GAIN_COLUMNS}
        for record in frame.astype(object).where(frame.notna(), None).to_dict("records")
    }


def _describe_entries(
    numbers: BoardNumbers,
    summary: Summary,
    row: Row,
    frames: Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]],
) -> dict[int, dict[str, Any]]:
    """Return place of a measure -> what is known of a method there."""
    samples = numbers.columns[-1]["samples"]
    described = {}
    for key, card in summary.measures.items():
        place = numbers.number_measure(summary.protocol, key, card)
        gains = frames[key].get((str(row.level), row.method), {})
        described[place] = _describe_entry(row.entries[key], card, gains, samples)
    return described


def _describe_entry(
    entry: Entry, card: MeasureCard, gains: Mapping[str, Any], samples: Sequence[str]
) -> dict[str, Any]:
    """Return a mean with its interval, the gain with its own, and the score of every picture."""
    interval = entry.interval
    if interval is None:
        return {"note": entry.note}
    digits = card.digits + _FURTHER_DIGITS
    gain = None
    if gains.get("gain") is not None:
        gain = {
            "mean": _round_for_json(gains["gain"], digits),
            "low": _round_for_json(gains["low"], digits),
            "high": _round_for_json(gains["high"], digits),
            "p": _round_for_json(gains["p"], 4),
            "wins": int(gains["wins"]),
            "n": int(gains["n"]),
        }
    return {
        "mean": _round_for_json(interval.mean, digits),
        "low": _round_for_json(interval.low, digits),
        "high": _round_for_json(interval.high, digits),
        "n": interval.n,
        "mark": entry.mark or "",
        "rank": None if gains.get("rank") is None else int(gains["rank"]),
        "gain": gain,
        "pictures": [_round_for_json(entry.scores.get(sample), digits) for sample in samples],
    }


def _round_for_json(value: float | None, digits: int) -> float | None:
    """Return a number for JSON, which has neither infinity nor NaN."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


# Commands
# --------------------------------------------------------------------------------------------------


def _level_key(level: Noise) -> tuple[object, ...]:
    return (level.sigma, int(level.clip), int(level.round8), level.seed)


def _place_commands(results: Results, numbers: BoardNumbers) -> dict[int, int]:
    """Return number of a command -> its place among those that differ."""
    return {
        number: _place_in(numbers.commands, _describe_command(command))
        for number, command in results.commands.items()
    }


def _describe_command(command: Command) -> dict[str, Any]:
    facts = command.provenance
    return {
        "text": str(facts.get("command", "")),
        "suite": name_suite(str(facts.get("suite", "")), facts.get("git")),
        "day": (command.started or "")[:10],
    }


def _find_commands(results: Results, summary: Summary) -> CommandNumbers:
    """Return which commands computed and scored what a summary shows; those that are known."""
    rows = results.rows
    rows = rows[
        (rows["dataset"] == summary.dataset)
        & (rows["track"] == summary.track)
        & (rows["protocol"].isna() | (rows["protocol"] == summary.protocol))
    ]
    numbers_by_row: dict[tuple[object, ...], list[int]] = {}
    for row in _list_origins(rows):
        key = (row["method"], *(row[name] for name in LEVEL_COLUMNS))
        numbers = [int(row[name]) for name in ("run", "scored_by") if row[name] == row[name]]
        numbers_by_row.setdefault(key, []).extend(numbers)
    return {
        key: [number for number in dict.fromkeys(numbers) if number in results.commands]
        for key, numbers in numbers_by_row.items()
    }


def _list_origins(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    columns = ["method", *LEVEL_COLUMNS, "run", "scored_by"]
    return rows[columns].drop_duplicates().to_dict("records")
