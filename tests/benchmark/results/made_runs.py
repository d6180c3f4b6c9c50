"""Runs made by hand for tests of what is exchanged: data, methods and machines as a test wants."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmark.api import DatasetCard, MethodCard
from benchmark.cells import Cell, Outcome, Score
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import Noise
from benchmark.store import FILE_NAME, Store
from tests.reports.scores import score

PROTOCOL = ProtocolCard(
    title="Ours",
    version="1",
    tracks=("u8",),
    measures={
        "psnr": MeasureCard(
            metric="psnr", quantity="PSNR", title="PSNR", unit="dB", limits=(0, None)
        ),
        "ssim": MeasureCard(metric="ssim", quantity="SSIM", title="SSIM", limits=(-1, 1)),
    },
)
RULERS = {("ours", "psnr"): "1/1/-", ("ours", "ssim"): "1/1/-"}
SAMPLES = ("one", "two", "three", "four")
COMMIT = "a" * 40


def make_cell(method: str, sample: str, **facts: Any) -> Cell:
    values = {
        "method_name": method.partition(":")[0],
        "checkpoint": None,
        "parameters": "{}",
        "method_version": "1",
        "weights": None,
        "dataset": "set",
        "dataset_name": "set",
        "data": f"f-{sample}",
        "track": "u8",
        "noise": Noise(),
    }
    return Cell(method=method, sample=sample, **values | facts)


def make_scores(value: float) -> dict[str, Sequence[Score]]:
    return {"ours": [score("psnr", value), score("ssim", value / 100)]}


def make_run(
    folder: Path,
    values: Mapping[tuple[str, str], float | str],
    *,
    started: str = "2026-01-01T00:00:00+00:00",
    provenance: Mapping[str, Any] | None = None,
    rulers: Mapping[tuple[str, str], str] = RULERS,
    **facts: Any,
) -> Path:
    """Write a run folder of one command.

    Args:
        folder: of the run.
        values: (method, sample) -> PSNR, or the reason why it failed.
        started: when its command started.
        provenance: of its command.
        rulers: of its scores.
        facts: of its cells.
    """
    with Store(folder, create=True) as store:
        cards = {name: MethodCard(title=name, family="classical") for name, _ in values}
        store.put_cards(cards)
        dataset = str(facts.get("dataset", "set"))
        card = DatasetCard(title="Set", paper="", licence="free", source="here", layout="x/")
        store.put_cards({dataset: card})
        store.put_cards({"ours": PROTOCOL})
        run = store.start_run(
            {"suite": "0.2.0", "git": {"commit": COMMIT, "dirty": False}, **(provenance or {})}
        )
        for (method, sample), value in values.items():
            outcome = Outcome("failed", reason=value) if isinstance(value, str) else None
            if outcome is None:
                outcome = Outcome("ok", scores=make_scores(float(value)), scene=sample)
            store.put(run, make_cell(method, sample, **facts), outcome, rulers)
    set_start(folder, started)
    return folder


def set_start(folder: Path, started: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        database.execute("UPDATE runs SET started = ?, finished = ?", (started, started))
        database.execute("UPDATE cells SET finished = ?", (started,))
        database.commit()


def spread_values(methods: Sequence[str], samples: Sequence[str] = SAMPLES) -> dict[Any, float]:
    """Return (method, sample) -> a value that no other has."""
    places = itertools.product(methods, samples)
    return {place: 20 + len(place[0]) + SAMPLES.index(place[1]) / 7 for place in places}


def change_json(path: Path, change: Any) -> None:
    """Write a JSON file again after `change` was called with its content."""
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
