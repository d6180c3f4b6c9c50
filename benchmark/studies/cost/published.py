"""The costs that papers print, as they print them: `results/published/cost.csv`, one
figure a line.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmark.api import DataError
from benchmark.files import PACKAGE_FOLDER

PUBLISHED_COSTS_FILE = PACKAGE_FOLDER / "published" / "cost.csv"
PUBLISHED_SIZE = (1680, 1120)
"""Width and height of the picture that all of them are for."""
QUANTITY_UNITS = {
    "parameters": "M",
    "operations": "G",
    "size": "MB",
    "cpu_seconds": "s",
    "gpu_seconds": "s",
}
"""The quantities, in the only unit that each is written in. `operations` is what a paper calls
FLOPs.
"""


@dataclass(frozen=True, slots=True)
class PublishedCost:
    """One printed figure.

    Attributes:
        method: id, without a checkpoint, of the method here that the row of the paper means.
        model: the row's name in the paper.
        quantity: a key of `QUANTITY_UNITS`.
        value: the figure, as printed.
        source: paper and table.
        note: what a reader must know about it.
    """

    method: str
    model: str
    quantity: str
    value: str
    source: str
    note: str


def read_published_costs(path: Path = PUBLISHED_COSTS_FILE) -> list[PublishedCost]:
    """Return the printed figures in the order of the file.

    Raises:
        DataError: no such file, or a line that is not as described above.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_parse_published_cost(line) for line in csv.DictReader(file, strict=True)]
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); it is part of the checkout"
        ) from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        columns = "method, model, quantity, value, unit, source, note"
        raise DataError(f"{path}: damaged ({error!r}); expected the columns {columns}") from error


def _parse_published_cost(line: dict[str, str]) -> PublishedCost:
    float(line["value"])  # a ValueError if it is no number
    if QUANTITY_UNITS[line["quantity"]] != line["unit"]:
        raise ValueError(f"{line['quantity']} in {line['unit']}")
    return PublishedCost(**{name: line[name] for name in PublishedCost.__slots__})
