"""Whether a method keeps the light of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.inputs import as_pair
from benchmark.optics.light import to_linear


class LightRatio(Metric):
    """Mean linear light (all pixels and channels) of the output over that of the target, or of the
    input where there is no target.

    Defocus moves light and takes none away, so 1 is right whatever the blur, up to the light that
    crosses the border of the picture (see the row `input`). Below 1 the method darkens.
    """

    card = MetricCard(
        title="light",
        paper="ratio of mean linear light (sRGB curve undone)",
        digits=3,
        reference="target or input",
        ideal=1.0,
        limits=(0, None),
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the ratio; raises ValueError as `as_pair` does, and for a black target."""
        output_light, target_light = (
            float(np.mean(to_linear(pixels.astype(np.float32)), dtype=np.float64))
            for pixels in as_pair(output, target)
        )
        if target_light <= 0:
            raise ValueError("the reference is black, so no light can be compared with its")
        return output_light / target_light
