"""What the page says about methods, data sets, protocols and runs, from what the runs keep
of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.api import DatasetCard, MethodCard
from benchmark.metrics.protocol_cards import ProtocolCard
from benchmark.results import Results
from benchmark.results.notes import name_commit
from benchmark.results.run_record import RunRecord

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

    def all_cards(self) -> list[PageCard]:
        """Return all of them."""
        return [
            *self.methods.values(),
            *self.datasets.values(),
            *self.protocols.values(),
            *self.runs.values(),
        ]


def collect_page_cards(results: Results, origins: Mapping[str, int]) -> PageCards:
    """Return the cards of runs; of data sets and protocols those of the last run that has one.

    Args:
        results: the runs.
        origins: method -> number of the run whose card is shown.
    """
    methods: dict[str, dict[str, str]] = {}
    for name, number in sorted(origins.items()):
        if name in results.runs[number].methods:
            methods[name] = _method_lines(results.runs[number].methods[name])
    datasets = {name: _dataset_lines(card) for name, card in results.dataset_cards.items()}
    protocols = {name: _protocol_lines(card) for name, card in results.protocols.items()}
    return PageCards(
        methods=_number_cards("method", methods),
        datasets=_number_cards("dataset", datasets),
        protocols=_number_cards("protocol", protocols),
        runs={
            number: PageCard(
                f"run-{number}",
                run.path.resolve().name,
                _without_empty_lines(_run_lines(run)),
            )
            for number, run in enumerate(results.runs)
        },
    )


def _number_cards(kind: str, lines_by_name: Mapping[str, Mapping[str, str]]) -> dict[str, PageCard]:
    return {
        name: PageCard(f"{kind}-{number}", name, _without_empty_lines(lines))
        for number, (name, lines) in enumerate(lines_by_name.items())
    }


def _without_empty_lines(lines: Mapping[str, str]) -> dict[str, str]:
    return {label: text for label, text in lines.items() if text}


def _method_lines(card: MethodCard) -> dict[str, str]:
    extras = []
    if card.oracle:
        extras.append("the true blur map")
    if card.noise_aware:
        extras.append("the noise level")
    trained_on = "unknown"
    if card.trained_on is not None:
        trained_on = ", ".join(card.trained_on) or "nothing"
    return {
        "Title": card.title,
        "Family": card.family,
        "Paper": card.paper,
        "Pictures": "of others, read from files" if card.made_elsewhere else "",
        "Sees": _describe_inputs(card),
        "Is also given": " and ".join(extras),
        "Trained or tuned on": trained_on,
        "Generator of that data": ", ".join(card.generators),
        "Trained for": card.budget,
        "Weights expect": card.expects.describe() if card.expects else "",
        "Printed numbers": card.control,
        "Program": _describe_program(card),
        "Licence": card.licence,
        "Notes": card.notes,
    }


def _describe_inputs(card: MethodCard) -> str:
    if card.made_elsewhere:
        return ""
    return "dual-pixel views" if card.inputs == "views" else "the picture"


def _describe_program(card: MethodCard) -> str:
    if card.made_elsewhere:
        return ""
    return "re-implementation" if card.reimplementation else "the authors' own"


def _dataset_lines(card: DatasetCard) -> dict[str, str]:
    return {
        "Title": card.title,
        "Paper": card.paper,
        "Licence": card.licence,
        "Source": card.source,
        "Targets": "all-in-focus pictures" if card.has_target else "none",
        "Generator": card.generator,
        "Notes": card.notes,
    }


def _protocol_lines(card: ProtocolCard) -> dict[str, str]:
    return {"Title": card.title, "Source": card.source, "Version": card.version}


def _run_lines(run: RunRecord) -> dict[str, str]:
    """Return where a run's numbers come from; the command lines stay in the run, because they hold
    paths.
    """
    commands = [command.provenance for _, command in sorted(run.commands.items())]
    return {
        "Commit": _join_distinct(_commit_text(facts.get("git")) for facts in commands),
        "Suite": _join_distinct(facts.get("suite", "") for facts in commands),
        "Python": _join_distinct(facts.get("python", "") for facts in commands),
        "Packages": _join_distinct(_packages_text(facts.get("packages", {})) for facts in commands),
        "Processor": _join_distinct(
            facts.get("machine", {}).get("processor", "") for facts in commands
        ),
        "System": _join_distinct(facts.get("machine", {}).get("system", "") for facts in commands),
    }


def _commit_text(git: CardFacts | None) -> str:
    return "" if git is None else name_commit(git)


def _packages_text(packages: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)


def _join_distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
