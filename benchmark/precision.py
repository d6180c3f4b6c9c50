"""Whether a device has the precision that a network is to compute in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark import provenance
from benchmark.api import UsageError


def multiplies_bf16(gpu: bool) -> bool:
    """Return whether the processor here has instructions for bfloat16; elsewhere it is slower than
    single precision.

    An older torch does not tell of a CPU, which then counts as one without.
    """
    import torch

    if gpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def require_bf16(method: str, device: str) -> None:
    """Raise UsageError, with the device's name, if it has no instructions for bfloat16.

    Args:
        method: id of the method that is to compute in it.
        device: "cpu" or "cuda", or "auto" for the GPU if there is one.
    """
    import torch

    gpu = device != "cpu" and torch.cuda.is_available()
    if multiplies_bf16(gpu):
        return
    name = torch.cuda.get_device_name() if gpu else provenance.describe_machine()["processor"]
    raise UsageError(
        f"{method}: bfloat16 was asked for, and {name} has no instructions for it; leave "
        "--precision bf16 (in an id precision=bf16) out"
    )
