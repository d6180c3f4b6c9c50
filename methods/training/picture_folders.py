"""What the command line can train on: a folder of sharp pictures, put out of focus, or DPD."""

from __future__ import annotations

from pathlib import Path

from benchmark import console
from benchmark.api import UsageError
from benchmark.methods.training import pictures
from benchmark.methods.training.data import DpdCrops, Examples, Simulated, validation
from benchmark.methods.training.duplicates import (
    bundled_pictures,
    evaluated_pictures,
    refuse_duplicates,
)
from benchmark.methods.training.job import Source
from benchmark.methods.training.recipes import Recipe

DPD = "dpd"
HELD_OUT = 16
"""Held-out examples of a validation, of the last crop's size."""


def source(
    data: str,
    root: Path,
    recipe: Recipe,
    *,
    views: bool,
    noise: tuple[float, float] | None,
    seed: int,
) -> Source:
    """Return training and held-out examples.

    Args:
        data: a folder of sharp pictures, or `dpd`.
        root: the folder that holds the data sets. DPD is found there, and no picture there is
            trained on by chance.
        recipe: for the size of the held-out examples.
        views: whether the network takes dual-pixel views.
        noise: the range of noise levels (0-255 scale) that examples get, None for none.
        seed: of all that is random in an example.

    Raises:
        UsageError: for noise out of its range.
        DataError: pictures that are missing or damaged, or nearly those of a test.
    """
    crop = recipe.phases[-1].crop
    made: Examples
    if data == DPD:
        made = DpdCrops(root, crop=crop, seed=seed, noise=noise, views=views)
        count = int(made.card()["pictures"])
    else:
        folder = Path(data)
        console.print_note(f"comparing the pictures in {folder} with those that are evaluated on")
        refuse_duplicates(
            pictures.files(folder), [*evaluated_pictures(root, folder), *bundled_pictures()]
        )
        made = Simulated(folder, crop=crop, seed=seed, noise=noise, views=views)
        count = len(made.sources)
    return Source(made.at, count, validation(made, HELD_OUT))


def noise_range(text: str) -> tuple[float, float]:
    """Return the range that a text such as `0,5` or `3` means: least and most, or one level.

    Raises:
        UsageError: for anything else.
    """
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 2):
        raise UsageError(
            f"--noise {text}: expected LEAST,MOST or one level on the 0-255 scale, for example 0,5"
        )
    if not levels[-1]:
        raise UsageError(
            f"--noise {text}: is no noise; leave the option out, or name a level above 0"
        )
    return levels[0], levels[-1]
