"""The renderer of the evaluation sets against closed forms, filters and rays traced one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.datasets import eval_pinholes as pinholes
from benchmark.datasets.eval_pinholes import PinholeLens, Surface, cover, take_picture

SIZE = 48
SCALE = pinholes.SAMPLES_PER_PIXEL
COUNT = 512
DISK = pinholes.make_disk_lens(COUNT)
PINHOLE = pinholes.make_pinhole()
LENSES = {
    "disk": DISK,
    "ring": pinholes.make_ring_lens(COUNT, 0.5),
    "gaussian": pinholes.make_gaussian_lens(COUNT),
}
Light = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def sample(light: Light, margin: int = 40, **facts: float | bool) -> Surface:
    """Return an opaque surface whose light is a function of the place in the picture, and which
    goes on so many samples beyond it.
    """
    rows, columns = np.mgrid[: SIZE * SCALE + 2 * margin, : SIZE * SCALE + 2 * margin]
    values = light((columns + 0.5 - margin) / SCALE, (rows + 0.5 - margin) / SCALE)
    picture = np.repeat(values[..., None], 3, axis=2).astype(np.float32)
    corner = -margin / SCALE
    return Surface(cover(picture), corner, corner, **facts)  # type: ignore[arg-type]


def opaque_left_of(x: float, value: float, sigma: float) -> Surface:
    """Return a surface of one colour that ends at `x`."""
    width = round((x + 20) * SCALE)
    picture = np.full((round((SIZE + 40) * SCALE), width, 3), value, np.float32)
    return Surface(cover(picture), -20, -20, sigma)


def wave(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.2 * np.sin(0.3 * x + 0.1) + 0.2 * np.cos(0.25 * y + 0.2 * x)


# Lenses
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LENSES)
def test_lenses_are_centred_and_spread_by_one_pixel(name: str) -> None:
    lens = LENSES[name]
    np.testing.assert_allclose(lens.positions.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(lens.positions.std(axis=0), 1, atol=0.01)
    assert lens.shares.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(lens.spread(5), 1, atol=1e-5)


def test_lenses_have_the_radii_of_their_shapes() -> None:
    radii = {name: np.hypot(*lens.positions.T) for name, lens in LENSES.items()}
    # A disk of radius r has sigma r / 2, a ring of radii r / 2 and r sigma r sqrt(1.25) / 2.
    assert radii["disk"].max() == pytest.approx(2, rel=0.01)
    assert radii["disk"].min() < 0.1
    assert radii["ring"].max() == pytest.approx(2 / np.sqrt(1.25), rel=0.01)
    assert radii["ring"].min() == pytest.approx(1 / np.sqrt(1.25), rel=0.02)
    within_one = (radii["gaussian"] < 1).mean()
    assert within_one == pytest.approx(1 - np.exp(-0.5), abs=0.01)


# One surface
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [2.5, -2.5])
@pytest.mark.parametrize("name", LENSES)
def test_a_flat_surface_is_convolved_with_the_lens(name: str, sigma: float) -> None:
    """Waves pass an opening as its Fourier transform says: here a sum over the pinholes."""
    picture = take_picture([sample(wave, sigma=sigma)], LENSES[name], SIZE)
    middles = np.arange(SIZE) + 0.5
    expected = np.full((SIZE, SIZE), 0.5)
    waves = [(0.2, (0.3, 0.0), 0.1 - np.pi / 2), (0.2, (0.2, 0.25), 0.0)]
    for strength, frequency, phase in waves:
        passed = np.exp(-1j * sigma * LENSES[name].positions @ np.array(frequency)).mean()
        pixel = np.sinc(np.array(frequency) / (2 * np.pi)).prod()
        angle = frequency[0] * middles + frequency[1] * middles[:, None] + phase
        expected += strength * pixel * (passed * np.exp(1j * angle)).real
    np.testing.assert_allclose(picture[..., 0], expected, atol=2e-3)


@pytest.mark.parametrize("radius", [2.0, 5.0])
def test_a_point_becomes_the_disk_that_its_map_names(radius: float) -> None:
    """Against a disk sampled by area with numpy alone."""

    def point(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return 16.0 * ((np.abs(x - 24.5) < 1) & (np.abs(y - 24.5) < 1))

    surface = sample(point, sigma=radius / 2)
    picture = take_picture([surface], pinholes.make_disk_lens(2048), SIZE)[..., 0]
    fine = (np.arange(SIZE * 16) + 0.5) / 16 - 24.5
    disk = (np.hypot(fine, fine[:, None]) <= radius).astype(np.float64)
    expected = ndimage.uniform_filter(disk, 32).reshape(SIZE, 16, SIZE, 16).mean(axis=(1, 3))
    assert picture.sum() == pytest.approx(16.0 * 4, rel=0.01), "no light is lost"
    assert np.abs(picture / picture.sum() - expected / expected.sum()).sum() < 0.05
    places = np.arange(SIZE) + 0.5 - 24.5
    variance = (picture * places**2).sum() / picture.sum()
    # The point is a square of 2 px, averaged over pixels.
    assert variance - 4 / 12 - 1 / 12 == pytest.approx(radius**2 / 4, rel=0.01)
    blur_map = pinholes.map_blur([surface], DISK, SIZE)
    np.testing.assert_allclose(blur_map, radius / 2, rtol=1e-5)


def test_a_slanted_surface_is_what_rays_to_it_meet() -> None:
    """Rays through every pinhole are traced in double precision; the surface is known in closed
    form.
    """
    sigma, slope = -2.0, 0.09
    picture = take_picture([sample(wave, sigma=sigma, slope=slope)], DISK, SIZE)
    rng = np.random.default_rng(0)
    inside = rng.uniform(-0.5, 0.5, (64, 2))
    for row, column in ((5, 9), (24, 30), (40, 12)):
        light = []
        for right, down in DISK.positions:
            x, y = (np.array([column, row]) + 0.5 + inside).T
            met_y = (y - sigma * down) / (1 + slope * down)
            met_x = x - (sigma + slope * met_y) * right
            light.append(wave(met_x, met_y).mean())
        assert picture[row, column, 0] == pytest.approx(np.mean(light), abs=3e-3)


def test_what_is_in_focus_is_the_target_and_a_constant_stays_one() -> None:
    rng = np.random.default_rng(1)
    picture = rng.uniform(size=(96, 96, 3)).astype(np.float32)
    surface = Surface(cover(picture), 0, 0, 0.0, endless=True)
    first = take_picture([surface], DISK, SIZE)
    means = picture.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(first, means, atol=1e-5)
    np.testing.assert_allclose(take_picture([surface], PINHOLE, SIZE), means, atol=1e-6)
    gray = Surface(cover(np.full((96, 96, 3), 0.3, np.float32)), 0, 0, 2.0, endless=True)
    np.testing.assert_allclose(take_picture([gray], DISK, SIZE), 0.3, rtol=1e-5)


# Several surfaces
# --------------------------------------------------------------------------------------------------


def covered_share(distance: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Return the share of a disk beyond a straight line so far to the right of its middle."""
    t = np.clip(distance / radius, -1, 1)
    return (np.arccos(t) - t * np.sqrt(1 - t**2)) / np.pi


def mean_over_pixels(values: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray:
    fine = (np.arange(SIZE * 32) + 0.5) / 32
    return values(fine).reshape(SIZE, 32).mean(axis=1)


def test_a_blurred_edge_lets_the_sharp_background_through() -> None:
    """An opaque foreground out of focus before what is in focus: the share of the lens that it
    covers, in closed form.
    """
    radius, edge = 5.0, 20.0
    background = sample(wave, sigma=0.0)
    picture = take_picture([background, opaque_left_of(edge, 0.9, -radius / 2)], DISK, SIZE)
    cover_share = mean_over_pixels(lambda x: covered_share(x - edge, radius))
    sharp = take_picture([background], PINHOLE, SIZE)[..., 0]
    expected = cover_share * 0.9 + (1 - cover_share) * sharp
    np.testing.assert_allclose(picture[..., 0], expected, atol=0.012)


def test_a_blurred_background_ends_behind_a_sharp_foreground() -> None:
    edge = 20.0
    surfaces = [sample(wave, sigma=3.0), opaque_left_of(edge, 0.9, 0.0)]
    picture = take_picture(surfaces, DISK, SIZE)[..., 0]
    alone = take_picture(surfaces[:1], DISK, SIZE)[..., 0]
    np.testing.assert_allclose(picture[:, :19], 0.9, rtol=1e-5)
    assert (picture[:, 21:] == alone[:, 21:]).all(), "what was hidden is known and not mixed in"


def test_edges_on_both_sides_of_focus_hide_what_rays_say_they_hide() -> None:
    """Two edges out of focus are not independent: which part of the lens sees what decides."""
    near, far = opaque_left_of(22.0, 0.9, -2.5), opaque_left_of(26.0, 0.1, 2.0)
    picture = take_picture([sample(wave, sigma=0.5), far, near], DISK, SIZE)
    rng = np.random.default_rng(2)
    for column in (17, 20, 23, 26, 29):
        x = column + 0.5 + rng.uniform(-0.5, 0.5, (256, 1))
        right, down = DISK.positions.T
        light = wave(x - 0.5 * right, 24.5 - 0.5 * down)
        light = np.where(x - 2.0 * right < 26.0, 0.1, light)
        light = np.where(x + 2.5 * right < 22.0, 0.9, light)
        assert picture[24, column, 0] == pytest.approx(light.mean(), abs=0.02)


def test_the_map_is_that_of_the_nearest_surface() -> None:
    surfaces = [sample(wave, sigma=1.0, slope=0.05), opaque_left_of(20.0, 0.9, -2.0)]
    blur_map = pinholes.map_blur(surfaces, DISK, SIZE)
    np.testing.assert_allclose(blur_map[:, :20], 2.0, rtol=1e-5)
    expected = 1.0 + 0.05 * (np.arange(SIZE) + 0.5)
    np.testing.assert_allclose(blur_map[:, 20:], np.tile(expected[:, None], 28), rtol=1e-5)


def test_shares_that_change_over_the_picture_are_weights_of_each_pixel() -> None:
    """A lens that is open on the left in the left half and on the right in the right half."""
    left_share = np.tile(np.array([1, 0.5, 0], np.float32), (3, 1))
    shares = np.stack([left_share, 1 - left_share] * 128) / 128
    lens = PinholeLens(np.array([[-1.0, 0.0], [1.0, 0.0]] * 128), shares)
    picture = take_picture([sample(wave, sigma=2.0)], lens, SIZE)[..., 0]
    middles = np.arange(SIZE) + 0.5
    share = np.interp(middles, [0, SIZE / 2, SIZE], [1, 0.5, 0])
    sharp = take_picture([sample(wave, sigma=0.0)], lens, SIZE)[..., 0]
    # 2 px out of focus, the left pinhole sees what lies 2 px to the right.
    expected = share * np.roll(sharp, -2, axis=1) + (1 - share) * np.roll(sharp, 2, axis=1)
    np.testing.assert_allclose(picture[:, 2:-2], expected[:, 2:-2], atol=2e-3)


def test_a_surface_outside_the_picture_changes_nothing() -> None:
    background = sample(wave, sigma=1.0)
    patch = np.ones((10, 10, 3), np.float32)
    for left, top in ((-60.0, 5.0), (5.0, 90.0)):
        outside = Surface(cover(patch), left, top, -2.0)
        picture = take_picture([background, outside], DISK, SIZE)
        assert (picture == take_picture([background], DISK, SIZE)).all()


# Gathering
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.5])
def test_gathering_by_a_constant_map_is_a_gaussian_filter(sigma: float) -> None:
    """Against scipy's filter of the samples and means over pixels."""
    rng = np.random.default_rng(3)
    noise = rng.uniform(size=(SIZE * SCALE, SIZE * SCALE, 3))
    samples = ndimage.gaussian_filter(noise, (1, 1, 0), mode="reflect")
    blur_map = np.full((SIZE, SIZE), sigma, np.float32)
    picture = pinholes.blur_by_map(samples.astype(np.float32), blur_map, LENSES["gaussian"])
    reach = SCALE * sigma
    blurred = ndimage.gaussian_filter(samples, (reach, reach, 0), mode="reflect")
    expected = blurred.reshape(SIZE, SCALE, SIZE, SCALE, 3).mean(axis=(1, 3))
    sharp = samples.reshape(SIZE, SCALE, SIZE, SCALE, 3).mean(axis=(1, 3))
    error, change = (np.square(one - expected).mean() for one in (picture, sharp))
    assert error < 0.006 * change


def test_gathering_takes_the_size_of_its_own_pixel() -> None:
    samples = np.zeros((SIZE * SCALE, SIZE * SCALE, 3), np.float32)
    samples[:, 48:] = 1
    blur_map = np.zeros((SIZE, SIZE), np.float32)
    blur_map[:24] = 3.0
    picture = pinholes.blur_by_map(samples, blur_map, LENSES["gaussian"])
    widths = [(np.diff(row) > 0.01).sum() for row in (picture[5, :, 0], picture[40, :, 0])]
    assert widths[0] > 8 and widths[1] <= 3
