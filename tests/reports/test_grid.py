"""Tables ready to print: every writer keeps every text, escapes it once, and shows marks, notes,
groups and heads.
"""

from __future__ import annotations

import csv
import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmark.reports import grid
from benchmark.reports.grid import Grid, TableCell, TableColumn

HOSTILE = (
    "</td><script>alert('x')</script>&amp; | *a* _b_ `c` [t](u) \\ {d} $e$ 5 % #~^ \"q\" -- "
    "é 模糊\nsecond line"
)
COLUMNS = (
    TableColumn("noise", label=True),
    TableColumn("method", label=True),
    TableColumn("PSNR (dB) ↑", "published, DPD"),
    TableColumn("SSIM ↑", "published, DPD"),
    TableColumn("PSNR (dB) ↑", "measured"),
)


def line(noise: str, method: str, *more: TableCell) -> grid.TableLine:
    return (TableCell(noise), TableCell(method), *more)


TABLE = Grid(
    "A table & more",
    COLUMNS,
    (
        (
            line(
                "0",
                "a",
                TableCell("25.47", note="Table 4 prints 25.46"),
                TableCell("0.789"),
                TableCell("26.0", "best"),
            ),
            line(
                "0",
                "b",
                TableCell("24.61"),
                TableCell("illegible", note="torn"),
                TableCell("25.0", "second"),
            ),
        ),
        (
            line(
                "1",
                "a",
                TableCell("25.43", note="torn"),
                TableCell("not printed"),
                TableCell("not run"),
            ),
        ),
    ),
    ("A footnote, 5 %.",),
)


class Reader(html.parser.HTMLParser):
    """Reads tables back: heads and lines with their texts, marks and notes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.lines: list[list[str]] = []
        self.bodies = 0
        self.attributes: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attributes))
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")
        self.bodies += tag == "tbody"
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are nested and closed"

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.lines[-1][-1] += data


def read_html(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def test_a_line_must_have_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match=r"lines of \[2\] cells under 5 columns"):
        Grid("short", COLUMNS, ((line("0", "a"),),))


def test_remarks_get_letters_in_order_and_equal_ones_share_a_letter() -> None:
    assert TABLE.notes == ["(a) Table 4 prints 25.46", "(b) torn", "A footnote, 5 %."]
    many = grid.grid_from_texts("many", [TableColumn("x")], [[str(i)] for i in range(30)])
    noted = Grid(
        many.caption, many.columns, (tuple((TableCell("x", note=str(i)),) for i in range(30)),)
    )
    assert list(noted.letters.values())[25:28] == ["z", "aa", "ab"]


def test_markdown_has_caption_heads_marks_letters_and_notes() -> None:
    text = grid.grid_to_markdown(TABLE)
    lines = text.splitlines()
    assert lines[0] == "### A table & more"
    assert "published, DPD: PSNR (dB) ↑" in lines[2] and "measured: PSNR (dB) ↑" in lines[2]
    assert (
        "25.47 (a)" in lines[4]
        and "**26.0**" in lines[4]
        and "*25.0*" in lines[5]
        and "illegible (b)" in lines[5]
    )
    assert lines[-3:] == ["- (a) Table 4 prints 25.46", "- (b) torn", "- A footnote, 5 %."]


def test_latex_has_rules_between_groups_and_under_the_names_of_columns() -> None:
    text = grid.grid_to_latex(TABLE)
    assert text.count("\\midrule") == 2 and "\\toprule" in text and "\\bottomrule" in text
    assert "\\multicolumn{2}{c}{published, DPD} & \\multicolumn{1}{c}{measured}" in text
    assert "\\cmidrule(lr){3-4}\\cmidrule(lr){5-5}" in text
    assert (
        "\\textbf{26.0}" in text
        and "\\textit{25.0}" in text
        and "25.47\\textsuperscript{a}" in text
    )


def test_csv_is_the_texts_and_heads() -> None:
    rows = list(csv.reader(io.StringIO(grid.grid_to_csv(TABLE))))
    assert rows[0] == ["noise", "method", *[f"{c.group}: {c.title}" for c in COLUMNS[2:]]]
    assert rows[2] == ["0", "b", "24.61", "illegible", "25.0"] and len(rows) == 4


def test_html_is_semantic() -> None:
    read = read_html(grid.grid_to_html(TABLE))
    assert read.lines[0] == ["", "published, DPD", "measured"]
    assert read.lines[2] == ["0", "a", "25.47a", "0.789", "26.0"]
    assert read.bodies == 2 and read.tags.count("caption") == 1
    assert [tag for tag in read.tags if tag in ("strong", "em")] == ["strong", "em"]
    scopes = [attributes.get("scope") for attributes in read.attributes]
    assert (
        scopes.count("col") == 5 and scopes.count("colgroup") == 2 and scopes.count("row") == 2 * 3
    )


def test_an_html_document_needs_nothing_from_elsewhere() -> None:
    text = grid.format_grids([TABLE, TABLE], "html")
    read = read_html(text)
    assert read.tags.count("table") == 2 and "script" not in read.tags
    assert not re.search(r"(src|href)=|https?:|@import|url\(", text)


def test_the_terminal_shows_everything_but_notes() -> None:
    console = Console(width=200, record=True)
    console.print(grid.grid_to_terminal(TABLE))
    text = console.export_text()
    assert (
        "A table & more" in text and "25.47 (a)" in text and "26.0" in text and "measured" in text
    )
    styled = Console(width=200, force_terminal=True, color_system="standard", file=io.StringIO())
    styled.print(grid.grid_to_terminal(TABLE))
    assert "\x1b[1m26.0" in styled.file.getvalue() and "\x1b[3m25.0" in styled.file.getvalue()  # type: ignore[attr-defined]


def test_hostile_texts_are_escaped_everywhere() -> None:
    table = Grid(
        HOSTILE,
        (TableColumn(HOSTILE, HOSTILE, label=True),),
        (((TableCell(HOSTILE, "best", HOSTILE),),),),
        (HOSTILE,),
    )
    read = read_html(grid.format_grids([table], "html"))
    assert "script" not in read.tags and read.lines[-1][0] == HOSTILE + "a"
    text = grid.grid_to_markdown(table)
    assert "<script" not in text.replace("\\<", "") and text.count("\n") == len(text.splitlines())
    bars = [len(re.findall(r"(?<!\\)\|", row)) for row in text.splitlines() if row.startswith("|")]
    assert bars == [2, 2, 2], "one cell a line: the bar in the text is no border"
    assert list(csv.reader(io.StringIO(grid.grid_to_csv(table))))[1] == [HOSTILE]
    Console(file=io.StringIO()).print(grid.grid_to_terminal(table))


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_comes_back_from_html(text: str) -> None:
    shown = text.replace("\r\n", "\n").replace("\r", "\n")  # as every HTML parser reads line ends
    read = read_html(
        grid.grid_to_html(grid.grid_from_texts("t", [TableColumn("x")], [[text.replace("\0", "")]]))
    )
    assert read.lines[1][0].replace("\r\n", "\n").replace("\r", "\n") == shown.replace("\0", "")


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_stays_one_cell_of_markdown_and_latex(text: str) -> None:
    table = grid.grid_from_texts(
        "t", [TableColumn("x", label=True), TableColumn("y")], [[text, "end"]]
    )
    row = grid.grid_to_markdown(table).split("\n")[4]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    body = grid.grid_to_latex(table).split("\\midrule\n")[1].split("\\bottomrule")[0]
    assert body.isascii() and body.rstrip("\n").isprintable(), (
        "pdflatex stops at control characters"
    )
    assert body.count("\n") == 1 and len(re.findall(r"(?<!\\)&", body)) == 1


def test_an_empty_table_can_be_written_in_every_format() -> None:
    empty = grid.grid_from_texts("nothing", [TableColumn("x")], [])
    for form in ("markdown", "latex", "csv", "html"):
        assert "x" in grid.format_grids([empty], form)  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_with_booktabs_alone(tmp_path: Path) -> None:
    starts = [["[0.1] a"], ["*starred"], [HOSTILE], ["?`!`  <<>> ``''"], ["†‡±×σ…″–−·τ↑↓"]]
    hostile = grid.grid_from_texts(
        HOSTILE, [TableColumn(HOSTILE, HOSTILE, label=True)], starts, [HOSTILE]
    )
    empty = grid.grid_from_texts("nothing", [TableColumn("x")], [])
    body = grid.format_grids([TABLE, hostile, empty], "latex")
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
