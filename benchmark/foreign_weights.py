"""Files of weights in the formats that programs of others write, read without trust.

Names, shapes and types are known before any number is read, so an importer can refuse a file that
does not fit before it costs memory. No code in a file is run, nothing that a file points at is
opened, and nothing is unpacked to more than its declared size.
"""

from __future__ import annotations

import contextlib
import functools
import math
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark import checkpoints
from benchmark.api import DataError

if TYPE_CHECKING:
    import h5py
    from torch import Tensor

WeightsFormat = Literal["torch", "npz", "npz-list", "keras"]
"""A state dict that torch saved (or safetensors); named arrays of numpy; a list of arrays that
numpy pickled as `params`; Keras' HDF5.
"""
_NPZ = "named arrays as numpy.savez writes them (.npz)"
_NPZ_LIST = "a list of arrays as numpy.savez(params=...) writes it (.npz)"
_LIST_NAME = "params"
_LARGEST_COMPRESSION = 4
"""How many times the size of its file a list of weights may have; those of random bits hardly
shrink.
"""
_KERAS = "a file of weights as Keras writes it (HDF5)"
_OPTIMIZER_GROUP = "optimizer_weights"
_HARMLESS_FILTERS = frozenset({1, 2, 3})
"""Deflate, shuffle and checksum; any other filter of HDF5 may be a library of its own."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A named tensor of a file, not read yet.

    Attributes:
        shape: as the file declares it.
        load: reads it; raises DataError if it is damaged.
    """

    shape: tuple[int, ...]
    load: Callable[[], Tensor]


@contextlib.contextmanager
def open_weights(
    path: Path, file_format: WeightsFormat, wrappers: tuple[str, ...] = checkpoints.WRAPPERS
) -> Iterator[Mapping[str, StoredTensor]]:
    """Give the tensors of a file by the file's own names, until the `with` block ends.

    In a file of Keras that is the name of the layer and that of the weight, `conv2d_1/kernel:0`,
    wherever the layer lies; the state of an optimizer is left out. Arrays of a list have the names
    that `name_array` gives.

    Args:
        path: the file.
        file_format: what is expected of it.
        wrappers: as for `benchmark.checkpoints.read_state_dict`.

    Raises:
        DataError: no such file, another format, a damaged file, or one that holds or points at
            anything but named tensors of numbers.
    """
    if file_format == "npz":
        with _open_npz(path) as stored:
            yield stored
    elif file_format == "npz-list":
        yield _read_npz_list(path)
    elif file_format == "keras":
        with _open_keras(path) as stored:
            yield stored
    else:
        state = checkpoints.read_state_dict(path, wrappers)
        yield {name: _store_in_memory(value) for name, value in state.items()}


def _store_in_memory(value: Tensor) -> StoredTensor:
    return StoredTensor(tuple(value.shape), lambda: value)


def _to_tensor(values: NDArray[Any]) -> Tensor:
    import torch

    native = values.astype(values.dtype.newbyteorder("="))
    return torch.from_numpy(np.ascontiguousarray(native).reshape(values.shape))


def _require_numbers(name: str, dtype: np.dtype[Any], path: Path) -> None:
    if dtype.hasobject:
        raise DataError(f"{path}: refused, as entry {name} holds pickled objects, not numbers")
    if dtype.kind not in "fiu":
        raise DataError(f"{path}: entry {name} holds {dtype}, not numbers; get the file again")


# Named arrays of numpy
# --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[Mapping[str, StoredTensor]]:
    with checkpoints.open_weights_file(path) as file:
        with _explain_damage(path, _NPZ):
            archive = zipfile.ZipFile(file)
            stored = _list_members(archive, path)
        yield stored


def _list_members(archive: zipfile.ZipFile, path: Path) -> dict[str, StoredTensor]:
    stored: dict[str, StoredTensor] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        _require_new(name, stored, path)
        stored[name] = _describe_member(archive, member, name, path)
    return stored


def _describe_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, path: Path
) -> StoredTensor:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
        _require_numbers(name, dtype, path)
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if size != member.file_size:
        raise DataError(
            f"{path}: entry {name} takes {member.file_size:,} bytes, but an array of shape {shape} "
            f"takes {size:,}; get the file again"
        )

    def load() -> Tensor:
        with _explain_damage(path, _NPZ), archive.open(member) as file:
            return _to_tensor(np.lib.format.read_array(file, allow_pickle=False))

    return StoredTensor(shape, load)


# A list of arrays that numpy pickled
# --------------------------------------------------------------------------------------------------


def name_array(index: int) -> str:
    """Return the name of an array that has none but its place in a list."""
    return f"array {index}"


class _ArrayUnpickler(pickle.Unpickler):
    """Knows numpy's arrays of numbers and nothing else, as Python 2 and 3 wrote them."""

    def find_class(self, module: str, name: str) -> object:
        module = module.replace("numpy._core", "numpy.core")
        names = {
            ("numpy.core.multiarray", "_reconstruct"): _make_empty_array,
            ("numpy", "ndarray"): _ARRAY_TYPE,
            ("numpy", "dtype"): _make_dtype,
        }
        if (module, name) not in names:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")
        return names[module, name]


_ARRAY_TYPE = object()
"""Stands for `numpy.ndarray`, which could be called with any shape."""


def _make_empty_array(kind: object, *_: object) -> NDArray[np.uint8]:
    """Return what numpy fills with the shape, the type and the numbers that follow in the file."""
    if kind is not _ARRAY_TYPE:
        raise pickle.UnpicklingError("it holds an array of a type of its own")
    return np.ndarray((0,), np.uint8)


def _make_dtype(code: str, *_: object) -> np.dtype[Any]:
    """Return a type of numbers, or that of Python's objects; a new one, as the file may change
    it.
    """
    if code[:1] not in "fiuO":
        raise pickle.UnpicklingError(f"it holds values of type {code}, which are no numbers")
    return np.dtype(code, copy=True)


def _read_npz_list(path: Path) -> Mapping[str, StoredTensor]:
    with (
        checkpoints.open_weights_file(path) as file,
        _explain_damage(path, _NPZ_LIST),
        zipfile.ZipFile(file) as archive,
    ):
        arrays = _unpickle_arrays(archive, path)
    stored: dict[str, StoredTensor] = {}
    for index, array in enumerate(arrays):
        name = name_array(index)
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path}: {name} is a {type(array).__name__}, not an array of numbers")
        _require_numbers(name, array.dtype, path)
        stored[name] = _store_in_memory(_to_tensor(array))
    return stored


def _unpickle_arrays(archive: zipfile.ZipFile, path: Path) -> list[object]:
    names = archive.namelist()
    if names != [f"{_LIST_NAME}.npy"]:
        raise DataError(f"{path}: holds {', '.join(names)}; expected {_NPZ_LIST}")
    size = archive.getinfo(names[0]).file_size
    if size > _LARGEST_COMPRESSION * path.stat().st_size:
        raise DataError(f"{path}: refused, as it would unpack to {size:,} bytes")
    with archive.open(names[0]) as member:
        np.lib.format.read_magic(member)
        _, _, dtype = np.lib.format.read_array_header_1_0(member)
        if not dtype.hasobject:
            raise DataError(f"{path}: holds one array of {dtype}; expected {_NPZ_LIST}")
        arrays = _ArrayUnpickler(member, encoding="latin1").load()
    if not isinstance(arrays, np.ndarray) or arrays.ndim != 1:
        raise DataError(f"{path}: holds no list; expected {_NPZ_LIST}")
    return list(arrays)


# Keras' HDF5
# --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_keras(path: Path) -> Iterator[Mapping[str, StoredTensor]]:
    import h5py

    with checkpoints.open_weights_file(path), _explain_damage(path, _KERAS):
        file = h5py.File(path, "r", locking=False)
    with file:
        with _explain_damage(path, _KERAS):
            stored = _list_datasets(file, path)
        yield stored


def _list_datasets(file: h5py.File, path: Path) -> dict[str, StoredTensor]:
    stored: dict[str, StoredTensor] = {}
    for dataset in _walk_datasets(file, path):
        name = "/".join(dataset.name.split("/")[-2:]).lstrip("/")
        _require_new(name, stored, path)
        _require_own_numbers(name, dataset, path)
        load = functools.partial(_read_dataset, dataset, path)
        stored[name] = StoredTensor(dataset.shape, load)
    return stored


def _walk_datasets(file: h5py.File, path: Path) -> Iterator[h5py.Dataset]:
    """Yield the data sets of a file; nothing that a link points at is opened."""
    import h5py

    groups: list[Any] = [file]
    addresses = set()
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in addresses:
            raise DataError(f"{path}: refused, as group {group.name} is inside itself")
        addresses.add(address)
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise DataError(f"{path}: refused, as {group.name}/{key} is a link elsewhere")
            child = group[key]
            if isinstance(child, h5py.Dataset):
                yield child
            elif child.name != f"/{_OPTIMIZER_GROUP}":
                groups.append(child)


def _require_own_numbers(name: str, dataset: h5py.Dataset, path: Path) -> None:
    """Raise DataError unless a data set holds numbers, and holds them in this file."""
    _require_numbers(name, dataset.dtype, path)
    if dataset.shape is None:
        raise DataError(f"{path}: entry {name} is empty; get the file again")
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{path}: refused, as entry {name} keeps its numbers in another file")
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(index)[0] for index in range(creation.get_nfilters())}
    if filters - _HARMLESS_FILTERS:
        raise DataError(f"{path}: refused, as entry {name} needs a filter from outside of HDF5")


def _read_dataset(dataset: h5py.Dataset, path: Path) -> Tensor:
    with _explain_damage(path, _KERAS):
        return _to_tensor(np.asarray(dataset[()]))


def _require_new(name: str, stored: Mapping[str, StoredTensor], path: Path) -> None:
    if name in stored:
        raise DataError(f"{path}: holds entry {name} twice; get the file again")


@contextlib.contextmanager
def _explain_damage(path: Path, expectation: str) -> Iterator[None]:
    """Turn whatever a library raises at damaged bytes into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # damaged bytes make them raise nearly anything
        message = (str(error).strip().splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {message}".removesuffix(": ")
        raise DataError(f"{path}: refused ({reason}); expected {expectation}") from error
