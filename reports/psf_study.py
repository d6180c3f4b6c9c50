"""The study behind the GKM: how well it and its rivals fit the PSF of a lens out of focus, ideal
and measured.

The paper's first claim is that a Gaussian kernel mixture models real defocus PSFs more accurately
than one Gaussian or disk; it shows examples and prints no numbers. `measure` fits every model of
`MODELS` (see `benchmark.optics.psf_fit` for what is fitted and what the errors mean)

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

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import console
from benchmark.api import DataError, UsageError
from benchmark.arrays import Float64Array
from benchmark.files import replace_file
from benchmark.optics import psf, psf_fit
from benchmark.reports import footnotes, grid
from benchmark.reports.grid import Grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FITS: Final = "psf_fits.csv"
"""File with every fit, in the folder that `save` wrote."""

SIGMAS: Final = tuple(float(sigma) for sigma in np.arange(0.5, 8.01, 0.5))
BANKS: Final = (11, 21, 31, 41, 61)
PAPER_BANK: Final = 21
LARGEST_BANK: Final = BANKS[-1]
TABLE_SIGMAS: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)

OBSTRUCTION: Final = 0.4
"""Radius of the dark middle of the annulus, as a share of the outer one."""
VIGNETTING: Final = 0.8
"""Distance of the two circles that bound the cat's eye, as a share of their radius."""
_FINE = 16  # samples per pixel and axis of the cat's eye


class Model(NamedTuple):
    """A family, and the size M of its bank (0 for a family that has none)."""

    family: psf_fit.FitFamily
    bank: int = 0

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        names = {"gkm": "GKM free", "gkm >= 0": "GKM nonneg."}
        return f"{names[self.family]}, M = {self.bank}" if self.bank else self.family


GAUSSIAN, DISK, GENERALISED = Model("gaussian"), Model("disk"), Model("generalised gaussian")
NONNEGATIVE, FREE = Model("gkm >= 0", PAPER_BANK), Model("gkm", PAPER_BANK)
LARGE = Model("gkm", LARGEST_BANK)
MODELS: Final = (
    GAUSSIAN,
    DISK,
    GENERALISED,
    NONNEGATIVE,
    FREE,
    Model("gkm >= 0", LARGEST_BANK),
    LARGE,
)


class _Task(NamedTuple):
    """A PSF to be fitted: `sigma` is its nominal size in pixels, or the measured one's own."""

    kind: str
    group: str
    name: str
    sigma: float
    kernel: Float64Array
    models: Sequence[Model]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was measured.

    Attributes:
        rows: one per PSF and model. Columns: kind ("aperture" or "measured"), group, name, sigma
            (px, of the PSF), model, bank, the four errors (l2, tv, blur in dB, loss in dB),
            fitted_sigma (px), exponent, coefficient (the largest by magnitude of a mixture),
            shift_down and shift_right (px).
        examples: PSFs for the figure, by title.
    """

    rows: pd.DataFrame
    examples: Mapping[str, Float64Array]


def measure(
    measured: Mapping[str, NDArray[Any]] | None, *, sigmas: Sequence[float] = SIGMAS, jobs: int = 0
) -> Study:
    """Fit all models to the ideal apertures and the measured PSFs.

    Args:
        measured: group -> N x h x w PSFs, h and w odd, each with a positive sum (they are
            normalised); or None.
        sigmas: sizes of the ideal apertures, per-axis sigma in pixels of the whole aperture (for
            the half disk and the cat's eye: of the disk they are cut from).
        jobs: processes; 0 takes one per core, four at most.

    Raises:
        ValueError: if a measured PSF is not finite, even-sized, dark or too wide.
    """
    import joblib
    import pandas as pd

    full = {
        group: [_normalised(kernel) for kernel in kernels]
        for group, kernels in (measured or {}).items()
    }
    groups = {
        **full,
        **{f"{group}, binned": [_binned(kernel) for kernel in full[group]] for group in full},
    }
    tasks = [*_aperture_tasks(sigmas), *_measured_tasks(groups)]
    processes = jobs or min(4, joblib.cpu_count())
    found = joblib.Parallel(n_jobs=processes, return_as="generator")(
        joblib.delayed(_fitted)(task) for task in tasks
    )
    rows = [row for some in console.track(found, len(tasks), "PSFs") for row in some]
    return Study(pd.DataFrame(rows), _examples(full))


def save(folder: Path, study: Study) -> list[Path]:
    """Write psf_fits.csv (every fit), psf_study.md, psf_study.tex and two figures (PNG and PDF);
    return the files.

    Raises:
        DataError: if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        FITS: study.rows.to_csv(index=False),
        "psf_study.md": markdown(study),
        "psf_study.tex": latex(study),
    }
    for name, text in texts.items():
        _put(folder / name, text.encode())
    written = [folder / name for name in texts]
    for name, figure in (
        ("psf_errors", _errors_figure(study)),
        ("psf_kernels", _kernels_figure(study)),
    ):
        for suffix, facts in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            content = io.BytesIO()
            figure.savefig(content, format=suffix, metadata=facts)
            _put(folder / f"{name}.{suffix}", content.getvalue())
            written.append(folder / f"{name}.{suffix}")
    return written


def read(folder: Path) -> Study:
    """Return the study that `save` wrote into a folder, without examples.

    Raises:
        UsageError: if there is none.
        DataError: if the file is damaged.
    """
    import pandas as pd

    path = folder / FITS
    if not path.is_file():
        raise UsageError(
            f"{folder}: no PSF study here (no {FITS}); make one with `python -m benchmark psf`"
        )
    try:
        rows = pd.read_csv(path, dtype={"group": str, "name": str})
        return Study(rows.astype({"sigma": float, "l2": float}), {})
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{path}: damaged ({error}); make it again with `python -m benchmark psf`"
        ) from error


def _put(path: Path, content: bytes) -> None:
    with replace_file(path) as file:
        file.write(content)


# PSFs
# --------------------------------------------------------------------------------------------------


def apertures() -> dict[str, Callable[[float], Float64Array]]:
    """Return aperture name -> its kernel by sigma (px); all but the half disk are centred and
    symmetric.
    """
    return {
        "disk": lambda sigma: psf.psf_kernel("disk", sigma),
        "hexagon": lambda sigma: psf.psf_kernel("polygon", sigma, blades=6),
        "annulus": _annulus,
        "cat's eye": _cats_eye,
        "half disk": lambda sigma: psf.psf_kernel("disk", sigma, half="left"),
    }


def _annulus(sigma: float) -> Float64Array:
    """Return the kernel of a mirror lens: a disk less a smaller one, its own sigma as asked for."""
    radius = 2 * sigma / math.sqrt(1 + OBSTRUCTION**2)
    outer, inner = psf.disk_kernel(radius), psf.disk_kernel(OBSTRUCTION * radius)
    margin = (len(outer) - len(inner)) // 2
    ring = np.maximum(outer - OBSTRUCTION**2 * np.pad(inner, margin), 0)
    return np.asarray(ring / ring.sum(), dtype=np.float64)


def _cats_eye(sigma: float) -> Float64Array:
    """Return what two circles of radius 2 sigma share that lie side by side: a pupil cut by the
    lens barrel.
    """
    radius = 2 * sigma
    pixels = max(1, math.ceil(radius - 0.5))
    fine = (np.arange((2 * pixels + 1) * _FINE) + 0.5) / _FINE - pixels - 0.5
    aside = np.abs(fine) + VIGNETTING * radius / 2
    inside = aside[None, :] ** 2 + fine[:, None] ** 2 <= radius**2
    mass = inside.reshape(2 * pixels + 1, _FINE, 2 * pixels + 1, _FINE).mean(axis=(1, 3))
    return np.asarray(mass / mass.sum(), dtype=np.float64)


def _aperture_tasks(sigmas: Sequence[float]) -> list[_Task]:
    ladder = tuple(Model(family, size) for size in BANKS for family in ("gkm >= 0", "gkm"))
    disk_models = (*MODELS, *(model for model in ladder if model not in MODELS))
    return [
        _Task(
            "aperture",
            name,
            f"{sigma:g}",
            sigma,
            make(sigma),
            disk_models if name == "disk" else MODELS,
        )
        for name, make in apertures().items()
        for sigma in sigmas
    ]


def _measured_tasks(groups: Mapping[str, Sequence[Float64Array]]) -> list[_Task]:
    return [
        _Task("measured", group, f"{index:02d}", psf_fit.psf_moments(kernel)[1], kernel, MODELS)
        for group, kernels in groups.items()
        for index, kernel in enumerate(kernels)
    ]


def _normalised(kernel: NDArray[Any]) -> Float64Array:
    array = np.asarray(kernel, dtype=np.float64)
    psf_fit.check_psf(array)
    return np.asarray(array / array.sum(), dtype=np.float64)


def _binned(kernel: Float64Array) -> Float64Array:
    """Return the PSF in pixels of twice the width; zeros are added so that its size stays odd."""
    grown = np.pad(kernel, [(0, (2 - size) % 4) for size in kernel.shape])
    rows, columns = (size // 2 for size in grown.shape)
    binned: Float64Array = grown.reshape(rows, 2, columns, 2).sum(axis=(1, 3))
    return binned


def _fitted(task: _Task) -> list[dict[str, Any]]:
    return [_row(task, model, _fit(task.kernel, model)) for model in task.models]


def _fit(kernel: Float64Array, model: Model) -> psf_fit.FamilyFit:
    return psf_fit.fit_family(kernel, model.family, max_size=model.bank or PAPER_BANK)


def _row(task: _Task, model: Model, fit: psf_fit.FamilyFit) -> dict[str, Any]:
    sized = not model.bank
    return {
        "kind": task.kind, "group": task.group, "name": task.name, "sigma": task.sigma,
        "model": model.label, "bank": model.bank, **fit.errors._asdict(),
        "fitted_sigma": fit.parameters[0] if sized else math.nan,
        "exponent": fit.parameters[1] if sized and len(fit.parameters) == 2 else math.nan,
        "coefficient": math.nan if sized else max(map(abs, fit.parameters)),
        "shift_down": fit.shift[0], "shift_right": fit.shift[1],
    }  # fmt: skip


def _examples(groups: Mapping[str, Sequence[Float64Array]]) -> dict[str, Float64Array]:
    """Return the PSF of median size of each measured group, or disks where nothing was measured."""
    if not groups:
        return {
            f"disk, sigma {sigma:g} px": psf.psf_kernel("disk", sigma) for sigma in (2.0, 4.0, 8.0)
        }
    chosen = {}
    for group, kernels in groups.items():
        order = sorted(
            range(len(kernels)), key=lambda index: psf_fit.psf_moments(kernels[index])[1]
        )
        index = order[len(order) // 2]
        chosen[f"{group} {index:02d}"] = kernels[index]
    return chosen


# Findings
# --------------------------------------------------------------------------------------------------


def crossing(
    rows: pd.DataFrame, group: str, model: Model, other: Model, *, factor: float = 1.0
) -> float | None:
    """Return the blur size in pixels from which on `model` has more than `factor` times the l2
    error of `other`.

    Sizes between those measured are interpolated linearly; None if it has not at the largest size,
    and the smallest size measured if it has at all of them.
    """
    first, second = (
        _of(rows, "aperture", group, each.label).sort_values("sigma") for each in (model, other)
    )
    sigma = first["sigma"].to_numpy(np.float64)
    excess = first["l2"].to_numpy(np.float64) - factor * second["l2"].to_numpy(np.float64)
    below = np.flatnonzero(excess <= 0)
    if not len(excess) or (len(below) and below[-1] == len(excess) - 1):
        return None
    if not len(below):
        return float(sigma[0])
    last = int(below[-1])
    share = -excess[last] / (excess[last + 1] - excess[last])
    return float(sigma[last] + share * (sigma[last + 1] - sigma[last]))


def summary_lines(study: Study) -> list[str]:
    """Return the findings as sentences, every number computed from the fits."""
    rows = study.rows
    lines = [line for group in _groups(rows, "aperture") for line in _aperture_lines(rows, group)]
    return lines + [
        line for group in _groups(rows, "measured") for line in _measured_lines(rows, group)
    ]


def _groups(rows: pd.DataFrame, kind: str) -> list[str]:
    return list(dict.fromkeys(rows.loc[rows["kind"] == kind, "group"]))


def _aperture_lines(rows: pd.DataFrame, group: str) -> list[str]:
    against_large = crossing(rows, group, FREE, LARGE, factor=1.1)
    worse = _said(
        crossing(rows, group, NONNEGATIVE, GAUSSIAN), "has more L2 error than one Gaussian"
    )
    return [
        f"{group}: {FREE.label} "
        f"{_said(against_large, f'has over 10 % more L2 error than {LARGE.label}')}, "
        f"and {_said(crossing(rows, group, FREE, GAUSSIAN), 'more than one Gaussian')}.",
        f"{group}: {NONNEGATIVE.label} {worse}.",
    ]


def _said(sigma: float | None, what: str) -> str:
    return f"never {what}" if sigma is None else f"{what} from sigma {sigma:.1f} px on"


def _measured_lines(rows: pd.DataFrame, group: str) -> list[str]:
    errors = _by_model(rows, group, "l2")
    medians = errors.median()
    order = ", ".join(
        f"{name} {value:.3f}" for name, value in medians.sort_values(kind="stable").items()
    )
    sigma = _of(rows, "measured", group)["sigma"]

    def wins(model: Model, other: Model) -> str:
        return f"{int((errors[model.label] < errors[other.label]).sum())} of {len(errors)}"

    rivals = (GAUSSIAN, DISK, GENERALISED)
    return [
        f"{group} (n = {len(errors)}, sigma {sigma.min():.1f} to {sigma.max():.1f} px): "
        f"median relative L2 error {order}.",
        *(
            f"{group}: {model.label} fits better than "
            f"{' / '.join(rival.label for rival in rivals)} in "
            f"{' / '.join(wins(model, rival) for rival in rivals)} PSFs."
            for model in (FREE, NONNEGATIVE, LARGE)
        ),
    ]


def _by_model(rows: pd.DataFrame, group: str, error: str) -> pd.DataFrame:
    return _of(rows, "measured", group).pivot(index="name", columns="model", values=error)


def _of(rows: pd.DataFrame, kind: str, group: str, model: str | None = None) -> pd.DataFrame:
    chosen = rows[(rows["kind"] == kind) & (rows["group"] == group)]
    return chosen if model is None else chosen[chosen["model"] == model]


# Tables
# --------------------------------------------------------------------------------------------------


def aperture_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the relative L2 error of every model, by aperture, at the sizes of `TABLE_SIGMAS` that
    were measured.
    """
    chosen = rows[(rows["kind"] == "aperture") & rows["sigma"].isin(TABLE_SIGMAS)]
    wide = chosen.pivot(index=["group", "model"], columns="sigma", values="l2")
    order = chosen[["group", "model"]].drop_duplicates()
    table = wide.loc[list(order.itertuples(index=False, name=None))].map("{:.3f}".format)
    table.columns = [f"sigma {sigma:g}" for sigma in table.columns]
    return table.reset_index().rename(columns={"group": "aperture"})


def measured_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the PSFs of each measured group (with the range of the L2 error), by
    model.

    `best` counts the PSFs that no other model fits with a smaller L2 error.
    """
    import pandas as pd

    lines = []
    for group in _groups(rows, "measured"):
        best = _by_model(rows, group, "l2").idxmin(axis=1).value_counts()
        for label in (model.label for model in MODELS):
            some = _of(rows, "measured", group, label)
            middle = some.median(numeric_only=True)
            lines.append(
                {
                    "PSFs": group,
                    "model": label,
                    "n": str(len(some)),
                    "L2": f"{middle['l2']:.3f} [{some['l2'].min():.3f}, {some['l2'].max():.3f}]",
                    "TV": f"{middle['tv']:.3f}",
                    "blur (dB)": f"{middle['blur']:.1f}",
                    "Wiener loss (dB)": f"{middle['loss']:.2f}",
                    "largest coefficient": ""
                    if math.isnan(middle["coefficient"])
                    else f"{middle['coefficient']:.3g}",
                    "best": str(int(best.get(label, 0))),
                }
            )
    return pd.DataFrame(lines)


_NOTES: Final = (
    "L2: ||fit - PSF|| / ||PSF||. TV: share of the light that arrives in the wrong place.",
    f"blur: PSNR between a picture of 1/f^2 power spectrum (variance {psf_fit.VARIANCE:g}) "
    f"blurred by the fit and "
    f"by the PSF. Wiener loss: what a Wiener filter made from the fit loses against one made from "
    f"the PSF, at noise "
    f"{psf_fit.NOISE:g} (0-255 scale).",
    "Every model may move the PSF as suits it best: displacement is not blur. The L2 error is "
    "what was minimised.",
    "A kernel narrower than the PSF undoes less of the blur and amplifies less, so that it may "
    "lose less than a closer "
    "fit that is too wide: the loss does not follow the L2 error.",
    "Models: one Gaussian and disk 1 free number, generalised Gaussian 2, GKM M (its "
    "coefficients). A larger bank "
    "contains a smaller one and cannot fit worse, which decides the column best where both fit "
    "alike.",
)


def _grids(study: Study) -> list[Grid]:
    tables = {
        "Ideal apertures: relative L2 error by blur size (sigma of the aperture, "
        "px)": aperture_table(study.rows)
    }
    if _groups(study.rows, "measured"):
        tables["Measured PSFs: medians, with the range of the L2 error in brackets"] = (
            measured_table(study.rows)
        )
    notes = [*_NOTES, f"Measured by {footnotes.this_suite()}."]
    *others, last = tables
    return [
        *(grid.grid_from_frame(title, tables[title], _TEXTS) for title in others),
        grid.grid_from_frame(last, tables[last], _TEXTS, notes),
    ]


def markdown(study: Study) -> str:
    """Return findings and tables as Markdown."""
    findings = "\n".join(f"- {grid.escape_markdown(line)}" for line in summary_lines(study))
    return (
        f"# How well blur kernels fit defocus "
        f"PSFs\n\n{findings}\n\n{grid.format_grids(_grids(study), 'markdown')}"
    )


def latex(study: Study) -> str:
    """Return the tables as LaTeX (booktabs)."""
    return grid.format_grids(_grids(study), "latex")


_TEXTS = ("aperture", "PSFs", "model")


# Figures
# --------------------------------------------------------------------------------------------------

_LOOKS: Final[
    Mapping[str, tuple[str, str]]
] = {  # Okabe and Ito's colours, told apart by the colour blind too
    GAUSSIAN.label: ("#E69F00", "-"),
    DISK.label: ("#000000", "-"),
    GENERALISED.label: ("#009E73", "-"),
    NONNEGATIVE.label: ("#56B4E9", "--"),
    FREE.label: ("#0072B2", "-"),
    Model("gkm >= 0", LARGEST_BANK).label: ("#CC79A7", "--"),
    LARGE.label: ("#D55E00", "-"),
}
_BANK_COLOURS: Final = ("#E69F00", "#0072B2", "#009E73", "#CC79A7", "#D55E00")
_MIXTURES: Final[tuple[tuple[psf_fit.FitFamily, str], ...]] = (("gkm", "-"), ("gkm >= 0", "--"))
_FLOOR = 1e-3  # of the error axis: exact fits have no place on a logarithmic one


def _errors_figure(study: Study) -> Figure:
    """Draw the error against the blur size: a panel per aperture, and one for the disk with banks
    of several sizes.
    """
    from matplotlib.figure import Figure

    rows = study.rows
    names = _groups(rows, "aperture")
    figure = Figure(figsize=(12, 7), layout="constrained")
    figure.suptitle(
        f"Fits to ideal apertures (errors below {_FLOOR:g} are drawn there)", fontsize=10
    )
    panels = figure.subplots(2, math.ceil((len(names) + 1) / 2), sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        _error_lines(axes, rows, name, _LOOKS)
        axes.set_title(name)
    banks = {
        Model(family, size).label: (colour, style)
        for size, colour in zip(BANKS, _BANK_COLOURS, strict=True)
        for family, style in _MIXTURES
    }
    _error_lines(panels[len(names)], rows, names[0], banks)
    panels[len(names)].set_title(f"{names[0]}, mixtures of several banks")
    panels[len(names)].legend(fontsize=7, ncols=2, loc="lower right")
    panels[len(names) - 1].legend(fontsize=7, loc="lower right")
    for axes in panels[len(names) + 1 :]:
        axes.set_visible(False)
    return figure


def _error_lines(
    axes: Axes, rows: pd.DataFrame, group: str, looks: Mapping[str, tuple[str, str]]
) -> None:
    for label, (colour, style) in looks.items():
        some = _of(rows, "aperture", group, label).sort_values("sigma")
        axes.plot(
            some["sigma"],
            some["l2"].clip(lower=_FLOOR),
            style,
            color=colour,
            label=label,
            linewidth=1.4,
        )
    axes.set_yscale("log")
    axes.set_xlabel("sigma of the aperture (px)")
    axes.set_ylabel("relative L2 error")
    axes.grid(alpha=0.3)


def _kernels_figure(study: Study) -> Figure:
    """Draw, for each example, the PSF, its fits, their residuals beneath them, and the radial
    profiles.
    """
    from matplotlib.figure import Figure

    models = (GAUSSIAN, DISK, GENERALISED, NONNEGATIVE, FREE, LARGE)
    count = len(study.examples)
    figure = Figure(figsize=(2 * (len(models) + 2), 4.2 * count), layout="constrained")
    panels = figure.subplots(2 * count, len(models) + 2, squeeze=False)
    for index, (title, kernel) in enumerate(study.examples.items()):
        fits = {model.label: _fit(kernel, model) for model in models}
        _kernel_panels(panels[2 * index : 2 * index + 2], title, fits)
    return figure


def _kernel_panels(panels: NDArray[Any], title: str, fits: Mapping[str, psf_fit.FamilyFit]) -> None:
    first = next(iter(fits.values())).target
    size, peak = max(first.shape), float(first.max())
    shown = {"cmap": "cividis", "vmin": 0, "vmax": peak}
    _picture(panels[0, 0], _fitting(first, size), title, shown)
    panels[1, 0].set_axis_off()
    panels[1, 0].text(0.5, 0.5, "fit - PSF\n(registered)", ha="center", va="center")
    radius = np.arange(0, size // 2 + 1)
    profiles: Iterable[tuple[str, Float64Array, str, str]] = [
        ("PSF", _profile(first, radius), "#888888", "-")
    ]
    for column, (label, fit) in enumerate(fits.items(), start=1):
        kernel = _fitting(fit.kernel, size)
        _picture(panels[0, column], kernel, label.replace(", ", "\n"), shown)
        difference = {"cmap": "PuOr", "vmin": -peak / 2, "vmax": peak / 2}
        _picture(
            panels[1, column],
            kernel - _fitting(fit.target, size),
            f"L2 {fit.errors.l2:.3f}",
            difference,
        )
        profiles = [*profiles, (label, _profile(kernel, radius), *_LOOKS[label])]
    panels[1, -1].set_axis_off()
    axes = panels[0, -1]
    for label, values, colour, style in profiles:
        axes.plot(
            radius, values, style, color=colour, label=label, linewidth=3 if label == "PSF" else 1
        )
    axes.set_xlabel("radius (px)", fontsize=7)
    axes.set_title("radial mean", fontsize=8)
    axes.tick_params(labelsize=6)
    panels[1, -1].legend(*axes.get_legend_handles_labels(), loc="upper center", fontsize=6)


def _picture(axes: Axes, array: Float64Array, title: str, style: Mapping[str, Any]) -> None:
    axes.imshow(array, interpolation="nearest", **style)
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _fitting(array: Float64Array, size: int) -> Float64Array:
    """Return an odd-sized array cut or padded with zeros to `size` x `size` about its centre."""
    for axis in (0, 1):
        extra = (size - array.shape[axis]) // 2
        if extra >= 0:
            array = np.pad(array, [(extra, extra) if each == axis else (0, 0) for each in (0, 1)])
        else:
            array = array.take(range(-extra, array.shape[axis] + extra), axis=axis)
    return array


def _profile(array: Float64Array, radius: NDArray[np.int_]) -> Float64Array:
    """Return the mean over all pixels whose distance from the centre rounds to each radius."""
    rows, columns = (np.arange(size) - size // 2 for size in array.shape)
    distance = np.rint(np.hypot(rows[:, None], columns)).astype(int)
    return np.array([array[distance == each].mean() for each in radius])
