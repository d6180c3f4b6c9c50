"""Crops side by side, as Figure 3 of the GKMNet paper: what methods make of the place where defocus
shows most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmark.api import Picture, Unavailable
from benchmark.metrics.psnr import Psnr
from benchmark.noise import Noise
from benchmark.reports import crops
from benchmark.reports.crops import CropWindow, SamplePictures
from benchmark.reports.figures import style
from benchmark.reports.figures.figure_data import FigureData
from benchmark.reports.figures.style import CaptionedFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PICTURES: Final = 4
_ACROSS: Final = 8
"""Crops in a line, at most; more of them are spread over several lines."""
_LARGEST: Final = 160
_SHARE: Final = 0.3
"""Side of a crop: this share of the picture's shorter side, but no more than _LARGEST pixels."""
_WHOLE_PICTURE_WIDTH: Final = 1.4
"""Width of the small whole view, in crops."""
_TEXT: Final = 0.34
"""Height of the texts above and below a crop, in inches."""
_LETTER: Final = 0.055
"""Width of a letter of them."""


class _CropBlock(NamedTuple):
    """What is shown of one picture."""

    sample: str
    pictures: SamplePictures
    window: CropWindow


def draw_crops_figure(data: FigureData) -> CaptionedFigure:
    """Draw the first pictures of the runs (or those asked for) at the lowest noise level, a block
    of crops for each.

    Raises:
        Unavailable: if the runs kept no pictures.
    """
    level = data.levels[0]
    blocks = list(_crop_blocks(data, level))
    if not blocks:
        raise Unavailable("the pictures of the runs are no longer there; run again")
    caption = [
        f"Crops of {data.dataset} at noise {level}, at the box in the whole view, which shows the "
        "input."
    ]
    has_target = [block.pictures.target is not None for block in blocks]
    if any(has_target):
        caption.append(_WITH_TARGET)
    if not all(has_target):
        caption.append(_WITHOUT_TARGET)
    samples = [block.sample for block in blocks]
    choice = "chosen by hand" if data.options.samples else "the first of the runs"
    caption.append(f"Pictures: {', '.join(samples)} ({choice}).")
    caption += data.describe(samples)
    return CaptionedFigure(_layout_crops(data, blocks), caption)


_WITH_TARGET = (
    "Box: where the input differs most from the target. Under each crop: its PSNR against the "
    "target, of the crop alone and of 8-bit pictures, so not the score that tables print."
)
_WITHOUT_TARGET = (
    "Without a target the box is where sharp and blurred texture meet most sharply in the input, "
    "or the middle where there is too little texture to tell."
)


def _crop_blocks(data: FigureData, level: Noise) -> Iterator[_CropBlock]:
    most = len(data.options.samples) or _PICTURES
    for sample, outputs in list(data.outputs(level).items())[:most]:
        pictures = crops.read_sample_pictures(outputs)
        if pictures is not None:
            side = min(_LARGEST, round(_SHARE * min(pictures.input.shape[:2])))
            window = crops.find_crop_window(pictures.input, pictures.target, side)
            yield _CropBlock(sample, pictures, window)


def _layout_crops(data: FigureData, blocks: Sequence[_CropBlock]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    most = max(len(block.pictures.by_name()) for block in blocks)
    down = -(-most // _ACROSS)
    across = -(-most // down)
    side = style.PAGE / (across + _WHOLE_PICTURE_WIDTH)
    narrow = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=(style.PAGE, len(blocks) * down * (side + _TEXT)), layout=narrow)
    grid = figure.add_gridspec(
        len(blocks) * down, across + 1, width_ratios=[_WHOLE_PICTURE_WIDTH, *[1] * across]
    )
    for number, block in enumerate(blocks):
        top = number * down
        _draw_whole_picture(figure.add_subplot(grid[top : top + down, 0]), block, side)
        for index, (name, picture) in enumerate(block.pictures.by_name().items()):
            line, column = divmod(index, across)
            axes = figure.add_subplot(grid[top + line, 1 + column])
            _show_picture(axes, block.window.cut(picture))
            title = name if name == "target" else data.title(name)
            _set_crop_title(axes, title, side)
            if block.pictures.target is not None and name != "target":
                psnr = _format_crop_psnr(picture, block.pictures.target, block.window)
                axes.set_xlabel(psnr, labelpad=2, size=6.5)
    return figure


def _draw_whole_picture(axes: Axes, block: _CropBlock, side: float) -> None:
    from matplotlib.patches import Rectangle

    _show_picture(axes, block.pictures.input)
    window = block.window
    corner = (window.left - 0.5, window.top - 0.5)
    for colour, width in (("white", 2.2), (style.VERMILION, 1.1)):  # the rim is seen on any picture
        box = Rectangle(corner, window.width, window.height, fill=False)
        box.set(edgecolor=colour, linewidth=width)
        axes.add_patch(box)
    _set_crop_title(axes, block.sample, _WHOLE_PICTURE_WIDTH * side)


def _set_crop_title(axes: Axes, text: str, width: float) -> None:
    """Write a name above a picture of that width in inches."""
    title = style.wrap_name(text, int(width / _LETTER))
    axes.set_title(title, pad=2, size=6.5, verticalalignment="bottom")


def _show_picture(axes: Axes, picture: Picture) -> None:
    axes.imshow(np.rint(picture * 255).astype(np.uint8))
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def _format_crop_psnr(picture: Picture, target: Picture, window: CropWindow) -> str:
    if picture.shape != target.shape:
        return ""
    return f"{Psnr()(window.cut(picture), window.cut(target)):.2f} dB"
