import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from evolve.market import arrow


def test_columns_survive_the_way_through_a_file():
    columns = {"time": np.array([1, 2**62]), "close": np.array([0.1, np.nan])}

    table = arrow.open_parquet(arrow.parquet_bytes(arrow.table_of(columns))).read()

    assert arrow.integers_of(table.column("time")).tobytes() == columns["time"].tobytes()
    assert arrow.floats_of(table.column("close")).tobytes() == columns["close"].tobytes()


def test_pieces_and_slices_are_joined_in_order():
    column = pa.chunked_array([pa.array([1, 2, 3]).slice(1), pa.array([], pa.int64()), pa.array([4])])
    assert arrow.integers_of(column).tolist() == [2, 3, 4]


def test_a_missing_float_is_nan_and_a_missing_integer_an_error():
    column = pa.chunked_array([pa.array([1, None, 3])])

    np.testing.assert_array_equal(arrow.floats_of(column), [1, np.nan, 3])
    assert arrow.missing_of(column).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="missing"):
        arrow.integers_of(column)


def test_nothing_here_loads_pandas_or_leaves_a_thread(tmp_path):
    """A process with a second thread cannot fork workers: work on saved bars then ran on one core, whatever was asked for."""
    code = (
        "import sys, pathlib, psutil, numpy as np; from evolve.market import arrow; "
        "path = pathlib.Path(sys.argv[1]); path.write_bytes(arrow.parquet_bytes(arrow.table_of({'x': np.ones(3)}))); "
        "tables = [arrow.rows_of(arrow.open_parquet(there)) for there in (path.read_bytes(), path)]; "
        "[(arrow.floats_of(table.column('x')), arrow.missing_of(table.column('x'))) for table in tables]; "
        "print('pandas' in sys.modules, psutil.Process().num_threads())"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.parquet")], env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert shown.split() == ["False", "1"]
