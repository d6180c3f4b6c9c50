"""Ids, versions and parameters are part of every stored cell's identity: none may change by
accident.

A change here makes stored results of the method, data set or protocol concerned stale, so it
belongs in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark import plan
from benchmark.noise import Noise
from benchmark.registry import DATASETS, IMPORTERS, METHODS, METRICS, PROTOCOLS, Registry, create

PINNED = json.loads(Path(__file__).with_name("identity.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "registry", [METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS], ids=lambda r: r.kind
)
def test_every_pinned_name_is_registered(registry: Registry) -> None:
    assert set(PINNED["names"][registry.kind]) <= set(registry.names())


@pytest.mark.parametrize("text", PINNED["methods"])
def test_a_method_resolves_to_the_pinned_identity(text: str) -> None:
    method, resolved = create(METHODS, text)
    identity = [resolved.name, resolved.label, type(method).version, resolved.parameters_json()]
    assert identity == PINNED["methods"][text]


@pytest.mark.parametrize("name", PINNED["protocols"])
def test_a_protocol_has_the_pinned_tracks_and_measures(name: str) -> None:
    protocol = PROTOCOLS.get(name)
    measures = [[m.key, m.metric, m.clamp, m.round8] for m in protocol.measures]
    facts = [protocol.version, [track.id for track in protocol.tracks], measures]
    assert facts == PINNED["protocols"][name]


@pytest.mark.parametrize("name", PINNED["metrics"])
def test_a_metric_has_the_pinned_version(name: str) -> None:
    assert METRICS.get(name).version == PINNED["metrics"][name]


def test_the_pictures_of_the_default_data_set_are_the_pinned_ones(tmp_path: Path) -> None:
    planned = plan.select_dataset("simulated", tmp_path)
    assert planned.fingerprints == PINNED["bundled"]


def test_set_five_shows_the_pinned_pictures(tmp_path: Path) -> None:
    planned = plan.select_dataset("simulated:set=five", tmp_path)
    assert planned.fingerprints == PINNED["simulated"]


@pytest.mark.parametrize("name", PINNED["evaluation"])
def test_the_pictures_of_an_evaluation_set_are_the_pinned_ones(name: str, tmp_path: Path) -> None:
    assert plan.select_dataset(name, tmp_path).fingerprints == PINNED["evaluation"][name]


def test_a_cell_has_the_pinned_key(tmp_path: Path) -> None:
    methods = plan.select_methods(["input", "unsharp:amount=0.5"])
    dataset = plan.select_dataset("simulated:set=five", tmp_path, limit=1)
    tracks = [PROTOCOLS.get("canonical").tracks[0]]
    cells = plan.list_cells(
        methods, dataset, tracks, [Noise(0.0), Noise(2.55, clip=True, round8=True, seed=3)]
    )
    assert {f"{cell.method} {cell.noise.sigma:g}": cell.key for cell in cells} == PINNED["keys"]
