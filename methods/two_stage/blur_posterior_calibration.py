"""Measure what sharp photographs look like in the bands of `blur_posterior_spectra`.

    python -m benchmark.methods.two_stage.blur_posterior_calibration --source DIR

writes `blur_posterior.json`, beside this file. DIR holds sharp pictures; the stored constants come
from BSDS500 train.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import imageio
from benchmark.arrays import Float64Array
from benchmark.methods.two_stage import blur_posterior_spectra as spectra
from benchmark.methods.two_stage.cosine import cosine_transform

CONSTANTS = Path(__file__).with_name("blur_posterior.json")
EVERY = 7
"""One cell in so many is used."""
AUDIBLE = 9.0
"""Cells whose energies lie below this multiple of rounding noise, in any band, say nothing about
sharp pictures.
"""


def measure_sharp_spectra(files: list[Path]) -> dict[str, Any]:
    """Return the constants: statistics of the log energies of the bands over cells of sharp
    pictures.

    A cell's level is the mean of its log energies, its shape what is left of them.

    Raises:
        ValueError: without a picture.
    """
    if not files:
        raise ValueError("no pictures to calibrate from")
    log_values = np.concatenate([_log_energies(file) for file in files])
    level = log_values.mean(axis=1)
    shape = log_values - level[:, None]
    mean = level.mean()
    width = level.std()
    off_level = level - mean
    slope = (off_level[:, None] * shape).mean(axis=0) / width**2
    residual = shape - shape.mean(axis=0) - np.outer(off_level, slope)
    return {
        "pictures": len(files),
        "cells": len(log_values),
        "level": round(float(mean), 4),
        "level_width": round(float(width), 4),
        "shape": np.round(shape.mean(axis=0), 4).tolist(),
        "shape_per_level": np.round(slope, 4).tolist(),
        "covariance": np.round(residual.T @ residual / len(residual), 4).tolist(),
    }


def _log_energies(file: Path) -> Float64Array:
    """Return the log energies of cells of a picture that stand out from rounding noise (cells x
    bands).
    """
    picture = spectra.pad_to_cells(imageio.read(file)[0])
    energies = spectra.band_energies(cosine_transform(picture).mean(axis=2))
    inner = energies[2:-2, 2:-2]
    cells = inner.reshape(-1, inner.shape[-1])[::EVERY].astype(np.float64)
    least_energies = AUDIBLE * spectra.ROUNDING / 3 * spectra.white_noise_energies()
    audible = (cells > least_energies).all(axis=1)
    log_values: Float64Array = np.log(cells[audible])
    return log_values


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, help="a folder of sharp pictures (*.jpg, *.png)"
    )
    parser.add_argument("--out", type=Path, default=CONSTANTS)
    arguments = parser.parse_args()
    suffixes = {".jpg", ".png"}
    files = sorted(f for f in arguments.source.iterdir() if f.suffix.lower() in suffixes)
    constants = measure_sharp_spectra(files)
    arguments.out.write_text(json.dumps(constants, indent=1) + "\n")


if __name__ == "__main__":
    main()
