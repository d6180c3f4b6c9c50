"""Recipes as data: what is optimised, how fast, on which crops, over which share of a training.

A recipe says nothing in absolute steps. Its phases have shares of the whole, and everything is a
function of the progress in [0, 1]; so the same recipe fits every budget, and an interrupted
training needs no schedule in its state.

`paper` is section 4 of Quan, Wu and Ji (NeurIPS 2021): 3000 epochs of the pictures divided by the
batch (350 / 4, so 87 steps, for DPD), crops of 256 x 256, batch 4, Adam, learning rate 1e-4 and
after 2000 epochs 1e-5. The paper has the squared l2 loss "in the first 1000 iterations" and SSIM
and squared l2 alternating "every 500 epochs afterwards"; its iterations are read as epochs here, as
1000 steps would be 11 epochs. SSIM comes first after them. The rivals get the same crops, batch and
epochs, but the losses and learning rates of their own authors.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from benchmark.api import UsageError

Criterion = Literal["squared", "ssim", "psnr"]
ERROR_FLOOR = 1e-5
"""Mean squared error in [0, 1] squared, 50 dB, below which the criterion `psnr` hardly falls."""
Decay = Literal["constant", "cosine", "polynomial"]
Unit = Literal["epochs", "steps", "megapixels", "minutes"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a training is.

    Attributes:
        amount, unit: for example 26 megapixels, counted over the crops of the network's full scale.
    """

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise UsageError(f"--{self.unit} {self.amount}: expected a number above 0")

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a training is: steps, examples, pixels and seconds done."""

    step: int = 0
    examples: int = 0
    pixels: int = 0
    seconds: float = 0.0

    def after(self, examples: int, pixels: int, seconds: float) -> Position:
        """Return the position after one more step, of so many examples and pixels, at so many
        seconds.
        """
        return Position(
            step=self.step + 1,
            examples=self.examples + examples,
            pixels=self.pixels + pixels,
            seconds=seconds,
        )

    def progress(self, budget: Budget, epoch: int) -> Fraction:
        """Return what part of the budget is used, 1 and more when it is used up; an epoch has
        `epoch` steps.

        A fraction, because a phase ends at one exact step.
        """
        used = {
            "epochs": Fraction(self.step, epoch),
            "steps": Fraction(self.step),
            "megapixels": Fraction(self.pixels, 1_000_000),
            "minutes": Fraction(self.seconds) / 60,
        }
        return used[budget.unit] / Fraction(budget.amount)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a training.

    Attributes:
        share: its length, on any scale that the recipe's other phases share.
        crop: side of the crops in pixels, a multiple of 16.
        batch: crops in a step.
        criterion: the loss; see `benchmark.methods.training.step`.
        rate: Adam's learning rate before warm-up and decay.
    """

    share: int
    crop: int
    batch: int
    criterion: Criterion
    rate: float

    def __post_init__(self) -> None:
        if self.crop < 64 or self.crop % 16:
            raise UsageError(f"--crop {self.crop}: expected a multiple of 16, at least 64")
        if self.batch < 1:
            raise UsageError(f"--batch {self.batch}: expected at least 1")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"--rate {self.rate:g}: expected a number above 0, for example 3e-4")

    @property
    def pixels(self) -> int:
        """Pixels of a step."""
        return self.batch * self.crop * self.crop


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        name: what the command line calls it.
        phases: in their order.
        budget: how long it is where the user does not say.
        warm_up: share of the training over which the learning rate rises linearly from a tenth.
        decay: how the rates of the phases fall with the progress p: not, by (1 + cos(pi p)) / 2, or
            by (1 - p)^0.3.
        clip: largest norm of the gradient, None for any.
        average: decay of the moving average of the weights, the one that is kept; 0 keeps the last
            weights.
        coarse: weight of the losses of all but the finest scale, which has 1.
        light: weight of `step.light_loss` on the finest scale, beside the criterion.
        identity: whether training starts from a network that returns its input, where its form
            allows that, and DPDNet from one whose last rectifier is open; see `start_weights`.
        whitened: whether the first filters are those that whiten training pictures; see
            `start_weights.whiten_first_filters`.
        mixed: whether convolutions are in bfloat16 on processors that multiply it; weights stay in
            single precision.
        frozen: progress from which on normalisation uses fixed statistics, measured anew at that
            moment, as it does when it restores; 1 for never.
        cameras: whether simulated examples go through a camera; see `camera_examples`.
        validations: how often it is validated, evenly over its progress.
    """

    name: str
    phases: tuple[Phase, ...]
    budget: Budget
    warm_up: Fraction = Fraction(0)
    decay: Decay = "constant"
    clip: float | None = None
    average: float = 0.0
    coarse: float = 1.0
    light: float = 0.0
    identity: bool = False
    whitened: bool = False
    mixed: bool = False
    frozen: Fraction = Fraction(1)
    validations: int = 60
    cameras: bool = False

    def phase(self, progress: Fraction) -> Phase:
        """Return the phase at a progress in [0, 1]; each begins where the one before it ends."""
        share_sum = sum(phase.share for phase in self.phases)
        end = 0
        for phase in self.phases:
            end += phase.share
            if progress * share_sum < end:
                return phase
        return self.phases[-1]

    def rate(self, progress: Fraction) -> float:
        """Return the learning rate at a progress in [0, 1]."""
        p = min(1.0, float(progress))
        warmth = 1.0
        if self.warm_up:
            warmth = 0.1 + 0.9 * min(1.0, p / float(self.warm_up))
        decay = {
            "constant": 1.0,
            "cosine": (1 + math.cos(math.pi * p)) / 2,
            "polynomial": (1 - p) ** 0.3,
        }
        return float(self.phase(progress).rate * warmth * decay[self.decay])

    def with_changes(
        self,
        crop: int | None = None,
        batch: int | None = None,
        rate: float | None = None,
        budget: Budget | None = None,
    ) -> Recipe:
        """Return the recipe with one crop, batch, rate or budget throughout; None leaves
        its own.
        """
        settings = {"crop": crop, "batch": batch, "rate": rate}
        changes: Any = {name: value for name, value in settings.items() if value is not None}
        phases = tuple(dataclasses.replace(phase, **changes) for phase in self.phases)
        return dataclasses.replace(self, phases=phases, budget=budget or self.budget)


EPOCHS = Budget(3000, "epochs")


def _paper_recipe(*phases: tuple[int, Criterion, float], decay: Decay = "constant") -> Recipe:
    """Return a recipe on the paper's crops for phases of (share, criterion, rate)."""
    crops = tuple(Phase(share, 256, 4, criterion, rate) for share, criterion, rate in phases)
    return Recipe("paper", crops, EPOCHS, decay=decay)


PAPER = _paper_recipe(
    (1000, "squared", 1e-4),
    (500, "ssim", 1e-4),
    (500, "squared", 1e-4),
    (500, "ssim", 1e-5),
    (500, "squared", 1e-5),
)
SCALE_RECURRENT = _paper_recipe((1, "squared", 1e-4), decay="polynomial")  # Tao et al., CVPR 2018
DUAL_PIXEL = _paper_recipe(  # Abuolaim and Brown, ECCV 2020: 200 epochs, halved every 60
    (60, "squared", 2e-5), (60, "squared", 1e-5), (60, "squared", 5e-6), (20, "squared", 2.5e-6)
)
PAPER_RECIPES: Mapping[str, Recipe] = {
    "gkmnet": PAPER,
    "srn": SCALE_RECURRENT,
    "attnet": SCALE_RECURRENT,  # its own training is not known
    "dpdnet-s": DUAL_PIXEL,
    "dpdnet-d": DUAL_PIXEL,
}
"""Of the networks that GKMNet's paper compares; what trained the later ones, no source at hand
states.
"""

FAST = Recipe(
    name="fast",
    phases=(
        Phase(30, 64, 1, "squared", 1e-3),
        Phase(45, 128, 1, "squared", 1e-3),
        Phase(25, 192, 1, "squared", 1e-3),
    ),
    budget=Budget(26, "megapixels"),
    warm_up=Fraction(1, 50),
    decay="cosine",
    clip=1.0,
    average=0.999,
    coarse=0.25,
    identity=True,
    whitened=True,
    mixed=True,
    frozen=Fraction(1, 2),
    validations=10,  # of 26 megapixels on a CPU, each more would take 1 % of the time
)
UNNORMALISED_RATE = 2e-4
"""For the networks of others, most of which have no normalisation: at 1e-3 their first steps leave
the range of pictures far behind.
"""
FAST_MAPS = dataclasses.replace(
    FAST,
    identity=False,
    whitened=False,
    frozen=Fraction(1, 10),
).with_changes(rate=UNNORMALISED_RATE)
"""For networks of blur maps, which do not add to the picture, and of which the one that is here
scales it to 0-255, where whitened filters would be hundreds of times weaker than the others.
Statistics of one crop would take from it how blurred it is, so they are fixed early.
"""
PHOTO = dataclasses.replace(
    FAST,
    name="photo",
    phases=(
        Phase(5, 64, 1, "squared", 1e-3),
        Phase(15, 128, 1, "squared", 1e-3),
        Phase(55, 192, 1, "squared", 1e-3),
        Phase(25, 256, 1, "squared", 1e-3),
    ),
    budget=Budget(1000, "megapixels"),
    light=0.5,
    frozen=Fraction(1, 10),
    validations=100,
    cameras=True,
)
"""For photographs from anywhere: `fast`, longer, on larger crops, as they hold larger blurs."""
REFINE = dataclasses.replace(
    PHOTO,
    name="refine",
    phases=(Phase(1, 256, 1, "psnr", 2e-4),),
    budget=Budget(100, "megapixels"),
    frozen=Fraction(0),
    validations=20,
)
"""For weights of `photo`, which the squared error teaches little about pictures that are nearly
sharp: their errors are small beside those of blurred ones.
"""
NAMES = ("paper", "fast", "photo", "refine")


def find_recipe(name: str, method: str, makes_maps: bool = False) -> Recipe:
    """Return the recipe of that name for a method's registered name, whose network makes blur maps
    or pictures.

    Raises:
        UsageError: for a name that is none of `NAMES`, for `paper` where it is not known what the
            authors did, and for blur maps of pictures that go through a camera.
    """
    if name not in NAMES:
        raise UsageError(f"--recipe {name}: expected {' or '.join(NAMES)}")
    if name == "paper":
        return _find_paper_recipe(method)
    recipe = {"fast": FAST, "photo": PHOTO, "refine": REFINE}[name]
    if makes_maps and recipe.cameras:
        raise UsageError(
            f"--recipe {name}: its cameras tell no blur maps, and {method} learns nothing else; "
            "use --recipe fast"
        )
    if makes_maps:
        return FAST_MAPS
    if method == "gkmnet":
        return recipe
    return recipe.with_changes(rate=UNNORMALISED_RATE)


def _find_paper_recipe(method: str) -> Recipe:
    if method in PAPER_RECIPES:
        return PAPER_RECIPES[method]
    raise UsageError(
        f"--recipe paper: GKMNet's paper has one for {', '.join(PAPER_RECIPES)}, and what trained "
        f"{method} is not known here; take the suite's own: `train {method} --recipe fast --data "
        "FOLDER`"
    )
