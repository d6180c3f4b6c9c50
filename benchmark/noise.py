"""Reproducible noise: one standard normal field per picture, the same for every method and every
level.

The field comes from a counter-based generator (Philox) keyed by (seed, data set, sample,
repetition), so it depends on nothing else: not on the order of the run, the subset, the number of
workers, or the noise level, which only scales it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Callable
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Picture, Sample

NoiseOnViews = Literal["same", "physical"]
"""What sigma is of where there are dual-pixel views: of every picture that a method may be given,
the two views and the combined one, as papers are read most naturally; or of the combined one alone,
which is the mean of the views, so that each view has sigma * sqrt(2), as sensors do it.
"""
SAME: Final = "same"
PHYSICAL: Final = "physical"
"""What every version before the choice did."""

_CLIPPED = "clipped"
_ROUNDED = "rounded to 8 bits"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Noise:
    """Additive white Gaussian noise: a noise level.

    As text it is what tables print: "0", "2.55 clipped"; `parse_noise` reads that back.

    The papers say only "standard deviation" (on the 0-255 scale; no code was released): whether
    they clipped or rounded afterwards is unknown, so both are declared options here, off by
    default.

    Attributes:
        sigma: standard deviation on the 0-255 scale.
        clip: clip the noisy picture to [0, 1].
        round8: round the noisy picture to 8 bits (this clips too).
        seed: key of the noise field.
        on_views: what sigma is of where a method takes dual-pixel views; empty where nobody said,
            which is `same`, and for cells of methods that take none. It is no part of the level:
            the combined picture is the same under both.
    """

    sigma: float = 0.0
    clip: bool = False
    round8: bool = False
    seed: int = 0
    on_views: NoiseOnViews | Literal[""] = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"noise sigma must be a finite number >= 0, got {self.sigma}")
        if self.on_views not in ("", *get_args(NoiseOnViews)):
            choices = " or ".join(get_args(NoiseOnViews))
            raise ValueError(f"noise on views is {choices}, not {self.on_views!r}")

    def __str__(self) -> str:
        return " ".join([f"{self.sigma:g}", *self._options()])

    @property
    def kind(self) -> str:
        """What is done beside adding it, as text; empty for plain noise and for none."""
        return " ".join(self._options())

    def _options(self) -> list[str]:
        options = []
        if self.clip:
            options.append(_CLIPPED)
        if self.round8:
            options.append(_ROUNDED)
        if self.seed:
            options.append(f"seed {self.seed}")
        return options

    def canonical(self) -> Noise:
        """Return the same noise with every option that changes nothing at its default: no noise has
        no seed.
        """
        if self.sigma == 0:
            return Noise()
        return dataclasses.replace(self, clip=self.clip and not self.round8)

    def of_inputs(self, inputs: Literal["image", "views"]) -> Noise:
        """Return canonical noise as it is for a method with these inputs: what it does to views is
        said for those that take them alone.
        """
        on_views = (self.on_views or SAME) if inputs == "views" and self.sigma else ""
        return dataclasses.replace(self, on_views=on_views)


def parse_noise(text: str) -> Noise:
    """Return the noise level that `str` of it gives.

    Raises:
        ValueError: for any other text.

    >>> parse_noise("2.55 clipped") == Noise(2.55, clip=True)
    True
    """
    sigma, _, options = text.partition(" ")
    seed = re.search(r"(?:^| )seed (\d+)$", options)
    noise = Noise(
        float(sigma),
        clip=_CLIPPED in options,
        round8=_ROUNDED in options,
        seed=int(seed[1]) if seed else 0,
    )
    if str(noise) != text:
        raise ValueError(f"no noise level: {text!r}")
    return noise


def keyed_generator(*key: str | int) -> np.random.Generator:
    """Return a random generator that depends on nothing but its key, the same in every process."""
    text = "\0".join(str(part) for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def standard_normal_field(
    shape: tuple[int, ...],
    *,
    seed: int,
    dataset: str,
    sample: str,
    repetition: int = 0,
    part: str = "image",
) -> NDArray[np.float64]:
    """Return the standard normal field of one picture.

    Args:
        shape: of the picture.
        seed, dataset, sample, repetition: the key; `dataset` is the registered name, without
            parameters.
        part: "image", or "left" and "right" for dual-pixel views, whose fields are independent.
    """
    return keyed_generator(seed, dataset, sample, repetition, part).standard_normal(shape)


def add_noise(sample: Sample, noise: Noise, dataset: str, repetition: int = 0) -> Sample:
    """Return `sample` with noise on its image and views; target and maps are untouched.

    Dual-pixel views get independent fields, of sigma or (`physical`) of sigma * sqrt(2). The image
    gets the mean of two such fields of sigma * sqrt(2), which has sigma, under either reading: so
    it is the mean of the views under `physical`, and what a method sees that takes no views does
    not depend on the reading.
    """
    if noise.sigma == 0:
        return sample

    def draw(part: str) -> NDArray[np.float64]:
        return standard_normal_field(
            sample.image.shape,
            seed=noise.seed,
            dataset=dataset,
            sample=sample.id,
            repetition=repetition,
            part=part,
        )

    scale = noise.sigma / 255
    finish = _make_finisher(noise)
    if sample.views is None:
        return dataclasses.replace(sample, image=finish(sample.image + scale * draw("image")))
    fields = [draw(part) for part in ("left", "right")]
    wide_fields = [math.sqrt(2) * field for field in fields]
    left, right = wide_fields if noise.on_views == PHYSICAL else fields
    return dataclasses.replace(
        sample,
        image=finish(sample.image + scale * (wide_fields[0] + wide_fields[1]) / 2),
        views=(finish(sample.views[0] + scale * left), finish(sample.views[1] + scale * right)),
    )


def _make_finisher(noise: Noise) -> Callable[[NDArray[np.float64]], Picture]:
    def finish(noisy: NDArray[np.float64]) -> Picture:
        if noise.clip or noise.round8:
            noisy = np.clip(noisy, 0, 1)
        if noise.round8:
            noisy = np.round(noisy * 255) / 255
        return noisy.astype(np.float32)

    return finish
