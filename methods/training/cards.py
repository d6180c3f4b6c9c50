"""What a checkpoint trained here says of itself."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path

from benchmark import __version__, checkpoints, provenance
from benchmark.api import Scalar
from benchmark.checkpoints import Card
from methods.training.curves import Row
from methods.training.data import Examples
from methods.training.job import Job
from methods.training.recipes import Position, Recipe


def card(job: Job, at: Position, best: Row, input_psnr: float, waited: float, device: str) -> Card:
    """Return the card of a training's best weights.

    Args:
        job: the training.
        at: how far it is.
        best: the validation that the weights are from.
        input_psnr: mean PSNR in dB of the blurred held-out examples.
        waited: seconds of the training that were spent waiting for examples.
        device: name of the device, empty for a CPU.
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
        "hardware": _hardware(device, job.hardware.devices),
        "precision": job.hardware.precision,
        "seed": job.seed,
        "commit": _commit(),
        "validation": f"{input_psnr:.3f} dB blurred, {best.validation_psnr:.3f} dB restored, "
        f"on {len(job.source.held_out)} held-out examples",
        "validation gain in dB": round(best.validation_gain, 4),
        "selection": f"the best validation, at step {best.step}; the last step is not kept for itself",
        "licence of the data": examples.licence,
        **{f"data: {key}": value for key, value in examples.card().items()},
    }
    return Card(
        method=job.method.id,
        parameters=dict(job.method.structure),
        trained_on=_seen(job, examples),
        licence=f"that of the suite; the data: {examples.licence}",
        source=f"trained with this suite, recipe {job.recipe.name}",
        facts=facts,
    )


def _started(job: Job) -> dict[str, Scalar]:
    """Return the fact of which weights a training started from, if it did not start from nothing."""
    if job.start is None:
        return {}
    before = checkpoints.read_card(job.start).facts.get("megapixels", "an unknown number of")
    name = job.start.name.removesuffix(checkpoints.SUFFIX)
    return {"started from": f"{name} ({before} megapixels), SHA-256 {checkpoints.sha256(job.start)}"}


def _seen(job: Job, examples: Examples) -> tuple[str, ...] | None:
    """Return all data that the weights saw, also those they started from."""
    before = () if job.start is None else checkpoints.read_card(job.start).trained_on
    return None if before is None else tuple(dict.fromkeys((*before, *examples.trained_on)))


def describe(recipe: Recipe) -> str:
    """Return a recipe in one line."""
    whole = sum(phase.share for phase in recipe.phases)
    phases = "; ".join(
        f"{phase.share / whole:.0%} {phase.criterion}, rate {phase.rate:g}, {phase.batch} crops of "
        f"{phase.crop}x{phase.crop}"
        for phase in recipe.phases
    )
    rest = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name not in ("name", "phases", "budget")
    }
    return f"{recipe.name} ({phases}; Adam; {', '.join(f'{key} {value}' for key, value in rest.items())})"


def _hardware(device: str, devices: int) -> str:
    machine = provenance.machine()
    many = f"{devices} x " if devices > 1 else ""
    return f"{many}{device or machine['processor']}, {machine['cores']} cores, {platform.system()}"


def _commit() -> str:
    found = provenance.git_state(Path(provenance.__file__).parents[1])
    if found is None:
        return f"not known (release {__version__})"
    return f"{found['commit']}{' with changes' if found['dirty'] else ''}"
