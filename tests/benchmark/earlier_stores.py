"""Stores as earlier releases wrote them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from benchmark.store import FILE_NAME

_LATER_COLUMNS: Mapping[str, tuple[int, str]] = {
    "status": (2, "scores"),
    "output_digest": (5, "cells"),
    "on_views": (6, "cells"),
    "basis": (7, "scores"),
}
"""Column -> the version of the schema that brought it, and its table."""


def take_back_schema(folder: Path, version: int) -> None:
    """Make a store one of an earlier version of the schema, without what came later."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        for column, (first_version, table) in _LATER_COLUMNS.items():
            if version < first_version:
                database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        if version < 4:
            database.execute("DROP TABLE requests")
        database.execute(f"PRAGMA user_version={version}")
        database.commit()
