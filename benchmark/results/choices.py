"""Choosing among what runs hold, with a message that helps where that is not possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmark.api import UsageError
from benchmark.spec import suggest_name

PREFERRED_PROTOCOL = "canonical"
"""The protocol that counts where nobody says another and something was scored under it."""


def choose_dataset(name_or_id: str, datasets: Mapping[str, str]) -> str:
    """Return the id of the data set that an id or a registered name means.

    Args:
        name_or_id: the id or the name.
        datasets: id -> registered name of what there is.

    Raises:
        UsageError: there is no such data set, or several of its name.
    """
    if name_or_id in datasets:
        return name_or_id
    ids = [dataset for dataset, name in datasets.items() if name == name_or_id]
    if len(ids) > 1:
        raise UsageError(
            f"--dataset {name_or_id}: the runs hold {' and '.join(ids)}; name one of them"
        )
    if ids:
        return ids[0]
    suggestion = suggest_name(name_or_id, datasets)
    hint = f" ({suggestion})" if suggestion else ""
    available = ", ".join(datasets) or "nothing"
    raise UsageError(f"--dataset {name_or_id}: not in the runs, which hold {available}{hint}")


def choose_one(kind: str, choice: str | None, available: Iterable[object], option: str = "") -> str:
    """Return the choice if it is there, or, without one, the only one that there is.

    Args:
        kind: what is chosen, for messages.
        choice: the choice; None to take the only one.
        available: what there is; may repeat.
        option: how to choose; needed where `choice` may be None.

    Raises:
        UsageError: if it is not there (with what is, and the nearest of it), or None where there
            are several or none.
    """
    names = list(dict.fromkeys(map(str, available)))
    available_names = ", ".join(names)
    if choice is None:
        if len(names) == 1:
            return names[0]
        if not names:
            raise UsageError(f"the runs hold no {kind}; run `score` on them first")
        raise UsageError(
            f"the runs hold several {kind}s: {available_names}; choose one with {option}"
        )
    if choice not in names:
        suggestion = suggest_name(choice, names)
        hint = f" {suggestion.replace('did', 'Did', 1)}" if suggestion else ""
        raise UsageError(f"the runs hold no {kind} {choice!r}.{hint} They hold: {available_names}")
    return choice


def choose_some(kind: str, choices: Iterable[str], available: Iterable[str]) -> list[str]:
    """Return the choices in the order of `available`; all that is available if there are none.

    Raises:
        UsageError: for a name that is not available.
    """
    names = list(available)
    selection = {choose_one(kind, name, names) for name in choices}
    return [name for name in names if name in selection] if selection else names
