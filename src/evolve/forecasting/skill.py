"""Had a model shown skill when it decided? Only then may its forecast become a position.

What a model shows is its forecasts whose outcome was known at that close, made by fits that had not seen them. "No change" is
nested in every family (a forecast of zero), and a test of two squared errors then leans against the larger model: the adjusted
test asks whether outcomes go with forecasts, and finds a given skill on a quarter of the bars.

Source: Clark & West (2007), Approximately normal tests for equal predictive accuracy in nested models, J. Econometrics 138(1).
"""

from __future__ import annotations

import numpy as np

from evolve.errors import InvalidRequest
from evolve.market.bars import Floats
from evolve.statistics.metric import same_length
from evolve.statistics.student import upper_tail

LEVEL = 0.05
MIN_OUTCOMES = 60  # a quarter of daily bars: with fewer, one outlier makes or hides any skill


def skill_p_values(mean: Floats, std: Floats, log_close: Floats, *, horizon_bars: int) -> Floats:
    """p-value of the skill shown up to each decision, one-sided against "no change"; 1 where too few outcomes were known.

    mean, std: forecasts of the log return over horizon_bars and their deviation, shape (decisions,), made at consecutive closes;
    log_close: the logs of those closes. At decision t the outcomes of forecasts up to t − horizon_bars are known. Outcomes that
    overlap repeat each other: one in horizon_bars counts. Raises InvalidRequest for unequal lengths.
    """
    decisions = same_length(mean=mean, std=std, log_close=log_close)
    if horizon_bars < 1:
        raise InvalidRequest(f"horizon_bars must be at least 1, not {horizon_bars}")
    shown = np.ones(decisions)
    if decisions <= horizon_bars:
        return shown
    outcome = (log_close[horizon_bars:] - log_close[:-horizon_bars]) / std[:-horizon_bars]
    agreement = outcome * mean[:-horizon_bars] / std[:-horizon_bars]
    known = np.arange(1, len(agreement) + 1)
    average = np.cumsum(agreement) / known
    spread = np.maximum(np.cumsum(agreement**2) / known - average**2, 0.0)
    independent = known / horizon_bars
    judged = (independent >= MIN_OUTCOMES) & (spread > 0)
    t = average[judged] / np.sqrt(spread[judged] / (independent[judged] - 1))
    p = np.ones(len(agreement))
    p[judged] = upper_tail(t, independent[judged] - 1)
    shown[horizon_bars:] = p
    return shown


def position_with_skill(position: Floats, skill_p: Floats) -> Floats:
    """`position` where skill was shown at 5 %, else 0; both of shape (decisions,)."""
    return np.where(skill_p <= LEVEL, position, 0.0)
