"""Tables and strip of scored blur maps: right means, honest gaps, one colour scale."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark import apply, imageio, plan
from benchmark.api import Dataset, DatasetCard, MethodCard, Sample
from benchmark.engines.local import LocalEngine
from benchmark.noise import Noise
from benchmark.plan import PlannedDataset, PlannedMethod
from benchmark.reports import maps, tables
from benchmark.results import summaries
from benchmark.spec import ResolvedId
from benchmark.studies import map_scores
from benchmark.studies.maps import MAP_COLUMNS, MapRow, score_maps
from benchmark.worker import RunSettings

HOSTILE = "<b>写真|_x"
SIZE = (40, 60)


class Ramps(Dataset):
    """Samples whose true sigma rises to 2, 4, 6 ... from left to right."""

    card = DatasetCard(
        title="Ramps",
        paper="",
        licence="none",
        source="made up",
        layout="none",
        generator="toy",
        notes="all made up",
    )

    def __init__(self, truth: str = "map") -> None:
        self._truth = truth

    def ids(self) -> list[str]:
        return [HOSTILE, "two", "three", "four"]

    def load(self, sample_id: str) -> Sample:
        top = 2 * (1 + self.ids().index(sample_id))
        ramp = np.tile(np.linspace(0, top, SIZE[1], dtype=np.float32), (SIZE[0], 1))
        return Sample(
            id=sample_id,
            image=np.full((*SIZE, 3), 0.5, np.float32),
            blur_map=ramp if self._truth == "map" else None,
            mask=ramp > top / 4 if self._truth == "mask" else None,
        )

    def fingerprint(self, sample_id: str) -> str:
        return sample_id


def planned(name: str, **card: object) -> PlannedMethod:
    facts = {"title": name, "family": "classical"} | card
    return PlannedMethod(ResolvedId(name, None, {}, name), MethodCard(**facts), "7", None)  # type: ignore[arg-type]


METHODS = [
    planned("under", trained_on=("BSDS500",)),
    planned("over", generators=("toy",)),
    planned("truth:map=oracle", oracle=True),
]
OFFSET = {"under": -0.25, "over": 0.5, "truth:map=oracle": 0.0}


def data_of(truth: str = "map", count: int = 4) -> PlannedDataset:
    made = Ramps(truth)
    ids = made.ids()[:count]
    return PlannedDataset(
        ResolvedId("ramps", None, {}, "ramps"), made, {name: name for name in ids}
    )


def rows_of(
    folder: Path, data: PlannedDataset, methods: list[PlannedMethod] = METHODS, sigma: float = 0.0
) -> list[MapRow]:
    """Return the rows of maps that are off by a constant, as a run makes them, with the maps in the
    folder.
    """
    rows = []
    for sample_id in data.fingerprints:
        sample = data.dataset.load(sample_id)
        ramp = (
            sample.blur_map
            if sample.blur_map is not None
            else np.tile(np.arange(60, dtype=np.float32), (40, 1))
        )
        for method in methods:
            found = np.clip(ramp + np.float32(OFFSET[method.id.label]), 0, None)
            file = f"{len(list(folder.glob('*.npy')))}.npy"
            imageio.write_array(folder / file, found)
            facts: MapRow = {
                "sample": sample_id,
                "noise": sigma,
                "clip": False,
                "round8": False,
                "seed": 0,
                "track": "u8",
                "method": method.id.label,
                "version": "7",
                "status": "ok",
                "map": file,
            }
            rows.append(
                dict.fromkeys(MAP_COLUMNS) | facts | map_scores.score_blur_map(found, sample)
            )
    return rows


def lose(row: MapRow, status: str, reason: str) -> None:
    """Turn a row into one of a cell that gave no map."""
    keep = {
        key: row[key]
        for key in ("sample", "noise", "clip", "round8", "seed", "track", "method", "version")
    }
    row |= dict.fromkeys(MAP_COLUMNS) | keep | {"status": status, "reason": reason}


def entry(summary: summaries.Summary, method: str, key: str) -> summaries.Entry:
    return next(row for row in summary.rows if row.method == method).entries[key]


def test_means_best_and_notes_of_maps(tmp_path: Path) -> None:
    data = data_of()
    whole, bins = maps.summarise_maps(rows_of(tmp_path, data), METHODS, data)
    over = entry(whole, "over", "mae_px").interval
    assert over is not None and (over.mean, over.n) == (pytest.approx(0.5, abs=1e-6), 4)
    marks = {entry.mark for row in whole.rows for entry in row.entries.values()}
    assert marks == {None}, "four pictures can show nothing"
    assert [row.title for row in whole.rows] == ["under", "over§", "truth:map=oracle†"]
    notes = "\n".join(whole.footnotes)
    for said in (
        "over +0.500",
        "under -0.2",
        "4 pictures",
        "Versions: under 7",
        "BSDS500",
        "all made up",
        "†",
        "§ trained or tuned on this generator (toy), which favours them: over.",
        "suite ",
        "n = 4 is too few for any test between 2 methods",
    ):
        assert said in notes
    direct = [np.abs(np.linspace(0, top, 60) - top / 2).mean() for top in (2, 4, 6, 8)]
    assert f"MAE {np.mean(direct):.3f} px" in notes
    last = entry(bins, "over", "mae_px 3+").interval
    assert last is not None and last.n == 3, "the first picture has no pixels over 3 px"
    assert "3+: 3" in "\n".join(bins.footnotes)


def test_pictures_of_one_scene_are_averaged_first(tmp_path: Path) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data)
    scenes = dict(zip(data.fingerprints, "aaab", strict=True))
    for row in rows:
        row["scene"] = scenes[str(row["sample"])]
    whole = maps.summarise_maps(rows, METHODS, data)[0]
    errors = [float(str(row["mae_px"])) for row in rows if row["method"] == "under"]
    found = entry(whole, "under", "mae_px").interval
    means = [np.mean(errors[:3]), errors[3]]
    assert found is not None and (found.mean, found.n) == (pytest.approx(np.mean(means)), 2)
    notes = "\n".join(whole.footnotes)
    direct = [np.abs(np.linspace(0, top, 60) - top / 2).mean() for top in (2, 4, 6, 8)]
    assert f"MAE {(np.mean(direct[:3]) + direct[3]) / 2:.3f} px" in notes
    biases = [float(str(row["bias_px"])) for row in rows if row["method"] == "under"]
    assert f"under {(np.mean(biases[:3]) + biases[3]) / 2:+.3f}" in notes
    assert "4 pictures of 2 scenes" in notes and "a scene counts once" in notes


def test_an_oracle_does_not_compete_even_where_it_is_as_good(tmp_path: Path) -> None:
    data = data_of("mask")
    summary = maps.summarise_maps(rows_of(tmp_path, data), METHODS, data)[0]
    assert [row.entries["auc"].interval.mean for row in summary.rows] == [1, 1, 1]  # type: ignore[union-attr]
    assert any("between 2 methods" in note for note in summary.footnotes)


def test_means_of_masks_and_what_marking_everything_would_score(tmp_path: Path) -> None:
    data = data_of("mask")
    [summary] = maps.summarise_maps(rows_of(tmp_path, data, METHODS[:2]), METHODS[:2], data)
    found = entry(summary, "over", "auc")
    assert found.interval is not None and found.interval.mean == 1
    share = float(np.mean([data.dataset.load(name).mask.mean() for name in data.fingerprints]))  # type: ignore[union-attr]
    assert f"F1 {2 * share / (share + 1):.3f}" in "\n".join(summary.footnotes)
    assert "Versions" in "\n".join(summary.footnotes)


@pytest.mark.parametrize("status", ["failed", "timeout", "skipped"])
def test_a_method_that_fails_a_picture_gets_no_mean_and_changes_nobodys(
    tmp_path: Path, status: str
) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data)
    before = maps.summarise_maps(rows, METHODS, data)[0]
    lose(rows[0], status, "it broke")
    after = maps.summarise_maps(rows, METHODS, data)[0]
    assert entry(after, "under", "mae_px") == summaries.Entry(None, "incomplete")
    assert entry(after, "over", "mae_px").interval == entry(before, "over", "mae_px").interval
    notes = "\n".join(after.footnotes)
    assert f"under, noise 0: {status} on 1 of 4 pictures (it broke)" in notes
    assert "under -" not in notes, "its bias would be over other pictures than its neighbours'"


def test_a_method_without_maps_says_so(tmp_path: Path) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data)
    for row in rows[::3]:
        lose(row, "skipped", apply.NO_MAP)
    summary = maps.summarise_maps(rows, METHODS, data)[0]
    assert entry(summary, "under", "mae_px").note == "makes no map"
    assert entry(summary, "over", "mae_px").interval is not None


def test_a_constant_estimate_has_no_correlation_and_a_constant_truth_drops_the_picture_for_all(
    tmp_path: Path,
) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data)
    rows[0] |= {"pearson": None, "pearson_reason": map_scores.ESTIMATE_CONSTANT}
    for row in rows[3:6]:
        row |= {"pearson": None, "pearson_reason": map_scores.TRUTH_CONSTANT}
    summary = maps.summarise_maps(rows, METHODS, data)[0]
    assert entry(summary, "under", "pearson").note == "undefined"
    interval = entry(summary, "over", "pearson").interval
    assert interval is not None and interval.n == 3
    assert "undefined on 1 pictures" in "\n".join(summary.footnotes)


def test_noise_levels_are_blocks(tmp_path: Path) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data, sigma=2.55) + rows_of(tmp_path, data)
    summary = maps.summarise_maps(rows, METHODS, data)[0]
    assert [str(row.level) for row in summary.rows] == ["0"] * 3 + ["2.55"] * 3


@pytest.mark.parametrize(
    ("form", "name", "says"),
    [
        ("markdown", "maps.md", "| over"),
        ("latex", "maps.tex", r"\toprule"),
        ("csv", "summary.csv", "mae_px"),
    ],
)
def test_every_format(tmp_path: Path, form: tables.Format, name: str, says: str) -> None:
    data = data_of()
    written = maps.write_map_report(rows_of(tmp_path, data), METHODS, data, tmp_path, form=form)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert (
        written.table == tmp_path / name and says in text and written.strip == tmp_path / "maps.png"
    )
    if form == "csv":
        frame = pd.read_csv(io.StringIO(text))
        found = frame[(frame["method"] == "over") & (frame["measure"] == "mae_px")]
        assert found["mean"].item() == pytest.approx(0.5, abs=1e-6)


def test_a_data_set_without_truth_has_a_strip_but_no_scores(tmp_path: Path) -> None:
    data = data_of("none")
    written = maps.write_map_report(rows_of(tmp_path, data), METHODS, data, tmp_path)
    [summary] = written.summaries
    assert not summary.measures and "No map could be scored" in "\n".join(summary.footnotes)
    assert written.strip is not None and "under" in written.table.read_text(encoding="utf-8")


# The strip
# --------------------------------------------------------------------------------------------------


def viridis(share: float) -> np.ndarray:
    level = np.array([[round(255 * min(share, 1))]], np.uint8)
    return cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[0, 0, ::-1]


def test_all_maps_share_one_colour_scale_that_ends_at_the_greatest_truth(tmp_path: Path) -> None:
    data = data_of(count=2)
    sheet_file = maps.write_map_strip(
        rows_of(tmp_path, data), data, tmp_path, tmp_path / "strip.png"
    )
    assert sheet_file is not None
    sheet = np.asarray(Image.open(sheet_file)).astype(int)
    step, height = 224 + 6, round(224 * SIZE[0] / SIZE[1])
    for line, top in enumerate((2.0, 4.0)):
        middle = 6 + line * (36 + height + 6) + 36 + height // 2
        assert sheet[middle, 6 + 112].tolist() == [128] * 3, "the picture comes first"
        for column, offset in enumerate((0.0, *OFFSET.values()), start=1):
            for at in (0.25, 0.5, 0.9):
                sigma = min(max(at * top + offset, 0), 99)
                seen = sheet[middle, 6 + column * step + round(at * 223)]
                assert np.abs(seen - viridis(sigma / 4.0)).max() < 12, (line, column, at)
    bar = sheet[6 + 2 * (36 + height + 6) + 8]
    assert np.abs(bar[6] - viridis(0)).max() < 6 and np.abs(bar[6 + 223] - viridis(1)).max() < 6


def test_the_strip_shows_few_samples_at_the_lowest_noise_and_the_reason_for_a_missing_map(
    tmp_path: Path,
) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data) + rows_of(tmp_path, data, sigma=5)
    lose(rows[0], "failed", "it broke " * 40)
    sheet_file = maps.write_map_strip(rows, data, tmp_path, tmp_path / "strip.png", most=2)
    assert sheet_file is not None
    sheet = np.asarray(Image.open(sheet_file)).astype(int)
    step, height = 230, round(224 * SIZE[0] / SIZE[1])
    assert sheet.shape[0] == 6 + 2 * (36 + height + 6) + 62 and sheet.shape[1] == 6 + 5 * step
    missing = sheet[6 + 36 : 6 + 36 + 90, 6 + 2 * step : 6 + 3 * step - 6]
    reddish = (missing[..., 0] - missing[..., 1]) > 60
    assert reddish.any() and (missing == 255).all(axis=-1).mean() > 0.5, "text on white"
    assert (sheet[6 + 36 + height // 2, 6 + 20 : 6 + 200] == 128).all(), "the picture without noise"


def test_without_any_map_there_is_no_strip(tmp_path: Path) -> None:
    data = data_of()
    rows = rows_of(tmp_path, data)
    for row in rows:
        lose(row, "skipped", apply.NO_MAP)
    assert maps.write_map_strip(rows, data, tmp_path, tmp_path / "strip.png") is None
    assert not (tmp_path / "strip.png").exists()


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (700, 2)])
def test_pictures_of_any_size_fit(size: tuple[int, int]) -> None:
    shown = maps._colour_map(np.ones(size, np.float32), 2.0)
    assert max(shown.shape[:2]) == 224 and shown.shape[2] == 3


# End to end
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [((448, 112), (224, 56)), ((10, 20), (112, 224)), ((1, 900), (1, 224)), ((900, 1), (224, 1))],
)
def test_a_picture_of_any_shape_fits_a_tile(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    grey = np.full((*size, 3), 93, np.uint8)
    tile = maps._fit_tile(grey)
    assert tile.shape == (*expected, 3)
    assert (tile == 93).all()


def test_zhuo_sim_on_simulated_pictures_from_names_to_files(tmp_path: Path) -> None:
    methods = plan.select_methods(["input,zhuo-sim"])
    data = plan.select_dataset("simulated:size=64,max_radius=4", tmp_path, limit=2)
    settings = RunSettings(tmp_path, tmp_path)
    rows = score_maps(methods, data, [Noise(0), Noise(1)], settings, engine=LocalEngine(1))
    written = maps.write_map_report(rows, methods, data, tmp_path)
    frame = pd.read_csv(maps.write_map_rows(rows, tmp_path))
    mine = frame[frame["method"] == "zhuo-sim"]
    assert mine["status"].tolist() == ["ok"] * 4 and (mine["n_px"] == 64 * 64).all()
    assert mine["mae_px"].between(0, 5).all() and (mine["rmse_px"] >= mine["mae_px"]).all()
    assert set(frame.loc[frame["method"] == "input", "reason"]) == {apply.NO_MAP}
    interval = entry(written.summaries[0], "zhuo-sim", "mae_px").interval
    assert interval is not None and interval.mean == pytest.approx(
        mine[mine["noise"] == 0]["mae_px"].mean()
    )
    text = written.table.read_text(encoding="utf-8")
    assert "makes no map" in text and "MAE (px)" in text and written.strip is not None
