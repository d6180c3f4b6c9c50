"""Results of several machines as one: every score once, and the same whatever the order of the
parts.

Nothing is averaged. Of a cell that several parts hold, equal scores are one; where values differ,
nothing says which is right, so they are told and nothing is joined, unless a part was named whose
values count. As in a store, a failure never hides a success. What a later command asked for counts
in tables, on whichever machine that was; times of commands tell.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import UsageError
from benchmark.results.notes import count_noun
from benchmark.results.run_record import Command, RunRecord
from benchmark.stored_cards import AnyCard, card_to_json

if TYPE_CHECKING:
    import pandas as pd

_SCORE_KEY = ["key", "protocol", "measure"]
_SCORE_COLUMNS = [
    "protocol",
    "measure",
    "value",
    "reason",
    "ruler",
    "scored_by",
    "score_status",
    "basis",
]
_REQUEST_COLUMNS = ["dataset", "asked"]
_COMMAND_COLUMNS = ("run", "asked", "scored_by")
_RANKS: Mapping[str, int] = {"unavailable": 0, "failed": 1, "skipped": 2, "ok": 3}
"""Of what became of a score: what was measured counts more than what was not."""
_MEASURED = _RANKS["ok"]
_LONGEST_LIST = 5


class Part(NamedTuple):
    """Results to join, as they may leave a machine, and what messages call them."""

    name: str
    record: RunRecord


class MergedResults(NamedTuple):
    """Results that were joined.

    Attributes:
        record: all of them.
        preferred: how many scores are those of the part that was named, where others differ.
        notes: what a user must know, one line each.
    """

    record: RunRecord
    preferred: int
    notes: tuple[str, ...]


def merge_records(parts: Sequence[Part], path: Path, prefer: str | None = None) -> MergedResults:
    """Return the results of parts as one.

    Args:
        parts: in any order.
        path: where the whole will lie.
        prefer: name of the part whose scores count where values differ; None to refuse them.

    Raises:
        UsageError: a part holds no cells; scores of the same cell, or pictures of the same name,
            that differ.
    """
    for part in parts:
        if part.record.scores.empty:
            raise UsageError(f"{part.name}: the run holds no cells, so there is nothing to join")
    ordered_parts = sorted(parts, key=_digest_part)
    commands, numberings = _number_commands([part.record for part in ordered_parts])
    frames = [
        _renumber(part.record.scores, numbering)
        for part, numbering in zip(ordered_parts, numberings, strict=True)
    ]
    tables = _Tables.join(frames)
    names = [part.name for part in ordered_parts]
    conflicts = _find_conflicts(tables.scores)
    preferred_place = None if prefer is None else names.index(prefer)
    unsettled = _find_unsettled(conflicts, preferred_place)
    faults = [
        *_describe_other_pictures(tables, names),
        *_describe_conflicts(tables, unsettled, names),
    ]
    if faults:
        raise UsageError("\n".join(faults))
    notes = [*_note_repeated(tables)]
    kinds = (("methods", "asked"), ("datasets", "asked"), ("protocols", "scored_by"))
    cards = {
        kind: _choose_cards(ordered_parts, frames, kind, kind.removesuffix("s"), number, notes)
        for kind, number in kinds
    }
    record = RunRecord(
        path=path,
        folder=None,
        scores=tables.choose(conflicts, preferred_place),
        commands=commands,
        **cards,
    )
    preferred = len(conflicts.drop_duplicates(_SCORE_KEY))
    notes += [*_note_preference(preferred, prefer), *_note_hidden(record)]
    return MergedResults(record, preferred, tuple(notes))


def _digest_part(part: Part) -> str:
    """Return a digest of what a part holds, so that its place among others is its own."""
    record = part.record
    content = hashlib.sha256()
    columns = sorted(record.scores.columns)
    content.update(record.scores[columns].to_csv(index=False).encode("utf-8", "surrogatepass"))
    content.update(json.dumps(sorted(record.commands.items()), sort_keys=True).encode())
    kinds: Sequence[Mapping[str, AnyCard]] = (record.methods, record.datasets, record.protocols)
    for cards in kinds:
        for name, card in sorted(cards.items()):
            content.update(f"{name}\n{card_to_json(card)}\n".encode())
    return content.hexdigest()


# Commands
# --------------------------------------------------------------------------------------------------


def _number_commands(
    records: Sequence[RunRecord],
) -> tuple[dict[int, Command], list[dict[int, int]]]:
    """Return the commands of all records in the order of their times, and of each record its number
    of a command -> the new one. A command that several records hold is one.
    """
    places: dict[tuple[str, int], tuple[str, int, str, int]] = {}
    commands: dict[tuple[str, int], Command] = {}
    identities: list[dict[int, tuple[str, int]]] = []
    for record in records:
        identities.append({})
        seen: Counter[str] = Counter()
        for number, start, command in _list_started_commands(record):
            text = json.dumps(command, sort_keys=True)
            identity = (text, seen[text])  # two of one second may look alike
            seen[text] += 1
            place = (start, number, *identity)
            places[identity] = min(places.get(identity, place), place)
            commands[identity] = command
            identities[-1][number] = identity
    in_order = sorted(places, key=lambda identity: places[identity])
    new_numbers = {identity: number for number, identity in enumerate(in_order, start=1)}
    numberings = [
        {number: new_numbers[identity] for number, identity in of_record.items()}
        for of_record in identities
    ]
    return {new_numbers[identity]: commands[identity] for identity in in_order}, numberings


def _list_started_commands(record: RunRecord) -> Iterator[tuple[int, str, Command]]:
    """Yield every command in order: its number, its start, not before that of the one before it,
    and the command. Of one that an exported file only numbers, the number stands for it.
    """
    numbers = set(record.commands)
    for column in _COMMAND_COLUMNS:
        numbers |= {int(number) for number in record.scores[column].dropna().unique()}
    start = ""
    for number in sorted(numbers):
        command = record.commands.get(number)
        if command is None:
            command = Command({"unrecorded": number}, start or None)
        start = max(start, command.started or "")
        yield number, start, command


def _renumber(frame: pd.DataFrame, numbering: Mapping[int, int]) -> pd.DataFrame:
    numbers = {
        name: frame[name].map(numbering).astype("float64" if name == "scored_by" else "int64")
        for name in _COMMAND_COLUMNS
    }
    renumbered = frame.assign(**numbers)
    if "score_status" not in frame:  # exports of earlier releases
        is_measured = frame["value"].notna()
        states = is_measured.map({True: "ok", False: "skipped"})
        renumbered["score_status"] = states.where(frame["measure"].notna(), None)
    if "basis" not in frame:
        renumbered["basis"] = None
    return renumbered


# Cells and scores
# --------------------------------------------------------------------------------------------------


class _Tables(NamedTuple):
    """The tables of all parts below each other; the column `part` says which it is.

    Attributes:
        columns: those of the whole.
        cells: one row per cell and part.
        requests: one row per cell, data set and part.
        scores: one row per score and part.
    """

    columns: Sequence[str]
    cells: pd.DataFrame
    requests: pd.DataFrame
    scores: pd.DataFrame

    @staticmethod
    def join(frames: Sequence[pd.DataFrame]) -> _Tables:
        """Take rows of scores apart, as a store has them."""
        import pandas as pd

        cells: list[pd.DataFrame] = []
        requests: list[pd.DataFrame] = []
        scores: list[pd.DataFrame] = []
        for part, frame in enumerate(frames):
            cell_columns = [
                name for name in frame if name not in (*_SCORE_COLUMNS, *_REQUEST_COLUMNS)
            ]
            placed = frame.assign(part=part)
            cells.append(placed[[*cell_columns, "part"]].drop_duplicates("key"))
            requests.append(
                placed[["key", "sample", "data", *_REQUEST_COLUMNS, "part"]].drop_duplicates(
                    ["key", "dataset"]
                )
            )
            scored_rows = placed[placed["measure"].notna()].drop_duplicates(_SCORE_KEY)
            scores.append(scored_rows[["key", *_SCORE_COLUMNS, "part"]])
        columns = dict.fromkeys(str(name) for frame in frames for name in frame)
        return _Tables(
            [*(name for name in columns if name not in _SCORE_COLUMNS), *_SCORE_COLUMNS],
            pd.concat(cells, ignore_index=True),
            pd.concat(requests, ignore_index=True),
            pd.concat(scores, ignore_index=True),
        )

    def choose(self, conflicts: pd.DataFrame, preferred_part: int | None) -> pd.DataFrame:
        """Return every cell and score once, as rows of scores.

        Args:
            conflicts: as `_find_conflicts` gives them.
            preferred_part: whose scores count among those.
        """
        cells = self.cells.assign(
            is_ok=self.cells["status"] == "ok",
            is_preferred=(self.cells["part"] == preferred_part)
            & self.cells["key"].isin(conflicts["key"]),
        )
        cells = cells.sort_values(["is_ok", "is_preferred", "run", "part"], kind="stable")
        cells = cells.drop_duplicates("key", keep="last")
        scores = self.scores.assign(
            rank=self.scores["score_status"].map(_RANKS),
            is_preferred=(self.scores["part"] == preferred_part)
            & self.scores.index.isin(conflicts.index),
        )
        scores = scores.sort_values(["rank", "is_preferred", "scored_by", "part"], kind="stable")
        scores = scores.drop_duplicates(_SCORE_KEY, keep="last")
        requests = self.requests.groupby(["key", "dataset"], as_index=False)["asked"].max()
        rows = requests.merge(cells, on="key").merge(
            scores.drop(columns="part"), on="key", how="left"
        )
        in_order: pd.DataFrame = rows.sort_values(["dataset", *_SCORE_KEY], ignore_index=True)
        return in_order[list(self.columns)]


def _find_conflicts(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of measured scores of which another part has another value, or one by another
    ruler.
    """
    measured_scores = scores[scores["score_status"].map(_RANKS) == _MEASURED]
    groups = measured_scores.groupby(_SCORE_KEY)
    has_other_values = groups["value"].transform("min") != groups["value"].transform("max")
    has_other_rulers = groups["ruler"].transform("nunique") > 1
    return measured_scores[has_other_values | has_other_rulers]


def _find_unsettled(conflicts: pd.DataFrame, preferred_part: int | None) -> pd.DataFrame:
    """Return those of which the preferred part has none."""
    of_preferred = conflicts[conflicts["part"] == preferred_part].set_index(_SCORE_KEY).index
    return conflicts[~conflicts.set_index(_SCORE_KEY).index.isin(of_preferred)]


def _describe_conflicts(
    tables: _Tables, conflicts: pd.DataFrame, names: Sequence[str]
) -> Iterator[str]:
    if conflicts.empty:
        return
    groups = list(conflicts.sort_values("part", kind="stable").groupby(_SCORE_KEY))
    yield (
        f"{count_noun(len(groups), 'score')} of the same cell differ between parts, and nothing "
        "says which is right, so nothing was joined:"
    )
    cells = {row["key"]: row for row in tables.cells.to_dict("records")}
    for (key, protocol, measure), rows in groups[:_LONGEST_LIST]:
        cell = cells[key]
        values = " and ".join(
            f"{row['value']:.9g} in {names[row['part']]}" for row in rows.to_dict("records")
        )
        by = ", by another version of the metric or protocol" if rows["ruler"].nunique() > 1 else ""
        yield (
            f"  {cell['method']} on {cell['sample']}, noise {cell['sigma']:g}: {protocol} "
            f"{measure} is {values}{by}"
        )
    if len(groups) > _LONGEST_LIST:
        yield f"  and {len(groups) - _LONGEST_LIST} more"
    spreads = conflicts.groupby(_SCORE_KEY)["value"].agg(lambda values: values.max() - values.min())
    largest = spreads.groupby(["protocol", "measure"]).max()
    texts = [
        f"{protocol} {measure} {value:.2g}"
        for protocol, measure, value in largest.reset_index().itertuples(index=False)
    ]
    yield f"Largest difference: {', '.join(texts)}."
    yield "Leave a part out, or say with --prefer PART whose scores count."


def _describe_other_pictures(tables: _Tables, names: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong where one name of a picture stands for several pictures: tables would
    show some of one part and some of another.
    """
    last_requests = tables.requests.groupby(["dataset", "sample", "part"])["asked"].transform("max")
    contents = tables.requests[tables.requests["asked"] == last_requests]
    contents = contents.drop_duplicates(["dataset", "sample", "data", "part"])
    counts = contents.groupby(["dataset", "sample"])["data"].transform("nunique")
    groups = list(contents[counts > 1].groupby(["dataset", "sample"]))
    if not groups:
        return
    yield (
        f"{count_noun(len(groups), 'picture')} of the same name differ between parts, so nothing "
        "was joined:"
    )
    for (dataset, sample), rows in groups[:_LONGEST_LIST]:
        parts = " and ".join(names[part] for part in sorted(rows["part"].unique()))
        yield f"  {sample} of {dataset} is another picture in {parts}"
    if len(groups) > _LONGEST_LIST:
        yield f"  and {len(groups) - _LONGEST_LIST} more"
    yield "Leave a part out, or run its methods again on the pictures of the others."


# Cards, and what is told
# --------------------------------------------------------------------------------------------------


def _choose_cards(
    parts: Sequence[Part],
    frames: Sequence[pd.DataFrame],
    kind: str,
    column: str,
    number: str,
    notes: list[str],
) -> dict[str, Any]:
    """Return id -> card, of the part in which a command asked for it last; note which differ.

    Args:
        parts: in their order.
        frames: rows of scores of each, with new numbers of commands.
        kind: attribute of a record that holds the cards.
        column: with their ids.
        number: column with the numbers of the commands that ask for them.
        notes: takes a line.
    """
    last_commands: dict[str, dict[str, float]] = {}
    cards: dict[str, AnyCard] = {}
    for part, frame in zip(parts, frames, strict=True):
        last_of_name = frame.groupby(column)[number].max().to_dict()
        for name, card in getattr(part.record, kind).items():
            text = card_to_json(card)
            last = last_of_name.get(name, -1.0)
            earlier = last_commands.setdefault(name, {}).get(text, -1.0)
            last_commands[name][text] = max(last, earlier)
            cards[text] = card
    different_names = sorted(name for name, texts in last_commands.items() if len(texts) > 1)
    if different_names:
        notes.append(
            f"cards of {kind} differ between parts; those of the last command count: "
            f"{', '.join(different_names)}"
        )
    chosen_texts = {
        name: max(texts, key=lambda text: (texts[text], text))
        for name, texts in sorted(last_commands.items())
    }
    return {name: cards[text] for name, text in chosen_texts.items()}


def _note_preference(count: int, prefer: str | None) -> Iterator[str]:
    if count:
        yield (
            f"{count_noun(count, 'score')} differed between parts; those of {prefer} were taken, "
            "as --prefer says"
        )


def _note_repeated(tables: _Tables) -> Iterator[str]:
    """Yield how much was in several parts."""
    repeated = int(tables.scores.duplicated(_SCORE_KEY).sum())
    if repeated:
        yield f"{count_noun(repeated, 'score')} were in more than one part, and are there once"
    is_ok = tables.cells["status"] == "ok"
    saved_keys = set(tables.cells.loc[is_ok, "key"]) & set(tables.cells.loc[~is_ok, "key"])
    if saved_keys:
        yield (
            f"{count_noun(len(saved_keys), 'cell')} did not end well in a part and did in another, "
            "which counts"
        )


def _note_hidden(record: RunRecord) -> Iterator[str]:
    """Yield what is kept and not shown in tables."""
    from benchmark.results.results import Results

    results = Results([record])
    places = ["dataset", "method", "key"]
    stored_places = results.all_rows[places].drop_duplicates()
    shown_places = results.rows.set_index(places).index
    hidden = stored_places[~stored_places.set_index(places).index.isin(shown_places)]
    if len(hidden):
        methods = ", ".join(sorted(hidden["method"].unique()))
        yield (
            f"{count_noun(len(hidden), 'cell')} are of versions, weights or pictures that a later "
            f"command replaced; they are kept, and tables do not show them: {methods}"
        )
