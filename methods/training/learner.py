"""The network while it learns: weights, optimiser and averages, on whatever devices there are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from benchmark.api import UsageError
from benchmark.methods.training import start_weights
from benchmark.methods.training.job import Hardware
from benchmark.methods.training.recipes import Criterion, Recipe
from benchmark.methods.training.step import take_step
from benchmark.methods.training.validation import find_normalisations
from benchmark.precision import multiplies_bf16

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor, nn

FABRIC_PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
}
"""Lightning Fabric's name of each precision; weights are in single precision under both."""


class Learner:
    """One process's copy. All copies have the same weights at every step.

    Attributes:
        average_network: the network with the moving average of the weights (its normalisation
            statistics are not averaged).
        frozen: whether normalisation uses fixed statistics.
        rank, world: which process of how many this is.
    """

    def __init__(
        self, build: Callable[[], nn.Module], recipe: Recipe, hardware: Hardware, seed: int
    ) -> None:
        """Start the other processes, if any, and draw initial weights by the seed.

        Raises:
            UsageError: for hardware that is not there, or that cannot share the recipe's batches.
        """
        import torch
        from torch.optim.swa_utils import AveragedModel

        self._fabric = _create_fabric(recipe, hardware)
        self._fabric.launch()
        self._recipe = recipe
        self._seed = seed
        self._workers = hardware.workers
        torch.manual_seed(seed)
        self._plain = build()
        if recipe.identity:
            start_weights.begin_as_identity(self._plain)
            start_weights.open_last_rectifier(self._plain)
        self._plain.to(memory_format=torch.channels_last)
        adam = torch.optim.Adam(self._plain.parameters(), fused=True)
        self._network, self._optimiser = self._fabric.setup(self._plain, adam)
        self._network.train()
        if hasattr(self._plain, "scales"):
            self._network.mark_forward_method("scales")
        self._average = AveragedModel(self._plain, multi_avg_fn=moving_average(recipe.average))
        self.average_network: nn.Module = self._average.module
        self.frozen = False
        self.rank = self._fabric.global_rank
        self.world = self._fabric.world_size

    @property
    def device(self) -> str:
        """Name of the GPU, empty for a CPU."""
        import torch

        device = self._fabric.device
        if device.type != "cuda":
            return ""
        return torch.cuda.get_device_name(device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def workers(self) -> int:
        """How many processes make examples for this one."""
        if self._workers is not None:
            return self._workers
        if not self.device:
            return 1
        cores = (os.cpu_count() or 1) // self.world
        return max(1, min(8, cores - 1))

    def learn(
        self, blurred: Tensor, sharp: Tensor, criterion: Criterion, rate: float, number: int
    ) -> float:
        """Take step `number` on this process's part of a batch and return the loss of that part.

        Raises:
            Diverged: if it is not finite.
        """
        import torch

        # A seed of its own for every step, so no generator needs to be saved.
        torch.manual_seed((self._seed << 40) + number * self.world + self.rank)
        loss = take_step(
            self._network,
            self._optimiser,
            self._to_device(blurred),
            self._to_device(sharp),
            criterion=criterion,
            rate=rate,
            coarse=self._recipe.coarse,
            light=self._recipe.light,
            clip=self._recipe.clip,
            autocast=self._fabric.autocast(),
            backward=self._fabric.backward,
        )
        self._average.update_parameters(self._plain)
        return loss

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over weights and normalisation statistics, before the first step."""
        self._plain.load_state_dict(tensors)

    def whiten(self, pictures: Tensor) -> None:
        """Whiten what the network sees, before the first step; see
        `start_weights.whiten_first_filters`.
        """
        start_weights.whiten_first_filters(self._plain.eval(), self._to_device(pictures))
        self._plain.train()

    def freeze(self, calibrate: Callable[[nn.Module], None]) -> None:
        """Measure the normalisation statistics by `calibrate`, and let the network normalise by
        them from now on. Nothing else changes: dropout goes on.
        """
        calibrate(self._plain)
        self.fix_statistics()

    def fix_statistics(self) -> None:
        """Let the network normalise by the statistics that it has from now on."""
        self.frozen = True
        for module in find_normalisations(self._plain):
            module.eval()

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._fabric.barrier()

    def state(self) -> dict[str, Any]:
        """Return weights, averages, the optimiser's moments, and whether normalisation is
        frozen.
        """
        return {
            "frozen": self.frozen,
            "network": self._plain.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._plain.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        if state["frozen"]:
            self.fix_statistics()

    def _to_device(self, batch: Tensor) -> Tensor:
        import torch

        return batch.to(self._fabric.device, memory_format=torch.channels_last)


AverageRule = Callable[["Sequence[Tensor]", "Sequence[Tensor]", "Tensor | int"], None]


def moving_average(decay: float) -> AverageRule:
    """Return the rule of a moving average: old + max(1 - decay, 10 / (10 + n)) (new - old) after n
    weights.

    So the average follows early weights closely, and forgets them sooner than `decay` alone would.
    """

    def average(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        weight = max(1 - decay, 10 / (10 + float(count)))
        for old, new in zip(averages, values, strict=True):
            old.lerp_(new, weight)

    return average


def resolve_precision(recipe: Recipe, hardware: Hardware) -> Hardware:
    """Return the hardware with the precision that `auto` means: bf16 if the recipe is for it and
    the processor too.
    """
    if hardware.precision != "auto":
        return hardware
    if recipe.mixed and multiplies_bf16(gpu=_uses_gpu(hardware)):
        return dataclasses.replace(hardware, precision="bf16")
    return dataclasses.replace(hardware, precision="32")


def require_hardware(recipe: Recipe, hardware: Hardware) -> None:
    """Raise UsageError for hardware that is not there, or that cannot share the recipe's
    batches.
    """
    import torch

    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if _uses_gpu(hardware) and hardware.devices > torch.cuda.device_count():
        raise UsageError(f"--devices {hardware.devices}: torch finds {torch.cuda.device_count()}")
    uneven_batches = [phase.batch for phase in recipe.phases if phase.batch % hardware.devices]
    if uneven_batches:
        raise UsageError(
            f"--devices {hardware.devices}: a batch of {uneven_batches[0]} cannot be shared "
            "evenly; change --batch"
        )
    if hardware.devices > 1 and recipe.budget.unit == "minutes":
        raise UsageError(
            "--minutes: the clocks of several devices differ; use --steps or --megapixels"
        )


def _uses_gpu(hardware: Hardware) -> bool:
    import torch

    return hardware.device != "cpu" and torch.cuda.is_available()


def _create_fabric(recipe: Recipe, hardware: Hardware) -> Fabric:
    import torch
    from lightning_fabric import Fabric

    require_hardware(recipe, hardware)
    torch.backends.cudnn.benchmark = True  # crops have few sizes
    return Fabric(
        accelerator="cuda" if _uses_gpu(hardware) else "cpu",
        devices=hardware.devices,
        strategy="ddp" if hardware.devices > 1 else "auto",
        precision=FABRIC_PRECISIONS[hardware.precision],
    )
