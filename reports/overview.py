"""One picture to look at first: crops of what every method made of the first pictures of a run,
side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from benchmark.cells import Cell
from benchmark.files import replace_file
from benchmark.reports import crops
from benchmark.reports.contact_sheet import ByteImage, fit_label, to_byte_image
from benchmark.store import Store

_CROP = 192
_PICTURES = 5
_MARGIN = 4
_LABEL = 18


class _OverviewLine(NamedTuple):
    """One line of the overview: labels and crops."""

    sample: str
    crops: list[tuple[str, ByteImage]]


def write_overview(store: Store, path: Path, dataset: str | None = None) -> Path | None:
    """Write the overview of a run; return its path, or None if the run kept no pictures.

    Each line is one picture at the lowest noise level of the run, cropped where the defocus cost
    most (where there is a target) or at its centre, at its own pixel size.
    """
    lines = []
    for outputs in _first_outputs(store, dataset):
        line = _crop_line(store.folder, outputs)
        if line is not None:
            lines.append(line)
    if not lines:
        return None
    sheet = _draw_crop_sheet(lines)
    with replace_file(path) as file:
        sheet.save(file, "PNG")
    return path


def _first_outputs(store: Store, dataset: str | None) -> list[list[tuple[Cell, str]]]:
    """Return (cell, output) of the first data set (or the one named), by sample."""
    outputs = [
        (cell, output) for cell, output in store.outputs() if dataset in (None, cell.dataset)
    ]
    if not outputs:
        return []
    first = outputs[0][0]
    lowest_sigma = min(cell.noise.sigma for cell, _ in outputs)
    by_sample: dict[str, list[tuple[Cell, str]]] = {}
    for cell, output in outputs:
        same_pictures = (cell.dataset, cell.track) == (first.dataset, first.track)
        if same_pictures and cell.noise.sigma == lowest_sigma:
            by_sample.setdefault(cell.sample, []).append((cell, output))
    return list(by_sample.values())[:_PICTURES]


def _crop_line(folder: Path, outputs: Sequence[tuple[Cell, str]]) -> _OverviewLine | None:
    pictures = crops.read_sample_pictures([(folder, cell, output) for cell, output in outputs])
    if pictures is None:
        return None
    window = crops.find_crop_window(pictures.input, pictures.target, _CROP)
    line_crops = [
        (name, to_byte_image(window.cut(picture))) for name, picture in pictures.by_name().items()
    ]
    return _OverviewLine(outputs[0][0].sample, line_crops)


def _draw_crop_sheet(lines: Sequence[_OverviewLine]) -> Image.Image:
    columns = max(len(line.crops) for line in lines)
    step = _CROP + _MARGIN
    size = (columns * step + _MARGIN, len(lines) * (step + _LABEL) + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for number, line in enumerate(lines):
        top = _MARGIN + number * (step + _LABEL)
        for column, (name, crop) in enumerate(line.crops):
            left = _MARGIN + column * step
            label = f"{line.sample}: {name}" if column == 0 else name
            pen.text((left, top), fit_label(label, font, _CROP), fill="black", font=font)
            sheet.paste(Image.fromarray(crop), (left, top + _LABEL))
    return sheet
