"""Charts, what stands out in them, and what pictures of charts say: decides which data a request means and where the picture goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evolve.agents.chart_description import ChartDescriber
from evolve.agents.pictures import draw
from evolve.agents.plot_sources import Found, PlotSources
from evolve.agents.series import series_of
from evolve.cards import ImageAnalysis, Insight, InsightsCard, PastPlot, PlotCard, WrittenReport
from evolve.charts.kinds import PlotOptions
from evolve.charts.picture import Format, format_of, save, write_atomically
from evolve.charts.plot_path import plot_path, report_path
from evolve.charts.reading import Calibration
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.series import ChartSeries
from evolve.settings import Settings

Progress = Callable[[str, int, int, str], None]


class MultimodalAgent:
    def __init__(
        self,
        sources: PlotSources,
        log: DecisionLog,
        describer: ChartDescriber,
        *,
        plots: Path,
        image_places: tuple[Path, ...],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._sources = sources
        self._log = log
        self._describer = describer
        self._plots = plots
        self._image_places = image_places
        self._clock = clock

    @classmethod
    def from_settings(cls, settings: Settings) -> MultimodalAgent:
        log = DecisionLog(Database.open(settings))
        sources, describer = PlotSources.from_settings(settings), ChartDescriber(settings)
        return cls(sources, log, describer, plots=settings.plots, image_places=settings.image_places)

    def plot(
        self, kind: str, data_source: str, options: PlotOptions, save_path: str | None, *, progress: Progress
    ) -> PlotCard:
        """Draw and save. Raises InvalidRequest (source, options, path), Forbidden (path), DataUnavailable, Unavailable."""
        ending: Format = options.format or "png"
        wanted = save_path or f"plots/{kind}_{int(self._clock.now())}.{ending}"
        # Before anything is computed: a path that cannot be is refused at once.
        path = plot_path(wanted, self._plots, format=options.format)
        progress("draw", 0, 2, f"looking for {data_source}")
        found = self._sources.find_for(kind, data_source)
        progress("draw", 1, 2, f"drawing {kind} of {found.said}")
        picture = draw(kind, found, options, self._sources)
        save(picture.figure, path)
        progress("draw", 2, 2, str(path))
        caption = picture.caption
        return PlotCard(
            True, str(path), kind, picture.about, caption.title, caption.source, format_of(path), options.theme, caption.simulated, picture.notes
        )  # fmt: skip

    def series(self, data_source: str, *, timeframe: str | None, simulate: bool, last_bars: int) -> ChartSeries:
        """The numbers that a chart of this source draws. Raises InvalidRequest, DataUnavailable."""
        return series_of(self._sources, data_source, timeframe=timeframe, simulate=simulate, last_bars=last_bars)

    def report(
        self, data_source: str, options: PlotOptions, save_path: str | None, *, progress: Progress
    ) -> WrittenReport:
        """Write a page about a source, or by the path's ending a PDF. Raises as `plot` does, and MissingExtra for a PDF."""
        from evolve.agents.report_page import report_on
        from evolve.charts.report import report_html

        path = report_path(save_path or f"plots/report_{int(self._clock.now())}.html", self._plots)
        found = self._sources.find(data_source)
        progress("report", 0, 1, f"writing about {found.said}")
        written = report_on(found, options, self._sources)
        if path.suffix.lower() == ".pdf":
            from evolve.charts.report_pdf import report_pdf

            write_atomically(path, report_pdf(written))
        else:
            write_atomically(path, report_html(written).encode())
        progress("report", 1, 1, str(path))
        return WrittenReport(True, str(path), written.title, written.charts, written.without)

    def insights(self, data_source: str, insight_type: str, *, with_plots: bool, progress: Progress) -> InsightsCard:
        """Raises InvalidRequest for an unknown type or source, DataUnavailable where there is too little to say anything."""
        from evolve.agents.insights import InsightFinder, insight_kind

        kinds = insight_kind(insight_type)
        found = self._sources.find(data_source)
        progress("look", 0, 1, f"looking at {found.said}")
        seen = InsightFinder(self._sources).look(found, kinds)
        progress("look", 1, 1, f"{len(seen.insights)} statements")
        insights = seen.insights
        if with_plots:
            insights = tuple(self._pictured(insight, found, number) for number, insight in enumerate(insights, 1))
        return InsightsCard(True, found.said, insight_type, insights, seen.without)

    def _pictured(self, insight: Insight, found: Found, number: int) -> Insight:
        name = f"plots/insight_{int(self._clock.now())}_{number}_{insight.kind}.png"
        subject = Found(found.kind, found.ids[:1], found.ids[0], simulate=found.simulate)
        # Of a symbol its own growth is shown, not that of a model which trades it: the statement is about the symbol.
        kind = "held_curve" if insight.plot_type == "equity_curve" and found.kind == "symbols" else insight.plot_type
        picture = draw(kind, subject, PlotOptions(), self._sources)
        return replace(insight, plot=str(save(picture.figure, plot_path(name, self._plots))))

    def read_image(
        self,
        image_path: str,
        analysis_type: str,
        model_name: str | None,
        calibration: Calibration | None,
        *,
        progress: Progress,
    ) -> ImageAnalysis:
        """model_name: of the vision model that describes it, or `auto` for the one configured; None asks nobody.

        Raises InvalidRequest, Forbidden or TooLarge for a file that is no picture that may be read, InvalidRequest where no model is
        configured that could be asked.
        """
        if model_name is not None:
            self._describer.check(model_name)
        from evolve.charts.image_file import open_picture
        from evolve.charts.read_image import read_chart

        picture = open_picture(image_path, self._image_places)
        progress("read", 0, 1, f"{picture.width} × {picture.height} pixels")
        found = read_chart(picture, analysis_type, calibration)
        progress("read", 1, 1, f"{len(found.curves)} curves")
        if model_name is None:
            return found
        progress("describe", 0, 1, f"asking {model_name}")
        return self._describer.described(found, picture, model_name)

    def history(self, plot_type: str | None, limit: int) -> tuple[PastPlot, ...]:
        """Charts asked for, newest first, also those that were not drawn."""
        found: list[PastPlot] = []
        # One kind of many may lie far back: the log is read in growing pieces until there are enough.
        reach = limit
        while True:
            past = self._log.history(limit=reach, service="multimodal", request_type="generate_plot")
            wanted = [each for each in past if plot_type is None or each.inputs.get("plot_type") == plot_type]
            if len(wanted) >= limit or len(past) < reach:
                break
            reach *= 4
        for each in wanted[:limit]:
            result = each.outcome.get("result")
            path = result.get("save_path") if isinstance(result, dict) else None
            error = each.outcome.get("error")
            found.append(
                PastPlot(
                    iso(each.finished_at), str(each.inputs.get("plot_type")), str(each.inputs.get("data_source")),
                    path, each.status, str(error) if error else None,
                )
            )  # fmt: skip
        return tuple(found)
