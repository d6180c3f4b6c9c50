"""One run, read whole: its scores, and the facts that it kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    "basis": "basis",
}
"""Column of a store's table -> column of the frame."""


class Command(NamedTuple):
    """One command of a run.

    Attributes:
        provenance: as `provenance.collect_provenance` gives it.
        started, finished: when (ISO 8601, UTC); None where that is not known.
    """

    provenance: Mapping[str, Any]
    started: str | None = None
    finished: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One run.

    Attributes:
        path: the run folder, the bundle, or the exported file.
        folder: where its outputs and pictures lie; None for a bundle and an exported file, which
            have none.
        scores: as `read_scores` gives them.
        commands: number -> command.
        methods, datasets, protocols: cards by id.
    """

    path: Path
    folder: Path | None
    scores: pd.DataFrame
    commands: Mapping[int, Command]
    methods: Mapping[str, MethodCard]
    datasets: Mapping[str, DatasetCard]
    protocols: Mapping[str, ProtocolCard]

    @property
    def last_command(self) -> int:
        """The highest number of a command; of one that only asked for cells, an exported file has
        no more than the number.
        """
        last_request = 0 if self.scores.empty else int(self.scores["asked"].max())
        return max(last_request, max(self.commands, default=0))


def read_store(store: Store) -> RunRecord:
    """Return what a run folder holds."""
    commands = {
        int(row["id"]): Command(json.loads(row["provenance"]), row["started"], row["finished"])
        for row in store.rows("runs")
    }
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
    """Return one row per stored score with every column of its cell, for each data set that the
    cell was asked for in; a cell without scores has one row there.
    """
    import pandas as pd

    columns, rows = store.read_table("cells")
    if not rows:
        return pd.DataFrame()
    cells = pd.DataFrame(rows, columns=columns).rename(columns={"reason": "cell_reason"})
    columns, rows = store.read_table("requests")
    requests = pd.DataFrame(rows, columns=columns).rename(columns={"cell": "key"})
    facts = cells.drop(columns=["dataset", "asked"])
    cells = facts.merge(requests, on="key")[list(cells.columns)]
    columns, rows = store.read_table("scores")
    scores = pd.DataFrame(rows, columns=columns)[list(_SCORE_COLUMNS)]
    scores = scores.rename(columns=_SCORE_COLUMNS)
    merged = cells.merge(scores, how="left", left_on="key", right_on="cell").drop(columns="cell")
    numbers = ("value", "seconds", "scored_by")
    return merged.assign(**{name: merged[name].astype("float64") for name in numbers})
