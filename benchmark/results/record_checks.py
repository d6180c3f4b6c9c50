"""Whether results of others can be results: rows as the suite writes them, and scores within what
their measures can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from benchmark.api import DataError
from benchmark.cells import ScoreStatus, Status
from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.noise import Noise
from benchmark.results.run_record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ("key", "method", "method_name", "dataset", "dataset_name", "sample", "data", "track")
_TEXTS = (*_NAMES, "parameters", "method_version", "precision", "status", "finished")
_OPTIONAL_TEXTS = (
    "checkpoint", "weights", "scene", "cell_reason", "reason", "protocol", "measure", "ruler",
    "score_status", "basis", "output_digest",
)  # fmt: skip
_NUMBERS = ("run", "asked", "clip", "round8", "seed", "sigma", "value", "seconds", "scored_by")
_PRINTED = (*_NAMES, "scene", "protocol", "measure", "basis")
"""What stands in tables."""
_SLACK = 1e-6
"""Rounding may take a score so far beyond what a measure can be."""


def require_sound_rows(record: RunRecord, path: Path) -> None:
    """Raise DataError, which names the file, unless rows are such as the suite writes.

    Args:
        record: the results.
        path: the file that holds the rows.
    """
    frame = record.scores
    for fault in _list_row_faults(frame):
        raise DataError(f"{path}: {fault}; the suite did not write that")


def _list_row_faults(frame: pd.DataFrame) -> Iterator[str]:
    import pandas as pd

    missing = [name for name in (*_TEXTS, *_NUMBERS, "on_views") if name not in frame]
    if missing:
        yield f"lacks the column {missing[0]!r}"
        return
    for name in (*_TEXTS, *_OPTIONAL_TEXTS):
        values = frame[name] if name in frame else pd.Series(dtype=object)
        if name in _TEXTS and values.isna().any():
            yield f"column {name!r} has gaps"
        if not all(isinstance(value, str) for value in values.dropna().unique()):
            yield f"column {name!r} holds something else than texts"
    for name in _PRINTED:
        texts = set(frame[name].dropna().unique()) if name in frame else set()
        if not all(str(text).isprintable() and text for text in texts):
            yield f"column {name!r} holds a name that cannot be printed"
    for name in _NUMBERS:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            yield f"column {name!r} holds something else than numbers"
    yield from _list_level_faults(frame)
    yield from _list_status_faults(frame)


def _list_level_faults(frame: pd.DataFrame) -> Iterator[str]:
    levels = frame[["sigma", "clip", "round8", "seed", "on_views"]].drop_duplicates()
    for sigma, clip, round8, seed, on_views in levels.itertuples(index=False):
        try:
            Noise(float(sigma), bool(clip), bool(round8), int(seed), on_views)
        except (ValueError, TypeError, OverflowError) as error:
            yield f"noise: {error}"


def _list_status_faults(frame: pd.DataFrame) -> Iterator[str]:
    unknown_states = set(frame["status"].unique()) - set(get_args(Status))
    if unknown_states:
        yield f"cells are {min(unknown_states)!a}"
    if "score_status" not in frame:
        return
    has_score = frame["measure"].notna()
    states = frame.loc[has_score, "score_status"].dropna()
    unknown_states = set(states.unique()) - set(get_args(ScoreStatus))
    if unknown_states:
        yield f"scores are {min(unknown_states)!a}"
    if frame.loc[has_score, "scored_by"].isna().any():
        yield "a score was made by no command"


def find_impossible_scores(record: RunRecord) -> list[str]:
    """Return a line for every score that its measure cannot give: not finite, or beyond the limits
    of the measure; and one for every measure that no card describes.
    """
    frame = record.scores
    scored = frame[frame["measure"].notna()].drop_duplicates(["key", "protocol", "measure"])
    faults: list[str] = []
    for (protocol, measure), rows in scored.groupby(["protocol", "measure"], sort=True):
        protocol_card = record.protocols.get(str(protocol))
        cards: Mapping[str, MeasureCard] = protocol_card.measures if protocol_card else {}
        card = cards.get(str(measure))
        if card is None:
            faults.append(f"{protocol} {measure}: no card says what this measure can be")
            continue
        for row in rows.to_dict("records"):
            fault = _find_score_fault(row, card)
            if fault:
                faults.append(
                    f"{row['method']} on {row['sample']}, noise {row['sigma']:g}: {protocol} "
                    f"{measure} {fault}"
                )
    return faults


def _find_score_fault(row: Mapping[Any, Any], card: MeasureCard) -> str:
    """Return what is wrong with a score; empty if nothing is."""
    value = row["value"]
    status = row.get("score_status")
    is_ok = status == "ok" if isinstance(status, str) else not isinstance(row["reason"], str)
    if not is_ok:
        return "" if math.isnan(value) else f"is {status} and has the value {value:g}"
    if not math.isfinite(value):
        return f"is {value}"
    least, largest = card.limits
    if least is not None and value < least - _SLACK:
        return f"is {value:.9g}, and cannot be below {least:g}"
    if largest is not None and value > largest + _SLACK:
        return f"is {value:.9g}, and cannot be above {largest:g}"
    return ""
