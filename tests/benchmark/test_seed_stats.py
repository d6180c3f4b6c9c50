"""Comparisons over seeds and scenes: against a hand calculation, and on simulated scores whose
variance components are known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from benchmark.seed_stats import SeedComparison, compare_over_seeds

Scores = NDArray[np.float64]


class Components(NamedTuple):
    """Standard deviations of simulated scores: of scenes' difficulty, which networks share, of
    scenes' difference, of seeds, and of the rest.
    """

    difficulty: float = 5.0
    scene: float = 0.06
    seed: float = 0.03
    rest: float = 0.02


def draw_scores(
    rng: np.random.Generator,
    seeds: tuple[int, int],
    scenes: int,
    parts: Components,
    difference: float = 0.0,
) -> tuple[Scores, Scores]:
    """Return the scores of two networks whose mean difference is known."""
    difficulty: Scores = parts.difficulty * rng.standard_normal(scenes)
    offset: Scores = parts.scene * rng.standard_normal(scenes)
    means = (difficulty + offset + difference, difficulty)
    tables = []
    for count, mean in zip(seeds, means, strict=True):
        table = mean + parts.seed * rng.standard_normal((count, 1))
        tables.append(table + parts.rest * rng.standard_normal((count, scenes)))
    return tables[0], tables[1]


def test_the_mean_is_that_of_all_differences() -> None:
    a, b = draw_scores(np.random.default_rng(0), (4, 2), 7, Components(), difference=0.3)
    comparison = compare_over_seeds(a, b)
    assert comparison.mean == pytest.approx(a.mean() - b.mean())
    assert comparison.seeds == (4, 2) and comparison.scenes == 7
    assert comparison.low is not None and comparison.high is not None
    assert comparison.mean == pytest.approx((comparison.low + comparison.high) / 2)


def test_one_network_is_the_crossed_analysis_of_variance() -> None:
    """Expected mean squares by hand: the variance of the mean is (A + B - E) / (seeds x scenes)."""
    scores = np.array([[1.0, 2.0, 4.0, 3.0], [2.0, 2.5, 4.5, 4.0], [0.5, 2.0, 3.0, 3.5]])
    seeds, scenes = scores.shape
    by_seed, by_scene = scores.mean(1), scores.mean(0)
    of_seed = scenes * by_seed.var(ddof=1)
    of_scene = seeds * by_scene.var(ddof=1)
    rest = scores - by_seed[:, None] - by_scene + scores.mean()
    of_rest = (rest**2).sum() / ((seeds - 1) * (scenes - 1))
    variance = (of_seed + of_scene - of_rest) / (seeds * scenes)
    parts = [of_seed**2 / (seeds - 1), of_scene**2 / (scenes - 1)]
    parts.append(of_rest**2 / ((seeds - 1) * (scenes - 1)))
    degrees = (of_seed + of_scene - of_rest) ** 2 / sum(parts)
    comparison = compare_over_seeds(scores)
    assert comparison.degrees == pytest.approx(degrees)
    assert comparison.high == pytest.approx(
        scores.mean() + stats.t.ppf(0.975, degrees) * variance**0.5
    )
    assert comparison.p == pytest.approx(2 * stats.t.sf(scores.mean() / variance**0.5, degrees))
    assert comparison.seed_deviation == pytest.approx(((of_seed - of_rest) / scenes) ** 0.5)
    assert comparison.scene_deviation == pytest.approx(((of_scene - of_rest) / seeds) ** 0.5)
    assert comparison.seeds == (3, 0)


def test_without_any_difference_of_seeds_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 24))
    comparison = compare_over_seeds(np.tile(a, (5, 1)), np.tile(b, (3, 1)))
    expected = stats.ttest_rel(a, b)
    assert comparison.p == pytest.approx(expected.pvalue)
    assert comparison.degrees == pytest.approx(23)
    assert comparison.low == pytest.approx(expected.confidence_interval().low)


def test_with_very_many_scenes_it_is_the_test_of_the_seeds_means() -> None:
    rng = np.random.default_rng(2)
    a, b = draw_scores(rng, (5, 5), 20_000, Components(scene=1e-4, rest=1e-4))
    expected = stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False)
    assert compare_over_seeds(a, b).p == pytest.approx(expected.pvalue, rel=1e-3)


def test_neither_order_nor_difficulty_nor_sign_matters() -> None:
    a, b = draw_scores(np.random.default_rng(3), (5, 3), 24, Components(), difference=0.05)
    comparison = compare_over_seeds(a, b)
    scenes = np.random.default_rng(4).permutation(24)
    shifted = compare_over_seeds((a + np.arange(24))[::-1, scenes], (b + np.arange(24))[:, scenes])
    assert shifted.p == pytest.approx(comparison.p)
    turned = compare_over_seeds(b, a)
    assert turned.mean == pytest.approx(-comparison.mean)
    assert turned.p == pytest.approx(comparison.p)
    assert turned.detectable == pytest.approx(comparison.detectable)


def test_the_components_are_found_again() -> None:
    parts = Components()
    a, b = draw_scores(np.random.default_rng(5), (200, 200), 400, parts)
    comparison = compare_over_seeds(a, b)
    assert comparison.seed_deviation == pytest.approx(parts.seed * 2**0.5, rel=0.05)
    assert comparison.scene_deviation == pytest.approx(parts.scene, rel=0.1)


def test_equal_scores_have_no_interval() -> None:
    equal = compare_over_seeds(np.full((3, 4), 30.0), np.full((2, 4), 30.0))
    assert (equal.mean, equal.low, equal.high, equal.detectable, equal.p) == (
        0,
        None,
        None,
        None,
        1,
    )
    shifted = compare_over_seeds(np.full((3, 4), 30.5), np.full((2, 4), 30.0))
    assert (shifted.mean, shifted.low, shifted.p) == (0.5, None, 0)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 24)), np.zeros((5, 24)), "at least 2 x 3, got 1 x 24"),
        (np.zeros((5, 2)), None, "got 5 x 2"),
        (np.zeros(5), None, "got 5"),
        (np.zeros((2, 4)), np.zeros((2, 5)), "same scenes, got 4 and 5"),
        (np.full((2, 4), np.nan), None, "finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(a: Scores, b: Scores | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_over_seeds(a, b)


# Simulated: coverage, level and power
# --------------------------------------------------------------------------------------------------

SITUATIONS = {
    "seeds and pictures": Components(),
    "seeds alone": Components(scene=0.0),
    "pictures alone": Components(seed=0.0),
    "the rest alone": Components(scene=0.0, seed=0.0),
    "seeds far more than pictures": Components(scene=0.02, seed=0.1),
}


def simulate(
    seeds: tuple[int, int], scenes: int, parts: Components, repetitions: int, truth: float = 0.0
) -> list[SeedComparison]:
    rng = np.random.default_rng(0)
    return [
        compare_over_seeds(*draw_scores(rng, seeds, scenes, parts, truth))
        for _ in range(repetitions)
    ]


def covers(comparison: SeedComparison, truth: float) -> bool:
    assert comparison.low is not None and comparison.high is not None
    return comparison.low <= truth <= comparison.high


def measure_coverage(seeds: tuple[int, int], parts: Components, repetitions: int) -> float:
    return float(np.mean([covers(one, 0) for one in simulate(seeds, 24, parts, repetitions)]))


def measure_bootstrap_coverage(
    seeds: tuple[int, int], parts: Components, repetitions: int
) -> float:
    """Coverage of the plain crossed bootstrap's percentile interval, 999 resamples: scenes, and of
    each network its seeds, are drawn again.
    """
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(repetitions):
        a, b = draw_scores(rng, seeds, 24, parts)
        weights = rng.multinomial(24, np.full(24, 1 / 24), size=999) / 24
        means = []
        for table in (a, b):
            count = len(table)
            of_seeds = rng.multinomial(count, np.full(count, 1 / count), size=999) / count
            means.append(np.einsum("rs,sp,rp->r", of_seeds, table, weights, optimize=True))
        low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
        hits += low <= 0 <= high
    return hits / repetitions


@pytest.mark.parametrize("name", ["seeds and pictures", "seeds far more than pictures"])
def test_intervals_cover_what_they_say(name: str) -> None:
    assert measure_coverage((5, 5), SITUATIONS[name], 1000) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("seeds", [(5, 5), (5, 3), (3, 3)])
def test_coverage_is_that_of_the_documentation(name: str, seeds: tuple[int, int]) -> None:
    """Within 2 %; more only where neither seeds nor scenes differ, and nought is the least that
    their variances can be.
    """
    most = 0.985 if name == "the rest alone" else 0.97
    assert 0.93 <= measure_coverage(seeds, SITUATIONS[name], 4000) <= most


@pytest.mark.slow
def test_the_plain_bootstrap_covers_too_little() -> None:
    parts = SITUATIONS["seeds and pictures"]
    assert measure_bootstrap_coverage((3, 3), parts, 2000) < 0.92


@pytest.mark.slow
def test_a_detectable_difference_is_shown_four_times_in_five() -> None:
    parts = Components()
    detectable = np.mean([one.detectable for one in simulate((5, 5), 24, parts, 500)])
    rejections = [
        one.p <= 0.05 for one in simulate((5, 5), 24, parts, 3000, truth=float(detectable))
    ]
    assert np.mean(rejections) == pytest.approx(0.8, abs=0.04)


if __name__ == "__main__":  # the table of the documentation
    for situation, components in SITUATIONS.items():
        figures = []
        for number in (5, 3):
            pair = (number, number)
            figures.append(100 * measure_coverage(pair, components, 10_000))
            figures.append(100 * measure_bootstrap_coverage(pair, components, 2_000))
        print(situation, *(f"{figure:.1f}" for figure in figures))
