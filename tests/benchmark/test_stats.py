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
    adjust_p_values,
    compare,
    compute_bootstrap_p,
    count_scenes_to_show,
    difference_interval,
    estimate_detectable_difference,
    least_p,
    mean_interval,
    rank_methods,
)
from tests.error_rates import FAMILY, family_error_rate, simulate_p, single_error_rate

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
    outcome = mean_interval(values.tolist())
    low, high = stats.t.interval(0.95, 399, loc=values.mean(), scale=stats.sem(values))
    assert outcome.mean == pytest.approx(values.mean()) and outcome.kind == "bootstrap"
    assert outcome.low == pytest.approx(low, abs=0.05) and outcome.high == pytest.approx(
        high, abs=0.05
    )


def test_a_skewed_sample_has_a_skewed_bootstrap_interval() -> None:
    """Which Student's never is."""
    outcome = mean_interval(np.random.default_rng(0).lognormal(0, 1, 60))
    assert outcome.low is not None and outcome.high is not None
    assert outcome.high - outcome.mean > 1.2 * (outcome.mean - outcome.low)


def test_few_values_have_the_interval_of_student() -> None:
    """By hand: mean 3, standard deviation 2, so 3 -+ 4.3027 * 2 / sqrt(3)."""
    outcome = mean_interval([1.0, 3.0, 5.0])
    half = 4.302653 * 2 / 3**0.5
    assert outcome == (3.0, pytest.approx(3 - half), pytest.approx(3 + half), 3, "t")


@pytest.mark.parametrize(
    ("n", "kind"), [(3, "t"), (11, "t"), (12, "bootstrap"), (1000, "bootstrap"), (1001, "t")]
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


def test_bounds_stay_within_what_a_measure_can_be() -> None:
    """By hand: 0.75 -+ 4.3027 * 0.4330 / sqrt(3), of which an SSIM above 1 is none."""
    values = [0.25, 1.0, 1.0]
    half = 4.302653 * np.std(values, ddof=1) / 3**0.5
    assert mean_interval(values, limits=(-1, 1))[:3] == pytest.approx((0.75, 0.75 - half, 1))
    assert mean_interval([0.0, 0.0, 0.3], limits=(0, None)).low == 0
    assert difference_interval([1.9, 0.0, 0.0], limits=(-2, 2)).high == 2
    outside = mean_interval([-0.1, 0.0, 0.3], limits=(0, None))
    assert outside.low == -0.1, "a score that is outside is not denied"


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
        compare(values, values)


# Pairs
# --------------------------------------------------------------------------------------------------


def test_a_pair_by_hand() -> None:
    """Differences 3, 2, 1, -1: of the 16 choices of signs 6 have a sum as far out."""
    outcome = compare([4.0, 4.0, 4.0, 3.0], [1.0, 2.0, 3.0, 4.0])
    assert (outcome.n, outcome.mean, outcome.wins, outcome.losses, outcome.ties) == (
        4,
        1.25,
        3,
        1,
        0,
    )
    assert outcome.p == 6 / 16


def test_a_lower_score_may_be_the_better_one() -> None:
    a, b = [0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.5, 0.3]
    outcome = compare(a, b, higher_is_better=False)
    assert (outcome.wins, outcome.losses, outcome.ties) == (
        2,
        1,
        1,
    ) and outcome.mean == pytest.approx(-0.05)


@settings(max_examples=30)
@given(differences(8))
def test_few_pictures_have_the_exact_p_of_scipy(difference: Float64Array) -> None:
    outcome = compare(difference, np.zeros(8))
    exact = {"permutation_type": "samples", "n_resamples": np.inf, "vectorized": True}
    tenths = np.rint(10 * difference)  # scipy tells 0.1 + 0.3 - 0.4 from 0
    oracle = stats.permutation_test((tenths,), np.mean, **exact)
    assert outcome.p == pytest.approx(min(1.0, oracle.pvalue))


def studentise_by_hand(difference: Float64Array, seed: int = 0) -> float:
    """Return p of the studentised bootstrap, resample by resample."""
    rng = np.random.default_rng(seed)
    n, draws = difference.size, -(-5 * difference.size // 6)
    observed = difference.mean() / stats.sem(difference)
    centred = difference - difference.mean()
    resampled = []
    for _ in range(6000):
        resample = centred[rng.integers(0, n, draws)]
        resampled.append(resample.mean() / stats.sem(resample))
    above = np.mean(np.array(resampled) >= observed)
    return float(2 * min(above, 1 - above))


@pytest.mark.parametrize("n", [12, 25])
def test_many_pictures_have_the_p_of_a_studentised_bootstrap_with_equal_tails(n: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.1, 0.3, 0.5):
        difference = rng.gamma(1, 1, n) - 1 + shift
        by_hand = studentise_by_hand(difference)
        assert compare(difference, np.zeros(n)).p == pytest.approx(by_hand, abs=0.02, rel=0.1)


def test_p_is_that_of_the_vectorised_form_and_never_zero() -> None:
    samples = np.random.default_rng(2).normal(0.2, 1, (3, 60))
    together = compute_bootstrap_p(samples)
    assert [compare(row, np.zeros(60)).p for row in samples] == together.tolist()
    assert compare(samples[0] + 9, np.zeros(60)).p == 2 / 20_000 == least_p(60)
    assert compare(np.arange(2000.0), np.zeros(2000)).p < 1e-9


def test_a_resample_without_spread_says_nothing_against_chance() -> None:
    """One difference that is not 0: resamples without it have no spread, and t of 0 or far out."""
    difference = np.zeros(14)
    difference[3] = 1.0
    outcome = compare(difference, np.zeros(14))
    assert outcome.p > ALPHA and covers(outcome.interval)
    assert outcome.interval.high == 1


@pytest.mark.parametrize("n", [6, 8, 11, 12, 30])
def test_the_interval_leaves_out_0_exactly_where_p_shows_a_difference(n: int) -> None:
    rng = np.random.default_rng(n)
    verdicts = set()
    for _ in range(60):
        outcome = compare(rng.gamma(1, 1, n) - rng.uniform(0.2, 1.2), np.zeros(n))
        assert (outcome.p <= ALPHA) is not covers(outcome.interval)
        verdicts.add(outcome.p <= ALPHA)
    assert verdicts == {True, False}


def test_bounds_of_sign_flips_are_the_means_that_they_do_not_reject() -> None:
    difference = np.array([0.3, 1.1, -0.2, 0.9, 0.7, 1.6, 0.4])
    interval = difference_interval(difference)
    assert interval.kind == "sign flips" and interval.low is not None and interval.high is not None
    for bound, outside in ((interval.low, -1e-6), (interval.high, 1e-6)):
        assert compare(difference, np.full(7, bound)).p > ALPHA
        assert compare(difference, np.full(7, bound + outside)).p <= ALPHA


@pytest.mark.parametrize(
    ("comparisons", "scenes"), [(1, 6), (2, 7), (10, 9), (52, 12), (501, 1001)]
)
def test_how_many_scenes_can_show_a_difference(comparisons: int, scenes: int) -> None:
    """2^(1 - n) times their number, up to 11 scenes; then 2 of 20,000."""
    assert count_scenes_to_show(comparisons) == scenes
    assert comparisons * least_p(scenes) <= ALPHA


@pytest.mark.parametrize("n", [7, 30])
def test_swapping_the_methods_swaps_wins_and_signs_only(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(26, 3, n), rng.normal(26, 3, n)
    there, back = compare(a, b), compare(b, a)
    assert back.mean == pytest.approx(-there.mean)
    assert (back.wins, back.losses) == (there.losses, there.wins)
    assert (back.p, back.detectable) == (there.p, there.detectable)
    assert back.interval.low == pytest.approx(-there.interval.high)  # type: ignore[operator]


@settings(max_examples=20)
@given(st.permutations(range(18)))
def test_the_order_of_the_pictures_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(26, 3, 18), rng.normal(26, 3, 18)
    there, back = compare(a, b), compare(a[order], b[order])
    assert back.p == there.p
    assert back.interval.low == pytest.approx(there.interval.low)


def test_equal_differences_are_a_certain_win_without_an_interval() -> None:
    """0.3 everywhere, but for the rounding of the subtraction: no spread, so nothing to estimate it
    from.
    """
    b = np.random.default_rng(4).normal(26, 3, 10)
    outcome = compare(b + 0.3, b)
    assert (
        outcome.interval == (pytest.approx(0.3), None, None, 10, "") and outcome.detectable is None
    )
    assert outcome.p == 2 / 1024
    many = np.random.default_rng(4).normal(26, 3, 40)
    assert compare(many + 0.3, many).p == 2 / 20_000


def test_ties_are_not_told_apart_by_the_rounding_of_the_subtraction() -> None:
    tenths = np.array([1, -1, 2, -2, 3, 3, -3, 5, 4, 4, 0, 6]) / 10
    b = np.random.default_rng(0).normal(26, 3, 12)
    with_noise, exact = (
        compare(b + tenths, b),
        compare(tenths, np.zeros(12)),
    )
    assert with_noise.p == exact.p
    assert with_noise.ties == 1


@pytest.mark.parametrize("n", [1, 2, 10, 40])
def test_equal_scores_show_nothing(n: int) -> None:
    scores = np.linspace(20, 30, n)
    outcome = compare(scores, scores)
    assert (outcome.mean, outcome.wins, outcome.losses, outcome.ties) == (0, 0, 0, n)
    assert (outcome.p, outcome.detectable) == (1, None)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_no_p_is_less_than_so_few_pictures_can_give(n: int) -> None:
    outcome = compare(np.arange(n) + 9.0, np.zeros(n))
    assert outcome.p == 2.0 ** (1 - n)
    assert outcome.detectable is None, "so few can show nothing"


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        compare([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize(("scenes", "most"), [(12, 0.10), (24, 0.065)])
def test_tests_and_families_err_as_often_as_they_say(scenes: int, most: float) -> None:
    """The rule of the committed table, with fewer repetitions, hence wider; where it is hardest."""
    rng = np.random.default_rng(scenes)
    p = simulate_p(compute_bootstrap_p, 2.0, 1000 * FAMILY, scenes, rng)
    assert 0.035 <= single_error_rate(p) <= 0.065
    assert family_error_rate(p) <= most + 0.02


@pytest.mark.parametrize("n", [3, 8, 34])
def test_a_detectable_difference_is_detected_four_times_in_five(n: int) -> None:
    sample = np.random.default_rng(n).normal(0, 1, n)
    sample = (sample - sample.mean()) / sample.std(ddof=1)
    shift = estimate_detectable_difference(sample)
    assert shift is not None
    drawn = np.random.default_rng(0).normal(shift, 1, (20_000, n))
    power = (stats.ttest_1samp(drawn, 0, axis=1).pvalue <= ALPHA).mean()
    assert power == pytest.approx(POWER, abs=0.01)


def test_detectable_agrees_with_published_sample_sizes() -> None:
    """34 pairs show an effect of half a standard deviation with a power of 80 % (Cohen's table;
    G*Power: 0.8078).
    """
    sample = np.resize([-1.0, 1.0], 34)
    outcome = compare(sample, np.zeros(34)).detectable
    assert outcome is not None and outcome / sample.std(ddof=1) == pytest.approx(0.495, abs=1e-3)


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


def test_mean_ranks_by_hand_and_in_either_direction() -> None:
    """Ranks 123, 1 2.5 2.5, 213, 123."""
    assert rank_methods(SCORES) == (1.25, 1.875, 2.875)
    assert rank_methods(SCORES, higher_is_better=False) == (2.75, 2.125, 1.125)


def test_methods_that_never_differ_share_their_rank() -> None:
    assert rank_methods(np.tile([[20.0], [25.0]], 3)) == (2, 2, 2)


@pytest.mark.parametrize("scores", [[], [1.0, 2.0, 3.0], [[1.0, 2.0, np.nan]] * 3])
def test_ranks_refuse_what_they_cannot_rank(scores: object) -> None:
    with pytest.raises(ValueError, match=r"at least|scenes x methods"):
        rank_methods(scores)  # type: ignore[arg-type]
