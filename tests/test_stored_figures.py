"""Figures are stored small, exactly where they have few colours, and never as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import stored_figures


def test_figure_of_few_colours_is_stored_pixel_by_pixel(tmp_path: Path) -> None:
    levels = np.array([[[0, 0, 0], [255, 255, 255]], [[230, 159, 0], [0, 114, 178]]], np.uint8)
    pixels = np.kron(levels, np.ones((9, 7, 1), np.uint8))
    Image.fromarray(pixels).save(tmp_path / "a.png")

    size = stored_figures.store_figure(tmp_path / "a.png", tmp_path / "a.webp", colours=4)

    assert size == (tmp_path / "a.webp").stat().st_size
    np.testing.assert_array_equal(_read(tmp_path / "a.webp"), pixels)


def test_figure_of_many_colours_keeps_close_ones(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    pixels = np.repeat(ramp, 20, axis=0)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    stored_figures.store_figure(tmp_path / "a.png", tmp_path / "a.webp")

    stored = _read(tmp_path / "a.webp")
    assert 32 < len(np.unique(stored.reshape(-1, 3), axis=0)) <= stored_figures.COLOURS
    # half of the colours are exact ones, and the other half stands for the whole ramp
    assert np.abs(stored.astype(int) - pixels).max() <= 256 // (stored_figures.COLOURS // 2)


def test_rare_lines_keep_their_own_colours(tmp_path: Path) -> None:
    pixels = np.full((64, 256, 3), 255, np.uint8)
    pixels[:40, :, :] = np.arange(256, dtype=np.uint8)[None, :, None]
    lines = {50: (0, 114, 178), 54: (0, 158, 115), 58: (213, 94, 0), 62: (230, 159, 0)}
    for row, colour in lines.items():
        pixels[row] = colour
    Image.fromarray(pixels).save(tmp_path / "a.png")

    stored_figures.store_figure(tmp_path / "a.png", tmp_path / "a.webp", colours=20)

    stored = _read(tmp_path / "a.webp")
    assert {row: tuple(stored[row, 0].tolist()) for row in lines} == lines
    assert (stored[45] == 255).all(), "white stays white"


def test_figure_with_loss_is_close_and_smaller(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:96, 0:128]
    planes = [rows * 2, columns * 2, rows + columns]
    pixels = np.stack([128 + 90 * np.sin(plane / 17) for plane in planes], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    exact = stored_figures.store_figure(tmp_path / "a.png", tmp_path / "exact.webp", colours=256)
    size = stored_figures.store_figure(tmp_path / "a.png", tmp_path / "a.webp", quality=80)

    assert size < exact
    assert np.abs(_read(tmp_path / "a.webp").astype(int) - pixels).mean() < 4


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("a.png", [], "name it .webp"),
        ("a.webp", ["--colours", "1"], "choose 2 to 256"),
        ("a.webp", ["--quality", "0"], "choose 1 to 100"),
        ("a.webp", [], "not a picture"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, options: list[str], reason: str
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    arguments = [str(tmp_path / "text.png"), str(tmp_path / target), *options]

    assert stored_figures.main(arguments) == 2

    assert reason in capsys.readouterr().err
    assert not (tmp_path / target).exists()


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
