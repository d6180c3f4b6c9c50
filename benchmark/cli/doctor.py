"""What `doctor` reports: versions, machine, device, weights, plug-ins and data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape

from benchmark import provenance
from benchmark.api import BenchmarkError
from benchmark.cli.listing import describe_datasets, describe_weights
from benchmark.registry import DATASETS, IMPORTERS, METHODS, METRICS, PROTOCOLS, create_metric


def diagnose(root: Path) -> Iterator[str]:
    """Yield what works here, what does not, and why, in rich's markup.

    Args:
        root: the data root.
    """
    machine = provenance.describe_machine()
    yield (
        f"machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}"
    )
    packages = [
        f"{name} {version or '[red]missing[/]'}"
        for name, version in provenance.list_versions().items()
    ]
    yield "packages: " + ", ".join(packages)
    yield f"device: {_describe_device()}"
    yield f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    for name in METRICS.names():
        yield f"metric {name}: {_describe_availability(name)}"
    for registry in (METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS):
        for name, problem in registry.problems().items():
            yield f"[red]{registry.kind} {escape(name)}: {escape(problem)}[/]"
    yield "weights of methods that learned:"
    yield from describe_weights()
    yield f"data root {escape(str(root))}:"
    yield from describe_datasets(root)


def _describe_availability(metric: str) -> str:
    try:
        reason = create_metric(metric).unavailable()
    except BenchmarkError as error:
        reason = str(error)
    if reason:
        return f"[yellow]not available: {escape(reason)}[/]"
    return "[green]available[/]"


def _describe_device() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch does not import ({error}); learned methods and LPIPS need it"
    if not torch.cuda.is_available():
        return f"cpu ({torch.get_num_threads()} threads)"
    return f"cuda ({torch.cuda.get_device_name()})"
