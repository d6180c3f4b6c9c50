"""Statistics of per-scene scores: intervals, paired comparisons of two methods, ranks of many.

A scene is what a picture shows. Where several pictures show one, its score is their mean
(`benchmark.results.scene_means`), because pictures that are alike are no independent evidence.
Methods are compared on the same scenes, so everything is about differences per scene: how much
harder one scene is than another is no part of the uncertainty. Every resampling is seeded and
none depends on the order of the scenes, so a report is the same each time it is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from benchmark.arrays import Float64Array

ALPHA = 0.05
"""Two-sided level at which a difference counts as shown."""
POWER = 0.8
"""Probability with which a minimum detectable difference would have been shown."""
_FEWEST_FOR_BOOTSTRAP = 30
_MOST_FOR_BOOTSTRAP = 1000
_FEWEST_FOR_INTERVAL = 3
_MOST_FOR_EXACT_P = 16
_FLIPS = 99_999
_BATCH = 4096
_ROUNDING = 1e-12
_DECIMALS = 12


class Interval(NamedTuple):
    """A mean with its confidence interval; the bounds are None where the sample cannot give one.

    Attributes:
        mean, low, high: in the unit of the scores.
        n: number of scenes.
        kind: "bootstrap" (BCa) or "t" (Student's); "" without bounds.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    kind: Literal["bootstrap", "t", ""] = ""


def mean_interval(
    values: Sequence[float] | Float64Array, *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of per-scene scores with its confidence interval.

    From 30 to 1000 scenes it is the bias-corrected and accelerated bootstrap (BCa, 9999
    resamples; Efron, JASA 1987). Below 30 it is Student's, which covers better; so it is above
    1000, where the two agree to the digits that a table prints, without the memory of the
    bootstrap. Fewer than three values, or values that are all equal, give no bounds.

    Coverage in per cent of intervals that mean to cover 95, BCa | Student's, simulated (3000
    samples each; a slow test repeats it):

        n     normal       skew 1.75    skew 6.2     heavy tails
        5     84.3 | 95.6  80.8 | 91.1  74.3 | 82.2  81.0 | 96.1
        10    89.8 | 94.9  88.8 | 92.6  83.6 | 84.7  86.4 | 95.9
        24    92.7 | 94.8  91.9 | 93.3  88.8 | 88.3  89.0 | 95.8
        76    94.7 | 94.9  93.9 | 94.3  90.6 | 89.5  91.5 | 95.5

    (Lognormal with sigma 0.5 and 1, Student's t with 3 degrees of freedom; differences of PSNR
    between our classical methods have skews up to 1.6.) So very skewed scores have intervals that
    are too narrow, whichever it is, and so has the bootstrap under heavy tails.

    Args:
        values: scores, or differences of scores, in any order.
        confidence: nominal coverage.
        seed: of the resampling.

    Raises:
        ValueError: no values, or a value that is not finite.
    """
    from scipy import stats

    data = np.sort(_check_finite(values))
    mean = float(data.mean())
    n = data.size
    if _are_all_equal(data) or n < _FEWEST_FOR_INTERVAL:
        return Interval(mean, None, None, n)
    if _FEWEST_FOR_BOOTSTRAP <= n <= _MOST_FOR_BOOTSTRAP:
        return Interval(mean, *_bca_bounds(data, confidence, seed), n, "bootstrap")
    low, high = stats.t.interval(confidence, n - 1, loc=mean, scale=stats.sem(data))
    return Interval(mean, float(low), float(high), n, "t")


def _bca_bounds(data: Float64Array, confidence: float, seed: int) -> tuple[float, float]:
    from scipy import stats

    rng = np.random.default_rng(seed)
    bootstrap = stats.bootstrap(
        (data,), np.mean, confidence_level=confidence, method="BCa", rng=rng
    )
    bounds = bootstrap.confidence_interval
    return float(bounds.low), float(bounds.high)


def _are_all_equal(data: Float64Array) -> bool:
    """Return whether values differ by rounding at most."""
    return bool(np.ptp(data) <= _ROUNDING * np.abs(data).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two methods, a and b, on the same scenes.

    Attributes:
        n: number of scenes.
        mean: mean of a - b, in the unit of the scores.
        interval: of that mean.
        wins, losses, ties: scenes on which a is better, worse, equal.
        wilcoxon: two-sided p of Wilcoxon's signed ranks (zeros ranked, after Pratt); exact up to 16
            scenes, and up to 50 without zeros and ties, else by the normal approximation.
        sign_flip: two-sided p of the mean under random signs: all of them up to 16 scenes, else
            99,999, of which the observed one counts as one more. No p is less than 2^(1 - n), so
            five scenes cannot show anything at 5 %.
        detectable: the least true mean difference that a paired t-test on n such scenes would
            have shown with a power of 80 % at 5 % two-sided, given the standard deviation observed;
            None without one (fewer than three scenes, or differences that are all equal).
    """

    n: int
    mean: float
    interval: Interval
    wins: int
    losses: int
    ties: int
    wilcoxon: float
    sign_flip: float
    detectable: float | None


def compare_paired_scores(
    a: Sequence[float] | Float64Array,
    b: Sequence[float] | Float64Array,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods by their scores on the same scenes.

    Args:
        a, b: one score per scene, in the same order of scenes.
        higher_is_better: what a win is; it changes no sign.
        confidence: nominal coverage of the interval.
        seed: of every resampling.

    Raises:
        ValueError: no scenes, another number of them in a than in b, or a score that is not
            finite.
    """
    first = _check_finite(a)
    second = _check_finite(b)
    if first.size != second.size:
        raise ValueError(
            f"paired scores are of the same scenes, got {first.size} and {second.size} of them"
        )
    # Rounded, so that differences that are equal on paper are not ranked by the noise of the
    # subtraction.
    difference = np.round(first - second, _DECIMALS)
    above = int((difference > 0).sum())
    below = int((difference < 0).sum())
    wins, losses = (above, below) if higher_is_better else (below, above)
    return PairedComparison(
        n=difference.size,
        mean=float(difference.mean()),
        interval=mean_interval(difference, confidence=confidence, seed=seed),
        wins=wins,
        losses=losses,
        ties=difference.size - above - below,
        wilcoxon=_wilcoxon_p(difference),
        sign_flip=_sign_flip_p(difference, seed),
        detectable=_detectable_difference(difference),
    )


def _wilcoxon_p(difference: Float64Array) -> float:
    from scipy import stats

    if not difference.any():
        return 1.0
    if (
        difference.size <= _MOST_FOR_EXACT_P
    ):  # scipy takes seconds for what is a sign-flip test of the ranks
        return _sign_flip_p(stats.rankdata(np.abs(difference)) * np.sign(difference), seed=0)
    return float(stats.wilcoxon(difference, zero_method="pratt").pvalue)


def _sign_flip_p(difference: Float64Array, seed: int) -> float:
    """Return p of the mean; `scipy.stats.permutation_test` gives the same and takes 25 times as
    long.

    Random signs make the same of the absolute values as of the differences, and their order is the
    scenes' no more: p is the same in any order, and for b - a.
    """
    sizes = np.sort(np.abs(difference))
    # Rounding must not tell equal sums apart.
    least = abs(difference.sum()) - _ROUNDING * sizes.sum()
    if sizes.size <= _MOST_FOR_EXACT_P:
        return float((np.abs(_all_signs(sizes.size) @ sizes) >= least).mean())
    rng = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, _FLIPS, _BATCH):
        shape = (min(_BATCH, _FLIPS - start), -(-sizes.size // 8))
        random_bytes = rng.integers(0, 256, shape, dtype=np.uint8)
        up = np.unpackbits(random_bytes, axis=1, count=sizes.size)
        extreme += int((np.abs(up @ (2 * sizes) - sizes.sum()) >= least).sum())
    return (extreme + 1) / (_FLIPS + 1)


def _all_signs(n: int) -> Float64Array:
    """Return the 2^n x n matrix of every choice of signs."""
    return np.asarray(2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1, dtype=np.float64)


def _detectable_difference(difference: Float64Array) -> float | None:
    from scipy import optimize, stats

    n = difference.size
    if n < _FEWEST_FOR_INTERVAL or _are_all_equal(difference):
        return None
    critical_t = stats.t.ppf(1 - ALPHA / 2, n - 1)

    def power_gap(shift: float) -> float:
        """Power that a true mean of `shift` standard errors lacks; the far tail adds less than 1e-4
        to it.
        """
        return float(POWER - stats.nct.sf(critical_t, n - 1, shift))

    shift = optimize.brentq(power_gap, 0, 2 * critical_t + 2)
    return float(shift * stats.sem(difference))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRanks:
    """Ranks of k methods over n scenes.

    Attributes:
        statistic: Friedman's chi-squared with k - 1 degrees of freedom, corrected for ties.
        p: of it, from the chi-squared distribution.
        mean_ranks: one per method, 1 is best; ties share the average of their ranks.
        critical_difference: two methods differ at 5 % if their mean ranks differ by more than that
            (Nemenyi; Demsar, JMLR 2006).
        n, k: scenes and methods.
    """

    statistic: float
    p: float
    mean_ranks: tuple[float, ...]
    critical_difference: float
    n: int
    k: int


def rank_methods(scores: ArrayLike, *, higher_is_better: bool = True) -> MethodRanks:
    """Rank many methods on the same scenes.

    Args:
        scores: n x k, one row per scene, one column per method.
        higher_is_better: which end of the scores has rank 1.

    Raises:
        ValueError: fewer than two scenes or three methods, or a score that is not finite.
    """
    from scipy import stats

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise ValueError(
            f"friedman needs scenes x methods, at least 2 x 3, got shape {table.shape}"
        )
    n, k = table.shape
    _check_finite(table)
    ranks = stats.rankdata(-table if higher_is_better else table, axis=1)
    if (ranks == ranks[:, :1]).all():  # all methods equal on every scene: it would be 0 / 0
        statistic = 0.0
        p = 1.0
    else:
        statistic, p = stats.friedmanchisquare(*ranks.T)
    range_quantile = stats.studentized_range.ppf(1 - ALPHA, k, np.inf)
    critical_difference = float(range_quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n)))
    return MethodRanks(
        statistic=float(statistic),
        p=float(p),
        mean_ranks=tuple(float(rank) for rank in ranks.mean(axis=0)),
        critical_difference=critical_difference,
        n=n,
        k=k,
    )


def _check_finite(values: ArrayLike) -> Float64Array:
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("statistics need at least one value, all of them finite")
    return data
