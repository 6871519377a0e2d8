"""Which charts are there, and how can they be changed? Their names on the wire and their options. Light: loads no array library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, Len

from evolve.charts.theme import ThemeName
from evolve.errors import nearest

PLOTS: dict[str, str] = {
    "equity_curve": "growth of 1 and drawdown, beside the baselines",
    "candlestick": "prices with volume, averages, RSI and a model's decisions",
    "forecast_fan": "a model's bands around what then happened, and how many outcomes they held",
    "return_distribution": "how often a bar gained or lost how much, beside the normal distribution",
    "rolling_metrics": "Sharpe ratio and volatility of the last year of bars, over time",
    "correlation_heatmap": "how alike the daily returns of symbols are",
    "monthly_returns": "the return of each month and year",
    "feature_importance": "how much a model's forecast changes when one feature is shuffled",
    "walk_forward": "what each fold trained on, tested on, and earned",
    "model_comparison": "Sharpe ratios with their intervals, models beside baselines",
    "tuning_history": "the score of each trial of a search, and the best so far beside the defaults",
    "tuning_importance": "how much of a search's differences each hyperparameter explains",
    "tuning_slices": "where along each hyperparameter the trials of a search scored what",
    "drift_board": "how near each model in charge is to an alarm of drift since it was trained",
}
OF_STUDIES = ("tuning_history", "tuning_importance", "tuning_slices")
"""Those that show a study: its id, or the newest one of a symbol or of the study that a model's hyperparameters are from."""
OF_BOARD = ("drift_board",)
"""Those that show the board of models in charge: all of it, or what symbols or models are named."""

ALIASES = {
    "equity": "equity_curve", "equity_curves": "equity_curve", "candles": "candlestick", "candlesticks": "candlestick",
    "price": "candlestick", "forecast": "forecast_fan", "fan": "forecast_fan", "distribution": "return_distribution",
    "returns": "return_distribution", "rolling_sharpe": "rolling_metrics", "rolling_volatility": "rolling_metrics",
    "correlation": "correlation_heatmap", "heatmap": "correlation_heatmap", "monthly": "monthly_returns", "importance": "feature_importance",
    "folds": "walk_forward", "walk_forward_folds": "walk_forward", "comparison": "model_comparison", "tuning": "tuning_history", "trials": "tuning_history", "optimization_history": "tuning_history",
    "slices": "tuning_slices", "drift": "drift_board", "watch_board": "drift_board", "board": "drift_board", "watch": "drift_board",
    "drawdown": "equity_curve", "equity_drawdown": "equity_curve", "ohlc": "candlestick", "ohlcv": "candlestick", "indicators": "candlestick",
    "signals": "candlestick", "candlestick_signals": "candlestick", "volume": "candlestick", "price_chart": "candlestick",
    "histogram": "return_distribution", "rolling": "rolling_metrics", "rolling_metric": "rolling_metrics", "volatility": "rolling_metrics",
    "correlation_matrix": "correlation_heatmap", "monthly_table": "monthly_returns", "monthly_heatmap": "monthly_returns",
    "monthly_returns_table": "monthly_returns", "model_comparisons": "model_comparison", "compare": "model_comparison",
    "coverage": "forecast_fan", "fan_chart": "forecast_fan", "forecasts": "forecast_fan", "walkforward": "walk_forward", "hyperparameter_importance": "tuning_importance",
}  # fmt: skip


def plot_kind(name: str) -> str:
    """The canonical name. Raises ValueError naming the nearest."""
    word = name.strip().lower().replace("-", "_").replace(" ", "_")
    word = ALIASES.get(word, word)
    if word in PLOTS:
        return word
    close = nearest(word, PLOTS) or list(PLOTS)
    raise ValueError(f"there is no plot {name[:80]!r}; nearest: {', '.join(close)}; all: {', '.join(PLOTS)}")


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """How a chart shall look. None: what suits the kind.

    timeframe, simulate: of a symbol's bars; shown_bars: the last ones drawn (candlestick, forecast_fan); window_bars: of rolling
    figures; averages: windows of the candlestick's moving averages, in bars. format: None means the ending of the path, else png.
    """

    theme: ThemeName = "light"
    format: Literal["png", "svg", "html"] | None = None
    title: Annotated[str, Len(1, 200)] | None = None
    timeframe: str | None = None
    simulate: bool = False
    shown_bars: Annotated[int, Ge(2), Le(20_000)] | None = None
    window_bars: Annotated[int, Ge(2), Le(20_000)] | None = None
    averages: Annotated[tuple[Annotated[int, Ge(1), Le(2_000)], ...], Len(0, 4)] = (20, 50)

    # An option that is spelled wrong must not be ignored in silence.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
