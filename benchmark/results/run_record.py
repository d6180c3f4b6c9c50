"""One run, read whole: its scores, and the facts that it kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api import DatasetCard, MethodCard
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.store import Store

if TYPE_CHECKING:
    import pandas as pd

_SCORE_COLUMNS = {
    "cell": "cell",
    "protocol": "protocol",
    "measure": "measure",
    "value": "value",
    "reason": "reason",
    "ruler": "ruler",
    "scored_by": "scored_by",
    "status": "score_status",
}
"""Column of a store's table -> column of the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One run.

    Attributes:
        path: the run folder, or the exported file.
        folder: where its outputs and pictures lie; None for an export, which has none.
        scores: one row per stored score with every column of its cell; a cell without scores has
            one row.
        commands: number of a command -> its provenance.
        methods, datasets, protocols: cards by id.
    """

    path: Path
    folder: Path | None
    scores: pd.DataFrame
    commands: Mapping[int, Mapping[str, Any]]
    methods: Mapping[str, MethodCard]
    datasets: Mapping[str, DatasetCard]
    protocols: Mapping[str, ProtocolCard]


def read_store(store: Store) -> RunRecord:
    """Return what a run folder holds."""
    commands = {int(row["id"]): json.loads(row["provenance"]) for row in store.rows("runs")}
    return RunRecord(
        path=store.folder,
        folder=store.folder,
        scores=read_scores(store),
        commands=commands,
        methods=store.cards(MethodCard),
        datasets=store.cards(DatasetCard),
        protocols=store.cards(ProtocolCard),
    )


def read_scores(store: Store) -> pd.DataFrame:
    """Return one row per stored score with every column of its cell; a cell without scores has one
    row.
    """
    import pandas as pd

    cells = pd.DataFrame(store.rows("cells")).rename(columns={"reason": "cell_reason"})
    if cells.empty:
        return cells
    scores = pd.DataFrame(store.rows("scores"), columns=list(_SCORE_COLUMNS))
    scores = scores.rename(columns=_SCORE_COLUMNS)
    merged = cells.merge(scores, how="left", left_on="key", right_on="cell").drop(columns="cell")
    return merged.assign(value=merged["value"].astype("float64"))
