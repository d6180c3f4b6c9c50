"""Files of weights in the layouts of other programs, written by hand for tests of importers."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


def write_torch(path: Path, arrays: Arrays) -> None:
    """Write a plain state dict."""
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}, path)


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write named arrays, compressed; names may hold any character, as TensorFlow's do. Arrays of
    objects are pickled.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=True)


def write_keras(path: Path, arrays: Arrays, folder: str = "model_weights") -> None:
    """Write LAYER/WEIGHT arrays as Keras nests them: FOLDER/LAYER/LAYER/WEIGHT, with what a whole
    model has beside them. Arrays that are zero take no room.
    """
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_dataset("optimizer_weights/Adam/iterations:0", data=np.int64(3))
        group = file.require_group(folder)
        group.attrs["layer_names"] = [name.partition("/")[0].encode() for name in arrays]
        for name, value in arrays.items():
            layer = name.partition("/")[0]
            dataset = group.create_dataset(f"{layer}/{name}", value.shape, value.dtype)
            if np.any(value):
                dataset[...] = value


def zeros(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return arrays of these shapes that take no memory."""
    return {
        name: np.broadcast_to(np.zeros((), np.float32), shape) for name, shape in shapes.items()
    }
