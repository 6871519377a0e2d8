"""Trade the spread of two symbols: buy the pair when the first is cheap against the second, sell it when it is dear; leave near the mean."""

from typing import Any

import numpy as np

WINDOW_BARS = 60
ENTRY_Z = 2.0
EXIT_Z = 0.5

_state = {"position": 0.0}


def main(input_data: dict[str, Any]) -> dict[str, float]:
    market = input_data["market_data"]
    if len(market["first_close"]) < WINDOW_BARS:
        return {"position": 0.0, "reading": 0.0}
    first, second = (np.log(np.array(market[leg][-WINDOW_BARS:])) for leg in ("first_close", "second_close"))
    spread = first - second
    deviation = float(spread.std(ddof=1))
    score = float(spread[-1] - spread.mean()) / deviation if deviation > 0 else 0.0
    held = _state["position"]
    if abs(score) < EXIT_Z:
        held = 0.0
    if score < -ENTRY_Z:
        held = 1.0
    elif score > ENTRY_Z:
        held = -1.0
    _state["position"] = held
    return {"position": held, "reading": score}
