"""Methods that first make a blur map and then undo it."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from benchmark.api import Map, Method, MethodCard, Observation, Picture
from benchmark.optics.light import to_linear, to_srgb
from methods.two_stage import wiener, zhuo_sim

MapSource = Literal["estimate", "oracle"]
Light = Literal["srgb", "linear"]

_NO_MAP = "map=oracle needs the true blur map, which this sample does not have"


class TwoStage(Method):
    """A blur map, estimated or given, and a deconvolver. Subclasses say which by overriding the two stages."""

    variants = MappingProxyType({"oracle": ("map=oracle",)})

    def __init__(self, map_source: MapSource, light: Light) -> None:
        """Make the method.

        Args:
            map_source: `estimate`, or `oracle` for the true map of the sample.
            light: the values that both stages work on: sRGB codes or linear light.
        """
        self._oracle = map_source == "oracle"
        self._linear = light == "linear"
        if self._oracle:
            self.card = dataclasses.replace(self.card, title=f"{self.card.title} (true map)", oracle=True)

    def estimate(self, image: Picture) -> Map:
        """Return the estimated blur map (sigma in pixels) of a picture in the light of the method."""
        return zhuo_sim.estimate(image)

    @abstractmethod
    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        """Return a picture in the light of the method, restored under a blur map (sigma in pixels)."""

    def prepare(self, device: str) -> None:
        # One small picture with an edge passes through both stages, which imports and compiles all that they need (the
        # first time on a machine the matting Laplacian compiles for half a minute). Everything runs on the CPU.
        step = np.zeros((16, 16, 3), np.float32)
        step[:, 8:] = 1
        self.restore(Observation(image=step, blur_map=np.ones((16, 16), np.float32)))

    def skip(self, observation: Observation) -> str | None:
        return _NO_MAP if self._oracle and observation.blur_map is None else None

    def estimate_blur(self, observation: Observation) -> Map | None:
        return None if self._oracle else self.estimate(self._in_light(observation.image))

    def restore(self, observation: Observation) -> Picture:
        image = self._in_light(observation.image)
        blur_map = _true_map(observation) if self._oracle else self.estimate(image)
        restored = self.deconvolve(image, blur_map)
        return to_srgb(restored) if self._linear else restored

    def _in_light(self, image: Picture) -> Picture:
        return to_linear(image) if self._linear else image


def _true_map(observation: Observation) -> Map:
    if observation.blur_map is None:
        raise ValueError(_NO_MAP)
    if observation.blur_map.min() < 0:
        raise ValueError(f"the true blur map holds a negative sigma ({observation.blur_map.min():g} pixels)")
    return observation.blur_map


class ZhuoSim(TwoStage):
    """Blur map of Zhuo and Sim, then layered Wiener deconvolution."""

    card = MethodCard(
        title="Zhuo-Sim + Wiener",
        family="classical",
        paper="Zhuo and Sim, Defocus map estimation from a single image, Pattern Recognition 44(9), 2011",
        trained_on=("BSDS500",),
        notes="The paper makes the map only. The deconvolver and its constants were chosen here, on 10 pictures of "
        "BSDS500 train blurred by disks. The map ends at sigma 5; above 180000 pixels it is propagated at that size.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        psf: wiener.Psf = "gaussian",
        mismatch: Annotated[float, Ge(0)] = 0.1,
        light: Light = "srgb",
    ) -> None:
        """Make the method.

        The defaults of `mismatch` and `light` gain most with estimated maps on 10 pictures of BSDS500 train.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample.
            psf: shape of the PSF; the published pipelines use Gaussians.
            mismatch: share of the signal's power by which the PSF is assumed wrong. With the true map and the true
                PSF 0.01 gains more than the default.
            light: restore sRGB codes, as the published pipelines do, or linear light, in which a lens blurs.
        """
        super().__init__(map, light)
        self._psf = psf
        self._mismatch = mismatch

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        return wiener.deconvolve(image, blur_map, psf=self._psf, mismatch=self._mismatch)
