"""Whether a method did nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.psnr import Psnr

NOTHING_DONE = 50.0
"""PSNR in dB against the input, above which nothing was done: the root mean square change is then
below 0.81 levels of 8 bits.
"""


class Unchanged(Metric):
    """1 where the output is the input to more than 50 dB, else 0; its mean is the share of pictures
    that the method left as they were.
    """

    card = MetricCard(
        title="unchanged",
        higher_is_better=False,
        paper="PSNR against the input above 50 dB",
        digits=2,
        reference="input",
        limits=(0, 1),
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return 1 or 0 for the output and the input; raises ValueError as `as_pair` does."""
        return float(Psnr()(output, target) > NOTHING_DONE)
