"""How iterative methods converge, as a table and a figure: quality and residual against the number
of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.reports import grid
from benchmark.reports.grid import Grid
from benchmark.results.notes import this_suite
from benchmark.results.scene_means import average_scenes

if TYPE_CHECKING:
    import pandas as pd

StepRow = Mapping[str, Any]
CURVE_KEY = ["dataset", "noise", "method"]
_PICTURE_KEY = ["dataset", "noise", "sample"]


def convergence_frame(rows: Iterable[StepRow]) -> pd.DataFrame:
    """Return the rows of `benchmark.convergence.follow_methods` as a frame."""
    import pandas as pd

    steps = pd.DataFrame(list(rows))
    for name in ("scene", "step", "psnr", "residual", "reason", "contraction", "damping"):
        if name not in steps:
            steps[name] = None
    return steps.assign(scene=steps["scene"].fillna(steps["sample"]))


def is_convergence_incomplete(steps: pd.DataFrame) -> bool:
    """Return whether something failed, or there was nothing to follow."""
    failures = (steps["status"] == "failed").any()
    successes = (steps["status"] == "ok").any()
    return bool(failures or not successes)


def mean_curves(steps: pd.DataFrame) -> pd.DataFrame:
    """Return mean PSNR and residual per step.

    Means are over the pictures that every followed method got through, and a method that stopped
    early keeps its last picture, so that all means of a data set and noise level are over the same
    pictures. A scene counts once, with the mean of its pictures. Columns: those of CURVE_KEY, step,
    psnr (dB), gain (dB over the start), residual, n (scenes).
    """
    import pandas as pd

    failures = steps[steps["status"] == "failed"]
    failed_pictures = pd.MultiIndex.from_frame(failures[_PICTURE_KEY])
    rows = steps.dropna(subset="step")
    rows = rows[~pd.MultiIndex.from_frame(rows[_PICTURE_KEY]).isin(failed_pictures)]
    curves = [_mean_curve(key, group) for key, group in rows.groupby(CURVE_KEY, sort=False)]
    columns = [*CURVE_KEY, "step", "psnr", "gain", "residual", "n"]
    if not curves:
        return pd.DataFrame(columns=columns)
    return pd.concat(curves)[columns].reset_index(drop=True)


def _mean_curve(key: tuple[Any, ...], rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the scenes of one data set, noise level and method, per step."""
    import pandas as pd

    scenes = dict(zip(rows["sample"], rows["scene"], strict=True))
    by_scene = {}
    for name in ("psnr", "residual"):
        table = rows.pivot(index="step", columns="sample", values=name)
        by_scene[name] = average_scenes(table.ffill().astype(float).T, scenes).T
    curve = pd.DataFrame({name: table.mean(axis=1) for name, table in by_scene.items()})
    curve["gain"] = curve["psnr"] - curve["psnr"].iloc[0]
    curve["n"] = by_scene["residual"].shape[1]
    curve = curve.reset_index()
    dataset, noise, method = key
    curve.insert(0, "dataset", str(dataset))
    curve.insert(1, "noise", float(str(noise)))
    curve.insert(2, "method", str(method))
    return curve


def summarise_convergence(steps: pd.DataFrame) -> pd.DataFrame:
    """Return one line per data set, noise and method: start, best and last quality, and the
    contraction factor.
    """
    import pandas as pd

    lines = []
    for key, curve in mean_curves(steps).groupby(CURVE_KEY, sort=False):
        own_steps = steps[(steps[CURVE_KEY] == list(key)).all(axis=1)]
        factors = own_steps.groupby("sample")["contraction"].first().astype(float)
        line = {
            **dict(zip(CURVE_KEY, key, strict=True)),
            "n": int(curve["n"].iloc[0]),
            "start PSNR (dB)": curve["psnr"].iloc[0],
            "best gain (dB)": None,
            "at step": None,
            "last gain (dB)": curve["gain"].iloc[-1],
            "last step": int(curve["step"].iloc[-1]),
            "last residual x 255": 255 * curve["residual"].iloc[-1],
            "contraction factor": factors.max(),
        }
        best = curve.dropna(subset="gain").nlargest(1, "gain")
        if len(best):
            line["best gain (dB)"] = best["gain"].iloc[0]
            line["at step"] = int(best["step"].iloc[0])
        lines.append(line)
    return pd.DataFrame(lines)


def list_refusals(steps: pd.DataFrame) -> list[str]:
    """Return one line per method that could not be followed, with the reason."""
    refusals = steps.dropna(subset="reason").drop_duplicates(["dataset", "method", "reason"])
    lines = [f"{row.method} on {row.dataset}: {row.reason}" for row in refusals.itertuples()]
    failed_pictures = steps.loc[steps["status"] == "failed", _PICTURE_KEY].drop_duplicates()
    if len(failed_pictures):
        lines.append(f"{len(failed_pictures)} pictures, on which a method failed, are in no mean")
    return lines


def convergence_grid(steps: pd.DataFrame) -> Grid:
    """Return the summary as a table."""
    notes = [*_EXPLANATION, *list_refusals(steps), f"Measured by {this_suite()}."]
    texts = summarise_convergence(steps).map(_format_value)
    caption = "Gain after each step" if len(texts) else "Nothing to show"
    return grid.grid_from_frame(caption, texts, CURVE_KEY, notes)


def _format_value(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_convergence_report(steps: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `convergence.csv` (every step), `convergence.md` and the figure (PNG and PDF); return
    what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    csv_path = folder / "convergence.csv"
    steps.to_csv(csv_path, index=False)
    table = convergence_grid(steps)
    markdown_path = folder / "convergence.md"
    markdown_path.write_text(grid.format_grids([table], "markdown"), encoding="utf-8")
    figures = _write_convergence_figure(mean_curves(steps), folder) if table.groups else []
    return [csv_path, markdown_path, *figures]


_EXPLANATION = (
    "PSNR of the clamped picture, track u8; a method that stopped early keeps its last picture.",
    "Residual: what the method's stopping rule watches, in the light that it works in.",
    "Contraction factor: spectral radius of I - B, estimated by 100 power steps, the largest "
    "over the pictures; the plain iteration converges well below 1 and diverges well above; "
    "within about 0.02 of 1 the estimate decides nothing.",
)


def _write_convergence_figure(means: pd.DataFrame, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    panels = list(means.groupby(["dataset", "noise"], sort=False))
    figure = Figure(figsize=(4.2 * len(panels) + 1, 7), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex="col", sharey="row")
    for column, ((dataset, noise), panel) in enumerate(panels):
        gain_axes = axes[0, column]
        residual_axes = axes[1, column]
        for number, (method, curve) in enumerate(panel.groupby("method", sort=False)):
            marker = _MARKERS[number % len(_MARKERS)]
            residual = (255 * curve["residual"]).clip(lower=_FLOOR)
            look = {"marker": marker, "markersize": 3, "label": method}
            gain_axes.plot(curve["step"], curve["gain"], **look)
            residual_axes.semilogy(curve["step"], residual, **look)
        count = int(panel["n"].iloc[0])
        gain_axes.set_title(f"{dataset}\nnoise {noise:g}, n = {count}", fontsize=9)
        gain_axes.axhline(0, color="black", linewidth=0.8)
        residual_axes.set_xlabel("steps")
    axes[0, 0].set_ylabel("PSNR gain over the start (dB)")
    axes[1, 0].set_ylabel("residual x 255, in the light of the method")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    paths = [folder / f"convergence.{suffix}" for suffix in ("png", "pdf")]
    for path in paths:
        figure.savefig(path, dpi=130)
    return paths


_MARKERS = "osD^vP*X"
_FLOOR = 1e-4  # a residual of 0 has no place on a logarithmic axis
