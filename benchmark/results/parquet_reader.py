"""Parquet files of anybody, read within bounds: a small file can stand for more than a machine
holds.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_ROWS = 20_000_000
"""Thirty times the rows of a run of 100,000 cells."""
MOST_BYTES = 4 * 2**30
"""What a table may take in memory."""
_BATCH_ROWS = 2**16
_MOST_COLUMNS = 500


def read_parquet(path: Path, repeated_texts: Collection[str] = ()) -> pd.DataFrame:
    """Return the table of a file.

    Args:
        path: the file.
        repeated_texts: columns of long texts of which there are few; they come as categories, which
            keep every text once.

    Raises:
        DataError: it is no Parquet file, is damaged, holds something else than numbers and texts,
            or would take more than `MOST_ROWS` or `MOST_BYTES`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = _list_texts(pq.read_schema(path), path)
        with pq.ParquetFile(path, read_dictionary=names) as file:
            _check_claims(file.metadata, path)
            table = _read_batches(file, path)
        frame: pd.DataFrame = _expand_texts(table, repeated_texts, path).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as a Parquet file ({reason})") from error
    return frame


def _list_texts(schema: pa.Schema, path: Path) -> list[str]:
    """Return the columns that hold texts."""
    import pyarrow as pa

    names: list[str] = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            names.append(field.name)
        elif not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
            raise DataError(
                f"{path}: column {field.name!r} holds {field.type}, where exported scores have "
                "numbers and texts"
            )
    return names


def _check_claims(metadata: pq.FileMetaData, path: Path) -> None:
    """Refuse a file by what it says of itself, before anything is unpacked."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    _check_size(path, metadata.num_rows, sum(group.total_byte_size for group in groups))
    if metadata.num_columns > _MOST_COLUMNS:
        raise DataError(f"{path}: has {metadata.num_columns} columns, more than exported scores")


def _check_size(path: Path, rows: int, size: int) -> None:
    if rows > MOST_ROWS or size > MOST_BYTES:
        raise DataError(
            f"{path}: stands for {rows} rows and {size / 2**30:.1f} GiB, more than exported scores "
            f"can be ({MOST_ROWS} rows, {MOST_BYTES / 2**30:g} GiB); it is not read"
        )


def _read_batches(file: pq.ParquetFile, path: Path) -> pa.Table:
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    rows = 0
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        rows += batch.num_rows
        size += batch.nbytes
        _check_size(path, rows, size)
        batches.append(batch)
    schema = batches[0].schema if batches else file.schema_arrow
    return pa.Table.from_batches(batches, schema).unify_dictionaries()


def _expand_texts(table: pa.Table, repeated_texts: Collection[str], path: Path) -> pa.Table:
    """Return a table whose texts stand in every row, but for the repeated ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = table.nbytes
    for place, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type) or field.name in repeated_texts:
            continue
        for chunk in table.column(place).chunks:
            lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
            size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        _check_size(path, table.num_rows, size)
        texts = table.column(place).cast(field.type.value_type)
        table = table.set_column(place, field.name, texts)
    return table
