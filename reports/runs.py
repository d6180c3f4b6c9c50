"""What runs hold, before any frame is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.api import UsageError
from benchmark.spec import suggest_name
from benchmark.store import Store

PREFERRED = "canonical"
"""The protocol that counts where nobody says another and something was scored under it."""


def datasets(stores: Sequence[Store]) -> dict[str, str]:
    """Return id -> registered name of the data sets that runs hold cells of, by id."""
    return dict(
        sorted(
            {
                (row["dataset"], row["dataset_name"])
                for store in stores
                for row in store.rows("cells")
            }
        )
    )


def dataset(stores: Sequence[Store], asked: str) -> str:
    """Return the id of the data set that an id or a registered name means.

    Raises:
        UsageError: the runs do not hold it, or several of its name.
    """
    held = datasets(stores)
    named = [asked] if asked in held else [id_ for id_, name in held.items() if name == asked]
    if len(named) > 1:
        raise UsageError(
            f"--dataset {asked}: the runs hold {' and '.join(named)}; name one of them"
        )
    if not named:
        hint = suggest_name(asked, held)
        hint = f" ({hint})" if hint else ""
        raise UsageError(
            f"--dataset {asked}: not in the runs, which hold {', '.join(held) or 'nothing'}{hint}"
        )
    return named[0]


def chosen(kind: str, asked: str | None, held: Iterable[object], option: str = "") -> str:
    """Return what was asked for, or the only one that is held.

    Args:
        kind: what is chosen, for messages.
        asked: the choice; None to take the only one.
        held: what there is; may repeat.
        option: how to choose; needed where `asked` may be None.

    Raises:
        UsageError: if it is not held (with what is, and the nearest of it), or None where several
            or none are held.
    """
    names = list(dict.fromkeys(map(str, held)))
    known = ", ".join(names)
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None and not names:
        raise UsageError(f"the runs hold no {kind}; run `score` on them first")
    if asked is None:
        raise UsageError(f"the runs hold several {kind}s: {known}; choose one with {option}")
    if asked not in names:
        hint = suggest_name(asked, names)
        if hint:
            hint = f" {hint.replace('did', 'Did', 1)}"
        raise UsageError(f"the runs hold no {kind} {asked!r}.{hint} They hold: {known}")
    return asked
