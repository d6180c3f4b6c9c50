"""Predefined against learned kernels of the Gaussian convolution module, as Figure 4 of the GKMNet
paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.api import Unavailable, UsageError
from benchmark.optics.gkm import Bank, official_bank, paper_bank
from benchmark.registry import METHODS, list_checkpoint_files
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import Source, drawn_by
from benchmark.reports.figures.style import CaptionedFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Kernel = NDArray[np.float64]

_LEARNED_TITLES: Final = {
    "gaussian": "learned from Gaussians",
    "xavier": "learned from Xavier's initialisation",
}
"""Values of a network's parameter `kernels` under which they are learned."""
_ENTRY: Final = re.compile(r"(?:.*\.)?gcm\.learned\.(\d+)")
"""How a checkpoint calls kernel k of its Gaussian convolution module."""
_ACROSS: Final = 11


class GaussianFit(NamedTuple):
    """The Gaussian, of any height and cut to the kernel's size, that comes closest to a kernel.

    Attributes:
        sigma: px; 0 for a kernel of one pixel, at most the kernel's size.
        error: ||kernel - Gaussian|| / ||kernel||.
    """

    sigma: float
    error: float


class KernelSet(NamedTuple):
    """A set of kernels with its name; `start` is what they were learned from, where that
    is known.
    """

    title: str
    kernels: Sequence[Kernel]
    start: Sequence[Kernel] = ()


def draw_kernels_figure(source: Source) -> CaptionedFigure:
    """Draw the predefined kernels and those of every checkpoint at hand that learned them, sorted
    by width.

    Raises:
        Unavailable: if no checkpoint learned its kernels.
        DataError: if a checkpoint is damaged.
    """
    cards = ((name, checkpoints.read_card(path), path) for name, path in _available_checkpoints())
    learned = [
        (name, card, path)
        for name, card, path in cards
        if card.parameters.get("kernels") in _LEARNED_TITLES
    ]
    if not learned:
        raise Unavailable(
            "no checkpoint here has learned kernels; train one with `python -m benchmark train "
            "gkmnet:kernels=gaussian`"
        )
    banks = {_bank_of_card(card): None for _, card, _ in learned}
    sets = [
        *(KernelSet(f"predefined ({bank.label})", bank.kernels) for bank in banks),
        *(_read_learned_kernels(name, card, path) for name, card, path in learned),
    ]
    return CaptionedFigure(
        _layout_kernels(sets),
        [
            "Kernels of the Gaussian convolution module of GKMNet, sorted by width. Below each: "
            "sigma (px) of the "
            "Gaussian of the same cut, of any height, that fits best, and how much of the kernel "
            "it misses (L2, "
            "relative). Each kernel has its own colour scale, symmetric about 0: orange is "
            "positive, violet negative.",
            *map(_describe_kernels, sets),
            *(
                f"{name}: {card.source}. SHA-256 {checkpoints.hash_checkpoint(path)}."
                for name, card, path in learned
            ),
            drawn_by(),
        ],
    )


def fit_gaussian(kernel: Kernel) -> GaussianFit:
    """Return the best Gaussian for an S x S kernel, S odd; the height is solved for, the width
    searched.
    """
    from scipy.optimize import minimize_scalar

    size = len(kernel)
    if size == 1 or not kernel.any():
        return GaussianFit(0.0, 0.0)
    offset = np.arange(size) - size // 2
    squares = np.square(offset)[:, None] + np.square(offset)

    def missed(sigma: float) -> float:
        gaussian = np.exp(-squares / (2 * sigma**2))
        share = np.vdot(kernel, gaussian) ** 2 / (
            np.vdot(kernel, kernel) * np.vdot(gaussian, gaussian)
        )
        return float(1 - share)

    ladder = np.geomspace(0.1, size, 100)
    best = int(np.argmin([missed(sigma) for sigma in ladder]))
    around = ladder[max(best - 1, 0)], ladder[min(best + 1, len(ladder) - 1)]
    found = minimize_scalar(missed, bounds=around, method="bounded", options={"xatol": 1e-6})
    return GaussianFit(float(found.x), float(np.sqrt(max(found.fun, 0.0))))


def _available_checkpoints() -> Iterator[tuple[str, Path]]:
    """Yield METHOD.TAG and file of every checkpoint of a registered method that loads."""
    catalogue = checkpoints.CheckpointCatalogue.of_user()
    for name in METHODS.names():
        try:
            files = list_checkpoint_files(name, catalogue)
        except UsageError:  # `list methods` says why it does not load
            continue
        yield from ((f"{name}.{tag}", path) for tag, path in files.items())


def _bank_of_card(card: checkpoints.CheckpointCard) -> Bank:
    return paper_bank() if card.parameters.get("variant", "paper") == "paper" else official_bank()


def _read_learned_kernels(name: str, card: checkpoints.CheckpointCard, path: Path) -> KernelSet:
    held = {
        int(match[1]): value
        for key, value in checkpoints.load_tensors(path).items()
        if (match := _ENTRY.fullmatch(key))
    }
    if not held:
        raise Unavailable(f"{path}: its card says that kernels were learned, but it holds none")
    how = str(card.parameters["kernels"])
    kernels = [held[index].double().numpy() for index in sorted(held)]
    return KernelSet(
        f"{_LEARNED_TITLES[how]} ({name})",
        kernels,
        _bank_of_card(card).kernels if how == "gaussian" else (),
    )


def _describe_kernels(some: KernelSet) -> str:
    """Return the numbers of a set as a sentence."""
    fits = [fit_gaussian(kernel) for kernel in some.kernels]
    said = (
        f"{some.title}: {len(fits)} kernels, median misfit "
        f"{np.median([fit.error for fit in fits]):.1%}"
    )
    if some.start:
        pairs = list(zip(some.kernels, some.start, strict=True))
        moved = [
            float(np.linalg.norm(kernel - start) / np.linalg.norm(start)) for kernel, start in pairs
        ]
        wider = [
            abs(fit_gaussian(kernel).sigma - fit_gaussian(start).sigma) for kernel, start in pairs
        ]
        said += (
            f"; moved from where they started by {np.median(moved):.1%} (median, at most "
            f"{max(moved):.1%}, L2), in "
            f"sigma by {np.median(wider):.3f} px (at most {max(wider):.3f} px)"
        )
    return f"{said}."


def _layout_kernels(sets: Sequence[KernelSet]) -> Figure:
    from matplotlib.figure import Figure

    lines = [-(-len(some.kernels) // _ACROSS) for some in sets]
    figure = Figure(
        figsize=(style.PAGE, sum(0.3 + 0.86 * count for count in lines)), layout="constrained"
    )
    parts = figure.subfigures(len(sets), 1, height_ratios=lines, squeeze=False)[:, 0]
    for part, some, count in zip(parts, sets, lines, strict=True):
        _draw_kernel_set(part, some, count)
    return figure


def _draw_kernel_set(part: SubFigure, some: KernelSet, lines: int) -> None:
    part.suptitle(style.printable_name(some.title, 80), x=0.01, horizontalalignment="left", size=8)
    panels = part.subplots(lines, _ACROSS, squeeze=False).ravel()
    largest = max(map(len, some.kernels))
    ordered = sorted(
        ((fit_gaussian(kernel), kernel) for kernel in some.kernels), key=lambda pair: pair[0].sigma
    )
    for axes, (fit, kernel) in zip(panels, ordered, strict=False):
        _draw_kernel(axes, kernel, largest)
        axes.set_xlabel(f"{fit.sigma:.2f}\n{fit.error:.1%}", labelpad=1.5, size=6)
    for axes in panels[len(ordered) :]:
        axes.set_visible(False)


def _draw_kernel(axes: Axes, kernel: Kernel, size: int) -> None:
    peak = float(np.abs(kernel).max()) or 1.0
    looks: dict[str, Any] = {"cmap": f"{style.DIVERGING}_r", "vmin": -peak, "vmax": peak}
    axes.imshow(np.pad(kernel, (size - len(kernel)) // 2), **looks)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.5)
    axes.grid(visible=False)
