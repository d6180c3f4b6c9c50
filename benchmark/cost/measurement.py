"""One cost pass over some methods: counts, seconds and memory, kept in one folder.

`cost.json` says what the last command asked for and counted, `samples.jsonl` holds every
restoration of every command. The same command again measures only the rounds that are missing; what
was measured under other circumstances (see `timing.Subject`) stays in the file and is not shown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark import __version__, console, imageio, provenance, runner
from benchmark.api import DataError, UsageError
from benchmark.cost import mosaic, published, timing
from benchmark.cost.counting import Count, count
from benchmark.cost.published import Published
from benchmark.cost.timing import Subject, Trial, Trials
from benchmark.plan import PlannedMethod
from benchmark.registry import METHODS, create
from benchmark.worker import brief, resolve_device

RECORD, SAMPLES = "cost.json", "samples.jsonl"
_LIBRARIES = ("torch", "numpy", "scipy", "numba", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a picture in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Counted:
    """A method's counts.

    Attributes:
        forms: name of a form of its network -> count; empty without a network.
        checkpoint_bytes: size of its file of weights, None without one.
        problem: why it could not be counted; empty if it could, or has no network.
    """

    forms: Mapping[str, Count] = field(default_factory=dict)
    checkpoint_bytes: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What one command asked for and counted.

    Attributes:
        size: of the picture.
        subjects: what was to be measured.
        counts: id of a method -> its counts, in the order asked for.
        published: the printed figures of these methods.
        references: id of a method in `published` -> its counts for a picture of `published.SIZE`.
        provenance: of the command.
    """

    size: Size
    subjects: Sequence[Subject]
    counts: Mapping[str, Counted]
    published: Sequence[Published]
    references: Mapping[str, Counted]
    provenance: Mapping[str, Any]


_RECORD = TypeAdapter(Record)


def parse_size(text: str) -> Size:
    """Return the size that "1680x1120" (width x height) names.

    Raises:
        UsageError: for any other text, or a side of no pixels.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT in pixels, e.g. 1680x1120")
    return Size(int(match[1]), int(match[2]))


def run(
    methods: Sequence[PlannedMethod],
    size: Size,
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
        s for method in methods for s in _subjects(method, size, threads or runner.cores(), device)
    ]
    names = {method.id.name for method in methods}
    figures = [figure for figure in published.read() if figure.method.partition(":")[0] in names]
    asked = [(method.id.label, size) for method in methods]
    meant = [(figure.method, Size(*published.SIZE)) for figure in figures]
    wanted = list(dict.fromkeys(asked + meant))
    counted = {key: _counted(*key) for key in console.track(wanted, len(wanted), "counting")}
    record = Record(
        size=size,
        subjects=subjects,
        counts={key[0]: counted[key] for key in asked},
        published=figures,
        references={key[0]: counted[key] for key in meant},
        provenance=provenance.collect(plugins=provenance.file_hashes(plugins)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with imageio.replacing(folder / RECORD) as file:
        file.write(_RECORD.dump_json(record, indent=1))
    _measure(record, Trials(folder / SAMPLES), rounds, plugins, timeout)


def read(folder: Path) -> tuple[Record, list[Trial]]:
    """Return what the last command asked for, and its samples, also those that earlier commands
    took.

    Raises:
        UsageError: if there is no cost pass in the folder.
        DataError: if its files are damaged.
    """
    path = folder / RECORD
    try:
        record = _RECORD.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder}: no cost pass here (no {RECORD}); name methods with --methods"
        ) from error
    except ValidationError as error:
        raise DataError(f"{path}: damaged, or of another version; run `cost` again") from error
    wanted = set(record.subjects)
    return record, [trial for trial in Trials(folder / SAMPLES).read() if trial.subject in wanted]


def _measure(
    record: Record, trials: Trials, rounds: int, plugins: Sequence[Path], timeout: float | None
) -> None:
    done = timing.rounds_done(trials.read())
    lacking = [rounds - done[subject] + 1 for subject in record.subjects if done[subject] < rounds]
    if not lacking:
        return
    scene = mosaic.mosaic(record.size.width, record.size.height)
    taken = timing.measure(
        record.subjects, scene, rounds=rounds, done=done, plugins=plugins, timeout=timeout
    )
    for trial in console.track(taken, sum(lacking), "measuring"):
        trials.append(trial)


def _subjects(method: PlannedMethod, size: Size, threads: int, device: str) -> list[Subject]:
    facts = {
        "method": method.id.label,
        "version": method.version,
        "weights": method.weights,
        "size": str(size),
        "processor": provenance.machine()["processor"],
        "threads": threads,
        "libraries": ", ".join(
            f"{name} {version}" for name, version in provenance.versions(_LIBRARIES).items()
        ),
        "suite": _suite(),
    }
    return [
        Subject(**facts, device=where, gpu=_gpu() if where == "cuda" else None)  # type: ignore[arg-type]
        for where in _devices(device, method.card.family == "learned")
    ]


def _devices(device: str, learned: bool) -> list[str]:
    """Return where a method is measured: on the CPU, and unless told otherwise on a GPU too if it
    can use one.
    """
    found = resolve_device(device, learned)
    return ["cpu", "cuda"] if device == "auto" and found == "cuda" else [found]


@functools.cache
def _gpu() -> str:
    import torch

    return str(torch.cuda.get_device_name())


@functools.cache
def _suite() -> str:
    state = provenance.git_state(Path(__file__).parents[2])
    return __version__ + (f" at {state['commit'][:12]}" if state else "")


def _counted(text: str, size: Size) -> Counted:
    try:
        method, id_ = create(METHODS, text)
        network = method.network()
        forms = (
            {}
            if network is None
            else {form: count(network, form, size.height, size.width) for form in network.forms}
        )
        file = None if id_.checkpoint is None else Path(type(method).checkpoints[id_.checkpoint])
        return Counted(forms, None if file is None else file.stat().st_size)
    except Exception as error:  # a plug-in may raise anything; the others are counted all the same
        return Counted(problem=brief(error))
