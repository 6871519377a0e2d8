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
from evolve.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    **dict.fromkeys(OF_STUDIES, "latest_study"),
    "candlestick": "AAPL",
    "correlation_heatmap": "AAPL,MSFT,IBM,GOOG",
    "model_comparison": "AAPL",
}
SHOWN_WIDTH = 640  # of 1,200 pixels, so that the page stays light in a repository

HEAD = """# Gallery

Every chart that Evolve draws, of the bundled AAPL bars and models built on them, in both themes. Made by `python scripts/gallery.py`.

`evolve plot TYPE SOURCE --theme dark --format svg` draws one. A source is the id of a model, answer or evaluation, a symbol, several symbols
or models separated by commas, or `backtest_results`, the newest model's walk-forward test. `--format html` gives a page with crosshair, zoom and pan
that needs no network; `evolve report SOURCE` puts the charts of a source, its verdict and its figures on one such page. Simulated bars are marked
SIMULATED across the picture.

## Reading pictures

`evolve read-chart FILE` recovers the axes and curves of a chart from its PNG or JPEG, and from them return, maximum drawdown, volatility and trend,
each with its error; what it could not read it names. Labels are read by RapidOCR, whose model is in its package (`pip install 'evolve-trading[images]'`);
without it give two rows and their values: `--y 80=120 --y 400=60`. Nothing is sent anywhere, and no vision model is asked in this version.

On 60 pictures drawn for the test (matplotlib; plotly's colours, drawn with matplotlib; a trading page's look, drawn with Pillow; four sizes, light and
dark, PNG and JPEG down to quality 65; lines and candles) the median error of a curve is 0.8 % of its range and of the maximum drawdown 0.35 points; one in
ten is off by more than 4 % or 1.7 points (`make prove ARGS="-k sixty_pictures"`). It needs curves in a colour of their own: black lines on white are
not followed, nor is a second panel.
"""


def main() -> int:
    place = ROOT / "docs" / "gallery"
    text = [HEAD]
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.load(home=home, log_dir=f"{home}/logs")
        builder = ModelBuilderAgent.from_settings(settings)
        for model_type in ("drift", "xgboost", "ridge"):
            builder.build(BuildOrder(model_type, "AAPL", "1d"), request_id=model_type, progress=lambda *_: None)
        tuner = MetaTunerAgent.from_settings(settings)
        order = TuneOrder("xgboost", "AAPL", "1d", n_trials=40, stop_early=False)
        tuner.tune(order, Alone(tuner, "gallery"), request_id="gallery", progress=lambda *_: None)
        sources = PlotSources.from_settings(settings)
        for kind, about in PLOTS.items():
            source = SOURCES.get(kind, "backtest_results")
            found = sources.find_study("latest_study") if kind in OF_STUDIES else sources.find(source)
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
