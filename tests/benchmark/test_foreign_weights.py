"""Files of others that are damaged, point elsewhere or claim what they do not hold."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.api import DataError
from benchmark.foreign_weights import WeightsFormat, open_weights


def load(path: Path, file_format: WeightsFormat) -> dict[str, NDArray[np.generic]]:
    with open_weights(path, file_format) as stored:
        return {name: tensor.load().numpy() for name, tensor in stored.items()}


def refuse(path: Path, file_format: WeightsFormat) -> str:
    with pytest.raises(DataError) as error:
        load(path, file_format)
    assert str(path) in str(error.value)
    return str(error.value)


# Named arrays of numpy
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8", "<i8", ">i4", "u1"])
def test_arrays_of_any_type_are_read_exactly(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    value = np.arange(24).reshape(2, 3, 4).astype(dtype) * (3 if "f" in dtype else 1)
    np.savez(
        path, **{"a/kernel:0": value, "fortran": np.asfortranarray(value), "b": value[0, 0, 0]}
    )
    arrays = load(path, "npz")
    for name, expected in (("a/kernel:0", value), ("fortran", value), ("b", value[0, 0, 0])):
        np.testing.assert_array_equal(arrays[name], expected)
        assert arrays[name].dtype == np.dtype(dtype).newbyteorder("=")


def test_shapes_are_known_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.zeros((3, 5), np.float32))
    with open_weights(path, "npz") as stored:
        assert {name: tensor.shape for name, tensor in stored.items()} == {"a": (3, 5)}


def write_member(path: Path, content: bytes, name: str = "a.npy") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


def encode_array(tmp_path: Path, value: NDArray[np.generic]) -> bytes:
    np.save(tmp_path / "one.npy", value)
    return (tmp_path / "one.npy").read_bytes()


@pytest.mark.parametrize("change", [-4, 4])
def test_an_array_that_claims_another_size_is_refused(change: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    content = encode_array(tmp_path, np.zeros(100, np.float32))
    write_member(path, content[:change] if change < 0 else content + b"more")
    assert "but an array of shape (100,) takes 528" in refuse(path, "npz")


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    write_member(path, b"text", "notes.txt")
    assert "expected named arrays" in refuse(path, "npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    content = encode_array(tmp_path, np.zeros(2, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content)
        archive.writestr("a.npy", content)
    assert "holds entry a twice" in refuse(path, "npz")


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.full(50, 7, np.uint8))
    content = path.read_bytes()
    assert content.count(bytes([7] * 50)) == 1
    path.write_bytes(content.replace(bytes([7] * 50), bytes([7] * 49 + [8])))
    assert "Bad CRC-32" in refuse(path, "npz")


@pytest.mark.parametrize("value", [np.array([1j]), np.array([True]), np.array(["a"])])
def test_arrays_of_no_numbers_are_named(value: NDArray[np.generic], tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", a=value)
    assert "entry a holds" in refuse(tmp_path / "weights.npz", "npz")


# Keras' HDF5
# --------------------------------------------------------------------------------------------------


def test_names_are_those_of_layer_and_weight_wherever_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file["model_weights/deep/deeper/conv/kernel:0"] = np.float16([1, 2])
        file["conv_2/bias:0"] = np.arange(3, dtype=">f4")
        file["optimizer_weights/conv/kernel:0"] = np.float32([9])
    arrays = load(path, "keras")
    assert arrays.keys() == {"conv/kernel:0", "conv_2/bias:0"}
    assert arrays["conv/kernel:0"].dtype == np.float16
    np.testing.assert_array_equal(arrays["conv_2/bias:0"], [0, 1, 2])


def test_compressed_data_sets_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    value = np.random.default_rng(0).random((20, 30), np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("a/w", data=value, compression="gzip", shuffle=True, fletcher32=True)
    np.testing.assert_array_equal(load(path, "keras")["a/w"], value)


def test_a_filter_from_outside_is_refused(tmp_path: Path) -> None:
    """It would be a library that is loaded from a folder the environment names."""
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/w", data=np.zeros(100, np.float32), compression="lzf")
    assert "entry a/w needs a filter" in refuse(path, "keras")


def test_a_group_inside_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["again"] = group
    assert "is inside itself" in refuse(path, "keras")


def test_the_same_name_in_two_models_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file["one/conv/kernel:0"] = np.float32([1])
        file["two/conv/kernel:0"] = np.float32([2])
    assert "holds entry conv/kernel:0 twice" in refuse(path, "keras")


@pytest.mark.parametrize("value", ["text", np.array([b"text"]), np.array([1j]), np.array([True])])
def test_data_sets_of_no_numbers_are_named(value: object, tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file["a/w"] = value
    assert "entry a/w" in refuse(path, "keras")


def test_an_empty_data_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file["a/w"] = h5py.Empty("f4")
    assert "entry a/w is empty" in refuse(path, "keras")


@pytest.mark.parametrize("file_format", ["torch", "npz", "keras"])
def test_nothing_and_a_folder_are_refused(file_format: WeightsFormat, tmp_path: Path) -> None:
    assert "No such file" in refuse(tmp_path / "none", file_format)
    assert "Is a directory" in refuse(tmp_path, file_format)


# torch
# --------------------------------------------------------------------------------------------------


def test_the_most_wanted_of_two_state_dicts_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"params_ema": {"a": torch.ones(1)}, "params": {"a": torch.zeros(1)}}, path)
    assert checkpoints.read_state_dict(path)["a"].item() == 0
    assert checkpoints.read_state_dict(path, ("params_ema", "params"))["a"].item() == 1


def test_overlapping_members_cannot_hide_a_bomb(tmp_path: Path) -> None:
    """The same bytes named many times would be read many times."""
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    checkpoints.read_state_dict(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(1 << 20))
    with pytest.raises(DataError, match="would unpack to"):
        checkpoints.read_state_dict(path)
