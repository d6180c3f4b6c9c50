"""Mean absolute error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.inputs import as_pair


class Mae(Metric):
    """Mean absolute difference over all pixels and channels, on the [0, 1] scale.

    >>> output, target = np.full((4, 4, 3), 0.6), np.full((4, 4, 3), 0.5)
    >>> round(Mae()(output, target), 6)
    0.1
    """

    card = MetricCard(
        title="MAE",
        higher_is_better=False,
        paper="mean absolute error, [0, 1] scale",
        digits=4,
        limits=(0, 1),
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the mean absolute error; raises ValueError as `as_pair` does."""
        output_pixels, target_pixels = as_pair(output, target)
        return float(np.mean(np.abs(output_pixels - target_pixels)))
