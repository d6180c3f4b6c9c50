"""Commands that write what runs found: tables, pages, exports."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import RunArgument, split_comma_lists

if TYPE_CHECKING:
    from benchmark.results import Results

PANEL = "Report"


class ReportFormat(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


class PaperTableNumber(enum.StrEnum):
    """Tables of the GKMNet paper, and two more."""

    one = "1"
    two = "2"
    three = "3"
    four = "4"
    five = "5"
    all = "all"
    later = "later"
    training = "training"


RunsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Folders that `run` wrote, or files of `export`; the last one decides.",
    ),
]


ReportFormatOption = Annotated[
    ReportFormat, typer.Option("--format", help="How to write; html without --table is a page.")
]
TablesFormatOption = Annotated[
    ReportFormat, typer.Option("--format", help="How to write the tables.")
]
PaperTablesOption = Annotated[
    list[PaperTableNumber] | None,
    typer.Option(
        "--table",
        help="Tables of the GKMNet paper, printed beside measured; later: the same of what others "
        "printed; training: methods by training data and by test data.",
    ),
]
OnlyDatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Only this data set; with --table, in the place of the paper's."
    ),
]
OnlyProtocolsOption = Annotated[
    list[str] | None, typer.Option("--protocol", help="Only these protocols.")
]
TableCostFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--cost", help="With --table: folder that `cost` wrote; default: one that is found."
    ),
]
PageDataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="BENCHMARK_DATA", help="For the page: where true blur maps are."),
]
AllFiguresFolderOption = Annotated[
    Path | None,
    typer.Option("--figures", help="Folder to draw all figures into as well; see `figures`."),
]
OutFileOption = Annotated[
    Path | None, typer.Option("--out", help="File to write; default: standard output.")
]
ReportFileOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="File to write, default: standard output; the page's folder: RUN/page."
    ),
]
ExportFileOption = Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")]


@app.command(name="report", rich_help_panel=PANEL)
def report_command(
    folders: RunsArgument,
    form: ReportFormatOption = ReportFormat.markdown,
    table: PaperTablesOption = None,
    dataset: OnlyDatasetOption = None,
    protocol: OnlyProtocolsOption = None,
    cost: TableCostFolderOption = None,
    data: PageDataOption = None,
    figures: AllFiguresFolderOption = None,
    out: ReportFileOption = None,
) -> None:
    """Write the tables of runs, the tables of the GKMNet paper, or a page to look at."""
    protocols = split_comma_lists(protocol) if protocol else []
    if cost is not None and not table:
        raise UsageError(
            "--cost: only the paper's tables have costs; add --table, or use `cost` alone"
        )
    from benchmark.results import choices, read_results

    results = read_results(*folders)
    if dataset:
        dataset = choices.choose_dataset(dataset, results.datasets)
    if table:
        emit_text(_format_paper_tables(results, table, form, dataset, protocols, cost), out)
    elif form is ReportFormat.html:
        _write_page(results, out or folder_beside(folders[-1], "page"), dataset, protocols, data)
    else:
        emit_text(_format_summaries(results, form, dataset, protocols), out)
    if figures is not None:
        _draw_all_figures(results, figures, dataset, protocols, data, cost)


def _format_paper_tables(
    results: Results,
    numbers: Sequence[PaperTableNumber],
    form: ReportFormat,
    dataset: str | None,
    protocols: Sequence[str],
    cost: Path | None,
) -> str:
    from benchmark.reports import paper

    tables = paper.build_paper_tables(
        results,
        _list_paper_tables(numbers),
        dataset=dataset,
        protocols=protocols,
        cost_folder=cost,
    )
    return paper.format_paper_tables(tables, form.value)


def _list_paper_tables(numbers: Sequence[PaperTableNumber]) -> list[str]:
    """Return the tables that are meant, in the order of the paper."""
    choices = set(numbers)
    if PaperTableNumber.all in choices:
        choices |= set(PaperTableNumber) - {PaperTableNumber.later, PaperTableNumber.training}
    choices.discard(PaperTableNumber.all)
    return [number.value for number in PaperTableNumber if number in choices]


def _write_page(
    results: Results,
    folder: Path,
    dataset: str | None,
    protocols: Sequence[str],
    data: Path | None,
) -> None:
    if protocols:
        raise UsageError(
            "--protocol: the page shows all protocols; leave it out, or choose another --format"
        )
    from benchmark.reports import page

    index = page.write_comparison_page(results, folder, dataset, data=data)
    console.print_note(f"written: {index}")


def _format_summaries(
    results: Results, form: ReportFormat, dataset: str | None, protocols: Sequence[str]
) -> str:
    from benchmark.reports import tables

    return tables.format_summaries(results.summaries(protocols, dataset), form.value)


def _draw_all_figures(
    results: Results,
    folder: Path,
    dataset: str | None,
    protocols: Sequence[str],
    data: Path | None,
    cost: Path | None,
) -> None:
    from benchmark.reports.figures import figure_set
    from benchmark.reports.figures.figure_data import FigureOptions

    protocol = protocols[0] if protocols else None
    options = FigureOptions(dataset, protocol, root=data or Path("data"), cost=cost)
    for outcome in figure_set.write_figures(results, folder, ["all"], options):
        console.print_note(str(outcome))


@app.command(name="export", rich_help_panel=PANEL)
def export_command(
    run: RunArgument,
    out: ExportFileOption,
) -> None:
    """Write every score of a run with its provenance, for sharing or for your own statistics."""
    from benchmark.results.exports import check_suffix, export_scores, write_export
    from benchmark.store import Store

    check_suffix(out)
    with Store(run, read_only=True) as store:
        frame = export_scores(store)
    write_export(frame, out)
    console.print_note(f"{len(frame)} rows -> {out}")


def folder_beside(run: Path, name: str) -> Path:
    """Return where something made of a run goes by default: into its folder, or beside an exported
    file.
    """
    return (run if run.is_dir() else run.parent) / name


def emit_text(text: str, out: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    if out is None:
        sys.stdout.write(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    console.print_note(f"written: {out}")
