"""The deconvolvers under one interface, so that any blur map combines with any of them.

The fields of a deconvolver are the options that it reads.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from benchmark.api import Iterate, Map, MethodCard, Picture
from benchmark.methods.two_stage import hyper_laplacian, richardson_lucy, wiener
from benchmark.methods.two_stage.hyper_laplacian import Bins
from benchmark.methods.two_stage.wiener import Psf
from benchmark.optics.kernel_shape import KernelShape
from benchmark.optics.light import Light
from benchmark.optics.scenes import GENERATOR

DeconvolverName = Literal["hyper-laplacian", "richardson-lucy", "wiener"]
ConstantsName = Literal["released", "tuned"]
Option = float | int | str | bool | None


@dataclass(frozen=True, kw_only=True)
class Deconvolver(ABC):
    """Restores a picture under a blur map.

    Attributes:
        psf: family of the PSF.
        light: what the values of its pictures are.
    """

    psf: Psf = "gaussian"
    light: Light = "srgb"

    @abstractmethod
    def restore(self, image: Picture, blur_map: Map) -> Picture:
        """Return the restored picture (H x W x 3), under sigma in pixels at every pixel (H x W)."""

    def describe(self, card: MethodCard) -> MethodCard:
        """Return a method's card with what it must say about the deconvolver."""
        return card

    def weights_hash(self) -> str | None:
        """Return the SHA-256 of the file that the PSF is read from, None without one."""
        return self.psf.digest if isinstance(self.psf, KernelShape) else None


class IterativeDeconvolver(Deconvolver):
    """A deconvolver that can be followed step by step."""

    @abstractmethod
    def steps(self, image: Picture, blur_map: Map) -> Iterator[Iterate]:
        """Yield the steps from the start to what `restore` returns, in the light of `image`."""


@dataclass(frozen=True, kw_only=True)
class HyperLaplacian(Deconvolver):
    """Krishnan and Fergus; see `hyper_laplacian.deconvolve_hyper_laplacian` for the options.

    Attributes:
        constants: where the options start from that are None.
        eight_bit: None is also False in linear light, whose shadows need more than 8 bits.
    """

    constants: ConstantsName = "released"
    alpha: float | None = None
    weight: float | None = None
    mismatch: float | None = None
    bins: Bins | None = None
    eight_bit: bool | None = None

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        return hyper_laplacian.deconvolve_hyper_laplacian(
            image, blur_map, psf=self.psf, **dataclasses.asdict(self._all_constants())
        )

    def _all_constants(self) -> hyper_laplacian.Constants:
        start = hyper_laplacian.TUNED if self.constants == "tuned" else hyper_laplacian.RELEASED
        start = dataclasses.replace(start, eight_bit=start.eight_bit and self.light == "srgb")
        options = {
            "alpha": self.alpha, "weight": self.weight, "mismatch": self.mismatch,
            "bins": self.bins, "eight_bit": self.eight_bit,
        }  # fmt: skip
        changes: dict[str, Any] = {k: value for k, value in options.items() if value is not None}
        return dataclasses.replace(start, **changes)

    def describe(self, card: MethodCard) -> MethodCard:
        if self.constants == "tuned":
            note = "Krishnan and Fergus, constants chosen here with the true map"
            return add_deconvolver_note(card, note, "BSDS500", GENERATOR)
        note = "Krishnan and Fergus, as DMENet's authors released it"
        return add_deconvolver_note(card, note, "DPD test")


@dataclass(frozen=True, kw_only=True)
class RichardsonLucy(IterativeDeconvolver):
    """Richardson and Lucy with the operator of the whole map. The residual of a step is the root
    mean square of y - B x.
    """

    iterations: int = richardson_lucy.ITERATIONS

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        return richardson_lucy.deconvolve_richardson_lucy(
            image, blur_map, psf=self.psf, iterations=self.iterations, light=self.light
        )

    def steps(self, image: Picture, blur_map: Map) -> Iterator[Iterate]:
        steps = richardson_lucy.follow_richardson_lucy(
            image, blur_map, psf=self.psf, iterations=self.iterations, light=self.light
        )
        return (Iterate(picture, residual) for picture, residual in steps)

    def describe(self, card: MethodCard) -> MethodCard:
        note = "Richardson-Lucy, accelerated, stopped at the noise"
        return add_deconvolver_note(card, note, "BSDS500", GENERATOR)


@dataclass(frozen=True, kw_only=True)
class Wiener(Deconvolver):
    """Wiener filters, layer by layer."""

    mismatch: float = wiener.MISMATCH

    def restore(self, image: Picture, blur_map: Map) -> Picture:
        return wiener.deconvolve_wiener(image, blur_map, psf=self.psf, mismatch=self.mismatch)

    def describe(self, card: MethodCard) -> MethodCard:
        return add_deconvolver_note(card, "layered Wiener filters", "BSDS500", GENERATOR)


def add_deconvolver_note(
    card: MethodCard, note: str, tuned_on: str, generator: str = ""
) -> MethodCard:
    """Return a card with a note on its deconvolver, and the data that its constants were chosen on.

    Args:
        card: of the method.
        note: what the deconvolver is.
        tuned_on: the data.
        generator: what put them out of focus; empty for a camera.
    """
    trained_on = card.trained_on
    if trained_on is not None and tuned_on not in trained_on:
        trained_on = (*trained_on, tuned_on)
    generators = card.generators
    if generator and generator not in generators:
        generators = (*generators, generator)
    return dataclasses.replace(
        card,
        trained_on=trained_on,
        generators=generators,
        notes=f"{card.notes} Deconvolver: {note}.",
    )


DECONVOLVERS: Mapping[DeconvolverName, type[Deconvolver]] = MappingProxyType(
    {"hyper-laplacian": HyperLaplacian, "richardson-lucy": RichardsonLucy, "wiener": Wiener}
)
"""The deconvolvers that any blur map combines with, by name."""


def make_deconvolver(
    name: DeconvolverName, psf: Psf, light: Light, options: Mapping[str, Option]
) -> Deconvolver:
    """Return the deconvolver of that name.

    Args:
        name: one of the deconvolvers.
        psf: family of the PSF.
        light: what the values of its pictures will be.
        options: option -> value; None stands for the deconvolver's own default.

    Raises:
        ValueError: for an option with a value that this deconvolver does not read.
    """
    values: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    for key in values:
        if not _reads_option(name, key):
            readers = " and ".join(other for other in DECONVOLVERS if _reads_option(other, key))
            raise ValueError(f"{key} is an option of deconvolution={readers}, not of {name}")
    return DECONVOLVERS[name](psf=psf, light=light, **values)


def _reads_option(name: DeconvolverName, option: str) -> bool:
    return any(field.name == option for field in dataclasses.fields(DECONVOLVERS[name]))
