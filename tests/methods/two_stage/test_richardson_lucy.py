from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.restoration import richardson_lucy as skimage_richardson_lucy

from benchmark.arrays import Float64Array
from benchmark.methods.two_stage import richardson_lucy as rl
from benchmark.optics.light import to_linear, to_srgb
from benchmark.optics.psf import psf_kernel
from benchmark.optics.varying import BlurFamily, VaryingBlur

Picture = NDArray[np.float32]


def _picture(shape: tuple[int, int] = (40, 52), seed: int = 0, size: float = 3) -> Picture:
    """A picture of flat patches with sharp edges, from 0.15 to 0.85."""
    soft = gaussian_filter(
        np.random.default_rng(seed).standard_normal((*shape, 3)), (size, size, 0)
    )
    return (0.15 + 0.175 * np.clip(np.round(soft / soft.std() + 2), 0, 4)).astype(np.float32)


def _ramp(shape: tuple[int, int], top: float) -> Picture:
    return np.tile(np.linspace(0, top, shape[1], dtype=np.float32), (shape[0], 1))


def _gain(sharp: Picture, seen: Picture, restored: Picture) -> float:
    return 10 * float(
        np.log10(np.mean((seen - sharp) ** 2) / np.mean((np.clip(restored, 0, 1) - sharp) ** 2))
    )


def _matrix(blur_map: Picture, psf: BlurFamily) -> Float64Array:
    blur = VaryingBlur(blur_map, psf)
    units = np.eye(blur_map.size, dtype=np.float32).reshape(-1, *blur_map.shape)
    return np.stack(
        [
            blur.forward(np.repeat(unit[..., None], 3, axis=2))[..., 0].ravel().astype(np.float64)
            for unit in units
        ],
        axis=1,
    )


@pytest.mark.parametrize("sigma", [0.75, 1.5])
def test_against_skimage_where_the_border_is_far(sigma: float) -> None:
    """One PSF for all pixels, both from a constant. skimage continues by zeros, so only the middle
    is compared.
    """
    image = VaryingBlur(np.full((72, 80), sigma, np.float32), "disk").forward(_picture((72, 80)))
    flat = np.full_like(image, 0.5)
    states = rl.iterate_richardson_lucy(
        image, np.full((72, 80), sigma, np.float32), psf="disk", accelerate=False, start=flat
    )
    ours = list(islice(states, 6))[-1]
    for channel in range(3):
        theirs = skimage_richardson_lucy(
            image[..., channel].astype(np.float64),
            psf_kernel("disk", sigma),
            num_iter=5,
            clip=False,
        )
        np.testing.assert_allclose(
            ours.picture[32:-32, 32:-32, channel], theirs[32:-32, 32:-32], atol=2e-4
        )
    assert ours.iteration == 5


@pytest.mark.parametrize("psf", ["gaussian", "disk", "gkm"])
@pytest.mark.parametrize("accelerate", [False, True])
def test_against_matrices_in_float64(psf: BlurFamily, accelerate: bool) -> None:
    image, blur_map = _picture((9, 12)), _ramp((9, 12), 2.0)
    matrix = _matrix(blur_map, psf)
    y = image.reshape(-1, 3).astype(np.float64)
    received = matrix.sum(axis=0)[:, None]
    x = before = y
    steps: list[Float64Array] = []
    for state in islice(
        rl.iterate_richardson_lucy(image, blur_map, psf=psf, accelerate=accelerate), 8
    ):
        np.testing.assert_allclose(state.picture.reshape(-1, 3), x, atol=5e-5)
        momentum = 0.0
        if accelerate and len(steps) > 1:
            momentum = min(1, max(0, float((steps[-1] * steps[-2]).sum() / (steps[-2] ** 2).sum())))
        point = np.maximum(x + momentum * (x - before), 0)
        off = y - matrix @ point
        assert state.residual == pytest.approx(np.sqrt(np.mean(off**2)), abs=1e-5)
        where = (blur_map > 0.5).ravel()
        assert state.misfit == pytest.approx(
            np.abs(off[where]).mean() * np.sqrt(np.pi / 2), abs=1e-5
        )
        before, x = x, point * (matrix.T @ (y / (matrix @ point))) / received
        steps.append(x - point)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 999),
    psf=st.sampled_from(["gaussian", "disk", "gkm"]),
    top=st.floats(0.25, 4, width=32),
)
def test_positive_likelier_and_no_light_lost(seed: int, psf: BlurFamily, top: float) -> None:
    """What Richardson and Lucy proved of their iteration, for the operator of a map."""
    random = np.random.default_rng(seed)
    image = random.random((13, 17, 3)).astype(np.float32)
    blur_map = (top * random.random((13, 17))).astype(np.float32)
    blur = VaryingBlur(blur_map, psf)
    received = blur.adjoint(np.ones_like(image))
    costs = []
    for state in islice(rl.iterate_richardson_lucy(image, blur_map, psf=psf, accelerate=False), 8):
        model = blur.forward(state.picture).astype(np.float64)
        costs.append(float((model - image * np.log(np.maximum(model, 1e-12))).sum()))
        assert state.picture.min() >= 0
        if state.iteration:
            kept = (received * state.picture).sum(axis=(0, 1))
            np.testing.assert_allclose(kept, image.sum(axis=(0, 1)), rtol=1e-4)
    assert (np.diff(costs) <= 1e-5 * abs(costs[0])).all()
    assert costs[-1] < costs[0]


def test_acceleration_arrives_earlier() -> None:
    sharp, blur_map = _picture((48, 64)), 0.5 + _ramp((48, 64), 1.5)
    image = VaryingBlur(blur_map, "disk").forward(sharp)
    fast = [
        state.residual
        for state in islice(rl.iterate_richardson_lucy(image, blur_map, psf="disk"), 16)
    ]
    slow = [
        state.residual
        for state in islice(
            rl.iterate_richardson_lucy(image, blur_map, psf="disk", accelerate=False), 31
        )
    ]
    assert fast[-1] < slow[-1]


@settings(max_examples=20)
@given(scale=st.sampled_from([0.125, 0.5, 4.0]), seed=st.integers(0, 99))
def test_brightness_is_only_a_scale(scale: float, seed: int) -> None:
    image, blur_map = _picture((12, 14), seed), _ramp((12, 14), 2)
    one, other = (
        list(islice(rl.iterate_richardson_lucy(np.float32(c) * image, blur_map, psf="disk"), 5))[
            -1
        ].picture
        for c in (1, scale)
    )
    np.testing.assert_allclose(other, np.float32(scale) * one, rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    top=st.floats(0, 6, width=32),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 1.0, 50.0]),
    level=st.sampled_from([-3.0, 0.0, 0.5]),
    psf=st.sampled_from(["gaussian", "disk", "gkm"]),
)
def test_any_picture_has_a_finite_result(
    shape: tuple[int, int], top: float, seed: int, scale: float, level: float, psf: BlurFamily
) -> None:
    random = np.random.default_rng(seed)
    image = (scale * random.standard_normal((*shape, 3)) + level).astype(np.float32)
    blur_map = (top * random.random(shape)).astype(np.float32)
    restored = rl.deconvolve_richardson_lucy(image, blur_map, psf=psf)
    assert restored.shape == image.shape and restored.dtype == np.float32
    assert np.isfinite(restored).all()
    assert restored.min() >= min(0, image.min()) - 1e-5 * scale
    if scale == 0:
        np.testing.assert_allclose(restored, image, atol=2e-5)


def test_a_picture_in_focus_is_returned_as_it_is() -> None:
    image = _picture() - np.float32(0.3)
    restored = rl.deconvolve_richardson_lucy(
        image, np.zeros(image.shape[:2], np.float32), psf="gaussian"
    )
    np.testing.assert_array_equal(restored, image)
    assert not np.shares_memory(restored, image)


def test_negative_values_raise_picture_and_model_together() -> None:
    image, blur_map = _picture(), _ramp((40, 52), 2)
    image[5, 7] = -0.05
    lifted = list(
        islice(rl.iterate_richardson_lucy(image + np.float32(0.05), blur_map, psf="disk"), 4)
    )[-1]
    state = list(islice(rl.iterate_richardson_lucy(image, blur_map, psf="disk"), 4))[-1]
    np.testing.assert_allclose(state.picture, lifted.picture - np.float32(0.05), atol=1e-6)


@pytest.mark.parametrize("light", ["srgb", "linear"])
def test_noise_ends_the_iteration_early(light: rl.Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise is white in code values; in both lights the residual must tell it from blur."""
    sharp = _picture((96, 96), size=8)  # wide patches, or their edges count as noise
    blur_map = np.full((96, 96), 1.5, np.float32)
    linear = light == "linear"
    clean = VaryingBlur(blur_map, "disk").forward(to_linear(sharp) if linear else sharp)
    codes = to_srgb(clean) if linear else clean
    made: list[int] = []
    plain = rl.iterate_richardson_lucy

    def spy(*args: object, **options: object) -> Iterator[rl.RichardsonLucyStep]:
        for state in plain(*args, **options):  # type: ignore[arg-type]
            made.append(state.iteration)
            yield state

    monkeypatch.setattr(rl, "iterate_richardson_lucy", spy)
    counts, gains = [], []
    for noise in (0, 1, 3, 5):
        seen = codes + np.float32(noise / 255) * np.random.default_rng(5).standard_normal(
            codes.shape, np.float32
        )
        made.clear()
        given_light = to_linear(seen) if linear else seen
        restored = rl.deconvolve_richardson_lucy(
            given_light, blur_map, psf="disk", iterations=40, light=light
        )
        counts.append(made[-1])
        gains.append(_gain(sharp, seen, to_srgb(restored) if linear else restored))
    assert counts == sorted(counts, reverse=True) and 1 <= counts[-1] < counts[0] < 40
    assert gains[0] > 2 and min(gains) > 0


def test_steps_lead_to_the_result() -> None:
    image, blur_map = (
        VaryingBlur(_ramp((40, 52), 2), "disk").forward(_picture()),
        _ramp((40, 52), 2),
    )
    made = list(rl.follow_richardson_lucy(image, blur_map, psf="disk", iterations=3))
    states = list(islice(rl.iterate_richardson_lucy(image, blur_map, psf="disk"), 4))
    assert [residual for _, residual in made] == [state.residual for state in states]
    np.testing.assert_array_equal(made[0][0], image)
    np.testing.assert_array_equal(
        made[-1][0], rl.deconvolve_richardson_lucy(image, blur_map, psf="disk", iterations=3)
    )


def test_iterations_are_the_most_that_are_made() -> None:
    image, blur_map = (
        VaryingBlur(_ramp((40, 52), 2), "disk").forward(_picture()),
        _ramp((40, 52), 2),
    )
    states = list(islice(rl.iterate_richardson_lucy(image, blur_map, psf="disk"), 4))
    for most in (0, 1, 3):
        restored = rl.deconvolve_richardson_lucy(image, blur_map, psf="disk", iterations=most)
        np.testing.assert_array_equal(restored, states[most].picture)
    with pytest.raises(ValueError, match="iterations"):
        rl.deconvolve_richardson_lucy(image, blur_map, psf="disk", iterations=-1)


@pytest.mark.data
def test_photographs_gain(data_root: Path) -> None:
    """Simulated disks on photographs that no constant was chosen on: what the module says, with
    room.
    """
    from benchmark.datasets.simulated import Simulated

    scenes = Simulated(Path(), source=data_root / "BSDS500" / "val", seed=7, size=120)
    gains = []
    for name in list(scenes.ids())[10::30]:
        scene = scenes.load(name)
        assert scene.blur_map is not None and scene.target is not None
        restored = rl.deconvolve_richardson_lucy(
            to_linear(scene.image), scene.blur_map, psf="disk", light="linear"
        )
        gains.append(_gain(scene.target, scene.image, to_srgb(restored)))
    assert np.mean(gains) > 1
