"""Writes the comparison page: `index.html` and, beside it, `comparison_files` with the pictures it
shows.

Style and script are part of `index.html`. Its content security policy names them by their hashes
and allows no others, so that nothing a run is called can become code, and nothing is fetched from
elsewhere.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark.api import UsageError
from benchmark.files import replace_file
from benchmark.reports.page import pictures, tables
from benchmark.reports.page.cards import PageCard, PageCards, collect_page_cards
from benchmark.reports.page.costs import PageCosts, read_page_costs
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
SCRIPTS = ("page.js", "viewer.js", "zoom.js", "crops.js", "keys.js")
"""Parts of the script, in order."""
LARGEST_FILE = 100_000_000
"""Bytes of a page in a single file; browsers take seconds and gigabytes for much more."""
_GENERATOR = "defocus-bench comparison page"
_FILE_SOURCES = "'self' file: data:"
_EMBEDDED_SOURCES = "data:"
_HERE = Path(__file__).parent


class PageOptions(NamedTuple):
    """What a page shows, and how.

    Attributes:
        dataset: limit to this id; None for all data sets of the runs.
        data: data root in which true blur maps are looked for; None for no maps.
        cost: folder of a cost pass, as the command `cost` writes it; None for one that is found.
        thumbnails: leave out the pictures themselves, and keep small copies of them.
        single_file: put the pictures into `index.html`.
    """

    dataset: str | None = None
    data: Path | None = None
    cost: Path | None = None
    thumbnails: bool = False
    single_file: bool = False


_EVERYTHING = PageOptions()


def write_comparison_page(
    results: Results, folder: Path, options: PageOptions = _EVERYTHING
) -> Path:
    """Write the comparison page of runs; return the path of its `index.html`.

    Several runs are read as one, as in all tables. The folder can be moved, and opens from disk.
    Its pictures are hard links to those of the runs where the file system allows it, else copies.

    Args:
        results: the runs.
        folder: where to write; made if need be.
        options: what is shown.

    Raises:
        UsageError: if the runs hold nothing (of that data set) that was scored, the folder holds
            another page, or a single file would be larger than browsers open well.
        DataError: a damaged picture of a run or of a data set, or a folder that cannot be written.
    """
    index = folder / "index.html"
    require_own_page(index, _GENERATOR)
    content = read_page_content(results, options.dataset)
    costs = read_page_costs(results, options.cost)
    files_folder = folder / FILES_FOLDER
    sources = pictures.find_page_pictures(results, content.galleries)
    if options.single_file and not options.thumbnails:
        _require_openable_size(sum(path.stat().st_size for path in sources.values()))
    files = pictures.write_page_files(
        sources, content.galleries, files_folder, options.data, thumbnails=options.thumbnails
    )
    embedded_files: dict[str, str] = {}
    if options.single_file:
        embedded_files = _encode_files(files_folder, files.paths())
    cards = collect_page_cards(results, content.origins)
    page = _render_page(content, files, cards, costs, embedded_files)
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(index) as file:
        file.write(page.encode())
    _remove_other_files(files_folder, set() if options.single_file else files.paths())
    return index


def measure_page_size(index: Path) -> int:
    """Return how many bytes a page takes, with its pictures.

    Args:
        index: as `write_comparison_page` gives it.
    """
    files = [path for path in (index.parent / FILES_FOLDER).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in (index, *files))


def _require_openable_size(size: int) -> None:
    """Refuse a single file with so many bytes of pictures if it would be too large."""
    encoded_size = size * 4 / 3
    if encoded_size > LARGEST_FILE:
        raise UsageError(
            f"--single-file: the file would have {encoded_size / 1e6:.0f} MB, more than the "
            f"{LARGEST_FILE / 1e6:.0f} MB that browsers open well; add --thumbnails, choose one "
            "--dataset, or leave --single-file out"
        )


def _encode_files(folder: Path, paths: Collection[str]) -> dict[str, str]:
    """Return URL of a file -> its bytes in base64.

    Raises:
        UsageError: if that is more than a page may have.
    """
    _require_openable_size(sum((folder / path).stat().st_size for path in paths))
    return {
        pictures.quote_path(path): base64.b64encode((folder / path).read_bytes()).decode()
        for path in sorted(paths)
    }


class _PrintableSheet(NamedTuple):
    """A sheet ready to print: its tables, and the cards of its runs."""

    sheet: Sheet
    runs: list[PageCard]
    tables: list[PageTable]


def _printable_sheets(
    content: PageContent, cards: PageCards, costs: PageCosts
) -> list[_PrintableSheet]:
    numbers = itertools.count()
    sheets = []
    for sheet in content.sheets:
        page_tables = []
        for sheet_level in sheet.levels:
            gallery = content.galleries[sheet_level.gallery]
            table = tables.build_page_table(
                next(numbers), sheet, sheet_level, gallery, cards, costs
            )
            page_tables.append(table)
        run_cards = [cards.runs[number] for number in sheet.runs]
        sheets.append(_PrintableSheet(sheet, run_cards, page_tables))
    return sheets


def _render_page(
    content: PageContent,
    files: PageFiles,
    cards: PageCards,
    costs: PageCosts,
    embedded_files: Mapping[str, str],
) -> str:
    sheets = _printable_sheets(content, cards, costs)
    families: set[str] = set()
    for sheet in sheets:
        for table in sheet.tables:
            families.update(line.family for line in table.lines)
    script = read_page_script()
    style = (_HERE / "page.css").read_text("utf-8")
    return load_page_templates(_HERE).get_template("page.html.j2").render(
        sheets=sheets,
        families={name: text for name, text in tables.FAMILIES.items() if name in families},
        cards=cards,
        content=build_payload(content, files, FILES_FOLDER),
        folder=FILES_FOLDER,
        embedded_files=embedded_files,
        image_sources=_EMBEDDED_SOURCES if embedded_files else _FILE_SOURCES,
        generator=f"{_GENERATOR} {__version__}",
        script=script,
        style=style,
        script_hash=hash_for_policy(script),
        style_hash=hash_for_policy(style),
    )  # fmt: skip


def read_page_script() -> str:
    """Return the script of the page: its parts in one block, so that none of their names is
    global.
    """
    parts = [(_HERE / name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join(['"use strict";', "{", *parts, "}", ""])


def _remove_other_files(folder: Path, page_files: set[str]) -> None:
    """Remove what an earlier page left in its folder."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds comes before it
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in page_files:
            path.unlink()
