"""How does an answer look in a terminal? Progress while it is made, then table, verdict, words, chart, and how to reproduce it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from evolve.cards import AnswerCard, Curve, EvaluationCard, ModelCard, QueryResult, RankedRow, TrustCard
from evolve.evidence import Evidence, render_interval

PIPED_WIDTH = 120  # a file has no width; what is cut there is lost
CHART_ROWS = 12
VERDICT_STYLE = {"edge": "bold green", "no_edge": "bold yellow", "insufficient_data": "bold yellow"}
VERDICT_WORDS = {"edge": "EDGE", "no_edge": "NO EDGE", "insufficient_data": "INSUFFICIENT DATA"}

# column title → figure; the interval is shown beside the figures that have one
MODEL_COLUMNS = (
    ("Sharpe (95 %)", "sharpe"),
    ("return", "total_return"),
    ("drawdown", "drawdown"),
    ("alpha/year", "alpha"),
    ("p", "alpha_p_value"),
    ("in market", "exposure"),
    ("costs", "costs_paid"),
    ("R²", "skill_r2"),
)
# What a narrow terminal does without, the first one first.
LEAST_NEEDED = (
    "costs_paid", "exposure", "rsi_14", "period_drawdown", "skill_r2", "period_total_return", "volatility",
    "alpha_p_value", "year_return", "alpha",
)  # fmt: skip
MARKET_COLUMNS = (
    ("last close", "last_close"),
    ("period", "period_return"),
    ("year", "year_return"),
    ("volatility", "volatility"),
    ("from high", "from_high"),
    ("fall in period", "period_drawdown"),
    ("RSI", "rsi_14"),
)


def console(*, stderr: bool = False) -> Console:
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


@contextlib.contextmanager
def watch() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show progress events on stderr while the block runs: bars on a terminal, lines in a file."""
    output = console(stderr=True)
    if not output.is_terminal:
        shown: set[str] = set()

        def line(event: dict[str, Any]) -> None:
            text = f"{event['stage']}: {event['message']}"
            if event["done"] >= event["total"] and text not in shown:
                shown.add(text)
                print(text, file=sys.stderr, flush=True)

        yield line
        return
    columns = (TextColumn("{task.description:<27}", table_column=Column(no_wrap=True)), BarColumn(12), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[message]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")))  # fmt: skip
    with Progress(*columns, console=output, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def bar(event: dict[str, Any]) -> None:
            stage, total = str(event["stage"]), int(event["total"])
            message = escape(str(event["message"]))[:60]
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, message=message)
            progress.update(tasks[stage], completed=int(event["done"]), total=total, message=message)

        yield bar


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """A sign on stderr that something goes on while the block runs; on a terminal only, and gone afterwards."""
    output = console(stderr=True)
    if not output.is_terminal:
        yield
        return
    with output.status(what):
        yield


def show_query_result(result: QueryResult | Mapping[str, Any]) -> None:
    """An answer, or why there is none and what can be asked."""
    found = result if isinstance(result, QueryResult) else TypeAdapter(QueryResult).validate_python(result)
    output = console()
    if found.answer is None and found.status == "success":
        output.print(escape(found.gpt_commentary))
        return
    if found.answer is None:
        print(f"error: {found.error}", file=sys.stderr)
        for suggestion in found.suggestions:
            print(f'  try: evolve ask "{suggestion}"', file=sys.stderr)
        return
    show_answer(found.answer, output)
    reproduction = found.results.get("reproduction")
    if reproduction:
        show_reproduction(reproduction, output)


def show_answer(answer: AnswerCard, output: Console) -> None:
    output.print(Text(answer.query, style="bold"))
    output.print(_understood(answer), style="dim")
    if answer.data_status == "simulated":
        output.print(
            Text(
                "SIMULATED DATA: invented prices; nothing below is a view on the real market", style="bold white on red"
            )
        )
    output.print()
    if answer.rows:
        _show_table(answer.rows, _period(answer), output)
    if answer.verdict is not None:
        style = VERDICT_STYLE[answer.verdict]
        output.print(Text(f"Verdict: {VERDICT_WORDS[answer.verdict]}", style=style), Text(f"  {answer.headline}"))
    else:
        output.print(Text(answer.headline, style="bold"))
    for sentence in answer.commentary:
        output.print(f"• {escape(sentence)}")
    for gap in answer.missing:
        named = gap.get("model_type") or gap["service"]
        output.print(f"• missing: {escape(named)}: {escape(gap['why'])}", style="yellow")
    if answer.trust is not None:
        _show_trust(answer.trust, output, told=True)
    if answer.curves:
        output.print()
        output.print(Text.from_ansi(draw(answer.curves, output)))
    output.print()
    if answer.plot:
        output.print(f"chart      {escape(answer.plot)}", soft_wrap=True)
    output.print(f"answer     {answer.answer_id}", Text(f" · data {answer.data_status}" if answer.data_status else ""))
    if answer.reproduce:
        output.print(f"reproduce  {escape(answer.reproduce)}")
    output.print(Text(answer.disclaimer, style="dim"))


def show_reproduction(found: Mapping[str, Any], output: Console) -> None:
    output.print()
    if found["identical"]:
        output.print(f"Reproduced: all {found['figures']} figures are the same, bit for bit.", style="bold green")
        return
    output.print(
        f"Not the same: {len(found['differing'])} of {found['figures']} figures differ, by at most "
        f"{found['largest_relative_difference']:.3g} (relative).",
        style="bold yellow",
    )
    for circumstance in found["circumstances"]:
        output.print(f"• {escape(circumstance)}")
    for each in found["differing"][:10]:
        output.print(f"• {escape(each['figure'])}: {each['before']} then, {each['now']} now")


def show_model(card: ModelCard, *, found: bool = False) -> None:
    output = console()
    output.print(Text(card.model_id, style="bold"), "(built before: same recipe, same bars)" if found else "")
    figures = {item.name: item for item in card.metrics}
    row = RankedRow(1, card.recipe.model_type, "model", card.model_id, figures)
    _show_table((row,), None, output)
    output.print(
        f"{card.data.bars:,} bars of {card.data.symbol} at {card.data.timeframe}, {card.data.first} to {card.data.last}, "
        f"{card.data.source}; seed {card.recipe.seed}; {card.recipe.folds} refits"
    )
    for line in outlook_lines(card):
        output.print(escape(line))
    for note in dict.fromkeys((*card.notes, *card.data.notes)):
        output.print(f"• {escape(note)}", style="dim")
    output.print(f"next: evolve evaluate {card.model_id}")


def outlook_lines(card: ModelCard) -> list[str]:
    """What the model expects after its last bar, a line for the odds and one for the bands."""
    found = {item.name: item for item in card.outlook}
    if not found:
        return []
    horizon = card.recipe.horizon_bars
    bands = [
        f"{item.level:.0%} {render_interval(item)}"
        for item in card.outlook
        if item.level is not None and item.low is not None
    ]
    return [
        f"{horizon} bar{'s'[: horizon > 1]} after {card.data.last}: median {found['median']}, P(up) {found['probability_up']}, "
        f"expected volatility {found['expected_volatility']} a year",
        f"bands: {'; '.join(bands)}",
    ]


def show_evaluation(card: EvaluationCard) -> None:
    output = console()
    output.print(Text(f"{card.model_id} on {card.symbol} {card.timeframe}", style="bold"))
    figures = {**card.metrics, **{f"period_{name}": item for name, item in card.in_period.items()}}
    _show_table((RankedRow(1, card.model_id, "model", card.model_id, figures),), card.period, output)
    if paths := card.metrics.get("cpcv_sharpe"):
        positive = card.metrics["cpcv_share_positive"]
        output.print(
            f"cross-validated: Sharpe {paths} ({render_interval(paths)}) over the paths, {positive} of them positive; no verdict rests on it"
        )
    score = "n/a" if card.overall_score is None else f"{card.overall_score:.2f}"
    output.print(f"overall score {score} (0 … 1, see docs/evaluation.md)")
    output.print(
        Text(f"Verdict: {VERDICT_WORDS[card.trust.verdict]}", style=VERDICT_STYLE[card.trust.verdict]),
        Text(f"  {card.trust.reason}"),
    )
    _show_trust(card.trust, output)
    if card.curves:
        output.print(Text.from_ansi(draw(card.curves, output)))
    output.print(f"reproduce  {escape(card.trust.reproduce)}")


def show_comparison(rows: Sequence[RankedRow], trust: TrustCard, curves: Sequence[Curve], period: str) -> None:
    output = console()
    _show_table(rows, period, output)
    output.print(
        Text(f"Verdict: {VERDICT_WORDS[trust.verdict]}", style=VERDICT_STYLE[trust.verdict]), Text(f"  {trust.reason}")
    )
    _show_trust(trust, output)
    if curves:
        output.print(Text.from_ansi(draw(curves, output)))
    output.print(f"reproduce  {escape(trust.reproduce)}")


def print_json(value: object) -> None:
    """Any card or reply as JSON on stdout."""
    print(json.dumps(TypeAdapter(type(value)).dump_python(value, mode="json"), indent=2, ensure_ascii=False))


def _show_trust(trust: TrustCard, output: Console, *, told: bool = False) -> None:
    """What the verdict rests on. told: costs, trials, and how old or simulated the data are stand in the words above."""
    costs = f"costs {trust.costs.fee_bps:g} + {trust.costs.slippage_bps:g} bp a leg, {trust.trials} trial{'s' * (trust.trials != 1)} counted, "
    output.print(
        f"tested on {trust.out_of_sample_bars:,} bars out of sample, {trust.folds} refits, {'' if told else costs}"
        f"data {trust.data.fingerprint[:12]}",
        style="dim",
    )
    if luck := _luck(trust):
        output.print(luck, style="dim")
    for caveat in trust.caveats:
        if told and caveat.startswith(("SIMULATED", "the bars end on")):
            continue
        output.print(f"• {escape(caveat)}", style="bold red" if caveat.startswith("SIMULATED") else "dim")


def _luck(trust: TrustCard) -> str:
    """How luck would have done, from the trust card: the second opinions beside the verdict."""
    said = [
        f"{title} {item}"
        for name, title in (("spa_p_value", "SPA p"), ("circular_shift_p_value", "circular shift p"), ("pbo", "PBO"))
        for item in trust.evidence
        if item.name == name and item.value is not None
    ]
    beaten = [
        f"{item.of} {item}"
        for item in trust.evidence
        if item.name == "random_entry_percentile" and item.value is not None
    ]
    if beaten:
        said.append(f"random entries at equal turnover beaten: {', '.join(beaten)}")
    for name, title in (
        ("superior_models", "better than luck, all tested at once (StepM)"),
        ("model_confidence_set", "forecasts that cannot be told from the best"),
    ):
        said += [f"{title}: {item.value}" for item in trust.evidence if item.name == name and item.value is not None]
    return escape(f"luck: {' · '.join(said)}") if said else ""


def _understood(answer: AnswerCard) -> str:
    slots = [
        f"{name.replace('period_days', 'period')} {slot.value}{' days' if name == 'period_days' else ''} ({slot.origin})"
        for name, slot in answer.slots.items()
    ]
    return escape(" · ".join([f"understood as {answer.intent}", *slots]))


def _period(answer: AnswerCard) -> str | None:
    slot = answer.slots.get("period") or answer.slots.get("period_days")
    if slot is None:
        return None
    return f"{slot.value}d" if isinstance(slot.value, int) else str(slot.value)


def _show_table(rows: Sequence[RankedRow], period: str | None, output: Console) -> None:
    known = {name for row in rows for name, item in row.figures.items() if item.value is not None}
    columns = list(MODEL_COLUMNS if "sharpe" in known else MARKET_COLUMNS)
    if "period_total_return" in known and period:
        columns.append((f"last {period}", "period_total_return"))
    columns = [column for column in columns if column[1] in known]
    fitting = _fitting(columns, rows, output.width)
    output.print(_table(rows, fitting, models="sharpe" in known))
    named = {"costs_paid": "costs: all fees and slippage, in % of the initial equity"} if "costs_paid" in known else {}
    if "alpha_p_value" in known:
        named["alpha_p_value"] = "p: of the alpha, one-sided, this model alone"
    shown = {name for _, name in fitting}
    if legend := "; ".join(text for name, text in named.items() if name in shown):
        output.print(Text(legend, style="dim"))
    if left := [title for title, name in columns if name not in shown]:
        output.print(Text(f"not shown for want of width: {', '.join(left)}", style="dim"))


def _table(rows: Sequence[RankedRow], columns: Sequence[tuple[str, str]], *, models: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("name", no_wrap=True)
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        style = "dim" if row.kind == "baseline" and models else ""
        table.add_row(str(row.rank), row.name, *(_cell(row.figures.get(name)) for _, name in columns), style=style)
    return table


def _fitting(columns: list[tuple[str, str]], rows: Sequence[RankedRow], width: int) -> list[tuple[str, str]]:
    """The columns that fit; what fits least is left out, for a figure cut in two is worse than one that is missing."""
    kept = list(columns)

    def needed() -> int:
        cells = [
            max([len(title), *(len(Text.from_markup(_cell(row.figures.get(name))).plain) for row in rows)])
            for title, name in kept
        ]
        return 3 + max(len(row.name) for row in rows) + sum(cell + 2 for cell in cells) + 2

    for name in LEAST_NEEDED:
        if needed() <= width:
            break
        kept = [column for column in kept if column[1] != name]
    return kept


def _cell(item: Evidence | None) -> str:
    if item is None or item.value is None:
        return "–"
    interval = render_interval(item).replace(" … ", "…") if item.name == "sharpe" else ""
    return f"{item} [dim]({interval})[/dim]" if interval else str(item)


def draw(curves: Sequence[Curve], output: Console) -> str:
    """The curves as text, as wide as the terminal allows."""

    from evolve.charts.terminal import equity_chart

    return equity_chart(
        curves,
        min(output.width - 2, 110),
        CHART_ROWS,
        encoding=output.encoding,
        colour=output.color_system is not None and not output.no_color,
    )
