"""Comparisons: right sentences, the same pictures for all, honest gaps, helpful errors."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark import stats
from benchmark.api import MethodCard, UsageError
from benchmark.cells import Cell, Outcome, Score
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import Noise
from benchmark.reports import paired_tests
from benchmark.reports.compare import (
    Answer,
    Question,
    answer_question,
    format_answer,
    split_names,
)
from benchmark.results import results_of
from benchmark.results.notes import note_texts
from benchmark.store import FILE_NAME, Store
from tests.reports.scores import score

MEASURES = {
    "psnr": MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2),
    "mae": MeasureCard(metric="mae", quantity="MAE", title="MAE", higher_is_better=False, digits=4),
}
RULERS = {("quick", key): "1" for key in MEASURES}
BASE = 20 + np.arange(8) % 5
"""Scores of the eight pictures that most runs here have."""
UP = np.arange(1, 9) / 10
"""Differences with mean 0.45, standard deviation 0.2449, all positive."""


@pytest.fixture
def run(tmp_path: Path) -> Store:
    return made(tmp_path / "run")


def made(folder: Path, dirty: bool = False) -> Store:
    store = Store(folder, create=True)
    card = ProtocolCard(title="Quick", tracks=("u8", "u16"), measures=MEASURES)
    store.put_cards({"quick": card})
    store.start_run({"git": {"commit": "c" * 40, "dirty": dirty}})
    return store


def cell(method: str, sample: str, **changes: object) -> Cell:
    plain = Cell(method, method, None, "{}", "1", None, "set", "set", sample, "", "u8", Noise(0.0))
    made = dataclasses.replace(plain, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(made, data=made.data or f"{made.dataset} {sample}")


def scored(psnr: float | None, reason: str | None = None, scene: str | None = None) -> Outcome:
    """Scores; MAE falls as PSNR rises."""
    mae = None if psnr is None else (100 - psnr) / 1000
    return Outcome(
        "ok",
        scene=scene,
        scores={"quick": [score("psnr", psnr, reason), score("mae", mae, reason)]},
    )


def fill(store: Store, scores: Mapping[str, Sequence[float]], **changes: object) -> Store:
    cards = {
        name: MethodCard(title=name, family="classical", oracle="truth" in name) for name in scores
    }
    store.put_cards(cards)
    for name, values in scores.items():
        for index, value in enumerate(values):
            store.put(1, cell(name, f"p{index:02}", **changes), scored(float(value)), RULERS)
    return store


def ask(stores: Store | Sequence[Store], *methods: str, **where: str) -> Answer:
    listed = [stores] if isinstance(stores, Store) else stores
    return answer_question(results_of(*listed), Question(methods=methods or None, **where))  # type: ignore[arg-type]


def texts(found: Answer, table: int = 0) -> list[list[str]]:
    return [[cell.text for cell in line] for line in found.grids[table].lines]


# Verdicts
# --------------------------------------------------------------------------------------------------


def test_the_verdict_is_one_plain_sentence_whatever_the_order(run: Store) -> None:
    """Only 2 of 256 choices of signs reach the sum."""
    fill(run, {"a": BASE + UP, "b": BASE})
    expected = (
        "a is better than b by 0.45 dB [0.23, 0.67] on 8 pictures, p = 0.0078; 8 wins, 0 losses "
        "(PSNR, protocol quick)."
    )
    assert ask(run, "a", "b").verdict == ask(run, "b", "a").verdict == expected


def test_where_neither_end_is_best_the_distance_to_the_ideal_decides(tmp_path: Path) -> None:
    ratio = MeasureCard(metric="light", quantity="light", title="light", ideal=1.0, digits=2)
    card = ProtocolCard(title="Quick", tracks=("u8",), measures={"light": ratio})
    store = Store(tmp_path / "light", create=True)
    store.put_cards({"quick": card})
    store.start_run({"git": {"commit": "c" * 40, "dirty": False}})
    ratios = {"darker": 0.98 + 0 * UP, "bright": 1.1 + UP / 100}
    for name, values in ratios.items():
        store.put_cards({name: MethodCard(title=name, family="classical")})
        for index, value in enumerate(values):
            outcome = Outcome("ok", scores={"quick": [score("light", float(value))]})
            store.put(1, cell(name, f"p{index:02}"), outcome, {("quick", "light"): "1"})
    answer = ask(store, "bright", "darker")
    assert answer.verdict.startswith("darker is better than bright by 0.08")
    assert "8 wins, 0 losses (light, distance from 1, protocol quick)" in answer.verdict
    (summary,) = results_of(store).summaries()
    marks = {row.method: row.entries["light"].mark for row in summary.rows}
    assert marks == {"darker": "best", "bright": "second"}
    assert summary.measures["light"].arrow == "→ 1"
    means = {row.method: row.entries["light"].interval for row in summary.rows}
    assert means["darker"] is not None and means["darker"].mean == pytest.approx(0.98)


def test_lower_may_be_better(run: Store) -> None:
    fill(run, {"a": BASE + UP, "b": BASE})
    assert ask(run, "b", "a", measure="mae").verdict == (
        "a is better than b by 0.00045 [0.00023, 0.00067] on 8 pictures, p = 0.0078; 8 wins, 0 "
        "losses (MAE, protocol quick)."
    )


def test_what_is_not_shown_is_not_claimed(run: Store) -> None:
    """The sentence says what difference these pictures could have shown."""
    fill(run, {"a": BASE + UP - 0.4, "b": BASE})
    expected = stats.compare(UP, np.full(8, 0.4))
    least, low, high = expected.detectable, expected.interval.low, expected.interval.high
    assert ask(run, "a", "b").verdict == (
        f"no difference shown: a − b is 0.05 dB [{low:.2f}, {high:.2f}] on 8 pictures, p = 0.67; "
        f"4 wins, 3 losses, 1 tie; 8 pictures could have shown {least:.2f} dB (PSNR, protocol "
        "quick)."
    )


def test_five_pictures_cannot_show_anything(run: Store) -> None:
    fill(run, {"a": BASE[:5] + UP[:5], "b": BASE[:5]})
    found = ask(run, "a", "b")
    assert found.verdict == (
        "a − b is 0.30 dB [0.10, 0.50] on 5 pictures; 5 wins, 0 losses; too few to test: 5 "
        "pictures can show no difference at 5 %, 6 can (PSNR, protocol quick)."
    ), "the interval leaves out 0, so the sentence must not say that nothing was found"
    assert texts(found)[0][-1] == "–"
    notes = " ".join(found.grids[0].footnotes)
    assert "Fewer than 6 pictures show nothing" in notes and "normally distributed" in notes


def test_equal_scores_are_equal(run: Store) -> None:
    fill(run, {"a": BASE, "b": BASE})
    assert (
        ask(run, "a", "b").verdict == "a and b score the same on 8 pictures (PSNR, protocol quick)."
    )
    fill(run, {"c": BASE[:1], "d": BASE[:1]}, dataset="one")
    assert ask(run, "c", "d", dataset="one").verdict.startswith(
        "c and d score the same on 1 picture ("
    )


def test_a_small_difference_shows_two_digits(run: Store) -> None:
    fill(run, {"a": BASE + UP / 1000, "b": BASE})
    assert "by 0.00045 dB [0.00023, 0.00067]" in ask(run, "a", "b").verdict


@pytest.mark.parametrize(
    ("p", "text"),
    [(1.0, "1.00"), (0.41, "0.41"), (0.0496, "0.0496"), (0.0004, "0.0004"), (1e-5, "< 0.0001")],
)
def test_p_values_as_people_read_them(p: float, text: str) -> None:
    assert paired_tests.format_p(p) == text


# Tables
# --------------------------------------------------------------------------------------------------


def test_the_table_has_all_measures_and_p_of_each(run: Store) -> None:
    difference = np.array([5, 4, 3, 2, 1, -1, 6, 2]) / 10
    fill(run, {"a": BASE + difference, "b": BASE})
    found = ask(run, "a", "b")
    expected = stats.compare(BASE + difference, BASE)
    assert [line[0] for line in texts(found)] == ["PSNR (dB) ↑", "MAE ↓"]
    assert texts(found)[0][1:4] == ["8", "21.90", "21.62"] and texts(found)[0][5] == "7–1"
    assert texts(found)[0][4] == f"0.28 [{expected.interval.low:.2f}, {expected.interval.high:.2f}]"
    assert found.numbers["p"].tolist() == [expected.p] * 2
    assert found.numbers["p_holm"].tolist() == [expected.p] * 2, "each is a family of its own"
    assert found.numbers["difference"].tolist() == pytest.approx(
        [expected.mean, -expected.mean / 1000]
    )
    assert found.numbers[["wins", "losses", "ties"]].to_numpy().tolist() == [[7, 1, 0]] * 2
    assert found.numbers["interval"].tolist() == ["sign flips"] * 2
    assert "p_wilcoxon" not in found.numbers


def test_the_sentence_the_marks_and_the_table_say_the_same(run: Store) -> None:
    """p = 2 / 64 decides everywhere."""
    fill(run, {"a": BASE[:6] + UP[:6], "b": BASE[:6]})
    found = ask(run, "a", "b")
    assert found.verdict.startswith("a is better than b") and "p = 0.0312" in found.verdict
    assert [line[4].mark for line in found.grids[0].lines] == ["shown", "shown"]
    assert [line[6].text for line in found.grids[0].lines] == ["0.0312"] * 2
    [summary] = results_of(run).summaries()
    marks = {row.method: row.entries["psnr"].mark for row in summary.rows}
    assert marks == {"a": "best", "b": "second"}


@pytest.mark.parametrize("swing", [0.2, 0.55, 1.5])
def test_ranks_marks_and_pairs_agree_on_every_difference(run: Store, swing: float) -> None:
    """`a` is the best mean; the family of `compare --all` is that of the marks."""
    steps = np.array([1, -1, 2, -2, 3, -3, 1.5, -1.5]) * swing / 3
    fill(run, {"a": BASE + 1, "b": BASE + 0.7 + steps, "c": BASE + 0.2 + np.roll(steps, 3)})
    found = ask(run)
    [summary] = results_of(run).summaries()
    marks = {row.method: row.entries["psnr"].mark for row in summary.rows}
    for line in found.grids[1].lines:
        other, shown = line[1].text, line[3].mark == "shown"
        pair = ask(run, "a", other)
        assert shown <= pair.verdict.startswith("a is better"), "Holm shows no more than p alone"
        undecided = found.verdict.partition("not to be told from it: ")[2].partition(" (")[0]
        assert not undecided or shown == (other not in undecided.split(", "))
        assert marks["a"] is None or shown == (marks[other] != "best")


def test_a_measure_without_scores_says_why(run: Store) -> None:
    fill(run, {"a": BASE})
    for index in range(8):
        scores = [
            Score("psnr", 30.0, None),
            score("mae", None, "not available: no trunk"),
        ]
        run.put(1, cell("b", f"p{index:02}"), Outcome("ok", scores={"quick": scores}), RULERS)
    found = ask(run, "a", "b")
    assert [line[0] for line in texts(found)] == ["PSNR (dB) ↑"]
    assert "MAE: 8 pictures left out: b not available: no trunk." in found.grids[0].footnotes


def test_footnotes_carry_provenance_and_the_kind_of_interval(run: Store) -> None:
    fill(run, {"a": BASE + UP, "truth": BASE})
    found = ask(run, "a", "truth")
    text = " ".join(found.grids[0].footnotes)
    for word in (
        "set, 8 pictures",
        "fingerprint",
        "noise 0",
        "track u8",
        "quick (Quick)",
        "cccccccccccc",
        "sign flips",
    ):
        assert word in text
    assert "† given the true blur map" in text and "truth†" in found.verdict
    rng = np.random.default_rng(0)
    fill(run, {"a": rng.normal(20, 1, 40), "b": rng.normal(20, 1, 40)}, dataset="large")
    found = ask(run, "a", "b", dataset="large")
    assert "studentised bootstrap" in found.grids[0].footnotes[0] and set(
        found.numbers["interval"]
    ) == {"bootstrap"}


def test_pictures_of_one_scene_are_pointed_out(run: Store) -> None:
    fill(run, {"a": BASE + UP, "b": BASE})
    assert not any("scenes" in note for note in ask(run, "a", "b").grids[0].footnotes)
    for name, values in {"a": BASE + UP, "b": BASE}.items():
        for index, value in enumerate(values):
            what = cell(name, f"p{index:02}", dataset="scenes")
            run.put(1, what, scored(float(value), scene=f"scene {index // 4}"), RULERS)
    assert any(
        "8 pictures of 2 scenes" in note
        for note in ask(run, "a", "b", dataset="scenes").grids[0].footnotes
    )


def test_the_list_of_pictures_starts_where_the_first_is_furthest_ahead(run: Store) -> None:
    fill(run, {"a": BASE + np.roll(UP, 3) - 0.4, "b": BASE})
    found = ask(run, "a", "b")
    differences = [float(line[3].text) for line in found.pictures.lines]
    assert differences == sorted(differences, reverse=True) and len(differences) == 8
    assert found.scores["difference"].tolist() == pytest.approx(differences)
    assert [line[0].text for line in ask(run, "a", "b", measure="mae").pictures.lines] == [
        line[0].text for line in found.pictures.lines
    ]


# Which pictures, which scores
# -----------------------------------------------------------------------------------------


def test_only_pictures_that_both_have_take_part_and_the_others_are_explained(run: Store) -> None:
    fill(run, {"a": [*(BASE + UP), 50, 50, 50, 50, 50], "b": BASE})
    run.put(1, cell("b", "p08"), Outcome("failed", reason="it broke"), RULERS)
    run.put(1, cell("b", "p09"), scored(None, "no target"), RULERS)
    run.put(1, cell("b", "p10"), Outcome("ok"), RULERS)
    found = ask(run, "a", "b")
    assert "by 0.45 dB [0.23, 0.67] on 8 pictures" in found.verdict
    notes = found.grids[0].footnotes
    for reason, count in {
        "failed (it broke)": "1 picture",
        "no target": "1 picture",
        "not scored under quick": "1 picture",
        "not run through track u8": "2 pictures",
    }.items():
        assert f"{count} left out: b {reason}." in notes


def test_scores_by_an_older_ruler_take_no_part(run: Store) -> None:
    fill(run, {"a": BASE + UP, "b": BASE})
    later = run.start_run({})
    for name in ("a", "b"):
        for index in range(7):
            run.put_scores(
                later,
                cell(name, f"p{index:02}").key,
                scored(20.0 + index).scores,
                dict.fromkeys(RULERS, "2"),
            )
    found = ask(run, "a", "b")
    assert found.verdict.startswith("a and b score the same on 7 pictures")
    assert any(
        "1 picture left out: a scored by an older ruler" in note
        for note in found.grids[0].footnotes
    )


def test_without_a_common_picture_there_is_nothing_to_say(run: Store) -> None:
    fill(run, {"a": BASE, "b": []})
    run.put(1, cell("b", "p00"), Outcome("skipped", reason="no weights"), RULERS)
    with pytest.raises(
        UsageError,
        match=r"no picture has a score \(psnr\) of all of a, b.*b skipped \(no weights\)",
    ):
        ask(run, "a", "b")


def test_runs_are_read_as_one_and_never_mix_contents(tmp_path: Path) -> None:
    first = fill(made(tmp_path / "1"), {"a": BASE + UP})
    second = fill(made(tmp_path / "2"), {"b": BASE})
    assert "by 0.45 dB [0.23, 0.67] on 8 pictures" in ask([first, second], "a", "b").verdict
    second.put(1, cell("b", "p07", data="repainted"), scored(20.0), RULERS)
    second.note_request(second.start_run({}), [cell("b", "p07", data="repainted")])
    assert "on 7 pictures" in ask([first, second], "a", "b").verdict


def test_a_level_and_a_track_are_never_mixed_with_others(run: Store) -> None:
    fill(run, {"a": BASE + UP, "b": BASE})
    fill(run, {"a": BASE, "b": BASE + UP}, noise=Noise(2.0, clip=True))
    fill(run, {"a": BASE, "b": BASE + 2 * UP}, track="u16")
    assert ask(run, "a", "b").verdict.startswith("a is better than b by 0.45")
    assert ask(run, "a", "b", noise="2 clipped").verdict.startswith("b is better than a by 0.45")
    assert ask(run, "a", "b", track="u16").verdict.startswith("b is better than a by 0.90")


# Errors
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("methods", "where", "message"),
    [
        (
            ("alpha", "betta"),
            {},
            "hold no method 'betta'. Did you mean 'beta'? They hold: alpha, beta",
        ),
        (
            ("alpha", "beta"),
            {"dataset": "sett"},
            "--dataset sett: not in the runs, which hold set (did you mean 'set'?)",
        ),
        (("alpha", "beta"), {"protocol": "slow"}, "hold no protocol 'slow'. They hold: quick"),
        (
            ("alpha", "beta"),
            {"measure": "psn"},
            "hold no measure 'psn'. Did you mean 'psnr'? They hold: psnr, mae",
        ),
        (("alpha", "beta"), {"noise": "3"}, "hold no noise level '3'. They hold: 0"),
        (("alpha", "beta"), {"track": "u16"}, "hold no track 'u16'. They hold: u8"),
        (("alpha",), {}, "needs two methods, not alpha; the runs hold alpha, beta"),
        (("alpha", "alpha"), {}, "needs two methods, not alpha"),
    ],
)
def test_errors_name_what_the_run_does_hold(
    run: Store, methods: tuple[str, ...], where: dict[str, str], message: str
) -> None:
    fill(run, {"alpha": BASE, "beta": BASE})
    with pytest.raises(UsageError, match=re.escape(message)):
        ask(run, *methods, **where)


def test_several_data_sets_need_a_choice(run: Store) -> None:
    fill(run, {"a": BASE, "b": BASE})
    fill(run, {"a": BASE, "b": BASE}, dataset="other")
    with pytest.raises(
        UsageError, match="several data sets: other, set; choose one with --dataset"
    ):
        ask(run, "a", "b")


def test_a_run_without_scores_says_what_to_do(run: Store) -> None:
    run.put(1, cell("a", "p00"), Outcome("ok"), RULERS)
    with pytest.raises(UsageError, match="nothing is scored; use `score`"):
        ask(run, "a", "b")


def test_methods_and_runs_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FILE_NAME).touch()
    (tmp_path / "input").mkdir()  # a folder, but no run
    names = ["input", "ebdb:psf=disk", "folder:path=a/b", "mine", "runs/gone"]
    assert split_names(names) == (
        ["input", "ebdb:psf=disk", "folder:path=a/b"],
        [Path("mine"), Path("runs/gone")],
    )


# Many methods
# --------------------------------------------------------------------------------------------------


def three(run: Store) -> Store:
    return fill(run, {"low": BASE, "high": BASE + UP + 1, "mid": BASE + 0.5, "truth": BASE + 9})


def test_many_methods_are_compared_with_the_best(run: Store) -> None:
    found = ask(three(run))
    assert found.verdict == (
        "high has the best mean of 3 methods, 23.07 dB, on 8 pictures; every other one is shown to "
        "be worse (PSNR, protocol quick)."
    )
    lines = [[line[0], line[2]] for line in texts(found)]
    assert lines == [["high", "1.00"], ["mid", "2.00"], ["low", "3.00"]]
    assert [line[:2] for line in texts(found, 1)] == [["high", "mid"], ["high", "low"]]
    assert found.numbers["p_holm"].tolist() == stats.adjust_p_values(found.numbers["p"].tolist())
    assert found.numbers["family"].tolist() == [2, 2]
    notes = " ".join(note for grid in found.grids for note in grid.footnotes)
    assert "Friedman" not in notes and "Nemenyi" not in notes
    assert "adjusted for the 2 comparisons with the best" in notes


def test_who_saw_the_truth_is_set_aside_unless_named(run: Store) -> None:
    found = ask(three(run))
    assert any("not among them: truth" in note for note in found.grids[0].footnotes)
    found = ask(run, "low", "mid", "truth")
    assert found.verdict.startswith("truth† has the best mean") and texts(found)[0][0] == "truth†"


def test_all_that_share_the_best_mean_are_named_and_the_incomplete_are_left_out(
    run: Store,
) -> None:
    fill(run, {"alpha": BASE, "beta": BASE, "dim": BASE - UP, "shaky": BASE[:7] + 5})
    run.put(1, cell("shaky", "p07"), Outcome("failed", reason="out of memory"), RULERS)
    found = ask(run)
    assert found.verdict == (
        "alpha and beta share the best mean of 3 methods, 21.62 dB, on 8 pictures; shown to be "
        "worse: dim; not to be told from it: none (PSNR, protocol quick). Left out: shaky (1 "
        "picture missing)."
    ).replace(
        "shown to be worse: dim; not to be told from it: none",
        "every other one is shown to be worse",
    )
    named = ask(run, "alpha", "shaky")
    assert "on 7 pictures" in named.verdict
    assert any("1 picture left out: shaky failed" in note for note in named.grids[0].footnotes)


def test_all_of_two_competitors_is_a_pair(run: Store) -> None:
    fill(run, {"a": BASE + UP, "b": BASE, "truth": BASE})
    run.put(1, cell("network", "p00"), Outcome("skipped", reason="no weights"), RULERS)
    found = ask(run)
    assert found.verdict.startswith("a is better than b")
    assert any(
        note.startswith("Without scores") and "network" in note for note in found.grids[0].footnotes
    )


def test_the_ranking_claims_no_more_than_the_tests(run: Store) -> None:
    fill(run, {"a": BASE[:5] + 2 * UP[:5], "b": BASE[:5] + UP[:5], "c": BASE[:5]})
    assert "too few to test: 5 pictures can show no difference between 3 methods at 5 %, 7 can" in (
        ask(run).verdict
    )
    fill(
        run,
        {"c": BASE + 0.1, "d": BASE + UP, "e": BASE + UP + np.resize([0.1, -0.11], 8)},
        dataset="eight",
    )
    verdict = ask(run, dataset="eight").verdict
    assert verdict.startswith("d has the best mean of 3 methods")
    assert "shown to be worse: c; not to be told from it: e" in verdict
    fill(
        run,
        {name: BASE + np.roll(UP, i) - i / 99 for i, name in enumerate("xyz")},
        dataset="even",
    )
    assert "no difference to any other is shown" in ask(run, dataset="even").verdict


def test_pictures_of_many_methods_start_where_they_differ_most(run: Store) -> None:
    values = ask(three(run)).scores.set_index("sample")
    spread = (values.max(axis=1) - values.min(axis=1)).tolist()
    assert spread == sorted(spread, reverse=True) and list(values.columns) == ["high", "mid", "low"]


# Writing
# --------------------------------------------------------------------------------------------------


def test_csv_is_numbers(run: Store) -> None:
    found = ask(fill(run, {"a": BASE + UP, "b": BASE}), "a", "b")
    tests = pd.read_csv(io.StringIO(format_answer(found, "csv")))
    assert tests["difference"].tolist() == pytest.approx([0.45, -0.00045]) and tests[
        "n"
    ].tolist() == [8, 8]
    assert tests["p"].tolist() == [2 / 256] * 2
    pictures = pd.read_csv(io.StringIO(format_answer(found, "csv", pictures=True)))
    assert sorted(pictures["difference"]) == pytest.approx(UP)


def test_markdown_escapes_and_is_the_same_each_time(run: Store) -> None:
    hostile = "<script>alert(1)</script>|x"
    fill(run, {hostile: BASE + UP, "b": BASE, "c_d": BASE + 0.2})
    for methods in ((hostile, "b"), (hostile, "b", "c_d")):
        text = format_answer(ask(run, *methods), "markdown")
        assert "<script>" not in text.replace("\\<", "")
        assert text == format_answer(ask(run, *methods), "markdown")
        assert "p03" not in text and "p03" in format_answer(
            ask(run, *methods), "markdown", pictures=True
        )


def test_what_a_method_learned_from_is_told_of_the_run_that_its_scores_are_from(
    run: Store, tmp_path: Path
) -> None:
    fill(run, {"a": BASE + UP, "b": BASE})
    other = fill(made(tmp_path / "other"), {"a": BASE}, dataset="another set")
    for store, data in ((run, "these pictures"), (other, "those pictures")):
        card = MethodCard(title="a", family="learned", trained_on=(data,))
        store.put_cards({"a": card})
    ground = results_of(run, other).select("set")
    notes = note_texts(ground.describe([ground.column()], ["a", "b"], ["p00"]))
    assert any("from these pictures: a." in note for note in notes) and not any(
        "those" in note for note in notes
    )


def test_methods_joined_are_compared_by_their_mean_on_each_picture(run: Store) -> None:
    fill(run, {"a.0": BASE + UP, "a.1": BASE + 3 * UP, "b.0": BASE, "truth": BASE + 9})
    joined, plain = ask(run, "a.0+a.1", "b.0"), ask(fill(run, {"c": BASE + 2 * UP}), "c", "b.0")
    assert joined.verdict == plain.verdict.replace("c is", "a.0+a.1 is")
    assert list(joined.scores["a.0+a.1"]) == pytest.approx(list(plain.scores["c"]))
    notes = joined.grids[0].notes
    assert any(note == "a.0+a.1: the mean of what 2 methods score on a picture." for note in notes)
    assert ask(run, "a.0+truth", "b.0").verdict.startswith("a.0+truth† is better")
    with pytest.raises(UsageError, match=r"hold no method 'a.2'. Did you mean"):
        ask(run, "a.0+a.2", "b.0")


def test_a_picture_that_one_of_joined_methods_lacks_is_left_out(run: Store) -> None:
    fill(run, {"a.0": BASE + UP, "a.1": (BASE + UP)[:5], "b.0": BASE})
    found = ask(run, "a.0+a.1", "b.0")
    assert len(found.scores) == 5 and any(
        "3 pictures left out: a.1 not run" in note for note in found.grids[0].notes
    )
