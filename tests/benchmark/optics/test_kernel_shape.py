"""The shape of a kernel from a file, stretched to any sigma, beside families in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.api import DataError
from benchmark.arrays import Float64Array
from benchmark.optics.kernel_files import measure_kernel_sigma
from benchmark.optics.kernel_shape import KernelShape, read_kernel_shape, sized_kernel
from benchmark.optics.psf import (
    disk_kernel,
    embed_kernel,
    gaussian_kernel,
    polygon_circumradius,
    polygon_kernel,
)
from benchmark.optics.varying import VaryingBlur


def read_shape(folder: Path, kernel: Float64Array) -> KernelShape:
    np.save(folder / "kernel.npy", kernel)
    return read_kernel_shape(folder / "kernel.npy")


def measure_distance(kernel: Float64Array, other: Float64Array) -> float:
    """Return the L1 norm of the difference of two kernels, each of sum 1: at most 2."""
    size = max(len(kernel), len(other))
    return float(np.abs(embed_kernel(kernel, size) - embed_kernel(other, size)).sum())


@pytest.mark.parametrize("radius", [3.0, 8.0, 30.0])
def test_at_its_own_size_a_shape_is_the_file(tmp_path: Path, radius: float) -> None:
    kernel = disk_kernel(radius)
    shape = read_shape(tmp_path, 7 * kernel)
    np.testing.assert_allclose(shape.kernel(shape.own_sigma), kernel, atol=1e-12)
    assert shape.own_sigma == pytest.approx(radius / 2, rel=0.01)


@pytest.mark.parametrize(
    ("radius", "tolerance"), [(3.0, 0.22), (8.0, 0.065), (15.0, 0.015), (30.0, 0.006)]
)
def test_a_disk_is_a_disk_at_any_size(tmp_path: Path, radius: float, tolerance: float) -> None:
    shape = read_shape(tmp_path, disk_kernel(radius))
    for sigma in (0.1, 0.7, 1.0, 1.5, 2.3, 4.0, 8.0):
        assert measure_distance(shape.kernel(sigma), disk_kernel(2 * sigma)) < tolerance


def test_gaussians_and_hexagons_are_too(tmp_path: Path) -> None:
    gaussian = read_shape(tmp_path, gaussian_kernel(5.0))
    assert measure_distance(gaussian.kernel(2.0), gaussian_kernel(2.0)) < 0.001
    hexagon = read_shape(tmp_path, polygon_kernel(30.0, 6))
    expected = polygon_kernel(polygon_circumradius(3.0, 6), 6)
    assert measure_distance(hexagon.kernel(3.0), expected) < 0.005
    assert measure_distance(hexagon.kernel(3.0), disk_kernel(6.0)) > 0.05  # no mere disk


def test_a_kernel_has_the_sigma_it_is_asked_for(tmp_path: Path) -> None:
    shape = read_shape(tmp_path, polygon_kernel(20.0, 5))
    for sigma in (1.5, 3.0, 6.0):
        kernel = shape.kernel(sigma)
        assert measure_kernel_sigma(kernel) ** 2 == pytest.approx(sigma**2 + 1 / 12, rel=0.01)
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_array_equal(kernel, kernel[::-1])
        np.testing.assert_array_equal(kernel, kernel[:, ::-1])
    np.testing.assert_array_equal(shape.kernel(0.0), np.ones((1, 1)))
    with pytest.raises(ValueError, match="finite number >= 0"):
        shape.kernel(-1.0)


def test_where_the_file_holds_the_kernel_does_not_matter(tmp_path: Path) -> None:
    kernel = disk_kernel(10.0)
    centred = read_shape(tmp_path, kernel)
    shifted = read_shape(tmp_path, np.pad(kernel, ((0, 7), (4, 0))))
    np.testing.assert_allclose(shifted.kernel(2.0), centred.kernel(2.0), atol=1e-9)


def test_equal_files_are_equal_shapes(tmp_path: Path) -> None:
    one, same = (read_shape(tmp_path, disk_kernel(4.0)) for _ in range(2))
    other = read_shape(tmp_path, disk_kernel(5.0))
    assert one == same and hash(one) == hash(same) and one != other
    assert one.kernel(3.0) is same.kernel(3.0)  # computed once
    assert sized_kernel(one, 3.0) is one.kernel(3.0)
    np.testing.assert_array_equal(sized_kernel("disk", 3.0), disk_kernel(6.0))


def test_what_has_no_shape_or_two_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"kernel\.npy: holds a kernel of sigma 0 pixels"):
        read_shape(tmp_path, np.pad(np.ones((1, 1)), 4))
    with pytest.raises(DataError, match=r"kernel\.npy: \d+% of the kernel's light lies elsewhere"):
        read_shape(tmp_path, np.eye(15))
    assert read_shape(tmp_path, polygon_kernel(12.0, 5)).asymmetry == pytest.approx(0.05, abs=0.02)


def test_the_operator_of_a_shape_is_that_of_its_family_and_has_an_adjoint(tmp_path: Path) -> None:
    shape = read_shape(tmp_path, disk_kernel(150.0))
    generator = np.random.default_rng(0)
    x, z = generator.random((2, 90, 110, 3)).astype(np.float32)
    blur_map = np.linspace(0, 5, 90 * 110, dtype=np.float32).reshape(90, 110)
    blur, disk = VaryingBlur(blur_map, shape), VaryingBlur(blur_map, "disk")
    np.testing.assert_allclose(blur.forward(x), disk.forward(x), atol=2e-4)
    inner = np.vdot(blur.forward(x).astype(np.float64), z)
    assert np.vdot(x, blur.adjoint(z).astype(np.float64)) == pytest.approx(inner, rel=1e-6)
