"""What stands out in these data, and could it be chance? Statements computed from the returns, each with its figures and its plot.

A statement is made only where a test or a plain count says so; what was looked for and not found is named beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from evolve.agents.figures import BAND_LEVEL, BAND_Z
from evolve.agents.plot_sources import Found, PlotSources, Tested
from evolve.cards import Insight
from evolve.errors import DataUnavailable, InvalidRequest, nearest
from evolve.evidence import Evidence, EvidenceBook, Unit, render
from evolve.market.bars import Bars, Floats, Stamps
from evolve.statistics.comparison import hac_mean, long_run_variance, newey_west_lags, p_value
from evolve.statistics.scores import coverage

INSIGHT_TYPES: dict[str, tuple[str, ...]] = {
    "performance": ("against_holding", "drawdown", "concentration", "regime", "coverage", "seasonality"),
    "risk": ("drawdown", "regime", "coverage", "concentration"),
    "seasonality": ("seasonality",),
}
LEVEL = 0.05  # of error, after correction for all tests of one kind
REGIME_LEVEL = 0.01  # one test is made whenever somebody asks; at 1 % a false alarm stays rare
RECENT_SHARE, BEFORE_SHARE = 0.25, 1.0  # years: volatility of a quarter against that of the year before it
LEAST_BARS = 250  # a year of days: with less, no month comes twice and no quarter has a year before it
COVERED_BARS = 250
BEST_SHARE = 0.01  # the best of a hundred bars
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def insight_kind(name: str) -> tuple[str, ...]:
    """The kinds of statements of a type. Raises InvalidRequest naming the nearest types."""
    word = name.strip().lower()
    if word in INSIGHT_TYPES:
        return INSIGHT_TYPES[word]
    close = nearest(word, INSIGHT_TYPES) or list(INSIGHT_TYPES)
    raise InvalidRequest(
        f"there is no insight type {name[:40]!r}; nearest: {', '.join(close)}", known=list(INSIGHT_TYPES)
    )


@dataclass(frozen=True, slots=True)
class Seen:
    insights: tuple[Insight, ...]
    without: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Subject:
    """What is looked at: net returns of a model, or closes of a symbol. time: of each return, Unix ms."""

    name: str
    returns: Floats
    time: Stamps
    bars: Bars
    tested: Tested | None
    book: EvidenceBook

    def figure(self, name: str, value: float, unit: Unit, computed: str, low: float | None = None, high: float | None = None, level: float | None = None) -> Evidence:  # fmt: skip
        return self.book.add(
            name, self.name, value, unit, as_of=self.bars.date(-1), source=self.bars.source, computed=computed, low=low, high=high, level=level
        )  # fmt: skip

    def date(self, at: int) -> str:
        return self.bars.date(int(np.searchsorted(self.bars.time, self.time[at])))


Looked = Insight | str


class InsightFinder:
    def __init__(self, sources: PlotSources) -> None:
        self._sources = sources

    def look(self, found: Found, kinds: tuple[str, ...]) -> Seen:
        """Statements about the first model or symbol of a source, largest weight first. Raises DataUnavailable for too few bars."""
        subject = self._subject(found)
        if len(subject.returns) < LEAST_BARS:
            raise DataUnavailable(f"{len(subject.returns)} bars of {subject.name} are too few to say what stands out; {LEAST_BARS} are needed")  # fmt: skip
        looked = [LOOKS[kind](subject) for kind in kinds]
        insights = sorted((each for each in looked if isinstance(each, Insight)), key=lambda each: -each.weight)
        without = [each for each in looked if isinstance(each, str)]
        if len(found.ids) > 1:
            without.append(
                f"only {subject.name} was looked at, the first of {len(found.ids)}; ask for the others one by one"
            )
        return Seen(tuple(insights), tuple(without))

    def _subject(self, found: Found) -> _Subject:
        if found.kind == "models":
            tested = self._sources.tested(found.ids[0])
            return _Subject(tested.card.model_id, tested.returns, tested.time, tested.bars, tested, EvidenceBook())
        bars = self._sources.bars(found.ids[0], found.timeframe, simulate=found.simulate)
        name = f"{bars.symbol} SIMULATED" if bars.simulated else bars.symbol
        return _Subject(name, bars.close[1:] / bars.close[:-1] - 1, bars.time[1:], bars, None, EvidenceBook())


# --- one look per kind: an insight, or a sentence that says why there is none ---


def against_holding(subject: _Subject) -> Looked:
    tested = subject.tested
    if tested is None:
        return f"against holding: {subject.name} is a symbol, not a model"
    own, held = _growth(subject.returns), _growth(tested.hold.returns)
    test = hac_mean(subject.returns - tested.hold.returns)
    if test.p is None:
        return f"against holding: {test.note}"
    figures = (
        subject.figure("total_return", own, "fraction", "growth of the account, net of costs, less one"),
        subject.figure("held_return", held, "fraction", "the same for buy and hold"),
        subject.figure(
            "p_value", test.p, "probability", f"two-sided HAC test that the mean returns are equal, {test.lags} lags"
        ),
    )
    chance = "more than chance explains" if test.p < LEVEL else "no more than chance explains"
    side = "more" if own > held else "less"
    said = f"{subject.name} earned {render(figures[0])} out of sample, {side} than holding with {render(figures[1])}: {chance} (p {render(figures[2])})."
    return Insight("against_holding", said, 1 - test.p, figures, "equity_curve")


def drawdown(subject: _Subject) -> Looked:
    equity = np.cumprod(1 + subject.returns)
    peaks = np.maximum.accumulate(np.concatenate([[1.0], equity]))[1:]
    fallen = equity / peaks - 1
    worst = int(np.argmin(fallen))
    if fallen[worst] == 0.0:
        return f"drawdown: {subject.name} never fell below a peak"
    deepest = subject.figure(
        "drawdown", float(fallen[worst]), "fraction", f"deepest fall from a peak, at {subject.date(worst)}"
    )
    now = subject.figure("drawdown_now", float(fallen[-1]), "fraction", "last value below the highest so far")
    since = np.flatnonzero(fallen[: worst + 1] == 0.0)
    began = subject.date(int(since[-1])) if since.size else "the start"
    said = f"{subject.name} fell {render(deepest)} from its peak ({began}) to {subject.date(worst)}, and is at {render(now)} from its highest now."
    return Insight("drawdown", said, min(1.0, abs(float(fallen[worst]))), (deepest, now), "equity_curve")


def regime(subject: _Subject) -> Looked:
    """Volatility of the last quarter against the year before, by the mean absolute return with HAC errors."""
    year = round(subject.bars.bars_per_year)
    recent_bars, before_bars = max(20, round(RECENT_SHARE * year)), max(60, round(BEFORE_SHARE * year))
    if len(subject.returns) < recent_bars + before_bars:
        return f"regime: {len(subject.returns)} bars are too few for a quarter and the year before it"
    recent, before = subject.returns[-recent_bars:], subject.returns[-recent_bars - before_bars : -recent_bars]
    size, error = abs_change(recent, before)
    if error == 0.0:
        return "regime: the returns do not vary"
    p = float(p_value(size / error, len(recent) + len(before) - 2, "two-sided"))
    now, then = (float(part.std(ddof=1) * np.sqrt(subject.bars.bars_per_year)) for part in (recent, before))
    if p >= REGIME_LEVEL:
        return f"regime: the volatility of the last {recent_bars} bars does not differ from the {before_bars} before (p {p:.2f})"
    figures = (
        subject.figure(
            "volatility_recent", now, "fraction", f"standard deviation of the last {recent_bars} returns, annualised"
        ),
        subject.figure("volatility_before", then, "fraction", f"the same over the {before_bars} bars before"),
        subject.figure("p_value", p, "probability", "two-sided HAC test that the mean absolute returns are equal"),
    )
    turn = "rose" if now > then else "fell"
    said = f"Volatility of {subject.name} {turn} to {render(figures[0])} a year from {render(figures[1])} (p {render(figures[2])})."
    return Insight("regime", said, 1 - p, figures, "rolling_metrics")


def abs_change(recent: Floats, before: Floats) -> tuple[float, float]:
    """Change of the mean absolute return, and its standard error with autocorrelation counted."""
    parts = [np.abs(part) for part in (recent, before)]
    errors = [float(long_run_variance(part, lags=newey_west_lags(len(part)))) / len(part) for part in parts]
    return float(parts[0].mean() - parts[1].mean()), float(np.sqrt(sum(errors)))


def concentration(subject: _Subject) -> Looked:
    """What is left without the best one in a hundred bars."""
    count = max(1, round(BEST_SHARE * len(subject.returns)))
    total = _growth(subject.returns)
    without = _growth(np.sort(subject.returns)[:-count])
    if total <= 0 or without > 0.5 * total:
        return f"concentration: without its best {count} bars {subject.name} has {100 * without:.1f} % instead of {100 * total:.1f} %"
    figures = (
        subject.figure("total_return", total, "fraction", "growth over all bars, less one"),
        subject.figure(
            "return_without_best",
            without,
            "fraction",
            f"the same without the best {count} of {len(subject.returns):,} bars",
        ),
        subject.figure("best_bars", count, "count", "bars left out"),
    )
    said = f"{subject.name} owes {render(figures[0])} to few bars: without its best {count} of {len(subject.returns):,} it would be {render(figures[1])}."
    return Insight("concentration", said, min(1.0, 1 - without / total), figures, "return_distribution")


def covered(subject: _Subject) -> Looked:
    """Does the 90 % band still hold 90 % of the outcomes?"""
    tested = subject.tested
    if tested is None:
        return f"coverage: {subject.name} is a symbol and forecasts nothing"
    forecasts, bars = tested.forecasts, tested.bars
    known = np.arange(
        max(forecasts.start, len(bars) - forecasts.horizon_bars - COVERED_BARS), len(bars) - forecasts.horizon_bars
    )
    at = known - forecasts.start
    realised = np.log(bars.close[known + forecasts.horizon_bars] / bars.close[known])
    low, high = (forecasts.mean[at] + side * BAND_Z * forecasts.std[at] for side in (-1, 1))
    share = coverage(low, high, realised)
    if share.value is None or share.low is None or share.high is None:
        return f"coverage: {share.note}"
    if share.low <= BAND_LEVEL <= share.high:
        return f"coverage: the 90 % band held {100 * share.value:.0f} % of the last {share.n} outcomes, as it should"
    figure = subject.figure("band_coverage", share.value, "fraction", f"share of the last {share.n} outcomes inside the 90 % band; Wilson interval", share.low, share.high, share.level)  # fmt: skip
    trouble = "it is too narrow" if share.value < BAND_LEVEL else "it is too wide"
    said = f"The 90 % band of {subject.name} held {render(figure)} of the last {share.n} outcomes: {trouble}."
    return Insight("coverage", said, min(1.0, 5 * abs(share.value - BAND_LEVEL)), (figure,), "forecast_fan")


def seasonality(subject: _Subject) -> Looked:
    """Is a month different from the others, after twelve were tried? Holm's correction of HAC tests."""
    month = subject.time.astype("datetime64[ms]").astype("datetime64[M]").astype(int) % 12
    tests: dict[int, tuple[float, float]] = {}
    for number in range(12):
        years = np.unique(subject.time[month == number].astype("datetime64[ms]").astype("datetime64[Y]"))
        if len(years) >= 3 and not (month == number).all():
            tests[number] = _month_test(subject.returns, month == number)
    if len(tests) < 2:
        return "seasonality: fewer than three years hold a month twice over"
    adjusted = holm({number: p for number, (_, p) in tests.items()})
    best = min(adjusted, key=lambda number: adjusted[number])
    if adjusted[best] >= LEVEL:
        return f"seasonality: no month differs from the others once {len(tests)} were tried (smallest corrected p {adjusted[best]:.2f})"
    mean = float(subject.returns[month == best].mean())
    others = float(subject.returns[month != best].mean())
    figures = (
        subject.figure("mean_return_in_month", mean, "fraction", f"mean net return of a bar in {MONTHS[best]}"),
        subject.figure("mean_return_otherwise", others, "fraction", "the same in all other months"),
        subject.figure(
            "p_value",
            adjusted[best],
            "probability",
            f"HAC test of the difference, Holm-corrected for {len(tests)} months",
        ),
    )
    said = f"{MONTHS[best]} differs: {render(figures[0])} a bar against {render(figures[1])} in the other months, also after {len(tests)} months were tried (p {render(figures[2])})."
    return Insight("seasonality", said, 1 - adjusted[best], figures, "monthly_returns")


def _month_test(returns: Floats, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[float, float]:
    """Difference of the mean return inside and outside, and its p-value; errors count autocorrelation over the whole series."""
    share = inside.mean()
    difference = float(returns[inside].mean() - returns[~inside].mean())
    # The difference is the mean of this series, so the HAC error of its mean is that of the difference.
    influence = (returns - returns[inside].mean()) * inside / share - (returns - returns[~inside].mean()) * ~inside / (
        1 - share
    )
    error = float(np.sqrt(long_run_variance(influence, lags=newey_west_lags(len(returns))) / len(returns)))
    return difference, float(p_value(difference / error, len(returns) - 2, "two-sided")) if error > 0 else 1.0


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """p-values such that the chance of one false finding among all stays at their level.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian J. Statistics 6(2).
    """
    adjusted: dict[int, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = highest
    return adjusted


def _growth(returns: Floats) -> float:
    return float(np.prod(1 + returns) - 1)


LOOKS: dict[str, Callable[[_Subject], Looked]] = {
    "against_holding": against_holding,
    "drawdown": drawdown,
    "regime": regime,
    "concentration": concentration,
    "coverage": covered,
    "seasonality": seasonality,
}
