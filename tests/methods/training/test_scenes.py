"""The training renderer against plain convolution, closed forms and the benchmark's own renderer;
invented scenes.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.methods.training import scenes
from benchmark.methods.training.scenes import Aperture, Scene, expose_scene
from benchmark.optics import light, psf
from benchmark.optics.depth_of_field import render_depth_of_field

APERTURES = (
    Aperture("disk"),
    Aperture("polygon", blades=5),
    Aperture("gaussian"),
    Aperture("generalised", shape=6.0),
    Aperture("cats-eye", cut=0.6, angle=0.7),
)


def texture(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, 3), np.float32)


def flat(size: int, radius: float) -> Scene:
    return Scene(np.full((size, size), radius, np.float32), np.zeros((size, size), np.uint8))


def two_planes(size: int, near: float, far: float) -> Scene:
    """A disk at radius `near` before a plane at `far`."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = x**2 + y**2 < (size / 5) ** 2
    return Scene(np.where(inside, near, far).astype(np.float32), inside.astype(np.uint8))


def convolved(linear: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.stack(
        [ndimage.convolve(linear[..., c].astype(np.float64), kernel) for c in range(3)], axis=-1
    )


def inner(array: np.ndarray, margin: int) -> np.ndarray:
    return array[margin:-margin, margin:-margin]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(np.square(one.astype(np.float64) - other)) + 1e-12))


# Rendering
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aperture", APERTURES, ids=lambda aperture: aperture.family)
@pytest.mark.parametrize("half", [None, "left"])
@pytest.mark.parametrize("radius", [5.125, -3.0])
def test_one_plane_is_a_plain_convolution(aperture, half, radius):
    x = texture(64)
    sigma = abs(radius) / 2
    if aperture.family == "cats-eye":
        kernel = psf.cats_eye_kernel(sigma, aperture.cut, aperture.angle, half=half)
    else:
        kernel = psf.psf_kernel(
            aperture.family, sigma, blades=aperture.blades, shape=aperture.shape, half=half
        )
    expected = convolved(x, kernel if radius > 0 else kernel[::-1, ::-1])
    margin = aperture.reach(radius)
    assert margin == len(kernel) // 2
    np.testing.assert_allclose(
        inner(expose_scene(x, flat(64, radius), aperture, half), margin),
        inner(expected, margin),
        atol=2e-6,
    )


@pytest.mark.parametrize("aperture", APERTURES, ids=lambda aperture: aperture.family)
def test_what_is_in_focus_stays_as_it_is(aperture):
    x = texture(40)
    np.testing.assert_array_equal(expose_scene(x, flat(40, 0.0), aperture), x)


def test_pixels_in_focus_away_from_a_blurred_foreground_stay_as_they_are():
    x, scene = texture(80), two_planes(80, -6.0, 0.0)
    untouched = ndimage.distance_transform_edt(scene.surface == 0) > 9
    assert 0.2 < untouched.mean() < 0.9
    np.testing.assert_array_equal(expose_scene(x, scene, Aperture("disk"))[untouched], x[untouched])


def test_what_is_in_focus_between_many_radii_stays_as_it_is():
    """Interpolated between layers on both sides of the plane of focus it would be blurred
    a little.
    """
    radius = np.repeat(np.linspace(-2, 2, 90)[None], 90, axis=0)
    radius = (np.rint(radius * 8) / 8).astype(np.float32)
    radius[:, 50:] = 0
    x, aperture = texture(90), Aperture("gaussian")
    seen = expose_scene(x, Scene(radius, (radius == 0).astype(np.uint8)), aperture)
    np.testing.assert_array_equal(seen[:, 62:], x[:, 62:])
    assert aperture.reach(2.0) < 12


def test_a_sharp_foreground_takes_no_light_from_the_blurred_background():
    scene = two_planes(80, 0.0, 7.0)
    x = np.where(scene.surface[..., None] == 1, np.float32(0.02), np.float32(0.9)) * np.ones(
        3, np.float32
    )
    seen = expose_scene(x, scene, Aperture("disk"))
    np.testing.assert_allclose(seen[scene.surface == 1], 0.02, atol=1e-6)


def test_the_background_does_not_take_the_colour_of_a_sharp_foreground():
    scene = two_planes(80, 0.0, 7.0)
    x = np.where(scene.surface[..., None] == 1, np.float32(0.02), np.float32(0.9)) * np.ones(
        3, np.float32
    )
    seen = expose_scene(x, scene, Aperture("disk"))
    np.testing.assert_allclose(seen[scene.surface == 0], 0.9, atol=1e-6)


def test_a_blurred_foreground_covers_by_its_share_of_the_lens():
    scene = two_planes(80, -6.0, 0.0)
    near, far = np.float32([0.1, 0.6, 0.9]), np.float32([0.8, 0.2, 0.05])
    x = np.where(scene.surface[..., None] == 1, near, far)
    share = ndimage.convolve(scene.surface.astype(np.float64), psf.disk_kernel(6.0))[..., None]
    expected = share * near + (1 - share) * far
    np.testing.assert_allclose(
        inner(expose_scene(x, scene, Aperture("disk")), 8), inner(expected, 8), atol=2e-6
    )


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(APERTURES), st.sampled_from([None, "left", "right"]))
def test_a_constant_picture_stays_constant_in_every_scene(seed, aperture, half):
    scene = scenes.invent_scene(48, 7.0, np.random.default_rng(seed))
    x = np.broadcast_to(np.float32([0.9, 0.1, 0.03]), (48, 48, 3)).copy()
    np.testing.assert_allclose(expose_scene(x, scene, aperture, half), x, rtol=2e-5)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(APERTURES))
def test_light_stays_between_the_darkest_and_the_brightest(seed, aperture):
    random = np.random.default_rng(seed)
    x = texture(40, seed)
    seen = expose_scene(x, scenes.invent_scene(40, 7.0, random), aperture)
    assert x.min() - 1e-5 <= seen.min() <= seen.max() <= x.max() + 1e-5


def test_a_smooth_scene_agrees_with_the_benchmarks_renderer():
    sharp = skimage.data.astronaut()[100:260, 150:310].astype(np.float32) / 255
    y, x = np.mgrid[:160, :160] / 160
    radius = (8 * np.sin(4 * x + 2 * y)).astype(np.float32)
    scene = Scene((np.rint(radius * 8) / 8).astype(np.float32), np.zeros((160, 160), np.uint8))
    mine = light.to_srgb(expose_scene(light.to_linear(sharp), scene, Aperture("disk")))
    theirs = render_depth_of_field(sharp, radius)
    assert psnr(inner(theirs, 18), inner(sharp, 18)) < 32  # there is something to agree about
    assert psnr(inner(mine, 18), inner(theirs, 18)) > 50


def test_scenes_with_edges_agree_with_the_benchmarks_renderer():
    picture = skimage.data.astronaut().astype(np.float32) / 255
    agreement, blur = [], []
    for seed in range(16):
        scene = scenes.invent_scene(150, 8.0, np.random.default_rng(seed))
        if not scene.surface.any():
            continue
        top, left = np.random.default_rng(seed).integers(0, 512 - 150, 2)
        sharp = picture[top : top + 150, left : left + 150]
        theirs = inner(render_depth_of_field(sharp, scene.radius), 18)
        mine = inner(
            light.to_srgb(expose_scene(light.to_linear(sharp), scene, Aperture("disk"))), 18
        )
        agreement.append(psnr(mine, theirs))
        blur.append(psnr(theirs, inner(sharp, 18)))
    assert len(agreement) >= 8
    assert min(agreement) > 30  # where the two guess differently what a foreground hides
    assert np.median(agreement) > np.median(blur) + 20


def test_without_its_surfaces_a_scene_agrees_less():
    """What is hidden matters: without it the background would take the foreground's place,
    darkened.
    """
    scene = two_planes(80, -7.0, 5.0)
    x = texture(80)
    reference = light.to_linear(render_depth_of_field(light.to_srgb(x), scene.radius))
    one_surface = Scene(scene.radius, np.zeros_like(scene.surface))
    known, unknown = (expose_scene(x, each, Aperture("disk")) for each in (scene, one_surface))
    assert (
        psnr(inner(known, 10), inner(reference, 10))
        > psnr(inner(unknown, 10), inner(reference, 10)) + 3
    )


# Views
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aperture", APERTURES, ids=lambda aperture: aperture.family)
@pytest.mark.parametrize("radius", [6.0, -4.0])
def test_the_mean_of_the_views_of_a_plane_is_the_picture(aperture, radius):
    x, scene = texture(60), flat(60, radius)
    views = [expose_scene(x, scene, aperture, half) for half in ("left", "right")]
    margin = aperture.reach(radius)
    np.testing.assert_allclose(
        inner((views[0] + views[1]) / 2, margin),
        inner(expose_scene(x, scene, aperture), margin),
        atol=2e-6,
    )


@pytest.mark.parametrize(("radius", "sign"), [(6.0, -1), (-6.0, 1)])
def test_the_background_moves_left_in_the_left_view_and_the_foreground_right(radius, sign):
    x = np.zeros((41, 41, 3), np.float32)
    x[20, 20] = 1
    seen = expose_scene(x, flat(41, radius), Aperture("disk"), "left")[..., 0]
    column = (seen.sum(axis=0) * np.arange(41)).sum() / seen.sum() - 20
    assert column == pytest.approx(
        sign * 4 / (3 * math.pi) * 6, rel=0.02
    )  # centroid of a half disk


# Apertures
# --------------------------------------------------------------------------------------------------


def test_a_family_that_is_named_more_often_is_drawn_more_often():
    random = np.random.default_rng(0)
    drawn = [
        scenes.draw_aperture(("disk", "disk", "disk", "cats-eye"), random).family
        for _ in range(400)
    ]
    assert 0.68 < drawn.count("disk") / 400 < 0.82
    assert drawn.count("cats-eye") == 400 - drawn.count("disk")


@pytest.mark.parametrize("family", scenes.FAMILIES)
def test_apertures_of_a_family_differ_as_far_as_it_has_parameters(family):
    random = np.random.default_rng(1)
    drawn = {scenes.draw_aperture((family,), random) for _ in range(60)}
    assert {aperture.family for aperture in drawn} == {family}
    assert (len(drawn) > 3) == (family in {"polygon", "generalised", "cats-eye", "lens"})


# Scenes
# --------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(16, 90), st.floats(0.3, 20))
def test_radii_are_stepped_and_within_their_bound(seed, size, most):
    scene = scenes.invent_scene(size, most, np.random.default_rng(seed))
    assert scene.radius.shape == scene.surface.shape == (size, size)
    assert np.abs(scene.radius).max() <= most + scenes.STEP / 2
    np.testing.assert_array_equal(scene.radius, np.rint(scene.radius / scenes.STEP) * scenes.STEP)


def test_scenes_are_of_every_kind():
    drawn = [
        scenes.invent_scene(64, 8.0, np.random.default_rng(seed)).radius for seed in range(400)
    ]
    single = [float(radius[0, 0]) for radius in drawn if np.ptp(radius) == 0]
    jumps = [max(np.abs(np.diff(radius, axis=axis)).max() for axis in (0, 1)) for radius in drawn]
    assert 0.02 < np.mean([not radius.any() for radius in drawn]) < 0.1
    assert min(single) < -4 < 4 < max(single)
    assert 0.05 < len(single) / 400 < 0.3
    assert np.mean(np.asarray(jumps) > 1) > 0.3  # abrupt
    assert (
        np.mean(
            [
                np.ptp(radius) > 0.5 and jump <= 0.5
                for radius, jump in zip(drawn, jumps, strict=True)
            ]
        )
        > 0.1
    )
    assert np.mean([(radius == 0).mean() > 0.05 for radius in drawn]) > 0.2  # in focus somewhere
    assert np.mean([radius.max() > 6 for radius in drawn]) > 0.1
    assert np.mean([radius.min() < -4 for radius in drawn]) > 0.1


def test_a_scene_depends_on_its_generator_alone():
    one, other = (scenes.invent_scene(50, 8.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.radius, other.radius)
    np.testing.assert_array_equal(one.surface, other.surface)
    assert not np.array_equal(
        one.radius, scenes.invent_scene(50, 8.0, np.random.default_rng(6)).radius
    )
