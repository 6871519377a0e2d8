"""What does a reader of a notebook see of bars? Which they are, the first and the last of them, and the last half year as candles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.display import page
from evolve.market.bars import FIELDS, Bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.charts.theme import ThemeName

CANDLES = 126  # half a year of days
ENDS = 3  # bars from the beginning and from the end


def bars(shown: Bars) -> str:
    places = list(range(len(shown)))
    if len(places) > 2 * ENDS:
        places = [*places[:ENDS], *places[-ENDS:]]
    rows = [
        [shown.date(bar), *(f"{getattr(shown, name)[bar]:,.6g}" for name in FIELDS[:4]), _volume(shown, bar)]
        for bar in places
    ]
    if len(shown) > 2 * ENDS:
        rows.insert(ENDS, ["…"] * (1 + len(FIELDS)))
    return page.card(
        page.heading(f"{shown.symbol} {shown.timeframe}", f"{len(shown):,} bars, in {shown.currency}"),
        page.simulated(shown.simulated),
        page.table(["", *FIELDS], rows),
        page.picture(lambda theme: _candles(shown, theme), f"Candles of {shown.symbol}"),
        page.facts(
            {
                "from": shown.date(0), "to": shown.date(-1), "source": shown.source, "bars a year": f"{shown.bars_per_year:g}",
                "fingerprint": shown.fingerprint[:12],
            }
        ),
        page.points(shown.notes),
    )  # fmt: skip


def _candles(shown: Bars, theme: ThemeName) -> Figure:
    from evolve.charts.candlestick import candlestick_figure
    from evolve.charts.picture import Caption

    last = min(CANDLES, len(shown))
    title = f"{shown.symbol} {shown.timeframe}, the last {last} bars"
    return candlestick_figure(shown, Caption(title, shown.source, shown.simulated), shown=last, theme=theme)


def _volume(shown: Bars, bar: int) -> str:
    volume = float(shown.volume[bar])
    return "–" if volume != volume else f"{volume:,.0f}"
