"""Tables ready to print, and their writers: Markdown, LaTeX (booktabs), HTML, CSV and the terminal.

A `Grid` holds texts as people read them, escaped for nothing; each writer escapes every text once,
by the function of its format. Bold is the best and italic the second best, in all formats.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from csv import writer as csv_writer
from dataclasses import dataclass
from itertools import groupby
from string import ascii_lowercase
from typing import TYPE_CHECKING, Literal

from benchmark.results.significance import Mark

if TYPE_CHECKING:
    import jinja2
    import pandas as pd
    from rich.table import Table

Format = Literal["markdown", "latex", "csv", "html"]
_EMPHASIS: Mapping[Mark, Literal["strong", "light"]] = {
    Mark.best: "strong",
    Mark.second: "light",
    Mark.significant: "strong",
}
"""How marked cells look: `strong` is bold and `light` italic, in every format."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell.

    Attributes:
        text: what is printed.
        mark: what it is marked for; None for nothing.
        note: a footnote of this cell alone; printed once under the table, and referred to by a
            letter.
    """

    text: str
    mark: Mark | None = None
    note: str = ""

    @property
    def emphasis(self) -> str:
        """How it looks: "strong", "light", or empty for plain."""
        return _EMPHASIS[self.mark] if self.mark else ""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """The head of a column.

    Attributes:
        title: its name.
        group: what it shares with its neighbours, printed once above them ("published",
            "measured"); empty for none.
        label: it names the lines, stands to the left, and is a heading in HTML; other columns stand
            to the right.
    """

    title: str
    group: str = ""
    label: bool = False

    @property
    def side(self) -> Literal["left", "right"]:
        """The side on which its texts stand."""
        return "left" if self.label else "right"


TableLine = tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        caption: what it shows, in one line.
        columns: the heads.
        groups: groups of lines (noise levels, say), set apart from each other; a line has a cell
            for every column.
        footnotes: what a reader must know beside it.
    """

    caption: str
    columns: tuple[TableColumn, ...]
    groups: tuple[tuple[TableLine, ...], ...]
    footnotes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong_lengths = {len(line) for line in self.lines} - {len(self.columns)}
        if wrong_lengths:
            lengths = sorted(wrong_lengths)
            raise ValueError(
                f"{self.caption}: lines of {lengths} cells under {len(self.columns)} columns"
            )

    @property
    def lines(self) -> Iterator[TableLine]:
        """The lines of all groups."""
        return (line for group in self.groups for line in group)

    @property
    def letters(self) -> Mapping[str, str]:
        """The notes on single cells, each with its letter (a, b ... z, aa ...), in the order of
        the cells.
        """
        letters: dict[str, str] = {}
        for line in self.lines:
            for cell in line:
                if cell.note and cell.note not in letters:
                    letters[cell.note] = _note_letter(len(letters))
        return letters

    @property
    def notes(self) -> list[str]:
        """Everything that is printed under the table: the notes on cells with their letters, then
        the footnotes.
        """
        cell_notes = [f"({letter}) {note}" for note, letter in self.letters.items()]
        return [*cell_notes, *self.footnotes]


def grid_from_texts(
    caption: str,
    columns: Sequence[TableColumn],
    lines: Iterable[Iterable[str]],
    footnotes: Sequence[str] = (),
) -> Grid:
    """Return a table of bare texts in one group."""
    group = tuple(tuple(map(TableCell, line)) for line in lines)
    return Grid(caption, tuple(columns), (group,) if group else (), tuple(footnotes))


def grid_from_frame(
    caption: str, texts: pd.DataFrame, labels: Collection[str], footnotes: Sequence[str] = ()
) -> Grid:
    """Return a frame of texts as a table; the columns named in `labels` name the lines."""
    columns = [TableColumn(str(name), label=name in labels) for name in texts]
    return grid_from_texts(caption, columns, texts.to_numpy().tolist(), footnotes)


def format_grids(grids: Sequence[Grid], form: Format) -> str:
    """Return tables as one text: a document for `html`, parts of one for `markdown` and `latex`.

    Several tables in `csv` are blocks with an empty line between them.
    """
    if form == "html":
        return _html_templates().get_template("tables.html").render(grids=grids)
    writers = {"markdown": grid_to_markdown, "latex": grid_to_latex, "csv": grid_to_csv}
    return "\n".join(map(writers[form], grids))


# Markdown
# --------------------------------------------------------------------------------------------------


def grid_to_markdown(grid: Grid) -> str:
    """Return a table with its caption as heading and its notes as list; a group's name precedes its
    columns' titles.
    """
    from tabulate import tabulate

    marks = {"strong": "**{}**", "light": "*{}*"}
    lines = [
        _format_cells(line, escape_markdown, marks, grid.letters, " ({})") for line in grid.lines
    ]
    heads = [escape_markdown(_column_heading(column, ": ")) for column in grid.columns]
    align = [column.side for column in grid.columns]
    table = tabulate(
        lines, heads, tablefmt="pipe", disable_numparse=True, colalign=align if lines else None
    )
    text = f"### {escape_markdown(grid.caption)}\n\n{table}\n"
    notes = "\n".join(f"- {escape_markdown(note)}" for note in grid.notes)
    return f"{text}\n{notes}\n" if notes else text


def escape_markdown(text: str) -> str:
    """Escape what would end a cell, start markup, or (a bracket before a parenthesis) make
    a link.
    """
    return re.sub(r"([|<>*_`\\]|(?<=\])\()", r"\\\1", _one_line(text))


# LaTeX
# --------------------------------------------------------------------------------------------------


def grid_to_latex(grid: Grid) -> str:
    """Return a table as LaTeX that needs booktabs and nothing else."""
    marks = {"strong": r"\textbf{{{}}}", "light": r"\textit{{{}}}"}
    letter_format = r"\textsuperscript{{{}}}"
    groups = []
    for group in grid.groups:
        lines = [
            _format_cells(line, escape_latex, marks, grid.letters, letter_format) for line in group
        ]
        groups.append("".join(map(_latex_line, lines)))
    alignment = "".join(column.side[0] for column in grid.columns)
    head = _latex_line([escape_latex(column.title) for column in grid.columns])
    body = "\\midrule\n".join(groups)
    notes_below = ""
    if grid.notes:
        notes = "\\par\n".join(map(escape_latex, grid.notes))
        notes_below = (
            f"\\par\\smallskip\n\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{notes}\n"
            "\\end{minipage}\n"
        )
    return (
        f"\\begin{{table}}\n\\centering\n\\small\n\\caption{{{escape_latex(grid.caption)}}}\n"
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n"
        f"{_latex_groups(grid.columns)}{head}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        f"{notes_below}\\end{{table}}\n"
    )


def _latex_groups(columns: Sequence[TableColumn]) -> str:
    """Return the line of group names with rules under them; nothing where no column has a group."""
    if not any(column.group for column in columns):
        return ""
    names = []
    rules = []
    for name, start, span in _group_spans(columns):
        names.append(f"\\multicolumn{{{span}}}{{c}}{{{escape_latex(name)}}}")
        if name:
            rules.append(f"\\cmidrule(lr){{{start + 1}-{start + span}}}")
    return f"{_latex_line(names)}{''.join(rules)}\n"


def _latex_line(texts: Sequence[str]) -> str:
    line = " & ".join(texts)
    if line.startswith(("[", "*")):
        line = "{}" + line  # else the line end before it takes them for its own
    return f"{line} \\\\\n"


LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": r"\textasciigrave{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "–": r"\textendash{}",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "″": "''",
    "·": r"$\cdot$",
    "…": r"\dots{}",
}
"""Character -> what stands for it in LaTeX."""


def escape_latex(text: str) -> str:
    """Escape for pdfLaTeX; a character its fonts lack (another script in a path, say)
    becomes `?`.
    """
    latex_text = "".join(map(_escape_latex_character, _one_line(text)))
    return re.sub("-(?=-)", "-{}", latex_text)  # two hyphens stay two


def _escape_latex_character(char: str) -> str:
    if char in LATEX_ESCAPES:
        return LATEX_ESCAPES[char]
    return char if char.isascii() and char.isprintable() else "?"


# CSV
# --------------------------------------------------------------------------------------------------


def grid_to_csv(grid: Grid) -> str:
    """Return the texts as one line per line of the table; caption, notes and marks are left out."""
    file = io.StringIO()
    out = csv_writer(file, lineterminator="\n")
    out.writerow(_column_heading(column, ": ") for column in grid.columns)
    out.writerows([cell.text for cell in line] for line in grid.lines)
    return file.getvalue()


# HTML
# --------------------------------------------------------------------------------------------------


def grid_to_html(grid: Grid) -> str:
    """Return a table with its notes as a `<figure>`, to stand in any document."""
    return _html_templates().get_template("table.html").render(grid=grid)


@functools.cache
def _html_templates() -> jinja2.Environment:
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmark.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["spans"] = _group_spans
    return templates


# The terminal
# --------------------------------------------------------------------------------------------------


def grid_to_terminal(grid: Grid, compact: bool = False) -> Table:
    """Return a table for the terminal, with a line between groups; `Grid.notes` are left to the
    caller. A compact one has no lines between its columns and leaves its caption to the caller too.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=None if compact else escape(grid.caption), title_justify="left")
    if compact:
        table.box = box.SIMPLE
        table.padding = (0, 0)
        table.show_edge = table.pad_edge = False
    for column in grid.columns:
        heading = escape(_column_heading(column, "\n"))
        no_wrap = compact and not column.label
        table.add_column(heading, justify=column.side, overflow="fold", no_wrap=no_wrap)
    marks = {"strong": "[bold]{}[/bold]", "light": "[italic]{}[/italic]"}
    for group in grid.groups:
        for line in group:
            table.add_row(
                *_format_cells(line, escape, marks, grid.letters, " ({})"),
                end_section=line is group[-1],
            )
    return table


# What the writers share
# -----------------------------------------------------------------------------------------------


def _format_cells(
    line: TableLine,
    escape: Callable[[str], str],
    marks: Mapping[str, str],
    letters: Mapping[str, str],
    letter_format: str,
) -> list[str]:
    """Return the cells of a line, escaped, marked, and with the letters of their notes."""
    texts = []
    for cell in line:
        text = escape(cell.text)
        if cell.mark:
            text = marks[cell.emphasis].format(text)
        if cell.note:
            text += letter_format.format(letters[cell.note])
        texts.append(text)
    return texts


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _column_heading(column: TableColumn, joint: str) -> str:
    return f"{column.group}{joint}{column.title}" if column.group else column.title


def _group_spans(columns: Sequence[TableColumn]) -> list[tuple[str, int, int]]:
    """Return (group, first column, how many) of neighbours that share a group."""
    start = 0
    spans = []
    for name, neighbours in groupby(column.group for column in columns):
        count = len(list(neighbours))
        spans.append((name, start, count))
        start += count
    return spans


def _note_letter(number: int) -> str:
    """Return a, b ... z, aa, ab ... for 0, 1 ..."""
    more, last = divmod(number, len(ascii_lowercase))
    first = _note_letter(more - 1) if more else ""
    return first + ascii_lowercase[last]
