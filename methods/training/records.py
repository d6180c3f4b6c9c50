"""What people read of a training: its progress, its curves, and the card of its checkpoint."""

from __future__ import annotations

import csv
import dataclasses
import io
import platform
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from benchmark import console, provenance
from benchmark.api import DataError, Scalar
from benchmark.checkpoints import CheckpointCard, list_generators
from benchmark.methods.training.examples import Examples
from benchmark.methods.training.job import InitialCheckpoint, Job
from benchmark.methods.training.recipes import Phase, Position, Recipe
from benchmark.methods.training.training_files import TrainingFiles, write_training_file
from benchmark.version import __version__

# Curves
# --------------------------------------------------------------------------------------------------


class CurvePoint(NamedTuple):
    """The training at one validation; the columns of its table.

    Attributes:
        step, pixels, seconds: how far it is.
        train_loss: mean loss since the point before; with several devices, on the first one's part
            of the batches.
        validation_psnr: of the averaged weights, in dB; for a blur map see `validation`.
        validation_gain: over the blurred pictures, or over the best map of one value, in dB.
    """

    step: int
    pixels: int
    seconds: float
    train_loss: float
    validation_psnr: float
    validation_gain: float


def write_curves_table(path: Path, curve: Sequence[CurvePoint]) -> None:
    """Write the curves as CSV; raises DataError if that fails."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CurvePoint._fields)
    for point in curve:
        numbers = [f"{value:.6g}" for value in point[3:]]
        writer.writerow([point.step, point.pixels, f"{point.seconds:.1f}", *numbers])
    write_training_file(path, text.getvalue().encode())


def read_curves_table(path: Path) -> list[CurvePoint]:
    """Return the curves of a table; raises DataError if the file is missing or is no such table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            CurvePoint(
                int(row["step"]),
                int(row["pixels"]),
                *(float(row[name]) for name in CurvePoint._fields[2:]),
            )
            for row in rows
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: no table of learning curves ({error}); expected the one that was written "
            "beside the checkpoint"
        ) from error


def write_curves_figure(
    path: Path, curve: Sequence[CurvePoint], title: str, makes_maps: bool = False
) -> None:
    """Draw loss and gain against megapixels; raises DataError if the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    megapixels = [point.pixels / 1e6 for point in curve]
    losses = [point.train_loss for point in curve]
    scale = "log" if any(loss > 0 for loss in losses) else "linear"  # 0 on blank pictures
    upper.plot(megapixels, losses, ".-")
    upper.set(title=title, ylabel="training loss", yscale=scale)
    lower.plot(megapixels, [point.validation_gain for point in curve], ".-")
    lower.axhline(0, color="grey", linewidth=0.8)
    gain = "gain on held-out\npictures (dB)"
    if makes_maps:
        gain = "gain over the best\nmap of one value (dB)"
    lower.set(xlabel="megapixels", ylabel=gain)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    write_training_file(path, png.getvalue())


# Card
# --------------------------------------------------------------------------------------------------

Origin = dict[str, str]
"""Facts that may differ between the sessions of a training: its commits, its machines."""

GONE_ON = "went on from"
"""The fact that a training lost its state and went on with its best weights."""


def describe_origin(job: Job, device: str, before: Origin | None = None) -> Origin:
    """Return where this session runs, after where those before it ran.

    Args:
        job: the training.
        device: name of the device, empty for a CPU.
        before: of the sessions before, None for none. A job that goes on with a checkpoint under
            its own name has what the checkpoint's card says.
    """
    now = {"hardware": _describe_hardware(device, job.hardware.devices), "commit": _code_version()}
    initial = job.initial
    if initial is not None and initial.continues:
        now[GONE_ON] = _describe_initial_weights(initial)
        facts = initial.card.facts
        before = {key: str(facts[key]) for key in now if key in facts}
    if before is None:
        return now
    appended = {key: _append_session(before.get(key, ""), value) for key, value in now.items()}
    return {**before, **appended}


def _append_session(before: str, now: str) -> str:
    last = before.rpartition(", then ")[2]
    if not before:
        return now
    return before if last == now else f"{before}, then {now}"


def _describe_hardware(device: str, devices: int) -> str:
    machine = provenance.describe_machine()
    processor = device or machine["processor"]
    if devices > 1:
        processor = f"{devices} x {processor}"
    return f"{processor}, {machine['cores']} cores, {platform.system()}"


def _code_version() -> str:
    state = provenance.read_git_state(Path(provenance.__file__).parents[1])
    if state is None:
        return f"not known (release {__version__})"
    if state["dirty"]:
        return f"{state['commit']} with changes"
    return f"{state['commit']}"


def make_training_card(
    job: Job,
    position: Position,
    best: CurvePoint,
    baseline_psnr: float,
    loading_seconds: float,
    origin: Origin,
) -> CheckpointCard:
    """Return the card of a training's best weights.

    Args:
        job: the training.
        position: how far it is.
        best: the validation that the weights are from.
        baseline_psnr: PSNR in dB of the blurred held-out examples, or of the best map of one value.
        loading_seconds: how long the training waited for examples.
        origin: see `describe_origin`.
    """
    examples = job.examples()
    facts: dict[str, Scalar] = {
        **schedule_facts(job),
        **_initial_facts(job),
        "steps": position.step,
        "megapixels": round(position.pixels / 1e6, 2),
        "examples": position.examples,
        "hours": round(position.seconds / 3600, 3),
        "waiting for data": f"{loading_seconds / max(position.seconds, 1e-9):.1%} of the time",
        "hardware": origin["hardware"],
        "precision": job.hardware.precision,
        "commit": origin["commit"],
        **{key: origin[key] for key in (GONE_ON,) if key in origin},
        "validation": f"{_describe_validation(job, baseline_psnr, best.validation_psnr)}, "
        f"on {len(job.data.held_out)} held-out examples",
        "validation gain in dB": round(best.validation_gain, 4),
        "selection": f"the best validation, at step {best.step}; the last step is not kept for "
        f"itself",
        "licence of the data": examples.licence,
    }
    return CheckpointCard(
        method=job.method.id,
        parameters=dict(job.method.structure),
        trained_on=_all_training_data(job, examples),
        licence=f"that of the suite; the data: {examples.licence}",
        source=f"trained with this suite, recipe {job.recipe.name}",
        facts=facts,
    )


def _describe_validation(job: Job, baseline_psnr: float, psnr: float) -> str:
    """Return how good the held-out examples are without and with the network, in words."""
    code = job.method.map_code
    if code is None:
        return f"{baseline_psnr:.3f} dB blurred, {psnr:.3f} dB restored"
    peak = code.largest_sigma
    baseline_error = peak * 10 ** (-baseline_psnr / 20)
    error = peak * 10 ** (-psnr / 20)
    return (
        f"root mean square error of sigma {baseline_error:.3f} px by the best map of one value, "
        f"{error:.3f} px by the network (PSNR with {peak:g} px as the peak: {psnr:.3f} dB)"
    )


def schedule_facts(job: Job) -> dict[str, Scalar]:
    """Return the facts that must be the same for a training to go on in its schedule."""
    return {
        "recipe": describe_recipe(job.recipe),
        "budget": str(job.recipe.budget),
        "seed": job.seed,
        **{f"data: {key}": value for key, value in job.examples().card().items()},
    }


def _initial_facts(job: Job) -> dict[str, str]:
    """Return the facts about the weights that a training began with, if they were not drawn."""
    initial = job.initial
    if initial is None or initial.continues:
        return {}
    facts = {"started from": _describe_initial_weights(initial)}
    generators = list_generators(initial.card)
    if generators:
        facts["start: generators"] = "; ".join(generators)
    return facts


def _describe_initial_weights(initial: InitialCheckpoint) -> str:
    megapixels = initial.card.facts.get("megapixels", "an unknown number of")
    return f"{initial.name} ({megapixels} megapixels), SHA-256 {initial.digest}"


def read_position(initial: InitialCheckpoint) -> tuple[Position, list[CurvePoint]]:
    """Return where a checkpoint's weights are in the schedule of their training, and the curves up
    to there.

    Raises:
        DataError: if the card lacks a number, or the table of curves beside the file is missing or
            does not reach so far.
    """
    facts = initial.card.facts
    table = TrainingFiles(initial.path).table
    try:
        step = int(facts["steps"])
        examples = int(facts["examples"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{initial.path}: its card does not say how far it is ({error})") from error
    curve = [point for point in read_curves_table(table) if point.step <= step]
    if not curve or curve[-1].step != step:
        raise DataError(f"{table}: has no point at step {step}, where {initial.path.name} is")
    return Position(step, examples, curve[-1].pixels, curve[-1].seconds), curve


def _all_training_data(job: Job, examples: Examples) -> tuple[str, ...] | None:
    """Return all data that the weights saw, also those they began with; None if not known."""
    if job.initial is None:
        return tuple(dict.fromkeys(examples.trained_on))
    before = job.initial.card.trained_on
    if before is None:
        return None
    return tuple(dict.fromkeys((*before, *examples.trained_on)))


def describe_recipe(recipe: Recipe) -> str:
    """Return a recipe in one line."""
    phases = "; ".join(_describe_phases(recipe))
    settings = ", ".join(
        f"{field.name} {getattr(recipe, field.name)}"
        for field in dataclasses.fields(recipe)
        if field.name not in ("name", "phases", "budget")
    )
    return f"{recipe.name} ({phases}; Adam; {settings})"


def _describe_phases(recipe: Recipe) -> list[str]:
    """Return a text for each run of phases that differ in nothing but their share."""

    def settings(phase: Phase) -> tuple[str, float, int, int]:
        return phase.criterion, phase.rate, phase.batch, phase.crop

    whole = sum(phase.share for phase in recipe.phases)
    texts = []
    for (criterion, rate, batch, crop), phases in groupby(recipe.phases, key=settings):
        share = sum(phase.share for phase in phases) / whole
        texts.append(f"{share:.0%} {criterion}, rate {rate:g}, {batch} crops of {crop}x{crop}")
    return texts


# Progress
# --------------------------------------------------------------------------------------------------

_PLAIN_LINE_EVERY = 30.0
"""Seconds between lines when the output is not a terminal."""


class ProgressReporter:
    """Shows how far a training is, as a context manager: a bar with the remaining time, or plain
    lines where there is no terminal.
    """

    def __init__(self, name: str, first_progress: Fraction, visible: bool) -> None:
        """Make it for a training that this session takes up at a progress; unless `visible`, it
        shows nothing.
        """
        self._name = name
        self._first_progress = first_progress
        self._visible = visible
        self._start_time = time.monotonic()
        self._last_line_time = self._start_time
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        has_bar = visible and console.err.is_terminal
        self._bar = Progress(*columns, console=console.err, disable=not has_bar)
        self._task = self._bar.add_task(name, total=1.0, facts="")
        self._bar.update(self._task, completed=float(first_progress))

    def __enter__(self) -> ProgressReporter:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: Fraction, facts: str) -> None:
        """Show the progress in [0, 1] and a line of facts."""
        now = time.monotonic()
        seconds_left = remaining_time(now - self._start_time, self._first_progress, progress)
        line = f"{facts}, about {seconds_left} left"
        self._bar.update(self._task, completed=float(progress), facts=line)
        if not self._visible or console.err.is_terminal:
            return
        if progress >= 1 or now - self._last_line_time > _PLAIN_LINE_EVERY:
            self._last_line_time = now
            console.print_note(f"{self._name}: {100 * float(progress):.1f} %, {line}")


def remaining_time(seconds: float, first_progress: Fraction, progress: Fraction) -> str:
    """Return the time that is left, for people, when so many seconds took a training from its
    first progress to this one.
    """
    advance = float(progress - first_progress)
    left = 0.0
    if advance > 0:
        left = seconds * max(0.0, 1 - float(progress)) / advance
    if left < 100:
        return f"{left:.0f} s"
    if left < 6000:
        return f"{left / 60:.0f} min"
    return f"{left / 3600:.1f} h"
