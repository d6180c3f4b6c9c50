"""The course of a training as a table and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.methods.training import resume_state


class Row(NamedTuple):
    """The training at one validation.

    Attributes:
        step, pixels, seconds: how far it is.
        train_loss: mean loss since the row before; with several devices, on the first one's part of
            the batches.
        validation_psnr: of the averaged weights, in dB.
        validation_gain: over the blurred pictures, in dB.
    """

    step: int
    pixels: int
    seconds: float
    train_loss: float
    validation_psnr: float
    validation_gain: float


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows; raises DataError if that fails."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(
        (row.step, row.pixels, f"{row.seconds:.1f}", *(f"{value:.6g}" for value in row[3:]))
        for row in rows
    )
    resume_state.write(path, text.getvalue().encode())


def write_figure(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw loss and gain against megapixels; raises DataError if the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    megapixels = [row.pixels / 1e6 for row in rows]
    upper.plot(megapixels, [row.train_loss for row in rows], ".-")
    upper.set(title=title, ylabel="training loss", yscale="log")
    lower.plot(megapixels, [row.validation_gain for row in rows], ".-")
    lower.axhline(0, color="grey", linewidth=0.8)
    lower.set(xlabel="megapixels", ylabel="gain on held-out\npictures (dB)")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    resume_state.write(path, drawn.getvalue())
