"""Summaries written down: Markdown, LaTeX (booktabs), CSV, and the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from reports.frames import Entry, Row, Summary

if TYPE_CHECKING:
    from rich.table import Table

Format = Literal["markdown", "latex", "csv"]
_ARROWS = {True: "↑", False: "↓"}


def write(summaries: list[Summary], form: Format) -> str:
    """Return summaries as one text in the format asked for; CSV holds them all in one long table."""
    if form == "csv":
        return _csv(summaries)
    writer = {"markdown": _markdown, "latex": _latex}[form]
    return "\n".join(writer(summary) for summary in summaries)


def terminal(summary: Summary) -> Table:
    """Return a summary as a rich table, with a line between noise levels."""
    from rich.markup import escape
    from rich.table import Table

    title = f"{summary.dataset} · protocol {summary.protocol} · track {summary.track}"
    table = Table(title=escape(title), title_justify="left")
    for name in _header(summary):
        table.add_column(escape(name), justify="left" if name in _LEFT else "right")
    lines = _lines(summary, escape, "[bold]{}[/bold]")
    levels = [row.level for row in summary.rows]
    for line, level, following in zip(lines, levels, [*levels[1:], None], strict=True):
        table.add_row(*line, end_section=level != following)
    return table


_LEFT = ("noise", "method")


def _lines(summary: Summary, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    """Return the cells of a table, escaped, the best ones put into `bold`."""
    return [
        [
            *map(escape, (row.level, row.title, _count(row))),
            *(
                (bold if entry.best else "{}").replace("{}", escape(_text(entry, summary.measures[key])))
                for key, entry in row.entries.items()
            ),
        ]
        for row in summary.rows
    ]


def _header(summary: Summary) -> list[str]:
    return ["noise", "method", "n", *(_measure_name(card) for card in summary.measures.values())]


def _measure_name(card: dict[str, Any]) -> str:
    unit = f" ({card['unit']})" if card["unit"] else ""
    return f"{card['title']}{unit} {_ARROWS[card['higher_is_better']]}"


def _count(row: Row) -> str:
    counts = {entry.interval.n for entry in row.entries.values() if entry.interval}
    return str(counts.pop()) if len(counts) == 1 else ("–" if not counts else "mixed")


def _text(entry: Entry, card: dict[str, Any]) -> str:
    if entry.interval is None:
        return entry.note
    digits = card["digits"]
    mean, low, high, _ = entry.interval
    if low is None or high is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _markdown(summary: Summary) -> str:
    from tabulate import tabulate

    lines = _lines(summary, escape_markdown, "**{}**")
    align = ["left" if name in _LEFT else "right" for name in _header(summary)]
    table = tabulate(lines, _header(summary), tablefmt="pipe", disable_numparse=True, colalign=align)
    notes = "\n".join(f"- {escape_markdown(note)}" for note in summary.footnotes)
    return f"### {escape_markdown(summary.dataset)}, {summary.protocol}\n\n{table}\n\n{notes}\n"


def escape_markdown(text: str) -> str:
    """Escape what would end a cell, start markup, or (a bracket before a parenthesis) make a link."""
    return re.sub(r"([|<>*_`\\]|(?<=\])\()", r"\\\1", text.replace("\n", " "))


def _latex(summary: Summary) -> str:
    import pandas as pd

    names = [escape_latex(name) for name in _header(summary)]
    frame = pd.DataFrame(_lines(summary, escape_latex, r"\textbf{{}}"), columns=names)
    columns = "".join("l" if name in _LEFT else "r" for name in _header(summary))
    table = frame.style.hide(axis="index").to_latex(hrules=True, column_format=columns)
    notes = " ".join(escape_latex(note) for note in summary.footnotes)
    return f"\\begin{{table}}\n\\centering\n\\small\n\\caption{{{notes}}}\n{table}\\end{{table}}\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "–": "--",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Escape for pdfLaTeX; a character its fonts lack (another script in a path, say) becomes `?`."""
    return "".join(_LATEX.get(char, char if char.isascii() else "?") for char in text)


def _csv(summaries: list[Summary]) -> str:
    import pandas as pd

    lines = [
        {
            "dataset": summary.dataset, "protocol": summary.protocol, "track": summary.track, "noise": row.level,
            "method": row.method, "oracle": row.oracle, "measure": key,
            "mean": entry.interval.mean if entry.interval else None,
            "low": entry.interval.low if entry.interval else None,
            "high": entry.interval.high if entry.interval else None,
            "n": entry.interval.n if entry.interval else 0,
            "best": entry.best, "note": entry.note,
        }
        for summary in summaries
        for row in summary.rows
        for key, entry in row.entries.items()
    ]  # fmt: skip
    return pd.DataFrame(lines).to_csv(index=False)
