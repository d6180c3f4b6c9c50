"""What training examples are drawn from: radii, surfaces, apertures, noise, JPEG and cut-outs come
as often as the recipe says.

Shares are of several hundred draws; bounds are at four standard deviations or more.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from benchmark.methods.training import examples as example_module
from benchmark.methods.training import scenes
from benchmark.methods.training.camera_examples import PSFS
from benchmark.methods.training.examples import DEFAULT_FAMILIES, SimulatedExamples
from benchmark.methods.training.scenes import Scene
from tests.datasets.makers import save, texture

LARGEST = 8.0


@pytest.fixture(scope="module")
def invented() -> list[Scene]:
    return [scenes.invent_scene(64, LARGEST, np.random.default_rng(seed)) for seed in range(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "sharp"
    for seed in range(4):
        save(path / f"{seed}.png", texture(seed, (80, 80)))
    return path


def is_uniform(values: list[float], low: float, high: float) -> bool:
    return bool(stats.kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-3)


# Scenes
# --------------------------------------------------------------------------------------------------


def test_few_pixels_have_the_largest_radius(invented: list[Scene]) -> None:
    """A background that is not scaled into its range is cut off there: 36 % of all pixels."""
    largest = np.mean([np.abs(scene.radius) >= LARGEST for scene in invented])
    assert 0.001 < largest < 0.03


def test_backgrounds_fill_the_range_of_the_benchmarks_scenes(invented: list[Scene]) -> None:
    radii = np.concatenate(
        [scene.radius[scene.surface == 0] for scene in invented if scene.surface.any()]
    )
    low, middle, high = np.percentile(radii, [5, 50, 95]) / LARGEST
    assert -0.55 < low < -0.15
    assert 0.1 < middle < 0.45
    assert 0.7 < high < 1


def test_all_of_a_large_scene_covers_its_range() -> None:
    """Of the size of the picture, so that nothing of the background is outside; two in three."""
    full = 0
    for seed in range(90):
        scene = scenes.invent_scene(900, LARGEST, np.random.default_rng(seed))
        background = scene.radius[scene.surface == 0]
        if np.ptp(background) > 0.7 * 1.3 * LARGEST:
            full += 1
    assert 0.4 < full / 90 < 0.8


def test_one_scene_in_twenty_is_in_focus_and_one_in_ten_is_a_plane(invented: list[Scene]) -> None:
    planes = [scene.radius for scene in invented if not scene.surface.any()]
    planes = [radius for radius in planes if np.ptp(radius) == 0]
    in_focus = [radius for radius in planes if not radius.any()]
    assert 0.02 < len(in_focus) / 600 < 0.09
    assert 0.09 < len(planes) / 600 < 0.21
    depths = [float(radius[0, 0]) for radius in planes if radius.any()]
    assert is_uniform(depths, -LARGEST, LARGEST)


def test_slanted_surfaces_are_before_the_background_and_the_last_one_is_in_focus(
    invented: list[Scene],
) -> None:
    nearer: list[bool] = []
    for scene in invented:
        assert not scene.radius[scene.surface == 5].any()  # no scene has more than five
        foreground = scene.radius[(scene.surface > 0) & (scene.radius != 0)]
        if len(foreground):
            nearer.append(bool(np.median(foreground) < 0))
    assert sum((scene.surface == 5).any() for scene in invented) > 10
    assert np.mean(nearer) > 0.9


# Apertures
# --------------------------------------------------------------------------------------------------


def test_families_come_as_often_as_they_are_named(folder: Path) -> None:
    random = np.random.default_rng(0)
    counts = Counter(scenes.draw_aperture(DEFAULT_FAMILIES, random).family for _ in range(4000))
    for family in scenes.FAMILIES:
        share = DEFAULT_FAMILIES.count(family) / len(DEFAULT_FAMILIES)
        assert counts[family] / 4000 == pytest.approx(share, abs=0.03)
    assert set(DEFAULT_FAMILIES) == set(scenes.FAMILIES) - {"lens"}
    assert set(PSFS) == set(scenes.FAMILIES)
    assert SimulatedExamples(folder, crop=20, seed=0).card()["PSFs"] == ", ".join(DEFAULT_FAMILIES)


@pytest.mark.parametrize(
    ("family", "name", "count"),
    [
        ("polygon", "blades", 5),
        ("generalised", "shape", 4),
        ("cats-eye", "cut", 3),
        ("cats-eye", "angle", 12),
    ],
)
def test_parameters_of_apertures_are_equally_likely(
    family: scenes.Family, name: str, count: int
) -> None:
    random = np.random.default_rng(1)
    values = [getattr(scenes.draw_aperture((family,), random), name) for _ in range(1200)]
    counts = Counter(values)
    assert len(counts) == count
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


# Noise, JPEG and cut-outs
# --------------------------------------------------------------------------------------------------


def noise_level(clean: SimulatedExamples, noisy: SimulatedExamples, index: int) -> float:
    difference = noisy.example(index).blurred - clean.example(index).blurred
    return float(np.std(difference) * 255)


def test_noise_levels_are_uniform_over_their_range(folder: Path) -> None:
    clean = SimulatedExamples(folder, crop=32, seed=0)
    noisy = SimulatedExamples(folder, crop=32, seed=0, noise=(1.0, 5.0))
    assert is_uniform([noise_level(clean, noisy, index) for index in range(150)], 1.0, 5.0)


def test_jpeg_qualities_are_uniform_over_their_range(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qualities: list[int] = []
    imencode = cv2.imencode

    def record(ending: str, picture: NDArray[np.uint8], options: list[int]) -> object:
        qualities.append(options[1])
        return imencode(ending, picture, options)

    monkeypatch.setattr(cv2, "imencode", record)
    examples = SimulatedExamples(folder, crop=16, seed=0, jpeg=1.0, max_radius=0.5)
    for index in range(400):
        examples.example(index)
    assert (min(qualities), max(qualities)) == (70, 98)
    assert stats.kstest(qualities, stats.randint(70, 99).cdf).pvalue > 1e-3


def test_half_of_the_cutouts_are_shrunk_by_the_stated_factors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    resize = cv2.resize

    def record(part: NDArray[np.uint8], size: tuple[int, int], **options: int) -> object:
        sizes.append(len(part))
        return resize(part, size, **options)

    monkeypatch.setattr(cv2, "resize", record)
    random = np.random.default_rng(0)
    picture = np.zeros((400, 400, 3), np.uint8)
    for _ in range(600):
        assert example_module.cut_out(picture, 100, random).shape == (100, 100, 3)
    assert 0.42 < len(sizes) / 600 < 0.58
    assert is_uniform([100 / size for size in sizes], 0.5, 0.85)


def test_cutouts_come_from_everywhere_in_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example_module, "_SHRINK_SHARE", 0.0)
    picture = np.zeros((120, 220, 3), np.uint8)
    picture[..., 0] = np.arange(120)[:, None]
    picture[..., 1] = np.arange(220)
    random = np.random.default_rng(0)
    parts = [example_module.cut_out(picture, 20, random) for _ in range(500)]
    assert is_uniform([float(part[..., 0].min()) for part in parts], 0, 101)
    assert is_uniform([float(part[..., 1].min()) for part in parts], 0, 201)
