"""One PSF for the whole picture: what deconvolution gains without knowing where the blur is."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

from benchmark.api import Map, MethodCard, Picture
from benchmark.methods.two_stage.deconvolution import Light
from benchmark.methods.two_stage.methods import MapSource, TwoStage
from benchmark.methods.two_stage.wiener import MISMATCH, Psf, layer_kernel, noise_to_signal, wiener
from benchmark.methods.two_stage.zhuo_sim import sparse


class UniformWiener(TwoStage):
    """`zhuo-sim:deconvolution=wiener` with the median sigma in place of the map; the difference is
    what the map buys.

    The median is taken over the sparse values at the edges, or, with `map=oracle`, over the true
    map.
    """

    card = MethodCard(
        title="Uniform Wiener",
        family="classical",
        paper="Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949",
        trained_on=("BSDS500",),
        notes="One PSF, of the median sigma of Zhuo and Sim's sparse values; mismatch chosen on "
        "10 pictures of BSDS500 "
        "train.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        psf: Psf = "gaussian",
        mismatch: Annotated[float, Ge(0)] = MISMATCH,
        light: Light = "srgb",
    ) -> None:
        """Make the method.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample, whose median is used.
            psf: shape of the PSF.
            mismatch: share of the signal's power by which the PSF is assumed wrong.
            light: restore sRGB codes or linear light.
        """
        super().__init__(map, light)
        self._psf: Psf = psf
        self._mismatch = mismatch

    def estimate(self, image: Picture) -> Map:
        known = sparse(image)
        found = known[np.isfinite(known)]
        return np.full(known.shape, np.median(found) if found.size else 0, np.float32)

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        psf = layer_kernel(self._psf, float(np.median(blur_map)))
        return wiener(image, psf, noise_to_signal(image), self._mismatch)
