"""The command `train`: from what a user says to a job, and what it tells at the end."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from benchmark import checkpoints, console
from benchmark.api import UsageError
from benchmark.left_out import list_left_out_files, list_left_out_folders
from benchmark.methods.learned.method import AppliedNetwork
from benchmark.methods.training import learner, pictures, recipes, search
from benchmark.methods.training.camera_examples import CameraExamples
from benchmark.methods.training.duplicates import (
    bundled_pictures,
    evaluated_pictures,
    refuse_duplicates,
)
from benchmark.methods.training.examples import (
    DpdCrops,
    Examples,
    SimulatedExamples,
    held_out_examples,
)
from benchmark.methods.training.job import (
    Hardware,
    InitialCheckpoint,
    Job,
    TrainingData,
    create_network,
    find_initial_checkpoint,
    locate_files,
)
from benchmark.methods.training.recipes import Budget, Recipe, Unit
from benchmark.methods.training.records import schedule_facts
from benchmark.methods.training.search import SearchResult
from benchmark.methods.training.trainer import train_network

__all__ = ["Hardware", "job_from_options", "run_training", "search_from_options"]

DPD = "dpd"
HELD_OUT_EXAMPLES = 16
"""Held-out examples of a validation, of the last crop's size."""
NoiseRange = tuple[float, float]
"""Least and most standard deviation, 0-255 scale."""


def job_from_options(
    method: str,
    data: str,
    *,
    recipe: str = "fast",
    noise: str | None = None,
    tag: str | None = None,
    out: Path | None = None,
    root: Path = Path("data"),
    validation: Path | None = None,
    seed: int = 0,
    budget: Mapping[str, float | None] | None = None,
    crop: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    hardware: Hardware | None = None,
    start: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> Job:
    """Return the job that the options of the command line mean; they are explained there.

    Args:
        method, data, recipe, noise, tag, out, root, validation, seed, crop, batch, rate: see
            `python -m benchmark train --help`.
        budget: unit -> amount; at most one of them is a number, none leaves the recipe's own.
        hardware: where it runs.
        start: id of a checkpoint to start from; one of the name that is trained goes on where it
            was in its schedule.
        resume, force: as for `run_training`; what cannot be is told before the pictures are looked
            at.

    Raises:
        UsageError: for options that mean nothing, or not together.
        DataError: for pictures that cannot be trained on.
    """
    network = create_network(method)
    budget_limit = _find_budget(budget or {})
    makes_maps = network.map_code is not None
    full_recipe = recipes.find_recipe(recipe, network.id, makes_maps).with_changes(
        crop, batch, rate, budget=budget_limit
    )
    if makes_maps and data == DPD:
        raise UsageError(
            f"--data {DPD}: the blur maps of its pictures are not known, and {network.id} learns "
            "nothing else; name a folder of sharp pictures"
        )
    noise_range = None if noise is None else parse_noise_range(noise)
    tag = tag or _default_tag(data, full_recipe, noise_range)
    _require_honest_tag(tag, noise_range)
    files = locate_files(network, tag, out)
    initial = _choose_initial_checkpoint(start, network, files.name, resume)
    hardware = learner.resolve_precision(full_recipe, hardware or Hardware())
    learner.require_hardware(full_recipe, hardware)
    continued_checkpoint = None
    if initial is not None and initial.continues:
        continued_checkpoint = initial.path
    files.require(resume, force, continued_checkpoint)
    views = network.card.inputs == "views"
    training_data = prepare_training_data(
        data, root, full_recipe, views=views, noise=noise_range, seed=seed, validation=validation
    )
    job = Job(network, full_recipe, training_data, files, seed, hardware, initial=initial)
    if initial is not None and initial.continues:
        _require_same_schedule(initial, job)
    return job


def _choose_initial_checkpoint(
    start: str | None, network: AppliedNetwork, name: str, resume: bool
) -> InitialCheckpoint | None:
    """Return the checkpoint that a training of the given name begins with, None for none."""
    if start is None:
        return None
    initial = find_initial_checkpoint(start, network)
    if initial.name != name:
        return initial
    if resume:  # it began so already; the file may hold later weights by now
        return None
    return dataclasses.replace(initial, continues=True)


def _find_budget(amounts: Mapping[str, float | None]) -> Budget | None:
    budgets = [
        Budget(amount, cast(Unit, unit)) for unit, amount in amounts.items() if amount is not None
    ]
    if len(budgets) > 1:
        options = " and ".join(f"--{budget.unit}" for budget in budgets)
        raise UsageError(f"{options}: give one budget")
    return next(iter(budgets), None)


def _default_tag(data: str, recipe: Recipe, noise_range: NoiseRange | None) -> str:
    if data == DPD:
        tag = "dpd"
    elif recipe.cameras:
        tag = recipe.name
    else:
        tag = "sim"
    if noise_range is None:
        return tag
    return tag + checkpoints.NOISE_TRAINED


def _require_honest_tag(tag: str, noise_range: NoiseRange | None) -> None:
    """Raise UsageError if a tag tells readers of tables wrongly whether the weights know noise."""
    ending = checkpoints.NOISE_TRAINED
    noisy = noise_range is not None
    if tag.endswith(ending) == noisy:
        return
    better = tag + ending
    if not noisy:
        better = tag.removesuffix(ending) or "sim"
    raise UsageError(
        f"--tag {tag}: tags end in {ending} where --noise is given and nowhere else, because "
        f"tables tell the noise-trained weights by them; use --tag {better}"
    )


def _require_same_schedule(initial: InitialCheckpoint, job: Job) -> None:
    """Raise UsageError if a checkpoint is of another training than the job that goes on with it."""
    facts = initial.card.facts
    for name, value in schedule_facts(job).items():
        if facts.get(name) != value:
            raise UsageError(
                f"--start {initial.name}: cannot go on under its own name, because its {name} is "
                f"{facts.get(name, 'not known')}, here {value}; give the options it was trained "
                "with, or another --tag to begin a new training with its weights"
            )


def parse_noise_range(text: str) -> NoiseRange:
    """Return the range that a text such as `0,5` or `3` means: least and most, or one level.

    Raises:
        UsageError: for anything else.
    """
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 2):
        raise UsageError(
            f"--noise {text}: expected LEAST,MOST or one level on the 0-255 scale, for example 0,5"
        )
    if not levels[-1]:
        raise UsageError(
            f"--noise {text}: is no noise; leave the option out, or name a level above 0"
        )
    return levels[0], levels[-1]


def prepare_training_data(
    data: str,
    root: Path,
    recipe: Recipe,
    *,
    views: bool,
    noise: NoiseRange | None,
    seed: int,
    validation: Path | None = None,
) -> TrainingData:
    """Return training and held-out examples.

    Args:
        data: a folder of sharp pictures, or `dpd`.
        root: the folder that holds the data sets. DPD is there, and no picture there is trained on
            by chance.
        recipe: for the size of the held-out examples.
        views: whether the network takes dual-pixel views.
        noise: the range of noise levels that examples get, None for none.
        seed: of all that is random in an example.
        validation: a folder of sharp pictures to hold out; None holds out one in ten of `data`.

    Raises:
        UsageError: for noise out of its range, and for options that do not go together.
        DataError: pictures that are missing or damaged, or nearly those of a test.
    """
    crop = recipe.phases[-1].crop
    examples: Examples
    if data == DPD:
        if validation is not None:
            raise UsageError(f"--validation {validation}: DPD has a validation part of its own")
        if recipe.cameras:
            raise UsageError(
                f"--recipe {recipe.name}: its cameras take simulated pictures, and DPD was taken "
                "by a real one; use --recipe fast or paper"
            )
        examples = DpdCrops(root, crop=crop, seed=seed, noise=noise, views=views)
        count = int(examples.card()["pictures"])
    else:
        folder = Path(data)
        if recipe.cameras:
            _require_camera_data(recipe, views, noise)
        folders = [folder] if validation is None else [folder, validation]
        _note_left_out(folders)
        _refuse_evaluated_pictures(folders, root)
        if recipe.cameras:
            examples = CameraExamples(folder, crop=crop, seed=seed, validation=validation)
        else:
            examples = SimulatedExamples(
                folder, crop=crop, seed=seed, noise=noise, views=views, validation=validation
            )
        count = len(examples.sources)
    return TrainingData(examples.with_crop, count, held_out_examples(examples, HELD_OUT_EXAMPLES))


def _note_left_out(folders: Sequence[Path]) -> None:
    """Say in a line for each folder what lies in it and is not trained on, as data sets do."""
    for folder in folders:
        paths = pictures.list_pictures(folder)
        remarks = [*list_left_out_files(paths), *list_left_out_folders(folder, paths)]
        if remarks:
            console.print_note("; ".join(remarks))


def _refuse_evaluated_pictures(folders: Sequence[Path], root: Path) -> None:
    """Raise DataError if a picture that is trained on, or chooses weights, is evaluated on."""
    names = " and ".join(map(str, folders))
    console.print_note(f"comparing the pictures in {names} with those that are evaluated on")
    evaluated_paths = {path for folder in folders for path in evaluated_pictures(root, folder)}
    paths = [path for folder in folders for path in pictures.list_pictures(folder)]
    refuse_duplicates(paths, [*sorted(evaluated_paths), *bundled_pictures()])


def _require_camera_data(recipe: Recipe, views: bool, noise: NoiseRange | None) -> None:
    """Raise UsageError for what the cameras of a recipe do not make."""
    if views:
        raise UsageError(
            f"--recipe {recipe.name}: its cameras make no dual-pixel views, and the network takes "
            "nothing else; use --recipe fast"
        )
    if noise is not None:
        raise UsageError(
            f"--noise: the cameras of --recipe {recipe.name} have noise of their own; leave the "
            "option out"
        )


def search_from_options(
    method: str,
    data: str,
    *,
    rates: str | None = None,
    budget: Mapping[str, float | None] | None = None,
    resume: bool = False,
    force: bool = False,
    **options: Any,
) -> SearchResult:
    """Search the learning rate of a network as the options of the command line mean it.

    Args:
        rates: see `search.parse_rates`; None for `search.RATES`.
        budget: of a trial; none means `search.TRIAL_BUDGET`.
        resume: refused, as a search goes on by itself.
        force: forget the trials that the table has.
        method, data, options: as for `job_from_options`.

    Raises:
        UsageError, DataError: as `job_from_options` and `search.search_rates` do.
    """
    if resume:
        raise UsageError("--search --resume: a search goes on by itself; leave --resume out")
    if options.get("rate") is not None:
        raise UsageError("--search --rate: a search tries several; name them by --rates")
    trial_rates = search.RATES if rates is None else search.parse_rates(rates)
    trial_budget = dict(budget or {})
    if all(amount is None for amount in trial_budget.values()):
        trial_budget = {search.TRIAL_BUDGET.unit: search.TRIAL_BUDGET.amount}
    # The checkpoint of that name may be there: a search does not touch it.
    job = job_from_options(method, data, budget=trial_budget, force=True, **options)
    return search.search_rates(job, trial_rates, force)


def run_training(job: Job, resume: bool, force: bool) -> list[str]:
    """Train and return lines for people; none in a process that only helped. Raises as
    `trainer.train_network` does.
    """
    result = train_network(job, resume, force)
    if result is None:
        return []
    facts = result.card.facts
    return [
        f"trained: {facts['steps']} steps, {facts['megapixels']} megapixels, {facts['hours']} h, "
        f"waiting for data {facts['waiting for data']}",
        f"validation: {facts['validation']}, gain {result.best.validation_gain:+.2f} dB",
        f"written: {job.files.checkpoint}, {job.files.table.name}, {job.files.figure.name}",
        f"next: {_next_command(job)}",
    ]


def _next_command(job: Job) -> str:
    """Return a command that runs the new checkpoint, with its folder where the suite does not look
    by itself.
    """
    command = f"python -m benchmark run --methods {job.files.name} --dataset simulated"
    folder = job.files.checkpoint.parent
    if folder.resolve() == checkpoints.user_folder().resolve():
        return command
    return f"{checkpoints.VARIABLE}={shlex.quote(str(folder))} {command}"
