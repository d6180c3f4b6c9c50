"""The depth-of-field renderer against plain convolution, the lens-sampling integral and a per-pixel
reference.

Everything is compared on linear light.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.arrays import Plane
from benchmark.optics import gkm, light, psf
from benchmark.optics.depth_of_field import render_depth_of_field, render_light
from benchmark.optics.lens import FieldPosition, Lens

RED, BLUE = np.float32([0.9, 0.1, 0.05]), np.float32([0.05, 0.2, 0.8])


def noise(height: int, width: int, seed: int = 0) -> Plane:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def rendered(linear: Plane, radius: Plane, **options: object) -> Plane:
    return light.to_linear(render_depth_of_field(light.to_srgb(linear), radius, **options))  # type: ignore[arg-type]


def convolved(linear: Plane, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    channels = [
        ndimage.convolve(linear[..., c].astype(np.float64), kernel, mode="reflect")
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def circle(size: int, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size] - size / 2
    return x**2 + y**2 < radius**2


def smooth(size: int, seed: int) -> Plane:
    field = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((size, size, 3)), (2, 2, 0)
    )
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


# One surface
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["disk", "gaussian", "polygon"])
@pytest.mark.parametrize("half", [None, "left", "right"])
@pytest.mark.parametrize("radius", [0.3, 1.7, 5.0, 7.3, -2.6, -7.3])
def test_constant_radius_is_plain_convolution(family, half, radius):
    x = noise(48, 37)
    kernel = psf.psf_kernel(family, abs(np.float32(radius)) / 2, half=half)
    expected = convolved(x, kernel if radius > 0 else kernel[::-1, ::-1])
    np.testing.assert_allclose(
        rendered(x, np.full((48, 37), radius, np.float32), half=half, psf=family),
        expected,
        atol=1e-6,
    )


@pytest.mark.parametrize("shape", [(5, 4), (1, 9), (1, 1)])
def test_picture_smaller_than_the_psf(shape):
    x = noise(*shape)
    expected = convolved(x, psf.disk_kernel(8.0))
    np.testing.assert_allclose(rendered(x, np.full(shape, 8, np.float32)), expected, atol=1e-6)


def test_in_focus_is_identity():
    x = noise(30, 31)
    for radius in (0.0, 0.4, -0.4):
        np.testing.assert_allclose(
            render_depth_of_field(x, np.full((30, 31), radius, np.float32)), x, atol=1e-6
        )


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 2)])
def test_tiny_picture_in_focus(shape):
    x = noise(*shape)
    np.testing.assert_allclose(render_depth_of_field(x, np.zeros(shape, np.float32)), x, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([None, "left"]),
    st.sampled_from(["disk", "gaussian", "polygon", "gkm"]),
)
def test_constant_picture_stays_constant_for_any_map(seed, half, family):
    random = np.random.default_rng(seed)
    radius = ndimage.gaussian_filter(
        random.standard_normal((40, 33)) * 40, random.choice([0.0, 1.0, 5.0])
    )
    radius = np.clip(radius, -7, 7).astype(np.float32)
    x = np.broadcast_to(RED, (40, 33, 3)).copy()
    half = None if family == "gkm" else half
    np.testing.assert_allclose(rendered(x, radius, psf=family, half=half), x, atol=2e-5)


def scattered(linear: Plane, radius: Plane) -> NDArray[np.float64]:
    """Spread every pixel with its own PSF, and normalise: what one smooth surface gives."""
    margin = 8
    pad = ((margin, margin), (margin, margin))
    x, r = np.pad(linear, (*pad, (0, 0)), mode="symmetric"), np.pad(radius, pad, mode="symmetric")
    total = np.zeros((x.shape[0] + 2 * margin, x.shape[1] + 2 * margin, 4))
    for i, j in np.ndindex(r.shape):
        kernel = psf.disk_kernel(abs(float(r[i, j])))
        reach = len(kernel) // 2
        box = np.s_[
            i + margin - reach : i + margin + reach + 1, j + margin - reach : j + margin + reach + 1
        ]
        total[box] += kernel[..., None] * np.append(x[i, j], 1)
    inner = total[2 * margin : -2 * margin, 2 * margin : -2 * margin]
    return inner[..., :3] / inner[..., 3:]


@pytest.mark.parametrize("ends", [(0.0, 6.0), (-5.0, 4.0)])
def test_slanted_plane_agrees_with_spreading_every_pixel(ends):
    x = noise(48, 96)
    radius = np.broadcast_to(np.linspace(*ends, 96, dtype=np.float32), (48, 96)).copy()
    reference = scattered(x, radius)
    error = rendered(x, radius) - reference
    assert np.sqrt(np.mean(error**2)) < 0.002
    assert (
        np.abs(error).max() < 0.04
    )  # white noise, where the PSF outgrows one pixel: nearer pixels go first here
    coarse = rendered(x, radius, fineness=4) - reference
    assert np.sqrt(np.mean(coarse**2)) > 3 * np.sqrt(np.mean(error**2))


# Two surfaces: the exact integral over the lens
# -----------------------------------------------------------------------


def lens(
    near: float, far: float, half: str | None = None
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield by how many whole pixels (x, y of the near, x, y of the far plane) which share of the
    lens moves them.
    """
    t = (np.arange(1600) + 0.5) / 800 - 1
    u, v = np.meshgrid(t, t)
    used = u**2 + v**2 <= 1
    if half is not None:
        used &= (u < 0) if half == "left" else (u > 0)
    moves = np.rint(np.stack([near * u, near * v, far * u, far * v])[:, used]).astype(int) + 16
    codes, counts = np.unique(np.ravel_multi_index(tuple(moves), (32,) * 4), return_counts=True)
    for code, count in zip(codes, counts, strict=True):
        yield (
            tuple(int(index) - 16 for index in np.unravel_index(code, (32,) * 4)),
            count / counts.sum(),
        )


def photographed(
    front: Plane,
    mask: NDArray[np.bool_],
    back: Plane,
    near: float,
    far: float,
    half: str | None = None,
) -> NDArray[np.float64]:
    """Average hard-occlusion pictures of two fronto-parallel planes over the lens; both planes are
    known everywhere.
    """
    total = np.zeros(front.shape)
    for (fx, fy, bx, by), share in lens(near, far, half):
        moved_mask = np.roll(mask, (fy, fx), (0, 1))[..., None]
        total += share * np.where(
            moved_mask, np.roll(front, (fy, fx), (0, 1)), np.roll(back, (by, bx), (0, 1))
        )
    return total


def two_planes(
    front: Plane, back: Plane, near: float, far: float
) -> tuple[Plane, Plane, NDArray[np.bool_]]:
    mask = circle(72, 20)
    return (
        np.where(mask[..., None], front, back),
        np.where(mask, near, far).astype(np.float32),
        mask,
    )


def flat(colour: NDArray[np.float32]) -> Plane:
    return np.broadcast_to(colour, (72, 72, 3)).copy()


PLANES = [(-6.0, 0.0), (-6.0, -2.0), (0.0, 6.0), (2.0, 5.0), (-4.0, 4.0), (-1.0, 3.3)]


@pytest.mark.parametrize(("near", "far"), PLANES)
@pytest.mark.parametrize("half", [None, "left", "right"])
def test_textured_foreground_before_a_background_of_one_colour(near, far, half):
    front, back = noise(72, 72), flat(BLUE)
    x, radius, mask = two_planes(front, back, near, far)
    expected = photographed(front, mask, back, near, far, half)
    np.testing.assert_allclose(
        rendered(x, radius, half=half), expected, atol=1e-3
    )  # the oracle's grid


@pytest.mark.parametrize(("near", "far"), PLANES)
def test_textured_background_where_it_is_not_hidden(near, far):
    front, back = flat(RED), smooth(72, 1)
    x, radius, mask = two_planes(front, back, near, far)
    error = np.abs(rendered(x, radius) - photographed(front, mask, back, near, far))
    # The lens looks round an edge by |far - near|; beyond that and the foreground's own spread all
    # is known.
    distance = ndimage.distance_transform_edt(~mask)
    clear = distance > abs(near) + abs(far) + 1
    clear[:8], clear[-8:], clear[:, :8], clear[:, -8:] = (
        False,
        False,
        False,
        False,
    )  # np.roll wraps there
    assert clear.any()
    assert error[clear].max() < 1e-3
    inner = np.s_[8:-8, 8:-8]
    # Next to the edge the hidden part is a guess, but a better one than blurring every pixel as if
    # alone in the world.
    gathered = np.where(
        mask[..., None],
        convolved(x, psf.disk_kernel(abs(near))),
        convolved(x, psf.disk_kernel(abs(far))),
    )
    shortcut = gathered - photographed(front, mask, back, near, far)
    # It is worst where the two PSFs are equal but upside down: which part of the lens sees which is
    # not kept.
    limit = 0.8 if near == -far else 0.3
    assert np.sqrt(np.mean(error[inner] ** 2)) < limit * np.sqrt(np.mean(shortcut[inner] ** 2))


def test_sharp_foreground_keeps_its_edge_before_blurred_background():
    front, back = noise(72, 72), noise(72, 72, seed=1)
    x, radius, mask = two_planes(front, back, 0.0, 7.0)
    out = rendered(x, radius)
    np.testing.assert_allclose(out[mask], x[mask], atol=1e-5)
    background = rendered(back, np.full((72, 72), 7.0, np.float32))
    just_outside = ndimage.binary_dilation(mask) & ~mask
    assert (
        np.abs(out - background)[just_outside].max() < 0.25
    )  # no red from the foreground, only a guessed hidden part


def test_sharp_foreground_does_not_leak_into_its_background():
    x, radius, _ = two_planes(flat(RED), flat(BLUE), 0.0, 7.0)
    np.testing.assert_allclose(rendered(x, radius), x, atol=1e-5)


def test_blurred_foreground_spreads_over_sharp_background():
    x, radius, mask = two_planes(flat(RED), flat(BLUE), -6.0, 0.0)
    red = (rendered(x, radius) - BLUE)[..., 0] / (RED - BLUE)[0]
    np.testing.assert_allclose(
        red, ndimage.convolve(mask.astype(float), psf.disk_kernel(6.0)), atol=1e-4
    )
    outside = ndimage.distance_transform_edt(~mask)
    assert red[(outside > 1.5) & (outside < 2.5)].min() > 0.2
    assert np.abs(red[outside > 7.5]).max() < 1e-5


def test_nearer_surface_has_the_smaller_radius_on_either_side_of_focus():
    for near, far in ((1.0, 6.0), (-6.0, -1.0)):
        x, radius, mask = two_planes(flat(RED), flat(BLUE), near, far)
        red = (rendered(x, radius) - BLUE)[..., 0] / (RED - BLUE)[0]
        np.testing.assert_allclose(
            red, ndimage.convolve(mask.astype(float), psf.disk_kernel(abs(near))), atol=1e-4
        )


# Dual pixels, families, options
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [6.0, -6.0])
def test_views_move_a_point_by_the_centroid_of_half_a_disk(radius):
    x = np.zeros((41, 41, 3), np.float32)
    x[20, 20] = 1
    for half, side in (("left", -1), ("right", 1)):
        spread = rendered(x, np.full((41, 41), radius, np.float32), half=half)[..., 0]
        centroid = (spread.sum(axis=0) @ (np.arange(41) - 20)) / spread.sum()
        assert centroid == pytest.approx(side * 4 * radius / (3 * math.pi), abs=0.03)


def test_the_whole_lens_is_the_mean_of_its_halves_on_one_plane():
    x, radius = noise(40, 40), np.full((40, 40), -4.4, np.float32)
    left, right = (rendered(x, radius, half=half) for half in ("left", "right"))
    np.testing.assert_allclose((left + right) / 2, rendered(x, radius), atol=1e-6)


def test_triangular_aperture_turns_over_at_the_plane_of_focus():
    x = np.zeros((41, 41, 3), np.float32)
    x[20, 20] = 1
    behind, before = (
        rendered(x, np.full((41, 41), r, np.float32), psf="polygon", blades=3)[..., 0]
        for r in (7.0, -7.0)
    )
    np.testing.assert_allclose(behind, before[::-1], atol=1e-6)
    assert np.abs(behind - before).max() > 1e-3


def test_gkm_is_equation_4_on_linear_light():
    x = noise(30, 30)
    radius = np.broadcast_to(np.linspace(-7, 7, 30, dtype=np.float32), (30, 30)).copy()
    bank = gkm.paper_bank()
    expected = gkm.blur_picture(x, gkm.mixing_coefficients(np.abs(radius) / 2, bank), bank)
    np.testing.assert_allclose(rendered(x, radius, psf="gkm"), expected, atol=2e-6)


def test_gkm_continues_the_ladder_for_a_large_radius():
    x = np.zeros((101, 101, 3), np.float32)
    x[50, 50] = 1
    spread = rendered(x, np.full((101, 101), 14, np.float32), psf="gkm")[..., 0].astype(np.float64)
    assert (spread.sum(axis=0) @ (np.arange(101) - 50) ** 2) / spread.sum() == pytest.approx(
        49, rel=1e-3
    )


def test_few_radii_are_not_interpolated():
    x = noise(32, 60)
    radius = np.repeat(np.float32([-3.1, 0.7, 2.9]), 20)[None].repeat(32, axis=0)
    coarse, fine = (rendered(x, radius, fineness=f) for f in (2, 200))
    assert (coarse == fine).all()


def test_does_not_depend_on_the_number_of_threads():
    x, radius = noise(90, 90), smooth(90, 3)[..., 0] * 14 - 7
    threads = cv2.getNumThreads()
    try:
        results = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            results.append(render_depth_of_field(x, radius))
    finally:
        cv2.setNumThreads(threads)
    assert (results[0] == results[1]).all()


def test_does_not_change_its_arguments():
    x, radius = noise(30, 30), smooth(30, 3)[..., 0] * 14 - 7
    kept = x.copy(), radius.copy()
    x.flags.writeable = radius.flags.writeable = False
    for family in ("disk", "gkm"):
        render_depth_of_field(x, radius, psf=family)
    assert (x == kept[0]).all()
    assert (radius == kept[1]).all()


BAD_CALLS = [
    (np.zeros((9, 8), np.float32), {}, "like the picture"),
    (np.full((8, 9), np.nan, np.float32), {}, "finite"),
    (np.zeros((8, 9), np.float32), {"psf": "gkm", "half": "left"}, "no half"),
    (np.zeros((8, 9), np.float32), {"psf": "airy"}, "airy"),
]


@pytest.mark.parametrize(("radius", "options", "message"), BAD_CALLS)
def test_refuses_what_does_not_fit(radius, options, message):
    with pytest.raises(ValueError, match=message):
        render_depth_of_field(noise(8, 9), radius, **options)


# Lenses that differ over the field and in colour
# --------------------------------------------------------------------------------------------------

VARYING = ["cats-eye", "summilux", "pentax-q"]


def box_before_wall(height: int, width: int, near: float, far: float) -> Plane:
    radius = np.full((height, width), far, np.float32)
    radius[height // 4 : height // 2, width // 3 : width // 3 + 15] = near
    return radius


def test_rendering_node_by_node_is_rendering_at_once(monkeypatch):
    x = noise(70, 53)
    radius = box_before_wall(70, 53, -3.0, 4.0)
    expected = render_light(x, radius, Lens("disk"))
    monkeypatch.setattr(Lens, "varies_over_field", property(lambda lens: True))
    np.testing.assert_allclose(render_light(x, radius, Lens("disk")), expected, atol=2e-6)


@pytest.mark.parametrize("family", VARYING)
@pytest.mark.parametrize("shape", [(60, 41), (3, 2), (1, 1)])
def test_every_lens_keeps_a_constant_picture(family, shape):
    x = np.full((*shape, 3), (0.2, 0.5, 0.9), np.float32)
    radius = np.full(shape, 3.0, np.float32)
    lens = Lens(family, colour_shift=0.4)
    np.testing.assert_allclose(render_light(x, radius, lens), x, rtol=1e-5)


@pytest.mark.parametrize("family", VARYING)
@pytest.mark.parametrize("radius", [4.0, -4.0])
def test_at_a_node_the_kernel_is_that_of_its_place(family, radius):
    x = noise(81, 65)
    lens = Lens(family)
    picture = render_light(x, np.full((81, 65), radius, np.float32), lens)
    for row, column in ((0, 0), (20, 48), (40, 32), (60, 16)):
        half_diagonal = math.hypot(81, 65) / 2
        at = FieldPosition((column - 32) / half_diagonal, (row - 40) / half_diagonal)
        kernel = lens.kernel(abs(radius), at=at)
        expected = convolved(x, kernel if radius > 0 else kernel[::-1, ::-1])[row, column]
        np.testing.assert_allclose(picture[row, column], expected, atol=1e-5)


def test_between_nodes_pictures_are_mixed_bilinearly():
    x = noise(81, 65)
    lens = Lens("cats-eye")
    picture = render_light(x, np.full((81, 65), 5.0, np.float32), lens)
    row, column = 25, 36  # a quarter of the way from node to node on both axes
    half_diagonal = math.hypot(81, 65) / 2
    expected = np.zeros(3)
    for node_row, row_weight in ((20, 0.75), (40, 0.25)):
        for node_column, column_weight in ((32, 0.75), (48, 0.25)):
            at = FieldPosition((node_column - 32) / half_diagonal, (node_row - 40) / half_diagonal)
            mean = convolved(x, lens.kernel(5.0, at=at))[row, column]
            expected += row_weight * column_weight * mean
    np.testing.assert_allclose(picture[row, column], expected, atol=1e-5)


def test_colours_have_radii_of_their_own():
    x = noise(60, 50)
    radius = box_before_wall(60, 50, -2.0, 3.0)
    picture = render_light(x, radius, Lens("disk", colour_shift=0.5))
    for channel, shift in enumerate((-0.5, 0.0, 0.5)):
        alone = render_light(x, radius + np.float32(shift), Lens("disk"))
        np.testing.assert_allclose(picture[..., channel], alone[..., channel], atol=2e-6)


def test_lenses_without_halves_have_no_views():
    flat = np.zeros((8, 8), np.float32)
    for family in ("gkm", "summilux"):
        with pytest.raises(ValueError, match="half"):
            render_light(noise(8, 8), flat, Lens(family), half="left")
