"""Which commands get the weights that methods lack, in one line for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchmark.api import ImporterCard, MethodCard, UsageError
from benchmark.registry import IMPORTERS, METHODS
from benchmark.spec import parse_id

_ANY_ID = "ID"
"""Stands for the name of a method in a command."""


def find_methods_without_weights(
    cells: Iterable[tuple[str, str, str | None]], cards: Mapping[str, MethodCard]
) -> tuple[str, ...]:
    """Return the learned methods that were skipped everywhere and have no weights, in order.

    Args:
        cells: method, status, and hash of the weights or None, for each cell.
        cards: method -> card. Methods that are given the true blur map may need no weights.
    """
    skips_of_method: dict[str, list[bool]] = {}
    for method, status, weights in cells:
        skips_of_method.setdefault(method, []).append(status == "skipped" and weights is None)
    return tuple(
        method
        for method, skips in sorted(skips_of_method.items())
        if all(skips) and _has_network(cards.get(method))
    )


def _has_network(card: MethodCard | None) -> bool:
    return card is not None and card.family == "learned" and not card.oracle


def explain_missing_weights(methods: Iterable[str]) -> str:
    """Return the line beside a table that names methods without weights, by the command that gets
    them: `import` where others published some that fit, else `train`.

    Args:
        methods: canonical ids, of one method at least.
    """
    names_by_command: dict[str, list[str]] = {}
    for method in methods:
        names_by_command.setdefault(_find_command(parse_id(method).name), []).append(method)
    parts = [
        f"{', '.join(names)} (python -m benchmark {command})" if command else ", ".join(names)
        for command, names in names_by_command.items()
    ]
    legend = (
        f" {_ANY_ID} is the method."
        if any(_ANY_ID in command for command in names_by_command)
        else ""
    )
    return f"Without weights: {'; '.join(parts)}.{legend}"


def _find_command(method: str) -> str:
    """Return the command that gets weights of a registered method; empty for none."""
    importers = [name for name, card in _list_importers() if card.method == method]
    if f"{method}-official" in importers:
        return f"import {_ANY_ID}-official FILE"
    if importers:
        return f"import {importers[0]} FILE"
    try:
        is_trainable = getattr(METHODS.get(method), "is_trainable", False)
    except UsageError:  # a method of a plug-in that is not there now
        return ""
    return f"train {_ANY_ID} --data FOLDER" if is_trainable else ""


def _list_importers() -> Iterator[tuple[str, ImporterCard]]:
    """Yield the importers that load, with their cards."""
    for name in IMPORTERS.names():
        try:
            card = IMPORTERS.get(name).card
        except UsageError:
            continue
        yield name, card
