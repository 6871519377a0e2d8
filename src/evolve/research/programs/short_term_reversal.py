"""Buy what has fallen over the last few bars; short what has risen, where shorting is allowed."""

from typing import Any

LOOKBACK_BARS = 5
ALLOW_SHORT = 0


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) <= LOOKBACK_BARS:
        return {"position": 0.0, "reading": 0.0}
    change = close[-1] / close[-1 - LOOKBACK_BARS] - 1
    return {"position": 1.0 if change < 0 else -1.0 * ALLOW_SHORT if change > 0 else 0.0, "reading": change}
