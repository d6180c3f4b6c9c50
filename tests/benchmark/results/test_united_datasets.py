"""Which ids of data sets mean the same one."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.results.united_datasets import merge_requests, unite_datasets


def make_rows(*datasets: tuple[str, str, int], name: str = "folder") -> pd.DataFrame:
    """Return a row per picture of each (id, pictures, number of the command that asked last)."""
    return pd.DataFrame(
        [
            {
                "dataset": dataset, "dataset_name": name, "sample": picture, "data": f"f-{picture}",
                "asked": asked, "store": 0, "key": picture, "protocol": "p", "measure": "m",
            }
            for dataset, pictures, asked in datasets
            for picture in pictures
        ]
    )  # fmt: skip


def test_the_same_pictures_are_one_data_set_and_some_of_them_are_another() -> None:
    rows = make_rows(("full", "abc", 1), ("some", "ab", 2), ("copy", "abc", 3))
    assert unite_datasets(rows, {}) == {"full": "copy", "copy": "copy", "some": "some"}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"first": "x", "again": "x"}, {"first": "again", "again": "again"}),
        ({"first": "x", "again": "y"}, {"first": "first", "again": "again"}),
        ({"first": "x"}, {"first": "first", "again": "again"}),
    ],
)
def test_the_same_place_is_one_data_set_whatever_was_run_of_it(
    places: dict[str, str], expected: dict[str, str]
) -> None:
    assert unite_datasets(make_rows(("first", "a", 1), ("again", "abc", 2)), places) == expected


def test_what_is_one_with_a_third_is_one() -> None:
    rows = make_rows(("a", "x", 3), ("b", "xyz", 1), ("c", "xyz", 2))
    shown_ids = unite_datasets(rows, {"a": "here", "c": "here"})
    assert set(shown_ids.values()) == {"a"}


def test_only_ids_of_one_registered_data_set_are_united() -> None:
    rows = pd.concat([make_rows(("a", "x", 1)), make_rows(("b", "x", 2), name="other")])
    assert unite_datasets(rows, {}) == {"a": "a", "b": "b"}


def test_only_the_pictures_of_today_count() -> None:
    """Picture x was painted over in between: a and b show the same now."""
    rows = make_rows(("a", "x", 1), ("a", "x", 3), ("b", "x", 2))
    rows.loc[0, "data"] = "what it was"
    assert set(unite_datasets(rows, {}).values()) == {"a"}


def test_a_score_that_was_asked_for_under_two_ids_counts_once_as_it_was_asked_for_last() -> None:
    rows = make_rows(("a", "xy", 1), ("b", "xy", 2), ("c", "x", 3))
    merged = merge_requests(rows, unite_datasets(rows, {}))
    found = sorted(zip(merged["dataset"], merged["sample"], merged["asked"], strict=True))
    assert found == [("b", "x", 2), ("b", "y", 2), ("c", "x", 3)]


def test_some_pictures_of_one_are_not_those_of_another_that_holds_no_more() -> None:
    """Of `full` only these were run (`--limit`); a copy of them is another data set, until `full`
    is named by another path.
    """
    rows = make_rows(("full", "ab", 1), ("some", "ab", 2))
    places = {"full": "here", "some": "there"}
    assert unite_datasets(rows, places, {"full"}) == {"full": "full", "some": "some"}
    assert unite_datasets(rows, places, {"some"}) == {"full": "full", "some": "some"}
    assert unite_datasets(rows, places | {"some": "here"}, {"full"})["full"] == "some"
