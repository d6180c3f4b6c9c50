"""Statistics against hand-computed cases, scipy, published constants, and simulations with a known
truth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from benchmark.arrays import Float64Array
from benchmark.stats import (
    ALPHA,
    POWER,
    Interval,
    _bca_bounds,
    adjust_p_values,
    compare_paired_scores,
    mean_interval,
    rank_methods,
)

Draw = Callable[[np.random.Generator, int], Float64Array]

SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "skew 1.75": lambda rng, n: rng.lognormal(0, 0.5, n) - np.exp(0.125),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
}
"""Distributions with mean 0."""


def differences(n: int) -> st.SearchStrategy[Float64Array]:
    """Differences in tenths: ties and zeros are frequent, and sums that are equal on paper differ
    by rounding.
    """
    return arrays(np.float64, n, elements=st.integers(-8, 8).map(lambda value: value / 10))


def covers(interval: Interval, truth: float = 0.0) -> bool:
    assert interval.low is not None and interval.high is not None
    return interval.low <= truth <= interval.high


# Intervals
# --------------------------------------------------------------------------------------------------


def test_many_normal_values_have_the_interval_of_student() -> None:
    values = np.random.default_rng(0).normal(27, 3, 400)
    found = mean_interval(values.tolist())
    low, high = stats.t.interval(0.95, 399, loc=values.mean(), scale=stats.sem(values))
    assert found.mean == pytest.approx(values.mean()) and found.kind == "bootstrap"
    assert found.low == pytest.approx(low, abs=0.05) and found.high == pytest.approx(high, abs=0.05)


def test_a_skewed_sample_has_a_skewed_bootstrap_interval() -> None:
    """Which Student's never is: the correction for bias and acceleration is at work."""
    found = mean_interval(np.random.default_rng(0).lognormal(0, 1, 60))
    assert found.low is not None and found.high is not None
    assert found.high - found.mean > 1.2 * (found.mean - found.low)


def test_few_values_have_the_interval_of_student() -> None:
    """By hand: mean 3, standard deviation 2, so 3 -+ 4.3027 * 2 / sqrt(3)."""
    found = mean_interval([1.0, 3.0, 5.0])
    half = 4.302653 * 2 / 3**0.5
    assert found == (3.0, pytest.approx(3 - half), pytest.approx(3 + half), 3, "t")


@pytest.mark.parametrize(
    ("n", "kind"), [(3, "t"), (29, "t"), (30, "bootstrap"), (1000, "bootstrap"), (1001, "t")]
)
def test_the_interval_says_which_it_is(n: int, kind: str) -> None:
    assert mean_interval(np.random.default_rng(n).normal(0, 1, n)).kind == kind


def test_many_values_agree_with_the_bootstrap_of_fewer() -> None:
    values = np.random.default_rng(3).gamma(2, 3, 1000).tolist()
    few, many = mean_interval(values), mean_interval([*values, float(np.mean(values))])
    assert few.low == pytest.approx(many.low, abs=0.03) and few.high == pytest.approx(
        many.high, abs=0.03
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["normal", pytest.param("skew 1.75", marks=pytest.mark.slow)])
def test_intervals_of_a_known_effect_cover_it(shape: str) -> None:
    """A method that is better by 0.3 dB on 76 pictures of very different difficulty, a thousand
    times.
    """
    rng = np.random.default_rng(76)
    hits = 0
    for _ in range(1000):
        difficulty = rng.normal(26, 3, 76)
        gain = 0.3 + 0.8 * SHAPES[shape](rng, 76)
        hits += covers(mean_interval((difficulty + gain) - difficulty), 0.3)
    assert 930 <= hits <= 970


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 24])
def test_below_thirty_student_covers_better_than_the_bootstrap(n: int) -> None:
    """The finding behind the choice in `mean_interval`, on shapes that differences of PSNR have."""
    rng = np.random.default_rng(n)
    for name, draw in SHAPES.items():
        samples = [np.sort(draw(rng, n)) for _ in range(800)]
        chosen = np.mean([covers(mean_interval(sample)) for sample in samples])
        bounds = [_bca_bounds(sample, 0.95, 0) for sample in samples]
        bootstrap = np.mean([low <= 0 <= high for low, high in bounds])
        assert abs(chosen - 0.95) < abs(bootstrap - 0.95), (
            f"{name}: Student's {chosen}, bootstrap {bootstrap}"
        )


def test_it_is_the_same_each_time_and_in_any_order() -> None:
    values = np.random.default_rng(5).normal(0, 1, 40).tolist()
    assert mean_interval(values) == mean_interval(values[::-1]) != mean_interval(values, seed=1)


def test_more_confidence_is_a_wider_interval() -> None:
    for n in (10, 40):
        values = np.random.default_rng(n).normal(0, 1, n)
        narrow, wide = mean_interval(values, confidence=0.9), mean_interval(values, confidence=0.99)
        assert wide.low < narrow.low < narrow.high < wide.high  # type: ignore[operator]


@pytest.mark.parametrize(
    "values", [[3.0], [3.0, 4.0], [2.0] * 4, [0.3] * 40, [0.1 + 0.2, 0.3, 0.3]]
)
def test_no_interval_where_there_is_none(values: list[float]) -> None:
    assert mean_interval(values) == (pytest.approx(np.mean(values)), None, None, len(values), "")


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)
    with pytest.raises(ValueError, match="finite"):
        compare_paired_scores(values, values)


# Pairs
# --------------------------------------------------------------------------------------------------


def test_a_pair_by_hand() -> None:
    """Differences 3, 2, 1, -1: of the 16 choices of signs 6 have a sum as far out, and 6 a sum of
    ranks as far out.
    """
    found = compare_paired_scores([4.0, 4.0, 4.0, 3.0], [1.0, 2.0, 3.0, 4.0])
    assert (found.n, found.mean, found.wins, found.losses, found.ties) == (4, 1.25, 3, 1, 0)
    assert found.sign_flip == 6 / 16
    assert found.wilcoxon == 6 / 16


def test_a_lower_score_may_be_the_better_one() -> None:
    a, b = [0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.5, 0.3]
    found = compare_paired_scores(a, b, higher_is_better=False)
    assert (found.wins, found.losses, found.ties) == (2, 1, 1) and found.mean == pytest.approx(
        -0.05
    )


@settings(max_examples=30)
@given(differences(8))
def test_few_pictures_have_the_exact_p_of_scipy(difference: Float64Array) -> None:
    found = compare_paired_scores(difference, np.zeros(8))
    exact = {"permutation_type": "samples", "n_resamples": np.inf, "vectorized": True}
    tenths = np.rint(10 * difference)  # scipy tells 0.1 + 0.3 - 0.4 from 0
    oracle = stats.permutation_test((tenths,), np.mean, **exact)
    assert found.sign_flip == pytest.approx(min(1.0, oracle.pvalue))
    ranked = stats.wilcoxon(difference, zero_method="pratt").pvalue if difference.any() else 1.0
    assert found.wilcoxon == pytest.approx(ranked)


def test_many_sign_flips_agree_with_scipy_and_never_give_zero() -> None:
    difference = np.random.default_rng(2).normal(0.2, 1, 60)
    found = compare_paired_scores(difference, np.zeros(60)).sign_flip
    oracle = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert found == pytest.approx(oracle.pvalue, rel=0.1) and 0.01 < found < 0.5
    assert compare_paired_scores(difference + 9, np.zeros(60)).sign_flip == 1 / 100_000


@given(differences(20))
def test_wilcoxon_is_that_of_scipy(difference: Float64Array) -> None:
    found = compare_paired_scores(difference, np.zeros(20)).wilcoxon
    expected = stats.wilcoxon(difference, zero_method="pratt").pvalue if difference.any() else 1.0
    assert found == expected and 0 < found <= 1


@pytest.mark.parametrize("n", [7, 30])
def test_swapping_the_methods_swaps_wins_and_signs_only(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(26, 3, n), rng.normal(26, 3, n)
    there, back = compare_paired_scores(a, b), compare_paired_scores(b, a)
    assert back.mean == pytest.approx(-there.mean)
    assert (back.wins, back.losses) == (there.losses, there.wins)
    assert (back.wilcoxon, back.sign_flip, back.detectable) == (
        there.wilcoxon,
        there.sign_flip,
        there.detectable,
    )
    assert back.interval.low == pytest.approx(-there.interval.high, abs=0.03)  # type: ignore[operator]


@settings(max_examples=20)
@given(st.permutations(range(18)))
def test_the_order_of_the_pictures_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(26, 3, 18), rng.normal(26, 3, 18)
    there, back = compare_paired_scores(a, b), compare_paired_scores(a[order], b[order])
    assert back.sign_flip == there.sign_flip and back.wilcoxon == there.wilcoxon
    assert back.interval.low == pytest.approx(there.interval.low)


def test_equal_differences_are_a_certain_win_without_an_interval() -> None:
    """0.3 everywhere, but for the rounding of the subtraction: no spread, so nothing to estimate it
    from.
    """
    b = np.random.default_rng(4).normal(26, 3, 10)
    found = compare_paired_scores(b + 0.3, b)
    assert found.interval == (pytest.approx(0.3), None, None, 10, "") and found.detectable is None
    assert found.sign_flip == 2 / 1024 and found.wilcoxon == pytest.approx(2 / 1024)


def test_ties_are_not_told_apart_by_the_rounding_of_the_subtraction() -> None:
    tenths = np.array([1, -1, 2, -2, 3, 3, -3, 5, 4, 4, 0, 6]) / 10
    b = np.random.default_rng(0).normal(26, 3, 12)
    with_noise, exact = (
        compare_paired_scores(b + tenths, b),
        compare_paired_scores(tenths, np.zeros(12)),
    )
    assert (with_noise.wilcoxon, with_noise.sign_flip) == (exact.wilcoxon, exact.sign_flip)
    assert with_noise.ties == 1


@pytest.mark.parametrize("n", [1, 2, 10, 40])
def test_equal_scores_show_nothing(n: int) -> None:
    scores = np.linspace(20, 30, n)
    found = compare_paired_scores(scores, scores)
    assert (found.mean, found.wins, found.losses, found.ties) == (0, 0, 0, n)
    assert (found.wilcoxon, found.sign_flip, found.detectable) == (1, 1, None)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_no_p_is_less_than_so_few_pictures_can_give(n: int) -> None:
    found = compare_paired_scores(np.arange(n) + 9.0, np.zeros(n))
    assert found.sign_flip == found.wilcoxon == 2.0 ** (1 - n)
    assert (found.detectable is None) == (n < 3)


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        compare_paired_scores([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.slow
def test_the_sign_flip_test_errs_as_often_as_it_says() -> None:
    rng = np.random.default_rng(9)
    errors = np.mean(
        [
            compare_paired_scores(rng.normal(0, 1, 24), np.zeros(24)).sign_flip <= ALPHA
            for _ in range(1000)
        ]
    )
    assert errors == pytest.approx(ALPHA, abs=0.02)


@pytest.mark.parametrize("n", [3, 8, 34])
def test_a_detectable_difference_is_detected_four_times_in_five(n: int) -> None:
    sample = np.random.default_rng(n).normal(0, 1, n)
    sample = (sample - sample.mean()) / sample.std(ddof=1)
    shift = compare_paired_scores(sample, np.zeros(n)).detectable
    assert shift is not None
    drawn = np.random.default_rng(0).normal(shift, 1, (20_000, n))
    power = (stats.ttest_1samp(drawn, 0, axis=1).pvalue <= ALPHA).mean()
    assert power == pytest.approx(POWER, abs=0.01)


def test_detectable_agrees_with_published_sample_sizes() -> None:
    """34 pairs show an effect of half a standard deviation with a power of 80 % (Cohen's table;
    G*Power: 0.8078).
    """
    sample = np.resize([-1.0, 1.0], 34)
    found = compare_paired_scores(sample, np.zeros(34)).detectable
    assert found is not None and found / sample.std(ddof=1) == pytest.approx(0.495, abs=1e-3)


# Families of tests
# --------------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    """Holm's own arithmetic: the least p times 4, the next times 3 ..., and never less than the one
    before.
    """
    assert adjust_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (
        adjust_p_values([0.6, 0.5]) == [1.0, 1.0]
        and adjust_p_values([]) == []
        and adjust_p_values([0.2]) == [0.2]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_adjustment_and_bonferroni_and_keeps_the_order(
    raw: list[float],
) -> None:
    adjusted = adjust_p_values(raw)
    for p, q in zip(raw, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(raw))
    assert [adjusted[i] for i in np.argsort(raw, kind="stable")] == sorted(adjusted)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        adjust_p_values([0.5, bad])


# Many methods
# --------------------------------------------------------------------------------------------------

SCORES = [[30.0, 29.0, 20.0], [28.0, 27.0, 27.0], [31.0, 32.0, 25.0], [26.0, 25.0, 24.0]]


def test_friedman_by_hand() -> None:
    """Ranks 123, 1 2.5 2.5, 213, 123; rank sums 5, 7.5, 11.5, so 5.25 / (1 - 6 / (4 * 24)) with the
    tie.
    """
    found = rank_methods(SCORES)
    assert found.mean_ranks == (1.25, 1.875, 2.875) and (found.n, found.k) == (4, 3)
    uncorrected = 12 / (4 * 3 * 4) * (5**2 + 7.5**2 + 11.5**2) - 3 * 4 * 4
    assert found.statistic == pytest.approx(uncorrected / (1 - 6 / (4 * 24)))
    assert found.p == pytest.approx(np.exp(-found.statistic / 2))


def test_friedman_is_that_of_scipy_and_turns_with_the_direction() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (30, 5)) + np.linspace(0, 1, 5)
    found, turned = rank_methods(scores), rank_methods(scores, higher_is_better=False)
    oracle = stats.friedmanchisquare(*scores.T)
    assert (found.statistic, found.p) == pytest.approx((oracle.statistic, oracle.pvalue))
    assert turned.mean_ranks == pytest.approx([6 - rank for rank in found.mean_ranks])
    assert found.mean_ranks[4] < found.mean_ranks[0]


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_demsars(k: int, q: float) -> None:
    """Table 5(a) of Demsar (2006); his example, 4 classifiers on 14 data sets, has 1.25."""
    scores = np.random.default_rng(k).normal(0, 1, (14, k))
    assert rank_methods(scores).critical_difference == pytest.approx(
        q * (k * (k + 1) / (6 * 14)) ** 0.5, rel=5e-4
    )
    if k == 4:
        assert rank_methods(scores).critical_difference == pytest.approx(1.25, abs=0.005)


def test_methods_that_never_differ_share_their_rank() -> None:
    found = rank_methods(np.tile([[20.0], [25.0]], 3))
    assert (found.statistic, found.p, found.mean_ranks) == (0, 1, (2, 2, 2))


@pytest.mark.parametrize(
    "scores", [[[1.0, 2.0]] * 3, [[1.0, 2.0, 3.0]], [1.0, 2.0, 3.0], [[1.0, 2.0, np.nan]] * 3]
)
def test_friedman_refuses_what_it_cannot_rank(scores: object) -> None:
    with pytest.raises(ValueError, match="at least"):
        rank_methods(scores)  # type: ignore[arg-type]
