"""Multimodal: charts of what is stored, what stands out in it, and what a picture of a chart says."""

from __future__ import annotations

from evolve.contracts.multimodal import (
    AnalyzeImage,
    GenerateInsights,
    GeneratePlot,
    GenerateReport,
    GetPlotHistory,
    GetSeries,
    ImageAnalyzed,
    InsightsGenerated,
    PlotGenerated,
    PlotHistory,
    ReportGenerated,
    SeriesFound,
)
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService


class MultimodalService(BaseService):
    name = "multimodal"
    # Insights and reports are loaded by the agent when asked for, so that a first picture does not wait for them: here they are ready.
    preload = (
        "evolve.agents.multimodal", "evolve.agents.insights", "evolve.agents.report_page", "evolve.backtest.kernels",
        "matplotlib.backends.backend_agg",
    )  # fmt: skip

    def setup(self) -> None:
        from evolve.agents.multimodal import MultimodalAgent

        self.agent = MultimodalAgent.from_settings(self.settings)

    @handles
    def generate_plot(self, request: GeneratePlot, job: Job) -> PlotGenerated:
        plot = self.agent.plot(
            request.plot_type, request.data_source, request.plot_config, request.save_path, progress=job.progress
        )
        return PlotGenerated(result=plot)

    @handles
    def analyze_image(self, request: AnalyzeImage, job: Job) -> ImageAnalyzed:
        found = self.agent.read_image(
            request.image_path, request.analysis_type, request.model_name, request.calibration, progress=job.progress
        )
        return ImageAnalyzed(result=found)

    @handles
    def generate_insights(self, request: GenerateInsights, job: Job) -> InsightsGenerated:
        found = self.agent.insights(
            request.data_source, request.insight_type, with_plots=request.include_plots, progress=job.progress
        )
        return InsightsGenerated(result=found)

    @handles
    def get_plot_history(self, request: GetPlotHistory, job: Job) -> PlotHistory:
        history = self.agent.history(request.plot_type, request.limit)
        return PlotHistory(history=history, plot_type=request.plot_type, count=len(history))

    @handles
    def generate_report(self, request: GenerateReport, job: Job) -> ReportGenerated:
        report = self.agent.report(request.data_source, request.plot_config, request.save_path, progress=job.progress)
        return ReportGenerated(result=report)

    @handles
    def get_series(self, request: GetSeries, job: Job) -> SeriesFound:
        series = self.agent.series(
            request.data_source, timeframe=request.timeframe, simulate=request.simulate, last_bars=request.last_bars
        )
        return SeriesFound(series=series)
