"""Best and second best: the best means, and what a paired test cannot tell from them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.results import significance

N = 12


def scores(**columns: list[float]) -> dict[str, dict[str, float]]:
    return {
        name: {f"picture {i}": value for i, value in enumerate(column)}
        for name, column in columns.items()
    }


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
    assert significance.find_marks(found, higher_is_better=True) == expected
    mirrored = {
        name: {at: -value for at, value in column.items()} for name, column in found.items()
    }
    assert significance.find_marks(mirrored, higher_is_better=False) == expected


def test_the_test_is_the_paired_sign_flip_adjusted_by_holm() -> None:
    """Counted out by hand: p of three differences, Holm's factors, and on which side of 5 % they
    fall.
    """
    rng = np.random.default_rng(3)
    top = rng.normal(25, 3, N)
    others = {
        f"m{i}": top - shift + rng.normal(0, 0.4, N) for i, shift in enumerate((0.2, 0.3, 0.4))
    }
    signs = np.array(list(itertools.product((-1, 1), repeat=N)))
    p = {}
    for name, column in others.items():
        difference = top - column
        p[name] = (np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9).mean()
    ordered = sorted(p, key=lambda name: p[name])
    running, told = 0.0, set()
    for factor, name in zip((3, 2, 1), ordered, strict=True):
        running = max(running, factor * p[name])
        told |= {name} if running <= 0.05 else set()
    assert 0 < len(told) < 3, "the case must have both"
    found = significance.find_marks(
        scores(top=top.tolist(), **{name: column.tolist() for name, column in others.items()}),
        higher_is_better=True,
    )
    assert {name for name, mark in found.items() if mark == "best"} == {"top"} | (
        set(others) - told
    )


@pytest.mark.parametrize(
    ("methods", "pictures", "tested"), [(2, 5, False), (2, 6, True), (3, 6, False), (11, 8, False)]
)
def test_with_too_few_pictures_only_the_best_means_are_marked(
    methods: int, pictures: int, tested: bool
) -> None:
    """All methods differ on all pictures in the same direction: the least p there is decides."""
    found = scores(**{f"m{i}": [10.0 + i + 3 * j for j in range(pictures)] for i in range(methods)})
    expected = {f"m{methods - 1}": "best", f"m{methods - 2}": "second"}
    assert significance.find_marks(found, higher_is_better=True) == expected
    assert significance.explain_marks([(methods, pictures)]) == [
        significance.TESTED_LEGEND if tested else significance.UNTESTED_LEGEND
    ]


def test_untested_equal_means_share_a_mark() -> None:
    found = significance.find_marks(
        scores(a=[1.0, 3.0], b=[3.0, 1.0], c=[0.0, 0.0]), higher_is_better=True
    )
    assert found == {"a": "best", "b": "best", "c": "second"}


def test_one_method_alone_is_not_the_best_of_anything() -> None:
    assert significance.find_marks(scores(only=[1.0] * N), higher_is_better=True) == {}
    assert significance.find_marks({}, higher_is_better=True) == {}
    assert significance.explain_marks([(1, 100), (0, 100)]) == []


def test_the_legend_explains_both_kinds_of_columns() -> None:
    assert significance.explain_marks([(3, 4), (3, 40)]) == [
        significance.TESTED_LEGEND,
        significance.UNTESTED_LEGEND,
    ]


COLUMNS = st.integers(2, 4).flatmap(
    lambda methods: st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=methods, max_size=methods
        )
    )
)


@given(COLUMNS, st.randoms(use_true_random=False))
def test_marks_do_not_depend_on_order_and_the_best_mean_has_one(
    columns: list[list[int]], random: object
) -> None:
    found = scores(
        **{f"m{i}": [float(value) for value in column] for i, column in enumerate(columns)}
    )
    made = significance.find_marks(found, higher_is_better=True)
    top = max(sum(column) for column in columns)
    assert all(made[f"m{i}"] == "best" for i, column in enumerate(columns) if sum(column) == top)
    pictures = list(found["m0"])
    random.shuffle(pictures)  # type: ignore[attr-defined]
    shuffled = {name: {at: found[name][at] for at in pictures} for name in reversed(found)}
    assert significance.find_marks(shuffled, higher_is_better=True) == made
