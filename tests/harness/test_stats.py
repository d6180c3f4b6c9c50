import numpy as np
import pytest

from benchmark.stats import mean_interval


def test_interval_agrees_with_student_on_normal_data() -> None:
    """For many normal values the BCa interval and Student's interval are nearly the same."""
    from scipy import stats

    values = np.random.default_rng(0).normal(27, 3, 400)
    found = mean_interval(values.tolist())
    low, high = stats.t.interval(0.95, 399, loc=values.mean(), scale=stats.sem(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(low, abs=0.05) and found.high == pytest.approx(high, abs=0.05)


def test_coverage_is_near_nominal() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        low, high = mean_interval(rng.normal(0, 1, 24).tolist())[1:3]
        assert low is not None and high is not None
        hits += low <= 0 <= high
    assert hits >= 50


def test_many_values_agree_with_the_bootstrap_of_fewer() -> None:
    values = np.random.default_rng(3).gamma(2, 3, 1000).tolist()
    few, many = mean_interval(values), mean_interval([*values, float(np.mean(values))])
    assert many.n == 1001
    assert few.low == pytest.approx(many.low, abs=0.03) and few.high == pytest.approx(many.high, abs=0.03)


def test_it_is_the_same_each_time() -> None:
    values = [1.0, 2.1, 4.3, 8.7, 9.2, 3.3, 5.9]
    assert mean_interval(values) == mean_interval(values[::-1]) != mean_interval(values, seed=1)


@pytest.mark.parametrize("values", [[3.0], [3.0, 4.0], [2.0, 2.0, 2.0, 2.0]])
def test_no_interval_where_there_is_none(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.mean == np.mean(values) and found.low is None and found.high is None and found.n == len(values)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)
