"""Predefined against learned kernels of the Gaussian convolution module, as Figure 4 of the GKMNet
paper.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from benchmark import checkpoints
from benchmark.api import Unavailable
from benchmark.arrays import Float64Array
from benchmark.optics.gkm import Bank, official_bank, paper_bank
from benchmark.reports import live
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData, name_drawing_suite
from benchmark.reports.figures.style import CaptionedFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

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
    kernels: Sequence[Float64Array]
    start: Sequence[Float64Array] = ()


def draw_kernels_figure(data: FigureData) -> CaptionedFigure:
    """Draw the predefined kernels and those of every checkpoint at hand that learned them, sorted
    by width.

    Raises:
        Unavailable: if no checkpoint learned its kernels.
        DataError: if a checkpoint is damaged.
    """
    checkpoint_cards = []
    for name, path in live.available_checkpoints():
        card = checkpoints.read_card(path)
        if card.parameters.get("kernels") in _LEARNED_TITLES:
            checkpoint_cards.append((name, card, path))
    if not checkpoint_cards:
        raise Unavailable(
            "no checkpoint here has learned kernels; train one with `python -m benchmark train "
            "gkmnet:kernels=gaussian`"
        )
    banks = dict.fromkeys(_bank_of_card(card) for _, card, _ in checkpoint_cards)
    sets = [KernelSet(f"predefined ({bank.label})", bank.kernels) for bank in banks]
    sources = []
    for name, card, path in checkpoint_cards:
        sets.append(_read_learned_kernels(name, card, path))
        digest = checkpoints.hash_checkpoint(path)
        sources.append(f"{name}: {card.source}. SHA-256 {digest}.")
    caption = [_EXPLANATION, *map(_describe_kernels, sets), *sources, name_drawing_suite()]
    return CaptionedFigure(_layout_kernels(sets), caption)


_EXPLANATION: Final = (
    "Kernels of the Gaussian convolution module of GKMNet, sorted by width. Below each: sigma "
    "(px) of the Gaussian of the same cut, of any height, that fits best, and how much of the "
    "kernel it misses (L2, relative). Each kernel has its own colour scale, symmetric about 0: "
    "orange is positive, violet negative."
)


def fit_gaussian(kernel: Float64Array) -> GaussianFit:
    """Return the best Gaussian for an S x S kernel, S odd; the height is solved for, the width
    searched.
    """
    from scipy.optimize import minimize_scalar

    size = len(kernel)
    if size == 1 or not kernel.any():
        return GaussianFit(0.0, 0.0)
    offset = np.arange(size) - size // 2
    squares = np.square(offset)[:, None] + np.square(offset)

    def missing_share(sigma: float) -> float:
        gaussian = np.exp(-squares / (2 * sigma**2))
        energies = np.vdot(kernel, kernel) * np.vdot(gaussian, gaussian)
        return float(1 - np.vdot(kernel, gaussian) ** 2 / energies)

    ladder = np.geomspace(0.1, size, 100)
    best = int(np.argmin([missing_share(sigma) for sigma in ladder]))
    bounds = ladder[max(best - 1, 0)], ladder[min(best + 1, len(ladder) - 1)]
    minimum = minimize_scalar(
        missing_share, bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    return GaussianFit(float(minimum.x), float(np.sqrt(max(minimum.fun, 0.0))))


def _bank_of_card(card: checkpoints.CheckpointCard) -> Bank:
    return paper_bank() if card.parameters.get("variant", "paper") == "paper" else official_bank()


def _read_learned_kernels(name: str, card: checkpoints.CheckpointCard, path: Path) -> KernelSet:
    kernels_by_number = {}
    for key, value in checkpoints.load_tensors(path).items():
        match = _ENTRY.fullmatch(key)
        if match:
            kernels_by_number[int(match[1])] = value.double().numpy()
    if not kernels_by_number:
        raise Unavailable(f"{path}: its card says that kernels were learned, but it holds none")
    start_name = str(card.parameters["kernels"])
    kernels = [kernels_by_number[number] for number in sorted(kernels_by_number)]
    start = _bank_of_card(card).kernels if start_name == "gaussian" else ()
    return KernelSet(f"{_LEARNED_TITLES[start_name]} ({name})", kernels, start)


def _describe_kernels(kernel_set: KernelSet) -> str:
    """Return the numbers of a set as a sentence."""
    errors = [fit_gaussian(kernel).error for kernel in kernel_set.kernels]
    sentence = f"{kernel_set.title}: {len(errors)} kernels, median misfit {np.median(errors):.1%}"
    if kernel_set.start:
        distances = []
        sigma_changes = []
        for kernel, start in zip(kernel_set.kernels, kernel_set.start, strict=True):
            distances.append(float(np.linalg.norm(kernel - start) / np.linalg.norm(start)))
            sigma_changes.append(abs(fit_gaussian(kernel).sigma - fit_gaussian(start).sigma))
        sentence += (
            f"; moved from where they started by {np.median(distances):.1%} (median, at most "
            f"{max(distances):.1%}, L2), in sigma by {np.median(sigma_changes):.3f} px (at most "
            f"{max(sigma_changes):.3f} px)"
        )
    return f"{sentence}."


def _layout_kernels(sets: Sequence[KernelSet]) -> Figure:
    from matplotlib.figure import Figure

    line_counts = [-(-len(kernel_set.kernels) // _ACROSS) for kernel_set in sets]
    height = sum(0.3 + 0.86 * count for count in line_counts)
    figure = Figure(figsize=(style.PAGE, height), layout="constrained")
    parts = figure.subfigures(len(sets), 1, height_ratios=line_counts, squeeze=False)[:, 0]
    for part, kernel_set, count in zip(parts, sets, line_counts, strict=True):
        _draw_kernel_set(part, kernel_set, count)
    return figure


def _draw_kernel_set(part: SubFigure, kernel_set: KernelSet, line_count: int) -> None:
    title = style.printable_name(kernel_set.title, 80)
    part.suptitle(title, x=0.01, horizontalalignment="left", size=8)
    panels = part.subplots(line_count, _ACROSS, squeeze=False).ravel()
    largest = max(map(len, kernel_set.kernels))
    fits = [(fit_gaussian(kernel), kernel) for kernel in kernel_set.kernels]
    fits.sort(key=lambda pair: pair[0].sigma)
    for axes, (fit, kernel) in zip(panels, fits, strict=False):
        _draw_kernel(axes, kernel, largest)
        axes.set_xlabel(f"{fit.sigma:.2f}\n{fit.error:.1%}", labelpad=1.5, size=6)
    for axes in panels[len(fits) :]:
        axes.set_visible(False)


def _draw_kernel(axes: Axes, kernel: Float64Array, size: int) -> None:
    peak = float(np.abs(kernel).max()) or 1.0
    looks: dict[str, Any] = {"cmap": f"{style.DIVERGING}_r", "vmin": -peak, "vmax": peak}
    axes.imshow(np.pad(kernel, (size - len(kernel)) // 2), **looks)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.5)
    axes.grid(visible=False)
