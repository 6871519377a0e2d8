"""How does a set of bars become files, and what of a file can be believed? Parquet by calendar year, and a manifest that names them.

The manifest names the partitions with their hashes and says what they hold. Its own hash stands in its first line; each partition's,
and the fingerprint of the values, stand in it. Partitions are named after their content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np

from evolve.market import arrow
from evolve.market.bars import FIELDS, Bars
from evolve.market.calendar import bars_per_year
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.base import BarSpec

FORMAT = 2  # of the manifest; one of a later format is refused, not guessed at
FIRST_FORMAT = 1
COLUMNS = ("time", *FIELDS)
Values = dict[str, Any]  # column → array


@dataclass(frozen=True, slots=True)
class BarFiles:
    """One set: its partitions by name, and the manifest that makes them one."""

    partitions: Mapping[str, bytes]
    manifest: bytes

    @classmethod
    def of(cls, bars: Bars, *, generation: str = "") -> BarFiles:
        """generation: ends every name, where a name must not be that of another set with an equal year."""
        made = [_partition(year, part, generation) for year, part in _years(bars)]
        return cls(
            {named["file"]: content for named, content in made}, _manifest_of(bars, [named for named, _ in made])
        )


def is_whole(manifest: bytes) -> bool:
    head, _, description = manifest.partition(b"\n")
    return hashlib.sha256(description).hexdigest().encode() == head


def description_of(manifest: bytes) -> dict[str, Any]:
    """What a manifest says. Raises ValueError for one that was changed, cut short, or is of another format."""
    if not is_whole(manifest):
        raise ValueError("the manifest was changed")
    about = json.loads(manifest.partition(b"\n")[2])
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError("another format")
    return about


def partitions_named_by(manifest: bytes) -> set[str]:
    """None for a damaged manifest: what it named cannot be known."""
    try:
        return {partition["file"] for partition in description_of(manifest)["partitions"]}
    except (ValueError, KeyError, TypeError):
        return set()


def columns_of(content: bytes) -> Values:
    """The columns of a partition. Raises ValueError or KeyError for what is none."""
    import pyarrow as pa  # see `market.arrow` for why not at the top

    try:
        table = arrow.rows_of(arrow.open_parquet(content))
        values: Values = {"time": arrow.integers_of(table.column("time"))}
        return values | {name: arrow.floats_of(table.column(name)) for name in FIELDS}
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def first_format(content: bytes) -> tuple[Values, dict[str, Any]]:
    """Columns and description of a set in one file, as version 0.1 wrote. Raises ValueError or KeyError for what is none."""
    import pyarrow as pa

    try:
        stored = arrow.open_parquet(content).schema_arrow.metadata or {}
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    description = stored[b"evolve"]
    if stored[b"evolve_sha256"].decode() != hashlib.sha256(description).hexdigest():
        raise ValueError("the description was changed")
    about = json.loads(description)
    if about["format"] != FIRST_FORMAT:
        raise ValueError("another format")
    return columns_of(content), about


def bars_of(spec: BarSpec, values: Values, about: Mapping[str, Any]) -> Bars:
    """Raises DataUnavailable, KeyError, TypeError or ValueError for values that were never saved so."""
    bars = Bars(
        symbol=spec.symbol,
        timeframe=spec.timeframe,
        **values,
        source=about["source"],
        bars_per_year=bars_per_year(spec.symbol, spec.timeframe),
        currency=about["currency"],
        notes=tuple(about["notes"]),
        provenance=_provenance(about.get("provenance")),
    )
    if bars.fingerprint != about["fingerprint"]:
        raise ValueError("other values")
    return bars


def _years(bars: Bars) -> Iterator[tuple[int, Bars]]:
    """The bars of each calendar year (UTC), oldest first."""
    years = bars.time.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64) + 1970
    edges = [0, *(np.flatnonzero(np.diff(years)) + 1).tolist(), len(bars)]
    for start, stop in pairwise(edges):
        yield int(years[start]), bars.slice(start, stop)


def _partition(year: int, bars: Bars, generation: str) -> tuple[dict[str, Any], bytes]:
    """What the manifest says of a year, and the year."""
    content = arrow.parquet_bytes(arrow.table_of({name: getattr(bars, name) for name in COLUMNS}))
    digest = hashlib.sha256(content).hexdigest()
    named = {
        "year": year,
        "file": f"{year}-{digest[:16]}{generation}.parquet",
        "sha256": digest,
        "bars": len(bars),
        "first": bars.date(0),
        "last": bars.date(-1),
    }
    return named, content


def _manifest_of(bars: Bars, partitions: list[dict[str, Any]]) -> bytes:
    description = json.dumps(
        {
            "format": FORMAT,
            "symbol": bars.symbol,
            "timeframe": bars.timeframe,
            "source": bars.source,
            "currency": bars.currency,
            "notes": bars.notes,
            "fingerprint": bars.fingerprint,
            "provenance": None if bars.provenance is None else asdict(bars.provenance),
            "available_at_last": datetime.fromtimestamp(int(bars.available_at[-1]) / 1000, UTC).isoformat(),
            "partitions": partitions,
        },
        sort_keys=True,
        indent=1,
    ).encode()
    return hashlib.sha256(description).hexdigest().encode() + b"\n" + description


def _provenance(about: Any) -> Provenance | None:
    if about is None:
        return None
    return Provenance(
        **{
            **about,
            "splits": tuple(Split(**split) for split in about["splits"]),
            "dividends": tuple(Dividend(**dividend) for dividend in about["dividends"]),
        }
    )
