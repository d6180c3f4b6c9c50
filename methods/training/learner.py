"""The network while it learns: weights, optimiser and averages, on whatever devices there are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.api import UsageError
from methods.training import initial
from methods.training.job import Device, Hardware, Precision
from methods.training.recipes import Criterion, Recipe
from methods.training.step import How, Recorded, gradients, update
from methods.training.validation import normalisations

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor, nn


class Learner:
    """One process's copy. All copies have the same weights at every step.

    Attributes:
        averaged: the network with the moving average of the weights (its normalisation statistics are not averaged).
        frozen: whether normalisation uses fixed statistics.
        rank, world: which process of how many this is.
    """

    def __init__(self, build: Callable[[], nn.Module], recipe: Recipe, hardware: Hardware, seed: int) -> None:
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
            initial.identity(self._plain)
        self._plain.to(memory_format=torch.channels_last)
        on_gpu = self._fabric.device.type == "cuda"
        adam = torch.optim.Adam(self._plain.parameters(), fused=True, capturable=on_gpu)
        self._network, self._optimiser = self._fabric.setup(self._plain, adam)
        self._network.train()
        if hasattr(self._plain, "scales"):
            self._network.mark_forward_method("scales")
        self._average = AveragedModel(self._plain, multi_avg_fn=averaging(recipe.average))
        self.averaged: nn.Module = self._average.module
        self.frozen = False
        self._recorded: Recorded | None = None  # of steps of this kind
        self._kind: tuple[Any, ...] = ()
        self._rate, self._weight = (torch.zeros((), device=self._fabric.device) for _ in range(2))
        self._adjust()
        self.rank, self.world = self._fabric.global_rank, self._fabric.world_size

    @property
    def gpu(self) -> torch.device | None:
        """Where this copy is, if that is a GPU."""
        return self._fabric.device if self._fabric.device.type == "cuda" else None

    @property
    def device(self) -> str:
        """Name of the GPU, empty for a CPU."""
        import torch

        return torch.cuda.get_device_name(self.gpu) if self.gpu else ""

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
        return max(1, min(12, cores - 1)) if self.gpu else 1

    def learn(self, blurred: Tensor, sharp: Tensor, criterion: Criterion, rate: float, number: int) -> float:
        """Take step `number` on this process's part of a batch and return the loss of that part.

        Raises:
            Diverged: if it is not finite.
        """
        import torch

        torch.manual_seed((self._seed << 40) + number * self.world + self.rank)  # so no generator needs to be saved
        fed = self._moved(blurred), self._moved(sharp)
        how = How(criterion, self._recipe.coarse, self._recipe.clip, self._fabric.autocast, self._fabric.backward)
        if self.gpu is not None and self.world == 1:
            return self._replayed(*fed, how, rate)
        value = update(self._optimiser, gradients(self._network, *fed, how), rate)
        self._average.update_parameters(self._plain)
        return value

    def _replayed(self, blurred: Tensor, sharp: Tensor, how: How, rate: float) -> float:
        """Take a step by its recording, which is made when a batch of another kind comes."""
        kind = how.criterion, self.frozen, blurred.shape
        if kind != self._kind:
            self._recorded = None  # frees its memory first
            self._recorded, self._kind = Recorded(self._network, blurred, sharp, how, self._change), kind
        assert self._recorded is not None
        self._rate.fill_(rate)
        self._weight.fill_(average_weight(self._recipe.average, int(self._average.n_averaged)))
        return self._recorded(blurred, sharp)

    def _change(self) -> None:
        """Change the weights, then their average by the rule of `averaging`, without waiting for the GPU."""
        import torch

        self._optimiser.optimizer.step()
        with torch.no_grad():
            olds, news = list(self.averaged.parameters()), list(self._plain.parameters())
            moves = torch._foreach_sub(news, olds)
            torch._foreach_mul_(moves, self._weight)
            torch._foreach_add_(olds, moves)
            torch._foreach_copy_(list(self.averaged.buffers()), list(self._plain.buffers()))
            self._average.n_averaged.add_(1)

    def start(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over weights and normalisation statistics, before the first step."""
        self._plain.load_state_dict(tensors)

    def whiten(self, pictures: Tensor) -> None:
        """Whiten what the network sees, before the first step; see `initial.whiten`."""
        initial.whiten(self._plain.eval(), self._moved(pictures))
        self._plain.train()

    def freeze(self, calibrate: Callable[[nn.Module], None]) -> None:
        """Measure the normalisation statistics by `calibrate`, and let the network normalise by them from now on."""
        calibrate(self._plain)
        self._fix()

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._fabric.barrier()

    def state(self) -> dict[str, Any]:
        """Return weights, averages, the optimiser's moments, and whether normalisation is frozen."""
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
        self._adjust()
        if held["frozen"]:
            self._fix()

    def _adjust(self) -> None:
        """Let a recorded optimiser take its rate from a tensor."""
        if self.gpu is not None:
            for group in self._optimiser.param_groups:
                group["lr"] = self._rate

    def _fix(self) -> None:
        self.frozen = True
        for module in normalisations(self._plain):
            module.eval()

    def _moved(self, batch: Tensor) -> Tensor:
        import torch

        return batch.to(self._fabric.device, memory_format=torch.channels_last)


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Return the rule of a moving average: old + weight (new - old), the weight by `average_weight`."""

    def average(olds: Sequence[Tensor], news: Sequence[Tensor], count: Tensor | int) -> None:
        weight = average_weight(decay, int(count))
        for old, new in zip(olds, news, strict=True):
            old.lerp_(new, weight)

    return average


def average_weight(decay: float, count: int) -> float:
    """Return max(1 - decay, 10 / (10 + n)), what the newest weights count after n others.

    So the average follows early weights closely, and forgets them sooner than `decay` alone would.
    """
    return max(1 - decay, 10 / (10 + count))


def resolved(hardware: Hardware) -> Hardware:
    """Return hardware with a device and a precision in place of `auto`: a GPU where there is one, and bf16 there."""
    device: Device = "cuda" if _on_gpu(hardware) else "cpu"
    usual: Precision = "bf16" if device == "cuda" else "32"
    precision = usual if hardware.precision == "auto" else hardware.precision
    return dataclasses.replace(hardware, device=device, precision=precision)


def require(recipe: Recipe, hardware: Hardware) -> None:
    """Raise UsageError for hardware that is not there, or that cannot share the recipe's batches."""
    import torch

    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if _on_gpu(hardware) and hardware.devices > torch.cuda.device_count():
        raise UsageError(f"--devices {hardware.devices}: torch finds {torch.cuda.device_count()}")
    odd = [phase.batch for phase in recipe.phases if phase.batch % hardware.devices]
    if odd:
        raise UsageError(f"--devices {hardware.devices}: a batch of {odd[0]} cannot be shared evenly; change --batch")
    if hardware.devices > 1 and recipe.budget.unit == "minutes":
        raise UsageError("--minutes: the clocks of several devices differ; use --steps or --megapixels")


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
