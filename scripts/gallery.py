"""Makes docs/gallery.md and its pictures: every kind of chart in both themes, of the bundled bars. Run: `.venv/bin/python scripts/gallery.py`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from evolve.agents.meta_tuner import Alone, MetaTunerAgent, TuneOrder
from evolve.agents.model_builder import BuildOrder, ModelBuilderAgent
from evolve.agents.pictures import draw
from evolve.agents.plot_sources import PlotSources
from evolve.charts.kinds import OF_STUDIES, PLOTS, PlotOptions
from evolve.charts.picture import save
from evolve.charts.theme import THEMES
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.aliases import Aliases
from evolve.memory.database import Database
from evolve.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    **dict.fromkeys(OF_STUDIES, "latest_study"),
    "candlestick": "AAPL",
    "correlation_heatmap": "AAPL,MSFT,IBM,GOOG",
    "model_comparison": "AAPL",
    "drift_board": "watches",
}
WATCHED = (("GOOG", "ridge"), ("MSFT", "xgboost"), ("IBM", "drift"))
LIVE_BARS = 200  # bundled bars that the watched models have not seen: nine months, more than the window that drift is judged over
SHOWN_WIDTH = 640  # of 1,200 pixels, so that the page stays light in a repository

HEAD = """# Gallery

Every chart that Evolve draws, of the bundled AAPL bars and models built on them, in both themes. Made by `python scripts/gallery.py`.

`evolve plot TYPE SOURCE --theme dark --format svg` draws one. A source is the id of a model, answer or evaluation, a symbol, several symbols
or models separated by commas, or `backtest_results`, the newest model's walk-forward test. `--format html` gives a page with crosshair, zoom and pan
that needs no network; `evolve report SOURCE` puts the charts of a source, its verdict and its figures on one such page, and with `--pdf FILE` on paper
(`pip install 'evolve-trading[pdf]'`). The board of drift takes `watches` for all models in charge, symbols or models. Simulated bars are marked SIMULATED
across the picture.

## Reading pictures

`evolve read-chart FILE` recovers the axes and curves of a chart from its PNG or JPEG, and from them return, maximum drawdown, volatility and trend,
each with its error; what it could not read it names. Labels are read by RapidOCR, whose model is in its package (`pip install 'evolve-trading[images]'`);
without it give two rows and their values: `--y 80=120 --y 400=60`. Nothing is sent anywhere, unless you ask for a description: `--describe` shows the
picture to the vision model of `EVOLVE_LLM_MODEL` (or `--model NAME`) at `OPENAI_BASE_URL`, and prints what it sees beside what was measured. Figures are
ours only: a sentence of the model's with another number, or against a sign of ours, is left out and counted.

Lines may be coloured, black, grey or white, and panels may lie below each other, each with an axis of its own (three labels at least). Not read, and
said so: bars of volume, filled areas, dashed lines without a colour, panels whose labels cannot be read; black-and-white candles are not told from text.

On 60 pictures drawn for the test (matplotlib; plotly's colours, drawn with matplotlib; a trading page's look, drawn with Pillow; four sizes, light and
dark, PNG and JPEG down to quality 65; lines and candles) the median error of a curve is 0.8 % of its range and of the maximum drawdown 0.35 points; one in
ten is off by more than 4 % or 1.7 points. On 24 more with black, grey and white lines the medians are 0.6 % and 0.6 points, on 24 with a second panel
0.8 % and 0.2 points (`make prove ARGS="-k half_of_the_pictures"`). On 20 that plotly itself draws in a browser (its templates, its script, a screenshot) they
are 0.9 % and 0.35 points; three of those were not read at all, and two were off by a fifth (`-k plotly_itself`).
"""


def put_in_charge(settings: Settings) -> None:
    """Models of bars that end nine months before the bundled ones do, put in charge: what came since is what they are judged by."""
    store, database = BarStore(settings.home), Database.open(settings)
    builder, aliases = ModelBuilderAgent.from_settings(settings), Aliases(database)
    for symbol, model_type in WATCHED:
        bars = Catalog(store).load(symbol, "1d")
        store.save(bars.slice(0, len(bars) - LIVE_BARS))
        order = BuildOrder(model_type, symbol, "1d")
        card = builder.build(order, request_id=f"watched {symbol}", progress=lambda *_: None).card
        store.save(bars)
        aliases.move(
            "champion", symbol=symbol, timeframe="1d", model_id=card.model_id, expected=None, reason="for the gallery", request_id=symbol
        )  # fmt: skip


def main() -> int:
    place = ROOT / "docs" / "gallery"
    text = [HEAD]
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.load(home=home, log_dir=f"{home}/logs")
        put_in_charge(settings)
        builder = ModelBuilderAgent.from_settings(settings)
        for model_type in (
            "drift",
            "ridge",
            "xgboost",
        ):  # the newest is the one shown: ridge shows no skill to trade on here
            builder.build(BuildOrder(model_type, "AAPL", "1d"), request_id=model_type, progress=lambda *_: None)
        tuner = MetaTunerAgent.from_settings(settings)
        order = TuneOrder("xgboost", "AAPL", "1d", n_trials=40, stop_early=False)
        tuner.tune(order, Alone(tuner, "gallery"), request_id="gallery", progress=lambda *_: None)
        sources = PlotSources.from_settings(settings)
        for kind, about in PLOTS.items():
            source = SOURCES.get(kind, "backtest_results")
            found = sources.find_for(kind, source)
            for theme in THEMES:
                picture = draw(kind, found, PlotOptions(theme=theme), sources)
                picture.figure.set_dpi(picture.figure.dpi * SHOWN_WIDTH / 1200)
                save(picture.figure, place / f"{kind}_{theme}.png")
            text.append(
                f"## {kind}\n\n{about[0].upper()}{about[1:]}.\n\n`evolve plot {kind} {source}`\n\n"
                f"![{kind}, light](gallery/{kind}_light.png) ![{kind}, dark](gallery/{kind}_dark.png)\n"
            )
    (ROOT / "docs" / "gallery.md").write_text("\n".join(text), encoding="utf-8")
    print(ROOT / "docs" / "gallery.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
