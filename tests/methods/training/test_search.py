"""The search for a learning rate: what is tried, what is left of it, how it goes on."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.api import DataError, UsageError
from benchmark.methods.training import command, search, trainer
from benchmark.methods.training.job import Job
from benchmark.methods.training.search import SearchResult, format_rate, parse_rates, search_rates
from benchmark.methods.training.trainer import TrainingResult, train_network
from benchmark.registry import METHODS
from tests.methods.training.toys import register, toy_job

RATES = (1e-4, 3e-3)


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with METHODS.temporarily():
        register()
        yield


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def record_jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Return a list that fills with the jobs that are trained."""
    jobs: list[Job] = []

    def train(job: Job, resume: bool = False, force: bool = False) -> TrainingResult | None:
        jobs.append(job)
        return train_network(job, resume, force)

    monkeypatch.setattr(search, "train_network", train)
    return jobs


def list_gains(result: SearchResult) -> list[float | None]:
    return [trial.validation_gain for trial in result.trials]


def test_a_trial_is_a_training_with_that_rate_of_which_a_row_is_left(tmp_path: Path) -> None:
    result = search_rates(toy_job(tmp_path / "search"), RATES)
    assert list_files(tmp_path / "search") == ["tiny.toy.rates.csv"]
    assert [trial.rate for trial in result.trials] == list(RATES)
    for trial in result.trials:
        job = toy_job(tmp_path / format_rate(trial.rate))
        recipe = dataclasses.replace(
            job.recipe.with_changes(rate=trial.rate), validations=search.TRIAL_VALIDATIONS
        )
        training = train_network(dataclasses.replace(job, recipe=recipe))
        assert training is not None
        assert trial.validation_gain == training.best.validation_gain
        assert (trial.seed, trial.precision) == (3, "32")
    assert result.best == result.trials[1], "the other hardly learns"
    with result.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rate"] for row in rows] == ["1e-4", "3e-3"]
    assert float(rows[1]["validation_gain"]) == pytest.approx(
        result.trials[1].validation_gain, abs=1e-4
    )


def test_trials_differ_in_the_rate_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = record_jobs(monkeypatch)
    own = toy_job(tmp_path)
    search_rates(own, RATES)
    first, second = (job.identity() for job in jobs)
    assert {key for key in first if first[key] != second[key]} == {"recipe's phases"}
    assert all(job.data is own.data for job in jobs), "held-out pictures too"


def test_a_finished_trial_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = record_jobs(monkeypatch)
    first = search_rates(toy_job(tmp_path), RATES[:1])
    both = search_rates(toy_job(tmp_path), RATES)
    assert [job.recipe.phases[0].rate for job in jobs] == list(RATES)
    assert both.trials[0].hours == first.trials[0].hours
    search_rates(toy_job(tmp_path), RATES)
    assert len(jobs) == len(RATES)
    search_rates(toy_job(tmp_path), RATES, force=True)
    assert len(jobs) == 2 * len(RATES)


def test_an_interrupted_trial_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search_rates(toy_job(tmp_path / "whole"), RATES)
    take_step = trainer._TrainingSession._take_step
    steps: list[int] = []

    def interrupt(self: trainer._TrainingSession, *arguments: object) -> None:
        if len(steps) == 18:  # in the middle of the second
            raise KeyboardInterrupt
        steps.append(self._position.step)
        take_step(self, *arguments)  # type: ignore[arg-type]

    job = toy_job(tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(trainer._TrainingSession, "_take_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search_rates(job, RATES)
    assert any(name.endswith(".training.pt") for name in list_files(tmp_path / "parts"))
    counted = record_jobs(monkeypatch)
    result = search_rates(job, RATES)
    assert len(counted) == 1
    assert list_gains(result)[1] == list_gains(whole)[1]
    assert list_gains(result)[0] == pytest.approx(list_gains(whole)[0], abs=1e-4)  # read as text
    assert list_files(tmp_path / "parts") == ["tiny.toy.rates.csv"]


def test_a_trial_that_diverges_is_a_row_too(tmp_path: Path) -> None:
    job = toy_job(tmp_path, bad=5)
    result = search_rates(job, RATES)
    assert list_gains(result) == [None, None] and result.best is None
    assert "every trial diverged" in result.advise()
    assert list_files(tmp_path) == ["tiny.toy.rates.csv"]
    assert search_rates(job, RATES) == result


def test_trials_of_another_search_are_told(tmp_path: Path) -> None:
    search_rates(toy_job(tmp_path), RATES)
    with pytest.raises(UsageError, match=r"tiny.toy.rates.csv: holds the trials of another search"):
        search_rates(toy_job(tmp_path, seed=4), RATES)
    (tmp_path / "tiny.toy.rates.csv").write_text("rate,gain\n1e-4,much\n")
    with pytest.raises(DataError, match="no table of learning rates"):
        search_rates(toy_job(tmp_path), RATES)


def test_rates_beyond_the_best_are_advised(tmp_path: Path) -> None:
    result = search_rates(toy_job(tmp_path), (1e-5, 1e-4, 3e-3))
    assert "--rate 3e-3; it is the highest" in result.advise()
    turned = dataclasses.replace(
        result,
        trials=tuple(
            dataclasses.replace(trial, validation_gain=-index)
            for index, trial in enumerate(result.trials)
        ),
    )
    assert "--rate 1e-5; it is the lowest" in turned.advise()
    single = dataclasses.replace(result, trials=result.trials[:1])
    assert single.advise() == "the best of these: --rate 1e-5"


@pytest.mark.parametrize(
    ("rate", "text"), [(3e-4, "3e-4"), (1e-3, "1e-3"), (2.5e-4, "2.5e-4"), (0.01, "1e-2")]
)
def test_rates_are_written_as_people_write_them(rate: float, text: str) -> None:
    assert format_rate(rate) == text
    assert parse_rates(f"{text},1") == (rate, 1)


@pytest.mark.parametrize("text", ["", "1e-4;3e-4", "fast"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected learning rates"):
        parse_rates(text)


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_rate_is_above_nothing(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--rate .*: expected a number above 0"):
        search_rates(toy_job(tmp_path), [rate])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "goes on by itself"),
        ({"rate": 1e-3}, "name them by --rates"),
    ],
)
def test_options_that_a_search_does_not_take(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        command.search_from_options("tiny", "nowhere", **options)  # type: ignore[arg-type]


def test_a_search_runs_on_one_device(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    with pytest.raises(UsageError, match="--devices 2: a search takes one device"):
        search_rates(
            dataclasses.replace(job, hardware=dataclasses.replace(job.hardware, devices=2))
        )
