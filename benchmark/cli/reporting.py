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
from benchmark.cli.options import split_comma_lists

if TYPE_CHECKING:
    from benchmark.reports.ranked import TableOptions
    from benchmark.results import Results
    from benchmark.results.bundles import Origin
    from benchmark.results.run_record import RunRecord
    from benchmark.results.summaries import Summary

PANEL = "Report"


class ReportFormat(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


class PaperTableNumber(enum.StrEnum):
    """Tables of the GKMNet paper, and three more."""

    one = "1"
    two = "2"
    three = "3"
    four = "4"
    five = "5"
    all = "all"
    later = "later"
    training = "training"
    claims = "claims"


_FURTHER_TABLES = (PaperTableNumber.later, PaperTableNumber.training, PaperTableNumber.claims)
"""Those that are none of the paper's, and no part of `all`."""

RunsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Folders that `run` wrote, bundles, or files of `export`; the last one decides.",
    ),
]


ReportFormatOption = Annotated[
    ReportFormat, typer.Option("--format", help="How to write; html without --table: see `page`.")
]
TablesFormatOption = Annotated[
    ReportFormat, typer.Option("--format", help="How to write the tables.")
]
PaperTablesOption = Annotated[
    list[PaperTableNumber] | None,
    typer.Option(
        "--table",
        help="Tables of the GKMNet paper, printed beside measured; later: the same of what others "
        "printed; training: methods by training data and by test data; claims: what the paper "
        "claims, at an equal budget over seeds.",
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
WideOption = Annotated[
    bool,
    typer.Option("--wide", help="Every measure with the interval of its mean, instead of gains."),
]
GainMeasureOption = Annotated[
    str | None,
    typer.Option("--measure", help="Measure whose gain ranks; default: the protocol's first."),
]
OnlyMethodsOption = Annotated[
    list[str] | None,
    typer.Option("--methods", help="Only these ids, comma-separated or repeated; ranked anew."),
]
SortOption = Annotated[
    str, typer.Option("--sort", help="Order of the lines: gain, method or a measure.")
]
IntervalOption = Annotated[
    bool, typer.Option("--interval/--no-interval", help="Print the 95 % intervals of gains.")
]
PageDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="BENCHMARK_DATA",
        help="Folder that holds the data sets, for true blur maps; default: data.",
    ),
]
PageDatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Only this data set; default: all of the runs.")
]
PageCostOption = Annotated[
    Path | None,
    typer.Option("--cost", help="Folder that `cost` wrote; default: one that is found."),
]
ThumbnailsOption = Annotated[
    bool,
    typer.Option(
        "--thumbnails", help="Small copies of the pictures only, for a page to send around."
    ),
]
SingleFileOption = Annotated[
    bool,
    typer.Option("--single-file", help="Everything in one index.html; refused above 100 MB."),
]
PageFolderOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of the page; default: RUN/page.")
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
ResultsArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder that `run` wrote, a bundle, or its scores.")
]
PartsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="PART...", help="Bundles, folders that `run` wrote, or files of `export`."
    ),
]
ExportOption = Annotated[
    Path,
    typer.Option("--out", help="File to write, .csv or .parquet; or the folder of a bundle."),
]
SiteOption = Annotated[Path, typer.Option("--out", help="Folder of the site to write.")]
BoardCostOption = Annotated[
    Path | None,
    typer.Option("--cost", help="Folder that `cost` wrote; default: one that is found."),
]
BundleOption = Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.")]
PreferOption = Annotated[
    Path | None,
    typer.Option("--prefer", help="The part whose scores count where values differ."),
]
BundledCostOption = Annotated[
    Path | None,
    typer.Option(
        "--cost", help="Folder that `cost` wrote, for a bundle; default: costs that lie there."
    ),
]


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
    wide: WideOption = False,
    measure: GainMeasureOption = None,
    methods: OnlyMethodsOption = None,
    sort: SortOption = "gain",
    interval: IntervalOption = True,
    out: ReportFileOption = None,
) -> None:
    """Write the tables of runs, the tables of the GKMNet paper, or a page to look at."""
    protocols = split_comma_lists(protocol) if protocol else []
    if cost is not None and not table:
        raise UsageError(
            "--cost: only the paper's tables have costs; add --table, or use `cost` alone"
        )
    from benchmark.results import read_results

    results = read_results(*folders)
    if dataset:
        dataset = results.find_dataset(dataset)
    if table:
        emit_text(_format_paper_tables(results, table, form, dataset, protocols, cost), out)
    elif form is ReportFormat.html:
        if protocols:
            raise UsageError(
                "--protocol: the page shows all protocols; leave it out, or choose another --format"
            )
        _write_page(results, out or folder_beside(folders[-1], "page"), dataset, data)
    else:
        summaries = results.summaries(protocols, dataset)
        if wide:
            emit_text(_format_wide(summaries, form), out)
        else:
            from benchmark.reports.ranked import TableOptions

            names = tuple(split_comma_lists(methods)) if methods else None
            options = TableOptions(measure, names, sort=sort, has_intervals=interval)
            all_summaries = results.summaries((), dataset) if protocols else summaries
            emit_text(_format_ranked(summaries, form, options, all_summaries), out)
    if figures is not None:
        _draw_all_figures(results, figures, dataset, protocols, methods, data, cost)


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
        choices |= set(PaperTableNumber) - set(_FURTHER_TABLES)
    choices.discard(PaperTableNumber.all)
    return [number.value for number in PaperTableNumber if number in choices]


@app.command(name="page", rich_help_panel=PANEL)
def page_command(
    folders: RunsArgument,
    dataset: PageDatasetOption = None,
    data: PageDataOption = None,
    cost: PageCostOption = None,
    thumbnails: ThumbnailsOption = False,
    single_file: SingleFileOption = False,
    out: PageFolderOption = None,
) -> None:
    """Write a page to look at: methods by rank and gain, and the pictures behind every number.

    It opens from disk, in any browser, without a network. True blur maps are part of it wherever
    the data set is at hand.
    """
    from benchmark.results import read_results

    results = read_results(*folders)
    if dataset:
        dataset = results.find_dataset(dataset)
    folder = out or folder_beside(folders[-1], "page")
    _write_page(
        results, folder, dataset, data, cost, thumbnails=thumbnails, single_file=single_file
    )


def _write_page(
    results: Results,
    folder: Path,
    dataset: str | None,
    data: Path | None,
    cost: Path | None = None,
    *,
    thumbnails: bool = False,
    single_file: bool = False,
) -> None:
    from benchmark.reports import page

    options = page.PageOptions(
        dataset=dataset,
        data=data or Path("data"),
        cost=cost,
        thumbnails=thumbnails,
        single_file=single_file,
    )
    index = page.write_comparison_page(results, folder, options)
    size = page.measure_page_size(index)
    console.print_note(f"written: {index} ({size / 1e6:.1f} MB with its pictures)")


def _format_wide(summaries: Sequence[Summary], form: ReportFormat) -> str:
    from benchmark.reports import tables

    return tables.format_summaries(summaries, form.value)


def _format_ranked(
    summaries: Sequence[Summary],
    form: ReportFormat,
    options: TableOptions,
    all_summaries: Sequence[Summary],
) -> str:
    from benchmark.reports import ranked

    return ranked.format_ranked_summaries(summaries, form.value, options, all_summaries)


def _draw_all_figures(
    results: Results,
    folder: Path,
    dataset: str | None,
    protocols: Sequence[str],
    methods: Sequence[str] | None,
    data: Path | None,
    cost: Path | None,
) -> None:
    from benchmark.reports.figures import figure_set
    from benchmark.reports.figures.figure_data import FigureOptions
    from benchmark.spec import parse_ids

    protocol = protocols[0] if protocols else None
    ids = []
    if methods:
        ids = [str(spec) for spec in parse_ids(methods)]
    options = FigureOptions(dataset, protocol, ids, root=data or Path("data"), cost=cost)
    outcomes = figure_set.write_figures(results, folder, ["all"], options)
    for line in figure_set.describe_outcomes(outcomes):
        console.print_note(line)


@app.command(name="board", rich_help_panel=PANEL)
def board_command(
    parts: PartsArgument,
    out: SiteOption,
    cost: BoardCostOption = None,
) -> None:
    """Write results of many as one site: gains, costs, noise, and a page for each method.

    It is one file, which opens from disk, asks nothing of a network, and holds nothing private. Of
    what several parts hold, the last one decides.
    """
    from benchmark.reports.board import write_board
    from benchmark.reports.paper.cost import find_cost_folder
    from benchmark.results.results import read_record

    paths = list(dict.fromkeys(parts))
    records = [read_record(path) for path in paths]
    index = write_board(records, out, cost_folder=find_cost_folder(paths, cost))
    console.print_note(f"written: {index}")


@app.command(name="export", rich_help_panel=PANEL)
def export_command(
    run: ResultsArgument,
    out: ExportOption,
    cost: BundledCostOption = None,
) -> None:
    """Write every score of a run with its provenance, for sharing or for your own statistics.

    A file holds the scores. A folder is a bundle, which says what it is and holds nothing private:
    scores, cards, costs, provenance and digests, and no pictures.
    """
    from benchmark.results.exports import is_file_name, record_to_frame, write_export
    from benchmark.results.results import read_record

    if is_file_name(out):
        if cost is not None:
            raise UsageError(f"--cost: {out} has no costs; name a folder, which becomes a bundle")
        frame = record_to_frame(read_record(run))
        write_export(frame, out)
        console.print_note(f"{len(frame)} rows -> {out}")
    else:
        _write_bundle(read_record(run), out, cost, [run])


@app.command(name="merge", rich_help_panel=PANEL)
def merge_command(
    parts: PartsArgument,
    out: BundleOption,
    prefer: PreferOption = None,
    cost: BundledCostOption = None,
) -> None:
    """Join results of several machines into one bundle: every score once, nothing averaged.

    Scores of the same cell that differ are told, and nothing is joined. The order of the parts
    changes nothing.
    """
    from benchmark.results.bundles import Origin
    from benchmark.results.merging import Part, merge_records
    from benchmark.results.publication import publish_record
    from benchmark.results.results import read_record

    paths = list(dict.fromkeys(parts))
    if prefer is not None and prefer not in paths:
        raise UsageError(f"--prefer {prefer}: is none of the parts; name one of them")
    records = [Part(str(path), publish_record(read_record(path)).record) for path in paths]
    merged = merge_records(records, out, None if prefer is None else str(prefer))
    for note in merged.notes:
        console.print_note(note)
    origin = Origin(by="merge", parts=len(paths), preferred=merged.preferred)
    _write_bundle(merged.record, out, cost, paths, origin)


def _write_bundle(
    record: RunRecord,
    out: Path,
    cost: Path | None,
    parts: Sequence[Path],
    origin: Origin | None = None,
) -> None:
    from benchmark.results.bundles import write_bundle
    from benchmark.results.publication import publish_record
    from benchmark.studies.cost.exchange import find_cost_passes, publish_cost_pass

    published = publish_record(record)
    cost_folders = [cost] if cost is not None else find_cost_passes(parts)
    cost_files: dict[str, bytes] = {}
    if len(cost_folders) == 1:
        cost_files = publish_cost_pass(cost_folders[0], published.method_ids)
    elif cost_folders:
        names = ", ".join(map(str, cost_folders))
        console.print_note(
            f"costs left out: {names} have measured their own, and seconds of several machines "
            "share no table; choose one with --cost"
        )
    manifest = write_bundle(published, out, origin, cost_files)
    contents = manifest.contents
    console.print_note(
        f"{contents.scores} scores of {contents.cells} cells -> {out} (paths, error texts and "
        "pictures are left out)"
    )


def folder_beside(run: Path, name: str) -> Path:
    """Return where something made of a run goes by default: into its folder, or beside a bundle or
    an exported file.
    """
    from benchmark.results.bundles import is_bundle

    return (run if run.is_dir() and not is_bundle(run) else run.parent) / name


def emit_text(text: str, out: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    if out is None:
        sys.stdout.write(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    console.print_note(f"written: {out}")
