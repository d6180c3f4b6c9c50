"""Following an iterative method step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import plan
from benchmark.engines.local import LocalEngine
from benchmark.metrics.psnr import Psnr
from benchmark.noise import Noise
from benchmark.reports import convergence as report
from benchmark.studies import convergence
from benchmark.worker import RunSettings

FAST = "fixed-point:map=oracle,iterations=3,tolerance=0,damping=1,noise_weight=0,psf=gaussian"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    data = plan.select_dataset("simulated:size=64", folder, limit=2)
    methods = plan.select_methods([FAST, "input"])
    return convergence.follow_methods(
        methods,
        [data],
        [Noise(0.0), Noise(3.0)],
        RunSettings(folder, folder),
        engine=LocalEngine(2),
    ), data.dataset


def test_steps_are_read_back_as_they_were_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = plan.select_dataset("simulated:size=64", tmp_path, limit=1)
    methods = plan.select_methods([FAST, "input"])
    first, second = (
        convergence.follow_methods(
            methods, [data], [Noise(0.0)], RunSettings(tmp_path, tmp_path), engine=LocalEngine(1)
        )
        for _ in range(2)
    )
    assert second == first and len(first) == 5
    told = capsys.readouterr().err
    assert "2 items, 0 already done" in told and "2 items, 2 already done" in told


def test_every_step_is_a_row_in_the_order_of_the_plan(rows):
    step_rows, dataset = rows
    steps = [row for row in step_rows if "step" in row]
    assert [row["step"] for row in steps] == [0, 1, 2, 3] * 4
    assert [row["sample"] for row in steps[::8]] == list(dataset.ids()[:2])
    assert {(row["scene"], row["sample"]) for row in steps} == {
        (name, name) for name in dataset.ids()[:2]
    }
    assert {row["reason"] for row in step_rows if "reason" in row} == {"is no iteration"}


def test_the_start_is_the_input_and_steps_change_it(rows):
    step_rows, dataset = rows
    sample = dataset.load(dataset.ids()[0])
    first = [
        row
        for row in step_rows
        if row["sample"] == sample.id and row["noise"] == 0 and "step" in row
    ]
    assert first[0]["psnr"] == pytest.approx(Psnr()(sample.image, sample.target))
    assert first[1]["psnr"] != pytest.approx(first[0]["psnr"], abs=0.01)
    assert first[0]["residual"] > first[1]["residual"] > 0
    assert 0.5 < first[0]["contraction"] < 1.2


def test_the_summary_compares_equal_pictures(rows, tmp_path: Path):
    frame = report.convergence_frame(rows[0])
    longer = report.mean_curves(frame)
    assert (longer["n"] == 2).all()
    table = report.summarise_convergence(frame)
    assert list(table["noise"]) == [0.0, 3.0]
    assert (table["best gain (dB)"] >= 0).all()  # step 0 gains nothing
    files = report.write_convergence_report(frame, tmp_path)
    assert {path.name for path in files} == {
        f"convergence.{kind}" for kind in ("csv", "md", "png", "pdf")
    }
    assert all(path.stat().st_size > 100 for path in files)
    text = (tmp_path / "convergence.md").read_text()
    assert "contraction factor" in text and "input on simulated:size=64: is no iteration" in text


def test_a_method_that_stops_early_keeps_its_last_picture():
    base = {"dataset": "d", "noise": 0.0, "method": "m", "residual": 1.0, "status": "ok"}
    frame = report.convergence_frame(
        [
            *({**base, "sample": "a", "step": step, "psnr": 20.0 + step} for step in range(3)),
            *({**base, "sample": "b", "step": step, "psnr": 30.0} for step in range(2)),
        ]
    )
    np.testing.assert_allclose(report.mean_curves(frame)["psnr"], [25, 25.5, 26])


def test_a_scene_counts_once_with_the_mean_of_its_pictures():
    base = {"dataset": "d", "noise": 0.0, "method": "m", "status": "ok", "scene": "s"}
    values = {"a": (20.0, 26.0), "b": (30.0, 31.0), "c": (40.0, 41.0)}
    frame = report.convergence_frame(
        {**base, "sample": name, "step": step, "psnr": psnr, "residual": psnr / 10}
        | ({"scene": None} if name == "c" else {})
        for name, psnrs in values.items()
        for step, psnr in enumerate(psnrs)
    )
    curves = report.mean_curves(frame)
    np.testing.assert_allclose(curves["psnr"], [(25 + 40) / 2, (28.5 + 41) / 2])
    np.testing.assert_allclose(curves["residual"], [3.25, 3.475])
    assert curves["n"].tolist() == [2, 2], "scenes"


def test_nothing_to_show_is_said(tmp_path: Path):
    frame = report.convergence_frame(
        [
            {
                "dataset": "d",
                "sample": "a",
                "noise": 0.0,
                "method": "m",
                "status": "skipped",
                "reason": "is no iteration",
            }
        ]
    )
    report.write_convergence_report(frame, tmp_path)
    assert "Nothing to show" in (tmp_path / "convergence.md").read_text()
    assert not (tmp_path / "convergence.png").exists()
    assert report.is_convergence_incomplete(frame)


def test_a_picture_that_a_method_failed_on_is_in_no_mean(tmp_path: Path):
    base = {"dataset": "d", "noise": 0.0, "step": 0, "residual": 0.0, "status": "ok"}
    rows = [
        {**base, "sample": name, "method": "m", "psnr": psnr}
        for name, psnr in (("a", 20.0), ("b", 30.0))
    ]
    rows.append({**base, "sample": "a", "method": "other", "psnr": 10.0})
    failure = {
        "dataset": "d",
        "noise": 0.0,
        "sample": "b",
        "method": "other",
        "status": "failed",
        "reason": "it broke",
    }
    frame = report.convergence_frame([*rows, failure])
    np.testing.assert_array_equal(report.mean_curves(frame)["psnr"], [20, 10])
    assert report.is_convergence_incomplete(frame) and not report.is_convergence_incomplete(
        report.convergence_frame(rows)
    )
    assert any("1 pictures" in line for line in report.list_refusals(frame))
    report.write_convergence_report(
        frame, tmp_path
    )  # a residual of 0 finds its place in the figure
