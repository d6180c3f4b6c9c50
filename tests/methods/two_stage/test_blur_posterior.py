from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter

from benchmark import imageio
from benchmark.methods.two_stage import blur_posterior, blur_posterior_calibration, cosine
from benchmark.methods.two_stage import blur_posterior_spectra as spectra
from benchmark.optics.depth_of_field import render_depth_of_field
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel

SKIMAGE = ("chelsea.png", "coffee.png")


def photograph(name: str = "coffee.png", size: int = 160) -> np.ndarray:
    import skimage

    picture = imageio.read(Path(skimage.__file__).parent / "data" / name)[0]
    return np.ascontiguousarray(picture[100 : 100 + size, 150 : 150 + size])


def rounded(picture: np.ndarray) -> np.ndarray:
    return (np.rint(np.clip(picture, 0, 1) * 255) / 255).astype(np.float32)


def psnr(picture: np.ndarray, target: np.ndarray) -> float:
    return float(
        -10 * np.log10(np.square(np.clip(picture, 0, 1) - target, dtype=np.float64).mean())
    )


def blurred(sharp: np.ndarray, sigma: float) -> np.ndarray:
    return rounded(render_depth_of_field(sharp, np.full(sharp.shape[:2], 2 * sigma, np.float32)))


# Spectra


def test_white_noise_has_the_energy_that_is_expected_of_it() -> None:
    field = np.random.default_rng(1).standard_normal((256, 384)).astype(np.float32)
    seen = spectra.band_energies(cosine.cosine_transform(field[..., None])[..., 0]).mean(
        axis=(0, 1)
    )
    # The coarsest band holds about 300 of 98304 coefficients, so its energy scatters by some 8 %.
    assert seen == pytest.approx(spectra.white_noise_energies(), rel=0.2)
    assert seen[:4] == pytest.approx(spectra.white_noise_energies()[:4], rel=0.04)


def test_the_squares_of_the_bands_add_up_to_one() -> None:
    inside = np.linspace(spectra.CENTRES[-1], spectra.CENTRES[0], 500)
    total = sum(
        np.square(spectra.band_gain(inside, number)) for number in range(len(spectra.CENTRES))
    )
    np.testing.assert_allclose(total, 1, atol=1e-12)


def test_a_wave_lands_in_its_own_band() -> None:
    wave = np.cos(2 * np.pi * spectra.CENTRES[3] * np.arange(256)).astype(np.float32)
    seen = spectra.band_energies(
        cosine.cosine_transform(np.tile(wave, (256, 1))[..., None])[..., 0]
    )
    assert (seen[20:-20, 20:-20].argmax(axis=-1) == 3).all()
    assert seen[20:-20, 20:-20, 3].mean() == pytest.approx(
        0.5, rel=0.02
    )  # the mean square of a wave


@pytest.mark.parametrize("family", ["disk", "gaussian"])
def test_the_transfer_is_a_convolution_with_reflected_border(family: str) -> None:
    picture = np.random.default_rng(2).random((20, 32, 1)).astype(np.float32)
    psf = psf_kernel(family, 1.3)  # type: ignore[arg-type]
    passed = cosine.cosine_transfer(psf, (20, 32)).astype(np.float32)
    filtered = cosine.invert_cosine_transform(cosine.cosine_transform(picture) * passed[..., None])
    expected = convolve(picture[..., 0].astype(np.float64), psf, mode="reflect")
    np.testing.assert_allclose(filtered[..., 0], expected, atol=2e-6)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_noise_is_measured_beside_texture(sigma: float) -> None:
    # Half of the picture is fine texture, which the median of a high-pass would take for noise.
    rng = np.random.default_rng(3)
    base = np.full((200, 240, 3), 0.5)
    base[:, 120:] += 0.1 * rng.standard_normal((200, 120, 1))
    noisy = (base + sigma / 255 * rng.standard_normal(base.shape)).astype(np.float32)
    seen = spectra.measure_noise(cosine.cosine_transform(noisy), noisy)
    assert np.sqrt(seen.channel) * 255 == pytest.approx(sigma, rel=0.1)
    assert np.sqrt(seen.grey) * 255 == pytest.approx(sigma / np.sqrt(3), rel=0.1)


def test_saturated_places_are_no_quiet_places() -> None:
    noisy = 0.5 + 4 / 255 * np.random.default_rng(4).standard_normal((160, 160, 3))
    noisy[:80] = 1
    noisy = noisy.astype(np.float32)
    assert np.sqrt(
        spectra.measure_noise(cosine.cosine_transform(noisy), noisy).channel
    ) * 255 == pytest.approx(4, rel=0.1)
    assert spectra.measure_noise(
        cosine.cosine_transform(noisy * 0 + 1), noisy * 0 + 1
    ).channel == pytest.approx(spectra.ROUNDING)


# Posterior


def test_stored_constants_are_a_distribution() -> None:
    stored = json.loads(blur_posterior_calibration.CONSTANTS.read_text())
    covariance = np.array(stored["covariance"])
    np.testing.assert_allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-3
    # A shape is what is left beside the level: it adds up to 0 over the bands.
    assert np.sum(stored["shape"]) == pytest.approx(0, abs=1e-3)
    assert covariance.sum(axis=0) == pytest.approx(np.zeros(8), abs=2e-3)


def test_calibration_finds_the_spectrum_it_is_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(2):
        noise = 0.5 + 0.1 * rng.standard_normal((128, 128, 1)).repeat(3, axis=2)
        imageio.write(tmp_path / f"{number}.png", rounded(noise), 8)
    found = blur_posterior_calibration.measure_sharp_spectra(sorted(tmp_path.iterdir()))
    white = np.log(spectra.white_noise_energies())
    # Energies over windows scatter, and the mean of a log lies below the log of the mean, least in
    # the finest bands.
    assert np.array(found["shape"])[:4] + found["level"] == pytest.approx(
        white[:4] + np.log(0.01), abs=0.1
    )
    assert found["pictures"] == 2
    with pytest.raises(ValueError, match="no pictures"):
        blur_posterior_calibration.measure_sharp_spectra([])


def test_the_likelihood_is_that_of_a_normal_vector() -> None:
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    energies = np.exp(np.random.default_rng(6).normal(-9, 1, (1, 3, 8))).astype(np.float32)
    noise = 1e-5
    evidence, _ = blur_posterior._weigh_evidence(energies, noise, "disk")
    stored = json.loads(blur_posterior_calibration.CONSTANTS.read_text())
    white = spectra.white_noise_energies()
    shape = (512, 512)
    rows, columns = np.meshgrid(np.arange(512) / 1024, np.arange(512) / 1024, indexing="ij")
    radius = np.hypot(rows, columns)
    radius[0, 0] = np.inf
    for number, sigma in enumerate(blur_posterior.SIGMAS):
        power = cosine.cosine_transfer(psf_kernel("disk", float(sigma)), shape) ** 2
        weights = [spectra.band_gain(radius, b) ** 2 / radius**2 for b in range(8)]
        passed = np.array([np.average(power, weights=w) for w in weights])
        logs = []
        for level in blur_posterior.LEVELS:
            off = level - stored["level"]
            sharp = np.exp(
                level + np.array(stored["shape"]) + off * np.array(stored["shape_per_level"])
            )
            total = sharp * passed + noise * white
            share = np.diag(sharp * passed / total)
            scatter = 2 / np.maximum(1, 4 * np.pi * spectra.WINDOW**2 * white)
            covariance = share @ (np.array(stored["covariance"]) + 1 / 12) @ share
            covariance += np.diag(
                (1 - np.diag(share)) ** 2 * scatter + blur_posterior._MODEL_VARIANCE
            )
            normal = multivariate_normal(np.log(total), covariance)
            logs.append(
                normal.logpdf(np.log(energies[0])) - 0.5 * (off / stored["level_width"]) ** 2
            )
        expected = logsumexp(logs, axis=0) + 4 * np.log(2 * np.pi)
        np.testing.assert_allclose(evidence[0, :, number], expected, rtol=1e-3, atol=2e-2)


def test_more_blur_is_seen_as_more_blur() -> None:
    sharp = photograph()
    seen = [
        float(np.median(blur_posterior.estimate_posterior_map(blurred(sharp, sigma))))
        for sigma in (0, 1, 2, 3.5)
    ]
    assert seen == sorted(seen)
    assert seen[0] < 0.5
    assert seen[1] == pytest.approx(1, abs=0.35)
    assert seen[2] == pytest.approx(2, abs=0.5)


def test_two_planes_are_told_apart() -> None:
    sharp = photograph(size=192)
    radius = np.zeros((192, 192), np.float32)
    radius[:, 96:] = 5
    found = blur_posterior.estimate_posterior_map(rounded(render_depth_of_field(sharp, radius)))
    assert np.median(found[:, 120:]) > np.median(found[:, :72]) + 1.2


# Restoration


@pytest.mark.slow
@pytest.mark.parametrize("name", SKIMAGE)
@pytest.mark.parametrize("noise", [0.0, 1.0, 5.0])
def test_it_gains_on_its_input_blind_and_with_the_true_map(name: str, noise: float) -> None:
    sharp = photograph(name, 192)
    radius = np.zeros((192, 192), np.float32)
    radius[:, 64:128], radius[:, 128:] = 3, 5
    field = np.random.default_rng(7).standard_normal(sharp.shape)
    seen = (rounded(render_depth_of_field(sharp, radius)) + noise / 255 * field).astype(np.float32)
    before, blind = psnr(seen, sharp), psnr(blur_posterior.restore_under_posterior(seen), sharp)
    oracle = psnr(blur_posterior.restore_under_map(seen, radius / 2), sharp)
    assert blind > before + 0.3
    assert oracle > before + 0.5


@pytest.mark.parametrize("name", SKIMAGE)
def test_a_sharp_picture_is_left_alone(name: str) -> None:
    sharp = photograph(name)
    np.testing.assert_allclose(
        blur_posterior.restore_under_map(sharp, np.zeros((160, 160), np.float32)), sharp, atol=1e-4
    )


def test_refinement_brings_the_model_closer_to_the_picture() -> None:
    from benchmark.optics.varying import VaryingBlur

    sharp = photograph()
    sigma = np.full((160, 160), 1.5, np.float32)
    seen = to_srgb(VaryingBlur(sigma, "disk").forward(to_linear(sharp)))

    def residual(iterations: int) -> float:
        out = blur_posterior.restore_under_map(seen, sigma, iterations=iterations)
        return float(
            np.square(VaryingBlur(sigma, "disk").forward(to_linear(out)) - to_linear(seen)).mean()
        )

    assert residual(6) < residual(2) < residual(0)


def test_the_start_is_one_wiener_filter_where_nothing_is_in_doubt() -> None:
    seen = blurred(photograph(), 2)
    spectrum = cosine.cosine_transform(seen)
    found = blur_posterior.infer_posterior(seen, spectrum)
    sure = np.zeros_like(found.sigma)
    place = list(blur_posterior.SIGMAS).index(2)
    sure[..., place] = 1
    group = np.zeros_like(found.group)
    group[..., 2] = 1
    out = blur_posterior._average_wiener_filters(
        seen, spectrum, found._replace(sigma=sure, group=group), "disk"
    )
    passed = cosine.cosine_transfer(psf_kernel("disk", 2.0), (160, 160))
    ratio = blur_posterior._noise_to_signal_ratios((160, 160), found.noise)[2]
    gain = passed / (passed**2 + ratio + blur_posterior.MISMATCH * (1 - passed**2))
    expected = cosine.invert_cosine_transform(spectrum * gain[..., None].astype(np.float32))
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.slow
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    kind=st.sampled_from(["flat", "noise", "beyond", "grey", "black", "negative"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_any_picture_has_a_defined_result(height: int, width: int, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    picture = {
        "flat": np.full((height, width, 3), 0.4),
        "noise": random.random((height, width, 3)),
        "beyond": random.normal(0.5, 2, (height, width, 3)),
        "grey": random.random((height, width, 1)).repeat(3, axis=2),
        "black": np.zeros((height, width, 3)),
        "negative": np.full((height, width, 3), -0.2),
    }[kind].astype(np.float32)
    before = picture.copy()
    out, found = (
        blur_posterior.restore_under_posterior(picture),
        blur_posterior.estimate_posterior_map(picture),
    )
    assert out.shape == picture.shape
    assert out.dtype == found.dtype == np.float32
    assert np.isfinite(out).all()
    assert found.shape == picture.shape[:2]
    assert found.min() >= 0
    assert found.max() <= 5
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(out, blur_posterior.restore_under_posterior(picture))
    if kind in {"flat", "black", "negative"}:
        np.testing.assert_allclose(out, picture, atol=2e-3)


def test_mirrored_pictures_have_mirrored_results() -> None:
    seen = blurred(photograph(size=96), 1.5)
    for axis in (0, 1):
        mirrored = np.ascontiguousarray(np.flip(seen, axis))
        np.testing.assert_allclose(
            blur_posterior.restore_under_posterior(mirrored),
            np.flip(blur_posterior.restore_under_posterior(seen), axis),
            atol=2e-3,
        )


def test_a_map_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="size of the picture"):
        blur_posterior.restore_under_map(
            np.zeros((8, 8, 3), np.float32), np.zeros((8, 9), np.float32)
        )


@pytest.mark.slow
@pytest.mark.data
def test_it_gains_on_pictures_it_was_not_calibrated_on(data_root: Path) -> None:
    files = sorted((data_root / "BSDS500" / "val").glob("*.jpg"))[::50]
    if not files:
        pytest.skip("no BSDS500/val in the data root")
    from benchmark.optics.scenes import invent_radius

    gains = []
    for number, file in enumerate(files):
        sharp = imageio.read(file)[0]
        radius = invent_radius(*sharp.shape[:2], 8.0, np.random.default_rng(number))
        seen = rounded(render_depth_of_field(sharp, radius))
        gains.append(psnr(blur_posterior.restore_under_posterior(seen), sharp) - psnr(seen, sharp))
    assert np.mean(gains) > 0.5
    assert min(gains) > 0


def test_gaussian_blur_is_fitted_better_by_the_gaussian_family() -> None:
    sharp = photograph()
    seen = rounded(gaussian_filter(sharp, (2, 2, 0)))
    assert np.median(blur_posterior.estimate_posterior_map(seen, psf="gaussian")) == pytest.approx(
        2, abs=0.5
    )
