"""Weights that others published become checkpoints: the command `import`, and the frame in which
an importer is one small declaration.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from abc import ABC
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark import checkpoints, console
from benchmark.api import DataError, Importer, ImporterCard, Network, UsageError
from benchmark.foreign_weights import StoredTensor, WeightsFormat, open_weights
from benchmark.registry import IMPORTERS, METHODS, create

if TYPE_CHECKING:
    from torch import Tensor


UNVERIFIED_LAYOUT = (
    "Layout not verified against a released file: none was at hand when the importer was written. "
    "Names and shapes of all entries are checked."
)
"""Note for the card of an importer that was tested with files of our own making only."""
VERIFIED_NETWORK = "The network equals the authors' program on other weights."
"""Note for the card of such an importer where outputs of the authors' program were at hand."""
_COUNTERS = ("total_ops", "total_params", "*.total_ops", "*.total_params")
_SEPARATOR = re.compile(r"[./]")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """A checkpoint that was made.

    Attributes:
        source, path: the file that was read, and the one that was written.
        entries, parameters: how many tensors it holds, and how many numbers of them are the
            network's parameters.
        has_control: whether something is known that the weights should give.
    """

    source: Path
    path: Path
    entries: int
    parameters: int
    has_control: bool = False

    def lines(self) -> list[str]:
        """Return what was made and the next command, for people."""
        folder = self.path.parent
        variable = ""
        if folder.resolve() != checkpoints.user_folder().resolve():
            variable = f"{checkpoints.VARIABLE}={shlex.quote(str(folder))} "
        label = self.path.name.removesuffix(checkpoints.SUFFIX)
        lines = [
            f"imported: {self.entries} entries, {self.parameters:,} parameters, from {self.source}",
            f"written: {self.path}",
            f"next: {variable}python -m benchmark run --methods {label} --dataset simulated",
        ]
        if self.has_control:
            lines.append(f"check: {variable}python -m benchmark control {label} --data DIR")
        return lines


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
    path = _choose_path(importer.card, out)
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; overwrite it with --force, or name another file with --out"
        )
    card = importer.identify(source)
    network = _build_meta_network(card)
    tensors = importer.read(source)
    checkpoints.require_entries(tensors, network.state_dict(), source)
    checkpoints.save_checkpoint(path, tensors, _make_checkpoint_card(card, source))
    parameter_count = sum(parameter.numel() for parameter in network.parameters())
    return ImportReport(source, path, len(tensors), parameter_count, bool(card.expected))


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A tensor of a file, and the entries of our network that it holds.

    Attributes:
        entries: ours; where there are several, the file holds them joined along `axis`.
        layout: `torch`: outputs, inputs, height, width; `hwio`: height, width, inputs, outputs, as
            TensorFlow and Keras keep filters (those of transposed convolutions have outputs and
            inputs exchanged in both).
        axis: in the layout of torch.
    """

    entries: tuple[str, ...]
    layout: Literal["torch", "hwio"] = "torch"
    axis: int = 1

    def join(self, ours: Mapping[str, Tensor]) -> Tensor:
        """Return the tensor that the file should hold for our entries."""
        import torch

        tensors = [ours[name] for name in self.entries]
        tensor = tensors[0] if len(tensors) == 1 else torch.cat(tensors, self.axis)
        return tensor.permute(2, 3, 1, 0) if self._is_hwio(tensor) else tensor

    def split(self, tensor: Tensor, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return our entries from the tensor of the file; `ours` tells their shapes."""
        if self._is_hwio(tensor):
            tensor = tensor.permute(3, 2, 0, 1)
        if len(self.entries) == 1:
            return {self.entries[0]: tensor}
        parts: dict[str, Tensor] = {}
        start = 0
        for name in self.entries:
            length = ours[name].shape[self.axis]
            parts[name] = tensor.narrow(self.axis, start, length)
            start += length
        return parts

    def _is_hwio(self, tensor: Tensor) -> bool:
        return self.layout == "hwio" and tensor.ndim == 4


class WeightsImporter(Importer, ABC):
    """An importer that is a declaration: a card, and what the file calls our entries.

    It takes a prefix off that names share, however long it is, leaves out what is declared foreign
    and what a profiler has counted, and refuses the file unless the rest is exactly the network.

    Attributes:
        card: see `Importer`.
        other_cards: those of the same method's networks of other structure that such a file may
            hold as well, under the same names; the file's entries tell which it is.
        words: what the file calls words of our names that lie side by side (`encoder.0`). Of each
            table the first words that a name has are replaced, once.
        file_format: of the file.
        wrappers: names under which the file may hold its state dict one level deeper.
        foreign_parts: patterns of names, as of files (`reblurNet.*`), that are no part of our
            network and are left out; without the prefix that names share.
        constants: patterns of our own names -> the number that every value of such an entry is,
            because the file has none for it.
    """

    other_cards: ClassVar[tuple[ImporterCard, ...]] = ()
    words: ClassVar[tuple[Mapping[str, str], ...]] = ()
    file_format: ClassVar[WeightsFormat] = "torch"
    wrappers: ClassVar[tuple[str, ...]] = checkpoints.WRAPPERS
    foreign_parts: ClassVar[tuple[str, ...]] = ()
    constants: ClassVar[Mapping[str, float]] = MappingProxyType({})

    def translate(self, name: str) -> str:
        """Return what the file calls an entry of ours."""
        for table in self.words:
            name = _replace_words(name, table)
        return name

    def list_file_entries(
        self, ours: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
    ) -> Mapping[str, FileEntry]:
        """Return the file's name of each of its tensors -> our entries that it should hold.

        Every entry of ours under its translation, as it is, unless a subclass says otherwise. An
        entry of ours may stand under several names, whose tensors must then be equal.

        Args:
            ours: the entries of our network that are no constants, without values.
            stored: what the file holds, for formats that number their names.
        """
        return {self.translate(name): FileEntry((name,)) for name in ours}

    def identify(self, path: Path) -> ImporterCard:
        """Return of the importer's cards the one whose network the file's entries fit best."""
        if not self.other_cards:
            return self.card
        with open_weights(path, self.file_format, self.wrappers) as stored:
            return max(
                (self.card, *self.other_cards), key=lambda card: self._count_fitting(card, stored)
            )

    def read(self, path: Path) -> Mapping[str, Tensor]:
        network_entries = _build_meta_network(self.identify(path)).state_dict()
        ours = self._leave_out_constants(network_entries)
        with open_weights(path, self.file_format, self.wrappers) as stored:
            stored = _leave_out(stored, _COUNTERS, "counters of a profiler", path)
            file_entries = self.list_file_entries(ours, stored)
            prefix = _find_prefix(stored, file_entries)
            stored = _leave_out(stored, self.foreign_parts, "foreign parts", path, prefix)
            file_entries = {prefix + name: entry for name, entry in file_entries.items()}
            tensors = _read_entries(stored, file_entries, ours, path)
        return {name: self._choose(name, value, tensors) for name, value in network_entries.items()}

    def _count_fitting(self, card: ImporterCard, stored: Mapping[str, StoredTensor]) -> int:
        """Return how many entries of a card's network a file holds, in their shapes."""
        ours = self._leave_out_constants(_build_meta_network(card).state_dict())
        entries = self.list_file_entries(ours, stored)
        prefix = _find_prefix(stored, entries)
        return sum(
            prefix + name in stored and stored[prefix + name].shape == entry.join(ours).shape
            for name, entry in entries.items()
        )

    def _leave_out_constants(self, entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in entries.items() if self._find_constant(name) is None}

    def _choose(self, name: str, model: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        import torch

        constant = self._find_constant(name)
        if constant is None:
            return tensors[name].contiguous()
        return torch.full(model.shape, constant, dtype=model.dtype)

    def _find_constant(self, name: str) -> float | None:
        for pattern, value in self.constants.items():
            if fnmatch.fnmatchcase(name, pattern):
                return value
        return None


def _replace_words(name: str, table: Mapping[str, str]) -> str:
    """Return a dotted name with the first of the table's keys that it has replaced."""
    for ours, theirs in table.items():
        pattern = rf"(?<![^.]){re.escape(ours)}(?![^.])"
        translation, count = re.subn(pattern, theirs, name, count=1)
        if count:
            return translation
    return name


def _leave_out(
    stored: Mapping[str, StoredTensor],
    patterns: Iterable[str],
    what: str,
    path: Path,
    prefix: str = "",
) -> dict[str, StoredTensor]:
    """Return what a file holds but the names that fit a pattern, and say so.

    A pattern is of a name without the file's prefix, or without the first words of it.
    """
    heads = {"", *(prefix[: match.end()] for match in _SEPARATOR.finditer(prefix))}
    full_patterns = [
        re.escape(head) + fnmatch.translate(pattern) for head in heads for pattern in patterns
    ]
    omissions = [name for name in stored if any(re.match(text, name) for text in full_patterns)]
    if omissions:
        console.print_note(f"{path}: left out {len(omissions)} entries, {what}: {omissions[0]} ...")
    return {name: value for name, value in stored.items() if name not in set(omissions)}


def _find_prefix(stored: Iterable[str], expected: Iterable[str]) -> str:
    """Return what stands before most of the names that are expected; empty if none is there."""
    names = set(expected)
    prefixes: Counter[str] = Counter()
    for name in stored:
        starts = [0, *(match.end() for match in _SEPARATOR.finditer(name))]
        prefixes.update(name[:start] for start in starts if name[start:] in names)
    return max(prefixes, key=lambda prefix: (prefixes[prefix], -len(prefix)), default="")


def _read_entries(
    stored: Mapping[str, StoredTensor],
    file_entries: Mapping[str, FileEntry],
    ours: Mapping[str, Tensor],
    path: Path,
) -> dict[str, Tensor]:
    expected = {name: entry.join(ours) for name, entry in file_entries.items()}
    checkpoints.require_entries(stored, expected, path)
    state = fit_entries({name: value.load() for name, value in stored.items()}, expected, path)
    tensors: dict[str, Tensor] = {}
    for name, entry in file_entries.items():
        parts = entry.split(state[name], ours)
        _require_agreement(name, parts, tensors, path)
        tensors |= parts
    return tensors


def _require_agreement(
    name: str, parts: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> None:
    """Raise DataError if an entry of the file says other numbers than an entry before it did of the
    same entry of ours.
    """
    import torch

    for our_name, part in parts.items():
        if our_name in tensors and not torch.equal(part, tensors[our_name]):
            raise DataError(
                f"{path}: {name} differs from an earlier entry that the network shares with it; "
                "get the file again"
            )


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


def _make_checkpoint_card(card: ImporterCard, source: Path) -> checkpoints.CheckpointCard:
    digest = checkpoints.hash_checkpoint(source)
    return checkpoints.CheckpointCard(
        method=card.method,
        parameters=dict(card.parameters),
        trained_on=card.trained_on,
        licence=card.licence,
        source=f"{card.source}; imported from {source.name}, SHA-256 {digest}",
        notes=card.notes,
        expects=card.expects,
        expected=card.expected,
    )
