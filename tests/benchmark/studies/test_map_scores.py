"""Blur maps are scored as independent computations score them, and a run of them loses nothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.api import MAP_CROP_RIGHT, Observation, Sample
from benchmark.apply import validate_blur_map
from benchmark.studies import map_scores
from benchmark.studies.maps import MAP_COLUMNS

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
        validate_blur_map(output, Observation(np.zeros((4, 5, 3), np.float32)))
