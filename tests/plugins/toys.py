"""A plug-in file for the tests: methods that behave and misbehave, a tiny generated data set, a
quick protocol.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from benchmark.api import Dataset, DatasetCard, Method, MethodCard, Observation, Picture, Sample
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.tracks import Track
from benchmark.registry import DATASETS, METHODS, PROTOCOLS


@METHODS.register("echo")
class Echo(Method):
    """Gives its input back, scaled; with `map=oracle` it demands the true map."""

    card = MethodCard(title="Echo", family="baseline")
    variants = MappingProxyType({"oracle": ("map=oracle",), "ablations": ("gain=0.5", "gain=0.25")})

    def __init__(
        self,
        *,
        gain: Annotated[float, Gt(0)] = 1.0,
        map: Literal["estimate", "oracle"] = "estimate",
    ) -> None:
        self.gain = gain
        self.card = replace(self.card, oracle=map == "oracle")

    def restore(self, observation: Observation) -> Picture:
        return observation.image * np.float32(self.gain)


@METHODS.register("remark")
class Remark(Echo):
    """The same, with something to say about it."""

    def list_remarks(self, observation: Observation, output: Picture) -> Sequence[str]:
        return [f"scaled by {self.gain:g}"]


@METHODS.register("misbehave")
class Misbehave(Method):
    """Fails in a chosen way on the sample whose id is in the picture's mean...
    or on all of them.
    """

    card = MethodCard(title="Misbehave", family="classical", paper="none")
    location_parameters = frozenset({"once"})

    def __init__(
        self,
        *,
        how: Literal[
            "raise", "exit", "long", "nan", "size", "dtype", "die", "sleep", "skip", "prepare"
        ] = "raise",
        once: Path | None = None,
    ) -> None:
        self.how, self.once = how, once

    def prepare(self, device: str) -> None:
        if self.how == "prepare":
            raise RuntimeError("no such weights")

    def skip(self, observation: Observation) -> str | None:
        return "does not like it" if self.how == "skip" else None

    def restore(self, observation: Observation) -> Picture:  # noqa: C901 (one case per way to fail)
        image = observation.image.copy()
        if self.once is not None:
            if self.once.exists():
                return image
            self.once.touch()
        match self.how:
            case "raise":
                raise RuntimeError("it broke <b>badly</b> | here")
            case "exit":
                sys.exit(3)
            case "long":
                raise ValueError("x" * 100_000)
            case "nan":
                image[0, 0, 0] = np.nan
            case "size":
                return image[:-1]
            case "dtype":
                return image.astype(np.float64)  # type: ignore[return-value]
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                time.sleep(600)
        return image


@METHODS.register("scribble")
class Scribble(Echo):
    """Writes into its input behind numpy's back, as an in-place operation of another library on
    shared memory does.
    """

    variants = MappingProxyType({})

    def restore(self, observation: Observation) -> Picture:
        image = observation.image
        ctypes.memset(image.ctypes.data, 0, image.nbytes)
        return image.copy()


@METHODS.register("wants-views")
class WantsViews(Method):
    card = MethodCard(
        title="Views", family="learned", paper="none", inputs="views", trained_on=None
    )

    def restore(self, observation: Observation) -> Picture:
        assert observation.views is not None
        return (observation.views[0] + observation.views[1]) / 2


@METHODS.register("wants-noise")
class WantsNoise(Method):
    """Writes the noise level it was told into the picture."""

    card = MethodCard(title="Noise-aware", family="classical", paper="none", noise_aware=True)

    def restore(self, observation: Observation) -> Picture:
        assert observation.noise_sigma is not None
        return np.full_like(observation.image, observation.noise_sigma / 255)


@DATASETS.register("tiny")
class Tiny(Dataset):
    """Generated pictures, with all the sides a sample can have."""

    card = DatasetCard(title="Tiny", paper="", licence="none", source="made up", layout="none")

    def __init__(
        self,
        root: Path,
        *,
        n: int = 3,
        size: int = 16,
        views: bool = False,
        target: bool = True,
        blur: bool = True,
        salt: int = 0,
        slow: float = 0.0,
    ) -> None:
        self.n, self.size, self.views, self.target, self.blur, self.salt, self.slow = (
            n,
            size,
            views,
            target,
            blur,
            salt,
            slow,
        )

    def ids(self) -> Sequence[str]:
        return [f"picture {i}" for i in range(self.n)]

    def load(self, sample_id: str) -> Sample:
        if self.slow:  # also a sleep of no time gives the processor away
            time.sleep(self.slow)
        shape = (self.size, self.size, 3)
        rng = np.random.default_rng([int(sample_id.split()[1]), self.salt])
        image = (rng.integers(0, 256, shape) / 255).astype(np.float32)
        target = (rng.integers(0, 256, shape) / 255).astype(np.float32)
        return Sample(
            id=sample_id,
            image=image,
            target=target if self.target else None,
            views=(image, target) if self.views else None,
            blur_map=np.ones(shape[:2], np.float32) if self.blur else None,
        )

    def fingerprint(self, sample_id: str) -> str:
        text = f"{sample_id} {self.size} {self.views} {self.target} {self.blur} {self.salt}"
        return hashlib.sha256(text.encode()).hexdigest()


QUICK = Protocol(
    id="quick",
    title="two quick metrics",
    source="tests",
    version="1",
    tracks=(Track("u8"), Track("u16")),
    measures=(
        Measure("psnr", "psnr", clamp=True, round8=False),
        Measure("mae", "mae", clamp=True, round8=False),
    ),
    slices=MappingProxyType({}),
)
PROTOCOLS.add("quick", QUICK)
