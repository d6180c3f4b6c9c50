"""Train all networks of the comparison at an equal budget, in an order that can end anywhere.

    nice python -m benchmark.methods.training.comparison --data BSDS500/train --out equal

Every network adds what its last layer gives to the picture and starts as the identity; AttNet's
stand-in and GKMNet do so anyway, the others by `output=added`. All are trained by the recipe
`fast`, in one precision, at the learning rate that was best for each of them on held-out pictures.
In this order:

0. learning rates: `search.RATES`, 6.5 megapixels each, for all ten networks;
a. SRAM* and GKMNet, 26 megapixels, 5 seeds;
b. the four small ablations of GKMNet, 26 megapixels, 5 seeds;
c. SRN, DPDNet-S, DPDNet-D and the stand-in for AttNet, 26 megapixels, 3 seeds;
d. GKMNet, SRAM* and SRN, 80 megapixels, one seed.

What is done is read from the folder: the same command again goes on, after a stop at any moment,
with what is left. A training that is cut off loses a minute at most. `--hours` stops it in time,
and `--plan` only prints what is done and left. What is left of a training are its best weights,
card and curves; `trainings.csv` lists them with their megapixels, hours and precision.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, cast, get_args

from benchmark import checkpoints, console
from benchmark.api import BenchmarkError, Scalar, UsageError
from benchmark.files import DATA_VARIABLE, write_bytes
from benchmark.methods.training import command, search
from benchmark.methods.training.job import Hardware
from benchmark.methods.training.search import SearchResult, format_rate
from benchmark.methods.training.step import Diverged
from benchmark.methods.training.training_files import TrainingFiles
from benchmark.precision import multiplies_bf16

Stage = Literal["0", "a", "b", "c", "d"]
ComparisonPrecision = Literal["32", "bf16"]


@dataclass(frozen=True, slots=True)
class ComparedNetwork:
    """A network of the comparison.

    Attributes:
        name: what tags call it; empty where the method's own name is enough.
        method: its id without a checkpoint.
    """

    name: str
    method: str

    @property
    def id(self) -> str:
        """The registered name of the method."""
        return self.method.partition(":")[0]


GKMNET = ComparedNetwork("", "gkmnet")
SRAM = ComparedNetwork("sram-added", "gkmnet:head=sram,output=added")
ABLATIONS = (
    ComparedNetwork("one-scale", "gkmnet:scales=1"),
    ComparedNetwork("no-lstm", "gkmnet:memory=convolution"),
    ComparedNetwork("gaussian", "gkmnet:kernels=gaussian"),
    ComparedNetwork("xavier", "gkmnet:kernels=xavier"),
)
SRN = ComparedNetwork("added", "srn:output=added")
RIVALS = (
    SRN,
    ComparedNetwork("added", "dpdnet-s:output=added"),
    ComparedNetwork("added", "dpdnet-d:output=added"),
    ComparedNetwork("", "attnet"),
)
NETWORKS = (SRAM, GKMNET, *ABLATIONS, *RIVALS)
BUDGET = 26.0
"""Megapixels of a training of (a) to (c)."""
LONG_BUDGET = 80.0
"""Megapixels of a training of (d)."""


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A part of the comparison: a search for a learning rate, or a training.

    Attributes:
        stage: where it stands in the order.
        network: what is trained.
        megapixels: its length; of a search, of every trial.
        seed: of initial weights, examples and steps.
    """

    stage: Stage
    network: ComparedNetwork
    megapixels: float
    seed: int = 0

    @property
    def tag(self) -> str:
        """The tag of the checkpoint, such as equal-26-0-sram-added; of a search,
        equal-sram-added.
        """
        parts = ["equal"]
        if self.stage != "0":
            parts += [f"{self.megapixels:g}".replace(".", "_"), str(self.seed)]
        if self.network.name:
            parts.append(self.network.name)
        return "-".join(parts)

    @property
    def total_megapixels(self) -> float:
        """Its length, of all trials together."""
        return self.megapixels * (len(search.RATES) if self.stage == "0" else 1)


def list_tasks(scale: float = 1.0) -> list[TrainingTask]:
    """Return the comparison in its order, with all budgets multiplied by `scale`."""
    trial = scale * search.TRIAL_BUDGET.amount
    budget = scale * BUDGET
    long_budget = scale * LONG_BUDGET
    return [
        *(TrainingTask("0", network, trial) for network in NETWORKS),
        *(
            TrainingTask("a", network, budget, seed)
            for seed in range(5)
            for network in (SRAM, GKMNET)
        ),
        *(TrainingTask("b", network, budget, seed) for seed in range(5) for network in ABLATIONS),
        *(TrainingTask("c", network, budget, seed) for seed in range(3) for network in RIVALS),
        *(TrainingTask("d", network, long_budget) for network in (GKMNET, SRAM, SRN)),
    ]


# What is done
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """A task that is done.

    Attributes:
        task: which.
        hours: what it took.
        facts: of the checkpoint's card; empty for a search.
    """

    task: TrainingTask
    hours: float
    facts: dict[str, Scalar] = field(default_factory=dict)


def read_outcome(task: TrainingTask, folder: Path) -> TrainingOutcome | None:
    """Return what came of a task, None if it is not done; raises DataError for files that cannot be
    read.
    """
    files = _locate(task, folder)
    if task.stage == "0":
        trials = search.read_trials(files.rates)
        rates = {trial.rate for trial in trials}
        if not rates.issuperset(search.RATES):
            return None
        return TrainingOutcome(task, sum(trial.hours for trial in trials))
    if files.state.exists() or not files.checkpoint.exists():
        return None
    facts = dict(checkpoints.read_card(files.checkpoint).facts)
    return TrainingOutcome(task, float(facts.get("hours", 0.0)), facts)


def read_outcomes(tasks: Sequence[TrainingTask], folder: Path) -> list[TrainingOutcome]:
    """Return what came of those of the tasks that are done."""
    outcomes = (read_outcome(task, folder) for task in tasks)
    return [outcome for outcome in outcomes if outcome is not None]


def _locate(task: TrainingTask, folder: Path) -> TrainingFiles:
    return TrainingFiles(folder / f"{task.network.id}.{task.tag}{checkpoints.SUFFIX}")


def estimate_hours(task: TrainingTask, outcomes: Sequence[TrainingOutcome]) -> float | None:
    """Return how long a task takes by what those that are done took a megapixel: the same network's
    if there are some, else the mean of all. None where nothing is done.
    """
    own_outcomes = [outcome for outcome in outcomes if outcome.task.network == task.network]
    examples = own_outcomes or outcomes
    megapixels = sum(outcome.task.total_megapixels for outcome in examples)
    if not megapixels:
        return None
    return task.total_megapixels * sum(outcome.hours for outcome in examples) / megapixels


# Doing it
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all trainings.

    Attributes:
        data: folder of sharp pictures.
        folder: where everything is written.
        validation: folder of sharp pictures to hold out, None for one in ten of `data`.
        root: folder that holds the data sets, none of whose pictures may be trained on.
        precision: what networks compute in.
        scale: factor of all budgets.
    """

    data: str
    folder: Path
    validation: Path | None = None
    root: Path = Path("data")
    precision: ComparisonPrecision = "32"
    scale: float = 1.0

    def job_options(self, task: TrainingTask) -> dict[str, Any]:
        """Return the options of `command.job_from_options` that a task has."""
        return {
            "tag": task.tag,
            "out": self.folder,
            "root": self.root,
            "validation": self.validation,
            "seed": task.seed,
            "budget": {"megapixels": task.megapixels},
            "hardware": Hardware("cpu", precision=self.precision, workers=0),
        }


def run_task(task: TrainingTask, settings: Settings) -> None:
    """Do a task, or go on with it.

    Raises:
        UsageError: files of another comparison, or a network whose learning rate is not known.
        DataError: pictures or files that cannot be read or written.
    """
    options = settings.job_options(task)
    method = task.network.method
    if task.stage == "0":
        result = command.search_from_options(method, settings.data, **options)
        console.print_note(f"{task.network.method}: {result.advise()}")
        return
    rate = choose_rate(task, settings)
    files = _locate(task, settings.folder)
    resume = files.state.exists()
    job = command.job_from_options(method, settings.data, rate=rate, resume=resume, **options)
    for line in command.run_training(job, resume, force=False):
        console.print_note(line)


def choose_rate(task: TrainingTask, settings: Settings) -> float:
    """Return the learning rate that was best for a task's network; raises UsageError if the search
    is not done or every trial diverged.
    """
    search_task = TrainingTask("0", task.network, settings.scale * search.TRIAL_BUDGET.amount)
    table = _locate(search_task, settings.folder).rates
    result = SearchResult(tuple(search.read_trials(table)), table)
    if result.best is None:
        raise UsageError(f"{table}: has no learning rate for {task.network.method}")
    return result.best.rate


def require_one_precision(outcomes: Sequence[TrainingOutcome], settings: Settings) -> None:
    """Raise UsageError if something was trained in another precision than the rest will be."""
    for outcome in outcomes:
        precision = outcome.facts.get("precision", settings.precision)
        if precision != settings.precision:
            raise UsageError(
                f"{settings.folder}: {outcome.task.tag} was trained in {precision}, so the whole "
                f"comparison is: give --precision {precision}, or another --out"
            )


# What people and tables read
# --------------------------------------------------------------------------------------------------

_COLUMNS = (
    "checkpoint", "method", "stage", "seed", "megapixels", "hours", "precision", "rate",
    "validation_gain", "hardware", "commit",
)  # fmt: skip


def write_trainings(outcomes: Sequence[TrainingOutcome], settings: Settings) -> None:
    """Write `trainings.csv`, a line per finished training; raises DataError if that fails."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        task, facts = outcome.task, outcome.facts
        if task.stage == "0":
            continue
        writer.writerow(
            {
                "checkpoint": f"{task.network.id}.{task.tag}",
                "method": task.network.method,
                "stage": task.stage,
                "seed": task.seed,
                "megapixels": facts.get("megapixels", ""),
                "hours": outcome.hours,
                "precision": facts.get("precision", ""),
                "rate": format_rate(choose_rate(task, settings)),
                "validation_gain": facts.get("validation gain in dB", ""),
                "hardware": facts.get("hardware", ""),
                "commit": facts.get("commit", ""),
            }
        )
    write_bytes(settings.folder / "trainings.csv", text.getvalue().encode())


def describe_plan(tasks: Sequence[TrainingTask], folder: Path) -> Iterator[str]:
    """Yield a line per stage: what is done and left of it, and the hours of both."""
    outcomes = read_outcomes(tasks, folder)
    done = {outcome.task for outcome in outcomes}
    for stage in dict.fromkeys(task.stage for task in tasks):
        own = [task for task in tasks if task.stage == stage]
        own_outcomes = [outcome for outcome in outcomes if outcome.task.stage == stage]
        hours = sum(outcome.hours for outcome in own_outcomes)
        left = _sum_hours([task for task in own if task not in done], outcomes)
        yield f"({stage}) {len(own_outcomes)} of {len(own)} done in {hours:.2f} h, {left}"
    total = sum(outcome.hours for outcome in outcomes)
    left = _sum_hours([task for task in tasks if task not in done], outcomes)
    yield f"{len(outcomes)} of {len(tasks)} done in {total:.2f} h, {left}"


def _sum_hours(tasks: Sequence[TrainingTask], outcomes: Sequence[TrainingOutcome]) -> str:
    estimates = [estimate_hours(task, outcomes) for task in tasks]
    if None in estimates:
        return "left: not known before the first is done"
    return f"about {math.fsum(hours for hours in estimates if hours):.1f} h left"


def run_comparison(settings: Settings) -> list[TrainingTask]:
    """Do what is left of the comparison, and return the tasks that failed because they diverged.

    Raises:
        UsageError, DataError: as `run_task`.
    """
    tasks = list_tasks(settings.scale)
    diverged = []
    for task in tasks:
        outcomes = read_outcomes(tasks, settings.folder)
        require_one_precision(outcomes, settings)
        write_trainings(outcomes, settings)
        if any(outcome.task == task for outcome in outcomes):
            continue
        *_, summary = describe_plan(tasks, settings.folder)
        console.print_note(f"{summary}; now ({task.stage}) {task.network.id}.{task.tag}")
        try:
            run_task(task, settings)
        except Diverged as error:
            console.print_note(str(error))
            diverged.append(task)
    write_trainings(read_outcomes(tasks, settings.folder), settings)
    return diverged


class _Stopped(BaseException):
    """The time is up, or somebody asked for the end."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _stop_in_time(hours: float | None) -> None:
    """Let this process stop at once when it is asked to, or after so many hours."""
    signal.signal(signal.SIGTERM, _stop)
    if hours is not None:
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, 3600 * hours)


def _use_one_thread() -> None:
    import cv2
    import threadpoolctl
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpoolctl.threadpool_limits(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 when all is done or time is up, 1 where a
    training diverged, 2 for what the user can mend.
    """
    options = _make_parser().parse_args(arguments)
    try:
        settings = Settings(
            data=options.data,
            folder=options.out,
            validation=options.validation,
            root=options.root,
            precision=_resolve_precision(options.precision),
            scale=options.scale,
        )
        if options.plan:
            for line in describe_plan(list_tasks(settings.scale), settings.folder):
                console.print_line(line)
            return 0
        _use_one_thread()
        _stop_in_time(options.hours)
        diverged = run_comparison(settings)
    except (_Stopped, KeyboardInterrupt):
        console.print_note("stopped; the same command goes on")
        return 0
    except BenchmarkError as error:
        console.print_note(f"error: {error}")
        return 2
    for line in describe_plan(list_tasks(settings.scale), settings.folder):
        console.print_line(line)
    return 1 if diverged else 0


def _resolve_precision(text: str) -> ComparisonPrecision:
    """Return the precision that a word means: with `auto`, bf16 on processors that multiply it."""
    if text == "auto":
        return "bf16" if multiplies_bf16(gpu=False) else "32"
    return cast(ComparisonPrecision, text)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.methods.training.comparison",
        description="Train all networks of the comparison at an equal budget.",
    )
    parser.add_argument("--data", required=True, help="folder of sharp pictures to train on")
    parser.add_argument("--out", required=True, type=Path, help="folder for all that is written")
    parser.add_argument(
        "--validation", type=Path, help="folder of held-out pictures; default: one in ten of --data"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get(DATA_VARIABLE) or "data"),
        help="folder that holds the test sets, none of whose pictures may be trained on",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", *get_args(ComparisonPrecision)),
        default="auto",
        help="of all networks; auto: bf16 on processors that multiply it",
    )
    parser.add_argument("--hours", type=_parse_amount, help="stop after so many")
    parser.add_argument(
        "--scale", type=_parse_amount, default=1.0, help="factor of all budgets, to try it out"
    )
    parser.add_argument("--plan", action="store_true", help="only print what is done and left")
    return parser


def _parse_amount(text: str) -> float:
    amount = float(text)
    if not (math.isfinite(amount) and amount > 0):
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return amount


if __name__ == "__main__":
    raise SystemExit(main())
