"""Choosing among what runs hold, with a message that helps where that is not possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmark.api import UsageError
from benchmark.spec import suggest_name

PREFERRED_PROTOCOL = "canonical"
"""The protocol that counts where nobody says another and something was scored under it."""


def choose_dataset(wanted: str, datasets: Mapping[str, str]) -> str:
    """Return the id of the data set that an id or a registered name means.

    Args:
        wanted: the id or the name.
        datasets: id -> registered name of what there is.

    Raises:
        UsageError: there is no such data set, or several of its name.
    """
    if wanted in datasets:
        return wanted
    ids = [dataset for dataset, name in datasets.items() if name == wanted]
    if len(ids) > 1:
        raise UsageError(f"--dataset {wanted}: the runs hold {' and '.join(ids)}; name one of them")
    if ids:
        return ids[0]
    suggestion = suggest_name(wanted, datasets)
    hint = f" ({suggestion})" if suggestion else ""
    available = ", ".join(datasets) or "nothing"
    raise UsageError(f"--dataset {wanted}: not in the runs, which hold {available}{hint}")


def choose_one(kind: str, wanted: str | None, available: Iterable[object], option: str = "") -> str:
    """Return what is wanted, or the only one that there is.

    Args:
        kind: what is chosen, for messages.
        wanted: the choice; None to take the only one.
        available: what there is; may repeat.
        option: how to choose; needed where `wanted` may be None.

    Raises:
        UsageError: if it is not there (with what is, and the nearest of it), or None where there
            are several or none.
    """
    names = list(dict.fromkeys(map(str, available)))
    everything = ", ".join(names)
    if wanted is None:
        if len(names) == 1:
            return names[0]
        if not names:
            raise UsageError(f"the runs hold no {kind}; run `score` on them first")
        raise UsageError(f"the runs hold several {kind}s: {everything}; choose one with {option}")
    if wanted not in names:
        suggestion = suggest_name(wanted, names)
        hint = f" {suggestion.replace('did', 'Did', 1)}" if suggestion else ""
        raise UsageError(f"the runs hold no {kind} {wanted!r}.{hint} They hold: {everything}")
    return wanted


def choose_some(kind: str, wanted: Iterable[str], available: Iterable[str]) -> list[str]:
    """Return what is wanted, in the order of `available`; everything if nothing is.

    Raises:
        UsageError: for a name that is not available.
    """
    names = list(available)
    choice = {choose_one(kind, name, names) for name in wanted}
    return [name for name in names if name in choice] if choice else names
