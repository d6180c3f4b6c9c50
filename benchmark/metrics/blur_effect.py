"""How blurred a picture looks by itself, for pictures that have no target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.inputs import as_pair

SMALLEST_SIDE = 16


class BlurEffect(Metric):
    """How little a picture changes when it is blurred once more (11 px): 0 for sharp, 1 for
    blurred.

    It looks at no target, so it cannot tell a restored picture from one that was merely sharpened,
    or from noise: both lower it. It ranks nothing.
    """

    card = MetricCard(
        title="blur effect",
        higher_is_better=False,
        paper="Crete, Dolmiere, Ladret, Nicolas, The Blur Effect, SPIE 6492, 2007 (scikit-image)",
        digits=3,
        reference="nothing",
        limits=(0, 1),
        warning="it has no target, and sharpening or noise lower it whether or not they restore; "
        "compare the row unsharp.",
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the blur effect of `output`; `target` is not looked at.

        Raises:
            ValueError: as `as_pair` does, for a picture below 16 x 16, and for a flat one.
        """
        # Half a second, which a listing of metrics need not pay.
        from skimage.measure import blur_effect

        pixels, _ = as_pair(output, output, SMALLEST_SIDE, "blur effect")
        if not (np.ptp(pixels, axis=0).any() and np.ptp(pixels, axis=1).any()):
            raise ValueError("the picture is flat, so nothing in it can be blurred")
        return float(blur_effect(pixels, h_size=11, channel_axis=-1))  # type: ignore[no-untyped-call]
