"""The overview picture shows the right crops, whatever the samples and methods are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import imageio
from benchmark.cells import Cell, Outcome
from benchmark.noise import Noise
from benchmark.reports import overview
from benchmark.run_layout import output_file, output_picture, target_picture
from benchmark.store import Store

HOSTILE = "<b>../写真 'x'"


def picture(level: float, corner: float | None = None) -> np.ndarray:
    made = np.full((300, 400, 3), level, np.float32)
    if corner is not None:
        made[-192:, -192:] = corner
    return made


def keep(
    store: Store, method: str, image: np.ndarray, target: np.ndarray | None, sigma: float = 0.0
) -> None:
    cell = Cell(method, method, None, "{}", "1", None, "d", "d", HOSTILE, "f", "u8", Noise(sigma))
    output = output_file(cell)
    for path, content in ((output_picture(output), image), (target_picture(cell), target)):
        if content is not None:
            (store.folder / path).parent.mkdir(parents=True, exist_ok=True)
            imageio.write(store.folder / path, content, 8)
    store.put(1, cell, Outcome("ok", output=output), {})


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    made = Store(tmp_path / "run", create=True)
    made.start_run({})
    return made


def test_crops_are_taken_where_the_defocus_cost_most_input_first_target_last(
    store: Store, tmp_path: Path
) -> None:
    target = picture(0.2, corner=0.8)
    keep(store, "a-method", picture(0.4), target)
    keep(store, "input", picture(0.2), target)
    keep(store, "input", picture(1.0), target, sigma=5.0)
    made = overview.write_overview(store, tmp_path / "o.png")
    assert made is not None
    sheet = np.asarray(Image.open(made))
    centres = [sheet[4 + 18 + 96, 4 + column * 196 + 96] for column in range(3)]
    np.testing.assert_array_equal(
        np.array(centres)[:, 0], np.rint([0.2 * 255, 0.4 * 255, 0.8 * 255])
    )


def test_without_a_target_the_centre_is_shown(store: Store, tmp_path: Path) -> None:
    keep(store, "input", picture(0.2, corner=0.8), None)
    made = overview.write_overview(store, tmp_path / "o.png")
    assert made is not None
    sheet = np.asarray(Image.open(made))
    assert sheet.shape[1] == 4 + 196, "one column"
    assert sheet[4 + 18 + 10, 4 + 10, 0] == round(0.2 * 255)


def test_a_run_without_pictures_has_no_overview(store: Store, tmp_path: Path) -> None:
    assert overview.write_overview(store, tmp_path / "o.png") is None
    assert not (tmp_path / "o.png").exists()
