from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import correlate, gaussian_filter

from benchmark.methods.two_stage import wiener
from benchmark.methods.two_stage.wiener import Psf
from benchmark.optics import gkm
from benchmark.optics.psf import psf_kernel

Picture = NDArray[np.float32]


def _picture(shape: tuple[int, int] = (40, 52), seed: int = 0, smooth: float = 1.0) -> Picture:
    noise = np.random.default_rng(seed).random((*shape, 3))
    soft = gaussian_filter(noise, (smooth, smooth, 0))
    return ((soft - soft.min()) / np.ptp(soft)).astype(np.float32)


def _fourier(
    image: Picture, psf: NDArray[np.float64], nsr: float, mismatch: float
) -> NDArray[np.float64]:
    """The module's formula by complex Fourier transforms of the periodic picture that mirroring
    makes, in float64.
    """
    height, width, _ = image.shape
    mirrored = np.pad(image.astype(np.float64), ((0, height), (0, width), (0, 0)), mode="symmetric")
    padded = np.zeros(mirrored.shape[:2])
    padded[: psf.shape[0], : psf.shape[1]] = psf
    padded = np.roll(padded, (-(psf.shape[0] // 2), -(psf.shape[1] // 2)), axis=(0, 1))
    passed = np.fft.fft2(padded)
    laplacian = np.zeros_like(padded)
    laplacian[0, 0] = 4
    laplacian[[0, 0, 1, -1], [1, -1, 0, 0]] = -1
    power = np.abs(passed) ** 2
    gain = passed.conj() / (power + nsr * np.fft.fft2(laplacian).real + mismatch * (1 - power))
    restored = np.fft.ifft2(np.fft.fft2(mirrored, axes=(0, 1)) * gain[..., None], axes=(0, 1))
    return restored.real[:height, :width]


@pytest.mark.parametrize("family", ["gaussian", "disk"])
@pytest.mark.parametrize("sigma", [0.6, 1.5, 3.0])
@pytest.mark.parametrize(("nsr", "mismatch"), [(0.02, 0.1), (0.3, 0.0), (1e-4, 0.01)])
def test_against_the_fourier_formula(
    family: Psf, sigma: float, nsr: float, mismatch: float
) -> None:
    image, psf = _picture(), psf_kernel(family, sigma)
    restored = wiener.filter_wiener(image, psf, nsr, mismatch)
    np.testing.assert_allclose(restored, _fourier(image, psf, nsr, mismatch), atol=2e-5)
    assert restored.dtype == np.float32


def test_inverts_the_blur_where_nothing_is_lost() -> None:
    """Without noise or doubt the filter is the inverse of the reflecting convolution."""
    sharp, psf = _picture(smooth=2.0), psf_kernel("gaussian", 0.7)
    blurred = np.stack(
        [correlate(sharp[..., c].astype(np.float64), psf, mode="reflect") for c in range(3)],
        axis=-1,
    )
    np.testing.assert_allclose(
        wiener.filter_wiener(blurred.astype(np.float32), psf, 1e-9, 0), sharp, atol=1e-4
    )


def test_a_delta_returns_a_copy() -> None:
    image = _picture()
    restored = wiener.filter_wiener(image, psf_kernel("disk", 0.1), 0.5, 0.1)
    np.testing.assert_array_equal(restored, image)
    assert not np.shares_memory(restored, image)


@pytest.mark.parametrize("sigma", [0.5, 2.25])
def test_a_constant_map_is_the_plain_filter(sigma: float) -> None:
    image = _picture()
    layered = wiener.deconvolve_wiener(
        image, np.full(image.shape[:2], sigma, np.float32), psf="disk", mismatch=0.05
    )
    plain = wiener.filter_wiener(
        image, psf_kernel("disk", sigma), wiener.noise_to_signal(image), 0.05
    )
    np.testing.assert_allclose(layered, plain, atol=1e-6)


def test_between_two_rungs_the_layers_are_mixed() -> None:
    image = _picture()
    nsr = wiener.noise_to_signal(image)
    low, high = (
        wiener.filter_wiener(image, psf_kernel("gaussian", sigma), nsr, 0.1)
        for sigma in (1.0, 1.25)
    )
    mixed = wiener.deconvolve_wiener(
        image, np.full(image.shape[:2], 1.05, np.float32), psf="gaussian", mismatch=0.1
    )
    np.testing.assert_allclose(mixed, 0.8 * low + 0.2 * high, atol=1e-5)


def test_in_focus_pixels_are_not_touched() -> None:
    image = _picture()
    blur_map = np.zeros(image.shape[:2], np.float32)
    blur_map[:, 26:] = 2
    restored = wiener.deconvolve_wiener(image, blur_map, psf="gaussian", mismatch=0.1)
    np.testing.assert_array_equal(restored[:, :26], image[:, :26])
    assert np.abs(restored[:, 26:] - image[:, 26:]).max() > 0.01


@pytest.mark.parametrize("family", ["gaussian", "disk", "gkm"])
def test_cropping_to_the_layer_changes_next_to_nothing(
    family: Psf, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _picture((40, 240), smooth=1.5)
    blur_map = np.tile(np.linspace(0, 3, 240, dtype=np.float32), (40, 1))
    cropped = wiener.deconvolve_wiener(image, blur_map, psf=family, mismatch=0.1)
    monkeypatch.setattr(wiener, "_wiener_margin", lambda sigma: 1000)
    np.testing.assert_allclose(
        cropped, wiener.deconvolve_wiener(image, blur_map, psf=family, mismatch=0.1), atol=1e-4
    )


def test_a_layer_is_computed_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _picture((60, 200))
    blur_map = np.zeros(image.shape[:2], np.float32)
    blur_map[10:20, 100:110] = 1
    seen: list[tuple[int, ...]] = []
    plain = wiener.filter_wiener

    def spy(part: Picture, *rest: object) -> Picture:
        seen.append(part.shape)
        return plain(part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(wiener, "filter_wiener", spy)
    wiener.deconvolve_wiener(image, blur_map, psf="gaussian", mismatch=0.1)
    margin = wiener._wiener_margin(1.0)
    assert seen == [
        (60, 200, 3),
        (min(60, 20 + margin), 10 + 2 * margin, 3),
    ]  # rung 0 and rung 4; the rest are empty


@given(sigma=st.floats(0, 7))
def test_gkm_kernels_are_what_the_operator_does_to_a_point(sigma: float) -> None:
    bank = gkm.paper_bank()
    point = np.zeros((43, 43, 3), np.float32)
    point[21, 21] = 1
    spread = gkm.blur_picture(
        point, gkm.mixing_coefficients(np.full((43, 43), sigma, np.float32), bank), bank
    )[..., 0]
    psf = wiener.layer_kernel("gkm", sigma)
    rim = (43 - len(psf)) // 2
    np.testing.assert_allclose(np.pad(psf, rim), spread, atol=1e-6)
    assert psf.sum() == pytest.approx(1) and not psf.flags.writeable


@pytest.mark.parametrize("family", ["gaussian", "disk"])
def test_other_kernels_are_those_of_the_family(family: Psf) -> None:
    np.testing.assert_array_equal(wiener.layer_kernel(family, 1.7), psf_kernel(family, 1.7))


@pytest.mark.parametrize("sigma", [-1.0, np.inf, np.nan])
@pytest.mark.parametrize("family", ["gaussian", "disk", "gkm"])
def test_a_kernel_without_a_size_is_refused(family: Psf, sigma: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        wiener.layer_kernel(family, sigma)


def test_the_gkm_family_undoes_the_gkm() -> None:
    sharp = _picture((96, 128), smooth=1.2)
    blur_map = np.tile(np.linspace(0.5, 2.5, 128, dtype=np.float32), (96, 1))
    bank = gkm.paper_bank()
    blurred = gkm.blur_picture(sharp, gkm.mixing_coefficients(blur_map, bank), bank)
    restored = wiener.deconvolve_wiener(blurred, blur_map, psf="gkm", mismatch=0.01)
    assert _gain(sharp, blurred, restored) > 3


def _gain(sharp: Picture, blurred: Picture, restored: Picture) -> float:
    """PSNR of the restored picture above that of the blurred one, dB."""
    return 10 * float(np.log10(np.mean((blurred - sharp) ** 2) / np.mean((restored - sharp) ** 2)))


@pytest.mark.parametrize(("noise", "least"), [(0.0, 3.0), (1.0, 2.0), (5.0, 1.0)])
def test_the_true_map_recovers_detail(noise: float, least: float) -> None:
    sharp = _picture((96, 128), smooth=1.2)
    blur_map = np.tile(np.linspace(0.5, 2.5, 128, dtype=np.float32), (96, 1))
    bank = gkm.paper_bank()
    blurred = gkm.blur_picture(sharp, gkm.mixing_coefficients(blur_map, bank), bank)
    blurred += np.float32(noise / 255) * np.random.default_rng(1).standard_normal(
        blurred.shape, np.float32
    )
    restored = wiener.deconvolve_wiener(blurred, blur_map, psf="gaussian", mismatch=0.01)
    assert _gain(sharp, blurred, restored) > least


def test_noise_to_signal_is_measured() -> None:
    clean = _picture((120, 160), smooth=3.0)
    noisy = clean + np.float32(0.03) * np.random.default_rng(0).standard_normal(
        clean.shape, np.float32
    )
    slope = sum(np.mean(np.diff(noisy.astype(np.float64), axis=axis) ** 2) for axis in (0, 1))
    assert wiener.noise_to_signal(noisy) == pytest.approx(0.03**2 / slope, rel=0.05)


def test_noise_is_never_less_than_rounding() -> None:
    ramp = np.tile(np.arange(64, dtype=np.float32)[:, None] / 64, (64, 1, 3))
    assert wiener.noise_to_signal(ramp) == pytest.approx(64**2 / (12 * 255**2), rel=0.05)


@given(value=st.floats(-1, 2, width=32))
def test_a_flat_picture_stays_flat(value: float) -> None:
    flat = np.full((7, 9, 3), value, np.float32)
    assert wiener.noise_to_signal(flat) == 1
    restored = wiener.deconvolve_wiener(
        flat, np.full((7, 9), 2.3, np.float32), psf="disk", mismatch=0.1
    )
    np.testing.assert_allclose(restored, flat, atol=1e-5)


@given(
    sigma=st.floats(0.2, 6),
    nsr=st.floats(1e-6, 1),
    mismatch=st.floats(0, 1),
    family=st.sampled_from(["gaussian", "disk"]),
)
def test_the_mean_is_kept(sigma: float, nsr: float, mismatch: float, family: Psf) -> None:
    image = _picture((11, 14))
    restored = wiener.filter_wiener(image, psf_kernel(family, sigma), nsr, mismatch)
    assert np.isfinite(restored).all()
    np.testing.assert_allclose(restored.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=1e-4)
