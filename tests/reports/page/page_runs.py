"""Runs made by hand for the tests of the comparison page: plain colours, known scores, names that
mean harm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark import imageio
from benchmark.api import Dataset, DatasetCard, MethodCard, Picture, Sample
from benchmark.cells import Cell, Outcome
from benchmark.noise import Noise
from benchmark.registry import DATASETS, PROTOCOLS
from benchmark.run_layout import output_file, output_picture, target_picture
from benchmark.source_digest import digest_source
from benchmark.store import Store
from benchmark.stored_cards import describe_protocol
from tests.reports.scores import score

SIZE = (80, 120)
"""Height and width of the pictures."""
HOSTILE_METHOD = """x</script><script>alert(1)</script><!--:a="b",c='d' & #%?/../../e"""
HOSTILE_SAMPLE = """写真 "1" <img src=x onerror=alert(2)> & #%?.png/../../../etc"""
REASON = "</script><b>no weights</b> & so on"
SAMPLES = ("one", "two", "three", HOSTILE_SAMPLE)
GREY = {"input": 0.2, "better": 0.6, HOSTILE_METHOD: 0.5, "truth:map=oracle": 0.7}
"""Method -> grey of its pictures; their targets are 0.7, so that the difference to `better` is 0.1
everywhere.
"""
TARGET = 0.7
PSNR = {"input": 20.0, "better": 22.0, HOSTILE_METHOD: 19.0, "truth:map=oracle": 30.0}
RULERS = {("quick", "psnr"): "1/1/-", ("quick", "mae"): "1/1/-"}


@DATASETS.register("page-ramps")
class Ramps(Dataset):
    """Samples whose true sigma rises from 0 at the left to 4 px at the right."""

    card = DatasetCard(
        title="Ramps",
        paper="",
        licence="none",
        source="made up",
        layout="none",
        generator="other scenes",
        notes="<i>&</i>",
    )

    def __init__(self, root: Path, *, maps: bool = True) -> None:
        self._maps = maps

    def ids(self) -> Sequence[str]:
        return SAMPLES

    def load(self, sample_id: str) -> Sample:
        ramp = np.tile(np.linspace(0, 4, SIZE[1], dtype=np.float32), (SIZE[0], 1))
        return Sample(
            id=sample_id, image=grey(GREY["input"]), blur_map=ramp if self._maps else None
        )

    def fingerprint(self, sample_id: str) -> str:
        return f"f-{sample_id}"


def grey(level: float) -> Picture:
    """Return a grey picture whose right third is black."""
    made = np.full((*SIZE, 3), level, np.float32)
    made[:, -SIZE[1] // 3 :] = 0
    return made


def cell(method: str, sample: str, sigma: float = 0.0, **changes: object) -> Cell:
    """Return a cell of the data set `page-ramps`."""
    plain = Cell(
        method,
        method,
        None,
        "{}",
        "1",
        None,
        "page-ramps",
        "page-ramps",
        sample,
        identify_sample(sample),
        "u8",
        Noise(sigma),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def identify_sample(sample: str) -> str:
    """Return the fingerprint of a sample of the data set `page-ramps` that runs store."""
    return f"f-{sample}+{digest_source(Ramps)}"


def keep(
    store: Store,
    run: int,
    what: Cell,
    level: float | None,
    psnr: float | None,
    reason: str | None = None,
    scene: str | None = None,
) -> None:
    """Put a cell that went well, with a picture of a grey level (None: not kept) and its target."""
    output = output_file(what) if level is not None else None
    if output is not None and level is not None:
        for path, tone in ((output_picture(output), level), (target_picture(what), TARGET)):
            (store.folder / path).parent.mkdir(parents=True, exist_ok=True)
            imageio.write(store.folder / path, grey(tone), 8)
    mae = None if psnr is None else 1 / psnr
    scores = {"quick": [score("psnr", psnr, reason), score("mae", mae, reason)]}
    store.put(run, what, Outcome("ok", scene=scene, output=output, scores=scores), RULERS)


def make(
    folder: Path,
    *,
    pictures: bool = True,
    methods: Sequence[str] = tuple(GREY),
    broken: bool = True,
    scenes: Sequence[str | None] = (None,) * len(SAMPLES),
) -> Store:
    """Return a run of methods on four pictures at two noise levels, each picture adding its number
    to the PSNR.

    Args:
        folder: of the run.
        pictures: whether they are kept.
        methods: of `GREY`.
        broken: add a method that skipped every picture.
        scenes: what each picture shows; None for one of its own.
    """
    store = Store(folder, create=True)
    store.put_cards({name: _card(name) for name in methods})
    store.put_cards({"page-ramps": Ramps.card})
    store.put_cards({"quick": describe_protocol(PROTOCOLS.get("quick"))})
    run = store.start_run({"git": {"commit": "a" * 40, "dirty": False}, "python": "3.11.7"})
    for sigma in (0.0, 2.0):
        for number, sample in enumerate(SAMPLES):
            for name in methods:
                # `better` gains 2 dB on average, most on the last picture, and loses on the first
                gain = (number - 1.5) * 2 if name == "better" else 0
                level = GREY[name] if pictures else None
                psnr = PSNR[name] + number - sigma + gain
                what = cell(name, sample, sigma)
                keep(store, run, what, level, psnr, scene=scenes[number])
            if broken:
                store.put(
                    run, cell("broken", sample, sigma), Outcome("skipped", reason=REASON), RULERS
                )
    return store


def _card(name: str) -> MethodCard:
    families = {"input": "baseline", "better": "classical", HOSTILE_METHOD: "learned"}
    trained_on = {"better": ("BSDS500", "DPD train"), HOSTILE_METHOD: None}
    return MethodCard(
        title=name,
        family=families.get(name, "classical"),  # type: ignore[arg-type]
        oracle="oracle" in name,
        trained_on=trained_on.get(name, ()),
        generators=("toy scenes",) if name == "better" else (),
        licence="MIT <licence>",
        notes=HOSTILE_METHOD if name == HOSTILE_METHOD else "plain",
    )
