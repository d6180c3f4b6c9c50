"""No training on what is evaluated: pictures that are nearly the same are found, however they were
saved.

A picture is described by the signs of its lowest frequencies (a perceptual hash: 12 x 12
coefficients of the discrete cosine transform of a 32 x 32 grey thumbnail, without the first,
against their median), for the whole of it and for its middle, so that a copy that lost its border
still agrees. Pictures whose hashes are close are aligned and correlated.

The hashes of Kodak24 come with the suite, so that nobody trains on it for want of having it, and so
do those of the photographs that crops of `simulated` are from (`benchmark.datasets.bundled`). There
they alone decide:

* Copies of Kodak's 24 pictures (0.45 of the size, JPEG quality 30, gamma 0.7, mirrored) differ in
  at most 8 of the 143 bits, crops that lost 4 % of their width and height in at most 26. Of crops
  that lost 6 %, one in 24 is missed.
* The 500 pictures of BSDS500 differ from them in at least 40, and from the photographs in 42.

Elsewhere the correlation decides: at least 0.988 for those copies and for crops that lost 10 %, at
most 0.81 for the 1136 pairs in BSDS500 whose hashes are close. Crops that lost 15 % are missed more
often than found.

    python -m benchmark.methods.training.duplicates FOLDER > kodak24.csv

makes the table again from a folder that holds the 24 pictures as 01.png to 24.png, and
`photographs.csv` from one that holds the photographs under the names of their crops.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark import imageio
from benchmark.api import DataError
from benchmark.files import is_picture_file
from benchmark.methods.training import pictures

KODAK24 = Path(__file__).with_name("kodak24.csv")
"""Columns `picture` and `hash`: 143 bits in hexadecimal, three rows for each picture."""

PHOTOGRAPHS = Path(__file__).with_name("photographs.csv")
"""The same of the photographs that the bundled crops were cut from."""

_CROPS = Path(__file__).parents[2] / "datasets" / "photographs"

Bits = NDArray[np.bool_]
Grey = NDArray[np.uint8]
"""`_SIDE` x `_SIDE`; a picture's proportions are lost, as they are in its thumbnails."""

_MARGINS = (0.0, 0.025, 0.05)  # share of a side that is left out at each end
_FREQUENCIES = 12  # along each axis of the transform
_THUMBNAIL = 32  # px; side of what is transformed
_BITS = _FREQUENCIES**2 - 1
_ALIKE = 32  # bits that may differ where the hashes alone decide
_SUSPECT = 48  # bits that may differ where the pictures themselves decide
_ALIGNED = 96  # px; side of the squares that are aligned
_DUPLICATE_CORRELATION = 0.95  # their correlation from which on two pictures are the same
_LARGEST_MOVE = 0.2  # shares of the side by which they may be moved, scaled or sheared for that
_SIDE = 192  # px; every picture is first reduced to a grey square
_OTHER_PART = re.compile(r"\.|(train|training|val|valid|validation)([-_. ]|$)", re.IGNORECASE)


def refuse_duplicates(training: Sequence[Path], evaluated_paths: Sequence[Path]) -> None:
    """Refuse training pictures that are nearly the same as one that methods are evaluated on.

    Copies count that were scaled, compressed, toned, turned, mirrored or cropped by some percent.
    Kodak24, and the photographs whose crops come with the suite, are always among the evaluated
    pictures.

    Args:
        training: pictures to train on.
        evaluated_paths: pictures to evaluate on, such as `evaluated_pictures` returns.

    Raises:
        DataError: for the first training picture that is one of the others, naming both; or for a
            file that cannot be read.
    """
    hashes_by_name = _read_hash_tables()
    greys = {path: _read_grey(path) for path in evaluated_paths}
    evaluated_hashes = np.concatenate(
        [np.zeros((0, _BITS), np.bool_), *(picture_hashes(grey) for grey in greys.values())]
    )
    for path in training:
        orientations = _all_orientations(_read_grey(path))
        hashes = np.stack([picture_hashes(grey) for grey in orientations])
        for name, evaluated in hashes_by_name.items():
            if _count_differences(hashes, evaluated).min() <= _ALIKE:
                raise _duplicate_error(path, name)
        differences = (
            _count_differences(hashes, evaluated_hashes)
            .min(axis=1)
            .reshape(8, len(greys), len(_MARGINS))
            .min(axis=2)
        )
        for orientation, number in np.argwhere(differences <= _SUSPECT):
            other = evaluated_paths[number]
            if correlate_aligned(orientations[orientation], greys[other]) >= _DUPLICATE_CORRELATION:
                raise _duplicate_error(path, str(other))


def _duplicate_error(path: Path, other: str) -> DataError:
    return DataError(
        f"{path}: is nearly the same picture as {other}, which is evaluated on; take it out of "
        "training"
    )


def evaluated_pictures(root: Path, training: Path) -> list[Path]:
    """Return every picture file under a data root that may be evaluated on; links to folders and
    files are followed.

    Left out are what is hidden, folders whose names say that they hold the training or validation
    part of a data set, and files that no data set of the suite can read. A root that does not exist
    has none.

    Raises:
        DataError: if the training folder lies under the root, and not in such a part.
    """
    if _lies_in_evaluated_part(training.resolve(), root.resolve()):
        raise DataError(
            f"{training}: lies under the data root {root}, whose pictures are evaluated on; train "
            "on a folder elsewhere, on one called train, or name another --root"
        )
    paths = sorted(path for path in _walk_evaluated(root) if is_picture_file(path))
    return [path for path in paths if _is_readable(path)]


def _lies_in_evaluated_part(folder: Path, root: Path) -> bool:
    if not folder.is_relative_to(root):
        return False
    return not any(_OTHER_PART.match(part) for part in folder.relative_to(root).parts)


def bundled_pictures() -> list[Path]:
    """Return the pictures that `simulated` evaluates on by default: those that come inside
    scikit-image, and crops that come with the suite.
    """
    import skimage

    folders = (Path(skimage.__file__).parent / "data", _CROPS)
    paths = [path for folder in folders for path in pictures.list_pictures(folder)]
    return [path for path in paths if _is_readable(path)]


def _walk_evaluated(root: Path) -> Iterator[Path]:
    """Yield the files under a folder; a folder that links lead to more than once is
    entered once.
    """
    visits: set[Path] = set()
    for name, subfolders, files in os.walk(root, followlinks=True):
        folder = Path(name)
        if folder.resolve() in visits:
            subfolders.clear()
            continue
        visits.add(folder.resolve())
        # os.walk goes on with what is left in this list.
        subfolders[:] = sorted(part for part in subfolders if not _OTHER_PART.match(part))
        for file in files:
            yield folder / file


def _is_readable(path: Path) -> bool:
    try:
        imageio.read_header(path)
    except DataError:
        return False
    return True


def picture_hashes(grey: Grey) -> Bits:
    """Return the hashes of a picture, of its middle and of its inmost part, 3 x 143 bits."""
    return np.stack([_perceptual_hash(_trim(grey, margin)) for margin in _MARGINS])


def correlate_aligned(first: Grey, second: Grey) -> float:
    """Return the correlation in [-1, 1] of two pictures after a slight affine alignment; -1 if
    there is none.
    """
    template = cv2.resize(first, (_ALIGNED, _ALIGNED), interpolation=cv2.INTER_AREA)
    movable = cv2.resize(second, (_ALIGNED, _ALIGNED), interpolation=cv2.INTER_AREA)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-4)
    identity = np.eye(2, 3, dtype=np.float32)
    try:
        correlation, transform = cv2.findTransformECC(
            template, movable, identity.copy(), cv2.MOTION_AFFINE, stop
        )
    except cv2.error:  # a picture without detail, or two that have nothing in common
        return -1.0
    # A large move can blow up a flat part of anything until it resembles a flat part of anything
    # else.
    move = np.abs(np.asarray(transform) - identity) / (1, 1, _ALIGNED)
    if move.max() <= _LARGEST_MOVE:
        return correlation
    return -1.0


def _trim(grey: Grey, margin: float) -> Grey:
    width = round(_SIDE * margin)
    return grey[width : _SIDE - width, width : _SIDE - width]


def _perceptual_hash(grey: Grey) -> Bits:
    small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    return cast(Bits, low > np.median(low))


def _count_differences(ours: Bits, theirs: Bits) -> NDArray[np.float32]:
    """Return how many bits differ, ... x N x 143 against M x 143, as ... x N x M."""
    agreement = _bits_to_signs(ours) @ _bits_to_signs(theirs).T
    return cast("NDArray[np.float32]", (_BITS - agreement) / 2)


def _bits_to_signs(bits: Bits) -> NDArray[np.float32]:
    return 2 * bits.astype(np.float32) - 1


def _read_grey(path: Path) -> Grey:
    grey = cv2.cvtColor(pictures.read_upright(path, allow_transparent=True), cv2.COLOR_RGB2GRAY)
    return cast(Grey, cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))


def _all_orientations(grey: Grey) -> list[Grey]:
    """Return the 8 ways to turn and mirror a picture."""
    orientations: list[Grey] = []
    for picture in (grey, grey[:, ::-1]):
        turns = [np.rot90(picture, quarters) for quarters in range(4)]
        orientations.extend(np.ascontiguousarray(turn) for turn in turns)
    return orientations


# The tables of hashes
# -------------------------------------------------------------------------------------------------


def make_hash_table(folder: Path) -> str:
    """Return the text of `KODAK24` or `PHOTOGRAPHS` for a folder of pictures.

    A picture goes by the name of its file; Kodak's NN.png is kodimNN.
    """
    lines = ["picture,hash"]
    for path in pictures.list_pictures(folder):
        name = f"kodim{path.stem}" if path.stem.isdecimal() else path.stem
        hashes = picture_hashes(_read_grey(path))
        lines.extend(f"{name},{_bits_to_hex(bits)}" for bits in hashes)
    return "\n".join([*lines, ""])


@lru_cache(maxsize=1)
def _read_hash_tables() -> dict[str, Bits]:
    """Return what each picture of the tables is called in messages, and its hashes."""
    kodak = {f"the picture {name} of Kodak24": bits for name, bits in _read_table(KODAK24)}
    photographs = {
        f"the photograph {name}, crops of which come with the suite": bits
        for name, bits in _read_table(PHOTOGRAPHS)
    }
    return kodak | photographs


def _read_table(path: Path) -> Iterator[tuple[str, Bits]]:
    hashes: dict[str, list[Bits]] = {}
    with path.open(newline="") as table:
        for row in csv.DictReader(table):
            hashes.setdefault(row["picture"], []).append(_bits_from_hex(row["hash"]))
    for name, rows in hashes.items():
        yield name, np.stack(rows)


def _bits_to_hex(bits: Bits) -> str:
    return np.packbits(bits).tobytes().hex()


def _bits_from_hex(text: str) -> Bits:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))[:_BITS].astype(np.bool_)


if __name__ == "__main__":
    sys.stdout.write(make_hash_table(Path(sys.argv[1])))
