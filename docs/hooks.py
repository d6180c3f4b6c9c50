"""What the site takes from the program and from results, so that it cannot fall behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


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
