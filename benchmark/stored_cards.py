"""Cards as a run keeps them: JSON that comes back as the dataclass that went in.

Runs of older releases kept less of a protocol's measures; `_complete_measure` is the one place that
fills in what they lack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.api import DatasetCard, MethodCard, MetricCard, UsageError
from benchmark.metrics.protocol_cards import MeasureCard, ProtocolCard
from benchmark.metrics.protocols import Measure, Protocol
from benchmark.registry import METRICS, create_metric

AnyCard = MethodCard | DatasetCard | ProtocolCard
CardT = TypeVar("CardT", MethodCard, DatasetCard, ProtocolCard)
_ADAPTERS: Mapping[type[AnyCard], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (MethodCard, DatasetCard, ProtocolCard)
}
CARD_KINDS: Mapping[type[AnyCard], str] = {
    MethodCard: "method",
    DatasetCard: "dataset",
    ProtocolCard: "protocol",
}
"""Type of a card -> what a store calls it."""


def describe_protocol(protocol: Protocol) -> ProtocolCard:
    """Return what a table must say about a protocol; titles of measures are made unique."""
    measures: dict[str, MeasureCard] = {}
    for measure in protocol.measures:
        titles = {card.title for card in measures.values()}
        measures[measure.key] = _describe_measure(measure, titles)
    return ProtocolCard(
        title=protocol.title,
        source=protocol.source,
        version=protocol.version,
        tracks=tuple(track.id for track in protocol.tracks),
        measures=measures,
    )


def _describe_measure(measure: Measure, other_titles: set[str]) -> MeasureCard:
    metric = create_metric(measure.metric)
    card = metric.card
    class_card: MetricCard = getattr(type(metric), "card", card)
    name = measure.metric.partition(":")[0]
    title = card.title
    if title in other_titles:
        title += measure.key.removeprefix(name).replace("_", " ")
    return MeasureCard(
        metric=name,
        quantity=title if card.is_by_blur else class_card.title,
        title=title,
        unit=card.unit,
        higher_is_better=card.higher_is_better,
        digits=card.digits,
        paper=card.paper,
        version=type(metric).version,
        ideal=card.ideal,
        limits=card.limits,
        warning=card.warning,
    )


def card_to_json(card: AnyCard) -> str:
    """Return a card as JSON text, which `card_from_json` reads."""
    return _ADAPTERS[type(card)].dump_json(card).decode()


def card_from_json(text: str, kind: type[CardT]) -> CardT:
    """Return the card that a run kept.

    Raises:
        UsageError: it is no card of this kind.
    """
    facts = json.loads(text)
    if kind is ProtocolCard:
        facts["measures"] = {
            key: _complete_measure(measure) for key, measure in facts["measures"].items()
        }
    try:
        card: CardT = _ADAPTERS[kind].validate_python(facts)
    except ValidationError as error:
        raise UsageError(f"not a readable {CARD_KINDS[kind]} card: {error}") from error
    return card


def _complete_measure(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a measure with its metric, which older releases did not keep.

    Titles of theirs begin with the quantity: "SSIM u7", "PSNR rounded".
    """
    quantity = str(facts["title"]).split()[0]
    complete = {"metric": quantity.lower(), "quantity": quantity} | facts
    return {"limits": _find_limits(complete["metric"])} | complete


def _find_limits(metric: str) -> tuple[float | None, float | None]:
    """Return what the scores of a metric can be, as far as it is registered here."""
    if metric not in METRICS.names():
        return None, None
    try:
        return METRICS.get(metric).card.limits
    except UsageError:  # a plug-in that does not load
        return None, None
