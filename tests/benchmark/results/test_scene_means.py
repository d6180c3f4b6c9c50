"""The unit of every mean, interval and test is a scene: closed forms over the means of scenes where
pictures share some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.api import MethodCard
from benchmark.cells import Cell, Outcome
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.noise import Noise
from benchmark.reports import compare, rulers
from benchmark.results import Results, results_of
from benchmark.results.scene_means import average_scenes
from benchmark.results.selection import ScoreColumn
from benchmark.results.summaries import make_entry
from benchmark.store import Store
from tests.reports.scores import score

SCENES = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c": "c", "d": "d"}
SCORES = {
    "low": [20.0, 21.0, 25.0, 30.0, 28.0, 24.0, 22.0],
    "high": [21.0, 22.5, 24.5, 31.0, 29.5, 25.5, 22.25],
    "other": [19.0, 23.0, 24.0, 28.5, 28.5, 26.0, 21.0],
}
"""By picture; `high` is worse than `low` on a3, and better on every scene."""
MEANS = {
    "low": [22.0, 29.0, 24.0, 22.0],
    "high": [68 / 3, 30.25, 25.5, 22.25],
    "other": [22.0, 28.5, 26.0, 21.0],
}
"""By scene, by hand."""
PSNR = MeasureCard(metric="psnr", quantity="PSNR", title="PSNR", unit="dB", digits=2)
COLUMN = ScoreColumn("quick", "u8", "psnr")


def run(folder: Path, scores: Mapping[str, Sequence[float]], scenes: Mapping[str, str]) -> Results:
    """Return the results of methods on pictures that show these scenes."""
    store = Store(folder, create=True)
    store.put_cards({name: MethodCard(title=name, family="classical") for name in scores})
    protocols = {
        name: ProtocolCard(title=name, tracks=("u8",), measures={"psnr": PSNR})
        for name in ("quick", "same")
    }
    store.put_cards(protocols)
    number = store.start_run({})
    ruler_texts = {(name, "psnr"): "1" for name in protocols}
    for method, values in scores.items():
        for (picture, scene), value in zip(scenes.items(), values, strict=True):
            what = (method, method, None, "{}", "1", None, "set", "set", picture, picture)
            outcome = Outcome(
                "ok", scene=scene, scores={key: [score("psnr", value)] for key in protocols}
            )
            store.put(number, Cell(*what, "u8", Noise()), outcome, ruler_texts)
    return results_of(store)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return run(tmp_path / "run", SCORES, SCENES)


def test_a_scene_is_the_mean_of_its_pictures() -> None:
    frame = pd.DataFrame(SCORES, index=list(SCENES))
    for method, means in MEANS.items():
        scene_means = average_scenes(frame, SCENES)
        np.testing.assert_allclose(scene_means[method], means, rtol=1e-15)
        assert scene_means.index.tolist() == ["a", "b", "c", "d"]


def test_pictures_of_their_own_scenes_are_left_as_they_are() -> None:
    values = np.random.default_rng(0).random(50)
    names = [f"p{number}" for number in range(50)]
    series = pd.Series(values, index=names)
    np.testing.assert_array_equal(average_scenes(series, {name: name for name in names}), values)


def test_an_entry_has_the_t_interval_of_the_means_of_scenes() -> None:
    entry = make_entry(dict(zip(SCENES, SCORES["high"], strict=True)), SCENES)
    means = MEANS["high"]
    assert entry.interval is not None and entry.interval.n == 4
    expected = stats.t.interval(0.95, 3, loc=np.mean(means), scale=stats.sem(means))
    assert entry.interval[:3] == pytest.approx((np.mean(means), *expected))
    assert len(entry.scores) == 7 and entry.scene_scores["a"] == pytest.approx(68 / 3)


def test_a_table_says_how_many_scenes_its_pictures_show(results: Results) -> None:
    [summary, _] = results.summaries()
    [row] = [row for row in summary.rows if row.method == "low"]
    interval = row.entries["psnr"].interval
    assert interval is not None and (interval.mean, interval.n) == (pytest.approx(24.25), 4)
    text = " ".join(summary.footnotes)
    for fact in ("set, 7 pictures of 4 scenes", "a scene counts once", "Mean over scenes ["):
        assert fact in text


def test_few_scenes_are_not_tested_however_many_pictures_there_are(tmp_path: Path) -> None:
    scores = {"low": np.arange(20.0).tolist(), "high": (np.arange(20.0) + 1).tolist()}
    scenes = {f"p{number}": f"scene {number % 4}" for number in range(20)}
    [summary, _] = run(tmp_path / "run", scores, scenes).summaries()
    assert any("n = 4 is too few" in note for note in summary.footnotes)
    own_scenes = {picture: picture for picture in scenes}
    [summary, _] = run(tmp_path / "other", scores, own_scenes).summaries()
    assert not any("too few" in note for note in summary.footnotes)


def test_two_methods_are_compared_on_scenes(results: Results) -> None:
    test = results.compare("high", "low")
    gains = np.subtract(MEANS["high"], MEANS["low"])
    difference = test.difference
    assert (difference.n, difference.wins, difference.losses) == (4, 4, 0)
    assert difference.mean == pytest.approx(gains.mean())
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (difference.interval.low, difference.interval.high) == pytest.approx(tuple(expected))
    assert difference.p == 2 / 2**4, "of 16 choices of signs, all up and all down"
    record = test.as_record()
    assert (record["n"], record["mean_a"]) == (4, pytest.approx(np.mean(MEANS["high"])))
    assert "on 7 pictures of 4 scenes, p = 0.12; 4 wins, 0 losses" in str(test)


def test_copies_of_a_picture_make_nothing_surer(results: Results, tmp_path: Path) -> None:
    copies = {f"{picture} again": scene for picture, scene in SCENES.items()}
    twice = run(
        tmp_path / "twice",
        {method: [*values, *values] for method, values in SCORES.items()},
        SCENES | copies,
    )
    once, again = (each.compare("other", "low").difference for each in (results, twice))
    assert again.interval == pytest.approx(once.interval)
    assert again.p == once.p and again.detectable is once.detectable is None


def test_verdicts_and_legends_speak_of_scenes(results: Results) -> None:
    answer = compare.answer_question(results, compare.Question(methods=["high", "low"]))
    assert (
        "on 7 pictures of 4 scenes; 4 wins, 0 losses; too few to test: 4 scenes" in answer.verdict
    )
    text = " ".join(answer.grids[0].footnotes)
    assert "Difference: mean over scenes" in text and "7 pictures of 4 scenes" in text
    assert len(list(answer.pictures.lines)) == 7, "every picture is listed"


def test_many_methods_are_ranked_on_scenes(results: Results) -> None:
    answer = compare.answer_question(results, compare.Question(methods=None))
    text = " ".join(answer.grids[0].footnotes)
    assert "rank 1 is the best on a scene" in text
    assert "high has the best mean of 3 methods" in answer.verdict
    assert "4 scenes can show no difference between 3 methods at 5 %, 7 can" in answer.verdict
    ranks = {line[0].text: line[2].text for line in answer.grids[0].lines}
    assert ranks == {"high": "1.25", "low": "2.38", "other": "2.38"}


def test_rulers_rank_means_of_scenes(results: Results) -> None:
    ranking = rulers.build_ruler_grids(results)[0]
    cells = {line[0].text: line[1].text for line in ranking.lines}
    assert cells["other"] == f"{np.mean(MEANS['other']):.3f} (2)"


def test_common_scores_know_their_scenes(results: Results) -> None:
    common = results.select().common_scores({COLUMN: ["low", "high"]})
    assert common.scenes == SCENES and common.pictures == sorted(SCENES)
