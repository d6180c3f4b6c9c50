"""Networks against outputs of their authors' own programs, through files in the authors' layout:
import, load, restore.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark import checkpoint_import, checkpoints
from benchmark.api import Method, Observation
from benchmark.registry import METHODS, create
from tests.methods.learned.network_vectors import TOLERANCE, VECTORS, measure_difference

METHOD_OF_VECTOR = {
    "ifan_17": ("ifan", ""),
    "ifan_8": ("ifan", ""),
    "ifan_dual": ("ifan-d", ""),
    "drbnet": ("drbnet", ""),
    "drbnet_dual": ("drbnet-d", ""),
    "nrknet_bn_batch": ("nrknet", ""),
    "nrknet_bn_running": ("nrknet", ":bn=running"),
    "iniknet": ("iniknet", ""),
    "restormer": ("restormer", ""),
    "restormer_dual": ("restormer-d", ""),
    "nafnet_64": ("nafnet", ":tlc=false"),
    "lakdnet_s": ("lakdnet", ""),
    "lakdnet_l": ("lakdnet", ""),
    "lakdnet_s_dual": ("lakdnet-d", ""),
    "lakdnet_l_dual": ("lakdnet-d", ""),
}
"""Vector -> its method, and the parameters under which it is that network."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv(checkpoints.VARIABLE, str(folder))
    return folder


def observe(method: Method, inputs: NDArray[np.float32]) -> Observation:
    """Return the observation from which a method makes these inputs, C x H x W."""
    pictures = dict(
        zip(method.expects.views or ("combined",), np.split(inputs, len(inputs) // 3), strict=True)
    )
    pictures = {
        name: np.ascontiguousarray(picture.transpose(1, 2, 0)) for name, picture in pictures.items()
    }
    if "left" not in pictures:
        return Observation(pictures["combined"], order=method.expects.order or "rgb")
    left, right = pictures["left"], pictures["right"]
    return Observation(pictures.get("combined", (left + right) / 2), (left, right))


_LARGE = ("nafnet_64", "lakdnet_l", "lakdnet_l_dual", "lakdnet_s_dual")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in _LARGE else [])
        for name in METHOD_OF_VECTOR
    ],
)
def test_imported_weights_give_the_output_of_the_authors_program(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    method_id, parameters = METHOD_OF_VECTOR[name]
    path = tmp_path / "authors.pth"
    torch.save(
        {"params": {key: torch.from_numpy(value) for key, value in vector.make_weights().items()}},
        path,
    )
    checkpoint_import.import_checkpoint(f"{method_id}-official", path)
    method = create(METHODS, f"{method_id}.official{parameters}")[0]
    method.prepare("cpu")
    inputs, expected = vector.make_input(), vector.load_output().transpose(1, 2, 0)
    if vector.limits[0] < 0:
        output = 2 * method.restore(observe(method, (inputs + 1) / 2)) - 1
    else:
        output = method.restore(observe(method, inputs))
    assert measure_difference(output, expected) < TOLERANCE
