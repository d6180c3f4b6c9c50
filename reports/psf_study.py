"""The PSF study as findings, tables and figures; `benchmark.studies.psf` measures it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmark.api import DataError, UsageError
from benchmark.files import replace_file
from benchmark.optics import psf_fit
from benchmark.reports import grid
from benchmark.reports.grid import Grid
from benchmark.results.notes import this_suite
from benchmark.studies.psf import (
    DISK,
    FREE,
    GAUSSIAN,
    GENERALISED,
    LARGE,
    NONNEGATIVE,
    PSF_MODELS,
    PsfModel,
    PsfStudy,
)

if TYPE_CHECKING:
    import pandas as pd

FITS_FILE: Final = "psf_fits.csv"
"""File with every fit, in the folder of a study."""
TABLE_SIGMAS: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_LABEL_COLUMNS: Final = ("aperture", "PSFs", "model")


def write_psf_study(folder: Path, study: PsfStudy) -> list[Path]:
    """Write psf_fits.csv (every fit), psf_study.md, psf_study.tex and two figures (PNG and PDF);
    return the files.

    Raises:
        DataError: if the folder cannot be written to.
    """
    from benchmark.reports.figures import psf, style

    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        FITS_FILE: study.rows.to_csv(index=False).encode(),
        "psf_study.md": psf_study_markdown(study).encode(),
        "psf_study.tex": psf_study_latex(study).encode(),
    }
    for name, content in contents.items():
        with replace_file(folder / name) as file:
            file.write(content)
    files = [folder / name for name in contents]
    with style.use_paper_style():
        files += style.save_figure(psf.draw_psf_errors(study.rows), folder, "psf_errors")
        files += style.save_figure(psf.draw_psf_examples(study.examples), folder, "psf_kernels")
    return files


def read_psf_fits(folder: Path) -> pd.DataFrame:
    """Return the rows of the study that was written into a folder (see `PsfStudy`).

    Raises:
        UsageError: if there is none.
        DataError: if the file is damaged.
    """
    import pandas as pd

    path = folder / FITS_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder}: no PSF study here (no {FITS_FILE}); make one with `python -m benchmark psf`"
        )
    try:
        rows = pd.read_csv(path, dtype={"group": str, "name": str})
        return rows.astype({"sigma": float, "l2": float})
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{path}: damaged ({error}); make it again with `python -m benchmark psf`"
        ) from error


# Findings
# --------------------------------------------------------------------------------------------------


def crossing_sigma(
    rows: pd.DataFrame, group: str, model: PsfModel, other: PsfModel, *, factor: float = 1.0
) -> float | None:
    """Return the blur size in pixels from which on `model` has more than `factor` times the l2
    error of `other`.

    Sizes between those measured are interpolated linearly; None if it has not at the largest size,
    and the smallest size measured if it has at all of them.
    """
    model_rows = rows_of_group(rows, "aperture", group, model.label).sort_values("sigma")
    other_rows = rows_of_group(rows, "aperture", group, other.label).sort_values("sigma")
    sigma = model_rows["sigma"].to_numpy(np.float64)
    model_error = model_rows["l2"].to_numpy(np.float64)
    other_error = other_rows["l2"].to_numpy(np.float64)
    excess = model_error - factor * other_error
    below = np.flatnonzero(excess <= 0)
    if not len(excess) or (len(below) and below[-1] == len(excess) - 1):
        return None
    if not len(below):
        return float(sigma[0])
    last = int(below[-1])
    share = -excess[last] / (excess[last + 1] - excess[last])
    return float(sigma[last] + share * (sigma[last + 1] - sigma[last]))


def psf_findings(study: PsfStudy) -> list[str]:
    """Return the findings as sentences, every number computed from the fits."""
    rows = study.rows
    sentences: list[str] = []
    for group in groups_of_kind(rows, "aperture"):
        sentences += _aperture_findings(rows, group)
    for group in groups_of_kind(rows, "measured"):
        sentences += _measured_findings(rows, group)
    return sentences


def groups_of_kind(rows: pd.DataFrame, kind: str) -> list[str]:
    """Return the groups of a kind ("aperture" or "measured") in the order of the rows."""
    return list(dict.fromkeys(rows.loc[rows["kind"] == kind, "group"]))


def rows_of_group(
    rows: pd.DataFrame, kind: str, group: str, model: str | None = None
) -> pd.DataFrame:
    """Return the rows of a group, of one model only if its label is named."""
    group_rows = rows[(rows["kind"] == kind) & (rows["group"] == group)]
    if model is None:
        return group_rows
    return group_rows[group_rows["model"] == model]


def _aperture_findings(rows: pd.DataFrame, group: str) -> list[str]:
    free_against_large = _crossing_phrase(
        crossing_sigma(rows, group, FREE, LARGE, factor=1.1),
        f"has over 10 % more L2 error than {LARGE.label}",
    )
    free_against_gaussian = _crossing_phrase(
        crossing_sigma(rows, group, FREE, GAUSSIAN), "more than one Gaussian"
    )
    nonnegative_against_gaussian = _crossing_phrase(
        crossing_sigma(rows, group, NONNEGATIVE, GAUSSIAN), "has more L2 error than one Gaussian"
    )
    return [
        f"{group}: {FREE.label} {free_against_large}, and {free_against_gaussian}.",
        f"{group}: {NONNEGATIVE.label} {nonnegative_against_gaussian}.",
    ]


def _crossing_phrase(sigma: float | None, condition: str) -> str:
    return f"never {condition}" if sigma is None else f"{condition} from sigma {sigma:.1f} px on"


def _measured_findings(rows: pd.DataFrame, group: str) -> list[str]:
    errors = _errors_by_model(rows, group)
    count = len(errors)
    medians = errors.median().sort_values(kind="stable")
    order = ", ".join(f"{label} {value:.3f}" for label, value in medians.items())
    sigma = rows_of_group(rows, "measured", group)["sigma"]
    sentences = [
        f"{group} (n = {count}, sigma {sigma.min():.1f} to {sigma.max():.1f} px): median relative "
        f"L2 error {order}."
    ]
    rivals = (GAUSSIAN, DISK, GENERALISED)
    rival_names = " / ".join(rival.label for rival in rivals)
    for model in (FREE, NONNEGATIVE, LARGE):
        wins = [int((errors[model.label] < errors[rival.label]).sum()) for rival in rivals]
        tally = " / ".join(f"{win} of {count}" for win in wins)
        sentences.append(f"{group}: {model.label} fits better than {rival_names} in {tally} PSFs.")
    return sentences


def _errors_by_model(rows: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the l2 errors of a measured group, a line per PSF and a column per model."""
    group_rows = rows_of_group(rows, "measured", group)
    return group_rows.pivot(index="name", columns="model", values="l2")


# Tables
# --------------------------------------------------------------------------------------------------


def aperture_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the relative L2 error of every model, by aperture, at the sizes of `TABLE_SIGMAS` that
    were measured.
    """
    table_rows = rows[(rows["kind"] == "aperture") & rows["sigma"].isin(TABLE_SIGMAS)]
    error_table = table_rows.pivot(index=["group", "model"], columns="sigma", values="l2")
    order = table_rows[["group", "model"]].drop_duplicates()
    table = error_table.loc[list(order.itertuples(index=False, name=None))].map("{:.3f}".format)
    table.columns = [f"sigma {sigma:g}" for sigma in table.columns]
    return table.reset_index().rename(columns={"group": "aperture"})


def measured_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the PSFs of each measured group (with the range of the L2 error), by
    model.

    `best` counts the PSFs that no other model fits with a smaller L2 error.
    """
    import pandas as pd

    lines = []
    for group in groups_of_kind(rows, "measured"):
        best_counts = _errors_by_model(rows, group).idxmin(axis=1).value_counts()
        for model in PSF_MODELS:
            model_rows = rows_of_group(rows, "measured", group, model.label)
            best_count = int(best_counts.get(model.label, 0))
            lines.append(_measured_line(group, model.label, model_rows, best_count))
    return pd.DataFrame(lines)


def _measured_line(
    group: str, label: str, model_rows: pd.DataFrame, best_count: int
) -> dict[str, str]:
    median = model_rows.median(numeric_only=True)
    least = model_rows["l2"].min()
    greatest = model_rows["l2"].max()
    coefficient = ""
    if not math.isnan(median["coefficient"]):
        coefficient = f"{median['coefficient']:.3g}"
    return {
        "PSFs": group,
        "model": label,
        "n": str(len(model_rows)),
        "L2": f"{median['l2']:.3f} [{least:.3f}, {greatest:.3f}]",
        "TV": f"{median['tv']:.3f}",
        "blur (dB)": f"{median['blur']:.1f}",
        "Wiener loss (dB)": f"{median['loss']:.2f}",
        "largest coefficient": coefficient,
        "best": str(best_count),
    }


_NOTES: Final = (
    "L2: ||fit - PSF|| / ||PSF||. TV: share of the light that arrives in the wrong place.",
    f"blur: PSNR between a picture of 1/f^2 power spectrum (variance {psf_fit.VARIANCE:g}) "
    "blurred by the fit and by the PSF. Wiener loss: what a Wiener filter made from the fit "
    f"loses against one made from the PSF, at noise {psf_fit.NOISE:g} (0-255 scale).",
    "Every model may move the PSF as suits it best: displacement is not blur. The L2 error is "
    "what was minimised.",
    "A kernel narrower than the PSF undoes less of the blur and amplifies less, so that it may "
    "lose less than a closer fit that is too wide: the loss does not follow the L2 error.",
    "Models: one Gaussian and disk 1 free number, generalised Gaussian 2, GKM M (its "
    "coefficients). A larger bank contains a smaller one and cannot fit worse, which decides the "
    "column best where both fit alike.",
)


def _psf_grids(study: PsfStudy) -> list[Grid]:
    notes = [*_NOTES, f"Measured by {this_suite()}."]
    apertures = aperture_table(study.rows)
    aperture_title = "Ideal apertures: relative L2 error by blur size (sigma of the aperture, px)"
    if not groups_of_kind(study.rows, "measured"):
        return [grid.grid_from_frame(aperture_title, apertures, _LABEL_COLUMNS, notes)]
    measured_title = "Measured PSFs: medians, with the range of the L2 error in brackets"
    return [
        grid.grid_from_frame(aperture_title, apertures, _LABEL_COLUMNS),
        grid.grid_from_frame(measured_title, measured_table(study.rows), _LABEL_COLUMNS, notes),
    ]


def psf_study_markdown(study: PsfStudy) -> str:
    """Return findings and tables as Markdown."""
    title = "# How well blur kernels fit defocus PSFs"
    findings = "\n".join(f"- {grid.escape_markdown(line)}" for line in psf_findings(study))
    tables = grid.format_grids(_psf_grids(study), "markdown")
    return f"{title}\n\n{findings}\n\n{tables}"


def psf_study_latex(study: PsfStudy) -> str:
    """Return the tables as LaTeX (booktabs)."""
    return grid.format_grids(_psf_grids(study), "latex")
