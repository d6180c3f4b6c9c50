"""Seconds and memory of methods, measured one restoration at a time.

Every method has a worker process of its own, in which it is prepared and warmed up by a first
restoration (round 0). Then come the rounds: in each, every method restores the picture once, and
the next round begins with the next method. So a slow spell of the machine falls on all methods
alike. Nothing else of the suite runs at the same time. Every restoration is kept; a table shows
medians.

Seconds are the wall time of `Method.restore`, which takes and returns arrays in the memory of the
host: copies to a GPU and back are part of it, and both ends wait for the GPU. Memory is read from
Linux's /proc: elsewhere there is none.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark import worker
from benchmark.api import DataError, Map, Observation, Picture, Sample
from benchmark.apply import PreparedMethod, Skip, one_line, prepare_method
from benchmark.cells import Status
from benchmark.registry import METHODS, build_plugin, resolve_id
from benchmark.spec import ResolvedId
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure, WorkerPool

T = TypeVar("T")
Item = TypeVar("Item")
PictureWithMap = tuple[Picture, Map]
"""A defocused picture and its true blur map."""


@dataclass(frozen=True, slots=True)
class TimingSubject:
    """What is measured, and all that its seconds depend on; seconds of different subjects are never
    put together.

    Attributes:
        method, version, weights: id, version and hash of the weights of the method.
        device: "cpu" or "cuda".
        size: of the picture, "WIDTHxHEIGHT".
        processor, gpu: names of the hardware; no GPU where it is not used.
        threads: that numerical libraries may use.
        libraries: names and versions.
        suite: version and commit of this suite.
    """

    method: str
    version: str
    weights: str | None
    device: Literal["cpu", "cuda"]
    size: str
    processor: str
    gpu: str | None
    threads: int
    libraries: str
    suite: str


@dataclass(frozen=True, slots=True)
class TrialReading:
    """One restoration: seconds, and bytes of memory (None where they cannot be known).

    Attributes:
        seconds: wall time.
        before: memory of the process just before.
        peak: its largest memory meanwhile.
        gpu_peak: largest memory of tensors on the GPU meanwhile, weights included; None on the CPU.
        start: wall time of what every restoration begins with (`Method.shrink`), a part of
            `seconds`; None for nothing. Memory is then that of another process, and not known.
    """

    seconds: float
    before: int | None
    peak: int | None
    gpu_peak: int | None
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One raw sample: a restoration that was measured, or why it was not.

    Attributes:
        subject: what was measured.
        round: 0 is the warm-up, which enters no median.
        status: ok, failed, skipped or timeout; after anything but ok there are no further rounds.
        reason: one line for people unless ok.
        reading: the measurement if ok.
        finished: when (ISO 8601, UTC).
    """

    subject: TimingSubject
    round: int
    status: Status
    reason: str | None
    reading: TrialReading | None
    finished: str


_TRIAL_ADAPTER = TypeAdapter(Trial)


class TrialFile:
    """Raw samples in a file, one JSON object a line, written as they come: a killed command loses
    none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, trial: Trial) -> None:
        """Write one sample."""
        with self._path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")  # the line before was cut off by a crash
            file.write(json.dumps(asdict(trial)).encode() + b"\n")

    def read(self) -> list[Trial]:
        """Return all samples in the order they were taken, without lines cut off by a crash or of
        another version.

        Raises:
            DataError: if the file is there and cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(
                f"{self._path}: cannot be read ({error.strerror}); use another --out"
            ) from error
        trials = []
        for line in lines:
            with suppress(ValidationError):
                trials.append(_TRIAL_ADAPTER.validate_json(line))
        return trials


def count_rounds(trials: Sequence[Trial]) -> Counter[TimingSubject]:
    """Return how many rounds each subject has behind it."""
    return Counter(trial.subject for trial in trials if trial.status == "ok" and trial.round > 0)


def order_of_round(items: Sequence[T], number: int) -> list[T]:
    """Return the items in the order of a round: round `number` begins with the item of that index,
    cyclically.
    """
    if not items:
        return []
    start = number % len(items)
    return [*items[start:], *items[:start]]


def time_methods(
    subjects: Sequence[TimingSubject],
    scene: PictureWithMap,
    *,
    rounds: int,
    rounds_before: Mapping[TimingSubject, int],
    ids: Mapping[str, ResolvedId] = MappingProxyType({}),
    plugins: Sequence[Path] = (),
    timeout: float | None = None,
) -> Iterator[Trial]:
    """Measure what is missing, and yield each trial as it comes.

    Args:
        subjects: what to measure.
        scene: what is restored. Its picture also serves as both dual-pixel views.
        rounds: how many rounds every subject is to have.
        rounds_before: how many it has; a subject that lacks some is prepared and warmed up again.
        ids: what the methods of subjects are built from, for those that have a name of their own.
        plugins: plug-in files that define methods.
        timeout: seconds a restoration may take; preparing is not limited.
    """
    incomplete = [subject for subject in subjects if rounds_before.get(subject, 0) < rounds]
    processes: dict[TimingSubject, _MethodProcess] = {}
    with ExitStack() as stack:
        for subject in incomplete:
            process = stack.enter_context(closing(_MethodProcess(subject, plugins)))
            processes[subject] = process
        for number in range(rounds + 1):
            for subject in order_of_round(incomplete, number):
                is_missing = number == 0 or number > rounds_before.get(subject, 0)
                if subject not in processes or not is_missing:
                    continue
                id_ = ids.get(subject.method, subject.method)
                trial = _run_trial(processes[subject], subject, id_, number, scene, timeout)
                if trial.status != "ok":
                    processes.pop(subject).close()
                yield trial


def _run_trial(
    process: _MethodProcess,
    subject: TimingSubject,
    id_: ResolvedId | str,
    number: int,
    scene: PictureWithMap,
    timeout: float | None,
) -> Trial:
    result: TrialReading | Failure | str | None = None
    if number == 0:
        result = process.call(_prepare_method, (id_, subject.device, scene))
    if result is None:
        result = process.call(_time_restoration, subject, timeout)
    end = datetime.now(UTC).isoformat(timespec="seconds")
    if isinstance(result, TrialReading):
        return Trial(subject, number, "ok", None, result, end)
    if isinstance(result, Failure):
        return Trial(subject, number, result.status, result.reason, None, end)
    return Trial(subject, number, "skipped", result, None, end)


class _MethodProcess:
    """A process that keeps one prepared method, from its first task to `close`; a time-out ends it
    sooner.
    """

    def __init__(self, subject: TimingSubject, plugins: Sequence[Path]) -> None:
        settings = RunSettings(
            Path(), Path(), tuple(plugins), subject.device, threads=subject.threads
        )
        # Another process would not have the prepared method, so nothing is tried again.
        self._pool = WorkerPool(functools.partial(worker.start_worker, settings), jobs=1, tries=1)

    def close(self) -> None:
        self._pool.close()

    def call(
        self, work: Callable[[Item], T], item: Item, timeout: float | None = None
    ) -> T | Failure:
        ((_, result),) = self._pool.map(work, [item], timeout)
        return result


# Inside the process
# --------------------------------------------------------------------------------------------------

_method_in_process: tuple[PreparedMethod, Observation] | None = None


def _prepare_method(task: tuple[ResolvedId | str, str, PictureWithMap]) -> str | None:
    """Prepare the method of an id on a device in this process, for a scene; return why it is
    skipped, or None.
    """
    global _method_in_process
    id_, device, (image, blur_map) = task
    resolved_id = resolve_id(METHODS, id_) if isinstance(id_, str) else id_
    method = prepare_method(build_plugin(METHODS, resolved_id), device)
    observation = method.observe(Sample("mosaic", image, views=(image, image), blur_map=blur_map))
    _method_in_process = method, observation
    try:
        method.require_input(observation)
    except Skip as skip:
        return one_line(skip.reason)
    return None


def _time_restoration(subject: TimingSubject) -> TrialReading:
    """Restore the picture once with the method that `_prepare_method` has prepared."""
    assert _method_in_process is not None, "_prepare_method() was not called in this process"
    method, observation = _method_in_process
    meter = _TrialMeter(gpu=subject.device == "cuda")
    method.restore(observation, meter)
    assert meter.reading is not None
    small_observation = method.method.shrink(observation)
    if small_observation is None:
        return meter.reading
    start = time.perf_counter()
    method.restore(small_observation)
    # A small picture may take longer than a large one when the machine is busy meanwhile.
    start_seconds = min(time.perf_counter() - start, meter.reading.seconds)
    return replace(meter.reading, before=None, peak=None, start=start_seconds)


class _TrialMeter(contextlib.AbstractContextManager[None]):
    """Reads seconds and memory of the work inside; both ends wait for the GPU."""

    def __init__(self, gpu: bool) -> None:
        self.reading: TrialReading | None = None
        self._gpu = gpu

    def __enter__(self) -> None:
        _reset_memory_peaks(self._gpu)
        self._memory_before = _process_memory("VmRSS")
        _wait_for_gpu(self._gpu)
        self._start = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        _wait_for_gpu(self._gpu)
        seconds = time.perf_counter() - self._start
        peak = _process_memory("VmHWM")
        gpu_peak = _gpu_memory_peak() if self._gpu else None
        self.reading = TrialReading(seconds, self._memory_before, peak, gpu_peak)


def _wait_for_gpu(gpu: bool) -> None:
    if gpu:
        import torch

        torch.cuda.synchronize()


def _reset_memory_peaks(gpu: bool) -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew at VmRSS
    if gpu:
        import torch

        torch.cuda.reset_peak_memory_stats()


def _process_memory(name: str) -> int | None:
    """Return VmRSS (resident memory) or VmHWM (its peak) of this process in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            kilobytes = int(line.split()[1])
            return 1024 * kilobytes
    return None


def _gpu_memory_peak() -> int:
    import torch

    return int(torch.cuda.max_memory_allocated())
