"""The board without a browser: the numbers of `report`, nothing private, nothing unescaped."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.api import MethodCard, UsageError
from benchmark.cli import app
from benchmark.reports.board import write_board
from benchmark.reports.board.method_facts import describe_facets, find_year
from benchmark.reports.board.site import build_board_content
from benchmark.reports.self_contained import hash_for_policy
from benchmark.results.publication import publish_id, publish_record
from benchmark.results.results import read_record
from benchmark.results.run_record import read_store
from benchmark.store import Store
from tests.benchmark.results.made_runs import SAMPLES
from tests.reports.board.board_runs import (
    COMMAND,
    NOISY_PSNR,
    SECRETS,
    make_noisy_run,
    make_secret_run,
)
from tests.reports.page.page_runs import HOSTILE_METHOD, HOSTILE_SAMPLE, make
from tests.reports.page.test_page import Parsed

MEASURED = Path(__file__).parents[3] / "results" / "measured"
EXPORTS = sorted(MEASURED.glob("*/scores.parquet"))


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        return 2, str(result.exception)
    return result.exit_code, result.output


def build(*paths: Path, cost: Path | None = None) -> dict[str, Any]:
    """Return what the board of some results reads, as JSON gives it."""
    publications = [publish_record(read_record(path)) for path in paths]
    content = build_board_content(publications, cost)
    loaded: dict[str, Any] = json.loads(json.dumps(content, allow_nan=False))
    return loaded


def scores_of(content: dict[str, Any], method: str, dataset: str, noise: str) -> dict[str, Any]:
    """Return measure key -> what the board says of a method."""
    names = [each["name"] for each in content["methods"]]
    columns = [(each["dataset"], each["noise"]) for each in content["columns"]]
    [result] = [
        each
        for each in content["results"]
        if (names[each["method"]], columns[each["column"]]) == (method, (dataset, noise))
    ]
    return {
        content["measures"][int(place)]["key"]: entry for place, entry in result["scores"].items()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_noisy_run(tmp_path_factory.mktemp("board") / "run")


# Numbers
# --------------------------------------------------------------------------------------------------


def test_gains_are_differences_of_the_same_pictures(run: Path) -> None:
    content = build(run)
    for method, psnr in NOISY_PSNR.items():
        for place, noise in enumerate(("0", "5")):
            entry = scores_of(content, method, "set", noise)["psnr"]
            assert entry["pictures"] == [
                psnr[place] + SAMPLES.index(name) for name in sorted(SAMPLES)
            ]
            expected = psnr[place] - NOISY_PSNR["input"][place]
            assert (entry["gain"] or {"mean": 0})["mean"] == pytest.approx(expected)
            assert (entry["gain"] is None) == (method == "input")
    assert scores_of(content, "a", "set", "0")["psnr"]["rank"] == 1
    assert scores_of(content, "b", "set", "5")["psnr"]["rank"] == 1
    assert scores_of(content, "truth", "set", "0")["psnr"]["rank"] is None, "a ruler has no rank"
    assert [each["name"] for each in content["methods"] if each["ruler"]] == ["truth"]


def test_gains_and_means_of_the_committed_exports_are_those_that_report_prints(
    tmp_path: Path,
) -> None:
    exports = [MEASURED / name / "scores.parquet" for name in ("kodak24", "pixel4")]
    content = build(*exports)
    for measure in ("psnr", "lpips"):
        table = tmp_path / f"{measure}.csv"
        words = ["--measure", measure, "--format", "csv", "--out", table]
        assert call("report", *exports, *words)[0] == 0
        compared = 0
        for row in pd.read_csv(table, dtype={"noise": str}).to_dict("records"):
            entry = scores_of(content, row["method"], row["dataset"], row["noise"])[measure]
            if math.isnan(row[measure]):
                assert "mean" not in entry
                continue
            assert entry["mean"] == pytest.approx(row[measure], abs=1e-5)
            if not math.isnan(row["gain"]):
                gain = entry["gain"]
                printed = [row[name] for name in ("gain", "low", "high", "p", "wins", "n")]
                own = [gain[name] for name in ("mean", "low", "high", "p", "wins", "n")]
                assert own == pytest.approx(printed, abs=1e-4)
                compared += 1
        assert compared > 50


def test_what_was_skipped_has_no_number_but_its_reason(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run") as store:
        content = build_board_content([publish_record(read_store(store))], None)
    entry = scores_of(json.loads(json.dumps(content)), "broken", "page-ramps", "0")["psnr"]
    assert entry == {"note": "skipped"}


# Facts
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("citation", "year"),
    [
        ("Quan, Wu and Ji, NeurIPS 2021", 2021),
        ("after ideas of A, CVPR 2010, and B, TIP 2013", 2013),
        ("Ruan et al., arXiv 2302.01902, 2023", 2023),
        ("20211 pictures of 16801 pixels", None),
        ("", None),
    ],
)
def test_the_year_is_the_last_of_the_citation(citation: str, year: int | None) -> None:
    assert find_year(citation) == year


def test_what_is_not_known_of_training_is_called_so() -> None:
    assert describe_facets(None)["trained"] == ["unknown"]
    card = MethodCard(title="M", family="learned", trained_on=None)
    assert describe_facets(card)["trained"] == ["unknown"]
    assert describe_facets(MethodCard(title="M", family="baseline"))["trained"] == ["nothing"]


def test_costs_are_those_of_the_network_and_what_is_not_known_is_named() -> None:
    content = build(MEASURED / "demo" / "scores.parquet", cost=MEASURED / "cost")
    names = [each["name"] for each in content["methods"]]
    panels = {panel["title"]: panel["values"] for panel in content["costs"]["panels"]}
    assert set(panels) == {"parameters (M)", "MACs (G)"}
    known = {names[int(place)] for place in panels["parameters (M)"]}
    assert {"gkmnet.sim", "gkmnet.photo"} <= known and "ebdb" not in known
    notes = " ".join(content["costs"]["notes"])
    assert "none known of" in notes and "ebdb" in notes and "No seconds" in notes
    assert "No costs are known" in build(MEASURED / "demo" / "scores.parquet")["costs"]["notes"][0]


def test_printed_numbers_name_the_methods_that_stand_for_their_models() -> None:
    content = build(MEASURED / "equal_budget" / "scores.parquet")
    names = [each["name"] for each in content["methods"]]
    [line] = [
        each
        for each in content["printed"]
        if (each["model"], each["training"]) == ("SRN", "clean")
        and each["sigma"] == 0
        and each["source"].startswith("GKMNet")
        and each["dataset"] == "dpd"
    ][:1]
    assert {names[place] for place in line["methods"]} == {"srn.sim-26-0", "srn.sim-26-1"}
    assert float(line["values"]["psnr"][0][0]) > 20
    assert line["source"] in content["sources"]


def test_every_number_names_the_command_that_made_it(run: Path) -> None:
    content = build(run)
    assert all(each["commands"] == [0] for each in content["results"])
    [command] = content["commands"]
    assert command["text"].startswith("python -m benchmark run --methods all")
    assert command["day"] == "2026-01-01" and command["suite"].startswith("suite 0.2.0 at commit")


# The file
# --------------------------------------------------------------------------------------------------


def test_nothing_private_is_in_it(tmp_path: Path) -> None:
    record = read_record(make_secret_run(tmp_path / "kim"))
    index = write_board([record], tmp_path / "site")
    text = index.read_text("utf-8")
    for word in (*SECRETS, str(tmp_path)):
        assert word not in text, word
    content = Parsed(text).content()
    assert [each["name"] for each in content["methods"]] == ["input", "mine:file=net.pth"]
    assert content["commands"][0]["text"] == COMMAND


def test_names_that_mean_harm_stay_names(tmp_path: Path, toys: Path) -> None:
    with make(tmp_path / "run") as store:
        index = write_board([read_store(store)], tmp_path / "site")
    page = Parsed(index.read_text("utf-8"))
    content = page.content()
    assert publish_id(HOSTILE_METHOD) in [each["name"] for each in content["methods"]]
    assert all(HOSTILE_SAMPLE in each["samples"] for each in content["columns"])
    assert not page.all("img") and not page.all("b") and not page.all("i")
    assert [attributes.get("id") for attributes in page.all("script")] == ["content", None]


def test_the_policy_allows_its_own_style_and_script_alone(tmp_path: Path, run: Path) -> None:
    page = Parsed(write_board([read_record(run)], tmp_path).read_text("utf-8"))
    policy = next(str(each["content"]) for each in page.all("meta") if "http-equiv" in each)
    texts = {tag: text for tag, text in page.texts if tag in ("style", "script")}
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag, text in texts.items():
        assert f"{tag}-src '{hash_for_policy(text)}'" in policy
    assert not page.all("link")
    assert [each for tag in ("script", "a", "img") for each in page.all(tag) if "src" in each] == []


def test_the_same_results_give_the_same_bytes_and_no_other_page_is_overwritten(
    tmp_path: Path, run: Path
) -> None:
    records = [read_record(run)]
    first = write_board(records, tmp_path / "site").read_bytes()
    assert write_board(records, tmp_path / "site").read_bytes() == first
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("my thesis")
    with pytest.raises(UsageError, match="another page is there"):
        write_board(records, tmp_path / "other")
    assert (tmp_path / "other" / "index.html").read_text() == "my thesis"


def test_results_without_cells_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "run", create=True):
        pass
    with pytest.raises(UsageError, match="holds no cells"):
        write_board([read_record(tmp_path / "run")], tmp_path / "site")
    assert not (tmp_path / "site").exists()


# The command
# --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bundles_alone_are_enough_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundles = []
    for name in ("demo", "kodak24"):
        words = ["--out", name, "--cost", MEASURED / "cost"]
        assert call("export", MEASURED / name / "scores.parquet", *words)[0] == 0
        bundles.append(name)
    assert call("report", *bundles, "--out", "report.md")[0] == 0
    assert call("compare", "gkmnet.sim", "input", "demo")[0] == 0
    code, output = call("figures", "kodak24", "--figure", "robustness,pareto", "--out", "figures")
    assert code == 0 and Path("figures/pareto.pdf").is_file(), output
    assert call("board", *EXPORTS, "--out", "all")[0] == 0
    code, output = call("figures", "demo", "--figure", "crops", "--out", "figures")
    assert code == 2 and "hold no pictures" in output
    assert call("board", *bundles, "--out", "site")[0] == 0
    content = Parsed(Path("site/index.html").read_text("utf-8")).content()
    assert len(content["columns"]) == 5
    assert content["costs"]["panels"], "those of the bundles"
    assert [path.name for path in Path("site").iterdir()] == ["index.html"]


def test_runs_files_and_bundles_make_one_board(tmp_path: Path, run: Path) -> None:
    assert call("export", run, "--out", tmp_path / "bundle")[0] == 0
    assert call("export", run, "--out", tmp_path / "scores.csv")[0] == 0
    for parts in (
        [run],
        [tmp_path / "bundle"],
        [tmp_path / "scores.csv"],
        [run, tmp_path / "bundle"],
    ):
        assert call("board", *parts, "--out", tmp_path / "site")[0] == 0
        content = Parsed((tmp_path / "site" / "index.html").read_text("utf-8")).content()
        assert content["results"] == build(run)["results"], parts
    code, output = call("board", tmp_path / "nothing", "--out", tmp_path / "site")
    assert code == 2 and "nothing" in output
