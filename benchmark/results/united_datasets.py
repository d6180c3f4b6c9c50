"""Data sets that go by several ids and are one: a folder that was named by two paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class _DatasetFacts(NamedTuple):
    """What tells whether two ids mean one data set, and which of them counts.

    Attributes:
        name: as registered.
        place: where it lies, as `cells.digest_place` says it; None if it is not known.
        contents: (picture, fingerprint) of what was asked for last.
        asked: number of the last command that asked for it.
        is_limited: that command asked for some of its pictures only, so its others are not known.
    """

    name: str
    place: str | None
    contents: frozenset[tuple[str, str]]
    asked: int
    is_limited: bool = False

    def is_one_with(self, others: Sequence[_DatasetFacts]) -> bool:
        """Return whether others, which are one already, are this one too: by their place, or by
        what was asked for last of all of them.
        """
        last = max(others, key=lambda other: other.asked)
        places = {other.place for other in others} - {None}
        are_whole = not self.is_limited and not last.is_limited
        is_same = self.place in places or (are_whole and self.contents == last.contents)
        return self.name == last.name and is_same


def unite_datasets(
    rows: pd.DataFrame, places: Mapping[str, str], limited: Collection[str] = ()
) -> dict[str, str]:
    """Return id -> the id that tables show instead, for every data set of some rows.

    Ids of one registered data set are one if they name the same place, or if they show the same
    pictures under the same names. Of these, the one that was asked for last is shown. A folder with
    some of the pictures of another is a data set of its own, also where only these are run of the
    other (`--limit`).

    Args:
        rows: with the columns `dataset`, `dataset_name`, `sample`, `data`, and `asked`, which
            counts on from one run to the next.
        places: id -> where it lies, for those that name a place.
        limited: ids of which the last command took some pictures only.
    """
    facts = _read_facts(rows, places, limited)
    groups: list[list[str]] = []
    for dataset in facts:
        same = [
            group for group in groups if facts[dataset].is_one_with([facts[id_] for id_ in group])
        ]
        others = [group for group in groups if group not in same]
        groups = [*others, [dataset, *(id_ for group in same for id_ in group)]]
    shown_ids: dict[str, str] = {}
    for group in groups:
        last = max(group, key=lambda dataset: facts[dataset].asked)
        shown_ids |= dict.fromkeys(group, last)
    return shown_ids


def _read_facts(
    rows: pd.DataFrame, places: Mapping[str, str], limited: Collection[str]
) -> dict[str, _DatasetFacts]:
    last_requests = rows.groupby(["dataset", "sample"])["asked"].transform("max")
    facts: dict[str, _DatasetFacts] = {}
    for id_, part in rows[rows["asked"] == last_requests].groupby("dataset"):
        dataset = str(id_)
        pictures = part[["sample", "data"]].drop_duplicates()
        contents = frozenset(zip(pictures["sample"], pictures["data"], strict=True))
        name = str(part["dataset_name"].iloc[0])
        last_request = int(part["asked"].max())
        place = places.get(dataset)
        is_limited = dataset in limited
        facts[dataset] = _DatasetFacts(name, place, contents, last_request, is_limited)
    return facts


def merge_requests(rows: pd.DataFrame, shown_ids: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows under the ids that tables show, every score of a run once: as it was asked
    for last.

    Args:
        rows: of scores, with the column `store`, which counts the runs.
        shown_ids: as `unite_datasets` gives them.
    """
    if all(dataset == shown_id for dataset, shown_id in shown_ids.items()):
        return rows
    renamed = rows.assign(dataset=rows["dataset"].map(shown_ids)).sort_values(
        "asked", kind="stable"
    )
    keys = ["store", "dataset", "key", "protocol", "measure"]
    return renamed.drop_duplicates(keys, keep="last").sort_index()
