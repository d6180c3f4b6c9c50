import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.api import Observation, Sample, UsageError
from benchmark.metrics.tracks import Track

sizes = st.one_of(
    st.sampled_from([("native", 1), ("resize", 1)]),
    st.tuples(st.sampled_from(["crop", "pad-black", "pad-reflect"]), st.integers(2, 64)),
)
tracks = st.builds(
    lambda depth, size, order: Track(depth, *size, order),
    st.sampled_from(["u8", "u16"]),
    sizes,
    st.sampled_from(["rgb", "bgr"]),
)
small = st.integers(16, 40)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def observation(height, width, seed=0):
    views = (picture(height, width, seed + 1), picture(height, width, seed + 2))
    blur = 5 * picture(height, width, seed + 3)[..., 0]
    return Observation(picture(height, width, seed), views, 8, blur, 2.0)


# ---- ids


@given(tracks)
def test_an_id_names_its_track(track):
    assert Track.parse(track.id) == track


@pytest.mark.parametrize(
    ("track", "name"),
    [
        (Track("u8"), "u8"),
        (Track("u16"), "u16"),
        (Track("u8", "pad-black", 16), "u8-pad16-black"),
        (Track("u8", "crop", 16, "bgr"), "u8-crop16-bgr"),
        (Track("u16", "pad-reflect", 8), "u16-pad8-reflect"),
        (Track("u16", "resize", order="bgr"), "u16-resize-bgr"),
        (Track("u16", order="bgr"), "u16-bgr"),
    ],
)
def test_ids_stay_what_stored_results_are_keyed_by(track, name):
    assert track.id == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "u9",
        "u8-",
        "u8-crop",
        "u8-crop1",
        "u8-crop0",
        "u8-crop08",
        "u8-pad8",
        "u8-pad8-white",
        "u8-crop8-black",
        "u8-resize8",
        "u8-bgr-crop8",
        "u8-native",
        "U8",
        "u8-rgb",
        " u8",
    ],
)
def test_no_other_text_is_an_id(text):
    with pytest.raises(UsageError, match="no input track is called"):
        Track.parse(text)


@pytest.mark.parametrize("size", ["crop", "pad-black", "pad-reflect"])
def test_a_multiple_belongs_to_crops_and_pads_only(size):
    for wrong in (
        lambda: Track("u8", size),
        lambda: Track("u8", "native", 8),
        lambda: Track("u8", "resize", 8),
    ):
        with pytest.raises(ValueError, match="cannot have multiple"):
            wrong()
    with pytest.raises(ValueError, match="not 'gbr'"):
        Track("u8", order="gbr")


# ---- depth


def test_u8_is_the_integer_shift_for_every_16_bit_value():
    levels = np.arange(65536, dtype=np.uint16)
    image = np.repeat((levels / 65535).astype(np.float32).reshape(256, 256, 1), 3, axis=2)
    read = Track("u8").read(Sample("a", image, bit_depth=16)).image
    expected = (levels.astype(int) // 256).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(read[..., 1].ravel(), expected)
    assert read.dtype == np.float32


@pytest.mark.parametrize("reader", ["opencv", "pillow"])
def test_u8_is_what_8_bit_readers_make_of_a_16_bit_file(reader, tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "file.png"), levels[..., ::-1])
    if reader == "opencv":
        plain = cv2.imread(str(tmp_path / "file.png"), cv2.IMREAD_COLOR)[..., ::-1]
    else:
        plain = np.asarray(Image.open(tmp_path / "file.png").convert("RGB"))
    assert plain.dtype == np.uint8
    sample = Sample("a", (levels / 65535).astype(np.float32), bit_depth=16)
    np.testing.assert_array_equal(np.rint(Track("u8").read(sample).image * 255), plain)


def test_u8_reads_everything_a_method_or_a_ruler_sees_alike():
    seen = observation(16, 18)
    sample = Sample(
        "a",
        seen.image,
        picture(16, 18, 9),
        seen.views,
        seen.blur_map,
        bit_depth=16,
        scene="s",
        meta={"f": 4},
    )
    read = Track("u8").read(sample)
    for before, after in zip(
        (sample.image, sample.target, *sample.views),
        (read.image, read.target, *read.views),
        strict=True,
    ):
        levels = np.rint(before.astype(np.float64) * 65535).astype(int) >> 8
        np.testing.assert_array_equal(np.rint(after * 255), levels)
    assert (read.bit_depth, read.id, read.scene, read.meta) == (8, "a", "s", {"f": 4})
    np.testing.assert_array_equal(read.blur_map, sample.blur_map)


def test_u8_cannot_hold_what_no_file_can():
    image = np.array([[[-0.5, 0.5, 1.5]]], np.float32)
    read = Track("u8").read(Sample("a", image, bit_depth=16)).image
    np.testing.assert_allclose(read, [[[0, 128 / 255, 1]]], atol=1e-7)


@pytest.mark.parametrize(("depth", "bits"), [("u8", 8), ("u16", 8), ("u16", 16)])
def test_the_other_readings_are_exact(depth, bits):
    sample = Sample("a", picture(4, 5), picture(4, 5, 1), bit_depth=bits)
    read = Track(depth).read(sample)
    np.testing.assert_array_equal(read.image, sample.image)
    np.testing.assert_array_equal(read.target, sample.target)
    assert read.bit_depth == bits


# ---- size and order


@settings(deadline=None)
@given(tracks.filter(lambda t: t.size != "resize"), st.integers(64, 90), st.integers(64, 90))
def test_what_comes_back_untouched_lies_on_the_framed_picture(track, height, width):
    """A method that changes nothing must be scored on pixels that lie on those of the target."""
    seen = observation(height, width)
    fitted = track.fit(seen)
    np.testing.assert_array_equal(
        track.finish(fitted.image, (height, width)), track.frame(seen.image)
    )
    if track.size in ("crop", "pad-black", "pad-reflect"):
        assert {side % track.multiple for side in fitted.image.shape[:2]} == {0}
    assert (
        fitted.image.flags.c_contiguous
        and track.finish(fitted.image, (height, width)).flags.c_contiguous
    )
    assert (fitted.bit_depth, fitted.noise_sigma) == (8, 2.0)


@given(small, small, st.integers(2, 16), st.data())
def test_where_one_bright_pixel_goes(height, width, multiple, data):
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    delta = np.zeros((height, width, 3), np.float32)
    delta[row, column] = 1
    top, left = (-height % multiple) // 2, (-width % multiple) // 2
    black = Track("u8", "pad-black", multiple).fit(Observation(delta)).image
    assert np.argwhere(black[..., 0]).tolist() == [[row + top, column + left]]
    cropped = Track("u8", "crop", multiple).fit(Observation(delta)).image
    inside = row < height // multiple * multiple and column < width // multiple * multiple
    assert np.argwhere(cropped[..., 0]).tolist() == ([[row, column]] if inside else [])
    mirrored = Track("u8", "pad-reflect", multiple).fit(Observation(delta)).image
    np.testing.assert_array_equal(mirrored[:height, :width], delta)


@given(small, small, st.integers(2, 16))
def test_mirroring_is_that_of_torch(height, width, multiple):
    image = picture(height, width)
    padding = (0, -width % multiple, 0, -height % multiple)
    expected = torch.nn.functional.pad(
        torch.from_numpy(image.transpose(2, 0, 1)), padding, mode="reflect"
    )
    fitted = Track("u8", "pad-reflect", multiple).fit(Observation(image)).image
    np.testing.assert_array_equal(fitted, expected.numpy().transpose(1, 2, 0))


def test_mirroring_is_cut_off_and_black_is_kept():
    image = picture(21, 30)
    reflect, black = Track("u8", "pad-reflect", 8), Track("u8", "pad-black", 8)
    assert reflect.fit(Observation(image)).image.shape == (24, 32, 3)
    assert reflect.frame(image).shape == (21, 30, 3)
    framed = black.frame(image)
    assert framed.shape == (24, 32, 3)
    np.testing.assert_array_equal(framed[1:22, 1:31], image)
    assert framed.sum(dtype=np.float64) == pytest.approx(image.sum(dtype=np.float64))


def test_views_and_the_true_map_go_along():
    seen = observation(20, 23)
    for track in (
        Track("u8", "crop", 8),
        Track("u8", "pad-black", 8, "bgr"),
        Track("u8", "pad-reflect", 8),
    ):
        fitted = track.fit(seen)
        for before, after in zip(
            (seen.image, *seen.views), (fitted.image, *fitted.views), strict=True
        ):
            expected = track.fit(Observation(before)).image
            np.testing.assert_array_equal(after, expected)
        as_picture = np.repeat(seen.blur_map[..., None], 3, axis=2)
        np.testing.assert_array_equal(
            fitted.blur_map, track.fit(Observation(as_picture)).image[..., 0]
        )


def test_bgr_reverses_what_is_seen_and_only_that():
    seen = observation(16, 16)
    track = Track("u8", order="bgr")
    fitted = track.fit(seen)
    np.testing.assert_array_equal(fitted.image, seen.image[..., [2, 1, 0]])
    np.testing.assert_array_equal(fitted.views[1], seen.views[1][..., [2, 1, 0]])
    np.testing.assert_array_equal(fitted.blur_map, seen.blur_map)
    np.testing.assert_array_equal(track.frame(seen.image), seen.image)


def test_what_is_not_there_stays_away():
    fitted = Track("u8", "pad-black", 16, "bgr").fit(Observation(picture(20, 20)))
    assert fitted.views is None and fitted.blur_map is None


def test_a_crop_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="cropping leaves nothing of a 40x20 picture"):
        Track("u8", "crop", 32).fit(Observation(picture(20, 40)))


@pytest.mark.parametrize(
    "track", [Track("u8"), Track("u8", "crop", 8), Track("u8", "pad-black", 8)]
)
def test_an_output_of_another_size_is_refused(track):
    with pytest.raises(ValueError, match="expects"):
        track.finish(picture(17, 19), (20, 20))


# ---- DPDNet's size


def test_the_native_size_of_dpdd_passes_unchanged():
    image = picture(1120, 1680)
    np.testing.assert_array_equal(Track("u16", "resize").fit(Observation(image)).image, image)


def test_portraits_are_turned_counter_clockwise_and_stretched():
    image = picture(90, 50)
    track = Track("u16", "resize", order="bgr")
    turned = cv2.rotate(image[..., ::-1].copy(), cv2.ROTATE_90_COUNTERCLOCKWISE)
    expected = cv2.resize(turned.astype(np.float64), (1680, 1120))
    fitted = track.fit(Observation(image)).image
    np.testing.assert_allclose(fitted, expected, atol=1e-5)
    np.testing.assert_array_equal(track.finish(fitted, (90, 50)), track.frame(image))
    assert track.finish(fitted, (90, 50)).shape == (1120, 1680, 3)


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(560, 840, 2), (840, 560, 2), (280, 1680, 2)]
)
def test_the_blur_grows_with_the_picture(height, width, factor):
    blur = np.full((height, width), 1.5, np.float32)
    fitted = Track("u16", "resize").fit(Observation(picture(height, width), blur_map=blur))
    np.testing.assert_allclose(fitted.blur_map, 1.5 * factor, rtol=1e-6)
