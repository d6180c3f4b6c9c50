"""Scores for runs made by hand."""

from __future__ import annotations

from benchmark.cells import Score


def score(key: str, value: float | None, reason: str | None = None) -> Score:
    """Return a score; one with a reason is skipped, or unavailable where the reason says so."""
    if reason is None:
        return Score(key, value)
    unavailable = reason.startswith("not available")
    return Score(key, value, reason, "unavailable" if unavailable else "skipped")
