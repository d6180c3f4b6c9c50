"""The importers of DPDNet, against the program written down by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import benchmark
from benchmark import checkpoint_import, checkpoints
from benchmark.api import DataError
from benchmark.methods.learned.networks import dpdnet
from tests.methods import keras_dpdnet
from tests.methods.foreign_files import write_keras

NARROW = (4, 8, 16, 32, 64)
CHANNELS = {"dpdnet-s-official": 3, "dpdnet-d-official": 6, "dpdnet-s-lfdof": 3}
METHODS = {
    "dpdnet-s-official": "dpdnet-s.official",
    "dpdnet-d-official": "dpdnet-d.official",
    "dpdnet-s-lfdof": "dpdnet-s.lfdof",
}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of few features."""
    monkeypatch.setattr(dpdnet, "_WIDTHS", NARROW[:-1])
    monkeypatch.setattr(dpdnet, "_DEEPEST", NARROW[-1])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    return tmp_path / "mine"


def restore_by_hand(
    arrays: dict[str, NDArray[np.float32]], views: list[NDArray[np.float32]], turns: bool
) -> NDArray[np.float64]:
    """Return what the authors' program makes of RGB pictures: BGR, portraits turned, continued."""
    height, width = views[0].shape[:2]
    x = np.concatenate([view[:, :, [2, 1, 0]] for view in views], axis=2)
    if turns and height > width:
        x = np.flip(np.transpose(x, (1, 0, 2)), 0)  # counter-clockwise
    rows, columns = -x.shape[0] % 16, -x.shape[1] % 16
    output = keras_dpdnet.run(arrays, np.pad(x, ((0, rows), (0, columns), (0, 0)), mode="reflect"))
    output = output[: x.shape[0], : x.shape[1]]
    if turns and height > width:
        output = np.transpose(np.flip(output, 0), (1, 0, 2))
    return output[:, :, [2, 1, 0]]


def check_restoration(importer: str, arrays: dict[str, NDArray[np.float32]], path: Path) -> None:
    checkpoint_import.import_checkpoint(importer, path)
    method = benchmark.load_method(METHODS[importer])
    random = np.random.default_rng(1)
    for size in ((48, 70), (70, 48), (64, 64)):
        image, left, right = (random.random((*size, 3), np.float32) for _ in range(3))
        views = [left, right] if CHANNELS[importer] == 6 else [image]
        expected = restore_by_hand(arrays, views, turns=importer != "dpdnet-s-lfdof")
        assert expected.std() > 0.01
        restored = method.restore(image, (left, right))
        np.testing.assert_allclose(restored, expected, atol=2e-5)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("importer", CHANNELS)
@pytest.mark.parametrize(
    ("inside", "first"),
    [("model_weights", 1), ("/", 25), ("model_weights/model_1", 0)],
    ids=["whole model", "weights only", "one level deeper"],
)
def test_an_imported_network_restores_as_the_program(
    importer: str, inside: str, first: int, tmp_path: Path
) -> None:
    arrays = keras_dpdnet.draw_arrays(CHANNELS[importer], NARROW, first)
    if not first:
        arrays = {name.replace("conv2d_0/", "conv2d/"): value for name, value in arrays.items()}
    write_keras(tmp_path / "model.hdf5", arrays, inside)
    check_restoration(importer, arrays, tmp_path / "model.hdf5")


@pytest.mark.slow
@pytest.mark.parametrize("importer", ["dpdnet-s-official", "dpdnet-d-official"])
def test_a_file_of_full_size_restores_as_the_program(importer: str, tmp_path: Path) -> None:
    arrays = keras_dpdnet.draw_arrays(CHANNELS[importer])
    parameters = sum(value.size for value in arrays.values())
    assert parameters == {3: 31_033_423, 6: 31_035_151}[CHANNELS[importer]]
    write_keras(tmp_path / "model.hdf5", arrays)
    check_restoration(importer, arrays, tmp_path / "model.hdf5")


@pytest.mark.usefixtures("narrow")
def test_half_precision_is_read_exactly(tmp_path: Path) -> None:
    arrays = keras_dpdnet.draw_arrays(3, NARROW)
    halves = {name: value.astype(np.float16) for name, value in arrays.items()}
    write_keras(tmp_path / "model.hdf5", halves)
    report = checkpoint_import.import_checkpoint("dpdnet-s-official", tmp_path / "model.hdf5")
    [last] = checkpoints.load_tensors(report.path)["out.2.weight"][None, ..., 0, 0].numpy()
    np.testing.assert_array_equal(last, halves["conv2d_24/kernel:0"][0, 0].T.astype(np.float32))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("number", [1, 7, 24])
def test_a_layer_that_is_missing_is_named_by_its_number(number: int, tmp_path: Path) -> None:
    arrays = keras_dpdnet.draw_arrays(3, NARROW)
    lost = [f"conv2d_{number}/kernel:0", f"conv2d_{number}/bias:0"]
    kept = {name: value for name, value in arrays.items() if name not in lost}
    write_keras(tmp_path / "model.hdf5", kept)
    with pytest.raises(DataError) as error:
        checkpoint_import.import_checkpoint("dpdnet-s-official", tmp_path / "model.hdf5")
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert lines == [f"missing: {name}" for name in lost]


@pytest.mark.usefixtures("narrow")
def test_weights_of_two_views_are_not_those_of_one_picture(tmp_path: Path) -> None:
    write_keras(tmp_path / "model.hdf5", keras_dpdnet.draw_arrays(6, NARROW))
    with pytest.raises(DataError) as error:
        checkpoint_import.import_checkpoint("dpdnet-s-official", tmp_path / "model.hdf5")
    [line] = str(error.value).splitlines()[1:]
    assert line.strip() == ("wrong shape: conv2d_1/kernel:0 is (3, 3, 6, 4), expected (3, 3, 3, 4)")
