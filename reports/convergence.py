"""How iterative methods converge, as a table and a figure: quality and residual against the number
of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.reports import grid
from benchmark.reports.figures.choice import MethodChoice, choose_methods
from benchmark.reports.grid import Grid
from benchmark.results.notes import this_suite, view_noise_lines
from benchmark.results.scene_means import average_scenes

if TYPE_CHECKING:
    import pandas as pd

StepRow = Mapping[str, Any]
CURVE_KEY = ["dataset", "noise", "method"]
_PICTURE_KEY = ["dataset", "noise", "sample"]


def convergence_frame(rows: Iterable[StepRow]) -> pd.DataFrame:
    """Return the rows of `benchmark.studies.convergence.follow_methods` as a frame."""
    import pandas as pd

    steps = pd.DataFrame(list(rows))
    columns = ("scene", "step", "psnr", "residual", "reason", "contraction", "damping", "on_views")
    for name in columns:
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
    rows = steps[steps["reason"].isna()].dropna(subset="on_views")
    readings = {str(name): max(part["on_views"]) for name, part in rows.groupby("method")}
    notes = [
        *_EXPLANATION,
        *choose_drawn_methods(steps).notes,
        *list_refusals(steps),
        *view_noise_lines(readings),
        f"Measured by {this_suite()}.",
    ]
    texts = summarise_convergence(steps).map(_format_value)
    caption = "Gain after each step" if len(texts) else "Nothing to show"
    return grid.grid_from_frame(caption, texts, CURVE_KEY, notes)


def _format_value(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def choose_drawn_methods(steps: pd.DataFrame) -> MethodChoice:
    """Return which methods the figure draws: few enough to be told apart, the best by their gain
    after the last step.
    """
    means = mean_curves(steps)
    last = means.groupby(CURVE_KEY, sort=False).last()["gain"]
    gains = last.groupby("method", sort=False).mean()
    ranking = gains.sort_values(ascending=False, kind="stable")
    return choose_methods([*gains.index], [*ranking.index], "gain after the last step")


def write_convergence_report(steps: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `convergence.csv` (every step), `convergence.md` and the figure (PNG and PDF); return
    what was written.
    """
    from benchmark.reports.figures import style
    from benchmark.reports.figures.convergence import draw_convergence

    folder.mkdir(parents=True, exist_ok=True)
    csv_path = folder / "convergence.csv"
    steps.to_csv(csv_path, index=False)
    table = convergence_grid(steps)
    markdown_path = folder / "convergence.md"
    markdown_path.write_text(grid.format_grids([table], "markdown"), encoding="utf-8")
    if not table.groups:
        return [csv_path, markdown_path]
    with style.use_paper_style():
        figure = draw_convergence(mean_curves(steps), choose_drawn_methods(steps).methods)
        figure_files = style.save_figure(figure, folder, "convergence")
    return [csv_path, markdown_path, *figure_files]


_EXPLANATION = (
    "PSNR of the clamped picture, track u8; a method that stopped early keeps its last picture.",
    "Residual: what the method's stopping rule watches, in the light that it works in.",
    "Contraction factor: spectral radius of I - B, estimated by 100 power steps, the largest "
    "over the pictures; the plain iteration converges well below 1 and diverges well above; "
    "within about 0.02 of 1 the estimate decides nothing.",
)
