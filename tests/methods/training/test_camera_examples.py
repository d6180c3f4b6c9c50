"""Examples behind a camera: what they depend on, what is on them, how often."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from benchmark.api import DataError, Picture
from benchmark.methods.training import camera_examples, pictures, scenes
from benchmark.methods.training import examples as example_module
from benchmark.methods.training.camera_examples import CameraExamples, draw_camera
from benchmark.methods.training.examples import Example, to_unit
from benchmark.methods.training.scenes import STEP, Aperture, Scene, expose_scene
from benchmark.optics.camera import Camera
from benchmark.optics.sensor import COLOUR_MATRICES
from benchmark.optics.tone import TONE_CURVES
from tests.datasets.makers import save, texture

PLAIN = Camera()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures that are neither noise nor smooth."""
    path = tmp_path_factory.mktemp("data") / "sharp"
    for seed in range(6):
        picture = ndimage.zoom(texture(seed, (24, 20)), (4, 4, 1), order=1)
        save(path / f"p{seed}.png", np.clip(picture, 0, 1))
    return path


def equal(one: Example, other: Example) -> bool:
    return np.array_equal(one.blurred, other.blurred) and np.array_equal(one.sharp, other.sharp)


def fix_draws(monkeypatch: pytest.MonkeyPatch, camera: Camera = PLAIN, **shares: float) -> None:
    """Let every example have this camera, and nothing by chance but what `shares` says."""
    monkeypatch.setattr(camera_examples, "draw_camera", lambda random: camera)
    for name in ("_SHARP_SHARE", "_CODE_BLUR_SHARE", "_COLOUR_SHIFT_SHARE", "_WHITE_NOISE_SHARE"):
        monkeypatch.setattr(camera_examples, name, shares.get(name, 0.0))


def test_an_example_is_a_function_of_its_number(folder: Path) -> None:
    examples = CameraExamples(folder, crop=40, seed=3)
    again = pickle.loads(pickle.dumps(examples))
    indices = (7, 2, 30)
    assert all(equal(examples.example(index), again.example(index)) for index in indices)
    assert not equal(examples.example(2), examples.example(7))
    assert not equal(examples.example(2), CameraExamples(folder, crop=40, seed=4).example(2))


@pytest.mark.parametrize("crop", [32, 41])
def test_both_pictures_are_crops_of_the_size_that_is_asked_for(folder: Path, crop: int) -> None:
    examples = CameraExamples(folder, crop=crop, seed=0)
    for index in range(24):
        example = examples.example(index)
        assert example.blurred.shape == example.sharp.shape == (crop, crop, 3)
        assert example.blurred.dtype == example.sharp.dtype == np.float32
        assert 0 <= example.sharp.min() <= example.sharp.max() <= 1
        assert np.isfinite(example.blurred).all()


def test_pictures_come_as_8_bits_but_for_white_noise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_examples, "_WHITE_NOISE_SHARE", 0.0)
    examples = CameraExamples(folder, crop=32, seed=0)
    for index in range(6):
        for picture in (examples.example(index).blurred, examples.example(index).sharp):
            levels = picture * 255
            assert np.allclose(levels, np.rint(levels), atol=1e-4)


def test_in_focus_and_before_a_plain_camera_both_pictures_are_the_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_draws(monkeypatch, _SHARP_SHARE=1.0)
    monkeypatch.setattr(example_module, "_SHRINK_SHARE", 0.0)
    examples = CameraExamples(folder, crop=64, seed=1)
    example = examples.example(0)
    assert np.array_equal(example.blurred, example.sharp)
    sources = [to_unit(pictures.read_upright(path)) for path in examples.sources]
    colours = {tuple(colour) for source in sources for colour in source.reshape(-1, 3)}
    assert {tuple(colour) for colour in example.sharp.reshape(-1, 3)} <= colours


def test_the_target_has_neither_noise_nor_the_loss_of_a_jpeg(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = Camera(iso=3200, jpeg=40, mosaic="bilinear", grain=4.0)
    fix_draws(monkeypatch, loud, _SHARP_SHARE=1.0)
    examples = CameraExamples(folder, crop=64, seed=1)
    target = examples.example(0).sharp
    noisy = examples.example(0).blurred
    fix_draws(monkeypatch, PLAIN, _SHARP_SHARE=1.0)
    assert np.array_equal(target, examples.example(0).sharp)
    assert np.abs(noisy - target).mean() > 2 / 255


def test_picture_and_target_are_registered_under_every_camera(folder: Path) -> None:
    """In focus, no other shift by a pixel fits better, on average over the examples."""
    examples = CameraExamples(folder, crop=48, seed=5)
    errors = np.zeros((3, 3))
    for index in range(40):
        example = examples.example(index)
        inner = example.sharp[1:-1, 1:-1]
        for down, across in np.ndindex(3, 3):
            part = example.blurred[down : down + 46, across : across + 46]
            errors[down, across] += np.square(part - inner).mean()
    assert errors.argmin() == 4


def test_white_noise_has_the_levels_of_the_benchmark(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_draws(monkeypatch, _SHARP_SHARE=1.0, _WHITE_NOISE_SHARE=1.0)
    examples = CameraExamples(folder, crop=64, seed=1)
    noise = [examples.example(index) for index in range(30)]
    sigmas = [255 * float((example.blurred - example.sharp).std()) for example in noise]
    low, high = camera_examples._WHITE_NOISE
    assert low * 0.95 < min(sigmas) < 0.8 and 3 < max(sigmas) < high * 1.05


def test_blur_in_code_values_differs_from_blur_of_light(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_draws(monkeypatch)
    examples = CameraExamples(folder, crop=48, seed=2)
    of_light = examples.example(1)
    fix_draws(monkeypatch, _CODE_BLUR_SHARE=1.0)
    of_codes = examples.example(1)
    assert np.array_equal(of_light.sharp, of_codes.sharp)
    # The mean of two code values is darker than the code value of their mean light.
    assert of_codes.blurred.mean() < of_light.blurred.mean() - 1e-3


def test_longitudinal_colour_is_another_radius_for_each_colour() -> None:
    sharp = np.random.default_rng(0).random((48, 48, 3), np.float32)
    aperture = Aperture("disk")

    def render(radius: float) -> Picture:
        plane = np.full((48, 48), radius, np.float32)
        return expose_scene(sharp, Scene(plane, np.zeros((48, 48), np.uint8)), aperture)

    scene = Scene(np.full((48, 48), -2.0, np.float32), np.zeros((48, 48), np.uint8))
    blurred = camera_examples._blur_light(sharp, scene, aperture, colour_shift=0.5)
    for channel, radius in enumerate((-2.5, -2.0, -1.5)):
        assert np.array_equal(blurred[..., channel], render(radius)[..., channel])


def test_colour_shifts_are_steps_of_the_renderer() -> None:
    random = np.random.default_rng(0)
    shifts = {camera_examples._draw_colour_shift(random) for _ in range(3000)}
    assert {0.0, -1.0, 1.0} <= shifts
    assert all(shift / STEP == round(shift / STEP) for shift in shifts)


def test_every_step_of_a_camera_is_drawn_and_left_out() -> None:
    random = np.random.default_rng(0)
    cameras = [draw_camera(random) for _ in range(400)]
    for field in dataclasses.fields(Camera):
        values = {getattr(camera, field.name) for camera in cameras}
        assert len(values) > 1, field.name
    assert {camera.tone for camera in cameras} == set(TONE_CURVES)
    assert {camera.colour_matrix for camera in cameras} == {None, *COLOUR_MATRICES}
    enlarged = np.mean([camera.scale is not None for camera in cameras])
    assert enlarged == pytest.approx(camera_examples._ENLARGED_SHARE, abs=0.05)


def test_a_share_of_the_examples_has_nothing_to_restore(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_draws(monkeypatch, _SHARP_SHARE=camera_examples._SHARP_SHARE)
    blurred_scene = Scene(np.full((200, 200), 3.0, np.float32), np.zeros((200, 200), np.uint8))
    monkeypatch.setattr(scenes, "invent_scene", lambda size, *_: cut_scene(blurred_scene, size))
    examples = CameraExamples(folder, crop=24, seed=0)
    sharp = [np.array_equal(e.blurred, e.sharp) for e in map(examples.example, range(300))]
    assert np.mean(sharp) == pytest.approx(camera_examples._SHARP_SHARE, abs=0.05)


def cut_scene(scene: Scene, size: int) -> Scene:
    return Scene(scene.radius[:size, :size], scene.surface[:size, :size])


def test_held_out_are_the_pictures_of_the_other_folder(folder: Path, tmp_path: Path) -> None:
    for seed in range(20, 23):
        save(tmp_path / "val" / f"{seed}.png", texture(seed, (80, 80)))
    examples = CameraExamples(folder, crop=32, seed=0, validation=tmp_path / "val")
    assert len(examples.sources) == 6
    assert {path.parent for path in examples.held_out().sources} == {tmp_path / "val"}
    assert examples.card()["pictures"] == f"6 to train on, 3 held out ({tmp_path.name}/val)"
    assert examples.card() != CameraExamples(folder, crop=32, seed=0).card()


def test_a_picture_cannot_be_trained_on_and_validate(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "val" / "copy.png"
    copy.parent.mkdir()
    copy.write_bytes((folder / "p1.png").read_bytes())
    with pytest.raises(DataError, match=r"copy\.png: is trained on too, so it cannot validate"):
        CameraExamples(folder, crop=32, seed=0, validation=copy.parent)
