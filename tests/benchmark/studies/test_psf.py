"""The PSF study: its apertures against closed forms, its fits complete and the same however a PSF
is moved or scaled.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.engines.local import LocalEngine
from benchmark.optics import psf, psf_fit
from benchmark.studies import psf as psf_study
from benchmark.studies.psf import (
    DISK,
    FREE,
    GAUSSIAN,
    LARGE,
    NONNEGATIVE,
    PSF_MODELS,
    VIGNETTING,
    PsfStudy,
    aperture_kernels,
    run_psf_study,
)
from benchmark.worker import RunSettings


def settings_for(folder: Path) -> RunSettings:
    return RunSettings(folder, folder, device="cpu")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> PsfStudy:
    """Two sizes of every aperture, and three PSFs "measured" under a name that an aperture
    has too.
    """
    kernels = [
        np.pad(psf.psf_kernel("polygon", sigma), (15 - len(psf.psf_kernel("polygon", sigma))) // 2)
        for sigma in (2, 3)
    ]
    moved = np.roll(kernels[0], (1, -2), axis=(0, 1))
    measured_psfs = {"disk": np.array([*kernels, 5 * moved])}
    settings = settings_for(tmp_path_factory.mktemp("psf"))
    return run_psf_study(measured_psfs, settings, sigmas=(1.0, 3.0), engine=LocalEngine(1))


@pytest.mark.parametrize("name", ["disk", "hexagon", "annulus", "cat's eye", "half disk"])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.4])
def test_apertures_are_psfs(name: str, sigma: float) -> None:
    kernel = aperture_kernels()[name](sigma)
    assert kernel.shape[0] == kernel.shape[1]
    assert len(kernel) % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    if name != "half disk":
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def test_the_annulus_has_the_sigma_asked_for_and_a_dark_middle() -> None:
    kernel = aperture_kernels()["annulus"](6.0)
    assert psf_fit.psf_moments(kernel)[1] == pytest.approx(math.sqrt(36 + 1 / 12), abs=0.02)
    middle = len(kernel) // 2
    assert kernel[middle, middle] == 0
    assert kernel[middle, middle + 8] == pytest.approx(kernel.max())


def test_the_cats_eye_has_the_area_of_two_circles_intersection() -> None:
    sigma = 8.0
    kernel, radius, half = (
        aperture_kernels()["cat's eye"](sigma),
        2 * sigma,
        VIGNETTING * sigma,
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
    binned = psf_study._bin_psf(psf.gaussian_kernel(4.0))
    assert len(binned) % 2 == 1
    assert binned.sum() == pytest.approx(1)
    assert psf_fit.psf_moments(binned)[1] == pytest.approx(2, rel=0.02)
    for size in range(1, 12, 2):
        assert psf_study._bin_psf(np.ones((size, size))).shape[0] == 2 * ((size + 1) // 4) + 1


@pytest.mark.slow
def test_every_psf_is_fitted_by_every_model(study: PsfStudy) -> None:
    rows = study.rows
    apertures = rows[rows["kind"] == "aperture"]
    labels = {model.label for model in PSF_MODELS}
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


def test_a_displaced_and_brighter_psf_is_the_same_psf(study: PsfStudy) -> None:
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
    ("size", "value", "what"), [(5, 0.0, "positive sum"), (5, np.nan, "finite"), (6, 1.0, "odd")]
)
def test_a_damaged_psf_is_refused_at_once(
    size: int, value: float, what: str, tmp_path: Path
) -> None:
    psfs = {"lens": np.full((1, size, size), value)}
    with pytest.raises(ValueError, match=what):
        run_psf_study(psfs, settings_for(tmp_path), engine=LocalEngine(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_processes_change_nothing_and_no_psf_is_fitted_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, again = (
        run_psf_study(None, settings_for(tmp_path / name), sigmas=(0.5,), engine=LocalEngine(jobs))
        for name, jobs in (("one", 1), ("two", 2), ("two", 1))
    )
    told = capsys.readouterr().err
    assert told.count("8 items, 0 already done") == 2 and "8 items, 8 already done" in told
    pd.testing.assert_frame_equal(one.rows, two.rows)  # libraries have fewer threads in two
    pd.testing.assert_frame_equal(again.rows, two.rows, check_exact=True)
    assert list(again.examples) == list(two.examples) and len(two.examples) == 3
    for title, fits in two.examples.items():
        for label, fit in fits.items():
            fit_again = again.examples[title][label]
            for name in ("kernel", "target"):
                np.testing.assert_array_equal(getattr(fit_again, name), getattr(fit, name))
            for name in ("family", "parameters", "shift", "errors"):
                assert getattr(fit_again, name) == getattr(fit, name)


@pytest.mark.slow
@pytest.mark.data
def test_a_published_psf_is_no_gaussian(data_root: Path, tmp_path: Path) -> None:
    """Off axis the measured PSF is flat and asymmetric; only a bank large enough and of both signs
    comes near it.
    """
    stored = np.load(data_root / "pixel4/calibration/blur_kernels_left.npy")[20:21]
    rows = run_psf_study(
        {"left": stored}, settings_for(tmp_path), sigmas=(1.0,), engine=LocalEngine(1)
    ).rows
    error = rows[rows["group"] == "left"].set_index("model")["l2"]
    assert error[LARGE.label] < 0.9 * error[GAUSSIAN.label]
    assert error[FREE.label] < error[NONNEGATIVE.label]
