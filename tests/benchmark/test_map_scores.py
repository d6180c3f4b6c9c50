"""Blur maps are scored as independent computations score them, and a run of them loses nothing."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark import apply, imageio, map_scores, noise, plan, runner
from benchmark.api import MAP_CROP_RIGHT, DataError, Observation, Sample
from benchmark.cells import Task
from benchmark.map_scores import MAP_COLUMNS, MapRow
from benchmark.noise import Noise
from benchmark.registry import DATASETS, create, load_plugin
from benchmark.worker import RunSettings

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))
SIGMAS = st.floats(0, 20, width=32)
FEW = st.sampled_from([0.0, 0.5, 1.25, 3.0])
"""Few distinct values, so that ties are common."""


@st.composite
def two_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    return draw(arrays(np.float32, shape, elements=SIGMAS)), draw(
        arrays(np.float32, shape, elements=SIGMAS)
    )


@st.composite
def map_and_mask(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES.filter(lambda shape: shape[0] * shape[1] > 1))
    mask = draw(arrays(bool, shape))
    mask.flat[0], mask.flat[-1] = True, False
    return draw(arrays(np.float32, shape, elements=st.one_of(FEW, SIGMAS))), mask


# Scores
# --------------------------------------------------------------------------------------------------


@limits(max_examples=60)
@given(two_maps())
def test_errors_are_those_of_exact_sums(maps: tuple[np.ndarray, np.ndarray]) -> None:
    estimate, truth = maps
    errors = [float(a) - float(b) for a, b in zip(estimate.flat, truth.flat, strict=True)]
    scores = map_scores.measure_map_errors(estimate, truth)
    assert scores.n == len(errors)
    assert scores.mae == pytest.approx(math.fsum(map(abs, errors)) / len(errors), abs=1e-12)
    assert scores.rmse == pytest.approx(
        math.sqrt(math.fsum(e * e for e in errors) / len(errors)), abs=1e-12
    )
    assert scores.bias == pytest.approx(math.fsum(errors) / len(errors), abs=1e-12)


def test_correlation_agrees_with_numpy() -> None:
    rng = np.random.default_rng(0)
    truth = rng.gamma(2, 1, (40, 30)).astype(np.float32)
    estimate = (truth + rng.normal(0, 1, truth.shape)).astype(np.float32)
    expected = np.corrcoef(estimate.ravel().astype(float), truth.ravel().astype(float))[0, 1]
    assert map_scores.measure_map_errors(estimate, truth).pearson == pytest.approx(
        expected, abs=1e-12
    )


def test_an_offset_is_pure_bias_and_a_sign_turns_the_correlation() -> None:
    truth = np.linspace(0, 4, 60, dtype=np.float32).reshape(6, 10)
    scores = map_scores.measure_map_errors(truth + np.float32(0.5), truth)
    assert scores[1:] == pytest.approx((0.5, 0.5, 0.5, 1.0))
    assert map_scores.measure_map_errors(4 - truth, truth).pearson == pytest.approx(-1)


@pytest.mark.parametrize("scale", [1e-44, 1.0, 1e37])
def test_correlation_survives_any_scale(scale: float) -> None:
    truth = np.array([[0, 1, 2, 3]], np.float32)
    assert map_scores.measure_map_errors(truth * np.float32(scale), truth).pearson == pytest.approx(
        1
    )


def test_a_constant_has_no_correlation_whatever_its_value() -> None:
    truth, constant = np.array([[0, 1, 2]], np.float32), np.full((1, 3), 0.1, np.float32)
    assert map_scores.measure_map_errors(constant, truth).pearson is None
    assert map_scores.measure_map_errors(truth, constant).pearson is None
    assert map_scores.measure_map_errors(truth[:, :1], truth[:, :1]).pearson is None


@limits(max_examples=60)
@given(two_maps())
def test_bins_share_the_pixels_out_and_add_up_to_the_whole(
    maps: tuple[np.ndarray, np.ndarray],
) -> None:
    parts = [part for part in map_scores.measure_errors_by_sigma(*maps).values() if part]
    whole = map_scores.measure_map_errors(*maps)
    assert sum(part.n for part in parts) == whole.n
    assert sum(part.n * part.mae for part in parts) / whole.n == pytest.approx(whole.mae, abs=1e-12)
    assert sum(part.n * part.bias for part in parts) / whole.n == pytest.approx(
        whole.bias, abs=1e-12
    )


def test_a_bin_holds_its_lower_edge_and_an_empty_one_is_none() -> None:
    truth = np.array([[0.0, 0.5, 0.75, 1.0, 9.0]], np.float32)
    bins = map_scores.measure_errors_by_sigma(truth + np.float32(1), truth)
    assert list(bins) == ["0-0.5", "0.5-1", "1-2", "2-3", "3+"]
    assert [part and part.n for part in bins.values()] == [1, 2, 1, None, 1]


@limits(max_examples=80)
@given(map_and_mask())
def test_auc_is_the_share_of_pairs_in_the_right_order(case: tuple[np.ndarray, np.ndarray]) -> None:
    estimate, mask = case
    pairs = [
        float(a > b) + (a == b) / 2 for a, b in itertools.product(estimate[mask], estimate[~mask])
    ]
    assert map_scores.roc_auc(estimate, mask) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert map_scores.roc_auc(estimate, ~mask) == pytest.approx(1 - np.mean(pairs), abs=1e-12)


def test_auc_of_many_pixels_counts_pairs_and_sees_order_only() -> None:
    rng = np.random.default_rng(1)
    estimate = rng.gamma(2, 1, (80, 60)).astype(np.float32).round(1)
    mask = rng.random((80, 60)) < 0.2 + 0.1 * estimate
    positives = estimate[mask].astype(float)
    negatives = np.sort(estimate[~mask].astype(float))
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    expected = (below + not_above).sum() / 2 / (positives.size * negatives.size)
    assert map_scores.roc_auc(estimate, mask) == pytest.approx(expected, abs=1e-12)
    assert map_scores.roc_auc(np.exp(estimate), mask) == map_scores.roc_auc(estimate, mask)


@limits(max_examples=80)
@given(map_and_mask(), st.sampled_from([0.3, 1.0, 4.0]))
def test_best_f_is_the_best_of_all_thresholds(
    case: tuple[np.ndarray, np.ndarray], beta2: float
) -> None:
    estimate, mask = case

    def at(threshold: float) -> tuple[float, float, float]:
        marked = estimate >= threshold
        precision, recall = (marked & mask).sum() / marked.sum(), (marked & mask).sum() / mask.sum()
        f = (1 + beta2) * precision * recall / (beta2 * precision + recall) if recall else 0.0
        return f, precision, recall

    best = map_scores.find_best_f_score(estimate, mask, beta2)
    assert best.value == pytest.approx(
        max(at(threshold)[0] for threshold in np.unique(estimate)), abs=1e-12
    )
    assert (best.value, best.precision, best.recall) == pytest.approx(
        at(np.float32(best.threshold)), abs=1e-12
    )
    assert map_scores.f_score_of_all_pixels(mask, beta2) == pytest.approx(
        at(estimate.min())[0], abs=1e-12
    )


def test_a_perfect_detector() -> None:
    mask = np.array([[True, False, True, False]])
    estimate = np.where(mask, 2, 1).astype(np.float32)
    assert map_scores.roc_auc(estimate, mask) == 1
    assert map_scores.find_best_f_score(estimate, mask, 0.3) == (1, 2, 1, 1)


@pytest.mark.parametrize("value", [True, False])
def test_a_mask_of_one_class_gives_a_reason_and_no_number(value: bool) -> None:
    mask, estimate = np.full((2, 3), value), np.ones((2, 3), np.float32)
    for broken in (map_scores.roc_auc, lambda *case: map_scores.find_best_f_score(*case, 1.0)):
        with pytest.raises(ValueError, match="everywhere"):
            broken(estimate, mask)
    values = map_scores.score_blur_map(estimate, sample_of(np.zeros((2, 3), np.float32), mask=mask))
    assert (
        "auc" not in values
        and "everywhere" in str(values["auc_reason"])
        and values["mask_share"] == value
    )


def test_other_shapes_are_refused() -> None:
    one, other = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)
    for broken in (map_scores.measure_map_errors, map_scores.measure_errors_by_sigma):
        with pytest.raises(ValueError, match="shape"):
            broken(one, other)
    for broken in (map_scores.roc_auc, lambda *case: map_scores.find_best_f_score(*case, 1.0)):
        with pytest.raises(ValueError, match="shape"):
            broken(one, other > 0)
    with pytest.raises(ValueError, match="shape"):
        map_scores.measure_map_errors(one[:0], one[:0])


def sample_of(truth: np.ndarray, **changes: object) -> Sample:
    image = np.zeros((*truth.shape, 3), np.float32)
    return Sample(**{"id": "one", "image": image, "blur_map": truth} | changes)  # type: ignore[arg-type]


def test_columns_at_the_right_take_no_part_where_the_sample_says_so() -> None:
    truth = np.tile(np.arange(6, dtype=np.float32), (4, 1))
    estimate, mask = truth.copy(), truth > 2
    estimate[:, 4:] = 99 - estimate[:, 4:]
    mask[:, 4:] = False
    values = map_scores.score_blur_map(
        estimate, sample_of(truth, mask=mask, meta={MAP_CROP_RIGHT: 2})
    )
    assert (values["columns_dropped"], values["n_px"], values["mask_px"]) == (2, 16, 16)
    assert (values["mae_px"], values["pearson"], values["auc"]) == (0, pytest.approx(1), 1)
    assert map_scores.score_blur_map(estimate, sample_of(truth, mask=mask))["mae_px"] != 0


@pytest.mark.parametrize("columns", [-1, 6, 2.5, "20"])
def test_a_crop_that_makes_no_sense_is_refused(columns: object) -> None:
    truth = np.ones((4, 6), np.float32)
    with pytest.raises(ValueError, match=MAP_CROP_RIGHT):
        map_scores.score_blur_map(truth, sample_of(truth, meta={MAP_CROP_RIGHT: columns}))


def test_reasons_say_which_map_is_constant_and_the_best_constant_map_is_the_median() -> None:
    ramp, flat = np.array([[0, 1, 2, 7]], np.float32), np.ones((1, 4), np.float32)
    assert (
        map_scores.score_blur_map(ramp, sample_of(flat))["pearson_reason"]
        == map_scores.TRUTH_CONSTANT
    )
    values = map_scores.score_blur_map(flat, sample_of(ramp))
    assert (values["pearson"], values["pearson_reason"]) == (None, map_scores.ESTIMATE_CONSTANT)
    errors = [np.abs(ramp - level).mean() for level in np.linspace(0, 7, 701)]
    assert values["constant_mae_px"] == pytest.approx(min(errors), abs=1e-6)


def test_a_sample_without_truth_has_reasons_only() -> None:
    values = map_scores.score_blur_map(
        np.ones((2, 2), np.float32), sample_of(np.ones((2, 2), np.float32), blur_map=None)
    )
    assert values == {
        "columns_dropped": 0,
        "pearson_reason": map_scores.NO_TRUTH,
        "auc_reason": map_scores.NO_MASK,
    }


def test_every_score_has_a_column() -> None:
    truth = np.tile(np.arange(6, dtype=np.float32), (4, 1))
    assert set(map_scores.score_blur_map(truth, sample_of(truth, mask=truth > 2))) < set(
        MAP_COLUMNS
    )


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (np.full((4, 5), np.nan, np.float32), "NaN"),
        (np.full((4, 5), -1, np.float32), "negative"),
        (np.ones((4, 4), np.float32), r"\(4, 4\)"),
        (np.ones((4, 5, 1), np.float32), "H x W"),
        (np.ones((4, 5), np.float64), "float64"),
        ([[1.0]], "list"),
    ],
)
def test_a_map_that_breaks_the_contract_is_refused(output: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        map_scores.validate_blur_map(output, Observation(np.zeros((4, 5, 3), np.float32)))


# The run
# --------------------------------------------------------------------------------------------------

PLUGIN = '''
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.api import Dataset, DatasetCard, Method, MethodCard, Sample
from benchmark.registry import DATASETS, METHODS


@METHODS.register("toy-map")
class ToyMap(Method):
    """Reads the true map from the red channel, and writes down that it was asked."""

    card = MethodCard(title="Toy", family="baseline")

    def __init__(
        self,
        *,
        how: Literal["exact", "half", "constant", "none", "raise", "die"] = "exact",
        log: Path | None = None,
    ) -> None:
        self.how, self.log = how, log

    def restore(self, observation):
        return observation.image.copy()

    def estimate_blur(self, observation):
        if self.log is not None:
            with self.log.open("a") as file:
                print(self.how, file=file)
        exact = np.abs(observation.image[..., 0] * np.float32(10))
        match self.how:
            case "half":
                return exact / 2
            case "constant":
                return np.ones_like(exact)
            case "none":
                return None
            case "raise":
                raise RuntimeError("it broke")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return exact


@DATASETS.register("ramps")
class Ramps(Dataset):
    """Pictures that show their true maps."""

    card = DatasetCard(
        title="Ramps", paper="", licence="none", source="made", layout="none", notes="all made up"
    )

    def __init__(self, root: Path, *, n: int = 2) -> None:
        self.n = n

    def ids(self):
        return [f"ramp {i}" for i in range(self.n)]

    def load(self, sample_id):
        most = 1 + int(sample_id.split()[1])
        truth = np.tile(np.linspace(0, most, 20, dtype=np.float32), (12, 1))
        image = np.repeat(truth[..., None] / np.float32(10), 3, axis=2)
        return Sample(id=sample_id, image=image, blur_map=truth, mask=truth > 0.5)

    def fingerprint(self, sample_id):
        return sample_id
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "toy_maps.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def run(
    folder: Path,
    plugin: Path,
    methods: str,
    *,
    dataset: str = "ramps",
    sigmas: tuple[float, ...] = (0.0,),
    jobs: int = 1,
) -> list[MapRow]:
    return map_scores.score_maps(
        plan.select_methods([methods]),
        plan.select_dataset(dataset, folder),
        [Noise(sigma, seed=3) for sigma in sigmas],
        RunSettings(folder, folder, (plugin,)),
        jobs=jobs,
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "maps.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_outcome_is_a_row_in_the_order_of_the_plan(tmp_path: Path, plugin: Path) -> None:
    names = ["toy-map", "toy-map:how=half", "toy-map:how=raise", "toy-map:how=none", "input"]
    rows = run(tmp_path, plugin, ",".join(names), sigmas=(0.0, 3.0), jobs=2)
    order = [(f"ramp {i}", sigma, name) for i in range(2) for sigma in (0.0, 3.0) for name in names]
    assert [(row["sample"], row["noise"], row["method"]) for row in rows] == order
    assert [(row["sample"], float(row["noise"]), row["method"]) for row in table(tmp_path)] == order
    by_name = {str(row["method"]): row for row in rows}
    assert by_name["toy-map:how=raise"]["status"] == "failed" and "it broke" in str(
        by_name["toy-map:how=raise"]["reason"]
    )
    assert "RuntimeError" in str(by_name["toy-map:how=raise"]["traceback"])
    for name in ("toy-map:how=none", "input"):
        assert (by_name[name]["status"], by_name[name]["reason"]) == ("skipped", apply.NO_MAP)
    assert {row["status"] for row in rows if row["method"] in names[:2]} == {"ok"}
    for row in rows:
        assert tuple(row) == MAP_COLUMNS
        if row["status"] == "ok":
            check_values(row, tmp_path)


def check_values(row: MapRow, folder: Path) -> None:
    """Compare a row with a computation that shares the noise field only."""
    sample = create(DATASETS, "ramps", root=folder)[0].load(str(row["sample"]))
    shape = sample.image.shape
    assert sample.blur_map is not None and sample.mask is not None
    noisy = sample.image + float(row["noise"] or 0) / 255 * noise.standard_normal_field(
        shape, seed=3, dataset="ramps", sample=sample.id
    )
    expected = np.abs(noisy[..., 0] * 10) * (0.5 if "half" in str(row["method"]) else 1)
    np.testing.assert_allclose(
        imageio.read_array(folder / str(row["map"])), expected, rtol=1e-4, atol=1e-6
    )
    assert row["mae_px"] == pytest.approx(np.abs(expected - sample.blur_map).mean(), abs=1e-5)
    assert row["n_px"] == row["mask_px"] == 240 and row["mask_share"] == pytest.approx(
        sample.mask.mean()
    )
    assert row["auc"] == 1 if row["noise"] == 0 else 0.5 < float(row["auc"] or 0) < 1


def test_again_makes_only_what_is_missing_and_tries_failures_again(
    tmp_path: Path, plugin: Path
) -> None:
    log = tmp_path / "log"
    names = f"toy-map:log={log},toy-map:how=raise,log={log}"
    first = run(tmp_path, plugin, names)
    assert sorted(log.read_text().split()) == ["exact"] * 2 + ["raise"] * 2
    maps = sorted((tmp_path / "maps").rglob("*.npy"))
    maps[0].write_bytes(b"damaged")
    again = run(tmp_path, plugin, names)
    assert sorted(log.read_text().split()) == ["exact"] * 3 + ["raise"] * 4
    for one, other in zip(first, again, strict=True):
        same = set(MAP_COLUMNS) - {"seconds_seen", "traceback"}
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
        assert (one["seconds_seen"] is None) == (other["seconds_seen"] is None), (
            "seconds of earlier commands are kept"
        )


def test_a_worker_that_dies_costs_its_own_cell_only(tmp_path: Path, plugin: Path) -> None:
    died, fine = run(tmp_path, plugin, "toy-map:how=die,toy-map", dataset="ramps:n=1")
    assert died["status"] == "failed" and "died" in str(died["reason"]) and fine["status"] == "ok"


def test_rows_of_earlier_commands_stay_and_half_a_line_does_no_harm(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(work: object, items: list[Task], *_: object, **__: object) -> Iterator[object]:
        return ((item, map_scores.MapOutcome("ok")) for item in items)

    monkeypatch.setattr(runner, "map_in_processes", at_once)
    run(tmp_path, plugin, "toy-map")
    with (tmp_path / "maps.csv").open("a") as file:
        file.write("0123abcd,ramps,hal")  # what a killed process may leave
    run(tmp_path, plugin, "toy-map:how=half", dataset="ramps:n=1")
    assert [row["method"] for row in table(tmp_path)] == ["toy-map:how=half", "toy-map", "toy-map"]


def test_what_is_done_is_on_the_disk_when_the_rest_is_stopped(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(work: object, items: list[Task], *_: object, **__: object) -> Iterator[object]:
        yield items[1], map_scores.MapOutcome("ok", values={"mae_px": 0.25})
        rows_on_disk.extend(
            table(tmp_path)
        )  # at this moment, when a kill would leave nothing that waits in a buffer
        raise KeyboardInterrupt

    rows_on_disk: list[dict[str, str]] = []

    monkeypatch.setattr(runner, "map_in_processes", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, plugin, "toy-map")
    assert [(row["sample"], row["mae_px"]) for row in rows_on_disk] == [("ramp 1", "0.25")]
    assert table(tmp_path) == rows_on_disk


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x81", b'key\n"' + b"x" * 200_000])
def test_a_table_that_is_none_is_not_overwritten(
    tmp_path: Path, plugin: Path, content: bytes
) -> None:
    (tmp_path / "maps.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"maps\.csv"):
        run(tmp_path, plugin, "toy-map")
    assert (tmp_path / "maps.csv").read_bytes() == content


@pytest.mark.data
@pytest.mark.parametrize("name", ["rtf", "cuhk_bd"])
def test_the_truth_of_real_data_scores_itself_perfectly(data_root: Path, name: str) -> None:
    data = plan.select_dataset(name, data_root, limit=2)
    for sample_id in data.fingerprints:
        sample = data.dataset.load(sample_id)
        if sample.blur_map is not None:
            values = map_scores.score_blur_map(sample.blur_map, sample)
            assert (values["mae_px"], values["pearson"]) == (0, pytest.approx(1))
            assert 0.2 < float(values["constant_mae_px"] or 0) < 2, (
                "real maps are in pixels and not constant"
            )
        else:
            assert sample.mask is not None
            values = map_scores.score_blur_map(sample.mask.astype(np.float32), sample)
            assert (values["auc"], values["f1"], values["f03_threshold_px"]) == (1, 1, 1)
