"""What is known about a model, answer or symbol, on one page that opens from disk: verdict, charts, tables and where it all came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evolve.agents.insights import INSIGHT_TYPES, InsightFinder, Seen
from evolve.agents.pictures import draw
from evolve.agents.plot_sources import Found, PlotSources
from evolve.cards import ModelCard, TrustCard
from evolve.charts.kinds import PLOTS, PlotOptions
from evolve.charts.page import escaped, interactive
from evolve.charts.theme import THEMES
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.evidence import Evidence, render, render_interval

OF_MODEL = ("equity_curve", "walk_forward", "forecast_fan", "rolling_metrics", "monthly_returns", "return_distribution", "feature_importance", "model_comparison")  # fmt: skip
OF_SYMBOL = ("candlestick", "held_curve", "monthly_returns", "rolling_metrics", "return_distribution")


@dataclass(frozen=True, slots=True)
class ReportPage:
    title: str
    html: str
    charts: tuple[str, ...]
    without: tuple[str, ...]


def write_report(found: Found, options: PlotOptions, sources: PlotSources) -> ReportPage:
    """The whole page; what could not be drawn or said is named on it."""
    title = options.title or f"Report: {found.said}"
    charts, shown, without = _charts(found, options, sources)
    seen = _insights(found, sources)
    card = sources.card(found.ids[0]) if found.kind == "models" else None
    parts = [
        f"<h1>{escaped(title)}</h1>",
        _headline(found),
        _trust(_trust_of(found, sources), card),
        _statements(seen),
        *charts,
        _figures(found, card),
        _provenance(found, card, [*without, *seen.without]),
    ]
    return ReportPage(title, _page(title, parts, options), shown, (*without, *seen.without))


def _charts(found: Found, options: PlotOptions, sources: PlotSources) -> tuple[list[str], tuple[str, ...], list[str]]:
    pieces, shown, without = [], [], []
    for kind in OF_MODEL if found.kind == "models" else OF_SYMBOL:
        try:
            picture = draw(kind, found, options, sources)
        except (InvalidRequest, DataUnavailable) as error:
            without.append(f"{kind}: {error.message}")
            continue
        about = PLOTS.get(kind, "growth of 1 of the symbol itself")
        pieces.append(
            f"<section><h2>{escaped(kind.replace('_', ' '))}</h2><p>{escaped(about)}.</p>{interactive(picture.figure)}</section>"
        )
        shown.append(kind)
    return pieces, tuple(shown), without


def _insights(found: Found, sources: PlotSources) -> Seen:
    try:
        return InsightFinder(sources).look(found, INSIGHT_TYPES["performance"])
    except DataUnavailable as error:
        return Seen((), (error.message,))


def _trust_of(found: Found, sources: PlotSources) -> TrustCard | None:
    if found.answer is not None:
        return found.answer.trust
    return sources.latest_trust(found.ids[0]) if found.kind == "models" else None


def _headline(found: Found) -> str:
    answer = found.answer
    if answer is None:
        return ""
    said = " ".join((*answer.commentary, answer.disclaimer))
    return f"<p class=lead>{escaped(answer.query)}</p><p><b>{escaped(answer.headline)}</b></p><p>{escaped(said)}</p>"


def _trust(trust: TrustCard | None, card: ModelCard | None) -> str:
    if trust is None:
        if card is None:
            return ""
        return f"<section><h2>Verdict</h2><p>Not judged yet: <code>evolve evaluate {escaped(card.model_id)}</code> tests it against luck.</p></section>"
    rows = [
        ("Verdict", trust.verdict.replace("_", " ")),
        ("Because", trust.reason),
        ("Tested on", f"{trust.out_of_sample_bars:,} bars out of sample in {trust.folds} folds"),
        ("Trials counted", f"{trust.trials:,}"),
        ("Against", ", ".join(trust.baselines)),
        ("Costs a leg", f"{trust.costs.fee_bps:g} bp fee, {trust.costs.slippage_bps:g} bp slippage"),
        *((f"Caveat {number}", caveat) for number, caveat in enumerate(trust.caveats, 1)),
    ]
    return f"<section><h2>Verdict</h2>{_table(rows)}</section>"


def _statements(seen: Seen) -> str:
    if not seen.insights:
        return ""
    items = "".join(f"<li>{escaped(each.statement)}</li>" for each in seen.insights)
    return f"<section><h2>What stands out</h2><ol>{items}</ol></section>"


def _figures(found: Found, card: ModelCard | None) -> str:
    figures: Sequence[Evidence] = found.answer.figures if found.answer else card.metrics if card else ()
    if not figures:
        return ""
    head = "<tr><th>of</th><th>figure</th><th>value</th><th>interval</th><th>how computed</th></tr>"
    body = "".join(
        "<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in (each.of, each.name, render(each), render_interval(each), each.note or each.computed)) + "</tr>"
        for each in figures
    )  # fmt: skip
    return f"<section><h2>Figures</h2><table>{head}{body}</table></section>"


def _provenance(found: Found, card: ModelCard | None, without: Iterable[str]) -> str:
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
    return f"<section><h2>Where it comes from</h2>{_table(rows)}</section>" if rows else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escaped(name)}</th><td>{escaped(value)}</td></tr>" for name, value in rows) + "</table>"  # fmt: skip


def _page(title: str, parts: Sequence[str], options: PlotOptions) -> str:
    colours = THEMES[options.theme]
    css = (
        f"body{{background:{colours.background};color:{colours.text};font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}}"
        f"table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid {colours.grid};vertical-align:top;overflow-wrap:anywhere}}"
        f"th{{color:{colours.muted};font-weight:normal}}h2{{text-transform:capitalize;margin-top:2em}}.lead{{font-size:1.3em}}"
    )
    # Nothing is fetched: the policy says so to the browser, too.
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{css}</style></head><body>{"".join(parts)}</body></html>\n'
    )
