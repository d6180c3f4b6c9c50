"""A person's own pictures, defocused with a depth map of their own or with a made-up scene."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark import console, imageio
from benchmark.api import DataError, Map, Picture, UsageError
from benchmark.cli import own_pictures
from benchmark.cli.own_pictures import KernelDefocus, LensDefocus
from benchmark.optics import depth_of_field, kernel_files, light, scenes
from benchmark.optics.camera import CAMERAS, read_scene_light, take_reference
from benchmark.optics.lens import Lens
from benchmark.optics.psf import disk_kernel
from benchmark.registry import load_plugin
from tests.benchmark.hostile_pictures import UNPRINTABLE_NAMES
from tests.benchmark.picture_corpus import make_profile

HOSTILE = Path(__file__).parents[2] / "plugins" / "hostile.py"
FOCUS = 0.25
MAX_RADIUS = 3.0


def simulate(folder: Path, depth: Path | None, seed: int = 0) -> tuple[Picture, Map]:
    """Return the picture and the blur map that are written."""
    paths = own_pictures.simulate_defocus(
        folder / "sharp.png",
        LensDefocus(Lens(), depth, MAX_RADIUS, FOCUS),
        "none",
        seed,
        folder / "out",
    )
    picture, blur_map = paths
    return imageio.read(picture)[0], np.load(blur_map)


@pytest.fixture
def sharp(tmp_path: Path) -> Picture:
    picture = np.random.default_rng(0).random((24, 30, 3)).astype(np.float32)
    imageio.write(tmp_path / "sharp.png", picture, 8)
    return imageio.read(tmp_path / "sharp.png")[0]


def test_a_depth_map_decides_the_blur(tmp_path: Path, sharp: Picture) -> None:
    disparity = np.full((24, 30), 1.0, np.float32)
    disparity[:, 10:20] = 2.0
    disparity[:, 20:] = 5.0
    np.save(tmp_path / "depth.npy", disparity)
    blurred, blur_map = simulate(tmp_path, tmp_path / "depth.npy")
    radius = scenes.radius_from_depth(disparity, MAX_RADIUS, FOCUS)
    radius = scenes.align_depth_edges(radius, sharp)
    expected = depth_of_field.render_depth_of_field(sharp, radius)
    np.testing.assert_allclose(blur_map, np.abs(radius) / 2)
    np.testing.assert_allclose(blurred, expected, atol=1 / 255)
    middle = blur_map[12, [4, 14, 25]]
    assert middle[0] == MAX_RADIUS / 2 and 0 < middle[1] < middle[0] and middle[2] == 0


def test_without_a_depth_map_the_seed_makes_the_scene(tmp_path: Path, sharp: Picture) -> None:
    maps = []
    for seed in (0, 1):
        blurred, blur_map = simulate(tmp_path, None, seed)
        generator = np.random.Generator(np.random.Philox(seed))
        radius = scenes.invent_radius(24, 30, MAX_RADIUS, generator)
        expected = depth_of_field.render_depth_of_field(sharp, radius)
        np.testing.assert_allclose(blur_map, np.abs(radius) / 2)
        np.testing.assert_allclose(blurred, expected, atol=1 / 255)
        maps.append(blur_map)
    assert not np.array_equal(maps[0], maps[1])


def test_a_camera_takes_the_picture_and_its_target(tmp_path: Path, sharp: Picture) -> None:
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png",
        LensDefocus(Lens("cats-eye"), max_radius=3.0),
        "phone",
        0,
        tmp_path / "out",
    )
    picture, target, blur_map = paths
    assert [path.name for path in (picture, target, blur_map)] == [
        "sharp-cats-eye-phone.png",
        "sharp-target-phone.png",
        "sharp-blur-map.npy",
    ]
    phone = CAMERAS["phone"]
    expected = take_reference(read_scene_light(sharp, phone), phone)
    np.testing.assert_allclose(imageio.read(target)[0], expected, atol=0.51 / 255)
    assert imageio.read(picture)[0].std() < imageio.read(target)[0].std()


def test_a_constant_radius_blurs_by_one_kernel(tmp_path: Path, sharp: Picture) -> None:
    defocus = LensDefocus(Lens(), constant_radius=3.0)
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png", defocus, "none", 0, tmp_path / "out"
    )
    picture, blur_map = paths
    linear = light.to_linear(sharp)
    expected = light.to_srgb(kernel_files.convolve_light(linear, disk_kernel(3.0)))
    np.testing.assert_allclose(imageio.read(picture)[0], expected, atol=0.51 / 255)
    np.testing.assert_array_equal(np.load(blur_map), np.full((24, 30), 1.5, np.float32))


def test_a_kernel_of_the_users_own_blurs_and_gives_its_sigma(
    tmp_path: Path, sharp: Picture
) -> None:
    np.save(tmp_path / "mine.npy", disk_kernel(3.0))
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png", KernelDefocus(tmp_path / "mine.npy"), "none", 0, tmp_path / "out"
    )
    picture, blur_map = paths
    assert picture.name == "sharp-mine.png"
    linear = light.to_linear(sharp)
    expected = light.to_srgb(kernel_files.convolve_light(linear, disk_kernel(3.0)))
    np.testing.assert_allclose(imageio.read(picture)[0], expected, atol=0.51 / 255)
    assert np.ptp(np.load(blur_map)) == 0 and np.load(blur_map)[0, 0] == pytest.approx(1.5, abs=0.1)


def test_unknown_lenses_and_cameras_are_named(tmp_path: Path, sharp: Picture) -> None:
    with pytest.raises(UsageError, match=r"--psf airy: expected one of disk,.*pentax-q"):
        own_pictures.make_lens("airy", 0.0)
    with pytest.raises(UsageError, match=r"--colour-shift 1: .*one radius"):
        own_pictures.make_lens("gkm", 1.0)
    paths = own_pictures.simulate_defocus(
        tmp_path / "sharp.png", LensDefocus(Lens()), "leica", 0, tmp_path / "out"
    )
    with pytest.raises(UsageError, match=r"--camera leica: expected one of none, phone, slr, raw"):
        list(paths)


def test_a_picture_too_small_for_a_mosaic_is_named(tmp_path: Path) -> None:
    imageio.write(tmp_path / "tiny.png", np.zeros((4, 4, 3), np.float32), 8)
    paths = own_pictures.simulate_defocus(
        tmp_path / "tiny.png", LensDefocus(Lens()), "phone", 0, tmp_path / "out"
    )
    with pytest.raises(DataError, match=r"tiny\.png: a mosaic has at least 5 x 5 pixels"):
        list(paths)


def test_a_radius_of_0_leaves_the_picture_as_it_is(tmp_path: Path, sharp: Picture) -> None:
    np.save(tmp_path / "depth.npy", np.linspace(1, 2, 720, dtype=np.float32).reshape(24, 30))
    for depth in (None, tmp_path / "depth.npy"):
        paths = own_pictures.simulate_defocus(
            tmp_path / "sharp.png",
            LensDefocus(Lens(), depth, 0.0, FOCUS),
            "none",
            0,
            tmp_path / "out",
        )
        picture, blur_map = paths
        np.testing.assert_array_equal(imageio.read(picture)[0], sharp)
        assert not np.load(blur_map).any()


@pytest.mark.parametrize(
    ("name", "depth", "suffix"),
    [
        ("a.bmp", np.uint8, ".png"),
        ("a.webp", np.uint8, ".png"),
        ("a.pgm", np.uint8, ".png"),
        ("a.ppm", np.uint16, ".ppm"),
        ("a.jpg", np.uint8, ".jpg"),
        ("a.jpg", np.uint16, ".png"),  # a PNG in truth
    ],
)
def test_formats_that_are_only_read_become_png(
    tmp_path: Path, name: str, depth: type[np.generic], suffix: str
) -> None:
    channels = 1 if name == "a.pgm" else 3
    levels = np.full((20, 24, channels), np.iinfo(depth).max // 2, depth)
    form = ".png" if (name, depth) == ("a.jpg", np.uint16) else Path(name).suffix
    (tmp_path / name).write_bytes(cv2.imencode(form, levels)[1].tobytes())
    ((_, result, _),) = own_pictures.deblur_pictures([tmp_path / name], ["input"], tmp_path, "cpu")
    assert result.name == f"a-input{suffix}"
    assert imageio.read_header(result).bit_depth == 8 * levels.itemsize
    paths = own_pictures.simulate_defocus(
        tmp_path / name, LensDefocus(Lens(), max_radius=1.0), "none", 0, tmp_path / "out"
    )
    assert next(paths).suffix == suffix


def test_colours_that_are_not_srgb_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.fromarray(np.zeros((9, 9, 3), np.uint8))
    for name, profile in (("srgb", "sRGB"), ("other", "swapped")):
        picture.save(tmp_path / f"{name}.png", icc_profile=make_profile(profile))
    images = [tmp_path / "srgb.png", tmp_path / "other.png"]
    list(own_pictures.deblur_pictures(images, ["input"], tmp_path / "out", "cpu"))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "colours" in line]
    assert "other.png: has the colours of ICC profile" in line


@pytest.mark.parametrize("name", UNPRINTABLE_NAMES)
def test_what_is_printed_of_a_name_steers_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: bytes
) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/" + name + b".png"))
    console.print_line(path)
    console.print_note(f"{path}: a note")
    console.print_error(f"{path}: an error")
    output = "".join(capsys.readouterr())
    output.encode("utf-8")
    steering = [sign for sign in output if unicodedata.category(sign) in ("Cc", "Cf", "Cs")]
    assert set(steering) <= {"\n", "\t"}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("leaves", r"its worker process died \(exit status 0\)"),
        ("leaves-3", r"its worker process died \(exit status 3\)"),
        ("crashes", r"its worker process died \(signal 11\)"),
        ("exits", "SystemExit: 5"),
    ],
)
def test_a_method_that_ends_its_process_fails_on_the_picture(
    tmp_path: Path, sharp: Picture, how: str, reason: str
) -> None:
    load_plugin(HOSTILE)
    results = own_pictures.deblur_pictures(
        [tmp_path / "sharp.png"],
        [f"hostile:how={how}"],
        tmp_path / "out",
        "cpu",
        plugins=(HOSTILE,),
    )
    with pytest.raises(DataError, match=rf"hostile:how={how} failed on .*sharp\.png: {reason}"):
        list(results)
    assert not list(tmp_path.glob("out/*"))


def write_random(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(len(path.name)).random((20, 24, 3)).astype(np.float32)
    imageio.write(path, picture, 8)


def test_a_folder_is_restored_by_several_methods_and_what_is_left_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("10.png", "2.png", "more/3.png", ".hidden.png"):
        write_random(tmp_path / "in" / name)
    (tmp_path / "in" / "raw.nef").write_bytes(b"x")
    (tmp_path / "in" / "notes.txt").write_text("x")
    images = own_pictures.list_photographs([tmp_path / "in", tmp_path / "in" / "2.png"])
    assert [path.name for path in images] == ["2.png", "10.png"]
    errors = capsys.readouterr().err
    assert "raw.nef" in errors and "more (1 picture)" in errors and "notes" not in errors
    methods = ["input,unsharp", "unsharp:amount=2"]
    results = list(own_pictures.deblur_pictures(images, methods, tmp_path / "out", "cpu"))
    assert len(results) == 6
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        result.target.name for result in results
    )


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="holds no picture of a format that is read"):
        own_pictures.list_photographs([tmp_path])


def test_where_one_picture_fails_the_others_are_restored(tmp_path: Path) -> None:
    load_plugin(HOSTILE)
    for name in ("a.png", "b.png"):
        write_random(tmp_path / name)
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    methods = ["hostile:how=crashes", "input"]
    results = own_pictures.deblur_pictures(
        images, methods, tmp_path / "out", "cpu", plugins=(HOSTILE,)
    )
    sources = []
    with pytest.raises(DataError, match=r"(?s)2 of 4 pictures were not made:.*a\.png.*b\.png"):
        for result in results:
            sources.append(result.source.name)
    assert sources == ["a.png", "b.png"] and len(list((tmp_path / "out").iterdir())) == 2


def test_grey_transparency_and_exif_are_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "a camera"
    alpha = Image.fromarray(np.arange(480, dtype=np.uint8).reshape(20, 24))
    colours = Image.fromarray(np.full((20, 24, 3), 90, np.uint8))
    colours.convert("L").save(tmp_path / "grey.jpg", exif=exif)
    colours.putalpha(alpha)
    colours.save(tmp_path / "veiled.png")
    images = [tmp_path / "grey.jpg", tmp_path / "veiled.png"]
    results = own_pictures.deblur_pictures(images, ["unsharp"], tmp_path / "out", "cpu")
    grey, veiled = [Image.open(result.target) for result in results]
    with grey, veiled:
        assert grey.mode == "L" and grey.getexif()[271] == "a camera"
        np.testing.assert_array_equal(np.array(veiled)[..., 3], np.array(alpha))
