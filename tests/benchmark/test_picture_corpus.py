"""Every kind of picture file is read exactly or refused by name: never wrong, never half, never
with a traceback, never for ever.
"""

import re
import resource
from pathlib import Path

import numpy as np
import pytest

from benchmark import imageio
from tests.benchmark import picture_judge
from tests.benchmark.hostile_pictures import SPECIAL_FILES, list_hostile_files
from tests.benchmark.picture_corpus import PNG_COLOUR_CHUNKS, PictureFile, list_corpus
from tests.benchmark.picture_judge import Outcome

CORPUS = list_corpus()
HOSTILE_FILES = list(list_hostile_files())
FILES_THAT_ARE_READ = [file for file in (*CORPUS, *HOSTILE_FILES) if file.pixels is not None]
ROOT = Path(__file__).parents[2]

MEMORY_FOR_A_FILE = 512
"""MiB that reading a file of the corpora may take at its peak: each of them is small."""


def expect(file: PictureFile) -> Outcome:
    return Outcome.REFUSED if file.pixels is None else Outcome.RIGHT


def test_the_corpus_has_enough_of_both() -> None:
    counts = picture_judge.count_expectations()
    assert min(counts[Outcome.RIGHT], counts[Outcome.REFUSED]) >= 300


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_a_file_is_read_exactly_or_refused(
    file: PictureFile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A wrong suffix for most, which must not matter.
    verdict = picture_judge.judge_file(file, tmp_path / "picture.png")
    assert verdict.outcome == expect(file), verdict.reason
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("file", HOSTILE_FILES, ids=lambda file: file.name)
def test_a_hostile_file_misleads_nobody(file: PictureFile, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdict = picture_judge.judge_file(file, tmp_path / "picture.png")
    assert verdict.outcome == expect(file), verdict.reason
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 1024 < MEMORY_FOR_A_FILE


@pytest.mark.parametrize("name", SPECIAL_FILES)
def test_what_is_no_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    verdict = picture_judge.judge_special_file(name, tmp_path / "picture.png")
    assert verdict.outcome == Outcome.REFUSED, verdict.reason


# The table of decoders
# --------------------------------------------------------------------------------------------------


def test_every_row_of_the_table_is_tested_in_all_its_depths() -> None:
    depths: dict[imageio.DecoderRow, set[int]] = {}
    for file in FILES_THAT_ARE_READ:
        depths.setdefault(picture_judge.find_decoder(file), set()).add(file.depth)
    assert depths == {row: {max(8, bits) for bits in row.bits} for row in imageio.list_decoders()}


@pytest.mark.parametrize("file", FILES_THAT_ARE_READ, ids=lambda file: file.name)
def test_a_second_library_reads_the_same(file: PictureFile) -> None:
    row = picture_judge.find_decoder(file)
    levels = picture_judge.decode_by_second_library(row.second_library, file.content)
    np.testing.assert_array_equal(levels, file.pixels)


def test_the_table_of_the_documents_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    for line in picture_judge.format_decoders():
        assert line in text


def test_the_counts_of_the_documents_are_those_of_the_corpora() -> None:
    """What comes out is what should, says the test of each file."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    counts = picture_judge.count_expectations()
    assert picture_judge.describe_counts(counts) in re.sub(r"\s+", " ", text)


# What a viewer is told
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PNG_COLOUR_CHUNKS)
def test_chunks_that_say_other_colours_are_told(name: str, tmp_path: Path) -> None:
    (file,) = (file for file in CORPUS if file.name == f"png with {name}")
    (tmp_path / "a.png").write_bytes(file.content)
    colour_space = imageio.read_display_tags(tmp_path / "a.png").colour_space
    is_srgb = name in ("gamma 1/2.2", "sRGB", "code points of sRGB")
    assert (colour_space == imageio.SRGB) == is_srgb


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg", "tiff"])
@pytest.mark.parametrize("profile", ["sRGB", "swapped"])
def test_a_profile_counts_by_its_colours_not_by_its_name(
    kind: str, profile: str, tmp_path: Path
) -> None:
    (file,) = (file for file in CORPUS if file.name == f"{kind} with a profile, {profile}")
    (tmp_path / "a").write_bytes(file.content)
    colour_space = imageio.read_display_tags(tmp_path / "a").colour_space
    assert (colour_space == imageio.SRGB) == (profile == "sRGB")
    assert colour_space.isprintable() and len(colour_space) < 100
