"""Bundles: results as a small folder that says what it is, to hand to others.

`manifest.json` names the other files with their digests. `scores.parquet` are exported scores,
which also stand alone; `cards.json` and `commands.json` hold all cards and commands, also those
without a score. A bundle may come from anybody: it is read only if it is whole, as its manifest
says, and within bounds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from benchmark.api import DataError, DatasetCard, MethodCard, UsageError
from benchmark.files import hash_file, write_bytes
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.results import publication
from benchmark.results.exports import read_export, record_to_frame
from benchmark.results.record_checks import require_sound_rows
from benchmark.results.run_record import Command, RunRecord
from benchmark.store import FILE_NAME
from benchmark.stored_cards import AnyCard, CardT, card_from_json, card_to_json
from benchmark.version import __version__

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
SCORES = "scores.parquet"
CARDS = "cards.json"
COMMANDS = "commands.json"
FORMAT: Literal["defocus-bench results"] = "defocus-bench results"
FORMAT_VERSION = 1
_NEEDED = (SCORES, CARDS, COMMANDS)
_COST_FILES = ("cost.json", "samples.jsonl")
_MOST_MANIFEST_BYTES = 16 * 2**20
_MOST_FILE_BYTES = 2**30
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


# What the files say
# --------------------------------------------------------------------------------------------------


class _Facts(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FileFacts(_Facts):
    """A file: its size and its SHA-256."""

    bytes: NonNegativeInt
    sha256: str


class MethodFacts(_Facts):
    """A method: its title, version, and the SHA-256 of its weights, None for none."""

    title: str
    version: str
    weights: str | None


class DatasetFacts(_Facts):
    """A data set: its title, how many pictures were run, and their fingerprint."""

    title: str
    pictures: NonNegativeInt
    fingerprint: str


class Contents(_Facts):
    """What is inside a bundle: methods and data sets by id, protocols, and how much of it."""

    methods: Mapping[str, MethodFacts]
    datasets: Mapping[str, DatasetFacts]
    protocols: tuple[str, ...]
    commands: NonNegativeInt
    cells: NonNegativeInt
    scores: NonNegativeInt


class Origin(_Facts):
    """How a bundle was made.

    Attributes:
        by: the command.
        parts: how many results were joined.
        preferred: how many scores were taken from the part that was named, where others had other
            values.
    """

    by: Literal["export", "merge"] = "export"
    parts: NonNegativeInt = 1
    preferred: NonNegativeInt = 0


class Manifest(_Facts):
    """What a bundle says of itself.

    Attributes:
        format, format_version: of the bundle.
        suite: version that wrote it.
        origin: how it was made.
        contents: what is inside.
        left_out: what is not, for people.
        files: name -> size and digest of every other file.
    """

    format: Literal["defocus-bench results"]
    format_version: int
    suite: str
    origin: Origin
    contents: Contents
    left_out: tuple[str, ...]
    files: Mapping[str, FileFacts]


class _Header(BaseModel):
    """What says whether the rest can be understood."""

    model_config = ConfigDict(strict=True)
    format: str
    format_version: int


class _GitFacts(BaseModel):
    commit: str
    dirty: bool


class _ProvenanceFacts(BaseModel):
    """The facts of a command that readers look at; there may be others."""

    model_config = ConfigDict(strict=True, extra="allow")
    command: str = ""
    suite: str = ""
    python: str = ""
    git: _GitFacts | None = None
    packages: dict[str, str | None] = {}
    machine: dict[str, str | int | float | None] = {}
    environment: dict[str, str | None] | None = None
    places: dict[str, str] = {}
    limited: dict[str, bool] = {}
    data: dict[str, str] = {}


class _CommandFacts(_Facts):
    started: str | None = None
    finished: str | None = None
    provenance: dict[str, Any]


_COMMANDS_ADAPTER = TypeAdapter(dict[str, _CommandFacts])
_CARDS_ADAPTER = TypeAdapter(dict[str, dict[str, dict[str, Any]]])
_CARD_KINDS: Mapping[str, type[AnyCard]] = {
    "methods": MethodCard,
    "datasets": DatasetCard,
    "protocols": ProtocolCard,
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle that was read: what it says of itself, and its results."""

    manifest: Manifest
    record: RunRecord


# Writing
# --------------------------------------------------------------------------------------------------


def write_bundle(
    published: publication.Publication,
    folder: Path,
    origin: Origin | None = None,
    further_files: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Write results as a bundle; the same results give the same bytes.

    Args:
        published: the results, without what is private.
        folder: is made if it is not there; an earlier bundle in it is replaced.
        origin: how they came about; None for an export.
        further_files: name -> content of files of a cost pass.

    Raises:
        UsageError: the results hold no cells, or the folder holds something else.
        DataError: the folder cannot be written.
    """
    _require_room(folder)
    record = published.record
    contents: dict[str, bytes] = {
        SCORES: _format_scores(record_to_frame(record)),
        CARDS: _format_json(_list_cards(record)),
        COMMANDS: _format_json(_list_commands(record)),
        **(further_files or {}),
    }
    manifest = Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        suite=__version__,
        origin=origin or Origin(),
        contents=describe_contents(record),
        left_out=publication.LEFT_OUT,
        files={name: _describe_file(content) for name, content in sorted(contents.items())},
    )
    for name in (MANIFEST, *_NEEDED, *_COST_FILES):  # a bundle that is half new is none
        (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_bytes(folder / MANIFEST, _format_json(manifest.model_dump(mode="json")))
    return manifest


def _require_room(folder: Path) -> None:
    """Raise UsageError unless a folder is new, empty, or holds a bundle and no more."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; a bundle is a folder, so name another")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(names - {MANIFEST, *_NEEDED, *_COST_FILES})
    if others:
        raise UsageError(
            f"--out {folder}: holds {others[0]!r}, which is no part of a bundle; name a new folder"
        )


def _format_scores(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _format_json(value: object) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _list_cards(record: RunRecord) -> dict[str, dict[str, Any]]:
    cards: Mapping[str, Mapping[str, AnyCard]] = {
        "methods": record.methods,
        "datasets": record.datasets,
        "protocols": record.protocols,
    }
    return {
        kind: {name: json.loads(card_to_json(card)) for name, card in of_kind.items()}
        for kind, of_kind in cards.items()
    }


def _list_commands(record: RunRecord) -> dict[str, dict[str, Any]]:
    return {f"{number:06}": command._asdict() for number, command in record.commands.items()}


def _describe_file(content: bytes) -> FileFacts:
    return FileFacts(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def describe_contents(record: RunRecord) -> Contents:
    """Return what results hold; raises UsageError where they hold no cells."""
    from benchmark.results.results import Results

    results = Results([record])
    rows = results.rows
    stored = record.scores
    methods = rows.drop_duplicates("method", keep="last").sort_values("method")
    datasets = {}
    for dataset in sorted(rows["dataset"].unique()):
        selection = results.select_dataset(dataset)
        card = record.datasets.get(dataset)
        datasets[str(dataset)] = DatasetFacts(
            title=card.title if card else "",
            pictures=len(selection.pictures()),
            fingerprint=selection.fingerprint(),
        )
    return Contents(
        methods={
            str(row["method"]): _make_method_facts(row, record)
            for row in methods.to_dict("records")
        },
        datasets=datasets,
        protocols=tuple(sorted(stored["protocol"].dropna().unique())),
        commands=len(record.commands),
        cells=stored["key"].nunique(),
        scores=int(stored["value"].notna().sum()),
    )


def _make_method_facts(row: Mapping[Any, Any], record: RunRecord) -> MethodFacts:
    card = record.methods.get(row["method"])
    return MethodFacts(
        title=card.title if card else "",
        version=row["method_version"],
        weights=row["weights"] if isinstance(row["weights"], str) else None,
    )


# Reading
# --------------------------------------------------------------------------------------------------


def is_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle, sound or not; a run folder is none."""
    if (folder / FILE_NAME).exists():
        return False
    return any((folder / name).exists() for name in (MANIFEST, SCORES))


def read_bundle(folder: Path) -> Bundle:
    """Return what a bundle holds.

    Raises:
        DataError: it is not whole, changed since it was written, of a newer format, or holds what
            no bundle holds; the file is named.
    """
    manifest = _read_manifest(folder / MANIFEST)
    for name, facts in manifest.files.items():
        _check_file(folder, name, facts)
    missing = [name for name in _NEEDED if name not in manifest.files]
    if missing:
        raise DataError(f"{folder / MANIFEST}: names no {missing[0]}; get the bundle again")
    try:
        record = dataclasses.replace(
            read_export(folder / SCORES), path=folder, commands=_read_commands(folder / COMMANDS)
        )
    except UsageError as error:
        raise DataError(str(error)) from error
    record = _add_cards(record, folder / CARDS)
    require_sound_rows(record, folder / SCORES)
    return Bundle(manifest, record)


def _read_manifest(path: Path) -> Manifest:
    content = _read_small_file(path)
    try:
        header = _Header.model_validate_json(content)
        if header.format != FORMAT:
            raise DataError(f"{path}: says it is {header.format[:80]!a}, not {FORMAT!r}")
        if header.format_version > FORMAT_VERSION:
            raise DataError(
                f"{path}: format version {header.format_version}, but this version of the suite "
                f"reads {FORMAT_VERSION}; update the suite"
            )
        return Manifest.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _explain_invalid(path, error) from error


def _read_small_file(path: Path) -> bytes:
    if not path.is_file() or path.is_symlink():
        raise DataError(f"{path}: is missing; a bundle is a whole folder, so get it again")
    size = path.stat().st_size
    if size > _MOST_MANIFEST_BYTES:
        raise DataError(
            f"{path}: has {size} bytes, more than that of any bundle "
            f"({_MOST_MANIFEST_BYTES}); it is not read"
        )
    return path.read_bytes()


def _explain_invalid(path: Path, error: ValidationError) -> DataError:
    first = error.errors()[0]
    place = ".".join(str(step)[:60] for step in first["loc"])
    at = f" at {place!a}" if place else ""
    return DataError(f"{path}: not what a bundle holds ({first['msg']}{at}); get the bundle again")


def _check_file(folder: Path, name: str, facts: FileFacts) -> None:
    """Raise DataError unless a file is in the folder, and is what the manifest says."""
    if _FILE_NAME.fullmatch(name) is None or name == MANIFEST:
        raise DataError(
            f"{folder / MANIFEST}: names the file {name[:100]!a}; files of a bundle lie beside it "
            "and have plain names, so nothing of it is read"
        )
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise DataError(f"{path}: is missing, and the manifest names it; get the bundle again")
    size = path.stat().st_size
    if size != facts.bytes:
        raise DataError(
            f"{path}: has {size} bytes, and the manifest says {facts.bytes}: it is cut or changed; "
            "get the bundle again"
        )
    if size > _MOST_FILE_BYTES:
        raise DataError(f"{path}: has {size} bytes, more than any file of a bundle; it is not read")
    if hash_file(path) != facts.sha256:
        raise DataError(f"{path}: is not what the manifest says (SHA-256); get the bundle again")


def _read_commands(path: Path) -> dict[int, Command]:
    try:
        facts = _COMMANDS_ADAPTER.validate_json(_read_small_file(path))
        for command in facts.values():
            _ProvenanceFacts.model_validate(command.provenance)
    except ValidationError as error:
        raise _explain_invalid(path, error) from error
    if not all(re.fullmatch(r"\d{1,15}", number) for number in facts):
        raise DataError(f"{path}: commands have numbers, and one here has none")
    return {
        int(number): Command(command.provenance, command.started, command.finished)
        for number, command in sorted(facts.items())
    }


def _add_cards(record: RunRecord, path: Path) -> RunRecord:
    try:
        facts = _CARDS_ADAPTER.validate_json(_read_small_file(path))
    except ValidationError as error:
        raise _explain_invalid(path, error) from error
    return dataclasses.replace(
        record,
        methods=_read_cards(facts.get("methods", {}), MethodCard, path),
        datasets=_read_cards(facts.get("datasets", {}), DatasetCard, path),
        protocols=_read_cards(facts.get("protocols", {}), ProtocolCard, path),
    )


def _read_cards(
    facts: Mapping[str, dict[str, Any]], kind: type[CardT], path: Path
) -> dict[str, CardT]:
    cards: dict[str, CardT] = {}
    for name, card in facts.items():
        try:
            cards[name] = card_from_json(json.dumps(card), kind)
        except (UsageError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path}: the card of {name!a} cannot be read ({reason})") from error
    return cards
