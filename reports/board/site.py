"""Writes the board: `index.html`, which holds all results, its style and its script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.files import replace_file
from benchmark.reports import grid
from benchmark.reports.board.board_costs import describe_costs
from benchmark.reports.board.method_facts import describe_methods
from benchmark.reports.board.numbers import collect_numbers
from benchmark.reports.board.printed import list_printed_lines
from benchmark.reports.figures import style
from benchmark.reports.self_contained import (
    hash_for_policy,
    load_page_templates,
    require_own_page,
)
from benchmark.results import Results
from benchmark.results.publication import Publication, publish_record
from benchmark.results.run_record import RunRecord
from benchmark.version import __version__

_GENERATOR = "defocus-bench board"
_HERE = Path(__file__).parent
_PARTS = ("state.js", "sheets.js", "plots.js", "views.js", "method.js", "controls.js")
"""The script, in the order in which its parts need each other."""


def write_board(
    records: Sequence[RunRecord], folder: Path, *, cost_folder: Path | None = None
) -> Path:
    """Write the board of some results; return the path of its `index.html`.

    Nothing that is private leaves the machine: of the results, the board shows what a bundle of
    them would hold.

    Args:
        records: runs, bundles and exported files; of what several hold, the last one's counts.
        folder: where to write; made if need be.
        cost_folder: of a cost pass; None for no costs.

    Raises:
        UsageError: the results hold no cells, or the folder holds another page.
        DataError: damaged costs, or a folder that cannot be written.
    """
    index = folder / "index.html"
    require_own_page(index, _GENERATOR)
    page = render_board([publish_record(record) for record in records], cost_folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(index) as file:
        file.write(page.encode())
    return index


def render_board(publications: Sequence[Publication], cost_folder: Path | None) -> str:
    """Return the board of results that may leave the machine; see `write_board`."""
    content = build_board_content(publications, cost_folder)
    script = "\n".join((_HERE / name).read_text("utf-8") for name in _PARTS)
    page_style = (_HERE.parent / "page" / "page.css").read_text("utf-8")
    look = page_style + (_HERE / "board.css").read_text("utf-8")
    return load_page_templates(_HERE).get_template("board.html.j2").render(
        content=content,
        generator=f"{_GENERATOR} {__version__}",
        script=script,
        style=look,
        script_hash=hash_for_policy(script),
        style_hash=hash_for_policy(look),
    )  # fmt: skip


def build_board_content(
    publications: Sequence[Publication], cost_folder: Path | None
) -> dict[str, Any]:
    """Return what the script of the board reads, ready for JSON; methods, columns, measures,
    commands and notes are referred to by their places in lists.
    """
    results = Results([publication.record for publication in publications])
    numbers = collect_numbers(results)
    public_ids = {
        own_id: public_id
        for publication in publications
        for own_id, public_id in publication.method_ids.items()
    }
    return {
        **numbers.as_payload(),
        "methods": describe_methods(results, numbers.methods, numbers.rulers),
        "costs": describe_costs(cost_folder, public_ids, numbers.methods),
        **list_printed_lines(results, numbers.methods),
        "colours": list(style.COLOURS),
        "latex": dict(grid.LATEX_ESCAPES),
    }
