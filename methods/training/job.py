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
from benchmark.methods.learned.method import NetworkMethod
from benchmark.methods.training.recipes import Recipe
from benchmark.registry import METHODS, create
from benchmark.spec import parse_id

if TYPE_CHECKING:
    from benchmark.methods.training.data import Example, Examples

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16"]


@dataclass(frozen=True, slots=True)
class Source:
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
            `auto` is settled by `learner.settled` before there is a job.
        workers: processes that make examples ahead of time; 0 makes them in between. By default 1,
            and up to 8 beside a GPU.
    """

    device: Device = "auto"
    devices: int = 1
    precision: Precision = "32"
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a training: the checkpoint METHOD.TAG.safetensors and, under its name, the state
    and the curves.
    """

    checkpoint: Path

    @property
    def name(self) -> str:
        """METHOD.TAG."""
        return self.checkpoint.name.removesuffix(checkpoints.SUFFIX)

    @property
    def state(self) -> Path:
        """The state, while the training is unfinished."""
        return self._beside("training.pt")

    @property
    def table(self) -> Path:
        """The curves as CSV."""
        return self._beside("curves.csv")

    @property
    def figure(self) -> Path:
        """The curves as a figure."""
        return self._beside("curves.png")

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.checkpoint.with_name(f".{self.name}.lock")

    def require(self, resume: bool, force: bool) -> None:
        """Raise UsageError if what is there does not go with the options."""
        if resume and force:
            raise UsageError(
                "--resume and --force: go on with the unfinished training, or begin anew; give one"
            )
        if resume and not self.state.exists():
            raise UsageError(
                f"--resume: {self.state} does not exist, so there is no unfinished training; "
                f"leave --resume out"
            )
        if not (resume or force) and self.state.exists():
            raise UsageError(
                f"{self.state}: an unfinished training; go on with --resume, or begin anew with "
                f"--force"
            )
        if not (resume or force) and self.checkpoint.exists():
            raise UsageError(
                f"{self.checkpoint} exists already; overwrite it with --force, or choose another "
                f"--tag"
            )

    def _beside(self, ending: str) -> Path:
        return self.checkpoint.with_name(f"{self.name}.{ending}")


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint that a training starts from, as it was when the training was asked for.

    Attributes:
        path: its file.
        digest: SHA-256 of the file.
        card: what it says of itself.
    """

    path: Path
    digest: str
    card: CheckpointCard

    @property
    def name(self) -> str:
        """METHOD.TAG."""
        return self.path.name.removesuffix(checkpoints.SUFFIX)


@dataclass(frozen=True, slots=True)
class Job:
    """A training.

    Attributes:
        method: what is trained; see `networked`.
        recipe: with its budget.
        source: training and held-out examples.
        files: what it writes.
        seed: of initial weights and of everything random in a step.
        hardware: where it runs.
        save_every: seconds between states.
        start: weights of the same method and structure that it starts from; see `started`.
    """

    method: NetworkMethod
    recipe: Recipe
    source: Source
    files: Files
    seed: int = 0
    hardware: Hardware = Hardware()
    save_every: float = 60.0
    start: Start | None = None

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
        fixed: dict[str, Scalar] = {
            "method": self.method.id,
            "seed": self.seed,
            "precision": self.hardware.precision,
            "devices": self.hardware.devices,  # each normalises its own part of a batch
        }
        if self.start is not None:
            fixed["start"] = self.start.digest
        return {**structure, **recipe, **data, **fixed}

    def examples(self) -> Examples:
        """Return the training examples at the size of crops that the training ends with."""
        return self.source.examples(self.recipe.phases[-1].crop)


def job_files(method: NetworkMethod, tag: str, out: Path | None) -> Files:
    """Return the files of a training; by default they go where a user's checkpoints are looked for.

    Raises:
        UsageError: for a tag that a checkpoint cannot have.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", tag):
        raise UsageError(f"--tag {tag}: expected letters, digits, - and _")
    return Files((out or checkpoints.user_folder()) / f"{method.id}.{tag}{checkpoints.SUFFIX}")


def networked(text: str) -> NetworkMethod:
    """Return the method of an id such as `gkmnet:scales=1`, of the structure that the id says,
    without a checkpoint.

    Raises:
        UsageError: unknown, one that names a checkpoint, or one that is not a single network.
    """
    spec = parse_id(text)
    if spec.checkpoint is not None:
        raise UsageError(
            f"{text}: name the method alone, the new checkpoint by --tag, and one to start from "
            f"by --start"
        )
    if not issubclass(METHODS.get(spec.name), NetworkMethod):
        raise UsageError(
            f"{text} is not a single network that restores pictures, so there is nothing to train"
        )
    method, _ = create(METHODS, spec, checkpoint=None)
    assert isinstance(method, NetworkMethod)
    return method


def started(text: str, method: NetworkMethod) -> Start:
    """Return the checkpoint of an id such as `gkmnet.sim`, for a training of `method` to start
    from.

    Raises:
        UsageError: unknown, without a tag, or of another network.
    """
    spec = parse_id(text)
    if spec.checkpoint is None:
        raise UsageError(f"--start {text}: name a checkpoint, for example {method.id}.sim")
    found, resolved = create(METHODS, spec)
    if (
        not isinstance(found, NetworkMethod)
        or found.id != method.id
        or found.structure != method.structure
    ):
        raise UsageError(f"--start {text}: its network is not the one that is trained, {method.id}")
    checkpoint: checkpoints.Checkpoint = resolved.arguments["checkpoint"]
    return Start(checkpoint.path, checkpoints.hash_checkpoint(checkpoint.path), checkpoint.card)
