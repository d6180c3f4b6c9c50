"""Results that were read, looked at as a store is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchmark.cells import Cell, ScoreStatus, StoredCell, StoredScore
from benchmark.noise import Noise
from benchmark.results.run_record import RunRecord
from benchmark.results.selection import cell_of_row

if TYPE_CHECKING:
    import pandas as pd


class RecordView:
    """What `Store` tells of cells, scores and commands, told of results without outputs."""

    def __init__(self, record: RunRecord) -> None:
        """Look at a record."""
        self._record = record
        self._cells = _take_rows(record.scores, ["key"])
        scores = record.scores[record.scores["measure"].notna()]
        self._scores: dict[str, list[StoredScore]] = {}
        for row in _take_rows(scores, ["key", "protocol", "measure"]):
            self._scores.setdefault(row["key"], []).append(_read_score(row))

    def cells(self) -> Iterator[tuple[Cell, StoredCell]]:
        """Yield every cell with what the results hold of it; none has an output."""
        for row in self._cells:
            digest = row.get("output_digest")
            known_digest = digest if isinstance(digest, str) else None
            yield _read_cell(row), StoredCell(row["status"], None, known_digest, {})

    def stored_scores(self, key: str) -> list[StoredScore]:
        """Return the scores of one cell."""
        return self._scores.get(key, [])

    def list_deciding_commands(self) -> list[Mapping[str, Any]]:
        """Return the provenance of every command that made a cell or a score."""
        frame = self._record.scores
        numbers = {*frame["run"].unique(), *frame["scored_by"].dropna().unique()}
        commands = sorted(self._record.commands.items())
        return [command.provenance for number, command in commands if number in numbers]


def _take_rows(frame: pd.DataFrame, keys: list[str]) -> list[dict[Any, Any]]:
    rows = frame.drop_duplicates(keys).sort_values(keys, kind="stable")
    return rows.to_dict("records")


def _read_cell(row: Mapping[Any, Any]) -> Cell:
    level = Noise(row["sigma"], bool(row["clip"]), bool(row["round8"]), row["seed"])
    return cell_of_row({**row, "noise": level})


def _read_score(row: Mapping[Any, Any]) -> StoredScore:
    status = _read_status(row)
    value = float(row["value"]) if status == "ok" else None
    return StoredScore(
        row["protocol"], row["measure"], value, status, row["ruler"], int(row["scored_by"])
    )


def _read_status(row: Mapping[Any, Any]) -> ScoreStatus:
    status: ScoreStatus | None = row.get("score_status")
    if isinstance(status, str):
        return status
    return "skipped" if isinstance(row["reason"], str) else "ok"  # exports of earlier releases
