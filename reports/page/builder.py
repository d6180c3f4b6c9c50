"""Writes the comparison page: `index.html` and, beside it, `comparison_files` with the pictures it
shows.

Style and script are part of `index.html`. Its content security policy names them by their hashes
and allows no others, so that nothing a run is called can become code, and nothing is fetched from
elsewhere.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

from benchmark.files import replace_file
from benchmark.reports.page import pictures, tables
from benchmark.reports.page.cards import PageCard, PageCards, collect_page_cards
from benchmark.reports.page.galleries import PageContent, Sheet, read_page_content
from benchmark.reports.page.payload import build_payload
from benchmark.reports.page.pictures import PageFiles
from benchmark.reports.page.tables import PageTable
from benchmark.reports.self_contained import (
    hash_for_policy,
    load_page_templates,
    require_own_page,
)
from benchmark.results import Results
from benchmark.version import __version__

FILES_FOLDER = "comparison_files"
"""Folder beside `index.html` with the pictures. It belongs to the page: whatever else lies in it is
removed.
"""
_GENERATOR = "defocus-bench comparison page"
_HERE = Path(__file__).parent


def write_comparison_page(
    results: Results, folder: Path, dataset: str | None = None, *, data: Path | None = None
) -> Path:
    """Write the comparison page of runs; return the path of its `index.html`.

    Several runs are read as one, as in all tables. The folder can be moved, and opens from disk.
    Its pictures are hard links to those of the runs where the file system allows it, else copies.

    Args:
        results: the runs.
        folder: where to write; made if need be.
        dataset: limit to this id; None for all data sets of the runs.
        data: data root in which true blur maps are looked for; None for no maps.

    Raises:
        UsageError: if the runs hold nothing (of that data set) that was scored, or the folder holds
            another page.
        DataError: a damaged picture of a run or of a data set, or a folder that cannot be written.
    """
    index = folder / "index.html"
    require_own_page(index, _GENERATOR)
    content = read_page_content(results, dataset)
    files = pictures.collect_page_files(results, content.galleries, folder / FILES_FOLDER, data)
    page = _render_page(content, files, collect_page_cards(results, content.origins))
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(index) as file:
        file.write(page.encode())
    _remove_other_files(folder / FILES_FOLDER, files.paths())
    return index


class _PrintableSheet(NamedTuple):
    """A sheet ready to print: its tables, and the cards of its runs."""

    sheet: Sheet
    runs: list[PageCard]
    tables: list[PageTable]


def _printable_sheets(content: PageContent, cards: PageCards) -> list[_PrintableSheet]:
    numbers = itertools.count()
    sheets = []
    for sheet in content.sheets:
        page_tables = []
        for sheet_level in sheet.levels:
            gallery = content.galleries[sheet_level.gallery]
            measures = sheet.summary.measures
            page_tables.append(
                tables.build_page_table(next(numbers), sheet_level, gallery, measures, cards)
            )
        run_cards = [cards.runs[number] for number in sheet.runs]
        sheets.append(_PrintableSheet(sheet, run_cards, page_tables))
    return sheets


def _render_page(content: PageContent, files: PageFiles, cards: PageCards) -> str:
    sheets = _printable_sheets(content, cards)
    families: set[str] = set()
    for sheet in sheets:
        for table in sheet.tables:
            families.update(line.family for line in table.lines)
    script = (_HERE / "page.js").read_text("utf-8")
    style = (_HERE / "page.css").read_text("utf-8")
    return load_page_templates(_HERE).get_template("page.html.j2").render(
        sheets=sheets,
        families={name: text for name, text in tables.FAMILIES.items() if name in families},
        cards=cards,
        content=build_payload(content, files, FILES_FOLDER),
        generator=f"{_GENERATOR} {__version__}",
        script=script,
        style=style,
        script_hash=hash_for_policy(script),
        style_hash=hash_for_policy(style),
    )  # fmt: skip


def _remove_other_files(folder: Path, page_files: set[str]) -> None:
    """Remove what an earlier page left in its folder."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds comes before it
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in page_files:
            path.unlink()
