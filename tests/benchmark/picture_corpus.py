"""Pictures of every kind a user may have, each with the pixels that are right, or with the word
of its refusal. All are made here, by libraries that the reader does not use for them where there
is a choice, and by hand where no library writes them.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

Levels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]

RNG = np.random.default_rng(7)
HEIGHT, WIDTH = 37, 29
RGB8 = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
SMOOTH8 = cv2.GaussianBlur(RGB8, (0, 0), 3)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file of the corpus.

    Attributes:
        name: what it is; unique.
        content: its bytes.
        pixels: H x W x 3 levels that a reader must return; None if it must refuse the file.
        depth: bits per channel that it must report; 32 for floats, which are asked for.
    """

    name: str
    content: bytes
    pixels: Levels | None
    depth: int = 8


def grey(levels: Levels) -> Levels:
    """Return grey levels H x W as H x W x 3."""
    return np.dstack([levels] * 3)


# PNG


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    body = kind + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))


ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def pack_png_rows(samples: Levels, bits: int) -> bytes:
    """Return rows of H x W x C samples as PNG stores them, each after its filter's number 0."""
    height, width, channels = samples.shape
    flat = samples.reshape(height, width * channels)
    rows = bytearray()
    for row in flat:
        rows.append(0)
        if bits == 16:
            rows += row.astype(">u2").tobytes()
        elif bits == 8:
            rows += row.astype(np.uint8).tobytes()
        else:
            expanded = ((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
            rows += np.packbits(expanded.reshape(-1)).tobytes()
    return bytes(rows)


def encode_png(
    samples: Levels, bits: int, colour: int, interlaced: bool = False, extra: bytes = b""
) -> bytes:
    """Return a PNG file, written by hand."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    if interlaced:
        passes = [samples[top::down, left::right] for top, left, down, right in ADAM7]
        raw = b"".join(pack_png_rows(part, bits) for part in passes if part.size)
    else:
        raw = pack_png_rows(samples, bits)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def list_png_files() -> Iterator[PictureFile]:
    for bits, colour, interlaced in itertools.product(
        (1, 2, 4, 8, 16), (0, 2, 3, 4, 6), (False, True)
    ):
        if (bits < 8 and colour not in (0, 3)) or (bits == 16 and colour == 3):
            continue
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        samples = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, channels), dtype=np.uint16)
        depth = 16 if bits == 16 else 8
        extra = b""
        name = f"png colour {colour}, {bits} bits{', interlaced' if interlaced else ''}"
        scale = 1 if bits >= 8 else 255 // (2**bits - 1)
        dtype = np.uint16 if bits == 16 else np.uint8
        if colour == 3:
            palette = RNG.integers(0, 256, (2**bits, 3), dtype=np.uint8)
            extra = png_chunk(b"PLTE", palette.tobytes())
            pixels = palette[samples[..., 0]]
        elif channels <= 2:
            pixels = grey((samples[..., 0] * scale).astype(dtype))
        else:
            pixels = samples[..., :3].astype(dtype)
        if colour in (4, 6):
            opaque = samples.copy()
            opaque[..., -1] = 2**bits - 1
            yield PictureFile(
                f"{name}, opaque",
                encode_png(opaque, bits, colour, interlaced, extra),
                pixels,
                depth,
            )
            yield PictureFile(
                f"{name}, transparent", encode_png(samples, bits, colour, interlaced, extra), None
            )
        else:
            content = encode_png(samples, bits, colour, interlaced, extra)
            yield PictureFile(name, content, pixels, depth)
            if not interlaced:
                yield PictureFile(f"{name}, cut", content[: len(content) * 2 // 3], None)
                yield PictureFile(f"{name}, no end", content[:-12], None)
    palette = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    index = RGB8[..., :1].astype(np.uint16)
    for alphas, ok in (([255] * 9, True), ([255, 0], False)):
        extra = png_chunk(b"PLTE", palette.tobytes()) + png_chunk(b"tRNS", bytes(alphas))
        yield PictureFile(
            f"png palette, tRNS {'opaque' if ok else 'transparent'}",
            encode_png(index, 8, 3, extra=extra),
            palette[index[..., 0]] if ok else None,
        )
    for colour, key in (
        (2, struct.pack(">HHH", *RGB8[3, 4])),
        (0, struct.pack(">H", RGB8[3, 4, 0])),
    ):
        extra = png_chunk(b"tRNS", key)
        samples = (RGB8 if colour == 2 else RGB8[..., :1]).astype(np.uint16)
        yield PictureFile(
            f"png colour key, colour {colour}", encode_png(samples, 8, colour, extra=extra), None
        )
    yield PictureFile(
        "png animation",
        encode_png(
            RGB8.astype(np.uint16), 8, 2, extra=png_chunk(b"acTL", struct.pack(">II", 2, 0))
        ),
        None,
    )
    yield PictureFile(
        "png palette index beyond",
        encode_png(index, 8, 3, extra=png_chunk(b"PLTE", palette[:5].tobytes())),
        None,
    )
    yield PictureFile(
        "png two IHDR",
        encode_png(
            RGB8.astype(np.uint16),
            8,
            2,
            extra=png_chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0)),
        ),
        None,
    )
    yield PictureFile("png zero width", encode_png(RGB8[:, :0].astype(np.uint16), 8, 2), None)
    good = encode_png(RGB8.astype(np.uint16), 8, 2)
    yield PictureFile("png junk behind", good + b"junk" * 9, RGB8)
    yield PictureFile(
        "png interlace 7",
        good[:28] + b"\x07" + struct.pack(">I", zlib.crc32(good[12:28] + b"\x07")) + good[33:],
        None,
    )


# JPEG


def encode_with_pillow(picture: Levels | Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode_opencv(data: bytes) -> Levels:
    """Return what OpenCV reads, RGB."""
    pixels = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return pixels[..., ::-1]


def list_jpeg_files() -> Iterator[PictureFile]:
    for sampling, progressive, restart, quality in itertools.product(
        (0, 1, 2), (False, True), (0, 1), (75, 100)
    ):
        content = encode_with_pillow(
            SMOOTH8,
            "JPEG",
            subsampling=sampling,
            progressive=progressive,
            restart_marker_rows=restart,
            quality=quality,
        )
        scans = "progressive" if progressive else "baseline"
        pieces = "restarts" if restart else "no restarts"
        name = f"jpeg 4:{('44', '22', '20')[sampling]}, {scans}, {pieces}, quality {quality}"
        yield PictureFile(name, content, decode_opencv(content))
        for share in (0.6, 0.8, 0.97):
            cut = content[: int(len(content) * share)]
            yield PictureFile(f"{name}, cut at {share}", cut, None)
            yield PictureFile(f"{name}, cut at {share}, end marker", cut + b"\xff\xd9", None)
    content = encode_with_pillow(SMOOTH8[..., 0], "JPEG", quality=90)
    yield PictureFile("jpeg grey", content, decode_opencv(content))
    good = encode_with_pillow(SMOOTH8, "JPEG", quality=90)
    yield PictureFile("jpeg junk behind", good + b"junk" * 9, decode_opencv(good))
    content = encode_with_pillow(SMOOTH8, "JPEG", quality=90, keep_rgb=True)
    yield PictureFile("jpeg stored as RGB", content, decode_opencv(content))
    yield PictureFile(
        "jpeg CMYK", encode_with_pillow(Image.fromarray(SMOOTH8).convert("CMYK"), "JPEG"), None
    )
    exif = Image.Exif()
    exif[274] = 6
    content = encode_with_pillow(SMOOTH8, "JPEG", quality=90, exif=exif)
    yield PictureFile("jpeg orientation 6, as stored", content, decode_opencv(good))
    yield PictureFile("jpeg without tables", drop_jpeg_segment(good, 0xDB), None)
    yield PictureFile(
        "jpeg of the usual Huffman tables, not stored",
        drop_jpeg_segment(good, 0xC4),
        decode_opencv(good),
    )
    content = encode_with_pillow(SMOOTH8, "JPEG", quality=90, progressive=True)
    yield PictureFile("jpeg without its last scan", drop_last_scan(content), None)
    middle = good.index(b"\xff\xda") + 40
    yield PictureFile("jpeg of zeros", good[:middle] + bytes(200) + b"\xff\xd9", None)


def drop_last_scan(data: bytes) -> bytes:
    return data[: data.rindex(b"\xff\xda")] + b"\xff\xd9"


def drop_jpeg_segment(data: bytes, kind: int) -> bytes:
    at = 2
    out = data[:2]
    while data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2 : at + 4])[0] + 2
        if data[at + 1] != kind:
            out += data[at : at + size]
        at += size
    return out + data[at:]


# TIFF


def encode_tiff(levels: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, levels, metadata=None, **options)
    return buffer.getvalue()


TIFF_COMPRESSIONS = (None, "lzw", "packbits", "zlib", "zstd", "lzma")


def list_tiff_files() -> Iterator[PictureFile]:
    yield from list_colour_tiff_files()
    yield from list_grey_tiff_files()
    for array in (RGB8, RGB16):
        yield from list_tiff_files_with_further_channels(array)
    yield from list_tiff_files_of_other_programs()
    yield from list_other_tiff_kinds()
    yield from list_damaged_tiff_files()


def has_no_predictor(compression: str | None) -> bool:
    return compression in (None, "packbits")


def list_colour_tiff_files() -> Iterator[PictureFile]:
    for array, compression, predictor, planar, tile, order in itertools.product(
        (RGB8, RGB16),
        TIFF_COMPRESSIONS,
        (False, True),
        ("contig", "separate"),
        (None, (16, 16)),
        "<>",
    ):
        if predictor and has_no_predictor(compression):
            continue
        depth = 8 * array.itemsize
        content = encode_tiff(
            order_planes(array, planar),
            photometric="rgb",
            planarconfig=planar,
            compression=compression,
            predictor=predictor,
            byteorder=order,
            **({"tile": tile} if tile else {"rowsperstrip": 7}),
        )
        layout = f"{planar}, {'tiles' if tile else 'strips'}, {order}"
        name = f"tiff {depth} bits, {compression}, predictor {predictor}, {layout}"
        yield PictureFile(name, content, array, depth)
        if order == "<" and not tile:
            yield PictureFile(f"{name}, cut", content[: len(content) * 2 // 3], None)


def order_planes(array: Levels, planar: str) -> Levels:
    """Return H x W x C as tifffile takes it: C x H x W where planes are stored apart."""
    return array if planar == "contig" else np.ascontiguousarray(np.moveaxis(array, -1, 0))


def list_grey_tiff_files() -> Iterator[PictureFile]:
    for array, compression, predictor in itertools.product(
        (RGB8[..., 0], RGB16[..., 0]), TIFF_COMPRESSIONS, (False, True)
    ):
        if predictor and has_no_predictor(compression):
            continue
        depth = 8 * array.itemsize
        content = encode_tiff(
            array, photometric="minisblack", compression=compression, predictor=predictor
        )
        name = f"tiff grey {depth} bits, {compression}, predictor {predictor}"
        yield PictureFile(name, content, grey(array), depth)


def list_tiff_files_with_further_channels(array: Levels) -> Iterator[PictureFile]:
    depth = 8 * array.itemsize
    opaque = np.dstack([array, np.full_like(array[..., 0], np.iinfo(array.dtype).max)])
    transparent = np.dstack([array, array[..., 0]])
    for alpha, planar in itertools.product(("unassalpha", "assocalpha"), ("contig", "separate")):
        for name, samples, pixels in (
            ("opaque", opaque, array),
            ("transparent", transparent, None),
        ):
            content = encode_tiff(
                order_planes(samples, planar),
                photometric="rgb",
                extrasamples=[alpha],
                planarconfig=planar,
            )
            title = f"tiff {depth} bits, {alpha} {name}, {planar}"
            yield PictureFile(title, content, pixels, depth)
    content = encode_tiff(transparent, photometric="rgb", extrasamples=["unspecified"])
    yield PictureFile(f"tiff {depth} bits, unspecified extra sample", content, None)
    content = encode_tiff(array, photometric="rgb", bigtiff=True)
    yield PictureFile(f"tiff {depth} bits, BigTIFF", content, array, depth)
    content = encode_tiff(array, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    yield PictureFile(f"tiff {depth} bits, orientation 6, as stored", content, array, depth)


def list_tiff_files_of_other_programs() -> Iterator[PictureFile]:
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
        content = encode_with_pillow(RGB8, "TIFF", compression=kind)
        yield PictureFile(f"tiff of Pillow, {kind}", content, RGB8)
    for kind, array in itertools.product((1, 5, 8, 32773), (RGB8, RGB16)):
        _, data = cv2.imencode(".tif", array[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, kind])
        depth = 8 * array.itemsize
        yield PictureFile(f"tiff of OpenCV, {kind}, {depth} bits", data.tobytes(), array, depth)


def list_other_tiff_kinds() -> Iterator[PictureFile]:
    """TIFF files that are whole and refused."""
    colours = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    one_bit = Image.fromarray(RGB8[..., 0]).convert("1")
    files = {
        "float": encode_tiff(RGB8.astype(np.float32) / 255, photometric="rgb"),
        "half": encode_tiff((RGB8 / 255).astype(np.float16), photometric="rgb"),
        "signed": encode_tiff(RGB8.astype(np.int16), photometric="rgb"),
        "32 bits": encode_tiff(RGB8.astype(np.uint32), photometric="rgb"),
        "1 bit": encode_tiff(RGB8[..., 0] > 99, photometric="minisblack"),
        "white is zero": encode_tiff(RGB8[..., 0], photometric="miniswhite"),
        "palette": encode_tiff(RGB8[..., 0], photometric="palette", colormap=colours),
        "CMYK": encode_tiff(np.dstack([RGB8, RGB8[..., 0]]), photometric="separated"),
        "two pages": encode_tiff(np.stack([RGB8, RGB8]), photometric="rgb"),
        "jpeg": encode_with_pillow(SMOOTH8, "TIFF", compression="jpeg"),
        "ccitt": encode_with_pillow(one_bit, "TIFF", compression="group4"),
        "bits in reverse order": reverse_bits(RGB8),
    }
    for name, content in files.items():
        yield PictureFile(f"tiff {name}", content, None)


def list_damaged_tiff_files() -> Iterator[PictureFile]:
    good = encode_tiff(RGB8, photometric="rgb")
    (directory,) = struct.unpack("<I", good[4:8])
    (count,) = struct.unpack("<H", good[directory : directory + 2])
    next_directory = directory + 2 + 12 * count
    bomb = encode_tiff(np.zeros((3000, 3000, 3), np.uint8), photometric="rgb", compression="zlib")
    small = {"ImageWidth": 30, "ImageLength": 30, "RowsPerStrip": 30}
    files = {
        "directory points at itself": replace_bytes(good, next_directory, good[4:8]),
        "directory beyond the file": replace_bytes(good, 4, b"\xff\xff\xff\x7f"),
        "header only": good[:8],
        "last byte gone": good[:-1],
        "claims less than its strip holds": patch_tiff(bomb, small),
        "absurd size": patch_tiff(good, {"ImageWidth": 60000, "ImageLength": 60000}),
        "zlib damaged": damage_strip(encode_tiff(RGB16, photometric="rgb", compression="zlib")),
        "lzw damaged": damage_strip(encode_tiff(RGB16, photometric="rgb", compression="lzw")),
    }
    for name, content in files.items():
        yield PictureFile(f"tiff {name}", content, None)


def replace_bytes(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def reverse_bits(levels: Levels) -> bytes:
    """Return a TIFF that says that its bits are stored in reverse order; tifffile writes no such
    tag.
    """
    content = encode_tiff(levels, photometric="rgb", extratags=[(65000, "H", 1, 2, True)])
    return content.replace(struct.pack("<HHI", 65000, 3, 1), struct.pack("<HHI", 266, 3, 1))


def damage_strip(content: bytes) -> bytes:
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        page = tiff.pages[0]
        middle = page.dataoffsets[0] + page.databytecounts[0] // 2
    return replace_bytes(content, middle, bytes(40))


def patch_tiff(content: bytes, values: dict[str, int]) -> bytes:
    data = bytearray(content)
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        for name, value in values.items():
            tag = tiff.pages[0].tags[name]
            size = {3: 2, 4: 4}[int(tag.dtype)]
            data[tag.valueoffset : tag.valueoffset + size] = value.to_bytes(size, "little")
    return bytes(data)


# BMP, WebP, PNM, and what is none of them


def list_other_files() -> Iterator[PictureFile]:
    yield PictureFile("bmp 24", encode_with_pillow(RGB8, "BMP"), RGB8)
    yield PictureFile("bmp grey", encode_with_pillow(RGB8[..., 0], "BMP"), grey(RGB8[..., 0]))
    p = Image.fromarray(SMOOTH8).quantize(200)
    yield PictureFile("bmp palette", encode_with_pillow(p, "BMP"), np.asarray(p.convert("RGB")))
    one = Image.fromarray(RGB8[..., 0]).convert("1")
    yield PictureFile("bmp 1 bit", encode_with_pillow(one, "BMP"), np.asarray(one.convert("RGB")))
    rgba = np.dstack([RGB8, RGB8[..., 0]])
    yield PictureFile("bmp 32 transparent", encode_with_pillow(rgba, "BMP"), None)
    yield PictureFile("bmp cut", encode_with_pillow(RGB8, "BMP")[:2000], None)
    bmp = bytearray(encode_with_pillow(RGB8, "BMP"))
    bmp[22:26] = struct.pack("<i", -HEIGHT)
    yield PictureFile("bmp top down", bytes(bmp), RGB8[::-1])
    bmp16 = (
        b"BM"
        + struct.pack("<IHHI", 54 + 2 * 4 * 4, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 16, 0, 32, 2835, 2835, 0, 0)
        + bytes(range(32))
    )
    yield PictureFile("bmp 16 bits a pixel", bmp16, None)
    yield PictureFile("webp lossless", encode_with_pillow(RGB8, "WEBP", lossless=True), RGB8)
    lossy = encode_with_pillow(SMOOTH8, "WEBP", quality=90)
    yield PictureFile("webp lossy", lossy, decode_opencv(lossy))
    yield PictureFile(
        "webp alpha", encode_with_pillow(rgba, "WEBP", lossless=True, exact=True), None
    )
    opaque = np.dstack([RGB8, np.full_like(RGB8[..., 0], 255)])
    yield PictureFile("webp opaque alpha", encode_with_pillow(opaque, "WEBP", lossless=True), RGB8)
    yield PictureFile("webp cut", encode_with_pillow(RGB8, "WEBP", lossless=True)[:1500], None)
    yield PictureFile(
        "webp animation",
        encode_with_pillow(
            Image.fromarray(RGB8),
            "WEBP",
            save_all=True,
            append_images=[Image.fromarray(SMOOTH8)],
            lossless=True,
        ),
        None,
    )
    size = f"{WIDTH} {HEIGHT}".encode()
    yield PictureFile("ppm 8", b"P6\n# made by hand\n" + size + b"\n255\n" + RGB8.tobytes(), RGB8)
    yield PictureFile(
        "ppm 16", b"P6\n" + size + b"\n65535\n" + RGB16.astype(">u2").tobytes(), RGB16, 16
    )
    yield PictureFile(
        "pgm 8", b"P5 " + size + b" 255\n" + RGB8[..., 0].tobytes(), grey(RGB8[..., 0])
    )
    yield PictureFile(
        "pgm 16",
        b"P5\n" + size + b"\n65535\n" + RGB16[..., 0].astype(">u2").tobytes(),
        grey(RGB16[..., 0]),
        16,
    )
    text = " ".join(map(str, RGB8.reshape(-1))).encode()
    yield PictureFile("ppm text", b"P3\n" + size + b"\n255\n" + text, RGB8)
    text = " ".join(map(str, RGB16[..., 0].reshape(-1))).encode()
    content = b"P2\n" + size + b"\n65535\n" + text
    yield PictureFile("pgm text, 16 bits", content, grey(RGB16[..., 0]), 16)
    yield PictureFile(
        "ppm 12 bits", b"P6\n" + size + b"\n4095\n" + (RGB16 >> 4).astype(">u2").tobytes(), None
    )
    yield PictureFile("ppm cut", b"P6\n" + size + b"\n255\n" + RGB8.tobytes()[:-5], None)
    yield PictureFile(
        "pam",
        b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + bytes(12),
        None,
    )
    yield PictureFile("pfm", b"PF\n2 2\n-1.0\n" + bytes(48), None)
    yield PictureFile("pbm", b"P4\n8 2\n\xa5\x5a", None)
    yield PictureFile("gif", encode_with_pillow(RGB8, "GIF"), None)
    yield PictureFile("jpeg 2000", encode_with_pillow(RGB8, "JPEG2000"), None)
    yield PictureFile("ico", encode_with_pillow(RGB8, "ICO"), None)
    yield PictureFile("avif or text", b"\0\0\0\x1cftypavif" + bytes(60), None)
    yield PictureFile("empty", b"", None)
    yield PictureFile("html", b"<html>404 not found</html>", None)


# Sizes, and what a viewer is told


def encode_pnm(levels: Levels) -> bytes:
    size = f"{levels.shape[1]} {levels.shape[0]}".encode()
    return b"P6 " + size + b" 255\n" + levels.tobytes()


LOSSLESS_ENCODERS: dict[str, Callable[[Levels], bytes]] = {
    "png": lambda levels: encode_png(levels.astype(np.uint16), 8, 2),
    "png interlaced": lambda levels: encode_png(levels.astype(np.uint16), 8, 2, interlaced=True),
    "tiff": lambda levels: encode_tiff(levels, photometric="rgb"),
    "tiff in tiles": lambda levels: encode_tiff(
        levels, photometric="rgb", tile=(16, 16), compression="lzw"
    ),
    "tiff in planes": lambda levels: encode_tiff(
        order_planes(levels, "separate"), photometric="rgb", planarconfig="separate"
    ),
    "bmp": lambda levels: encode_with_pillow(levels, "BMP"),
    "webp": lambda levels: encode_with_pillow(levels, "WEBP", lossless=True),
    "ppm": encode_pnm,
}


def list_sizes() -> Iterator[PictureFile]:
    """Pictures whose sides are at and around the sides of blocks and tiles."""
    for height, width in ((1, 1), (1, 9), (9, 1), (2, 3), (7, 8), (8, 16), (16, 16), (17, 33)):
        levels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for name, encode in LOSSLESS_ENCODERS.items():
            yield PictureFile(f"{name} of {width}x{height}", encode(levels), levels)
        content = encode_with_pillow(levels, "JPEG", quality=95)
        yield PictureFile(f"jpeg of {width}x{height}", content, decode_opencv(content))
        content = encode_with_pillow(levels, "WEBP", quality=80)
        yield PictureFile(f"lossy webp of {width}x{height}", content, decode_opencv(content))


def list_orientations() -> Iterator[PictureFile]:
    """Pictures that a viewer turns; pixels are read as stored."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
            content = encode_with_pillow(RGB8, kind, exif=exif, **options)
            yield PictureFile(f"{kind.lower()} by orientation {orientation}", content, RGB8)
        content = encode_with_pillow(SMOOTH8, "JPEG", exif=exif)
        yield PictureFile(f"jpeg by orientation {orientation}", content, decode_opencv(content))
        tag = [(274, "H", 1, orientation, True)]
        content = encode_tiff(RGB16, photometric="rgb", extratags=tag)
        yield PictureFile(f"tiff by orientation {orientation}", content, RGB16, 16)


def make_profile(name: str) -> bytes:
    """Return an ICC profile of sRGB, or one in which red and green have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if name == "swapped":
        swap_primaries(profile)
    return bytes(profile)


def swap_primaries(profile: bytearray) -> None:
    """Give red's place to green and green's to red: other colours, whatever they are called."""
    tags = {}
    (count,) = struct.unpack(">I", profile[128:132])
    for at in range(132, 132 + 12 * count, 12):
        tags[bytes(profile[at : at + 4])] = at
    for first, second in ((b"rXYZ", b"gXYZ"),):
        places = [slice(tags[name] + 4, tags[name] + 12) for name in (first, second)]
        profile[places[0]], profile[places[1]] = profile[places[1]], profile[places[0]]


def list_colour_spaces() -> Iterator[PictureFile]:
    """Pictures that say what their numbers mean; the numbers are read as stored."""
    for name in ("sRGB", "swapped"):
        profile = make_profile(name)
        for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
            content = encode_with_pillow(RGB8, kind, icc_profile=profile, **options)
            yield PictureFile(f"{kind.lower()} with a profile, {name}", content, RGB8)
        content = encode_with_pillow(SMOOTH8, "JPEG", icc_profile=profile)
        yield PictureFile(f"jpeg with a profile, {name}", content, decode_opencv(content))
        content = encode_tiff(RGB8, photometric="rgb", iccprofile=profile)
        yield PictureFile(f"tiff with a profile, {name}", content, RGB8)
    for name, chunk in PNG_COLOUR_CHUNKS.items():
        content = encode_png(RGB8.astype(np.uint16), 8, 2, extra=chunk)
        yield PictureFile(f"png with {name}", content, RGB8)


PNG_COLOUR_CHUNKS = {
    "gamma 1": png_chunk(b"gAMA", struct.pack(">I", 100_000)),
    "gamma 1/2.2": png_chunk(b"gAMA", struct.pack(">I", 45_455)),
    "a damaged gamma": png_chunk(b"gAMA", b"ab"),
    "sRGB": png_chunk(b"sRGB", b"\0") + png_chunk(b"gAMA", struct.pack(">I", 100_000)),
    "primaries of P3": png_chunk(
        b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    ),
    "code points of PQ": png_chunk(b"cICP", bytes([9, 16, 0, 1])),
    "code points of sRGB": png_chunk(b"cICP", bytes([1, 13, 0, 1])),
}
"""Name -> chunks before the pixels."""


def list_floats() -> Iterator[PictureFile]:
    """Pictures of floating-point numbers, which are refused unless they are asked for."""
    values = (RGB16 / 65535).astype(np.float32)
    for name, content in {
        "tiff": encode_tiff(values, photometric="rgb"),
        "tiff, zip": encode_tiff(values, photometric="rgb", compression="zlib"),
        **{
            f"tiff, {compression}, float predictor, {order}": encode_tiff(
                values,
                photometric="rgb",
                compression=compression,
                predictor=3,
                byteorder=order,
                rowsperstrip=7,
            )
            for compression in ("zstd", "zlib", "lzw")
            for order in "<>"
        },
        "tiff, planes": encode_tiff(
            np.ascontiguousarray(np.moveaxis(values, -1, 0)),
            photometric="rgb",
            planarconfig="separate",
        ),
        "pfm": b"PF\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + values[::-1].astype("<f4").tobytes(),
        "pfm, high byte first": b"PF\n%d %d\n1.0\n" % (WIDTH, HEIGHT)
        + values[::-1].astype(">f4").tobytes(),
    }.items():
        yield PictureFile(f"float {name}", content, values, 32)
        yield PictureFile(f"float {name}, not asked for", content, None)
    content = b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + values[::-1, :, 0].tobytes()
    yield PictureFile("float pfm, grey", content, np.dstack([values[..., 0]] * 3), 32)


def list_corpus() -> list[PictureFile]:
    """Return all files that are no attack; `hostile_pictures` has the others."""
    files = [
        *list_png_files(),
        *list_jpeg_files(),
        *list_tiff_files(),
        *list_other_files(),
        *list_sizes(),
        *list_orientations(),
        *list_colour_spaces(),
        *list_floats(),
    ]
    assert len({file.name for file in files}) == len(files)
    return files
