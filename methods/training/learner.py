"""The network while it learns: weights, optimiser and averages, on whatever devices there are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.api import UsageError
from benchmark.methods.training import start_weights
from benchmark.methods.training.job import Hardware
from benchmark.methods.training.recipes import Criterion, Recipe
from benchmark.methods.training.step import step
from benchmark.methods.training.validation import normalisations

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor, nn


class Learner:
    """One process's copy. All copies have the same weights at every step.

    Attributes:
        averaged: the network with the moving average of the weights (its normalisation statistics
            are not averaged).
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

        self._fabric = _fabric(recipe, hardware)
        self._fabric.launch()
        self._recipe, self._seed, self._workers = recipe, seed, hardware.workers
        torch.manual_seed(seed)
        self._plain = build()
        if recipe.identity:
            start_weights.identity(self._plain)
            start_weights.opened(self._plain)
        self._plain.to(memory_format=torch.channels_last)
        adam = torch.optim.Adam(self._plain.parameters(), fused=True)
        self._network, self._optimiser = self._fabric.setup(self._plain, adam)
        self._network.train()
        if hasattr(self._plain, "scales"):
            self._network.mark_forward_method("scales")
        self._average = AveragedModel(self._plain, multi_avg_fn=averaging(recipe.average))
        self.averaged: nn.Module = self._average.module
        self.frozen = False
        self.rank, self.world = self._fabric.global_rank, self._fabric.world_size

    @property
    def device(self) -> str:
        """Name of the GPU, empty for a CPU."""
        import torch

        place = self._fabric.device
        return torch.cuda.get_device_name(place) if place.type == "cuda" else ""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def workers(self) -> int:
        """How many processes make examples for this one."""
        if self._workers is not None:
            return self._workers
        cores = (os.cpu_count() or 1) // self.world
        return max(1, min(8, cores - 1)) if self.device else 1

    def learn(
        self, blurred: Tensor, sharp: Tensor, criterion: Criterion, rate: float, number: int
    ) -> float:
        """Take step `number` on this process's part of a batch and return the loss of that part.

        Raises:
            Diverged: if it is not finite.
        """
        import torch

        torch.manual_seed(
            (self._seed << 40) + number * self.world + self.rank
        )  # so no generator needs to be saved
        value = step(
            self._network, self._optimiser, self._moved(blurred), self._moved(sharp),
            criterion=criterion, rate=rate, coarse=self._recipe.coarse, clip=self._recipe.clip,
            autocast=self._fabric.autocast(), backward=self._fabric.backward,
        )  # fmt: skip
        self._average.update_parameters(self._plain)
        return value

    def start(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over weights and normalisation statistics, before the first step."""
        self._plain.load_state_dict(tensors)

    def whiten(self, pictures: Tensor) -> None:
        """Whiten what the network sees, before the first step; see `start_weights.whiten`."""
        start_weights.whiten(self._plain.eval(), self._moved(pictures))
        self._plain.train()

    def freeze(self, calibrate: Callable[[nn.Module], None]) -> None:
        """Measure the normalisation statistics by `calibrate`, and let the network normalise by
        them from now on.
        """
        calibrate(self._plain)
        self._fix()

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

    def restore(self, held: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._plain.load_state_dict(held["network"])
        self._average.load_state_dict(held["average"])
        self._optimiser.load_state_dict(held["optimiser"])
        if held["frozen"]:
            self._fix()

    def _fix(self) -> None:
        self.frozen = True
        for module in normalisations(self._plain):
            module.eval()

    def _moved(self, batch: Tensor) -> Tensor:
        import torch

        return batch.to(self._fabric.device, memory_format=torch.channels_last)


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Return the rule of a moving average: old + max(1 - decay, 10 / (10 + n)) (new - old) after n
    weights.

    So the average follows early weights closely, and forgets them sooner than `decay` alone would.
    """

    def average(olds: Sequence[Tensor], news: Sequence[Tensor], count: Tensor | int) -> None:
        weight = max(1 - decay, 10 / (10 + float(count)))
        for old, new in zip(olds, news, strict=True):
            old.lerp_(new, weight)

    return average


def settled(recipe: Recipe, hardware: Hardware) -> Hardware:
    """Return the hardware with the precision that `auto` means: bf16 if the recipe is for it and
    the processor too.
    """
    if hardware.precision != "auto":
        return hardware
    mixed = recipe.mixed and multiplies_bf16(gpu=_on_gpu(hardware))
    return dataclasses.replace(hardware, precision="bf16" if mixed else "32")


def multiplies_bf16(gpu: bool) -> bool:
    """Return whether the processor here has instructions for bfloat16; elsewhere it is slower than
    single precision.

    An older torch does not tell of a CPU, which then counts as one without.
    """
    import torch

    if gpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def require(recipe: Recipe, hardware: Hardware) -> None:
    """Raise UsageError for hardware that is not there, or that cannot share the recipe's
    batches.
    """
    import torch

    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if _on_gpu(hardware) and hardware.devices > torch.cuda.device_count():
        raise UsageError(f"--devices {hardware.devices}: torch finds {torch.cuda.device_count()}")
    odd = [phase.batch for phase in recipe.phases if phase.batch % hardware.devices]
    if odd:
        raise UsageError(
            f"--devices {hardware.devices}: a batch of {odd[0]} cannot be shared evenly; change "
            f"--batch"
        )
    if hardware.devices > 1 and recipe.budget.unit == "minutes":
        raise UsageError(
            "--minutes: the clocks of several devices differ; use --steps or --megapixels"
        )


def _on_gpu(hardware: Hardware) -> bool:
    import torch

    return hardware.device != "cpu" and torch.cuda.is_available()


def _fabric(recipe: Recipe, hardware: Hardware) -> Fabric:
    import torch
    from lightning_fabric import Fabric

    require(recipe, hardware)
    torch.backends.cudnn.benchmark = True  # crops have few sizes
    return Fabric(
        accelerator="cuda" if _on_gpu(hardware) else "cpu",
        devices=hardware.devices,
        strategy="ddp" if hardware.devices > 1 else "auto",
        precision="bf16-mixed" if hardware.precision == "bf16" else "32-true",
    )
