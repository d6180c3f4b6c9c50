"""Structural similarity, with the two windows the literature uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.inputs import as_pair

Window = Literal["u7", "g11"]

_PAPER = "Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, IEEE TIP 2004"
# `win_size` is what scikit-image crops by, on either window: only windows that lie inside the
# picture count.
_SETTINGS: Mapping[Window, Mapping[str, Any]] = {
    "u7": {"win_size": 7, "gaussian_weights": False, "use_sample_covariance": True},
    "g11": {"win_size": 11, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
}


class Ssim(Metric):
    """Mean structural similarity of the colour channels, K1 = 0.01, K2 = 0.03, data range 1.

    The two windows give different numbers (up to about 0.015 apart), so papers that use one cannot
    be compared with papers that use the other:

    - `u7`: 7 x 7 uniform window, sample covariance. The default of scikit-image.
    - `g11`: 11 x 11 Gaussian window of sigma 1.5, population covariance. Wang et al. and
      pytorch_msssim.

    Both average over the positions where the window lies inside the picture, per channel, then over
    the channels, in float64. SSIM does not change when both pictures and the data range are
    multiplied by one factor, so 255-scale pictures with range 255 score the same as their 255th
    with range 1, also where they leave [0, 1].

    >>> rng = np.random.default_rng(0)
    >>> target = rng.random((16, 16, 3))
    >>> round(Ssim()(target, target), 6)
    1.0
    >>> Ssim(window="g11")(0.5 * target, target) < 0.9
    True
    """

    card = MetricCard(title="SSIM", paper=_PAPER, digits=3)

    def __init__(self, *, window: Window = "u7") -> None:
        """Choose the window; the card of the instance names it."""
        self._name = f"SSIM {window}"
        self._settings = _SETTINGS[window]
        self.card = dataclasses.replace(Ssim.card, title=self._name)

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the mean SSIM; raises ValueError as `as_pair` does, and for a picture smaller than
        the window.
        """
        # Half a second, which a listing of metrics need not pay.
        from skimage.metrics import structural_similarity

        output_pixels, target_pixels = as_pair(
            output, target, at_least=self._settings["win_size"], metric=self._name
        )
        similarity: Any = structural_similarity  # untyped
        return float(
            similarity(
                im1=output_pixels,
                im2=target_pixels,
                data_range=1.0,
                channel_axis=-1,
                **self._settings,
            )
        )
