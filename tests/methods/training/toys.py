"""Examples that cost nothing, and a network so small that a training takes a second."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmark.api import MethodCard
from benchmark.methods.learned.method import AppliedNetwork, NetworkMethod
from benchmark.methods.training import job as jobs
from benchmark.methods.training.examples import Example, Examples
from benchmark.methods.training.job import Hardware, Job, TrainingData
from benchmark.methods.training.recipes import Budget, Phase, Recipe
from benchmark.methods.two_stage.dmenet import DmeNetEstimator, DmeNetMethod
from benchmark.methods.two_stage.estimation import Estimator
from benchmark.registry import METHODS


class ToyExamples(Examples):
    """Noise smoothed a little is sharp, smoothed more it is blurred."""

    trained_on = ("noise",)
    licence = "CC0-1.0"

    def __init__(self, crop: int, seed: int = 0, bad: int | None = None) -> None:
        """`bad` is the index of an example that holds a NaN."""
        self.crop, self.seed, self.bad = crop, seed, bad

    def example(self, index: int) -> Example:
        noise = np.random.default_rng([self.seed, index, self.crop]).random(
            (self.crop, self.crop, 3), np.float32
        )
        sharp, blurred = cv2.GaussianBlur(noise, (0, 0), 0.7), cv2.GaussianBlur(noise, (0, 0), 1.4)
        if index == self.bad:
            sharp[0, 0, 0] = np.nan
        return Example(blurred, sharp, (blurred, blurred))

    def card(self) -> dict[str, str | int | float | bool]:
        return {"pictures": 8, "seed": self.seed, "crop": self.crop}

    def with_crop(self, crop: int) -> ToyExamples:
        return ToyExamples(crop, self.seed, self.bad)

    def held_out(self) -> ToyExamples:
        return ToyExamples(self.crop, seed=9)


class TinyNet(nn.Module):
    """Normalised, with dropout, so that both are put to the test; adds to the picture at two
    scales.

    The plain one has neither, so that an example's gradient does not depend on the others of its
    batch.
    """

    def __init__(self, width: int, channels: int, plain: bool = False) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.normal = nn.Identity() if plain else nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.0 if plain else 0.05)
        self.leave = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.scales(x)[-1]

    def scales(self, x: Tensor) -> list[Tensor]:
        return [self.once(nn.functional.avg_pool2d(x, 2)), self.once(x)]

    def once(self, x: Tensor) -> Tensor:
        made: Tensor = self.leave(self.drop(torch.relu(self.normal(self.enter(x)))))
        return x[:, :3] + made


class Tiny(NetworkMethod):
    """The method of that network."""

    id = "tiny"
    multiple = 2
    card = MethodCard(title="Tiny", family="learned", trained_on=None)
    defaults = {"width": 8, "plain": False}  # noqa: RUF012

    def __init__(
        self, *, checkpoint: str | None = None, width: int | None = None, plain: bool | None = None
    ) -> None:
        super().__init__(checkpoint, {"width": width, "plain": plain})

    def build(self) -> nn.Module:
        channels = 3 if self.card.inputs == "image" else 6
        return TinyNet(int(self.structure["width"]), channels, bool(self.structure["plain"]))


class TinyViews(Tiny):
    """The same on dual-pixel views."""

    id = "tiny-views"
    card = MethodCard(title="Tiny", family="learned", inputs="views", trained_on=None)


class ToyMapExamples(ToyExamples):
    """Noise whose right part is smoothed, by another sigma in every example."""

    def example(self, index: int) -> Example:
        random = np.random.default_rng([self.seed, index, self.crop])
        sharp = random.random((self.crop, self.crop, 3), np.float32)
        sigma = np.float32(random.uniform(0.5, 3))
        edge = int(random.integers(self.crop))
        blurred = sharp.copy()
        blurred[:, edge:] = cv2.GaussianBlur(sharp, (0, 0), float(sigma))[:, edge:]
        if index == self.bad:
            blurred[0, 0, 0] = np.nan
        blur_map = np.zeros((self.crop, self.crop), np.float32)
        blur_map[:, edge:] = sigma
        return Example(blurred, sharp, blur_map=blur_map)

    def with_crop(self, crop: int) -> ToyMapExamples:
        return ToyMapExamples(crop, self.seed, self.bad)

    def held_out(self) -> ToyMapExamples:
        return ToyMapExamples(self.crop, seed=9)


class TinyMapNet(nn.Module):
    """The defocus map of a picture from features of 7 x 7 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 16, 3, padding=1)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.normal = nn.BatchNorm2d(16)
        self.leave = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.enter(x - 0.5))
        features = torch.relu(self.normal(self.middle(features)))
        return torch.sigmoid(self.leave(features))


class TinyMapEstimator(DmeNetEstimator):
    """DMENet's estimator with that network."""

    id = "tiny-maps"

    def build(self) -> nn.Module:
        return TinyMapNet()


class TinyMaps(DmeNetMethod):
    """That estimator, then a deconvolver."""

    id = "tiny-maps"

    def make_estimator(self) -> Estimator:
        return TinyMapEstimator()

    def trained_network(self) -> AppliedNetwork:
        return TinyMapEstimator()


def register() -> None:
    """Make the methods known by their names."""
    for kind in (Tiny, TinyViews, TinyMaps):
        METHODS.add(kind.id, kind)


RECIPE = Recipe(
    "toy",
    (Phase(1, 64, 4, "ssim", 3e-3), Phase(1, 80, 2, "squared", 3e-3)),
    Budget(12, "steps"),
    decay="cosine",
    clip=1.0,
    average=0.9,
    frozen=Fraction(2, 3),
)


def toy_job(
    folder: Path, text: str = "tiny", bad: int | None = None, workers: int = 0, **changes: Any
) -> Job:
    """Return a training of 12 steps that takes a second."""
    method = jobs.create_network(text)
    held_out = [ToyExamples(64, seed=9).example(index) for index in range(2)]
    source = TrainingData(partial(ToyExamples, bad=bad), pictures=8, held_out=held_out)
    files = jobs.locate_files(method, "toy", folder)
    settings: dict[str, Any] = {
        "seed": 3,
        "hardware": Hardware("cpu", workers=workers),
        "save_every": 0.0,
    }
    return Job(method=method, recipe=RECIPE, data=source, files=files, **(settings | changes))


def toy_map_job(folder: Path, bad: int | None = None, **changes: Any) -> Job:
    """Return a training of blur maps that takes a second."""
    job = toy_job(folder, "tiny-maps")
    held_out = [ToyMapExamples(64, seed=9).example(index) for index in range(4)]
    data = TrainingData(partial(ToyMapExamples, bad=bad), pictures=8, held_out=held_out)
    phases = (Phase(1, 64, 2, "squared", 1e-2),)
    recipe = dataclasses.replace(RECIPE, phases=phases, frozen=Fraction(1, 4))
    return dataclasses.replace(job, **({"data": data, "recipe": recipe} | changes))


class Deadly(ToyExamples):
    """They kill the process, as nothing can be caught, when example `last` is wanted."""

    def __init__(self, crop: int, last: int) -> None:
        super().__init__(crop)
        self.last = last

    def example(self, index: int) -> Example:
        if index >= self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().example(index)


def rarely(job: Job) -> Job:
    """Return a training that writes its state at validations only, which come at half of it and at
    its end.
    """
    return dataclasses.replace(
        job, recipe=dataclasses.replace(job.recipe, validations=2), save_every=1e9
    )


def train_until_killed(folder: Path, last: int, rare: bool) -> None:
    """Train until example `last` is wanted."""
    from benchmark.methods.training.trainer import train_network

    job = rarely(toy_job(folder)) if rare else toy_job(folder)
    train_network(
        dataclasses.replace(
            job, data=dataclasses.replace(job.data, examples=partial(Deadly, last=last))
        )
    )


def train_forever(folder: Path) -> None:
    """Train until somebody ends it, with processes that make the examples."""
    from benchmark.methods.training.trainer import train_network

    job = toy_job(folder, workers=2)
    endless = dataclasses.replace(job.recipe, budget=Budget(10**7, "steps"), validations=10**6)
    train_network(dataclasses.replace(job, recipe=endless))


if __name__ == "__main__":
    register()
    if sys.argv[2] == "forever":
        train_forever(Path(sys.argv[1]))
    train_until_killed(Path(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3)
