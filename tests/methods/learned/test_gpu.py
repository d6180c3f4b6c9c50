"""Networks on a GPU: the results of the CPU, in single precision and under autocast.

No machine that made this suite's results had one; where there is one these tests run by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import checkpoints
from benchmark.api import Observation, Picture
from benchmark.registry import METHODS, create
from tests.methods.random_weights import draw

NAMES = (
    "restormer", "restormer-d", "nafnet", "lakdnet", "lakdnet-d", "ifan", "ifan-d", "drbnet",
    "drbnet-d", "nrknet", "iniknet", "kpac", "kpac-d", "gkmnet", "srn", "dpdnet-s", "attnet",
)  # fmt: skip
SINGLE_TOLERANCE = 1e-3
"""Largest difference, in units of the largest value of the result."""
BF16_TOLERANCE = 0.05
"""The same in bfloat16, whose numbers have 8 bits; 0.02 is the most on a CPU."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def whole_single_precision() -> Iterator[None]:
    """Convolutions and products in all bits of single precision; by itself cuDNN takes TF32, which
    has 10, and a difference would say nothing about the networks.
    """
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


def restore(name: str, precision: str, device: str) -> Picture:
    """Return what a network at drawn weights makes of a picture of noise and edges."""
    generator = np.random.default_rng(0)
    picture = generator.random((64, 80, 3), np.float32) * 0.2
    picture[:, 40:] += 0.6
    method, _ = create(METHODS, f"{name}.drawn:precision={precision}")
    method.prepare(device)
    return method.restore(Observation(picture, (picture, picture)))


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_results_of_the_cpu(name: str, folder: Path) -> None:
    draw(folder, name)
    expected = restore(name, "32", "cpu")
    output = restore(name, "32", "cuda")
    assert np.abs(output - expected).max() <= SINGLE_TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_in_bfloat16_stays_near_them(name: str, folder: Path) -> None:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU does not multiply bfloat16")
    draw(folder, name)
    expected = restore(name, "32", "cpu")
    output = restore(name, "bf16", "cuda")
    assert np.isfinite(output).all()
    assert np.abs(output - expected).max() <= BF16_TOLERANCE * np.abs(expected).max()
