"""How good is a blur map? Errors against a true map, and detection scores against a mask.

Conventions, because papers differ:

- Maps are compared as they are, in pixels of Gaussian-equivalent sigma; no scale or offset is
  fitted.
- Against a mask the score of a pixel is its sigma, and "marked as out of focus" means sigma >=
  threshold. The best F takes the threshold that suits each picture best: an upper bound for any
  rule that has to choose one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.api import MAP_CROP_RIGHT, Map, Mask, Sample, Scalar
from benchmark.arrays import FloatArray

MapValues = dict[str, Scalar | None]
SigmaPixels = FloatArray

SIGMA_BIN_EDGES: Final = (0.0, 0.5, 1.0, 2.0, 3.0, math.inf)
"""Edges of the bins of true sigma (px) for errors by blur; a bin holds its lower edge."""
F_SCORE_BETA2: Final = {"f03": 0.3, "f1": 1.0}
"""beta^2 of the F-scores: 0.3 is the convention of the blur and saliency detection literature."""

TRUTH_CONSTANT: Final = "the true map is constant"
ESTIMATE_CONSTANT: Final = "the estimated map is constant"
NO_TRUTH: Final = "no true map"
NO_MASK: Final = "no mask"


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
