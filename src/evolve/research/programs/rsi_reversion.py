"""Buy when Wilder's relative strength index falls below the lower level; leave when it rises above the upper one."""

from typing import Any

WINDOW_BARS = 14
LOWER = 30.0
UPPER = 70.0
ALLOW_SHORT = 0

_state = {"up": 0.0, "down": 0.0, "position": 0.0}


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    changes = len(close) - 1
    if changes < 1:
        return {"position": 0.0, "reading": 50.0}
    change = close[-1] - close[-2]
    # The first `WINDOW_BARS` changes are averaged plainly, later ones by Wilder's smoothing.
    weight = 1 / min(changes, WINDOW_BARS)
    _state["up"] += weight * (max(change, 0.0) - _state["up"])
    _state["down"] += weight * (max(-change, 0.0) - _state["down"])
    total = _state["up"] + _state["down"]
    strength = 100 * _state["up"] / total if total > 0 else 50.0
    if changes >= WINDOW_BARS:
        if strength < LOWER:
            _state["position"] = 1.0
        elif strength > UPPER:
            _state["position"] = -1.0 * ALLOW_SHORT
    return {"position": _state["position"], "reading": strength}
