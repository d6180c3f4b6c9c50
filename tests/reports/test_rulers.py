"""The same outputs under other rulers: ranks, their changes, and what is no longer the
same output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Score
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import Noise
from benchmark.reports import grid, rulers
from benchmark.reports.grid import Grid
from benchmark.results import results_of
from benchmark.store import Store

SAMPLES = ("one", "two")
Means = Mapping[str, Mapping[str, float]]
"""Protocol -> method -> score of the first picture; the second has one more."""


def measure(title: str, higher: bool = True) -> MeasureCard:
    quantity = title.split()[0]
    return MeasureCard(
        metric=quantity.lower(), quantity=quantity, title=title, higher_is_better=higher, digits=1
    )


def protocol(title: str, track: str, **measures: MeasureCard) -> ProtocolCard:
    return ProtocolCard(title=title, tracks=(track,), measures=measures)


PROTOCOLS = {
    "canonical": protocol("Ours", "u8", psnr=measure("PSNR"), mae=measure("MAE", False)),
    "paper": protocol("Theirs", "u8", psnr=measure("PSNR rounded")),
    "padded": protocol("Padded", "u8-pad16-black", psnr=measure("PSNR")),
}
SAME: Means = {
    "canonical": {"a": 30.0, "b": 20.0, "c": 10.0},
    "paper": {"a": 20.0, "b": 30.0, "c": 10.0},
}
"""Under the second ruler, a and b change places: one of three pairs, so Kendall's tau is 1 - 2 / 3.
"""


def made(
    folder: Path, scores: Means, track: str = "u8", samples: tuple[str, ...] = SAMPLES
) -> Store:
    """Return a run of the methods on the samples, scored by the protocols; MAE falls as
    PSNR rises.
    """
    store = Store(folder, create=True)
    store.put_cards({name: PROTOCOLS[name] for name in scores})
    store.start_run({"git": {"commit": "c" * 40, "dirty": False}})
    add(store, scores, track, samples)
    return store


def add(store: Store, scores: Means, track: str = "u8", samples: tuple[str, ...] = SAMPLES) -> None:
    methods = sorted({name for values in scores.values() for name in values})
    cards = {
        name: MethodCard(title=name, family="classical", oracle=name == "truth") for name in methods
    }
    store.put_cards(cards)
    for name in methods:
        for index, sample in enumerate(samples):
            cell = Cell(
                name,
                name,
                None,
                "{}",
                "1",
                None,
                "set",
                "set",
                sample,
                f"f-{sample}",
                track,
                Noise(0.0),
            )
            found = {
                protocol: [
                    Score(key, value + index if key == "psnr" else 1 / value, None)
                    for key in keys(protocol)
                ]
                for protocol, values in scores.items()
                if (value := values.get(name)) is not None
            }
            ids = {(protocol, key): "1" for protocol in scores for key in keys(protocol)}
            store.put(1, cell, Outcome("ok", scores=found), ids)


def keys(protocol: str) -> list[str]:
    return list(PROTOCOLS[protocol].measures)


def texts(table: Grid) -> list[list[str]]:
    return [[cell.text for cell in line] for line in table.lines]


def test_ranks_of_the_same_outputs_and_where_they_change(tmp_path: Path) -> None:
    ranking, agreement, *_ = rulers.build_ruler_grids(results_of(made(tmp_path, SAME)))
    assert [column.title for column in ranking.columns] == [
        "method",
        "canonical, PSNR ↑",
        "paper, PSNR rounded ↑",
    ]
    assert {column.group for column in ranking.columns[1:]} == {"same outputs (u8)"}
    assert texts(ranking) == [
        ["a", "30.50 (1)", "20.50 (2, not 1)"],
        ["b", "20.50 (2)", "30.50 (1, not 2)"],
        ["c", "10.50 (3)", "10.50 (3)"],
    ]
    assert [line[1:] for line in texts(agreement)] == [["1.00", "0.33"], ["0.33", "1.00"]]


def test_lower_may_be_better(tmp_path: Path) -> None:
    """Of one set of outputs, MAE ranks as PSNR does: the table of quantities shows full
    agreement.
    """
    *_, quantities = rulers.build_ruler_grids(results_of(made(tmp_path, SAME)))
    assert texts(quantities) == [
        ["canonical (u8), PSNR", "1.00", "1.00"],
        ["canonical (u8), MAE", "1.00", "1.00"],
    ]


def test_another_track_has_other_outputs_in_the_same_run_or_a_second(tmp_path: Path) -> None:
    """Method a was not run through it, so ranks there are compared with those of b and c among
    themselves.
    """
    padded: Means = {"padded": {"b": 5.0, "c": 6.0}}
    second = made(tmp_path / "2", padded, track="u8-pad16-black")
    one = made(tmp_path / "1", SAME)
    apart = rulers.build_ruler_grids(results_of(one, second))[0]
    assert [column.group for column in apart.columns[1:]] == [
        "same outputs (u8)", "same outputs (u8)", "other outputs (u8-pad16-black)"
    ]  # fmt: skip
    assert [line[3] for line in texts(apart)] == ["–", "5.50 (2, not 1)", "6.50 (1, not 2)"]
    one.put_cards({"padded": PROTOCOLS["padded"]})
    add(one, padded, track="u8-pad16-black")
    together = rulers.build_ruler_grids(results_of(one))[0]
    assert texts(together) == texts(apart)


def test_the_outputs_that_are_the_same_can_be_chosen(tmp_path: Path) -> None:
    store = made(tmp_path / "1", SAME)
    padded = made(
        tmp_path / "2", {"padded": {"a": 5.0, "b": 6.0, "c": 7.0}}, track="u8-pad16-black"
    )
    table = rulers.build_ruler_grids(results_of(store, padded), track="u8-pad16-black")[0]
    assert [line[:2] for line in texts(table)] == [
        ["c", "7.50 (1)"],
        ["b", "6.50 (2)"],
        ["a", "5.50 (3)"],
    ]
    assert table.columns[1].group == "same outputs (u8-pad16-black)"
    with pytest.raises(UsageError, match=r"no track 'u16'\. They hold: u8, u8-pad16-black"):
        rulers.build_ruler_grids(results_of(store, padded), track="u16")


def test_all_means_are_over_the_same_pictures(tmp_path: Path) -> None:
    store = made(tmp_path, SAME)
    add(store, {"canonical": {"d": 40.0}, "paper": {"d": 40.0}}, samples=("two",))
    table = rulers.build_ruler_grids(results_of(store))[0]
    assert texts(table)[:2] == [
        ["d", "40.00 (1)", "40.00 (1)"],
        ["a", "31.00 (2)", "21.00 (3, not 2)"],
    ]
    assert any("1 picture left out: d not run through track u8" in note for note in table.footnotes)
    assert any(note.startswith("Data: set, 1 picture,") for note in table.footnotes)


def test_who_saw_the_truth_is_not_ranked(tmp_path: Path) -> None:
    with_truth = {name: {**values, "truth": 99.0} for name, values in SAME.items()}
    table = rulers.build_ruler_grids(results_of(made(tmp_path, with_truth)))[0]
    assert "truth" not in {line[0] for line in texts(table)}
    assert any("not among them: truth" in note for note in table.footnotes)


def test_equal_means_share_the_better_rank_and_no_order_has_no_tau(tmp_path: Path) -> None:
    scores = {"canonical": {"a": 10.0, "b": 10.0}, "paper": {"a": 20.0, "b": 10.0}}
    ranking, agreement, *_ = rulers.build_ruler_grids(results_of(made(tmp_path, scores)))
    assert [line[1] for line in texts(ranking)] == ["10.50 (1)", "10.50 (1)"]
    assert texts(agreement)[0][1:] == ["–", "–"]


def test_one_protocol_says_how_to_have_more(tmp_path: Path) -> None:
    """Its two PSNRs are still two rulers; with one ruler per quantity there is nothing to show but
    the way on.
    """
    with pytest.raises(UsageError, match="two rulers") as caught:
        rulers.build_ruler_grids(results_of(made(tmp_path / "1", {"canonical": SAME["canonical"]})))
    same, others = r"score RUN --protocol \S*restormer", r"run \.\.\. --protocol \S*dpdnet,drbnet"
    assert re.search(same, str(caught.value)) and re.search(
        others, str(caught.value)
    )  # other tests may register more
    two = {
        "canonical": protocol("Ours", "u8", psnr=measure("PSNR"), mae=measure("PSNR rounded")),
    }
    store = made(tmp_path / "2", {"canonical": SAME["canonical"]})
    store.put_cards(two)
    table = rulers.build_ruler_grids(results_of(store))[0]
    assert any(re.search(same, note) for note in table.footnotes)
    assert not any(
        "score RUN" in note
        for note in rulers.build_ruler_grids(results_of(made(tmp_path / "3", SAME)))[0].footnotes
    )


def test_one_method_cannot_be_ranked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no quantity is measured by two rulers on two methods"):
        rulers.build_ruler_grids(
            results_of(made(tmp_path, {name: {"a": values["a"]} for name, values in SAME.items()}))
        )


def test_nothing_scored_is_an_error(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.start_run({})
        store.put(
            1,
            Cell("a", "a", None, "{}", "1", None, "set", "set", "x", "f", "u8", Noise(0.0)),
            Outcome("ok"),
            {},
        )
        with pytest.raises(UsageError, match="nothing is scored"):
            rulers.build_ruler_grids(results_of(store))


def test_tables_carry_provenance_and_are_the_same_each_time(tmp_path: Path) -> None:
    store = made(tmp_path, SAME)
    for table in rulers.build_ruler_grids(results_of(store)):
        text = " ".join(table.footnotes)
        for word in (
            "set, 2 pictures",
            "fingerprint",
            "track u8",
            "canonical (Ours)",
            "cccccccccccc",
        ):
            assert word in text
    for form in ("markdown", "latex", "csv"):
        text = grid.format_grids(rulers.build_ruler_grids(results_of(store)), form)
        assert "2, not 1" in text and text == grid.format_grids(
            rulers.build_ruler_grids(results_of(store)), form
        )
