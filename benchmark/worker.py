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

from benchmark import imageio, noise, provenance
from benchmark.api import (
    BenchmarkError,
    DataError,
    Dataset,
    Mask,
    Observation,
    Picture,
    Sample,
)
from benchmark.apply import PreparedMethod, Skip, Stopwatch, outcome_of_error, prepare_method
from benchmark.cells import Cell, Outcome, Score, Task
from benchmark.metrics.blur_order import BlurOrder, order_by_blur
from benchmark.metrics.focus import find_in_focus
from benchmark.metrics.lpips import set_trunk_file
from benchmark.metrics.protocols import EarlierScores
from benchmark.metrics.tracks import Track
from benchmark.registry import (
    DATASETS,
    METHODS,
    PROTOCOLS,
    build_plugin,
    create,
    create_metric,
    digest_plugin,
    estimate_blur,
    load_plugin,
)
from benchmark.run_layout import output_file, output_picture, path_in_run, target_picture
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
        environment: where the command runs, as JSON; a result that comes from elsewhere says so.
            None where all are computed there.
        device: "auto", "cpu" or "cuda".
        save: keep outputs (unclamped float32) and pictures for people.
        rounds_outputs: round outputs to half precision before they are scored and kept.
        rerun: run a method again when its stored output cannot be read (`score` never runs one).
        threads: threads a worker's numerical libraries may use.
        lpips_trunk: file of the weights that LPIPS is computed with; None to let LPIPS look itself.
    """

    folder: Path
    root: Path
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    save: bool = True
    rounds_outputs: bool = False
    rerun: bool = True
    threads: int = 1
    lpips_trunk: Path | None = None
    plugin_digests: tuple[str | None, ...] = ()
    environment: str | None = None


_settings: RunSettings | None = None


def start_worker(settings: RunSettings) -> None:
    """Set this process up for the cells of one command: threads, plug-ins, empty caches."""
    global _settings
    _settings = settings
    _limit_threads(settings.threads)
    set_trunk_file(settings.lpips_trunk)
    _load_same_plugins(settings)
    for cache in (
        _build_cached_dataset,
        _load_cached_sample,
        _order_cached_sample,
        _prepare_cached_method,
        _describe_cached_environment,
    ):
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
        return dataclasses.replace(_measure_cell(task), origin=find_origin())
    except BaseException as error:  # also what is meant to end a program is the method's failure
        return outcome_of_error(error)


def _measure_cell(task: Task) -> Outcome:
    if task.output is None:
        return _restore_cell(task)
    return _rescore_output(task, task.output)


def find_origin() -> str | None:
    """Return where this process computes, None if the command runs in the same environment."""
    expected = None if _settings is None else _settings.environment
    if expected is None:
        return None
    environment = _describe_cached_environment()
    return None if environment == expected else environment


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
    track = _parse_cached_track(cell.track)
    sample = track.read(load_sample(task))
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
    if settings.rounds_outputs:
        output = imageio.round_to_half(output)
    output_path = None
    if settings.save:
        output_path = _save_output(settings.folder, task.cell, output, sample, track)
    return Outcome(
        "ok",
        seconds=None if method.method.card.made_elsewhere else stopwatch.seconds,
        scene=sample.scene,
        output=output_path,
        output_digest=imageio.digest_array(output),
        scores=score_output(task, output, sample, track),
        remarks=method.list_remarks(observation, picture),
    )


def _rescore_output(task: Task, output_path: str) -> Outcome:
    settings = current_settings()
    track = _parse_cached_track(task.cell.track)
    sample = track.read(load_sample(task))
    try:
        output = read_task_output(task, output_path)
    except DataError:
        if settings.rerun:
            return _restore_cell(task)
        raise
    scores = score_output(task, output, sample, track)
    return Outcome("ok", output=output_path, scores=scores, rescored=True)


def read_task_output(task: Task, output_path: str) -> Picture:
    """Return a stored output of the run; for use inside a worker.

    Raises:
        DataError: if it is missing, or not what was written.
    """
    path = path_in_run(current_settings().folder, output_path)
    return imageio.read_output(path, task.output_digest)


def score_output(
    task: Task, output: Picture, sample: Sample, track: Track
) -> Mapping[str, list[Score]]:
    """Return protocol id -> scores under the protocols of a task; for use inside a worker.

    Args:
        output: in scoring geometry (`Track.finish`).
        sample: read through the track.
    """
    target = None if sample.target is None else track.frame(sample.target)
    frame_input = functools.cache(lambda: _frame_input(task.cell, sample, track))
    earlier_scores: EarlierScores = {}
    scores: dict[str, list[Score]] = {}
    for name in task.protocols:
        protocol = PROTOCOLS.get(name)
        image, in_focus = None, None
        if protocol.uses_input(_create_cached_metric):
            image, in_focus = frame_input()
        scores[name] = protocol.score(
            output,
            target,
            task.cell.dataset_name,
            _create_cached_metric,
            image=image,
            in_focus=in_focus,
            find_blur=functools.partial(_find_blur, task, track),
            earlier_scores=earlier_scores,
        )
    return scores


def _find_blur(task: Task, track: Track) -> BlurOrder:
    """Return which pixels of a task's picture are more blurred than which, in the scoring
    geometry.
    """
    cell = task.cell
    return _order_cached_sample(
        current_settings(), _get_dataset_id(task), cell.sample, cell.data, track
    )


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
    imageio.write_output(folder / output_path, output)
    imageio.write(picture, output, 8)
    if sample.target is not None and not target.exists():
        imageio.write(target, track.frame(sample.target), 8)
    return output_path


def find_wrong_sample(task: Task) -> str | None:
    """Return why the files of a sample are not those that were planned, None if they are; for use
    inside a worker that has data of its own.
    """
    try:
        _require_same_sample(
            current_settings(), _get_dataset_id(task), task.cell.sample, task.cell.data
        )
    except BenchmarkError as error:
        return str(error)
    return None


def current_settings() -> RunSettings:
    """Return the settings that this process was started with."""
    assert _settings is not None, "start_worker() was not called in this process"
    return _settings


def load_sample(task: Task) -> Sample:
    """Return the sample of a task as its files hold it; for use inside a worker.

    Raises:
        DataError: if it is damaged, or is not what it was when the cell was planned.
    """
    cell = task.cell
    return _load_cached_sample(current_settings(), _get_dataset_id(task), cell.sample, cell.data)


def _get_dataset_id(task: Task) -> ResolvedId | str:
    return task.dataset or task.cell.dataset  # still a text where the cell comes from a store


@functools.lru_cache(maxsize=2)
def _build_cached_dataset(settings: RunSettings, id_: ResolvedId | str) -> Dataset:
    if isinstance(id_, str):
        return create(DATASETS, id_, root=settings.root)[0]
    return build_plugin(DATASETS, id_)


def _require_same_sample(
    settings: RunSettings, id_: ResolvedId | str, sample: str, fingerprint: str
) -> None:
    """Raise DataError if the files of a sample are not those that were planned."""
    dataset = _build_cached_dataset(settings, id_)
    if fingerprint_sample(dataset, sample) == fingerprint:
        return
    if isinstance(id_, str):
        raise DataError(
            f"{id_}: {sample} is not what it was when the run was made; put its files back, or "
            "run again"
        )
    raise DataError(
        f"{id_.label}: {sample} is not what it was when this was planned; run the command again"
    )


@functools.lru_cache(maxsize=2)
def _load_cached_sample(
    settings: RunSettings, id_: ResolvedId | str, sample: str, fingerprint: str
) -> Sample:
    _require_same_sample(settings, id_, sample, fingerprint)
    return _build_cached_dataset(settings, id_).load(sample)


@functools.lru_cache(maxsize=2)
def _order_cached_sample(
    settings: RunSettings, id_: ResolvedId | str, sample: str, fingerprint: str, track: Track
) -> BlurOrder:
    loaded_sample = track.read(_load_cached_sample(settings, id_, sample, fingerprint))
    order = order_by_blur(loaded_sample, estimate_blur)
    return BlurOrder(track.frame_map(order.values), order.basis)


@functools.lru_cache(maxsize=64)
def _prepare_cached_method(settings: RunSettings, id_: ResolvedId) -> PreparedMethod:
    return prepare_method(build_plugin(METHODS, id_), settings.device)


_create_cached_metric = functools.cache(create_metric)
_parse_cached_track = functools.cache(Track.parse)
_describe_cached_environment = functools.cache(provenance.describe_environment_as_text)
