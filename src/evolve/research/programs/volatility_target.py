"""Hold less when prices move more: the target volatility over the realised one, at most fully invested."""

from typing import Any

import numpy as np

WINDOW_BARS = 20
TARGET_PER_YEAR = 0.1
BARS_PER_YEAR = 252


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) <= WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    returns = np.diff(np.log(np.array(close[-1 - WINDOW_BARS :])))
    volatility = float(returns.std(ddof=1)) * BARS_PER_YEAR**0.5
    return {"position": min(1.0, TARGET_PER_YEAR / volatility) if volatility > 0 else 0.0, "reading": volatility}
