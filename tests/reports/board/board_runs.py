"""Results for tests of the board: with names that mean harm, with secrets, and large ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.api import MethodCard
from benchmark.cells import Outcome
from benchmark.noise import Noise
from benchmark.results.run_record import RunRecord
from benchmark.store import Store
from tests.benchmark.results.made_runs import (
    RULERS,
    SAMPLES,
    make_cell,
    make_run,
    make_scores,
    set_start,
)

SECRETS = ("kim", "/home", "secret", "fermi", "8786")
"""What must not leave the machine of the run below."""
COMMAND = "python -m benchmark run --methods input,mine:file=net.pth --dataset folder:path=pairs"
"""Its command, as it may leave."""
NOISY_PSNR = {"input": (20.0, 18.0), "a": (24.0, 21.0), "b": (22.0, 21.5), "truth": (30.0, 25.0)}
"""Method -> PSNR without noise and at sigma 5, to which each picture adds its number."""
CARDS = {
    "input": MethodCard(title="Input", family="baseline"),
    "a": MethodCard(
        title="A", family="learned", paper="A, ECCV 2020", trained_on=("DPD train",), licence="MIT"
    ),
    "b": MethodCard(
        title="B", family="classical", paper="B, TIP 2013", inputs="views", control="reproduces 24"
    ),
    "truth": MethodCard(title="Truth", family="classical", oracle=True),
}


def make_noisy_run(folder: Path) -> Path:
    """Write a run of four methods at two noise levels; see `NOISY_PSNR`."""
    values = {
        (method, sample): psnr[0] + number
        for method, psnr in NOISY_PSNR.items()
        for number, sample in enumerate(SAMPLES)
    }
    provenance = {"command": "python -m benchmark run --methods all --dataset set --noise 0,5"}
    make_run(folder, values, provenance=provenance)
    with Store(folder) as store:
        for method, psnr in NOISY_PSNR.items():
            for number, sample in enumerate(SAMPLES):
                cell = make_cell(method, sample, noise=Noise(5.0))
                outcome = Outcome("ok", scores=make_scores(psnr[1] + number), scene=sample)
                store.put(1, cell, outcome, RULERS)
        store.put_cards(CARDS)
    set_start(folder, "2026-01-01T00:00:00+00:00")
    return folder


def make_secret_run(folder: Path) -> Path:
    """Write a run whose ids, command, card and reasons hold `SECRETS`."""
    home = "/home/kim/secret/pairs"
    method = "mine:file=/home/kim/net.pth"
    dataset = f"folder:path={home}"
    provenance = {
        "command": f"python -m benchmark run --methods input,{method} --dataset {dataset}",
        "scheduler": "tcp://fermi.lab.example:8786",
        "host": "kim-laptop",
    }
    values: dict[tuple[str, str], float | str] = {
        ("input", "one"): 19.0,
        ("input", "two"): 19.5,
        (method, "one"): 20.0,
        (method, "two"): f"no such file: {home}/two.png",
    }
    facts = {"dataset": dataset, "dataset_name": "folder", "parameters": '{"file": "/home/kim/n"}'}
    make_run(folder, values, provenance=provenance, **facts)
    with Store(folder) as store:
        store.put_cards({method: MethodCard(title="M", family="learned", notes=f"of {home}/x")})
    return folder


def make_large_record(record: RunRecord, methods: int, datasets: int, pictures: int) -> RunRecord:
    """Return results of many methods on many data sets, with scores of every picture, each made
    from those of the first cell of `input` in some results.
    """
    rows = record.scores
    cell_rows = rows[rows["key"] == rows.loc[rows["method"] == "input", "key"].iloc[0]]
    count = len(cell_rows)
    block = pd.concat([cell_rows] * pictures, ignore_index=True)
    block["sample"] = np.repeat([f"picture-{number:03}" for number in range(pictures)], count)
    block["scene"] = block["data"] = block["sample"]
    names = ["input", *(f"method-{number:02}" for number in range(1, methods))]
    random = np.random.default_rng(1)
    parts = []
    for dataset in range(datasets):
        for place, method in enumerate(names):
            values = block["value"] * random.normal(1 + place / 1000, 0.05, len(block))
            keys = [f"{dataset}-{place}-{number // count}" for number in range(len(block))]
            changes = {"method": method, "method_name": method, "key": keys, "value": values}
            name = f"set-{dataset:02}"
            parts.append(block.assign(dataset=name, dataset_name=name, **changes))
    cards = {name: dataclasses.replace(CARDS["a"], title=name) for name in names}
    scores = pd.concat(parts, ignore_index=True)
    return dataclasses.replace(record, scores=scores, methods=cards, datasets={})
