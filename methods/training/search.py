"""Which learning rate suits a network: short trainings that differ in nothing else, judged on the
held-out examples.

A trial is a whole training with its own schedule, of a smaller budget, from the same initial
weights on the same examples. Of a finished one only a row of the table is left, so a search that
was interrupted goes on where it was; an unfinished one goes on as any training does.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import checkpoints, console
from benchmark.api import DataError, UsageError
from benchmark.methods.training.job import Job
from benchmark.methods.training.recipes import Budget
from benchmark.methods.training.step import Diverged
from benchmark.methods.training.trainer import train_network
from benchmark.methods.training.training_files import TrainingFiles, write_training_file

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
"""Learning rates that are tried, each about three times the one before."""
TRIAL_BUDGET = Budget(6.5, "megapixels")
"""How long a trial is where the user does not say: a quarter of the recipe `fast`."""
TRIAL_VALIDATIONS = 4
"""How often a trial is validated: the recipe's ten would take as long as its steps."""


@dataclass(frozen=True, slots=True)
class RateTrial:
    """A finished trial; the columns of the table.

    Attributes:
        rate: Adam's learning rate before warm-up and decay.
        validation_gain: of the best weights over the blurred held-out pictures, in dB; None if the
            training diverged.
        megapixels, hours: how long it was.
        seed: of initial weights, examples and steps.
        precision: what the network computed in, `32` or `bf16`.
        hardware, commit: where it ran.
        identity: digest of all that must be the same for a training to be this one.
    """

    rate: float
    validation_gain: float | None
    megapixels: float
    hours: float
    seed: int
    precision: str
    hardware: str
    commit: str
    identity: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All trials of a search in the order of their rates, and which one is best.

    Attributes:
        trials: see `RateTrial`.
        table: the file that holds them.
    """

    trials: tuple[RateTrial, ...]
    table: Path

    @property
    def best(self) -> RateTrial | None:
        """The trial of the greatest gain; None if all diverged."""
        finished = [trial for trial in self.trials if trial.validation_gain is not None]
        return max(finished, key=lambda trial: trial.validation_gain or 0.0, default=None)

    def advise(self) -> str:
        """Say with which rate to train, and whether rates beyond those tried may be better."""
        best = self.best
        if best is None:
            return "every trial diverged: try lower --rates"
        advice = f"the best of these: --rate {format_rate(best.rate)}"
        rates = [trial.rate for trial in self.trials]
        if len(rates) > 1 and best.rate == max(rates):
            return f"{advice}; it is the highest that was tried, so try higher --rates too"
        if len(rates) > 1 and best.rate == min(rates):
            return f"{advice}; it is the lowest that was tried, so try lower --rates too"
        return advice


def search_rates(job: Job, rates: Sequence[float] = RATES, force: bool = False) -> SearchResult:
    """Train once for each learning rate and return what came of it.

    Args:
        job: the training, with the budget of a trial; its recipe's own rate does not matter. The
            table is called like its checkpoint, with the ending `rates.csv`.
        rates: what to try.
        force: forget the trials that the table has.

    Raises:
        UsageError: no rates, several devices, or a table of another search; and as
            `trainer.train_network` does.
        DataError: a table that cannot be read or written; and as `trainer.train_network` does.
    """
    if not rates:
        raise UsageError("--rates: expected at least one learning rate")
    if job.hardware.devices > 1:
        raise UsageError(
            f"--devices {job.hardware.devices}: a search takes one device; search there, then "
            "train on several with --rate"
        )
    table = job.files.rates
    earlier_trials = [] if force else read_trials(table)
    trials = []
    for rate in sorted(set(rates)):
        trial_job = _make_trial_job(job, rate)
        trial = _find_trial(earlier_trials, trial_job, rate, table)
        if trial is None:
            trial = _try_rate(trial_job, rate, force)
            earlier_trials.append(trial)
            _write_trials(table, earlier_trials)
        trials.append(trial)
    return SearchResult(tuple(trials), table)


def format_rate(rate: float) -> str:
    """Return a learning rate as people write it: 3e-4."""
    return np.format_float_scientific(rate, trim="-", exp_digits=1).replace(".e", "e")


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the learning rates of a text such as `1e-4,3e-4`; raises UsageError for others."""
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates:
        raise UsageError(
            f"--rates {text}: expected learning rates with commas between, for example 1e-4,3e-4"
        )
    return rates


# One trial
# --------------------------------------------------------------------------------------------------


def _make_trial_job(job: Job, rate: float) -> Job:
    tag = f"rate-{format_rate(rate).replace('.', '_')}"
    checkpoint = job.files.checkpoint.with_name(f"{job.files.name}-{tag}{checkpoints.SUFFIX}")
    recipe = dataclasses.replace(job.recipe.with_changes(rate=rate), validations=TRIAL_VALIDATIONS)
    return dataclasses.replace(job, recipe=recipe, files=TrainingFiles(checkpoint))


def _find_trial(
    trials: Sequence[RateTrial], job: Job, rate: float, table: Path
) -> RateTrial | None:
    """Return the finished trial of a rate, None if there is none; raises UsageError if it is of
    another search.
    """
    trial = next((trial for trial in trials if trial.rate == rate), None)
    if trial is None or trial.identity == _digest_identity(job):
        return trial
    raise UsageError(
        f"{table}: holds the trials of another search (another network, budget, seed, precision or "
        "other data); choose another --tag, or forget them with --force"
    )


def _try_rate(job: Job, rate: float, force: bool) -> RateTrial:
    """Train, and leave nothing but what is returned."""
    files = job.files
    resume = files.state.exists() and not force
    # A checkpoint without a state is that of a trial whose row was not written yet.
    try:
        result = train_network(job, resume=resume, force=not resume)
    except Diverged as error:
        console.print_note(str(error).partition(". The last good state")[0])
        result = None
    gain = None
    facts = checkpoints.read_card(files.checkpoint).facts if files.checkpoint.exists() else {}
    if result is not None:
        gain = result.best.validation_gain
        facts = result.card.facts
    trial = RateTrial(
        rate=rate,
        validation_gain=gain,
        megapixels=float(facts.get("megapixels", 0.0)),
        hours=float(facts.get("hours", 0.0)),
        seed=job.seed,
        precision=job.hardware.precision,
        hardware=str(facts.get("hardware", "")),
        commit=str(facts.get("commit", "")),
        identity=_digest_identity(job),
    )
    files.remove()
    return trial


def _digest_identity(job: Job) -> str:
    text = json.dumps(job.identity(), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# The table
# --------------------------------------------------------------------------------------------------

_COLUMNS = tuple(field.name for field in dataclasses.fields(RateTrial))
_DIVERGED = "diverged"


def _write_trials(path: Path, trials: Sequence[RateTrial]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for trial in sorted(trials, key=lambda trial: trial.rate):
        row = dataclasses.asdict(trial)
        gain = trial.validation_gain
        row["validation_gain"] = _DIVERGED if gain is None else f"{gain:.4f}"
        row["rate"] = format_rate(trial.rate)
        writer.writerow(row)
    write_training_file(path, text.getvalue().encode())


def read_trials(path: Path) -> list[RateTrial]:
    """Return the trials of a table, none if there is no file; raises DataError for another file."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_parse_trial(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: no table of learning rates ({error}); expected the one that `train --search` "
            "writes; begin anew with --force"
        ) from error


def _parse_trial(row: dict[str, str]) -> RateTrial:
    gain = row["validation_gain"]
    return RateTrial(
        rate=float(row["rate"]),
        validation_gain=None if gain == _DIVERGED else float(gain),
        megapixels=float(row["megapixels"]),
        hours=float(row["hours"]),
        seed=int(row["seed"]),
        precision=row["precision"],
        hardware=row["hardware"],
        commit=row["commit"],
        identity=row["identity"],
    )
