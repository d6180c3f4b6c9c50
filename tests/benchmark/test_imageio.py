"""Picture IO: exactness against independent writers and readers (Pillow, tifffile, OpenCV), and
damage of all kinds.
"""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from benchmark import imageio
from benchmark.api import DataError, UsageError
from benchmark.files import replace_file
from benchmark.imageio.display_tags import copy_exif

RNG = np.random.default_rng(7)
RGB8 = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (13, 17, 3), dtype=np.uint16)
GREY8, GREY16 = RGB8[..., 0], RGB16[..., 0]


def levels(picture: np.ndarray, depth: int) -> np.ndarray:
    """The integers a float32 picture stands for, computed in float64; fails if a value is not
    exactly on a level.
    """
    scaled = picture.astype(np.float64) * (2**depth - 1)
    assert np.abs(scaled - np.rint(scaled)).max() < 0.01
    return np.rint(scaled).astype(np.int64)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    """Write an array with a library that is not under test here."""
    if path.suffix in {".tif", ".tiff"}:
        tifffile.imwrite(path, array, **options)
    elif array.dtype == np.uint16:
        order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[
            array.shape[2] if array.ndim == 3 else 2
        ]
        assert cv2.imwrite(str(path), array[..., order] if array.ndim == 3 else array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def with_chunk(data: bytes, kind: bytes, payload: bytes) -> bytes:
    return data[:33] + png_chunk(kind, payload) + data[33:]


def jpeg_bytes(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def rgb_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# Exactness
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_level_survives_reading_and_writing(tmp_path: Path, suffix: str, depth: int) -> None:
    every = np.arange(2**depth, dtype=np.uint8 if depth == 8 else np.uint16).reshape(
        -1, 2 ** (depth // 2)
    )
    source = save(tmp_path / f"in{suffix}", np.dstack([every, every[::-1], every[:, ::-1]]))
    picture, found = imageio.read(source)
    assert (found, picture.dtype, picture.shape) == (depth, np.float32, (*every.shape, 3))
    assert picture.min() == 0
    assert picture.max() == 1
    np.testing.assert_array_equal(levels(picture, depth)[..., 0], every)

    copy = tmp_path / f"out{suffix}"
    imageio.write(copy, picture, depth)
    again = (
        tifffile.imread(copy)
        if suffix == ".tif"
        else cv2.imread(str(copy), cv2.IMREAD_UNCHANGED)[..., ::-1]
    )
    assert again.dtype == every.dtype
    np.testing.assert_array_equal(again, np.dstack([every, every[::-1], every[:, ::-1]]))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("array", [RGB8, RGB16], ids=["8", "16"])
def test_channel_order_is_rgb(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    picture, depth = imageio.read(save(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(levels(picture, depth), array)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("array", [GREY8, GREY16], ids=["8", "16"])
def test_grey_is_repeated(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    picture, depth = imageio.read(save(tmp_path / f"a{suffix}", array))
    assert depth == 8 * array.itemsize
    np.testing.assert_array_equal(levels(picture, depth), np.dstack([array] * 3))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("array", [RGB8, RGB16], ids=["8", "16"])
def test_transparent_pixels_are_read_only_where_allowed(
    tmp_path: Path, array: np.ndarray, suffix: str
) -> None:
    transparent = np.dstack([array, np.zeros_like(array[..., 0])])
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"]} if suffix == ".tif" else {}
    path = save(tmp_path / f"a{suffix}", transparent, **options)
    with pytest.raises(DataError, match="has transparent pixels"):
        imageio.read(path)
    picture, depth = imageio.read(path, allow_transparent=True)
    np.testing.assert_array_equal(levels(picture, depth), array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_png_kinds_agree_with_pillow(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB8).convert(mode)
    image.save(tmp_path / "a.png")
    picture, depth = imageio.read(tmp_path / "a.png")
    assert depth == 8
    expected = image.convert("L").convert("RGB") if mode == "LA" else image.convert("RGB")
    np.testing.assert_array_equal(levels(picture, 8), np.asarray(expected))


def test_planar_and_deflated_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "planar.tif",
        np.moveaxis(RGB16, -1, 0),
        photometric="rgb",
        planarconfig="separate",
    )
    tifffile.imwrite(tmp_path / "zip.tif", RGB16, photometric="rgb", compression="zlib")
    for name in ("planar.tif", "zip.tif"):
        picture, depth = imageio.read(tmp_path / name)
        np.testing.assert_array_equal(levels(picture, depth), RGB16)


@pytest.mark.parametrize("array", [RGB8, RGB16, GREY16], ids=["8", "16", "grey"])
def test_lzw_tiff_is_read_exactly(tmp_path: Path, array: np.ndarray) -> None:
    assert cv2.imwrite(str(tmp_path / "a.tif"), array[..., ::-1] if array.ndim == 3 else array)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.LZW  # else this test shows nothing
    picture, depth = imageio.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        levels(picture, depth), array if array.ndim == 3 else np.dstack([array] * 3)
    )


@pytest.mark.parametrize("array", [RGB8, GREY8], ids=["rgb", "grey"])
def test_jpeg_agrees_with_pillow(tmp_path: Path, array: np.ndarray) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(array))
    picture, depth = imageio.read(tmp_path / "a.jpg")
    assert depth == 8
    np.testing.assert_array_equal(
        levels(picture, 8), np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB"))
    )


def test_the_first_picture_of_a_multi_picture_jpeg_is_read(tmp_path: Path) -> None:
    """Telephones write such files."""
    Image.fromarray(RGB8).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.fromarray(GREY8)]
    )
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
        first = np.array(image)
    np.testing.assert_array_equal(levels(*imageio.read(tmp_path / "a.jpg")), first)


def test_pixels_are_read_as_stored_whatever_the_metadata_say(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RGB8).save(tmp_path / "turned.png", exif=exif, icc_profile=rgb_profile())
    tifffile.imwrite(
        tmp_path / "turned.tif", RGB8, photometric="rgb", extratags=[(274, "H", 1, 6, True)]
    )
    (tmp_path / "turned.jpg").write_bytes(jpeg_bytes(RGB8, exif=exif))
    (tmp_path / "plain.jpg").write_bytes(jpeg_bytes(RGB8))
    _, encoded = cv2.imencode(".png", RGB16[..., ::-1])
    gamma = with_chunk(encoded.tobytes(), b"gAMA", struct.pack(">I", 100_000))
    (tmp_path / "gamma.png").write_bytes(with_chunk(gamma, b"sBIT", bytes([12, 12, 12])))

    for name, expected in (("turned.png", RGB8), ("turned.tif", RGB8), ("gamma.png", RGB16)):
        picture, depth = imageio.read(tmp_path / name)
        np.testing.assert_array_equal(levels(picture, depth), expected)
    turned, plain = (
        imageio.read(tmp_path / "turned.jpg")[0],
        imageio.read(tmp_path / "plain.jpg")[0],
    )
    np.testing.assert_array_equal(turned, plain)


def test_format_goes_by_content_and_names_may_be_odd(tmp_path: Path) -> None:
    path = tmp_path / "Ünïcode ö 图 with spaces.PNG"
    (tmp_path / "a.tif").write_bytes(save(tmp_path / "b.png", RGB16).read_bytes())
    path.write_bytes((tmp_path / "a.tif").read_bytes())
    for odd in (path, tmp_path / "a.tif"):
        np.testing.assert_array_equal(levels(*imageio.read(odd)), RGB16)
    imageio.write(path, imageio.read(path)[0], 16)
    np.testing.assert_array_equal(levels(*imageio.read(path)), RGB16)


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("a.png", RGB16, ("PNG", 17, 13, 3, 16)),
        ("a.png", GREY8, ("PNG", 17, 13, 1, 8)),
        ("a.jpg", RGB8, ("JPEG", 17, 13, 3, 8)),
        ("a.tif", GREY16, ("TIFF", 17, 13, 1, 16)),
    ],
)
def test_probe_reads_the_header(
    tmp_path: Path, name: str, array: np.ndarray, expected: tuple[object, ...]
) -> None:
    assert imageio.read_header(save(tmp_path / name, array)) == imageio.Header(*expected)


# Writing
# --------------------------------------------------------------------------------------------------


def test_writing_clamps_and_rounds_half_to_even(tmp_path: Path) -> None:
    values = np.array(
        [-1.0, 0.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 100.4 / 255, 100.6 / 255, 1.0, 7.0]
    )
    exact = np.float32(values)[None, :, None].repeat(3, axis=2)
    imageio.write(tmp_path / "a.png", exact, 8)
    scaled = exact[0, :, 0].astype(np.float64).clip(0, 1) * 255
    written = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)[0, :, 0]
    np.testing.assert_array_equal(
        written, [round(float(v)) for v in scaled]
    )  # Python rounds half to even
    half = np.full(
        (1, 1, 3), 0.5, np.float32
    )  # 127.5 is exact: half to even is 128, truncation 127
    imageio.write(tmp_path / "b.png", half, 8)
    assert cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED).max() == 128


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([8, 16]),
    st.sampled_from([".png", ".tif"]),
    st.data(),
)
def test_written_pictures_are_within_half_a_level(
    tmp_path: Path, height: int, width: int, depth: int, suffix: str, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    picture = np.random.default_rng(seed).uniform(-0.2, 1.2, (height, width, 3)).astype(np.float32)
    imageio.write(tmp_path / f"a{suffix}", picture, depth)
    again, found = imageio.read(tmp_path / f"a{suffix}")
    assert found == depth
    assert np.abs(again - picture.clip(0, 1)).max() <= 0.5 / (2**depth - 1) + 1e-7


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("source", [".png", ".tif", ".jpg"])
def test_like_carries_orientation_and_profile(tmp_path: Path, source: str, suffix: str) -> None:
    profile, exif = rgb_profile(), Image.Exif()
    exif[274] = 8
    origin, copy = tmp_path / f"origin{source}", tmp_path / f"copy{suffix}"
    if source == ".tif":
        tifffile.imwrite(
            origin, RGB8, photometric="rgb", iccprofile=profile, extratags=[(274, "H", 1, 8, True)]
        )
    else:
        Image.fromarray(RGB8).save(origin, exif=exif, icc_profile=profile)
    picture, _ = imageio.read(origin)
    imageio.write(copy, picture, 8, like=origin)
    assert imageio.read_display_tags(copy) == imageio.DisplayTags(8, profile)
    np.testing.assert_allclose(imageio.read(copy)[0], picture, atol=0.5 if suffix == ".jpg" else 0)
    if suffix == ".tif":
        with tifffile.TiffFile(copy) as tiff:
            assert (tiff.pages[0].tags[274].value, tiff.pages[0].iccprofile) == (8, profile)
    else:
        with Image.open(copy) as image:  # an independent reader sees the same
            assert (image.getexif()[274], image.info["icc_profile"]) == (8, profile)


def test_like_works_at_16_bits_and_a_grey_picture_stays_grey_with_its_profile(
    tmp_path: Path,
) -> None:
    profile = bytearray(rgb_profile())
    profile[16:20] = b"GRAY"
    origin = tmp_path / "origin.png"
    Image.fromarray(GREY8).save(origin, icc_profile=bytes(profile))
    picture, _ = imageio.read(origin)
    picture[..., 0] += 0.03  # what a method gave back need not be grey
    for suffix in (".png", ".tif"):
        copy = tmp_path / f"copy{suffix}"
        imageio.write(copy, picture, 16, like=origin)
        assert imageio.read_display_tags(copy).icc_profile == bytes(profile)
        header = imageio.read_header(copy)
        assert (header.channels, header.bit_depth) == (1, 16)
        levels = tifffile.imread(copy) if suffix == ".tif" else cv2.imread(str(copy), -1)
        np.testing.assert_allclose(levels / 65535, picture.mean(axis=2).clip(0, 1), atol=1e-5)


def test_a_profile_for_other_channels_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "grey.png", icc_profile=rgb_profile())
    picture, _ = imageio.read(tmp_path / "grey.png")
    imageio.write(tmp_path / "copy.jpg", picture, 8, like=tmp_path / "grey.png")
    assert imageio.read_display_tags(tmp_path / "copy.jpg").icc_profile is None
    assert imageio.read_header(tmp_path / "copy.jpg").channels == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_like_keeps_transparent_pixels(tmp_path: Path, mode: str, suffix: str) -> None:
    alpha = np.arange(GREY8.size, dtype=np.uint8).reshape(GREY8.shape)
    source = Image.fromarray(RGB8).convert(mode)
    source.putalpha(Image.fromarray(alpha))
    source.save(tmp_path / "origin.png")
    picture, _ = imageio.read(tmp_path / "origin.png", allow_transparent=True)
    imageio.write(tmp_path / f"copy{suffix}", picture, 8, like=tmp_path / "origin.png")
    with Image.open(tmp_path / f"copy{suffix}") as copy:
        assert copy.mode == "RGBA"
        np.testing.assert_array_equal(np.array(copy)[..., 3], alpha)
        np.testing.assert_array_equal(np.array(copy)[..., :3], np.rint(picture * 255))


def test_transparency_that_cannot_be_taken_over_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 3), (10, 20, 30, 0)).save(tmp_path / "origin.png")
    with pytest.raises(UsageError, match=r"copy\.jpg: cannot hold the transparency of .*origin"):
        imageio.write(
            tmp_path / "copy.jpg", np.zeros((3, 4, 3), np.float32), 8, like=tmp_path / "origin.png"
        )
    with pytest.raises(UsageError, match=r"is 4x3, the picture .* 2x2"):
        imageio.write(
            tmp_path / "copy.png", np.zeros((2, 2, 3), np.float32), 8, like=tmp_path / "origin.png"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["origin.png"]


def append_preview(exif: bytes) -> bytes:
    """Return an EXIF block with a second directory, as of the preview of 7 bytes behind it."""
    name, block = exif[:6], bytearray(exif[6:])
    order = ">" if block[:2] == b"MM" else "<"
    (entries,) = struct.unpack_from(f"{order}H", block, 8)
    struct.pack_into(f"{order}I", block, 10 + 12 * entries, len(block))
    directory = struct.pack(
        f"{order}HHHIIHHIII", 2, 0x201, 4, 1, len(block) + 30, 0x202, 4, 1, 7, 0
    )
    return name + bytes(block) + directory + b"preview"


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_like_keeps_what_exif_says_without_the_preview(
    tmp_path: Path, source: str, suffix: str
) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Camera and Sons"
    exif.get_ifd(0x8769)[0x829A] = 0.125  # exposure time
    exif.get_ifd(0x8825)[1] = "N"
    content = append_preview(exif.tobytes())
    Image.fromarray(RGB8).save(tmp_path / f"origin{source}", exif=content)
    with Image.open(tmp_path / f"origin{source}") as origin:
        origin_exif = origin.getexif()
        assert origin_exif.get_ifd(ExifTags.IFD.IFD1)
    picture, _ = imageio.read(tmp_path / f"origin{source}")
    imageio.write(tmp_path / f"copy{suffix}", picture, 8, like=tmp_path / f"origin{source}")
    with Image.open(tmp_path / f"copy{suffix}") as copy:
        copied = copy.getexif()
        assert (copied[274], copied[271]) == (6, origin_exif[271])
        assert copied.get_ifd(0x8769)[0x829A] == 0.125
        assert copied.get_ifd(0x8825)[1] == "N"
        assert not copied.get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("damage", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"junk" * 40_000])
def test_damaged_or_huge_exif_is_left_out(damage: bytes) -> None:
    assert copy_exif(damage) == b""
    assert copy_exif(b"Exif\0\0" + damage) == b""


def test_without_like_no_metadata_is_written(tmp_path: Path) -> None:
    imageio.write(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32), 8)
    assert imageio.read_display_tags(tmp_path / "a.png") == imageio.DisplayTags()


def test_jpeg_quality_does_something_and_colours_are_not_subsampled(tmp_path: Path) -> None:
    picture = RGB8.astype(np.float32) / 255
    errors = []
    for quality in (30, 100):
        imageio.write(tmp_path / "a.jpg", picture, 8, quality=quality)
        errors.append(float(np.abs(imageio.read(tmp_path / "a.jpg")[0] - picture).mean()))
    assert errors[1] < 0.01 < errors[0]  # white noise in colour survives only without subsampling


@pytest.mark.parametrize(
    ("name", "depth", "quality"),
    [("a.jpg", 16, 95), ("a.bmp", 8, 95), ("a", 8, 95), ("a.png", 12, 95), ("a.jpg", 8, 0)],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, name: str, depth: int, quality: int
) -> None:
    with pytest.raises(UsageError, match=r"a.*:"):
        imageio.write(tmp_path / name, np.zeros((2, 2, 3), np.float32), depth, quality=quality)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3)), np.full((2, 2, 3), np.nan, np.float32)])
def test_a_wrong_array_is_refused(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        imageio.write(tmp_path / "a.png", bad, 8)


def test_writing_is_atomic(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), replace_file(target) as file:
        file.write(b"half of the ne")
        file.flush()
        assert target.read_bytes() == b"old"
        raise RuntimeError
    assert target.read_bytes() == b"old"
    with replace_file(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    imageio.write(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32), 8)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.a\.png: cannot be written"):
        imageio.write(tmp_path / "nowhere" / "a.png", np.zeros((2, 2, 3), np.float32), 8)


# Arrays
# --------------------------------------------------------------------------------------------------


def test_arrays_keep_every_bit(tmp_path: Path) -> None:
    array = RNG.normal(0, 3, (5, 4, 3)).astype(np.float32)
    imageio.write_array(tmp_path / "a.npy", array)
    again = imageio.read_array(tmp_path / "a.npy")
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    again[:] = 0  # its own memory, not the file's
    with pytest.raises(ValueError, match="float32"):
        imageio.write_array(tmp_path / "a.npy", array.astype(np.float64))


def test_arrays_of_another_kind_or_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(DataError, match=r"a\.npy.*float64"):
        imageio.read_array(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy"):
        imageio.read_array(path)
    np.save(path, np.zeros((50, 50), np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.npy"):
        imageio.read_array(path)
    np.savez(tmp_path / "b.npz", a=np.zeros(3, np.float32))
    with pytest.raises(DataError, match=r"b\.npz.*archive"):
        imageio.read_array(tmp_path / "b.npz")
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.npy"):
        imageio.read_array(path)
    with pytest.raises(DataError, match=r"none\.npy: no such file"):
        imageio.read_array(tmp_path / "none.npy")


def test_outputs_keep_every_bit_in_less_space(tmp_path: Path) -> None:
    smooth = np.linspace(-0.2, 1.3, 60 * 50 * 3, dtype=np.float32).reshape(60, 50, 3)
    extremes = np.array([0, -0.0, 1e-45, -1e-38, 3e38, -3e38], np.float32).reshape(1, 2, 3)
    for picture in (smooth, smooth[:1, :1], smooth[:, :1], smooth[::2, ::3], extremes):
        imageio.write_output(tmp_path / "a.tif", np.ascontiguousarray(picture))
        again = imageio.read_output(tmp_path / "a.tif", imageio.digest_array(picture))
        assert again.dtype == np.float32 and again.tobytes() == picture.tobytes()
    imageio.write_output(tmp_path / "a.tif", smooth)
    assert (tmp_path / "a.tif").stat().st_size < 0.8 * smooth.nbytes
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), smooth)
    textured = RNG.random((60, 50, 3), np.float32)
    imageio.write_output(tmp_path / "a.tif", textured)
    imageio.write_output(tmp_path / "half.tif", imageio.round_to_half(textured))
    assert (tmp_path / "half.tif").stat().st_size < 0.7 * (tmp_path / "a.tif").stat().st_size
    imageio.write_output(tmp_path / "a.tif", smooth)
    with pytest.raises(DataError, match=r"a\.tif: does not hold the numbers"):
        imageio.read_output(tmp_path / "a.tif", imageio.digest_array(smooth[:5]))
    with pytest.raises(ValueError, match="finite"):
        imageio.write_output(tmp_path / "a.tif", np.full((2, 2, 3), np.nan, np.float32))


def test_outputs_of_earlier_releases_are_read_and_other_files_refused(tmp_path: Path) -> None:
    picture = RNG.normal(0, 3, (5, 4, 3)).astype(np.float32)
    imageio.write_array(tmp_path / "a.npy", picture)
    np.testing.assert_array_equal(imageio.read_output(tmp_path / "a.npy"), picture)
    imageio.write_array(tmp_path / "a.npy", picture[..., 0])
    with pytest.raises(DataError, match=r"a\.npy: holds no picture"):
        imageio.read_output(tmp_path / "a.npy")
    imageio.write(tmp_path / "a.tif", picture, 16)
    with pytest.raises(DataError, match=r"a\.tif: holds integers"):
        imageio.read_output(tmp_path / "a.tif")
    imageio.write_output(tmp_path / "a.tif", picture)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.tif"):
        imageio.read_output(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"none\.tif"):
        imageio.read_output(tmp_path / "none.tif")


def test_rounding_to_half_precision_errs_by_less_than_a_tenth_of_a_level() -> None:
    picture = RNG.random((200, 200, 3), np.float32)
    rounded = imageio.round_to_half(picture)
    assert 0.06 < 255 * np.abs(rounded - picture).max() < 0.07
    np.testing.assert_array_equal(imageio.round_to_half(rounded), rounded)
    assert imageio.round_to_half(np.float32([1e9, -1e9])).tolist() == [65504, -65504]


# Damage
# --------------------------------------------------------------------------------------------------


def encodings() -> dict[str, bytes]:
    _, png = cv2.imencode(".png", RGB16[..., ::-1])
    _, lzw = cv2.imencode(".tif", RGB16[..., ::-1])
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, RGB16, photometric="rgb", rowsperstrip=5)
    zipped = io.BytesIO()
    tifffile.imwrite(zipped, RGB16, photometric="rgb", compression="zlib", rowsperstrip=5)
    return {
        "png": png.tobytes(),
        "jpeg": jpeg_bytes(RGB8),
        "progressive jpeg": jpeg_bytes(RGB8, progressive=True),
        "tiff": tiff.getvalue(),
        "zip tiff": zipped.getvalue(),
        "lzw tiff": lzw.tobytes(),
    }


ENCODINGS = encodings()


@settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.sampled_from(sorted(ENCODINGS)), st.floats(0, 1, exclude_max=True))
def test_no_part_of_a_file_is_ever_read_as_a_picture(
    tmp_path: Path, kind: str, share: float
) -> None:
    data = ENCODINGS[kind]
    (tmp_path / "part.png").write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"part\.png.*expected"):
        imageio.read(tmp_path / "part.png")


@pytest.mark.parametrize("kind", sorted(ENCODINGS))
def test_the_last_bytes_are_missed(tmp_path: Path, kind: str) -> None:
    """Where the pixels are complete, too: a JPEG without its end marker, for one."""
    for cut in (1, 2, 3, 10):
        (tmp_path / "part.png").write_bytes(ENCODINGS[kind][:-cut])
        with pytest.raises(DataError, match=r"part\.png"):
            imageio.read(tmp_path / "part.png")


@pytest.mark.parametrize("kind", ["tiff", "zip tiff", "lzw tiff"])
def test_a_tiff_whose_strips_lie_beyond_its_end_is_noticed(tmp_path: Path, kind: str) -> None:
    data = bytearray(ENCODINGS[kind])
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tag = tiff.pages[0].tags["StripOffsets"]
        width = tag.valuebytecount // tag.count
    last = tag.valueoffset + width * (tag.count - 1)
    data[last : last + width] = (len(data) - 20).to_bytes(width, "little")
    (tmp_path / "beyond.tif").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"beyond\.tif: is truncated"):
        imageio.read(tmp_path / "beyond.tif")


@pytest.mark.parametrize("kind", sorted(ENCODINGS))
def test_whole_files_are_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "whole.png").write_bytes(ENCODINGS[kind])
    assert imageio.read(tmp_path / "whole.png")[0].shape == RGB16.shape


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.integers(8, len(ENCODINGS["png"]) - 1), st.integers(1, 255))
def test_one_flipped_byte_in_a_png_is_noticed(tmp_path: Path, at: int, flip: int) -> None:
    data = bytearray(ENCODINGS["png"])
    data[at] ^= flip
    (tmp_path / "flip.png").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"flip\.png"):
        imageio.read(tmp_path / "flip.png")


def test_a_png_with_too_little_pixel_data_is_noticed(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 17, 13, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(200))), (b"IEND", b"")]
    (tmp_path / "short.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    )
    with pytest.raises(DataError, match=r"short\.png"):
        imageio.read(tmp_path / "short.png")


def test_metadata_with_damage_does_not_talk_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad_profile = with_chunk(ENCODINGS["png"], b"iCCP", b"x\0\0" + zlib.compress(b"junk" * 100))
    (tmp_path / "a.png").write_bytes(bad_profile)
    imageio.read(tmp_path / "a.png")
    for kind, data in ENCODINGS.items():
        (tmp_path / "part").write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(DataError):
            imageio.read(tmp_path / "part")
        assert capfd.readouterr().err == "", kind


def pages(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((2, 8, 8, 3), np.uint8), photometric="rgb")


def huge_png(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header))


def huge_jpeg(path: Path) -> None:
    data = bytearray(ENCODINGS["progressive jpeg"])
    at = data.index(b"\xff\xc2")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))


BAD_FILES = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("<html>404 not found</html>"), "is not a picture"),
    "folder": (lambda path: path.mkdir(), "is not a file"),
    "float tiff": (
        lambda path: tifffile.imwrite(path, np.zeros((4, 4), np.float32)),
        "floating-point numbers",
    ),
    "signed tiff": (
        lambda path: tifffile.imwrite(path, np.zeros((4, 4, 3), np.int16), photometric="rgb"),
        "16-bit",
    ),
    "white is zero": (
        lambda path: tifffile.imwrite(path, GREY8, photometric="miniswhite"),
        "MINISWHITE",
    ),
    "pages": (pages, "2 TIFF pages"),
    "cmyk": (lambda path: Image.fromarray(RGB8).convert("CMYK").save(path, "JPEG"), "CMYK"),
    "gif": (lambda path: Image.fromarray(RGB8).save(path, "GIF"), "is not a picture"),
    "pipe": (lambda path: os.mkfifo(path), "is not a file"),
    "sparse": (lambda path: os.truncate(save(path, RGB8), 10**11), "100000000000 bytes"),
    "huge png": (huge_png, "100000x100000"),
    "huge jpeg": (huge_jpeg, "a.png"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("function", [imageio.read, imageio.read_header])
def test_bad_files_are_named_with_what_was_expected(
    tmp_path: Path, function: object, kind: str
) -> None:
    make, message = BAD_FILES[kind]
    make(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"(?s)a\.png.*{message}.*expected|{message}.*expected"):
        function(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        imageio.read(tmp_path / "none.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB8)
    path.chmod(0)
    with pytest.raises(DataError, match=r"a\.png.*[Pp]ermission"):
        imageio.read(path)


def test_a_decoder_that_loses_bits_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", RGB16)
    honest = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, _: honest(data, cv2.IMREAD_COLOR))
    with pytest.raises(DataError, match=r"\(13, 17, 8\), but its header declares \(13, 17, 16\)"):
        imageio.read(path)
