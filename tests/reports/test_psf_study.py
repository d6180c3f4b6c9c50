"""The PSF study: its apertures against closed forms, its findings against numbers set by hand, its
files complete.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.optics import psf, psf_fit
from benchmark.reports import psf_study
from benchmark.reports.psf_study import (
    DISK,
    FREE,
    GAUSSIAN,
    GENERALISED,
    LARGE,
    MODELS,
    NONNEGATIVE,
    Study,
)

FILES = ["psf_fits.csv", "psf_study.md", "psf_study.tex"]
FIGURES = ["psf_errors.png", "psf_errors.pdf", "psf_kernels.png", "psf_kernels.pdf"]


@pytest.fixture(scope="module")
def study() -> Study:
    """Two sizes of every aperture, and three PSFs "measured" under a name that an aperture
    has too.
    """
    kernels = [
        np.pad(psf.psf_kernel("polygon", sigma), (15 - len(psf.psf_kernel("polygon", sigma))) // 2)
        for sigma in (2, 3)
    ]
    moved = np.roll(kernels[0], (1, -2), axis=(0, 1))
    return psf_study.measure({"disk": np.array([*kernels, 5 * moved])}, sigmas=(1.0, 3.0), jobs=1)


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


@pytest.mark.parametrize("name", ["disk", "hexagon", "annulus", "cat's eye", "half disk"])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.4])
def test_apertures_are_psfs(name: str, sigma: float) -> None:
    kernel = psf_study.apertures()[name](sigma)
    assert kernel.shape[0] == kernel.shape[1]
    assert len(kernel) % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    if name != "half disk":
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def test_the_annulus_has_the_sigma_asked_for_and_a_dark_middle() -> None:
    kernel = psf_study.apertures()["annulus"](6.0)
    assert psf_fit.psf_moments(kernel)[1] == pytest.approx(math.sqrt(36 + 1 / 12), abs=0.02)
    middle = len(kernel) // 2
    assert kernel[middle, middle] == 0
    assert kernel[middle, middle + 8] == pytest.approx(kernel.max())


def test_the_cats_eye_has_the_area_of_two_circles_intersection() -> None:
    sigma = 8.0
    kernel, radius, half = (
        psf_study.apertures()["cat's eye"](sigma),
        2 * sigma,
        psf_study.VIGNETTING * sigma,
    )
    area = 2 * (radius**2 * math.acos(half / radius) - half * math.sqrt(radius**2 - half**2))
    assert 1 / kernel.max() == pytest.approx(
        area, rel=1e-3
    )  # a full pixel has 1 / area of the light
    rows = np.flatnonzero(kernel.sum(axis=1) > 1e-6)
    columns = np.flatnonzero(kernel.sum(axis=0) > 1e-6)
    assert len(rows) == pytest.approx(2 * math.sqrt(radius**2 - half**2), abs=2)
    assert len(columns) == pytest.approx(2 * (radius - half), abs=2)


def test_binning_sums_pairs_and_halves_the_size() -> None:
    binned = psf_study._binned(psf.gaussian_kernel(4.0))
    assert len(binned) % 2 == 1
    assert binned.sum() == pytest.approx(1)
    assert psf_fit.psf_moments(binned)[1] == pytest.approx(2, rel=0.02)
    for size in range(1, 12, 2):
        assert psf_study._binned(np.ones((size, size))).shape[0] == 2 * ((size + 1) // 4) + 1


def test_every_psf_is_fitted_by_every_model(study: Study) -> None:
    rows = study.rows
    apertures = rows[rows["kind"] == "aperture"]
    labels = {model.label for model in MODELS}
    for (group, _), some in apertures.groupby(["group", "sigma"]):
        assert set(some["model"]) >= labels
        assert len(some) == len(set(some["model"])) == (13 if group == "disk" else 7)
    measured = rows[rows["kind"] == "measured"]
    assert measured.groupby("group").size().to_dict() == {"disk": 21, "disk, binned": 21}
    errors = rows[["l2", "tv", "loss"]].to_numpy()
    assert np.isfinite(errors).all()
    assert (errors >= -1e-9).all()
    disk_by_disk = apertures[(apertures["group"] == "disk") & (apertures["model"] == DISK.label)]
    assert disk_by_disk["fitted_sigma"].tolist() == pytest.approx([1, 3], abs=1e-3)
    assert disk_by_disk["l2"].max() < 1e-3


def test_a_displaced_and_brighter_psf_is_the_same_psf(study: Study) -> None:
    measured = study.rows[(study.rows["kind"] == "measured") & (study.rows["group"] == "disk")]
    here, there = (measured[measured["name"] == name].set_index("model") for name in ("00", "02"))
    np.testing.assert_allclose(there["l2"], here["l2"], atol=2e-3)
    assert there["shift_down"].tolist() == pytest.approx(
        (here["shift_down"] - 1).tolist(), abs=0.05
    )
    assert there["shift_right"].tolist() == pytest.approx(
        (here["shift_right"] + 2).tolist(), abs=0.05
    )
    assert here["sigma"].tolist() == pytest.approx(there["sigma"].tolist())


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
    assert psf_study.crossing(rows, "disk", FREE, GAUSSIAN) == (
        expected and pytest.approx(expected)
    )
    halved = invented({FREE.label: first, GAUSSIAN.label: [0.125] * 4})
    assert psf_study.crossing(halved, "disk", FREE, GAUSSIAN, factor=2) == (
        expected and pytest.approx(expected)
    )


def test_sentences_are_computed() -> None:
    flat = {model.label: [0.2, 0.2, 0.2] for model in MODELS}
    aperture = invented({**flat, FREE.label: [0.1, 0.1, 0.5], LARGE.label: [0.1, 0.1, 0.1]})
    errors = {
        **flat,
        FREE.label: [0.1, 0.3, 0.3],
        NONNEGATIVE.label: [0.3, 0.3, 0.3],
        LARGE.label: [0.1, 0.1, 0.3],
        GENERALISED.label: [0.05, 0.05, 0.05],
    }
    rows = pd.concat([aperture, invented(errors, "measured", "lens")])
    lines = psf_study.summary_lines(Study(rows, {}))
    assert lines == [
        "disk: GKM free, M = 21 has over 10 % more L2 error than GKM free, M = 61 from sigma 2.0 "
        "px on, "
        "and more than one Gaussian from sigma 2.2 px on.",
        "disk: GKM nonneg., M = 21 never has more L2 error than one Gaussian.",
        "lens (n = 3, sigma 1.0 to 3.0 px): median relative L2 error generalised gaussian 0.050, "
        "GKM free, M = 61 0.100, GKM nonneg., M = 61 0.200, disk 0.200, gaussian 0.200, "
        "GKM free, M = 21 0.300, GKM nonneg., M = 21 0.300.",
        "lens: GKM free, M = 21 fits better than gaussian / disk / generalised gaussian in "
        "1 of 3 / 1 of 3 / 0 of 3 PSFs.",
        "lens: GKM nonneg., M = 21 fits better than gaussian / disk / generalised gaussian in "
        "0 of 3 / 0 of 3 / 0 of 3 PSFs.",
        "lens: GKM free, M = 61 fits better than gaussian / disk / generalised gaussian in "
        "2 of 3 / 2 of 3 / 0 of 3 PSFs.",
    ]


def test_tables_hold_the_medians_and_count_the_best() -> None:
    errors = {model.label: [0.2, 0.4, 0.9] for model in MODELS} | {LARGE.label: [0.1, 0.5, 0.8]}
    errors |= {GENERALISED.label: [0.3, 0.1, 0.95]}
    table = psf_study.measured_table(invented(errors, "measured", "lens")).set_index("model")
    assert table.loc[LARGE.label, "L2"] == "0.500 [0.100, 0.800]"
    assert table.loc[GENERALISED.label, "TV"] == "0.150"
    assert table["best"].to_dict() == {model.label: "0" for model in MODELS} | {
        LARGE.label: "2",
        GENERALISED.label: "1",
    }
    assert set(table["n"]) == {"3"}


def test_the_aperture_table_has_a_line_per_aperture_and_model(study: Study) -> None:
    table = psf_study.aperture_table(study.rows)
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
def test_everything_is_written(study: Study, tmp_path: Path, same: bool) -> None:
    only = Study(study.rows[study.rows["kind"] == "aperture"], psf_study._examples({}))
    made = psf_study.save(tmp_path / "new" / "folder", study if same else only)
    assert [path.name for path in made] == FILES + FIGURES
    kept = list(csv.DictReader(io.StringIO(made[0].read_text())))
    assert len(kept) == len((study if same else only).rows)
    markdown, latex = made[1].read_text(), made[2].read_text()
    for line in psf_study.summary_lines(study if same else only):
        assert f"- {line}\n" in markdown
    assert ("Measured PSFs" in markdown) == ("Measured PSFs" in latex) == same
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == (2 if same else 1)
    assert latex.isascii()
    for name, width in (("psf_errors.png", 1200), ("psf_kernels.png", 1600)):
        with Image.open(tmp_path / "new/folder" / name) as picture:
            assert picture.width == width
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    assert all(
        (tmp_path / "new/folder" / name).read_bytes().startswith(b"%PDF")
        for name in FIGURES
        if "pdf" in name
    )


@pytest.mark.parametrize(
    ("size", "value", "what"), [(5, 0.0, "positive sum"), (5, np.nan, "finite"), (6, 1.0, "odd")]
)
def test_a_damaged_psf_is_refused_at_once(size: int, value: float, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        psf_study.measure({"lens": np.full((1, size, size), value)}, jobs=1)


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    one, two = (psf_study.measure(None, sigmas=(0.5,), jobs=jobs).rows for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.slow
@pytest.mark.data
def test_a_published_psf_is_no_gaussian(data_root: Path) -> None:
    """Off axis the measured PSF is flat and asymmetric; only a bank large enough and of both signs
    comes near it.
    """
    stored = np.load(data_root / "pixel4/calibration/blur_kernels_left.npy")[20:21]
    rows = psf_study.measure({"left": stored}, sigmas=(1.0,), jobs=1).rows
    error = rows[rows["group"] == "left"].set_index("model")["l2"]
    assert error[LARGE.label] < 0.9 * error[GAUSSIAN.label]
    assert error[FREE.label] < error[NONNEGATIVE.label]
