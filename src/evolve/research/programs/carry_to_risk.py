"""Hold in proportion to the carry per unit of volatility. Bars hold no yields: the carry is a constant that the text states."""

from typing import Any

import numpy as np

CARRY_PER_YEAR = 0.0
WINDOW_BARS = 63
BARS_PER_YEAR = 252
ALLOW_SHORT = 1


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) <= WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    volatility = float(np.diff(np.log(np.array(close[-1 - WINDOW_BARS :]))).std(ddof=1)) * BARS_PER_YEAR**0.5
    ratio = CARRY_PER_YEAR / volatility if volatility > 0 else 0.0
    return {"position": min(1.0, max(-1.0 * ALLOW_SHORT, ratio)), "reading": ratio}
