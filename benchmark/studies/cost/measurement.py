"""One cost pass over some methods: counts, seconds and memory, kept in one folder.

`cost.json` says what the last command asked for and counted, `samples.jsonl` holds every
restoration of every command. The same command again measures only the rounds that are missing; what
was measured under other circumstances (see `timing.TimingSubject`) stays in the file and is not
shown.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark import console, provenance
from benchmark.api import DataError, UsageError
from benchmark.apply import describe_error, resolve_device
from benchmark.engines.local import count_cores
from benchmark.files import PACKAGE_FOLDER, replace_file
from benchmark.plan import PlannedMethod
from benchmark.registry import METHODS, build_plugin, list_checkpoint_files, resolve_id
from benchmark.spec import ResolvedId, Spec, parse_id
from benchmark.studies.cost import mosaic, published, timing
from benchmark.studies.cost.counting import NetworkCount, count_network
from benchmark.studies.cost.published import PublishedCost
from benchmark.studies.cost.timing import TimingSubject, Trial, TrialFile
from benchmark.version import __version__

RECORD_FILE = "cost.json"
SAMPLES_FILE = "samples.jsonl"
_LIBRARIES = ("torch", "numpy", "scipy", "numba", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Size of a picture in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class MethodCounts:
    """A method's counts.

    Attributes:
        forms: name of a form of its network -> count; empty without a network.
        checkpoint_bytes: size of its file of weights, None without one.
        problem: why it could not be counted; empty if it could, or has no network.
    """

    forms: Mapping[str, NetworkCount] = field(default_factory=dict)
    checkpoint_bytes: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CostRecord:
    """What one command asked for and counted.

    Attributes:
        size: of the picture.
        subjects: what was to be measured.
        counts: id of a method -> its counts, in the order asked for.
        published: the printed figures of these methods.
        references: id of a method in `published` -> its counts for a picture of
            `published.PUBLISHED_SIZE`.
        provenance: of the command.
    """

    size: PictureSize
    subjects: Sequence[TimingSubject]
    counts: Mapping[str, MethodCounts]
    published: Sequence[PublishedCost]
    references: Mapping[str, MethodCounts]
    provenance: Mapping[str, Any]

    def find_counted_ids(self, methods: Iterable[str]) -> dict[str, str]:
        """Return method -> the id whose counts and seconds are those of the method.

        That is the method's own, else that of the same network with other weights: neither
        operations nor seconds depend on their values. Methods without one are left out.
        """
        counted_ids = {method: self._find_counted_id(method) for method in methods}
        return {method: counted_id for method, counted_id in counted_ids.items() if counted_id}

    def _find_counted_id(self, method: str) -> str | None:
        if method in self.counts:
            return method
        network = _identify_network(method)
        if network is None:
            return None
        for counted_id, counts in self.counts.items():
            if counts.forms and _identify_network(counted_id) == network:
                return counted_id
        return None


def _identify_network(method: str) -> Spec | None:
    """Return an id without its checkpoint; None for a name that pictures of others have."""
    try:
        return dataclasses.replace(parse_id(method), checkpoint=None)
    except UsageError:
        return None


RECORD_ADAPTER = TypeAdapter(CostRecord)


def parse_picture_size(text: str) -> PictureSize:
    """Return the size that "1680x1120" (width x height) names.

    Raises:
        UsageError: for any other text, or a side of no pixels.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT in pixels, e.g. 1680x1120")
    return PictureSize(int(match[1]), int(match[2]))


def measure_costs(
    methods: Sequence[PlannedMethod],
    size: PictureSize,
    folder: Path,
    *,
    rounds: int,
    threads: int = 0,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    timeout: float | None = None,
) -> None:
    """Count and measure methods, and keep what is found in `folder`, as it is found.

    Args:
        methods: as `plan.select_methods` gives them.
        size: of the picture.
        folder: is made if it is not there.
        rounds: how many timed restorations every method is to have; 0 only counts.
        threads: that numerical libraries may use; 0 for one per core.
        device: "cpu" or "cuda" for learned methods, or "auto" for both where there is a GPU.
        plugins: plug-in files that define methods.
        timeout: seconds a restoration may take.
    """
    threads = threads or count_cores()
    subjects: list[TimingSubject] = []
    for method in methods:
        subjects += _list_subjects(method, size, threads, device)
    figures = _published_costs_of(methods)
    labels = [method.id.label for method in methods]
    reference_labels = [figure.method for figure in figures]
    published_size = PictureSize(*published.PUBLISHED_SIZE)
    pairs = [(label, size) for label in labels]
    pairs += [(label, published_size) for label in reference_labels]
    pairs = list(dict.fromkeys(pairs))
    ids = {method.id.label: method.id for method in methods}
    counts = {
        (label, picture_size): _count_method(ids.get(label, label), picture_size)
        for label, picture_size in console.track_progress(pairs, len(pairs), "counting")
    }
    record = CostRecord(
        size=size,
        subjects=subjects,
        counts={label: counts[label, size] for label in labels},
        published=figures,
        references={label: counts[label, published_size] for label in reference_labels},
        provenance=provenance.collect_provenance(plugins=provenance.hash_files(plugins)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / RECORD_FILE) as file:
        file.write(RECORD_ADAPTER.dump_json(record, indent=1))
    trial_file = TrialFile(folder / SAMPLES_FILE)
    _measure_missing_rounds(record, trial_file, rounds, ids, plugins, timeout)


def _published_costs_of(methods: Sequence[PlannedMethod]) -> list[PublishedCost]:
    """Return the printed figures of methods; those of a name stand for all its variants."""
    names = {method.id.name for method in methods}
    costs = published.read_published_costs()
    return [cost for cost in costs if cost.method.partition(":")[0] in names]


def read_cost_pass(folder: Path) -> tuple[CostRecord, list[Trial]]:
    """Return what the last command asked for, and its samples, also those that earlier commands
    took.

    Raises:
        UsageError: if there is no cost pass in the folder.
        DataError: if its files are damaged.
    """
    path = folder / RECORD_FILE
    try:
        record = RECORD_ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder}: no cost pass here (no {RECORD_FILE}); name methods with --methods"
        ) from error
    except ValidationError as error:
        raise DataError(f"{path}: damaged, or of another version; run `cost` again") from error
    subjects = set(record.subjects)
    trials = TrialFile(folder / SAMPLES_FILE).read()
    return record, [trial for trial in trials if trial.subject in subjects]


def _measure_missing_rounds(
    record: CostRecord,
    trial_file: TrialFile,
    rounds: int,
    ids: Mapping[str, ResolvedId],
    plugins: Sequence[Path],
    timeout: float | None,
) -> None:
    rounds_before = timing.count_rounds(trial_file.read())
    restorations = 0
    for subject in record.subjects:
        if rounds_before[subject] < rounds:
            restorations += 1 + rounds - rounds_before[subject]  # the warm-up is one more
    if not restorations:
        return
    scene = mosaic.make_mosaic(record.size.width, record.size.height)
    trials = timing.time_methods(
        record.subjects,
        scene,
        rounds=rounds,
        rounds_before=rounds_before,
        ids=ids,
        plugins=plugins,
        timeout=timeout,
    )
    for trial in console.track_progress(trials, restorations, "measuring"):
        trial_file.append(trial)


def _list_subjects(
    method: PlannedMethod, size: PictureSize, threads: int, device: str
) -> list[TimingSubject]:
    versions = provenance.list_versions(_LIBRARIES)
    facts = {
        "method": method.id.label,
        "version": method.version,
        "weights": method.weights,
        "size": str(size),
        "processor": provenance.describe_machine()["processor"],
        "threads": threads,
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "suite": _suite_version(),
    }
    subjects = []
    for device_name in _list_devices(device, method.card.family == "learned"):
        gpu = _gpu_name() if device_name == "cuda" else None
        subjects.append(TimingSubject(**facts, device=device_name, gpu=gpu))  # type: ignore[arg-type]
    return subjects


def _list_devices(device: str, uses_network: bool) -> list[str]:
    """Return where a method is measured: on the CPU, and unless told otherwise on a GPU too if it
    can use one.
    """
    fastest = resolve_device(device, uses_network)
    if device == "auto" and fastest == "cuda":
        return ["cpu", "cuda"]
    return [fastest]


@functools.cache
def _gpu_name() -> str:
    import torch

    return str(torch.cuda.get_device_name())


@functools.cache
def _suite_version() -> str:
    state = provenance.read_git_state(PACKAGE_FOLDER.parent)
    if not state:
        return __version__
    return f"{__version__} at {state['commit'][:12]}"


def _count_method(method_id: ResolvedId | str, size: PictureSize) -> MethodCounts:
    try:
        id_ = resolve_id(METHODS, method_id) if isinstance(method_id, str) else method_id
        method = build_plugin(METHODS, id_)
        network = method.network()
        forms = {}
        if network is not None:
            for form in network.forms:
                forms[form] = count_network(network, form, size.height, size.width)
        size_of_weights = None
        if id_.checkpoint is not None:
            size_of_weights = list_checkpoint_files(id_.name)[id_.checkpoint].stat().st_size
        return MethodCounts(forms, size_of_weights)
    except Exception as error:  # a plug-in may raise anything; the others are counted all the same
        return MethodCounts(problem=describe_error(error))
