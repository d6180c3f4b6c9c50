"""How well a method leaves alone what is in focus already."""

from __future__ import annotations

from benchmark.api import MetricCard
from benchmark.metrics.psnr import Psnr


class Keep(Psnr):
    """PSNR of the output against the input, over the pixels that are in focus.

    A method that sharpens what is sharp, adds grain there or shifts its colours scores low; one
    that does nothing has 100 dB. Removing noise lowers it too, for the input is what was shown.
    """

    card = MetricCard(
        title="keep",
        unit="dB",
        paper="PSNR against the input where it is in focus, capped at 100 dB",
        digits=1,
        reference="input",
        part="in focus",
    )
