"""Commands that compare methods: which is better, by how much, by whose ruler, and how
that looks.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import (
    DataOption,
    PluginsOption,
    check_out_folder,
    prepare,
    split_comma_lists,
)
from benchmark.cli.reporting import (
    PANEL,
    OutFileOption,
    ReportFormat,
    RunsArgument,
    TablesFormatOption,
    emit_text,
    folder_beside,
)
from benchmark.run_layout import default_results_folder

if TYPE_CHECKING:
    from benchmark.reports.compare import Answer


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


NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="METHOD METHOD... [RUN...]",
        help="Methods (A+B is the mean of both, for weights of several seeds), and folders "
        "that `run` wrote (default: where `run` writes --dataset; the last one decides).",
    ),
]
AllMethodsOption = Annotated[
    bool,
    typer.Option("--all", help="All methods that saw neither the true map nor the noise level."),
]
OneProtocolOption = Annotated[str | None, typer.Option("--protocol", help="Default: canonical.")]
MeasureOption = Annotated[
    str | None,
    typer.Option("--measure", help="Measure that decides; default: the protocol's first."),
]
OneTrackOption = Annotated[
    str | None, typer.Option("--track", help="Input track; default: the protocol's first.")
]
PictureScoresOption = Annotated[
    bool,
    typer.Option("--pictures", help="Add the scores of every picture (with csv: these alone)."),
]
ComparisonFormatOption = Annotated[
    ComparisonFormat | None,
    typer.Option("--format", help="How to show it; default: by the ending of --out, or terminal."),
]
ComparisonFileOption = Annotated[
    Path | None,
    typer.Option("--out", help="File to write: .md or .csv; default: standard output."),
]
_FORMATS = {".md": ComparisonFormat.markdown, ".csv": ComparisonFormat.csv}
"""Ending of a file -> what is written into it."""


@app.command(name="compare", rich_help_panel=PANEL)
def compare_command(
    names: NamesArgument = None,
    every: AllMethodsOption = False,
    dataset: OneDatasetOption = None,
    noise: OneNoiseOption = None,
    protocol: OneProtocolOption = None,
    measure: MeasureOption = None,
    track: OneTrackOption = None,
    pictures: PictureScoresOption = False,
    form: ComparisonFormatOption = None,
    out: ComparisonFileOption = None,
) -> None:
    """Say whether a method is better than another, and how sure that is; or rank several."""
    from benchmark.reports import compare as comparison
    from benchmark.results import read_results

    form = _choose_format(form, out)
    methods, runs = comparison.split_names(names or [])
    if every and methods:
        raise UsageError(f"--all compares every method; leave out {', '.join(methods)}, or --all")
    if not runs and dataset is None:
        hint = f" ({', '.join(methods)}: no run lies there)" if methods else ""
        raise UsageError(
            "name the folder of a run, or --dataset, whose run is looked for where `run` writes "
            f"it{hint}"
        )
    question = comparison.Question(
        methods=None if every else methods,
        dataset=dataset,
        noise=noise,
        protocol=protocol,
        track=track,
        measure=measure,
    )
    results = read_results(*(runs or [default_results_folder(str(dataset))]))
    answer = comparison.answer_question(results, question)
    if form is ComparisonFormat.terminal:
        _print_answer(answer, pictures)
    else:
        style: Literal["csv", "markdown"] = "csv" if form is ComparisonFormat.csv else "markdown"
        emit_text(comparison.format_answer(answer, style, pictures=pictures), out)


def _choose_format(form: ComparisonFormat | None, out: Path | None) -> ComparisonFormat:
    """Return how to show a comparison.

    Raises:
        UsageError: for a file whose ending says nothing, and for a file of what a terminal shows.
    """
    if out is None:
        return form or ComparisonFormat.terminal
    if form is ComparisonFormat.terminal:
        raise UsageError(f"--out {out}: leave --format terminal out, or --out")
    form = form or _FORMATS.get(out.suffix)
    if form is None:
        raise UsageError(f"--out {out}: use .md or .csv, or say --format markdown or csv")
    return form


def _print_answer(answer: Answer, pictures: bool) -> None:
    from benchmark.reports import grid

    console.print_line(answer.verdict)
    notes: list[str] = []
    for table in answer.all_grids(pictures):
        console.wide_console().print(grid.grid_to_terminal(table))
        notes += table.notes
    for note in dict.fromkeys(notes):
        console.print_line(note)


SharedOutputsTrackOption = Annotated[
    str | None,
    typer.Option(
        "--track", help="Input track whose outputs are scored; default: that of most protocols."
    ),
]


@app.command(name="rulers", rich_help_panel=PANEL)
def rulers_command(
    runs: RunsArgument,
    dataset: OneDatasetOption = None,
    noise: OneNoiseOption = None,
    track: SharedOutputsTrackOption = None,
    form: TablesFormatOption = ReportFormat.markdown,
    out: OutFileOption = None,
) -> None:
    """Show how methods rank when the same outputs are measured by other protocols."""
    from benchmark.reports import grid
    from benchmark.reports import rulers as rankings
    from benchmark.results import read_results

    results = read_results(*runs)
    grids = rankings.build_ruler_grids(results, dataset=dataset, noise=noise, track=track)
    emit_text(grid.format_grids(grids, form.value), out)


FigureOption = Annotated[
    list[str],
    typer.Option(
        "--figure",
        help="crops, kernels, coefficients, robustness, pareto, radius, psf or all; "
        "comma-separated or repeated.",
    ),
]
FigureDatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="Data set; may be left out where the runs hold only one."),
]
FigureProtocolOption = Annotated[
    str | None,
    typer.Option("--protocol", help="Protocol whose scores are drawn; default: canonical."),
]
FigureMethodsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--methods",
        help="Ids of the runs, comma-separated or repeated; default: the six best by gain.",
    ),
]
SampleOption = Annotated[
    list[str] | None,
    typer.Option("--sample", help="Id of a picture to show, repeatable; default: the first ones."),
]
FigureCostFolderOption = Annotated[
    Path | None,
    typer.Option("--cost", help="Folder that `cost` wrote; default: one that is found."),
]
FigurePsfFolderOption = Annotated[Path, typer.Option("--psf", help="Folder that `psf` wrote.")]
BoxOption = Annotated[
    list[str] | None,
    typer.Option(
        "--box",
        metavar="X,Y,W,H",
        help="Left, top, width and height of what crops show, in pixels; repeatable; default: "
        "where defocus shows most.",
    ),
]
CropsFolderOption = Annotated[
    Path | None, typer.Option("--crops", help="Folder to write the single crops into as well.")
]
FigureFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out", callback=check_out_folder, help="Folder for the figures; default: RUN/figures."
    ),
]


@app.command(name="figures", rich_help_panel=PANEL)
def figures_command(
    folders: RunsArgument,
    figure: FigureOption = ["all"],  # noqa: B006 (typer copies defaults)
    dataset: FigureDatasetOption = None,
    protocol: FigureProtocolOption = None,
    methods: FigureMethodsOption = None,
    sample: SampleOption = None,
    box: BoxOption = None,
    crops: CropsFolderOption = None,
    cost: FigureCostFolderOption = None,
    psf: FigurePsfFolderOption = Path("results/psf"),
    data: DataOption = Path("data"),
    out: FigureFolderOption = None,
    plugin: PluginsOption = None,
) -> None:
    """Draw figures from runs, as PDF and PNG with captions. One that cannot be made says why.

    Bundles and exported files hold no pictures; a figure of pictures needs the run folder.
    """
    prepare(plugin, None)
    from benchmark.reports.crops import parse_box
    from benchmark.reports.figures import figure_set
    from benchmark.reports.figures.figure_data import FigureOptions
    from benchmark.results import read_results
    from benchmark.spec import parse_ids

    ids = []
    if methods:
        ids = [str(spec) for spec in parse_ids(methods)]
    boxes = [parse_box(text) for text in box or []]
    options = FigureOptions(
        dataset, protocol, ids, sample or [], data, cost, psf, boxes=boxes, crops=crops
    )
    folder = out or folder_beside(folders[-1], "figures")
    results = read_results(*folders)
    outcomes = figure_set.write_figures(results, folder, split_comma_lists(figure), options)
    for line in figure_set.describe_outcomes(outcomes):
        console.print_line(line)
    if any(outcome.files for outcome in outcomes):
        raise typer.Exit(0)
    raise typer.Exit(2 if any(outcome.lacks_pictures for outcome in outcomes) else 1)
