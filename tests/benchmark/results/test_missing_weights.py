"""Which methods lack weights, and what gets them."""

from __future__ import annotations

import pytest

from benchmark.api import Importer, ImporterCard, MethodCard
from benchmark.registry import IMPORTERS
from benchmark.results.missing_weights import explain_missing_weights, find_methods_without_weights

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


def test_an_importer_of_another_name_is_named() -> None:
    class Theirs(Importer):
        card = ImporterCard(title="Theirs", method="srn", tag="x", source="a test")

        def read(self, path):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    with IMPORTERS.temporarily({"theirs": Theirs}):
        line = explain_missing_weights(["srn"])
    assert line.startswith("Without weights: srn (python -m benchmark import theirs FILE).")
