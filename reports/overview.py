"""One picture to look at first: crops of what every method made of the first pictures of a run,
side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark.api import Picture
from benchmark.cells import Cell
from benchmark.files import replace_file
from benchmark.reports import crops
from benchmark.store import Store

_CROP = 192
_PICTURES = 5
_MARGIN = 4
_LABEL = 18


class _CropLine(NamedTuple):
    """One line of the overview: labels and crops."""

    sample: str
    crops: list[tuple[str, NDArray[np.uint8]]]


def write_overview(store: Store, path: Path, dataset: str | None = None) -> Path | None:
    """Write the overview of a run; return its path, or None if the run kept no pictures.

    Each line is one picture at the lowest noise level of the run, cropped where the defocus cost
    most (where there is a target) or at its centre, at its own pixel size.
    """
    strips = [
        strip
        for cells in _first_outputs(store, dataset)
        if (strip := _crop_line(store.folder, cells))
    ]
    if not strips:
        return None
    sheet = _draw_crop_sheet(strips)
    with replace_file(path) as file:
        sheet.save(file, "PNG")
    return path


def _first_outputs(store: Store, dataset: str | None) -> list[list[tuple[Cell, str]]]:
    """Return (cell, output) of the first data set (or the one named), by sample."""
    kept = [
        (cell, known.output)
        for cell, known in store.cells()
        if known.status == "ok" and known.output and dataset in (None, cell.dataset)
    ]
    if not kept:
        return []
    level = min(cell.noise.sigma for cell, _ in kept)
    first = kept[0][0]
    same = [
        (c, o)
        for c, o in kept
        if (c.dataset, c.track, c.noise.sigma) == (first.dataset, first.track, level)
    ]
    samples = list(dict.fromkeys(cell.sample for cell, _ in same))[:_PICTURES]
    return [
        [(cell, output) for cell, output in same if cell.sample == sample] for sample in samples
    ]


def _crop_line(folder: Path, cells: Sequence[tuple[Cell, str]]) -> _CropLine | None:
    views = crops.read_sample_pictures([(folder, cell, output) for cell, output in cells])
    if views is None:
        return None
    close = crops.find_crop_window(views.seen, views.target, _CROP)
    return _CropLine(
        cells[0][0].sample,
        [(name, _bytes(close.of(picture))) for name, picture in views.shown().items()],
    )


def _bytes(picture: Picture) -> NDArray[np.uint8]:
    return np.rint(picture * 255).astype(np.uint8)


def _draw_crop_sheet(strips: Sequence[_CropLine]) -> Image.Image:
    columns = max(len(strip.crops) for strip in strips)
    step = _CROP + _MARGIN
    sheet = Image.new(
        "RGB", (columns * step + _MARGIN, len(strips) * (step + _LABEL) + _MARGIN), "white"
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for line, strip in enumerate(strips):
        top = _MARGIN + line * (step + _LABEL)
        for column, (name, crop) in enumerate(strip.crops):
            left = _MARGIN + column * step
            label = f"{strip.sample}: {name}" if column == 0 else name
            draw.text((left, top), _printable(label, font), fill="black", font=font)
            sheet.paste(Image.fromarray(crop), (left, top + _LABEL))
    return sheet


def _printable(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return as much of a label as fits above a crop; the built-in font knows Latin
    letters only.
    """
    plain = text.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    while font.getlength(plain) > _CROP:
        plain = plain[:-2] + "…" if plain.endswith("…") else plain[:-1] + "…"
    return plain
