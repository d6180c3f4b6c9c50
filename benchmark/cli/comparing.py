"""Commands that compare methods: which is better, by how much, by whose ruler, and how
that looks.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
    PluginsOption,
    default_results_folder,
    prepare,
    split_names,
)
from benchmark.cli.reporting import PANEL, ReportFormat, RunsArgument, emit_text, open_runs


class ComparisonFormat(enum.StrEnum):
    """How a comparison is shown."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"


OneDatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="Data set; may be left out where the runs hold only one."),
]
OneNoiseOption = Annotated[
    str | None,
    typer.Option(
        "--noise",
        help="Noise level as tables print it (2.55, '2.55 clipped'); default: the lowest.",
    ),
]


@app.command(name="compare", rich_help_panel=PANEL)
def compare_command(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METHOD METHOD... [RUN...]",
            help="Methods (A+B is the mean of both, for weights of several seeds), and folders "
            "that `run` wrote "
            "(default: where `run` writes --dataset; the last one decides).",
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="All methods that saw neither the true map nor the noise level."
        ),
    ] = False,
    dataset: OneDatasetOption = None,
    noise: OneNoiseOption = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Default: canonical.")] = None,
    measure: Annotated[
        str | None, typer.Option("--measure", help="What decides; default: the protocol's first.")
    ] = None,
    track: Annotated[
        str | None, typer.Option("--track", help="Input track; default: the protocol's first.")
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Add the scores of every picture (with csv: these alone)."),
    ] = False,
    form: Annotated[
        ComparisonFormat, typer.Option("--format", help="How to show it.")
    ] = ComparisonFormat.terminal,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write, for markdown and csv; default: standard output."
        ),
    ] = None,
) -> None:
    """Say whether a method is better than another, picture by picture, and how sure that is; or
    rank several.
    """
    from benchmark.reports import compare as comparison
    from benchmark.reports import grid

    methods, runs = comparison.split(named or [])
    if every and methods:
        raise UsageError(f"--all compares every method; leave out {', '.join(methods)}, or --all")
    if not runs and dataset is None:
        raise UsageError(
            "name the folder of a run, or --dataset, whose run is looked for where `run` writes it"
        )
    where = {
        "dataset": dataset,
        "noise": noise,
        "protocol": protocol,
        "track": track,
        "measure": measure,
    }
    wanted = comparison.Asked(methods=None if every else methods, **where)
    with open_runs(runs or [default_results_folder(str(dataset))]) as stores:
        found = comparison.answer(stores, wanted)
    if form is not ComparisonFormat.terminal:
        emit_text(
            comparison.write(
                found, "csv" if form is ComparisonFormat.csv else "markdown", pictures=pictures
            ),
            out,
        )
        return
    console.out.print(found.verdict, highlight=False, markup=False)
    shown = found.shown(pictures)
    for table in shown:
        console.wide().print(grid.grid_to_terminal(table))
    for note in dict.fromkeys(note for table in shown for note in table.notes):
        console.out.print(note, highlight=False, markup=False)


@app.command(name="rulers", rich_help_panel=PANEL)
def rulers_command(
    runs: RunsArgument,
    dataset: OneDatasetOption = None,
    noise: OneNoiseOption = None,
    track: Annotated[
        str | None,
        typer.Option(
            "--track", help="Whose outputs are the same; default: the track with most protocols."
        ),
    ] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the tables.")
    ] = ReportFormat.markdown,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Show how methods rank when the same outputs are measured by other protocols, and how well
    rankings agree.
    """
    from benchmark.reports import grid
    from benchmark.reports import rulers as rankings

    with open_runs(runs) as stores:
        emit_text(
            grid.format_grids(
                rankings.grids(stores, dataset=dataset, noise=noise, track=track), form.value
            ),
            out,
        )


@app.command(name="figures", rich_help_panel=PANEL)
def figures_command(
    folders: RunsArgument,
    figure: Annotated[
        list[str],
        typer.Option(
            "--figure",
            help="crops, kernels, coefficients, robustness, pareto, radius, psf or all; "
            "comma-separated or repeated.",
        ),
    ] = ["all"],  # noqa: B006 (typer copies defaults)
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Which, where the runs hold more than one data set."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Whose scores; default: canonical.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--methods", help="Only these of the runs, comma-separated or repeated."),
    ] = None,
    sample: Annotated[
        list[str] | None,
        typer.Option(
            "--sample", help="Id of a picture to show, repeatable; default: the first ones."
        ),
    ] = None,
    cost: Annotated[
        Path | None,
        typer.Option("--cost", help="Folder that `cost` wrote; default: one that is found."),
    ] = None,
    psf: Annotated[Path, typer.Option("--psf", help="Folder that `psf` wrote.")] = Path(
        "results/psf"
    ),
    data: DataOption = Path("data"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the figures; default: RUN/figures.")
    ] = None,
    plugin: PluginsOption = None,
) -> None:
    """Draw figures from runs, as PDF and PNG with captions. One that cannot be made says why."""
    prepare(plugin, None)
    from benchmark.reports.figures import figure_set
    from benchmark.reports.figures.figure_data import Wanted
    from benchmark.spec import parse_list

    chosen = [str(spec) for spec in parse_list(methods)] if methods else []
    wanted = Wanted(dataset, protocol, chosen, sample or [], data, cost, psf)
    with open_runs(folders) as stores:
        made = figure_set.write_figures(
            stores, out or folders[-1] / "figures", split_names(figure), wanted
        )
    for each in made:
        console.out.print(str(each), highlight=False, markup=False)
    raise typer.Exit(0 if any(each.files for each in made) else 1)
