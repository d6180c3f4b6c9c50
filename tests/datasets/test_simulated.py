"""The simulated data set: bundled and found sources, truth of its maps, determinism, fingerprints,
errors.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmark import imageio
from benchmark.api import DataError, Sample, UsageError
from benchmark.conformance import check_dataset
from benchmark.datasets.bundled import bundled_photographs
from benchmark.datasets.simulated import Simulated
from benchmark.optics import gkm, light
from benchmark.optics import psf as kernels
from benchmark.registry import DATASETS, create

NOWHERE = Path("there is no data root")
FIVE = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")


def write(path: Path, size: tuple[int, int] = (48, 56), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(
        0, 256, (*(side // 4 for side in size), 3), np.uint8
    )
    cv2.imwrite(str(path), cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))
    return path


def write_depth(path: Path, values: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a loose picture and a Middlebury scene: a near square before a far ground, both
    with some slope.
    """
    write(tmp_path / "loose.png", seed=1)
    write(tmp_path / "Scene" / "view1.png", seed=2)
    depth = np.repeat(np.linspace(40, 60, 56).astype(np.uint8)[None], 48, axis=0)
    depth[14:34, 20:40] += 100
    write_depth(tmp_path / "Scene" / "disp1.png", depth)
    return tmp_path


def load(folder: Path, name: str = "loose", **options: object) -> Sample:
    return Simulated(NOWHERE, source=folder, **options).load(name)  # type: ignore[arg-type]


def digest(sample: Sample) -> str:
    arrays = [sample.image, sample.target, sample.blur_map, *(sample.views or ())]
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    ).hexdigest()


# Sources
# --------------------------------------------------------------------------------------------------


def test_default_pictures_need_no_data():
    assert Simulated(NOWHERE).load("peaks-2").image.shape == (256, 256, 3)
    data = Simulated(NOWHERE, size=64)
    assert len(data.ids()) == 24 and data.ids()[:5] == FIVE
    samples = [data.load(name) for name in data.ids()]
    for sample in samples:
        assert sample.image.shape == sample.target.shape == (64, 64, 3)
        assert sample.meta["map"] == ("measured" if sample.id == "motorcycle_left" else "invented")
        assert np.abs(sample.image - sample.target).mean() > 0.001
    assert len({sample.target.tobytes() for sample in samples}) == 24


def test_pictures_of_one_photograph_show_one_scene():
    data = Simulated(NOWHERE, size=32)
    scenes = {name: data.load(name).scene for name in data.ids()}
    assert len(set(scenes.values())) == 17
    assert [name for name, scene in scenes.items() if scene == "brook"] == ["brook-1", "brook-2"]
    assert all(scenes[name] == name for name in FIVE)


def test_set_five_shows_whole_photographs_of_scikit_image():
    data = Simulated(NOWHERE, set="five")
    assert data.ids() == FIVE
    assert data.load("rocket").image.shape == (427, 640, 3)
    cut = Simulated(NOWHERE, set="five", size=256)
    default = Simulated(NOWHERE)
    for name in FIVE:
        assert cut.fingerprint(name) == default.fingerprint(name) != data.fingerprint(name)


def test_a_set_beside_a_source_is_refused(folder):
    with pytest.raises(UsageError, match=r"set=five is of the pictures.*drop one of the two"):
        Simulated(NOWHERE, source=folder, set="five")
    with pytest.raises(UsageError, match="parameter set"):
        create(DATASETS, "simulated:set=six", root=NOWHERE)


def test_every_bundled_crop_is_named_in_the_notice():
    crops = bundled_photographs("all").keys() - set(FIVE)
    folder = bundled_photographs("all")["flower"].path.parent
    assert {f"{name}.jpg" for name in crops} | {"NOTICE.md"} == {
        path.name for path in folder.iterdir()
    }
    notice = (folder / "NOTICE.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in notice.splitlines() if line.startswith("| `")]
    for fields in (4, 3):  # who made it, under which licence; what was changed
        named = [row[0] for row in rows if len(row) == fields]
        assert sorted(re.findall(r"`(.+?)`", " ".join(named))) == sorted(crops)
    assert all(re.search("CC BY|public domain", row[3]) for row in rows if len(row) == 4)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_200_000


def test_bundled_crops_keep_their_colours_at_full_resolution():
    """All but Matplotlib's, which was cropped as it is; none lost sharpness to quantisation."""
    for name, (path, _) in bundled_photographs("all").items():
        if name in FIVE or name == "hopper":
            continue
        with Image.open(path) as picture:
            assert picture.size == (256, 256)
            assert {(h, v) for _, h, v, _ in picture.layer} == {(1, 1)}, name
            assert np.mean(picture.quantization[0]) < 12, name


def test_it_keeps_the_contract(folder):
    for data in (Simulated(NOWHERE, size=48), Simulated(NOWHERE, source=folder, views=True)):
        for result in check_dataset(data):
            assert result.passes, result


def test_it_is_registered_and_takes_its_parameters_as_text(folder):
    text = f"simulated:source={folder},psf=polygon,max_radius=3,seed=4,views=true,bits=16,size=40"
    data, resolved = create(DATASETS, text, root=NOWHERE)
    sample = data.load("loose")
    assert (sample.bit_depth, sample.image.shape) == (16, (40, 40, 3))
    assert sample.views is not None
    assert resolved.parameters["bits"] == 16
    for wrong in ("bits=12", "psf=airy", "max_radius=-1", "size=3", "seed=-1", "jpeg=0", "iso=1"):
        with pytest.raises(UsageError, match=f"parameter {wrong[:4]}"):
            create(DATASETS, f"simulated:{wrong}", root=NOWHERE)


def test_finds_pictures_and_stereo_scenes_in_natural_order(folder):
    for name in ("10.jpg", "2.TIF", "a.png", "a.jpg", ".hidden.png", "notes.txt"):
        write(folder / "x.png").rename(folder / name)
    write(folder / "Cones" / "im2.png")
    write_depth(folder / "Cones" / "disp2.png", np.full((48, 56), 9, np.uint8))
    write(folder / "no depth" / "view1.png")
    data = Simulated(NOWHERE, source=folder)
    assert list(data.ids()) == ["2", "10", "a.jpg", "a.png", "Cones", "loose", "Scene"]
    assert [data.load(name).meta["map"] for name in ("2", "Cones", "Scene")] == [
        "invented",
        "measured",
        "measured",
    ]


def test_what_lies_beside_the_pictures_is_told(folder):
    assert Simulated(NOWHERE, source=folder).remarks == []
    write(folder / "more" / "a.png")
    (folder / "raw.dng").write_bytes(b"II*")
    assert Simulated(NOWHERE, source=folder).remarks == [
        f"left out of {folder}, in sub-folders: more (1 picture)",
        f"left out of {folder}, of formats that are not read: raw.dng",
    ]
    assert Simulated(NOWHERE).remarks == [], "what comes with the suite is on the card"


def test_source_may_be_one_stereo_scene(folder):
    data = Simulated(NOWHERE, source=folder / "Scene")
    assert list(data.ids()) == ["view1"]
    assert data.load("view1").meta["map"] == "measured"


def test_source_is_relative_to_the_current_directory_once(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    data = Simulated(NOWHERE, source=Path(folder.name))
    monkeypatch.chdir("/")
    assert data.load("loose").image.shape == (48, 56, 3)


def test_missing_and_empty_folders_show_the_expected_tree(tmp_path):
    for source, why in (
        (tmp_path / "gone", "no such folder"),
        (tmp_path, "holds no sharp picture"),
    ):
        with pytest.raises(DataError, match=rf"(?s){source.name}: {why}.*view1\.png"):
            Simulated(NOWHERE, source=source)


def test_damaged_files_are_named(folder):
    (folder / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        Simulated(NOWHERE, source=folder)
    (folder / "broken.png").unlink()
    (folder / "Scene" / "disp1.png").write_bytes(b"not a map")
    with pytest.raises(DataError, match=r"disp1\.png"):
        load(folder, "Scene")
    write_depth(folder / "Scene" / "disp1.png", np.ones((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"disp1\.png: is 9x9 px, but its picture is 56x48"):
        load(folder, "Scene")


def test_refuses_views_of_a_model_without_halves_and_unknown_ids(folder):
    with pytest.raises(UsageError, match="half"):
        Simulated(NOWHERE, psf="gkm", views=True)
    with pytest.raises(UsageError, match="lose"):
        load(folder, "lose")


# What is rendered
# --------------------------------------------------------------------------------------------------


def test_target_is_the_sharp_picture_as_stored(folder):
    sharp, _ = imageio.read(folder / "loose.png")
    for options in ({}, {"bits": 16}, {"psf": "gkm"}):
        assert (load(folder, **options).target == sharp).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_image_and_views_hold_whole_levels(folder, bits):
    sample = load(folder, bits=bits, views=True)
    assert sample.bit_depth == bits
    for picture in (sample.image, *sample.views):
        levels = picture.astype(np.float64) * (2**bits - 1)
        np.testing.assert_allclose(levels, np.rint(levels), atol=0.02)
        assert picture.min() >= 0
        assert picture.max() <= 1
    if bits == 16:
        assert np.abs(sample.image * 255 - np.rint(sample.image * 255)).max() > 0.1


def test_constant_disparity_is_in_focus(folder):
    write_depth(folder / "Scene" / "disp1.png", np.full((48, 56), 9, np.uint8))
    sample = load(folder, "Scene")
    assert (sample.blur_map == 0).all()
    assert (sample.image == sample.target).all()


@pytest.mark.parametrize("psf", ["disk", "gaussian", "polygon", "gkm"])
def test_the_blur_map_is_the_true_blur(folder, psf):
    """On two planes, one in focus, the other is the linear picture convolved with the kernel that
    its map names.
    """
    depth = np.full((48, 56), 20, np.uint8)
    depth[:, 28:] = 60
    write_depth(folder / "Scene" / "disp1.png", depth)
    picture = cv2.imread(str(folder / "Scene" / "view1.png")) // 4
    picture[:, 28:] += 150  # so that colour tells the two sides apart
    cv2.imwrite(str(folder / "Scene" / "view1.png"), picture)
    sample = load(folder, "Scene", max_radius=3.0, psf=psf, bits=16)
    sides = sample.blur_map[:, :28], sample.blur_map[:, 28:]
    assert all(np.ptp(side) == 0 for side in sides)
    assert sorted(float(side.max()) for side in sides) == [0, 1.5]
    kernel = equivalent(psf, 1.5)
    linear = light.to_linear(sample.target).astype(np.float64)
    blurred = light.to_srgb(
        np.stack([ndimage.convolve(linear[..., c], kernel) for c in range(3)], axis=-1)
    )
    far_from_edge = np.abs(np.arange(56) - 27.5) > len(kernel) // 2 + 2
    expected = np.where(sample.blur_map[..., None] > 0, blurred, sample.target)[:, far_from_edge]
    np.testing.assert_allclose(sample.image[:, far_from_edge], expected, atol=2e-5)


def equivalent(psf: str, sigma: float) -> NDArray[np.float64]:
    if psf != "gkm":
        return kernels.psf_kernel(psf, sigma)  # type: ignore[arg-type]
    bank = gkm.paper_bank()
    beta = gkm.mixing_coefficients(np.full((1, 1), sigma, np.float32), bank)[:, 0, 0]
    return sum(
        share * np.pad(one, 10 - len(one) // 2)
        for share, one in zip(beta, bank.kernels, strict=True)
    )


def test_depth_edges_follow_those_of_the_picture(folder):
    depth = np.full((48, 56), 20, np.uint8)
    depth[:, 27:] = 60  # one pixel off
    write_depth(folder / "Scene" / "disp1.png", depth)
    picture = np.full((48, 56, 3), 40, np.uint8)
    picture[:, 28:] = 200
    cv2.imwrite(str(folder / "Scene" / "view1.png"), picture)
    blur_map = load(folder, "Scene").blur_map
    assert np.ptp(blur_map[:, :28]) == np.ptp(blur_map[:, 28:]) == 0
    assert np.ptp(blur_map) == 4


@pytest.mark.parametrize("name", ["loose", "Scene"])
def test_every_picture_has_its_largest_radius_and_something_in_focus(folder, name):
    blur_map = load(folder, name, max_radius=6.0).blur_map
    assert blur_map.max() == pytest.approx(3, rel=0.05)
    assert (blur_map < 0.25).mean() > 0.005
    assert blur_map.dtype == np.float32


def test_the_map_is_the_same_for_every_psf_view_and_bit_depth(folder):
    first = load(folder).blur_map
    for options in ({"psf": "gkm"}, {"psf": "polygon"}, {"views": True}, {"bits": 16}):
        assert (load(folder, **options).blur_map == first).all()
    np.testing.assert_allclose(load(folder, max_radius=2.0).blur_map * 4, first, rtol=1e-6)


def test_with_views_the_image_is_their_mean_in_linear_light(folder):
    sample = load(folder, views=True, bits=16, max_radius=3.0)
    left, right = (light.to_linear(view) for view in sample.views)
    np.testing.assert_allclose(light.to_srgb((left + right) / 2), sample.image, atol=1e-4)
    assert np.abs(left - right).max() > 0.02
    assert np.abs(sample.image - load(folder, bits=16, max_radius=3.0).image).mean() < 0.005
    assert load(folder).views is None


def test_size_takes_the_middle(folder):
    assert (load(folder, size=40).target == load(folder).target[4:44, 8:48]).all()
    assert load(folder, size=50).target.shape == (48, 50, 3)
    scene = load(folder, "Scene", size=40)
    assert scene.blur_map.shape == (40, 40)
    assert scene.blur_map.max() == pytest.approx(4, rel=0.05)


def test_picture_smaller_than_the_psf(tmp_path):
    write(tmp_path / "tiny.png", (8, 12))
    assert load(tmp_path, "tiny", max_radius=20.0).image.shape == (8, 12, 3)


def test_meta_says_how_it_was_made(folder):
    expected = {"psf": "gaussian", "max_radius": 5.0, "source": "view1.png", "map": "measured"}
    assert dict(load(folder, "Scene", psf="gaussian", max_radius=5.0).meta) == expected


# Cameras
# --------------------------------------------------------------------------------------------------


def test_one_step_leaves_the_target_alone_but_a_curve_s_rounding(folder):
    sharp, _ = imageio.read(folder / "loose.png")
    for options in ({"iso": 800.0}, {"jpeg": 70}, {"grain": 3.0}, {"light": "srgb"}):
        sample = load(folder, **options)
        np.testing.assert_array_equal(sample.target, sharp)
        assert np.abs(sample.image - load(folder).image).mean() > 1e-3
    np.testing.assert_allclose(load(folder, tone="smoothstep").target, sharp, atol=1e-6)


def test_in_focus_a_camera_s_picture_is_its_target_but_for_noise_and_jpeg(folder):
    for options in ({"camera": "phone"}, {"camera": "raw"}, {"tone": "filmic"}, {"light": "srgb"}):
        sample = load(folder, max_radius=0.0, **options)
        assert (sample.blur_map == 0).all()
        assert np.abs(sample.image - sample.target).mean() < 0.04
    scene = load(folder, "Scene", max_radius=0.0)
    assert (scene.blur_map == 0).all() and (scene.image == scene.target).all()


def test_blur_of_code_values_is_a_convolution_of_them(folder):
    write_depth(folder / "Scene" / "disp1.png", np.repeat([[20], [60]], 24, axis=0).astype(np.uint8)
                .repeat(56, axis=1))  # fmt: skip
    sample = load(folder, "Scene", light="srgb", max_radius=3.0, bits=16)
    kernel = kernels.disk_kernel(3.0)
    blurred = np.stack([ndimage.convolve(sample.target[..., c], kernel) for c in range(3)], axis=-1)
    expected = np.where(sample.blur_map[..., None] > 0, blurred, sample.target)
    far_from_edge = np.abs(np.arange(48) - 23.5) > 6
    np.testing.assert_allclose(sample.image[far_from_edge], expected[far_from_edge], atol=2e-5)


def test_scale_enlarges_the_picture_its_target_and_its_blur(folder):
    plain, large, small = (load(folder, scale=scale) for scale in (None, 2.0, 0.5))
    assert large.image.shape == large.target.shape == (96, 112, 3)
    assert small.image.shape == small.target.shape == (24, 28, 3)
    assert large.blur_map.max() == pytest.approx(2 * plain.blur_map.max(), rel=0.02)
    np.testing.assert_allclose(
        small.blur_map, plain.blur_map.reshape(24, 2, 28, 2).mean(axis=(1, 3)) / 2, rtol=1e-5
    )


def test_a_camera_is_in_the_facts_where_one_is_set(folder):
    assert dict(load(folder, camera="phone", jpeg=70, light="srgb").meta) == {
        "psf": "disk", "max_radius": 8.0, "light": "srgb", "camera": "phone", "jpeg": 70,
        "source": "loose.png", "map": "invented",
    }  # fmt: skip


def test_settings_that_change_nothing_are_refused(folder):
    with pytest.raises(UsageError, match="drop views"):
        load(folder, views=True, camera="phone")
    for options in ({"psf": "pentax-da"}, {"colour_shift": 1.0}, {"light": "srgb"}):
        with pytest.raises(UsageError, match="drop"):
            load(folder, views=True, **options)
    with pytest.raises(UsageError, match="colour_shift"):
        load(folder, psf="gkm", colour_shift=1.0)
    for chroma in ("4:2:0", "4:4:4"):
        with pytest.raises(UsageError, match="jpeg=QUALITY"):
            load(folder, chroma=chroma, camera="raw")
    with pytest.raises(UsageError, match="leaves everything in focus"):
        load(folder, max_radius=0, colour_shift=2.0)


def test_a_step_set_to_what_the_camera_has_is_the_camera(folder):
    plain = Simulated(NOWHERE, source=folder, camera="raw")
    assert plain._recipe == Simulated(NOWHERE, source=folder, camera="raw", iso=400)._recipe


# Determinism and identity
# ---------------------------------------------------------------------------------------------

OPTIONS = [
    {"psf": "gaussian"},
    {"psf": "polygon"},
    {"psf": "gkm"},
    {"max_radius": 4.0},
    {"seed": 2},
    {"views": True},
    {"bits": 16},
    {"size": 40},
    {"light": "srgb"},
    {"psf": "cats-eye"},
    {"psf": "summilux"},
    {"psf": "pentax-q"},
    {"colour_shift": 0.5},
    {"camera": "phone"},
    {"camera": "slr"},
    {"camera": "raw"},
    {"camera": "phone", "seed": 2},
    {"camera": "phone", "iso": 1600.0},
    {"iso": 400.0},
    {"tone": "smoothstep"},
    {"grain": 2.0},
    {"jpeg": 80},
    {"jpeg": 80, "chroma": "4:4:4"},
    {"scale": 2.0},
]


@pytest.mark.parametrize("name", ["loose", "Scene"])
def test_every_parameter_changes_pixels_and_fingerprint(folder, name):
    variants = [{}, *OPTIONS]
    assert len({digest(load(folder, name, **options)) for options in variants}) == len(variants)
    prints = {
        Simulated(NOWHERE, source=folder, **options).fingerprint(name) for options in variants
    }
    assert len(prints) == len(variants)


def test_same_pixels_in_another_process(folder):
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from test_simulated import NOWHERE, Simulated, digest\n"
        "for name in ('Scene', 'loose'):\n"
        "    data = Simulated(NOWHERE, source=Path(sys.argv[1]), views=True)\n"
        "    print(digest(data.load(name)), data.fingerprint(name))\n"
    )
    paths = [str(folder), str(Path(__file__).parent), str(Path(__file__).parents[2])]
    run = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    data = Simulated(NOWHERE, source=folder, views=True)
    here = [f"{digest(data.load(name))} {data.fingerprint(name)}" for name in ("Scene", "loose")]
    assert run.stdout.split("\n")[:2] == here


def test_a_picture_depends_on_no_other(folder, tmp_path_factory):
    alone = tmp_path_factory.mktemp("alone")
    shutil.copy(folder / "loose.png", alone)
    assert digest(load(alone)) == digest(load(folder))


def test_equal_pictures_under_two_ids_are_two_scenes(folder):
    shutil.copy(folder / "loose.png", folder / "other.png")
    first, second = load(folder), load(folder, "other")
    assert (first.target == second.target).all()
    assert np.abs(first.blur_map - second.blur_map).mean() > 0.1


def test_fingerprint_follows_content_not_place(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "place"
    shutil.copytree(folder, moved)
    before = {
        name: Simulated(NOWHERE, source=folder).fingerprint(name) for name in ("loose", "Scene")
    }
    assert before == {name: Simulated(NOWHERE, source=moved).fingerprint(name) for name in before}
    depth = imageio.read(moved / "Scene" / "disp1.png")[0][..., 0] * 255
    depth[0, 0] += 1
    write_depth(moved / "Scene" / "disp1.png", depth.astype(np.uint8))
    write(moved / "loose.png", seed=5)
    after = {name: Simulated(NOWHERE, source=moved).fingerprint(name) for name in before}
    assert all(before[name] != after[name] for name in before)


def test_a_changed_file_is_rendered_again(folder):
    data = Simulated(NOWHERE, source=folder)
    before = data.load("loose")
    assert data.load("loose").image.base is before.image.base  # the last few are kept
    write(folder / "loose.png", seed=9)
    assert np.abs(data.load("loose").image - before.image).mean() > 0.05


def test_pixels_belong_to_this_version(folder):
    """If this fails on purpose, raise `Simulated.version` and write down the new levels."""
    assert Simulated.version == "1"
    y, x = np.mgrid[:48, :56]
    picture = np.stack([x * 4 % 256, y * 5 % 256, (x // 8 + y // 8) % 2 * 255], axis=-1).astype(
        np.uint8
    )
    cv2.imwrite(str(folder / "fixed.png"), picture)
    image = load(folder, "fixed").image[::12, ::14]
    levels = np.rint(image * 255).astype(int).tolist()
    np.testing.assert_allclose(levels, PINNED, atol=1)


PINNED = [
    [[0, 7, 6], [208, 15, 59], [218, 14, 117], [248, 6, 171]],
    [[224, 61, 10], [145, 65, 58], [45, 60, 111], [0, 60, 168]],
    [[219, 122, 5], [150, 118, 59], [100, 120, 111], [118, 122, 169]],
    [[0, 181, 0], [250, 179, 56], [255, 180, 112], [254, 182, 169]],
]


@pytest.mark.data
def test_middlebury_scenes(data_root):
    source = data_root / "middlebury"
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    data = Simulated(data_root, source=source)
    assert {"Art", "Cones", "Teddy"} <= set(data.ids())
    sample = data.load("Cones")
    assert sample.meta["map"] == "measured"
    assert sample.blur_map.max() == pytest.approx(4, rel=0.1)
    assert (sample.blur_map < 0.25).mean() > 0.01
