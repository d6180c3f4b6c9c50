"""Outputs of the authors' own programs, and the weights and inputs that they are for.

`vectors/NAME.npz` holds an output (3 x H x W float32), `vectors/keys/KEYS.txt.gz` the names and
shapes of a checkpoint's entries in their order. Weights and inputs follow from them by a rule, so
that only outputs are stored. The entry with index j is `RandomState(j).standard_normal(shape)`,
scaled by the kind of the entry.
"""

from __future__ import annotations

import ast
import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "vectors"
TOLERANCE = 2e-5
"""Of an output's scale, which is its largest absolute value."""

Weights = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class NetworkVector:
    """One network of the authors.

    Attributes:
        name: of the file with the output.
        keys: name of the listing of its entries.
        gain: of the weights of convolutions.
        channels: of the input.
        limits: least and largest value of the input.
    """

    name: str
    keys: str
    gain: float
    channels: int = 3
    limits: tuple[float, float] = (0.0, 1.0)

    def load_output(self) -> NDArray[np.float32]:
        """Return what the authors' program gives, 3 x H x W."""
        with np.load(FOLDER / f"{self.name}.npz") as file:
            output: NDArray[np.float32] = file["output"]
        return output

    def make_input(self) -> NDArray[np.float32]:
        """Return what the authors' program was fed, C x H x W; views in the authors' order."""
        size = (1, self.channels, *self.load_output().shape[1:])
        uniform = np.random.RandomState(1234).uniform(size=size)[0]
        low, high = self.limits
        picture: NDArray[np.float32] = (low + (high - low) * uniform).astype(np.float32)
        return picture

    def make_weights(self) -> Weights:
        """Return the authors' checkpoint: their names, in their order."""
        return {
            name: _draw_entry(index, name, shape, self.gain)
            for index, (name, shape) in enumerate(list_keys(self.keys).items())
        }


_MODERATE = (0.3, 0.7)
_SIGNED = (-0.8, 0.8)
VECTORS = {
    vector.name: vector
    for vector in (
        NetworkVector("ifan_17", "IFAN_17", 0.6, limits=_MODERATE),
        NetworkVector("ifan_8", "IFAN_8", 0.6, limits=_MODERATE),
        NetworkVector("ifan_dual", "IFAN_dual", 0.6, channels=9, limits=_MODERATE),
        NetworkVector("drbnet", "DRBNet", 0.55, limits=_SIGNED),
        NetworkVector("drbnet_dual", "DRBNet_dual", 0.55, channels=9, limits=_SIGNED),
        NetworkVector("nrknet_bn_batch", "NRKNet", 0.8),
        NetworkVector("nrknet_bn_running", "NRKNet", 0.8),
        NetworkVector("iniknet", "INIKNet", 1.0),
        NetworkVector("restormer", "Restormer", 1.0),
        NetworkVector("restormer_dual", "Restormer_dual", 1.0, channels=6),
        NetworkVector("nafnet_64", "NAFNet_64", 0.5),
        NetworkVector("lakdnet_s", "LaKDNet_32", 0.5, limits=_MODERATE),
        NetworkVector("lakdnet_l", "LaKDNet_48", 0.5, limits=_MODERATE),
        NetworkVector("lakdnet_s_dual", "LaKDNet_32_dual", 0.5, channels=9, limits=_MODERATE),
        NetworkVector("lakdnet_l_dual", "LaKDNet_48_dual", 0.5, channels=9, limits=_MODERATE),
    )
}


def list_keys(keys: str) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a checkpoint's entries, in their order."""
    text = gzip.decompress((FOLDER / "keys" / f"{keys}.txt.gz").read_bytes()).decode()
    pairs = (line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: tuple(ast.literal_eval(shape)) for name, shape in pairs}


def measure_difference(output: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """Return the largest difference as a share of the scale of what is expected."""
    return float(np.abs(output - expected).max() / np.abs(expected).max())


def _draw_entry(index: int, name: str, shape: tuple[int, ...], gain: float) -> NDArray[np.generic]:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    random = np.random.RandomState(index)
    normal = random.standard_normal(shape) if shape else random.standard_normal(1)[0]
    return np.asarray(_scale(name, normal, shape, gain), np.float32)


def _scale(
    name: str, normal: NDArray[np.float64], shape: tuple[int, ...], gain: float
) -> NDArray[np.float64]:
    """Return standard normal numbers with the mean and the spread of this kind of entry."""
    special: dict[str, NDArray[np.float64]] = {
        "w0": np.full(shape, 4.0),
        "running_var": 1 + 0.5 * np.abs(normal),
        "running_mean": 0.1 * normal,
        "temperature": 1 + 0.3 * normal,
        ".kernels": normal,
        ".beta": 0.5 * normal,
        ".gamma": 0.5 * normal,
        "F.3.weight": normal / math.sqrt(math.prod(shape[1:])),
        "F.3.bias": 0.3 * normal,
    }
    for ending, values in special.items():
        if name.endswith(ending):
            return values
    if len(shape) >= 2:
        return normal * gain / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.2 * normal if name.endswith("weight") else 0.1 * normal
