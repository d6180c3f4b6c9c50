"""The fixed-point iteration that GKMNet unrolls, without the network.

Quan, Wu and Ji, "Gaussian Kernel Mixture Network for Single Image Defocus Deblurring", NeurIPS 2021, eq. (6):

    x <- y + x - B x,  B x = sum_k beta_k * (g(sigma_k) conv x),

started from x = y, with the mixing coefficients beta of a blur map where the network learns its own.

The iteration inverts B and nothing else, so it amplifies what B gets wrong. On 10 pictures of BSDS500 train (sigma 0 to
4, no noise) five steps with the true map gain 1.9 dB over the input if the blur was Gaussian but lose 0.6 dB if it was
a disk; with the estimated map they lose 0.3 and 1.4 dB. It amplifies noise without bound, hence the stop at its level.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from benchmark.api import Map, MethodCard, Picture
from benchmark.optics import gkm
from methods.two_stage.methods import Light, MapSource, TwoStage
from methods.two_stage.noise_level import noise_level

NOISE_FACTOR = 1.5
"""The residual counts as noise below this many standard deviations of it (Morozov's discrepancy principle)."""


class FixedPoint(TwoStage):
    """Eq. (6) with the blur map of Zhuo and Sim, or the true one."""

    card = MethodCard(
        title="GKM fixed point",
        family="classical",
        paper="Quan, Wu and Ji, Gaussian Kernel Mixture Network for Single Image Defocus Deblurring, NeurIPS 2021",
        trained_on=("BSDS500",),
        notes="Eq. (6) alone, with the paper's 21 kernels and coefficients from a blur map; the paper learns them and "
        "runs no such baseline. It can score below its input when the map or the shape of the PSF is wrong. The number "
        "of steps was chosen here, on 10 pictures of BSDS500 train.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        iterations: Annotated[int, Ge(0)] = 2,
        tolerance: Annotated[float, Ge(0)] = 0.004,
        light: Light = "srgb",
    ) -> None:
        """Make the method.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample.
            iterations: largest number of steps. One is no more than unsharp masking that follows the map; more than two
                gained only where both the map and the Gaussian PSF were true (BSDS500 train).
            tolerance: stop when the root mean square of y - B x is down to this; 0.004 is one grey level in 255.
            light: iterate on sRGB codes or on linear light.
        """
        super().__init__(map, light)
        self._iterations = iterations
        self._tolerance = tolerance

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        bank = gkm.paper_bank()
        enough = max(self._tolerance, NOISE_FACTOR * noise_level(image))
        return iterate(image, gkm.coefficients(blur_map, bank), bank, steps=self._iterations, enough=enough)


def iterate(y: Picture, beta: NDArray[np.float32], bank: gkm.Bank, *, steps: int, enough: float) -> Picture:
    """Return the iterate x of eq. (6) after `steps` steps from x = y, or earlier.

    Args:
        y: H x W x 3, the blurred picture.
        beta: K x H x W mixing coefficients.
        bank: the K kernels.
        steps: largest number of steps.
        enough: stop when the root mean square of the residual y - B x is not above this, or has stopped shrinking.
    """
    x, last = y.copy(), np.inf
    for _ in range(steps):
        residual = y - gkm.blur(x, beta, bank)
        size = float(np.sqrt(np.mean(np.square(residual, dtype=np.float64))))
        if size <= enough or size >= last:
            break
        x, last = x + residual, size
    return x
