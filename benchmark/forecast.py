"""What a run would do, and what that costs in time and on disk, before it is begun."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cells import Task
from benchmark.plan import PlannedDataset
from benchmark.results.notes import count_noun, shorten_list
from benchmark.store import Store

_OUTPUT_BYTES = 8.5
_ROUNDED_OUTPUT_BYTES = 4.0
"""A pixel of a stored output, compressed: three float32, as they are or rounded to half precision.
An estimate from restored photographs; noise takes more, flat pictures take less.
"""
_PICTURE_BYTES = 3
"""A pixel of a picture to look at, at most."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do.

    Attributes:
        cells: of the plan.
        finished: of these, done already.
        pixels: of all that is left to restore.
        seconds: the methods' own work in sequence, of the cells whose pace is known.
        unknown_paces: methods of which nothing was timed in the folder.
        free_bytes: on the disk of the folder.
    """

    cells: int
    finished: int
    pixels: int
    seconds: float
    unknown_paces: tuple[str, ...]
    free_bytes: int


def forecast_run(
    tasks: Sequence[Task],
    missing_tasks: Sequence[Task],
    data: PlannedDataset,
    store: Store | None,
    folder: Path,
) -> Forecast:
    """Return what is left of a plan, and what it costs.

    A method's pace is the median of seconds a pixel over its finished cells of the data set.

    Args:
        tasks: the whole plan.
        missing_tasks: what the folder lacks of it.
        store: of the folder; None where there is none yet.
        folder: where the results go.

    Raises:
        DataError: a damaged picture.
    """
    to_restore = [task for task in missing_tasks if task.output is None]
    samples = {task.cell.sample for task in tasks}
    pixels = {sample: _count_pixels(data, sample) for sample in samples}
    paces = _read_paces(store, data.id.label, pixels) if store is not None else {}
    labels = dict.fromkeys(task.cell.method for task in to_restore)
    return Forecast(
        cells=len(tasks),
        finished=len(tasks) - len(missing_tasks),
        pixels=sum(pixels[task.cell.sample] for task in to_restore),
        seconds=sum(
            paces.get(task.cell.method, 0.0) * pixels[task.cell.sample] for task in to_restore
        ),
        unknown_paces=tuple(label for label in labels if label not in paces),
        free_bytes=shutil.disk_usage(_find_existing_folder(folder)).free,
    )


def describe_forecast(
    forecast: Forecast, folder: Path, workers: object, *, save: bool, rounds_outputs: bool = False
) -> list[str]:
    """Return a forecast in lines for the terminal.

    Args:
        folder: where the results go.
        workers: processes that share the work; anything but a number where they are not known.
        save: whether outputs and pictures are kept.
        rounds_outputs: whether outputs are rounded to half precision.
    """
    left = forecast.cells - forecast.finished
    lines = [f"{forecast.cells} cells, {forecast.finished} already done, {left} left -> {folder}"]
    if save:
        pixel_bytes = _ROUNDED_OUTPUT_BYTES if rounds_outputs else _OUTPUT_BYTES
        outputs = round(forecast.pixels * pixel_bytes)
        pictures = forecast.pixels * _PICTURE_BYTES
        lines.append(
            f"disk: about {_format_bytes(outputs)} of outputs, at most {_format_bytes(pictures)} "
            f"of pictures to look at; {_format_bytes(forecast.free_bytes)} are free"
        )
        if outputs > forecast.free_bytes:
            lines.append("That does not fit; --no-save-images keeps scores and digests only.")
    else:
        lines.append("disk: scores and digests only")
    if forecast.seconds:
        lines.append(
            f"time: {_describe_time(forecast.seconds, workers)}, for restoring alone, at the paces "
            "of what this folder holds; scoring comes on top"
        )
    if forecast.unknown_paces:
        lines.append(
            f"time not known: {shorten_list(forecast.unknown_paces)}. The same command with "
            "--limit 1 instead of --dry-run times one picture."
        )
    return lines


def _describe_time(seconds: float, workers: object) -> str:
    """Return how long a work of so many seconds takes, and by whom."""
    if isinstance(workers, int):
        return f"{_format_duration(seconds / workers)} by {count_noun(workers, 'worker')}"
    return f"{_format_duration(seconds)} of one worker, shared by those that there will be"


def _count_pixels(data: PlannedDataset, sample: str) -> int:
    height, width = data.dataset.picture_size(sample)
    return height * width


def _read_paces(store: Store, dataset: str, pixels: Mapping[str, int]) -> dict[str, float]:
    """Return method -> seconds a pixel."""
    paces: dict[str, list[float]] = {}
    for row in store.rows("cells"):
        is_timed = row["dataset"] == dataset and row["seconds"] is not None
        if is_timed and row["sample"] in pixels:
            pace = row["seconds"] / pixels[row["sample"]]
            paces.setdefault(row["method"], []).append(pace)
    return {method: statistics.median(values) for method, values in paces.items()}


def _find_existing_folder(folder: Path) -> Path:
    """Return a folder, or the first above it that exists."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


def _format_bytes(count: int) -> str:
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _format_duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return f"about {seconds:.0f} s"
    if seconds < 7200:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
