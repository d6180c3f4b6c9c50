"""What happens to one cell inside a worker process, in this process."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio, plan, provenance, worker
from benchmark.api import (
    Dataset,
    DatasetCard,
    Method,
    MethodCard,
    Observation,
    Picture,
    Sample,
)
from benchmark.cells import Outcome, Task
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise, NoiseOnViews, add_noise
from benchmark.registry import DATASETS, METHODS
from benchmark.worker import RunSettings


def ramp(start: float) -> Picture:
    row = np.linspace(start, start + 0.2, 12, dtype=np.float32)
    return np.broadcast_to(row[None, :, None], (9, 12, 3)).copy()


class TwoViews(Dataset):
    card = DatasetCard(title="Two views", paper="", licence="none", source="here", layout="none")

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> list[str]:
        return ["ramps"]

    def load(self, sample_id: str) -> Sample:
        return Sample(
            sample_id, image=ramp(0.3), target=ramp(0.2), views=(ramp(0.1), ramp(0.6)), bit_depth=16
        )

    def fingerprint(self, sample_id: str) -> str:
        return "ramps, first version"


class HalfInFocus(Dataset):
    """Texture whose left half is in focus by its map; no target."""

    card = DatasetCard(title="Half", paper="", licence="none", source="here", layout="none")

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> list[str]:
        return ["texture"]

    def load(self, sample_id: str) -> Sample:
        image = np.random.default_rng(0).random((64, 80, 3), dtype=np.float32)
        blur_map = np.full((64, 80), 3, np.float32)
        blur_map[:, :40] = 0
        return Sample(sample_id, image=image, blur_map=blur_map)

    def fingerprint(self, sample_id: str) -> str:
        return "texture, first version"


class Brighten(Method):
    """Adds 0.1 to the left half of what it is shown and 0.3 to the right."""

    card = MethodCard(title="Brighten", family="baseline")

    def restore(self, observation: Observation) -> Picture:
        step = np.full(observation.image.shape[1], 0.1, np.float32)
        step[40:] = 0.3
        return observation.image + step[None, :, None]


class Difference(Method):
    """Returns the left view less the right one, so that nothing can stand for anything else."""

    card = MethodCard(title="Difference", family="classical", paper="none", inputs="views")

    def restore(self, observation: Observation) -> Picture:
        assert observation.views is not None
        left, right = observation.views
        return left - right


class Exits(Method):
    card = MethodCard(title="Exits", family="baseline")

    def restore(self, observation: Observation) -> Picture:
        raise SystemExit(0)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunSettings]:
    """This process as a worker, with a data set and methods of this file."""
    monkeypatch.setattr(worker, "_limit_threads", lambda threads: None)
    settings = RunSettings(tmp_path, tmp_path, device="cpu")
    with (
        METHODS.temporarily({"difference": Difference, "exits": Exits, "brighten": Brighten}),
        DATASETS.temporarily({"two-views": TwoViews, "half-in-focus": HalfInFocus}),
    ):
        worker.start_worker(settings)
        yield settings
        worker.start_worker(settings)


def task_of(
    method: str,
    settings: RunSettings,
    noise: Noise = Noise(),  # noqa: B008
    dataset: str = "two-views",
) -> Task:
    methods = plan.select_methods([method])
    data = plan.select_dataset(dataset, settings.root)
    (task,) = plan.plan_tasks(methods, data, [Track("u16")], [noise])
    return task


def read_output(outcome: Outcome, settings: RunSettings) -> Picture:
    assert outcome.status == "ok", outcome.traceback
    assert outcome.output is not None
    return imageio.read_output(settings.folder / outcome.output)


def test_inputs_that_differ_arrive_as_they_are(settings: RunSettings) -> None:
    output = read_output(worker.do_task(task_of("difference", settings)), settings)
    np.testing.assert_allclose(output, -0.5, atol=1e-6)


@pytest.mark.parametrize(("reading", "factor"), [("same", math.sqrt(2)), ("physical", 2)])
def test_noise_of_the_two_views_differs(
    settings: RunSettings, reading: NoiseOnViews, factor: float
) -> None:
    task = task_of("difference", settings, Noise(sigma=5.0, on_views=reading))
    output = read_output(worker.do_task(task), settings)
    assert np.std(output) == pytest.approx(factor * 5 / 255, rel=0.15)


def test_a_task_is_done_without_parsing_an_id_or_looking_for_checkpoints(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of("input", settings)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an id was looked up again")

    monkeypatch.setattr(worker, "create", refuse)
    monkeypatch.setattr("benchmark.registry.resolve_id", refuse)
    monkeypatch.setattr("benchmark.registry.CheckpointCatalogue.of_user", refuse)
    output = read_output(worker.do_task(task), settings)
    np.testing.assert_array_equal(output, ramp(0.3))


def test_a_picture_that_changed_since_it_was_planned_is_refused(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of("input", settings)
    monkeypatch.setattr(TwoViews, "fingerprint", lambda self, sample_id: "ramps, another version")
    outcome = worker.do_task(task)
    assert outcome.status == "failed" and outcome.reason is not None
    assert "two-views: ramps is not what it was when this was planned" in outcome.reason


def test_a_method_that_exits_fails_in_its_own_cell(settings: RunSettings) -> None:
    outcome = worker.do_task(task_of("exits", settings))
    assert (outcome.status, outcome.reason) == ("failed", "SystemExit: 0")


@pytest.mark.parametrize("noise", [Noise(), Noise(sigma=5.0)])
def test_harm_is_measured_against_what_the_method_was_shown_and_again_from_the_store(
    settings: RunSettings, noise: Noise
) -> None:
    task = task_of("brighten", settings, noise, "half-in-focus")
    task = dataclasses.replace(task, protocols=("harm",))
    outcome = worker.do_task(task)
    scores = {score.key: score for score in outcome.scores["harm"]}
    # Both are clamped, which takes from the step of 0.1 where the picture is nearly white.
    noisy_sample = add_noise(HalfInFocus(settings.root).load("texture"), noise, "half-in-focus")
    shown = noisy_sample.image[:, :40]
    step = np.clip(shown.astype(np.float64) + 0.1, 0, 1) - np.clip(shown, 0, 1)
    assert scores["keep"].value == pytest.approx(-10 * np.log10(np.mean(step**2)), abs=1e-4)
    assert scores["unchanged"].value == 0
    rescored = worker.do_task(dataclasses.replace(task, output=outcome.output))
    assert rescored.scores == outcome.scores


def test_the_input_keeps_all_that_it_was_shown(settings: RunSettings) -> None:
    task = task_of("input", settings, Noise(sigma=5.0), "half-in-focus")
    outcome = worker.do_task(dataclasses.replace(task, protocols=("harm",)))
    values = {score.key: score.value for score in outcome.scores["harm"]}
    assert values == {
        "keep": 100, "light": 1, "lattice": 0, "lattice_2": 0, "lattice_4": 0, "lattice_8": 0,
        "unchanged": 1,
    }  # fmt: skip


def test_where_a_process_computes_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long as many a cell."""
    monkeypatch.setattr(worker, "_settings", RunSettings(Path(), Path(), environment="elsewhere"))
    worker._describe_cached_environment.cache_clear()
    origins = {worker.find_origin() for _ in range(3)}
    assert origins == {provenance.describe_environment_as_text()}
    assert worker._describe_cached_environment.cache_info().misses == 1
    own = RunSettings(Path(), Path(), environment=provenance.describe_environment_as_text())
    monkeypatch.setattr(worker, "_settings", own)
    assert worker.find_origin() is None
