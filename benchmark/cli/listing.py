"""What `list` and `datasets` print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from benchmark import checkpoints
from benchmark.api import DataError, UsageError
from benchmark.apply import uses_network
from benchmark.cli.help import name_program
from benchmark.registry import (
    DATASETS,
    IMPORTERS,
    METHODS,
    METRICS,
    PROTOCOLS,
    Registry,
    create,
    describe_parameters,
    list_checkpoint_files,
)
from benchmark.results.missing_weights import find_weights_command

_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNCOMMITTED = "with changes"
"""What a card says of a working tree that differed from its commit."""

# Tables of what is registered
# --------------------------------------------------------------------------------------------------


def make_topic_table(topic: str) -> Table:
    """Return what is registered under a topic ("methods", "datasets", ...), or what "checkpoints"
    are found.
    """
    if topic == "checkpoints":
        return _make_checkpoint_table()
    layout = _TABLE_LAYOUTS[topic]
    registry = layout.registry
    table = _make_table("id", *layout.columns, "from")
    problems = registry.problems()
    for name in registry.names():
        origin = registry.origin(name)
        if name in problems:
            blanks = [""] * (len(layout.columns) - 1)
            table.add_row(escape(name), f"[red]{escape(problems[name])}[/]", *blanks, origin)
        else:
            facts = layout.describe(registry.get(name))
            table.add_row(*map(escape, (name, *facts, origin)))
    if topic == "importers":
        _add_importer_gaps(table)
    return table


def _add_importer_gaps(table: Table) -> None:
    """Say below the importers for which methods there can be none."""
    for name in METHODS.names():
        if name not in METHODS.problems():
            gap = getattr(METHODS.get(name), "importer_gap", "")
            if gap:
                table.add_row(f"none for {escape(name)}", escape(gap))


def _make_table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _make_checkpoint_table() -> Table:
    table = _make_table(
        "id", "parameters", "trained on", "trained at", "generator", "expects", "size", "file"
    )
    problems = METHODS.problems()
    catalogue = checkpoints.CheckpointCatalogue.of_user()
    for name in METHODS.names():
        if name in problems:
            continue
        for tag, path in list_checkpoint_files(name, catalogue).items():
            table.add_row(f"{name}.{tag}", *_describe_checkpoint(path), escape(str(path)))
    if not table.row_count:
        folders = (
            f"searched: {checkpoints.user_folder()}; {checkpoints.VARIABLE} names another folder"
        )
        table.add_row("none", "", "", "", "", "", "", escape(folders))
    return table


def _describe_checkpoint(path: Path) -> Sequence[str]:
    """Return parameters, training data, the commit that trained, generators of the data, how
    pictures are expected, and size; a file that cannot be read says why instead.
    """
    try:
        card = checkpoints.read_card(path)
    except DataError as error:
        return f"[red]{escape(str(error))}[/]", "", "", "", "", ""
    parameters = "\n".join(f"{key}={value}" for key, value in card.parameters.items())
    megabytes = path.stat().st_size / 1e6
    generators = ", ".join(checkpoints.list_generators(card))
    training_data = _describe_training(card)
    facts = (
        parameters, training_data, _describe_commit(card), generators, _describe_expectation(card)
    )  # fmt: skip
    return [*map(escape, facts), f"{megabytes:.2f} MB"]


def _describe_training(card: Any) -> str:
    if card.trained_on is None:
        return "unknown"
    return ", ".join(card.trained_on) or "nothing"


def _describe_commit(card: Any) -> str:
    """Return at which commits the suite trained, and whether that can be done again."""
    text = str(card.facts.get("commit", ""))
    commits = ", ".join(commit[:8] for commit in _COMMIT.findall(text))
    if _UNCOMMITTED in text:
        return f"{commits} and code that was not committed: cannot be trained again exactly"
    return commits


def _describe_expectation(card: Any) -> str:
    return card.expects.describe() if card.expects else ""


def _describe_method(kind: Any) -> Sequence[str]:
    card = kind.card
    return (
        card.title,
        card.family,
        card.inputs,
        _describe_training(card),
        ", ".join(card.generators),
        _list_parameters(kind),
        card.paper,
    )


def _describe_dataset(kind: Any) -> Sequence[str]:
    card = kind.card
    target = "yes" if card.has_target else "no"
    parameters = _list_parameters(kind)
    return card.title, str(card.count or "any"), target, card.generator, parameters, card.licence


def _describe_protocol(protocol: Any) -> Sequence[str]:
    tracks = ", ".join(track.id for track in protocol.tracks)
    measures = ", ".join(measure.key for measure in protocol.measures)
    return protocol.title, tracks, measures, protocol.source


def _describe_metric(kind: Any) -> Sequence[str]:
    card = kind.card
    better = "higher" if card.higher_is_better else "lower"
    if card.ideal is not None:
        better = f"closer to {card.ideal:g}"
    if card.warning:
        better = "neither"
    reason = kind().unavailable()
    state = f"not available: {reason}" if reason else "available"
    return card.title, card.unit, better, _list_parameters(kind), state


def _describe_importer(kind: Any) -> Sequence[str]:
    card = kind.card
    checkpoint = f"{card.method}.{card.tag}"
    training_data = _describe_training(card)
    expectation = _describe_expectation(card)
    return card.title, checkpoint, training_data, expectation, card.licence, card.source


def _list_parameters(kind: Any) -> str:
    return "\n".join(f"{name}: {text}" for name, text in describe_parameters(kind).items())


class _TableLayout(NamedTuple):
    """How a registry is listed: the columns between id and origin, and what fills them."""

    registry: Registry[Any]
    columns: tuple[str, ...]
    describe: Callable[[Any], Sequence[str]]


_TABLE_LAYOUTS = {
    "methods": _TableLayout(
        METHODS,
        ("title", "family", "input", "trained on", "generator", "parameters", "paper"),
        _describe_method,
    ),
    "datasets": _TableLayout(
        DATASETS,
        ("title", "pictures", "target", "generator", "parameters", "licence"),
        _describe_dataset,
    ),
    "protocols": _TableLayout(
        PROTOCOLS, ("title", "tracks", "measures", "source"), _describe_protocol
    ),
    "metrics": _TableLayout(
        METRICS, ("title", "unit", "better", "parameters", "here"), _describe_metric
    ),
    "importers": _TableLayout(
        IMPORTERS,
        ("title", "makes", "trained on", "expects", "licence", "source"),
        _describe_importer,
    ),
}


# Weights
# --------------------------------------------------------------------------------------------------


def describe_weights() -> Iterator[str]:
    """Yield, for each method that learned, which weights are here, or the command that gets some
    and where the authors' lie.
    """
    catalogue = checkpoints.CheckpointCatalogue.of_user()
    problems = METHODS.problems()
    for name in METHODS.names():
        if name not in problems and uses_network(METHODS.get(name).card):
            tags = list_checkpoint_files(name, catalogue)
            yield _list_tags(name, tags) if tags else _explain_absence(name)


def _list_tags(name: str, tags: Iterable[str]) -> str:
    return f"[green]{escape(name)}[/]: {escape(', '.join(tags))}"


def _explain_absence(name: str) -> str:
    command = find_weights_command(name)
    advice = f" - {name_program()} {command}" if command else ""
    line = f"[yellow]{escape(name)}[/]: no weights{escape(advice)}"
    importer = command.split()[1] if command.startswith("import ") else ""
    if importer:
        line += f"\n{escape(_indent_lines(f'FILE: {IMPORTERS.get(importer).card.source}'))}"
    return line


# Data sets
# --------------------------------------------------------------------------------------------------


def describe_datasets(root: Path) -> Iterator[str]:
    """Yield, for each data set, what is found under `root`, or what is missing and the expected
    tree.
    """
    problems = DATASETS.problems()
    for name, reason in problems.items():
        yield f"[red]{escape(f'{name}: {reason}')}[/]"
    for name in DATASETS.names():
        if name not in problems:
            yield _look_for_dataset(name, root)


def _look_for_dataset(name: str, root: Path) -> str:
    card = DATASETS.get(name).card
    try:
        count = len(create(DATASETS, name, root=root)[0].ids())
    except (DataError, UsageError) as error:
        reason = str(error).splitlines()[0]
        instructions = _indent_lines(f"{card.source}\n{card.layout}".strip())
        return f"[yellow]{name}[/]: not found - {escape(reason)}\n{escape(instructions)}\n"
    total = f" of {card.count}" if card.count and card.count != count else ""
    return f"[green]{name}[/]: {count}{total} pictures - {escape(card.title)}\n"


def _indent_lines(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
