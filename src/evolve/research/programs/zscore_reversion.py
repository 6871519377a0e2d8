"""Buy when the close is far below its mean, in standard deviations; leave when it is near it again."""

from typing import Any

import numpy as np

WINDOW_BARS = 20
ENTRY_Z = 2.0
EXIT_Z = 0.5
ALLOW_SHORT = 0

_state = {"position": 0.0}


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    if len(close) < WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    window = np.array(close[-WINDOW_BARS:])
    spread = float(window.std(ddof=1))
    score = (close[-1] - float(window.mean())) / spread if spread > 0 else 0.0
    held = _state["position"]
    if abs(score) < EXIT_Z:
        held = 0.0
    if score < -ENTRY_Z:
        held = 1.0
    elif score > ENTRY_Z:
        held = -1.0 * ALLOW_SHORT
    _state["position"] = held
    return {"position": held, "reading": score}
