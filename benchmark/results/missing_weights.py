"""Which commands get the weights that methods lack, and fill the rows of tables that are empty."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from benchmark.api import BenchmarkError, ImporterCard, MethodCard, UsageError
from benchmark.checkpoints import NOISE_TRAINED, read_training_commands
from benchmark.registry import IMPORTERS, METHODS, create, list_checkpoints
from benchmark.results.notes import training_amount
from benchmark.spec import Spec, parse_id

_ANY_ID = "ID"
"""Stands for the name of a method in a command."""
_NOISE_OF_PAPERS = "2,5"
"""What the noise-trained weights that ship learned from: `train --noise`."""


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
        names_by_command.setdefault(_find_command(method), []).append(method)
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


def find_weights_command(method: str) -> str:
    """Return the words after `python -m benchmark` that get weights of a registered method, given
    its name; empty for none.
    """
    return _find_command(method).replace(_ANY_ID, method)


def _find_command(label: str) -> str:
    """Return the command that gets weights of a registered method, given its id; empty for none.

    The network of an ablation is not that of its bare name, so its command names it.
    """
    method = parse_id(label).name
    network = _name_network(label)
    if network != method:
        return f"train {network} --data FOLDER" if _is_trainable(method) else ""
    importers = [name for name, card in _list_importers() if card.method == method]
    if f"{method}-official" in importers:
        return f"import {_ANY_ID}-official FILE"
    if importers:
        return f"import {importers[0]} FILE"
    return f"train {_ANY_ID} --data FOLDER" if _is_trainable(method) else ""


def _is_trainable(method: str) -> bool:
    try:
        return bool(getattr(METHODS.get(method), "is_trainable", False))
    except UsageError:  # a method of a plug-in that is not there now
        return False


def _name_network(label: str) -> str:
    """Return what `train` calls the network of a method: its name, and what parameters make it
    another one.
    """
    spec = parse_id(label)
    try:
        structure = METHODS.get(spec.name).fixed(None)
    except (UsageError, AttributeError):
        return spec.name
    parameters = {key: value for key, value in spec.parameters.items() if key in structure}
    return str(Spec(spec.name, None, parameters))


def _list_importers() -> Iterator[tuple[str, ImporterCard]]:
    """Yield the importers that load, with their cards."""
    for name in IMPORTERS.names():
        try:
            card = IMPORTERS.get(name).card
        except UsageError:
            continue
        yield name, card


# Rows of tables
# --------------------------------------------------------------------------------------------------


class EmptyRow(NamedTuple):
    """A row of a table in which nothing stands.

    Attributes:
        patterns: ids of methods that stand for it; the tag `*` stands for any.
        means: whether a method stands for it, given its id.
        dataset: id of the data set that the table is measured on; empty for none.
        levels: noise levels of the table.
        amount: how much its weights must have been trained on ("26 megapixels"); empty for any.
    """

    patterns: tuple[str, ...]
    means: Callable[[str], bool]
    dataset: str
    levels: tuple[float, ...]
    amount: str = ""


def find_row_command(row: EmptyRow) -> str:
    """Return the command that fills a row: `run` where its weights are here or it needs none, else
    the one that makes or brings them; empty for none.
    """
    pattern = parse_id(row.patterns[0])
    label = _find_runnable(row)
    if label:
        levels = ",".join(f"{level:g}" for level in row.levels)
        noise = f" --noise {levels}" if any(row.levels) else ""
        dataset = shlex.quote(row.dataset or "DATASET")
        return f"python -m benchmark run --methods {label} --dataset {dataset}{noise}"
    wants_noise = (pattern.checkpoint or "").endswith(NOISE_TRAINED)
    network = str(Spec(pattern.name, None, pattern.parameters))
    if _is_trainable(pattern.name):
        return _find_training_command(network, wants_noise, row.amount)
    command = _find_command(network).replace(_ANY_ID, pattern.name)
    return f"python -m benchmark {command}" if command else ""


def _find_runnable(row: EmptyRow) -> str:
    """Return the id of a method that stands for a row and can be run; empty for none."""
    for text in row.patterns:
        pattern = parse_id(text)
        if pattern.checkpoint is None:
            return text
        try:
            tags = list_checkpoints(METHODS.get(pattern.name), pattern.name)
        except UsageError:
            continue
        for tag in tags:
            label, card = _describe_weights(pattern.name, tag)
            if row.means(label) and row.amount in ("", training_amount(card)):
                return label
    return ""


def _describe_weights(method: str, tag: str) -> tuple[str, MethodCard | None]:
    """Return the id and the card of a method with these weights; no card where they cannot be
    read.
    """
    try:
        built, resolved_id = create(METHODS, str(Spec(method, tag)))
    except BenchmarkError:
        return method, None
    return resolved_id.label, built.card


def _find_training_command(network: str, wants_noise: bool, amount: str) -> str:
    """Return the command that trains a network: as weights were made that were measured and do not
    ship, else as any.
    """
    megapixels = amount.partition(" ")[0] if amount.endswith("megapixels") else ""
    for checkpoint, command in read_training_commands().items():
        words = command.split()
        is_noisy = checkpoint.endswith(NOISE_TRAINED)
        has_amount = not megapixels or f"--megapixels {megapixels} " in command
        if network in words and is_noisy == wants_noise and has_amount:
            return command
    budget = f" --megapixels {megapixels}" if megapixels else ""
    noise = f" --noise {_NOISE_OF_PAPERS}" if wants_noise else ""
    tag = _suggest_tag(network, wants_noise, megapixels)
    return f"python -m benchmark train {network}{budget}{noise}{tag} --data FOLDER"


def _suggest_tag(network: str, wants_noise: bool, megapixels: str) -> str:
    """Return a tag that hides no other weights: that of an ablation says what it is."""
    parameters = parse_id(network).parameters
    if not parameters and not megapixels:
        return ""
    words = ["sim", megapixels, *(f"{key}-{value}" for key, value in parameters.items())]
    return f" --tag {'-'.join(filter(None, words))}{NOISE_TRAINED if wants_noise else ''}"
