"""What may a model look at when it decides at the close of bar t?

Every feature is a series over bars whose value at t uses bars ≤ t only, roughly free of the price level and of the level of
volatility, so that what was learned in one decade means the same in another. `FEATURES` documents them one by one; a user's
words (`close`, `rsi`, …) stand for one or more of them (`GROUPS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest, nearest
from evolve.market import indicators
from evolve.market.bars import Bars, Floats

VOLATILITY_DECAY = 0.94  # RiskMetrics (1996) for daily bars: a memory of about 17
VOLATILITY_FLOOR = (
    0.1  # of the root mean square so far: a stretch of equal closes must not make the next return infinite
)
VOLUME_WINDOW_BARS = 63  # a quarter of daily bars: the usual volume drifts over years
CLIP = 5.0  # standard deviations; beyond, a value says "extreme", and its size would rule a linear fit


@dataclass(frozen=True, slots=True)
class Feature:
    """name; meaning, for the reader of a model card; warm_up_bars: how many first values are NaN; compute: bars → shape (bars,)."""

    name: str
    meaning: str
    warm_up_bars: int
    compute: Callable[[Bars], Floats]
    needs_volume: bool = False


def causal_volatility(bars: Bars) -> Floats:
    """Standard deviation of the next bar's log return as known at each close, shape (bars,).

    Exponentially weighted root mean square of the log returns up to t (decay 0.94), started at the first squared return, and
    never below a tenth of the plain root mean square up to t. NaN at bar 0, and 0 until a close first differs from the one before.
    """
    known = _VOLATILITIES.get(bars)
    if known is None:
        known = _VOLATILITIES[bars] = _causal_volatility(bars)
    return known.copy()


# Most features divide by it, and bars never change; an entry goes with its bars.
_VOLATILITIES: WeakKeyDictionary[Bars, Floats] = WeakKeyDictionary()


def _causal_volatility(bars: Bars) -> Floats:
    squares = indicators.log_returns(bars.close)[1:] ** 2
    volatility = np.full(len(bars), np.nan)
    if squares.size:
        recent = _decaying_mean(squares, VOLATILITY_DECAY)
        overall = np.cumsum(squares) / np.arange(1, squares.size + 1)
        volatility[1:] = np.sqrt(np.maximum(recent, VOLATILITY_FLOOR**2 * overall))
    return volatility


def scaled_return_ahead(bars: Bars, horizon_bars: int) -> Floats:
    """The target: log return from close t to close t + horizon over the volatility known at t times √horizon; NaN where unknown.

    Scaled, because a day's return in a calm year and in a crash then weigh alike.
    """
    closes = np.log(bars.close)
    target = np.full(len(bars), np.nan)
    scale = causal_volatility(bars)[:-horizon_bars] * np.sqrt(horizon_bars)
    ahead = closes[horizon_bars:] - closes[:-horizon_bars]
    target[:-horizon_bars] = np.divide(ahead, scale, out=np.full(ahead.shape, np.nan), where=scale > 0)
    return target


def _decaying_mean(values: Floats, decay: float) -> Floats:
    """Exponentially weighted mean, weight 1 − decay on the newest, started at the first value."""
    mean = float(values[0])
    return np.array([mean := mean + (1 - decay) * (value - mean) for value in values.tolist()])


def _return_over(lag: int) -> Callable[[Bars], Floats]:
    def compute(bars: Bars) -> Floats:
        closes = np.log(bars.close)
        values = np.full(len(bars), np.nan)
        values[lag:] = closes[lag:] - closes[:-lag]
        scaled: Floats = _per_volatility(values, bars) / np.sqrt(lag)
        return scaled

    return compute


def _per_volatility(values: Floats, bars: Bars) -> Floats:
    """values / volatility; 0 where no close has moved yet (0 / 0: no return, no risk)."""
    volatility = causal_volatility(bars)
    per_volatility: Floats = np.divide(
        values, volatility, out=np.where(np.isnan(values), np.nan, 0.0), where=volatility > 0
    )
    return per_volatility


def _realised_volatility(window: int) -> Callable[[Bars], Floats]:
    def compute(bars: Bars) -> Floats:
        squares = indicators.log_returns(bars.close) ** 2
        recent = indicators.sma(squares, window=window)
        overall = np.full(len(bars), np.nan)
        overall[1:] = np.cumsum(squares[1:]) / np.arange(1, len(bars))
        ratio = np.divide(recent, overall, out=np.ones(len(bars)), where=overall > 0)
        relative: Floats = 0.5 * np.log(np.maximum(ratio, VOLATILITY_FLOOR**2))
        return relative

    return compute


def _rsi(bars: Bars) -> Floats:
    return indicators.rsi(bars.close, window=14) / 50 - 1


def _macd(bars: Bars) -> Floats:
    return _per_volatility(indicators.macd(np.log(bars.close)).histogram, bars)


def _volume(bars: Bars) -> Floats:
    # Missing volumes, and those before the first bar, are left out of the window's mean; a third of it must be known.
    known = np.concatenate([np.zeros(VOLUME_WINDOW_BARS - 1), np.isfinite(bars.volume)])
    logs = np.log1p(
        np.concatenate(
            [np.zeros(VOLUME_WINDOW_BARS - 1), np.where(known[VOLUME_WINDOW_BARS - 1 :] > 0, bars.volume, 0.0)]
        )
    )
    first = int(np.argmax(known))
    logs = known * (logs - logs[first])  # a fixed shift, so that the squares below keep their digits

    def mean(values: Floats) -> Floats:
        return indicators.sma(values, window=VOLUME_WINDOW_BARS)[VOLUME_WINDOW_BARS - 1 :]

    share = mean(known)
    enough = (share >= 1 / 3) & np.isfinite(bars.volume)
    share = np.where(enough, share, 1.0)
    average = mean(logs) / share
    std = np.sqrt(np.maximum(mean(logs**2) / share - average**2, 0.0))
    z = np.divide(logs[VOLUME_WINDOW_BARS - 1 :] - average, std, out=np.zeros(len(bars)), where=std > 1e-6)
    return np.where(enough, z, np.nan)


def _gap(bars: Bars) -> Floats:
    values = np.full(len(bars), np.nan)
    values[1:] = np.log(bars.open[1:] / bars.close[:-1])
    return _per_volatility(values, bars)


def _body(bars: Bars) -> Floats:
    values = np.log(bars.close / bars.open)
    values[:1] = np.nan
    return _per_volatility(values, bars)


def _range(bars: Bars) -> Floats:
    values = np.log(bars.high / bars.low)
    values[:1] = np.nan
    return _per_volatility(values, bars)


def _on_circle(period_ms: int, turn: Callable[[Floats], Floats]) -> Callable[[Bars], Floats]:
    def compute(bars: Bars) -> Floats:
        return turn(2 * np.pi * (bars.time % period_ms) / period_ms)

    return compute


_DAY_MS = 86_400_000

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        *(
            Feature(f"return_{lag}", f"log return over the last {lag} bar{'s'[: lag > 1]}, over volatility × √{lag}", lag, _return_over(lag))
            for lag in (1, 2, 5, 10, 21)
        ),
        *(
            Feature(f"volatility_{window}", f"log of realised volatility over {window} bars relative to that of all bars so far", window, _realised_volatility(window))
            for window in (5, 21)
        ),
        Feature("rsi_14", "relative strength index over 14 bars (Wilder), rescaled to −1 … 1", 14, _rsi),
        Feature("macd", "MACD histogram (12, 26, 9) of log closes, over volatility", 35, _macd),
        Feature("volume_z", f"log volume, standardised over the last {VOLUME_WINDOW_BARS} bars", 20, _volume, needs_volume=True),
        Feature("gap", "log of open over the close before, over volatility", 1, _gap),
        Feature("body", "log of close over open of the bar, over volatility", 1, _body),
        Feature("range", "log of high over low of the bar, over volatility", 1, _range),
        Feature("weekday_sin", "day of the week (UTC) on a circle, sine", 0, _on_circle(7 * _DAY_MS, np.sin)),
        Feature("weekday_cos", "day of the week (UTC) on a circle, cosine", 0, _on_circle(7 * _DAY_MS, np.cos)),
        Feature("hour_sin", "time of day (UTC) on a circle, sine", 0, _on_circle(_DAY_MS, np.sin)),
        Feature("hour_cos", "time of day (UTC) on a circle, cosine", 0, _on_circle(_DAY_MS, np.cos)),
    )
}  # fmt: skip

RETURNS = ("return_1", "return_2", "return_5", "return_10", "return_21")
# Calendar features are left to those who ask: each costs about 1/bars of R² where it says nothing, and R² of daily returns is small.
DEFAULT_FEATURES = (*RETURNS, "volatility_5", "volatility_21", "rsi_14", "macd", "volume_z")

GROUPS: dict[str, tuple[str, ...]] = {
    "close": RETURNS,
    "returns": RETURNS,
    "momentum": ("return_10", "return_21"),
    "open": ("gap", "body"),
    "high": ("range",),
    "low": ("range",),
    "volume": ("volume_z",),
    "volatility": ("volatility_5", "volatility_21"),
    "rsi": ("rsi_14",),
    "day_of_week": ("weekday_sin", "weekday_cos"),
    "hour_of_day": ("hour_sin", "hour_cos"),
    "default": DEFAULT_FEATURES,
}


def feature_names() -> tuple[str, ...]:
    """Every name a user may give: features and groups."""
    return (*FEATURES, *GROUPS)


def resolve(names: Sequence[str]) -> tuple[str, ...]:
    """The features that `names` stand for, each once, in the order named; the default set for none.

    Names are taken in any case. Raises InvalidRequest with the nearest names for an unknown one.
    """
    resolved: dict[str, None] = {}
    for name in names or DEFAULT_FEATURES:
        folded = name.strip().lower().replace(" ", "_").replace("-", "_")
        if folded in GROUPS:
            resolved.update(dict.fromkeys(GROUPS[folded]))
        elif folded in FEATURES:
            resolved[folded] = None
        else:
            near = nearest(folded, feature_names())
            suggestion = f"nearest: {', '.join(near)}; " if near else ""
            raise InvalidRequest(f"unknown feature {name!r}; {suggestion}known: {', '.join(feature_names())}")
    return tuple(resolved)


def usable(bars: Bars, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Features that these bars can give, and notes on what was left out.

    A source without any volume: volume features are left out of the *default* set and a note says so; named by the user they
    raise DataUnavailable.
    """
    resolved = resolve(names)
    if not np.isnan(bars.volume).all():
        return resolved, ()
    without = tuple(name for name in resolved if not FEATURES[name].needs_volume)
    if without == resolved:
        return resolved, ()
    if names:
        raise DataUnavailable(
            f"{bars.source} has no volume for {bars.symbol}; name other features: {', '.join(without) or ', '.join(RETURNS)}"
        )
    return without, (f"no volume in {bars.source}: the model was built without volume features",)


def warm_up_bars(names: Iterable[str]) -> int:
    """The first bar at which all these features are known."""
    return max((FEATURES[name].warm_up_bars for name in names), default=0)


def feature_matrix(bars: Bars, names: Sequence[str]) -> Floats:
    """Features by bar, shape (bars, features). NaN during a feature's warm-up and where the volume it needs is missing."""
    known = _COLUMNS.setdefault(bars, {})
    matrix = np.full((len(bars), len(names)), np.nan)
    for column, name in enumerate(names):
        if name not in known:
            known[name] = FEATURES[name].compute(bars)
        warm_up = FEATURES[name].warm_up_bars
        matrix[warm_up:, column] = known[name][warm_up:]
    return matrix


# The families of an ensemble look at the same bars; as with _VOLATILITIES, an entry goes with its bars.
_COLUMNS: WeakKeyDictionary[Bars, dict[str, Floats]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of each feature over the training part, shape (features,)."""

    mean: Floats
    std: Floats

    @classmethod
    def fit(cls, matrix: Floats) -> Standardisation:
        """From rows of the training part; NaN are left out. A constant or wholly missing feature becomes 0 everywhere."""
        known = np.isfinite(matrix)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, matrix, 0.0).sum(axis=0) / count
        std = np.sqrt((np.where(known, matrix - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(mean=mean, std=np.where(std > 1e-9, std, np.inf))

    def apply(self, matrix: Floats) -> Floats:
        """Standardised and clipped to ±CLIP. A missing value becomes 0, the training mean: "nothing unusual is known"."""
        standard = np.clip((matrix - self.mean) / self.std, -CLIP, CLIP)
        return np.where(np.isfinite(standard), standard, 0.0)
