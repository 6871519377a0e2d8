"""Which strategies can be written without a language model? A library of programs, what in a text points to each, and its numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from evolve.research.parameters import LAST_ONE, SHORT, Parameter, average_span, flag, month, never, number, span

ALLOW_SHORT = Parameter("ALLOW_SHORT", 0, 0, 1, SHORT)


@dataclass(frozen=True, slots=True)
class Template:
    """A program of `programs/`. cues: patterns with what each weighs; parameters: its constants; caveats: what it leaves out.

    symbols: of how many its program needs the bars; two are held as a pair.
    """

    name: str
    title: str
    family: str
    cues: tuple[tuple[str, int], ...]
    parameters: tuple[Parameter, ...]
    caveats: tuple[str, ...] = ()
    symbols: int = 1

    @property
    def program(self) -> str:
        return _program(self.name)

    def weight(self, text: str) -> tuple[int, tuple[str, ...]]:
        """How much in a text points here, and the words that do."""
        found = [
            (weight, match.group(0)) for cue, weight in self.cues if (match := re.search(cue, text, re.IGNORECASE))
        ]
        return sum(weight for weight, _ in found), tuple(" ".join(words.split()) for _, words in found)


@cache
def _program(name: str) -> str:
    return (files("evolve.research") / "programs" / f"{name}.py").read_text(encoding="utf-8")


TEMPLATES = (
    Template(
        "macd_cross", "MACD line against its signal line", "oscillator",
        ((r"\bmacd\b", 8), (r"\bmoving average convergence\b", 8), (r"\bsignal line\b", 3)),
        (
            Parameter("FAST_BARS", 12, 2, 100, number(r"\bmacd ?\(\s*<N>\s*,", r"<N>[-/, ]+(?:and )?\d+[-/, ]+(?:and )?\d+[- ](?:day|period|bar)")),
            Parameter("SLOW_BARS", 26, 3, 300, number(r"\bmacd ?\(\s*\d+\s*,\s*<N>", r"\d+[-/, ]+(?:and )?<N>[-/, ]+(?:and )?\d+[- ](?:day|period|bar)")),
            Parameter("SIGNAL_BARS", 9, 2, 100, number(r"\bmacd ?\(\s*\d+\s*,\s*\d+\s*,\s*<N>", r"\d+[-/, ]+(?:and )?\d+[-/, ]+(?:and )?<N>[- ](?:day|period|bar)", r"<N>[- ](?:day|period|bar) (?:ema |exponential average )?signal")),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "rsi_reversion", "Relative strength index, bought low and left high", "oscillator",
        ((r"\brsi\b", 8), (r"\brelative strength index\b", 8), (r"\bover(sold|bought)\b", 2)),
        (
            Parameter("WINDOW_BARS", 14, 2, 250, span(r"<S>[^.]{0,12}(?:rsi|relative strength index)", r"(?:rsi|relative strength index)[^.]{0,25}?(?:of|over|with|window|using)[^.\d]{0,12}<S>")),
            Parameter("LOWER", 30, 1, 50, number(r"\b(?:below|under|less than|falls? to)\s+<N>\b"), whole=False),
            Parameter("UPPER", 70, 50, 99, number(r"\b(?:above|over|exceeds?|greater than|rises? to)\s+<N>\b"), whole=False),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "bollinger_reversion", "Bollinger bands, bought below and left at the middle", "oscillator",
        ((r"\bbollinger\b", 8), (r"\b(lower|upper) bands?\b", 3)),
        (
            Parameter("WINDOW_BARS", 20, 5, 500, span(r"<S>[^.]{0,30}(?:bollinger|bands?|average|mean)", r"bollinger[^.]{0,60}?<S>")),
            Parameter("WIDTH", 2, 0.5, 5, number(r"<N>[- ](?:standard deviations?|sigmas?|std)"), whole=False),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "pairs_reversion", "Pairs trading, the spread back to its mean", "pairs",
        ((r"\bpairs?[- ]trad\w*|\btrad\w+ (of )?(a )?pairs?\b", 9), (r"\bcointegrat\w+", 8), (r"\bstat(istical)?[- ]arb\w*", 8), (r"\bspreads?\b", 3), (r"\b(two|both) (stocks|shares|symbols|assets|coins)\b", 2), (r"\bdiverge\w*|\bconverge\w*", 2)),
        (
            Parameter("WINDOW_BARS", 60, 5, 500, span(r"<S>[^.]{0,30}(?:mean|average|window|z-?score|formation|spread)", r"(?:mean|average|z-?score|window|formation)[^.\d]{0,30}<S>")),
            Parameter("ENTRY_Z", 2, 0.25, 6, number(r"<N>[- ](?:historical )?standard deviations?", r"z-?score[^.\d]{0,30}(?:minus |[-−])?<N>\b", r"(?:below|under|exceeds?|beyond|above)\s+(?:minus |[-−])?<N>\b"), whole=False),
            Parameter("EXIT_Z", 0.5, 0, 3, number(r"(?:exit\w*|clos\w+|leav\w+|within|inside)[^.\d]{0,40}<N>"), whole=False),
        ),
        ("both legs have the same size: no hedge ratio is estimated, and no test of cointegration chooses the pair",),
        symbols=2,
    ),
    Template(
        "turn_of_month", "Turn of the month", "seasonality",
        ((r"\bturn[- ]of[- ](the[- ])?month\b", 9), (r"\blast (trading )?days? of (the|each|every) month\b", 4), (r"\bmonth[- ]end\b", 3)),
        (
            Parameter("LAST_DAYS", 1, 0, 10, number(r"last <N> (?:trading |week)?days?")),
            Parameter("FIRST_DAYS", 3, 0, 10, number(r"first <N> (?:trading |week)?days?")),
        ),
        ("exchange holidays count as trading days",),
    ),
    Template(
        "season_of_year", "Season of the year", "seasonality",
        ((r"\bhalloween\b", 9), (r"\bsell in may\b", 9), (r"\bseasonal\w*", 4), (r"\bfrom (november|october) (to|through|until)\b", 4)),
        (
            Parameter("FIRST_MONTH", 11, 1, 12, month(r"\b(?:from|in|since|buys? in|begins? in|start of)\s+(?:the (?:start|beginning) of )?<M>\b")),
            Parameter("LAST_MONTH", 4, 1, 12, month(r"\b(?:to|through|until|till)\s+(?:the end of )?<M>\b", r"\bend of <M>\b")),
        ),
    ),
    Template(
        "volatility_target", "Volatility targeting", "volatility",
        ((r"\bvolatility[- ](target\w*|manag\w*|scal\w*|control\w*)", 9), (r"\btarget(s|ing|ed)? (an? )?(annual\w* |constant )?volatility\b", 9), (r"\binverse (of )?(realised |realized )?volatility\b", 5)),
        (
            Parameter("WINDOW_BARS", 20, 5, 500, span(r"<S>[^.%]{0,30}(?:volatility|variance|standard deviation)", r"(?:volatility|variance)[^.%]{0,40}?(?:over|past|last|of|previous)[^.%\d]{0,20}?<S>")),
            Parameter("TARGET_PER_YEAR", 0.1, 0.01, 1, number(r"<N> ?(?:%|percent|per cent)[^.]{0,30}volatility", r"volatility[^.%]{0,40}?<N> ?(?:%|percent|per cent)", scale=0.01), whole=False),
            Parameter("BARS_PER_YEAR", 252, 252, 252, never),
        ),
        ("never more than fully invested: leverage is not simulated",),
    ),
    Template(
        "carry_to_risk", "Carry per unit of risk", "carry",
        ((r"\bcarry\b", 8), (r"\binterest[- ]rate differentials?\b", 4), (r"\broll yield\b", 4)),
        (
            Parameter("CARRY_PER_YEAR", 0, -1, 1, number(r"carry[^.%]{0,40}?<N> ?(?:%|percent|per cent)", r"<N> ?(?:%|percent|per cent)[^.]{0,30}carry", r"(?:yield|differential)[^.%]{0,30}?<N> ?(?:%|percent|per cent)", scale=0.01), whole=False),
            Parameter("WINDOW_BARS", 63, 5, 500, span(r"<S>[^.%]{0,30}(?:volatility|risk)")),
            Parameter("BARS_PER_YEAR", 252, 252, 252, never),
            Parameter("ALLOW_SHORT", 1, 0, 1, SHORT),
        ),
        ("bars hold no yields: the carry is one constant that the text states, and it is not paid into the account",),
    ),
    Template(
        "ridge_features", "Ridge regression on features of past prices", "machine_learning",
        ((r"\bridge\b", 8), (r"\bmachine[- ]learning\b", 6), (r"\b(linear )?regression\b", 4), (r"\bfeatures?\b", 2), (r"\bpredict\w*|\bforecast\w*", 2)),
        (
            Parameter("LAGS", 5, 1, 20, number(r"<N> lags?\b", r"last <N> returns\b")),
            Parameter("TRAIN_BARS", 500, 60, 2000, span(r"(?:train\w*|rolling window|window|estimation)[^.\d]{0,30}<S>", r"<S>[^.]{0,12}(?:training|rolling|estimation) ?(?:window|sample)?")),
            Parameter("REFIT_BARS", 21, 1, 252, span(r"(?:refit\w*|retrain\w*|re-?estimat\w*)[^.\d]{0,20}<S>")),
            Parameter("PENALTY", 10, 0.001, 10_000, number(r"penalty[^.\d]{0,12}<N>"), whole=False),
            ALLOW_SHORT,
        ),
        ("one linear model stands for whatever model the text has; features are lagged returns, their mean and their spread",),
    ),
    Template(
        "moving_average_cross", "Crossing of two moving averages", "moving_average",
        ((r"\bmoving[- ]averages?\b", 4), (r"\bcross(es|ing|over|overs)?\b", 2), (r"\bgolden cross\b|\bdeath cross\b", 6), (r"\b(fast|short)[- ]?(term|er)?\b[^.]{0,40}\b(slow|long)[- ]?(term|er)?\b[^.]{0,30}\baverage", 3), (r"\b[es]ma\b", 3)),
        (
            Parameter("FAST_BARS", 50, 1, 400, average_span(0)),
            Parameter("SLOW_BARS", 200, 2, 1000, average_span(1)),
            Parameter("EXPONENTIAL", 0, 0, 1, flag(r"\bexponential\w*|\bema\b")),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "channel_breakout", "Breakout from a channel of highs and lows", "breakout",
        ((r"\bbreak-?outs?\b", 7), (r"\bdonchian\b", 8), (r"\bturtles?\b", 6), (r"\b(highest high|new (\S+ )?highs?)\b", 4), (r"\bchannels?\b", 2)),
        (
            Parameter("ENTRY_BARS", 20, 2, 500, span(r"(?:highest|breaks?\w*|high|above|donchian|channel)[^.]{0,50}?<S>", r"<S>[- ](?:highs?|breakouts?|donchian|channel)")),
            Parameter("EXIT_BARS", 10, 1, 500, span(r"(?:exit\w*|lowest|leaves?|low|below)[^.]{0,50}?<S>", r"<S>[- ]lows?")),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "zscore_reversion", "Mean reversion by z-score", "mean_reversion",
        ((r"\bmean[- ]rever\w+", 5), (r"\bz-?scores?\b", 5), (r"\bstandard deviations?\b", 2), (r"\brevert\w* to (its|the) (mean|average)\b", 4)),
        (
            Parameter("WINDOW_BARS", 20, 5, 500, span(r"<S>[^.]{0,30}(?:mean|average|window|z-?score)", r"(?:mean|average|z-?score|window)[^.\d]{0,30}<S>")),
            Parameter("ENTRY_Z", 2, 0.25, 6, number(r"<N> standard deviations? (?:below|under|away|from|above)", r"(?:below|under|exceeds?|beyond)\s+(?:minus |[-−])?<N>\b"), whole=False),
            Parameter("EXIT_Z", 0.5, 0, 3, number(r"(?:exit\w*|clos\w+|leav\w+|within|inside)[^.\d]{0,40}<N>"), whole=False),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "short_term_reversal", "Short-term reversal", "mean_reversion",
        ((r"\breversals?\b", 6), (r"\bcontrarian\b", 6), (r"\bbuys? (past |recent )?losers\b", 6), (r"\bbuys? [^.]{0,30}\bfell\b|\bhas fallen\b|\bafter a (fall|decline|drop)\b", 3)),
        (Parameter("LOOKBACK_BARS", 5, 1, 63, span(r"(?:past|last|previous|prior|over)[^.\d]{0,20}?<S>", r"<S>[- ](?:returns?|reversals?|losers)", LAST_ONE)), ALLOW_SHORT),
    ),
    Template(
        "trend_filter", "Close against its own long average", "moving_average",
        ((r"\b(price|close|closes|index)\b[^.]{0,40}\b(above|over|below)\b[^.]{0,40}\b(average|sma)\b", 8), (r"\btactical asset allocation\b", 4), (r"\b(10|ten)[- ]month (simple )?moving average\b", 5)),
        (
            Parameter("WINDOW_BARS", 200, 2, 1000, span(r"<S>[^.]{0,20}(?:average|sma)", r"(?:average|sma)[^.\d]{0,20}<S>")),
            ALLOW_SHORT,
        ),
    ),
    Template(
        "time_series_momentum", "Time-series momentum", "momentum",
        ((r"\bmomentum\b", 6), (r"\btrend[- ]follow\w*", 4), (r"\bpast (winners|returns?)\b", 3), (r"\bhas risen\b|\bpositive (past |trailing )?returns?\b", 3)),
        (
            Parameter("LOOKBACK_BARS", 252, 2, 1000, span(r"(?:past|last|previous|prior|trailing|over)[^.\d]{0,20}?<S>", r"<S>[- ](?:returns?|momentum|look-?back)", LAST_ONE)),
            Parameter("SKIP_BARS", 0, 0, 63, span(r"(?:skip\w*|excluding|except|leaving out)[^.]{0,30}?<S>")),
            ALLOW_SHORT,
        ),
    ),
)  # fmt: skip
