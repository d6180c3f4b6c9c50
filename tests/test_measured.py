"""`make measured` knows the committed files, notices what differs, and leaves out what it cannot
do.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark.results.bundles import read_bundle
from tests import measured
from tests.measured import MEASURED, Source, Step


def test_every_file_of_every_step_is_committed_and_needs_known_data() -> None:
    sources, steps = measured.read_steps(MEASURED / "steps.toml")
    for step in steps:
        assert set(step.data) <= set(sources)
        for name in (*step.files, *step.made_by_run):
            assert (MEASURED / step.folder / name).is_file(), f"{step.folder}/{name}"
        assert step.hours > 0
    assert sum(step.hours for step in steps) <= 12


def make_source(folder: Path) -> Source:
    folder.mkdir()
    digest = hashlib.sha256()
    for name in ("a", "b"):
        (folder / name).write_text(name)
        digest.update(hashlib.sha256(name.encode()).digest())
    return Source("two files", "https://example.org", folder.name, 2, digest.hexdigest())


def test_data_are_checked_by_their_bytes(tmp_path: Path) -> None:
    source = make_source(tmp_path / "pictures")
    assert source.explain_problem(tmp_path) is None
    assert "get two files from https://example.org" in str(source.explain_problem(tmp_path / "x"))
    (tmp_path / "pictures" / "b").write_text("c")
    assert "holds other files than were measured" in str(source.explain_problem(tmp_path))


def test_a_step_without_its_data_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source(tmp_path / "pictures")
    step = Step("nothing", 1.0, ("pictures",), "run --no-such-option", {}, ())
    sources = {"pictures": source}
    assert measured.measure_steps([step], sources, tmp_path / "work", tmp_path / "absent") == 1
    output = capsys.readouterr().out
    assert "left out: nothing: " in output and "0 steps, estimated at 0.0 hours" in output


def test_scores_are_compared_number_by_number(tmp_path: Path) -> None:
    committed = MEASURED / "pixel4" / "scores.parquet"
    same = tmp_path / "same.parquet"
    shutil.copy(committed, same)
    text, is_same = measured.compare_scores(same, committed)
    assert is_same and "largest difference 0" in text
    rows = pd.read_parquet(committed)
    rows.loc[rows.index[0], "value"] += 0.5
    other = tmp_path / "other.parquet"
    rows.to_parquet(other)
    text, is_same = measured.compare_scores(other, committed)
    assert not is_same and "largest difference 0.5" in text
    rows[rows["method"] != "ebdb"].to_parquet(other)
    text, is_same = measured.compare_scores(other, committed)
    assert not is_same and "not measured again (ebdb)" in text


def test_texts_are_compared_line_by_line(tmp_path: Path) -> None:
    for folder, text in (("a", "1\n2\n"), ("b", "1\n3\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "report.md").write_text(text)
    first, second = (tmp_path / folder / "report.md" for folder in "ab")
    assert measured.compare_lines(first, first) == ("a/report.md: the same", True)
    text, is_same = measured.compare_lines(second, first)
    assert not is_same and text.startswith("a/report.md: 2 lines differ")


def test_an_unknown_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        measured.main(["--only", "demmo"])
    assert ending.value.code == 2 and "expected demo, simulated" in capsys.readouterr().err


@pytest.mark.slow
def test_a_step_is_done_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(
        folder="small",
        hours=0.1,
        data=(),
        run="run --methods input --dataset simulated:size=32 --limit 2 --out RUN",
        files={"scores.parquet": "export RUN --out FILE", "report.md": "report RUN --wide"},
        made_by_run=(),
    )
    for _ in range(2):  # the second time nothing is left to do
        assert measured.measure_steps([step], {}, tmp_path / "work", tmp_path) == 1
    assert "small/report.md: new, nothing is committed" in capsys.readouterr().out
    assert "simulated:size=32" in (tmp_path / "work" / "small" / "report.md").read_text()
    assert len(pd.read_parquet(tmp_path / "work" / "small" / "scores.parquet")) > 0
    bundle = read_bundle(tmp_path / "work" / "small" / "bundle")
    assert list(bundle.manifest.contents.datasets) == ["simulated:size=32"]
    board = (tmp_path / "work" / "board" / "index.html").read_text("utf-8")
    assert "simulated:size=32" in board and str(tmp_path) not in board
