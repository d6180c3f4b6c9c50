"""The comparison at an equal budget: what it consists of, and that it can end anywhere."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmark import checkpoints, imageio
from benchmark.methods.training import command, comparison, recipes, search, trainer
from benchmark.methods.training.comparison import (
    NETWORKS,
    ComparedNetwork,
    TrainingOutcome,
    TrainingTask,
    estimate_hours,
    list_tasks,
    read_outcomes,
)
from benchmark.methods.training.job import create_network
from benchmark.methods.training.recipes import Budget, Phase
from benchmark.methods.training.start_weights import begin_as_identity
from benchmark.registry import METHODS
from tests.methods.training.toys import ToyExamples, register

TINY = ComparedNetwork("", "tiny")
NARROW = ComparedNetwork("narrow", "tiny:width=4")
MEGAPIXELS = 0.05


def test_the_order_is_that_of_the_documentation() -> None:
    tasks = list_tasks()
    counts = Counter(task.stage for task in tasks)
    assert counts == {"0": 10, "a": 10, "b": 20, "c": 12, "d": 3}
    assert [task.stage for task in tasks] == sorted(task.stage for task in tasks)
    assert {task.network for task in tasks if task.stage == "0"} == set(NETWORKS)
    assert {task.megapixels for task in tasks if task.stage in "abc"} == {26}
    assert {task.megapixels for task in tasks if task.stage == "d"} == {80}
    seeds = [task.seed for task in tasks if task.stage == "a"]
    assert seeds == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], "wherever it stops, networks are even"
    names = [(task.network.id, task.tag) for task in tasks]
    assert len(set(names)) == len(names)
    assert ("gkmnet", "equal-26-3-sram-added") in names and ("srn", "equal-80-0-added") in names
    assert list_tasks(0.002)[10].tag == "equal-0_052-0-sram-added"


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.method)
def test_every_network_starts_as_the_identity(network: ComparedNetwork) -> None:
    assert begin_as_identity(create_network(network.method).build())


def test_hours_left_go_by_those_of_the_same_network() -> None:
    quick, slow, other = (
        TrainingTask("a", ComparedNetwork("", name), 10) for name in ("a", "b", "c")
    )
    outcomes = [TrainingOutcome(quick, 1.0), TrainingOutcome(slow, 5.0)]
    assert estimate_hours(TrainingTask("d", quick.network, 30), outcomes) == 3
    assert estimate_hours(other, outcomes) == 3
    assert estimate_hours(other, []) is None
    search_task = TrainingTask("0", slow.network, 2)
    assert estimate_hours(search_task, outcomes) == len(search.RATES)


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with METHODS.temporarily():
        register()
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "sharp"
    folder.mkdir()
    for index in range(3):
        imageio.write(folder / f"{index}.png", ToyExamples(144, seed=index).example(0).sharp, 8)
    return folder


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[TrainingTask]:
    """Two networks, and a training of each."""
    tasks = [
        TrainingTask("0", TINY, MEGAPIXELS),
        TrainingTask("0", NARROW, MEGAPIXELS),
        TrainingTask("a", TINY, MEGAPIXELS, 0),
        TrainingTask("a", NARROW, MEGAPIXELS, 1),
    ]
    monkeypatch.setattr(comparison, "list_tasks", lambda scale: tasks)
    phases = (Phase(1, 64, 1, "squared", 1e-3),)
    quick = dataclasses.replace(recipes.FAST, phases=phases, validations=2)
    monkeypatch.setattr(recipes, "FAST", quick)
    monkeypatch.setattr(trainer, "WHITENING_EXAMPLES", 4)
    monkeypatch.setattr(command, "HELD_OUT_EXAMPLES", 2)
    monkeypatch.setattr(search, "RATES", (1e-3, 3e-3))
    monkeypatch.setattr(search, "TRIAL_BUDGET", Budget(MEGAPIXELS, "megapixels"))
    monkeypatch.setattr(comparison, "_use_one_thread", lambda: None)
    monkeypatch.setattr(comparison, "_stop_in_time", lambda hours: None)
    return tasks


def run(data: Path, out: Path, *words: str) -> int:
    folders = ["--data", str(data), "--out", str(out), "--root", str(out / "none")]
    return comparison.main([*folders, "--precision", "32", *words])


def test_all_is_trained_once_with_the_best_rates(
    data: Path,
    tmp_path: Path,
    tasks: list[TrainingTask],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "equal"
    assert run(data, out) == 0
    assert len(read_outcomes(tasks, out)) == 4
    with (out / "trainings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["tiny.equal-0_05-0", "tiny.equal-0_05-1-narrow"]
    assert [row["checkpoint"] for row in rows] == names
    assert all(row["precision"] == "32" and float(row["megapixels"]) >= 0.05 for row in rows)
    for name, row in zip(names, rows, strict=True):
        card = checkpoints.read_card(out / f"{name}.safetensors")
        assert f"rate {float(row['rate']):g}," in str(card.facts["recipe"])
        assert card.facts["seed"] == int(row["seed"])
    assert not list(out.glob("*.training.pt")) and len(list(out.glob("*.safetensors"))) == 2
    assert "4 of 4 done" in capsys.readouterr().out
    monkeypatch.setattr(comparison, "run_task", None)  # nothing is left to do
    assert run(data, out) == 0


@pytest.mark.slow
def test_it_goes_on_after_a_stop_as_if_there_had_been_none(
    data: Path, tmp_path: Path, tasks: list[TrainingTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(data, whole) == 0
    take_step = trainer._TrainingSession._take_step
    steps: list[int] = []
    count = 0

    def stop_now_and_then(self: trainer._TrainingSession, *arguments: object) -> None:
        if len(steps) in (5, 21, 40):
            steps.append(-1)
            raise comparison._Stopped
        steps.append(self._position.step)
        take_step(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(trainer._TrainingSession, "_take_step", stop_now_and_then)
        while len(read_outcomes(tasks, parts)) < len(tasks):
            assert run(data, parts) == 0
            count += 1
    assert count == 4, "three stops"
    for path in sorted(whole.glob("*.safetensors")):
        ours, theirs = (checkpoints.load_tensors(folder / path.name) for folder in (whole, parts))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_plan_trains_nothing(
    data: Path, tmp_path: Path, tasks: list[TrainingTask], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "equal", "--plan") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:17] for line in lines[:2]] == ["(0) 0 of 2 done i", "(a) 0 of 2 done i"]
    assert "not known before the first is done" in lines[-1]
    assert not (tmp_path / "equal").exists()


def test_one_comparison_has_one_precision(
    data: Path, tmp_path: Path, tasks: list[TrainingTask], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "equal") == 0
    words = ["--data", str(data), "--out", str(tmp_path / "equal"), "--precision", "bf16"]
    assert comparison.main(words) == 2
    assert "was trained in 32, so the whole comparison is" in capsys.readouterr().err


def test_bad_pictures_are_an_error_without_traceback(
    tmp_path: Path, tasks: list[TrainingTask], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "nowhere", tmp_path / "equal") == 2
    assert "nowhere: cannot be listed" in capsys.readouterr().err
