"""The study of blur maps: every method's map of every picture, scored (see `map_scores`).

Scores are per picture. The maps are kept beside them, and what was scored once is not scored again
while its map is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmark import console, imageio, plan, worker
from benchmark.api import DataError, Map, Method, Observation, Scalar
from benchmark.apply import NO_MAP as NO_MAP  # for those who read rows
from benchmark.apply import Stopwatch, validate_blur_map
from benchmark.cells import StudyResult, Task
from benchmark.engines import Engine
from benchmark.metrics.tracks import Track, TrackDepth
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.registry import METHODS
from benchmark.run_layout import map_file_of_cell
from benchmark.store import FILE_NAME, Store
from benchmark.studies.map_scores import (
    F_SCORE_BETA2,
    SIGMA_BIN_EDGES,
    name_sigma_bin,
    score_blur_map,
)
from benchmark.studies.study import Study, do_study, make_cell_item
from benchmark.worker import RunSettings

MapRow = dict[str, Scalar | None]

MAPS_CSV: Final = "maps.csv"
_EARLIER_MAPS_CSV: Final = "maps.earlier.csv"

_BIN_COLUMNS = [
    f"{measure} {name_sigma_bin(low, high)}"
    for low, high in itertools.pairwise(SIGMA_BIN_EDGES)
    for measure in ("n_px", "mae_px", "bias_px")
]
_F_SCORE_COLUMNS = [
    f"{name}{part}"
    for name in F_SCORE_BETA2
    for part in ("", "_threshold_px", "_precision", "_recall", "_of_all")
]
_MAX_TRACEBACK_LENGTH = 4000
MAP_COLUMNS: Final = (
    "key",
    "dataset",
    "data",
    "sample",
    "scene",
    "noise",
    "clip",
    "round8",
    "seed",
    "on_views",
    "track",
    "method",
    "version",
    "weights",
    "status",
    "reason",
    "map",
    "columns_dropped",
    "n_px",
    "mae_px",
    "rmse_px",
    "bias_px",
    "pearson",
    "pearson_reason",
    "constant_mae_px",
    *_BIN_COLUMNS,
    "mask_px",
    "mask_share",
    "auc",
    "auc_reason",
    *_F_SCORE_COLUMNS,
    "seconds_seen",
    "traceback",
)
"""Columns of `maps.csv`. `constant_mae_px`: MAE of the best constant map; `f1_of_all`: F1 of
marking every pixel; `columns_dropped`: at the right edge, because the data set asks for it;
`seconds_seen`: on a shared machine, no measurement; `on_views`: see `Noise`, empty in rows of
earlier versions, whose views had sigma * sqrt(2).
"""


def score_maps(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    noises: Sequence[Noise],
    settings: RunSettings,
    *,
    engine: Engine,
    depth: TrackDepth = "u8",
    timeout: float | None = None,
) -> list[MapRow]:
    """Make and score the maps of every method on every sample at every noise level.

    The pictures are those that `run` shows: same input track, same noise field.

    Args:
        methods, data: as `plan.select_methods` and `plan.select_dataset` give them.
        noises: noise levels.
        settings: folder for scores and maps, data root, plug-ins and device; the rest is not used.
        depth: reader depth of the input track.
        engine: where maps are made and scored.
        timeout: seconds a picture may take, loading and preparing its method included.

    Returns:
        One row per cell with the keys `MAP_COLUMNS`, in the order of the plan: by sample, noise
        level, method. A failure, or a method that makes no map, is a row with its reason.

    Raises:
        UsageError, DataError: if the folder cannot be used.
    """
    _set_earlier_table_aside(settings.folder)
    tasks = plan.plan_tasks(methods, data, [Track(depth)], noises)
    results = do_study(
        BLUR_MAPS,
        [make_cell_item(BLUR_MAPS, task, _explain_no_map(task)) for task in tasks],
        settings,
        engine=engine,
        timeout=timeout,
        is_intact=lambda result: _is_map_there(settings.folder, result),
    )
    return [_make_map_row(result) for result in results]


def read_map_rows(folder: Path) -> list[MapRow]:
    """Return the rows of all commands that a folder holds, without methods that make no map.

    Raises:
        UsageError: if there is no study.
    """
    with Store(folder, read_only=True) as store:
        return [_make_map_row(result) for result in store.study_results(BLUR_MAPS.name).values()]


def _set_earlier_table_aside(folder: Path) -> None:
    """Rename a `maps.csv` that no store stands behind: earlier versions kept their rows there."""
    path = folder / MAPS_CSV
    if path.is_file() and not (folder / FILE_NAME).exists():
        path.replace(folder / _EARLIER_MAPS_CSV)
        console.print_note(
            f"{path}: of an earlier version; it is {_EARLIER_MAPS_CSV} now, and its maps are "
            "scored again"
        )


def _explain_no_map(task: Task) -> str | None:
    """Return why a method never makes a map, so that it needs no worker; None if it may."""
    kind = METHODS.get(task.cell.method_name)
    return NO_MAP if kind.estimate_blur is Method.estimate_blur else None


def _is_map_there(folder: Path, result: StudyResult) -> bool:
    return result.status != "ok" or imageio.is_array_file(folder / result.values["map"])


def _make_map_row(result: StudyResult) -> MapRow:
    row: MapRow = dict.fromkeys(MAP_COLUMNS)
    row |= result.facts
    row |= {"status": result.status, "reason": result.reason}
    if result.traceback is not None:
        row["traceback"] = result.traceback[-_MAX_TRACEBACK_LENGTH:]
    return row | dict(result.values)


def score_map_of_cell(task: Task) -> Mapping[str, Any]:
    """Make (or read back) and score the map of one cell, inside a worker; raises whatever goes
    wrong.
    """
    sample, _, method, observation = worker.prepare_cell(task)
    map_file = map_file_of_cell(task.cell)
    path = worker.current_settings().folder / map_file
    stopwatch = Stopwatch()
    blur_map = _read_earlier_map(path, observation)
    if blur_map is None:
        blur_map = method.estimate_blur(observation, stopwatch)
        path.parent.mkdir(parents=True, exist_ok=True)
        imageio.write_array(path, blur_map)
    scores = score_blur_map(blur_map, sample)
    return {
        "map": map_file,
        "seconds_seen": stopwatch.seconds,
        "scene": sample.scene,
        **scores,
    }


def _read_earlier_map(path: Path, observation: Observation) -> Map | None:
    """Return the map of an earlier command, or None if there is none that can be used."""
    try:
        return validate_blur_map(imageio.read_array(path), observation)
    except (DataError, ValueError):
        return None


BLUR_MAPS: Final = Study("maps", "1", score_map_of_cell, "estimating")
