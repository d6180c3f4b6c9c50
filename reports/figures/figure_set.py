"""Which figures there are, and writing them: each as PDF and PNG with its caption, or one line why
there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmark.api import BenchmarkError, UsageError
from benchmark.files import replace_file
from benchmark.reports.figures import (
    coefficients,
    crops,
    kernels,
    pareto,
    psf,
    radius,
    robustness,
    style,
)
from benchmark.reports.figures.figure_data import FigureData, FigureOptions
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.reports.grid import escape_markdown
from benchmark.results import Results

FIGURES: Final[Mapping[str, Callable[[FigureData], CaptionedFigure]]] = {
    "crops": crops.draw_crops_figure,
    "kernels": kernels.draw_kernels_figure,
    "coefficients": coefficients.draw_coefficients_figure,
    "robustness": robustness.draw_robustness_figure,
    "pareto": pareto.draw_pareto_figure,
    "radius": radius.draw_radius_figure,
    "psf": psf.draw_psf_figure,
}
ALL_FIGURES: Final = "all"


@dataclass(frozen=True, slots=True)
class FigureOutcome:
    """What became of a figure: its files (PDF, PNG, caption), or the reason in one line why there
    are none.
    """

    name: str
    files: tuple[Path, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"{self.name}: not made: {self.reason}"
        return f"{self.name}: {', '.join(map(str, self.files))}"


def write_figures(
    results: Results,
    folder: Path,
    names: Sequence[str] = (ALL_FIGURES,),
    options: FigureOptions | None = None,
) -> list[FigureOutcome]:
    """Draw figures from runs and write each as NAME.pdf, NAME.png and NAME.md (the caption); return
    what became of it.

    A figure that cannot be made does not keep the others from being made; files of it that are
    there already stay.

    Args:
        results: the runs.
        folder: is made if it is not there.
        names: keys of `FIGURES`, or `all`.
        options: data set, methods and so on; None for the defaults.

    Raises:
        UsageError: an unknown figure; what `FigureData` raises.
    """
    unknown = [name for name in names if name not in (*FIGURES, ALL_FIGURES)]
    if unknown:
        raise UsageError(
            f"no figure is called {unknown[0]!r}. Known: {', '.join(FIGURES)}, {ALL_FIGURES}"
        )
    data = FigureData(results, options or FigureOptions())
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_figure(name, data, folder)
        for name in FIGURES
        if ALL_FIGURES in names or name in names
    ]


def _write_figure(name: str, data: FigureData, folder: Path) -> FigureOutcome:
    try:
        with style.use_paper_style():
            figure = FIGURES[name](data)
            files = style.save_figure(figure.figure, folder, name)
    except BenchmarkError as error:
        return FigureOutcome(name, reason=str(error).strip().partition("\n")[0])
    caption = folder / f"{name}.md"
    with replace_file(caption) as file:
        file.write("\n\n".join(map(escape_markdown, figure.caption)).encode() + b"\n")
    return FigureOutcome(name, (*files, caption))
