"""Runs, cells, scores, cards and results of studies in one SQLite file.

Only the parent process writes, one transaction per finished cell, in WAL mode with
`synchronous=NORMAL`: a process killed at any moment loses at most the cells in flight. After a
power cut the last transactions may be missing too, but the file is never damaged; the next run does
whatever is missing, because what is done is read from the rows themselves and never from a status
of the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.api import DataError, MethodCard, UsageError
from benchmark.cells import (
    Cell,
    Outcome,
    Score,
    ScoreStatus,
    StoredCell,
    StoredScore,
    StudyResult,
)
from benchmark.noise import Noise
from benchmark.spec import parse_id
from benchmark.stored_cards import CARD_KINDS, AnyCard, CardT, card_from_json, card_to_json

FILE_NAME = "run.sqlite"
_PATIENCE = 60.0
"""Seconds to wait for another command that writes."""
SCHEMA_VERSION = 7
"""2: scores have a status. 3: `simulated` without a source is called by the set that it showed in
versions 1 and 2. 4: a cell belongs to every data set that it was asked for in. 5: cells have
the digest of their output. 6: noisy cells of methods that take dual-pixel views say what sigma is
of (`noise.NoiseOnViews`). 7: scores by blur say what the blur was known by. A store of an earlier
version is brought up to it when it is opened.
"""

_REQUESTS = """
CREATE TABLE IF NOT EXISTS requests (
    cell TEXT NOT NULL REFERENCES cells (key) ON DELETE CASCADE,
    dataset TEXT NOT NULL, asked INTEGER NOT NULL, PRIMARY KEY (cell, dataset)) WITHOUT ROWID;
"""
_SCHEMA = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, finished TEXT, provenance TEXT NOT NULL);
CREATE TABLE cards (
    kind TEXT NOT NULL, name TEXT NOT NULL, card TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE cells (
    key TEXT PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id),
    method TEXT NOT NULL, method_name TEXT NOT NULL, checkpoint TEXT, parameters TEXT NOT NULL,
    method_version TEXT NOT NULL, weights TEXT,
    dataset TEXT NOT NULL, dataset_name TEXT NOT NULL, sample TEXT NOT NULL, data TEXT NOT NULL,
    track TEXT NOT NULL, sigma REAL NOT NULL, clip INTEGER NOT NULL, round8 INTEGER NOT NULL,
    seed INTEGER NOT NULL, precision TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT, traceback TEXT, seconds REAL, scene TEXT, output TEXT,
    finished TEXT NOT NULL, asked INTEGER NOT NULL, output_digest TEXT,
    on_views TEXT NOT NULL DEFAULT '');
CREATE TABLE scores (
    cell TEXT NOT NULL REFERENCES cells (key) ON DELETE CASCADE,
    protocol TEXT NOT NULL, measure TEXT NOT NULL, value REAL, reason TEXT, ruler TEXT NOT NULL,
    scored_by INTEGER NOT NULL REFERENCES runs (id), status TEXT NOT NULL DEFAULT 'ok',
    basis TEXT, PRIMARY KEY (cell, protocol, measure)) WITHOUT ROWID;
{_REQUESTS}"""
_STUDY_RESULTS = """
CREATE TABLE IF NOT EXISTS study_results (
    key TEXT PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), study TEXT NOT NULL,
    facts TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, traceback TEXT, content TEXT NOT NULL,
    finished TEXT NOT NULL)
"""
"""Results of studies: a table by itself, which stores of every version get when they are opened."""
_FROM_VERSION_1 = """
ALTER TABLE scores ADD COLUMN status TEXT NOT NULL DEFAULT 'ok';
UPDATE scores SET status = CASE
    WHEN reason LIKE 'not available%' THEN 'unavailable'
    WHEN reason LIKE '% returned nan' OR reason LIKE '% returned %inf' THEN 'failed'
    ELSE 'skipped' END
    WHERE reason IS NOT NULL;
"""
"""Version 1 said by the words of a reason alone what had become of a score."""
_FROM_VERSION_2 = """
UPDATE cells SET dataset = update_dataset_id(dataset);
UPDATE cards SET name = update_dataset_id(name) WHERE kind = 'dataset';
"""
_FROM_VERSION_3 = f"""{_REQUESTS}
INSERT OR IGNORE INTO requests SELECT key, dataset, asked FROM cells;
"""  # noqa: S608
_FROM_VERSION_4 = "ALTER TABLE cells ADD COLUMN output_digest TEXT"
_FROM_VERSION_5 = """
ALTER TABLE cells ADD COLUMN on_views TEXT NOT NULL DEFAULT '';
UPDATE cells SET on_views = 'physical' WHERE sigma > 0 AND method IN (
    SELECT name FROM cards WHERE kind = 'method' AND takes_views(card));
"""
"""Before there was a choice, views had sigma * sqrt(2). The keys of these cells stay as they
are.
"""
_FROM_VERSION_6 = "ALTER TABLE scores ADD COLUMN basis TEXT"
_MIGRATIONS = {
    1: _FROM_VERSION_1,
    2: _FROM_VERSION_2,
    3: _FROM_VERSION_3,
    4: _FROM_VERSION_4,
    5: _FROM_VERSION_5,
    6: _FROM_VERSION_6,
}
"""Version -> what brings a store of it up to the next one."""
_CELL_COLUMNS = [
    "method",
    "method_name",
    "checkpoint",
    "parameters",
    "method_version",
    "weights",
    "dataset",
    "dataset_name",
    "sample",
    "data",
    "track",
    "sigma",
    "clip",
    "round8",
    "seed",
    "on_views",
    "precision",
]
_NOISE_COLUMNS = {field.name for field in dataclasses.fields(Noise)}
_PUT_COLUMNS = [
    "key",
    "run",
    *_CELL_COLUMNS,
    "status",
    "reason",
    "traceback",
    "seconds",
    "scene",
    "output",
    "finished",
    "asked",
    "output_digest",
]
_SCORE_COLUMNS = [
    "cell",
    "protocol",
    "measure",
    "value",
    "reason",
    "ruler",
    "scored_by",
    "status",
    "basis",
]
_STUDY_COLUMNS = [
    "key",
    "run",
    "study",
    "facts",
    "status",
    "reason",
    "traceback",
    "content",
    "finished",
]
Rulers = Mapping[tuple[str, str], str]
"""(protocol, measure) -> text that changes whenever its scores may: protocol and metric versions,
metric weights.
"""


class CellEnding(NamedTuple):
    """How a cell ended, as the columns of the same names say."""

    key: str
    method: str
    status: str
    reason: str | None
    weights: str | None
    seconds: float | None


class FailedScore(NamedTuple):
    """A score that failed: the key of its cell, protocol, measure and reason."""

    cell: str
    protocol: str
    measure: str
    reason: str | None


class Store:
    """The results of one run folder. Use as a context manager."""

    def __init__(self, folder: Path, *, create: bool = False, read_only: bool = False) -> None:
        """Open the store of `folder`.

        Args:
            folder: of the run.
            create: make the store where there is none.
            read_only: no result will be written, so the folder may be one that cannot be.

        Raises:
            UsageError: if there is none, it is not a store, or it was written by another schema
                version.
            DataError: if it cannot be written, or (`read_only`) not be read where it lies.
        """
        self.folder = folder
        self._advice = "use another --out" if create else "restore it, or name another run"
        path = folder / FILE_NAME
        if not create and not path.is_file():
            raise UsageError(
                f"{folder}: no run here (no {FILE_NAME}); name the folder that `run` printed"
            )
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        elif path.stat().st_size == 0:
            raise UsageError(f"{path}: is empty, so its results are lost; {self._advice}")
        self._file: tuple[int, int] | None = None
        try:
            reads_copy = read_only and not _can_be_read_in_place(path)
            if reads_copy:
                self._db = _read_into_memory(path)
            else:
                self._db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            self._db.row_factory = sqlite3.Row
            if reads_copy or not read_only:
                self._open()
            self._file = None if read_only else _identify_file(path)
        except sqlite3.DatabaseError as error:
            if _is_damaged(error):
                raise UsageError(
                    f"{path}: not a readable run store ({error}); {self._advice}"
                ) from error
            raise DataError(explain_store_error(error, path)) from error

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.create_function("update_dataset_id", 1, update_dataset_id, deterministic=True)
        self._db.create_function("takes_views", 1, _takes_views, deterministic=True)
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._change_schema(_SCHEMA)
            elif version < SCHEMA_VERSION:
                for earlier in range(version, SCHEMA_VERSION):
                    self._change_schema(_MIGRATIONS[earlier])
            elif version != SCHEMA_VERSION:
                raise UsageError(
                    f"{self.folder / FILE_NAME}: schema {version}, but this version reads "
                    f"{SCHEMA_VERSION}; {self._advice}"
                )
            self._db.execute(_STUDY_RESULTS)

    def _change_schema(self, statements: str) -> None:
        for statement in statements.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._require_file()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:  # commits, or rolls back on an error
                yield
        except sqlite3.DatabaseError as error:
            raise DataError(explain_store_error(error, self.folder / FILE_NAME)) from error

    def _require_file(self) -> None:
        """Raise DataError if the file was moved or deleted: SQLite would go on writing into what
        nobody can open any more.
        """
        path = self.folder / FILE_NAME
        if self._file is not None and _identify_file(path) != self._file:
            raise DataError(
                f"{path}: was moved or deleted while it was in use. If it was moved, put it back, "
                "and the same command does the rest; if not, the command begins anew"
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def start_run(self, provenance: Mapping[str, Any]) -> int:
        """Record the start of a command; return its number."""
        row = (_utc_now(), json.dumps(provenance, sort_keys=True))
        with self._transaction():
            number = self._db.execute(
                "INSERT INTO runs (started, provenance) VALUES (?, ?)", row
            ).lastrowid
        assert number is not None
        return number

    def add_facts(self, number: int, facts: Mapping[str, Any]) -> None:
        """Add to the provenance of a command what was not known when it started."""
        with self._transaction():
            query = "SELECT provenance FROM runs WHERE id = ?"
            provenance = json.loads(self._db.execute(query, (number,)).fetchone()[0])
            text = json.dumps(provenance | dict(facts), sort_keys=True)
            self._db.execute("UPDATE runs SET provenance = ? WHERE id = ?", (text, number))

    def finish_run(self, number: int) -> None:
        """Record the end of a command; for information only."""
        with self._transaction():
            self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (_utc_now(), number))

    def put_cards(self, cards: Mapping[str, AnyCard]) -> None:
        """Write what tables must say about methods, data sets and protocols, so that reports need
        no plug-in.

        Args:
            cards: id -> card; each takes the place of an earlier one of its kind and id.
        """
        rows = [(CARD_KINDS[type(card)], name, card_to_json(card)) for name, card in cards.items()]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO cards VALUES (?, ?, ?)", rows)

    def cards(self, kind: type[CardT]) -> dict[str, CardT]:
        """Return id -> card of one kind; raises UsageError for a card that cannot be read."""
        query = "SELECT name, card FROM cards WHERE kind = ?"
        rows = self._select(query, CARD_KINDS[kind])
        return {row["name"]: card_from_json(row["card"], kind) for row in rows}

    def put(
        self,
        run: int,
        cell: Cell,
        outcome: Outcome,
        rulers: Rulers,
        *,
        asked_by: int | None = None,
    ) -> None:
        """Write a finished cell and its scores in one transaction.

        It takes the place of an earlier outcome, except that a failure never replaces a success:
        what was computed once is not lost when it is tried again (for a further protocol, say) and
        fails.

        Args:
            run: number of the command, or of the environment in which it was computed for it.
            cell, outcome: what was finished, and what came of it.
            rulers: as `runner.describe_rulers` gives them.
            asked_by: number of the command, where `run` is another.
        """
        outcome_values = (
            outcome.status,
            _to_unicode(outcome.reason),
            _to_unicode(outcome.traceback),
            outcome.seconds,
            _to_unicode(outcome.scene),
            outcome.output,
        )
        ending = (_utc_now(), asked_by or run, outcome.output_digest)
        key = cell.key
        values = (key, run, *_cell_to_row(cell), *outcome_values, *ending)
        with self._transaction():
            self._db.execute(_PUT_CELL, values)
            self._db.execute(_PUT_REQUEST, (key, cell.dataset, asked_by or run))
            self._insert_scores(key, outcome.scores, rulers, run)

    def put_scores(
        self, run: int, key: str, scores: Mapping[str, Sequence[Score]], rulers: Rulers
    ) -> None:
        """Write the scores of a stored cell under further protocols, in one transaction."""
        with self._transaction():
            self._insert_scores(key, scores, rulers, run)

    def _insert_scores(
        self, key: str, scores: Mapping[str, Sequence[Score]], rulers: Rulers, run: int
    ) -> None:
        for protocol, values in scores.items():
            for score in values:
                ruler = rulers[protocol, score.key]
                reason = _to_unicode(score.reason)
                facts = (score.value, reason, ruler, run, score.status, score.basis)
                row = (key, protocol, score.key, *facts)
                # What was measured where the metric was available is not lost where it is not.
                self._db.execute(_ADD_SCORE if score.status == "unavailable" else _PUT_SCORE, row)

    def put_study_result(self, run: int, study: str, result: StudyResult) -> None:
        """Write what a study measured on an item; a failure never replaces a success."""
        values = (
            result.key,
            run,
            study,
            json.dumps(result.facts),
            result.status,
            _to_unicode(result.reason),
            _to_unicode(result.traceback),
            json.dumps(result.values),
            _utc_now(),
        )
        with self._transaction():
            self._db.execute(_format_upsert("study_results", _STUDY_COLUMNS), values)

    def study_results(self, study: str) -> dict[str, StudyResult]:
        """Return key -> what the store holds of a study, in the order in which items came first."""
        results: dict[str, StudyResult] = {}
        query = "SELECT * FROM study_results WHERE study = ? ORDER BY rowid"
        for row in self._select(query, study):
            results[row["key"]] = StudyResult(
                row["key"],
                json.loads(row["facts"]),
                row["status"],
                row["reason"],
                row["traceback"],
                json.loads(row["content"]),
            )
        return results

    def note_request(self, run: int, cells: Sequence[Cell]) -> None:
        """Note that a command asked for these cells, under these ids: tables show what was asked
        for last.

        Cells that are done already keep their results. One that was asked for in several data sets
        (a folder, and another with some of its pictures) belongs to each of them. One that is found
        under another id of its method (a parameter that changes no pixel) is shown under the new
        one.
        """
        rows = ((cell.key, cell.method, cell.dataset) for cell in cells)
        with self._transaction():
            self._db.execute(_CREATE_REQUESTED)
            self._db.executemany("INSERT OR REPLACE INTO requested VALUES (?, ?, ?)", rows)
            self._db.execute(_NOTE_LABELS, (run,))
            self._db.execute(_NOTE_REQUESTS, (run,))
            self._db.execute("DROP TABLE requested")

    def stored_cells(self) -> dict[str, StoredCell]:
        """Return key -> what the store holds of it, for every cell."""
        rulers = self._read_rulers()
        query = "SELECT key, status, output, output_digest FROM cells"
        return {
            key: StoredCell(status, output, digest, rulers.get(key, {}))
            for key, status, output, digest in self._select_tuples(query)
        }

    def _read_rulers(self) -> dict[str, Mapping[tuple[str, str], tuple[str, ScoreStatus]]]:
        """Return key -> (protocol, measure) -> (ruler, status). Most cells are scored alike, and
        share one mapping.
        """
        query = (
            "SELECT cell, json_group_array(json_array(protocol, measure, ruler, status)) "
            "FROM scores GROUP BY cell"
        )
        text_of_cell = dict(self._select_tuples(query))
        rulers_of_text = {
            text: {
                (protocol, measure): (ruler, status)
                for protocol, measure, ruler, status in json.loads(text)
            }
            for text in set(text_of_cell.values())
        }
        return {cell: rulers_of_text[text] for cell, text in text_of_cell.items()}

    def stored_scores(self, key: str) -> list[StoredScore]:
        """Return the scores of one cell, by protocol and measure."""
        query = (
            "SELECT protocol, measure, value, status, ruler, scored_by FROM scores WHERE cell = ? "
            "ORDER BY protocol, measure"
        )
        return [StoredScore(*row) for row in self._select(query, key)]

    def measured_values(
        self, method: str, protocol: str, measure: str
    ) -> Iterator[tuple[Cell, float]]:
        """Yield the cells of a method that have a score in a measure, with its value, by key."""
        query = (
            "SELECT cells.*, value FROM cells JOIN scores ON scores.cell = cells.key "
            "WHERE cells.method = ? AND scores.protocol = ? AND scores.measure = ? "
            "AND scores.status = 'ok' ORDER BY cells.key"
        )
        for row in self._select(query, method, protocol, measure):
            yield _cell_from_row(row), row["value"]

    def list_deciding_commands(self) -> list[Mapping[str, Any]]:
        """Return the provenance of every command that made a cell or a score of the run."""
        query = (
            "SELECT provenance FROM runs WHERE id IN (SELECT run FROM cells) "
            "OR id IN (SELECT scored_by FROM scores) ORDER BY id"
        )
        return [json.loads(row[0]) for row in self._select(query)]

    def cells(self) -> Iterator[tuple[Cell, StoredCell]]:
        """Yield every cell with what the store holds of it, in the order of data set, sample,
        noise and method.
        """
        stored_cells = self.stored_cells()
        query = "SELECT * FROM cells ORDER BY dataset, sample, track, sigma, method, key"
        for row in self._select(query):
            yield _cell_from_row(row), stored_cells[row["key"]]

    def outputs(self) -> Iterator[tuple[Cell, str]]:
        """Yield every cell that is ok and whose output was kept, with the output's path, in the
        same order.
        """
        query = (
            "SELECT * FROM cells WHERE status = 'ok' AND output IS NOT NULL "
            "ORDER BY dataset, sample, track, sigma, method, key"
        )
        for row in self._select(query):
            yield _cell_from_row(row), row["output"]

    def cell_endings(self) -> Iterator[CellEnding]:
        """Yield how every cell ended, in the order of keys."""
        query = "SELECT key, method, status, reason, weights, seconds FROM cells ORDER BY key"
        for row in self._select_tuples(query):
            yield CellEnding(*row)

    def failed_scores(self) -> Iterator[FailedScore]:
        """Yield every score that failed, by cell, protocol and measure."""
        query = (
            "SELECT cell, protocol, measure, reason FROM scores WHERE status = 'failed' "
            "ORDER BY cell, protocol, measure"
        )
        for row in self._select(query):
            yield FailedScore(*row)

    def rows(self, table: Literal["runs", "cells", "requests", "scores"]) -> list[dict[str, Any]]:
        """Return a whole table as dictionaries."""
        columns, rows = self.read_table(table)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def read_table(
        self, table: Literal["runs", "cells", "requests", "scores"]
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the names of a table's columns, and its rows, for frames and exports."""
        columns = [row["name"] for row in self._select(f"PRAGMA table_info({table})")]
        rows = self._select_tuples(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
        return columns, list(rows)

    def _select(self, query: str, *values: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of a query; raises DataError if they cannot be read."""
        try:
            yield from self._db.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise DataError(explain_store_error(error, self.folder / FILE_NAME)) from error

    def _select_tuples(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Return the same as bare tuples, which takes half the time where there are very many."""
        cursor = self._db.cursor()
        cursor.row_factory = None
        try:
            yield from cursor.execute(query)
        except sqlite3.DatabaseError as error:
            raise DataError(explain_store_error(error, self.folder / FILE_NAME)) from error


def explain_store_error(error: sqlite3.DatabaseError, path: Path | None = None) -> str:
    """Return in one line what is wrong with a store, and what to do."""
    name = path or "the run store"
    goes_on = "what was finished is kept, and the same command does the rest"
    if _is_damaged(error):
        return f"{name}: is damaged ({error}); restore it, or name another run"
    code = _find_code(error)
    if code == sqlite3.SQLITE_FULL:
        return f"{name}: the disk is full; make room: {goes_on}"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{name}: another command is writing it; wait until that has ended: {goes_on}"
    return f"{name}: cannot be read or written ({error}); check the folder and the disk: {goes_on}"


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    return _find_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _find_code(error: sqlite3.DatabaseError) -> int:
    """Return the kind of an error without its details, 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _identify_file(path: Path) -> tuple[int, int] | None:
    """Return what stays the same while a file is the same one, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _can_be_read_in_place(path: Path) -> bool:
    """Return whether a store can be read where it lies, and is of this version: reading must
    neither change it nor wait for who writes it.
    """
    if not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
        return False
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    return bool(version == SCHEMA_VERSION)


def _read_into_memory(path: Path) -> sqlite3.Connection:
    """Return a copy of a store that lies where nothing can be written.

    Raises:
        DataError: if there are results beside the file that only who may write can read.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None)
    address = path.absolute().as_uri()
    try:
        _copy_store(f"{address}?mode=ro", memory)
    except sqlite3.OperationalError as error:  # it needs a file beside it, if only to lock
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise DataError(
                f"{path}: is in use or was not ended, and the folder cannot be written; wait until "
                "the command on it has ended, or copy the folder to where it can be written"
            ) from error
        _copy_store(f"{address}?immutable=1", memory)
    return memory


def _copy_store(address: str, memory: sqlite3.Connection) -> None:
    with contextlib.closing(sqlite3.connect(address, uri=True)) as file:
        file.backup(memory)


def update_dataset_id(dataset: str) -> str:
    """Return what a store of version 3 calls a data set of a store of version 1 or 2.

    `simulated` without a source showed the five photographs that are `simulated:set=five` now.
    """
    spec = parse_id(dataset)
    if spec.name != "simulated" or "source" in spec.parameters:
        return dataset
    return str(dataclasses.replace(spec, parameters={"set": "five", **spec.parameters}))


def _takes_views(card: str) -> bool:
    """Return whether the card of a method, as a store has it, says that it takes views."""
    return card_from_json(card, MethodCard).inputs == "views"


def _format_insert(verb: str) -> str:
    marks = ", ".join("?" * len(_SCORE_COLUMNS))
    columns = ", ".join(_SCORE_COLUMNS)
    return f"INSERT OR {verb} INTO scores ({columns}) VALUES ({marks})"  # noqa: S608


def _format_upsert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    assignments = ", ".join(f"{name} = excluded.{name}" for name in columns)
    condition = f"excluded.status = 'ok' OR {table}.status != 'ok'"
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO UPDATE "  # noqa: S608
        f"SET {assignments} WHERE {condition}"
    )


def _cell_to_row(cell: Cell) -> list[Any]:
    return [getattr(cell.noise if name in _NOISE_COLUMNS else cell, name) for name in _CELL_COLUMNS]


def _cell_from_row(row: sqlite3.Row) -> Cell:
    noise = Noise(
        sigma=row["sigma"],
        clip=bool(row["clip"]),
        round8=bool(row["round8"]),
        seed=row["seed"],
        on_views=row["on_views"],
    )
    facts = {name: row[name] for name in _CELL_COLUMNS if name not in _NOISE_COLUMNS}
    return Cell(**facts, noise=noise)


def _to_unicode(text: str | None) -> str | None:
    """Return a text that SQLite takes: what is no Unicode (a broken file name, say) is written as
    escapes.
    """
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace").decode()


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


_PUT_CELL = _format_upsert("cells", _PUT_COLUMNS)
_PUT_REQUEST = "INSERT OR REPLACE INTO requests VALUES (?, ?, ?)"
_CREATE_REQUESTED = (
    "CREATE TEMP TABLE requested (cell TEXT PRIMARY KEY, method TEXT, dataset TEXT) WITHOUT ROWID"
)
_NOTE_LABELS = """
UPDATE cells SET asked = ?, (method, dataset) =
    (SELECT method, dataset FROM requested WHERE cell = key)
    WHERE key IN (SELECT cell FROM requested)
"""
_NOTE_REQUESTS = """
INSERT OR REPLACE INTO requests
    SELECT key, requested.dataset, ? FROM cells JOIN requested ON cell = key
"""
_PUT_SCORE = _format_insert("REPLACE")
_ADD_SCORE = _format_insert("IGNORE")
