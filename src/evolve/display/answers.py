"""What does a reader of a notebook see of an answer, an evaluation, a comparison, a model? The verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evolve.cards import AnswerCard, ComparisonCard, Curve, EvaluationCard, ModelCard, QueryResult, RankedRow, TrustCard
from evolve.display import page
from evolve.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.charts.theme import ThemeName

MOST_ROWS = 12
MOST_CURVES = 4  # more lines than that are a tangle at this size; the table holds the rest

# column → figure; those that no row knows are left out
COLUMNS = (
    ("Sharpe (95 %)", "sharpe"), ("return", "total_return"), ("drawdown", "drawdown"), ("alpha/year", "alpha"), ("p", "alpha_p_value"),
    ("in market", "exposure"), ("R²", "skill_r2"), ("last close", "last_close"), ("period", "period_return"), ("year", "year_return"),
    ("volatility", "volatility"), ("from high", "from_high"), ("RSI", "rsi_14"),
)  # fmt: skip


def answer(shown: AnswerCard) -> str:
    source = shown.trust.data.source if shown.trust else next((item.source for item in shown.figures), "")
    return page.card(
        page.heading(shown.query, f"understood as {shown.intent}"),
        page.simulated(shown.data_status == "simulated"),
        page.verdict(shown.verdict, shown.headline) if shown.verdict else page.paragraph(shown.headline),
        _ranked(shown.rows),
        page.points([*shown.commentary, *(f"missing: {gap['service']}: {gap['why']}" for gap in shown.missing)]),
        _curves(shown.curves, shown.query, source),
        trust_facts(shown.trust) if shown.trust else "",
        page.facts({"answer": shown.answer_id, "data": shown.data_status or "", "reproduce": shown.reproduce}),
        page.paragraph(shown.disclaimer, dim=True),
    )


def query_result(shown: QueryResult) -> str:
    if shown.answer is not None:
        return answer(shown.answer)
    if shown.status == "success":
        return page.card(page.heading(shown.query), page.paragraph(shown.gpt_commentary))
    return page.card(
        page.heading(shown.query), page.paragraph(f"error: {shown.error}"), page.points([f"try: {each}" for each in shown.suggestions])
    )  # fmt: skip


def evaluation(shown: EvaluationCard) -> str:
    score = "n/a" if shown.overall_score is None else f"{shown.overall_score:.2f}"
    return page.card(
        page.heading(shown.model_id, f"on {shown.symbol} {shown.timeframe}, last {shown.period}"),
        page.simulated(shown.trust.data.simulated),
        page.verdict(shown.trust.verdict, shown.trust.reason),
        _two_stretches(shown.metrics, shown.in_period, shown.period),
        _curves(shown.curves, f"{shown.model_id} on {shown.symbol}", shown.trust.data.source),
        page.facts({"overall score (0 … 1)": score, "evaluation": shown.evaluation_id}),
        trust_facts(shown.trust),
    )


def comparison(shown: ComparisonCard) -> str:
    winner = f"winner: {shown.winner.model_id}" if shown.winner else "no winner"
    return page.card(
        page.heading(f"{shown.symbol} {shown.timeframe}, last {shown.period}", winner),
        page.simulated(shown.trust.data.simulated),
        page.verdict(shown.verdict, shown.reason),
        _ranked(shown.rows),
        _curves(shown.curves, f"{shown.symbol}: models and baselines", shown.trust.data.source),
        trust_facts(shown.trust),
    )


def model(shown: ModelCard) -> str:
    recipe, data = shown.recipe, shown.data
    beyond = f"{recipe.horizon_bars} bar{'s'[: recipe.horizon_bars > 1]} after {data.last}"
    return page.card(
        page.heading(shown.model_id, f"{recipe.model_type} of {recipe.symbol} at {recipe.timeframe}"),
        page.simulated(data.simulated),
        _two_stretches({item.name: item for item in shown.metrics}, {}, ""),
        _outlook(shown, beyond) if shown.outlook else "",
        page.facts(
            {
                "expects": f"{beyond}: " + ", ".join(f"{_words(item.name)} {item}" for item in shown.outlook if item.low is None)
                if shown.outlook
                else "",
                "trained on": f"{data.bars:,} bars, {data.first} to {data.last}, {data.source} ({data.status})",
                "tested": f"walk-forward, {recipe.folds} refits, {recipe.embargo_bars} bars of embargo, seed {recipe.seed}",
                "features": ", ".join(recipe.features),
                "hyperparameters": ", ".join(f"{name} {value}" for name, value in recipe.hyperparameters.items()),
                "fingerprints": f"data {data.fingerprint[:12]}, weights {shown.weights_sha256[:12]}, code {shown.code_version}",
            }
        ),
        page.points(tuple(dict.fromkeys((*shown.notes, *data.notes)))),
    )  # fmt: skip


def trust(shown: TrustCard) -> str:
    return page.card(
        page.simulated(shown.data.simulated), page.verdict(shown.verdict, shown.reason), trust_facts(shown)
    )


def trust_facts(shown: TrustCard) -> str:
    """Why (not) to believe it: data, costs, trials, caveats, how to do it again."""
    data, costs = shown.data, shown.costs
    return page.facts(
        {
            "tested": f"{shown.out_of_sample_bars:,} bars out of sample, {shown.folds} refits; {shown.trials} trials counted",
            "costs": f"{costs.fee_bps:g} + {costs.slippage_bps:g} bp a leg, shorts {costs.borrow_bps_per_year:g} bp a year",
            "beside": ", ".join(shown.baselines),
            "data": f"{data.symbol} {data.timeframe}, {data.first} to {data.last}, {data.source} ({data.status}), {data.fingerprint[:12]}",
            "reproduce": shown.reproduce,
        }
    ) + page.points(shown.caveats, summary=f"{len(shown.caveats)} caveats")  # fmt: skip


def _ranked(rows: Sequence[RankedRow]) -> str:
    if not rows:
        return ""
    known = {name for row in rows for name, item in row.figures.items() if item.value is not None}
    columns = [column for column in COLUMNS if column[1] in known]
    shown = rows[:MOST_ROWS]
    has_models = any(row.kind == "model" for row in shown)
    cells = [
        [
            f"{row.rank} {row.name}",
            *(page.figure_cell(row.figures.get(name), interval=name == "sharpe") for _, name in columns),
        ]
        for row in shown
    ]
    quiet = [number for number, row in enumerate(shown) if row.kind == "baseline" and has_models]
    left = page.paragraph(f"… and {len(rows) - MOST_ROWS} more", dim=True) if len(rows) > MOST_ROWS else ""
    return page.table(["", *(title for title, _ in columns)], cells, quiet=quiet) + left


def _two_stretches(metrics: Mapping[str, Evidence], in_period: Mapping[str, Evidence], period: str) -> str:
    """Figures over all out-of-sample history, and beside them those of the last stretch."""
    titles = {figure: title.removesuffix(" (95 %)") for title, figure in COLUMNS}
    columns = ["", "out of sample", *([f"last {period}"] if in_period else [])]
    rows = [
        [titles.get(name, _words(name)), page.figure_cell(item), *([page.figure_cell(in_period.get(name))] if in_period else [])]
        for name, item in metrics.items()
        if name in titles and item.value is not None
    ]  # fmt: skip
    return page.table(columns, rows) if rows else ""


def _curves(curves: Sequence[Curve], title: str, source: str) -> str:
    if not curves:
        return ""

    def draw(theme: ThemeName) -> Figure:
        from evolve.charts.equity import check_curves, equity_figure

        check_curves(curves)
        return equity_figure(curves[:MOST_CURVES], title=title[:100], source=source, theme=theme)

    return page.picture(draw, f"Growth of 1 and drawdown of {', '.join(curve.name for curve in curves[:MOST_CURVES])}")


def _outlook(shown: ModelCard, beyond: str) -> str:
    def draw(theme: ThemeName) -> Figure:
        from evolve.charts.outlook_bands import outlook_figure
        from evolve.charts.picture import Caption

        caption = Caption(f"{shown.recipe.symbol}, {beyond}", shown.data.source, shown.data.simulated)
        return outlook_figure(shown.outlook, caption, theme=theme)

    return page.picture(draw, f"Bands of the close {beyond}")


def _words(name: str) -> str:
    return name.replace("_", " ")
