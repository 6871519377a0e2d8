"""What is known about a model, answer or symbol, on one page that opens from disk: verdict, charts, tables and where it all came from."""

from __future__ import annotations

from collections.abc import Sequence

from evolve.agents.insights import INSIGHT_TYPES, InsightFinder, Seen
from evolve.agents.pictures import draw
from evolve.agents.plot_sources import Found, PlotSources
from evolve.cards import ModelCard, TrustCard
from evolve.charts.kinds import PLOTS, PlotOptions
from evolve.charts.report import Report, Section
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.evidence import Evidence, render, render_interval

OF_MODEL = ("equity_curve", "walk_forward", "forecast_fan", "rolling_metrics", "monthly_returns", "return_distribution", "feature_importance", "model_comparison")  # fmt: skip
OF_SYMBOL = ("candlestick", "held_curve", "monthly_returns", "rolling_metrics", "return_distribution")
FIGURE_COLUMNS = ("of", "figure", "value", "interval", "how computed")


def report_on(found: Found, options: PlotOptions, sources: PlotSources) -> Report:
    """Everything that is known; what could not be drawn or said is named in it."""
    charts, shown, without = _charts(found, options, sources)
    seen = _insights(found, sources)
    missing = (*without, *seen.without)
    card = sources.card(found.ids[0]) if found.kind == "models" else None
    sections = [
        _trust(_trust_of(found, sources), card),
        Section("What stands out", items=tuple(each.statement for each in seen.insights)) if seen.insights else None,
        *charts,
        _figures(found, card),
        _provenance(found, card, missing),
    ]
    return Report(
        options.title or f"Report: {found.said}", _lead(found), tuple(each for each in sections if each is not None), shown, missing,
        options.theme,
    )  # fmt: skip


def _charts(
    found: Found, options: PlotOptions, sources: PlotSources
) -> tuple[list[Section], tuple[str, ...], list[str]]:
    sections, shown, without = [], [], []
    for kind in OF_MODEL if found.kind == "models" else OF_SYMBOL:
        try:
            picture = draw(kind, found, options, sources)
        except (InvalidRequest, DataUnavailable) as error:
            without.append(f"{kind}: {error.message}")
            continue
        about = PLOTS.get(kind, "growth of 1 of the symbol itself")
        sections.append(Section(kind.replace("_", " "), (f"{about}.",), figure=picture.figure))
        shown.append(kind)
    return sections, tuple(shown), without


def _insights(found: Found, sources: PlotSources) -> Seen:
    try:
        return InsightFinder(sources).look(found, INSIGHT_TYPES["performance"])
    except DataUnavailable as error:
        return Seen((), (error.message,))


def _trust_of(found: Found, sources: PlotSources) -> TrustCard | None:
    if found.answer is not None:
        return found.answer.trust
    return sources.latest_trust(found.ids[0]) if found.kind == "models" else None


def _lead(found: Found) -> tuple[str, ...]:
    answer = found.answer
    if answer is None:
        return ()
    return (answer.query, answer.headline, " ".join((*answer.commentary, answer.disclaimer)))


def _trust(trust: TrustCard | None, card: ModelCard | None) -> Section | None:
    if trust is None:
        if card is None:
            return None
        return Section("Verdict", (f"Not judged yet: evolve evaluate {card.model_id} tests it against luck.",))
    rows = (
        ("Verdict", trust.verdict.replace("_", " ")),
        ("Because", trust.reason),
        ("Tested on", f"{trust.out_of_sample_bars:,} bars out of sample in {trust.folds} folds"),
        ("Trials counted", f"{trust.trials:,}"),
        ("Against", ", ".join(trust.baselines)),
        ("Costs a leg", f"{trust.costs.fee_bps:g} bp fee, {trust.costs.slippage_bps:g} bp slippage"),
        *((f"Caveat {number}", caveat) for number, caveat in enumerate(trust.caveats, 1)),
    )
    return Section("Verdict", rows=rows)


def _figures(found: Found, card: ModelCard | None) -> Section | None:
    figures: Sequence[Evidence] = found.answer.figures if found.answer else card.metrics if card else ()
    if not figures:
        return None
    rows = tuple(
        (each.of, each.name, render(each), render_interval(each), each.note or each.computed) for each in figures
    )
    return Section("Figures", head=FIGURE_COLUMNS, rows=rows)


def _provenance(found: Found, card: ModelCard | None, without: Sequence[str]) -> Section | None:
    rows: list[tuple[str, str]] = []
    if card is not None:
        data = card.data
        rows = [
            ("Model", f"{card.model_id}, built {card.created_at} by code {card.code_version}"),
            ("Recipe", f"{card.recipe.model_type}, horizon {card.recipe.horizon_bars}, seed {card.recipe.seed}, features: {', '.join(card.recipe.features) or 'none'}"),
            ("Data", f"{data.source}, {data.symbol} {data.timeframe}, {data.first} to {data.last}, {data.bars:,} bars"),
            ("Fingerprint", data.fingerprint),
        ]  # fmt: skip
    if found.answer is not None and found.answer.reproduce:
        rows.append(("Again", found.answer.reproduce))
    rows += [("Not shown", what) for what in without]
    return Section("Where it comes from", rows=tuple(rows)) if rows else None
