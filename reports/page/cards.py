"""What the page says about methods, data sets, protocols and runs, from what the runs keep
of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.api import DatasetCard, MethodCard
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.reports import footnotes
from benchmark.store import Store

CardFacts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PageCard:
    """A card to show.

    Attributes:
        id: id of its element on the page.
        name: what it is about.
        lines: label -> text, without those that have nothing to say.
    """

    id: str
    name: str
    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class PageCards:
    """The cards of a page: methods, data sets and protocols by id, runs by number."""

    methods: dict[str, PageCard]
    datasets: dict[str, PageCard]
    protocols: dict[str, PageCard]
    runs: dict[int, PageCard]

    def everything(self) -> list[PageCard]:
        """Return all of them."""
        return [
            card
            for kind in (self.methods, self.datasets, self.protocols, self.runs)
            for card in kind.values()
        ]


def collect_page_cards(stores: Sequence[Store], origins: Mapping[str, int]) -> PageCards:
    """Return the cards of runs; of data sets and protocols those of the last run that has one.

    Args:
        stores: the runs.
        origins: method -> number of the run whose card is shown.
    """
    kept = [store.cards(MethodCard) for store in stores]
    methods = {
        name: _method_lines(kept[run][name])
        for name, run in sorted(origins.items())
        if name in kept[run]
    }
    datasets = {
        name: _dataset_lines(card)
        for store in stores
        for name, card in store.cards(DatasetCard).items()
    }
    protocols = {
        name: _protocol_lines(card)
        for store in stores
        for name, card in store.cards(ProtocolCard).items()
    }
    return PageCards(
        methods=_number_cards("method", methods),
        datasets=_number_cards("dataset", datasets),
        protocols=_number_cards("protocol", protocols),
        runs={
            number: PageCard(
                f"run-{number}",
                store.folder.resolve().name,
                _without_empty_lines(_run_lines(store)),
            )
            for number, store in enumerate(stores)
        },
    )


def _number_cards(kind: str, known: Mapping[str, Mapping[str, str]]) -> dict[str, PageCard]:
    return {
        name: PageCard(f"{kind}-{number}", name, _without_empty_lines(known[name]))
        for number, name in enumerate(known)
    }


def _without_empty_lines(lines: Mapping[str, str]) -> dict[str, str]:
    return {label: text for label, text in lines.items() if text}


def _method_lines(card: MethodCard) -> dict[str, str]:
    extras = []
    if card.oracle:
        extras.append("the true blur map")
    if card.noise_aware:
        extras.append("the noise level")
    trained_on = card.trained_on
    return {
        "Title": card.title,
        "Family": card.family,
        "Paper": card.paper,
        "Sees": "dual-pixel views" if card.inputs == "views" else "the picture",
        "Is also given": " and ".join(extras),
        "Trained or tuned on": "unknown"
        if trained_on is None
        else ", ".join(trained_on) or "nothing",
        "Trained for": card.budget,
        "Program": "re-implementation" if card.reimplementation else "the authors' own",
        "Licence": card.licence,
        "Notes": card.notes,
    }


def _dataset_lines(card: DatasetCard) -> dict[str, str]:
    return {
        "Title": card.title,
        "Paper": card.paper,
        "Licence": card.licence,
        "Source": card.source,
        "Targets": "all-in-focus pictures" if card.has_target else "none",
        "Notes": card.notes,
    }


def _protocol_lines(card: ProtocolCard) -> dict[str, str]:
    return {"Title": card.title, "Source": card.source, "Version": card.version}


def _run_lines(store: Store) -> dict[str, str]:
    """Return where a run's numbers come from; the command lines stay in the run, because they hold
    paths.
    """
    told = [json.loads(row["provenance"]) for row in store.rows("runs")]
    return {
        "Commit": _join_distinct(_commit_text(facts.get("git")) for facts in told),
        "Suite": _join_distinct(facts.get("suite", "") for facts in told),
        "Python": _join_distinct(facts.get("python", "") for facts in told),
        "Packages": _join_distinct(_packages_text(facts.get("packages", {})) for facts in told),
        "Processor": _join_distinct(
            facts.get("machine", {}).get("processor", "") for facts in told
        ),
        "System": _join_distinct(facts.get("machine", {}).get("system", "") for facts in told),
    }


def _commit_text(git: CardFacts | None) -> str:
    return "" if git is None else footnotes.commit(git)


def _packages_text(packages: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)


def _join_distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
