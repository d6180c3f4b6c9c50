"""The command `train`: from what a user says to a job, and what it tells when it is done."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from benchmark import checkpoints
from benchmark.api import UsageError
from benchmark.methods.training import learner, picture_folders, recipes
from benchmark.methods.training.job import Hardware, Job, job_files, networked, started
from benchmark.methods.training.recipes import Budget, Unit
from benchmark.methods.training.trainer import train

__all__ = ["Hardware", "job", "run"]


def job(
    method: str,
    data: str,
    *,
    recipe: str = "fast",
    noise: str | None = None,
    tag: str | None = None,
    out: Path | None = None,
    root: Path = Path("data"),
    seed: int = 0,
    budget: Mapping[str, float | None] | None = None,
    crop: int | None = None,
    batch: int | None = None,
    hardware: Hardware | None = None,
    start: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> Job:
    """Return the job that the options of the command line mean; they are explained there.

    Args:
        method, data, recipe, noise, tag, out, root, seed, crop, batch: see `python -m benchmark
        train --help`.
        budget: unit -> amount; at most one of them is given, none leaves the recipe's own.
        hardware: where it runs.
        start: id of a checkpoint to start from.
        resume, force: as for `run`; what cannot be is told before the pictures are looked at.

    Raises:
        UsageError: for options that mean nothing, or not together.
        DataError: for pictures that cannot be trained on.
    """
    trained = networked(method)
    given = [
        Budget(amount, cast(Unit, unit))
        for unit, amount in (budget or {}).items()
        if amount is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(f'--{one.unit}' for one in given)}: give one budget")
    own = recipes.recipe(recipe, trained.id)
    chosen = own.changed(crop, batch, budget=given[0] if given else None)
    levels = None if noise is None else picture_folders.noise_range(noise)
    usual = ("dpd" if data == picture_folders.DPD else "sim") + (
        checkpoints.NOISE_TRAINED if levels else ""
    )
    files = job_files(trained, _tag(tag or usual, noisy=levels is not None), out)
    first = None if start is None else started(start, trained)
    if first is not None and first.name == files.name:
        raise UsageError(
            f"--start {start}: would be hidden by its own successor {files.name}; choose another "
            f"--tag"
        )
    where = learner.settled(chosen, hardware or Hardware())
    learner.require(chosen, where)
    files.require(resume, force)
    views = trained.card.inputs == "views"
    source = picture_folders.source(data, root, chosen, views=views, noise=levels, seed=seed)
    return Job(trained, chosen, source, files, seed, where, start=first)


def _tag(tag: str, noisy: bool) -> str:
    """Return a tag; raises UsageError if it tells readers of tables wrongly whether the weights
    know noise.
    """
    ending = checkpoints.NOISE_TRAINED
    if tag.endswith(ending) != noisy:
        better = tag + ending if noisy else tag.removesuffix(ending) or "sim"
        raise UsageError(
            f"--tag {tag}: tags end in {ending} where --noise is given and nowhere else, because "
            f"tables tell the "
            f"noise-trained weights by them; use --tag {better}"
        )
    return tag


def run(job: Job, resume: bool, force: bool) -> list[str]:
    """Train and return lines for people; none in a process that only helped. Raises as
    `trainer.train` does.
    """
    done = train(job, resume, force)
    if done is None:
        return []
    folder = job.files.checkpoint.parent
    found = folder.resolve() == checkpoints.user_folder().resolve()
    where = "" if found else f"{checkpoints.VARIABLE}={shlex.quote(str(folder))} "
    facts = done.card.facts
    return [
        f"trained: {facts['steps']} steps, {facts['megapixels']} megapixels, {facts['hours']} h, "
        f"waiting for data {facts['waiting for data']}",
        f"validation: {facts['validation']}, gain {done.best.validation_gain:+.2f} dB",
        f"written: {job.files.checkpoint}, {job.files.table.name}, {job.files.figure.name}",
        f"next: {where}python -m benchmark run --methods {job.files.name} --dataset simulated",
    ]
