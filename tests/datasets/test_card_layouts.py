"""Every layout that a card names is found, for every data set, file by file."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.io import savemat

from benchmark.datasets.cuhk_bd import CuhkBd
from benchmark.datasets.dpd import Dpd
from benchmark.datasets.folder import Folder
from benchmark.datasets.layout import FileDataset
from benchmark.datasets.lfdof import Lfdof
from benchmark.datasets.pixel4 import Pixel4
from benchmark.datasets.realdof import RealDof
from benchmark.datasets.rtf import Rtf
from benchmark.datasets.simulated import Simulated
from tests.datasets import makers

SPLITS = ("train", "val", "test")


class Layout(NamedTuple):
    """One sample: role -> its file under the data root, and the function that opens the set."""

    kind: type[FileDataset]
    files: dict[str, str]
    open: Callable[[Path], FileDataset]
    extra: tuple[str, ...] = ()
    """Files of the layout that no sample reads."""


def layouts() -> list[Layout]:
    return [
        *realdof_layouts(),
        *lfdof_layouts(),
        *dpd_layouts(),
        *rtf_layouts(),
        *cuhk_layouts(),
        *pixel4_layouts(),
        *folder_layouts(),
        *simulated_layouts(),
    ]


def realdof_layouts() -> list[Layout]:
    folders = [
        ("RealDOF/source", "RealDOF/target"),
        ("test/RealDOF/inputC", "test/RealDOF/target"),
        ("test/RealDOF/source", "test/RealDOF/target"),
        ("RealDOF/test/input", "RealDOF/test/target"),
    ]
    return [
        Layout(RealDof, {"image": f"{source}/01.png", "target": f"{target}/01.png"}, RealDof)
        for source, target in folders
    ]


def lfdof_layouts() -> list[Layout]:
    return [
        lfdof_layout(f"{place}{split}_data", split)
        for place, split in itertools.product(("LFDOF/", ""), ("train", "test"))
    ]


def lfdof_layout(base: str, split: str) -> Layout:
    files = {
        "image": f"{base}/input/IMG_1567/IMG_1567_ap1_00.png",
        "target": f"{base}/ground_truth/IMG_1567.png",
    }
    return Layout(Lfdof, files, lambda root: Lfdof(root, split=split, partial=True))


def dpd_layouts() -> list[Layout]:
    made = []
    for split, base in itertools.product(
        SPLITS, ("dd_dp_dataset_canon", "dd_dp_dataset_png", "DPDD")
    ):
        made += dpd_with_and_without_views(
            split,
            f"{base}/{split}_c/source",
            f"{base}/{split}_c/target",
            (f"{base}/{split}_l/source", f"{base}/{split}_r/source"),
        )
    for split in SPLITS:
        base = f"{split}/DPDD"
        made += dpd_with_and_without_views(
            split, f"{base}/inputC", f"{base}/target", (f"{base}/inputL", f"{base}/inputR")
        )
    return made


def dpd_with_and_without_views(
    split: str, source: str, target: str, views: tuple[str, str]
) -> list[Layout]:
    source_name, target_name = makers.dpd_names(split)[0]
    files = {"image": f"{source}/{source_name}.png", "target": f"{target}/{target_name}.png"}
    left = f"{views[0]}/{source_name}_L.png"
    right = f"{views[1]}/{source_name}_R.png"

    def find(root: Path) -> FileDataset:
        return Dpd(root, split=split, partial=True)

    return [Layout(Dpd, files, find), Layout(Dpd, {**files, "left": left, "right": right}, find)]


def rtf_layouts() -> list[Layout]:
    made = []
    for base, version in itertools.product(("RTF", "RTFDataset"), ("0", "1", "1.6")):
        image = f"{base}/image/{version}/image_01.png"
        for truth in ("GT", f"gt/{version}"):
            target = f"{base}/{truth}/sharp_01.png"
            made.append(rtf_layout(version, {"image": image, "target": target}))
            for map_folder in ("GT", "map", f"gt/{version}"):
                blur_map = f"{base}/{map_folder}/map_01.mat"
                files = {"image": image, "target": target, "blur_map": blur_map}
                if len({truth.upper(), map_folder.upper()} & {"GT", f"GT/{version}"}) < 2:
                    made.append(rtf_layout(version, files))
    flat = {"image": "RTF/image_01.png", "blur_map": "RTF/map_01.mat"}
    return [*made, Layout(Rtf, flat, Rtf)]


def rtf_layout(version: str, files: dict[str, str]) -> Layout:
    noise = "none" if version == "0" else version
    return Layout(Rtf, files, lambda root: Rtf(root, noise=noise))


def cuhk_layouts() -> list[Layout]:
    made = []
    for base in ("CUHK-BD", "CUHK", "BlurDetection", "test/CUHK"):
        image = f"{base}/image/out_of_focus0001.jpg"
        made += [
            Layout(CuhkBd, {"image": image}, CuhkBd),
            Layout(CuhkBd, {"image": image, "mask": f"{base}/gt/out_of_focus0001.png"}, CuhkBd),
            Layout(CuhkBd, {"image": f"{base}/out_of_focus0001.jpg"}, CuhkBd),
        ]
    return made


def pixel4_layouts() -> list[Layout]:
    return [
        Layout(
            Pixel4,
            {
                "left": f"{base}/001_left.png",
                "right": f"{base}/001_right.png",
                "target": f"{base}/gt_all_in_focus_im/001_gt.png",
            },
            Pixel4,
            extra=tuple(
                f"{base}/calibration/blur_kernels_{side}.npy" for side in ("left", "right")
            ),
        )
        for base in ("pixel4", "DP_data_pixel_4")
    ]


def folder_layouts() -> list[Layout]:
    image = {"image": "DIR/input/a.png"}
    target = {"target": "DIR/target/a.png"}
    views = {"left": "DIR/left/a.png", "right": "DIR/right/a.png"}
    return [
        Layout(Folder, files, lambda root: Folder(root, path=root / "DIR"))
        for files in (
            {"image": "DIR/a.png"},
            image,
            image | target,
            image | views,
            image | target | views,
        )
    ] + [
        Layout(Folder, files, lambda root: Folder(root, path=root / "DIR", nested=True))
        for files in (
            {"image": "DIR/SCENE/a.png"},
            {"image": "DIR/input/SCENE/a.png", "target": "DIR/target/SCENE/a.png"},
            {"image": "DIR/input/SCENE/a.png", "target": "DIR/target/SCENE.png"},
            {"image": "DIR/input/SCENE/a.png", "target": "DIR/target/SCENE_f22.png"},
            {"image": "DIR/SCENE/input/a.png", "target": "DIR/SCENE/target/a.png"},
        )
    ]


def simulated_layouts() -> list[Layout]:
    return [
        Layout(Simulated, {"target": "DIR/a.png"}, open_simulated),
        Layout(
            Simulated,
            {"target": "DIR/SCENE/view1.png", "depth": "DIR/SCENE/disp1.png"},
            open_simulated,
        ),
        Layout(
            Simulated,
            {"target": "DIR/SCENE/im2.png", "depth": "DIR/SCENE/disp2.png"},
            open_simulated,
        ),
    ]


def open_simulated(root: Path) -> FileDataset:
    return Simulated(root, source=root / "DIR")


def write_file(path: Path, role: str, kind: type[FileDataset]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    side = 64 if kind is Pixel4 and role == "target" else 96
    size = (1008, 688) if kind is Lfdof else (side, side)
    if path.suffix == ".mat":
        savemat(path, {"blurMap": np.ones((side, side))})
    elif path.suffix == ".npy":
        np.save(path, np.full((48, 3, 3), 1 / 9))
    else:
        bit_depth = 16 if kind in (Dpd, Pixel4) else 8
        makers.save(path, makers.texture(len(role), size), bit_depth)


@pytest.mark.parametrize(
    "layout",
    layouts(),
    ids=lambda layout: f"{layout.kind.__name__} {' '.join(layout.files.values())}",
)
def test_a_layout_on_the_card_is_found(tmp_path: Path, layout: Layout) -> None:
    for role, name in layout.files.items():
        write_file(tmp_path / name, role, layout.kind)
    for name in layout.extra:
        write_file(tmp_path / name, "", layout.kind)
    data = layout.open(tmp_path)
    (sample_id,) = data.ids()
    files = data.entry(sample_id).files
    assert {role: files[role] for role in layout.files} == {
        role: tmp_path / name for role, name in layout.files.items()
    }
    assert set(files) <= {"image", *layout.files}
    assert len(data.psfs()) == (3 if layout.extra else 0)


KINDS = sorted({layout.kind for layout in layouts()}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_folder_on_a_card_is_left_out_here(kind: type[FileDataset]) -> None:
    tried = {
        part
        for layout in layouts()
        if layout.kind is kind
        for name in (*layout.files.values(), *layout.extra)
        for part in Path(name).parts
    }
    words = re.findall(r"[\w{},./-]+(?=/)", kind.card.layout)
    named = {part for word in words for path in expand_braces(word) for part in path.split("/")}
    assert named
    assert named - {""} <= tried


def expand_braces(text: str) -> list[str]:
    match = re.search(r"\{([^}]*)\}", text)
    if match is None:
        return [text]
    before, after = text[: match.start()], text[match.end() :]
    return [path for word in match[1].split(",") for path in expand_braces(before + word + after)]
