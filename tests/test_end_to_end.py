"""Every data set with the methods that ship, through the command line, on small sets in the
published layouts.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio
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
def test_rtf_in_each_layout_with_every_method(tmp_path: Path, layout: str) -> None:
    makers.rtf(tmp_path / "data", layout)
    out = tmp_path / "out"
    text = run(
        "--methods", "all", "--dataset", "rtf", "--data", str(tmp_path / "data"), "--out", str(out)
    )
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
    outputs = [imageio.read_array(path) for path in (out / "outputs" / "input").rglob("*.npy")]
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
    assert {name for name, _ in skipped} <= {
        "gkmnet",
        "dpdnet-s",
        "dpdnet-d",
        "srn",
        "attnet",
        "dmenet",
    }
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
