"""Which figures there are, and writing them: each as PDF and PNG with its caption, or one line why
there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmark import imageio
from benchmark.api import BenchmarkError, Picture, UsageError
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
from benchmark.reports.figures.figure_data import FigureData, FigureOptions, NoPictures
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
    """What became of a figure.

    Attributes:
        name: of the figure.
        files: PDF, PNG, caption.
        reason: in one line, why there are none.
        notes: what must be said with it.
        lacks_pictures: there are none because the results that were named hold no pictures.
    """

    name: str
    files: tuple[Path, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    lacks_pictures: bool = False

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
        UsageError: an unknown figure; boxes or a folder for crops without that figure, or a box
            outside a picture; what `FigureData` raises.
    """
    unknown = [name for name in names if name not in (*FIGURES, ALL_FIGURES)]
    if unknown:
        raise UsageError(
            f"no figure is called {unknown[0]!r}. Known: {', '.join(FIGURES)}, {ALL_FIGURES}"
        )
    data = FigureData(results, options or FigureOptions())
    wanted = [name for name in FIGURES if ALL_FIGURES in names or name in names]
    if "crops" in wanted:
        crops.check_boxes(data)
    elif data.options.boxes or data.options.crops:
        raise UsageError("--box and --crops are for the figure crops; add --figure crops")
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_figure(name, data, folder) for name in wanted]


def describe_outcomes(outcomes: Sequence[FigureOutcome]) -> list[str]:
    """Return what became of figures as lines: one for each, then what must be said, each once."""
    notes = [note for outcome in outcomes for note in outcome.notes]
    return list(dict.fromkeys([*map(str, outcomes), *notes]))


def _write_figure(name: str, data: FigureData, folder: Path) -> FigureOutcome:
    try:
        with style.use_paper_style():
            figure = FIGURES[name](data)
            files = style.save_figure(figure.figure, folder, name)
    except BenchmarkError as error:
        reason = str(error).strip().partition("\n")[0]
        return FigureOutcome(name, reason=reason, lacks_pictures=isinstance(error, NoPictures))
    caption = folder / f"{name}.md"
    with replace_file(caption) as file:
        file.write("\n\n".join(map(escape_markdown, figure.caption)).encode() + b"\n")
    notes = [note for note in data.choice_notes if note in figure.caption]
    if figure.single_pictures and data.options.crops:
        notes.append(_write_pictures(figure.single_pictures, data.options.crops))
    return FigureOutcome(name, (*files, caption), notes=tuple(notes))


def _write_pictures(pictures: Mapping[str, Picture], folder: Path) -> str:
    """Write pictures with 8 bits and return a line that says where."""
    for name, picture in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        imageio.write(path, picture, 8)
    return f"{len(pictures)} single crops: {folder}"
