"""How are names of the wire said to a person? Labels of figures, verdicts and states."""

from __future__ import annotations

LABELS = {
    "overall_score": "Score", "sharpe": "Sharpe ratio", "total_return": "Return", "cagr": "Growth a year", "volatility": "Volatility",
    "drawdown": "Max drawdown", "drawdown_bars": "Longest drawdown", "win_rate": "Win rate", "turnover_per_year": "Turnover a year", "exposure": "In the market",
    "costs_paid": "Costs paid", "decision": "Position now", "skill_r2": "Forecast skill R²", "relative_mae": "Error vs no change",
    "dm_p_value": "p, skill", "direction": "Direction right", "band_coverage": "90 % band held", "next_return": "Next return",
    "up_probability": "Odds of a rise", "horizon_bars": "Horizon", "alpha": "Alpha a year", "alpha_t": "t of alpha", "alpha_p_value": "p of alpha",
    "probabilistic_sharpe": "Probabilistic Sharpe", "deflated_sharpe": "Deflated Sharpe", "min_track_record_years": "Years needed",
    "random_entry_percentile": "Random entries beaten", "random_entry_sharpe": "Random entry Sharpe", "sortino": "Sortino", "calmar": "Calmar", "profit_factor": "Profit factor",
    "mae": "Mean abs. error", "rmse": "RMSE", "mase": "MASE", "qlike": "QLIKE", "crps": "CRPS", "median": "Median close",
    "probability_up": "Odds of a rise", "expected_volatility": "Expected volatility", "band_50": "Band 50 %", "band_80": "Band 80 %", "band_90": "Band 90 %", "band_95": "Band 95 %",
    "buy_and_hold": "Buy and hold", "symbols": "Symbol", "period_days": "Days shown", "naive": "No change", "drift": "Drift", "flat": "Flat",
}  # fmt: skip

VERDICTS = {
    "edge": ("Edge", "good", "A model beat chance, its baselines and what it was tried against."),
    "no_edge": (
        "No edge",
        "accent",
        "The usual answer: on this evidence nothing here beats holding or luck. Not trading it is a result too.",
    ),
    "insufficient_data": ("Too little data", "warn", "Neither an edge nor its absence can be shown with these bars."),
    "reproduced": ("Reproduced", "good", "What was claimed came out of our own backtest."),
    "costs_remove_it": ("Costs remove it", "warn", "It is there before costs and gone after them."),
    "not_reproduced": ("Not reproduced", "bad", "What was claimed did not come out."),
    "no_claim": ("No claim", "accent", "The text states no figure to hold it against."),
    "not_comparable": ("Not comparable", "accent", "What was claimed is on other data or means something else."),
    "failing": ("Program fails", "bad", "The program did not get through its checks."),
    "good": ("Good", "good", "Nothing looks wrong."),
    "usable": ("Usable", "warn", "Read the warnings first."),
    "bad": ("Bad", "bad", "Figures on these bars mean nothing."),
    "steady": ("Steady", "good", ""),
    "drift": ("Drift", "bad", ""),
    "too_early": ("Too early to say", "accent", ""),
    "better": ("Better than the defaults", "good", ""),
    "defaults_as_good": ("Defaults as good", "accent", ""),
}


def label(name: str) -> str:
    """`Sharpe ratio` for `sharpe`; a name without a label with its underscores taken out."""
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def verdict_words(verdict: str) -> tuple[str, str, str]:
    """(words, tone, what it means) of a verdict or state."""
    return VERDICTS.get(verdict) or (verdict.replace("_", " "), "", "")
