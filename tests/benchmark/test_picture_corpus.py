"""Every kind of picture file is read exactly or refused by name: never wrong, never half, never
with a traceback, never for ever.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio
from benchmark.api import DataError
from tests.benchmark.picture_corpus import PictureFile, list_corpus

CORPUS = list_corpus()


def test_the_corpus_has_enough_of_both() -> None:
    refusals = sum(file.pixels is None for file in CORPUS)
    assert refusals >= 150
    assert len(CORPUS) - refusals >= 150


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_a_file_is_read_exactly_or_refused(
    file: PictureFile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "picture.png"  # a wrong suffix for most, which must not matter
    path.write_bytes(file.content)
    if file.pixels is None:
        with pytest.raises(DataError, match=r"picture\.png.*expected"):
            imageio.read(path)
    else:
        picture, depth = imageio.read(path)
        assert depth == file.depth
        levels = picture.astype(np.float64) * (2**depth - 1)
        np.testing.assert_array_equal(np.rint(levels), file.pixels)
        header = imageio.read_header(path)
        assert (header.height, header.width) == file.pixels.shape[:2]
    assert capfd.readouterr().err == ""
