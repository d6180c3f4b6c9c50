"""One PSF for the whole picture: what deconvolution gains without knowing where the blur is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from benchmark.api import Map, MethodCard, Observation, Picture
from benchmark.methods.two_stage.deconvolution import Deconvolver
from benchmark.methods.two_stage.estimation import Estimator, MapSource, TrueMap
from benchmark.methods.two_stage.methods import TwoStage
from benchmark.methods.two_stage.psf_option import PsfOption, open_psf
from benchmark.methods.two_stage.wiener import (
    MISMATCH,
    filter_wiener,
    layer_kernel,
    noise_to_signal,
)
from benchmark.methods.two_stage.zhuo_sim import estimate_zhuo_sim_edges
from benchmark.optics.light import Light
from benchmark.optics.scenes import GENERATOR


class MedianEstimator(Estimator):
    """The median of Zhuo and Sim's values at the edges, everywhere; 0 without an edge."""

    def blur_map(self, observation: Observation) -> Map:
        sparse_map = estimate_zhuo_sim_edges(observation.image)
        sigmas = sparse_map[np.isfinite(sparse_map)]
        sigma = np.median(sigmas) if sigmas.size else 0
        return np.full(sparse_map.shape, sigma, np.float32)


@dataclass(frozen=True, kw_only=True)
class OnePsfWiener(Deconvolver):
    """One Wiener filter, of the median sigma of the map."""

    mismatch: float = MISMATCH

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        psf = layer_kernel(self.psf, float(np.median(blur_map)))
        return filter_wiener(image, psf, noise_to_signal(image), self.mismatch)


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
        generators=(GENERATOR,),
        notes="One PSF, of the median sigma of Zhuo and Sim's sparse values; mismatch chosen on "
        "10 pictures of BSDS500 train.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        psf: PsfOption = "gaussian",
        mismatch: Annotated[float, Ge(0)] = MISMATCH,
        light: Light = "srgb",
    ) -> None:
        """Make the method.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample, whose median is used.
            psf: shape of the PSF; `file:PATH` takes it from a kernel in a file.
            mismatch: share of the signal's power by which the PSF is assumed wrong.
            light: restore sRGB codes or linear light.
        """
        super().__init__(
            TrueMap() if map == "oracle" else MedianEstimator(),
            OnePsfWiener(psf=open_psf(psf), light=light, mismatch=mismatch),
        )
