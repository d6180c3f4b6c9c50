from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

from benchmark.arrays import Float64Array
from benchmark.methods.two_stage import hyper_laplacian as hl
from benchmark.methods.two_stage.wiener import Psf, layer_kernel
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel
from benchmark.optics.varying import VaryingBlur

Picture = NDArray[np.float32]

ALPHAS = [0.3, 0.5, 2 / 3, 0.8, 1.0, 1.2, 1.5, 1.9, 2.0]


def _picture(shape: tuple[int, int] = (40, 52), seed: int = 0) -> Picture:
    """A picture of flat patches with sharp edges."""
    random = np.random.default_rng(seed)
    soft = gaussian_filter(random.standard_normal((*shape, 3)), (3, 3, 0))
    soft /= soft.std()
    return (0.15 + 0.175 * np.clip(np.round(soft + 2), 0, 4)).astype(np.float32)


def _ramp(shape: tuple[int, int], top: float) -> Picture:
    line = np.linspace(0, top, shape[1], dtype=np.float32)
    return np.tile(line, (shape[0], 1))


# The problem of one number
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("beta", [1.0, 8.0, 128 * math.sqrt(2)])
def test_shrink_is_the_brute_force_minimum(alpha: float, beta: float) -> None:
    v = np.linspace(-2.5, 2.5, 201).astype(np.float32)
    w = hl.shrink_gradients(v, alpha, beta).astype(np.float64)
    tried = np.linspace(-3, 3, 40001)
    energy = np.abs(tried) ** alpha + beta / 2 * (tried - v[:, None]) ** 2
    reached = np.abs(w) ** alpha + beta / 2 * (w - v) ** 2
    assert w.dtype == np.float64 and hl.shrink_gradients(v, alpha, beta).dtype == np.float32
    assert (reached - energy.min(axis=1)).max() < 2e-6
    jumps = (
        np.abs(np.abs(v) - hl.shrinkage_threshold(alpha, beta)) < 1e-3
        if alpha <= 1
        else np.zeros(v.shape, bool)
    )
    np.testing.assert_allclose(w[~jumps], tried[energy.argmin(axis=1)][~jumps], atol=5e-4)


@pytest.mark.parametrize(
    ("closed", "near"), [(0.5, 0.5001), (2 / 3, 2 / 3 + 1e-4), (1.0, 1.0001), (1.5, 1.5001)]
)
def test_closed_forms_agree_with_the_table(closed: float, near: float) -> None:
    beta = 8.0
    v = np.linspace(-1, 1, 4001).astype(np.float32)
    away = np.abs(np.abs(v) - hl.shrinkage_threshold(min(closed, 1), beta)) > 2e-3
    np.testing.assert_allclose(
        hl.shrink_gradients(v, closed, beta)[away],
        hl.shrink_gradients(v, near, beta)[away],
        atol=3e-4,
    )


@given(
    v=st.floats(-1e4, 1e4, width=32),
    alpha=st.sampled_from(ALPHAS),
    beta=st.sampled_from([1.0, 22.6, 181.0]),
)
def test_shrink_shrinks(v: float, alpha: float, beta: float) -> None:
    one = np.full(1, v, np.float32)
    w = hl.shrink_gradients(one, alpha, beta)
    np.testing.assert_array_equal(hl.shrink_gradients(-one, alpha, beta), -w)
    assert np.isfinite(w).all() and abs(w[0]) <= abs(one[0]) * (1 + 1e-6) and w[0] * one[0] >= 0


# Half-quadratic splitting
# ---------------------------------------------------------------------------------------------


def _circular(psf: Float64Array, shape: tuple[int, int]) -> Float64Array:
    """The dense matrix of the periodic convolution, by scipy."""
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    return np.stack([convolve(unit, psf, mode="wrap").ravel() for unit in units], axis=1)


def _differences(shape: tuple[int, int]) -> list[Float64Array]:
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    return [
        np.stack([(np.roll(u, -1, axis) - u).ravel() for u in units], axis=1) for axis in (0, 1)
    ]


@pytest.mark.parametrize("mismatch", [0.0, 0.02])
@pytest.mark.parametrize(
    ("alpha", "shape"), [(0.5, (9, 8)), (2 / 3, (8, 9)), (1.5, (9, 9)), (1.8, (8, 8))]
)
def test_against_dense_least_squares(alpha: float, shape: tuple[int, int], mismatch: float) -> None:
    """The whole splitting with matrices, every x a least-squares solution and every w found by
    trying.
    """
    weight, psf = 30.0, psf_kernel("disk", 1.0)
    y = np.random.default_rng(3).random(shape)
    blur, (down, right) = _circular(psf, shape), _differences(shape)
    transform = np.stack(
        [np.fft.fft2(unit, norm="ortho").ravel() for unit in np.eye(y.size).reshape(-1, *shape)], 1
    )
    h2 = np.abs(np.diag(transform @ blur @ transform.conj().T)) ** 2
    p = np.abs(np.diag(transform @ (down.T @ down + right.T @ right) @ transform.conj().T))
    data = 1 / (1 / weight + mismatch * np.append(0, (1 - h2[1:]) / p[1:]))
    trust = (transform.conj().T @ np.diag(np.sqrt(data)) @ transform).real
    tried = np.linspace(-2, 2, 40001)
    x, beta = y.ravel(), 1.0
    while beta < 256:
        fields = []
        for gradient in (down, right):
            v = gradient @ x
            energy = np.abs(tried) ** alpha + beta / 2 * (tried - v[:, None]) ** 2
            fields.append(tried[energy.argmin(axis=1)])
        pull = math.sqrt(beta)
        system = np.concatenate([trust @ blur, pull * down, pull * right])
        wanted = np.concatenate([trust @ y.ravel(), pull * fields[0], pull * fields[1]])
        x = np.linalg.lstsq(system, wanted)[0]
        beta *= 2 * math.sqrt(2)
    planes = np.stack([y, 1 - y]).astype(np.float32)
    found = hl.minimise_half_quadratic(planes, psf, alpha, weight, mismatch)
    np.testing.assert_allclose(found[0], x.reshape(shape), atol=5e-4)
    np.testing.assert_allclose(
        found[1], 1 - x.reshape(shape), atol=5e-4
    )  # channels apart; the problem is odd in y


def _energy(
    x: Float64Array, y: Float64Array, psf: Float64Array, alpha: float, weight: float
) -> float:
    data = np.square(convolve(x, psf, mode="wrap") - y).sum()
    prior = sum((np.abs(np.roll(x, -1, axis) - x) ** alpha).sum() for axis in (0, 1))
    return float(weight / 2 * data + prior)


@pytest.mark.parametrize(
    ("alpha", "weight"), [(1.5, 16.8), (1.5, 420.0), (1.0, 70.0), (2 / 3, 70.0), (0.5, 300.0)]
)
def test_the_energy_falls(alpha: float, weight: float) -> None:
    sharp, psf = _picture((48, 64))[..., 0].astype(np.float64), psf_kernel("disk", 1.5)
    y = convolve(sharp, psf, mode="wrap") + 0.003 * np.random.default_rng(0).standard_normal(
        sharp.shape
    )
    x = hl.minimise_half_quadratic(y[None].astype(np.float32), psf, alpha, weight)[0].astype(
        np.float64
    )
    assert _energy(x, y, psf, alpha, weight) < _energy(y, y, psf, alpha, weight)


# The border
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["disk", "gaussian"])
def test_taper_against_its_definition(family: Literal["disk", "gaussian"]) -> None:
    planes, psf = np.moveaxis(_picture((31, 26)), 2, 0), psf_kernel(family, 1.5)
    expected = planes.astype(np.float64)
    kept = 1.0
    for axis, size in ((1, 31), (0, 26)):
        profile = np.zeros(size - 1)
        profile[: len(psf)] = psf.sum(axis=axis)
        like = np.array([profile @ np.roll(profile, lag) for lag in range(size - 1)])
        line = 1 - np.append(like, like[0]) / like[0]
        kept = kept * (line[:, None] if axis == 1 else line[None])
    for _ in range(4):
        blurred = np.stack([convolve(plane, psf, mode="wrap") for plane in expected])
        expected = kept * expected + (1 - kept) * blurred
    tapered = hl.taper_border(planes, psf)
    np.testing.assert_allclose(tapered, expected, atol=1e-6)
    inside = np.s_[:, len(psf) : -len(psf), len(psf) : -len(psf)]
    np.testing.assert_allclose(tapered[inside], planes[inside], atol=1e-6)


@pytest.mark.parametrize("shape", [(31, 26), (24, 45)])
def test_the_transfer_is_the_transform_of_the_kernel(shape: tuple[int, int]) -> None:
    psf = psf_kernel("disk", 2.2)
    around_origin = np.zeros(shape)
    around_origin[: len(psf), : len(psf)] = psf
    around_origin = np.roll(around_origin, (-(len(psf) // 2), -(len(psf) // 2)), axis=(0, 1))
    expected = np.fft.rfft2(around_origin)
    np.testing.assert_allclose(hl._periodic_transfer(psf, shape), expected, atol=1e-6)


# Bins and boxes
# --------------------------------------------------------------------------------------------------


def test_released_bins_by_hand() -> None:
    """100 distinct values i c: the quantiles j / 33 lie, by MATLAB's rule, at the (100 j / 33 +
    1/2)-th of them.
    """
    step = 5 / 255
    blur_map = (
        (step * np.arange(100, dtype=np.float32)).reshape(4, 25).repeat(3, axis=0)
    )  # repetition counts nothing
    sigmas, place = hl._hard_bins(blur_map)
    edges = np.array([0, *(100 * np.arange(1, 33) / 33 - 0.5)]) * step
    np.testing.assert_allclose(sigmas, edges, atol=1e-6)
    taken = np.asarray(sigmas)[place.astype(int)]
    below = np.array(
        [max(edge for edge in edges if edge <= sigma + 1e-5) for sigma in blur_map.ravel()]
    )
    np.testing.assert_allclose(taken.ravel(), below, atol=1e-6)


@given(arrays(np.float32, (5, 6), elements=st.floats(0, 8, width=32)))
def test_a_bin_is_at_most_its_pixels_and_none_is_empty(blur_map: Picture) -> None:
    sigmas, place = hl._hard_bins(blur_map)
    assert set(place.ravel().astype(int).tolist()) == set(range(len(sigmas)))
    assert len(sigmas) <= 33
    assert (np.asarray(sigmas)[place.astype(int)] <= blur_map + hl.FILE_STEP).all()


@given(
    arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.booleans()),
    st.integers(0, 12),
)
def test_boxes_cover_the_mask_once(mask: NDArray[np.bool_], margin: int) -> None:
    covered = np.zeros(mask.shape, int)
    boxes = list(hl._cover_mask(mask, margin))
    for box in boxes:
        covered[box] += 1
    assert covered.max() <= 1 and (covered[mask] == 1).all()
    if boxes:
        whole = hl._box_cost(
            hl._hull(mask, (slice(0, mask.shape[0]), slice(0, mask.shape[1]))), margin
        )
        assert sum(hl._box_cost(box, margin) for box in boxes) <= whole


def test_boxes_follow_a_diagonal() -> None:
    mask = np.eye(256, dtype=bool)
    assert (
        sum(hl._box_cost(box, 8) for box in hl._cover_mask(mask, 8))
        < hl._box_cost((slice(0, 256), slice(0, 256)), 8) / 3
    )


def _full_frame(
    image: Picture, blur_map: Picture, psf: Psf, alpha: float, weight: float
) -> Float64Array:
    """The released program as it is: every bin for the whole padded picture, pasted by masks."""
    seen = np.rint(np.clip(image, 0, 1) * 255) / 255
    sigmas, place = hl._hard_bins(blur_map)
    restored = np.zeros(seen.shape)
    for rung, sigma in enumerate(sigmas):
        point, here = layer_kernel(psf, sigma), place == rung
        if point.size == 1:
            restored[here] = seen[here]
            continue
        size = len(point)
        padded = np.pad(seen, ((size, size), (size, size), (0, 0)), mode="edge").astype(np.float32)
        solved = hl.minimise_half_quadratic(
            hl.taper_border(np.moveaxis(padded, 2, 0), point), point, alpha, weight
        )
        restored[here] = np.moveaxis(solved, 0, 2)[size:-size, size:-size][here]
    return np.clip(restored, 0, 1)


@pytest.mark.parametrize("psf", ["gaussian", "disk", "gkm"])
def test_boxes_are_next_to_the_full_frame(psf: Psf) -> None:
    sharp = _picture((90, 330))
    blur_map = _ramp((90, 330), 2.5)
    image = VaryingBlur(blur_map, psf).forward(sharp)
    boxed = hl.deconvolve_hyper_laplacian(image, blur_map, psf=psf)
    off = boxed - _full_frame(image, blur_map, psf, 1.5, 16.8)
    assert 10 * np.log10(1 / np.mean(off**2)) > 70
    assert np.abs(off).max() < 0.02


def test_where_boxes_meet_nothing_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    sharp = _picture((120, 160))
    blur_map = np.full((120, 160), 1.5, np.float32)
    image = VaryingBlur(blur_map, "disk").forward(sharp)
    whole = hl.deconvolve_hyper_laplacian(image, blur_map, psf="disk")
    monkeypatch.setattr(hl, "LARGEST_BOX", 32)
    assert len(list(hl._cover_mask(blur_map > 0, 24))) > 12
    off = np.abs(hl.deconvolve_hyper_laplacian(image, blur_map, psf="disk") - whole)
    assert off[16:-16, 16:-16].max() < 1.5 / 255


# The pipeline
# --------------------------------------------------------------------------------------------------


def test_a_constant_map_is_one_deconvolution() -> None:
    image, point = _picture((40, 60)), psf_kernel("disk", 1.25)
    blur_map = np.full((40, 60), 1.25, np.float32)
    plain = _full_frame(image, np.full_like(blur_map, 1.25), "disk", 1.5, 16.8)
    for bins in ("hard", "feathered"):
        restored = hl.deconvolve_hyper_laplacian(image, blur_map, psf="disk", bins=bins)
        np.testing.assert_allclose(restored[8:-8, 8:-8], plain[8:-8, 8:-8], atol=0.02)
    assert point.size > 1


def test_feathered_pixels_mix_two_rungs() -> None:
    image = _picture()
    low, middle, high = (
        hl.deconvolve_hyper_laplacian(
            image, np.full(image.shape[:2], sigma, np.float32), bins="feathered", eight_bit=False
        )
        for sigma in (1.0, 1.05, 1.25)
    )
    np.testing.assert_allclose(middle, 0.8 * low + 0.2 * high, atol=1e-5)


def test_feathering_leaves_no_seams() -> None:
    """A slow ramp of sigma over a periodic pattern: the result changes smoothly along it; hard bins
    jump.
    """
    shape = (48, 400)
    stripes = (0.5 + 0.3 * np.sin(np.arange(48) * 2 * np.pi / 8)).astype(np.float32)
    image = np.tile(stripes[:, None, None], (1, shape[1], 3))
    blur_map = 1 + _ramp(shape, 1.5)
    jumps = {}
    for bins in ("hard", "feathered"):
        restored = hl.deconvolve_hyper_laplacian(
            image, blur_map, psf="gaussian", weight=200, bins=bins, eight_bit=False
        )
        jumps[bins] = float(np.abs(np.diff(restored[12:-12, 40:-40], axis=1)).max())
    assert jumps["feathered"] < jumps["hard"] / 3


@pytest.mark.parametrize("bins", ["hard", "feathered"])
def test_in_focus_pixels_are_not_touched(bins: hl.Bins) -> None:
    image = np.rint(_picture() * 255).astype(np.float32) / np.float32(255)
    blur_map = np.zeros(image.shape[:2], np.float32)
    np.testing.assert_array_equal(hl.deconvolve_hyper_laplacian(image, blur_map, bins=bins), image)
    blur_map[:, 26:] = 2
    restored = hl.deconvolve_hyper_laplacian(image, blur_map, bins=bins)
    np.testing.assert_array_equal(restored[:, :26], image[:, :26])
    assert np.abs(restored[:, 26:] - image[:, 26:]).max() > 0.01


def test_eight_bits_are_the_released_way_in_and_out() -> None:
    image = _picture() * np.float32(1.2) - np.float32(0.1)
    blur_map = _ramp(image.shape[:2], 2)
    rounded = (np.rint(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)
    released = hl.deconvolve_hyper_laplacian(image, blur_map)
    np.testing.assert_array_equal(released, hl.deconvolve_hyper_laplacian(rounded, blur_map))
    assert released.min() >= 0 and released.max() <= 1
    free = hl.deconvolve_hyper_laplacian(image, blur_map, eight_bit=False)
    assert free.max() > 1
    assert not np.array_equal(
        free, hl.deconvolve_hyper_laplacian(rounded, blur_map, eight_bit=False)
    )


def test_the_number_of_threads_changes_nothing() -> None:
    image, before = _picture((100, 140)), cv2.getNumThreads()
    blur_map = _ramp((100, 140), 2.5)
    try:
        cv2.setNumThreads(1)
        alone = hl.deconvolve_hyper_laplacian(image, blur_map)
        cv2.setNumThreads(3)
        np.testing.assert_array_equal(hl.deconvolve_hyper_laplacian(image, blur_map), alone)
    finally:
        cv2.setNumThreads(before)


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    top=st.floats(0, 8, width=32),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 1.0, 50.0]),
    psf=st.sampled_from(["gaussian", "disk", "gkm"]),
    bins=st.sampled_from(["hard", "feathered"]),
    alpha=st.sampled_from([0.5, 2 / 3, 0.8, 1.0, 1.5]),
    eight_bit=st.booleans(),
)
def test_any_picture_has_a_finite_result(
    shape: tuple[int, int],
    top: float,
    seed: int,
    scale: float,
    psf: Psf,
    bins: hl.Bins,
    alpha: float,
    eight_bit: bool,
) -> None:
    random = np.random.default_rng(seed)
    image = (scale * random.standard_normal((*shape, 3)) + 0.5).astype(np.float32)
    blur_map = (top * random.random(shape)).astype(np.float32)
    restored = hl.deconvolve_hyper_laplacian(
        image, blur_map, psf=psf, alpha=alpha, bins=bins, eight_bit=eight_bit
    )
    assert restored.shape == image.shape and restored.dtype == np.float32
    assert np.isfinite(restored).all()
    if scale == 0:
        np.testing.assert_allclose(restored, image, atol=(0.5 / 255 if eight_bit else 0) + 1e-5)


@pytest.mark.parametrize(
    ("alpha", "weight", "mismatch"),
    [
        (0, 1, 0),
        (2.1, 1, 0),
        (math.nan, 1, 0),
        (1, 0, 0),
        (1, math.inf, 0),
        (1, 1, -0.1),
        (1, 1, math.inf),
    ],
)
def test_constants_out_of_range_are_refused(alpha: float, weight: float, mismatch: float) -> None:
    with pytest.raises(ValueError, match="alpha must be"):
        hl.deconvolve_hyper_laplacian(
            _picture(), _ramp((40, 52), 1), alpha=alpha, weight=weight, mismatch=mismatch
        )


def test_mismatch_restores_less_where_the_psf_passes_little() -> None:
    image, blur_map = _picture(), np.full((40, 52), 2.0, np.float32)
    sure, unsure = (
        hl.deconvolve_hyper_laplacian(
            image, blur_map, weight=1000, mismatch=m, bins="feathered", eight_bit=False
        )
        for m in (0, 0.02)
    )
    assert np.abs(unsure - image).mean() < 0.8 * np.abs(sure - image).mean()
    np.testing.assert_allclose(unsure.mean(), image.mean(), atol=0.02)


def _gain(sharp: Picture, seen: Picture, restored: Picture) -> float:
    return 10 * float(
        np.log10(np.mean((seen - sharp) ** 2) / np.mean((np.clip(restored, 0, 1) - sharp) ** 2))
    )


def test_the_true_map_recovers_detail() -> None:
    sharp = _picture((96, 128))
    blur_map = 0.5 + _ramp((96, 128), 2)
    image = VaryingBlur(blur_map, "disk").forward(sharp)
    restored = hl.deconvolve_hyper_laplacian(image, blur_map, psf="disk", **asdict(hl.TUNED))
    assert (
        _gain(
            sharp,
            image,
            hl.deconvolve_hyper_laplacian(image, blur_map, psf="disk", **asdict(hl.RELEASED)),
        )
        > 1
    )
    assert _gain(sharp, image, restored) > 2


@pytest.mark.data
def test_photographs_gain(data_root: Path) -> None:
    """Simulated disks on photographs that no constant was tuned on: what the module says, with
    room.
    """
    from benchmark.datasets.simulated import Simulated

    scenes = Simulated(Path(), source=data_root / "BSDS500" / "val", seed=7, size=240)
    gains = []
    for name in list(scenes.ids())[10::45]:
        scene = scenes.load(name)
        assert scene.blur_map is not None and scene.target is not None
        restored = hl.deconvolve_hyper_laplacian(
            to_linear(scene.image),
            scene.blur_map,
            psf="disk",
            **asdict(hl.TUNED),
        )
        gains.append(_gain(scene.target, scene.image, to_srgb(restored)))
    assert np.mean(gains) > 0.5
