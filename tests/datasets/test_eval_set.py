"""What all evaluation sets owe: the contract, identity, and errors that name the file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from benchmark import imageio
from benchmark.api import DataError, Sample, UsageError
from benchmark.conformance import check_dataset
from benchmark.datasets.eval_codes import EvalCodes
from benchmark.datasets.eval_lens import EvalLens
from benchmark.datasets.eval_phone import EvalPhone
from benchmark.datasets.eval_set import EvaluationSet, sample_photograph
from benchmark.datasets.simulated import Simulated
from benchmark.registry import DATASETS, create

NOWHERE = Path("there is no data root")
SETS: dict[str, type[EvaluationSet]] = {
    "eval-phone": EvalPhone,
    "eval-lens": EvalLens,
    "eval-codes": EvalCodes,
}


@pytest.fixture(params=SETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of which one has two samples to a pixel of 64."""
    folder = tmp_path_factory.mktemp("photographs")
    picture = data.astronaut().astype(np.float32) / np.float32(255)
    imageio.write(folder / "face.png", picture[:200, 120:320], 8)
    imageio.write(folder / "suit.png", picture[250:330, 100:200], 8)
    return folder


def open_set(name: str, folder: Path, **options: int) -> EvaluationSet:
    return SETS[name](NOWHERE, source=folder, **({"size": 64} | options))  # type: ignore[arg-type]


def digest(sample: Sample) -> str:
    arrays = [sample.image, sample.target, sample.blur_map]
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_it_keeps_the_contract(name: str, folder: Path) -> None:
    broken = [result for result in check_dataset(open_set(name, folder)) if not result.passes]
    assert broken == []


def test_a_sample_is_a_picture_its_target_and_its_map(name: str, folder: Path) -> None:
    sample = open_set(name, folder).load("face")
    assert sample.image.shape == sample.target.shape == (64, 64, 3)
    assert sample.blur_map.shape == (64, 64) and 0.5 < sample.blur_map.max() < 4
    assert (sample.scene, sample.bit_depth, sample.views) == ("face", 8, None)
    assert sample.meta["source"] == "face.png" and sample.meta["map"] == "invented"
    for picture in (sample.image, sample.target):
        levels = picture.astype(np.float64) * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    difference = np.abs(sample.image - sample.target).mean(axis=2)
    blurred = sample.blur_map > np.quantile(sample.blur_map, 0.7)
    sharp = sample.blur_map < np.quantile(sample.blur_map, 0.3)
    assert difference[blurred].mean() > difference[sharp].mean()


def test_it_is_registered_with_its_parameters_and_its_generator(name: str, folder: Path) -> None:
    dataset, resolved = create(DATASETS, f"{name}:source={folder},size=80,seed=4", root=NOWHERE)
    assert dataset.load("suit").image.shape == (80, 80, 3)
    assert resolved.parameters["seed"] == 4
    assert dataset.card.generator == name
    for wrong in ("size=63", "seed=-1"):
        with pytest.raises(UsageError, match=f"parameter {wrong[:4]}"):
            create(DATASETS, f"{name}:{wrong}", root=NOWHERE)


def test_size_seed_and_name_change_pixels_and_fingerprint(name: str, folder: Path) -> None:
    other = folder.parent / f"other {name}"
    other.mkdir()
    (other / "renamed.png").write_bytes((folder / "face.png").read_bytes())
    sets = [
        (open_set(name, folder), "face"),
        (open_set(name, folder, seed=1), "face"),
        (open_set(name, folder, size=70), "face"),
        (open_set(name, folder), "suit"),
        (open_set(name, other), "renamed"),
    ]
    assert len({digest(dataset.load(sample)) for dataset, sample in sets}) == len(sets)
    assert len({dataset.fingerprint(sample) for dataset, sample in sets}) == len(sets)
    again = open_set(name, folder)
    assert digest(again.load("face")) == digest(sets[0][0].load("face"))
    assert again.fingerprint("face") == sets[0][0].fingerprint("face")


def test_generators_have_fingerprints_of_their_own(name: str, folder: Path) -> None:
    prints = {open_set(other, folder).fingerprint("face") for other in SETS}
    assert len(prints) == len(SETS)


@pytest.mark.slow
def test_another_process_makes_the_same_pictures(name: str, folder: Path) -> None:
    kind = SETS[name]
    program = (
        f"from tests.datasets.test_eval_set import digest, open_set; from pathlib import Path; "
        f"print(digest(open_set({name!r}, Path({str(folder)!r})).load('face')))"
    )
    root = Path(__file__).parents[2]
    words = [sys.executable, "-c", program]
    process = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == digest(open_set(name, folder).load("face")), kind


def test_errors_name_the_file_and_say_what_to_do(name: str, folder: Path, tmp_path: Path) -> None:
    for source, reason in (
        (tmp_path / "gone", "no such folder"),
        (tmp_path, "holds no sharp picture"),
    ):
        with pytest.raises(DataError, match=rf"(?s){source.name}: {reason}.*source=DIR"):
            open_set(name, source)
    with pytest.raises(DataError, match=r"suit\.png: is 100x80 px, smaller .* size=90"):
        open_set(name, folder, size=90)
    with pytest.raises(UsageError, match="fase"):
        open_set(name, folder).load("fase")


@pytest.mark.slow
def test_the_photographs_that_come_with_the_suite_are_scenes_of_256_pixels(name: str) -> None:
    dataset = SETS[name](NOWHERE)
    assert list(dataset.ids()) == list(Simulated(NOWHERE).ids())
    assert len({dataset.load(sample_id).scene for sample_id in dataset.ids()}) >= 12
    for sample_id in dataset.ids():
        sample = dataset.load(sample_id)
        assert sample.image.shape == (256, 256, 3)
        loss = np.square(sample.image - sample.target).mean()
        assert 15 < -10 * np.log10(loss) < 46


@pytest.mark.parametrize("side", [64, 100, 128, 300])
def test_photographs_are_sampled_from_their_middle(side: int) -> None:
    rows, columns = np.mgrid[:side, : side + 40].astype(np.float32)
    picture = np.dstack([rows, columns, rows]) / np.float32(side + 40)
    samples = sample_photograph(picture, 64)
    assert samples.shape == (128, 128, 3) and samples.min() >= 0
    middle = np.array([side - 1, side + 39, side - 1]) / 2 / (side + 40)
    np.testing.assert_allclose(samples.mean(axis=(0, 1)), middle, atol=1e-4)
    slope = side / 128 / (side + 40)
    np.testing.assert_allclose(np.diff(samples[4:-4, 60, 0]), slope, atol=2e-3)
    squares = sample_photograph(picture, 64, np.square)
    np.testing.assert_allclose(squares[4:-4, 4:-4], samples[4:-4, 4:-4] ** 2, atol=2e-3)


def test_what_lies_beside_the_photographs_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "more"):
        place.mkdir(exist_ok=True)
        imageio.write(place / "coffee.png", data.coffee().astype(np.float32) / 255, 8)
    (tmp_path / "raw.dng").write_bytes(b"II*")
    dataset = create(DATASETS, f"eval-codes:source={tmp_path},size=128", root=tmp_path)[0]
    assert dataset.remarks == [
        f"left out of {tmp_path}, in sub-folders: more (1 picture)",
        f"left out of {tmp_path}, of formats that are not read: raw.dng",
    ]


def test_large_photographs_are_reduced_in_light() -> None:
    stripes = np.zeros((256, 256, 3), np.float32)
    stripes[::2] = 1
    np.testing.assert_allclose(sample_photograph(stripes, 64, lambda codes: 3 * codes), 1.5)
