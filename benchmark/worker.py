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
from benchmark.api import DataError, Dataset, Mask, Observation, Picture, Sample, as_picture
from benchmark.apply import PreparedMethod, Skip, Stopwatch, outcome_of_error, prepare_method
from benchmark.cells import Cell, Outcome, Score, Task
from benchmark.metrics.focus import find_in_focus
from benchmark.metrics.lpips import set_trunk_file
from benchmark.metrics.tracks import Track
from benchmark.registry import (
    DATASETS,
    METHODS,
    PROTOCOLS,
    build_plugin,
    create,
    create_metric,
    digest_plugin,
    load_plugin,
)
from benchmark.run_layout import output_file, output_picture, target_picture
from benchmark.source_digest import fingerprint_sample
from benchmark.spec import ResolvedId


@dataclasses.dataclass(frozen=True, slots=True)
class RunSettings:
    """What every cell of a command shares.

    Attributes:
        folder: the run's folder; outputs and pictures go below it.
        root: the data root.
        plugins: plug-in files to load before anything is looked up.
        plugin_digests: what they were when the command loaded them; none where nobody asked.
        device: "auto", "cpu" or "cuda".
        save: keep outputs (unclamped float32) and pictures for people.
        rerun: run a method again when its stored output cannot be read (`score` never runs one).
        threads: threads a worker's numerical libraries may use.
        lpips_trunk: file of the weights that LPIPS is computed with; None to let LPIPS look itself.
    """

    folder: Path
    root: Path
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    save: bool = True
    rerun: bool = True
    threads: int = 1
    lpips_trunk: Path | None = None
    plugin_digests: tuple[str | None, ...] = ()


_settings: RunSettings | None = None


def start_worker(settings: RunSettings) -> None:
    """Set this process up for the cells of one command: threads, plug-ins, empty caches."""
    global _settings
    _settings = settings
    _limit_threads(settings.threads)
    set_trunk_file(settings.lpips_trunk)
    _load_same_plugins(settings)
    for cache in (_build_cached_dataset, _load_cached_sample, _prepare_cached_method):
        cache.cache_clear()


def _load_same_plugins(settings: RunSettings) -> None:
    """Load the plug-ins; raises DataError if one is not what the command has loaded."""
    for path in settings.plugins:
        load_plugin(path)
    digests = tuple(digest_plugin(path) for path in settings.plugins)
    for path, now, before in zip(settings.plugins, digests, settings.plugin_digests, strict=False):
        if now != before:
            raise DataError(
                f"--plugin {path}: it, or a file that it imports, was edited while the command "
                "runs; run the command again"
            )


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
        if task.output is None:
            return _restore_cell(task)
        return _rescore_output(task, task.output)
    except BaseException as error:  # also what is meant to end a program is the method's failure
        return outcome_of_error(error)


class PreparedCell(NamedTuple):
    """The sample of a cell through its track, the track, the prepared method, and what the method
    sees.
    """

    sample: Sample
    track: Track
    method: PreparedMethod
    observation: Observation


def prepare_cell(task: Task) -> PreparedCell:
    """Return all that a task needs; for use inside a worker. The observation is the method's own
    copy.

    Raises:
        DataError: if the sample is damaged, or is not what it was when the cell was planned.
    """
    cell = task.cell
    track = Track.parse(cell.track)
    sample = track.read(_load_sample(task))
    assert task.method is not None, f"{cell.method} was not resolved"
    method = _prepare_cached_method(current_settings(), task.method)
    noisy_sample = noise.add_noise(sample, cell.noise, cell.dataset_name)
    observation = method.observe(noisy_sample, cell.noise.sigma, track)
    return PreparedCell(sample, track, method, observation)


def _restore_cell(task: Task) -> Outcome:
    sample, track, method, observation = prepare_cell(task)
    stopwatch = Stopwatch()
    try:
        picture = method.restore(observation, stopwatch)
    except Skip as skip:
        return dataclasses.replace(outcome_of_error(skip), scene=sample.scene)
    output = track.finish(picture, sample.image.shape[:2])
    settings = current_settings()
    output_path = None
    if settings.save:
        output_path = _save_output(settings.folder, task.cell, output, sample, track)
    return Outcome(
        "ok",
        seconds=None if method.method.card.made_elsewhere else stopwatch.seconds,
        scene=sample.scene,
        output=output_path,
        scores=_score_output(task, output, sample, track),
        remarks=method.list_remarks(observation, picture),
    )


def _rescore_output(task: Task, output_path: str) -> Outcome:
    settings = current_settings()
    track = Track.parse(task.cell.track)
    sample = track.read(_load_sample(task))
    try:
        output = as_picture(imageio.read_array(settings.folder / output_path))
    except DataError:
        if settings.rerun:
            return _restore_cell(task)
        raise
    return Outcome("ok", output=output_path, scores=_score_output(task, output, sample, track))


def _score_output(
    task: Task, output: Picture, sample: Sample, track: Track
) -> Mapping[str, list[Score]]:
    target = None if sample.target is None else track.frame(sample.target)
    scores: dict[str, list[Score]] = {}
    for name in task.protocols:
        protocol = PROTOCOLS.get(name)
        image, in_focus = None, None
        if protocol.uses_input(_create_cached_metric):
            image, in_focus = _frame_input(task.cell, sample, track)
        scores[name] = protocol.score(
            output,
            target,
            task.cell.dataset_name,
            _create_cached_metric,
            image=image,
            in_focus=in_focus,
        )
    return scores


def _frame_input(cell: Cell, sample: Sample, track: Track) -> tuple[Picture, Mask | None]:
    """Return what the method was shown, and where it is in focus, in the scoring geometry."""
    noisy_sample = noise.add_noise(sample, cell.noise, cell.dataset_name)
    in_focus = find_in_focus(sample)
    return (
        track.frame(noisy_sample.image),
        None if in_focus is None else track.frame_mask(in_focus),
    )


def _save_output(folder: Path, cell: Cell, output: Picture, sample: Sample, track: Track) -> str:
    """Store the unclamped output, and beside it the 8-bit pictures a person looks at; return its
    path relative to the run's folder.
    """
    output_path = output_file(cell)
    picture = folder / output_picture(output_path)
    target = folder / target_picture(cell)
    for path in (folder / output_path, picture, target):
        path.parent.mkdir(parents=True, exist_ok=True)
    imageio.write_array(folder / output_path, output)
    imageio.write(picture, output, 8)
    if sample.target is not None and not target.exists():
        imageio.write(target, track.frame(sample.target), 8)
    return output_path


def current_settings() -> RunSettings:
    """Return the settings that this process was started with."""
    assert _settings is not None, "start_worker() was not called in this process"
    return _settings


def _load_sample(task: Task) -> Sample:
    id_ = task.dataset or task.cell.dataset  # still a text where the cell comes from a store
    return _load_cached_sample(current_settings(), id_, task.cell.sample, task.cell.data)


@functools.lru_cache(maxsize=2)
def _build_cached_dataset(settings: RunSettings, id_: ResolvedId | str) -> Dataset:
    if isinstance(id_, str):
        return create(DATASETS, id_, root=settings.root)[0]
    return build_plugin(DATASETS, id_)


@functools.lru_cache(maxsize=2)
def _load_cached_sample(
    settings: RunSettings, id_: ResolvedId | str, sample: str, fingerprint: str
) -> Sample:
    dataset = _build_cached_dataset(settings, id_)
    if fingerprint_sample(dataset, sample) != fingerprint:
        label = id_ if isinstance(id_, str) else id_.label
        raise DataError(
            f"{label}: {sample} is not what it was when this was planned; run the command again"
        )
    return dataset.load(sample)


@functools.lru_cache(maxsize=64)
def _prepare_cached_method(settings: RunSettings, id_: ResolvedId) -> PreparedMethod:
    return prepare_method(build_plugin(METHODS, id_), settings.device)


_create_cached_metric = functools.cache(create_metric)
