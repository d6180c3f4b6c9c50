"""Blur maps scored: tables against true maps and masks, and a strip of pictures to look at.

Every mean is over the same pictures for all methods: those whose truth allows the measure. A method
that failed on one of them gets no mean but a footnote.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark import apply, imageio, map_scores, noise
from benchmark.api import Map, Sample
from benchmark.files import replace_file
from benchmark.map_scores import ESTIMATE_CONSTANT, MapRow
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.reports import footnotes, summaries, tables
from benchmark.reports.summaries import Entry, Summary
from benchmark.stats import mean_interval

if TYPE_CHECKING:
    import pandas as pd

ByteImage = NDArray[np.uint8]

_LEVEL = ["noise", "clip", "round8", "seed"]
_TEXTS = ("pearson_reason", "auc_reason", "traceback")
_NUMBERS = [
    column
    for column in map_scores.MAP_COLUMNS[map_scores.MAP_COLUMNS.index("columns_dropped") :]
    if column not in _TEXTS
]


def _measure_card(
    title: str, unit: str = "", *, higher: bool = False, digits: int = 3
) -> MeasureCard:
    return MeasureCard(
        metric=title,
        quantity=title,
        title=title,
        unit=unit,
        higher_is_better=higher,
        digits=digits,
    )


_MAP_MEASURES: Final = {
    "mae_px": _measure_card("MAE", "px"),
    "rmse_px": _measure_card("RMSE", "px"),
    "absolute_bias_px": _measure_card("absolute bias", "px"),
    "pearson": _measure_card("Pearson r", higher=True),
}
_MASK_MEASURES: Final = {
    "auc": _measure_card("ROC AUC", higher=True),
    "f03": _measure_card("best F0.3", higher=True),
    "f1": _measure_card("best F1", higher=True),
}
_BIN_MEASURES: Final = {
    column: _measure_card(f"MAE at {column.removeprefix('mae_px ')}", "px")
    for column in map_scores.MAP_COLUMNS
    if column.startswith("mae_px ")
}


class MapReport(NamedTuple):
    """What `write_map_report` wrote: the summaries (for the terminal), the table file, and the
    strip if there was a map to show.
    """

    summaries: list[Summary]
    table: Path
    strip: Path | None


def write_map_report(
    rows: Sequence[MapRow],
    methods: Sequence[PlannedMethod],
    data: PlannedDataset,
    folder: Path,
    *,
    form: tables.Format = "markdown",
) -> MapReport:
    """Write the tables and the picture strip of `map_scores.score_maps` into its folder.

    Args:
        rows: what `map_scores.score_maps` returned.
        methods, data: what it was given.
        folder: the folder it was given; the strip reads the maps there.
        form: `markdown` writes `maps.md`, `latex` `maps.tex`, `csv` `summary.csv` (`maps.csv` has
            the pictures).
    """
    made = summarise_maps(rows, methods, data)
    table = folder / {"markdown": "maps.md", "latex": "maps.tex", "csv": "summary.csv"}[form]
    with replace_file(table) as file:
        file.write(tables.write(made, form).encode())
    return MapReport(made, table, write_map_strip(rows, data, folder, folder / "maps.png"))


# Tables
# --------------------------------------------------------------------------------------------------


def summarise_maps(
    rows: Sequence[MapRow], methods: Sequence[PlannedMethod], data: PlannedDataset
) -> list[Summary]:
    """Return the tables that the truth of the data set allows: true maps (two of them), masks.

    Without any score there is one table without measures, whose footnotes say what came of the
    methods.
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    frame[_NUMBERS] = frame[_NUMBERS].astype("float64")
    frame["absolute_bias_px"] = frame["bias_px"].abs()
    maker = _MapTables(frame, methods, data)
    facts = maker.facts()
    found: list[Summary] = []
    if frame["n_px"].notna().any():
        found.append(
            maker.table(
                "blur maps",
                _MAP_MEASURES,
                [_MAP_NOTE, *maker.constant(), *maker.signed_bias(), *facts],
            )
        )
        found.append(maker.table("blur maps by true sigma", _BIN_MEASURES, maker.bin_counts()))
    if frame["mask_px"].notna().any():
        found.append(
            maker.table(
                "out-of-focus detection",
                _MASK_MEASURES,
                [_MASK_NOTE, *maker.chance(), *(() if found else facts)],
            )
        )
    return found or [
        maker.table(
            "blur maps", {}, ["No map could be scored: no true map or mask, or no map.", *facts]
        )
    ]


_MAP_NOTE = (
    "Sigma of the Gaussian-equivalent blur in pixels, no scale or offset fitted; absolute bias: "
    "mean over pictures of "
    "the absolute value of each picture's mean error."
)
_MASK_NOTE = (
    "A pixel's score is its sigma. Best F: at the threshold that suits each picture best, so an "
    "upper bound for any "
    "rule; F0.3 has beta^2 = 0.3."
)


class _MapTables:
    """Makes the tables of one set of rows."""

    def __init__(
        self, frame: pd.DataFrame, methods: Sequence[PlannedMethod], data: PlannedDataset
    ) -> None:
        self._frame, self._methods, self._data = frame, methods, data

    def table(
        self, what: str, measures: Mapping[str, MeasureCard], about: Sequence[str]
    ) -> Summary:
        """Return one table; `about` are footnotes of its own."""
        notes: list[str] = []
        rows = [
            row
            for level, block in self._levels()
            for row in _mark_best(
                [self._row(level, method, block, measures, notes) for method in self._methods],
                measures,
            )
        ]
        track = str(self._frame["track"].iloc[0])
        footnotes = tuple(dict.fromkeys([*self._provenance(), *about, *notes]))
        return Summary(self._data.id.label, what, track, dict(measures), tuple(rows), footnotes)

    def signed_bias(self) -> Iterator[str]:
        """Yield, for each level, the mean signed bias of each method that made maps."""
        for level, block in self._levels():
            complete = block.groupby("method")["status"].transform(
                lambda status: (status == "ok").all()
            )
            means = block[complete].groupby("method", sort=False)["bias_px"].mean()
            said = ", ".join(
                f"{name} {mean:+.3f}" for name, mean in means.items() if not math.isnan(mean)
            )
            if said:
                yield f"Mean signed bias (estimate - truth, px) at noise {level}: {said}."

    def bin_counts(self) -> list[str]:
        """Return how many pictures have pixels of each true sigma; the columns average over
        different pictures.
        """
        pictures = self._frame[self._frame["n_px"].notna()].drop_duplicates("sample")
        names = [column.removeprefix("mae_px ") for column in _BIN_MEASURES]
        counts = ", ".join(f"{name}: {int((pictures[f'n_px {name}'] > 0).sum())}" for name in names)
        return [
            f"True sigma in px; a column averages the pictures that have such pixels ({counts})."
        ]

    def constant(self) -> Iterator[str]:
        """Yield what the best constant map of each picture would score: an estimator should do
        better.
        """
        scored = self._frame[self._frame["n_px"].notna()].drop_duplicates("sample")
        mean = scored["constant_mae_px"].mean()
        yield (
            f"The best constant map of each picture (the median of its truth) has MAE "
            f"{mean:.3f} px."
        )

    def chance(self) -> Iterator[str]:
        """Yield what marking every pixel would score, without which an F-score says little."""
        scored = self._frame[self._frame["auc"].notna()].drop_duplicates("sample")
        if not scored.empty:
            f03, f1 = scored["f03_of_all"].mean(), scored["f1_of_all"].mean()
            yield (
                f"Marking every pixel scores AUC 0.500, F0.3 {f03:.3f}, F1 {f1:.3f}, for every "
                f"method to beat."
            )
        lost = self._frame[
            self._frame["mask_px"].notna() & self._frame["auc_reason"].notna()
        ].drop_duplicates("sample")
        for reason, some in lost.groupby("auc_reason"):
            yield f"Not available on {len(some)} pictures: {reason}."

    def _levels(self) -> Iterator[tuple[str, pd.DataFrame]]:
        level: Any  # pandas knows no types of keys
        for level, block in self._frame.groupby(_LEVEL):
            yield footnotes.level(*level), block

    def _row(
        self,
        level: str,
        method: PlannedMethod,
        block: pd.DataFrame,
        measures: Mapping[str, MeasureCard],
        notes: list[str],
    ) -> summaries.Row:
        name = method.id.label
        mine = block[block["method"] == name]
        bad = mine[mine["status"] != "ok"]
        if bad.empty:
            entries = {
                key: _mean_entry(mine, key, f"{name}, noise {level}", notes) for key in measures
            }
        elif (mine["reason"] == apply.NO_MAP).all():
            entries = dict.fromkeys(measures, Entry(None, apply.NO_MAP))
        else:
            entries = dict.fromkeys(measures, Entry(None, "incomplete"))
            for (status, reason), some in bad.groupby(["status", "reason"]):
                notes.append(
                    f"{name}, noise {level}: {status} on {len(some)} of {len(mine)} pictures "
                    f"({reason})"
                )
        title = name + footnotes.marks(method.card)
        notes += footnotes.explained([title])
        return summaries.Row(level, name, title, method.card.oracle, entries)

    def _provenance(self) -> list[str]:
        data, suite = self._data, footnotes.this_suite()
        return [
            f"Data: {data.id.label}, {len(data.fingerprints)} pictures, fingerprint "
            f"{data.fingerprint()}; {suite}.",
            "Mean over pictures [95 % interval: Student's below 30 pictures, where it covers "
            "better, BCa bootstrap "
            "from 30 to 1000]; bold: best mean among the methods that saw no truth, not tested.",
        ]

    def facts(self) -> list[str]:
        """Return what a reader must know about data and methods; once is enough for all tables."""
        notes = self._data.dataset.card.notes
        return [
            *([f"About the data: {notes}"] if notes else []),
            "Versions: "
            + ", ".join(f"{method.id.label} {method.version}" for method in self._methods)
            + ".",
            *footnotes.training(
                {m.id.label: footnotes.learned_from(m.card) for m in self._methods}
            ),
            *self._cropped(),
        ]

    def _cropped(self) -> Iterator[str]:
        cropped = self._frame[self._frame["columns_dropped"] > 0]
        for columns, some in cropped.groupby("columns_dropped"):
            pictures = some["sample"].nunique()
            yield (
                f"The last {columns:g} columns of {pictures} pictures take no part, because the "
                f"data set says so."
            )


def _mean_entry(mine: pd.DataFrame, key: str, who: str, notes: list[str]) -> Entry:
    constant = mine["pearson_reason"] == ESTIMATE_CONSTANT
    if key == "pearson" and constant.any():
        notes.append(
            f"{who}: Pearson r is undefined on {constant.sum()} pictures ({ESTIMATE_CONSTANT})"
        )
        return Entry(None, "undefined")
    values = mine[key].dropna().tolist()
    return Entry(mean_interval(values)) if values else Entry(None, "not available")


def _mark_best(
    rows: list[summaries.Row], measures: Mapping[str, MeasureCard]
) -> list[summaries.Row]:
    """Mark the best mean of each measure among the methods that saw no truth."""
    for key, card in measures.items():
        means = [
            entry.interval.mean
            for row in rows
            if not row.oracle and (entry := row.entries[key]).interval
        ]
        if not means:
            continue
        best = max(means) if card.higher_is_better else min(means)
        for row in rows:
            entry = row.entries[key]
            won = not row.oracle and entry.interval is not None and entry.interval.mean == best
            row.entries[key] = dataclasses.replace(entry, best=won)
    return rows


# The strip
# --------------------------------------------------------------------------------------------------

_PICTURES = 5
_TILE_SIDE = 224
_MARGIN = 6
_LABEL = 36
_BAR = 62
_REASON_LINES = 5
_SMALLEST_SCALE = 0.5
"""Least sigma (px) that the colour scale ends at, so that nearly sharp scenes do not look dramatic.
"""


class _Tile(NamedTuple):
    """One picture of the strip with its two lines of text; a text instead of a picture says why
    there is none.
    """

    label: str
    caption: str
    shown: ByteImage | str


class _StripLine(NamedTuple):
    """What the strip shows of one sample: what was seen, its truth, and (row of the method, map or
    None).
    """

    seen: Sample
    noise: str
    maps: list[tuple[MapRow, Map | None]]


def write_map_strip(
    rows: Sequence[MapRow], data: PlannedDataset, folder: Path, path: Path, *, most: int = _PICTURES
) -> Path | None:
    """Write a picture of the first `most` samples: picture, truth and every map in one colour
    scale; return its path.

    Shown at the lowest noise level. The scale ends at the greatest true sigma shown, or, without
    true maps, at the greatest 99th percentile of the estimates; what exceeds it has its last
    colour. None if there is no map to show.
    """
    first = min((_noise_level(row) for row in rows), default=None)
    by_sample: dict[str, list[MapRow]] = {}
    for row in rows:
        if _noise_level(row) == first and row["reason"] != apply.NO_MAP:
            by_sample.setdefault(str(row["sample"]), []).append(row)
    # A sample without any map may be one that cannot be read at all.
    shown = [some for some in by_sample.values() if any(row["status"] == "ok" for row in some)]
    lines = [_read_strip_line(some, data, folder) for some in shown[:most]]
    if not any(found is not None for line in lines for _, found in line.maps):
        return None
    top = _scale_end(lines)
    sheet = _draw_map_sheet([list(_strip_tiles(line, top)) for line in lines], top)
    with replace_file(path) as file:
        sheet.save(file, "PNG")
    return path


def _noise_level(row: MapRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in _LEVEL)


def _read_strip_line(rows: list[MapRow], data: PlannedDataset, folder: Path) -> _StripLine:
    row = rows[0]
    sigma, clip, round8, seed = _noise_level(row)
    sample = Track.parse(str(row["track"])).read(data.dataset.load(str(row["sample"])))
    seen = noise.add_noise(sample, Noise(sigma, clip, round8, seed), data.id.name)
    maps = [
        (row, imageio.read_array(folder / str(row["map"])) if row["status"] == "ok" else None)
        for row in rows
    ]
    return _StripLine(seen, f"noise {sigma:g}" if sigma else "", maps)


def _scale_end(lines: Sequence[_StripLine]) -> float:
    truths = [float(line.seen.blur_map.max()) for line in lines if line.seen.blur_map is not None]
    estimates = [
        float(np.percentile(found, 99))
        for line in lines
        for _, found in line.maps
        if found is not None
    ]
    return max(_SMALLEST_SCALE, *(truths or estimates))


def _strip_tiles(line: _StripLine, top: float) -> Iterator[_Tile]:
    sample = line.seen
    yield _Tile(sample.id, line.noise, _fit_tile(_to_bytes(sample.image)))
    if sample.blur_map is not None:
        least, most = sample.blur_map.min(), sample.blur_map.max()
        yield _Tile("true map", f"{least:.2f} to {most:.2f} px", _colour_map(sample.blur_map, top))
    if sample.mask is not None:
        grey = np.repeat(sample.mask[..., None].astype(np.uint8) * 255, 3, axis=2)
        yield _Tile("mask", "white: out of focus", _fit_tile(grey))
    for row, found in line.maps:
        shown = f"{row['status']}: {row['reason']}" if found is None else _colour_map(found, top)
        yield _Tile(str(row["method"]), _score_caption(row), shown)


def _score_caption(row: MapRow) -> str:
    parts = [
        f"{name} {value:.{digits}f}{unit}"
        for key, name, digits, unit in (
            ("mae_px", "MAE", 2, " px"),
            ("pearson", "r", 2, ""),
            ("auc", "AUC", 3, ""),
            ("f1", "F1", 2, ""),
        )
        if isinstance(value := row[key], float)
    ]
    return ", ".join(parts)


def _to_bytes(picture: NDArray[np.float32]) -> ByteImage:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _fit_tile(shown: ByteImage) -> ByteImage:
    """Return a picture scaled to fit a cell."""
    scale = _TILE_SIDE / max(shown.shape[:2])
    size = tuple(max(1, round(extent * scale)) for extent in shown.shape[1::-1])
    return np.asarray(
        cv2.resize(shown, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST),
        np.uint8,
    )


def _colour_map(blur_map: Map, top: float) -> ByteImage:
    """Return a map in viridis, dark for sharp; scaled down before it is coloured, so that no colour
    is invented.
    """
    small = _fit_tile(np.rint(np.clip(blur_map / top, 0, 1) * 255).astype(np.uint8))
    return np.asarray(cv2.applyColorMap(small, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def _draw_map_sheet(lines: Sequence[Sequence[_Tile]], top: float) -> Image.Image:
    step = _TILE_SIDE + _MARGIN
    columns = max(len(line) for line in lines)
    heights = [_LABEL + max(_tile_height(cell) for cell in line) + _MARGIN for line in lines]
    sheet = Image.new("RGB", (columns * step + _MARGIN, sum(heights) + _MARGIN + _BAR), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    above = _MARGIN
    for line, height in zip(lines, heights, strict=True):
        for column, cell in enumerate(line):
            _draw_tile(sheet, draw, font, cell, (_MARGIN + column * step, above))
        above += height
    _draw_colour_bar(sheet, draw, font, above, top)
    return sheet


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _tile_height(cell: _Tile) -> int:
    return _REASON_LINES * 18 if isinstance(cell.shown, str) else int(cell.shown.shape[0])


def _draw_tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, font: _Font, cell: _Tile, corner: tuple[int, int]
) -> None:
    left, above = corner
    draw.text((left, above), _printable(cell.label, font), fill="black", font=font)
    draw.text(
        (left, above + _LABEL // 2), _printable(cell.caption, font), fill="dimgrey", font=font
    )
    if isinstance(cell.shown, str):
        for number, text in enumerate(textwrap.wrap(cell.shown, 32)[:_REASON_LINES]):
            draw.text(
                (left, above + _LABEL + 18 * number),
                _printable(text, font),
                fill="firebrick",
                font=font,
            )
    else:
        sheet.paste(Image.fromarray(cell.shown), (left, above + _LABEL))
        height, width = cell.shown.shape[:2]
        frame = (left - 1, above + _LABEL - 1, left + width, above + _LABEL + height)
        draw.rectangle(
            frame, outline="silver"
        )  # a white region of a mask must not merge with the page


def _draw_colour_bar(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, font: _Font, above: int, top: float
) -> None:
    """Draw the colour scale under the pictures, as wide as a cell."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    wide = cv2.resize(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[..., ::-1], (_TILE_SIDE, 16))
    sheet.paste(Image.fromarray(wide), (_MARGIN, above))
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        draw.text(
            (_MARGIN + share * _TILE_SIDE, above + 18),
            f"{share * top:.2g}",
            fill="black",
            font=font,
            anchor=anchor,
        )
    draw.text(
        (_MARGIN, above + 36), "sigma in px; last colour: and more", fill="dimgrey", font=font
    )


def _printable(text: str, font: _Font) -> str:
    """Return as much of a text as fits above a cell; the built-in font knows Latin letters only."""
    plain = text.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    while font.getlength(plain) > _TILE_SIDE:
        plain = plain[:-2] + "…" if plain.endswith("…") else plain[:-1] + "…"
    return plain
