"""Lines about harm under the main table, from a stored run, against plain means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmark.api import MethodCard, UsageError
from benchmark.cells import Outcome, Score
from benchmark.metrics.published_protocols import BY_BLUR, CANONICAL, HARM, NO_REFERENCE
from benchmark.reports import ranked
from benchmark.results import read_results, results_of
from benchmark.results.exports import export_scores, write_export
from benchmark.results.summaries import Summary
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from tests.reports.test_reports import cell

SCENES = 4
LIGHT = {"input": 1.002, "fair": 0.997, "dark": 0.97, "bright": 1.03}
LATTICE = {"input": 2.0, "fair": 2.5, "dark": 8.0, "bright": 4.9}
KEEP = {"input": 100.0, "fair": 48.0, "dark": 44.0, "bright": 30.0}
GAIN = {"input": 0.0, "fair": 0.5, "dark": -1.0, "bright": -2.0}
BASIS = "the true blur map"
SPREAD = np.array([-0.001, 0.001, -0.001, 0.001])


def put_run(store: Store, protocols: tuple[str, ...], basis: str = BASIS) -> None:
    """Store four methods on four pictures, scored under `canonical`-like PSNR and `protocols`."""
    cards = {HARM.id: describe_protocol(HARM), BY_BLUR.id: describe_protocol(BY_BLUR)}
    store.put_cards({name: cards[name] for name in protocols})
    store.put_cards({"plain": describe_protocol_of_psnr()})
    store.put_cards({name: MethodCard(title=name, family="classical") for name in LIGHT})
    run = store.start_run({})
    for method in LIGHT:
        for index in range(SCENES):
            scores = {"plain": [Score("psnr", 20.0 + index + GAIN[method])]}
            if "harm" in protocols:
                scores["harm"] = list_harm_scores(method, index)
            if "by-blur" in protocols:
                scores["by-blur"] = list_blur_scores(method, index, basis)
            rulers = {
                (protocol, score.key): "1/1/-" for protocol in scores for score in scores[protocol]
            }
            store.put(run, cell(method, f"{index}"), Outcome("ok", scores=scores), rulers)


def describe_protocol_of_psnr():
    from benchmark.metrics.protocols import Measure, Protocol
    from benchmark.metrics.tracks import Track

    measures = (Measure("psnr", "psnr", clamp=True, round8=False),)
    return describe_protocol(Protocol("plain", "plain", "", "1", (Track("u8"),), measures))


def list_harm_scores(method: str, index: int) -> list[Score]:
    values = {"keep": KEEP, "light": LIGHT, "lattice": LATTICE}
    return [
        Score(key, means[method] + SPREAD[index] * (key == "light"))
        for key, means in values.items()
    ]


def list_blur_scores(method: str, index: int, basis: str) -> list[Score]:
    factors: Mapping[str, float] = {"psnr_sharp": 1, "psnr_middle": 2, "psnr_blurred": -3}
    gains = [
        Score(key, factor * GAIN[method], basis=basis if index else BASIS)
        for key, factor in factors.items()
    ]
    return [*gains, Score("keep_sharp", KEEP[method] - 1, basis=basis if index else BASIS)]


def list_footnotes(store: Store, protocol: str = "plain") -> list[str]:
    summaries = results_of(store).summaries()
    summary = find_summary(summaries, protocol)
    [table] = ranked.summary_to_ranked_grids(summary, None, summaries)
    return list(table.footnotes)


def find_summary(summaries: list[Summary], protocol: str) -> Summary:
    return next(summary for summary in summaries if summary.protocol == protocol)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, create=True)


def test_harm_stands_first_under_the_main_table(store: Store) -> None:
    put_run(store, ("harm", "by-blur"))
    assert list_footnotes(store)[:5] == [
        "Gain by blur in dB (sharp, middle, blurred): fair +0.50 +1.00 -1.50, dark -1.00 -2.00 "
        "+3.00, bright -2.00 -4.00 +6.00.",
        "Harm where the picture is in focus (keep in dB, 100 is none): fair 48.0, dark 44.0, "
        "bright 30.0.",
        "Light off by 0.3 % or less but dark 3.0 %, bright 3.0 % (input 0.2 %).",
        "Lattice in dB: dark 8.0, others less (input 2.0).",
        "Sharp and blurred: by the true blur map.",
    ]


def test_a_run_without_these_scores_has_no_such_lines(store: Store) -> None:
    put_run(store, ())
    texts = " ".join(list_footnotes(store))
    assert not any(word in texts for word in ("Harm", "Light", "Lattice", "blur"))


def test_the_sharp_quarter_stands_in_where_nothing_says_what_is_in_focus(store: Store) -> None:
    put_run(store, ("by-blur",), basis="the disparity of the dual-pixel views")
    lines = list_footnotes(store)
    basis = (
        "Sharp and blurred: by the disparity of the dual-pixel views (3 pictures), by the true "
        "blur map (1 pictures)."
    )
    assert lines[1:3] == [
        "Harm in the sharp quarter (keep_sharp in dB, 100 is none): fair 47.0, dark 43.0, bright "
        "29.0.",
        basis,
    ]
    assert not [line for line in lines if line.startswith(("Light", "Lattice"))]


def test_a_table_repeats_nothing_that_it_has_itself(store: Store) -> None:
    put_run(store, ("harm", "by-blur"))
    starts = {line.split()[0] for line in list_footnotes(store, "harm")[:2]}
    assert "Gain" in starts and not starts & {"Harm", "Light", "Lattice"}
    lines = list_footnotes(store, "by-blur")
    assert [line.split()[0] for line in lines[:2]] == ["Light", "Lattice"]
    assert "Sharp and blurred: by the true blur map." in lines


def test_only_methods_of_the_table_are_named(store: Store) -> None:
    put_run(store, ("harm",))
    summaries = results_of(store).summaries()
    options = ranked.TableOptions(methods=("fair", "input"))
    [table] = ranked.summary_to_ranked_grids(find_summary(summaries, "plain"), options, summaries)
    assert table.footnotes[:3] == (
        "Harm where the picture is in focus (keep in dB, 100 is none): fair 48.0.",
        "Light off by 0.3 % or less (input 0.2 %).",
        "Lattice in dB: none above 2.5 (input 2.0).",
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_keeps_what_told_the_blur_and_an_older_one_has_none(
    store: Store, tmp_path: Path, suffix: str
) -> None:
    put_run(store, ("by-blur",))
    frame = export_scores(store)
    write_export(frame, tmp_path / f"new{suffix}")
    write_export(frame.drop(columns="basis"), tmp_path / f"old{suffix}")
    note = "Sharp and blurred: by the true blur map."
    for name, expected in (("new", True), ("old", False)):
        summaries = read_results(tmp_path / f"{name}{suffix}").summaries()
        assert (note in find_summary(summaries, "by-blur").footnotes) is expected


def test_canonical_comes_before_what_stands_beside_it(store: Store) -> None:
    put_run(store, ("harm", "by-blur"))
    store.put_cards({CANONICAL.id: describe_protocol(CANONICAL)})
    scores = {CANONICAL.id: [Score("psnr", 20.0)]}
    run = store.start_run({})
    store.put(run, cell("input", "0"), Outcome("ok", scores=scores), {("canonical", "psnr"): "1"})
    protocols = [summary.protocol for summary in results_of(store).summaries()]
    assert protocols == ["canonical", "by-blur", "harm", "plain"]


def test_a_measure_that_ranks_nothing_has_no_places_no_gains_and_no_marks(store: Store) -> None:
    """All three methods are better than the input beyond doubt, by a measure that says nothing."""
    card = describe_protocol(NO_REFERENCE)
    store.put_cards({NO_REFERENCE.id: card})
    store.put_cards({name: MethodCard(title=name, family="classical") for name in LIGHT})
    run = store.start_run({})
    rulers = {(NO_REFERENCE.id, "blur_effect"): "1/1/-"}
    for number, method in enumerate(LIGHT):
        for index in range(12):
            score = Score("blur_effect", 0.5 - 0.1 * number + 0.002 * index)
            outcome = Outcome("ok", scores={NO_REFERENCE.id: [score]})
            store.put(run, cell(method, f"{index}"), outcome, rulers)
    results = results_of(store)
    [summary] = results.summaries()
    [table] = ranked.summary_to_ranked_grids(summary)
    assert [column.title for column in table.columns] == ["#", "method", "blur effect"]
    assert [[item.text for item in line] for line in table.lines] == [
        ["-", "bright", "0.211"], ["-", "dark", "0.311"], ["-", "fair", "0.411"],
        ["-", "input", "0.511"],
    ]  # fmt: skip
    assert not any(item.emphasis for line in table.lines for item in line)
    assert any("blur effect is not ranked: it has no target" in note for note in table.footnotes)
    assert card.measures["blur_effect"].arrow == ""
    with pytest.raises(UsageError, match="blur effect cannot compare methods: it has no target"):
        results.compare("bright", "input")
