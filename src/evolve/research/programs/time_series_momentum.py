"""Hold what has risen over the lookback; short what has fallen, where shorting is allowed."""

from typing import Any

LOOKBACK_BARS = 252
SKIP_BARS = 0
ALLOW_SHORT = 0


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) <= LOOKBACK_BARS:
        return {"position": 0.0, "reading": 0.0}
    change = close[-1 - SKIP_BARS] / close[-1 - LOOKBACK_BARS] - 1
    return {"position": 1.0 if change > 0 else -1.0 * ALLOW_SHORT if change < 0 else 0.0, "reading": change}
