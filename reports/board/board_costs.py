"""What methods cost, as the board draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.reports.figures.pareto import describe_timing, list_cost_panels
from benchmark.studies.cost.exchange import read_public_pass

_NOTHING_KNOWN = (
    "No costs are known: no cost pass lies with these results. `cost` measures them, and "
    "`board --cost FOLDER` takes them in."
)


def describe_costs(
    folder: Path | None, public_ids: Mapping[str, str], methods: Sequence[str]
) -> dict[str, Any]:
    """Return the kinds of cost that are known of some methods, and what is not known.

    Args:
        folder: of a cost pass; None for none.
        public_ids: id of a method -> what it is called in published results.
        methods: of the board, as they are called there.

    Raises:
        UsageError: there is no cost pass in the folder.
        DataError: its files are damaged.
    """
    if folder is None:
        return {"panels": [], "notes": [_NOTHING_KNOWN]}
    record, trials = read_public_pass(folder, public_ids)
    panels, missing = list_cost_panels(record, trials, methods)
    notes = [
        f"Costs are for a picture of {record.size}, whatever the pictures that quality was "
        "measured on; MACs are those of a network's plain form.",
        *missing,
        *describe_timing(record, trials),
    ]
    places = {method: place for place, method in enumerate(methods)}
    return {
        "panels": [
            {
                "title": panel.label,
                "values": {places[method]: cost for method, cost in panel.costs.items()},
            }
            for panel in panels
        ],
        "notes": notes,
    }
