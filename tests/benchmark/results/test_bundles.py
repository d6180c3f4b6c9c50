"""A bundle reads as the run it was made of, holds nothing private, and is refused by name where it
is not whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

import benchmark
from benchmark.api import DataError, DatasetCard, MethodCard, UsageError
from benchmark.cells import Outcome
from benchmark.cli import app
from benchmark.noise import Noise
from benchmark.reports.ranked import format_ranked_summaries
from benchmark.reports.tables import format_summaries
from benchmark.results import Results, parquet_reader, read_results
from benchmark.results.bundles import (
    CARDS,
    COMMANDS,
    FORMAT_VERSION,
    MANIFEST,
    SCORES,
    read_bundle,
    write_bundle,
)
from benchmark.results.exports import export_scores, write_export
from benchmark.results.publication import publish_record
from benchmark.results.results import read_record
from benchmark.store import Store
from benchmark.verification import VerifyRequest, verify_run
from tests.benchmark.results.made_runs import (
    PROTOCOL,
    RULERS,
    SAMPLES,
    change_json,
    make_cell,
    make_run,
    make_scores,
    spread_values,
)
from tests.reports.scores import score

MEASURED = Path(__file__).parents[3] / "results" / "measured"


def export(run: Path, out: Path) -> Path:
    write_bundle(publish_record(read_record(run)), out)
    return out


def call(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    error = result.exception
    if isinstance(error, (UsageError, DataError)):  # what `app_main` prints
        return error.exit_code, f"{result.output}error: {error}"
    assert error is None or isinstance(error, SystemExit), error
    return result.exit_code, result.output


def text(results: Results) -> str:
    return format_summaries(results.summaries(), "markdown")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", {**spread_values(("input", "a")), ("b", "one"): "why"})


@pytest.fixture
def bundle(run: Path, tmp_path: Path) -> Path:
    return export(run, tmp_path / "bundle")


# It reads as its run
# --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["input", "a", "b:gain=0.5", "a.tag"])
CELLS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(SAMPLES),
        st.sampled_from([0.0, 2.55]),
        st.sampled_from(["1", "2"]),
        st.one_of(
            st.floats(0, 60, allow_nan=False),
            st.sampled_from(["failed", "skipped", "unavailable"]),
        ),
    ),
    min_size=1,
    max_size=20,
)


def put_drawn_cell(store: Store, run: int, drawn: tuple[Any, ...]) -> None:
    method, sample, sigma, version, ending = drawn
    store.put_cards({method: MethodCard(title=f"T {method}", family="classical", notes="ü <b>")})
    cell = make_cell(method, sample, noise=Noise(sigma), method_version=version)
    if isinstance(ending, float):
        outcome = Outcome("ok", scores=make_scores(ending), scene=f"scene {sample}", seconds=0.5)
    elif ending == "failed":
        outcome = Outcome("failed", reason="broke", traceback="Traceback")
    else:
        reason = "not available: x" if ending == "unavailable" else "no target"
        outcome = Outcome("ok", scores={"ours": [score("psnr", None, reason)]})
    store.put(run, cell, outcome, RULERS)


def list_public(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a bundle keeps; what is missing is None, whatever the type of its column."""
    public = frame.drop(columns=["traceback", "output"]).astype(object)
    return public.where(public.notna(), None)


def assert_same_scores(ours: Results, theirs: Results) -> None:
    frames = [each.scores().astype(object) for each in (ours, theirs)]
    pd.testing.assert_frame_equal(*(frame.where(frame.notna(), None) for frame in frames))


@given(commands=st.lists(CELLS, min_size=1, max_size=3))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bundle_gives_the_results_of_its_run(
    commands: list[list[tuple[Any, ...]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    with Store(folder / "run", create=True) as store:
        store.put_cards({"ours": PROTOCOL})
        for cells in commands:
            run = store.start_run({"suite": "0.2.0", "limited": {"set": False}})
            for drawn in cells:
                put_drawn_cell(store, run, drawn)
            store.note_request(run, [make_cell("input", "one")])  # it may be there already
    original = read_record(folder / "run")
    copy = read_record(export(folder / "run", folder / "bundle"))
    pd.testing.assert_frame_equal(list_public(copy.scores), list_public(original.scores))
    assert copy.commands == original.commands
    assert (copy.methods, copy.datasets) == (original.methods, original.datasets)
    assert copy.protocols == original.protocols
    ours, theirs = Results([original]), Results([copy])
    assert_same_scores(ours, theirs)
    pd.testing.assert_frame_equal(ours.table(), theirs.table())
    assert text(ours) == text(theirs)


@pytest.mark.parametrize("name", ["demo", "simulated", "kodak24", "equal_budget", "pixel4"])
def test_the_committed_exports_become_bundles_with_the_committed_tables(
    name: str, tmp_path: Path
) -> None:
    results = read_results(export(MEASURED / name / "scores.parquet", tmp_path / name))
    if name == "demo":
        committed = (MEASURED / name / "ranked.md").read_text("utf-8")
        assert format_ranked_summaries(results.summaries(), "markdown") == committed
    else:
        assert text(results) == (MEASURED / name / "report.md").read_text("utf-8")


def test_the_same_results_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first, second = export(run, tmp_path / "1"), export(run, tmp_path / "2")
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted([MANIFEST, SCORES, CARDS, COMMANDS])
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    again = export(first, tmp_path / "3")
    assert (again / MANIFEST).read_bytes() == (first / MANIFEST).read_bytes(), "a bundle of one"


def test_the_manifest_says_what_is_inside(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text("utf-8"))
    assert manifest["format_version"] == FORMAT_VERSION
    assert manifest["suite"] == benchmark.__version__
    contents = manifest["contents"]
    assert sorted(contents["methods"]) == ["a", "b", "input"]
    assert (contents["cells"], contents["scores"], contents["commands"]) == (9, 16, 1)
    assert contents["datasets"]["set"]["pictures"] == 4
    fingerprint = read_results(bundle).select_dataset().fingerprint()
    assert contents["datasets"]["set"]["fingerprint"] == fingerprint
    assert set(manifest["files"]) == {SCORES, CARDS, COMMANDS}
    for name, facts in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_scores_of_a_bundle_can_be_read_alone(bundle: Path) -> None:
    assert text(read_results(bundle / SCORES)) == text(read_results(bundle))


# Every command reads it
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["report", "{}"],
        ["report", "{}", "--wide"],
        ["report", "{}", "--format", "csv"],
        ["report", "{}", "--table", "4"],
        ["compare", "a", "input", "{}"],
        ["compare", "--all", "{}", "--protocol", "ours"],
        ["rulers", "{}"],
    ],
    ids=" ".join,
)
def test_a_bundle_reads_as_its_run_in_every_command(
    words: list[str], run: Path, bundle: Path
) -> None:
    of_run = call(*(word.format(run) for word in words))
    assert call(*(word.format(bundle) for word in words)) == (
        of_run[0], of_run[1].replace(str(run), str(bundle)),
    )  # fmt: skip


def test_figures_and_the_page_of_a_bundle_say_what_they_lack(bundle: Path, tmp_path: Path) -> None:
    code, output = call("figures", bundle, "--figure", "crops", "--out", tmp_path / "figures")
    assert code == 2 and "hold no pictures; name the run folder" in output
    code, output = call("figures", bundle, "--figure", "robustness,crops", "--protocol", "ours")
    assert "crops: not made" in output
    code, output = call("report", bundle, "--format", "html")
    assert code == 0 and (tmp_path / "page" / "index.html").is_file(), "beside it, not inside"
    read_bundle(bundle)


def test_figures_of_committed_scores_need_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(MEASURED / "kodak24" / "scores.parquet", tmp_path / "kodak")
    code, _ = call("figures", "kodak", "--figure", "robustness")
    assert code == 0 and (tmp_path / "figures" / "robustness.pdf").is_file()


def test_costs_go_with_a_bundle_and_figures_find_them(run: Path, tmp_path: Path) -> None:
    code, output = call("export", run, "--out", tmp_path / "b", "--cost", MEASURED / "cost")
    assert code == 0, output
    files = json.loads((tmp_path / "b" / MANIFEST).read_text("utf-8"))["files"]
    assert {"cost.json", "samples.jsonl"} <= set(files)
    published = json.loads((tmp_path / "b" / "cost.json").read_text("utf-8"))
    measured = json.loads((MEASURED / "cost" / "cost.json").read_text("utf-8"))
    assert published["counts"] == measured["counts"]
    code, output = call("figures", tmp_path / "b", "--figure", "pareto", "--out", tmp_path / "f")
    assert f"{tmp_path / 'b'}: no costs of " in output, "its own costs, not the suite's"


def test_a_file_stays_a_file_and_other_endings_are_refused(run: Path, tmp_path: Path) -> None:
    for name in ("scores.csv", "scores.parquet"):
        assert call("export", run, "--out", tmp_path / name)[0] == 0
        assert (tmp_path / name).is_file()
    code, output = call("export", run, "--out", tmp_path / "scores.xlsx")
    assert code == 2 and "or the name of a folder" in output
    code, output = call("export", run, "--out", tmp_path / "scores.csv", "--cost", tmp_path)
    assert code == 2 and "--cost" in output
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("all my work")
    code, output = call("export", run, "--out", tmp_path / "full")
    assert code == 2 and "thesis.tex" in output
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    assert call("export", run, "--out", tmp_path / "release-1.2")[0] == 0


# Nothing private
# --------------------------------------------------------------------------------------------------


def test_a_bundle_holds_no_path_host_or_user(tmp_path: Path) -> None:
    home = "/home/kim/secret project/pairs"
    provenance = {
        "command": f"python -m benchmark run --methods input,mine:file=/home/kim/net.pth --dataset "
        f"'folder:path={home}' --data /home/kim/data --scheduler fermi.lab.example:8786",
        "machine": {"system": "Linux-6.1-kim-laptop-x86_64", "processor": "EPYC", "cores": 2},
        "scheduler": "tcp://fermi.lab.example:8786",
        "data": {f"folder:path={home}": "f00"},
        "limited": {f"folder:path={home}": False},
        "host": "kim-laptop",
    }
    method = "mine:file=/home/kim/net.pth"
    run = make_run(
        tmp_path / "run",
        {
            (method, "one"): 20.0,
            (method, "two"): f"no such file: {home}/two.png, see https://example.org/a/b",
        },
        provenance=provenance,
        dataset=f"folder:path={home}",
        dataset_name="folder",
        parameters='{"file": "/home/kim/net.pth"}',
    )
    with Store(run) as store:
        store.put_cards({method: MethodCard(title="M", family="learned", notes=f"of {home}/x")})
        remarks = (f"2 files of {home}/x left out",)
        [(dataset, card)] = store.cards(DatasetCard).items()
        store.put_cards({dataset: dataclasses.replace(card, remarks=remarks)})
        outcome = Outcome("failed", reason="broke", traceback=f'File "{home}/x.py"')
        store.put(1, make_cell(method, "three"), outcome, RULERS)
    bundle = export(run, tmp_path / "bundle")
    frame = pd.read_parquet(bundle / SCORES)
    content = frame.to_csv() + "".join(
        (bundle / name).read_text("utf-8") for name in (MANIFEST, CARDS, COMMANDS)
    )
    for word in ("kim", "/home", "secret", "fermi", "8786", str(tmp_path), platform.node()):
        assert word not in content, word
    results = read_results(bundle)
    assert "folder:path=pairs" in results.datasets
    assert set(results.scores()["method"]) == {"mine:file=net.pth"}
    assert "https://example.org/a/b" in content and "EPYC" in content and "Linux" in content
    verification = verify_run(VerifyRequest(run=bundle))
    assert verification.agrees, str(verification)


# Hostile and broken ones
# --------------------------------------------------------------------------------------------------


def redigest(bundle: Path, name: str) -> None:
    """Let the manifest say what a changed file is."""
    content = (bundle / name).read_bytes()

    def change(manifest: Any) -> None:
        digest = hashlib.sha256(content).hexdigest()
        manifest["files"][name] = {"bytes": len(content), "sha256": digest}

    change_json(bundle / MANIFEST, change)


def edit_manifest(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda bundle: change_json(bundle / MANIFEST, change)


def edit_scores(**columns: Any) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        frame = pd.read_parquet(bundle / SCORES).assign(**columns)
        frame.to_parquet(bundle / SCORES, index=False)
        redigest(bundle, SCORES)

    return edit


def edit_file(name: str, content: bytes) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        redigest(bundle, name)

    return edit


def name_file_outside(manifest: Any) -> None:
    manifest["files"]["../secret.txt"] = manifest["files"][SCORES]


def link_scores(bundle: Path) -> None:
    (bundle / SCORES).rename(bundle.parent / "elsewhere.parquet")
    (bundle / SCORES).symlink_to(bundle.parent / "elsewhere.parquet")


def cut_scores(bundle: Path) -> None:
    content = (bundle / SCORES).read_bytes()
    (bundle / SCORES).write_bytes(content[: len(content) // 2])


def cut_scores_and_tell(bundle: Path) -> None:
    cut_scores(bundle)
    redigest(bundle, SCORES)


def change_a_byte(bundle: Path) -> None:
    content = bytearray((bundle / CARDS).read_bytes())
    content[-3] ^= 1
    (bundle / CARDS).write_bytes(bytes(content))


def make_bomb(bundle: Path) -> None:
    """A few kB that stand for 30 GB: one long text in a million rows."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 10**6, pa.int32()), ["x" * 30_000])
    frame = pd.read_parquet(bundle / SCORES)
    columns = {name: pa.array([frame[name].iloc[0]] * 10**6) for name in ("key", "value")}
    pq.write_table(pa.table({**columns, "sample": texts}), bundle / SCORES, compression="zstd")
    assert (bundle / SCORES).stat().st_size < 200_000
    redigest(bundle, SCORES)


def make_rows_of_nothing(bundle: Path) -> None:
    """Many more rows than any run has, in no room."""
    numbers = pa.array([0.0] * (parquet_reader.MOST_ROWS + 1))
    pq.write_table(pa.table({"value": numbers}), bundle / SCORES, compression="zstd")
    redigest(bundle, SCORES)


def nest(bundle: Path) -> None:
    (bundle / MANIFEST).write_text("[" * 100_000 + "]" * 100_000)


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "names a file outside": (edit_manifest(name_file_outside), "'../secret.txt'"),
    "absurd size": (
        edit_manifest(lambda it: it["files"][SCORES].update(bytes=10**18)), "1000000000000000000",
    ),
    "negative size": (edit_manifest(lambda it: it["files"][SCORES].update(bytes=-1)), MANIFEST),
    "newer": (edit_manifest(lambda it: it.update(format_version=99)), "format version 99"),
    "something else": (edit_manifest(lambda it: it.update(format="zip")), "'zip'"),
    "unknown key": (edit_manifest(lambda it: it.update(run="rm -rf")), MANIFEST),
    "names no scores": (edit_manifest(lambda it: it["files"].pop(SCORES)), SCORES),
    "not JSON": (lambda it: (it / MANIFEST).write_text("{"), MANIFEST),
    "not text": (lambda it: (it / MANIFEST).write_bytes(b"\xff\xfe\0"), MANIFEST),
    "deep": (nest, MANIFEST),
    "large manifest": (lambda it: os.truncate(it / MANIFEST, 10**9), "1000000000 bytes"),
    "no manifest": (lambda it: (it / MANIFEST).unlink(), f"{MANIFEST}: is missing"),
    "missing file": (lambda it: (it / CARDS).unlink(), f"{CARDS}: is missing"),
    "link": (link_scores, f"{SCORES}: is missing"),
    "cut": (cut_scores, f"{SCORES}: has"),
    "cut, and told so": (cut_scores_and_tell, f"{SCORES}: cannot be read"),
    "changed": (change_a_byte, f"{CARDS}: is not what the manifest says"),
    "bomb": (make_bomb, "more than exported scores"),
    "rows of nothing": (make_rows_of_nothing, "more than exported scores"),
    "no scores at all": (edit_file(SCORES, b""), SCORES),
    "commands are no object": (edit_file(COMMANDS, b"[1]"), COMMANDS),
    "command without number": (edit_file(COMMANDS, b'{"x": {"provenance": {}}}'), COMMANDS),
    "places are no object": (
        edit_file(COMMANDS, b'{"1": {"provenance": {"places": [1]}}}'), "places",
    ),
    "no card": (edit_file(CARDS, b'{"methods": {"a": {"title": 3}}}'), "the card of 'a'"),
    "cards are no object": (edit_file(CARDS, b"7"), CARDS),
    "texts for numbers": (edit_scores(value="much"), SCORES),
    "numbers for texts": (edit_scores(method=7), "'method'"),
    "noise below 0": (edit_scores(sigma=-1.0), "noise"),
    "unknown status": (edit_scores(status="splendid"), "'splendid'"),
    "a name of the terminal": (edit_scores(sample="\x1b[2J"), "cannot be printed"),
    "provenance is no object": (edit_scores(provenance="[]"), SCORES),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_hostile_bundle_is_refused_by_name(
    harm: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle.parent / "secret.txt").write_text("secret")
    if harm == "rows of nothing":
        monkeypatch.setattr(parquet_reader, "MOST_ROWS", 10**6)
    inflict, message = HARMS[harm]
    inflict(bundle)
    for command in ("report", "verify"):
        code, output = call(command, bundle)
        assert code == 2 and message in output, output
        assert str(bundle) in output and "Traceback" not in output


def test_a_bomb_is_refused_outside_bundles_too(bundle: Path) -> None:
    make_bomb(bundle)
    code, output = call("report", bundle / SCORES)
    assert code == 2 and "more than exported scores" in output


def test_tables_within_bounds_are_read_as_pandas_reads_them(run: Path, tmp_path: Path) -> None:
    with Store(run) as store:
        frame = export_scores(store)
    write_export(frame, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(
        parquet_reader.read_parquet(tmp_path / "x.parquet"), pd.read_parquet(tmp_path / "x.parquet")
    )


# verify
# --------------------------------------------------------------------------------------------------


def test_verify_says_what_it_checked_and_what_not(bundle: Path) -> None:
    code, output = call("verify", bundle)
    assert code == 0
    assert "files: 3 of 3 are what the manifest says" in output
    assert "scores: 16, all are what their measures can be" in output
    assert "not checked: whether pictures give these scores" in output
    (bundle / "notes.txt").write_text("mine")
    assert "no part of the bundle: 'notes.txt'" in call("verify", bundle)[1]
    code, output = call("verify", bundle, "--set-aside")
    assert code == 2 and "holds no outputs" in output


@pytest.mark.parametrize(
    ("measure", "value", "message"),
    [
        ("ssim", 1.5, "ssim is 1.5, and cannot be above 1"),
        ("psnr", -3.0, "psnr is -3, and cannot be below 0"),
        ("psnr", float("inf"), "psnr is inf"),
    ],
)
def test_verify_finds_scores_that_cannot_be(
    measure: str, value: float, message: str, bundle: Path
) -> None:
    frame = pd.read_parquet(bundle / SCORES)
    place = frame.index[(frame["measure"] == measure) & (frame["sample"] == "one")][0]
    frame.loc[place, "value"] = value
    frame.to_parquet(bundle / SCORES, index=False)
    redigest(bundle, SCORES)
    code, output = call("verify", bundle)
    assert code == 1 and message in " ".join(output.split()), output


def test_verify_finds_a_manifest_that_tells_of_other_results(bundle: Path) -> None:
    change_json(bundle / MANIFEST, lambda it: it["contents"].update(cells=999))
    code, output = call("verify", bundle)
    assert code == 1 and "says other cells than the scores hold" in output
