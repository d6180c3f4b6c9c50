"""What the site takes from the program and from results, so that it cannot fall behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
BOARD = "board/index.html"
"""Page of the site that is made of results, and not of a text in this folder."""


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the board of the committed and the submitted results."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, BOARD, content=render_committed_board()))
    return files


def render_committed_board() -> str:
    """Return the board of the exports in `results/measured` and the bundles in `results/submitted`;
    of a cell that both have, the score measured here counts.
    """
    from benchmark.reports.board.site import render_board
    from benchmark.results.publication import publish_record
    from benchmark.results.results import read_record

    bundles = sorted(path.parent for path in RESULTS.glob("submitted/*/manifest.json"))
    exports = sorted(RESULTS.glob("measured/*/scores.parquet"))
    publications = [publish_record(read_record(path)) for path in (*bundles, *exports)]
    return render_board(publications, RESULTS / "measured" / "cost")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in measured tables and the reference of commands."""
    if page.file.src_uri == "reference/commands.md":
        markdown += describe_commands()
    return re.sub(
        r"<!-- table of (\S+): (.+?) -->",
        lambda match: _read_table(match[1], match[2].split(", ")),
        markdown,
    )


def _read_table(name: str, columns: list[str]) -> str:
    """Return some columns of a report's first table, without the methods that were skipped."""
    lines = (DOCS / name).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and "skipped" not in line]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    places = [cells[0].index(column) for column in columns]
    lines = ["| " + " | ".join(row[place] for place in places) + " |" for row in cells]
    return "\n".join(line.replace(", ", ",\u00a0").replace(" [", "\u00a0[") for line in lines)


def describe_commands() -> str:
    """Return every command with its help and options as Markdown."""
    import typer
    from typer.cli import get_docs_for_click

    from benchmark.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="python -m benchmark")
    text = get_docs_for_click(obj=command, ctx=context, name="python -m benchmark")
    commands = text.partition("\n## ")[2]
    commands = re.sub(r"\x08?\n?Examples:\n((?:  .+\n?)+)", _format_examples, commands)
    return "\n## " + commands.replace("`python -m benchmark ", "`")


def _format_examples(match: re.Match[str]) -> str:
    lines = "\n".join(f"$ {line.strip()}" for line in match[1].splitlines())
    return f"**Examples**:\n\n```console\n{lines}\n```\n"
