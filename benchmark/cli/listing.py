"""Answers to `list`, `datasets` and `doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmark import checkpoints, provenance
from benchmark.api import BenchmarkError, DataError, UsageError
from benchmark.registry import (
    DATASETS,
    IMPORTERS,
    METHODS,
    METRICS,
    PROTOCOLS,
    Registry,
    create,
    create_metric,
    describe_parameters,
    list_checkpoint_files,
)


def make_registry_table(kind: str) -> Table:
    """Return what is registered as `kind` ("methods", "datasets", ...), or what "checkpoints" are
    found.
    """
    if kind == "checkpoints":
        return _make_checkpoint_table()
    registry, columns, describe = _REGISTRY_TABLES[kind]
    made = Table()
    for column in ("id", *columns, "from"):
        made.add_column(column, overflow="fold")
    broken = registry.problems()
    for name in registry.names():
        if name in broken:
            made.add_row(
                escape(name),
                f"[red]{escape(broken[name])}[/]",
                *[""] * (len(columns) - 1),
                registry.origin(name),
            )
        else:
            made.add_row(*map(escape, (name, *describe(registry.get(name)), registry.origin(name))))
    return made


def _make_checkpoint_table() -> Table:
    made = Table()
    for column in ("id", "parameters", "trained on", "size", "file"):
        made.add_column(column, overflow="fold")
    broken = METHODS.problems()
    catalogue = checkpoints.CheckpointCatalogue.of_user()
    for name in METHODS.names():
        if name in broken:
            continue
        for tag, path in list_checkpoint_files(name, catalogue).items():
            made.add_row(f"{name}.{tag}", *_describe_checkpoint(path), escape(str(path)))
    if not made.row_count:
        searched = (
            f"searched: {checkpoints.user_folder()}; {checkpoints.VARIABLE} names another folder"
        )
        made.add_row("none", "", "", "", escape(searched))
    return made


def _describe_checkpoint(path: Path) -> tuple[str, str, str]:
    """Return parameters, training data and size; a file that cannot be read says why instead."""
    try:
        card = checkpoints.read_card(path)
    except DataError as error:
        return f"[red]{escape(str(error))}[/]", "", ""
    parameters = "\n".join(f"{key}={value}" for key, value in card.parameters.items())
    return (
        escape(parameters),
        escape(_describe_training(card)),
        f"{path.stat().st_size / 1e6:.2f} MB",
    )


def _describe_training(card: Any) -> str:
    return "unknown" if card.trained_on is None else ", ".join(card.trained_on) or "nothing"


def _describe_method(kind: Any) -> tuple[str, ...]:
    card = kind.card
    return (
        card.title,
        card.family,
        card.inputs,
        _describe_training(card),
        _list_parameters(kind),
        card.paper,
    )


def _describe_dataset(kind: Any) -> tuple[str, ...]:
    card = kind.card
    return (
        card.title,
        str(card.count or "any"),
        "yes" if card.has_target else "no",
        _list_parameters(kind),
        card.licence,
    )


def _describe_protocol(item: Any) -> tuple[str, ...]:
    measures = ", ".join(measure.key for measure in item.measures)
    return item.title, ", ".join(track.id for track in item.tracks), measures, item.source


def _describe_metric(kind: Any) -> tuple[str, ...]:
    card = kind.card
    state = kind().unavailable()
    better = "higher" if card.higher_is_better else "lower"
    return (
        card.title,
        card.unit,
        better,
        _list_parameters(kind),
        f"not available: {state}" if state else "available",
    )


def _describe_importer(kind: Any) -> tuple[str, ...]:
    card = kind.card
    return (
        card.title,
        f"{card.method}.{card.tag}",
        _describe_training(card),
        card.licence,
        card.source,
    )


def _list_parameters(kind: Any) -> str:
    return "\n".join(f"{name}: {text}" for name, text in describe_parameters(kind).items())


_REGISTRY_TABLES: dict[str, tuple[Registry[Any], tuple[str, ...], Any]] = {
    "methods": (
        METHODS,
        ("title", "family", "input", "trained on", "parameters", "paper"),
        _describe_method,
    ),
    "datasets": (
        DATASETS,
        ("title", "pictures", "target", "parameters", "licence"),
        _describe_dataset,
    ),
    "protocols": (PROTOCOLS, ("title", "tracks", "measures", "source"), _describe_protocol),
    "metrics": (METRICS, ("title", "unit", "better", "parameters", "here"), _describe_metric),
    "importers": (
        IMPORTERS,
        ("title", "makes", "trained on", "licence", "source"),
        _describe_importer,
    ),
}


def describe_datasets(root: Path) -> Iterator[str]:
    """Yield, for each data set, what is found under `root`, or what is missing and the expected
    tree.
    """
    for name, reason in DATASETS.problems().items():
        yield f"[red]{escape(f'{name}: {reason}')}[/]"
    for name in DATASETS.names():
        if name not in DATASETS.problems():
            yield _look_for_dataset(name, root)


def _look_for_dataset(name: str, root: Path) -> str:
    card = DATASETS.get(name).card
    try:
        count = len(create(DATASETS, name, root=root)[0].ids())
    except (DataError, UsageError) as error:
        first = str(error).splitlines()[0]
        about = f"{card.source}\n{card.layout}".strip()
        return f"[yellow]{name}[/]: not found - {escape(first)}\n{escape(_indent_lines(about))}\n"
    of = f" of {card.count}" if card.count and card.count != count else ""
    return f"[green]{name}[/]: {count}{of} pictures - {escape(card.title)}\n"


def _indent_lines(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def diagnose(root: Path) -> Iterator[str]:
    """Yield lines on versions, machine, device, weights, plug-ins and data."""
    machine = provenance.machine()
    yield (
        f"machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} "
        f"GiB, {machine['system']}"
    )
    yield "packages: " + ", ".join(
        f"{name} {version or '[red]missing[/]'}" for name, version in provenance.versions().items()
    )
    yield f"device: {_describe_device()}"
    yield f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    for name in METRICS.names():
        reason = _explain_unavailable_metric(name)
        yield f"metric {name}: " + (
            f"[yellow]not available: {escape(reason)}[/]" if reason else "[green]available[/]"
        )
    for registry in (METHODS, DATASETS, METRICS, PROTOCOLS, IMPORTERS):
        for name, problem in registry.problems().items():
            yield f"[red]{registry.kind} {escape(name)}: {escape(problem)}[/]"
    yield f"data root {escape(str(root))}:"
    yield from describe_datasets(root)


def _explain_unavailable_metric(metric: str) -> str | None:
    try:
        return create_metric(metric).unavailable()
    except BenchmarkError as error:
        return str(error)


def _describe_device() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch does not import ({error}); learned methods and LPIPS need it"
    if not torch.cuda.is_available():
        return f"cpu ({torch.get_num_threads()} threads)"
    return f"cuda ({torch.cuda.get_device_name()})"
