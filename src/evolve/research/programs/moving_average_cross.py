"""Hold while the fast average is above the slow one."""

from typing import Any

FAST_BARS = 50
SLOW_BARS = 200
EXPONENTIAL = 0
ALLOW_SHORT = 0

_average: dict[int, float] = {}


def average(close: list[float], bars: int) -> float:
    """Simple: the mean of the last `bars` closes. Exponential: weight 2 / (bars + 1), begun at the first close."""
    if not EXPONENTIAL:
        return float(sum(close[-bars:]) / bars)
    before = _average.get(bars, close[0])
    _average[bars] = before + 2 / (bars + 1) * (close[-1] - before)
    return _average[bars]


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    gap = average(close, FAST_BARS) - average(close, SLOW_BARS)
    if len(close) < SLOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    return {"position": 1.0 if gap > 0 else -1.0 * ALLOW_SHORT, "reading": gap}
