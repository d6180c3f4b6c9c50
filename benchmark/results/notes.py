"""What a reader must know beside numbers: notes with a kind, in words that all reports share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark import provenance
from benchmark.api import MethodCard
from benchmark.noise import PHYSICAL, SAME, Noise
from benchmark.version import __version__

NoteKind = Literal[
    "data",
    "means",
    "marks",
    "budgets",
    "training",
    "generator",
    "weights",
    "origin",
    "pictures",
    "unscored",
    "symbols",
    "failure",
    "scenes",
    "joint",
    "study",
    "views",
    "parts",
]
"""What a note is about: `data`: pictures and their fingerprint; `means` and `marks`: how to read
them; `budgets` and `training`: what weights learned from; `generator`: methods that learned from
pictures which were made like these; `weights`: how imported ones expect pictures, and whether they
give what was printed; `origin`: protocol, runs, commits; `pictures`: those left out;
`unscored`: why a measure has no number; `symbols` in titles; `failure`: of a method on pictures;
`scenes` that pictures share; `joint`: methods that are compared as one; `study`: what else a study
must say; `views`: what sigma of the noise is of where methods take dual-pixel views; `parts`: what
told sharp pixels from blurred ones.
"""
_SYMBOLS = (
    ("†", "oracle", "given the true blur map: an upper bound, not a competitor"),
    ("‡", "noise_aware", "given the noise level, which the others are not"),
)
"""Symbol, fact of a card, and meaning: what keeps a method out of competition."""
_ORIGIN_SYMBOLS = (
    ("¶", "made_elsewhere", "pictures of others, read from files: not restored here, so not timed"),
)
"""The same of what does not."""
_GENERATOR_SYMBOL = "§"
_VIEW_NOISE: Mapping[str, str] = {
    SAME: "sigma on each view, and on the picture",
    PHYSICAL: "sigma x sqrt(2) on each view, so that their mean, the picture, has sigma",
}


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


def origin_symbol(card: MethodCard | None) -> str:
    """Return the symbol of pictures that others made, else nothing; `explain_symbols` says what it
    means.
    """
    return "".join(symbol for symbol, fact, _ in _ORIGIN_SYMBOLS if getattr(card, fact, False))


def explain_symbols(titles: Iterable[str]) -> list[str]:
    """Return what the symbols in titles of methods mean."""
    text = "".join(titles)
    symbols = (*_SYMBOLS, *_ORIGIN_SYMBOLS)
    return [f"{symbol} {meaning}" for symbol, _, meaning in symbols if symbol in text]


def generator_symbol(card: MethodCard | None, generator: str) -> str:
    """Return the symbol of a method that learned from the generator of the pictures, else nothing;
    `generator_lines` says what it means.

    Args:
        card: of the method.
        generator: of the data set, empty for none.
    """
    if card is None or generator not in card.generators:
        return ""
    return _GENERATOR_SYMBOL


def generator_lines(cards: Mapping[str, MethodCard], generator: str) -> Iterator[str]:
    """Yield the warning that methods learned from the generator of the pictures, if some did.

    Args:
        cards: method -> card.
        generator: of the data set, empty for none.
    """
    methods = [name for name, card in cards.items() if generator_symbol(card, generator)]
    if methods:
        yield (
            f"{_GENERATOR_SYMBOL} trained or tuned on this generator ({generator}), which favours "
            f"them: {', '.join(methods)}."
        )


def control_label(card: MethodCard | None) -> str:
    """Return whether imported weights give what was printed for them, in two words at most; empty
    for other methods.
    """
    labels = ("reproduces", "differs", "not checked")
    control = "" if card is None else card.control
    return next((label for label in labels if control.startswith(label)), "")


def weights_lines(cards: Mapping[str, MethodCard]) -> Iterator[str]:
    """Yield how weights expect the pictures they are fed, whether they give what was printed for
    them, and where they were applied in bfloat16: a line for each method with anything to say.

    Args:
        cards: method -> card.
    """
    for method, card in cards.items():
        facts = []
        if card.expects is not None:
            facts.append(f"expect {card.expects.describe()}")
        if card.control:
            facts.append(f"printed numbers: {card.control}")
        if card.precision != "32":
            facts.append("applied in bfloat16, but for softmax and sums")
        if facts:
            yield f"Weights of {method}: {'; '.join(facts)}."


def view_noise_lines(readings: Mapping[str, str]) -> Iterator[str]:
    """Yield what sigma is of for methods that were given noisy dual-pixel views.

    Args:
        readings: method -> `noise.NoiseOnViews`; empty for one that was given none.
    """
    for reading, meaning in _VIEW_NOISE.items():
        methods = [method for method, own_reading in readings.items() if own_reading == reading]
        if methods:
            yield f"Noise on dual-pixel views ({reading}): {meaning}: {', '.join(methods)}."


def training_source(card: MethodCard | None) -> str:
    """Return what a method's weights or constants were learned from, and how long; empty for
    nothing.
    """
    if card is None:
        return ""
    source = training_data(card)
    return f"{source} ({card.budget})" if source and card.budget else source


def training_amount(card: MethodCard | None) -> str:
    """Return how much a method's weights were trained on ("26 megapixels"); empty where that is not
    known or there are none.
    """
    return "" if card is None else card.budget.partition(",")[0]


def training_data(card: MethodCard) -> str:
    """Return the data that a method's weights or constants were learned from; empty for none."""
    return "unknown data" if card.trained_on is None else ", ".join(card.trained_on)


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


def shorten_list(names: Sequence[str], most: int = 5) -> str:
    """Return names as a text; of many the first, and how many more there are."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def describe_pictures(pictures: int, scenes: int) -> str:
    """Return how many pictures there are, and of how many scenes where some show the same one."""
    if scenes == pictures:
        return count_noun(pictures, "picture")
    return f"{count_noun(pictures, 'picture')} of {count_noun(scenes, 'scene')}"


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
