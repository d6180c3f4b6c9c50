"""What happens to one cell, inside a worker process: load, add noise, restore, keep, score.

A worker keeps the samples and the prepared methods it met last, so a sample is read once for all
methods and a network is loaded once for all samples.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark import imageio, noise
from benchmark.api import DataError, Dataset, Observation, Picture, Sample, as_picture
from benchmark.apply import PreparedMethod, Skip, Stopwatch, outcome_of_error, prepare_method
from benchmark.cells import Cell, Outcome, Score, Task
from benchmark.metrics.protocols import Protocol
from benchmark.metrics.tracks import Track
from benchmark.registry import DATASETS, METHODS, PROTOCOLS, create, create_metric, load_plugin
from benchmark.run_layout import output_file, output_picture, target_picture


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What every cell of a command shares.

    Attributes:
        folder: the run's folder; outputs and pictures go below it.
        root: the data root.
        plugins: plug-in files to load before anything is looked up.
        device: "auto", "cpu" or "cuda".
        save: keep outputs (unclamped float32) and pictures for people.
        rerun: run a method again when its stored output cannot be read (`score` never runs one).
        threads: threads a worker's numerical libraries may use.
    """

    folder: Path
    root: Path
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    save: bool = True
    rerun: bool = True
    threads: int = 1


_settings: Settings | None = None


def start_worker(settings: Settings) -> None:
    """Set this process up for the cells of one command: threads, plug-ins, empty caches."""
    global _settings
    _settings = settings
    _limit_threads(settings.threads)
    for path in settings.plugins:
        load_plugin(path)
    for cache in (_dataset, _loaded, _method):
        cache.cache_clear()


def _limit_threads(threads: int) -> None:
    """Numerical libraries read these variables when they load, which in a worker happens after
    this.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    import cv2
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    cv2.setNumThreads(threads)


def do_task(task: Task) -> Outcome:
    """Do one cell. Whatever goes wrong inside becomes the outcome; nothing is raised."""
    try:
        return _rescore(task) if task.output is not None else _run(task)
    except (Exception, SystemExit) as error:  # a method that calls sys.exit must not end the run
        return outcome_of_error(error)


def _run(task: Task) -> Outcome:
    settings, cell = _current(), task.cell
    sample, track, method, observation = prepare_cell(cell)
    stopwatch = Stopwatch()
    try:
        restored = method.restore(observation, stopwatch)
    except Skip as skip:
        return dataclasses.replace(outcome_of_error(skip), scene=sample.scene)
    output = track.finish(restored, sample.image.shape[:2])
    output_path = _save_output(settings, cell, output, sample, track) if settings.save else None
    return Outcome(
        "ok",
        seconds=stopwatch.seconds,
        scene=sample.scene,
        output=output_path,
        scores=_score_output(task, output, sample, track),
    )


class PreparedCell(NamedTuple):
    """The sample of a cell through its track, the track, the prepared method, and what the method
    sees.
    """

    sample: Sample
    track: Track
    method: PreparedMethod
    observation: Observation


def prepare_cell(cell: Cell) -> PreparedCell:
    """Return all that a cell needs; for use inside a worker. The observation is the method's own
    copy.

    Raises:
        DataError: if the sample is damaged, or is not what it was when the cell was planned.
    """
    settings, track = _current(), Track.parse(cell.track)
    sample = track.read(_sample(settings, cell))
    method = _method(settings, cell.method)
    noisy_sample = noise.add_noise(sample, cell.noise, cell.dataset_name)
    observation = method.observe(noisy_sample, cell.noise.sigma, track)
    return PreparedCell(sample, track, method, observation)


def _rescore(task: Task) -> Outcome:
    settings, cell = _current(), task.cell
    assert task.output is not None
    track = Track.parse(cell.track)
    sample = track.read(_sample(settings, cell))
    try:
        output = imageio.read_array(settings.folder / task.output)
    except DataError:
        if settings.rerun:
            return _run(task)
        raise
    return Outcome(
        "ok", output=task.output, scores=_score_output(task, as_picture(output), sample, track)
    )


def _score_output(
    task: Task, output: Picture, sample: Sample, track: Track
) -> Mapping[str, list[Score]]:
    target = None if sample.target is None else track.frame(sample.target)
    chosen: dict[str, Protocol] = {name: PROTOCOLS.get(name) for name in task.protocols}
    return {
        name: protocol.score(output, target, task.cell.dataset_name, _metric)
        for name, protocol in chosen.items()
    }


def _save_output(
    settings: Settings, cell: Cell, output: Picture, sample: Sample, track: Track
) -> str:
    """Store the unclamped output, and beside it the 8-bit pictures a person looks at."""
    kept = output_file(cell)
    picture, target = settings.folder / output_picture(kept), settings.folder / target_picture(cell)
    for path in (settings.folder / kept, picture, target):
        path.parent.mkdir(parents=True, exist_ok=True)
    imageio.write_array(settings.folder / kept, output)
    imageio.write(picture, output, 8)
    if sample.target is not None and not target.exists():
        imageio.write(target, track.frame(sample.target), 8)
    return kept


def _current() -> Settings:
    assert _settings is not None, "start_worker() was not called in this process"
    return _settings


@functools.lru_cache(maxsize=2)
def _dataset(settings: Settings, text: str) -> Dataset:
    return create(DATASETS, text, root=settings.root)[0]


def _sample(settings: Settings, cell: Cell) -> Sample:
    return _loaded(settings, cell.dataset, cell.sample, cell.data)


@functools.lru_cache(maxsize=2)
def _loaded(settings: Settings, dataset: str, sample: str, data: str) -> Sample:
    source = _dataset(settings, dataset)
    if source.fingerprint(sample) != data:
        raise DataError(
            f"{dataset}: {sample} is not what it was when this was planned; run the command again"
        )
    return source.load(sample)


@functools.lru_cache(maxsize=64)
def _method(settings: Settings, text: str) -> PreparedMethod:
    return prepare_method(create(METHODS, text)[0], settings.device)


_metric = functools.cache(create_metric)
