"""KPAC's list of arrays: which layer each of them is, and files that are refused.

The order is that of the layers in the authors' program, read and never run; see `kpac_weights`.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark import checkpoints, cli, load_method

Shape = tuple[int, ...]
Arrays = list[NDArray[Any]]


def conv(name: str, ours: str, *shape: int, bias: bool = True) -> list[tuple[str, Shape]]:
    """Return our entries and the shapes there of a layer: filters (H, W, in, out), then a bias.

    In an enlargement the last two are (out, in).
    """
    width = shape[2] if name in ("d0", "d1", "d2") else shape[3]
    filters = (f"{ours}.weight", shape)
    return [filters, (f"{ours}.bias", (width,))] if bias else [filters]


def block(index: int) -> list[tuple[str, Shape]]:
    name = f"blocks.{index}"
    return [
        *conv("dc1", f"{name}.shared", 5, 5, 96, 48, bias=False),
        *conv("sca_dc1", f"{name}.scale_attention.0.0", 5, 5, 96, 32),
        *conv("sca_dc2", f"{name}.scale_attention.1.0", 5, 5, 32, 32),
        *conv("sca_dc3", f"{name}.scale_attention.2.0", 5, 5, 32, 16),
        *conv("sca_dc4", f"{name}.scale_attention.3.0", 5, 5, 16, 16),
        *conv("sca_c2", f"{name}.scale_attention.4", 5, 5, 16, 5),
        *conv("sha_c1", f"{name}.shape_attention.0.0", 1, 1, 96, 12),
        *conv("sha_c2", f"{name}.shape_attention.1", 1, 1, 12, 48),
        *conv("cf", f"{name}.merge.0", 3, 3, 240, 96),
    ]


def list_layers(levels: int, channels: int) -> list[tuple[str, Shape]]:
    """Return our entries in the order of the file, with the shapes there."""
    deepest = conv("c4", "encoder.3.0.1", 3, 3, 96, 96) + conv(
        "c4_2", "encoder.3.1.0", 3, 3, 96, 96
    )
    first_up = conv("d0", "levels.2.up.0", 4, 4, 96, 96) + conv(
        "d0_2", "levels.2.join.0", 3, 3, 192, 96
    )
    return [
        *conv("c0", "encoder.0.0.0", 5, 5, channels, 48),
        *conv("c0_2", "encoder.0.1.0", 3, 3, 48, 48),
        *conv("c2", "encoder.1.0.1", 3, 3, 48, 48),
        *conv("c2_2", "encoder.1.1.0", 3, 3, 48, 48),
        *conv("c3", "encoder.2.0.1", 3, 3, 48, 96),
        *conv("c3_2", "encoder.2.1.0", 3, 3, 96, 96),
        *(deepest if levels == 3 else []),
        *block(0),
        *block(1),
        *conv("cm_1", "merge.0.0", 3, 3, 288, 96),
        *conv("cm_2", "merge.1.0", 3, 3, 96, 96),
        *(first_up if levels == 3 else []),
        *conv("d1", "levels.1.up.0", 4, 4, 48, 96),
        *conv("d1_2", "levels.1.join.0", 3, 3, 96, 48),
        *conv("d2", "levels.0.up.0", 4, 4, 48, 48),
        *conv("d2_2", "levels.0.join", 5, 5, 96, 3),
    ]


FILES = {
    "single_3level": ("kpac-official", 3, 3, 66, 2_057_893),
    "single_2level": ("kpac-official", 2, 3, 58, 1_578_277),
    "dual": ("kpac-d-official", 3, 6, 66, 2_061_493),
}


def draw_arrays(levels: int, channels: int) -> Arrays:
    random = np.random.default_rng(0)
    return [
        0.02 * random.standard_normal(shape, np.float32)
        for _, shape in list_layers(levels, channels)
    ]


class Python2Pickler(pickle._Pickler):
    """Writes bytes as the strings of Python 2."""

    dispatch = {**pickle._Pickler.dispatch}  # noqa: RUF012

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def write_list(path: Path, arrays: list[Any], by_python_2: bool = False) -> Path:
    """Write what `numpy.savez(params=...)` does, of today or of Python 2."""
    array = np.empty(len(arrays), object)
    array[:] = arrays
    if not by_python_2:
        with path.open("wb") as file:
            np.savez(file, params=array)
        return path
    content = io.BytesIO()
    header: dict[str, Any] = {"descr": "|O", "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(content, header)
    Python2Pickler(content, protocol=2).dump(array)
    with zipfile.ZipFile(path, "w") as archive:
        names = content.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        archive.writestr("params.npy", names)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    return tmp_path / "mine"


def run_import(importer: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmark", "import", importer, str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.app_main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("by_python_2", [False, True])
@pytest.mark.parametrize("name", list(FILES))
def test_every_array_becomes_the_weights_of_its_layer(
    name: str, by_python_2: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer, levels, channels, count, parameters = FILES[name]
    arrays = draw_arrays(levels, channels)
    assert (len(arrays), sum(array.size for array in arrays)) == (count, parameters)
    path = write_list(tmp_path / f"{name}.npz", arrays, by_python_2)
    assert run_import(importer, path, monkeypatch) == 0
    text = importer.replace("-official", ".official")
    tensors = checkpoints.load_tensors(folder / f"{text}.safetensors")
    assert len(tensors) == count
    for (entry, _), array in zip(list_layers(levels, channels), arrays, strict=True):
        expected = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        np.testing.assert_array_equal(tensors[entry].numpy(), expected, err_msg=entry)
    picture = np.random.default_rng(1).random((24, 16, 3), np.float32)
    views = (picture, picture[::-1]) if channels == 6 else None
    output = load_method(text).restore(picture, views=views)
    assert output.shape == picture.shape and 0 < np.abs(output - picture).max() < 1


class Trap:
    """Leaves a file behind when it is unpickled with trust."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def replace_array(index: int, value: object) -> Callable[[Arrays], list[Any]]:
    return lambda arrays: [*arrays[:index], value, *arrays[index + 1 :]]


SPOILED: dict[str, tuple[Callable[[Arrays], list[Any]], str]] = {
    "missing": (lambda arrays: arrays[:-1], "missing: array 65"),
    "extra": (lambda arrays: [*arrays, arrays[-1]], "not expected: array 66"),
    "wrong shape": (
        replace_array(52, np.zeros((3, 3, 96, 95), np.float32)),
        "wrong shape: array 52",
    ),
    "wrong type": (replace_array(53, np.zeros(96, np.int32)), "array 53 holds integer numbers"),
    "NaN": (replace_array(53, np.full(96, np.nan, np.float32)), "array 53 holds NaN"),
    "text": (replace_array(53, np.array(["text"])), "which are no numbers"),
    "no array": (replace_array(53, [1.0]), "array 53 is a list"),
    "another network": (lambda arrays: arrays[:3], "missing: array 3"),
}


@pytest.mark.parametrize("kind", list(SPOILED))
def test_a_spoiled_list_is_refused(
    kind: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, message = SPOILED[kind]
    path = write_list(tmp_path / "file.npz", spoil(draw_arrays(3, 3)))
    assert run_import("kpac-official", path, monkeypatch) == 2
    text = capsys.readouterr().err
    assert str(path) in text and message in text
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["code", "truncated", "bomb", "named arrays", "no archive"])
def test_a_file_that_is_no_such_list_is_refused(
    kind: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "file.npz"
    trap = Trap(tmp_path / "trap")
    write_list(path, draw_arrays(3, 3))
    if kind == "code":
        write_list(path, [trap])
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("params.npy", bytes(1 << 24))
    elif kind == "named arrays":
        np.savez(path, a=np.ones(3, np.float32))
    else:
        path.write_bytes(b"not an archive")
    assert run_import("kpac-official", path, monkeypatch) == 2
    assert str(path) in capsys.readouterr().err
    assert not trap.path.exists() and not folder.exists()
