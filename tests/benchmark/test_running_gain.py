"""The gain that a run prints of a method while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.cells import Cell, Outcome, Score
from benchmark.noise import Noise
from benchmark.registry import PROTOCOLS
from benchmark.running_gain import RunningGain
from benchmark.store import Store

CANONICAL = PROTOCOLS.get("canonical")
RULERS = {("canonical", measure.key): "ruler" for measure in CANONICAL.measures}


def make_cell(method: str, sample: str, noise: Noise | None = None) -> Cell:
    level = noise or Noise(0.0)
    return Cell(method, method, None, "{}", "1", None, "toy", "toy", sample, sample, "u16", level)


def make_outcome(value: float) -> Outcome:
    return Outcome("ok", scores={"canonical": [Score("psnr", value)]})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run", create=True) as store:
        yield store


def test_the_gain_is_the_mean_over_pictures_that_the_input_has_too(store: Store) -> None:
    gains = RunningGain([CANONICAL], store)
    for sample, value in (("a", 22.0), ("b", 25.0), ("c", 30.0)):
        gains.add(make_cell("sharp", sample), make_outcome(value))
    assert gains.describe(make_cell("sharp", "c")) == "sharp"
    gains.add(make_cell("input", "a"), make_outcome(20.0))  # in any order
    gains.add(make_cell("input", "b"), make_outcome(24.0))
    text = gains.describe(make_cell("sharp", "c"))
    assert text == "sharp +1.50 dB PSNR over the input (2)"
    assert gains.describe(make_cell("input", "b")) == "input"


def test_scores_of_the_input_that_are_stored_count(store: Store) -> None:
    number = store.start_run({})
    store.put(number, make_cell("input", "a"), make_outcome(20.0), RULERS, asked_by=number)
    gains = RunningGain([CANONICAL], store)
    gains.add(make_cell("sharp", "a"), make_outcome(19.0))
    assert gains.describe(make_cell("sharp", "a")) == "sharp -1.00 dB PSNR over the input (1)"


def test_levels_of_noise_are_not_mixed_and_views_meet_their_input(store: Store) -> None:
    gains = RunningGain([CANONICAL], store)
    for sigma, value in ((0.0, 20.0), (1.0, 18.0)):
        gains.add(make_cell("input", "a", Noise(sigma)), make_outcome(value))
    of_views = Noise(1.0, on_views="same")
    gains.add(make_cell("dual", "a", of_views), make_outcome(21.0))
    gains.add(make_cell("dual", "a"), make_outcome(30.0))
    text = gains.describe(make_cell("dual", "a", of_views))
    assert text == "dual at noise 1 +3.00 dB PSNR over the input (1)"


def test_what_is_no_quality_gets_no_gain(store: Store) -> None:
    gains = RunningGain([PROTOCOLS.get("no-reference")], store)
    assert gains.describe(make_cell("sharp", "a")) == "sharp"
