"""How good are the blur maps themselves? Errors against a true map, detection scores against a
mask, and their run.

Scores are per picture. The maps are kept under the identity of their cells, so the same command
again only scores them once more, which is cheap and never stale; what failed is tried again. Rows
go to `maps.csv` as they come and the file is put in order at the end. One command at a time may
write into a folder.

Conventions, because papers differ:

- Maps are compared as they are, in pixels of Gaussian-equivalent sigma; no scale or offset is
  fitted.
- Against a mask the score of a pixel is its sigma, and "marked as out of focus" means sigma >=
  threshold. The best F takes the threshold that suits each picture best: an upper bound for any
  rule that has to choose one.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import console, imageio, plan, runner, worker
from benchmark.api import (
    MAP_CROP_RIGHT,
    DataError,
    Map,
    Mask,
    Method,
    Observation,
    Sample,
    Scalar,
)
from benchmark.apply import NO_MAP as NO_MAP  # for those who read rows
from benchmark.apply import Skip, Stopwatch, one_line, validate_blur_map
from benchmark.arrays import FloatArray
from benchmark.cells import Cell, Task
from benchmark.files import replace_file
from benchmark.metrics.tracks import Track, TrackDepth
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.registry import METHODS
from benchmark.run_layout import output_file
from benchmark.worker import RunSettings
from benchmark.worker_pool import Failure

MapRow = dict[str, Scalar | None]
MapValues = dict[str, Scalar | None]
SigmaPixels = FloatArray

MAPS_CSV: Final = "maps.csv"
SIGMA_BIN_EDGES: Final = (0.0, 0.5, 1.0, 2.0, 3.0, math.inf)
"""Edges of the bins of true sigma (px) for errors by blur; a bin holds its lower edge."""
F_SCORE_BETA2: Final = {"f03": 0.3, "f1": 1.0}
"""beta^2 of the F-scores: 0.3 is the convention of the blur and saliency detection literature."""

TRUTH_CONSTANT: Final = "the true map is constant"
ESTIMATE_CONSTANT: Final = "the estimated map is constant"
NO_TRUTH: Final = "no true map"
NO_MASK: Final = "no mask"


# Scores
# --------------------------------------------------------------------------------------------------


class MapErrors(NamedTuple):
    """Errors of a map in pixels of sigma. `bias` is estimate - truth; `pearson` is None where it is
    undefined.
    """

    n: int
    mae: float
    rmse: float
    bias: float
    pearson: float | None


class BestFScore(NamedTuple):
    """The best F-score over all thresholds on sigma, its threshold (px), and precision and recall
    there.
    """

    value: float
    threshold: float
    precision: float
    recall: float


def measure_map_errors(estimate: SigmaPixels, truth: SigmaPixels) -> MapErrors:
    """Return the errors of an estimated map against the true one, over all pixels, computed in
    float64.

    Args:
        estimate, truth: sigma in pixels, finite; H x W, or any selection of pixels.

    Raises:
        ValueError: if the shapes differ or there are no pixels.
    """
    estimate, truth = _as_doubles(estimate, truth)
    error = estimate - truth
    return MapErrors(
        n=error.size,
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        bias=float(error.mean()),
        pearson=_pearson_correlation(estimate, truth),
    )


def measure_errors_by_sigma(
    estimate: Map, truth: Map, edges: Sequence[float] = SIGMA_BIN_EDGES
) -> dict[str, MapErrors | None]:
    """Return the errors of the pixels whose true sigma lies in each bin; None for a bin without
    pixels.

    Args:
        estimate, truth: H x W sigma in pixels, finite.
        edges: increasing; bin i is edges[i] <= truth < edges[i + 1].

    Raises:
        ValueError: if the shapes differ or there are no pixels.
    """
    estimates, truths = _as_doubles(estimate, truth)
    errors: dict[str, MapErrors | None] = {}
    for low, high in itertools.pairwise(edges):
        name = name_sigma_bin(low, high)
        inside = (truths >= low) & (truths < high)
        errors[name] = None
        if inside.any():
            errors[name] = measure_map_errors(estimates[inside], truths[inside])
    return errors


def name_sigma_bin(low: float, high: float) -> str:
    """Return "0.5-1", or "3+" for a bin without upper edge."""
    if math.isinf(high):
        return f"{low:g}+"
    return f"{low:g}-{high:g}"


def roc_auc(estimate: Map, mask: Mask) -> float:
    """Return the area under the ROC curve of sigma as a score for "out of focus": exact, by ranks,
    ties count half.

    Args:
        estimate: H x W sigma in pixels, finite.
        mask: H x W, True where out of focus.

    Raises:
        ValueError: if the shapes differ, or the mask does not hold both classes.
    """
    from scipy.stats import mannwhitneyu

    scores, is_positive = _flatten_with_mask(estimate, mask)
    scores = scores.astype(np.float64)  # scipy sums ranks in the type of the scores
    positives = scores[is_positive]
    negatives = scores[~is_positive]
    # `method` is that of the p-value, which is not used.
    pairs_in_order = mannwhitneyu(positives, negatives, method="asymptotic").statistic
    return float(pairs_in_order / (positives.size * negatives.size))


def find_best_f_score(estimate: Map, mask: Mask, beta2: float) -> BestFScore:
    """Return the best F = (1 + beta2) P R / (beta2 P + R) over the thresholds "sigma >= t"; of
    equals the highest t.

    Args:
        estimate: H x W sigma in pixels, finite.
        mask: H x W, True where out of focus.
        beta2: beta^2, > 0; below 1 it weighs precision more.

    Raises:
        ValueError: if the shapes differ, or the mask does not hold both classes.
    """
    scores, is_positive = _flatten_with_mask(estimate, mask)
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    # Equal sigmas are marked together, so a threshold is the last pixel of its sigma.
    last_of_sigma = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    marks = last_of_sigma + 1
    hits = np.cumsum(is_positive[order])[last_of_sigma]
    positives = is_positive.sum()
    values = (1 + beta2) * hits / (marks + beta2 * positives)  # the formula above, free of 0 / 0
    best = int(values.argmax())
    return BestFScore(
        value=float(values[best]),
        threshold=float(scores[last_of_sigma[best]]),
        precision=float(hits[best] / marks[best]),
        recall=float(hits[best] / positives),
    )


def f_score_of_all_pixels(mask: Mask, beta2: float) -> float:
    """Return the F-score of marking every pixel (P = share of the mask, R = 1), which every map
    attains at least.
    """
    share = float(mask.mean())
    return (1 + beta2) * share / (beta2 * share + 1)


def explain_single_class(mask: Mask) -> str | None:
    """Return why a mask cannot be scored against, or None if it holds both classes."""
    if mask.all():
        return "the mask is out of focus everywhere"
    if not mask.any():
        return "the mask is in focus everywhere"
    return None


def score_blur_map(estimate: Map, sample: Sample) -> MapValues:
    """Return every score that a sample allows, by column of `maps.csv`; a reason where there is
    none.

    Raises:
        ValueError: if the sample asks for a crop that leaves nothing.
    """
    columns_dropped = _count_dropped_columns(sample, estimate.shape[1])
    width = estimate.shape[1] - columns_dropped
    estimate = estimate[:, :width]
    values: MapValues = {
        "columns_dropped": columns_dropped,
        "pearson_reason": NO_TRUTH,
        "auc_reason": NO_MASK,
    }
    if sample.blur_map is not None:
        values |= _score_against_true_map(estimate, sample.blur_map[:, :width])
    if sample.mask is not None:
        values |= _score_against_mask(estimate, sample.mask[:, :width])
    return values


def _count_dropped_columns(sample: Sample, width: int) -> int:
    columns = sample.meta.get(MAP_CROP_RIGHT, 0)
    if not isinstance(columns, int) or not 0 <= columns < width:
        raise ValueError(
            f"sample {sample.id!r}: {MAP_CROP_RIGHT} = {columns!r} must be a number from 0 to "
            f"{width - 1}"
        )
    return columns


def _score_against_true_map(estimate: Map, truth: Map) -> MapValues:
    errors = measure_map_errors(estimate, truth)
    values: MapValues = {
        "n_px": errors.n, "mae_px": errors.mae, "rmse_px": errors.rmse, "bias_px": errors.bias,
        "pearson": errors.pearson, "pearson_reason": None,
        "constant_mae_px": measure_map_errors(np.full(truth.shape, np.median(truth)), truth).mae,
    }  # fmt: skip
    if errors.pearson is None:
        is_truth_constant = np.ptp(truth) == 0
        values["pearson_reason"] = TRUTH_CONSTANT if is_truth_constant else ESTIMATE_CONSTANT
    for name, part in measure_errors_by_sigma(estimate, truth).items():
        if part is None:
            values |= {f"n_px {name}": 0, f"mae_px {name}": None, f"bias_px {name}": None}
        else:
            values |= {
                f"n_px {name}": part.n,
                f"mae_px {name}": part.mae,
                f"bias_px {name}": part.bias,
            }
    return values


def _score_against_mask(estimate: Map, mask: Mask) -> MapValues:
    values: MapValues = {
        "mask_px": mask.size,
        "mask_share": float(mask.mean()),
        "auc_reason": explain_single_class(mask),
    }
    if values["auc_reason"] is None:
        values["auc"] = roc_auc(estimate, mask)
        for name, beta2 in F_SCORE_BETA2.items():
            best = find_best_f_score(estimate, mask, beta2)
            values |= {
                name: best.value,
                f"{name}_threshold_px": best.threshold,
                f"{name}_precision": best.precision,
                f"{name}_recall": best.recall,
                f"{name}_of_all": f_score_of_all_pixels(mask, beta2),
            }
    return values


def _as_doubles(
    estimate: SigmaPixels, truth: SigmaPixels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if estimate.shape != truth.shape or estimate.size == 0:
        raise ValueError(
            f"cannot compare a map of shape {estimate.shape} with one of {truth.shape}"
        )
    return np.asarray(estimate, np.float64), np.asarray(truth, np.float64)


def _pearson_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    from scipy.stats import pearsonr

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(pearsonr(x.ravel(), y.ravel()).statistic)


def _flatten_with_mask(estimate: Map, mask: Mask) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if estimate.shape != mask.shape:
        raise ValueError(
            f"cannot compare a map of shape {estimate.shape} with a mask of {mask.shape}"
        )
    reason = explain_single_class(mask)
    if reason is not None:
        raise ValueError(f"{reason}; both classes are needed")
    return estimate.ravel(), mask.ravel()


# The run
# --------------------------------------------------------------------------------------------------

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
`seconds_seen`: on a shared machine, no measurement.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class MapOutcome:
    """What came of one cell whose work returned."""

    status: Literal["ok", "skipped"]
    reason: str | None = None
    seconds: float | None = None
    values: Mapping[str, Scalar | None] = dataclasses.field(default_factory=dict)


def map_file_of_cell(cell: Cell) -> str:
    """Return where a cell's map is kept, relative to the folder: .npy, float32, sigma in pixels."""
    return output_file(cell).replace("outputs/", "maps/", 1)


def score_maps(
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    noises: Sequence[Noise],
    settings: RunSettings,
    *,
    depth: TrackDepth = "u8",
    jobs: int = 1,
    timeout: float | None = None,
) -> list[MapRow]:
    """Make and score the maps of every method on every sample at every noise level.

    The pictures are those that `run` shows: same input track, same noise field. Rows are written to
    `maps.csv` as they come; rows of earlier commands stay in it, after those of this plan.

    Args:
        methods, data: as `plan.select_methods` and `plan.select_dataset` give them.
        noises: noise levels.
        settings: folder for `maps.csv` and the maps, data root, plug-ins and device; the rest is
            not used.
        depth: reader depth of the input track.
        jobs: worker processes, among which the cores are shared out; 0 takes one per core, four at
            most.
        timeout: seconds a picture may take, loading and preparing its method included.

    Returns:
        One row per cell with the keys `MAP_COLUMNS`, in the order of the plan: by sample, noise
        level, method. A failure, or a method that makes no map, is a row with its reason.

    Raises:
        DataError: if an earlier `maps.csv` cannot be read, or the folder cannot be written to.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    path = settings.folder / MAPS_CSV
    tasks = plan.plan_tasks(methods, data, [Track(depth)], noises)
    earlier_rows = {str(row["key"]): row for row in _read_map_rows(path)}
    _write_map_rows(path, earlier_rows.values())
    rows: dict[str, MapRow] = {}
    with path.open("a", encoding="utf-8", newline="") as file:
        outcomes = _do_map_tasks(tasks, settings, jobs, timeout)
        for cell, outcome in console.track_progress(outcomes, len(tasks), "estimating"):
            row = _make_map_row(cell, outcome)
            if row["seconds_seen"] is None and cell.key in earlier_rows:
                row["seconds_seen"] = earlier_rows[cell.key]["seconds_seen"]
            _report_lost_cell(cell, outcome)
            csv.DictWriter(file, MAP_COLUMNS).writerow(row)
            file.flush()
            rows[cell.key] = row
    rows_in_order = [rows[task.cell.key] for task in tasks]
    other_rows = [row for key, row in earlier_rows.items() if key not in rows]
    _write_map_rows(path, [*rows_in_order, *other_rows])
    return rows_in_order


def _report_lost_cell(cell: Cell, outcome: MapOutcome | Failure) -> None:
    if isinstance(outcome, Failure):
        console.print_note(
            f"{outcome.status}: {cell.method} on {cell.sample}, noise {cell.noise.sigma:g}: "
            f"{outcome.reason}"
        )


def _make_map_row(cell: Cell, outcome: MapOutcome | Failure) -> MapRow:
    facts: MapRow = {
        "key": cell.key,
        "dataset": cell.dataset,
        "data": cell.data,
        "sample": cell.sample,
        "noise": cell.noise.sigma,
        "clip": cell.noise.clip,
        "round8": cell.noise.round8,
        "seed": cell.noise.seed,
        "track": cell.track,
        "method": cell.method,
        "version": cell.method_version,
        "weights": cell.weights,
        "status": outcome.status,
        "reason": outcome.reason,
    }
    if outcome.status == "ok":
        facts["map"] = map_file_of_cell(cell)
    if isinstance(outcome, MapOutcome):
        facts |= {"seconds_seen": outcome.seconds, **outcome.values}
    elif outcome.traceback is not None:
        facts["traceback"] = outcome.traceback[-_MAX_TRACEBACK_LENGTH:]
    return dict.fromkeys(MAP_COLUMNS) | facts


def _read_map_rows(path: Path) -> list[MapRow]:
    """Return the rows of an earlier `maps.csv`; a line that a killed process left unfinished is
    dropped.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: is not a table of map scores ({error}); move it away or use another --out"
        ) from error
    return [_parse_map_row(row) for row in rows if _is_whole_row(row)]


def _is_whole_row(row: Mapping[str | None, str | None]) -> bool:
    """Return whether a line has a key and as many fields as there are columns."""
    return bool(row.get("key")) and None not in row and None not in row.values()


def _parse_map_row(row: Mapping[str, str]) -> MapRow:
    return dict.fromkeys(MAP_COLUMNS) | {name: text or None for name, text in row.items()}


def _write_map_rows(path: Path, rows: Iterable[MapRow]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, MAP_COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    with replace_file(path) as file:
        file.write(text.getvalue().encode())


def _do_map_tasks(
    tasks: Sequence[Task], settings: RunSettings, jobs: int, timeout: float | None
) -> Iterator[tuple[Cell, MapOutcome | Failure]]:
    """Yield each cell with its outcome, as they come; methods that never make a map cost no
    worker.
    """
    remaining_tasks: list[Task] = []
    for task in tasks:
        if _can_make_maps(METHODS.get(task.cell.method_name)):
            remaining_tasks.append(task)
        else:
            yield task.cell, MapOutcome("skipped", NO_MAP)
    if not remaining_tasks:
        return
    jobs = runner.count_workers(jobs, len(remaining_tasks))
    outcomes = runner.map_in_processes(
        score_map_of_cell, remaining_tasks, settings, jobs=jobs, timeout=timeout
    )
    for task, outcome in outcomes:
        yield task.cell, outcome


def _can_make_maps(kind: type[Method]) -> bool:
    return kind.estimate_blur is not Method.estimate_blur


# Inside a worker
# --------------------------------------------------------------------------------------------------


def score_map_of_cell(task: Task) -> MapOutcome:
    """Make (or read back) and score the map of one cell; raises whatever goes wrong."""
    sample, _, method, observation = worker.prepare_cell(task)
    path = worker.current_settings().folder / map_file_of_cell(task.cell)
    stopwatch = Stopwatch()
    blur_map = _read_map_of_earlier_run(path, observation)
    if blur_map is None:
        try:
            blur_map = method.estimate_blur(observation, stopwatch)
        except Skip as skip:
            return MapOutcome("skipped", one_line(skip.reason))
        path.parent.mkdir(parents=True, exist_ok=True)
        imageio.write_array(path, blur_map)
    values = {"scene": sample.scene} | score_blur_map(blur_map, sample)
    return MapOutcome("ok", seconds=stopwatch.seconds, values=values)


def _read_map_of_earlier_run(path: Path, observation: Observation) -> Map | None:
    """Return the map of an earlier command, or None if there is none that can be used."""
    try:
        return validate_blur_map(imageio.read_array(path), observation)
    except (DataError, ValueError):
        return None
