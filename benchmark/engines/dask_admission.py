"""Whether a worker of Dask may take part in a command, and what it lacks.

Versions, weights and data that differ from the command's would give other numbers. A worker that
differs is refused, with the reason; files that it lacks are brought to it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import provenance
from benchmark.api import BenchmarkError
from benchmark.cells import Task
from benchmark.checkpoints import Checkpoint, CheckpointCatalogue
from benchmark.engines import WorkItem
from benchmark.engines.gpus import list_gpus
from benchmark.files import hash_file
from benchmark.registry import DATASETS, resolve_id
from benchmark.run_lock import HOLDER_NAME
from benchmark.source_digest import list_plugin_files
from benchmark.spec import ResolvedId
from benchmark.worker import RunSettings


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file that a command needs on every worker, with what it needs beside it.

    Attributes:
        path: of the file where the command runs.
        digests: name below the file's folder -> SHA-256.
        checkpoint: method and tag, where it is a checkpoint: a worker may have it elsewhere, and
            must have no other by that name.
    """

    path: Path
    digests: Mapping[str, str]
    checkpoint: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a worker is inspected for.

    Attributes:
        environment: of the command, as `provenance.describe_environment` gives it.
        allow_mixed: whether other versions are recorded instead of refused.
        parcels: the files that are needed.
        probe: a file of the run folder, to see whether the folder is shared; None if there is none.
        uses_gpus: whether tasks may use GPUs.
    """

    environment: Mapping[str, Any]
    allow_mixed: bool
    parcels: Sequence[Parcel]
    probe: Parcel | None
    uses_gpus: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen on a worker.

    Attributes:
        refusal: why it may not take part, if so.
        differences: what else differs.
        shares_folder: whether it sees the run folder.
        missing_parcels: numbers of the parcels it lacks.
        cores: numbers of the processors it may use.
        gpus: the GPUs it may use, where tasks use any.
    """

    refusal: str | None
    differences: str | None
    shares_folder: bool
    missing_parcels: Sequence[int]
    cores: frozenset[int]
    gpus: Sequence[str]


def make_probe(folder: Path) -> Parcel | None:
    """Return what only this command's run folder holds: the file that says who holds its lock."""
    try:
        return _make_parcel(folder / HOLDER_NAME)
    except OSError:
        return None


def make_portable(item: WorkItem, settings: RunSettings) -> WorkItem:
    """Return an item that means the same in another working folder.

    Args:
        item: of the command.
        settings: with absolute paths.
    """
    if not isinstance(item, Task):
        return item
    dataset = item.dataset
    if dataset is None:  # the cell comes from a store
        dataset = _resolve_stored_dataset(item.cell.dataset, settings.root)
    method = item.method
    if method is not None:
        method = _make_paths_absolute(method)
    if dataset is not None:
        dataset = _make_paths_absolute(dataset)
    return dataclasses.replace(item, method=method, dataset=dataset)


@functools.lru_cache(maxsize=16)
def _resolve_stored_dataset(id_: str, root: Path) -> ResolvedId | None:
    """Return what a data set's id means here, None where it means nothing; the worker says why."""
    try:
        return resolve_id(DATASETS, id_, root=root)
    except BenchmarkError:
        return None


def _make_paths_absolute(id_: ResolvedId) -> ResolvedId:
    arguments = dict(id_.arguments)
    for name, value in id_.arguments.items():
        if isinstance(value, Path):
            arguments[name] = value.expanduser().absolute()
        elif isinstance(value, Checkpoint):
            arguments[name] = dataclasses.replace(value, path=value.path.absolute())
    return dataclasses.replace(id_, arguments=arguments)


def list_parcels(items: Iterable[WorkItem], settings: RunSettings) -> list[Parcel]:
    """Return the files that the items of a command need beside the data.

    Args:
        items: of the command.
        settings: with absolute paths.
    """
    parcels = [_make_plugin_parcel(path) for path in settings.plugins]
    if settings.lpips_trunk is not None:
        parcels.append(_make_parcel(settings.lpips_trunk))
    checkpoints: dict[Path, Checkpoint] = {}
    for item in items:
        if isinstance(item, Task) and item.method is not None:
            checkpoint = item.method.arguments.get("checkpoint")
            if isinstance(checkpoint, Checkpoint):
                path = checkpoint.path.absolute()
                checkpoints[path] = dataclasses.replace(checkpoint, path=path)
    parcels.extend(map(_make_checkpoint_parcel, checkpoints.values()))
    return parcels


def _make_parcel(path: Path, checkpoint: tuple[str, str] | None = None) -> Parcel:
    return Parcel(path, {path.name: hash_file(path)}, checkpoint)


def _make_checkpoint_parcel(checkpoint: Checkpoint) -> Parcel:
    return _make_parcel(checkpoint.path, (checkpoint.method, checkpoint.tag))


def _make_plugin_parcel(path: Path) -> Parcel:
    files = list_plugin_files(path)
    names = {file: file.relative_to(path.parent).as_posix() for file in files}
    return Parcel(path, {names[file]: hash_file(file) for file in files})


def inspect_worker(requirements: Requirements) -> Inspection:
    """Compare this worker with what a command needs."""
    differences = compare_environments(requirements.environment, provenance.describe_environment())
    other_versions = {name: text for name, text in differences.items() if name != "processor"}
    refusals: list[str] = []
    if other_versions and not requirements.allow_mixed:
        refusals.append(
            f"{', '.join(other_versions.values())}; install the same there, or use --allow-mixed, "
            "which records it"
        )
    missing_parcels: list[int] = []
    for number, parcel in enumerate(requirements.parcels):
        try:
            if find_parcel(parcel) is None:
                missing_parcels.append(number)
        except OtherWeightsError as error:
            refusals.append(str(error))
    return Inspection(
        refusal="; ".join(refusals) or None,
        differences=", ".join(differences.values()) or None,
        shares_folder=_sees_folder(requirements),
        missing_parcels=missing_parcels,
        cores=_list_cores(),
        gpus=list_gpus() if requirements.uses_gpus else (),
    )


def _sees_folder(requirements: Requirements) -> bool:
    return requirements.probe is not None and find_parcel(requirements.probe) is not None


def compare_environments(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> how two environments differ in it."""
    names = dict.fromkeys((*expected, *actual))
    return {
        name: f"{name} {actual.get(name)} there, {expected.get(name)} here"
        for name in names
        if expected.get(name) != actual.get(name)
    }


class OtherWeightsError(Exception):
    """A worker has other weights under the name of those that are needed."""


def find_parcel(parcel: Parcel) -> Path | None:
    """Return where the file of a parcel lies here, with all it needs, None if it does not.

    Raises:
        OtherWeightsError: another checkpoint has its name.
    """
    candidates = [parcel.path]
    if parcel.checkpoint is not None:
        method, tag = parcel.checkpoint
        own_checkpoint = CheckpointCatalogue.of_user().of_method(method).get(tag)
        if own_checkpoint is not None:
            candidates.append(own_checkpoint.path.absolute())
    candidates = [path for path in candidates if path.is_file()]
    for path in candidates:
        if _has_contents(path.parent, path.name, parcel):
            return path
    if candidates and parcel.checkpoint is not None:
        raise OtherWeightsError(
            f"{candidates[-1]} is another {'.'.join(parcel.checkpoint)} than the command's; move "
            "it away there, or copy the command's"
        )
    return None


def _has_contents(folder: Path, file_name: str, parcel: Parcel) -> bool:
    for name, digest in parcel.digests.items():
        own_name = file_name if name == parcel.path.name else name
        try:
            if hash_file(folder / own_name) != digest:
                return False
        except OSError:
            return False
    return True


def _list_cores() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
