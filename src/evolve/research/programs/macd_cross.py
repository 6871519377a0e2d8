"""Hold while the MACD line is above its signal line."""

from typing import Any

FAST_BARS = 12
SLOW_BARS = 26
SIGNAL_BARS = 9
ALLOW_SHORT = 0

_state: dict[str, float] = {}


def smoothed(name: str, value: float, bars: int) -> float:
    """Exponential average with weight 2 / (bars + 1), begun at the first value."""
    before = _state.get(name, value)
    _state[name] = before + 2 / (bars + 1) * (value - before)
    return _state[name]


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    line = smoothed("fast", close[-1], FAST_BARS) - smoothed("slow", close[-1], SLOW_BARS)
    gap = line - smoothed("signal", line, SIGNAL_BARS)
    if len(close) < SLOW_BARS + SIGNAL_BARS:
        return {"position": 0.0, "reading": 0.0}
    return {"position": 1.0 if gap > 0 else -1.0 * ALLOW_SHORT, "reading": gap}
