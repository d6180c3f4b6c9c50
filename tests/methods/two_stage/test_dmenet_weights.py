"""The importer of DMENet, against the program written down by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark import checkpoint_import, checkpoints
from benchmark.api import DataError, GoldenPicture, Observation
from benchmark.controls import ControlSettings, check_controls
from benchmark.methods.learned.networks import dmenet
from benchmark.methods.two_stage.dmenet_weights import DmeNetOfficial
from benchmark.registry import METHODS, create
from tests.methods import tensorlayer_dmenet
from tests.methods.foreign_files import write_npz

ENCODER = (4, 6, 8, 10, 12)
DECODER = (8, 6, 4, 4)
FOREIGN = (
    "main_net/defocus_net/decoder/u3_aux/c1/kernel:0",
    "main_net/defocus_net/decoder/u0_aux/b2/beta:0",
    "main_net/defocus_net/encoder/conv6_1/kernel:0",
    "main_net/defocus_net/encoder/c_logits_1/bias:0",
    "main_net/binary_net/c1/kernel:0",
    "discriminator/feature/h0/kernel:0",
)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of few features."""
    monkeypatch.setattr(dmenet, "ENCODER", tuple(zip(ENCODER, (2, 2, 4, 4, 4), strict=True)))
    monkeypatch.setattr(dmenet, "DECODER", tuple(zip(DECODER, (3, 3, 3, 1), strict=True)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "mine"))
    return tmp_path / "mine"


def check_map(
    arrays: dict[str, NDArray[np.float32]], stored: dict[str, NDArray[np.float32]], path: Path
) -> None:
    """Import `stored`, and compare the map with that of the program with `arrays`."""
    write_npz(path, stored)
    checkpoint_import.import_checkpoint("dmenet-official", path)
    method = create(METHODS, "dmenet.official")[0]
    method.prepare("cpu")
    picture = np.random.default_rng(2).random((32, 48, 3), np.float32)
    defocus = tensorlayer_dmenet.Program(arrays)(picture)
    expected = np.maximum((15 * defocus - 1) / 2, 0)
    assert expected.std() > 0.01
    blur_map = method.estimate_blur(Observation(picture))
    np.testing.assert_allclose(blur_map, expected, atol=2e-3)


@pytest.mark.usefixtures("narrow")
def test_an_imported_network_makes_the_map_of_the_program(tmp_path: Path) -> None:
    arrays = tensorlayer_dmenet.draw_arrays(ENCODER, DECODER)
    check_map(arrays, arrays, tmp_path / "weights.npz")


@pytest.mark.usefixtures("narrow")
def test_foreign_parts_and_another_prefix_make_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = tensorlayer_dmenet.draw_arrays(ENCODER, DECODER)
    foreign = {name: np.ones((2, 3), np.float32) for name in FOREIGN}
    check_map(arrays, arrays | foreign, tmp_path / "weights.npz")
    assert "left out 6 entries" in capsys.readouterr().err
    renamed = {name.replace("main_net/defocus_net", "net"): value for name, value in arrays.items()}
    (tmp_path / "mine" / "dmenet.official.safetensors").unlink()
    check_map(arrays, renamed, tmp_path / "renamed.npz")


@pytest.mark.usefixtures("narrow")
def test_the_leaves_of_an_older_tensorlayer_are_read(tmp_path: Path) -> None:
    arrays = tensorlayer_dmenet.draw_arrays(ENCODER, DECODER)
    old = {
        name.replace("kernel:0", "W_conv2d:0").replace("bias:0", "b_conv2d:0"): value
        for name, value in arrays.items()
    }
    check_map(arrays, old, tmp_path / "weights.npz")


@pytest.mark.slow
def test_a_file_of_full_size_makes_the_map_of_the_program(tmp_path: Path) -> None:
    arrays = tensorlayer_dmenet.draw_arrays()
    trained = sum(value.size for name, value in arrays.items() if "moving_" not in name)
    assert trained == 25_349_025
    check_map(arrays, arrays, tmp_path / "weights.npz")


@pytest.mark.usefixtures("narrow")
def test_a_foreign_part_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    arrays = tensorlayer_dmenet.draw_arrays(ENCODER, DECODER)
    name = "main_net/defocus_net/decoder/u5/c1/kernel:0"
    write_npz(tmp_path / "weights.npz", arrays | {name: np.ones(2, np.float32)})
    with pytest.raises(DataError, match=f"not expected: {name}"):
        checkpoint_import.import_checkpoint("dmenet-official", tmp_path / "weights.npz")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("share", "answer"), [(1.0, "reproduces"), (0.5, "differs from")])
def test_a_golden_map_is_made_again(share: float, answer: str, tmp_path: Path) -> None:
    """The authors cut pictures to multiples of 16 at the bottom; their maps are 8-bit grey."""
    arrays = tensorlayer_dmenet.draw_arrays(ENCODER, DECODER)
    write_npz(tmp_path / "weights.npz", arrays)
    checkpoint_import.import_checkpoint("dmenet-official", tmp_path / "weights.npz")
    [golden] = DmeNetOfficial.card.expected
    assert isinstance(golden, GoldenPicture)
    picture = np.random.default_rng(2).integers(0, 256, (43, 48, 3), np.uint8)
    for name in (golden.input, golden.output):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / golden.input).write_bytes(cv2.imencode(".png", picture[..., ::-1])[1])
    defocus = tensorlayer_dmenet.Program(arrays)(picture[:32] / 255)
    grey = np.rint(255 * share * defocus)
    (tmp_path / golden.output).write_bytes(cv2.imencode(".png", grey.astype(np.uint8))[1])
    [verdict] = check_controls("dmenet.official", ControlSettings(data=tmp_path)).verdicts
    assert verdict.text.startswith(f"{answer} {golden.output} by ")
