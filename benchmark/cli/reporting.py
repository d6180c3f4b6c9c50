"""Commands that write what runs found: tables, pages, exports."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import console
from benchmark.api import UsageError
from benchmark.cli.app import app
from benchmark.cli.options import RunArgument, split_names

if TYPE_CHECKING:
    from benchmark.reports import grid
    from benchmark.store import Store

PANEL = "Report"


class ReportFormat(enum.StrEnum):
    """Formats of a report."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


class PaperTable(enum.StrEnum):
    """Tables of the GKMNet paper."""

    one = "1"
    two = "2"
    three = "3"
    four = "4"
    five = "5"
    all = "all"
    later = "later"


RunsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Folders that `run` wrote; the last one decides."),
]


@app.command(name="report", rich_help_panel=PANEL)
def report_command(
    folders: RunsArgument,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How to write; html without --table is a page.")
    ] = ReportFormat.markdown,
    table: Annotated[
        list[PaperTable] | None,
        typer.Option(
            "--table",
            help="Tables of the GKMNet paper, printed beside measured; later: what others printed.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", help="Only this data set; with --table, in the place of the paper's."
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None, typer.Option("--protocol", help="Only these protocols.")
    ] = None,
    cost: Annotated[
        Path | None,
        typer.Option(
            "--cost", help="With --table: folder that `cost` wrote; default: one that is found."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", envvar="BENCHMARK_DATA", help="For the page: where true blur maps are."
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder to draw all figures into as well; see `figures`."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write, default: standard output; the page's folder: RUN/page."
        ),
    ] = None,
) -> None:
    """Write the tables of runs, the tables of the GKMNet paper, or a page to look at."""
    chosen = split_names(protocol) if protocol else []
    written: grid.Format = form.value
    if cost is not None and not table:
        raise UsageError(
            "--cost: only the paper's tables have costs; add --table, or use `cost` alone"
        )
    from benchmark.reports import runs

    with open_runs(folders) as stores:
        dataset = runs.dataset(stores, dataset) if dataset else None
        if table:
            from benchmark.reports import paper

            made = paper.tables(
                stores,
                _list_paper_tables(table),
                dataset=dataset,
                protocols=chosen,
                cost_folder=cost,
            )
            emit_text(paper.write(made, written), out)
        elif form is ReportFormat.html:
            if chosen:
                raise UsageError(
                    "--protocol: the page shows all protocols; leave it out, or choose another "
                    "--format"
                )
            from benchmark.reports import page

            index = page.write_comparison_page(
                stores, out or folders[-1] / "page", dataset, data=data
            )
            console.note(f"written: {index}")
        else:
            from benchmark.reports import summaries, tables

            emit_text(tables.write(summaries.summaries(stores, chosen, dataset), written), out)
        if figures is not None:
            from benchmark.reports.figures import figure_set
            from benchmark.reports.figures.figure_data import Wanted

            wanted = Wanted(
                dataset, chosen[0] if chosen else None, root=data or Path("data"), cost=cost
            )
            for made_figure in figure_set.write_figures(stores, figures, ["all"], wanted):
                console.note(str(made_figure))


@app.command(name="export", rich_help_panel=PANEL)
def export_command(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
) -> None:
    """Write every score of a run with its provenance, for sharing or for your own statistics."""
    from benchmark.reports import summaries
    from benchmark.store import Store

    writers = {".csv": "to_csv", ".parquet": "to_parquet"}
    if out.suffix not in writers:
        raise UsageError(f"--out {out}: the ending decides the format; use .csv or .parquet")
    with Store(run) as store:
        frame = summaries.export(store)
    out.parent.mkdir(parents=True, exist_ok=True)
    getattr(frame, writers[out.suffix])(out, index=False)
    console.note(f"{len(frame)} rows -> {out}")


@contextlib.contextmanager
def open_runs(runs: Sequence[Path]) -> Iterator[list[Store]]:
    """Open the runs in these folders, each once."""
    from benchmark.store import Store

    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Store(run)) for run in dict.fromkeys(runs)]


def _list_paper_tables(wanted: Sequence[PaperTable]) -> list[str]:
    """Return the tables that are meant, in the order of the paper."""
    every = [number.value for number in PaperTable if number is not PaperTable.all]
    named = {number.value for number in wanted}
    return [
        number
        for number in every
        if number in named or (PaperTable.all in wanted and number != PaperTable.later)
    ]


def emit_text(text: str, out: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    if out is None:
        sys.stdout.write(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    console.note(f"written: {out}")
