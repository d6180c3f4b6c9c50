"""One step of a training, the part whose speed matters; the trainer and the speed measurement share
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from benchmark.api import BenchmarkError
from benchmark.methods.training import losses
from benchmark.methods.training.recipes import Criterion

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class Diverged(BenchmarkError):
    """A loss or a gradient is not a finite number; the weights are as they were before the step."""


def step(
    network: nn.Module,
    optimiser: Optimizer,
    blurred: Tensor,
    sharp: Tensor,
    *,
    criterion: Criterion,
    rate: float,
    coarse: float = 1.0,
    clip: float | None = None,
    autocast: AbstractContextManager[Any] | None = None,
    backward: Callable[[Tensor], Any] | None = None,
) -> float:
    """Change the weights once and return the loss before that.

    Args:
        network: in training mode. Its method `scales`, where it has one, gives what is supervised.
        optimiser: of its weights.
        blurred: N x C x H x W, as the network takes it.
        sharp: N x 3 x H x W.
        criterion, coarse: the loss; see `losses.loss`.
        rate: learning rate of this step.
        clip: largest norm of the gradient, None for any.
        autocast: the context in which the network computes in lower precision; by default none.
            Losses do not.
        backward: what computes gradients; by default torch's own.

    Raises:
        Diverged: if the loss or the gradient is not finite.
    """
    import torch

    optimiser.zero_grad(set_to_none=True)
    with autocast or nullcontext():
        made = outputs(network, blurred)
    value = losses.loss([scale.float() for scale in made], sharp, criterion, coarse)
    (backward or torch.Tensor.backward)(value)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip or math.inf)
    if not torch.isfinite(value.detach() + norm):
        raise Diverged(
            f"the loss is {value.item():g} and its gradient has the norm {norm.item():g}"
        )
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return value.item()


def outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return what a network makes of x at every scale that it supervises, coarse to fine."""
    scales: Callable[[Tensor], list[Tensor]] | None = getattr(network, "scales", None)
    return scales(x) if scales else [network(x)]
