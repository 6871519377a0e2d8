"""What were prices worth in today's shares? Adjusting raw bars for splits and dividends."""

from __future__ import annotations

from evolve.market.bars import Floats
from evolve.market.resample import Columns

NOTE = (
    "prices are adjusted for splits and dividends (× adjusted close / close); volume is divided by the same factor, "
    "so that price × volume stays the money traded that day"
)


def adjusted(raw: Columns, adjusted_close: Floats) -> Columns:
    """`raw` with every price × adjusted_close / close and volume ÷ that factor.

    Raw volume halves and doubles at splits as prices do. Dividing it by the price factor removes that and keeps the money
    traded (price × volume) exactly; dividends inflate the shares of long ago a little (1–2 % a year paid), which a split table
    would avoid, but the source has none.
    """
    factor = adjusted_close / raw.close
    # The close is taken over as given: multiplying would move its last bits.
    return Columns(
        raw.time, raw.open * factor, raw.high * factor, raw.low * factor, adjusted_close, raw.volume / factor
    )
