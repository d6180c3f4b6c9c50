"""The study behind the GKM: how well it and its rivals fit the PSF of a lens out of focus, ideal
and measured.

The paper's first claim is that a Gaussian kernel mixture models real defocus PSFs more accurately
than one Gaussian or disk; it shows examples and prints no numbers. `run_psf_study` fits every model
of `PSF_MODELS` (see `benchmark.optics.psf_fit` for what is fitted and what the errors mean)

- to ideal apertures over a ladder of blur sizes, so that it shows where a bank of kernels up to M x
  M ends, and
- to measured PSFs, if a data set has some: as they are, and summed over 2 x 2 pixels ("binned", as
  a sensor with pixels of twice the width would have them), because real PSFs that lie beyond the
  bank at full size tell nothing about its shapes. Binned PSFs are half as wide.

The generalised Gaussian, one Gaussian and the disk are not limited in size, the mixtures are by
their bank. A mixture has K = M coefficients to the others' one or two numbers: it must fit better
to be worth anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import console
from benchmark.api import DataError, UsageError
from benchmark.arrays import Float64Array
from benchmark.optics import psf, psf_fit

if TYPE_CHECKING:
    import pandas as pd


FITS_FILE: Final = "psf_fits.csv"
"""File with every fit, in the folder of a study."""

SIGMAS: Final = tuple(float(sigma) for sigma in np.arange(0.5, 8.01, 0.5))
BANK_SIZES: Final = (11, 21, 31, 41, 61)
PAPER_BANK_SIZE: Final = 21
LARGEST_BANK_SIZE: Final = BANK_SIZES[-1]

OBSTRUCTION: Final = 0.4
"""Radius of the dark middle of the annulus, as a share of the outer one."""
VIGNETTING: Final = 0.8
"""Distance of the two circles that bound the cat's eye, as a share of their radius."""

_MIXTURE_NAMES: Final = {"gkm": "GKM free", "gkm >= 0": "GKM nonneg."}


class PsfModel(NamedTuple):
    """A family, and the size M of its bank (0 for a family that has none)."""

    family: psf_fit.FitFamily
    bank: int = 0

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        if not self.bank:
            return self.family
        return f"{_MIXTURE_NAMES[self.family]}, M = {self.bank}"


GAUSSIAN: Final = PsfModel("gaussian")
DISK: Final = PsfModel("disk")
GENERALISED: Final = PsfModel("generalised gaussian")
NONNEGATIVE: Final = PsfModel("gkm >= 0", PAPER_BANK_SIZE)
FREE: Final = PsfModel("gkm", PAPER_BANK_SIZE)
LARGE_NONNEGATIVE: Final = PsfModel("gkm >= 0", LARGEST_BANK_SIZE)
LARGE: Final = PsfModel("gkm", LARGEST_BANK_SIZE)
PSF_MODELS: Final = (
    GAUSSIAN,
    DISK,
    GENERALISED,
    NONNEGATIVE,
    FREE,
    LARGE_NONNEGATIVE,
    LARGE,
)
EXAMPLE_MODELS: Final = (GAUSSIAN, DISK, GENERALISED, NONNEGATIVE, FREE, LARGE)
"""Models whose kernels are shown beside the examples."""


class _FitTask(NamedTuple):
    """A PSF to be fitted: `sigma` is its nominal size in pixels, or the measured one's own."""

    kind: str
    group: str
    name: str
    sigma: float
    kernel: Float64Array
    models: Sequence[PsfModel]


@dataclass(frozen=True, slots=True, eq=False)
class PsfStudy:
    """What was measured.

    Attributes:
        rows: one per PSF and model. Columns: kind ("aperture" or "measured"), group, name, sigma
            (px, of the PSF), model, bank, the four errors (l2, tv, blur in dB, loss in dB),
            fitted_sigma (px), exponent, coefficient (the largest by magnitude of a mixture),
            shift_down and shift_right (px).
        examples: PSFs for the figure: title -> label of the model -> its fit.
    """

    rows: pd.DataFrame
    examples: Mapping[str, Mapping[str, psf_fit.FamilyFit]]


def run_psf_study(
    measured_psfs: Mapping[str, NDArray[Any]] | None,
    *,
    sigmas: Sequence[float] = SIGMAS,
    jobs: int = 0,
) -> PsfStudy:
    """Fit all models to the ideal apertures and the measured PSFs.

    Args:
        measured_psfs: group -> N x h x w PSFs, h and w odd, each with a positive sum (they are
            normalised); or None.
        sigmas: sizes of the ideal apertures, per-axis sigma in pixels of the whole aperture (for
            the half disk and the cat's eye: of the disk they are cut from).
        jobs: processes; 0 takes one per core, four at most.

    Raises:
        ValueError: if a measured PSF is not finite, even-sized, dark or too wide.
    """
    import joblib
    import pandas as pd

    full_size = {
        group: [_normalise_psf(kernel) for kernel in kernels]
        for group, kernels in (measured_psfs or {}).items()
    }
    half_size = {
        f"{group}, binned": [_bin_psf(kernel) for kernel in kernels]
        for group, kernels in full_size.items()
    }
    tasks = [*_aperture_tasks(sigmas), *_measured_tasks({**full_size, **half_size})]
    processes = jobs or min(4, joblib.cpu_count())
    pool = joblib.Parallel(n_jobs=processes, return_as="generator")
    results = pool(joblib.delayed(_fit_task)(task) for task in tasks)
    rows: list[dict[str, Any]] = []
    for task_rows in console.track_progress(results, len(tasks), "PSFs"):
        rows.extend(task_rows)
    return PsfStudy(pd.DataFrame(rows), _fit_examples(full_size))


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


# PSFs
# --------------------------------------------------------------------------------------------------


def aperture_kernels() -> dict[str, Callable[[float], Float64Array]]:
    """Return aperture name -> its kernel by sigma (px); all but the half disk are centred and
    symmetric.
    """
    return {
        "disk": lambda sigma: psf.psf_kernel("disk", sigma),
        "hexagon": lambda sigma: psf.psf_kernel("polygon", sigma, blades=6),
        "annulus": _annulus_kernel,
        "cat's eye": lambda sigma: psf.disk_overlap_kernel(2 * sigma, VIGNETTING),
        "half disk": lambda sigma: psf.psf_kernel("disk", sigma, half="left"),
    }


def _annulus_kernel(sigma: float) -> Float64Array:
    """Return the kernel of a mirror lens, a disk less a smaller one; `sigma` is its own."""
    radius = 2 * sigma / math.sqrt(1 + OBSTRUCTION**2)
    outer = psf.disk_kernel(radius)
    inner = psf.disk_kernel(OBSTRUCTION * radius)
    margin = (len(outer) - len(inner)) // 2
    ring = np.maximum(outer - OBSTRUCTION**2 * np.pad(inner, margin), 0)
    return np.asarray(ring / ring.sum(), dtype=np.float64)


def _aperture_tasks(sigmas: Sequence[float]) -> list[_FitTask]:
    """Return a task for each aperture and size; the disk is fitted by mixtures of all banks."""
    disk_models = list(PSF_MODELS)
    for size in BANK_SIZES:
        for model in (PsfModel("gkm >= 0", size), PsfModel("gkm", size)):
            if model not in disk_models:
                disk_models.append(model)
    tasks = []
    for name, make_kernel in aperture_kernels().items():
        models = disk_models if name == "disk" else PSF_MODELS
        for sigma in sigmas:
            kernel = make_kernel(sigma)
            tasks.append(_FitTask("aperture", name, f"{sigma:g}", sigma, kernel, models))
    return tasks


def _measured_tasks(groups: Mapping[str, Sequence[Float64Array]]) -> list[_FitTask]:
    tasks = []
    for group, kernels in groups.items():
        for index, kernel in enumerate(kernels):
            sigma = psf_fit.psf_moments(kernel)[1]
            tasks.append(_FitTask("measured", group, f"{index:02d}", sigma, kernel, PSF_MODELS))
    return tasks


def _normalise_psf(kernel: NDArray[Any]) -> Float64Array:
    array = np.asarray(kernel, dtype=np.float64)
    psf_fit.check_psf(array)
    return np.asarray(array / array.sum(), dtype=np.float64)


def _bin_psf(kernel: Float64Array) -> Float64Array:
    """Return the PSF in pixels of twice the width; zeros are added so that its size stays odd."""
    even = np.pad(kernel, [(0, (2 - size) % 4) for size in kernel.shape])
    rows, columns = (size // 2 for size in even.shape)
    half_size: Float64Array = even.reshape(rows, 2, columns, 2).sum(axis=(1, 3))
    return half_size


# Fits
# --------------------------------------------------------------------------------------------------


def _fit_task(task: _FitTask) -> list[dict[str, Any]]:
    return [_fit_row(task, model, _fit_model(task.kernel, model)) for model in task.models]


def _fit_model(kernel: Float64Array, model: PsfModel) -> psf_fit.FamilyFit:
    return psf_fit.fit_family(kernel, model.family, max_size=model.bank or PAPER_BANK_SIZE)


def _fit_row(task: _FitTask, model: PsfModel, fit: psf_fit.FamilyFit) -> dict[str, Any]:
    fitted_sigma = math.nan
    exponent = math.nan
    coefficient = math.nan
    if model.bank:
        coefficient = max(map(abs, fit.parameters))
    else:
        fitted_sigma = fit.parameters[0]
        if len(fit.parameters) == 2:
            exponent = fit.parameters[1]
    return {
        "kind": task.kind,
        "group": task.group,
        "name": task.name,
        "sigma": task.sigma,
        "model": model.label,
        "bank": model.bank,
        **fit.errors._asdict(),
        "fitted_sigma": fitted_sigma,
        "exponent": exponent,
        "coefficient": coefficient,
        "shift_down": fit.shift[0],
        "shift_right": fit.shift[1],
    }


def _fit_examples(
    groups: Mapping[str, Sequence[Float64Array]],
) -> dict[str, dict[str, psf_fit.FamilyFit]]:
    return {
        title: {model.label: _fit_model(kernel, model) for model in EXAMPLE_MODELS}
        for title, kernel in _example_kernels(groups).items()
    }


def _example_kernels(groups: Mapping[str, Sequence[Float64Array]]) -> dict[str, Float64Array]:
    """Return the PSF of median size of each measured group, or disks where nothing was measured."""
    if not groups:
        return {
            f"disk, sigma {sigma:g} px": psf.psf_kernel("disk", sigma) for sigma in (2.0, 4.0, 8.0)
        }
    examples = {}
    for group, kernels in groups.items():
        order = sorted(
            range(len(kernels)), key=lambda index: psf_fit.psf_moments(kernels[index])[1]
        )
        median_index = order[len(order) // 2]
        examples[f"{group} {median_index:02d}"] = kernels[median_index]
    return examples
