"""Forecast the next return by ridge regression on features of past prices, refitted as time goes on; hold its sign."""

from typing import Any

import numpy as np

LAGS = 5
TRAIN_BARS = 500
REFIT_BARS = 21
PENALTY = 10.0
ALLOW_SHORT = 0

_state: dict[str, Any] = {"weights": None, "fitted_at": 0}


def features(returns: Any, at: int) -> list[float]:
    """Of the bar with this index: the last returns, their mean and their spread over a month, each on the scale of one bar's risk."""
    month = returns[at - 20 : at + 1]
    spread = float(month.std()) or 1.0
    return [1.0, *(float(returns[at - lag]) / spread for lag in range(LAGS)), float(month.mean()) / spread]


def main(input_data: dict[str, Any]) -> dict[str, float]:
    close = input_data["market_data"]["close"]
    count = len(close)
    if count < TRAIN_BARS + 32:
        return {"position": 0.0, "reading": 0.0}
    returns = np.diff(np.log(np.array(close[-TRAIN_BARS - 31 :])))
    last = len(returns) - 1
    if _state["weights"] is None or count - _state["fitted_at"] >= REFIT_BARS:
        rows = range(last - TRAIN_BARS, last)
        known = np.array([features(returns, at) for at in rows])
        wanted = np.array([returns[at + 1] for at in rows])
        penalty = PENALTY * np.eye(known.shape[1])
        penalty[0, 0] = 0.0
        _state["weights"] = np.linalg.solve(known.T @ known + penalty, known.T @ wanted)
        _state["fitted_at"] = count
    forecast = float(np.array(features(returns, last)) @ _state["weights"])
    return {"position": 1.0 if forecast > 0 else -1.0 * ALLOW_SHORT, "reading": forecast}
