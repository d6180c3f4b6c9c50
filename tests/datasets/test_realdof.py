"""RealDOF in every layout."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.api import DataError
from benchmark.datasets.realdof import RealDof
from tests.datasets import makers


@pytest.mark.parametrize("layout", makers.REALDOF_LAYOUTS)
def test_50_pairs_in_every_layout(tmp_path: Path, layout: str) -> None:
    data = RealDof(makers.realdof(tmp_path, layout, size=(12, 8)))
    assert list(data.ids()) == [f"{number:02d}" for number in range(1, 51)]
    assert "50 of 50" in data.card.notes
    sample = data.load("07")
    np.testing.assert_allclose(sample.target, makers.texture(7, (12, 8)), atol=0.51 / 255)
    np.testing.assert_allclose(
        sample.image, makers.blurred(makers.texture(7, (12, 8))), atol=0.51 / 255
    )


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_the_file_decides_the_bit_depth(tmp_path: Path, bit_depth: int) -> None:
    data = RealDof(makers.realdof(tmp_path, count=1, bit_depth=bit_depth))
    assert data.load("01").bit_depth == bit_depth


def test_a_missing_target_folder_shows_the_tree(tmp_path: Path) -> None:
    makers.realdof(tmp_path, count=1)
    (tmp_path / "RealDOF/target").rename(tmp_path / "RealDOF/elsewhere")
    with pytest.raises(DataError, match=r"RealDOF/\{source,target\}"):
        RealDof(tmp_path)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / "RealDOF" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="no pictures found"):
        RealDof(tmp_path)


def test_pairs_by_position_are_told(tmp_path: Path) -> None:
    makers.realdof(tmp_path, count=2)
    assert RealDof(tmp_path).remarks == []
    for number in (1, 2):
        path = tmp_path / f"RealDOF/target/{number:02d}.png"
        path.rename(path.with_name(f"sharp{number + 6}.png"))
    (line,) = RealDof(tmp_path).remarks
    assert "targets are paired by position: 01.png with sharp7.png ... 02.png" in line
    assert "the numbers in the names differ, first in 01.png with sharp7.png" in line
