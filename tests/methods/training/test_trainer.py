"""The trainer: what it writes, how it goes on, when it stops."""

from __future__ import annotations

import csv
import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from benchmark import checkpoints, files, imageio
from benchmark.api import DataError, Observation, UsageError
from benchmark.cli import app
from benchmark.methods.training import (
    command,
    recipes,
    records,
    training_files,
)
from benchmark.methods.training import job as jobs
from benchmark.methods.training import learner as learners
from benchmark.methods.training.examples import Example
from benchmark.methods.training.half_precision import round_weights
from benchmark.methods.training.job import Hardware, InitialCheckpoint, Job
from benchmark.methods.training.learner import Learner, moving_average
from benchmark.methods.training.loader import NetworkExamples, network_pair
from benchmark.methods.training.recipes import Budget, Phase
from benchmark.methods.training.records import CurvePoint, remaining_time
from benchmark.methods.training.step import Diverged
from benchmark.methods.training.trainer import train_network
from benchmark.methods.training.training_files import TrainingFiles
from benchmark.methods.training.validation import Validation, mean_psnr, pooled_psnr
from benchmark.methods.two_stage.dmenet import DmeNetEstimator
from benchmark.metrics.psnr import PSNR_CAP
from benchmark.optics.scenes import GENERATOR
from benchmark.registry import METHODS, create
from tests.benchmark.cli.test_bad_days import wait_for_end
from tests.methods.training.toys import (
    RECIPE,
    TinyMapNet,
    TinyNet,
    ToyExamples,
    ToyMapExamples,
    rarely,
    register,
    toy_job,
    toy_map_job,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """The toy methods are known here, and nowhere else."""
    with METHODS.temporarily():
        register()
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training that was not interrupted."""
    job = toy_job(tmp_path_factory.mktemp("done"))
    train_network(job)
    return job


def weights(job: Job) -> dict[str, torch.Tensor]:
    return checkpoints.load_tensors(job.files.checkpoint)


def same(one: Job, other: Job) -> bool:
    ours, theirs = weights(one), weights(other)
    return list(ours) == list(theirs) and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


def initial_from(path: Path) -> InitialCheckpoint:
    return InitialCheckpoint(path, checkpoints.hash_checkpoint(path), checkpoints.read_card(path))


def curve(job: Job) -> list[list[str]]:
    """Return the rows of the curves but for the seconds, which are never the same."""
    with job.files.table.open(newline="") as file:
        return [row[:2] + row[3:] for row in csv.reader(file)]


# Going on
# --------------------------------------------------------------------------------------------------


def test_the_same_training_has_the_same_weights_and_another_seed_others(
    done: Job, tmp_path: Path
) -> None:
    again, other = toy_job(tmp_path / "again"), toy_job(tmp_path / "other", seed=4)
    train_network(again)
    train_network(other)
    assert same(done, again) and curve(done) == curve(again)
    assert not same(done, other)


def train_until_killed(folder: Path, *words: object) -> None:
    """Train in a process of its own, on as many threads as here: sums in another order end in other
    bits.
    """
    command = [sys.executable, "-m", "tests.methods.training.toys", str(folder), *map(str, words)]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    died = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **threads},
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


@pytest.mark.parametrize(
    ("example", "step"), [(21, 5), pytest.param(33, 10, marks=pytest.mark.slow)]
)
def test_killed_and_resumed_it_ends_with_the_same_weights(
    done: Job, tmp_path: Path, example: int, step: int
) -> None:
    train_until_killed(tmp_path, example)
    job = toy_job(tmp_path)
    assert job.files.state.exists()
    held = training_files.load_state(job.files.state, job.identity())
    assert held["position"]["step"] == step
    train_network(job, resume=True)
    assert same(done, job) and curve(done) == curve(job)


@pytest.mark.slow
def test_killed_long_after_the_last_state_it_goes_on_from_there(tmp_path: Path) -> None:
    whole, job = (rarely(toy_job(tmp_path / name)) for name in ("whole", "killed"))
    train_network(whole)
    train_until_killed(tmp_path / "killed", 33, "rarely")
    held = training_files.load_state(job.files.state, job.identity())
    assert held["position"]["step"] == 6 and held["rows"], "it was killed in step 10"
    train_network(job, resume=True)
    assert same(whole, job) and curve(whole) == curve(job)


def test_stopped_before_its_first_validation_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    """The first one comes at half of it, in step 6; example 21 is in step 5."""
    whole, job = (
        dataclasses.replace(rarely(toy_job(tmp_path / name)), save_every=0.0)
        for name in ("whole", "stopped")
    )
    train_network(whole)
    bad_data = dataclasses.replace(job.data, examples=partial(ToyExamples, bad=21))
    with pytest.raises(Diverged):
        train_network(dataclasses.replace(job, data=bad_data))
    state = training_files.load_state(job.files.state, job.identity())
    assert state["position"]["step"] == 5 and not state["rows"]
    assert not job.files.checkpoint.exists()
    train_network(job, resume=True)
    assert same(whole, job) and curve(whole) == curve(job)


@pytest.mark.slow
def test_killed_it_leaves_no_process_that_makes_examples(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.methods.training.toys", str(tmp_path), "forever"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    table = toy_job(tmp_path).files.table
    deadline = time.monotonic() + 120
    while not table.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    helpers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert helpers and not wait_for_end(helpers, seconds=1)


@pytest.mark.parametrize("where", ["curves", "state"])
def test_stopped_between_two_files_of_a_validation_it_ends_with_the_same_weights(
    done: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    job = toy_job(tmp_path)
    module, name = (
        (records, "write_curves_table") if where == "curves" else (training_files, "save_state")
    )
    write, calls = getattr(module, name), iter(range(100))

    def stop(*given: object) -> None:
        if next(calls) == 6:
            raise KeyboardInterrupt
        write(*given)

    monkeypatch.setattr(module, name, stop)
    with pytest.raises(KeyboardInterrupt):
        train_network(job)
    monkeypatch.undo()
    train_network(job, resume=True)
    assert same(done, job) and curve(done) == curve(job)


@pytest.mark.slow
def test_gkmnet_stopped_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    """The real network, in the form that trains fastest, with every part of the recipe `fast`."""
    whole, job = (
        dataclasses.replace(
            toy_job(tmp_path / name, "gkmnet"),
            recipe=dataclasses.replace(
                recipes.FAST.with_changes(crop=64, budget=Budget(8, "steps")), frozen=Fraction(1, 4)
            ),
        )
        for name in ("whole", "stopped")
    )
    train_network(whole)
    bad = dataclasses.replace(
        job, data=dataclasses.replace(job.data, examples=partial(ToyExamples, bad=5))
    )
    with pytest.raises(Diverged):
        train_network(bad)
    train_network(job, resume=True)
    assert same(whole, job) and curve(whole) == curve(job)


def test_two_trainings_do_not_write_the_same_files(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    busy = pytest.raises(UsageError, match=r"tiny\.toy is being trained by another process.*--tag")
    with training_files.lock_training(job.files.lock, job.files.name), busy:
        train_network(job)
    train_network(job)


@pytest.mark.slow
def test_workers_make_the_same_training(done: Job, tmp_path: Path) -> None:
    job = toy_job(tmp_path, workers=1)
    train_network(job)
    assert same(done, job)


def stopped(folder: Path, **changes: object) -> Job:
    """Return a training that was interrupted after a few steps."""
    job = toy_job(folder, **changes)
    with pytest.raises(Diverged):
        train_network(toy_job(folder, bad=21))
    return job


def test_a_state_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    job = stopped(tmp_path)
    others = [
        (dataclasses.replace(job, seed=5), "seed: 3 there, 5 here"),
        (
            dataclasses.replace(job, method=jobs.create_network("tiny:width=4")),
            "network's width: 8 there, 4 here",
        ),
        (
            dataclasses.replace(job, recipe=job.recipe.with_changes(batch=6)),
            "recipe's phases: .* there, .* here",
        ),
        (
            dataclasses.replace(job, recipe=job.recipe.with_changes(budget=Budget(9, "steps"))),
            "recipe's budget",
        ),
        (
            dataclasses.replace(
                job, data=dataclasses.replace(job.data, examples=partial(ToyExamples, seed=8))
            ),
            "data's seed: 0 there, 8 here",
        ),
    ]
    for other, message in others:
        with pytest.raises(UsageError, match=message):
            train_network(other, resume=True)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist, so there is no unfinished training"):
        train_network(toy_job(tmp_path), resume=True)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    job.files.state.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DataError, match="not a readable training state; train again with --force"):
        train_network(job, resume=True)


def test_a_state_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    job.files.state.mkdir()
    with pytest.raises(
        DataError,
        match=r"training.pt: cannot be read \(Is a directory\); the training goes on once",
    ):
        train_network(job, resume=True)


@pytest.mark.parametrize("lack", ["position", "network", "rows"])
def test_a_state_that_lacks_something_is_refused(tmp_path: Path, lack: str) -> None:
    job = stopped(tmp_path)
    held = training_files.load_state(job.files.state, job.identity())
    del held[lack]
    training_files.save_state(job.files.state, held)
    with pytest.raises(DataError, match=r"training.pt: not a training state .*--force"):
        train_network(job, resume=True)


def test_a_state_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stopped(tmp_path)
    monkeypatch.setattr(training_files, "FORMAT", training_files.FORMAT + 1)
    with pytest.raises(UsageError, match=r"the state of another version of the suite"):
        train_network(job, resume=True)


def test_the_best_weights_must_be_there(tmp_path: Path) -> None:
    job = stopped(tmp_path)
    job.files.checkpoint.unlink()
    with pytest.raises(DataError, match=r"tiny.toy.safetensors: is gone"):
        train_network(job, resume=True)


class Damaged(ToyExamples):
    """One of them cannot be read."""

    def example(self, index: int) -> Example:
        if index == 5:
            raise DataError("five.png: cannot be read")
        return super().example(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path, workers: int) -> None:
    job = toy_job(tmp_path, workers=workers)
    with pytest.raises(DataError) as caught:
        train_network(
            dataclasses.replace(job, data=dataclasses.replace(job.data, examples=Damaged))
        )
    assert str(caught.value) == "five.png: cannot be read"


class Lost(ToyExamples):
    """One of them ends the process that makes it."""

    def example(self, index: int) -> Example:
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().example(index)


def test_a_worker_that_dies_is_told_in_a_line(tmp_path: Path) -> None:
    job = toy_job(tmp_path, workers=1)
    with pytest.raises(
        DataError, match=r"a process that makes examples has ended \(.*fewer --workers"
    ):
        train_network(dataclasses.replace(job, data=dataclasses.replace(job.data, examples=Lost)))


def test_a_worker_that_dies_during_a_step_is_told_in_a_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(*_: object) -> float:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(Learner, "learn", learn)
    with pytest.raises(DataError, match=r"has ended \(DataLoader worker \(pid 7\) is killed"):
        train_network(toy_job(tmp_path))


def test_resume_and_force_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume and --force"):
        train_network(toy_job(tmp_path), resume=True, force=True)


@pytest.mark.slow
def test_nothing_is_overwritten_unasked(done: Job, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already; overwrite it with --force"):
        train_network(done)
    job = stopped(tmp_path)
    with pytest.raises(UsageError, match="an unfinished training; go on with --resume"):
        train_network(job)
    train_network(job, force=True)
    assert same(done, job)


# Stopping
# --------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_it_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    with pytest.raises(Diverged, match=r"tiny.toy, step 5: the loss is nan.*is kept in"):
        train_network(toy_job(tmp_path, bad=21))  # of the sixth batch of four
    held = training_files.load_state(job.files.state, job.identity())
    assert held["position"]["step"] == 5
    assert all(value.isfinite().all() for value in held["network"].values())
    assert all(value.isfinite().all() for value in weights(job).values())


@pytest.mark.parametrize("what", ["state", "checkpoint"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    job = stopped(tmp_path)
    before = {path: path.read_bytes() for path in (job.files.state, job.files.checkpoint)}

    replace_file = files.replace_file
    target = job.files.state if what == "state" else job.files.checkpoint

    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:
        with replace_file(path) as file:
            yield file
            if path == target:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "replace_file", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\).*--resume"):
        train_network(job, resume=True)
    assert before[job.files.checkpoint] == job.files.checkpoint.read_bytes()
    assert training_files.load_state(job.files.state, job.identity())["position"]["step"] == 5
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_folder_that_cannot_be_written_is_named_before_any_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: cannot be written to \(.*--out"):
        train_network(toy_job(tmp_path / "file"))


# What it writes
# --------------------------------------------------------------------------------------------------


def test_the_checkpoint_is_found_and_restores(done: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = done.files.checkpoint.parent
    monkeypatch.setenv(checkpoints.VARIABLE, str(folder))
    method, resolved = create(METHODS, "tiny")
    assert resolved.checkpoint == "toy"
    method.prepare("cpu")
    example = done.data.held_out[0]
    made = method.restore(Observation(example.blurred))
    network = TinyNet(8, 3).eval()
    network.load_state_dict(weights(done))
    with torch.inference_mode():
        expected = (
            network(torch.from_numpy(example.blurred).permute(2, 0, 1)[None])[0]
            .permute(1, 2, 0)
            .numpy()
        )
    assert np.allclose(made, expected, atol=1e-5)


def test_its_files_can_be_read_by_whoever_reads_the_folder(done: Job, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    written = (
        done.files.checkpoint,
        done.files.checkpoint.with_suffix(".md"),
        done.files.table,
        done.files.figure,
    )
    assert {path.stat().st_mode for path in written} == {plain.stat().st_mode}


def test_the_card_is_complete(done: Job) -> None:
    card = checkpoints.read_card(done.files.checkpoint)
    assert card.method == "tiny" and card.parameters == {"width": 8, "plain": False}
    assert card.trained_on == ("noise",) and "CC0-1.0" in card.licence
    facts = dict(card.facts)
    assert {
        "hours",
        "waiting for data",
        "hardware",
        "commit",
        "selection",
        "precision",
    } <= facts.keys()
    expected = {
        "steps": 12,
        "megapixels": 0.18,
        "examples": 36,
        "seed": 3,
        "budget": "12 steps",
        "data: pictures": 8,
        "licence of the data": "CC0-1.0",
    }
    assert expected.items() <= facts.items()
    assert "50% ssim, rate 0.003, 4 crops of 64x64" in str(facts["recipe"])
    assert str(ROOT) not in done.files.checkpoint.with_suffix(".md").read_text()


def test_the_card_of_a_recipe_with_several_crops_names_each() -> None:
    text = records.describe_recipe(recipes.FAST)
    assert text.startswith(
        "fast (30% squared, rate 0.001, 1 crops of 64x64; 45% squared, rate 0.001, 1 crops of "
        "128x128; 25% squared, rate 0.001, 1 crops of 192x192; Adam; warm_up 1/50, decay cosine, "
    )
    one_crop = records.describe_recipe(recipes.FAST.with_changes(crop=96))
    assert one_crop.startswith("fast (100% squared, rate 0.001, 1 crops of 96x96; Adam; ")
    assert records.describe_recipe(recipes.PAPER).startswith(
        "paper (33% squared, rate 0.0001, 4 crops of 256x256; 17% ssim, rate 0.0001, 4 crops of "
        "256x256; 17% squared, rate 0.0001, 4 crops of 256x256; 17% ssim, rate 1e-05, 4 crops of "
        "256x256; 17% squared, rate 1e-05, 4 crops of 256x256; Adam; "
    )


def test_phases_that_differ_in_one_setting_are_not_told_as_one() -> None:
    first = Phase(1, 64, 4, "squared", 1e-3)
    changes = ({"crop": 80}, {"batch": 2}, {"criterion": "ssim"}, {"rate": 1e-4})
    for change in changes:
        phases = (first, dataclasses.replace(first, **change))
        text = records.describe_recipe(dataclasses.replace(RECIPE, phases=phases))
        assert text.count("50%") == 2, change
    assert "100%" in records.describe_recipe(dataclasses.replace(RECIPE, phases=(first, first)))


def test_a_card_tells_the_data_at_the_last_crop(done: Job) -> None:
    facts = checkpoints.read_card(done.files.checkpoint).facts
    assert [phase.crop for phase in RECIPE.phases] == [64, 80]
    assert facts["data: crop"] == 80
    assert "4 crops of 64x64; 50% squared, rate 0.003, 2 crops of 80x80" in str(facts["recipe"])


def test_the_best_validation_is_kept(done: Job) -> None:
    rows = curve(done)
    assert rows[0] == ["step", "pixels", "train_loss", "validation_psnr", "validation_gain"]
    gains = [float(row[-1]) for row in rows[1:]]
    assert [row[0] for row in rows[1:]] == [str(step) for step in range(1, 13)]
    assert checkpoints.read_card(done.files.checkpoint).facts[
        "validation gain in dB"
    ] == pytest.approx(max(gains), abs=1e-4)
    assert max(gains) > gains[0]


def test_the_weights_that_are_kept_are_those_of_the_best_validation(tmp_path: Path) -> None:
    ruinous = (Phase(1, 64, 4, "squared", 3e-3), Phase(1, 64, 4, "squared", 1.0))
    recipe = dataclasses.replace(
        RECIPE, phases=ruinous, decay="constant", average=0.0, frozen=Fraction(1)
    )
    job = dataclasses.replace(toy_job(tmp_path), recipe=recipe)
    train_network(job)
    psnrs = [float(row[3]) for row in curve(job)[1:]]
    assert psnrs[-1] < max(psnrs) - 1
    network = TinyNet(8, 3)
    network.load_state_dict(weights(job))
    validation = Validation(
        job.data.held_out, NetworkExamples(ToyExamples, views=False), ruinous[-1], 2
    )
    assert validation.psnr(network.eval()) == pytest.approx(max(psnrs), abs=0.01)


def test_a_card_names_all_commits_and_machines_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stopped(tmp_path)
    first = records.describe_origin(job, "")
    for device in ("a GPU", "a GPU", ""):
        with pytest.raises(Diverged):
            monkeypatch.setattr(Learner, "device", device)
            train_network(toy_job(tmp_path, bad=21), resume=True)
    monkeypatch.undo()
    train_network(job, resume=True)
    facts = checkpoints.read_card(job.files.checkpoint).facts
    assert facts["commit"] == first["commit"]
    cores = first["hardware"].partition(", ")[2]
    assert (
        facts["hardware"] == f"{first['hardware']}, then a GPU, {cores}, then {first['hardware']}"
    )


def test_its_files_are_the_checkpoint_and_the_curves(done: Job) -> None:
    names = {path.name for path in done.files.checkpoint.parent.iterdir()}
    assert names == {
        "tiny.toy.safetensors",
        "tiny.toy.md",
        "tiny.toy.curves.csv",
        "tiny.toy.curves.png",
    }
    assert done.files.figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("losses", [(0.0, 0.0), (0.0, 0.1), (0.2, 0.1)])
def test_curves_are_drawn_without_a_warning_also_of_blank_pictures(
    tmp_path: Path, losses: tuple[float, ...], recwarn: pytest.WarningsRecorder
) -> None:
    curve = [CurvePoint(step, 1000, 1.0, loss, 30.0, 0.0) for step, loss in enumerate(losses)]
    records.write_curves_figure(tmp_path / "curves.png", curve, "tiny.toy")
    assert (tmp_path / "curves.png").exists() and not recwarn.list


def test_resuming_draws_the_curves_so_far(tmp_path: Path) -> None:
    job = stopped(tmp_path)
    assert not job.files.figure.exists()
    with pytest.raises(Diverged):
        train_network(toy_job(tmp_path, bad=21), resume=True)
    assert job.files.figure.exists()


def test_half_precision_is_stored_where_it_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.methods.training.half_precision.SMALL_ENTRY", 20)
    half_job, single_job = toy_job(tmp_path / "half"), toy_job(tmp_path / "single")
    train_network(half_job)
    assert weights(half_job)["enter.weight"].dtype == torch.float16
    assert weights(half_job)["normal.running_var"].dtype == torch.float32
    assert weights(half_job)["normal.num_batches_tracked"].dtype == torch.int64
    monkeypatch.setattr("benchmark.methods.training.trainer.HALF_COSTS", -1.0)
    train_network(single_job)
    assert weights(single_job)["enter.weight"].dtype == torch.float32
    assert checkpoints.read_card(single_job.files.checkpoint).facts["numbers"] == "float32"
    rounded = round_weights(weights(single_job))
    assert all(torch.equal(value, weights(half_job)[name]) for name, value in rounded.items())


def test_what_half_precision_cannot_hold_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics of a network may be larger than the largest number of half precision."""
    monkeypatch.setattr("benchmark.methods.training.half_precision.SMALL_ENTRY", 1)

    def enlarge_statistics(validation: Validation, network: torch.nn.Module) -> None:
        calibrate(validation, network)
        network.normal.running_var.fill_(1e6)  # type: ignore[operator, union-attr]

    calibrate = Validation.calibrate
    monkeypatch.setattr(Validation, "calibrate", enlarge_statistics)
    monkeypatch.setattr("benchmark.methods.training.trainer.HALF_COSTS", 100.0)
    job = toy_job(tmp_path)
    train_network(job)
    assert weights(job)["enter.weight"].dtype == torch.float16
    assert torch.equal(weights(job)["normal.running_var"], torch.full((8,), 1e6))


@pytest.mark.parametrize("judge", [pooled_psnr, mean_psnr])
def test_the_psnr_of_no_number_is_none(judge: Callable[..., float]) -> None:
    sharp = np.zeros((3, 4, 4), np.float32)
    assert np.isnan(judge([(sharp, sharp), (np.full_like(sharp, np.nan), sharp)]))


def test_a_network_that_makes_no_numbers_is_never_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([30.0, np.nan])
    monkeypatch.setattr(Validation, "psnr", lambda *_: next(values))
    job = toy_job(tmp_path)
    with pytest.raises(Diverged, match=r"held-out pictures is not a number.*best checkpoint"):
        train_network(job)
    assert "30" in checkpoints.read_card(job.files.checkpoint).facts["validation"]
    assert job.files.state.exists()


def test_a_network_of_views_is_trained_on_views(tmp_path: Path) -> None:
    job = toy_job(tmp_path, "tiny-views")
    train_network(job)
    assert weights(job)["enter.weight"].shape[1] == 6


def test_views_are_fed_left_first_and_must_be_there() -> None:
    left, right, sharp = (np.full((2, 4, 3), value, np.float32) for value in (0.1, 0.2, 0.3))
    fed, target = network_pair(Example(left, sharp, (left, right)), views=True)
    assert (fed[:3] == np.float32(0.1)).all() and (fed[3:] == np.float32(0.2)).all()
    assert target.shape == (3, 2, 4)
    with pytest.raises(DataError, match="no dual-pixel views"):
        network_pair(Example(left, sharp), views=True)


# Blur maps
# ----------------------------------------------------------------------------------------------


def test_a_network_of_blur_maps_learns_the_map_of_the_example() -> None:
    example = ToyMapExamples(64).example(0)
    network = jobs.create_network("dmenet")
    assert isinstance(network, DmeNetEstimator)
    fed, target = network_pair(example, views=False, map_code=network.map_code)
    np.testing.assert_array_equal(fed, example.blurred.transpose(2, 0, 1))
    assert example.blur_map is not None and target.shape == (1, 64, 64)
    np.testing.assert_allclose(15 * target[0], 1 + 2 * example.blur_map, rtol=1e-6)
    with pytest.raises(DataError, match="blur maps of the training pictures are not known"):
        network_pair(ToyExamples(64).example(0), views=False, map_code=network.map_code)


def test_a_short_training_beats_the_best_map_of_one_value(tmp_path: Path) -> None:
    job = toy_map_job(tmp_path)
    longer = dataclasses.replace(job.recipe, budget=Budget(60, "steps"), validations=2)
    trained = train_network(dataclasses.replace(job, recipe=longer))
    assert trained is not None and trained.best.validation_gain > 1


def test_the_error_of_a_map_is_told_in_pixels_beside_that_of_one_value(tmp_path: Path) -> None:
    job = toy_map_job(tmp_path)
    trained = train_network(job)
    assert trained is not None
    true = np.stack([example.blur_map for example in job.data.held_out])
    constant_error = np.sqrt(np.square(true - true.mean(dtype=np.float64)).mean())
    network = TinyMapNet()
    network.load_state_dict(weights(job))
    fed = torch.stack(
        [torch.from_numpy(network_pair(e, views=False)[0]) for e in job.data.held_out]
    )
    with torch.inference_mode():
        defocus = network.eval()(fed)[:, 0].double().numpy()
    error = np.sqrt(np.square(np.maximum(7.5 * defocus - 0.5, 0) - true).mean())
    facts = checkpoints.read_card(job.files.checkpoint).facts
    assert facts["validation"] == (
        f"root mean square error of sigma {constant_error:.3f} px by the best map of one value, "
        f"{7 * 10 ** (-trained.best.validation_psnr / 20):.3f} px by the network (PSNR with 7 px "
        f"as the peak: {trained.best.validation_psnr:.3f} dB), on 4 held-out examples"
    )
    gain = float(facts["validation gain in dB"])
    assert gain == pytest.approx(20 * np.log10(constant_error / error), abs=0.02)


def test_a_training_of_maps_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = toy_map_job(tmp_path / "whole")
    train_network(whole)
    with pytest.raises(Diverged):
        train_network(toy_map_job(tmp_path / "parts", bad=17))
    parts = toy_map_job(tmp_path / "parts")
    train_network(parts, resume=True)
    assert same(whole, parts) and curve(whole) == curve(parts)


def test_a_map_that_is_the_same_everywhere_has_nothing_to_gain() -> None:
    feed = NetworkExamples(ToyMapExamples, views=False, map_code=DmeNetEstimator.map_code)
    example = dataclasses.replace(
        ToyMapExamples(64).example(0), blur_map=np.full((64, 64), 2, np.float32)
    )
    validation = Validation([example], feed, Phase(1, 64, 1, "squared", 1.0), 16)
    assert validation.baseline_psnr == PSNR_CAP


@pytest.mark.slow
def test_dmenet_is_trained_and_then_scored_and_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--data", folder, "--steps", 2, "--crop", 64, "--device", "cpu", "--workers", 0]
    code, text = asked("dmenet", *words, "--out", tmp_path, "--root", tmp_path / "data")
    assert code == 0, text
    assert "run --methods dmenet.sim --dataset simulated" in text
    assert "px by the best map of one value" in text
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    card = create(METHODS, "dmenet.sim")[0].card
    assert card.generators == (GENERATOR,) and card.hours is not None and card.budget
    options = ["--dataset", "simulated:set=five,size=64", "--limit", "1", "--jobs", "1"]
    for name in ("maps", "run"):
        out = str(tmp_path / name)
        done = CliRunner().invoke(app, [name, "--methods", "dmenet.sim", *options, "--out", out])
        assert done.exit_code == 0, done.output
        assert "dmenet.sim" in done.output


# Averages and statistics
# ----------------------------------------------------------------------------------------------


def test_the_average_follows_its_rule(tmp_path: Path) -> None:
    learner = Learner(partial(TinyNet, 4, 3), RECIPE, Hardware("cpu"), seed=0)
    feed = NetworkExamples(ToyExamples, views=False)
    kept: list[np.ndarray] = []
    for number in range(40):
        fed, sharp = (torch.from_numpy(part)[None] for part in feed[64, number])
        learner.learn(fed, sharp, "squared", 1e-3, number)
        kept.append(learner.state()["network"]["enter.weight"].double().numpy())
    expected = kept[0]
    for count, new in enumerate(kept[1:], start=1):
        expected = expected + (new - expected) * max(0.1, 10 / (10 + count))
    averaged = learner.average_network.state_dict()["enter.weight"]
    assert np.allclose(averaged.numpy(), expected, atol=1e-6)
    assert not np.allclose(averaged.numpy(), kept[-1], atol=1e-5)


def test_an_average_without_decay_is_the_last_weights() -> None:
    old, new = torch.rand(50), torch.rand(50)
    moving_average(0.0)([old], [new], 7)
    assert torch.equal(old, new)


def test_statistics_are_those_of_the_training_examples() -> None:
    network = TinyNet(4, 3)
    feed = NetworkExamples(ToyExamples, views=False)
    validation = Validation([ToyExamples(64).example(0)], feed, Phase(1, 64, 4, "squared", 1.0), 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    made = validation.calibrate_copy(network)
    fed = torch.stack([torch.from_numpy(feed[64, index][0]) for index in range(16)])
    with torch.inference_mode():
        seen = torch.cat(
            [
                network.enter(nn.functional.avg_pool2d(fed, 2)).mean((2, 3)),
                network.enter(fed).mean((2, 3)),
            ]
        )
    assert torch.allclose(made.state_dict()["normal.running_mean"], seen.mean(0), atol=1e-5)
    assert not made.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_frozen_statistics_are_measured_once_and_then_kept() -> None:
    learner = Learner(partial(TinyNet, 4, 3), RECIPE, Hardware("cpu"), seed=0)
    feed = NetworkExamples(ToyExamples, views=False)
    validation = Validation([ToyExamples(64).example(0)], feed, RECIPE.phases[0], 2)
    fed, sharp = (torch.from_numpy(part)[None] for part in feed[64, 40])
    held = []
    for number in range(4):
        if number == 2:
            learner.freeze(validation.calibrate)
        learner.learn(fed, sharp, "squared", 1e-3, number)
        held.append({name: value.clone() for name, value in learner.state()["network"].items()})
    mean = "normal.running_mean"
    assert not torch.equal(held[0][mean], held[1][mean])
    assert not torch.equal(held[1][mean], held[2][mean])
    assert torch.equal(held[2][mean], held[3][mean])
    assert not torch.equal(held[2]["enter.weight"], held[3]["enter.weight"])
    again = Learner(partial(TinyNet, 4, 3), RECIPE, Hardware("cpu"), seed=1)
    again.restore(learner.state())
    again.learn(fed, sharp, "squared", 1e-3, 4)
    assert torch.equal(again.state()["network"][mean], held[3][mean])


@pytest.mark.parametrize("text", ["tiny", "dpdnet-s"])
def test_freezing_statistics_leaves_dropout_on(text: str) -> None:
    """At rate 0 the weights stay, so losses of one batch differ by dropout alone."""
    method = jobs.create_network(text)
    learner = Learner(method.build_trainable, RECIPE, Hardware("cpu"), seed=0)
    feed = NetworkExamples(ToyExamples, views=False)
    validation = Validation([ToyExamples(64).example(0)], feed, RECIPE.phases[0], 16)
    pairs = [feed[64, index] for index in (40, 41)]
    blurred, sharp = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    if text == "tiny":  # its last layer starts at zero, and hides what comes before it
        state = learner.state()
        torch.nn.init.normal_(state["network"]["leave.weight"], std=0.1)
        learner.restore(state)
    learner.freeze(validation.calibrate)
    losses = {learner.learn(blurred, sharp, "squared", 0.0, number) for number in (0, 1, 2)}
    assert len(losses) == 3
    repeated = {learner.learn(blurred, sharp, "squared", 0.0, 3) for _ in range(2)}
    assert len(repeated) == 1


def test_validation_cuts_to_sizes_the_network_takes_and_pools_errors() -> None:
    sharp = np.full((67, 70, 3), 0.5, np.float32)
    examples = [Example(sharp + np.float32(0.1), sharp), Example(sharp, sharp)]
    validation = Validation(
        examples, NetworkExamples(ToyExamples, views=False), RECIPE.phases[0], 16
    )
    assert validation.baseline_psnr == pytest.approx(-10 * np.log10(0.01 / 2), abs=1e-4)
    seen = []

    class Watcher(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(x.shape))
            return x

    assert validation.psnr(Watcher(1, 1, 1)) == pytest.approx(validation.baseline_psnr)
    assert seen == [(1, 3, 64, 64)] * 2


def test_mean_psnr_counts_every_pair_alike_and_ends_at_the_floor() -> None:
    sharp = np.zeros((3, 4, 4), np.float32)
    pairs = [(sharp + np.float32(0.1), sharp), (sharp, sharp)]
    assert mean_psnr(pairs) == pytest.approx((-10 * np.log10(0.01 + 1e-5) + 50) / 2)


def test_networks_are_judged_by_what_they_learn() -> None:
    feed = NetworkExamples(ToyExamples(64), views=False)
    examples = [ToyExamples(64).example(index) for index in range(3)]
    judged = {
        criterion: Validation(examples, feed, Phase(1, 64, 4, criterion, 1.0), 2).baseline_psnr
        for criterion in ("squared", "psnr")
    }
    pairs = [network_pair(example, views=False) for example in examples]
    assert judged == {"squared": pooled_psnr(pairs), "psnr": mean_psnr(pairs)}


def test_pooled_psnr_is_that_of_the_mean_squared_error() -> None:
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.random((2, 3, 5, 5), np.float32)) for _ in range(3)]
    mse = np.mean([np.mean((a.astype(np.float64) - b) ** 2) for a, b in pairs])
    assert pooled_psnr(pairs) == pytest.approx(-10 * np.log10(mse))
    assert pooled_psnr([(pairs[0][0], pairs[0][0])]) == PSNR_CAP


# Hardware
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        (Hardware("cpu", devices=3), "--devices 3: a batch of 4 cannot be shared evenly"),
        pytest.param(
            Hardware("cuda"),
            "--device cuda: torch finds no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_hardware_that_is_not_there_is_refused(
    tmp_path: Path, hardware: Hardware, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train_network(toy_job(tmp_path, hardware=hardware))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("batches", [(3, 4), (4, 3), (4, 5)])
def test_every_phase_must_be_shared_evenly(batches: tuple[int, int]) -> None:
    phases = tuple(Phase(1, 64, batch, "squared", 1e-3) for batch in batches)
    uneven = next(batch for batch in batches if batch % 3)
    recipe = dataclasses.replace(RECIPE, phases=phases)
    with pytest.raises(UsageError, match=f"--devices 3: a batch of {uneven} cannot be shared"):
        learners.require_hardware(recipe, Hardware("cpu", devices=3))


def test_a_budget_in_minutes_is_for_one_device(tmp_path: Path) -> None:
    job = toy_job(tmp_path, hardware=Hardware("cpu", devices=2))
    with pytest.raises(UsageError, match="--minutes: the clocks of several devices differ"):
        train_network(
            dataclasses.replace(job, recipe=RECIPE.with_changes(budget=Budget(1, "minutes")))
        )


def test_bfloat16_computes_more_coarsely_but_keeps_weights_in_single_precision(
    done: Job, tmp_path: Path
) -> None:
    job = toy_job(tmp_path, hardware=Hardware("cpu", precision="bf16", workers=0))
    train_network(job)
    assert not same(done, job)
    assert [float(row[2]) for row in curve(job)[1:]] == pytest.approx(
        [float(row[2]) for row in curve(done)[1:]], rel=0.1
    )


def test_bfloat16_goes_on_exactly_too(tmp_path: Path) -> None:
    coarse = Hardware("cpu", precision="bf16", workers=0)
    whole, job = (toy_job(tmp_path / name, hardware=coarse) for name in ("whole", "stopped"))
    train_network(whole)
    with pytest.raises(Diverged):
        train_network(toy_job(tmp_path / "stopped", bad=21, hardware=coarse))
    with pytest.raises(UsageError, match="precision: bf16 there, 32 here"):
        train_network(toy_job(tmp_path / "stopped"), resume=True)
    train_network(job, resume=True)
    assert same(whole, job) and curve(whole) == curve(job)


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("bf16", torch.bfloat16)])
def test_convolutions_are_computed_in_the_precision_of_the_job(
    precision: jobs.PrecisionName, dtype: torch.dtype
) -> None:
    dtypes: set[torch.dtype] = set()

    class Recorder(TinyNet):
        def once(self, x: torch.Tensor) -> torch.Tensor:
            output = self.enter(x)
            dtypes.add(output.dtype)
            return super().once(x)

    learner = Learner(partial(Recorder, 4, 3), RECIPE, Hardware("cpu", precision=precision), seed=0)
    feed = NetworkExamples(ToyExamples, views=False)
    blurred, sharp = (torch.from_numpy(part)[None] for part in feed[64, 0])
    learner.learn(blurred, sharp, "squared", 1e-3, 0)
    assert dtypes == {dtype}
    assert learner.state()["network"]["enter.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("recipe", "asked", "multiplies", "settled"),
    [
        ("fast", "auto", True, "bf16"),
        ("fast", "auto", False, "32"),
        ("paper", "auto", True, "32"),
        ("fast", "32", True, "32"),
        ("paper", "bf16", False, "bf16"),
    ],
)
def test_bfloat16_is_for_recipes_and_processors_that_are_for_it(
    recipe: str,
    asked: jobs.PrecisionName,
    multiplies: bool,
    settled: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learners, "multiplies_bf16", lambda gpu: multiplies)
    for name in ("gkmnet", "srn"):
        made = learners.resolve_precision(
            recipes.find_recipe(recipe, name), Hardware("cpu", 2, asked)
        )
        assert made == Hardware("cpu", 2, settled)  # type: ignore[arg-type]


def test_a_budget_in_minutes_ends(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    trained = train_network(
        dataclasses.replace(job, recipe=RECIPE.with_changes(budget=Budget(0.02, "minutes")))
    )
    assert trained is not None and trained.card.facts["steps"] > 0


def test_remaining_time_is_told_in_fitting_units() -> None:
    from fractions import Fraction

    assert remaining_time(10, Fraction(0), Fraction(1, 4)) == "30 s"
    assert remaining_time(600, Fraction(1, 2), Fraction(3, 4)) == "10 min"
    assert remaining_time(86400, Fraction(0), Fraction(1, 2)) == "24.0 h"


# The command
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "input",
            "input: has no network of its own, so there is nothing to train",
        ),
        ("jnb", "has no network of its own"),
        ("dmenet:psf=disk", "its options are not those of its network; train dmenet"),
        ("gkmnett", "did you mean 'gkmnet'"),
        (
            "tiny.sim",
            "name the method alone, the new checkpoint by --tag, and one to start from by --start",
        ),
        ("tiny:depth=3", "no parameter of tiny is called 'depth'"),
    ],
)
def test_what_is_no_network_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jobs.create_network(text)


def test_structure_is_as_the_id_says_whatever_checkpoints_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    train_network(toy_job(tmp_path, "tiny:width=4"))
    assert create(METHODS, "tiny")[0].structure["width"] == 4
    assert jobs.create_network("tiny").structure["width"] == 8


@pytest.mark.parametrize(("text", "levels"), [("5", (5, 5)), ("0,5", (0, 5))])
def test_a_range_of_noise(text: str, levels: tuple[float, float]) -> None:
    assert command.parse_noise_range(text) == levels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sharp"
    made.mkdir()
    for index in range(3):
        imageio.write(made / f"{index}.png", ToyExamples(144, seed=index).example(0).sharp, 8)
    return made


def asked(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["train", *map(str, words)])
    return done.exit_code, done.output if done.exception is None or done.exit_code == 0 else str(
        done.exception
    )


def test_the_command_trains_and_says_what_comes_next(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    code, text = asked(
        "tiny",
        "--data",
        folder,
        "--steps",
        2,
        "--crop",
        64,
        "--batch",
        2,
        "--out",
        out,
        "--device",
        "cpu",
        "--workers",
        0,
        "--noise",
        "0,5",
        "--root",
        tmp_path / "data",
    )
    assert code == 0, text
    assert (
        f"BENCHMARK_CHECKPOINTS={out} python -m benchmark run --methods tiny.sim-noise --dataset "
        f"simulated" in text
    )
    card = checkpoints.read_card(out / "tiny.sim-noise.safetensors")
    assert card.facts["data: noise"] == "sigma 0 to 5" and card.trained_on == ("sharp",)
    assert str(tmp_path) not in (out / "tiny.sim-noise.md").read_text()


def test_the_command_searches_and_trains_with_a_rate(folder: Path, tmp_path: Path) -> None:
    words = ["tiny", "--data", folder, "--steps", 2, "--crop", 64, "--device", "cpu"]
    words += ["--workers", 0, "--root", tmp_path / "data", "--out", tmp_path]
    code, text = asked(*words, "--search", "--rates", "1e-3,2.5e-4", "--precision", 32)
    assert code == 0, text
    assert "2.5e-4" in text and "1e-3" in text and "--rate " in text
    assert f"written: {tmp_path / 'tiny.sim.rates.csv'}" in text
    assert not (tmp_path / "tiny.sim.safetensors").exists()
    code, text = asked(*words, "--rate", "2.5e-4")
    assert code == 0, text
    assert (
        "rate 0.00025," in checkpoints.read_card(tmp_path / "tiny.sim.safetensors").facts["recipe"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tiny", "--data", "x", "--rates", "1e-3"), "--rates: belongs to --search"),
        (("tiny", "--data", "x", "--rate", "0"), "--rate 0: expected a number above 0"),
        (("tiny", "--data", "nowhere"), "--data nowhere: no such folder"),
        (("tiny", "--data", "x", "--validation", "nowhere"), "--validation nowhere: no such"),
        (("tiny", "--data", "x"), "x: holds no picture"),
        (("tiny", "--data", "dpd", "--root", "nowhere"), "dd_dp_dataset_canon"),
        (
            ("tiny", "--data", "dpd", "--recipe", "photo"),
            "--recipe photo: its cameras take simulated pictures",
        ),
        (
            ("tiny-views", "--data", "x", "--recipe", "photo"),
            "--recipe photo: its cameras make no dual-pixel views",
        ),
        (
            ("tiny", "--data", "x", "--recipe", "photo", "--noise", "1,2", "--tag", "a-noise"),
            "have noise of their own",
        ),
        (("dmenet", "--data", "dpd"), "the blur maps of its pictures are not known"),
        (("dmenet", "--data", "x", "--recipe", "photo"), "its cameras tell no blur maps"),
        (("dmenet", "--data", "x", "--recipe", "paper"), "what trained dmenet is not known"),
        (("tiny", "--data", "dpd", "--validation", "x"), "DPD has a validation part of its own"),
        (("tiny", "--data", "x", "--noise", "a,b"), "--noise a,b: expected LEAST,MOST"),
        (("tiny", "--data", "x", "--noise", "0"), "--noise 0: is no noise"),
        (("tiny", "--data", "x", "--resume"), "does not exist, so there is no unfinished training"),
        (("tiny", "--data", "x", "--devices", "3"), "--devices 3: a batch of 1 cannot be shared"),
        (
            ("tiny", "--data", "x", "--steps", "5", "--minutes", "1"),
            "--steps and --minutes: give one budget",
        ),
        (("tiny", "--data", "x", "--tag", "a.b"), "--tag a.b: expected letters"),
        (("tiny", "--data", "x", "--noise", "0,5", "--tag", "mine"), "use --tag mine-noise"),
        (("tiny", "--data", "x", "--tag", "mine-noise"), "use --tag mine"),
        (("tiny", "--data", "x", "--tag", "-noise"), "use --tag sim"),
        (("tiny", "--data", "x", "--recipe", "slow"), "--recipe slow"),
        (("input", "--data", "x"), "nothing to train"),
    ],
)
def test_the_command_says_what_is_wrong(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    code, text = asked(*words)
    assert code != 0
    assert message in text


@pytest.mark.slow
def test_two_processes_train_as_one(folder: Path, tmp_path: Path) -> None:
    words = [
        "tiny:plain=true",
        "--data",
        folder,
        "--steps",
        4,
        "--crop",
        64,
        "--batch",
        2,
        "--device",
        "cpu",
        "--workers",
        0,
        "--root",
        tmp_path / "nothing",
        "--out",
    ]
    code, text = asked(*words, tmp_path / "one")
    assert code == 0, text
    again = [sys.executable, "-m", "benchmark", "train", *words, tmp_path / "two", "--devices", 2]
    plugin = tmp_path / "tiny.py"
    plugin.write_text("from tests.methods.training.toys import register\n\nregister()\n")
    done = subprocess.run(
        list(map(str, [*again, "--plugin", plugin])),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (
        checkpoints.load_tensors(tmp_path / name / "tiny.sim.safetensors")
        for name in ("one", "two")
    )
    assert all(torch.allclose(value, two[name], rtol=0, atol=2e-4) for name, value in one.items())


@pytest.mark.parametrize(
    ("data", "noise", "name"),
    [
        ("sharp", None, "tiny.sim"),
        ("sharp", "0,5", "tiny.sim-noise"),
        ("dpd", None, "tiny.dpd"),
        ("dpd", "3", "tiny.dpd-noise"),
    ],
)
def test_the_tag_tells_data_and_noise_unless_one_is_given(
    data: str, noise: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = toy_job(tmp_path).data
    monkeypatch.setattr(command, "prepare_training_data", lambda *words, **options: pictures)
    own_tag = "mine-noise" if noise else "mine"
    for tag, expected in ((None, name), (own_tag, f"tiny.{own_tag}")):
        job = command.job_from_options("tiny", data, noise=noise, tag=tag, out=tmp_path / "out")
        assert job.files.name == expected


def test_a_picture_of_the_tests_is_never_trained_on(folder: Path, tmp_path: Path) -> None:
    tested = tmp_path / "data" / "some set"
    tested.mkdir(parents=True)
    imageio.write(
        tested / "copy.png", np.ascontiguousarray(imageio.read(folder / "1.png")[0][:, ::-1]), 8
    )
    with pytest.raises(DataError, match=r"sharp/1.png: is nearly the same picture as .*copy.png"):
        command.job_from_options("tiny", str(folder), root=tmp_path / "data")


def test_what_a_folder_holds_beside_its_pictures_is_told_in_a_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = imageio.read(folder / "1.png")[0]
    for place in (folder / "more" / "x.png", tmp_path / "data" / "some set" / "copy.png"):
        place.parent.mkdir(parents=True)
        imageio.write(place, picture, 8)
    (folder / "raw.dng").write_bytes(b"not read")
    with pytest.raises(DataError, match="nearly the same picture"):
        command.job_from_options("tiny", str(folder), root=tmp_path / "data")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert "of formats that are not read: raw.dng" in line
    assert "in sub-folders: more (1 picture)" in line


def test_a_picture_of_the_tests_never_chooses_weights(folder: Path, tmp_path: Path) -> None:
    tested = tmp_path / "data" / "some set"
    tested.mkdir(parents=True)
    picture = imageio.read(folder / "1.png")[0]
    imageio.write(tested / "copy.png", picture, 8)
    validation = tmp_path / "chosen on"
    validation.mkdir()
    imageio.write(validation / "a.png", picture, 8)
    (folder / "1.png").unlink()
    with pytest.raises(DataError, match=r"a.png: is nearly the same picture as .*copy.png"):
        command.job_from_options("tiny", str(folder), root=tmp_path / "data", validation=validation)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        command.job_from_options("tiny", str(tmp_path))


def test_rows_have_the_columns_of_the_table(done: Job) -> None:
    with done.files.table.open() as file:
        assert tuple(next(csv.reader(file))) == CurvePoint._fields


# Starting from other weights
# ------------------------------------------------------------------------------------------


def test_a_training_starts_from_the_weights_it_is_told_to(
    done: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(done.files.checkpoint.parent))
    initial = jobs.find_initial_checkpoint("tiny.toy", done.method)
    facts = {**initial.card.facts, "data: generator": "scenes, version 3"}
    of_scenes = initial.card.model_copy(update={"facts": facts})
    initial = dataclasses.replace(initial, card=of_scenes)
    still = dataclasses.replace(
        RECIPE.with_changes(rate=1e-12, budget=Budget(2, "steps")), frozen=Fraction(1)
    )
    job = dataclasses.replace(toy_job(tmp_path, initial=initial), recipe=still)
    train_network(job)
    ours, theirs = weights(job), weights(done)
    names = [name for name in ours if not name.startswith("normal.running")]  # measured anew
    assert all(
        torch.allclose(ours[name].float(), theirs[name].float(), atol=2e-3) for name in names
    )
    card = checkpoints.read_card(job.files.checkpoint)
    assert str(card.facts["started from"]).startswith("tiny.toy (0.18 megapixels), SHA-256 ")
    assert checkpoints.list_generators(card) == ("scenes",)
    assert card.trained_on == ("noise",)


def test_a_training_from_other_weights_is_another_training(done: Job, tmp_path: Path) -> None:
    assert "start" not in done.identity()
    assert (
        dataclasses.replace(done, initial=initial_from(done.files.checkpoint)).identity()
        != done.identity()
    )


def test_it_starts_from_weights_of_the_same_network_only(
    done: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(done.files.checkpoint.parent))
    with pytest.raises(UsageError, match=r"--start tiny: name a checkpoint, for example tiny\.sim"):
        jobs.find_initial_checkpoint("tiny", done.method)
    for text, method in (("tiny.toy", "tiny:width=4"), ("tiny.toy", "tiny-views")):
        with pytest.raises(
            UsageError, match=r"--start tiny\.toy: its network is not the one that is trained, tiny"
        ):
            jobs.find_initial_checkpoint(text, jobs.create_network(method))
    with pytest.raises(UsageError, match="nowhere"):
        jobs.find_initial_checkpoint("tiny.nowhere", done.method)


def test_what_the_first_weights_saw_is_on_the_card(done: Job, tmp_path: Path) -> None:
    other = tmp_path / "tiny.other.safetensors"
    for seen, said in ((("DPD train",), ("DPD train", "noise")), (None, None)):
        card = checkpoints.read_card(done.files.checkpoint).model_copy(update={"trained_on": seen})
        checkpoints.save_checkpoint(other, weights(done), card)
        brief = RECIPE.with_changes(budget=Budget(1, "steps"))
        job = dataclasses.replace(
            toy_job(tmp_path / "out", initial=initial_from(other)), recipe=brief
        )
        train_network(job, force=True)
        assert checkpoints.read_card(job.files.checkpoint).trained_on == said


def checkpoint_without_state(folder: Path) -> InitialCheckpoint:
    """Return the best checkpoint of a training that was stopped; its state is gone."""
    job = stopped(folder)
    job.files.state.unlink()
    return dataclasses.replace(initial_from(job.files.checkpoint), continues=True)


def test_without_its_state_a_training_goes_on_at_the_same_point_of_the_schedule(
    done: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initial = checkpoint_without_state(tmp_path / "lost")
    step = int(initial.card.facts["steps"])
    rows_before = records.read_curves_table(TrainingFiles(initial.path).table)
    job = toy_job(tmp_path / "again", initial=initial)
    steps: list[int] = []
    learn = Learner.learn

    def record_step(self: Learner, *arguments: Any) -> float:
        steps.append(arguments[-1])
        return learn(self, *arguments)

    monkeypatch.setattr(Learner, "learn", record_step)
    train_network(job)
    rows = records.read_curves_table(job.files.table)
    last = records.read_curves_table(done.files.table)[-1]
    assert steps == list(range(step, last.step))
    assert [row[:2] for row in rows[: len(rows_before)]] == [row[:2] for row in rows_before]
    assert rows[-1][:2] == last[:2]
    facts = checkpoints.read_card(job.files.checkpoint).facts
    assert str(facts["went on from"]).startswith("tiny.toy (")
    assert "started from" not in facts
    assert facts["examples"] == checkpoints.read_card(done.files.checkpoint).facts["examples"]


@pytest.mark.parametrize("frozen", [Fraction(1, 12), Fraction(1)])
def test_without_its_state_a_training_goes_on_with_the_statistics_it_froze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: Fraction
) -> None:
    recipe = dataclasses.replace(RECIPE, frozen=frozen)
    with pytest.raises(Diverged):
        train_network(dataclasses.replace(toy_job(tmp_path / "lost", bad=21), recipe=recipe))
    lost = dataclasses.replace(toy_job(tmp_path / "lost"), recipe=recipe)
    initial = dataclasses.replace(initial_from(lost.files.checkpoint), continues=True)
    mean = "normal.running_mean"
    frozen_mean = weights(lost)[mean].clone()
    means: list[torch.Tensor] = []
    learn = Learner.learn

    def record_mean(self: Learner, *arguments: Any) -> float:
        loss = learn(self, *arguments)
        means.append(self.state()["network"][mean].clone())
        return loss

    monkeypatch.setattr(Learner, "learn", record_mean)
    job = toy_job(tmp_path / "again", initial=initial)
    train_network(dataclasses.replace(job, recipe=recipe))
    unchanged = [torch.equal(value, frozen_mean) for value in means]
    assert len(unchanged) > 2
    assert all(unchanged) if frozen < 1 else not any(unchanged)


def test_it_goes_on_in_the_folder_of_its_weights(tmp_path: Path) -> None:
    initial = checkpoint_without_state(tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        train_network(toy_job(tmp_path))
    train_network(toy_job(tmp_path, initial=initial))
    facts = checkpoints.read_card(initial.path).facts
    assert str(facts["went on from"]).startswith("tiny.toy (")


def test_without_better_weights_those_it_went_on_with_stay_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initial = checkpoint_without_state(tmp_path / "lost")
    job = toy_job(tmp_path / "again", initial=initial)
    monkeypatch.setattr(Validation, "psnr", lambda self, network: 0.0)
    with pytest.raises(Diverged):
        train_network(toy_job(tmp_path / "again", bad=33, initial=initial))
    train_network(dataclasses.replace(job, initial=None), resume=True)
    ours = weights(job)
    theirs = round_weights(checkpoints.load_tensors(initial.path))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_training_that_is_complete_does_not_go_on(done: Job, tmp_path: Path) -> None:
    initial = dataclasses.replace(initial_from(done.files.checkpoint), continues=True)
    with pytest.raises(UsageError, match=r"its training is complete \(12 steps\)"):
        train_network(toy_job(tmp_path, initial=initial))
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_went_on_from_its_checkpoint_is_resumed_without_it(tmp_path: Path) -> None:
    initial = checkpoint_without_state(tmp_path / "lost")
    job = toy_job(tmp_path / "again", initial=initial)
    with pytest.raises(Diverged):
        train_network(toy_job(tmp_path / "again", bad=33, initial=initial))
    train_network(dataclasses.replace(job, initial=None), resume=True)
    facts = checkpoints.read_card(job.files.checkpoint).facts
    assert str(facts["went on from"]).startswith("tiny.toy (")


def test_it_does_not_go_on_without_its_curves(tmp_path: Path) -> None:
    initial = checkpoint_without_state(tmp_path / "lost")
    table = TrainingFiles(initial.path).table
    table.write_text(table.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="has no point at step"):
        train_network(toy_job(tmp_path / "again", initial=initial))
    table.unlink()
    with pytest.raises(DataError, match="no table of learning curves"):
        train_network(toy_job(tmp_path / "again", initial=initial))


def test_a_checkpoint_goes_on_under_its_own_name_with_its_own_options_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "first"))
    words = (
        "tiny",
        "--data",
        folder,
        "--steps",
        4,
        "--crop",
        64,
        "--workers",
        0,
        "--device",
        "cpu",
    )
    assert asked(*words)[0] == 0
    code, output = asked(*words, "--seed", 5, "--start", "tiny.sim", "--out", tmp_path / "second")
    assert code != 0
    assert "cannot go on under its own name, because its seed is 0, here 5" in output
