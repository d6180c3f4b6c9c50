"""A method, a data set, a metric and a protocol, as an outside package adds them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from benchmark.api import (
    Dataset,
    DatasetCard,
    Method,
    MethodCard,
    Metric,
    MetricCard,
    Observation,
    Picture,
    Sample,
)
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.metrics.tracks import Track


class Laplacian(Method):
    """Sharpen by subtracting the Laplacian: the parameter is typed, checked, and part of the id."""

    card = MethodCard(title="Laplacian sharpening", family="baseline")
    version = "1"  # raise it whenever the results may change

    def __init__(self, *, strength: Annotated[float, Gt(0)] = 0.2) -> None:
        self._strength = strength

    def restore(self, observation: Observation) -> Picture:
        image = observation.image
        detail = cv2.Laplacian(image, cv2.CV_32F, borderType=cv2.BORDER_REFLECT_101)
        return image - np.float32(self._strength) * detail.reshape(image.shape)


class Gradients(Dataset):
    """Generated edges, blurred by a box: a data set needs ids, samples and fingerprints."""

    card = DatasetCard(
        title="Gradients",
        paper="",
        licence="CC0",
        source="generated",
        layout="(generated, no files)",
        count=3,
    )

    def __init__(self, root: Path, *, size: Annotated[int, Gt(8)] = 48) -> None:
        self._size = size  # `root` is the data root; this data set has no files

    def ids(self) -> Sequence[str]:
        return ["vertical", "horizontal", "diagonal"]

    def load(self, sample_id: str) -> Sample:
        y, x = np.mgrid[: self._size, : self._size]
        edge = {"vertical": x, "horizontal": y, "diagonal": (x + y) / 2}[sample_id] > self._size / 2
        target = np.repeat(edge.astype(np.float32)[..., None], 3, axis=2)
        return Sample(id=sample_id, image=cv2.blur(target, (5, 5)), target=target)

    def fingerprint(self, sample_id: str) -> str:
        return hashlib.sha256(f"gradients 1 {sample_id} {self._size}".encode()).hexdigest()


class WorstError(Metric):
    """The largest absolute error of any channel of any pixel."""

    card = MetricCard(title="worst error", higher_is_better=False)

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        return float(np.abs(np.asarray(output, np.float64) - target).max())


WORST_CASE = Protocol(
    id="worst-case",
    title="largest error after clamping",
    source="this example",
    version="1",
    tracks=(Track("u8"),),
    measures=(
        Measure("worst", "worst", clamp=True, round8=False),
        Measure("psnr", "psnr", clamp=True, round8=False),
    ),
    slices=MappingProxyType({}),
)
