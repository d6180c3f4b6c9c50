"""PSFs of real lens designs: size, place, mass, finer sampling; who may use which."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from benchmark.methods.training import camera_examples, scenes
from benchmark.optics import ray_traced
from benchmark.optics.ray_traced import (
    EVALUATION_LENSES,
    IMAGE_HEIGHTS,
    TRAINING_LENSES,
    ray_traced_kernel,
)

ALL = [
    (design, height)
    for design in (*TRAINING_LENSES, *EVALUATION_LENSES)
    for height in IMAGE_HEIGHTS
]


def moments(kernel: np.ndarray) -> tuple[float, float, float]:
    """Return the centroid (y, x) and the mean variance per axis, in pixels."""
    half = len(kernel) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    centre_y, centre_x = (kernel * y).sum(), (kernel * x).sum()
    variance = (kernel * ((y - centre_y) ** 2 + (x - centre_x) ** 2)).sum() / 2
    return centre_y, centre_x, variance


@pytest.mark.parametrize(("design", "height"), ALL)
@pytest.mark.parametrize("sigma", [2.0, 3.37, 40.0])
def test_size_place_and_mass(design: str, height: int, sigma: float) -> None:
    kernel = ray_traced_kernel(design, height, sigma)
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1)
    centre_y, centre_x, variance = moments(kernel)
    assert abs(centre_y) < 0.02 and abs(centre_x) < 0.02
    # The integration over a pixel adds the pixel's own variance. Edges of small PSFs fall anywhere
    # in a pixel.
    expected = sigma**2 + 1 / 12
    assert variance == pytest.approx(expected, rel=1e-3 if sigma > 10 else 0.03)


@pytest.mark.parametrize(("design", "height"), ALL)
def test_a_kernel_is_the_light_of_a_finer_one_pixel_by_pixel(design: str, height: int) -> None:
    fine = ray_traced_kernel(design, height, 9 * 1.7)
    coarse = ray_traced_kernel(design, height, 1.7)
    size = 9 * len(coarse)
    room = (size - len(fine)) // 2
    padded = np.pad(fine, max(0, room))
    if room < 0:
        padded = padded[-room:room, -room:room]
    blocks = padded.reshape(len(coarse), 9, len(coarse), 9).sum(axis=(1, 3))
    assert np.abs(blocks - coarse).max() < 1e-3 * coarse.max() + 1e-5


def test_it_has_the_shape_of_the_ray_tracing() -> None:
    """Resampled by another library, the stored samples give the same picture."""
    samples = np.load(ray_traced._FILE)["summilux-2"].astype(np.float64)
    kernel = ray_traced_kernel("summilux", 2, 5.0)
    y, x = ndimage.center_of_mass(samples)
    variances = [
        (samples * (np.indices(samples.shape)[axis] - centre) ** 2).sum() / samples.sum()
        for axis, centre in enumerate((y, x))
    ]
    spacing = np.sqrt(np.mean(variances) + 1 / 12) / 5.0  # samples a pixel
    half = len(kernel) // 2
    smooth = ndimage.uniform_filter(samples, round(spacing), mode="constant")
    grid = np.mgrid[-half : half + 1, -half : half + 1] * spacing
    other = ndimage.map_coordinates(smooth, [grid[0] + y, grid[1] + x], order=1)
    assert np.corrcoef(other.ravel(), kernel.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("sigma", [0.0, 1e-3])
def test_in_focus_it_is_a_point(sigma: float) -> None:
    assert np.array_equal(ray_traced_kernel("pentax-da", 1, sigma), np.ones((1, 1)))


def test_turns_are_quarter_turns() -> None:
    upright = ray_traced_kernel("summilux", 3, 3.0)
    assert np.allclose(ray_traced_kernel("summilux", 3, 3.0, 1), np.rot90(upright))
    assert not np.allclose(upright, np.rot90(upright), atol=1e-4)


@pytest.mark.parametrize(("design", "height"), [("nikon", 1), ("summilux", 4)])
def test_what_is_not_there_is_named(design: str, height: int) -> None:
    with pytest.raises(ValueError, match=rf"no ray-traced PSF {design}-{height}; there are summ"):
        ray_traced_kernel(design, height, 1.0)


def test_a_size_is_a_finite_number() -> None:
    with pytest.raises(ValueError, match="finite number >= 0"):
        ray_traced_kernel("summilux", 1, -1.0)


def test_training_never_names_the_lens_for_evaluation() -> None:
    assert not set(TRAINING_LENSES) & set(EVALUATION_LENSES)
    assert scenes.LENSES == TRAINING_LENSES
    folder = Path(camera_examples.__file__).parent
    for path in folder.glob("*.py"):
        words = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
        }
        assert not words & set(EVALUATION_LENSES), path.name
        assert not names & {"EVALUATION_LENSES", "EvaluationLens"}, path.name
