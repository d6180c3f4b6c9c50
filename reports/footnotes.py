"""What a reader must know of methods, noise and the suite, in the words that all reports share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark import provenance
from benchmark.api import MethodCard
from benchmark.version import __version__

_MARKS = (
    ("†", "oracle", "given the true blur map: an upper bound, not a competitor"),
    ("‡", "noise_aware", "given the noise level, which the others are not"),
)


def marks(card: MethodCard | None) -> str:
    """Return the marks of what a method was given beyond the picture; `explained` says what they
    mean.
    """
    return "".join(mark for mark, fact, _ in _MARKS if getattr(card, fact, False))


def explained(titles: Iterable[str]) -> list[str]:
    """Return what the marks in titles of methods mean."""
    text = "".join(titles)
    return [f"{mark} {meaning}" for mark, _, meaning in _MARKS if mark in text]


def learned_from(card: MethodCard | None) -> str:
    """Return what a method's weights or constants were learned from, and how long; empty for
    nothing.
    """
    if card is None:
        return ""
    named = "unknown data" if card.trained_on is None else ", ".join(card.trained_on)
    return f"{named} ({card.budget})" if named and card.budget else named


def training(sources: Mapping[str, str]) -> Iterator[str]:
    """Yield what weights or constants were learned from, a line for each source.

    Args:
        sources: method -> as `learned_from` says it.
    """
    methods: dict[str, list[str]] = {}
    for method, source in sources.items():
        methods.setdefault(source, []).append(method)
    for source in sorted(filter(None, methods)):
        yield f"Weights or constants from {source}: {', '.join(methods[source])}."


def level(sigma: float, clip: bool, round8: bool, seed: int) -> str:
    """Return a noise level as reports print it."""
    options = [("clipped", clip), ("rounded to 8 bits", round8), (f"seed {seed}", seed)]
    return " ".join([f"{sigma:g}", *(text for text, on in options if on)])


def commit(state: Mapping[str, Any]) -> str:
    """Return a state of the suite's repository, as `provenance.read_git_state` gives it."""
    return f"{state['commit'][:12]}{' (with uncommitted changes)' if state['dirty'] else ''}"


def suite(version: str, state: Mapping[str, Any] | None) -> str:
    """Return a version of the suite with its commit, where that is known."""
    return f"suite {version}" + (f" at commit {commit(state)}" if state else "")


def this_suite() -> str:
    """Return the suite that is running, as `suite` does."""
    return suite(__version__, provenance.read_git_state(Path(provenance.__file__).parents[1]))
