"""How iterative methods converge, as a table and a figure: quality and residual against the number
of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.reports import footnotes, grid
from benchmark.reports.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

StepRow = Mapping[str, Any]
CURVE_KEY = ["dataset", "noise", "method"]


def convergence_frame(rows: Iterable[StepRow]) -> pd.DataFrame:
    """Return the rows of `benchmark.convergence.run` as a frame."""
    import pandas as pd

    made = pd.DataFrame(list(rows))
    for name in ("step", "psnr", "residual", "reason", "contraction", "damping"):
        if name not in made:
            made[name] = None
    return made


def is_convergence_incomplete(made: pd.DataFrame) -> bool:
    """Return whether something failed, or there was nothing to follow."""
    return bool((made["status"] == "failed").any() or not (made["status"] == "ok").any())


def mean_curves(made: pd.DataFrame) -> pd.DataFrame:
    """Return mean PSNR and residual per step.

    Means are over the pictures that every followed method got through, and a method that stopped
    early keeps its last picture, so that all means of a data set and noise level are over the same
    pictures. Columns: those of GROUP, step, psnr (dB), gain (dB over the start), residual, n.
    """
    import pandas as pd

    failed = made[made["status"] == "failed"]
    lost = pd.MultiIndex.from_frame(failed[["dataset", "noise", "sample"]])
    known = made.dropna(subset="step")
    known = known[~pd.MultiIndex.from_frame(known[["dataset", "noise", "sample"]]).isin(lost)]
    parts = []
    for key, group in known.groupby(CURVE_KEY, sort=False):
        table = {
            name: group.pivot(index="step", columns="sample", values=name).ffill()
            for name in ("psnr", "residual")
        }
        mean = pd.DataFrame(
            {name: values.astype(float).mean(axis=1) for name, values in table.items()}
        )
        mean["gain"] = mean["psnr"] - mean["psnr"].iloc[0]
        mean["n"] = table["residual"].shape[1]
        mean = mean.reset_index()
        for column, (name, value) in enumerate(zip(CURVE_KEY, key, strict=True)):
            mean.insert(column, name, str(value) if name != "noise" else float(str(value)))
        parts.append(mean)
    columns = [*CURVE_KEY, "step", "psnr", "gain", "residual", "n"]
    return (
        pd.concat(parts)[columns].reset_index(drop=True) if parts else pd.DataFrame(columns=columns)
    )


def summarise_convergence(made: pd.DataFrame) -> pd.DataFrame:
    """Return one line per data set, noise and method: start, best and last quality, and the
    contraction factor.
    """
    import pandas as pd

    lines = []
    for key, curve in mean_curves(made).groupby(CURVE_KEY, sort=False):
        own = made[(made[CURVE_KEY] == list(key)).all(axis=1)]
        best = curve.dropna(subset="gain").nlargest(1, "gain")
        lines.append(
            {
                **dict(zip(CURVE_KEY, key, strict=True)),
                "n": int(curve["n"].iloc[0]),
                "start PSNR (dB)": curve["psnr"].iloc[0],
                "best gain (dB)": best["gain"].iloc[0] if len(best) else None,
                "at step": int(best["step"].iloc[0]) if len(best) else None,
                "last gain (dB)": curve["gain"].iloc[-1],
                "last step": int(curve["step"].iloc[-1]),
                "last residual x 255": 255 * curve["residual"].iloc[-1],
                "contraction factor": own.groupby("sample")["contraction"]
                .first()
                .astype(float)
                .max(),
            }
        )
    return pd.DataFrame(lines)


def list_refusals(made: pd.DataFrame) -> list[str]:
    """Return one line per method that could not be followed, with the reason."""
    bare = made.dropna(subset="reason").drop_duplicates(["dataset", "method", "reason"])
    lines = [f"{row.method} on {row.dataset}: {row.reason}" for row in bare.itertuples()]
    lost = made[made["status"] == "failed"][["dataset", "noise", "sample"]].drop_duplicates()
    return lines + (
        [f"{len(lost)} pictures, on which a method failed, are in no mean"] if len(lost) else []
    )


def convergence_grid(made: pd.DataFrame) -> Grid:
    """Return the summary as a table."""
    notes = [*_EXPLANATION, *list_refusals(made), f"Measured by {footnotes.this_suite()}."]
    lines = summarise_convergence(made).map(
        lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)
    )
    return grid.grid_from_frame(
        "Gain after each step" if len(lines) else "Nothing to show", lines, CURVE_KEY, notes
    )


def write_convergence_report(made: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `convergence.csv` (every step), `convergence.md` and the figure (PNG and PDF); return
    what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "convergence.csv", folder / "convergence.md"]
    made.to_csv(written[0], index=False)
    shown = convergence_grid(made)
    written[1].write_text(grid.format_grids([shown], "markdown"), encoding="utf-8")
    return written + (_write_convergence_figure(mean_curves(made), folder) if shown.groups else [])


_EXPLANATION = (
    "PSNR of the clamped picture, track u8; a method that stopped early keeps its last picture.",
    "Residual: what the method's stopping rule watches, in the light that it works in.",
    "Contraction factor: spectral radius of I - B, estimated by 100 power steps, the largest over "
    "the pictures; the "
    "plain iteration converges well below 1 and diverges well above; within about 0.02 of 1 the "
    "estimate decides "
    "nothing.",
)


def _write_convergence_figure(means: pd.DataFrame, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    panels = list(means.groupby(["dataset", "noise"], sort=False))
    figure = Figure(figsize=(4.2 * len(panels) + 1, 7), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex="col", sharey="row")
    for column, ((dataset, noise), panel) in enumerate(panels):
        for number, (method, curve) in enumerate(panel.groupby("method", sort=False)):
            style = {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 3, "label": method}
            axes[0, column].plot(curve["step"], curve["gain"], **style)
            axes[1, column].semilogy(
                curve["step"], (255 * curve["residual"]).clip(lower=_FLOOR), **style
            )
        axes[0, column].set_title(
            f"{dataset}\nnoise {noise:g}, n = {int(panel['n'].iloc[0])}", fontsize=9
        )
        axes[0, column].axhline(0, color="black", linewidth=0.8)
        axes[1, column].set_xlabel("steps")
    axes[0, 0].set_ylabel("PSNR gain over the start (dB)")
    axes[1, 0].set_ylabel("residual x 255, in the light of the method")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    written = [folder / f"convergence.{kind}" for kind in ("png", "pdf")]
    for path in written:
        figure.savefig(path, dpi=130)
    return written


_MARKERS = "osD^vP*X"
_FLOOR = 1e-4  # a residual of 0 has no place on a logarithmic axis
