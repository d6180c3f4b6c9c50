"""The examples of programs as methods do what they say, where their tools are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from benchmark.api import Observation
from benchmark.methods.program import Program

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURE = np.random.default_rng(0).uniform(0, 1, (37, 52, 3)).astype(np.float32)


def sharpen(picture: np.ndarray) -> np.ndarray:
    """Unsharp masking by SciPy: Gaussian of sigma 2, renormalised beyond the border."""

    def blur(array: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(array, (2, 2, 0), mode="constant", truncate=4.0)

    levels = np.rint(picture.astype(np.float64) * 65535) / 65535
    return np.clip(2 * levels - blur(levels) / blur(np.ones_like(levels)), 0, 1)


def check(file: Path) -> None:
    output = Program(file=file).restore(Observation(PICTURE, bit_depth=16))
    np.testing.assert_allclose(output, sharpen(PICTURE), atol=1.01 / 65535)


def test_the_compiled_example(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path / "program"
    shutil.copytree(EXAMPLES / "compiled_program", folder)
    command = [compiler, "-O2", "-Wall", "-Werror", "-o", "restore", "restore.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    check(folder / "compiled.toml")


def test_the_octave_example() -> None:
    if shutil.which("octave-cli") is None:
        pytest.skip("no GNU Octave here")
    check(EXAMPLES / "octave_program" / "octave.toml")
