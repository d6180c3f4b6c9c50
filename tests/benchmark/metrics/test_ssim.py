import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.metrics import structural_similarity

from benchmark.metrics.ssim import Ssim
from tests.benchmark.metrics.metric_oracles import ssim_direct

WINDOWS = {"u7": 7, "g11": 11}


def pair(height, width, seed, spread=0.2):
    rng = np.random.default_rng(seed)
    target = rng.random((height, width, 3))
    return (target + spread * rng.standard_normal(target.shape)), target


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.01, 0.2, 1.0]),
)
def test_it_is_the_sum_over_inner_windows(window, extra_rows, extra_columns, seed, spread):
    output, target = pair(
        WINDOWS[window] + extra_rows, WINDOWS[window] + extra_columns, seed, spread
    )
    assert Ssim(window=window)(output, target) == pytest.approx(
        ssim_direct(output, target, window), abs=1e-10
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_a_picture_below_the_window_is_refused(window):
    smallest = WINDOWS[window]
    Ssim(window=window)(*pair(smallest, smallest, 0))
    with pytest.raises(
        ValueError, match=f"SSIM {window} needs at least {smallest}x{smallest} pixels"
    ):
        Ssim(window=window)(*pair(smallest, smallest - 1, 0))


@pytest.mark.parametrize("window", WINDOWS)
def test_symmetries(window):
    metric = Ssim(window=window)
    output, target = pair(15, 18, 3)
    value = metric(output, target)
    assert metric(target, target) == pytest.approx(1.0)
    assert metric(target, output) == pytest.approx(value, abs=1e-12)
    assert metric(output[..., ::-1], target[..., ::-1]) == pytest.approx(value, abs=1e-12)
    assert metric(np.rot90(output), np.rot90(target)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_255_scale_with_range_255_is_the_same_ruler(window):
    """What protocols rely on that score 0-255 values, also for values that leave the range."""
    output, target = pair(16, 14, 5, spread=0.5)
    output, target = np.rint(output * 255), np.rint(target * 255)
    assert output.min() < 0 and output.max() > 255
    expected = ssim_direct(output, target, window, peak=255)
    assert Ssim(window=window)(output / 255, target / 255) == pytest.approx(expected, abs=1e-12)


def test_the_windows_differ_and_u7_is_the_default():
    output, target = pair(24, 24, 1)
    u7, g11 = (Ssim(window=window)(output, target) for window in WINDOWS)
    assert abs(u7 - g11) > 1e-3
    assert Ssim()(output, target) == u7
    assert (Ssim().card.title, Ssim(window="g11").card.title) == ("SSIM u7", "SSIM g11")


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut() / 255.0


@pytest.mark.parametrize(
    ("blur", "u7", "g11"),
    [(1, 0.9315, 0.9251), (2, 0.8218, 0.8099), (4, 0.6570, 0.6566)],
    ids=["1", "2", "4"],
)
def test_known_values_for_gaussian_blur(astronaut, blur, u7, g11):
    """Values measured by others on the same picture, to the four digits they gave."""
    blurred = gaussian_filter(astronaut, (blur, blur, 0), mode="nearest")
    assert Ssim(window="u7")(blurred, astronaut) == pytest.approx(u7, abs=6e-5)
    assert Ssim(window="g11")(blurred, astronaut) == pytest.approx(g11, abs=6e-5)


@pytest.mark.parametrize(
    ("blur", "noise", "u7", "g11"), [(0, 5, 0.8469, 0.8405), (2, 3, 0.7573, 0.7420)]
)
def test_known_values_with_noise(astronaut, blur, noise, u7, g11):
    """As above; their noise field is unknown, which moves the third digit."""
    rng = np.random.default_rng(0)
    blurred = gaussian_filter(astronaut, (blur, blur, 0), mode="nearest") if blur else astronaut
    noisy = (
        np.rint((blurred + noise / 255 * rng.standard_normal(astronaut.shape)).clip(0, 1) * 255)
        / 255
    )
    assert Ssim(window="u7")(noisy, astronaut) == pytest.approx(u7, abs=1e-3)
    assert Ssim(window="g11")(noisy, astronaut) == pytest.approx(g11, abs=1e-3)


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ("u7", {"win_size": 7}),
        (
            "g11",
            {
                "win_size": 11,
                "gaussian_weights": True,
                "sigma": 1.5,
                "use_sample_covariance": False,
            },
        ),
    ],
)
@pytest.mark.parametrize("height", [64, 74, 75, 139, 201])  # strips of all kinds of rests
def test_it_is_that_of_scikit_image_however_many_strips_there_are(window, options, height):
    output, target = pair(height, 40, height)
    expected = structural_similarity(output, target, data_range=1.0, channel_axis=-1, **options)
    assert Ssim(window=window)(output, target) == pytest.approx(expected, abs=1e-13)
