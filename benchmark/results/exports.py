"""Exported scores, `.csv` or `.parquet`: written from a run, and read back as one.

Every row carries the provenance of the command that scored it and the cards of its method, data set
and protocol as JSON text. Exports of older releases have no cards; those of what is registered here
stand in for them, as far as they are of the version that scored.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api import BenchmarkError, DataError, DatasetCard, MethodCard, UsageError
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import PHYSICAL
from benchmark.registry import DATASETS, METHODS, PROTOCOLS, create
from benchmark.results.parquet_reader import read_parquet
from benchmark.results.run_record import Command, RunRecord, read_store
from benchmark.spec import parse_id
from benchmark.store import SCHEMA_VERSION, Store, update_dataset_id
from benchmark.stored_cards import AnyCard, CardT, card_from_json, card_to_json, describe_protocol

if TYPE_CHECKING:
    import pandas as pd

EXPORT_SUFFIXES = (".csv", ".parquet")
_LONGEST_ENDING = 5
"""Of names of files; what follows a dot in the name of a folder is longer, or a number."""
_COMMANDS = ("run", "provenance", "started", "run_finished")
"""Number, provenance and times of the command that scored a cell, or else computed it."""
_CARD_COLUMNS: Mapping[str, str] = {
    "method_card": "method",
    "dataset_card": "dataset",
    "protocol_card": "protocol",
}
"""Column with a card -> column with the id of what it is about."""
_COMPUTED = ("computed_by", "computed_provenance")
"""Number and provenance of the command that computed a cell, which may have been scored later."""
_REPEATED_TEXTS = frozenset({"provenance", _COMPUTED[1], *_CARD_COLUMNS})
"""Long texts of which there are few."""
_SCHEMA_COLUMN = "schema"
"""Version of the store's schema; exports of stores before version 3 have none."""
_ON_VIEWS = "on_views"
"""What sigma of the noise is of; exports of stores before version 6 do not say it."""
_NUMBERS: Mapping[str, str] = {
    "run": "Int64",
    "asked": "Int64",
    "computed_by": "Int64",
    "scored_by": "float64",
    "clip": "int64",
    "round8": "int64",
    "seed": "int64",
    "sigma": "float64",
    "seconds": "float64",
    "value": "float64",
}


# Writing
# --------------------------------------------------------------------------------------------------


def export_scores(store: Store) -> pd.DataFrame:
    """Return every score row with the provenance of the command that made it and with the cards (as
    JSON text), for sharing.

    Raises:
        UsageError: if the run holds no cells.
    """
    return record_to_frame(read_store(store))


def record_to_frame(record: RunRecord) -> pd.DataFrame:
    """Return the same of a run that was read.

    Raises:
        UsageError: if it holds no cells.
    """
    frame = record.scores.copy()
    if frame.empty:
        raise UsageError(f"{record.path}: the run holds no cells yet; start it with `run`")
    commands = record.commands
    provenance = {
        number: json.dumps(command.provenance, sort_keys=True)
        for number, command in commands.items()
    }
    started = {number: command.started for number, command in commands.items()}
    finished = {number: command.finished for number, command in commands.items()}
    computed_by = frame["run"]
    frame["run"] = frame["scored_by"].fillna(frame["run"]).astype("int64")
    score_status = frame.pop("score_status") if "score_status" in frame else None
    basis = frame.pop("basis") if "basis" in frame else None
    return frame.assign(
        started=frame["run"].map(started),
        run_finished=frame["run"].map(finished),
        provenance=frame["run"].map(provenance),
        score_status=score_status,
        basis=basis,
        schema=SCHEMA_VERSION,
        computed_by=computed_by,
        computed_provenance=computed_by.map(provenance),
        method_card=frame["method"].map(_cards_as_json(record.methods)),
        dataset_card=frame["dataset"].map(_cards_as_json(record.datasets)),
        protocol_card=frame["protocol"].map(_cards_as_json(record.protocols)),
    )


def _cards_as_json(cards: Mapping[str, AnyCard]) -> dict[str, str]:
    return {name: card_to_json(card) for name, card in cards.items()}


def write_export(frame: pd.DataFrame, path: Path) -> None:
    """Write exported scores; the ending decides the format.

    Raises:
        UsageError: for another ending than `EXPORT_SUFFIXES`.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False, compression="zstd")


def check_suffix(path: Path) -> None:
    """Raise UsageError for a path that is not one of an export."""
    if path.suffix not in EXPORT_SUFFIXES:
        raise UsageError(
            f"--out {path}: the ending decides the format; use .csv or .parquet, or the name of a "
            "folder without an ending, which becomes a bundle"
        )


def is_file_name(path: Path) -> bool:
    """Return whether a path to write is one of an export, and not a folder.

    Raises:
        UsageError: it ends as a file of another kind does.
    """
    if path.suffix in EXPORT_SUFFIXES:
        return True
    ending = path.suffix.removeprefix(".")
    if ending.isalpha() and len(ending) <= _LONGEST_ENDING and not path.is_dir():
        check_suffix(path)
    return False


# Reading
# --------------------------------------------------------------------------------------------------


def read_export(path: Path) -> RunRecord:
    """Return the run that an exported file holds.

    Raises:
        UsageError: no such file, or it is none that `export` wrote.
    """
    try:
        return _frame_to_record(_read_frame(path), path)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(
            f"{path}: not exported scores as `export` writes them ({reason}); export them again"
        ) from error


def _frame_to_record(frame: pd.DataFrame, path: Path) -> RunRecord:
    missing = {"key", "method", "dataset", "protocol", "measure", "value", "ruler", "provenance"}
    missing -= set(frame.columns)
    if missing:
        raise UsageError(f"{path}: not exported scores, it lacks {', '.join(sorted(missing))}")
    commands: dict[int, Command] = {}
    if _COMPUTED[0] in frame:
        commands |= _parse_commands(frame, _COMPUTED)
        computed_by = frame[_COMPUTED[0]].astype("int64")
    else:
        computed_by = frame["run"]
    commands |= _parse_commands(frame, [name for name in _COMMANDS if name in frame])
    frame["run"] = computed_by
    if _SCHEMA_COLUMN not in frame:
        frame["dataset"] = frame["dataset"].map(update_dataset_id)
    has_cards = set(_CARD_COLUMNS) <= set(frame.columns)
    methods, datasets, protocols = _kept_cards(frame) if has_cards else _registered_cards(frame)
    frame[_ON_VIEWS] = _read_noise_on_views(frame, methods)
    extra = {*_COMMANDS, *_COMPUTED, *_CARD_COLUMNS, _SCHEMA_COLUMN} - {"run"}
    return RunRecord(
        path=path,
        folder=None,
        scores=frame.drop(columns=[name for name in frame if name in extra]),
        commands=dict(sorted(commands.items())),
        methods=methods,
        datasets=datasets,
        protocols=protocols,
    )


def _read_noise_on_views(frame: pd.DataFrame, methods: Mapping[str, MethodCard]) -> pd.Series[str]:
    """Return what sigma is of in each row; earlier releases had one answer for all views."""
    if _ON_VIEWS in frame:
        return frame[_ON_VIEWS].fillna("")
    view_methods = {name for name, card in methods.items() if card.inputs == "views"}
    is_noisy = frame["method"].isin(view_methods) & (frame["sigma"] > 0)
    return is_noisy.map({True: PHYSICAL, False: ""})


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = read_parquet(path, repeated_texts=_REPEATED_TEXTS)
        else:
            frame = pd.read_csv(
                path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8"
            )
    except (DataError, OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as exported scores ({error})") from error
    numbers = {name: kind for name, kind in _NUMBERS.items() if name in frame}
    frame = frame.astype(numbers)
    return frame.astype(
        {name: "int64" for name in ("run", "asked") if name in frame}  # none may be missing
    )


def _parse_commands(frame: pd.DataFrame, columns: Sequence[str]) -> dict[int, Command]:
    """Return number -> command.

    Args:
        frame: exported scores.
        columns: of the number, the provenance, and the times where they were kept.
    """
    commands: dict[int, Command] = {}
    rows = frame[list(columns)].drop_duplicates().dropna(subset=list(columns[:2]))
    for number, provenance, *times in rows.itertuples(index=False):
        facts = json.loads(provenance)
        if not isinstance(facts, dict):
            raise TypeError(f"provenance of command {number}")
        commands[int(number)] = Command(facts, *(_take_text(time) for time in times))
    return commands


def _take_text(value: Any) -> str | None:
    """Return a text; None for the NaN that stands for a missing one in a frame."""
    return value if isinstance(value, str) else None


Cards = tuple[dict[str, MethodCard], dict[str, DatasetCard], dict[str, ProtocolCard]]


def _kept_cards(frame: pd.DataFrame) -> Cards:
    return (
        _cards_of_column(frame, "method_card", MethodCard),
        _cards_of_column(frame, "dataset_card", DatasetCard),
        _cards_of_column(frame, "protocol_card", ProtocolCard),
    )


def _cards_of_column(frame: pd.DataFrame, column: str, kind: type[CardT]) -> dict[str, CardT]:
    pairs = frame[[_CARD_COLUMNS[column], column]].drop_duplicates().dropna()
    cards = {str(name): card_from_json(text, kind) for name, text in pairs.itertuples(index=False)}
    return dict(sorted(cards.items()))


def _registered_cards(frame: pd.DataFrame) -> Cards:
    """Return the cards of what is registered here; what is not, or not in this version, has
    none.
    """
    versions = _map_columns(frame, "method", "method_version")
    methods = _collect_cards(versions, lambda name: _registered_method(name, versions[name]))
    names = _map_columns(frame, "dataset", "dataset_name")
    datasets = _collect_cards(names, lambda name: DATASETS.get(names[name]).card)
    protocols = {}
    for name, rows in frame.groupby("protocol"):
        protocols[str(name)] = _registered_protocol(str(name), rows)
    return methods, datasets, protocols


def _map_columns(frame: pd.DataFrame, key: str, value: str) -> dict[str, str]:
    pairs = frame.drop_duplicates(key)
    return dict(zip(pairs[key].astype(str), pairs[value].astype(str), strict=True))


def _collect_cards(
    names: Mapping[str, str], read_card: Callable[[str], CardT | None]
) -> dict[str, CardT]:
    cards: dict[str, CardT] = {}
    for name in sorted(names):
        try:
            card = read_card(name)
        except BenchmarkError:
            continue
        if card is not None:
            cards[name] = card
    return cards


def _registered_method(name: str, version: str) -> MethodCard | None:
    kind = METHODS.get(parse_id(name).name)
    if kind.version != version:
        return None
    try:
        return create(METHODS, name)[0].card
    except BenchmarkError:
        # Its weights are not here, so what they learned from is not known.
        return dataclasses.replace(kind.card, trained_on=None, budget="")


def _registered_protocol(name: str, rows: pd.DataFrame) -> ProtocolCard:
    """Return the card of a protocol, or what its scores alone say of it."""
    try:
        card = describe_protocol(PROTOCOLS.get(name))
    except BenchmarkError:
        card = None
    measures = list(dict.fromkeys(rows["measure"]))
    if card is not None and set(measures) <= set(card.measures):
        return card
    measure_cards = {
        key: MeasureCard(metric=key.partition("_")[0], quantity=key, title=key) for key in measures
    }
    tracks = tuple(dict.fromkeys(rows["track"]))
    return ProtocolCard(title=name, tracks=tracks, measures=measure_cards)
