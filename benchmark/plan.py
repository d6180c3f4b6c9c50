"""From names to cells: methods x data set x noise x tracks x samples."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmark import control_records
from benchmark.api import (
    DataError,
    Dataset,
    Method,
    MethodCard,
    PlannedPictures,
    Precision,
    UsageError,
)
from benchmark.cells import Cell, Task, combine_fingerprints
from benchmark.checkpoints import (
    NOISE_TRAINED,
    PHOTOGRAPH_TAG,
    Checkpoint,
    CheckpointCatalogue,
)
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.noise import SAME, Noise
from benchmark.precision import require_bf16
from benchmark.registry import (
    DATASETS,
    GROUPS,
    METHODS,
    build_plugin,
    create,
    describe_parameters,
    list_checkpoints,
    needs_parameters,
)
from benchmark.source_digest import add_digests, fingerprint_sample
from benchmark.spec import ResolvedId, Spec, parse_ids

_PRECISION = "precision"
"""The parameter of methods that can compute in several."""
_FINGERPRINT_BATCHES = 500


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedMethod:
    """A method of the plan, built once to read its card and the hash of its weights."""

    id: ResolvedId
    card: MethodCard
    version: str
    weights: str | None

    def identity(self) -> tuple[str | None, ...]:
        """Return what makes its cells other cells than those of another method."""
        id_ = self.id
        return id_.name, id_.checkpoint, id_.parameters_json(), self.version, self.weights


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
    texts: Iterable[str],
    note: Callable[[str], None] = lambda _: None,
    precision: Precision = "32",
) -> list[PlannedMethod]:
    """Return the methods that ids and groups name, each once, in the order named.

    Args:
        texts: ids, groups, or comma lists of them.
        note: told of each method that a group leaves out because it cannot be loaded or built here,
            and which methods do not compute in the precision.
        precision: as `choose_precision`.

    Raises:
        UsageError: unknown names or parameters; a method named itself that cannot be built; a group
            that is empty.
    """
    catalogue = CheckpointCatalogue.of_user()
    methods: dict[str, PlannedMethod] = {}
    for spec in parse_ids(texts):
        if spec.name in GROUPS:
            members = _plan_group(spec, catalogue, note, precision)
        else:
            members = [_plan_method(spec, catalogue, precision)]
        for method in members:
            first = methods.setdefault(method.id.label, method)
            _require_same(first, method)
    note_precision({label: method.card for label, method in methods.items()}, precision, note)
    return list(methods.values())


def select_restoring_methods(
    texts: Iterable[str],
    note: Callable[[str], None] = lambda _: None,
    precision: Precision = "32",
) -> list[PlannedMethod]:
    """Return the same without pictures made elsewhere, which are noted: for studies of what a
    method does, and how long it takes.

    Raises:
        UsageError: as `select_methods`, or if no method is left.
    """
    methods = select_methods(texts, note, precision)
    restoring_methods = [method for method in methods if not method.card.made_elsewhere]
    for method in methods:
        if method.card.made_elsewhere:
            note(f"left out: {method.id.label}, pictures that were made elsewhere")
    if not restoring_methods:
        raise UsageError("pictures that were made elsewhere can be used with `run` only")
    return restoring_methods


def _require_same(first: PlannedMethod, second: PlannedMethod) -> None:
    """Raise UsageError for two methods of one label that are not the same."""
    if first.identity() != second.identity():
        raise UsageError(
            f"two different methods are called {first.id.label!r}; give one of them another name="
        )


def choose_precision(spec: Spec, precision: Precision) -> Spec:
    """Return an id with the precision as its parameter: where it says none itself, and the method
    has the parameter.

    Raises:
        UsageError: an unknown name.
    """
    if precision == "32" or _PRECISION in spec.parameters:
        return spec
    if _PRECISION not in describe_parameters(METHODS.get(spec.name)):
        return spec
    return dataclasses.replace(spec, parameters={**spec.parameters, _PRECISION: precision})


def note_precision(
    cards: Mapping[str, MethodCard], precision: Precision, note: Callable[[str], None]
) -> None:
    """Say in one line which methods do not compute in bfloat16 where that was asked for.

    Args:
        cards: label -> card of every method.
        precision: what was asked for.
        note: told the line.
    """
    others = [label for label, card in cards.items() if card.precision != precision]
    if precision == "bf16" and others:
        note(f"run as they are, not in bfloat16: {', '.join(others)}")


def require_precisions(methods: Iterable[PlannedMethod], device: str) -> None:
    """Raise UsageError if a method is to compute in a precision that the device ("auto", "cpu" or
    "cuda") does not have.
    """
    for method in methods:
        if method.card.precision == "bf16":
            require_bf16(method.id.label, device)


def _plan_method(spec: Spec, catalogue: CheckpointCatalogue, precision: Precision) -> PlannedMethod:
    spec = choose_precision(spec, precision)
    method, resolved_id = create(METHODS, spec, catalogue=catalogue)
    version = add_digests(type(method).version, type(method), resolved_id.arguments)
    card = _add_control(method.card, resolved_id)
    return PlannedMethod(resolved_id, card, version, method.weights_hash())


def _add_control(card: MethodCard, resolved_id: ResolvedId) -> MethodCard:
    """Return a card that says what `control` has told of imported weights in this very method."""
    checkpoint = resolved_id.arguments.get("checkpoint")
    if not isinstance(checkpoint, Checkpoint) or checkpoint.card.expected is None:
        return card
    control = control_records.describe_control(checkpoint.path, resolved_id.label)
    return dataclasses.replace(card, control=control)


def _plan_group(
    group: Spec,
    catalogue: CheckpointCatalogue,
    note: Callable[[str], None],
    precision: Precision,
) -> list[PlannedMethod]:
    if group.parameters or group.checkpoint:
        raise UsageError(f"{group}: a group takes no parameters; name the methods instead")
    members: list[PlannedMethod] = []
    for name in METHODS.names():
        try:
            kind = METHODS.get(name)
            specs = _list_group_members(group.name, name, kind)
            own_members = [_plan_method(spec, catalogue, precision) for spec in specs]
            members += own_members
            for spec in _list_companions(group.name, kind, own_members, catalogue):
                members.append(_plan_method(spec, catalogue, precision))
        except UsageError as error:
            note(f"left out of {group.name!r}: {error}")
    if not members:
        raise UsageError(
            f"no registered method is in the group {group.name!r}; `list methods` shows what there "
            "is"
        )
    return members


def _list_group_members(group: str, name: str, kind: type[Method]) -> list[Spec]:
    if needs_parameters(kind):
        return []
    if group == "all" or kind.card.family == group:
        return [Spec(name)]
    members: list[Spec] = []
    for text in kind.variants.get(group, ()):
        members += parse_ids([f"{name}:{text}"])
    return members


def _list_companions(
    group: str,
    kind: type[Method],
    members: Sequence[PlannedMethod],
    catalogue: CheckpointCatalogue,
) -> list[Spec]:
    """Return further weights of a method that a group needs beside its members.

    Beside the default weights these are their noise-trained form, which is a row of tables with
    noise, and those for photographs; beside ablations, the whole network of their own family and
    budget, without which nothing can be said of them.
    """
    if not members:
        return []
    name = members[0].id.name
    tags = list_checkpoints(kind, name, catalogue)
    if group in kind.variants:
        families = {_find_family(member.id.checkpoint, tags) for member in members}
        return [Spec(name, tag) for tag in sorted(filter(None, families))]
    if group == "all" or kind.card.family == group:
        companions = (f"{members[0].id.checkpoint}{NOISE_TRAINED}", PHOTOGRAPH_TAG)
        return [Spec(name, tag) for tag in companions if tag in tags]
    return []


def _find_family(tag: str | None, tags: Iterable[str]) -> str | None:
    """Return the weights that an ablation was trained beside: `sim-26-0` of `sim-26-0-sram`; None
    for none. Budget and seed follow a name as numbers: `sim-26-0-sram` is no ablation of `sim`.
    """
    if tag is None:
        return None
    families = [
        other
        for other in tags
        if tag.startswith(f"{other}-") and not tag.removeprefix(f"{other}-")[0].isdigit()
    ]
    return max(families, key=len, default=None)


def select_dataset(
    text: str,
    root: Path,
    limit: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> PlannedDataset:
    """Return a data set with the fingerprints of its first `limit` samples (None: all).

    Args:
        text: id of the data set.
        root: the folder that holds the data sets.
        limit: samples at most.
        note: told what the data set left out or assumed.

    Raises:
        UsageError: unknown name or parameter.
        DataError: missing or damaged data.
    """
    from joblib import Parallel, delayed

    dataset, resolved_id = create(DATASETS, text, root=root)
    for line in dataset.remarks:
        note(f"{resolved_id.name}: {line}")
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
    # lock. Many at a time where there are very many, or handing them out takes longest.
    batch_size = max(1, len(samples) // _FINGERPRINT_BATCHES)
    fingerprints = Parallel(n_jobs=-1, prefer="threads", batch_size=batch_size)(
        delayed(fingerprint_sample)(dataset, sample) for sample in samples
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


def pair_methods(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    tracks: Iterable[Track],
    noises: Sequence[Noise],
    note: Callable[[str], None] = lambda _: None,
) -> list[PlannedMethod]:
    """Return the methods, those whose pictures were made elsewhere paired with the chosen samples.

    Args:
        methods: as `select_methods` gives them.
        data: the data set with the chosen samples.
        tracks: input tracks of the run.
        noises: noise levels of the run.
        note: told what was assumed in pairing.

    Raises:
        DataError: pictures that are missing, or do not fit.
    """
    if not any(method.card.made_elsewhere for method in methods):
        return list(methods)
    pictures = _list_planned_pictures(data, tracks, noises)
    return [_pair_method(method, pictures, note) for method in methods]


def _list_planned_pictures(
    data: PlannedDataset, tracks: Iterable[Track], noises: Sequence[Noise]
) -> PlannedPictures:
    track_of_id = {track.id: track for track in tracks}
    sizes = {}
    for sample in data.fingerprints:
        size = data.dataset.picture_size(sample)
        sizes[sample] = {id_: track.fitted_size(size) for id_, track in track_of_id.items()}
    return PlannedPictures(
        dataset=data.id.label,
        samples=tuple(data.dataset.ids()),
        sizes=sizes,
        sigmas=tuple(sorted({noise.sigma for noise in noises})),
    )


def _pair_method(
    method: PlannedMethod, pictures: PlannedPictures, note: Callable[[str], None]
) -> PlannedMethod:
    if not method.card.made_elsewhere:
        return method
    pairs = build_plugin(METHODS, method.id).pair_pictures(pictures)
    if pairs is None:
        raise UsageError(f"{method.id.label}: its card says made_elsewhere, but it pairs no files")
    for remark in pairs.remarks:
        note(f"{method.id.label}: {remark}")
    id_ = dataclasses.replace(method.id, arguments={**method.id.arguments, "pairs": pairs})
    paired_method = build_plugin(METHODS, id_)
    card = paired_method.card
    if pairs.remarks:  # the cards of a run keep what was assumed
        notes = f"{card.notes} Of this run: {'; '.join(pairs.remarks)}.".strip()
        card = dataclasses.replace(card, notes=notes)
    return dataclasses.replace(method, id=id_, card=card, weights=paired_method.weights_hash())


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
    templates = [
        (method, method.id.parameters_json(), track, noise.of_inputs(method.card.inputs))
        for track, noise, method in itertools.product(track_ids, _list_levels(noises), methods)
    ]
    tasks: list[Task] = []
    for sample in data.fingerprints:
        for method, parameters, track, noise in templates:
            cell = _make_cell(method, parameters, data, sample, track, noise)
            tasks.append(Task(cell, method.id, data.id))
    return tasks


def _list_levels(noises: Iterable[Noise]) -> list[Noise]:
    """Return the noise levels in canonical form, each once, all with one reading of what sigma is
    of where there are views: tables have one row for a method at a level.
    """
    levels = [noise.canonical() for noise in noises]
    readings = {level.on_views or SAME for level in levels if level.sigma}
    if len(readings) > 1:
        raise UsageError(
            f"noise on views: {' and '.join(sorted(readings))} in one run; choose one of them"
        )
    reading = readings.pop() if readings else SAME
    return list(dict.fromkeys(dataclasses.replace(level, on_views=reading) for level in levels))


def list_cells(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    tracks: Iterable[Track],
    noises: Sequence[Noise],
) -> list[Cell]:
    """Return every cell of the plan, in the order of `plan_tasks`."""
    return [task.cell for task in plan_tasks(methods, data, tracks, noises)]


def _make_cell(
    method: PlannedMethod,
    parameters: str,
    data: PlannedDataset,
    sample: str,
    track: str,
    noise: Noise,
) -> Cell:
    return Cell(
        method=method.id.label,
        method_name=method.id.name,
        checkpoint=method.id.checkpoint,
        parameters=parameters,
        method_version=method.version,
        weights=method.weights,
        dataset=data.id.label,
        dataset_name=data.id.name,
        sample=sample,
        data=data.fingerprints[sample],
        track=track,
        noise=noise,
    )
