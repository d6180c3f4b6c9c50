"""Precision as a part of an id, as an option, and as a fact of the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmark import imageio, plan, precision
from benchmark.api import MethodCard, UsageError
from benchmark.cli.app import app
from benchmark.registry import METHODS, create
from benchmark.results import notes

NETWORKS = (
    "attnet", "dmenet", "dpdnet-d", "dpdnet-s", "drbnet", "drbnet-d", "gkmnet", "ifan", "ifan-d",
    "iniknet", "kpac", "kpac-d", "lakdnet", "lakdnet-d", "nafnet", "nrknet", "restormer",
    "restormer-d", "srn",
)  # fmt: skip
MIXTURE = "input,ebdb,gkmnet.sim,gkmnet.photo:precision=32"


@pytest.fixture
def no_bf16(monkeypatch: pytest.MonkeyPatch) -> str:
    """A processor without bfloat16; its name."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda gpu: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine = {"processor": "Old Processor"}
    monkeypatch.setattr(precision.provenance, "describe_machine", lambda: machine)
    return machine["processor"]


@pytest.mark.parametrize(
    ("told", "multiplies"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, False),
    ],
)
def test_a_processor_tells_whether_it_multiplies_bfloat16(
    told: dict[str, bool], multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert precision.multiplies_bf16(gpu=False) is multiplies
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not precision.multiplies_bf16(gpu=False), "an older torch does not tell"


@pytest.mark.parametrize("name", NETWORKS)
def test_precision_is_part_of_the_identity_where_it_is_set(name: str) -> None:
    _, usual = create(METHODS, name)
    method, coarse = create(METHODS, f"{name}:precision=bf16")
    assert "precision" not in usual.parameters
    assert create(METHODS, f"{name}:precision=32")[1] == usual
    assert coarse.parameters == {**usual.parameters, "precision": "bf16"}
    assert coarse.label.endswith("precision=bf16")
    assert method.card.precision == "bf16"


def test_every_learned_method_has_the_parameter() -> None:
    shipped = {name: METHODS.get(name) for name in METHODS.names()}
    cards = {  # other tests add methods of their own
        name: method.card
        for name, method in shipped.items()
        if method.__module__.startswith("benchmark.")
    }
    learned = {name for name, card in cards.items() if card.family == "learned"}
    assert {name for name in learned if not cards[name].made_elsewhere} == set(NETWORKS)


def test_the_true_map_needs_no_network() -> None:
    assert create(METHODS, "dmenet:map=oracle,precision=bf16")[0].card.precision == "32"


def test_other_precisions_are_refused() -> None:
    with pytest.raises(UsageError, match="precision='16'"):
        create(METHODS, "gkmnet:precision=16")


def test_the_option_is_for_the_networks_that_say_nothing_themselves() -> None:
    lines: list[str] = []
    methods = plan.select_methods([MIXTURE], lines.append, "bf16")
    labels = [method.id.label for method in methods]
    assert labels == ["input", "ebdb", "gkmnet.sim:precision=bf16", "gkmnet.photo"]
    assert lines == ["run as they are, not in bfloat16: input, ebdb, gkmnet.photo"]
    assert methods[2].identity() == plan.select_methods([labels[2]])[0].identity()


def test_without_the_option_nothing_changes_and_nothing_is_said() -> None:
    lines: list[str] = []
    labels = [method.id.label for method in plan.select_methods([MIXTURE], lines.append)]
    assert labels == ["input", "ebdb", "gkmnet.sim", "gkmnet.photo"]
    assert lines == []


def test_groups_are_put_into_the_precision_too() -> None:
    labels = [method.id.label for method in plan.select_methods(["learned"], precision="bf16")]
    assert {"gkmnet.sim:precision=bf16", "srn:precision=bf16"} <= set(labels)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--dataset", "simulated", "--out", "x", "--methods"],
        ["cost", "--out", "x", "--methods"],
        ["check", "--methods"],
        ["deblur", "a.png", "--out", "x", "--method"],
    ],
    ids=lambda words: words[0],
)
def test_a_processor_without_bfloat16_is_refused_before_any_work(
    words: list[str], no_bf16: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    imageio.write(tmp_path / "a.png", np.full((8, 8, 3), 0.5, np.float32), 8)
    command = [*words, "gkmnet.sim", "--precision", "bf16"]
    with pytest.raises(UsageError) as refusal:
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert no_bf16 in str(refusal.value) and "leave --precision bf16" in str(refusal.value)
    assert not (tmp_path / "x").exists()


def test_classical_methods_run_on_any_processor(no_bf16: str) -> None:
    plan.require_precisions(plan.select_methods(["input,gkmnet.sim"]), "cpu")


def test_tables_say_which_rows_are_in_bfloat16() -> None:
    cards = {
        "a:precision=bf16": MethodCard(title="A", family="learned", precision="bf16"),
        "a": MethodCard(title="A", family="learned"),
    }
    (line,) = notes.weights_lines(cards)
    assert line == "Weights of a:precision=bf16: applied in bfloat16, but for softmax and sums."


@pytest.mark.skipif(not precision.multiplies_bf16(gpu=False), reason="this CPU has no bfloat16")
def test_a_run_in_bfloat16_has_a_row_of_its_own(tmp_path: Path) -> None:
    command = [
        "run", "--methods", "input,gkmnet.sim", "--precision", "bf16", "--limit", "1",
        "--jobs", "1", "--dataset", "simulated:set=five,size=32", "--out", str(tmp_path),
    ]  # fmt: skip
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| gkmnet.sim:precision=bf16" in report
    assert "applied in bfloat16" in report
