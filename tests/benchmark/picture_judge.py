"""Reads every file of the corpora as the suite does, and says of each what came out.

    python -m tests.benchmark.picture_judge

prints the counts that stand in docs/reliability.md, the longest time and the peak memory.
"""

from __future__ import annotations

import contextlib
import enum
import io
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from benchmark import imageio
from benchmark.api import DataError
from tests.benchmark.hostile_pictures import SPECIAL_FILES, list_hostile_files
from tests.benchmark.picture_corpus import PictureFile, list_corpus

LONGEST = 10
"""Seconds after which reading a file counts as hanging."""


class Outcome(enum.StrEnum):
    """What came of a file."""

    RIGHT = "right"
    REFUSED = "refused"
    WRONG = "wrong"
    TRACEBACK = "tracebacks"
    HANG = "hangs"


class Verdict(NamedTuple):
    """What came of a file, and why for a person."""

    outcome: Outcome
    reason: str = ""


class _TooLongError(BaseException):
    """Reading takes longer than it may."""


@contextlib.contextmanager
def stop_after(seconds: int) -> Iterator[None]:
    """Raise _TooLongError in the main thread if the block takes longer."""

    def stop(number: int, frame: object) -> None:
        raise _TooLongError

    old_handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old_handler)


def judge_file(file: PictureFile, path: Path) -> Verdict:
    """Return what comes of a file of a corpus, put at a path.

    REFUSED is only what must be refused; a file that should be read and is refused is WRONG.
    """
    path.write_bytes(file.content)
    return _judge(lambda: _compare(file, path), path)


def judge_special_file(name: str, path: Path) -> Verdict:
    """Return what comes of something that is no file of pixels, put at a path."""
    SPECIAL_FILES[name](path)
    return _judge(lambda: _compare(PictureFile(name, b"", None), path), path)


def _judge(compare: Callable[[], Verdict], path: Path) -> Verdict:
    try:
        with stop_after(LONGEST):
            return compare()
    except _TooLongError:
        return Verdict(Outcome.HANG, f"{LONGEST} s")
    except Exception as error:
        return Verdict(Outcome.TRACEBACK, repr(error))


def _compare(file: PictureFile, path: Path) -> Verdict:
    try:
        imageio.read_display_tags(path)
        header = imageio.read_header(path, allow_float=file.depth == 32)
        picture, depth = imageio.read(path, allow_float=file.depth == 32)
    except DataError as error:
        message = str(error)
        if path.name not in message or "expected" not in message:
            return Verdict(Outcome.WRONG, f"says neither which file nor what to do: {message}")
        if file.pixels is not None:
            return Verdict(Outcome.WRONG, f"refused: {message}")
        return Verdict(Outcome.REFUSED, message)
    if file.pixels is None:
        return Verdict(Outcome.WRONG, "read, but should be refused")
    if depth != file.depth or (header.height, header.width) != file.pixels.shape[:2]:
        return Verdict(Outcome.WRONG, f"{depth} bits, {header}")
    top = 1 if depth == 32 else 2**depth - 1
    levels = picture.astype(np.float64) * top
    if not np.array_equal(levels if depth == 32 else np.rint(levels), file.pixels):
        return Verdict(Outcome.WRONG, "other pixels")
    return Verdict(Outcome.RIGHT)


# The second library
# --------------------------------------------------------------------------------------------------


def decode_by_second_library(library: str, data: bytes) -> np.ndarray:
    """Return the levels that the library in the table of decoders gives, H x W x 3."""
    levels = _SECOND_DECODERS[library](data)
    if levels.ndim == 2:
        levels = levels[..., None]
    if levels.shape[2] <= 2:
        return np.repeat(levels[..., :1], 3, axis=2)
    return levels[..., :3]


def _decode_by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("1", "P"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        return np.array(image)


def _decode_by_opencv(data: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)[..., ::-1]


def _decode_by_libtiff(data: bytes) -> np.ndarray:
    levels = imagecodecs.tiff_decode(data, index=0)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        is_planar = page.planarconfig == 2 and page.samplesperpixel > 1
    return np.moveaxis(levels, 0, -1) if is_planar else levels


def _decode_pfm_by_numpy(data: bytes) -> np.ndarray:
    kind, width, height, scale, content = data.split(maxsplit=4)
    order = "<" if float(scale) < 0 else ">"
    channels = 3 if kind == b"PF" else 1
    start = data.index(content)
    values = np.frombuffer(data, f"{order}f4", int(width) * int(height) * channels, start)
    return values.reshape(int(height), int(width), channels)[::-1].astype(np.float32)


_SECOND_DECODERS: dict[str, Callable[[bytes], np.ndarray]] = {
    "Pillow": _decode_by_pillow,
    "OpenCV": _decode_by_opencv,
    "imagecodecs": imagecodecs.png_decode,
    "libtiff of imagecodecs": _decode_by_libtiff,
    "NumPy": _decode_pfm_by_numpy,
}


def find_decoder(file: PictureFile) -> imageio.DecoderRow:
    """Return the row of the table that a file belongs to, told from its first bytes alone."""
    data = file.content
    if data[:4] == b"\x89PNG":
        kind = "palette" if data[25] == 3 else "grey and RGB, few bits"
        if data[24] == 16:
            kind = "grey and RGB, 16 bits"
    elif data[:2] == b"\xff\xd8":
        frames = {data.find(b"\xff\xc2"): "progressive", data.find(b"\xff\xc0"): "baseline"}
        kind = frames[min(at for at in frames if at >= 0)]
    elif data[:2] in (b"II", b"MM"):
        kind = "float" if file.depth == 32 else "integers"
    elif data[:2] == b"BM":
        kind = "24 bits" if data[28] == 24 else "palette"
    elif data[:4] == b"RIFF":
        kind = "lossless" if b"VP8L" in data[:400] or b"VP8L" in data else "lossy"
    else:
        kinds = {b"P6": "binary", b"P5": "binary", b"P3": "text", b"P2": "text"}
        kind = kinds.get(data[:2], "float")
    picture_format = {
        b"\x89P": "PNG", b"\xff\xd8": "JPEG", b"II": "TIFF", b"MM": "TIFF", b"BM": "BMP",
        b"RI": "WebP", b"PF": "PFM", b"Pf": "PFM",
    }.get(data[:2], "PNM")  # fmt: skip
    rows = imageio.list_decoders()
    return next(row for row in rows if (row.format, row.kind) == (picture_format, kind))


def format_decoders() -> list[str]:
    """Return the table of decoders, as docs/reliability.md shows it, with how many files prove each
    row.
    """
    counts = Counter(find_decoder(file) for file in list_files() if file.pixels is not None)
    lines = [
        "| format | pictures | bits | colours | stored | orientation | read by | the same by | "
        "files |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in imageio.list_decoders():
        kind = f"{row.kind}, where asked for" if row.asked_for else row.kind
        cells = (
            row.format, kind, ", ".join(map(str, row.bits)), row.colours, row.storage,
            row.orientation, row.library, row.second_library, str(counts[row]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


# Counting
# --------------------------------------------------------------------------------------------------


def list_files() -> list[PictureFile]:
    """Return the files of both corpora."""
    return [*list_corpus(), *list_hostile_files()]


def describe_counts(counts: Counter[Outcome]) -> str:
    """Return the line of docs/reliability.md."""
    numbers = [f"{counts[outcome]} {outcome}" for outcome in Outcome]
    return f"{counts.total()} inputs: {', '.join(numbers)}"


def count_expectations() -> Counter[Outcome]:
    """Return what should come of all files."""
    files = list_files()
    refusals = sum(file.pixels is None for file in files) + len(SPECIAL_FILES)
    total = len(files) + len(SPECIAL_FILES)
    return Counter({Outcome.RIGHT: total - refusals, Outcome.REFUSED: refusals})


def main() -> None:
    """Judge every file; print the counts and the table of decoders."""
    counts: Counter[Outcome] = Counter()
    longest = 0.0
    slowest = ""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / f"{number}.png" for number in range(10**6))
        verdicts = [
            *((file.name, judge_file, file) for file in list_files()),
            *((name, judge_special_file, name) for name in SPECIAL_FILES),
        ]
        for (name, judge, subject), path in zip(verdicts, paths, strict=False):
            start = time.perf_counter()
            verdict = judge(subject, path)  # type: ignore[operator]
            seconds = time.perf_counter() - start
            if seconds > longest:
                longest, slowest = seconds, name
            counts[verdict.outcome] += 1
            if verdict.outcome not in (Outcome.RIGHT, Outcome.REFUSED):
                print(f"{verdict.outcome}: {name}: {verdict.reason}", file=sys.stderr)
            if path.is_file() and not path.is_symlink():
                path.unlink()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("\n".join(format_decoders()))
    print(describe_counts(counts))
    print(f"longest {longest:.2f} s ({slowest}); peak memory {after // 1024} MiB, "
          f"{(after - before) // 1024} MiB of it for reading")  # fmt: skip


if __name__ == "__main__":
    main()
