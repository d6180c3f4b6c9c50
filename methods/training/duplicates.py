"""No training on what is evaluated: pictures that are nearly the same are found, however they were
saved.

A picture is described by the signs of its lowest frequencies (a perceptual hash: 12 x 12
coefficients of the discrete cosine transform of a 32 x 32 grey thumbnail, without the first,
against their median), for the whole of it and for its middle, so that a copy that lost its border
still agrees. Pictures whose hashes are close are aligned and correlated.

The hashes of Kodak24 come with the suite, so that nobody trains on it for want of having it. There
they alone decide:

* Copies of its 24 pictures (0.45 of the size, JPEG quality 30, gamma 0.7, mirrored) differ in at
  most 8 of the 143 bits, crops that lost 4 % of their width and height in at most 26. Of crops that
  lost 6 %, one in 24 is missed.
* The 500 pictures of BSDS500 differ from them in at least 40.

Elsewhere the correlation decides: at least 0.988 for those copies and for crops that lost 10 %, at
most 0.81 for the 1136 pairs in BSDS500 whose hashes are close. Crops that lost 15 % are missed more
often than found.

    python -m benchmark.methods.training.duplicates FOLDER > kodak24.csv

makes the table again from a folder that holds the 24 pictures as 01.png to 24.png.
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

Bits = NDArray[np.bool_]
Grey = NDArray[np.uint8]
"""`_SIDE` x `_SIDE`; a picture's proportions are lost, as they are in its thumbnails."""

_TRIMMED = (0.0, 0.025, 0.05)  # share of a side that is left out at each end
_FREQUENCIES, _THUMBNAIL = 12, 32
_BITS = _FREQUENCIES**2 - 1
_ALIKE = 32  # bits that may differ where the hashes alone decide
_SUSPECT = 48  # bits that may differ where the pictures themselves decide
_ALIGNED = 96  # px; side of the squares that are aligned
_SAME = 0.95  # their correlation from which on two pictures are the same
_MOVED = 0.2  # shares of the side by which they may be moved, scaled or sheared for that
_SIDE = 192  # px; every picture is first reduced to a grey square
_OTHER_PART = re.compile(r"\.|(train|training|val|valid|validation)([-_. ]|$)", re.IGNORECASE)


def refuse_duplicates(training: Sequence[Path], evaluated: Sequence[Path]) -> None:
    """Refuse training pictures that are nearly the same as one that methods are evaluated on.

    Copies count that were scaled, compressed, toned, turned, mirrored or cropped by some percent.
    Kodak24 is always among the evaluated pictures.

    Args:
        training: pictures to train on.
        evaluated: pictures to evaluate on, such as `evaluated_pictures` finds.

    Raises:
        DataError: for the first training picture that is one of the others, naming both; or for a
            file that cannot be read.
    """
    known = _known()
    greys = {path: _grey(path) for path in evaluated}
    theirs = np.concatenate(
        [np.zeros((0, _BITS), np.bool_), *(hashes(grey) for grey in greys.values())]
    )
    for path in training:
        turned = _turns(_grey(path))
        ours = np.stack([hashes(grey) for grey in turned])
        for name, bits in known.items():
            if _distances(ours, bits).min() <= _ALIKE:
                raise _refused(path, f"the picture {name} of Kodak24")
        distances = (
            _distances(ours, theirs).min(axis=1).reshape(8, len(greys), len(_TRIMMED)).min(axis=2)
        )
        for way, which in np.argwhere(distances <= _SUSPECT):
            other = evaluated[which]
            if correlation(turned[way], greys[other]) >= _SAME:
                raise _refused(path, str(other))


def _refused(path: Path, other: str) -> DataError:
    return DataError(
        f"{path}: is nearly the same picture as {other}, which is evaluated on; take it out of "
        f"training"
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
    whole, own = root.resolve(), training.resolve()
    if own.is_relative_to(whole) and not any(
        _OTHER_PART.match(part) for part in own.relative_to(whole).parts
    ):
        raise DataError(
            f"{training}: lies under the data root {root}, whose pictures are evaluated on; train "
            f"on a folder "
            "elsewhere, on one called train, or name another --root"
        )
    found = sorted(path for path in _below(root) if is_picture_file(path))
    return [path for path in found if _readable(path)]


def bundled_pictures() -> list[Path]:
    """Return the photographs that come inside scikit-image, which `simulated` evaluates on by
    default.
    """
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [path for path in pictures.files(folder) if _readable(path)]


def _below(root: Path) -> Iterator[Path]:
    """Yield the files under a folder; a folder that links lead to more than once is
    entered once.
    """
    seen: set[Path] = set()
    for name, inside, files in os.walk(root, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:
            inside.clear()
            continue
        seen.add(folder.resolve())
        inside[:] = sorted(part for part in inside if not _OTHER_PART.match(part))
        yield from (folder / file for file in files)


def _readable(path: Path) -> bool:
    try:
        imageio.read_header(path)
    except DataError:
        return False
    return True


def hashes(grey: Grey) -> Bits:
    """Return the hashes of a picture, of its middle and of its inmost part, 3 x 143 bits."""
    return np.stack([_hash(_trimmed(grey, share)) for share in _TRIMMED])


def correlation(one: Grey, other: Grey) -> float:
    """Return the correlation in [-1, 1] of two pictures after a slight affine alignment; -1 if
    there is none.
    """
    small = [
        cv2.resize(grey, (_ALIGNED, _ALIGNED), interpolation=cv2.INTER_AREA)
        for grey in (one, other)
    ]
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-4)
    unmoved = np.eye(2, 3, dtype=np.float32)
    try:
        found, moved = cv2.findTransformECC(
            small[0], small[1], unmoved.copy(), cv2.MOTION_AFFINE, stop
        )
    except cv2.error:  # a picture without detail, or two that have nothing in common
        return -1.0
    # A large move can blow up a flat part of anything until it resembles a flat part of anything
    # else.
    change = np.abs(np.asarray(moved) - unmoved) / (1, 1, _ALIGNED)
    return found if change.max() <= _MOVED else -1.0


def _trimmed(grey: Grey, share: float) -> Grey:
    margin = round(_SIDE * share)
    return grey[margin : _SIDE - margin, margin : _SIDE - margin]


def _hash(grey: Grey) -> Bits:
    small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    return cast(Bits, low > np.median(low))


def _distances(ours: Bits, theirs: Bits) -> NDArray[np.float32]:
    """Return how many bits differ, ... x N x 143 against M x 143, as ... x N x M."""
    signs = [2 * bits.astype(np.float32) - 1 for bits in (ours, theirs)]
    return cast("NDArray[np.float32]", (_BITS - signs[0] @ signs[1].T) / 2)


def _grey(path: Path) -> Grey:
    grey = cv2.cvtColor(pictures.upright(path), cv2.COLOR_RGB2GRAY)
    return cast(Grey, cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))


def _turns(grey: Grey) -> list[Grey]:
    """Return the 8 ways to turn and mirror a picture."""
    return [
        np.ascontiguousarray(np.rot90(way, quarter))
        for way in (grey, grey[:, ::-1])
        for quarter in range(4)
    ]


# The table of Kodak24
# -------------------------------------------------------------------------------------------------


def table(folder: Path) -> str:
    """Return the text of `KODAK24` for a folder of pictures, named NN.png after their numbers."""
    rows = [
        f"kodim{path.stem},{bits}" for path in pictures.files(folder) for bits in _hexadecimal(path)
    ]
    return "\n".join(["picture,hash", *rows, ""])


def _hexadecimal(path: Path) -> list[str]:
    return [np.packbits(bits).tobytes().hex() for bits in hashes(_grey(path))]


@lru_cache(maxsize=1)
def _known() -> dict[str, Bits]:
    """Return the name of each picture of Kodak24 and its hashes."""
    found: dict[str, list[Bits]] = {}
    with KODAK24.open(newline="") as table:
        for row in csv.DictReader(table):
            found.setdefault(row["picture"], []).append(_from_hex(row["hash"]))
    return {name: np.stack(rows) for name, rows in found.items()}


def _from_hex(text: str) -> Bits:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))[:_BITS].astype(np.bool_)


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])))
