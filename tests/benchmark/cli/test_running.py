"""What `run` and `score` print: the tables that were asked for, of a folder that may hold more."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark import imageio
from benchmark.cli.app import app
from benchmark.results import read_results
from benchmark.store import Store

OTHER = "simulated:size=32"


def printed_tables(*words: str) -> list[tuple[str, str]]:
    """Return data set and protocol of every table that a command prints."""
    done = CliRunner().invoke(app, [*words, "--jobs", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return re.findall(r"^(\w\S*): \d+ pictures?, noise 0, protocol (\w+)", done.output, re.M)


def test_the_tables_of_what_was_asked_for_are_printed(tmp_path: Path, toys: Path) -> None:
    plugin = ("--plugin", str(toys))
    quick = ("--protocol", "quick")
    sixteen_bits = ("--protocol", "dpdnet")

    def run(dataset: str, *protocols: str) -> list[tuple[str, str]]:
        words = ("--methods", "input", "--dataset", dataset, "--out", str(tmp_path), "--limit", "1")
        return printed_tables("run", *words, *plugin, *protocols)

    assert run("tiny", *quick) == [("tiny", "quick")]
    assert run(OTHER, *quick) == [(OTHER, "quick")]
    assert run("tiny", *sixteen_bits) == [("tiny", "dpdnet")]
    assert sorted(run("tiny", *quick, *sixteen_bits)) == [("tiny", "dpdnet"), ("tiny", "quick")]
    scored = printed_tables("score", str(tmp_path), *plugin, *quick)
    assert sorted(scored) == [(OTHER, "quick"), ("tiny", "quick")]


def make_pairs(folder: Path, *names: str) -> Path:
    for level, name in enumerate(names):
        for part, value in (("input", 0.1), ("target", 0.3 + 0.1 * level)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            picture = np.full((24, 24, 3), value, np.float32)
            picture[level, level] = 0.9
            imageio.write(folder / part / f"{name}.png", picture, 8)
    return folder


def test_a_subset_takes_nothing_from_the_full_set_and_one_folder_is_one_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    full = make_pairs(Path("full"), "1", "2", "3", "4")
    for part in ("input", "target"):
        shutil.copytree(full / part, Path("subset") / part, ignore=lambda *_: {"1.png", "2.png"})
    Path("link").symlink_to(full)

    def run(path: Path | str, methods: str, *words: str) -> None:
        ids = ("--methods", methods, "--dataset", f"folder:path={path}", "--protocol", "restormer")
        printed_tables("run", *ids, "--out", "out", *words)

    def list_means() -> dict[str, tuple[int, float]]:
        table = read_results("out").table()
        rows = table[(table["measure"] == "psnr") & (table["method"] == "input")]
        pairs = zip(rows["n"], rows["mean"].round(6), strict=True)
        return dict(zip(rows["dataset"], pairs, strict=True))

    run("full", "input")
    before = list_means()
    assert list(before) == ["folder:path=full"] and before["folder:path=full"][0] == 4
    run("subset", "input")
    assert list_means()["folder:path=full"] == before["folder:path=full"]
    assert list_means()["folder:path=subset"][0] == 2
    with Store(Path("out")) as store:
        assert len(store.rows("cells")) == 4, "nothing was computed twice"

    run(full.resolve(), "unsharp", "--limit", "1")
    run("link", "unsharp")
    results = read_results("out")
    assert sorted(results.datasets) == ["folder:path=link", "folder:path=subset"]
    assert list_means()["folder:path=link"] == before["folder:path=full"]
    for path in ("full", full.resolve(), "link", tmp_path / "subset" / ".." / "full"):
        test = results.compare("input", "unsharp", dataset=f"folder:path={path}")
        assert len(test.scores) == 4
    words = ("compare", "input", "unsharp", "out", "--dataset", "folder:path=full")
    assert CliRunner().invoke(app, words).exit_code == 0


def test_a_limited_set_is_not_the_set_of_these_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    full = make_pairs(Path("full"), "1", "2", "3")
    for part in ("input", "target"):
        shutil.copytree(full / part, Path("some") / part, ignore=lambda *_: {"3.png"})
    words = ("run", "--methods", "input", "--protocol", "restormer", "--out", "out")

    def run(path: str, *limit: str) -> dict[str, int]:
        printed_tables(*words, "--dataset", f"folder:path={path}", *limit)
        table = read_results("out").table()
        return dict(zip(table["dataset"], table["n"], strict=False))

    run("full", "--limit", "2")
    assert run("some") == {"folder:path=full": 2, "folder:path=some": 2}
    assert run("full") == {"folder:path=full": 3, "folder:path=some": 2}


def test_what_a_data_set_left_out_is_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = make_pairs(Path("pairs"), "1", "2")
    make_pairs(Path("more"), "3")
    shutil.copytree("more", pairs / "input" / "more")
    (pairs / "input" / "raw.dng").write_bytes(b"not read")
    words = ("--methods", "input", "--dataset", "folder:path=pairs", "--out", "out")
    printed_tables("run", *words, "--protocol", "restormer")
    lines = Path("out/report.md").read_text().splitlines()
    remarks = [line for line in lines if line.startswith("- Of this copy of the data: ")]
    assert any("in sub-folders" in line and "more" in line for line in remarks), lines
    assert any("formats that are not read" in line and "raw.dng" in line for line in remarks)


def test_score_takes_the_protocols_that_apply_and_says_why_for_the_others(
    tmp_path: Path, toys: Path
) -> None:
    words = ("--methods", "input", "--dataset", "tiny", "--out", str(tmp_path), "--limit", "1")
    plugin = ("--plugin", str(toys), "--jobs", "1")
    CliRunner().invoke(app, ["run", *words, "--protocol", "quick", *plugin], catch_exceptions=False)
    done = CliRunner().invoke(
        app, ["score", str(tmp_path), "--protocol", "canonical,dpdnet", *plugin]
    )
    assert "left out: protocol 'dpdnet' sees pictures through track" in done.stderr
    assert "protocol canonical" in done.stdout and "protocol dpdnet" not in done.stdout
    refused = CliRunner().invoke(app, ["score", str(tmp_path), "--protocol", "dpdnet", *plugin])
    assert refused.exit_code and "run ... --protocol dpdnet" in str(refused.exception)
