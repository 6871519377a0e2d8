"""What can the multimodal service be asked? Charts of what is stored, what stands out in it, and what a picture of a chart says."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from evolve.cards import ImageAnalysis, InsightsCard, PastPlot, PlotCard, WrittenReport
from evolve.charts.kinds import PlotOptions, plot_kind
from evolve.charts.reading import ANALYSES, Calibration, analysis_kind
from evolve.market.types import Timeframe
from evolve.messaging.messages import Reply, Request
from evolve.series import ChartSeries

PlotType = Annotated[str, AfterValidator(plot_kind)]
DataSource = Annotated[str, Field(min_length=1, max_length=400, examples=["AAPL"])]


def _options(value: object) -> object:
    return {} if value is None else value


class PlotGenerated(Reply):
    result: PlotCard


class GeneratePlot(
    Request[PlotGenerated],
    slot="heavy",
    records=True,
    waits=120.0,
    positional=("plot_type", "data_source", "plot_config"),
):
    """Draw a chart into the plots directory.

    data_source: `backtest_results` (the newest model's walk-forward test), or the id of a model, answer or evaluation, or a symbol;
    several models or symbols separated by commas. save_path: `plots/NAME.png`, `.svg` or `.html`.
    """

    plot_type: PlotType = Field(examples=["candlestick"])
    data_source: DataSource
    plot_config: Annotated[PlotOptions, BeforeValidator(_options)] = Field(default_factory=PlotOptions)
    save_path: str | None = Field(default=None, max_length=1_000)


class ImageAnalyzed(Reply):
    result: ImageAnalysis


class AnalyzeImage(
    Request[ImageAnalyzed],
    slot="heavy",
    records=True,
    waits=120.0,
    positional=("image_path", "analysis_type", "model_name"),
):
    """Recover the curves of a chart from its picture, and what they say; what cannot be read is named.

    calibration: two pixels and their values on an axis, for a picture whose labels cannot be read. model_name: of a vision model behind
    OPENAI_BASE_URL or OPENAI_API_KEY that says what it sees beside what is measured, or `auto` for EVOLVE_LLM_MODEL; null sends the
    picture nowhere. Figures are those measured; a sentence of the model's with others is left out.
    """

    image_path: str = Field(min_length=1, max_length=4_096, examples=["plots/equity_curve_1795391591.png"])
    analysis_type: Annotated[str, AfterValidator(analysis_kind)] = ANALYSES[0]
    model_name: str | None = Field(None, min_length=1, max_length=200)
    calibration: Calibration | None = None


class InsightsGenerated(Reply):
    result: InsightsCard


class GenerateInsights(
    Request[InsightsGenerated],
    slot="heavy",
    records=True,
    waits=120.0,
    positional=("data_source", "insight_type", "include_plots"),
):
    """What stands out in a model, answer, evaluation or symbol: ranked statements, each with its figures and its plot."""

    data_source: DataSource
    insight_type: Annotated[str, Field(min_length=1, max_length=40)] = "performance"
    include_plots: bool = True


class PlotHistory(Reply):
    history: tuple[PastPlot, ...]
    plot_type: str | None
    count: int


class GetPlotHistory(Request[PlotHistory], positional=("plot_type", "limit")):
    """Charts asked for before, newest first."""

    plot_type: PlotType | None = None
    limit: int = Field(default=10, ge=1, le=1000)


class ReportGenerated(Reply):
    result: WrittenReport


class GenerateReport(
    Request[ReportGenerated], slot="heavy", records=True, waits=120.0, positional=("data_source", "plot_config")
):
    """One HTML page about a model, answer, evaluation or symbol: verdict, charts, figures and provenance; it needs no network.

    save_path: `plots/NAME.html`, or `plots/NAME.pdf` for paper (extra `pdf`).
    """

    data_source: DataSource
    plot_config: Annotated[PlotOptions, BeforeValidator(_options)] = Field(default_factory=PlotOptions)
    save_path: str | None = Field(default=None, max_length=1_000)


class SeriesFound(Reply):
    series: ChartSeries


class GetSeries(
    Request[SeriesFound],
    slot="heavy",
    waits=60.0,
    positional=("data_source", "timeframe", "simulate", "last_bars"),
    effect="read",
):
    """The numbers that a chart draws: a model's bars, decisions, bands, equity and months; of a symbol its bars.

    data_source: as in `generate_plot`; of an answer its first model. timeframe, simulate: of a symbol's bars.
    """

    data_source: DataSource
    timeframe: Timeframe | None = None
    simulate: bool = False
    last_bars: int = Field(default=5_000, ge=2, le=20_000)
