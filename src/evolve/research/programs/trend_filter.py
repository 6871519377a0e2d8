"""Hold while the close is above its own long average."""

from typing import Any

WINDOW_BARS = 200
ALLOW_SHORT = 0


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) < WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    gap = close[-1] - sum(close[-WINDOW_BARS:]) / WINDOW_BARS
    return {"position": 1.0 if gap > 0 else -1.0 * ALLOW_SHORT, "reading": gap}
