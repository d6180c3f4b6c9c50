"""One step of a training, the part whose speed matters; the trainer and the speed measurement share it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.api import BenchmarkError
from methods.training import losses
from methods.training.recipes import Criterion

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer


_TRIALS = 3
"""Steps before one is recorded, as torch's manual has it."""


class Diverged(BenchmarkError):
    """A loss or a gradient is not a finite number; the weights are as they were before the step."""


def step(network: nn.Module, optimiser: Optimizer, blurred: Tensor, sharp: Tensor, *, rate: float, how: How) -> float:
    """Change the weights once and return the loss before that.

    Args:
        network: in training mode. Its method `scales`, where it has one, gives what is supervised.
        optimiser: of its weights.
        blurred: N x C x H x W, as the network takes it.
        sharp: N x 3 x H x W.
        rate: learning rate of this step.
        how: loss and gradients are computed.

    Raises:
        Diverged: if the loss or the gradient is not finite.
    """
    return update(optimiser, gradients(network, blurred, sharp, how), rate)


@dataclass(frozen=True, slots=True)
class How:
    """How loss and gradients are computed.

    Attributes:
        criterion, coarse: the loss; see `losses.loss`.
        clip: largest norm of the gradient, None for any.
        autocast: makes the context in which the network computes in lower precision; by default none. Losses do not.
        backward: what computes gradients; by default torch's own.
    """

    criterion: Criterion
    coarse: float = 1.0
    clip: float | None = None
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    backward: Callable[[Tensor], Any] | None = None


def gradients(network: nn.Module, blurred: Tensor, sharp: Tensor, how: How) -> Tensor:
    """Give the weights their gradients; return the loss, and the norm of the gradient before it was cut.

    Arguments are those of `step`. Nothing here waits for a GPU, so that it can be recorded (`Recorded`).
    """
    import torch

    network.zero_grad(set_to_none=True)
    with how.autocast():
        made = outputs(network, blurred)
    value = losses.loss([scale.float() for scale in made], sharp, how.criterion, how.coarse)
    (how.backward or torch.Tensor.backward)(value)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), how.clip or math.inf)
    return torch.stack([value.detach(), norm])


def update(optimiser: Optimizer, found: Tensor, rate: float) -> float:
    """Change weights that have their gradients; return the loss. `found` is what `gradients` returned.

    Raises:
        Diverged: if the loss or the gradient is not finite.
    """
    value = finite(found)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return value


def finite(found: Tensor) -> float:
    """Return the loss that `gradients` found; raises Diverged if it or the gradient is not finite."""
    value, norm = found.tolist()
    if not math.isfinite(value + norm):
        raise Diverged(f"the loss is {value:g} and its gradient has the norm {norm:g}")
    return float(value)


class Recorded:
    """Steps on batches of one size, recorded as CUDA graphs: to replay them costs the processor next to nothing.

    A step of GKMNet is some two thousand short operations; started one by one they take longer than they run.
    """

    def __init__(
        self, network: nn.Module, blurred: Tensor, sharp: Tensor, how: How, change: Callable[[], None]
    ) -> None:
        """Record loss and gradients on a batch, which is not learned from: statistics stay as they were.

        Args:
            network, blurred, sharp, how: as for `gradients`.
            change: what changes the weights by their gradients, without waiting for the GPU; what may be different in
                each step it takes from tensors.
        """
        import torch

        self._change, self._changes = change, 0
        self._fed = blurred.clone(), sharp.clone()
        before = [buffer.clone() for buffer in network.buffers()]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # what is made at first use, or found by trying, must not be recorded
            for _ in range(_TRIALS):
                gradients(network, *self._fed, how)
        torch.cuda.current_stream().wait_stream(aside)
        network.zero_grad(set_to_none=True)
        with _recording() as self._gradients:
            self._found = gradients(network, *self._fed, how)
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)

    def __call__(self, blurred: Tensor, sharp: Tensor) -> float:
        """Take a step on another batch of the same size and return the loss before it.

        Raises:
            Diverged: if the loss or the gradient is not finite.
        """
        for held, given in zip(self._fed, (blurred, sharp), strict=True):
            held.copy_(given)
        self._gradients.replay()
        value = finite(self._found)
        if not self._changes:  # an optimiser makes its moments in its first step
            self._change()
        else:
            if self._changes == 1:
                with _recording() as self._recorded_change:
                    self._change()
            self._recorded_change.replay()
        self._changes += 1
        return value


@contextmanager
def _recording() -> Iterator[torch.cuda.CUDAGraph]:
    """Record what is started in the block, which does not run yet."""
    import torch

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another thread moves batches meanwhile
        yield graph


def outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return what a network makes of x at every scale that it supervises, coarse to fine."""
    scales: Callable[[Tensor], list[Tensor]] | None = getattr(network, "scales", None)
    return scales(x) if scales else [network(x)]
