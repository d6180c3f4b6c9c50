"""Every data set with the methods that ship, through the command line, on small sets in the
published layouts.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark import imageio
from benchmark.registry import METHODS
from tests.datasets import makers

ROOT = Path(__file__).parent.parent


def run(*words: str) -> str:
    """Run in a process of its own, where `all` means what ships and not what other tests have
    registered.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(out: Path, sql: str) -> list[tuple]:
    db = sqlite3.connect(out / "run.sqlite")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


@pytest.mark.slow
@pytest.mark.parametrize("layout", makers.RTF_LAYOUTS)
def test_rtf_in_each_layout_with_many_methods(tmp_path: Path, layout: str) -> None:
    makers.rtf(tmp_path / "data", layout)
    out = tmp_path / "out"
    methods = "all" if layout == makers.RTF_LAYOUTS[0] else "input,unsharp,zhuo-sim,jnb,gkmnet"
    arguments = ["--dataset", "rtf", "--data", str(tmp_path / "data"), "--out", str(out)]
    text = run("--methods", methods, *arguments)
    per_method = rows(
        out, "SELECT method, COUNT(DISTINCT sample) FROM cells WHERE status = 'ok' GROUP BY method"
    )
    assert len(per_method) >= 5 and {count for _, count in per_method} == {22}
    total = 22 * len(per_method)
    assert f"{total} ok, 0 failed" in text
    scored = rows(
        out, "SELECT COUNT(value), TOTAL(reason = 'no target') FROM scores WHERE measure = 'psnr'"
    )
    assert scored == ([(0, total)] if layout == "flat" else [(total, 0)])
    assert len(list((out / "pictures").rglob("*.png"))) == (
        total if layout == "flat" else total + 22
    )


def test_dual_pixel_sets_reach_methods_as_views_in_sixteen_bits(tmp_path: Path, toys: Path) -> None:
    makers.dpd(tmp_path / "data", names=makers.dpd_names("test")[:2], views=True)
    out = tmp_path / "out"
    run(
        "--methods",
        "input,wants-views",
        "--dataset",
        "dpd:partial=true",
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(out),
        "--plugin",
        str(toys),
        "--track",
        "u16",
        "--protocol",
        "quick",
    )
    assert rows(out, "SELECT DISTINCT status, track FROM cells") == [("ok", "u16")]
    outputs = [imageio.read_output(path) for path in (out / "outputs" / "input").rglob("*.tif")]
    levels = np.concatenate([output.ravel() for output in outputs]).astype(np.float64) * 65535
    np.testing.assert_allclose(levels, np.rint(levels), atol=0.01)
    assert (np.rint(levels) % 257 != 0).any(), "16-bit values, not 8-bit ones scaled up"


@pytest.mark.slow
def test_a_noise_sweep_with_every_method_and_oracle_on_the_embedded_pictures(
    tmp_path: Path,
) -> None:
    text = run(
        "--methods",
        "all,oracle",
        "--dataset",
        "simulated:size=64,max_radius=3",
        "--noise",
        "0,3",
        "--limit",
        "2",
        "--out",
        str(tmp_path),
        "--no-save-images",
    )
    assert " 0 failed, 0 timeout, " in text
    skipped = rows(
        tmp_path, "SELECT DISTINCT method_name, reason FROM cells WHERE status = 'skipped'"
    )
    assert all("no weights" in reason or "dual-pixel views" in reason for _, reason in skipped)
    networks = {name for name in METHODS.names() if METHODS.get(name).card.family == "learned"}
    assert {name for name, _ in skipped} <= networks
    assert "unknown data" not in (tmp_path / "report.md").read_text(encoding="utf-8"), (
        "what is skipped has no weights"
    )
    assert len(rows(tmp_path, "SELECT DISTINCT method FROM cells")) >= 7
    low, high = (
        rows(
            tmp_path,
            "SELECT AVG(value) FROM scores JOIN cells ON cell = key WHERE measure='psnr' AND "
            f"sigma={s}",
        )
        for s in (0, 3)
    )
    assert low > high, "noise costs PSNR"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "count", "scored"),
    [
        ("rtf", 2, False),
        ("cuhk_bd", 2, False),
        ("pixel4", 1, True),
        ("simulated:source={root}/kodak24,size=192", 3, True),
        ("simulated:source={root}/middlebury,views=true,size=192", 2, True),
    ],
)
def test_real_pictures(
    tmp_path: Path, data_root: Path, dataset: str, count: int, scored: bool
) -> None:
    text = run(
        "--methods",
        "input,zhuo-sim,fixed-point",
        "--dataset",
        dataset.format(root=data_root),
        "--data",
        str(data_root),
        "--out",
        str(tmp_path),
        "--limit",
        str(count),
    )
    assert f"{3 * count} ok, 0 failed" in text
    found = rows(tmp_path, "SELECT COUNT(value) FROM scores WHERE measure = 'psnr'")
    assert found == [(3 * count if scored else 0,)]
    assert all(
        value > 15
        for (value,) in rows(
            tmp_path, "SELECT value FROM scores WHERE measure='psnr' AND value NOT NULL"
        )
    )


@pytest.mark.slow
def test_pictures_and_a_program_of_others_stand_in_one_table_with_every_method(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    makers.dpd(data, names=makers.dpd_names("test")[:6], views=True)
    sources = sorted((data / "dd_dp_dataset_png/test_c/source").glob("*.png"))
    results = tmp_path / "sharper"
    results.mkdir()
    for source in sources:
        picture, _ = imageio.read(source)
        blurred = cv2.GaussianBlur(picture, (0, 0), 1)
        imageio.write(results / f"{source.stem}_restored.png", 2 * picture - blurred, 16)
    program = tmp_path / "program" / "copy.toml"
    program.parent.mkdir()
    program.with_suffix(".py").write_text("import shutil, sys; shutil.copy(*sys.argv[1:])")
    command = [sys.executable, "copy.py", "{input}", "{output}"]
    program.write_text(f'command = {json.dumps(command)}\nformat = "png16"\n')
    out = tmp_path / "out"
    methods = f"all,pictures:path={results},name=Sharper,program:file={program}"
    arguments = ["--dataset", "dpd:partial=true", "--data", str(data), "--track", "u16"]
    text = run("--methods", methods, *arguments, "--out", str(out))
    assert "Sharper" in text and "copy" in text and "0 failed" in text
    scores = dict(
        rows(
            out,
            "SELECT method, AVG(value) FROM scores JOIN cells ON cells.key = scores.cell "
            "WHERE measure = 'psnr' GROUP BY method",
        )
    )
    assert scores["copy"] == pytest.approx(scores["input"], abs=1e-4)
    assert scores["Sharper"] == pytest.approx(scores["input"], abs=5)
    assert scores["Sharper"] != pytest.approx(scores["input"], abs=1e-2)
    for words in (
        ["compare", "Sharper", "input", str(out)],
        ["report", str(out), "--format", "html", "--data", str(data)],
    ):
        command = [sys.executable, "-m", "benchmark", *words]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    page = "".join(path.read_text() for path in out.rglob("*.html"))
    assert "Sharper" in page and "copy" in page
