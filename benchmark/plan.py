"""From names to cells: methods x data set x noise x tracks x samples."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.api import DataError, Dataset, Method, MethodCard, UsageError
from benchmark.cells import Cell, Task, combine_fingerprints
from benchmark.checkpoints import CheckpointCatalogue
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.registry import DATASETS, GROUPS, METHODS, create, plugin_hash
from benchmark.spec import ResolvedId, Spec, parse_ids


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedMethod:
    """A method of the plan, built once to read its card and the hash of its weights."""

    id: ResolvedId
    card: MethodCard
    version: str
    weights: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedDataset:
    """A data set of the plan: its id, the adapter, and the chosen samples with their
    fingerprints.
    """

    id: ResolvedId
    dataset: Dataset
    fingerprints: dict[str, str]

    def fingerprint(self) -> str:
        """Hex digest over the chosen samples; two tables with the same value saw the same
        pictures.
        """
        return combine_fingerprints(self.fingerprints.keys(), self.fingerprints.values())


def select_methods(
    texts: Iterable[str], note: Callable[[str], None] = lambda _: None
) -> list[PlannedMethod]:
    """Return the methods that ids and groups name, each once, in the order named.

    Args:
        texts: ids, groups, or comma lists of them.
        note: told of each method that a group leaves out because it cannot be loaded or built here.

    Raises:
        UsageError: unknown names or parameters; a method named itself that cannot be built; a group
            that is empty.
    """
    catalogue = CheckpointCatalogue.of_user()
    methods: dict[str, PlannedMethod] = {}
    for spec in parse_ids(texts):
        if spec.name in GROUPS:
            members = _plan_group(spec, catalogue, note)
        else:
            members = [_plan_method(spec, catalogue)]
        for method in members:
            methods.setdefault(method.id.label, method)
    return list(methods.values())


def _plan_method(spec: Spec, catalogue: CheckpointCatalogue) -> PlannedMethod:
    method, resolved_id = create(METHODS, spec, catalogue=catalogue)
    version = type(method).version
    source_digest = plugin_hash(type(method))
    if source_digest is not None:
        version += f"+{source_digest}"
    return PlannedMethod(resolved_id, method.card, version, method.weights_hash())


def _plan_group(
    group: Spec, catalogue: CheckpointCatalogue, note: Callable[[str], None]
) -> list[PlannedMethod]:
    if group.parameters or group.checkpoint:
        raise UsageError(f"{group}: a group takes no parameters; name the methods instead")
    members: list[PlannedMethod] = []
    for name in METHODS.names():
        try:
            specs = _list_group_members(group.name, name, METHODS.get(name))
            members += [_plan_method(spec, catalogue) for spec in specs]
        except UsageError as error:
            note(f"left out of {group.name!r}: {error}")
    if not members:
        raise UsageError(
            f"no registered method is in the group {group.name!r}; `list methods` shows what there "
            "is"
        )
    return members


def _list_group_members(group: str, name: str, kind: type[Method]) -> list[Spec]:
    if group == "all" or kind.card.family == group:
        return [Spec(name)]
    members: list[Spec] = []
    for text in kind.variants.get(group, ()):
        members += parse_ids([f"{name}:{text}"])
    return members


def select_dataset(text: str, root: Path, limit: int | None = None) -> PlannedDataset:
    """Return a data set with the fingerprints of its first `limit` samples (None: all).

    Raises:
        UsageError: unknown name or parameter.
        DataError: missing or damaged data.
    """
    from joblib import Parallel, delayed

    dataset, resolved_id = create(DATASETS, text, root=root)
    samples = list(dataset.ids())[:limit]
    if not samples:
        raise DataError(f"{resolved_id.label}: no samples; {dataset.card.layout}")
    for sample in samples:
        if not sample.isprintable() or "\udc80" <= max(sample) <= "\udfff":
            raise DataError(
                f"{resolved_id.label}: sample name {sample!r} is not printable Unicode; rename the "
                "file"
            )
    # Threads, because it is reading and hashing gigabytes of files, both outside the interpreter's
    # lock.
    fingerprints = Parallel(n_jobs=-1, prefer="threads")(
        delayed(dataset.fingerprint)(sample) for sample in samples
    )
    return PlannedDataset(resolved_id, dataset, dict(zip(samples, fingerprints, strict=True)))


def select_tracks(protocols: Sequence[Protocol], depth: str | None) -> dict[str, Track]:
    """Return protocol id -> the input track it is measured through.

    Args:
        protocols: the chosen protocols.
        depth: "u8" or "u16" to override the default of the protocols that leave it open, or None.

    Raises:
        UsageError: a protocol that fixes another depth.
    """
    return {protocol.id: _select_track(protocol, depth) for protocol in protocols}


def _select_track(protocol: Protocol, depth: str | None) -> Track:
    for track in protocol.tracks:
        if depth in (None, track.depth):
            return track
    only_depth = protocol.tracks[0].depth
    raise UsageError(
        f"protocol {protocol.id!r} is defined on track {only_depth} only; leave --track out or "
        f"name {only_depth}"
    )


def plan_tasks(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    tracks: Iterable[Track],
    noises: Sequence[Noise],
) -> list[Task]:
    """Return a task for every cell of the plan, sample by sample, so that a stopped run has whole
    samples to compare. Nothing says yet what of them is done, and which protocols apply.
    """
    track_ids = sorted({track.id for track in tracks})
    levels = dict.fromkeys(noise.canonical() for noise in noises)
    tasks: list[Task] = []
    for sample in data.fingerprints:
        for track, noise, method in itertools.product(track_ids, levels, methods):
            cell = _make_cell(method, data, sample, track, noise)
            tasks.append(Task(cell, method.id, data.id))
    return tasks


def list_cells(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    tracks: Iterable[Track],
    noises: Sequence[Noise],
) -> list[Cell]:
    """Return every cell of the plan, in the order of `plan_tasks`."""
    return [task.cell for task in plan_tasks(methods, data, tracks, noises)]


def _make_cell(
    method: PlannedMethod, data: PlannedDataset, sample: str, track: str, noise: Noise
) -> Cell:
    return Cell(
        method=method.id.label,
        method_name=method.id.name,
        checkpoint=method.id.checkpoint,
        parameters=method.id.parameters_json(),
        method_version=method.version,
        weights=method.weights,
        dataset=data.id.label,
        dataset_name=data.id.name,
        sample=sample,
        data=data.fingerprints[sample],
        track=track,
        noise=noise,
    )
