"""What runs hold, before any frame is made of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from benchmark.api import UsageError
from benchmark.store import Store


def datasets(stores: Sequence[Store]) -> dict[str, str]:
    """Return id -> registered name of the data sets that runs hold cells of, by id."""
    return dict(sorted({(row["dataset"], row["dataset_name"]) for store in stores for row in store.rows("cells")}))


def dataset(stores: Sequence[Store], asked: str) -> str:
    """Return the id of the data set that an id or a registered name means.

    Raises:
        UsageError: the runs do not hold it, or several of its name.
    """
    held = datasets(stores)
    named = [asked] if asked in held else [id_ for id_, name in held.items() if name == asked]
    if len(named) > 1:
        raise UsageError(f"--dataset {asked}: the runs hold {' and '.join(named)}; name one of them")
    if not named:
        close = difflib.get_close_matches(asked, held, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(f"--dataset {asked}: not in the runs, which hold {', '.join(held) or 'nothing'}{hint}")
    return named[0]
