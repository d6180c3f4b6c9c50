"""How much better a part of a picture has become, from its sharp quarter to its blurred one.

A mean over the picture hides that a method restores what is blurred and spoils what was sharp. So
each part is measured by itself, and always as a gain over the input: parts of one picture differ in
texture, and their plain scores say more about that than about methods.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.api import BlurPart, MetricCard
from benchmark.metrics.lpips import Lpips
from benchmark.metrics.psnr import PSNR_CAP, Psnr

PartName = Literal["sharp", "middle", "blurred"]
PARTS: Mapping[PartName, BlurPart] = {
    "sharp": "sharp quarter",
    "middle": "middle half",
    "blurred": "blurred quarter",
}
"""What ids call the parts."""
TILE = 256
"""Side in pixels of the tiles that LPIPS is computed on: its network sees no single pixels."""


class PsnrGain(Psnr):
    """PSNR of the output less PSNR of the input over the pixels of a part; negative is harm."""

    card = MetricCard(
        title="PSNR gain",
        unit="dB",
        paper="10 log10(MSE of the input / MSE of the output), over a part of the pixels",
        digits=2,
        limits=(-PSNR_CAP, PSNR_CAP),
        part="sharp quarter",
        gain=True,
    )

    def __init__(self, *, part: PartName = "sharp") -> None:
        """Choose the part; the card of the instance names it."""
        self.card = dataclasses.replace(PsnrGain.card, part=PARTS[part], title=f"gain {part}")


class LpipsGain(Lpips):
    """How much LPIPS of the input exceeds that of the output, on the tiles of a part; negative is
    harm.
    """

    card = MetricCard(
        title="LPIPS gain",
        paper=f"{Lpips.card.paper}; mean over tiles of {TILE} px, input less output",
        digits=3,
        part="sharp quarter",
        tile=TILE,
        gain=True,
    )

    def __init__(self, *, part: PartName = "sharp") -> None:
        """Choose the part; the card of the instance names it."""
        super().__init__()
        self.card = dataclasses.replace(
            LpipsGain.card, part=PARTS[part], title=f"{LpipsGain.card.title} {part}"
        )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return minus the distance, so that more is better; raises as `Lpips` does."""
        return -super().__call__(output, target)
