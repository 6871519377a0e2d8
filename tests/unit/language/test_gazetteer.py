from __future__ import annotations

import subprocess
import sys

from evolve.language.gazetteer import gazetteer
from evolve.language.lexicon import table
from evolve.market.types import SPECIFIED_SYMBOLS


def test_every_symbol_of_the_specification_is_known():
    assert all(symbol in gazetteer() for symbol in SPECIFIED_SYMBOLS)


def test_a_pair_of_known_parts_is_known_and_of_unknown_parts_is_not():
    assert "SOLEUR" in gazetteer()
    assert "QQQQQUSDT" not in gazetteer()


def test_no_ticker_is_listed_twice():
    listed = [key for file in ("companies.tsv", "etfs.tsv") for key, _ in table(file)]

    assert sorted(set(listed)) == sorted(listed)
    assert len(listed) > 800


def test_a_parse_loads_neither_numpy_nor_pydantic():
    program = (
        "import sys; from evolve.language.parse import parse; parse('Analyze nvdia');"
        "print(sorted({'numpy', 'pydantic', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
