"""One PSF for the whole picture: what deconvolution gains without knowing where the blur is."""

from __future__ import annotations

import numpy as np

from benchmark.api import Map, MethodCard, Picture
from benchmark.optics.psf import kernel
from methods.two_stage.methods import ZhuoSim
from methods.two_stage.wiener import noise_to_signal, wiener
from methods.two_stage.zhuo_sim import sparse


class UniformWiener(ZhuoSim):
    """The system `zhuo-sim` with the median sigma in place of the map; the difference is what spatial variation buys.

    The median is taken over the sparse values at the edges, or, with `map=oracle`, over the true map.
    """

    card = MethodCard(
        title="Uniform Wiener",
        family="classical",
        paper="Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949",
        trained_on=("BSDS500",),
        notes="One PSF, of the median sigma of Zhuo and Sim's sparse values; constants as in zhuo-sim.",
    )

    def estimate(self, image: Picture) -> Map:
        known = sparse(image)
        found = known[np.isfinite(known)]
        return np.full(known.shape, np.median(found) if found.size else 0, np.float32)

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        psf = kernel(self._psf, float(np.median(blur_map)))
        return wiener(image, psf, noise_to_signal(image), self._mismatch)
