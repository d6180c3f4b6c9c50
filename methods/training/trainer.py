"""The trainer: from examples to a checkpoint with its card, in as many sessions as it takes.

Exact resume: an example depends on its index, a random number on seed and step, everything else on
the state, which is written whole about once a minute. So a training that was killed and goes on
ends, on a CPU, with the weights of one that was not, bit for bit (a budget in minutes excepted, as
no two minutes are the same).

What is kept are the averaged weights, with normalisation statistics that are frozen or else
measured anew on training examples, from that validation on held-out examples that was best.
Devices, precision and distribution are Lightning Fabric's.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from benchmark import checkpoints
from benchmark.api import DataError
from benchmark.checkpoint_import import fit_entries
from benchmark.checkpoints import CheckpointCard
from benchmark.methods.training import cards, curves, resume_state
from benchmark.methods.training.curves import Row
from benchmark.methods.training.job import Job
from benchmark.methods.training.learner import Learner
from benchmark.methods.training.loader import Feed, Schedule, loader
from benchmark.methods.training.progress import Reporter
from benchmark.methods.training.recipes import Criterion, Position
from benchmark.methods.training.step import Diverged
from benchmark.methods.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor

WHITENING = 64, 200
"""Side and number of the training crops whose patches first filters are made to whiten; small ones
whatever the recipe, as all go through the network together.
"""
HALF_COSTS = 0.01
"""Weights are stored in half precision if that costs less than so many dB on the held-out examples.
"""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made: the best row of its curves, and the card of its checkpoint."""

    best: Row
    card: CheckpointCard


def train(job: Job, resume: bool = False, force: bool = False) -> Trained | None:
    """Train a network and write its checkpoint, curves and card; None in the processes that only
    helped.

    Args:
        job: what is trained.
        resume: go on with the unfinished training of the same job.
        force: begin anew where a training or a checkpoint of that name is.

    Raises:
        UsageError: hardware that is not there, files that exist (without `force`), or a state of
            another job.
        DataError: examples that cannot be made, a state that cannot be read, files that cannot be
            written.
        Diverged: if the loss is no longer finite; the files are those of the last good state.
    """
    job.files.require(resume, force)
    held = _unfinished(job) if resume else None
    session = _Session(job, held)
    with session.alone():
        session.run()
        return session.finish()


def _unfinished(job: Job) -> dict[str, Any]:
    held = resume_state.load(job.files.state, job.identity())
    if held.get("rows") and not job.files.checkpoint.exists():
        raise DataError(
            f"{job.files.checkpoint}: is gone, and with it the best weights so far; restore it, "
            f"or begin anew with "
            "--force"
        )
    return held


class _Session:
    """One process's part in one session of a training; the first of several processes writes the
    files.
    """

    def __init__(self, job: Job, held: dict[str, Any] | None) -> None:
        self._job, self._files, self._identity = job, job.files, job.identity()
        self._learner = Learner(job.method.build_trainable, job.recipe, job.hardware, job.seed)
        self._feed = Feed(job.source.examples, job.views)
        self._validation = Validation(
            job.source.held_out, self._feed, job.recipe.phases[-1], job.method.multiple
        )
        self._at, self._rows, self._losses, self._waited = (
            Position(),
            list[Row](),
            list[float](),
            0.0,
        )
        if held is not None:
            try:
                self._restore(held)
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise DataError(
                    f"{self._files.state}: not a training state ({error}); use --force"
                ) from error
        elif job.start is not None:
            held_weights = checkpoints.load_tensors(job.start.path)
            self._learner.start(
                fit_entries(held_weights, job.method.build().state_dict(), job.start.path)
            )
        elif job.recipe.whitened:
            self._learner.whiten(self._feed.pictures(*WHITENING))
        self._origin = cards.origin(job, self._learner.device, held and held.get("origin"))
        self._started = self._saved = time.monotonic()

    def alone(self) -> AbstractContextManager[None]:
        """Return a context in which no other training writes the same files."""
        return (
            resume_state.locked(self._files.lock, self._files.name)
            if self._learner.first
            else nullcontext()
        )

    def run(self) -> None:
        """Take the steps that are left."""
        learner, recipe = self._learner, self._job.recipe
        epoch = max(1, self._job.source.pictures // recipe.phases[-1].batch)
        schedule = Schedule(recipe, epoch, learner.rank, learner.world)
        self._started = time.monotonic() - self._at.seconds
        self._save()
        batches = loader(self._feed, schedule.batches(self._at, self._clock), learner.workers)
        with Reporter(
            self._files.name, schedule.progress(self._at), shown=learner.first
        ) as reporter:
            while (phase := schedule.phase(self._at)) and (batch := self._next(batches)):
                before = schedule.progress(self._at)
                if before >= recipe.frozen and not learner.frozen:
                    learner.freeze(self._validation.calibrate)
                self._step(*batch, phase.criterion, recipe.rate(before))
                after = schedule.progress(self._at)
                self._keep(before, after)
                reporter.show(after, self._line())
        if phase and self._losses:  # minutes can end between two steps
            self._validate()

    def finish(self) -> Trained | None:
        """Choose the precision of the checkpoint's numbers, write card and figure, and remove the
        state.
        """
        made = None
        if self._learner.first:
            best = max(self._rows, key=lambda row: row.validation_psnr)
            made = Trained(best, self._store(self._card(best)))
            curves.write_figure(self._files.figure, self._rows, self._files.name)
            self._files.state.unlink()
        self._learner.wait()
        return made

    def _clock(self) -> float:
        return time.monotonic() - self._started

    def _next(self, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor] | None:
        asked = time.monotonic()
        batch = next(batches, None)
        self._waited += time.monotonic() - asked
        return batch

    def _step(self, blurred: Tensor, sharp: Tensor, criterion: Criterion, rate: float) -> None:
        try:
            self._losses.append(self._learner.learn(blurred, sharp, criterion, rate, self._at.step))
        except Diverged as error:
            raise Diverged(
                f"{self._files.name}, step {self._at.step}: {error}. The last good state is kept "
                f"in "
                f"{self._files.state}, the best checkpoint so far beside it; begin anew with "
                f"another --seed, a greater "
                "--batch or --precision 32"
            ) from error
        count = len(blurred) * self._learner.world
        self._at = self._at.after(
            count, count * blurred.shape[-2] * blurred.shape[-1], self._clock()
        )

    def _keep(self, before: Fraction, after: Fraction) -> None:
        """Validate where it is due, else write the state where that is."""
        count = self._job.recipe.validations
        if int(after * count) > int(before * count):
            self._validate()
        elif time.monotonic() - self._saved >= self._job.save_every:
            self._save()

    def _validate(self) -> None:
        if self._learner.first:
            self._add_row()
        self._learner.wait()
        self._losses = []
        self._save()

    def _add_row(self) -> None:
        """Validate, add a row to the curves, and write the checkpoint if it is the best so far."""
        averaged = self._learner.averaged
        made = (
            copy.deepcopy(averaged).eval()
            if self._learner.frozen
            else self._validation.calibrated(averaged)
        )
        psnr = self._validation.psnr(made)
        loss = sum(self._losses) / len(self._losses)
        gain = psnr - self._validation.input_psnr
        row = Row(self._at.step, self._at.pixels, self._at.seconds, loss, psnr, gain)
        if psnr > max((row.validation_psnr for row in self._rows), default=-math.inf):
            self._write(made.state_dict(), self._card(row))
        self._rows.append(row)
        curves.write_csv(self._files.table, self._rows)

    def _save(self) -> None:
        """Write the state, which holds all that differs between a training that goes on and one
        that begins.
        """
        if self._learner.first:
            held = {
                "identity": self._identity,
                "position": dataclasses.asdict(self._at),
                "rows": [tuple(row) for row in self._rows],
                "losses": self._losses,
                "waited": self._waited,
                "origin": self._origin,
                **self._learner.state(),
            }
            resume_state.save(self._files.state, held)
        self._saved = time.monotonic()

    def _restore(self, held: dict[str, Any]) -> None:
        self._learner.restore(held)
        self._at = Position(**held["position"])
        self._losses, self._waited = list(held["losses"]), held["waited"]
        self._rows = [Row(*row) for row in held["rows"]]
        if self._rows and self._learner.first:
            curves.write_figure(self._files.figure, self._rows, self._files.name)

    def _write(self, tensors: dict[str, Tensor], card: CheckpointCard) -> None:
        with resume_state.advising():
            checkpoints.save_checkpoint(self._files.checkpoint, tensors, card)

    def _store(self, card: CheckpointCard) -> CheckpointCard:
        """Write the best weights with their final card, in half precision where that costs next to
        nothing.
        """
        tensors = checkpoints.load_tensors(self._files.checkpoint)
        network = self._job.method.build_trainable()
        found = []
        for kept in (tensors, halved(tensors)):
            network.load_state_dict(kept)
            found.append(self._validation.psnr(network.eval()))
        half = found[0] - found[1] < HALF_COSTS
        facts = {"numbers": f"float16 ({found[1] - found[0]:+.4f} dB)" if half else "float32"}
        card = card.model_copy(update={"facts": {**card.facts, **facts}})
        self._write(halved(tensors) if half else tensors, card)
        return card

    def _card(self, best: Row) -> CheckpointCard:
        return cards.card(
            self._job, self._at, best, self._validation.input_psnr, self._waited, self._origin
        )

    def _line(self) -> str:
        row = self._rows[-1] if self._rows else None
        gain = f", gain {row.validation_gain:+.2f} dB" if row else ""
        loss = self._losses[-1] if self._losses else row.train_loss if row else math.nan
        return f"step {self._at.step}, loss {loss:.4g}{gain}"


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with floating-point numbers in half precision."""
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in tensors.items()
    }
