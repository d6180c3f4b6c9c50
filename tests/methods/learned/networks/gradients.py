"""Results and gradients in double precision, to compare two forms of a function."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_(True)


def differentiate(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Return the result and its gradients under weights that are no constant."""
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), inputs)]


def all_close(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(
        torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(ours, theirs, strict=True)
    )
