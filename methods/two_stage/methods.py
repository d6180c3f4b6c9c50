"""Methods that first make a blur map and then undo it."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from benchmark.api import Iterate, Map, Method, MethodCard, Observation, Picture
from benchmark.methods.two_stage import blur_posterior
from benchmark.methods.two_stage.deconvolution import (
    ConstantsName,
    Deconvolver,
    DeconvolverName,
    IterativeDeconvolver,
    Option,
    make_deconvolver,
)
from benchmark.methods.two_stage.ebdb import Detector
from benchmark.methods.two_stage.estimation import (
    ESTIMATORS,
    EbdbEstimator,
    Estimator,
    EstimatorName,
    MapSource,
    PosteriorEstimator,
    TrueMap,
    file_hash,
    join_hashes,
)
from benchmark.methods.two_stage.hyper_laplacian import Bins
from benchmark.methods.two_stage.psf_option import (
    PsfOption,
    SampledPsfOption,
    describe_psf,
    open_psf,
    open_sampled_psf,
)
from benchmark.methods.two_stage.wiener import SampledPsf
from benchmark.optics.light import Light, srgb_from, srgb_to
from benchmark.optics.scenes import GENERATOR

Constructor = typing.TypeVar("Constructor", bound=Callable[..., None])


class TwoStage(Method):
    """An estimator of the blur map, or the true map in its place, and a deconvolver."""

    variants = MappingProxyType({"oracle": ("map=oracle",)})

    def __init__(self, estimator: Estimator, deconvolver: Deconvolver) -> None:
        """Combine the two; the card says what either adds to it."""
        self._estimator = estimator
        self._deconvolver = deconvolver
        card = deconvolver.describe(estimator.describe(self.card))
        self.card = dataclasses.replace(card, notes=card.notes + describe_psf(deconvolver.psf))

    def prepare(self, device: str) -> None:
        self._estimator.prepare(device)
        # One small picture with an edge passes through both stages, which imports and compiles all
        # that they need (the first time on a machine the matting Laplacian compiles for half a
        # minute). Deconvolvers run on the CPU.
        step = np.zeros((16, 16, 3), np.float32)
        step[:, 8:] = 1
        observation = Observation(image=step, blur_map=np.ones((16, 16), np.float32))
        if self.skip(observation) is None:
            self.restore(observation)

    def weights_hash(self) -> str | None:
        return join_hashes([self._estimator.weights_hash(), self._deconvolver.weights_hash()])

    def skip(self, observation: Observation) -> str | None:
        return self._estimator.skip(observation)

    def estimate_blur(self, observation: Observation) -> Map:
        """Return the map that the picture is restored under, estimated or true.

        Raises:
            ValueError: if the true map is needed and missing or negative.
            UsageError: if the estimator's weights are missing.
        """
        return self._estimator.blur_map(observation)

    def restore(self, observation: Observation) -> Picture:
        light = self._deconvolver.light
        image = srgb_to(light, observation.image)
        return srgb_from(light, self._deconvolver.restore(image, self.estimate_blur(observation)))

    def iterates(self, observation: Observation) -> Iterator[Iterate] | None:
        """Return the steps of an iterative deconvolver, which says what its residual is."""
        if not isinstance(self._deconvolver, IterativeDeconvolver):
            return None
        light = self._deconvolver.light
        image = srgb_to(light, observation.image)
        steps = self._deconvolver.steps(image, self.estimate_blur(observation))
        return (dataclasses.replace(step, picture=srgb_from(light, step.picture)) for step in steps)


class Pipeline(TwoStage):
    """A published estimator of the blur map, and any deconvolver; the default is what the published
    pipelines use.

    Attributes:
        estimator: the name of the estimator, unless a subclass makes another.
    """

    estimator: ClassVar[EstimatorName]

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        deconvolution: DeconvolverName = "hyper-laplacian",
        psf: PsfOption = "gaussian",
        light: Light = "srgb",
        constants: ConstantsName | None = None,
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
                disk. `file:PATH` takes the shape of a kernel in a file.
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
        options: dict[str, Option] = {
            "constants": constants, "alpha": alpha, "weight": weight, "bins": bins,
            "eight_bit": eight_bit, "iterations": iterations, "mismatch": mismatch,
        }  # fmt: skip
        deconvolver = make_deconvolver(deconvolution, open_psf(psf), light, options)
        super().__init__(TrueMap() if map == "oracle" else self.make_estimator(), deconvolver)

    def make_estimator(self) -> Estimator:
        """Return the estimator of this pipeline."""
        return ESTIMATORS[self.estimator]()


def with_options_of(base: type[Pipeline]) -> Callable[[Constructor], Constructor]:
    """Give a constructor that hands its `**options` on to a base class the options of that class.

    An id takes them, with their types and defaults, as if they were written down again. They come
    before the constructor's own.
    """

    def add_options(constructor: Constructor) -> Constructor:
        base_parameters = list(inspect.signature(base.__init__).parameters.values())
        parameters = inspect.signature(constructor).parameters.values()
        own_parameters = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
        types = typing.get_type_hints(base.__init__, include_extras=True)
        function: Any = constructor
        function.__annotations__ = types | function.__annotations__
        function.__signature__ = inspect.Signature([*base_parameters, *own_parameters])
        return constructor

    return add_options


class ZhuoSim(Pipeline):
    """Blur map of Zhuo and Sim, then a deconvolver."""

    version = "2"
    estimator = "zhuo-sim"
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


class Jnb(Pipeline):
    """Blur map of Shi, Xu and Jia, with a dictionary learned here, then a deconvolver."""

    estimator = "jnb"
    variants = MappingProxyType({})
    card = MethodCard(
        title="JNB-style (dictionary re-trained)",
        family="classical",
        paper="Shi, Xu and Jia, Just noticeable defocus blur detection and estimation, CVPR 2015",
        trained_on=("BSDS500",),
        notes="The authors' dictionary and their coefficients from sparsity to sigma are not "
        "available: both were learned here on BSDS500 train.",
    )


class Ebdb(Pipeline):
    """Blur map of Karaali and Jung, then a deconvolver."""

    version = "2"
    estimator = "ebdb"
    variants = MappingProxyType({})
    card = MethodCard(
        title="EBDB",
        family="classical",
        paper="Karaali and Jung, Edge-based defocus blur estimation with adaptive scale "
        "selection, TIP 27(3), 2018",
        notes="All six steps with the parameters of the authors' program, rewritten.",
    )

    @with_options_of(Pipeline)
    def __init__(self, *, edges: Detector = "octave", **options: Any) -> None:
        """Make the method.

        Args:
            edges: whose edge detector finds the edges that the map rests on, see `ebdb`.
            options: those of `Pipeline`.
        """
        if edges != "octave" and options.get("map") == "oracle":
            raise ValueError(f"edges={edges} is an option of map=estimate, not of map=oracle")
        self._edges: Detector = edges
        super().__init__(**options)

    def make_estimator(self) -> Estimator:
        return EbdbEstimator(self._edges)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PosteriorDeconvolver(Deconvolver):
    """The filters and the refinement of `blur_posterior` under one map. It works on sRGB codes;
    what it does in linear light, it does itself.
    """

    psf: SampledPsf = "disk"
    iterations: int = blur_posterior.ITERATIONS

    def weights_hash(self) -> str | None:
        return join_hashes([file_hash(blur_posterior.CONSTANTS), super().weights_hash()])

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        return blur_posterior.restore_under_map(
            image, blur_map, psf=self.psf, iterations=self.iterations
        )

    def restore_blind(self, image: Picture) -> Picture:
        """Return the picture restored under all maps that its posterior allows."""
        return blur_posterior.restore_under_posterior(
            image, psf=self.psf, iterations=self.iterations
        )


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
        generators=(GENERATOR,),
        notes="A posterior over sigma at every pixel from the local spectrum, the mean of the "
        "Wiener filters under it, and Richardson-Lucy iterations from there. No network: mean "
        "and covariance of sharp local spectra were measured on BSDS500 train, five constants "
        "chosen there by hand. It may amplify noise in sharp pictures.",
    )

    def __init__(
        self,
        *,
        map: MapSource = "estimate",
        psf: SampledPsfOption = "disk",
        iterations: Annotated[int, Ge(0)] = blur_posterior.ITERATIONS,
    ) -> None:
        """Make the method.

        Args:
            map: `estimate`, or `oracle` for the true map of the sample in place of the posterior.
            psf: family of the PSF that is assumed, or `file:PATH` for the shape of a kernel in a
                file.
            iterations: of Richardson and Lucy, in linear light.
        """
        assumed_psf = open_sampled_psf(psf)
        self._refinement = PosteriorDeconvolver(psf=assumed_psf, iterations=iterations)
        super().__init__(
            TrueMap() if map == "oracle" else PosteriorEstimator(assumed_psf), self._refinement
        )

    def restore(self, observation: Observation) -> Picture:
        if self.card.oracle:
            return super().restore(observation)
        return self._refinement.restore_blind(observation.image)
