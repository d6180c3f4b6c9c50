"""Pictures made to mislead, to fill the memory, or to keep a reader busy; files that are none; and
names that steer a terminal or break a table.
"""

from __future__ import annotations

import io
import itertools
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from tests.benchmark.picture_corpus import (
    HEIGHT,
    RGB8,
    RGB16,
    SMOOTH8,
    WIDTH,
    PictureFile,
    decode_opencv,
    encode_png,
    encode_tiff,
    encode_with_pillow,
    patch_tiff,
    png_chunk,
    replace_bytes,
)

PNG_START = b"\x89PNG\r\n\x1a\n"
GOOD_PNG = encode_png(RGB8.astype(np.uint16), 8, 2)
GOOD_JPEG = encode_with_pillow(SMOOTH8, "JPEG", quality=90)
GOOD_TIFF = encode_tiff(RGB8, photometric="rgb")
SIZE = f"{WIDTH} {HEIGHT}".encode()

_BOMB_BYTES = 2**25


def list_hostile_files() -> Iterator[PictureFile]:
    """Yield files that one program or another reads wrong, never ends with, or breaks at."""
    for files in (
        list_hostile_pngs(),
        list_hostile_jpegs(),
        list_hostile_tiffs(),
        list_hostile_bmps(),
        list_hostile_webps(),
        list_hostile_pnms(),
        list_strangers(),
        list_parts(),
    ):
        for name, content in files.items():
            pixels = None
            if isinstance(content, tuple):
                content, pixels = content
            yield PictureFile(f"hostile {name}", content, pixels)


Files = dict[str, bytes | tuple[bytes, np.ndarray]]
"""Name -> what must be refused, or what must be read, with its pixels."""


def png_header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def list_hostile_pngs() -> Files:
    ihdr, idat, iend = GOOD_PNG[8:33], GOOD_PNG[33:-12], GOOD_PNG[-12:]
    bomb = zlib.compress(bytes(_BOMB_BYTES), 9)
    files: Files = {
        f"png of {width}x{height}": PNG_START + png_header(width, height) + idat + iend
        for width, height in ((100_000, 100_000), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1), (0, 0))
    }
    files |= {
        "png with a bomb for text": (
            PNG_START + ihdr + png_chunk(b"zTXt", b"a\0\0" + bomb) + idat + iend,
            RGB8,
        ),
        "png with a bomb for a profile": (
            PNG_START + ihdr + png_chunk(b"iCCP", b"a\0\0" + bomb) + idat + iend,
            RGB8,
        ),
        "png with an unknown chunk": (
            PNG_START + ihdr + png_chunk(b"juNk", b"abc") + idat + iend,
            RGB8,
        ),
        "png with an unknown critical chunk": (
            PNG_START + ihdr + png_chunk(b"JUNK", b"abc") + idat + iend
        ),
        "png with two pieces of data": (
            PNG_START
            + ihdr
            + png_chunk(b"IDAT", idat[8:200])
            + png_chunk(b"IDAT", idat[200:-4])
            + iend,
            RGB8,
        ),
        "png with a bomb behind its pixels": (
            PNG_START
            + ihdr
            + png_chunk(
                b"IDAT",
                zlib.compress(zlib.decompress(idat[8:-4]) + bytes(_BOMB_BYTES), 9),
            )
            + iend,
            RGB8,
        ),
        "png without data": PNG_START + ihdr + iend,
        "png with no palette": encode_png(RGB8[..., :1].astype(np.uint16), 8, 3),
        "png with an endless chunk": PNG_START + ihdr + b"\xff\xff\xff\xffIDAT" + bytes(50),
        "png with a damaged checksum": GOOD_PNG[:-13] + b"\0" + GOOD_PNG[-12:],
        "png with a damaged name": GOOD_PNG[:8] + b"\0\0\0\x0dJHDR" + GOOD_PNG[16:],
        "png without its first bytes": GOOD_PNG[1:],
        "png with an unknown filter": PNG_START
        + ihdr
        + png_chunk(b"IDAT", zlib.compress(b"\x09" * (HEIGHT * (1 + 3 * WIDTH))))
        + iend,
        "png with too little data": PNG_START
        + ihdr
        + png_chunk(b"IDAT", zlib.compress(bytes(500)))
        + iend,
        "png of Apple": PNG_START + png_chunk(b"CgBI", bytes(4)) + ihdr + idat + iend,
        "png with 3 bits": PNG_START + png_header(4, 4, 3, 0) + idat + iend,
        "png with colour type 5": PNG_START + png_header(4, 4, 8, 5) + idat + iend,
    }
    return files


def patch_frame(data: bytes, at: int, new: bytes) -> bytes:
    """Return a JPEG with other bytes from the marker of its frame on."""
    start = next(data.index(b"\xff" + bytes([kind])) for kind in (0xC0,))
    return replace_bytes(data, start + at, new)


def list_hostile_jpegs() -> Files:
    files: Files = {
        f"jpeg of kind SOF{kind - 0xC0}": patch_frame(GOOD_JPEG, 1, bytes([kind]))
        for kind in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
    }
    files |= {
        f"jpeg of {width}x{height}": patch_frame(GOOD_JPEG, 5, struct.pack(">HH", height, width))
        for width, height in ((65535, 65535), (65535, 1), (0, 37), (29, 0), (30, 400))
    }
    restarts = encode_with_pillow(SMOOTH8, "JPEG", quality=90, restart_marker_rows=1)
    progressive = encode_with_pillow(SMOOTH8, "JPEG", quality=90, progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    end = len(GOOD_JPEG) - 2
    files |= {
        "jpeg of 12 bits": patch_frame(GOOD_JPEG, 4, b"\x0c"),
        "jpeg of two channels": patch_frame(GOOD_JPEG, 9, b"\x02"),
        "jpeg of no channels": patch_frame(GOOD_JPEG, 9, b"\x00"),
        "jpeg with restarts in another order": restarts.replace(b"\xff\xd1", b"\xff\xd5", 1),
        "jpeg with a restart too few": restarts.replace(b"\xff\xd1", b"", 1),
        "jpeg with thousands of scans": progressive[:-2] + scan * 3000 + b"\xff\xd9",
        "jpeg that begins twice": GOOD_JPEG[:2] + GOOD_JPEG,
        "jpeg with a segment of no length": GOOD_JPEG[:2] + b"\xff\xe1\0\0" + GOOD_JPEG[2:],
        "jpeg with a segment beyond its end": GOOD_JPEG[:2] + b"\xff\xe1\xff\xff" + GOOD_JPEG[2:],
        "jpeg with a comment": (
            GOOD_JPEG[:2] + b"\xff\xfe\0\x07<svg>" + GOOD_JPEG[2:],
            decode_opencv(GOOD_JPEG),
        ),
        "jpeg without an end": GOOD_JPEG[:end],
        "jpeg of a start and an end": b"\xff\xd8\xff\xd9",
        "jpeg of a start": b"\xff\xd8\xff",
        "jpeg of filler": b"\xff\xd8" + b"\xff" * 5000,
        "jpeg of stuffed bytes": GOOD_JPEG[:-2] + b"\xff\0" * 5000,
        "jpeg of restarts": GOOD_JPEG[:-2] + b"\xff\xd0" * 5000 + b"\xff\xd9",
    }
    return files


def list_hostile_tiffs() -> Files:
    zipped = encode_tiff(RGB8, photometric="rgb", compression="zlib")
    tiled = encode_tiff(RGB8, photometric="rgb", tile=(16, 16))
    zipped_tiles = encode_tiff(RGB8, photometric="rgb", tile=(16, 16), compression="zlib")
    big_bomb = encode_tiff(np.zeros((4096, 4096), np.uint8), compression="zlib")
    files: Files = {
        f"tiff of compression {code}": patch_tiff(GOOD_TIFF, {"Compression": code})
        for code in (0, 2, 3, 4, 6, 7, 9, 10, 34661, 34676, 34712, 34887, 34892, 34933, 50001,
                     50002, 52546, 60000)
    }  # fmt: skip
    files |= {
        f"tiff in colours {code}": patch_tiff(GOOD_TIFF, {"PhotometricInterpretation": code})
        for code in (0, 3, 4, 5, 6, 8, 9, 10, 32803, 32844, 32845, 34892, 999)
    }
    files |= {
        f"tiff of {width}x{height}": patch_tiff(
            content, {"ImageWidth": width, "ImageLength": height}
        )
        for content in (GOOD_TIFF,)
        for width, height in ((65535, 65535), (0, 37), (29, 0), (29, 38), (30, 37))
    }
    files |= {
        f"tiff with {name} {value}": patch_tiff(content, {name: value})
        for content, name, value in (
            (GOOD_TIFF, "SamplesPerPixel", 0),
            (GOOD_TIFF, "SamplesPerPixel", 2),
            (GOOD_TIFF, "SamplesPerPixel", 9),
            (GOOD_TIFF, "StripByteCounts", 0),
            (GOOD_TIFF, "StripByteCounts", 7),
            (GOOD_TIFF, "StripOffsets", 60000),
            (GOOD_TIFF, "PlanarConfiguration", 2),
            (tiled, "TileWidth", 0),
            (tiled, "TileWidth", 1),
            (tiled, "TileLength", 0),
            (zipped_tiles, "TileWidth", 65520),
            (zipped, "RowsPerStrip", 0),
            (zipped, "RowsPerStrip", 1),
            (big_bomb, "ImageLength", 37),
        )
    }
    files |= {
        "tiff of two directories that point at each other": link_directories(),
        "tiff of thousands of pages": encode_pages(2000),
        "tiff of 12 bits": encode_tiff((RGB16 >> 4), photometric="rgb", bitspersample=12),
        "tiff of integers with the predictor of floats": patch_tiff(
            encode_tiff(RGB8, photometric="rgb", compression="zlib", predictor=2),
            {"Predictor": 3},
        ),
        "tiff of 64-bit floats": encode_tiff(RGB8 / 255, photometric="rgb"),
        "tiff of complex numbers": encode_tiff((RGB8[..., 0] + 1j).astype(np.complex64)),
        "tiff of two channels": encode_tiff(RGB8[..., :2], planarconfig="contig"),
        "tiff of a volume": encode_tiff(np.zeros((5, 8, 8), np.uint8), volumetric=True),
        "tiff of a tag with two thousand million values": inflate_tag(GOOD_TIFF, "StripOffsets"),
        "tiff of a reduced page alone": encode_tiff(RGB8, photometric="rgb", subfiletype=1),
        "tiff with a thumbnail": (encode_with_thumbnail(), RGB8),
        "tiff with another version": replace_bytes(GOOD_TIFF, 2, b"\x2c\0"),
        "tiff with a directory at 0": replace_bytes(GOOD_TIFF, 4, bytes(4)),
    }
    return files


def link_directories() -> bytes:
    """Return a TIFF of two pages whose second one is followed by the first."""
    content = bytearray(encode_pages(2))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as tiff:
        first, second = (page.offset for page in tiff.pages)
    (count,) = struct.unpack("<H", content[second : second + 2])
    end = second + 2 + 12 * count
    content[end : end + 4] = struct.pack("<I", first)
    return bytes(content)


def encode_pages(count: int) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for _ in range(count):
            tiff.write(np.zeros((2, 2, 3), np.uint8), photometric="rgb", metadata=None)
    return buffer.getvalue()


def encode_with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        tiff.write(RGB8, photometric="rgb", metadata=None)
        tiff.write(RGB8[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    return buffer.getvalue()


def inflate_tag(content: bytes, name: str) -> bytes:
    """Return a TIFF of which a tag claims to have 2^31 values."""
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        at = tiff.pages[0].tags[name].offset
    return replace_bytes(content, at + 4, struct.pack("<I", 2**31))


def bmp(
    bits: int, compression: int, pixels: bytes, palette: bytes = b"", colours: int = 0
) -> bytes:
    """Return a BMP of 4 x 4 pixels, written by hand."""
    offset = 54 + len(palette)
    header = struct.pack(
        "<IiiHHIIiiII", 40, 4, 4, 1, bits, compression, len(pixels), 1, 1, colours, 0
    )
    start = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset)
    return start + header + palette + pixels


def list_hostile_bmps() -> Files:
    good = encode_with_pillow(RGB8, "BMP")
    palette = bytes(range(64)) * 16
    colours = np.frombuffer(palette[:64], np.uint8).reshape(16, 4)[:, 2::-1]
    index4 = np.arange(16).reshape(4, 4)
    rows4 = b"".join(bytes([row[0] << 4 | row[1], row[2] << 4 | row[3], 0, 0]) for row in index4)
    index8 = np.arange(16, dtype=np.uint8).reshape(4, 4)
    colours8 = np.frombuffer(palette, np.uint8).reshape(256, 4)[:, 2::-1]
    v5 = bytearray(good[:14] + struct.pack("<I", 124) + good[18:54] + bytes(84) + good[54:])
    v5[10:14] = struct.pack("<I", 14 + 124)
    profile = bytes(v5[:70]) + b"DEBM" + bytes(v5[74:])
    srgb = bytes(v5[:70]) + b"BGRs" + bytes(v5[74:])
    return {
        "bmp of 16 colours": (bmp(4, 0, rows4, palette[:64]), colours[index4][::-1]),
        "bmp of 256 colours": (bmp(8, 0, index8.tobytes(), palette), colours8[index8][::-1]),
        "bmp of a short palette": bmp(8, 0, index8.tobytes(), palette[:20], 5),
        "bmp of a short grey palette": bmp(
            8, 0, index8.tobytes(), b"".join(bytes([k, k, k, 0]) for k in range(5)), 5
        ),
        "bmp of 2 bits": bmp(2, 0, bytes(16), palette[:16]),
        "bmp of run lengths": bmp(8, 1, b"\4\1\0\0" * 4 + b"\0\1", palette),
        "bmp of run lengths, 4 bits": bmp(4, 2, b"\4\x11\0\0" * 4 + b"\0\1", palette[:64]),
        "bmp of bit fields": bmp(32, 3, bytes(64), bytes(12)),
        "bmp of a jpeg": bmp(0, 4, GOOD_JPEG),
        "bmp of 32 bits": bmp(32, 0, bytes(64)),
        "bmp of OS/2": (
            b"BM" + struct.pack("<IHHIIHHHH", 26 + 48, 0, 0, 26, 12, 4, 4, 1, 24) + bytes(48)
        ),
        "bmp of version 5": (srgb, RGB8),
        "bmp with a profile": profile,
        "bmp of a million million pixels": replace_bytes(
            good, 18, struct.pack("<ii", 10**6, 10**6)
        ),
        "bmp of negative width": replace_bytes(good, 18, struct.pack("<i", -29)),
        "bmp of no height": replace_bytes(good, 22, bytes(4)),
        "bmp with pixels beyond its end": replace_bytes(good, 10, struct.pack("<I", 2**30)),
    }  # fmt: skip


def list_hostile_webps() -> Files:
    lossless = encode_with_pillow(RGB8, "WEBP", lossless=True)
    lossy = encode_with_pillow(SMOOTH8, "WEBP", quality=90)
    return {
        "webp of no chunks": b"RIFF\x04\0\0\0WEBP",
        "webp of an unknown chunk": b"RIFF" + struct.pack("<I", 4 + 16) + b"WEBPJUNK" + bytes(12),
        "webp that says it is shorter": replace_bytes(lossless, 4, struct.pack("<I", 500)),
        "webp lossy of no data": lossy[:20] + bytes(len(lossy) - 20),
        "webp of other sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    }


def list_hostile_pnms() -> Files:
    binary = RGB8.tobytes()
    text = " ".join(map(str, RGB8.reshape(-1))).encode()
    return {
        "ppm of letters": b"P3 " + SIZE + b" 255\n" + text.replace(b"1", b"a", 1),
        "ppm of negative numbers": b"P3 " + SIZE + b" 255\n-" + text,
        "ppm of numbers above its largest": b"P3 " + SIZE + b" 255\n9" + text,
        "ppm of too few numbers": b"P3 " + SIZE + b" 255\n" + text[:3000],
        "ppm of a comment without end": b"P6 #" + b"x" * 200_000,
        "ppm of levels up to 0": b"P6 " + SIZE + b" 0\n" + binary,
        "ppm of levels up to 1": b"P6 " + SIZE + b" 1\n" + binary,
        "ppm of levels up to 65536": b"P6 " + SIZE + b" 65536\n" + binary * 2,
        "ppm of a million million pixels": b"P6 1000000 1000000 255\n" + binary,
        "ppm of no width": b"P6 0 4 255\n",
        "ppm of a negative width": b"P6 -4 4 255\n" + binary,
        "ppm of a long number": b"P6 " + b"9" * 5000 + b" 4 255\n",
        "ppm of a header alone": b"P6 " + SIZE,
        "ppm of comments": (
            b"P6\n#a\n" + SIZE.replace(b" ", b" #b\n") + b"\n#c\n255\n" + binary,
            RGB8,
        ),
        "ppm with junk behind": (b"P6 " + SIZE + b" 255\n" + binary + b"junk", RGB8),
        "pfm cut": b"PF 4 4 -1.0\n" + bytes(40),
        "pfm of a million million pixels": b"Pf 1000000 1000000 -1.0\n" + bytes(40),
        "pfm of letters": b"Pf a b c\n",
    }


def list_strangers() -> Files:
    """Files of other kinds, by their first bytes."""
    starts = {
        "zeros": bytes(4096),
        "random bytes": np.random.default_rng(3).bytes(4096),
        "zip": b"PK\3\4" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
        "pdf": b"%PDF-1.7\n" + bytes(60),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "psd": b"8BPS\0\1" + bytes(60),
        "exr": b"\x76\x2f\x31\x01" + bytes(60),
        "radiance": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n" + bytes(16),
        "heic": b"\0\0\0\x18ftypheic" + bytes(60),
        "jpeg xl": b"\xff\x0a" + bytes(60),
        "qoi": b"qoif" + bytes(60),
        "tga": b"\0\0\2" + bytes(60),
        "numpy": b"\x93NUMPY\1\0" + bytes(60),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(60),
        "elf": b"\x7fELF" + bytes(60),
        "one byte": b"\x89",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    }
    return {f"file of {name}": content for name, content in starts.items()}


def list_parts() -> Files:
    """The first parts of whole files, of every format."""
    encodings = {
        "png": GOOD_PNG,
        "png of 16 bits": encode_png(RGB16, 16, 2),
        "jpeg": GOOD_JPEG,
        "jpeg in scans": encode_with_pillow(SMOOTH8, "JPEG", progressive=True),
        "tiff": GOOD_TIFF,
        "tiff of LZW tiles": encode_tiff(
            RGB16, photometric="rgb", compression="lzw", tile=(16, 16)
        ),
        "tiff of zip strips": encode_tiff(RGB16, photometric="rgb", compression="zlib"),
        "bmp": encode_with_pillow(RGB8, "BMP"),
        "webp": encode_with_pillow(RGB8, "WEBP", lossless=True),
        "lossy webp": encode_with_pillow(SMOOTH8, "WEBP", quality=90),
        "ppm": b"P6 " + SIZE + b" 255\n" + RGB8.tobytes(),
    }  # fmt: skip
    shares = [step / 10 for step in range(1, 10)]
    return {
        f"{round(100 * share)} % of a {name}": content[: int(share * len(content))]
        for (name, content), share in itertools.product(encodings.items(), shares)
    }


# What is no file
# --------------------------------------------------------------------------------------------------


def _make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has a hundred characters at most
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _make_huge_file(path: Path) -> None:
    path.write_bytes(GOOD_PNG)
    os.truncate(path, 10**11)


SPECIAL_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "socket": _make_socket,
    "link to nothing": lambda path: path.symlink_to("nowhere.png"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "link to a folder": lambda path: path.symlink_to("/"),
    "file of 100 GB with nothing in it": _make_huge_file,
    "nothing": lambda path: None,
}
"""Name -> what puts it where a picture is expected; each must be refused at once."""


# Names
# --------------------------------------------------------------------------------------------------

ODD_NAMES = (
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)", "a|b", "=1+1", "'; DROP TABLE x",
    '"quoted"', "[red]markup[/red]", "{{7*7}}", "${HOME}", "$(touch x)", "%s%n", "-rf", "--help",
    "a,b", "a;b", "a b", "#a", "~", "CON", "日本語", "naïve", "e\u0301", "😀", "x" * 200,
    "a\\b", "a..b", "a:b", "*", "?",
)  # fmt: skip
"""Names without suffix that must be taken as they are: everywhere, and by nothing else than as a
name.
"""
UNPRINTABLE_NAMES = (
    b"a\nb", b"a\rb", b"\x1b[31mred", b"a\tb", b"\x07bell", b"\xff\xfe", b"caf\xe9",
    "\u202egnp".encode(), "\u200bzero".encode(), b"\x9b31m", "a\u2028b".encode(), b"\x7f",
)  # fmt: skip
"""Names in bytes, without suffix, that must be refused: they steer a terminal or are no text."""
