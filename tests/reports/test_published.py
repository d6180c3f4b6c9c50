"""Printed numbers: the files are as printed, doubts are noted, and a damaged file is refused by
name and line.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from benchmark.api import DataError
from benchmark.registry import METHODS
from benchmark.reports import published
from benchmark.reports.published import GKMNET_PAPER, PaperRow
from benchmark.spec import parse_id


def values(table: str, model: str, training: str = "clean", noise: float = 0) -> list[str]:
    """The PSNR, SSIM and LPIPS that the paper prints in a row."""
    found = {
        number.measure: number.value
        for number in published.read_printed_numbers()
        if (number.source, number.table, number.model) == (GKMNET_PAPER, table, model)
        and (number.training, number.noise) == (training, noise)
    }
    return [found[measure] for measure in ("psnr", "ssim", "lpips")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("1", "JNB", ""), "23.84 0.715 0.315"),
        (("1", "EBDB", ""), "23.45 0.683 0.336"),
        (("1", "DMENet", ""), "23.41 0.714 0.349"),
        (("1", "DPDNet-S"), "24.34 0.747 0.277"),
        (("1", "DPDNet-D"), "25.12 0.786 0.223"),
        (("1", "SRN"), "24.61 0.612 0.265"),
        (("1", "AttNet"), "25.22 0.781 0.219"),
        (("1", "GKMNet"), "25.47 0.789 0.219"),
        (("2", "DPDNet-D", "clean", 5), "24.07 0.665 0.441"),
        (("2", "GKMNet", "clean", 1), "25.43 0.784 0.225"),
        (("3", "SRN", "clean", 2.55), "23.50 0.591 0.276"),
        (("3", "GKMNet", "clean", 0), "25.72 0.811 0.211"),
        (("4", "SRAM*"), "21.98 0.724 0.251"),
        (("4", "GKMNet"), "25.46 0.789 0.219"),
        (("5", "S=3, R=2"), "25.53 0.773 0.201"),
    ],
)
def test_numbers_are_as_printed(row: tuple[str, ...], expected: str) -> None:
    assert values(*row) == expected.split()  # type: ignore[arg-type]


def test_every_table_of_the_paper_is_complete() -> None:
    """Rows x measures x noise levels, also of what cannot be read; a row that is dropped is seen
    here.
    """
    counts = dict.fromkeys("12345", 0)
    for number in published.read_printed_numbers():
        if number.source == GKMNET_PAPER:
            counts[number.table] += 1
    assert counts == {"1": 8 * 3, "2": 8 * 3 * 3, "3": 8 * 3 * 3, "4": 6 * 3, "5": 4 * 3}


def test_what_cannot_be_read_is_empty_and_says_so() -> None:
    all_empty = [number for number in published.read_printed_numbers() if not number.value]
    others = [number for number in all_empty if number.source != GKMNET_PAPER]
    assert [(number.model, number.measure) for number in others] == [
        *(("INIKNet", "psnr"), ("INIKNet", "ssim"), ("NAFNet", "psnr"))
    ]
    assert all("could not be read" in number.note for number in others)
    empty = [number for number in all_empty if number.source == GKMNET_PAPER]
    assert {(number.table, number.training) for number in empty} == {("2", "noise"), ("3", "noise")}
    assert all("illegible" in number.note for number in empty) and len(empty) == 2 * 36 - 2
    assert values("2", "SRN", "noise", 1) == ["24.61", "", "0.316"]


def test_doubtful_prints_have_notes() -> None:
    notes = {
        (n.table, n.model, n.measure): n.note
        for n in published.read_printed_numbers()
        if n.source == GKMNET_PAPER and n.training == "clean"
    }
    assert "misprint" in notes["1", "SRN", "ssim"]
    assert "25.46" in notes["1", "GKMNet", "psnr"] and "25.47" in notes["4", "GKMNet", "psnr"]
    source = next(
        source for source in published.read_published_sources() if source.source == GKMNET_PAPER
    )
    assert "without waiting for the GPU" in source.note and "test pictures" in source.note


def test_later_sources_are_there_with_how_they_measured() -> None:
    found = {
        (n.source, n.model, n.dataset, n.part, n.measure, n.protocol): n.value
        for n in published.read_printed_numbers()
        if n.source != GKMNET_PAPER
    }
    squeeze = "LPIPS with the backbone squeeze"
    assert found["ViTDeblur README", "GKMNet", "realdof", "", "lpips", squeeze] == "0.464"
    assert found["ViTDeblur README", "Input", "dpd", "", "psnr", ""] == "23.890"
    assert found["GRL README", "Restormer", "dpd", "outdoor", "ssim", ""] == "0.743"
    assert found["DRBNet issue 7", "DRBNet", "dpd", "", "psnr", "8-bit"] == "24.94"
    border = "16 px of the border left out"
    assert found["uhdd (2026)", "Restormer", "dpd", "", "psnr", border] == "26.04"
    lakdnet = "LaKDNet (trained on LFDOF)"
    assert found["LaKDNet README", lakdnet, "lfdof", "", "psnr", ""] == "31.87"


def test_every_model_with_methods_is_printed_or_a_variant_of_one_that_is() -> None:
    printed = {number.model for number in published.read_printed_numbers()}
    models = published.read_printed_models()
    assert {model.model for model in models} - printed == {"KPAC (dual-pixel)"}
    registered = {parse_id(name).name for model in models for name in model.methods.split()}
    planned = {"restormer", "ifan", "drbnet", "kpac", "lakdnet"}
    expected = planned | {f"{name}-d" for name in planned} | {"nrknet", "iniknet", "nafnet"}
    assert registered - set(METHODS.names()) <= expected


@pytest.mark.parametrize(
    ("method", "title", "model"),
    [
        ("gkmnet.sim", "GKMNet", "GKMNet"),
        ("gkmnet.sim:scales=1", "GKMNet", None),
        ("gkmnet.sim-noise", "GKMNet", None),
        ("restormer-d.official", "Restormer", "Restormer (dual-pixel)"),
        ("lakdnet.official", "LaKDNet", "LaKDNet (17.7 M)"),
        ("lakdnet.official:size=l", "LaKDNet", "LaKDNet (38.4 M)"),
        ("lakdnet.lfdof-dpd", "LaKDNet", "LaKDNet (trained on LFDOF and DPD)"),
        ("SFNet", "Pictures of others", "SFNet"),
        ("theirs", "sfnet", "SFNet"),
        ("theirs", "FocalNet", None),
    ],
)
def test_a_method_stands_for_one_printed_model(method: str, title: str, model: str | None) -> None:
    models = published.read_printed_models()
    printed = ["GKMNet", "Restormer", "Restormer (dual-pixel)", "SFNet"]
    assert published.find_printed_model(method, title, models, printed) == model


def test_every_row_of_the_paper_has_methods_and_every_method_is_registered() -> None:
    rows = published.read_paper_rows()
    printed = {
        (n.table, n.model, n.training)
        for n in published.read_printed_numbers()
        if n.source == GKMNET_PAPER
    }
    assert {(row.table, row.model, row.training) for row in rows if row.model} == printed
    for row in rows:
        assert all(parse_id(method).name in METHODS.names() for method in row.methods.split())


@pytest.mark.parametrize(
    ("methods", "method", "stands"),
    [
        ("gkmnet gkmnet.sim", "gkmnet.sim", True),
        ("gkmnet gkmnet.sim", "gkmnet", True),
        ("gkmnet gkmnet.sim", "gkmnet.sim-noise", False),
        ("gkmnet.sim", "gkmnet.sim:scales=1", False),
        ("gkmnet.*:scales=1", "gkmnet.any:scales=1", True),
        ("gkmnet.*:scales=1", "gkmnet:scales=1", True),
        ("gkmnet.*:scales=1", "gkmnet.sim", False),
        ("gkmnet.*:scales=1", "gkmnet.any:scales=1,rounds=3", False),
        ("gkmnet.*:scales=1", "gkmnet.any-noise:scales=1", False),
        ("gkmnet.*:scales=1,rounds=3", "gkmnet.a:rounds=3,scales=1", True),
        ("jnb", "jnb:psf=disk", False),
    ],
)
def test_a_row_means_exactly_the_methods_it_names(methods: str, method: str, stands: bool) -> None:
    assert PaperRow(table="4", model="x", training="clean", methods=methods).means(method) is stands


def test_a_row_counts_as_a_network_whatever_its_weights() -> None:
    row = PaperRow(table="4", model="x", training="clean", methods="gkmnet.sim gkmnet.*:scales=1")
    assert (
        row.counts_as("gkmnet")
        and row.counts_as("gkmnet.other:scales=1")
        and not row.counts_as("gkmnet:scales=2")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the published files, to be damaged."""
    return Path(shutil.copytree(published.PUBLISHED_FOLDER, tmp_path / "published"))


def damage(path: Path, **changes: str) -> None:
    """Change cells of the first line."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    lines[0] |= changes
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": "much"}, "line 2: .*could not convert"),
        ({"value": "0.784"}, r"line 2: .*psnr lies in \[5, 60\]"),
        ({"value": "nan"}, r"line 2: .*psnr lies in \[5, 60\]"),
        ({"value": "", "note": ""}, "line 2: .*cannot be read needs a note"),
        ({"measure": "niqe"}, "line 2: measure"),
        ({"training": "dirty"}, "line 2: training"),
        ({"noise": "-1"}, "line 2: noise"),
        ({"table": "6"}, "line 2: table"),
        ({"model": ""}, "line 2: model"),
        ({"source": "Hearsay"}, "unknown source 'Hearsay'; add it to .*sources.csv"),
        ({"extra": "1"}, "line 2: extra: .*expected the columns source, table, model"),
    ],
)
def test_a_damaged_number_is_refused(folder: Path, changes: dict[str, str], says: str) -> None:
    damage(folder / "quality.csv", **changes)
    with pytest.raises(DataError, match=rf"quality\.csv.*{says}"):
        published.read_printed_numbers(folder)


def test_files_that_are_no_such_files_are_refused(folder: Path) -> None:
    for name, read in (
        ("quality", published.read_printed_numbers),
        ("sources", published.read_published_sources),
        ("rows", published.read_paper_rows),
        ("models", published.read_printed_models),
    ):
        path = folder / f"{name}.csv"
        text = path.read_text(encoding="utf-8")
        path.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
        with pytest.raises(DataError, match=f"{name}.csv: .* twice"):
            read(folder)
        path.write_text(text.splitlines()[0] + "\na\n", encoding="utf-8")
        with pytest.raises(DataError, match=f"{name}.csv, line 2: .*expected the columns"):
            read(folder)
        path.write_bytes(text.encode() + b"\xff\xfe")
        with pytest.raises(DataError, match="UTF-8"):
            read(folder)
        path.unlink()
        with pytest.raises(DataError, match="part of the checkout"):
            read(folder)
        path.write_text(text, encoding="utf-8")
