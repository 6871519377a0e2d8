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


def test_nothing_here_loads_pandas():
    code = (
        "import sys, numpy as np; from evolve.market import arrow; "
        "table = arrow.open_parquet(arrow.parquet_bytes(arrow.table_of({'x': np.ones(3)}))).read(); "
        "arrow.floats_of(table.column('x')); arrow.missing_of(table.column('x')); print('pandas' in sys.modules)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "False"
