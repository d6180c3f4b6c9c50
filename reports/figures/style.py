"""What all figures share: sizes for a paper, one palette, one look per method, files that are the
same each time.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmark.api import Picture
from benchmark.files import replace_file
from benchmark.results.significance import INPUT
from benchmark.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN: Final = 3.35
"""Width in inches of one column of a two-column paper."""
PAGE: Final = 6.9
"""Width in inches of both columns."""
DPI: Final = 220

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#888888"
"""Okabe and Ito's colours, which the colour-blind tell apart; without yellow, which is lost on
white.
"""
DIVERGING: Final = "PuOr"
SEQUENTIAL: Final = "viridis"

_LETTER: Final = 0.052
"""Inches that a letter of a legend takes."""
_LEGEND_HANDLE_WIDTH: Final = 0.45
"""Inches that stand around a label: its handle and a gap."""

MOST_METHODS: Final = 6
"""More curves than these are not told apart."""
COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS: Final = "osD^vP"
_LEAST_RATIO: Final = 4.0
"""Of the ends of a logarithmic axis; between closer ones there is no room for numbers."""
_SHADE: Final = 0.72
"""Of a colour for letters, which are too thin to be read in a light one."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "font.family": [
        "DejaVu Sans"
    ],  # comes with matplotlib, so that figures are the same on every machine
    "figure.dpi": DPI,  # what is measured before a figure is saved is then what is saved
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "image.interpolation": "nearest",
    # names of pictures and methods are text, also where they hold dollars
    "text.parse_math": False,
    "pdf.fonttype": 42,  # publishers refuse Type 3
}


@dataclass(frozen=True, slots=True, eq=False)
class CaptionedFigure:
    """A figure and what must be said beside it, a sentence or paragraph each.

    Attributes:
        single_pictures: name of a file -> a picture of the figure, H x W x 3 in [0, 1].
    """

    figure: Figure
    caption: Sequence[str]
    single_pictures: Mapping[str, Picture] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MethodLook:
    """How a method is drawn, so that it can be told apart by colour, marker or line alone.

    Attributes:
        colour, marker, line: as matplotlib takes them.
        competes: drawn hollow if not: it saw the truth or was told the noise level.
    """

    colour: str
    marker: str
    line: Any
    competes: bool = True

    def point_style(self) -> dict[str, Any]:
        """Return the keywords of `plot` and `errorbar` for markers."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markerfacecolor": self.colour if self.competes else "white",
            "markeredgewidth": 0.9,
        }

    def line_style(self) -> dict[str, Any]:
        """Return the keywords of `plot` and `errorbar` for a line with markers."""
        return {**self.point_style(), "linestyle": self.line}


def choose_method_looks(
    methods: Sequence[str], drawn: Collection[str] = (), unranked: Collection[str] = ()
) -> dict[str, MethodLook]:
    """Return the look of each method: `input` is black, those that are drawn differ in colour and
    in marker, the others are grey.

    A method has the colour of its place among all, whichever are drawn; where two of the drawn ones
    would share it, the later one has the first that is free.

    Args:
        methods: ids, the best first.
        drawn: those that must be told apart, at most `MOST_METHODS` besides `input`; empty for the
            first ones.
        unranked: those that do not compete.
    """
    others = [name for name in methods if name != INPUT]
    coloured = [name for name in others if name in drawn] if drawn else others[:MOST_METHODS]
    places: dict[str, int] = {}
    for name in coloured:
        own_place = others.index(name) % MOST_METHODS
        free_places = [place for place in range(MOST_METHODS) if place not in places.values()]
        places[name] = own_place if own_place in free_places else free_places[0]
    looks = {INPUT: MethodLook(BLACK, "x", ":")}
    for name in others:
        competes = name not in unranked
        looks[name] = MethodLook(GREY, "o", "-", competes)
        if name in places:
            place = places[name]
            looks[name] = MethodLook(COLOURS[place], _MARKERS[place], "-", competes)
    return looks


def darken(colour: str) -> str:
    """Return the shade of a colour that letters are read in."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    return to_hex((red * _SHADE, green * _SHADE, blue * _SHADE))


def use_paper_style() -> AbstractContextManager[None]:
    """Return a context in which figures are drawn and saved in the style of a paper."""
    import matplotlib as mpl

    return mpl.rc_context(dict(_SETTINGS))  # type: ignore[arg-type]  # its stubs spell out every key


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.pdf and NAME.png, without dates, so that the same figure is the same bytes; return
    the files.
    """
    paths = []
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=DPI, metadata=metadata)
        path = folder / f"{name}.{suffix}"
        with replace_file(path) as file:
            file.write(content.getvalue())
        paths.append(path)
    return paths


def error_bar_lengths(interval: Interval) -> tuple[float, float]:
    """Return how far an interval goes below and above its mean; 0 where it has no bounds."""
    if interval.low is None or interval.high is None:
        return 0.0, 0.0
    return interval.mean - interval.low, interval.high - interval.mean


def set_logarithmic_axis(axes: Axes, label: str) -> None:
    """Make the horizontal axis logarithmic, with plain numbers at its ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.margins(x=0.12)
    low, high = axes.get_xlim()
    if high < _LEAST_RATIO * low:
        middle = (low * high) ** 0.5
        low, high = axes.set_xlim(middle / _LEAST_RATIO**0.5, middle * _LEAST_RATIO**0.5)
    steps = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def add_figure_legend(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Put a legend (label -> handle) below a figure, in as many columns as fit."""
    longest = max(map(len, entries), default=0)
    columns = int(figure.get_figwidth() / (_LEGEND_HANDLE_WIDTH + _LETTER * longest))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=max(1, columns)
    )


def method_labels(titles: Mapping[str, str]) -> dict[str, str]:
    """Return a label for each method, different for all of them.

    Args:
        titles: id -> the id and the marks that captions explain. Long ids lose their middle, never
            their marks.
    """
    for longest in (40, 60, 80):
        short_labels = {
            name: _shorten_label(name, title.removeprefix(name), longest)
            for name, title in titles.items()
        }
        if len(set(short_labels.values())) == len(short_labels):
            return short_labels
    return {name: printable_name(title, 1000) for name, title in titles.items()}


def _shorten_label(name: str, marks: str, longest: int) -> str:
    label = printable_name(name, 1000)
    room = longest - len(marks)
    if len(label) > room:
        tail = (room - 1) // 2
        label = f"{label[: room - 1 - tail]}…{label[-tail:]}"
    return label + marks


def printable_name(text: str, longest: int = 40) -> str:
    """Return a name as one line of at most `longest` characters that the font has; `?` stands for
    any other.
    """
    characters = _font_characters()
    one_line = " ".join(text.split())
    unknown = {ord(char): "?" for char in one_line if ord(char) not in characters}
    label = one_line.translate(unknown)
    return label if len(label) <= longest else label[: longest - 1] + "…"


def wrap_name(text: str, width: int, most: int = 2) -> str:
    """Return a name broken into at most `most` lines of `width` characters, between parameters or
    else after other punctuation where that is possible.

    What is too long for them ends in an ellipsis.
    """
    wrapped = [""]
    for part in _break_name(printable_name(text, 1000), width):
        is_full = len(wrapped[-1] + part) > width
        if is_full and wrapped[-1] and len(wrapped) < most:
            wrapped.append("")
        wrapped[-1] += part
    return "\n".join(printable_name(line, width) for line in wrapped)


def _break_name(name: str, width: int) -> list[str]:
    """Return the parts of a name that may stand in different lines of that width."""
    parts = []
    for parameter in re.findall("[^:,]*[:,]?", name):
        is_short = len(parameter) <= width
        parts += [parameter] if is_short else re.findall("[^-=. ]*[-=. ]?", parameter)
    return parts


@functools.cache
def _font_characters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap())
