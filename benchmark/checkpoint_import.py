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
class Imported:
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
        found = folder.resolve() == checkpoints.user_folder().resolve()
        where = "" if found else f"{checkpoints.VARIABLE}={shlex.quote(str(folder))} "
        text = self.path.name.removesuffix(checkpoints.SUFFIX)
        return [
            f"imported: {self.entries} entries, {self.parameters:,} parameters, from {self.source}",
            f"written: {self.path}",
            f"next: {where}python -m benchmark run --methods {text} --dataset simulated",
        ]


def run(name: str, source: Path, out: Path | None = None, force: bool = False) -> Imported:
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
    path = _target(card, out)
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; overwrite it with --force, or name another file with --out"
        )
    network = _network(card)
    tensors = importer.read(source)
    checkpoints.require(tensors, network.state_dict(), source)
    checkpoints.save(path, tensors, _card(card, source))
    return Imported(
        source, path, len(tensors), sum(parameter.numel() for parameter in network.parameters())
    )


def fitted(
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
    checkpoints.require(state, expected, path)
    troubles = [
        f"{name} {why}"
        for name, wanted in expected.items()
        if (why := _trouble(state[name], wanted))
    ]
    if troubles:
        raise DataError(
            "\n  ".join([f"{path}: entries that are no weights; get the file again:", *troubles])
        )
    return {
        name: state[name].detach().to(wanted.dtype, copy=True) for name, wanted in expected.items()
    }


def _trouble(value: Tensor, wanted: Tensor) -> str | None:
    import torch

    if value.layout is not torch.strided or value.is_meta:
        return "is not an ordinary tensor"
    if _kind(value) != _kind(wanted):
        return f"holds {_kind(value)} numbers, expected {_kind(wanted)} ones"
    return None if value.to(wanted.dtype).isfinite().all() else "holds NaN or infinite values"


def _kind(value: Tensor) -> str:
    import torch

    if value.is_complex() or value.dtype is torch.bool:
        return str(value.dtype).removeprefix("torch.")
    return "floating-point" if value.is_floating_point() else "integer"


def _target(card: ImporterCard, out: Path | None) -> Path:
    if out is not None and out.suffix == checkpoints.SUFFIX:
        return out
    return (out or checkpoints.user_folder()) / f"{card.method}.{card.tag}{checkpoints.SUFFIX}"


def _network(card: ImporterCard) -> Any:
    """Return the network that the weights are for, without any memory of its own."""
    import torch

    factory: Any = METHODS.get(card.method)
    network: Network | None = factory(**card.parameters).network()
    if network is None:
        raise UsageError(f"{card.method} has no network, so there is nothing to import for it")
    with torch.device("meta"):
        return next(iter(network.forms.values()))()


def _card(card: ImporterCard, source: Path) -> checkpoints.Card:
    return checkpoints.Card(
        method=card.method,
        parameters=dict(card.parameters),
        trained_on=card.trained_on,
        licence=card.licence,
        source=f"{card.source}; imported from {source.name}, SHA-256 {checkpoints.sha256(source)}",
        notes=card.notes,
    )
