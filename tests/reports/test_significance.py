"""Best and second best: the best means, and what a paired test cannot tell from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import stats
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.results import significance

PSNR = MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2)
N = 12


def scores(**columns: list[float]) -> dict[str, dict[str, float]]:
    return {
        name: {f"picture {i}": value for i, value in enumerate(column)}
        for name, column in columns.items()
    }


def find_marks(
    columns: Mapping[str, Mapping[str, float]], *, higher_is_better: bool = True
) -> Mapping[str, str]:
    ranking = significance.rank_column(columns, higher_is_better=higher_is_better)
    return {} if ranking is None else ranking.marks


def around(level: float, swing: float = 0.0) -> list[float]:
    """Scores whose difference to those of another level is `swing` up and down in turn, beside the
    level's.
    """
    return [level + picture + swing * (-1) ** picture for picture in range(N)]


def test_what_cannot_be_told_from_the_best_or_the_second_best_is_marked_like_it() -> None:
    found = scores(
        best=around(25.0),
        near=around(24.99, swing=0.5),
        second=around(24.0),
        close=around(23.9, 0.8),
        far=around(20.0),
    )
    expected = {"best": "best", "near": "best", "second": "second", "close": "second"}
    assert find_marks(found) == expected
    mirrored = {
        name: {at: -value for at, value in column.items()} for name, column in found.items()
    }
    assert find_marks(mirrored, higher_is_better=False) == expected


def test_marks_say_what_p_says_after_holm() -> None:
    """Holm's factors by hand, and on which side of 5 % three differences fall."""
    rng = np.random.default_rng(3)
    top = rng.normal(25, 3, N)
    others = {
        f"m{i}": top - shift + rng.normal(0, 0.4, N) for i, shift in enumerate((0.2, 0.3, 0.4))
    }
    p = {name: stats.compare(top, column).p for name, column in others.items()}
    ordered = sorted(p, key=lambda name: p[name])
    running, told = 0.0, set()
    for factor, name in zip((3, 2, 1), ordered, strict=True):
        running = max(running, factor * p[name])
        told |= {name} if running <= 0.05 else set()
    assert 0 < len(told) < 3, "the case must have both"
    found = scores(top=top.tolist(), **{name: column.tolist() for name, column in others.items()})
    best = {name for name, mark in find_marks(found).items() if mark == "best"}
    assert best == {"top"} | (set(others) - told)
    ranking = significance.rank_column(found, higher_is_better=True)
    assert ranking is not None and set(ranking.like_best) == set(others) - told


def test_where_nothing_can_be_told_from_the_best_nothing_is_marked() -> None:
    found = scores(a=around(25.0), b=around(24.99, swing=0.5), c=around(24.98, swing=0.7))
    ranking = significance.rank_column(found, higher_is_better=True)
    assert ranking is not None and ranking.is_testable
    assert (ranking.marks, ranking.like_best) == ({}, ("b", "c"))


def test_the_input_is_compared_but_never_marked() -> None:
    above = scores(input=around(26.0), a=around(25.0, 0.1), b=around(24.0, 0.2))
    assert find_marks(above) == {"a": "best", "b": "second"}
    level = scores(input=around(25.0, 0.1), a=around(25.0), b=around(24.0, 0.2))
    assert find_marks(level) == {"a": "best", "b": "second"}
    assert find_marks(scores(input=around(24.0, 0.1), a=around(25.0))) == {"a": "best"}
    below = scores(input=around(26.0, 0.1), a=around(25.0))
    assert find_marks(below) == {}, "a method that is worse than its input is not the best"


@pytest.mark.parametrize(
    ("methods", "pictures", "needed"), [(2, 5, 6), (3, 6, 7), (11, 8, 9), (53, 11, 12)]
)
def test_with_too_few_pictures_nothing_is_marked_and_the_legend_says_how_many_it_takes(
    methods: int, pictures: int, needed: int
) -> None:
    """All methods differ on all pictures in the same direction: the least p there is decides."""

    def differing(count: int) -> dict[str, dict[str, float]]:
        return scores(
            **{f"m{i}": [10.0 + i * (1 + j / 9) for j in range(count)] for i in range(methods)}
        )

    ranking = significance.rank_column(differing(pictures), higher_is_better=True)
    assert ranking is not None and not ranking.marks
    legend = list(significance.explain_marks({"psnr": ranking}, {"psnr": PSNR}))
    assert legend == [
        f"No marks: n = {pictures} is too few for any test between {methods} methods at 5 %; "
        f"n = {needed} can show a difference."
    ]
    assert find_marks(differing(needed))[f"m{methods - 1}"] == "best"


def test_one_method_alone_is_not_the_best_of_anything() -> None:
    assert significance.rank_column(scores(only=[1.0] * N), higher_is_better=True) is None
    assert significance.rank_column({}, higher_is_better=True) is None
    assert list(significance.explain_marks({}, {})) == []


def test_the_legend_counts_who_shares_the_best_and_says_what_could_be_shown() -> None:
    near = [0.3, -0.2, 0.5, -0.4, 0.1, -0.3, 0.2, -0.1, 0.4, -0.5, 0.6, -0.6]
    found = scores(
        best=around(25.0),
        near=[25.0 - 0.01 + i + step for i, step in enumerate(near)],
        far=[20.0 + i + step for i, step in enumerate(near)],
    )
    ranking = significance.rank_column(found, higher_is_better=True)
    assert ranking is not None
    least = stats.estimate_detectable_difference(np.array(near), alpha=0.025)
    legend = "\n".join(significance.explain_marks({"psnr": ranking}, {"psnr": PSNR}))
    assert legend.startswith(significance.MARKS_LEGEND)
    assert "Not to be told from the best: PSNR 1 of 2." in legend
    assert f"n = 12 shows with a power of 80 % (median over the methods): PSNR {least:.2f} dB." in (
        legend
    )


COLUMNS = st.integers(2, 4).flatmap(
    lambda methods: st.integers(6, 14).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=methods, max_size=methods
        )
    )
)


@settings(max_examples=30, deadline=None)
@given(COLUMNS, st.randoms(use_true_random=False))
def test_marks_do_not_depend_on_order_and_the_best_mean_has_one_if_any_has(
    columns: list[list[int]], random: object
) -> None:
    found = scores(
        **{f"m{i}": [float(value) for value in column] for i, column in enumerate(columns)}
    )
    marks = find_marks(found)
    top = max(sum(column) for column in columns)
    leaders = [f"m{i}" for i, column in enumerate(columns) if sum(column) == top]
    assert not marks or all(marks[name] == "best" for name in leaders)
    pictures = list(found["m0"])
    random.shuffle(pictures)  # type: ignore[attr-defined]
    shuffled = {name: {at: found[name][at] for at in pictures} for name in reversed(found)}
    assert find_marks(shuffled) == marks
