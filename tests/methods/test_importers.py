"""Every importer: ten spoiled files each, which the command `import` refuses by name."""

from __future__ import annotations

import io
import pickle
import re
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark import checkpoints, cli
from benchmark.registry import IMPORTERS
from tests.methods import keras_dpdnet, tensorlayer_dmenet
from tests.methods.foreign_files import write_keras, write_npz, write_torch, zeros
from tests.methods.learned.network_vectors import list_keys
from tests.methods.learned.test_gkmnet_weights import entries as gkmnet_entries

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Layout:
    """A file in the authors' layout: how it is written, what it holds, and two of its names."""

    write: Callable[[Path, Any], None]
    shapes: dict[str, tuple[int, ...]]
    kernel: str
    bias: str


_DPDNET_NAMES = ("conv2d_5/kernel:0", "conv2d_24/bias:0")
_PIXEL_UNET_NAMES = ("encoder_level1.0.ffn.project_in.weight", "encoder_level1.0.norm1.body.bias")
_NAFNET_NAMES = ("encoders.1.0.conv1.weight", "ending.bias")
_LEAKY_UNET_NAMES = ("conv3_1.0.weight", "upconv2_2.stem.0.2.bias")
_NRKNET_NAMES = ("Encoder.1.layers.0.main.1.main.0.weight", "APU.conv.main.1.bias")
_INIKNET_NAMES = (
    "lstms_basis_select.left2right.cell.conv.weight",
    "inr_conv.kernelINR_list.3.layers.2.bias",
)
_DMENET_NAMES = (
    "main_net/defocus_net/decoder/u2/c1/kernel:0",
    "main_net/defocus_net/decoder/u0/b_res6/beta:0",
)
LAYOUTS = {
    "dpdnet-s-official": Layout(write_keras, keras_dpdnet.list_shapes(3), *_DPDNET_NAMES),
    "dpdnet-d-official": Layout(write_keras, keras_dpdnet.list_shapes(6), *_DPDNET_NAMES),
    "dpdnet-s-lfdof": Layout(write_keras, keras_dpdnet.list_shapes(3), *_DPDNET_NAMES),
    "dmenet-official": Layout(write_npz, tensorlayer_dmenet.list_shapes(), *_DMENET_NAMES),
    "gkmnet-official": Layout(
        write_torch,
        dict(gkmnet_entries()),
        "conv_block1_1.conv.0.weight",
        "conv_block4_1.conv.1.bias",
    ),
    "restormer-official": Layout(write_torch, list_keys("Restormer"), *_PIXEL_UNET_NAMES),
    "restormer-d-official": Layout(write_torch, list_keys("Restormer_dual"), *_PIXEL_UNET_NAMES),
    "nafnet-official": Layout(write_torch, list_keys("NAFNet_32"), *_NAFNET_NAMES),
    "lakdnet-official": Layout(write_torch, list_keys("LaKDNet_32"), *_PIXEL_UNET_NAMES),
    "lakdnet-lfdof": Layout(write_torch, list_keys("LaKDNet_32"), *_PIXEL_UNET_NAMES),
    "lakdnet-lfdof-dpd": Layout(write_torch, list_keys("LaKDNet_32"), *_PIXEL_UNET_NAMES),
    "lakdnet-d-official": Layout(write_torch, list_keys("LaKDNet_32_dual"), *_PIXEL_UNET_NAMES),
    "ifan-official": Layout(write_torch, list_keys("IFAN_8"), *_LEAKY_UNET_NAMES),
    "ifan-16bit": Layout(write_torch, list_keys("IFAN_17"), *_LEAKY_UNET_NAMES),
    "ifan-d-official": Layout(write_torch, list_keys("IFAN_dual"), *_LEAKY_UNET_NAMES),
    "drbnet-official": Layout(write_torch, list_keys("DRBNet"), *_LEAKY_UNET_NAMES),
    "drbnet-d-official": Layout(write_torch, list_keys("DRBNet_dual"), *_LEAKY_UNET_NAMES),
    "nrknet-official": Layout(write_torch, list_keys("NRKNet"), *_NRKNET_NAMES),
    "nrknet-lfdof": Layout(write_torch, list_keys("NRKNet"), *_NRKNET_NAMES),
    "iniknet-official": Layout(write_torch, list_keys("INIKNet"), *_INIKNET_NAMES),
}
_LARGE = ("ifan", "drbnet", "nrknet", "restormer", "nafnet", "lakdnet")


class Trap:
    """Leaves a file behind when it is unpickled with trust."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith(_LARGE) else [])
        for name in LAYOUTS
    ]
)
def importer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def refuse(
    importer: str,
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Import a file that must be refused, and return what is said."""

    def import_spoiled(path: Path, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmark", "import", importer, str(path)])
        with pytest.raises(SystemExit) as ended:
            cli.app_main()
        text = capsys.readouterr().err
        assert ended.value.code == 2 and not folder.exists()
        assert str(path) in text and [word for word in words if word not in text] == []
        return text

    return import_spoiled


def fill(importer: str) -> Arrays:
    arrays: Arrays = dict(zeros(LAYOUTS[importer].shapes))
    counters = [name for name in arrays if "num_batches" in name]
    return arrays | {name: np.zeros((), np.int64) for name in counters}


def write(importer: str, path: Path, arrays: Arrays) -> Path:
    LAYOUTS[importer].write(path, arrays)
    return path


def test_a_card_says_that_no_released_file_was_read(importer: str) -> None:
    card = IMPORTERS.get(importer).card
    assert "Layout not verified against a released file" in card.notes
    assert card.expects is not None


def test_missing_and_further_entries_are_named(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    layout = LAYOUTS[importer]
    arrays = fill(importer)
    del arrays[layout.bias]
    head, separator, tail = re.split(r"([./])", layout.kernel, maxsplit=1)
    extra = f"{head}9{separator}{tail}"
    arrays[extra] = np.zeros((3, 3), np.float32)
    text = refuse(write(importer, tmp_path / "file", arrays))
    lines = [line.strip() for line in text.splitlines() if ": " in line and line.startswith("  ")]
    assert lines == [f"missing: {layout.bias}", f"not expected: {extra}"]


def test_a_wrong_shape_is_named(importer: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
    layout = LAYOUTS[importer]
    shape = layout.shapes[layout.kernel]
    turned = shape[::-1]
    arrays = fill(importer) | {layout.kernel: np.zeros(turned, np.float32)}
    refuse(
        write(importer, tmp_path / "file", arrays),
        f"wrong shape: {layout.kernel} is {turned}, expected {shape}",
    )


def test_a_wrong_type_is_named(importer: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
    layout = LAYOUTS[importer]
    arrays = fill(importer)
    arrays[layout.bias] = np.ones(arrays[layout.bias].shape, np.int32)
    refuse(
        write(importer, tmp_path / "file", arrays),
        f"{layout.bias} holds integer numbers, expected floating-point ones",
    )


def test_a_value_that_is_no_number_is_named(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    layout = LAYOUTS[importer]
    arrays = fill(importer)
    arrays[layout.bias] = np.full(arrays[layout.bias].shape, np.nan, np.float32)
    refuse(
        write(importer, tmp_path / "file", arrays), f"{layout.bias} holds NaN or infinite values"
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_is_refused(
    importer: str, share: float, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    layout = LAYOUTS[importer]
    arrays = fill(importer)
    arrays[layout.kernel] = np.ones(layout.shapes[layout.kernel], np.float32)
    path = write(importer, tmp_path / "file", arrays)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refuse(path, "expected")


def test_pickled_code_is_not_run(importer: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
    layout = LAYOUTS[importer]
    path = tmp_path / "file"
    trap = Trap(tmp_path / "trap")
    arrays = fill(importer)
    if layout.write is write_npz:
        write_npz(path, arrays | {layout.bias: np.array([trap, None])})
        refuse(path, layout.bias, "pickled objects")
    elif layout.write is write_torch:
        torch.save({layout.bias: trap}, path)
        refuse(path, "expected a state dict")
    else:
        path.write_bytes(pickle.dumps(trap))
        refuse(path, "expected a file of weights as Keras writes it")
    assert not trap.path.exists()


def test_a_file_that_would_fill_the_memory_is_refused(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    path = tmp_path / "file"
    size = write_bomb(importer, path)
    assert path.stat().st_size < size / 50
    tracemalloc.start()
    text = refuse(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4
    assert LAYOUTS[importer].kernel in text or "would unpack to" in text


def write_bomb(importer: str, path: Path) -> int:
    """Write a small file that unpacks to the number of bytes returned."""
    layout = LAYOUTS[importer]
    shape = (1 << 13, 1 << 13)
    bomb = {layout.kernel: np.broadcast_to(np.zeros((), np.float32), shape)}
    if layout.write is write_torch:
        buffer = io.BytesIO()
        torch.save({layout.kernel: torch.zeros(shape)}, buffer)
        with (
            zipfile.ZipFile(buffer) as plain,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
        ):
            for member in plain.namelist():
                packed.writestr(member, plain.read(member))
    elif layout.write is write_npz:
        write_npz(path, fill(importer) | bomb)
    else:
        write_keras(
            path, {name: value for name, value in fill(importer).items() if name not in bomb}
        )
        with h5py.File(path, "a") as file:
            layer = layout.kernel.partition("/")[0]
            file.create_dataset(
                f"model_weights/{layer}/{layout.kernel}", shape, "f4", compression="gzip"
            )
    return 4 << 26


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_what_lies_in_another_place_is_not_opened(
    importer: str, kind: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    path = tmp_path / "file"
    other = tmp_path / "secret.hdf5"
    with h5py.File(other, "w") as file:
        file["numbers"] = np.ones(3, np.float32)
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights/conv2d_24/conv2d_24")
        if kind == "external link":
            group["bias:0"] = h5py.ExternalLink(str(other), "/numbers")
        elif kind == "soft link":
            group["bias:0"] = h5py.SoftLink("/model_weights")
        elif kind == "external storage":
            group.create_dataset("bias:0", (3,), "f4", external=[(str(other), 0, 12)])
        else:
            layout = h5py.VirtualLayout((3,), "f4")
            layout[...] = h5py.VirtualSource(str(other), "numbers", (3,))
            group.create_virtual_dataset("bias:0", layout)
    text = refuse(path, "refused")
    if LAYOUTS[importer].write is write_keras:
        assert "bias:0" in text and ("is a link elsewhere" in text or "another file" in text)


def test_the_weights_of_another_network_are_refused(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    layout = LAYOUTS[importer]
    separator = "." if layout.write is write_torch else "/"
    other = {f"other{separator}kernel": np.zeros((3, 3), np.float32)}
    text = refuse(
        write(importer, tmp_path / "file", other), f"not expected: other{separator}kernel"
    )
    assert text.count("missing: ") == len(fill(importer))
    assert f"missing: {layout.bias.removeprefix(tensorlayer_dmenet.PREFIX)}" in text


def test_another_format_is_refused(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    for number, write_file in enumerate((write_torch, write_npz, write_keras)):
        if write_file is not LAYOUTS[importer].write:
            path = tmp_path / f"file{number}"
            write_file(path, {"a/b:0": np.ones(2, np.float32)})
            refuse(path, "expected")


def test_a_file_of_numbers_and_text_is_refused(
    importer: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    layout = LAYOUTS[importer]
    if layout.write is write_torch:
        pytest.skip("a tensor holds no text")
    path = write(importer, tmp_path / "file", fill(importer) | {layout.bias: np.array([b"text"])})
    refuse(path, layout.bias, "not numbers")
