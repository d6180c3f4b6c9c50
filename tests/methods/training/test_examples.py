"""Examples to learn from: what they depend on, what is on them, what is refused."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.api import DataError, UsageError
from benchmark.methods.training import examples as example_module
from benchmark.methods.training import pictures, scenes
from benchmark.methods.training.examples import (
    DpdCrops,
    Example,
    Examples,
    SimulatedExamples,
    held_out_examples,
)
from benchmark.optics import light, psf
from tests.datasets import makers
from tests.datasets.makers import save, texture

VARIANTS = (
    {},
    {"views": True},
    {"noise": (1.0, 4.0)},
    {"views": True, "noise": (2.0, 2.0), "jpeg": 1.0, "psfs": ("cats-eye", "generalised")},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twelve pictures that are neither noise nor smooth; each has a hue of its own."""
    place = tmp_path_factory.mktemp("data") / "sharp"
    for seed in range(12):
        picture = ndimage.zoom(texture(seed, (24, 20)), (4, 4, 1), order=1)
        save(place / f"p{seed}.png", np.clip(picture, 0, 1))
    return place


@pytest.fixture(scope="module")
def dpd_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dpd")
    for split in ("train", "val"):
        makers.dpd(root, split=split, size=(24, 20), views=True)
    return root


def arrays(example: Example) -> list[np.ndarray]:
    return [example.blurred, example.sharp, *(example.views or ())]


def same(one: Example, other: Example) -> bool:
    pairs = zip(arrays(one), arrays(other), strict=True)
    same_maps = np.array_equal(one.blur_map, other.blur_map)
    return same_maps and all(np.array_equal(a, b) for a, b in pairs)


def in_another_process(examples: Examples, index: int) -> Example:
    cv2.setNumThreads(1)
    return examples.example(index)


def scene_of(monkeypatch: pytest.MonkeyPatch, radius: float) -> None:
    """Let every scene be a plane of that radius."""

    def invent(size: int, most: float, random: np.random.Generator) -> scenes.Scene:
        return scenes.Scene(
            np.full((size, size), radius, np.float32), np.zeros((size, size), np.uint8)
        )

    monkeypatch.setattr(scenes, "invent_scene", invent)


# What an example depends on
# -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", VARIANTS)
def test_examples_are_pictures_of_one_size_on_eight_bits(folder, options):
    examples = SimulatedExamples(folder, crop=24, seed=1, **options)
    for index in range(6):
        example = examples.example(index)
        assert len(arrays(example)) == (4 if options.get("views") else 2)
        for array in arrays(example):
            assert array.shape == (24, 24, 3)
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
        clean = [example.sharp] if "noise" in options else arrays(example)
        for array in clean:
            np.testing.assert_array_equal(
                array, np.rint(array * 255).astype(np.float32) / np.float32(255)
            )
            assert 0 <= array.min() <= array.max() <= 1


@pytest.mark.parametrize("options", VARIANTS)
def test_an_example_depends_on_its_index_not_on_the_order(folder, options):
    made = {
        index: SimulatedExamples(folder, crop=20, seed=3, **options).example(index)
        for index in (5, 0, 17)
    }
    later = SimulatedExamples(folder, crop=20, seed=3, **options)
    for index in (0, 17, 3, 5):
        if index in made:
            assert same(later.example(index), made[index])
    assert not same(made[0], made[5])


def test_an_example_depends_on_the_seed(folder):
    one, other = (SimulatedExamples(folder, crop=20, seed=seed).example(0) for seed in (0, 1))
    assert not same(one, other)


def test_other_processes_make_the_same_examples(folder, dpd_root):
    simulated = SimulatedExamples(folder, crop=20, seed=3, views=True, noise=(0.0, 5.0), jpeg=0.5)
    crops = DpdCrops(dpd_root, crop=16, seed=3)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        tasks = [(examples, index) for examples in (simulated, crops) for index in (7, 1)]
        made = list(pool.map(in_another_process, *zip(*tasks, strict=True)))
    for (examples, index), example in zip(tasks, made, strict=True):
        assert same(example, examples.example(index))


def test_what_is_pickled_for_a_worker_holds_no_pictures(folder):
    examples = SimulatedExamples(folder, crop=20, seed=3)
    examples.example(0)
    assert len(pickle.dumps(examples)) < 5000


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 10), st.integers(0, 100))
def test_every_picture_comes_once_in_a_round(count, round_, seed):
    visited = [
        example_module.picture_of_example(index, count, seed)
        for index in range(round_ * count, (round_ + 1) * count)
    ]
    assert sorted(visited) == list(range(count))


def test_rounds_and_seeds_have_orders_of_their_own():
    orders = [
        [example_module.picture_of_example(index, 30, seed) for index in range(first, first + 30)]
        for seed in (0, 1)
        for first in (0, 30)
    ]
    assert len({tuple(order) for order in orders}) == 4


# What is held out
# --------------------------------------------------------------------------------------------------


def test_training_and_held_out_pictures_are_never_the_same(folder):
    train = SimulatedExamples(folder, crop=20, seed=0)
    held = train.held_out()
    assert not set(train.sources) & set(held.sources)
    assert set(train.sources) | set(held.sources) == set(pictures.list_pictures(folder))
    assert (train.sources, held.sources) == pictures.split_held_out(pictures.list_pictures(folder))


def test_validation_is_fixed_and_of_held_out_pictures(folder, monkeypatch):
    read = []
    remembered = pictures.cached_picture
    monkeypatch.setattr(
        pictures, "cached_picture", lambda path: (read.append(path), remembered(path))[1]
    )
    one, other = (
        held_out_examples(SimulatedExamples(folder, crop=20, seed=seed, noise=(1.0, 2.0)), 4)
        for seed in (5, 6)
    )
    assert len(one) == 4
    assert all(same(a, b) for a, b in zip(one, other, strict=True))
    assert not same(one[0], one[1])
    held = pictures.split_held_out(pictures.list_pictures(folder))[1]
    assert read[:2] in (held, held[::-1])  # different ones, as far as there are so many
    assert set(read) == set(held)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_held_out_pictures_in_which_nothing_can_be_restored_are_named(
    folder: Path, tmp_path: Path, value: float
) -> None:
    save(tmp_path / "blank.png", np.full((96, 80, 3), value, np.float32))
    examples = SimulatedExamples(folder, crop=20, seed=0, validation=tmp_path)
    with pytest.raises(DataError, match=r"blank\.png: held out .* take them out, or name others"):
        held_out_examples(examples, 4)
    save(tmp_path / "photo.png", ndimage.zoom(texture(99, (24, 20)), (4, 4, 1), order=1).clip(0, 1))
    examples = SimulatedExamples(folder, crop=20, seed=0, validation=tmp_path)
    assert len(held_out_examples(examples, 4)) == 4


@pytest.mark.parametrize("options", VARIANTS)
def test_held_out_examples_keep_every_setting(folder, options):
    examples = SimulatedExamples(folder, crop=22, seed=4, max_radius=3.0, **options)
    changed = {"seed"}
    mine, theirs = examples.card(), examples.held_out().card()
    assert {key for key in mine if mine[key] != theirs[key]} == changed


# What is on an example
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", scenes.FAMILIES)
def test_what_is_in_focus_is_the_sharp_picture_to_the_bit(folder, monkeypatch, family):
    scene_of(monkeypatch, 0.0)
    has_halves = family != "lens"
    example = SimulatedExamples(folder, crop=32, seed=0, psfs=(family,), views=has_halves).example(
        1
    )
    for array in arrays(example):
        np.testing.assert_array_equal(array, example.sharp)


@pytest.mark.parametrize("radius", [4.0, -2.5])
def test_a_plane_out_of_focus_is_a_convolution_of_light(tmp_path, monkeypatch, radius):
    """All of a picture is used, so what lies around the crop is its own reflection."""
    scene_of(monkeypatch, radius)
    for seed in range(2):
        save(tmp_path / f"{seed}.png", texture(seed, (40, 40)))
    example = SimulatedExamples(tmp_path, crop=40, seed=0, max_radius=4.0, psfs=("disk",)).example(
        0
    )
    linear = light.to_linear(example.sharp).astype(np.float64)
    kernel = psf.disk_kernel(abs(radius))
    seen = np.stack(
        [ndimage.convolve(linear[..., c], kernel, mode="reflect") for c in range(3)], axis=-1
    )
    np.testing.assert_allclose(
        example.blurred, light.to_srgb(seen.astype(np.float32)), atol=0.51 / 255
    )


@pytest.mark.parametrize("radius", [0.0, 3.0, -4.5])
def test_the_blur_map_of_a_plane_is_half_its_radius(folder, monkeypatch, radius):
    scene_of(monkeypatch, radius)
    example = SimulatedExamples(folder, crop=48, seed=0, noise=(1, 1), jpeg=1.0).example(0)
    assert example.blur_map.shape == (48, 48) and example.blur_map.dtype == np.float32
    assert (example.blur_map == np.float32(abs(radius) / 2)).all()


def test_the_blur_map_lies_on_its_picture_however_that_is_turned_and_cut(folder, monkeypatch):
    """A corner of every crop is out of focus, and what is far from it is sharp to the bit."""
    crop = 64
    corner = 20

    def invent_corner(size, max_radius, random):
        margin = (size - crop) // 2
        radius = np.zeros((size, size), np.float32)
        radius[: margin + corner, : margin + 2 * corner] = 5
        return scenes.Scene(radius, (radius > 0).astype(np.uint8))

    monkeypatch.setattr(scenes, "invent_scene", invent_corner)
    expected = np.zeros((crop, crop))
    expected[:corner, : 2 * corner] = 2.5
    far = np.ones((crop, crop), bool)
    far[: corner + 8, : 2 * corner + 8] = False
    examples = SimulatedExamples(folder, crop=crop, seed=0, psfs=("disk",))
    for index in range(12):  # of twelve pictures, turned and mirrored by chance
        example = examples.example(index)
        difference = np.abs(example.blurred - example.sharp).max(axis=2)
        np.testing.assert_array_equal(example.blur_map, expected)
        assert not difference[far].any() and difference[expected > 0].mean() > 0.01


def test_what_is_added_to_a_picture_leaves_its_blur_map(folder):
    plain = SimulatedExamples(folder, crop=64, seed=0).example(3)
    for options in ({"noise": (3, 3)}, {"views": True}, {"jpeg": 1.0}):
        example = SimulatedExamples(folder, crop=64, seed=0, **options).example(3)
        np.testing.assert_array_equal(example.blur_map, plain.blur_map)
    assert np.ptp(plain.blur_map) > 0


def test_light_from_around_a_crop_falls_into_it(tmp_path, monkeypatch):
    scene_of(monkeypatch, 6.0)
    for seed in range(2):
        picture = np.zeros((200, 200, 3))
        picture[:, :, seed] = np.indices((200, 200)).sum(axis=0) % 16 / 15
        save(tmp_path / f"{seed}.png", picture)
    monkeypatch.setattr(example_module, "_SHRINK_SHARE", 0.0)
    examples = SimulatedExamples(tmp_path, crop=48, seed=0, psfs=("disk",))
    for index in range(4):
        example = examples.example(index)
        linear = light.to_linear(example.sharp).astype(np.float64)
        kernel = psf.disk_kernel(6.0)
        reflected = np.stack(
            [ndimage.convolve(linear[..., c], kernel, mode="reflect") for c in range(3)], axis=-1
        )
        error = np.abs(example.blurred - light.to_srgb(reflected.astype(np.float32)))
        assert error[7:-7, 7:-7].max() < 0.51 / 255
        assert error.max() > 5 / 255  # at the border the picture goes on, and is not reflected


@pytest.mark.parametrize("options", [{}, {"views": True}])
def test_a_grey_wall_stays_a_grey_wall(tmp_path, options):
    for level in (40, 200):
        save(tmp_path / f"{level}.png", np.full((60, 70, 3), level / 255))
    examples = SimulatedExamples(tmp_path, crop=32, seed=0, **options)
    for index in range(8):
        example = examples.example(index)
        for array in arrays(example):
            np.testing.assert_array_equal(array, example.sharp)


def test_most_examples_are_out_of_focus_and_some_are_not_at_all(folder):
    examples = SimulatedExamples(folder, crop=24, seed=0)
    made = [examples.example(index) for index in range(200)]
    changed = np.asarray(
        [(example.blurred != example.sharp).any(axis=2).mean() for example in made]
    )
    assert np.mean(changed > 0.5) > 0.5
    assert 0.02 < np.mean(changed == 0) < 0.2
    assert np.mean((changed > 0) & (changed < 0.9)) > 0.02  # in focus somewhere


def test_the_largest_radius_bounds_the_blur(folder):
    def change(most: float) -> float:
        examples = SimulatedExamples(folder, crop=32, seed=0, max_radius=most, psfs=("disk",))
        made = [examples.example(index) for index in range(20)]
        return float(np.mean([np.abs(example.blurred - example.sharp).mean() for example in made]))

    assert change(0.4) == 0  # a disk that fits into a pixel
    assert 0 < change(2.0) < change(8.0)


def test_the_mean_of_the_views_is_the_picture(folder):
    examples = SimulatedExamples(folder, crop=32, seed=2, views=True)
    differ = 0
    for index in range(8):
        example = examples.example(index)
        left, right = (light.to_linear(view).astype(np.float64) for view in example.views)
        mean = light.to_srgb(((left + right) / 2).astype(np.float32))
        np.testing.assert_allclose(
            example.blurred, mean, atol=1.6 / 255
        )  # all three are rounded to 8 bits
        differ += not np.array_equal(*example.views)
    assert differ > 4


def test_noise_has_its_level_and_leaves_the_rest_alone(folder):
    clean, noisy = (
        SimulatedExamples(folder, crop=64, seed=0, noise=noise) for noise in (None, (3.0, 3.0))
    )
    added = []
    for index in range(12):
        one, other = clean.example(index), noisy.example(index)
        np.testing.assert_array_equal(one.sharp, other.sharp)
        added.append((other.blurred - one.blurred) * 255)
    noise = np.stack(added)
    assert noise.std() == pytest.approx(3, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert abs(np.mean(noise**3) / 27) < 0.05
    assert np.mean(noise[:, :-1] * noise[:, 1:]) == pytest.approx(0, abs=0.1)
    assert len(np.unique(np.rint(noise * 1000))) > 1000  # not rounded


def test_noise_levels_are_drawn_from_the_whole_range(folder):
    clean, noisy = (
        SimulatedExamples(folder, crop=32, seed=0, noise=noise) for noise in (None, (1.0, 5.0))
    )
    levels = [
        float(np.std(noisy.example(i).blurred - clean.example(i).blurred) * 255) for i in range(40)
    ]
    assert 0.9 < min(levels) < 1.6
    assert 4.4 < max(levels) < 5.2


def test_noise_of_the_views_is_independent_and_averages_to_that_of_the_picture(folder):
    options = {"crop": 48, "seed": 0, "views": True}
    clean, noisy = (
        SimulatedExamples(folder, noise=noise, **options) for noise in (None, (4.0, 4.0))
    )
    fields = []
    for index in range(8):
        pairs = zip(arrays(noisy.example(index)), arrays(clean.example(index)), strict=True)
        fields.append([(a - b) * 255 for a, b in pairs])
    picture, sharp, left, right = np.swapaxes(np.asarray(fields), 0, 1)
    assert not sharp.any()
    np.testing.assert_allclose(picture, (left + right) / 2, atol=1e-3)
    assert picture.std() == pytest.approx(4, rel=0.01)
    for view in (left, right):
        assert view.std() == pytest.approx(4 * np.sqrt(2), rel=0.01)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_jpeg_changes_as_many_examples_as_it_should(folder, monkeypatch):
    scene_of(monkeypatch, 0.0)

    def changed(probability: float) -> float:
        examples = SimulatedExamples(folder, crop=32, seed=0, jpeg=probability)
        made = [examples.example(index) for index in range(60)]
        return float(
            np.mean([not np.array_equal(example.blurred, example.sharp) for example in made])
        )

    assert changed(0.0) == 0
    assert 0.3 < changed(0.5) < 0.7
    assert changed(1.0) == 1


def test_jpeg_keeps_the_picture_nearly(folder, monkeypatch):
    scene_of(monkeypatch, 3.0)
    plain, packed = (
        SimulatedExamples(folder, crop=64, seed=0, jpeg=jpeg).example(2).blurred
        for jpeg in (0.0, 1.0)
    )
    assert 0 < np.abs(plain - packed).mean() < 6 / 255
    means = packed.mean(axis=(0, 1)) - plain.mean(axis=(0, 1))
    assert np.abs(means).max() < 1.5 / 255  # colours are in their order


# Cut-outs
# --------------------------------------------------------------------------------------------------


def test_cutouts_are_turned_in_all_ways(monkeypatch):
    monkeypatch.setattr(example_module, "_SHRINK_SHARE", 0.0)
    picture = (texture(0, (20, 20)) * 255).astype(np.uint8)
    random = np.random.default_rng(0)
    seen = {example_module.cut_out(picture, 20, random).tobytes() for _ in range(100)}
    ways = {
        np.rot90(way, quarter).tobytes()
        for way in (picture, picture.swapaxes(0, 1))
        for quarter in range(4)
    }
    assert seen == ways


@settings(max_examples=60)
@given(st.integers(16, 70), st.integers(16, 70), st.integers(16, 40), st.integers(0, 10**6))
def test_cutouts_have_their_size_and_only_colours_of_the_picture(height, width, size, seed):
    picture = np.random.default_rng(seed).integers(30, 200, (height, width, 3), np.uint8)
    part = example_module.cut_out(picture, size, np.random.default_rng(seed))
    assert part.shape == (size, size, 3)
    assert part.dtype == np.uint8
    assert 30 <= part.min() <= part.max() < 200


def test_shrinking_averages_and_so_does_not_alias(monkeypatch):
    picture = np.where(np.indices((200, 200)).sum(axis=0) % 2, 255, 0).astype(np.uint8)
    chequered = np.repeat(picture[..., None], 3, axis=2)
    monkeypatch.setattr(example_module, "_SHRINK_SHARE", 1.0)
    monkeypatch.setattr(example_module, "_SHRINK_FACTORS", (0.5, 0.5))
    np.testing.assert_allclose(
        example_module.cut_out(chequered, 60, np.random.default_rng(0)), 127.5, atol=0.6
    )


# Cards and refusals
# --------------------------------------------------------------------------------------------------


def test_the_card_names_the_folder_and_not_its_place(folder):
    examples = SimulatedExamples(
        folder, crop=20, seed=7, noise=(0.0, 5.0), psfs=("disk", "gaussian")
    )
    card = examples.card()
    assert card["folder"] == "sharp"
    assert examples.trained_on == ("sharp",)
    assert "sharp" in examples.licence
    assert not any(str(folder.parent) in str(value) for value in card.values())
    assert all(isinstance(value, str | int | float | bool) for value in card.values())
    assert card["pictures"] == "10 to train on, 2 held out (the first tenth in order of SHA-256)"
    assert card["PSFs"] == "disk, gaussian"
    assert card["noise"] == "sigma 0 to 5"


def test_a_folder_that_is_called_after_a_part_is_named_with_the_set(tmp_path):
    for seed in range(2):
        save(tmp_path / "BSDS500" / "train" / f"{seed}.png", texture(seed))
    assert SimulatedExamples(tmp_path / "BSDS500" / "train", crop=20, seed=0).trained_on == (
        "BSDS500/train",
    )


def test_the_card_covers_every_setting(folder):
    """Two trainings with equal cards saw the same examples."""
    base = {"crop": 20, "seed": 7}
    changes = [
        {"crop": 24},
        {"seed": 8},
        {"max_radius": 5.0},
        {"noise": (0.0, 1.0)},
        {"jpeg": 0.5},
        {"views": True},
        {"psfs": ("disk",)},
    ]
    cards = [SimulatedExamples(folder, **{**base, **change}).card() for change in ({}, *changes)]
    assert len({tuple(card.items()) for card in cards}) == len(cards)
    assert {field.name for field in dataclasses.fields(example_module.SimulationSettings)} == {
        key for c in changes for key in c
    } - {"crop", "seed"}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"crop": 8}, "crop=8"),
        ({"max_radius": 0.0}, "max_radius=0"),
        ({"max_radius": float("nan")}, "max_radius=nan"),
        ({"noise": (3.0, 1.0)}, "noise="),
        ({"noise": (-1.0, 1.0)}, "noise="),
        ({"noise": (0.0, float("inf"))}, "noise="),
        ({"jpeg": 1.5}, "jpeg=1.5"),
        ({"psfs": ()}, "name one or more of disk"),
        ({"psfs": ("disk", "star")}, "name one or more of disk"),
        ({"psfs": ("star", "disk")}, "name one or more of disk"),
        ({"psfs": ("disk", "lens"), "views": True}, "lens has no half apertures"),
    ],
)
def test_settings_out_of_range_are_refused(folder, option, says):
    with pytest.raises(UsageError, match=says):
        SimulatedExamples(folder, **{"crop": 20, "seed": 0, **option})


def test_a_picture_smaller_than_a_crop_is_named(folder):
    with pytest.raises(
        DataError, match=r"p\d+\.png: is 80 px .* smaller than a crop of 90; take it out"
    ):
        SimulatedExamples(folder, crop=90, seed=0)


@pytest.mark.parametrize("small", ["a.png", "b.png"])
def test_every_picture_must_be_as_large_as_a_crop(tmp_path, small):
    for seed, name in enumerate(("a.png", "b.png")):
        size = (30, 40) if name == small else (60, 70)
        save(tmp_path / name, texture(seed, size))
    for make in (
        lambda: SimulatedExamples(tmp_path, crop=48, seed=0),
        lambda: SimulatedExamples(tmp_path, crop=20, seed=0).with_crop(48),
    ):
        with pytest.raises(DataError, match=rf"{small}: is 30 px .* smaller than a crop of 48"):
            make()


def test_a_damaged_picture_is_named(tmp_path):
    for seed in range(3):
        save(tmp_path / f"{seed}.png", texture(seed))
    good = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1\.png"):
        SimulatedExamples(tmp_path, crop=20, seed=0)
    (tmp_path / "1.png").write_bytes(good[:-20])  # the header is sound
    with pytest.raises(DataError, match=r"1\.png"):
        for examples in (
            SimulatedExamples(tmp_path, crop=20, seed=0),
            SimulatedExamples(tmp_path, crop=20, seed=0, held_out=True),
        ):
            for index in range(3):
                examples.example(index)


# DPD
# --------------------------------------------------------------------------------------------------


def test_dpd_crops_are_cut_from_all_files_at_one_place(dpd_root):
    example = DpdCrops(dpd_root, crop=20, seed=0).example(
        3
    )  # as high as the pictures, so only columns are drawn
    names = makers.dpd_names("train")
    candidates = [texture(seed, (24, 20)) for seed in range(len(names))]
    places = [
        (seed, left)
        for seed, sharp in enumerate(candidates)
        for left in range(5)
        if np.abs(sharp[:, left : left + 20] - example.sharp).max() < 1e-4
    ]
    assert len(places) == 1
    seed, left = places[0]
    for sigma, array in zip((1.2, 1.0, 1.5), (example.blurred, *example.views), strict=True):
        whole = np.rint(makers.blurred(candidates[seed], sigma) * 65535) / 65535
        np.testing.assert_array_equal(array, whole[:, left : left + 20].astype(np.float32))


def test_dpd_crops_move_and_depend_on_the_index_alone(dpd_root):
    examples = DpdCrops(dpd_root, crop=16, seed=0)
    first = [examples.example(index) for index in (0, 350, 1)]
    again = [DpdCrops(dpd_root, crop=16, seed=0).example(index) for index in (1, 350, 0)]
    assert all(same(a, b) for a, b in zip(first, again[::-1], strict=True))
    assert not same(first[0], DpdCrops(dpd_root, crop=16, seed=1).example(0))


def test_dpd_is_validated_on_its_own_validation_split(dpd_root):
    examples = DpdCrops(dpd_root, crop=20, seed=9)
    held_out = examples.held_out()
    assert (examples.trained_on, held_out.trained_on) == (("DPD train",), ("DPD val",))
    assert (examples.card()["pictures"], held_out.card()["pictures"]) == (350, 74)
    assert examples.card()["fingerprint"] != held_out.card()["fingerprint"]
    assert all(
        same(a, b)
        for a, b in zip(held_out_examples(examples, 2), held_out_examples(held_out, 2), strict=True)
    )


def test_dpd_gets_noise_that_the_mean_of_its_views_explains(dpd_root):
    clean, noisy = (
        DpdCrops(dpd_root, crop=16, seed=0),
        DpdCrops(dpd_root, crop=16, seed=0, noise=(4, 4)),
    )
    assert (clean.card()["noise"], noisy.card()["noise"]) == ("none", "sigma 4 to 4")
    added = []
    for index in range(40):
        a, b = clean.example(index), noisy.example(index)
        np.testing.assert_array_equal(a.sharp, b.sharp)
        fields = [
            after - before
            for before, after in zip((a.blurred, *a.views), (b.blurred, *b.views), strict=True)
        ]
        np.testing.assert_allclose(fields[0], (fields[1] + fields[2]) / 2, atol=1e-6)
        added.append(fields)
    spread = 255 * np.std(np.array(added), axis=(0, 2, 3, 4))
    assert spread == pytest.approx([4, 4 * 2**0.5, 4 * 2**0.5], rel=0.03)
    assert noisy.held_out().card()["noise"] == "sigma 4 to 4"
    with pytest.raises(UsageError, match="least <= most"):
        DpdCrops(dpd_root, crop=16, seed=0, noise=(3, 1))


def test_blur_maps_of_dpd_are_not_known(dpd_root):
    assert DpdCrops(dpd_root, crop=16, seed=0).example(0).blur_map is None


def test_dpd_says_what_is_missing(tmp_path):
    with pytest.raises(DataError, match="no train pictures"):
        DpdCrops(tmp_path, crop=20, seed=0)


def test_dpd_refuses_crops_that_do_not_fit(dpd_root):
    with pytest.raises(UsageError, match="crop=4"):
        DpdCrops(dpd_root, crop=4, seed=0)
    with pytest.raises(DataError, match="is 24x20 px, smaller than a crop of 32"):
        DpdCrops(dpd_root, crop=32, seed=0).example(0)


def test_the_division_of_a_folder_stays_when_pictures_are_added(folder, tmp_path):
    copies = tmp_path / "sharp"
    shutil.copytree(folder, copies)
    examples = SimulatedExamples(copies, crop=20, seed=0)
    known = {*examples.sources, *examples.held_out().sources}
    for number in range(30):
        save(copies / f"new{number}.png", texture(100 + number))
    later = examples.with_crop(24)
    assert later.example(0).sharp.shape == (24, 24, 3)
    assert (later.sources, later.held_out().sources) == (
        examples.sources,
        examples.held_out().sources,
    )
    assert known == {*later.sources, *later.held_out().sources}
    assert later.card() == examples.card() | {"crop": 24}
    with pytest.raises(DataError, match="smaller than a crop of 900"):
        examples.with_crop(900)


def test_another_crop_is_as_if_asked_for_at_once(folder, dpd_root):
    pairs = [
        (
            SimulatedExamples(folder, crop=20, seed=3, noise=(0.0, 5.0)).with_crop(24),
            SimulatedExamples(folder, crop=24, seed=3, noise=(0.0, 5.0)),
        ),
        (DpdCrops(dpd_root, crop=20, seed=3).with_crop(16), DpdCrops(dpd_root, crop=16, seed=3)),
    ]
    for one, other in pairs:
        assert same(one.example(7), other.example(7)) and one.card() == other.card()
        assert same(one.held_out().example(1), other.held_out().example(1))


def test_views_of_dpd_are_kept_for_networks_that_take_them_only(dpd_root):
    plain, both = (
        DpdCrops(dpd_root, crop=16, seed=0, views=views).example(5) for views in (False, True)
    )
    assert plain.views is None and both.views is not None
    assert (plain.blurred == both.blurred).all() and (plain.sharp == both.sharp).all()


def test_processes_share_the_memory_for_pictures():
    kept = pictures.ArrayCache(100)
    kept.limit(50)
    first = kept.get("a", lambda: (np.zeros(40, np.uint8),))
    assert kept.get("a", lambda: (np.ones(40, np.uint8),)) is first
    second = kept.get("b", lambda: (np.zeros(20, np.uint8),))
    assert kept.get("b", lambda: (np.zeros(20, np.uint8),)) is not second
