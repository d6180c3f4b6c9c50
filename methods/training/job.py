"""What is trained, on what, how, and into which files."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark import checkpoints
from benchmark.api import Scalar, UsageError
from benchmark.checkpoints import CheckpointCard
from benchmark.methods.learned.method import AppliedNetwork, TrainableMethod
from benchmark.methods.training.recipes import Recipe
from benchmark.methods.training.training_files import TrainingFiles
from benchmark.registry import METHODS, create
from benchmark.spec import parse_id

if TYPE_CHECKING:
    from benchmark.methods.training.examples import Example, Examples

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "32", "bf16"]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a network is trained on.

    Attributes:
        examples: side of the crops -> examples; picklable, as worker processes call it.
        pictures: how many pictures they are cut from, which makes an epoch.
        held_out: examples for validation, none of which is of a picture in `examples`.
    """

    examples: Callable[[int], Examples]
    pictures: int
    held_out: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where a training runs.

    Attributes:
        device: `auto` takes a GPU where there is one.
        devices: how many GPUs (processes on a CPU) share every batch.
        precision: `bf16` computes in bfloat16 where that is safe; weights stay in single precision.
            `learner.resolve_precision` replaces `auto` before there is a job.
        workers: processes that make examples ahead of time; 0 makes them in between. By default 1,
            and up to 8 beside a GPU.
    """

    device: DeviceName = "auto"
    devices: int = 1
    precision: PrecisionName = "32"
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class InitialCheckpoint:
    """A checkpoint whose weights a training begins with, as it was when the command was given.

    Attributes:
        path: its file.
        digest: SHA-256 of the file.
        card: what it says of itself.
        continues: whether the training goes on where these weights were in its schedule.
    """

    path: Path
    digest: str
    card: CheckpointCard
    continues: bool = False

    @property
    def name(self) -> str:
        """METHOD.TAG."""
        return self.path.name.removesuffix(checkpoints.SUFFIX)


@dataclass(frozen=True, slots=True)
class Job:
    """A training.

    Attributes:
        method: the network that is trained; see `create_network`.
        recipe: with its budget.
        data: training and held-out examples.
        files: what it writes.
        seed: of initial weights and of everything random in a step.
        hardware: where it runs.
        save_every: seconds between states.
        initial: weights of the same method and structure that it begins with, None to draw them;
            see `find_initial_checkpoint`.
    """

    method: AppliedNetwork
    recipe: Recipe
    data: TrainingData
    files: TrainingFiles
    seed: int = 0
    hardware: Hardware = Hardware()
    save_every: float = 60.0
    initial: InitialCheckpoint | None = None

    @property
    def continued_checkpoint(self) -> Path | None:
        """The checkpoint that it goes on with under the same name, None if it does not."""
        if self.initial is None or not self.initial.continues:
            return None
        return self.initial.path

    @property
    def views(self) -> bool:
        """Whether the network is fed dual-pixel views."""
        return self.method.card.inputs == "views"

    def identity(self) -> dict[str, Scalar]:
        """Return what must stay the same for a training to go on with its state, by name."""
        recipe: dict[str, Scalar] = {
            f"recipe's {key}": str(value) for key, value in dataclasses.asdict(self.recipe).items()
        }
        structure = {f"network's {key}": value for key, value in self.method.structure.items()}
        data = {f"data's {key}": value for key, value in self.examples().card().items()}
        job_facts: dict[str, Scalar] = {
            "method": self.method.id,
            "seed": self.seed,
            "precision": self.hardware.precision,
            "devices": self.hardware.devices,  # each normalises its own part of a batch
        }
        if self.initial is not None and self.continued_checkpoint is None:
            job_facts["start"] = self.initial.digest
        return {**structure, **recipe, **data, **job_facts}

    def examples(self) -> Examples:
        """Return the training examples at the size of crops that the training ends with."""
        return self.data.examples(self.recipe.phases[-1].crop)


def locate_files(method: AppliedNetwork, tag: str, out: Path | None) -> TrainingFiles:
    """Return the files of a training; by default they go where a user's checkpoints are looked for.

    Raises:
        UsageError: for a tag that a checkpoint cannot have.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", tag):
        raise UsageError(f"--tag {tag}: expected letters, digits, - and _")
    folder = out or checkpoints.user_folder()
    return TrainingFiles(folder / f"{method.id}.{tag}{checkpoints.SUFFIX}")


def create_network(text: str) -> AppliedNetwork:
    """Return the network that is trained of the method of an id such as `gkmnet:scales=1`, of the
    structure that the id says, without a checkpoint.

    Raises:
        UsageError: unknown, one that names a checkpoint, or one without a network.
    """
    spec = parse_id(text)
    if spec.checkpoint is not None:
        raise UsageError(
            f"{text}: name the method alone, the new checkpoint by --tag, and one to start from by "
            "--start"
        )
    if not issubclass(METHODS.get(spec.name), TrainableMethod):
        raise UsageError(f"{text}: has no network of its own, so there is nothing to train")
    method, _ = create(METHODS, spec, checkpoint=None)
    assert isinstance(method, TrainableMethod)
    network = method.trained_network()
    if spec.parameters and not isinstance(method, AppliedNetwork):
        raise UsageError(
            f"{text}: its options are not those of its network; train {spec.name}, and name them "
            "where the weights are used"
        )
    _require_plain_inputs(text, network)
    return network


def _require_plain_inputs(text: str, network: AppliedNetwork) -> None:
    """Raise UsageError for weights that expect pictures in another way than examples come."""
    expects = network.expects
    is_plain = expects.value_range == "[0, 1]" and expects.order != "bgr"
    if not is_plain or expects.views not in ((), ("left", "right")):
        raise UsageError(
            f"{text}: weights that expect {expects.describe()} cannot be trained here; examples "
            "are RGB in [0, 1], with the views left, right"
        )


def find_initial_checkpoint(text: str, network: AppliedNetwork) -> InitialCheckpoint:
    """Return the checkpoint of an id such as `gkmnet.sim`, for a training of `network` to begin
    with.

    Raises:
        UsageError: unknown, without a tag, or of another network.
    """
    spec = parse_id(text)
    if spec.checkpoint is None:
        raise UsageError(f"--start {text}: name a checkpoint, for example {network.id}.sim")
    method, resolved_spec = create(METHODS, spec)
    initial_network = method.trained_network() if isinstance(method, TrainableMethod) else None
    if initial_network is None or not _same_network(initial_network, network):
        raise UsageError(
            f"--start {text}: its network is not the one that is trained, {network.id}"
        )
    _require_plain_inputs(f"--start {text}", initial_network)
    checkpoint: checkpoints.Checkpoint = resolved_spec.arguments["checkpoint"]
    digest = checkpoints.hash_checkpoint(checkpoint.path)
    return InitialCheckpoint(checkpoint.path, digest, checkpoint.card)


def _same_network(one: AppliedNetwork, other: AppliedNetwork) -> bool:
    return one.id == other.id and one.structure == other.structure
