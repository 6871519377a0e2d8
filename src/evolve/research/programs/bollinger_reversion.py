"""Buy a close below the lower Bollinger band; leave when the close is back at the middle."""

from typing import Any

import numpy as np

WINDOW_BARS = 20
WIDTH = 2.0
ALLOW_SHORT = 0

_state = {"position": 0.0}


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) < WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    window = np.array(close[-WINDOW_BARS:])
    middle, spread = float(window.mean()), float(window.std())
    distance = (close[-1] - middle) / spread if spread > 0 else 0.0
    held = _state["position"]
    if (held > 0 and distance >= 0) or (held < 0 and distance <= 0):
        held = 0.0
    if distance < -WIDTH:
        held = 1.0
    elif distance > WIDTH and ALLOW_SHORT:
        held = -1.0
    _state["position"] = held
    return {"position": held, "reading": distance}
