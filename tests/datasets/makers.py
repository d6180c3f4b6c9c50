"""Writers of small data sets on disk, complete in number and names, in every layout the adapters
know.

The pictures are random textures; inputs are their blurred versions. Each maker returns the data
root to hand to the adapter. Sizes are (width, height).
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.io import savemat

from benchmark.datasets import dpd as dpd_adapter
from benchmark.datasets import lfdof as lfdof_adapter

Size = tuple[int, int]

DPD_LAYOUTS = (
    "dd_dp_dataset_canon",
    "dd_dp_dataset_png",
    "dd_dp_dataset_canon/dd_dp_dataset_png",
    "DPDD",
    "test/DPDD",
)
RTF_LAYOUTS = ("folders", "per noise", "flat")
REALDOF_LAYOUTS = (
    "RealDOF/{source,target}",
    "test/RealDOF/{inputC,target}",
    "RealDOF/test/{input,target}",
)
CUHK_LAYOUTS = ("original", "flat")


def texture(seed: int, size: Size = (48, 40)) -> np.ndarray:
    """A sharp H x W x 3 picture in [0, 1]."""
    return np.random.default_rng(seed).uniform(0, 1, (size[1], size[0], 3)) ** 2


def blurred(picture: np.ndarray, sigma: float = 1.2) -> np.ndarray:
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="reflect")


def tag_orientation(path: Path, orientation: int) -> None:
    """Write a picture again with an EXIF orientation."""
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[274] = orientation
        tags = {"tiffinfo": {274: orientation}} if path.suffix == ".tif" else {"exif": exif}
        picture.save(path, **tags)


def save(path: Path, picture: np.ndarray, bit_depth: int = 8) -> Path:
    """Write a picture in [0, 1], H x W x 3 RGB or H x W, in the format of the suffix; folders are
    made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.rint(picture * (2**bit_depth - 1)).astype(np.uint8 if bit_depth == 8 else np.uint16)
    assert cv2.imwrite(str(path), levels[..., ::-1] if levels.ndim == 3 else levels)
    return path


def dpd_names(split: str) -> list[tuple[str, str]]:
    """Official (source, target) names of a split, read from the table itself."""
    with Path(dpd_adapter.__file__).with_name("dpd_splits.csv").open(newline="") as table:
        return [
            (row["source"], row["target"]) for row in csv.DictReader(table) if row["split"] == split
        ]


def dpd(
    root: Path,
    layout: str = "dd_dp_dataset_png",
    *,
    split: str = "test",
    names: Iterable[tuple[str, str]] | None = None,
    views: bool = False,
    labels: bool = False,
    bit_depth: int = 16,
    size: Size = (48, 40),
) -> Path:
    """DPD: the official names unless `names` are given; `labels` writes Restormer's index files
    (odd is indoor).
    """
    base = root / layout.replace("test", split)
    per_view = layout != "test/DPDD"
    place = {
        "image": base / (f"{split}_c/source" if per_view else "inputC"),
        "target": base / (f"{split}_c/target" if per_view else "target"),
        "_L": base / (f"{split}_l/source" if per_view else "inputL"),
        "_R": base / (f"{split}_r/source" if per_view else "inputR"),
    }
    pairs = list(dpd_names(split) if names is None else names)
    for seed, (source, target) in enumerate(pairs):
        sharp = texture(seed, size)
        save(place["target"] / f"{target}.png", sharp, bit_depth)
        save(place["image"] / f"{source}.png", blurred(sharp), bit_depth)
        for mark, sigma in (("_L", 1.0), ("_R", 1.5)) if views else ():
            save(place[mark] / f"{source}{mark}.png", blurred(sharp, sigma), bit_depth)
    if labels:
        positions = np.arange(1, len(pairs) + 1)
        np.save(base / "indoor_labels.npy", positions[positions % 2 == 1])
        np.save(base / "outdoor_labels.npy", positions[positions % 2 == 0])
    return root


def rtf(
    root: Path,
    layout: str = "folders",
    *,
    count: int = 22,
    maps: bool | None = None,
    size: Size = (48, 40),
) -> Path:
    """RTF in the layout "folders" (GT/sharp_01.png), "per noise" (gt/{0,1,1.6}/sharp_01.png) or
    "flat" (no targets).

    Maps are written beside the targets if asked for, and always in the flat layout. Noise is N(0,
    folder name).
    """
    base = root / "RTF"
    for index in range(1, count + 1):
        sharp = texture(index, size)
        clean, name = blurred(sharp), f"image_{index:02d}.png"
        radius = np.full(sharp.shape[:2], 0.25 * (2 + index % 23))
        if layout == "flat":
            save(base / name, clean)
            savemat(base / f"map_{index:02d}.mat", {"blurMap": radius})
            continue
        for version in ("0", "1", "1.6"):
            noise = np.random.default_rng(index).normal(0, float(version) / 255, clean.shape)
            save(base / "image" / version / name, (clean + noise).clip(0, 1))
            truth = base / "GT" if layout == "folders" else base / "gt" / version
            save(truth / f"sharp_{index:02d}.png", sharp)
            if maps:
                savemat(truth / f"map_{index:02d}.mat", {"blurMap": radius})
    return root


def cuhk_bd(
    root: Path,
    layout: str = "original",
    *,
    count: int = 3,
    masks: bool = True,
    size: Size = (48, 40),
) -> Path:
    """CUHK-BD: "original" has motion blur among the pictures, "flat" has pictures in the folder
    itself and no masks.
    """
    base = root / "CUHK-BD"
    names = [f"out_of_focus{index:04d}" for index in range(1, count + 1)]
    for seed, name in enumerate([*names, "motion0001"] if layout == "original" else names):
        picture = texture(seed, size)
        mask = np.zeros(picture.shape[:2])
        mask[:, : 5 + seed] = 1
        if layout == "flat":
            save(base / f"{name}.jpg", blurred(picture))
            continue
        save(base / "image" / f"{name}.jpg", blurred(picture))
        if masks:
            save(base / "gt" / f"{name}.png", mask)
    return root


def realdof(
    root: Path,
    layout: str = REALDOF_LAYOUTS[0],
    *,
    count: int = 50,
    bit_depth: int = 8,
    size: Size = (48, 40),
) -> Path:
    """RealDOF; the layout names its two folders in braces."""
    base, _, folders = layout.partition("{")
    source, target = folders.rstrip("}").split(",")
    for index in range(1, count + 1):
        sharp = texture(index, size)
        save(root / base / target / f"{index:02d}.png", sharp, bit_depth)
        save(root / base / source / f"{index:02d}.png", blurred(sharp), bit_depth)
    return root


def lfdof_names() -> list[str]:
    """Official names of the test pictures, read from the table itself."""
    with Path(lfdof_adapter.__file__).with_name("lfdof_test.csv").open(newline="") as table:
        return [
            f"{row['scene']}_{aperture}_{focus:02d}"
            for row in csv.DictReader(table)
            for aperture in ("ap1", "ap2", "ap3")
            for focus in range(int(row[aperture]))
        ]


def lfdof(
    root: Path,
    base: str = "LFDOF/test_data",
    *,
    names: Iterable[str] | None = None,
    bit_depth: int = 8,
    size: Size = (1008, 688),
) -> Path:
    """LFDOF: the official test pictures unless `names` are given. Where there are many, they share
    their bytes.
    """
    all_names = lfdof_names() if names is None else list(names)
    few_names = all_names[:4]
    for seed, name in enumerate(all_names):
        scene = name.rpartition("_ap")[0]
        image = root / base / "input" / scene / f"{name}.png"
        target = root / base / "ground_truth" / f"{scene}.png"
        if name in few_names:
            save(image, coarse_texture(seed, size), bit_depth)
            save(target, coarse_texture(1000 + int(scene[-4:]), size), bit_depth)
            first_image = image
        for path in (image, target):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.hardlink_to(first_image)
    return root


def coarse_texture(seed: int, size: Size) -> np.ndarray:
    """A picture of squares, which is written faster than a texture."""
    squares = texture(seed, (size[0] // 16, size[1] // 16))
    return squares.repeat(16, axis=0).repeat(16, axis=1)


def pixel4(
    root: Path,
    *,
    scenes: int = 1,
    displacement: tuple[float, float] = (0.0, 0.0),
    gain: float = 1.0,
    target: Size = (288, 216),
    frame: Size = (432, 324),
) -> Path:
    """Pixel 4 scenes: the input lies (dy, dx) px away from the target and has 1 / gain of its
    light.

    Left and right are shaded oppositely and have a disparity of 1 px, so that their mean is not
    either of them.
    """
    base = root / "pixel4"
    for index in range(1, scenes + 1):
        light = 0.05 + 0.5 * ndimage.gaussian_filter(
            np.random.default_rng(index).uniform(0, 1, frame[::-1]), 1.5
        )
        top, left = (frame[1] - target[1]) // 2, (frame[0] - target[0]) // 2
        truth = light[top : top + target[1], left : left + target[0]]
        save(base / "gt_all_in_focus_im" / f"{index:03d}_gt.png", truth, 16)
        for side, sign in (("left", 1), ("right", -1)):
            dy, dx = displacement
            moved = ndimage.shift(
                ndimage.gaussian_filter(light, 2), (dy, dx + sign / 2), order=5, mode="mirror"
            )
            save(
                base / f"{index:03d}_{side}.png",
                1024 / 65535 + moved * (1 + 0.1 * sign) / gain / 4,
                16,
            )
    return root


def folder(
    root: Path,
    *,
    count: int = 3,
    roles: Iterable[str] = ("input", "target"),
    suffix: str = ".png",
    size: Size = (48, 40),
) -> Path:
    """Any pictures: a sub-folder for each role; without roles, the pictures lie in the folder
    itself.
    """
    for seed in range(count):
        sharp = texture(seed, size)
        save(root / f"p{seed}{suffix}", blurred(sharp)) if not roles else None
        for role in roles:
            save(root / role / f"p{seed}{suffix}", sharp if role == "target" else blurred(sharp))
    return root


def scenes(root: Path, *, roles: Iterable[str] = ("input", "target"), count: int = 2) -> Path:
    """Any pictures of two scenes, `a` and `b`, each with `count` in a folder of its own."""
    for seed, scene in enumerate(("a", "b")):
        for index in range(count):
            sharp = texture(10 * seed + index)
            for role in roles:
                picture = sharp if role == "target" else blurred(sharp)
                save(root / role / scene / f"p{index}.png", picture)
    return root


def real_mff(root: Path, count: int = 11) -> Path:
    """Real-MFF in its authors' layout: 001_A.png and 001_B.png at two focus settings, 001_F.png all
    in focus.
    """
    for number in range(1, count + 1):
        for name, mark in (("imageA", "A"), ("imageB", "B"), ("Fusion", "F")):
            save(root / "Real-MFF" / name / f"{number:03d}_{mark}.png", texture(number))
    return root / "Real-MFF"


def real_bokeh(root: Path) -> Path:
    """The test part of RealBokeh in its authors' layout: six pictures of three scenes."""
    base = root / "RealBokeh_3MP" / "test"
    for scene, stops in ((1000, ("2.0", "3.2", "16")), (1001, ("2.0", "20.0")), (10, ("2.0",))):
        save(base / "in" / f"{scene}_f22.JPG", texture(scene))
        for stop in stops:
            save(base / "gt" / str(scene) / f"{scene}_f{stop}.JPG", blurred(texture(scene)))
        (base / "metadata").mkdir(exist_ok=True)
        (base / "metadata" / f"{scene}.json").write_text("{}")
    return base
