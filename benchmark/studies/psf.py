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

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.api import DataError
from benchmark.arrays import Float64Array
from benchmark.cells import StudyResult
from benchmark.engines import Engine
from benchmark.optics import psf, psf_fit
from benchmark.studies.study import Study, StudyItem, do_study
from benchmark.worker import RunSettings

if TYPE_CHECKING:
    import pandas as pd


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


class FittedPsf(NamedTuple):
    """A PSF to be fitted, and by what.

    Attributes:
        kind: "aperture", "measured", or "example" for one that is shown.
        group, name: what tables call it.
        sigma: its nominal size in pixels, or the measured one's own.
        kernel: the PSF, with sum 1.
        models: those to fit.
    """

    kind: str
    group: str
    name: str
    sigma: float
    kernel: Float64Array
    models: Sequence[PsfModel]

    @property
    def picture(self) -> str:
        """It needs no picture."""
        return ""


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
    settings: RunSettings,
    *,
    engine: Engine,
    sigmas: Sequence[float] = SIGMAS,
) -> PsfStudy:
    """Fit all models to the ideal apertures and the measured PSFs.

    Args:
        measured_psfs: group -> N x h x w PSFs, h and w odd, each with a positive sum (they are
            normalised); or None.
        settings: folder for the fits, and plug-ins; the rest is not used.
        engine: where PSFs are fitted.
        sigmas: sizes of the ideal apertures, per-axis sigma in pixels of the whole aperture (for
            the half disk and the cat's eye: of the disk they are cut from).

    Raises:
        ValueError: if a measured PSF is not finite, even-sized, dark or too wide.
        UsageError, DataError: if the folder cannot be used, or a PSF was not fitted.
    """
    import pandas as pd

    full_size = {
        group: [_normalise_psf(kernel) for kernel in kernels]
        for group, kernels in (measured_psfs or {}).items()
    }
    half_size = {
        f"{group}, binned": [_bin_psf(kernel) for kernel in kernels]
        for group, kernels in full_size.items()
    }
    psfs = [
        *_list_apertures(sigmas),
        *_list_measured({**full_size, **half_size}),
        *_list_examples(full_size),
    ]
    items = [_make_psf_item(fitted_psf) for fitted_psf in psfs]
    # Nothing here uses a GPU.
    settings = replace(settings, device="cpu")
    results = do_study(PSF_FITS, items, settings, engine=engine)
    _require_fits(results)
    rows: list[dict[str, Any]] = []
    examples: dict[str, dict[str, psf_fit.FamilyFit]] = {}
    for fitted_psf, result in zip(psfs, results, strict=True):
        if fitted_psf.kind == "example":
            examples[fitted_psf.name] = _read_fits(fitted_psf, result)
        else:
            rows += [{**result.facts, **row} for row in result.values["rows"]]
    return PsfStudy(pd.DataFrame(rows), examples)


def _make_psf_item(fitted_psf: FittedPsf) -> StudyItem[FittedPsf]:
    labels = [model.label for model in fitted_psf.models]
    pixels = hashlib.sha256(fitted_psf.kernel.tobytes()).hexdigest()
    identity = (
        fitted_psf.kind,
        fitted_psf.group,
        fitted_psf.name,
        str(fitted_psf.kernel.shape),
        pixels,
        *labels,
    )
    facts = {
        "kind": fitted_psf.kind,
        "group": fitted_psf.group,
        "name": fitted_psf.name,
        "sigma": fitted_psf.sigma,
    }
    title = f"PSF {fitted_psf.group} {fitted_psf.name}"
    return StudyItem(PSF_FITS, identity, facts, title, fitted_psf)


def _require_fits(results: Iterable[StudyResult]) -> None:
    """Raise DataError if a PSF was not fitted: the findings are about all of them."""
    reasons = [str(result.reason) for result in results if result.status != "ok"]
    if reasons:
        raise DataError(
            f"{len(reasons)} PSFs were not fitted ({reasons[0]}); the others are kept, and the "
            "same command does the rest"
        )


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


def _list_apertures(sigmas: Sequence[float]) -> Iterable[FittedPsf]:
    """Yield each aperture in each size; the disk is fitted by mixtures of all banks."""
    disk_models = list(PSF_MODELS)
    for size in BANK_SIZES:
        for model in (PsfModel("gkm >= 0", size), PsfModel("gkm", size)):
            if model not in disk_models:
                disk_models.append(model)
    for name, make_kernel in aperture_kernels().items():
        models = disk_models if name == "disk" else PSF_MODELS
        for sigma in sigmas:
            yield FittedPsf("aperture", name, f"{sigma:g}", sigma, make_kernel(sigma), models)


def _list_measured(groups: Mapping[str, Sequence[Float64Array]]) -> Iterable[FittedPsf]:
    for group, kernels in groups.items():
        for index, kernel in enumerate(kernels):
            sigma = psf_fit.psf_moments(kernel)[1]
            yield FittedPsf("measured", group, f"{index:02d}", sigma, kernel, PSF_MODELS)


def _list_examples(groups: Mapping[str, Sequence[Float64Array]]) -> Iterable[FittedPsf]:
    """Yield the PSF of median size of each measured group, or disks where nothing was measured."""
    if not groups:
        for sigma in (2.0, 4.0, 8.0):
            kernel = psf.psf_kernel("disk", sigma)
            title = f"disk, sigma {sigma:g} px"
            yield FittedPsf("example", "disk", title, sigma, kernel, EXAMPLE_MODELS)
    for group, kernels in groups.items():
        sigmas = [psf_fit.psf_moments(kernel)[1] for kernel in kernels]
        order = np.argsort(sigmas, kind="stable")
        index = int(order[len(order) // 2])
        title = f"{group} {index:02d}"
        yield FittedPsf("example", group, title, sigmas[index], kernels[index], EXAMPLE_MODELS)


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


def fit_psf(fitted_psf: FittedPsf) -> Mapping[str, Any]:
    """Fit every model to a PSF, for use inside a worker: return a row of each fit, and of examples
    their kernels too.
    """
    fits = fit_models(fitted_psf.kernel, fitted_psf.models)
    if fitted_psf.kind == "example":
        return {"fits": {label: _write_fit(fit) for label, fit in fits.items()}}
    return {"rows": [_fit_row(model, fits[model.label]) for model in fitted_psf.models]}


def fit_models(kernel: Float64Array, models: Sequence[PsfModel]) -> dict[str, psf_fit.FamilyFit]:
    """Return label of a model -> its fit to a PSF."""
    return {
        model.label: psf_fit.fit_family(
            kernel, model.family, max_size=model.bank or PAPER_BANK_SIZE
        )
        for model in models
    }


PSF_FITS: Final = Study("psf", "1", fit_psf, "PSFs")


def _write_fit(fit: psf_fit.FamilyFit) -> dict[str, Any]:
    """Return a fit as JSON holds it."""
    return {
        "kernel": fit.kernel.tolist(),
        "parameters": fit.parameters,
        "shift": fit.shift,
        "target": fit.target.tolist(),
        "errors": fit.errors,
    }


def _read_fits(fitted_psf: FittedPsf, result: StudyResult) -> dict[str, psf_fit.FamilyFit]:
    """Return label of a model -> its fit, from what `_write_fit` made of them."""
    fits = {}
    for model in fitted_psf.models:
        fit = result.values["fits"][model.label]
        down, right = fit["shift"]
        fits[model.label] = psf_fit.FamilyFit(
            family=model.family,
            kernel=np.array(fit["kernel"]),
            parameters=tuple(fit["parameters"]),
            shift=(down, right),
            target=np.array(fit["target"]),
            errors=psf_fit.KernelErrors(*fit["errors"]),
        )
    return fits


def _fit_row(model: PsfModel, fit: psf_fit.FamilyFit) -> dict[str, Any]:
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
        "model": model.label,
        "bank": model.bank,
        **fit.errors._asdict(),
        "fitted_sigma": fitted_sigma,
        "exponent": exponent,
        "coefficient": coefficient,
        "shift_down": fit.shift[0],
        "shift_right": fit.shift[1],
    }
