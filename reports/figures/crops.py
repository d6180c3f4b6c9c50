"""Crops side by side, as Figure 3 of the GKMNet paper: the whole picture with boxes, and what
methods make of each, with scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmark.api import Picture, Unavailable, UsageError
from benchmark.metrics.psnr import Psnr
from benchmark.reports import crops
from benchmark.reports.crops import CropWindow, SamplePictures
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData
from benchmark.reports.figures.style import CaptionedFigure
from benchmark.results.significance import INPUT
from benchmark.run_layout import file_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PICTURES: Final = 4
_ACROSS: Final = 8
"""Crops in a line, at most; more of them are spread over several lines."""
_LARGEST: Final = 160
_SHARE: Final = 0.3
"""Side of a crop: this share of the picture's shorter side, but no more than _LARGEST pixels."""
_WHOLE_WIDTHS: Final = (1.0, 2.4)
"""Least and greatest width of the whole view, in crops."""
_TITLES: Final = 0.26
"""Height of the names above crops, in inches."""
_TITLE: Final = 0.13
"""Height of the name above the whole view alone."""
_SCORE: Final = 0.12
"""Height of the scores below crops."""
_LETTER: Final = 0.055
"""Width of a letter of them."""
_BOX_COLOURS: Final = (style.ORANGE, style.SKY, style.GREEN, style.PURPLE, style.VERMILION)


class _CropBlock(NamedTuple):
    """What is shown of one picture."""

    sample: str
    pictures: SamplePictures
    windows: Sequence[CropWindow]


class _CropLine(NamedTuple):
    """A line of crops of one window: the pictures by name, whether names stand above, and whether
    it is the first of its block.
    """

    block: _CropBlock
    number: int
    pictures: dict[str, Picture]
    has_titles: bool
    is_first: bool

    @property
    def window(self) -> CropWindow:
        """What is cut out."""
        return self.block.windows[self.number]


def check_boxes(data: FigureData) -> None:
    """Refuse boxes that a picture does not have.

    Raises:
        UsageError: a box that reaches out of a picture that the figure shows.
    """
    for block in _crop_blocks(data) if data.options.boxes else ():
        height, width = block.pictures.input.shape[:2]
        for box in block.windows:
            if box.left + box.width > width or box.top + box.height > height:
                raise UsageError(
                    f"--box {box.left},{box.top},{box.width},{box.height}: {block.sample} is "
                    f"{width} x {height} pixels, so that x + w may be at most {width} and y + h "
                    f"at most {height}; choose another box, or another picture with --sample"
                )


def draw_crops_figure(data: FigureData) -> CaptionedFigure:
    """Draw the first pictures of the runs (or those asked for) at the lowest noise level, a block
    of crops for each.

    Raises:
        Unavailable: if the runs kept no pictures.
    """
    if data.options.methods:
        data = data.with_all_methods()
    level = data.levels[0]
    blocks = list(_crop_blocks(data))
    if not blocks:
        raise Unavailable("the pictures of the runs are no longer there; run again")
    caption = [
        f"Crops of {data.dataset} at noise {level}, at the boxes in the whole view, which shows "
        "the input.",
        *_explain_windows(data, blocks),
    ]
    samples = [block.sample for block in blocks]
    choice = "chosen by hand" if data.options.samples else "the first of the runs"
    caption.append(f"Pictures: {', '.join(samples)} ({choice}).")
    caption += data.describe(samples)
    return CaptionedFigure(_layout_crops(data, blocks), caption, _cut_single_crops(blocks))


def _explain_windows(data: FigureData, blocks: Sequence[_CropBlock]) -> Iterator[str]:
    """Yield how boxes were chosen, and what the scores are."""
    has_target = [block.pictures.target is not None for block in blocks]
    if data.options.boxes:
        yield "Boxes were chosen by hand."
    elif any(has_target):
        yield "Box: where the input differs most from the target."
    if any(has_target):
        yield _SCORES
    if not all(has_target) and not data.options.boxes:
        yield _WITHOUT_TARGET


_SCORES = (
    "Under each crop: its PSNR against the target, of the crop alone and of 8-bit pictures, so not "
    "the score that tables print; bold: the best of those that compete."
)
_WITHOUT_TARGET = (
    "Without a target the box is where sharp and blurred texture meet most sharply in the input, "
    "or the middle where there is too little texture to tell."
)


def _crop_blocks(data: FigureData) -> Iterator[_CropBlock]:
    most = len(data.options.samples) or _PICTURES
    for sample, outputs in list(data.outputs(data.levels[0]).items())[:most]:
        pictures = crops.read_sample_pictures(
            [(each.folder, each.cell, each.output) for each in outputs]
        )
        if pictures is not None:
            yield _CropBlock(sample, pictures, data.options.boxes or [_choose_window(pictures)])


def _choose_window(pictures: SamplePictures) -> CropWindow:
    side = min(_LARGEST, round(_SHARE * min(pictures.input.shape[:2])))
    return crops.find_crop_window(pictures.input, pictures.target, side)


def _cut_single_crops(blocks: Sequence[_CropBlock]) -> dict[str, Picture]:
    """Return file name -> crop: PICTURE/METHOD.BOX.png, boxes numbered from 1."""
    single_crops = {}
    for block in blocks:
        for number, window in enumerate(block.windows, 1):
            for name, picture in block.pictures.by_name().items():
                path = f"{file_name(block.sample)}/{file_name(name)}.{number}.png"
                single_crops[path] = window.cut(picture)
    return single_crops


# Layout
# --------------------------------------------------------------------------------------------------


def _layout_crops(data: FigureData, blocks: Sequence[_CropBlock]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = list(_crop_lines(blocks))
    across = max(len(line.pictures) for line in lines)
    whole = _whole_width(blocks, len(lines) // len(blocks))
    side = style.PAGE / (across + whole)
    crop_heights = [side * line.window.height / line.window.width for line in lines]
    text_heights = [_text_height(line) for line in lines]
    narrow = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    height = sum(crop_heights) + sum(text_heights)
    figure = Figure(figsize=(style.PAGE, height), layout=narrow)
    shape = (len(lines), across + 1)
    widths = [whole, *[1] * across]
    grid = figure.add_gridspec(*shape, width_ratios=widths, height_ratios=crop_heights)
    for block in blocks:
        own_lines = [number for number, line in enumerate(lines) if line.block is block]
        axes = figure.add_subplot(grid[own_lines[0] : own_lines[-1] + 1, 0])
        _draw_whole_picture(axes, block, whole * side)
        for number in own_lines:
            panels = [figure.add_subplot(grid[number, 1 + column]) for column in range(across)]
            _draw_crop_line(data, panels, lines[number], side)
    return figure


def _crop_lines(blocks: Sequence[_CropBlock]) -> Iterator[_CropLine]:
    """Yield the lines of crops; names are above a line unless they would repeat those above it."""
    names_above: list[str] = []
    most = max(len(block.pictures.by_name()) for block in blocks)
    across = -(-most // -(-most // _ACROSS))
    for block in blocks:
        for number in range(len(block.windows)):
            pictures = list(block.pictures.by_name().items())
            for start in range(0, len(pictures), across):
                part = dict(pictures[start : start + across])
                is_first = number == 0 and start == 0
                yield _CropLine(block, number, part, [*part] != names_above, is_first)
                names_above = [*part]


def _whole_width(blocks: Sequence[_CropBlock], lines_of_block: int) -> float:
    """Return the width of the whole view in crops, so that it is about as high as its lines."""
    shapes = [block.pictures.input.shape for block in blocks]
    aspect = max(width / height for height, width, _ in shapes)
    windows = blocks[0].windows
    height = sum(window.height / window.width for window in windows)
    least, greatest = _WHOLE_WIDTHS
    return float(np.clip(aspect * height * lines_of_block / len(windows), least, greatest))


def _text_height(line: _CropLine) -> float:
    """Return the height of what stands above and below a line, in inches."""
    title_height = _TITLE if line.is_first else 0.0
    title_height = _TITLES if line.has_titles else title_height
    score_height = 0.0 if line.block.pictures.target is None else _SCORE
    return title_height + score_height


def _draw_crop_line(data: FigureData, panels: Sequence[Axes], line: _CropLine, side: float) -> None:
    target = line.block.pictures.target
    psnrs = {
        name: _crop_psnr(picture, target, line.window)
        for name, picture in line.pictures.items()
        if target is not None and name != "target"
    }
    best = _best_competitor(data, line.block, line.window)
    for axes, (name, picture) in zip(panels, line.pictures.items(), strict=False):
        _show_picture(axes, line.window.cut(picture))
        if len(line.block.windows) > 1:
            axes.spines[:].set(visible=True, color=_box_colour(line.number), linewidth=1.4)
        if line.has_titles:
            _set_crop_title(axes, name if name == "target" else data.title(name), side)
        psnr = psnrs.get(name)
        if psnr is not None:
            weight = "bold" if name == best else "normal"
            axes.set_xlabel(f"{psnr:.2f} dB", labelpad=2, size=6.5, weight=weight)
    for axes in panels[len(line.pictures) :]:
        axes.set_visible(False)


def _best_competitor(data: FigureData, block: _CropBlock, window: CropWindow) -> str | None:
    """Return the method with the best crop: neither the input, nor one that was given the truth."""
    psnrs = {}
    for name, picture in block.pictures.outputs.items():
        if name != INPUT and data.looks[name].competes and block.pictures.target is not None:
            psnrs[name] = _crop_psnr(picture, block.pictures.target, window) or -np.inf
    return max(psnrs, key=psnrs.__getitem__) if psnrs else None


def _draw_whole_picture(axes: Axes, block: _CropBlock, width: float) -> None:
    from matplotlib.patches import Rectangle

    _show_picture(axes, block.pictures.input)
    for number, window in enumerate(block.windows):
        corner = (window.left - 0.5, window.top - 0.5)
        # the rim is seen on any picture
        for colour, line_width in (("white", 2.2), (_box_colour(number), 1.2)):
            box = Rectangle(corner, window.width, window.height, fill=False)
            box.set(edgecolor=colour, linewidth=line_width)
            axes.add_patch(box)
    _set_crop_title(axes, block.sample, width)


def _box_colour(number: int) -> str:
    return _BOX_COLOURS[number % len(_BOX_COLOURS)]


def _set_crop_title(axes: Axes, text: str, width: float) -> None:
    """Write a name above a picture of that width in inches."""
    title = style.wrap_name(text, int(width / _LETTER))
    axes.set_title(title, pad=2, size=6.5, verticalalignment="bottom")


def _show_picture(axes: Axes, picture: Picture) -> None:
    axes.imshow(np.rint(picture * 255).astype(np.uint8))
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def _crop_psnr(picture: Picture, target: Picture, window: CropWindow) -> float | None:
    """Return the PSNR of a crop in dB; None where the pictures differ in size."""
    if picture.shape != target.shape:
        return None
    return float(Psnr()(window.cut(picture), window.cut(target)))
