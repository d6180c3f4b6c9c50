"""Unsharp masking: sharpening without any model of the blur, which every deblurring method should
beat.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from skimage.filters import unsharp_mask

from benchmark.api import Method, MethodCard, Observation, Picture


class UnsharpMask(Method):
    """x = y + amount * (y - g(radius) conv y), the same everywhere in the picture."""

    card = MethodCard(
        title="Unsharp mask",
        family="baseline",
        reimplementation=False,
        notes="scikit-image's filter at that library's default strength; not tuned on any data.",
    )

    def __init__(
        self, *, radius: Annotated[float, Gt(0)] = 1.0, amount: Annotated[float, Ge(0)] = 1.0
    ) -> None:
        """Make the filter.

        Args:
            radius: sigma of the Gaussian in pixels.
            amount: how much of the difference is added; 0 returns the picture.
        """
        self._radius = radius
        self._amount = amount

    def restore(self, observation: Observation) -> Picture:
        # Without preserve_range the library clips to [0, 1], which is for the ruler to do. Its
        # channel_axis must be 2: with -1, scikit-image 0.26 filters three lines of the picture and
        # returns uninitialised memory for the rest.
        sharp: Picture = unsharp_mask(  # type: ignore[no-untyped-call]
            observation.image,
            radius=self._radius,
            amount=self._amount,
            preserve_range=True,
            channel_axis=2,
        )
        return sharp.astype(np.float32, copy=False)
