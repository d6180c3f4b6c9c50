"""Weights that others published become checkpoints: the command `import`, and what
importers share.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import checkpoints
from benchmark.api import DataError, ImporterCard, Network, UsageError
from benchmark.registry import IMPORTERS, METHODS, create

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ImportReport:
    """A checkpoint that was made.

    Attributes:
        source, path: the file that was read, and the one that was written.
        entries, parameters: how many tensors it holds, and how many numbers of them are the
            network's parameters.
    """

    source: Path
    path: Path
    entries: int
    parameters: int

    def lines(self) -> list[str]:
        """Return what was made and the next command, for people."""
        folder = self.path.parent
        variable = ""
        if folder.resolve() != checkpoints.user_folder().resolve():
            variable = f"{checkpoints.VARIABLE}={shlex.quote(str(folder))} "
        label = self.path.name.removesuffix(checkpoints.SUFFIX)
        return [
            f"imported: {self.entries} entries, {self.parameters:,} parameters, from {self.source}",
            f"written: {self.path}",
            f"next: {variable}python -m benchmark run --methods {label} --dataset simulated",
        ]


def import_checkpoint(
    name: str, source: Path, out: Path | None = None, force: bool = False
) -> ImportReport:
    """Read `source` with the importer of that name and write the checkpoint; nothing is written if
    anything is wrong.

    Args:
        name: id of the importer.
        source: the file of weights.
        out: the checkpoint, METHOD.TAG.safetensors, or the folder for it; by default the user's
            own.
        force: whether a checkpoint that is there may be overwritten.

    Raises:
        UsageError: unknown importer, or a checkpoint that exists or has a wrong name.
        DataError: a file that cannot be read, or does not fit the method's network.
    """
    importer, _ = create(IMPORTERS, name)
    card = importer.card
    path = _choose_path(card, out)
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; overwrite it with --force, or name another file with --out"
        )
    network = _build_meta_network(card)
    tensors = importer.read(source)
    checkpoints.require_entries(tensors, network.state_dict(), source)
    checkpoints.save_checkpoint(path, tensors, _make_card(card, source))
    parameter_count = sum(parameter.numel() for parameter in network.parameters())
    return ImportReport(source, path, len(tensors), parameter_count)


def fit_entries(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return the entries of a file in the types of those expected, each in memory of its own.

    Floating-point numbers of any precision become float32, integers of any size int64.

    Args:
        state: the file's entries.
        expected: the network's, under the file's names; they may be on torch's device "meta".
        path: the file, for messages.

    Raises:
        DataError: with every entry that is missing, not expected, of the wrong shape or kind, or
            not finite.
    """
    checkpoints.require_entries(state, expected, path)
    problems: list[str] = []
    tensors: dict[str, Tensor] = {}
    for name, model in expected.items():
        problem = _find_problem(state[name], model)
        if problem is None:
            tensors[name] = state[name].detach().to(model.dtype, copy=True)
        else:
            problems.append(f"{name} {problem}")
    if problems:
        heading = f"{path}: entries that are no weights; get the file again:"
        raise DataError("\n  ".join([heading, *problems]))
    return tensors


def _find_problem(value: Tensor, model: Tensor) -> str | None:
    """Return why a tensor cannot stand where the network has `model`, or None if it can."""
    import torch

    if value.layout is not torch.strided or value.is_meta:
        return "is not an ordinary tensor"
    if _number_kind(value) != _number_kind(model):
        return f"holds {_number_kind(value)} numbers, expected {_number_kind(model)} ones"
    if not value.to(model.dtype).isfinite().all():
        return "holds NaN or infinite values"
    return None


def _number_kind(value: Tensor) -> str:
    import torch

    if value.is_complex() or value.dtype is torch.bool:
        return str(value.dtype).removeprefix("torch.")
    return "floating-point" if value.is_floating_point() else "integer"


def _choose_path(card: ImporterCard, out: Path | None) -> Path:
    if out is not None and out.suffix == checkpoints.SUFFIX:
        return out
    return (out or checkpoints.user_folder()) / f"{card.method}.{card.tag}{checkpoints.SUFFIX}"


def _build_meta_network(card: ImporterCard) -> Any:
    """Return the network that the weights are for, without any memory of its own."""
    import torch

    factory: Any = METHODS.get(card.method)
    network: Network | None = factory(**card.parameters).network()
    if network is None:
        raise UsageError(f"{card.method} has no network, so there is nothing to import for it")
    with torch.device("meta"):
        return next(iter(network.forms.values()))()


def _make_card(card: ImporterCard, source: Path) -> checkpoints.CheckpointCard:
    digest = checkpoints.hash_checkpoint(source)
    return checkpoints.CheckpointCard(
        method=card.method,
        parameters=dict(card.parameters),
        trained_on=card.trained_on,
        licence=card.licence,
        source=f"{card.source}; imported from {source.name}, SHA-256 {digest}",
        notes=card.notes,
    )
