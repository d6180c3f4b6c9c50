"""The deconvolvers under one interface, so that any blur map combines with any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from benchmark.api import Map, Picture
from benchmark.methods.two_stage import hyper_laplacian, richardson_lucy, wiener

Name = Literal["hyper-laplacian", "richardson-lucy", "wiener"]
Psf = Literal["gaussian", "disk", "gkm"]
Bins = Literal["hard", "feathered"]
Light = Literal["srgb", "linear"]
Constants = Literal["released", "tuned"]
_HERE = ("BSDS500",)
Option = float | int | str | bool | None

OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hyper-laplacian": ("constants", "alpha", "weight", "mismatch", "bins", "eight_bit"),
        "richardson-lucy": ("iterations",),
        "wiener": ("mismatch",),
    }
)
"""Which options each deconvolver has."""


@dataclass(frozen=True, slots=True)
class Deconvolver:
    """One deconvolver with its options; call it with a picture and a blur map (sigma in pixels).

    Attributes:
        restore: the call itself.
        note: what a method's card must say about it.
        tuned_on: the data that its constants were chosen on.
        steps: the same step by step, pictures and residuals (root mean square of y - B x); None if
            it does not iterate.
    """

    restore: Callable[[Picture, Map], Picture]
    note: str
    tuned_on: tuple[str, ...]
    steps: Callable[[Picture, Map], Iterator[tuple[Picture, float]]] | None = None

    @classmethod
    def choose(
        cls, name: Name, psf: Psf, light: Light, options: Mapping[str, Option]
    ) -> Deconvolver:
        """Return the deconvolver of that name.

        Args:
            name: one of the deconvolvers.
            psf: family of the PSF.
            light: what the values of its pictures will be.
            options: option -> value; None stands for the deconvolver's own default.

        Raises:
            ValueError: for an option with a value that this deconvolver does not have.
        """
        given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        for key in given:
            if key not in OPTIONS[name]:
                owners = " and ".join(other for other, keys in OPTIONS.items() if key in keys)
                raise ValueError(f"{key} is an option of deconvolution={owners}, not of {name}")
        if name == "richardson-lucy":
            known = {"psf": psf, "light": light, **given}
            restore, steps = (
                partial(richardson_lucy.deconvolve, **known),
                partial(richardson_lucy.steps, **known),
            )
            return cls(
                restore,
                "Deconvolver: Richardson-Lucy, accelerated, stopped at the noise.",
                _HERE,
                steps,
            )
        if name == "wiener":
            return cls(
                partial(wiener.deconvolve, psf=psf, **given),
                "Deconvolver: layered Wiener filters.",
                _HERE,
            )
        if given.pop("constants", "released") == "tuned":
            base, note, data = (
                hyper_laplacian.TUNED,
                "constants chosen here with the true map",
                _HERE,
            )
        else:
            base, note, data = (
                hyper_laplacian.RELEASED,
                "as DMENet's authors released it",
                ("DPD test",),
            )
        known = {**asdict(base), "eight_bit": base.eight_bit and light == "srgb", **given}
        restore = partial(hyper_laplacian.deconvolve, psf=psf, **known)
        return cls(restore, f"Deconvolver: Krishnan and Fergus, {note}.", data)

    def __call__(self, image: Picture, blur_map: Map) -> Picture:
        """Return the restored picture (H x W x 3)."""
        return self.restore(image, blur_map)
