"""How well a method leaves alone what is sharp already."""

from __future__ import annotations

import dataclasses
from typing import Literal

from benchmark.api import MetricCard
from benchmark.metrics.psnr import PSNR_CAP, Psnr


class Keep(Psnr):
    """PSNR of the output against the input, over the pixels that are in focus.

    A method that sharpens what is sharp, adds grain there or shifts its colours scores low; one
    that does nothing has 100 dB. Removing noise lowers it too, for the input is what was shown.

    Args:
        part: `focus`: what the data set says is in focus; `sharp`: the sharp quarter
            (`benchmark.metrics.blur_order`), for data sets that do not say. Where even that is
            blurred, restoring it lowers the score.
    """

    card = MetricCard(
        title="keep",
        unit="dB",
        paper="PSNR against the input where it is in focus, capped at 100 dB",
        digits=1,
        limits=(0, PSNR_CAP),
        reference="input",
        part="in focus",
    )

    def __init__(self, *, part: Literal["focus", "sharp"] = "focus") -> None:
        """Choose the pixels; the card of the instance names those that the data set does not."""
        if part == "sharp":
            self.card = dataclasses.replace(
                Keep.card,
                title="keep sharp",
                paper="PSNR against the input over its sharp quarter, capped at 100 dB",
                part="sharp quarter",
            )
