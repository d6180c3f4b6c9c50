"""Kernels of a user's own: read from files, refused by name, and applied as scipy does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.ndimage

from benchmark import imageio
from benchmark.api import DataError
from benchmark.optics.kernel_files import convolve_light, measure_kernel_sigma, read_kernel
from benchmark.optics.psf import gaussian_kernel

RAMP = np.arange(1, 16, dtype=np.float64).reshape(3, 5)


def write_kernel(path: Path, values: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"kernel": values, "gamma": 2.2})
    else:
        grey = (values / 255).astype(np.float32)
        imageio.write(path, np.repeat(grey[..., None], 3, axis=2), 8)


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".png", ".tif"])
def test_a_kernel_is_read_from_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    write_kernel(tmp_path / f"kernel{suffix}", RAMP)
    kernel = read_kernel(tmp_path / f"kernel{suffix}")
    assert kernel.shape == (5, 5) and kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel[1:4], RAMP / RAMP.sum(), rtol=1e-6)
    assert not kernel[[0, 4]].any()


def test_an_even_side_gets_a_line_behind_it(tmp_path: Path) -> None:
    np.save(tmp_path / "even.npy", np.ones((2, 2)))
    kernel = read_kernel(tmp_path / "even.npy")
    np.testing.assert_array_equal(kernel, np.pad(np.full((2, 2), 0.25), (0, 1)))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((3, 3)), "nothing but zeros"),
        (np.array([[1.0, -0.1]]), "negative"),
        (np.array([[1.0, np.nan]]), "not finite"),
        (np.ones((2, 2, 3)), "not one matrix"),
        (np.ones((2, 2), complex), "not one matrix"),
        (np.ones((1, 1002)), "larger than 1001"),
        (np.array([["a", "b"]]), "not one matrix"),
        (np.ones((0, 3)), "nothing but zeros"),
    ],
)
def test_what_is_no_kernel_is_refused_by_name(
    tmp_path: Path, values: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(DataError, match=rf"bad\.npy: .*{reason}.*expected a grey picture"):
        read_kernel(tmp_path / "bad.npy")


def test_damaged_missing_and_unclear_files_are_refused_by_name(tmp_path: Path) -> None:
    for suffix in (".npy", ".mat", ".png"):
        (tmp_path / f"damaged{suffix}").write_bytes(b"junk")
        with pytest.raises(DataError, match=rf"damaged\{suffix}: cannot be read as a kernel"):
            read_kernel(tmp_path / f"damaged{suffix}")
        with pytest.raises(DataError, match=rf"absent\{suffix}: cannot be read as a kernel"):
            read_kernel(tmp_path / f"absent{suffix}")
    scipy.io.savemat(tmp_path / "two.mat", {"a": np.ones((2, 2)), "b": np.ones((2, 2))})
    with pytest.raises(DataError, match=r"two\.mat: .*holds 2 matrices, not one"):
        read_kernel(tmp_path / "two.mat")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy: cannot be read as a kernel"):
        read_kernel(tmp_path / "objects.npy")


def test_light_is_convolved_as_scipy_does() -> None:
    random = np.random.default_rng(0)
    linear = random.random((17, 23, 3)).astype(np.float32)
    kernel = random.random((7, 7))
    kernel /= kernel.sum()
    expected = scipy.ndimage.convolve(linear.astype(np.float64), kernel[..., None], mode="reflect")
    np.testing.assert_allclose(convolve_light(linear, kernel), expected, atol=1e-6)


def test_the_sigma_of_a_kernel_is_about_its_own_centre() -> None:
    kernel = gaussian_kernel(2.0)
    shifted = np.pad(kernel, ((0, 4), (0, 4)))
    assert measure_kernel_sigma(kernel) == pytest.approx(np.sqrt(4 + 1 / 12), rel=1e-3)
    assert measure_kernel_sigma(shifted) == pytest.approx(measure_kernel_sigma(kernel))
