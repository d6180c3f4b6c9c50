"""Methods that first make a blur map and then undo it."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from benchmark.api import Iterate, Map, Method, MethodCard, Observation, Picture
from benchmark.methods.two_stage import blur_posterior, ebdb, jnb, zhuo_sim
from benchmark.methods.two_stage.deconvolution import (
    Bins,
    Constants,
    Deconvolver,
    Light,
    Name,
    Option,
    Psf,
)
from benchmark.optics.light import to_linear, to_srgb

MapSource = Literal["estimate", "oracle"]

_NO_MAP = "map=oracle needs the true blur map, which this sample does not have"


class TwoStage(Method):
    """A blur map, estimated or given, and a deconvolver. Subclasses say which by overriding the two
    stages.
    """

    variants = MappingProxyType({"oracle": ("map=oracle",)})

    def __init__(self, map_source: MapSource, light: Light) -> None:
        """Make the method.

        Args:
            map_source: `estimate`, or `oracle` for the true map of the sample.
            light: the values that the deconvolver works on: sRGB codes or linear light. Estimators
                always see sRGB.
        """
        self._oracle = map_source == "oracle"
        self._linear = light == "linear"
        if self._oracle:
            self.card = dataclasses.replace(
                self.card, title=f"{self.card.title} (true map)", oracle=True
            )

    @abstractmethod
    def estimate(self, image: Picture) -> Map:
        """Return the estimated blur map (sigma in pixels) of a picture in sRGB codes."""

    @abstractmethod
    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        """Return a picture in the light of the method, restored under a blur map (sigma in
        pixels).
        """

    def prepare(self, device: str) -> None:
        # One small picture with an edge passes through both stages, which imports and compiles all
        # that they need (the first time on a machine the matting Laplacian compiles for half a
        # minute). Everything runs on the CPU.
        step = np.zeros((16, 16, 3), np.float32)
        step[:, 8:] = 1
        self.restore(Observation(image=step, blur_map=np.ones((16, 16), np.float32)))

    def constants_file(self) -> Path | None:
        """Return the file of learned constants that results depend on, or None if there is none."""
        return None

    def weights_hash(self) -> str | None:
        path = self.constants_file()
        return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()

    def skip(self, observation: Observation) -> str | None:
        return _NO_MAP if self._oracle and observation.blur_map is None else None

    def estimate_blur(self, observation: Observation) -> Map:
        return self.blur_map(observation)

    def restore(self, observation: Observation) -> Picture:
        return self.out_of_light(
            self.deconvolve(self.in_light(observation.image), self.blur_map(observation))
        )

    def blur_map(self, observation: Observation) -> Map:
        """Return the map that the picture is restored under, estimated or true.

        Raises:
            ValueError: if the true map is asked for and missing or negative.
        """
        if not self._oracle:
            return self.estimate(observation.image)
        if observation.blur_map is None:
            raise ValueError(_NO_MAP)
        if observation.blur_map.min() < 0:
            raise ValueError(
                f"the true blur map holds a negative sigma ({observation.blur_map.min():g} pixels)"
            )
        return observation.blur_map

    def in_light(self, image: Picture) -> Picture:
        """Return a picture of sRGB codes in the light of the method."""
        return to_linear(image) if self._linear else image

    def out_of_light(self, picture: Picture) -> Picture:
        """Return a picture in the light of the method as sRGB codes."""
        return to_srgb(picture) if self._linear else picture


class Pipeline(TwoStage):
    """A published estimator of the blur map, and any deconvolver; the default is what the published
    pipelines use.
    """

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        deconvolution: Name = "hyper-laplacian",
        psf: Psf = "gaussian",
        light: Light = "srgb",
        constants: Constants | None = None,
        alpha: Annotated[float, Gt(0), Le(2)] | None = None,
        weight: Annotated[float, Gt(0)] | None = None,
        bins: Bins | None = None,
        eight_bit: bool | None = None,
        iterations: Annotated[int, Ge(0)] | None = None,
        mismatch: Annotated[float, Ge(0)] | None = None,
    ) -> None:
        """Make the method. An option that the chosen deconvolver does not have is refused.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample.
            deconvolution: `hyper-laplacian` (Krishnan and Fergus, as released with the published
                pipelines), `richardson-lucy` (with the exact spatially varying operator) or
                `wiener`.
            psf: family of the PSF; the published pipelines use Gaussians, a lens is nearer to a
                disk.
            light: deconvolve sRGB codes, as the published pipelines do, or linear light, in which a
                lens blurs.
            constants: hyper-laplacian: where its other options start from: `released` (the
                default), or `tuned` on BSDS500 train with the true map.
            alpha: hyper-laplacian: exponent of the prior on gradients (released: 1.5).
            weight: hyper-laplacian: lambda, the weight of the data (released for DPD: 16.8).
            bins: hyper-laplacian: `hard` masks (released) or `feathered` ones.
            eight_bit: hyper-laplacian: round its input to 8 bits (released: true; false in linear
                light, whose shadows need more).
            iterations: richardson-lucy: largest number of iterations.
            mismatch: wiener, hyper-laplacian: by how much the PSF is assumed wrong (released: 0);
                see their modules.
        """
        super().__init__(map, light)
        options: dict[str, Option] = {
            "constants": constants, "alpha": alpha, "weight": weight, "bins": bins,
            "eight_bit": eight_bit, "iterations": iterations, "mismatch": mismatch,
        }  # fmt: skip
        self._deconvolver = Deconvolver.choose(deconvolution, psf, light, options)
        trained_on = self.card.trained_on
        if trained_on is not None:
            trained_on = tuple(dict.fromkeys((*trained_on, *self._deconvolver.tuned_on)))
        notes = f"{self.card.notes} {self._deconvolver.note}"
        self.card = dataclasses.replace(self.card, trained_on=trained_on, notes=notes)

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        return self._deconvolver(image, blur_map)

    def iterates(self, observation: Observation) -> Iterator[Iterate] | None:
        """Return the steps of an iterative deconvolver; the residual is the root mean square of y -
        B x.
        """
        if self._deconvolver.steps is None:
            return None
        steps = self._deconvolver.steps(
            self.in_light(observation.image), self.blur_map(observation)
        )
        return (Iterate(self.out_of_light(picture), residual) for picture, residual in steps)


class ZhuoSim(Pipeline):
    """Blur map of Zhuo and Sim, then a deconvolver."""

    version = "2"
    # With the true map the estimator does not matter: these are the bounds of the deconvolvers, for
    # all pipelines.
    variants = MappingProxyType(
        {
            "oracle": (
                "map=oracle",
                "map=oracle,psf=disk,light=linear,constants=tuned",
                "map=oracle,deconvolution=richardson-lucy,psf=disk,light=linear",
            )
        }
    )
    card = MethodCard(
        title="Zhuo-Sim",
        family="classical",
        paper="Zhuo and Sim, Defocus map estimation from a single image, Pattern Recognition "
        "44(9), 2011",
        notes="The paper makes the map only. It ends at sigma 5; above 180000 pixels it is "
        "propagated at that size.",
    )

    def estimate(self, image: Picture) -> Map:
        return zhuo_sim.estimate(image)


class Jnb(Pipeline):
    """Blur map of Shi, Xu and Jia, with a dictionary learned here, then a deconvolver."""

    variants = MappingProxyType({})
    card = MethodCard(
        title="JNB-style (dictionary re-trained)",
        family="classical",
        paper="Shi, Xu and Jia, Just noticeable defocus blur detection and estimation, CVPR 2015",
        trained_on=("BSDS500",),
        notes="The authors' dictionary and their coefficients from sparsity to sigma are not "
        "available: both were "
        "learned here on BSDS500 train.",
    )

    def estimate(self, image: Picture) -> Map:
        return jnb.estimate(image)

    def constants_file(self) -> Path | None:
        return None if self._oracle else jnb.LEARNED


class Ebdb(Pipeline):
    """Blur map of Karaali and Jung, then a deconvolver."""

    variants = MappingProxyType({})
    card = MethodCard(
        title="EBDB",
        family="classical",
        paper="Karaali and Jung, Edge-based defocus blur estimation with adaptive scale "
        "selection, TIP 27(3), 2018",
        notes="All six steps with the parameters of the authors' program, rewritten, with the "
        "edge detector of GNU "
        "Octave, under which figures of that program are at hand.",
    )

    def estimate(self, image: Picture) -> Map:
        return ebdb.estimate(image)


class BlurPosterior(TwoStage):
    """The best non-learned blind entry: deconvolution averaged over what the picture leaves open
    about its blur.
    """

    card = MethodCard(
        title="Blur posterior",
        family="classical",
        paper="this suite; after ideas of Chakrabarti et al., CVPR 2010, and Zhu et al., TIP 2013",
        trained_on=("BSDS500",),
        reimplementation=False,
        notes="A posterior over sigma at every pixel from the local spectrum, the mean of the "
        "Wiener filters under it, "
        "and Richardson-Lucy iterations from there. No network: mean and covariance of sharp "
        "local spectra were "
        "measured on BSDS500 train, five constants chosen there by hand. It may amplify noise in "
        "sharp pictures.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        psf: blur_posterior.Psf = "disk",
        iterations: Annotated[int, Ge(0)] = blur_posterior.ITERATIONS,
    ) -> None:
        """Make the method.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample in place of the posterior.
            psf: family of the PSF that is assumed.
            iterations: of Richardson and Lucy, in linear light.
        """
        super().__init__(map, "srgb")  # what it does in linear light, it does itself
        self._psf: blur_posterior.Psf = psf
        self._iterations = iterations

    def estimate(self, image: Picture) -> Map:
        return blur_posterior.estimate(image, psf=self._psf)

    def constants_file(self) -> Path:
        return blur_posterior.CONSTANTS

    def deconvolve(self, image: Picture, blur_map: Map) -> Picture:
        return blur_posterior.restore_under(
            image, blur_map, psf=self._psf, iterations=self._iterations
        )

    def restore(self, observation: Observation) -> Picture:
        if self._oracle:
            return super().restore(observation)
        return blur_posterior.restore(observation.image, psf=self._psf, iterations=self._iterations)
