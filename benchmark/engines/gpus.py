"""Which process uses which GPU: one cell at a time on each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from benchmark.apply import uses_network
from benchmark.cells import Task
from benchmark.engines import WorkItem
from benchmark.registry import METHODS

VARIABLE = "CUDA_VISIBLE_DEVICES"


def list_gpu_environments(device: str, items: Iterable[WorkItem]) -> list[Mapping[str, str]]:
    """Return, for each GPU that items may use, the variables of the one process that uses it; none
    where all compute on the processor.

    Args:
        device: "auto", "cpu" or "cuda".
        items: only tasks with networks use a GPU.
    """
    if not may_use_gpus(device, items):
        return []
    return [{VARIABLE: gpu} for gpu in list_gpus()]


def may_use_gpus(device: str, items: Iterable[WorkItem]) -> bool:
    """Return whether items use GPUs where there are any: only networks do, and a task without a
    method scores what is stored.
    """
    if device == "cpu":
        return False
    names = {
        item.cell.method_name
        for item in items
        if isinstance(item, Task) and item.method is not None
    }
    return any(uses_network(METHODS.get(name).card) for name in names)


def list_gpus() -> list[str]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get(VARIABLE)
    import torch

    if not torch.cuda.is_available():
        return []
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]
