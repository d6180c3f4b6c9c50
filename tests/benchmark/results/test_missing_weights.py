"""Which methods lack weights, and what gets them."""

from __future__ import annotations

import pytest

from benchmark.api import Importer, ImporterCard, MethodCard
from benchmark.registry import IMPORTERS
from benchmark.results.missing_weights import (
    EmptyRow,
    explain_missing_weights,
    find_methods_without_weights,
    find_row_command,
)

CARDS = {
    "network": MethodCard(title="Network", family="learned"),
    "classic": MethodCard(title="Classic", family="classical"),
    "oracle": MethodCard(title="Oracle", family="learned", oracle=True),
}


@pytest.mark.parametrize(
    ("method", "cells", "lacks"),
    [
        ("network", [("skipped", None)], True),
        ("network", [("skipped", None), ("skipped", None)], True),
        ("network", [("skipped", None), ("ok", None)], False),
        ("network", [("skipped", "abc")], False),
        ("network", [("failed", None)], False),
        ("classic", [("skipped", None)], False),
        ("oracle", [("skipped", None)], False),
        ("no card", [("skipped", None)], False),
    ],
)
def test_a_network_that_was_skipped_everywhere_lacks_weights(
    method: str, cells: list[tuple[str, str | None]], lacks: bool
) -> None:
    rows = [(method, status, weights) for status, weights in cells]
    assert find_methods_without_weights(rows, CARDS) == ((method,) if lacks else ())


def test_commands_are_said_once_for_all_methods_that_they_get_weights_for() -> None:
    line = explain_missing_weights(["dmenet", "dpdnet-d:tile=0", "srn", "attnet.mine", "gone"])
    assert line == (
        "Without weights: dmenet, dpdnet-d:tile=0 (python -m benchmark import ID-official FILE); "
        "srn, attnet.mine (python -m benchmark train ID --data FOLDER); gone. ID is the method."
    )
    assert explain_missing_weights(["gone"]) == "Without weights: gone."


def test_an_ablation_is_trained_under_its_own_name() -> None:
    line = explain_missing_weights(["gkmnet.sim:rounds=2,shared=false", "gkmnet.sim:tile=0"])
    assert "(python -m benchmark train gkmnet:rounds=2,shared=false --data FOLDER)" in line
    assert "gkmnet.sim:tile=0 (python -m benchmark import ID-official FILE)" in line


def empty_row(*patterns: str, amount: str = "", levels: tuple[float, ...] = (0,)) -> EmptyRow:
    return EmptyRow(patterns, lambda label: label.startswith("gkmnet."), "set", levels, amount)


@pytest.mark.parametrize(
    ("row", "command"),
    [
        (empty_row("jnb"), "run --methods jnb --dataset set"),
        (empty_row("jnb", levels=(1, 2.55)), "run --methods jnb --dataset set --noise 1,2.55"),
        (
            empty_row("gkmnet.*", amount="26 megapixels"),
            "run --methods gkmnet.sim-26-0 --dataset set",
        ),
        (
            empty_row("srn.*", amount="26 megapixels"),
            "train srn --megapixels 26 --tag sim-26-0 --seed 0 --precision bf16 --data "
            "BSDS500/train",
        ),
        (empty_row("srn.*-noise"), "train srn --noise 2,5 --data FOLDER"),
        (
            empty_row("gkmnet.*:rounds=7", amount="9 megapixels"),
            "train gkmnet:rounds=7 --megapixels 9 --tag sim-9-rounds-7 --data FOLDER",
        ),
        (
            empty_row("dmenet.*"),
            "train dmenet --megapixels 26 --tag sim-26 --seed 0 --precision bf16 --data "
            "BSDS500/train --validation BSDS500/val",
        ),
    ],
)
def test_an_empty_row_names_the_command_that_fills_it(row: EmptyRow, command: str) -> None:
    assert find_row_command(row) == f"python -m benchmark {command}"


def test_an_importer_of_another_name_is_named() -> None:
    class Theirs(Importer):
        card = ImporterCard(title="Theirs", method="srn", tag="x", source="a test")

        def read(self, path):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    with IMPORTERS.temporarily({"theirs": Theirs}):
        line = explain_missing_weights(["srn"])
    assert line.startswith("Without weights: srn (python -m benchmark import theirs FILE).")
