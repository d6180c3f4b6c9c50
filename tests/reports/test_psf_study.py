"""The report of the PSF study: its findings against numbers set by hand, its files complete."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.optics import psf
from benchmark.optics.psf_fit import FitFamily
from benchmark.reports.figures import style
from benchmark.reports.psf_study import (
    aperture_table,
    crossing_sigma,
    measured_table,
    psf_findings,
    write_psf_study,
)
from benchmark.studies.psf import (
    EXAMPLE_MODELS,
    FREE,
    GAUSSIAN,
    GENERALISED,
    LARGE,
    NONNEGATIVE,
    PSF_MODELS,
    PsfModel,
    PsfStudy,
    fit_models,
)

FILES = ["psf_fits.csv", "psf_study.md", "psf_study.tex"]
FIGURES = ["psf_errors.pdf", "psf_errors.png", "psf_kernels.pdf", "psf_kernels.png"]


_MIXTURES: tuple[FitFamily, ...] = ("gkm >= 0", "gkm")
_OTHER_APERTURES = ("hexagon", "annulus", "cat's eye", "half disk")


def invented(
    l2: dict[str, list[float]], kind: str = "aperture", group: str = "disk"
) -> pd.DataFrame:
    """Rows of a study with errors set by hand, by model, at sigma 1, 2, 3 ..."""
    return pd.DataFrame(
        [
            {
                "kind": kind,
                "group": group,
                "name": f"{index:02d}",
                "sigma": index + 1.0,
                "model": model,
                "l2": error,
                "tv": error / 2,
                "blur": 40.0,
                "loss": 1.0,
                "coefficient": math.nan,
            }
            for model, errors in l2.items()
            for index, error in enumerate(errors)
        ]
    )


@pytest.fixture(scope="module")
def study() -> PsfStudy:
    """Two sizes of every aperture and three measured PSFs under a name that an aperture has too,
    with errors set by hand; the examples are fitted.
    """
    labels = [model.label for model in PSF_MODELS]
    more_banks = [PsfModel(family, size).label for size in (11, 31, 41) for family in _MIXTURES]
    apertures = [invented({key: [0.1, 0.2, 0.3] for key in [*labels, *more_banks]})]
    for name in _OTHER_APERTURES:
        apertures.append(invented({key: [0.1, 0.2, 0.3] for key in labels}, group=name))
    rows = pd.concat(apertures)
    rows["l2"] += np.arange(len(rows)) / 1000
    measured = invented({key: [0.2, 0.4, 0.6] for key in labels}, "measured")
    examples = {"disk 00": fit_models(psf.psf_kernel("polygon", 2.0), EXAMPLE_MODELS)}
    return PsfStudy(pd.concat([rows[rows["sigma"] != 2], measured]), examples)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.6], 2.5),  # on the straight line from 0.2 to 0.3 it meets 0.25
        ([0.3, 0.2, 0.2, 0.3], 3.5),  # only the last crossing counts
        ([0.3, 0.3, 0.3, 0.3], 1.0),
        ([0.3, 0.3, 0.3, 0.2], None),
    ],
)
def test_a_crossing_is_found_between_the_sizes(first: list[float], expected: float | None) -> None:
    rows = invented({FREE.label: first, GAUSSIAN.label: [0.25] * 4})
    assert crossing_sigma(rows, "disk", FREE, GAUSSIAN) == (expected and pytest.approx(expected))
    halved = invented({FREE.label: first, GAUSSIAN.label: [0.125] * 4})
    assert crossing_sigma(halved, "disk", FREE, GAUSSIAN, factor=2) == (
        expected and pytest.approx(expected)
    )


def test_sentences_are_computed() -> None:
    flat = {model.label: [0.2, 0.2, 0.2] for model in PSF_MODELS}
    aperture = invented({**flat, FREE.label: [0.1, 0.1, 0.5], LARGE.label: [0.1, 0.1, 0.1]})
    errors = {
        **flat,
        FREE.label: [0.1, 0.3, 0.3],
        NONNEGATIVE.label: [0.3, 0.3, 0.3],
        LARGE.label: [0.1, 0.1, 0.3],
        GENERALISED.label: [0.05, 0.05, 0.05],
    }
    rows = pd.concat([aperture, invented(errors, "measured", "lens")])
    lines = psf_findings(PsfStudy(rows, {}))
    assert lines == [
        "disk: GKM free, M = 21 has over 10 % more L2 error than GKM free, M = 61 from sigma 2.0 "
        "px on, and more than one Gaussian from sigma 2.2 px on.",
        "disk: GKM nonneg., M = 21 never has more L2 error than one Gaussian.",
        "lens (n = 3, sigma 1.0 to 3.0 px): median relative L2 error generalised gaussian 0.050, "
        "GKM free, M = 61 0.100, GKM nonneg., M = 61 0.200, disk 0.200, gaussian 0.200, GKM "
        "free, M = 21 0.300, GKM nonneg., M = 21 0.300.",
        "lens: GKM free, M = 21 fits better than gaussian / disk / generalised gaussian in 1 of "
        "3 / 1 of 3 / 0 of 3 PSFs.",
        "lens: GKM nonneg., M = 21 fits better than gaussian / disk / generalised gaussian in 0 "
        "of 3 / 0 of 3 / 0 of 3 PSFs.",
        "lens: GKM free, M = 61 fits better than gaussian / disk / generalised gaussian in 2 of "
        "3 / 2 of 3 / 0 of 3 PSFs.",
    ]


def test_tables_hold_the_medians_and_count_the_best() -> None:
    errors = {model.label: [0.2, 0.4, 0.9] for model in PSF_MODELS} | {LARGE.label: [0.1, 0.5, 0.8]}
    errors |= {GENERALISED.label: [0.3, 0.1, 0.95]}
    table = measured_table(invented(errors, "measured", "lens")).set_index("model")
    assert table.loc[LARGE.label, "L2"] == "0.500 [0.100, 0.800]"
    assert table.loc[GENERALISED.label, "TV"] == "0.150"
    assert table["best"].to_dict() == {model.label: "0" for model in PSF_MODELS} | {
        LARGE.label: "2",
        GENERALISED.label: "1",
    }
    assert set(table["n"]) == {"3"}


def test_the_aperture_table_has_a_line_per_aperture_and_model(study: PsfStudy) -> None:
    table = aperture_table(study.rows)
    assert list(table.columns) == ["aperture", "model", "sigma 1", "sigma 3"]
    assert len(table) == 13 + 4 * 7
    line = table[(table["aperture"] == "hexagon") & (table["model"] == FREE.label)]
    rows = study.rows
    chosen = rows[
        (rows["group"] == "hexagon") & (rows["model"] == FREE.label) & (rows["sigma"] == 3)
    ]
    assert line["sigma 3"].item() == f"{chosen['l2'].item():.3f}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "same", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["measured", "apertures only"]
)
def test_everything_is_written(study: PsfStudy, tmp_path: Path, same: bool) -> None:
    disks = {
        f"disk {sigma}": fit_models(psf.psf_kernel("disk", sigma), EXAMPLE_MODELS)
        for sigma in (2.0, 4.0, 8.0)
    }
    only = PsfStudy(study.rows[study.rows["kind"] == "aperture"], disks)
    made = write_psf_study(tmp_path / "new" / "folder", study if same else only)
    assert [path.name for path in made] == FILES + FIGURES
    kept = list(csv.DictReader(io.StringIO(made[0].read_text())))
    assert len(kept) == len((study if same else only).rows)
    markdown, latex = made[1].read_text(), made[2].read_text()
    for line in psf_findings(study if same else only):
        assert f"- {line}\n" in markdown
    assert ("Measured PSFs" in markdown) == ("Measured PSFs" in latex) == same
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == (2 if same else 1)
    assert latex.isascii()
    for name in ("psf_errors.png", "psf_kernels.png"):
        with Image.open(tmp_path / "new/folder" / name) as picture:
            assert picture.width == round(style.PAGE * style.DPI)
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    assert all(
        (tmp_path / "new/folder" / name).read_bytes().startswith(b"%PDF")
        for name in FIGURES
        if "pdf" in name
    )
