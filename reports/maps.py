"""Blur maps scored: tables against true maps and masks, and a strip of pictures to look at.

Every mean is over the same pictures for all methods: those whose truth allows the measure. A method
that failed on one of them gets no mean but a footnote.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmark import imageio, noise
from benchmark.api import Map, Sample
from benchmark.files import replace_file, write_bytes
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.metrics.tracks import Track
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.reports import tables
from benchmark.reports.contact_sheet import ByteImage, fit_label, to_byte_image
from benchmark.results import notes as result_notes
from benchmark.results.notes import Note, describe_pictures, this_suite
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import note_scenes, read_scenes
from benchmark.results.significance import explain_marks
from benchmark.results.summaries import (
    Entry,
    Row,
    Summary,
    make_entry,
    mark_rows,
    name_interval_kinds,
)
from benchmark.stats import Limits
from benchmark.studies.map_scores import ESTIMATE_CONSTANT
from benchmark.studies.maps import MAP_COLUMNS, MAPS_CSV, NO_MAP, MapRow, read_map_rows

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = ["noise", "clip", "round8", "seed"]
_TEXTS = ("pearson_reason", "auc_reason", "traceback")
_FIRST_NUMBER = MAP_COLUMNS.index("columns_dropped")
_NUMBERS = [column for column in MAP_COLUMNS[_FIRST_NUMBER:] if column not in _TEXTS]


def _measure_card(
    title: str, limits: Limits, unit: str = "", *, higher: bool = False, digits: int = 3
) -> MeasureCard:
    return MeasureCard(
        metric=title,
        quantity=title,
        title=title,
        unit=unit,
        higher_is_better=higher,
        digits=digits,
        limits=limits,
    )


_ERROR_LIMITS: Final = (0, None)
_MAP_MEASURES: Final = {
    "mae_px": _measure_card("MAE", _ERROR_LIMITS, "px"),
    "rmse_px": _measure_card("RMSE", _ERROR_LIMITS, "px"),
    "absolute_bias_px": _measure_card("absolute bias", _ERROR_LIMITS, "px"),
    "pearson": _measure_card("Pearson r", (-1, 1), higher=True),
}
_MASK_MEASURES: Final = {
    "auc": _measure_card("ROC AUC", (0, 1), higher=True),
    "f03": _measure_card("best F0.3", (0, 1), higher=True),
    "f1": _measure_card("best F1", (0, 1), higher=True),
}
_BIN_MEASURES: Final = {
    column: _measure_card(f"MAE at {column.removeprefix('mae_px ')}", _ERROR_LIMITS, "px")
    for column in MAP_COLUMNS
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
    """Write the tables and the picture strip of `benchmark.studies.maps.score_maps` into its
    folder.

    Args:
        rows: what `benchmark.studies.maps.score_maps` returned.
        methods, data: what it was given.
        folder: the folder it was given; the strip reads the maps there.
        form: `markdown` writes `maps.md`, `latex` `maps.tex`, `csv` `summary.csv` (`maps.csv` has
            the pictures).
    """
    map_summaries = summarise_maps(rows, methods, data)
    table = folder / {"markdown": "maps.md", "latex": "maps.tex", "csv": "summary.csv"}[form]
    with replace_file(table) as file:
        file.write(tables.format_summaries(map_summaries, form).encode())
    strip = write_map_strip(rows, data, folder, folder / "maps.png")
    return MapReport(map_summaries, table, strip)


def write_map_rows(rows: Sequence[MapRow], folder: Path) -> Path:
    """Write `maps.csv`: the rows of a command, and after them those of earlier ones that the folder
    holds; return the file.
    """
    keys = {row["key"] for row in rows}
    earlier_rows = [row for row in read_map_rows(folder) if row["key"] not in keys]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, MAP_COLUMNS)
    writer.writeheader()
    writer.writerows([*rows, *earlier_rows])
    write_bytes(folder / MAPS_CSV, text.getvalue().encode())
    return folder / MAPS_CSV


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
    builder = _MapTables(frame, methods, data)
    facts = builder.facts()
    map_summaries: list[Summary] = []
    if frame["n_px"].notna().any():
        map_notes = [_MAP_NOTE, *builder.constant_map(), *builder.signed_bias(), *facts]
        map_summaries.append(builder.table("blur maps", _MAP_MEASURES, map_notes))
        bin_notes = builder.bin_counts()
        map_summaries.append(builder.table("blur maps by true sigma", _BIN_MEASURES, bin_notes))
    if frame["mask_px"].notna().any():
        mask_notes = [_MASK_NOTE, *builder.chance_level()]
        if not map_summaries:
            mask_notes += facts
        map_summaries.append(builder.table("out-of-focus detection", _MASK_MEASURES, mask_notes))
    if not map_summaries:
        no_map_note = "No map could be scored: no true map or mask, or no map."
        map_summaries.append(builder.table("blur maps", {}, [no_map_note, *facts]))
    return map_summaries


_MAP_NOTE = (
    "Sigma of the Gaussian-equivalent blur in pixels, no scale or offset fitted; absolute bias: "
    "mean of the absolute value of each picture's mean error."
)
_MASK_NOTE = (
    "A pixel's score is its sigma. Best F: at the threshold that suits each picture best, so an "
    "upper bound for any rule; F0.3 has beta^2 = 0.3."
)


class _MapTables:
    """Makes the tables of one set of rows."""

    def __init__(
        self, frame: pd.DataFrame, methods: Sequence[PlannedMethod], data: PlannedDataset
    ) -> None:
        self._frame = frame
        self._methods = methods
        self._data = data

    def table(
        self, title: str, measures: Mapping[str, MeasureCard], own_footnotes: Sequence[str]
    ) -> Summary:
        """Return one table; `own_footnotes` are footnotes of its own."""
        notes: list[str] = []
        rows: list[Row] = []
        for level, block in self._levels():
            level_rows = [
                self._row(level, method, block, measures, notes) for method in self._methods
            ]
            rankings = mark_rows(level_rows, measures)
            notes += explain_marks(rankings, measures)
            rows += level_rows
        track = str(self._frame["track"].iloc[0])
        intervals = [
            entry.interval for row in rows for entry in row.entries.values() if entry.interval
        ]
        kinds = name_interval_kinds(intervals)
        means_note = f"Mean{kinds}. Methods that saw the truth do not compete."
        every_note = tuple(dict.fromkeys([*self._provenance(), means_note, *own_footnotes, *notes]))
        notes_of_table = tuple(Note("study", text) for text in every_note)
        return Summary(
            self._data.id.label, title, track, dict(measures), tuple(rows), notes_of_table
        )

    def signed_bias(self) -> Iterator[str]:
        """Yield, for each level, the mean signed bias of each method that made maps."""
        for level, block in self._levels():
            is_complete = block.groupby("method")["status"].transform(
                lambda status: (status == "ok").all()
            )
            means = {
                str(name): _mean_over_scenes(rows, "bias_px")
                for name, rows in block[is_complete].groupby("method", sort=False)
                if rows["bias_px"].notna().any()
            }
            biases = ", ".join(f"{name} {mean:+.3f}" for name, mean in means.items())
            if biases:
                yield f"Mean signed bias (estimate - truth, px) at noise {level}: {biases}."

    def bin_counts(self) -> list[str]:
        """Return how many pictures have pixels of each true sigma; the columns average over
        different pictures.
        """
        pictures = self._pictures_with("n_px")
        texts = []
        for column in _BIN_MEASURES:
            name = column.removeprefix("mae_px ")
            count = int((pictures[f"n_px {name}"] > 0).sum())
            texts.append(f"{name}: {count}")
        return [
            "True sigma in px; a column averages the pictures that have such pixels "
            f"({', '.join(texts)})."
        ]

    def constant_map(self) -> Iterator[str]:
        """Yield what the best constant map of each picture would score: an estimator should do
        better.
        """
        mean = _mean_over_scenes(self._pictures_with("n_px"), "constant_mae_px")
        yield (
            f"The best constant map of each picture (the median of its truth) has MAE {mean:.3f} "
            "px."
        )

    def chance_level(self) -> Iterator[str]:
        """Yield what marking every pixel would score, without which an F-score says little."""
        pictures = self._pictures_with("auc")
        if not pictures.empty:
            f03 = _mean_over_scenes(pictures, "f03_of_all")
            f1 = _mean_over_scenes(pictures, "f1_of_all")
            yield (
                f"Marking every pixel scores AUC 0.500, F0.3 {f03:.3f}, F1 {f1:.3f}, for every "
                "method to beat."
            )
        has_mask = self._frame["mask_px"].notna()
        has_reason = self._frame["auc_reason"].notna()
        without_auc = self._frame[has_mask & has_reason].drop_duplicates("sample")
        for reason, rows in without_auc.groupby("auc_reason"):
            yield f"Not available on {len(rows)} pictures: {reason}."

    def _pictures_with(self, column: str) -> pd.DataFrame:
        """Return a row for each picture that has a value in a column."""
        return self._frame[self._frame[column].notna()].drop_duplicates("sample")

    def _levels(self) -> Iterator[tuple[Noise, pd.DataFrame]]:
        level: Any  # pandas knows no types of keys
        for level, block in self._frame.groupby(_LEVEL):
            yield Noise(*level), block

    def _row(
        self,
        level: Noise,
        method: PlannedMethod,
        block: pd.DataFrame,
        measures: Mapping[str, MeasureCard],
        notes: list[str],
    ) -> Row:
        name = method.id.label
        own_rows = block[block["method"] == name]
        failures = own_rows[own_rows["status"] != "ok"]
        if failures.empty:
            label = f"{name}, noise {level}"
            entries = {
                key: _mean_entry(own_rows, key, card, label, notes)
                for key, card in measures.items()
            }
        elif (own_rows["reason"] == NO_MAP).all():
            entries = dict.fromkeys(measures, Entry(None, NO_MAP))
        else:
            entries = dict.fromkeys(measures, Entry(None, "incomplete"))
            for (status, reason), rows in failures.groupby(["status", "reason"]):
                notes.append(
                    f"{name}, noise {level}: {status} on {len(rows)} of {len(own_rows)} pictures "
                    f"({reason})"
                )
        title = (
            name
            + result_notes.title_symbols(method.card)
            + result_notes.generator_symbol(method.card, self._data.dataset.card.generator)
        )
        notes += result_notes.explain_symbols([title])
        return Row(level, name, title, method.card.oracle, entries)

    def _provenance(self) -> list[str]:
        data = self._data
        scenes = read_scenes(self._frame)
        pictures = describe_pictures(len(data.fingerprints), len(set(scenes.values())))
        return [
            f"Data: {data.id.label}, {pictures}, fingerprint {data.fingerprint()}; {this_suite()}.",
            *result_notes.note_texts(note_scenes(scenes)),
        ]

    def facts(self) -> list[str]:
        """Return what a reader must know about data and methods; once is enough for all tables."""
        facts = []
        about_data = self._data.dataset.card.notes
        if about_data:
            facts.append(f"About the data: {about_data}")
        versions = [f"{method.id.label} {method.version}" for method in self._methods]
        facts.append(f"Versions: {', '.join(versions)}.")
        training = {
            method.id.label: result_notes.training_source(method.card) for method in self._methods
        }
        facts += result_notes.training_lines(training)
        cards = {method.id.label: method.card for method in self._methods}
        facts += result_notes.generator_lines(cards, self._data.dataset.card.generator)
        facts += result_notes.weights_lines(cards)
        facts += result_notes.view_noise_lines(self._view_noise())
        facts += self._crop_notes()
        return facts

    def _view_noise(self) -> dict[str, str]:
        """Return method -> what sigma is of where it was given noisy dual-pixel views."""
        rows = self._frame[self._frame["status"] == "ok"].dropna(subset="on_views")
        return {str(name): max(part["on_views"]) for name, part in rows.groupby("method")}

    def _crop_notes(self) -> Iterator[str]:
        cropped_rows = self._frame[self._frame["columns_dropped"] > 0]
        for columns, rows in cropped_rows.groupby("columns_dropped"):
            pictures = rows["sample"].nunique()
            yield (
                f"The last {columns:g} columns of {pictures} pictures take no part, because the "
                "data set says so."
            )


def _mean_entry(
    rows: pd.DataFrame, key: str, card: MeasureCard, label: str, notes: list[str]
) -> Entry:
    constant = rows["pearson_reason"] == ESTIMATE_CONSTANT
    if key == "pearson" and constant.any():
        notes.append(
            f"{label}: Pearson r is undefined on {constant.sum()} pictures ({ESTIMATE_CONSTANT})"
        )
        return Entry(None, "undefined")
    values = rows[["sample", key]].dropna()
    scores = dict(zip(values["sample"], values[key].tolist(), strict=True))
    if not scores:
        return Entry(None, "not available")
    return make_entry(scores, read_scenes(rows), card.limits)


def _mean_over_scenes(rows: pd.DataFrame, column: str) -> float:
    scores = rows.set_index("sample")[column].dropna()
    return float(average_scenes(scores, read_scenes(rows)).mean())


# The strip
# --------------------------------------------------------------------------------------------------

_PICTURES = 5
_TILE_SIDE = 224
_MARGIN = 6
_LABEL = 36
_BAR = 62
_REASON_LINES = 5
_LINE_HEIGHT = 18
_SMALLEST_SCALE = 0.5
"""Least sigma (px) that the colour scale ends at, so that nearly sharp scenes do not look dramatic.
"""


class _Tile(NamedTuple):
    """One picture of the strip with its two lines of text; a text instead of a picture says why
    there is none.
    """

    label: str
    caption: str
    content: ByteImage | str


class _StripLine(NamedTuple):
    """What the strip shows of one sample: the sample with noise, its truth, and (row of the method,
    map or None).
    """

    sample: Sample
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
    lowest_level = min((_noise_level(row) for row in rows), default=None)
    rows_by_sample: dict[str, list[MapRow]] = {}
    for row in rows:
        if _noise_level(row) == lowest_level and row["reason"] != NO_MAP:
            rows_by_sample.setdefault(str(row["sample"]), []).append(row)
    lines: list[_StripLine] = []
    for sample_rows in rows_by_sample.values():
        # A sample without any map may be one that cannot be read at all.
        has_map = any(row["status"] == "ok" for row in sample_rows)
        if has_map and len(lines) < most:
            lines.append(_read_strip_line(sample_rows, data, folder))
    if not any(_maps_of_line(line) for line in lines):
        return None
    top = _scale_end(lines)
    sheet = _draw_map_sheet([list(_strip_tiles(line, top)) for line in lines], top)
    with replace_file(path) as file:
        sheet.save(file, "PNG")
    return path


def _noise_level(row: MapRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in _LEVEL)


def _read_strip_line(rows: list[MapRow], data: PlannedDataset, folder: Path) -> _StripLine:
    first = rows[0]
    sigma, clip, round8, seed = _noise_level(first)
    track = Track.parse(str(first["track"]))
    clean_sample = track.read(data.dataset.load(str(first["sample"])))
    sample = noise.add_noise(clean_sample, Noise(sigma, clip, round8, seed), data.id.name)
    maps: list[tuple[MapRow, Map | None]] = []
    for row in rows:
        blur_map = None
        if row["status"] == "ok":
            blur_map = imageio.read_array(folder / str(row["map"]))
        maps.append((row, blur_map))
    return _StripLine(sample, f"noise {sigma:g}" if sigma else "", maps)


def _maps_of_line(line: _StripLine) -> list[Map]:
    """Return the maps that methods made of a sample."""
    return [blur_map for _, blur_map in line.maps if blur_map is not None]


def _scale_end(lines: Sequence[_StripLine]) -> float:
    """Return the sigma (px) at which the colour scale ends."""
    truths = []
    estimates: list[float] = []
    for line in lines:
        if line.sample.blur_map is not None:
            truths.append(float(line.sample.blur_map.max()))
        estimates += [float(np.percentile(blur_map, 99)) for blur_map in _maps_of_line(line)]
    return max(_SMALLEST_SCALE, *(truths or estimates))


def _strip_tiles(line: _StripLine, top: float) -> Iterator[_Tile]:
    sample = line.sample
    yield _Tile(sample.id, line.noise, _fit_tile(to_byte_image(sample.image)))
    if sample.blur_map is not None:
        extent = f"{sample.blur_map.min():.2f} to {sample.blur_map.max():.2f} px"
        yield _Tile("true map", extent, _colour_map(sample.blur_map, top))
    if sample.mask is not None:
        grey = np.repeat(sample.mask[..., None].astype(np.uint8) * 255, 3, axis=2)
        yield _Tile("mask", "white: out of focus", _fit_tile(grey))
    for row, blur_map in line.maps:
        content: ByteImage | str = f"{row['status']}: {row['reason']}"
        if blur_map is not None:
            content = _colour_map(blur_map, top)
        yield _Tile(str(row["method"]), _score_caption(row), content)


_CAPTION_SCORES: Final = (
    ("mae_px", "MAE {:.2f} px"),
    ("pearson", "r {:.2f}"),
    ("auc", "AUC {:.3f}"),
    ("f1", "F1 {:.2f}"),
)


def _score_caption(row: MapRow) -> str:
    parts = []
    for key, pattern in _CAPTION_SCORES:
        value = row[key]
        if isinstance(value, float):
            parts.append(pattern.format(value))
    return ", ".join(parts)


def _fit_tile(picture: ByteImage) -> ByteImage:
    """Return a picture scaled to fit a tile."""
    scale = _TILE_SIDE / max(picture.shape[:2])
    size = tuple(max(1, round(extent * scale)) for extent in picture.shape[1::-1])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8)


def _colour_map(blur_map: Map, top: float) -> ByteImage:
    """Return a map in viridis, dark for sharp; scaled down before it is coloured, so that no colour
    is invented.
    """
    small = _fit_tile(np.rint(np.clip(blur_map / top, 0, 1) * 255).astype(np.uint8))
    return np.asarray(cv2.applyColorMap(small, cv2.COLORMAP_VIRIDIS)[..., ::-1])


class _Canvas:
    """A white sheet to put pictures and texts on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), "white")
        self._pen = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(14)

    def write(
        self, text: str, corner: tuple[float, float], colour: str, anchor: str = "la"
    ) -> None:
        """Write a text that Latin letters suffice for."""
        self._pen.text(corner, text, fill=colour, font=self._font, anchor=anchor)

    def label(self, text: str, corner: tuple[float, float], colour: str) -> None:
        """Write a text, as far as it fits into the width of a tile."""
        self.write(fit_label(text, self._font, _TILE_SIDE), corner, colour)

    def paste(self, picture: ByteImage, left: int, above: int) -> None:
        """Put a picture on the sheet."""
        self.image.paste(Image.fromarray(picture), (left, above))

    def frame(self, left: int, above: int, width: int, height: int) -> None:
        """Draw a line around a picture: a white region must not merge with the sheet."""
        box = (left - 1, above - 1, left + width, above + height)
        self._pen.rectangle(box, outline="silver")


def _draw_map_sheet(lines: Sequence[Sequence[_Tile]], top: float) -> Image.Image:
    step = _TILE_SIDE + _MARGIN
    columns = max(len(line) for line in lines)
    heights = [_LABEL + max(_tile_height(tile) for tile in line) + _MARGIN for line in lines]
    canvas = _Canvas(columns * step + _MARGIN, sum(heights) + _MARGIN + _BAR)
    above = _MARGIN
    for line, height in zip(lines, heights, strict=True):
        for column, tile in enumerate(line):
            _draw_tile(canvas, tile, _MARGIN + column * step, above)
        above += height
    _draw_colour_bar(canvas, above, top)
    return canvas.image


def _tile_height(tile: _Tile) -> int:
    if isinstance(tile.content, str):
        return _REASON_LINES * _LINE_HEIGHT
    return int(tile.content.shape[0])


def _draw_tile(canvas: _Canvas, tile: _Tile, left: int, above: int) -> None:
    canvas.label(tile.label, (left, above), "black")
    canvas.label(tile.caption, (left, above + _LABEL // 2), "dimgrey")
    content_above = above + _LABEL
    if isinstance(tile.content, str):
        reason_lines = textwrap.wrap(tile.content, 32)[:_REASON_LINES]
        for number, text in enumerate(reason_lines):
            canvas.label(text, (left, content_above + _LINE_HEIGHT * number), "firebrick")
    else:
        height, width = tile.content.shape[:2]
        canvas.paste(tile.content, left, content_above)
        canvas.frame(left, content_above, width, height)


def _draw_colour_bar(canvas: _Canvas, above: int, top: float) -> None:
    """Draw the colour scale under the pictures, as wide as a tile."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    colours = cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    canvas.paste(np.asarray(cv2.resize(colours, (_TILE_SIDE, 16)), np.uint8), _MARGIN, above)
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        corner = (_MARGIN + share * _TILE_SIDE, above + _LINE_HEIGHT)
        canvas.write(f"{share * top:.2g}", corner, "black", anchor)
    note = "sigma in px; last colour: and more"
    canvas.write(note, (_MARGIN, above + 2 * _LINE_HEIGHT), "dimgrey")
