"""How do columns pass between numpy and Arrow files? Without pandas, which pyarrow's own conversions import (0.5 s, 60 MB).

pyarrow is imported inside the functions: it costs 50–100 ms that questions about the bundled sample need not pay. And it starts no thread:
a process that has a second one cannot fork workers (`compute.local`), and work on its bars would run on one core.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.market.bars import Floats, Stamps

# Read when pyarrow is imported, which only happens below; its allocator then tidies in the thread that frees.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")


def table_of(columns: dict[str, NDArray[Any]]) -> Any:
    """A pyarrow.Table over int64 and float64 arrays, not copied."""
    import pyarrow as pa

    types = {np.dtype(np.int64): pa.int64(), np.dtype(np.float64): pa.float64()}
    arrays = [
        pa.Array.from_buffers(types[values.dtype], len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
        for values in columns.values()
    ]
    return pa.Table.from_arrays(arrays, names=list(columns))


def parquet_bytes(table: Any) -> bytes:
    """The Parquet file that holds `table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def floats_of(column: Any) -> Floats:
    """A numeric column as float64, shape (rows,); what is missing becomes NaN."""
    import pyarrow as pa

    values = _plain(column.cast(pa.float64(), safe=False), np.float64)
    # Not pyarrow's fill_null: it makes a scalar of its argument, and that imports pandas.
    return np.where(missing_of(column), np.nan, values) if column.null_count else values


def integers_of(column: Any) -> Stamps:
    """An integer column without missing values as int64, shape (rows,). Raises ValueError when one is missing."""
    import pyarrow as pa

    if column.null_count:
        raise ValueError("a value is missing")
    return _plain(column.cast(pa.int64()), np.int64)


def missing_of(column: Any) -> NDArray[np.bool_]:
    """Which rows of a column hold nothing; shape (rows,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing: NDArray[np.bool_] = _plain(pc.is_null(column).cast(pa.int64()), np.int64) == 1
    return missing


def open_parquet(content: bytes | Path) -> Any:
    """A pyarrow.parquet.ParquetFile; `read_table` would load the dataset machinery and with it pandas."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A path by itself would be read by a pool of threads; a file that is mapped and then cut short would end the process.
    return pq.ParquetFile(pa.BufferReader(content if isinstance(content, bytes) else content.read_bytes()))


def rows_of(file: Any, columns: Sequence[str] | None = None) -> Any:
    """What `open_parquet` opened as a pyarrow.Table, all its columns or these; read by this thread alone."""
    return file.read(columns=columns, use_threads=False)


def _plain(column: Any, dtype: type[Any]) -> NDArray[Any]:
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=dtype, count=len(chunk), offset=chunk.offset * 8)
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
