"""Store a figure small enough for `results/measured`, as WebP.

Line drawings lose no pixel but get few colours. A figure that has no more colours than asked for is
stored as it is. Others keep their commonest colours, so that no two lines get one colour, and the
rest is reduced by median cut, without dithering, whose dots would cost more than they show. Figures
of pictures need their colours; with `--quality` they are compressed with loss.

    python -m tests.stored_figures radius.png results/measured/simulated/radius.webp
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.files import replace_file

COLOURS = 64
MOST_COLOURS = 256
BEST_QUALITY = 100


def store_figure(
    source: Path, target: Path, colours: int = COLOURS, quality: int | None = None
) -> int:
    """Write a figure as WebP, lossless with few colours or with loss and all; return its bytes.

    Args:
        source: the figure, in any format that Pillow reads.
        target: the file to write; its folder must be there.
        colours: at most, 2 to 256, where nothing else is lost.
        quality: 1 to 100, with loss and all colours; None for lossless.

    Raises:
        ValueError: another number of colours or quality; a target that is not named `.webp`; a
            source that is no picture.
        OSError: a file that cannot be read or written.
    """
    if not 2 <= colours <= MOST_COLOURS:
        raise ValueError(f"--colours {colours}: choose 2 to {MOST_COLOURS}")
    if quality is not None and not 1 <= quality <= BEST_QUALITY:
        raise ValueError(f"--quality {quality}: choose 1 to {BEST_QUALITY}")
    if target.suffix != ".webp":
        raise ValueError(f"{target}: figures are stored as WebP; name it .webp")
    try:
        with Image.open(source) as image:
            pixels = image.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{source}: not a picture; name a figure, as PNG for one") from None
    content = io.BytesIO()
    if quality is None:
        exact = _reduce_colours(pixels, colours)
        exact.save(content, "WEBP", lossless=True, quality=BEST_QUALITY, method=6)
    else:
        pixels.save(content, "WEBP", quality=quality, method=6)
    with replace_file(target) as file:
        file.write(content.getvalue())
    return len(content.getvalue())


def _reduce_colours(pixels: Image.Image, colours: int) -> Image.Image:
    """Return an RGB picture with at most this many colours; itself if it has no more."""
    if pixels.getcolors(colours) is not None:
        return pixels
    levels = np.asarray(pixels).reshape(-1, 3)
    known, places, counts = np.unique(levels, axis=0, return_inverse=True, return_counts=True)
    exact = known[np.argsort(-counts, kind="stable")[: colours // 2]]
    others = pixels.quantize(colours - len(exact), Image.Quantize.MEDIANCUT)
    palette = np.concatenate([exact, np.reshape(others.getpalette() or [], (-1, 3))]).astype(int)
    # Pillow itself maps to a palette by rounded colours, which would make white grey.
    differences = [np.square(known - colour).sum(axis=1) for colour in palette]
    nearest = palette[np.argmin(differences, axis=0)].astype(np.uint8)
    return Image.fromarray(nearest[places.ravel()].reshape(pixels.height, pixels.width, 3))


def main(arguments: Sequence[str] | None = None) -> int:
    """Store the figure that is named; return 0, or 2 with a line that says why not."""
    parser = argparse.ArgumentParser(prog="python -m tests.stored_figures", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", type=Path, help="The figure, as PNG for one.")
    parser.add_argument("target", type=Path, help="The WebP file to write.")
    parser.add_argument("--colours", type=int, default=COLOURS, help="At most (%(default)s).")
    parser.add_argument("--quality", type=int, help="Compress with loss, 1 to 100.")
    options = parser.parse_args(arguments)
    try:
        size = store_figure(options.source, options.target, options.colours, options.quality)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.target}: {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
