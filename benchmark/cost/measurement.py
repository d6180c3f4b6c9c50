"""One cost pass over some methods: counts, seconds and memory, kept in one folder.

`cost.json` says what the last command asked for and counted, `samples.jsonl` holds every
restoration of every command. The same command again measures only the rounds that are missing; what
was measured under other circumstances (see `timing.TimingSubject`) stays in the file and is not
shown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark import console, provenance, runner
from benchmark.api import DataError, UsageError
from benchmark.apply import describe_error, resolve_device
from benchmark.cost import mosaic, published, timing
from benchmark.cost.counting import NetworkCount, count_network
from benchmark.cost.published import PublishedCost
from benchmark.cost.timing import TimingSubject, Trial, TrialFile
from benchmark.files import replace_file
from benchmark.plan import PlannedMethod
from benchmark.registry import METHODS, create, list_checkpoint_files
from benchmark.version import __version__

RECORD_FILE, SAMPLES_FILE = "cost.json", "samples.jsonl"
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
    subjects = [
        s
        for method in methods
        for s in _list_subjects(method, size, threads or runner.count_cores(), device)
    ]
    names = {method.id.name for method in methods}
    figures = [
        figure
        for figure in published.read_published_costs()
        if figure.method.partition(":")[0] in names
    ]
    asked = [(method.id.label, size) for method in methods]
    meant = [(figure.method, PictureSize(*published.PUBLISHED_SIZE)) for figure in figures]
    wanted = list(dict.fromkeys(asked + meant))
    counted = {
        key: _count_method(*key) for key in console.track_progress(wanted, len(wanted), "counting")
    }
    record = CostRecord(
        size=size,
        subjects=subjects,
        counts={key[0]: counted[key] for key in asked},
        published=figures,
        references={key[0]: counted[key] for key in meant},
        provenance=provenance.collect_provenance(plugins=provenance.hash_files(plugins)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / RECORD_FILE) as file:
        file.write(RECORD_ADAPTER.dump_json(record, indent=1))
    _measure_missing_rounds(record, TrialFile(folder / SAMPLES_FILE), rounds, plugins, timeout)


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
    wanted = set(record.subjects)
    return record, [
        trial for trial in TrialFile(folder / SAMPLES_FILE).read() if trial.subject in wanted
    ]


def _measure_missing_rounds(
    record: CostRecord,
    trials: TrialFile,
    rounds: int,
    plugins: Sequence[Path],
    timeout: float | None,
) -> None:
    done = timing.count_rounds(trials.read())
    lacking = [rounds - done[subject] + 1 for subject in record.subjects if done[subject] < rounds]
    if not lacking:
        return
    scene = mosaic.make_mosaic(record.size.width, record.size.height)
    taken = timing.time_methods(
        record.subjects, scene, rounds=rounds, done=done, plugins=plugins, timeout=timeout
    )
    for trial in console.track_progress(taken, sum(lacking), "measuring"):
        trials.append(trial)


def _list_subjects(
    method: PlannedMethod, size: PictureSize, threads: int, device: str
) -> list[TimingSubject]:
    facts = {
        "method": method.id.label,
        "version": method.version,
        "weights": method.weights,
        "size": str(size),
        "processor": provenance.describe_machine()["processor"],
        "threads": threads,
        "libraries": ", ".join(
            f"{name} {version}" for name, version in provenance.list_versions(_LIBRARIES).items()
        ),
        "suite": _suite_version(),
    }
    return [
        TimingSubject(**facts, device=where, gpu=_gpu_name() if where == "cuda" else None)  # type: ignore[arg-type]
        for where in _list_devices(device, method.card.family == "learned")
    ]


def _list_devices(device: str, learned: bool) -> list[str]:
    """Return where a method is measured: on the CPU, and unless told otherwise on a GPU too if it
    can use one.
    """
    found = resolve_device(device, learned)
    return ["cpu", "cuda"] if device == "auto" and found == "cuda" else [found]


@functools.cache
def _gpu_name() -> str:
    import torch

    return str(torch.cuda.get_device_name())


@functools.cache
def _suite_version() -> str:
    state = provenance.read_git_state(Path(__file__).parents[2])
    return __version__ + (f" at {state['commit'][:12]}" if state else "")


def _count_method(text: str, size: PictureSize) -> MethodCounts:
    try:
        method, id_ = create(METHODS, text)
        network = method.network()
        forms = (
            {}
            if network is None
            else {
                form: count_network(network, form, size.height, size.width)
                for form in network.forms
            }
        )
        size_of_weights = None
        if id_.checkpoint is not None:
            size_of_weights = list_checkpoint_files(id_.name)[id_.checkpoint].stat().st_size
        return MethodCounts(forms, size_of_weights)
    except Exception as error:  # a plug-in may raise anything; the others are counted all the same
        return MethodCounts(problem=describe_error(error))
