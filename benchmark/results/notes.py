"""What a reader must know beside numbers: notes with a kind, in words that all reports share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark import provenance
from benchmark.api import MethodCard
from benchmark.noise import Noise
from benchmark.version import __version__

NoteKind = Literal[
    "data",
    "means",
    "marks",
    "budgets",
    "training",
    "origin",
    "pictures",
    "unscored",
    "symbols",
    "failure",
    "scenes",
    "joint",
    "study",
]
"""What a note is about: `data`: pictures and their fingerprint; `means` and `marks`: how to read
them; `budgets` and `training`: what weights learned from; `origin`: protocol, runs, commits;
`pictures`: those left out; `unscored`: why a measure has no number; `symbols` in titles; `failure`:
of a method on pictures; `scenes` that pictures share; `joint`: methods that are compared as one;
`study`: what else a study must say.
"""
_SYMBOLS = (
    ("†", "oracle", "given the true blur map: an upper bound, not a competitor"),
    ("‡", "noise_aware", "given the noise level, which the others are not"),
)


@dataclass(frozen=True, slots=True)
class Note:
    """One line beside a table or under a figure.

    Attributes:
        kind: what it is about.
        text: for people.
        method: id, where it is about one.
        levels: noise levels, where it is about some.
    """

    kind: NoteKind
    text: str
    method: str | None = None
    levels: tuple[Noise, ...] = ()


def title_symbols(card: MethodCard | None) -> str:
    """Return the symbols of what a method was given beyond the picture; `explain_symbols` says what
    they mean.
    """
    return "".join(symbol for symbol, fact, _ in _SYMBOLS if getattr(card, fact, False))


def explain_symbols(titles: Iterable[str]) -> list[str]:
    """Return what the symbols in titles of methods mean."""
    text = "".join(titles)
    return [f"{symbol} {meaning}" for symbol, _, meaning in _SYMBOLS if symbol in text]


def training_source(card: MethodCard | None) -> str:
    """Return what a method's weights or constants were learned from, and how long; empty for
    nothing.
    """
    if card is None:
        return ""
    source = "unknown data" if card.trained_on is None else ", ".join(card.trained_on)
    return f"{source} ({card.budget})" if source and card.budget else source


def training_lines(sources: Mapping[str, str]) -> Iterator[str]:
    """Yield what weights or constants were learned from, a line for each source.

    Args:
        sources: method -> as `training_source` says it.
    """
    methods: dict[str, list[str]] = {}
    for method, source in sources.items():
        methods.setdefault(source, []).append(method)
    for source in sorted(filter(None, methods)):
        yield f"Weights or constants from {source}: {', '.join(methods[source])}."


def count_noun(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: "1 picture", "2 pictures"."""
    if number == 1:
        return f"1 {singular}"
    return f"{number} {plural or singular + 's'}"


def name_commit(state: Mapping[str, Any]) -> str:
    """Return a state of the suite's repository, as `provenance.read_git_state` gives it."""
    changes = " (with uncommitted changes)" if state["dirty"] else ""
    return f"{state['commit'][:12]}{changes}"


def name_suite(version: str, state: Mapping[str, Any] | None) -> str:
    """Return a version of the suite with its commit, where that is known."""
    commit = f" at commit {name_commit(state)}" if state else ""
    return f"suite {version}{commit}"


def this_suite() -> str:
    """Return the suite that is running, as `name_suite` does."""
    return name_suite(__version__, provenance.read_git_state(Path(provenance.__file__).parents[1]))


def note_texts(notes: Iterable[Note]) -> list[str]:
    """Return the texts of notes, for tables and captions."""
    return [note.text for note in notes]
