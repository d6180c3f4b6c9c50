"""What happens to one cell, inside a worker process: load, add noise, restore, keep, score.

A worker keeps the samples and the prepared methods it met last, so a sample is read once for all
methods and a network is loaded once for all samples.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark import imageio, noise
from benchmark.api import DataError, Dataset, Method, Observation, Picture, Sample, as_picture
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


_LONGEST_REASON = 300
_settings: Settings | None = None


def start(settings: Settings) -> None:
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


def work(task: Task) -> Outcome:
    """Do one cell. Whatever goes wrong inside becomes the outcome; nothing is raised."""
    try:
        return _rescore(task) if task.output is not None else _run(task)
    except (Exception, SystemExit) as error:  # a method that calls sys.exit must not end the run
        return Outcome("failed", reason=brief(error), traceback=traceback.format_exc())


def brief(error: BaseException) -> str:
    """Return one line of at most 300 characters that names an error."""
    try:
        text = str(error)
    except Exception:  # an outside plug-in may get even this wrong
        text = "(its message cannot be shown)"
    return one_line(f"{type(error).__name__}: {text}".removesuffix(": "))


def one_line(text: object) -> str:
    """Return a text as one line of at most 300 characters, for tables and the terminal."""
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def _run(task: Task) -> Outcome:
    settings, cell = _current(), task.cell
    sample, track, method, observation = seen(cell)
    reason = unmet(method, observation)
    if reason is not None:
        return Outcome("skipped", reason=one_line(reason), scene=sample.scene)
    started = time.perf_counter()
    restored = method.restore(observation)
    seconds = time.perf_counter() - started
    output = track.finish(checked(restored, observation), sample.image.shape[:2])
    kept = _keep(settings, cell, output, sample, track) if settings.save else None
    scores = _score(task, output, sample, track)
    return Outcome("ok", seconds=seconds, scene=sample.scene, output=kept, scores=scores)


class Seen(NamedTuple):
    """A cell made ready: the sample through its track, the track, the prepared method, and what the
    method sees.
    """

    sample: Sample
    track: Track
    method: Method
    observation: Observation


def seen(cell: Cell) -> Seen:
    """Return a cell made ready; for use inside a worker. The observation is the method's own copy.

    Raises:
        DataError: if the sample is damaged, or is not what it was when the cell was planned.
    """
    settings, track = _current(), Track.parse(cell.track)
    sample = track.read(_sample(settings, cell))
    method = _method(settings, cell.method)
    noisy = noise.add_noise(sample, cell.noise, cell.dataset_name).observe(
        method.card, cell.noise.sigma
    )
    return Seen(sample, track, method, _copied(track.fit(noisy)))


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
    return Outcome("ok", output=task.output, scores=_score(task, as_picture(output), sample, track))


def _copied(seen: Observation) -> Observation:
    """Return the observation in memory of its own, so that a method that writes into it changes
    nobody else's input.
    """
    return Observation(
        image=seen.image.copy(),
        views=None if seen.views is None else (seen.views[0].copy(), seen.views[1].copy()),
        bit_depth=seen.bit_depth,
        blur_map=None if seen.blur_map is None else seen.blur_map.copy(),
        noise_sigma=seen.noise_sigma,
    )


def unmet(method: Method, observation: Observation) -> str | None:
    """Return which of the card's needs the observation lacks, or the method's own reason to skip
    it, or None.
    """
    if method.card.inputs == "views" and observation.views is None:
        return "needs dual-pixel views; the data set has none"
    if method.card.oracle and observation.blur_map is None:
        return "needs the true blur map; the data set has none"
    return method.skip(observation)


def checked(restored: object, observation: Observation) -> Picture:
    """Return what a method gave back, if it keeps the contract.

    Raises:
        ValueError: wrong type, shape, NaN or infinite values.
    """
    output = as_picture(restored, "what the method returned")
    if output.shape != observation.image.shape:
        raise ValueError(
            f"the method returned {output.shape}, its input was {observation.image.shape}"
        )
    return output


def _score(task: Task, output: Picture, sample: Sample, track: Track) -> Mapping[str, list[Score]]:
    target = None if sample.target is None else track.frame(sample.target)
    chosen: dict[str, Protocol] = {name: PROTOCOLS.get(name) for name in task.protocols}
    return {
        name: protocol.score(output, target, task.cell.dataset_name, _metric)
        for name, protocol in chosen.items()
    }


def _keep(settings: Settings, cell: Cell, output: Picture, sample: Sample, track: Track) -> str:
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
    assert _settings is not None, "start() was not called in this process"
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
def _method(settings: Settings, text: str) -> Method:
    method = create(METHODS, text)[0]
    method.prepare(resolve_device(settings.device, method.card.family == "learned"))
    return method


_metric = functools.cache(create_metric)


def resolve_device(device: str, learned: bool) -> str:
    """Return "cpu" or "cuda" for a method; only learned methods pay for asking torch.

    Raises:
        ValueError: if "cuda" is demanded and there is none.
    """
    if not learned or device == "cpu":
        return "cpu"
    import torch

    found = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and found == "cpu":
        raise ValueError("--device cuda: torch sees no CUDA device; use --device auto or cpu")
    return found
