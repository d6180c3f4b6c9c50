"""Statistics of per-scene scores: intervals, paired comparisons of two methods, ranks of many.

A scene is what a picture shows. Where several pictures show one, its score is their mean
(`benchmark.results.scene_means`), because pictures that are alike are no independent evidence.
Methods are compared on the same scenes, so everything is about differences per scene: how much
harder one scene is than another is no part of the uncertainty. Every resampling is seeded and
none depends on the order of the scenes, so a report is the same each time it is made.

One p decides what is said, marked and printed: that of `compare`. Where several methods are
compared with one, `adjust_p_values` (Holm) is the only rule for their number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.arrays import Float64Array

ALPHA = 0.05
"""Two-sided level at which a difference counts as shown."""
POWER = 0.8
"""Probability with which a minimum detectable difference would have been shown."""
FEWEST_FOR_BOOTSTRAP = 12
"""Scenes from which on p is of the bootstrap; below it is of all sign flips."""
_MOST_FOR_BOOTSTRAP = 1000
_FEWEST_FOR_INTERVAL = 3
_RESAMPLES = 19_999
_BATCH = 2048
_ROUNDING = 1e-12
_DECIMALS = 12

IntervalKind = Literal["bootstrap", "sign flips", "t", ""]
Limits = tuple[float | None, float | None]
"""Least and largest value that there can be; None for no limit."""
NO_LIMITS: Limits = (None, None)


class Interval(NamedTuple):
    """A mean with its confidence interval; the bounds are None where the sample cannot give one.

    Attributes:
        mean, low, high: in the unit of the scores.
        n: number of scenes.
        kind: "bootstrap" (studentised), "sign flips" (all of them), "t" (Student's); "" without
            bounds.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    kind: IntervalKind = ""


# Intervals
# --------------------------------------------------------------------------------------------------


def mean_interval(
    values: Sequence[float] | Float64Array,
    *,
    confidence: float = 0.95,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
) -> Interval:
    """Return the mean of per-scene scores with its confidence interval.

    From 12 to 1000 scenes it is that of the studentised bootstrap, as `compute_bootstrap_p` tests:
    the means that the test does not reject. Below 12 it is Student's, as sign flips say something
    of differences only; above 1000 it is Student's too, where the two agree to the digits that a
    table prints. Fewer than three values, or values that are all equal, give no bounds.

    Args:
        values: scores, in any order.
        confidence: nominal coverage.
        limits: what a score can be; bounds stay within it, unless a score is outside.
        seed: of the resampling.

    Raises:
        ValueError: no values, or a value that is not finite.
    """
    data = np.sort(_check_finite(values))
    interval = _choose_mean_interval(data, confidence, seed)
    return _limit_interval(interval, data, limits)


def difference_interval(
    differences: Sequence[float] | Float64Array,
    *,
    confidence: float = 0.95,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
) -> Interval:
    """Return the mean of paired differences with the interval that agrees with p of `compare`.

    From 6 scenes on it holds the means that the test does not reject, so 0 is outside exactly where
    p is at most 5 %. Sign flips of fewer scenes reject nothing at 5 %; there it is Student's, which
    takes differences to be normally distributed, and no test.

    Args:
        differences: one per scene, in any order.
        confidence: nominal coverage.
        limits: what a difference can be.
        seed: of the resampling.

    Raises:
        ValueError: as `mean_interval` does.
    """
    data = np.sort(_check_finite(differences))
    n = data.size
    has_flip_bounds = count_scenes_to_show(1, 1 - confidence) <= n < FEWEST_FOR_BOOTSTRAP
    if not has_flip_bounds or _are_all_equal(data):
        return mean_interval(data, confidence=confidence, limits=limits, seed=seed)
    bounds = _find_sign_flip_bounds(data, confidence)
    return _limit_interval(Interval(float(data.mean()), *bounds, n, "sign flips"), data, limits)


def _choose_mean_interval(data: Float64Array, confidence: float, seed: int) -> Interval:
    mean = float(data.mean())
    n = data.size
    if _are_all_equal(data) or n < _FEWEST_FOR_INTERVAL:
        return Interval(mean, None, None, n)
    if FEWEST_FOR_BOOTSTRAP <= n <= _MOST_FOR_BOOTSTRAP:
        return Interval(mean, *_find_bootstrap_bounds(data, confidence, seed), n, "bootstrap")
    return Interval(mean, *_find_student_bounds(data, confidence), n, "t")


def _find_student_bounds(data: Float64Array, confidence: float) -> tuple[float, float]:
    """Return what `scipy.stats.t.interval` gives, without the second that its import takes."""
    from scipy import special

    tails = (1 - confidence) / 2, (1 + confidence) / 2
    standard_error = data.std(ddof=1) / math.sqrt(data.size)
    low, high = special.stdtrit(data.size - 1, tails) * standard_error + data.mean()
    return float(low), float(high)


def _limit_interval(interval: Interval, data: Float64Array, limits: Limits) -> Interval:
    """Return an interval within what a score can be: it loses no value that is possible."""
    if interval.low is None or interval.high is None:
        return interval
    low, high = interval.low, interval.high
    least, largest = limits
    if least is not None:
        low = max(low, min(least, float(data.min())))
    if largest is not None:
        high = min(high, max(largest, float(data.max())))
    return interval._replace(low=low, high=high)


def _find_bootstrap_bounds(data: Float64Array, confidence: float, seed: int) -> tuple[float, float]:
    """Return the ends of the means that `compute_bootstrap_p` does not reject, no further out than
    0 and the values: where most values are equal, t of resamples has no limit.
    """
    oriented, sign = _sort_with_positive_mean(data[None, :])
    mean, error = _estimate_means(oriented)
    resampled_t = _sort_resampled_t(oriented.tobytes(), seed)
    rank = math.floor((1 - confidence) / 2 * (_RESAMPLES + 1) + _ROUNDING) - 1
    largest_t, least_t = resampled_t[-1 - rank], resampled_t[rank]
    ends = sign[0] * (mean[0] - error[0] * np.array([largest_t, least_t]))
    low, high = np.clip(np.sort(ends), min(data.min(), 0), max(data.max(), 0))
    return float(low), float(high)


def _find_sign_flip_bounds(data: Float64Array, confidence: float) -> tuple[float, float]:
    """Return the ends of the means that sign flips do not reject.

    Flipping the signs of some differences to a mean m gives a sum as far out exactly if the mean of
    those differences is on the other side of m. So the bounds are order statistics of the means of
    all subsets (Hartigan, JASA 1969).
    """
    subsets = (_all_signs(data.size) + 1)[1:] / 2
    subset_means = np.sort(subsets @ data / subsets.sum(axis=1))
    rank = math.floor((1 - confidence) / 2 * 2**data.size + _ROUNDING) - 1
    return float(subset_means[rank]), float(subset_means[-1 - rank])


def _are_all_equal(data: Float64Array) -> bool:
    """Return whether values differ by rounding at most."""
    return bool(np.ptp(data) <= _ROUNDING * np.abs(data).max())


# Pairs
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two methods, a and b, on the same scenes.

    Attributes:
        n: number of scenes.
        mean: mean of a - b, in the unit of the scores.
        interval: of that mean; see `difference_interval`.
        wins, losses, ties: scenes on which a is better, worse, equal.
        p: two-sided p of that mean: from 12 scenes on of the studentised bootstrap
            (`compute_bootstrap_p`), below of all sign flips. No p of n flips is less than
            2^(1 - n), so five scenes cannot show anything at 5 %.
        detectable: see `estimate_detectable_difference`; None also where so few scenes can show
            nothing.
    """

    n: int
    mean: float
    interval: Interval
    wins: int
    losses: int
    ties: int
    p: float
    detectable: float | None


def compare(
    a: Sequence[float] | Float64Array,
    b: Sequence[float] | Float64Array,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods by their scores on the same scenes.

    Args:
        a, b: one score per scene, in the same order of scenes.
        higher_is_better: what a win is; it changes no sign.
        confidence: nominal coverage of the interval.
        limits: what a difference can be.
        seed: of every resampling.

    Raises:
        ValueError: no scenes, another number of them in a than in b, or a score that is not
            finite.
    """
    difference = subtract_paired_scores(a, b)
    above = int((difference > 0).sum())
    below = int((difference < 0).sum())
    wins, losses = (above, below) if higher_is_better else (below, above)
    n = difference.size
    can_show = least_p(n) <= ALPHA
    return PairedComparison(
        n=n,
        mean=float(difference.mean()),
        interval=difference_interval(difference, confidence=confidence, limits=limits, seed=seed),
        wins=wins,
        losses=losses,
        ties=n - above - below,
        p=_compute_p(difference, seed),
        detectable=estimate_detectable_difference(difference) if can_show else None,
    )


def subtract_paired_scores(
    a: Sequence[float] | Float64Array, b: Sequence[float] | Float64Array
) -> Float64Array:
    """Return a - b, one difference per scene; raises ValueError as `compare` does."""
    first = _check_finite(a)
    second = _check_finite(b)
    if first.size != second.size:
        raise ValueError(
            f"paired scores are of the same scenes, got {first.size} and {second.size} of them"
        )
    # Rounded, so that differences that are equal on paper are not told apart by the noise of the
    # subtraction.
    difference: Float64Array = np.round(first - second, _DECIMALS)
    return difference


def least_p(n: int) -> float:
    """Return the least p that n scenes can give."""
    if n > _MOST_FOR_BOOTSTRAP:
        return 0.0
    return 2.0 ** (1 - n) if n < FEWEST_FOR_BOOTSTRAP else 2 / (_RESAMPLES + 1)


def count_scenes_to_show(comparisons: int, alpha: float = ALPHA) -> int:
    """Return how many scenes there must be, at the least, for a difference to be shown after Holm's
    adjustment for so many comparisons.
    """
    n = 1
    while comparisons * least_p(n) > alpha + _ROUNDING:
        n = FEWEST_FOR_BOOTSTRAP if n == FEWEST_FOR_BOOTSTRAP - 1 else n + 1
        if n > FEWEST_FOR_BOOTSTRAP:
            return _MOST_FOR_BOOTSTRAP + 1
    return n


def _compute_p(difference: Float64Array, seed: int) -> float:
    from scipy import stats

    n = difference.size
    if not difference.any():
        return 1.0
    if n < FEWEST_FOR_BOOTSTRAP:
        return _compute_sign_flip_p(difference)
    if _are_all_equal(difference):
        return max(2.0 ** (1 - n), least_p(n))
    if n <= _MOST_FOR_BOOTSTRAP:
        oriented, _ = _sort_with_positive_mean(difference[None, :])
        mean, error = _estimate_means(oriented)
        resampled_t = _sort_resampled_t(oriented.tobytes(), seed)
        observed_t = mean[0] / error[0]
        below = int(np.searchsorted(resampled_t, observed_t, side="right"))
        above = _RESAMPLES - int(np.searchsorted(resampled_t, observed_t, side="left"))
        return _double_smaller_tail(min(above, below))
    return float(stats.ttest_1samp(difference, 0).pvalue)


def _compute_sign_flip_p(difference: Float64Array) -> float:
    """Return p of the mean under all choices of signs.

    They make the same of the absolute values as of the differences, and their order is the scenes'
    no more: p is the same in any order, and for b - a.
    """
    sizes = np.sort(np.abs(difference))
    # Rounding must not tell equal sums apart.
    least = abs(difference.sum()) - _ROUNDING * sizes.sum()
    return float((np.abs(_all_signs(sizes.size) @ sizes) >= least).mean())


def _all_signs(n: int) -> Float64Array:
    """Return the 2^n x n matrix of every choice of signs; the first row has no plus."""
    return np.asarray(2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1, dtype=np.float64)


def compute_bootstrap_p(samples: Float64Array, *, seed: int = 0) -> Float64Array:
    """Return the two-sided p that the mean is 0, of the studentised bootstrap with equal tails.

    t = mean / standard error is compared with t of 19,999 resamples about the sample's own mean
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 12.5); p is twice the share in
    the smaller tail. So skewed differences are judged by a skewed distribution, where Student's
    test, sign flips and signed ranks are too sure. A sample is less skewed than what it was drawn
    from, so a resample has only 5/6 as many draws as there are scenes (m out of n; Bickel, Goetze
    and van Zwet, Statistica Sinica 1997): with as many, far tails are too short for families of
    tests. The levels are in `results/measured/statistics`; `python -m tests.error_rates` measures
    them.

    Args:
        samples: k x n differences of k comparisons on n scenes; n is 12 at least, and no row is
            constant.
        seed: of the resampling, which is the same for all rows.

    Returns:
        k values in (0, 1].
    """
    oriented, _ = _sort_with_positive_mean(samples)
    mean, error = _estimate_means(oriented)
    resampled_t = _resample_t(oriented, seed)
    observed_t = mean / error
    above = (resampled_t >= observed_t).sum(axis=0)
    below = (resampled_t <= observed_t).sum(axis=0)
    return np.array([_double_smaller_tail(count) for count in np.minimum(above, below)])


def _double_smaller_tail(count: int) -> float:
    """Return p, given how many resamples are in the smaller tail; the sample counts as one more."""
    return float(min(1, 2 * (count + 1) / (_RESAMPLES + 1)))


@functools.lru_cache(maxsize=16)
def _sort_resampled_t(oriented_sample: bytes, seed: int) -> Float64Array:
    """Return t of every resample of one sample, ascending: its p and its interval need the same."""
    sample = np.frombuffer(oriented_sample)[None, :]
    resampled_t: Float64Array = np.sort(_resample_t(sample, seed)[:, 0])
    return resampled_t


def _sort_with_positive_mean(samples: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return rows sorted, turned so that no mean is negative, and the signs that did so; then a
    resample takes the same from a - b in any order as from b - a.
    """
    sign = np.where(samples.mean(axis=1) < 0, -1.0, 1.0)
    return np.sort(samples * sign[:, None], axis=1), sign


def _estimate_means(samples: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the mean and the standard error of every row."""
    n = samples.shape[1]
    return samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(n)


def _resample_t(samples: Float64Array, seed: int) -> Float64Array:
    """Return resamples x k: t of every resample of every row, about the row's mean."""
    k, n = samples.shape
    centred = samples - samples.mean(axis=1, keepdims=True)
    standardised = (centred / centred.std(axis=1, ddof=1, keepdims=True)).T
    columns = np.hstack([standardised, standardised**2])
    counts = _draw_resamples(n, seed)
    draws = _count_draws(n)
    resampled_t = np.empty((_RESAMPLES, k))
    for start in range(0, _RESAMPLES, _BATCH):
        moments = counts[start : start + _BATCH].astype(np.float64) @ columns / draws
        means, squares = moments[:, :k], moments[:, k:]
        error = np.sqrt(np.maximum(squares - means**2, 0) / (draws - 1))
        # A resample of equal values has no spread: its t is as far out as can be.
        error[error < _ROUNDING] = _ROUNDING
        resampled_t[start : start + _BATCH] = means / error
    return resampled_t


@functools.lru_cache(maxsize=8)
def _draw_resamples(n: int, seed: int) -> NDArray[np.uint8]:
    """Return resamples x n: how often each value is drawn."""
    draws = _count_draws(n)
    rng = np.random.default_rng((seed, n))
    counts = np.empty((_RESAMPLES, n), dtype=np.uint8)
    for start in range(0, _RESAMPLES, _BATCH):
        rows = counts[start : start + _BATCH]
        places = rng.integers(0, n, (len(rows), draws)) + n * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(places.ravel(), minlength=rows.size).reshape(rows.shape)
    return counts


def _count_draws(n: int) -> int:
    """Return 5/6 of n, rounded up."""
    return -(-5 * n // 6)


def estimate_detectable_difference(
    difference: Float64Array, *, alpha: float = ALPHA
) -> float | None:
    """Return the least true mean difference that a paired t-test on as many scenes shows with a
    power of 80 %, given the standard deviation observed; None without one (fewer than three scenes,
    or differences that are all equal).

    Args:
        difference: one per scene.
        alpha: two-sided level of the test.
    """
    from scipy import stats

    n = difference.size
    if n < _FEWEST_FOR_INTERVAL or _are_all_equal(difference):
        return None
    return float(_find_detectable_shift(n, alpha) * stats.sem(difference))


@functools.lru_cache(maxsize=256)
def _find_detectable_shift(n: int, alpha: float) -> float:
    """Return the true mean, in standard errors, that n differences show with the power wanted."""
    from scipy import optimize, stats

    critical_t = stats.t.ppf(1 - alpha / 2, n - 1)

    def power_gap(shift: float) -> float:
        """Power that a true mean of `shift` standard errors lacks; the far tail adds less than 1e-4
        to it.
        """
        return float(POWER - stats.nct.sf(critical_t, n - 1, shift))

    return float(optimize.brentq(power_gap, 0, 2 * critical_t + 2))


# Families
# --------------------------------------------------------------------------------------------------


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 1979), in the order
    given, 1 at most.

    Raises:
        ValueError: a value outside [0, 1].
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError(f"p-values lie in [0, 1], got {p_values}")
    order = np.argsort(raw, kind="stable")
    multiples = raw[order] * np.arange(raw.size, 0, -1)
    p_of_all = np.empty_like(raw)
    p_of_all[order] = np.minimum(np.maximum.accumulate(multiples), 1)
    return [float(value) for value in p_of_all]


def rank_methods(scores: ArrayLike, *, higher_is_better: bool = True) -> tuple[float, ...]:
    """Return the mean rank of each method over scenes; 1 is best, ties share the average.

    Args:
        scores: n x k, one row per scene, one column per method.
        higher_is_better: which end of the scores has rank 1.

    Raises:
        ValueError: not a table of one scene at least, or a score that is not finite.
    """
    from scipy import stats

    table = _check_finite(scores)
    if table.ndim != 2:
        raise ValueError(f"ranks need scenes x methods, got shape {table.shape}")
    ranks = stats.rankdata(-table if higher_is_better else table, axis=1)
    return tuple(float(rank) for rank in ranks.mean(axis=0))


def _check_finite(values: ArrayLike) -> Float64Array:
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("statistics need at least one value, all of them finite")
    return data
