"""What a checkpoint trained here says of itself."""

from __future__ import annotations

import dataclasses
import platform
from itertools import groupby
from pathlib import Path

from benchmark import provenance
from benchmark.api import Scalar
from benchmark.checkpoints import CheckpointCard
from benchmark.methods.training.curves import Row
from benchmark.methods.training.data import Examples
from benchmark.methods.training.job import Job
from benchmark.methods.training.recipes import Position, Recipe
from benchmark.version import __version__

Origin = dict[str, str]
"""Facts that may differ between the sessions of a training: its commits, its machines."""


def origin(job: Job, device: str, before: Origin | None = None) -> Origin:
    """Return where this session runs, after where those before it ran.

    Args:
        job: the training.
        device: name of the device, empty for a CPU.
        before: of the sessions before, None for none.
    """
    now = {"hardware": _hardware(device, job.hardware.devices), "commit": _commit()}
    return now if before is None else {key: _then(before[key], value) for key, value in now.items()}


def _then(before: str, now: str) -> str:
    return before if before.rpartition(", then ")[2] == now else f"{before}, then {now}"


def card(
    job: Job, at: Position, best: Row, input_psnr: float, waited: float, where: Origin
) -> CheckpointCard:
    """Return the card of a training's best weights.

    Args:
        job: the training.
        at: how far it is.
        best: the validation that the weights are from.
        input_psnr: mean PSNR in dB of the blurred held-out examples.
        waited: seconds of the training that were spent waiting for examples.
        where: see `origin`.
    """
    examples = job.examples()
    facts: dict[str, Scalar] = {
        "recipe": describe(job.recipe),
        "budget": str(job.recipe.budget),
        **_started(job),
        "steps": at.step,
        "megapixels": round(at.pixels / 1e6, 2),
        "examples": at.examples,
        "hours": round(at.seconds / 3600, 3),
        "waiting for data": f"{waited / max(at.seconds, 1e-9):.1%} of the time",
        "hardware": where["hardware"],
        "precision": job.hardware.precision,
        "seed": job.seed,
        "commit": where["commit"],
        "validation": f"{input_psnr:.3f} dB blurred, {best.validation_psnr:.3f} dB restored, "
        f"on {len(job.source.held_out)} held-out examples",
        "validation gain in dB": round(best.validation_gain, 4),
        "selection": f"the best validation, at step {best.step}; the last step is not kept for "
        f"itself",
        "licence of the data": examples.licence,
        **{f"data: {key}": value for key, value in examples.card().items()},
    }
    return CheckpointCard(
        method=job.method.id,
        parameters=dict(job.method.structure),
        trained_on=_seen(job, examples),
        licence=f"that of the suite; the data: {examples.licence}",
        source=f"trained with this suite, recipe {job.recipe.name}",
        facts=facts,
    )


def _started(job: Job) -> dict[str, Scalar]:
    """Return the fact of which weights a training started from, if it did not start from
    nothing.
    """
    if job.start is None:
        return {}
    before = job.start.card.facts.get("megapixels", "an unknown number of")
    return {"started from": f"{job.start.name} ({before} megapixels), SHA-256 {job.start.digest}"}


def _seen(job: Job, examples: Examples) -> tuple[str, ...] | None:
    """Return all data that the weights saw, also those they started from."""
    before = () if job.start is None else job.start.card.trained_on
    return None if before is None else tuple(dict.fromkeys((*before, *examples.trained_on)))


def describe(recipe: Recipe) -> str:
    """Return a recipe in one line."""
    whole = sum(phase.share for phase in recipe.phases)
    alike = groupby(
        recipe.phases, key=lambda phase: (phase.criterion, phase.rate, phase.batch, phase.crop)
    )
    phases = "; ".join(
        f"{sum(phase.share for phase in some) / whole:.0%} {criterion}, rate {rate:g}, {batch} "
        f"crops of {crop}x{crop}"
        for (criterion, rate, batch, crop), some in alike
    )
    rest = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name not in ("name", "phases", "budget")
    }
    return (
        f"{recipe.name} ({phases}; Adam; "
        f"{', '.join(f'{key} {value}' for key, value in rest.items())})"
    )


def _hardware(device: str, devices: int) -> str:
    machine = provenance.describe_machine()
    many = f"{devices} x " if devices > 1 else ""
    return f"{many}{device or machine['processor']}, {machine['cores']} cores, {platform.system()}"


def _commit() -> str:
    found = provenance.read_git_state(Path(provenance.__file__).parents[1])
    if found is None:
        return f"not known (release {__version__})"
    return f"{found['commit']}{' with changes' if found['dirty'] else ''}"
