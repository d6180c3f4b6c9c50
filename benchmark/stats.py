"""Statistics of per-picture scores. Every resampling is seeded, so a report is the same each time it is made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_MANY = 1000


class Interval(NamedTuple):
    """A mean with its confidence interval; the bounds are None where the sample cannot give one."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean of per-picture scores with its bias-corrected bootstrap interval (BCa, 9999 resamples).

    Fewer than three values, or values that are all equal, give a mean without an interval. Over a thousand values it
    is Student's interval, which then agrees with the bootstrap to the digits a table prints, without its memory.

    Raises:
        ValueError: no values, or a value that is not finite.
    """
    from scipy import stats

    data = np.sort(np.asarray(values, dtype=np.float64))  # the order of the pictures must not matter
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("mean_interval needs at least one value, all of them finite")
    mean = float(data.mean())
    if data.size < 3 or np.ptp(data) == 0:
        return Interval(mean, None, None, data.size)
    if data.size > _MANY:
        low, high = stats.t.interval(confidence, data.size - 1, loc=mean, scale=stats.sem(data))
        return Interval(mean, float(low), float(high), data.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate resampling is reported as NaN and turned into None below
        found = stats.bootstrap(
            (data,), np.mean, confidence_level=confidence, method="BCa", rng=np.random.default_rng(seed)
        ).confidence_interval
    if not (np.isfinite(found.low) and np.isfinite(found.high)):
        return Interval(mean, None, None, data.size)
    return Interval(mean, float(found.low), float(found.high), data.size)
