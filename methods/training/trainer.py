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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import checkpoints
from benchmark.api import DataError, UsageError
from benchmark.checkpoint_import import fit_entries
from benchmark.checkpoints import CheckpointCard
from benchmark.methods.training import records, training_files
from benchmark.methods.training.half_precision import round_weights
from benchmark.methods.training.job import Job
from benchmark.methods.training.learner import Learner
from benchmark.methods.training.loader import (
    NetworkExamples,
    Schedule,
    explain_lost_workers,
    load_batches,
)
from benchmark.methods.training.recipes import Criterion, Position
from benchmark.methods.training.records import CurvePoint, ProgressReporter
from benchmark.methods.training.step import Diverged
from benchmark.methods.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

Batch = tuple["Tensor", "Tensor"]
"""N x C x H x W, and what should be made of it: the sharp N x 3 x H x W, or blur maps."""

WHITENING_CROP = 64
"""Side of the training crops whose patches first filters are made to whiten; small whatever the
recipe, as all go through the network together.
"""
WHITENING_EXAMPLES = 200
"""How many of them."""
HALF_COSTS = 0.01
"""Weights are stored in half precision if that costs less than so many dB on the held-out examples.
"""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training ends with: the best point of its curves, and the card of its checkpoint."""

    best: CurvePoint
    card: CheckpointCard


def train_network(job: Job, resume: bool = False, force: bool = False) -> TrainingResult | None:
    """Train a network and write its checkpoint, curves and card; None in the processes that only
    helped.

    Args:
        job: what is trained.
        resume: go on with the unfinished training of the same job.
        force: begin anew where a training or a checkpoint of that name is.

    Raises:
        UsageError: hardware that is not there, files that exist (without `force`), a state of
            another job, or a checkpoint to go on with whose training is complete.
        DataError: examples that cannot be made, a state that cannot be read, files that cannot be
            written.
        Diverged: if the loss is no longer finite; the files are those of the last good state.
    """
    job.files.require(resume, force, job.continued_checkpoint)
    state = _load_unfinished(job) if resume else None
    session = _TrainingSession(job, state)
    with session.lock():
        with explain_lost_workers():
            session.run()
        return session.finish()


def _load_unfinished(job: Job) -> dict[str, Any]:
    state = training_files.load_state(job.files.state, job.identity())
    if state.get("rows") and not job.files.checkpoint.exists():
        raise DataError(
            f"{job.files.checkpoint}: is gone, and with it the best weights so far; restore it, or "
            "begin anew with --force"
        )
    return state


class _TrainingSession:
    """One process's part in one session of a training; the first of several processes writes the
    files.
    """

    def __init__(self, job: Job, state: dict[str, Any] | None) -> None:
        """Set up a training, or one that goes on with a state."""
        self._job = job
        self._files = job.files
        self._identity = job.identity()
        self._learner = Learner(job.method.build_trainable, job.recipe, job.hardware, job.seed)
        self._examples = NetworkExamples(job.data.examples, job.views, job.method.map_code)
        self._validation = Validation(
            job.data.held_out, self._examples, job.recipe.phases[-1], job.method.multiple
        )
        self._position = Position()
        self._curve: list[CurvePoint] = []
        self._losses: list[float] = []  # since the last point of the curve
        self._loading_seconds = 0.0
        earlier_origin = None
        if state is None:
            self._initialise_weights()
        else:
            self._restore(state)
            earlier_origin = state.get("origin")
        self._origin = records.describe_origin(job, self._learner.device, earlier_origin)
        self._start_time = time.monotonic()
        self._save_time = self._start_time

    def lock(self) -> AbstractContextManager[None]:
        """Return a context in which no other training writes the same files."""
        if not self._learner.first:
            return nullcontext()
        return training_files.lock_training(self._files.lock, self._files.name)

    def run(self) -> None:
        """Take the steps that are left."""
        learner = self._learner
        recipe = self._job.recipe
        epoch_steps = max(1, self._job.data.pictures // recipe.phases[-1].batch)
        schedule = Schedule(recipe, epoch_steps, learner.rank, learner.world)
        self._start_time = time.monotonic() - self._position.seconds
        if self._job.continued_checkpoint is not None:
            self._take_over_checkpoint(self._job.continued_checkpoint, schedule)
        self._save_state()
        batches = load_batches(
            self._examples, schedule.batches(self._position, self._elapsed_seconds), learner.workers
        )
        first_progress = schedule.progress(self._position)
        with ProgressReporter(self._files.name, first_progress, learner.first) as reporter:
            while (phase := schedule.phase(self._position)) and (batch := self._load(batches)):
                before = schedule.progress(self._position)
                if before >= recipe.frozen and not learner.frozen:
                    learner.freeze(self._validation.calibrate)
                self._take_step(batch, phase.criterion, recipe.rate(before))
                after = schedule.progress(self._position)
                self._validate_or_save(before, after)
                reporter.show(after, self._describe_progress())
        if phase and self._losses:  # minutes can end between two steps
            self._validate()

    def finish(self) -> TrainingResult | None:
        """Choose the precision of the checkpoint's numbers, write card and figure, and remove the
        state.
        """
        result = None
        if self._learner.first:
            best = max(self._curve, key=lambda point: point.validation_psnr)
            result = TrainingResult(best, self._store_best_weights(self._make_card(best)))
            self._write_figure()
            self._files.state.unlink()
        self._learner.wait()
        return result

    # Steps
    # ----------------------------------------------------------------------------------------------

    def _initialise_weights(self) -> None:
        """Begin with the weights of a checkpoint, or make the first filters whiten."""
        job = self._job
        if job.initial is not None and job.initial.continues:
            self._position, self._curve = records.read_position(job.initial)
        if job.initial is not None:
            tensors = checkpoints.load_tensors(job.initial.path)
            plain_form = job.method.build().state_dict()
            self._learner.load_weights(fit_entries(tensors, plain_form, job.initial.path))
        elif job.recipe.whitened:
            self._learner.whiten(self._examples.pictures(WHITENING_CROP, WHITENING_EXAMPLES))

    def _take_over_checkpoint(self, checkpoint: Path, schedule: Schedule) -> None:
        """Let the weights that the training goes on with be the best so far, and their statistics
        those that it froze, if it had; raises UsageError if none of its budget is left.
        """
        if schedule.phase(self._position) is None:
            raise UsageError(
                f"--start {self._files.name}: its training is complete "
                f"({self._job.recipe.budget}); choose another --tag to begin a new one with its "
                "weights"
            )
        if schedule.progress(self._position) > self._job.recipe.frozen:
            self._learner.fix_statistics()  # later weights go with these and with no others
        if self._learner.first and checkpoint.resolve() != self._files.checkpoint.resolve():
            training_files.write_training_file(self._files.checkpoint, checkpoint.read_bytes())

    def _elapsed_seconds(self) -> float:
        return time.monotonic() - self._start_time

    def _load(self, batches: Iterator[Batch]) -> Batch | None:
        """Return the next batch, None after the last."""
        start = time.monotonic()
        batch = next(batches, None)
        self._loading_seconds += time.monotonic() - start
        return batch

    def _take_step(self, batch: Batch, criterion: Criterion, rate: float) -> None:
        blurred, sharp = batch
        step = self._position.step
        try:
            loss = self._learner.learn(blurred, sharp, criterion, rate, step)
        except Diverged as error:
            raise self._explain_divergence(str(error), step) from error
        self._losses.append(loss)
        count = len(blurred) * self._learner.world
        pixels = count * blurred.shape[-2] * blurred.shape[-1]
        self._position = self._position.after(count, pixels, self._elapsed_seconds())

    def _explain_divergence(self, reason: str, step: int) -> Diverged:
        return Diverged(
            f"{self._files.name}, step {step}: {reason}. The last good state is kept in "
            f"{self._files.state}, the best checkpoint so far beside it; begin anew with "
            "another --seed, a greater --batch or --precision 32"
        )

    def _validate_or_save(self, before: Fraction, after: Fraction) -> None:
        """Validate where it is due, else write the state where that is."""
        count = self._job.recipe.validations
        if int(after * count) > int(before * count):
            self._validate()
        elif time.monotonic() - self._save_time >= self._job.save_every:
            self._save_state()

    def _validate(self) -> None:
        if self._learner.first:
            self._add_curve_point()
        self._learner.wait()
        self._losses = []
        self._save_state()

    def _add_curve_point(self) -> None:
        """Validate, add a point to the curves, and write the checkpoint if it is the best so
        far.
        """
        network = self._network_to_keep()
        psnr = self._validation.psnr(network)
        if math.isnan(psnr):
            reason = "what the network makes of held-out pictures is not a number"
            raise self._explain_divergence(reason, self._position.step)
        loss = sum(self._losses) / len(self._losses)
        gain = psnr - self._validation.baseline_psnr
        position = self._position
        point = CurvePoint(position.step, position.pixels, position.seconds, loss, psnr, gain)
        best_psnr = max((point.validation_psnr for point in self._curve), default=-math.inf)
        if psnr > best_psnr:
            self._write_checkpoint(network.state_dict(), self._make_card(point))
        self._curve.append(point)
        records.write_curves_table(self._files.table, self._curve)

    def _network_to_keep(self) -> nn.Module:
        """Return a copy of the averaged network with statistics that go with it, in eval mode."""
        network = self._learner.average_network
        if self._learner.frozen:
            return copy.deepcopy(network).eval()
        return self._validation.calibrate_copy(network)

    # The state
    # ----------------------------------------------------------------------------------------------

    def _save_state(self) -> None:
        """Write the state, which holds all that differs between a training that goes on and one
        that begins.
        """
        if self._learner.first:
            state = {
                "identity": self._identity,
                "position": dataclasses.asdict(self._position),
                "rows": [tuple(point) for point in self._curve],
                "losses": self._losses,
                "waited": self._loading_seconds,
                "origin": self._origin,
                **self._learner.state(),
            }
            training_files.save_state(self._files.state, state)
        self._save_time = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over a state; raises DataError if it lacks something."""
        try:
            self._learner.restore(state)
            self._position = Position(**state["position"])
            self._losses = list(state["losses"])
            self._loading_seconds = state["waited"]
            self._curve = [CurvePoint(*row) for row in state["rows"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self._files.state}: not a training state ({error}); use --force"
            ) from error
        if self._curve and self._learner.first:
            self._write_figure()

    # What it writes
    # ----------------------------------------------------------------------------------------------

    def _write_checkpoint(self, tensors: dict[str, Tensor], card: CheckpointCard) -> None:
        with training_files.advise_resuming():
            checkpoints.save_checkpoint(self._files.checkpoint, tensors, card)

    def _write_figure(self) -> None:
        makes_maps = self._job.method.map_code is not None
        records.write_curves_figure(self._files.figure, self._curve, self._files.name, makes_maps)

    def _store_best_weights(self, card: CheckpointCard) -> CheckpointCard:
        """Write the best weights with their final card, in half precision where that costs next to
        nothing.
        """
        single = checkpoints.load_tensors(self._files.checkpoint)
        half = round_weights(single)
        change = self._psnr_of_weights(half) - self._psnr_of_weights(single)
        tensors = single
        numbers = "float32"
        if -change < HALF_COSTS:
            tensors = half
            numbers = f"float16 ({change:+.4f} dB)"
        card = card.model_copy(update={"facts": {**card.facts, "numbers": numbers}})
        self._write_checkpoint(tensors, card)
        return card

    def _psnr_of_weights(self, tensors: dict[str, Tensor]) -> float:
        network = self._job.method.build_trainable()
        network.load_state_dict(tensors)
        return self._validation.psnr(network.eval())

    def _make_card(self, best: CurvePoint) -> CheckpointCard:
        return records.make_training_card(
            self._job,
            self._position,
            best,
            self._validation.baseline_psnr,
            self._loading_seconds,
            self._origin,
        )

    def _describe_progress(self) -> str:
        """Return step, loss and gain as far as there are some."""
        loss = math.nan
        gain = ""
        if self._curve:
            point = self._curve[-1]
            loss = point.train_loss
            gain = f", gain {point.validation_gain:+.2f} dB"
        if self._losses:
            loss = self._losses[-1]
        return f"step {self._position.step}, loss {loss:.4g}{gain}"
