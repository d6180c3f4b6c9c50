"""The conditions study: which pictures, what is left to do, and its numbers against the store's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark import imageio
from benchmark.api import UsageError
from benchmark.cli import app
from benchmark.engines.local import LocalEngine
from benchmark.registry import DATASETS, PROTOCOLS, create
from benchmark.reports import conditions as report
from benchmark.reports.grid import format_grids
from benchmark.results import read_results
from benchmark.running import RunRequest
from benchmark.studies import conditions as study
from benchmark.studies.conditions import CONDITIONS, Condition, Photographs, StudyRun

_CONDITIONS = study.choose_conditions(["as trained", "noise 2", "sharp"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs of texture, 96 pixels on a side."""
    folder = tmp_path_factory.mktemp("sharp")
    for number in range(3):
        random = np.random.default_rng(number)
        coarse = random.random((12, 12, 3)).repeat(8, axis=0).repeat(8, axis=1)
        fine = 0.2 * random.random((96, 96, 3))
        imageio.write(folder / f"{number}.png", (0.8 * coarse + fine).astype(np.float32), 8)
    return folder


def _measure(source: Path, out: Path, *methods: str) -> StudyRun:
    request = RunRequest(
        methods=methods,
        dataset="",
        noises=(),
        protocols={name: PROTOCOLS.get(name) for name in report.PROTOCOLS},
        out=out,
        limit=2,
        engine=LocalEngine(1),
        save=False,
    )
    return study.measure_conditions(request, Photographs(source, size=80), _CONDITIONS)


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyRun]:
    out = tmp_path_factory.mktemp("study")
    return out, _measure(source, out, "input", "unsharp")


@pytest.fixture(scope="module")
def condition_results(run: tuple[Path, StudyRun]) -> list[report.ConditionResult]:
    out, study_run = run
    return report.collect_conditions(read_results(out), study_run.conditions)


def test_there_are_twelve_conditions_at_least_with_names_of_their_own(source: Path) -> None:
    names = [condition.name for condition in CONDITIONS]
    assert len(set(names)) == len(names) >= 12
    photographs = Photographs(source, size=80)
    for condition in CONDITIONS:
        dataset, _ = create(DATASETS, photographs.name_dataset(condition), root=source)
        sample = dataset.load("0")
        assert sample.image.shape == (80, 80, 3), condition.name


def test_the_same_scene_is_behind_every_condition(source: Path) -> None:
    photographs = Photographs(source, size=64, seed=5)
    maps = []
    for name in ("as trained", "S curve", "JPEG 80", "ray-traced lens"):
        (condition,) = study.choose_conditions([name])
        dataset, _ = create(DATASETS, photographs.name_dataset(condition), root=source)
        maps.append(dataset.load("1").blur_map)
    for blur_map in maps[1:]:
        np.testing.assert_array_equal(blur_map, maps[0])


def test_where_nothing_is_blurred_the_input_is_the_target(source: Path) -> None:
    photographs = Photographs(source, size=64)
    for condition in study.choose_conditions(["sharp", "enlarged x2"]):
        dataset, _ = create(DATASETS, photographs.name_dataset(condition), root=source)
        sample = dataset.load("2")
        assert sample.target is not None
        np.testing.assert_allclose(sample.image, sample.target, atol=1e-6)


def test_conditions_come_in_the_order_of_the_study_and_unknown_ones_are_refused() -> None:
    names = [condition.name for condition in study.choose_conditions(["sharp", "S curve"])]
    assert names == ["S curve", "sharp"]
    assert study.choose_conditions([]) == CONDITIONS
    with pytest.raises(UsageError, match="no condition is called 'sharpp'; there are as trained"):
        study.choose_conditions(["sharpp"])


@pytest.mark.slow
def test_a_study_that_is_done_needs_nothing_and_a_further_method_only_itself(
    source: Path, run: tuple[Path, StudyRun], capsys: pytest.CaptureFixture[str]
) -> None:
    out, study_run = run
    assert _measure(source, out, "input", "unsharp") == study_run
    assert capsys.readouterr().err.count("already done") == 2
    further = _measure(source, out, "input", "unsharp", "uniform-wiener")
    told = capsys.readouterr().err
    assert "12 cells, 8 already done" in told and "6 cells, 4 already done" in told
    methods = further.conditions[0].methods
    assert methods == ("input", "unsharp", "uniform-wiener") and further.failures == 0


def test_gain_is_the_mean_over_pictures_of_what_a_method_has_more_than_the_input(
    run: tuple[Path, StudyRun], condition_results: list[report.ConditionResult]
) -> None:
    out, study_run = run
    scores = read_results(out).scores()
    for place, result in zip(study_run.conditions, condition_results, strict=True):
        if place.condition.name == "sharp":
            continue
        here = (scores["dataset"] == place.dataset) & (scores["sigma"] == place.condition.noise)
        psnr = scores[here & (scores["measure"] == "psnr")]
        table = psnr.pivot(index="sample", columns="method", values="value")
        gains = table["unsharp"] - table["input"]
        entry = result.rows[1].entries["gain"]
        assert result.rows[1].method == "unsharp" and len(gains) == 2
        assert entry.interval is not None
        assert entry.interval.mean == pytest.approx(gains.mean())
        assert entry.scores == pytest.approx(gains.to_dict())


def test_keep_light_and_lattice_are_those_of_the_protocol(
    run: tuple[Path, StudyRun], condition_results: list[report.ConditionResult]
) -> None:
    out, study_run = run
    scores = read_results(out).scores()
    scores = scores[(scores["protocol"] == "harm") & (scores["method"] == "unsharp")]
    for place, result in zip(study_run.conditions, condition_results, strict=True):
        here = (scores["dataset"] == place.dataset) & (scores["sigma"] == place.condition.noise)
        means = scores[here].groupby("measure")["value"].mean()
        for measure in ("keep", "light", "lattice"):
            interval = result.rows[1].entries[measure].interval
            assert interval is not None and interval.mean == pytest.approx(means[measure])


def test_without_defocus_there_is_no_gain_to_speak_of(
    condition_results: list[report.ConditionResult],
) -> None:
    sharp = condition_results[2]
    assert sharp.condition == Condition("sharp", "max_radius=0")
    assert [row.entries["gain"].note for row in sharp.rows] == ["not defined"] * 2
    assert sharp.rows[0].entries["keep"].scores == {"0": 100, "1": 100}
    assert all(row.entries["keep"].mark is None for row in sharp.rows if row.method == "input")


def test_the_report_is_written_as_table_numbers_and_figure(
    tmp_path: Path, condition_results: list[report.ConditionResult]
) -> None:
    files = {
        path.name: path for path in report.write_conditions_report(condition_results, tmp_path)
    }
    assert set(files) == {f"conditions.{suffix}" for suffix in ("md", "tex", "csv", "pdf", "png")}
    markdown = files["conditions.md"].read_text(encoding="utf-8")
    assert "| sharp " in markdown and "not defined" in markdown and "max\\_radius=0" in markdown
    numbers = pd.read_csv(files["conditions.csv"])
    gains = numbers[(numbers["measure"] == "gain") & (numbers["condition"] == "as trained")]
    assert gains.set_index("method")["mean"]["input"] == 0
    again = report.write_conditions_report(condition_results, tmp_path / "again")
    for path in again:
        assert path.read_bytes() == files[path.name].read_bytes(), path.name


def test_a_table_names_no_folder(
    source: Path, condition_results: list[report.ConditionResult]
) -> None:
    grids = [report.conditions_grid(condition_results), report.settings_grid(condition_results)]
    assert str(source) not in format_grids(grids, "markdown")


@pytest.mark.slow
def test_the_command_prints_the_table_and_goes_on_where_it_stopped(
    source: Path, tmp_path: Path
) -> None:
    words = ["conditions", "--source", str(source), "--size", "64", "--limit", "1", "--jobs", "1"]
    words += ["--methods", "unsharp", "--only", "sharp,JPEG 80", "--out", str(tmp_path)]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    assert "JPEG 80" in first.output and "not defined" in first.output
    second = CliRunner().invoke(app, words)
    assert second.output.count("2 cells, 2 already done") == 2
