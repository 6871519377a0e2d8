"""Buy a close above the highest high of the bars before it; leave at a close below the lowest low of fewer bars."""

from typing import Any

ENTRY_BARS = 20
EXIT_BARS = 10
ALLOW_SHORT = 0

_state = {"position": 0.0}


def main(input_data: dict[str, Any]) -> dict[str, float]:
    market = input_data["market_data"]
    high, low, close = market["high"], market["low"], market["close"]
    longest = max(ENTRY_BARS, EXIT_BARS)
    if len(close) <= longest:
        return {"position": 0.0, "reading": 0.0}
    top, bottom = max(high[-1 - ENTRY_BARS : -1]), min(low[-1 - ENTRY_BARS : -1])
    held = _state["position"]
    if (held > 0 and close[-1] < min(low[-1 - EXIT_BARS : -1])) or (
        held < 0 and close[-1] > max(high[-1 - EXIT_BARS : -1])
    ):
        held = 0.0
    if close[-1] > top:
        held = 1.0
    elif close[-1] < bottom and ALLOW_SHORT:
        held = -1.0
    _state["position"] = held
    return {"position": held, "reading": top}
