"""The commands about one model or program, and its pictures: what they are called and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import (
    AsJson,
    Daily,
    ModelId,
    ModelType,
    Period,
    Reason,
    Seed,
    Simulate,
    SymbolArgument,
    SymbolOption,
    Theme,
    TimeframeOption,
    Timeout,
)


def build(
    model_type: ModelType,
    symbol: SymbolArgument,
    timeframe: TimeframeOption = None,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", help="May be repeated; default: the usual set.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")
    ] = None,
    horizon: Annotated[int, typer.Option("--horizon", help="Bars ahead.")] = 1,
    seed: Seed = 0,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Train even if it is registered.")] = False,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Train a model, test it walk-forward, register it."""
    from evolve.cli import app
    from evolve.cli.show import print_json, show_model
    from evolve.contracts.model_builder import BuildModel

    fields = {
        "model_type": model_type, "symbol": symbol, "timeframe": timeframe, "features": tuple(feature or ()),
        "hyperparameters": app._parameters(param or []), "horizon_bars": horizon, "seed": seed, "rebuild": rebuild,
        "simulate": simulate,
    }  # fmt: skip
    reply = app._send(BuildModel, fields, timeout)
    print_json(reply) if as_json else show_model(reply.model_info, found=reply.found)


def evaluate(
    model_id: ModelId,
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    period: Period = "90d",
    metric: Annotated[list[str] | None, typer.Option("--metric", help="May be repeated.")] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Also refit for every choice of tested stretches.")
    ] = False,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Score a model out of sample, net of costs, and test it against luck."""
    from evolve.cli import app
    from evolve.cli.show import print_json, show_evaluation
    from evolve.contracts.performance_critic import DEFAULT_METRICS, EvaluateModel

    fields = {
        "model_id": model_id, "symbol": symbol, "timeframe": timeframe, "period": period,
        "metrics": tuple(metric or DEFAULT_METRICS), "simulate": simulate, "cross_validated": cross_validate,
    }  # fmt: skip
    reply = app._send(EvaluateModel, fields, timeout)
    print_json(reply) if as_json else show_evaluation(reply.evaluation)


def audit(
    target: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="A model's id, or a program of your own.")],
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="For a program; may be repeated.")
    ] = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Does a model or a program look ahead? The future is changed, and what was decided before must stay."""
    from evolve.cli import app
    from evolve.cli.audit import request_for, show_audit

    request, fields = request_for(target, symbol, timeframe, app._parameters(param or []), simulate=simulate)
    found = app._send(request, fields, timeout).audit
    show_audit(found, as_json=as_json)
    if not found.passed:
        raise typer.Exit(1)


def compare(
    model_ids: Annotated[list[str], typer.Argument(help="Two or more ids; `evolve models` lists them.")],
    symbol: SymbolOption = None,
    timeframe: TimeframeOption = None,
    period: Period = "90d",
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Rank models and baselines; name a winner only if one earned it."""
    from evolve.cli import app
    from evolve.cli.show import print_json, show_comparison
    from evolve.contracts.performance_critic import CompareModels

    fields = {
        "model_ids": tuple(model_ids),
        "symbol": symbol,
        "timeframe": timeframe,
        "period": period,
        "simulate": simulate,
    }
    reply = app._send(CompareModels, fields, timeout)
    found = reply.comparison
    print_json(reply) if as_json else show_comparison(found.rows, found.trust, found.curves, found.period)


def backtest(
    code: Annotated[Path, typer.Option("--code", metavar="FILE", help="A program with main(input_data).")],
    symbol: Annotated[str, typer.Option("--symbol", help="On whose bars.")],
    timeframe: TimeframeOption = None,
    period: Period = "90d",
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="For the strategy; may be repeated.")
    ] = None,
    long_only: Annotated[bool, typer.Option("--long-only", help="SELL means out of the market.")] = False,
    vol_target: Annotated[
        float | None,
        typer.Option("--vol-target", metavar="SHARE", help="Scale positions to this volatility a year; 0.15 is 15 %."),
    ] = None,
    second: Annotated[
        str | None, typer.Option("--second", metavar="SYMBOL", help="Hold the pair: long --symbol, short this one.")
    ] = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Score a strategy of your own, bar by bar in the sandbox, with costs and beside the baselines."""
    import sys

    from evolve.cli import app
    from evolve.cli.sandbox import program, show_backtest
    from evolve.contracts.performance_critic import BacktestStrategy

    fields = {
        "strategy_code": program(code), "strategy_name": code.stem[:64], "symbol": symbol, "timeframe": timeframe,
        "period": period, "parameters": app._parameters(param or []), "long_only": long_only, "volatility_target": vol_target, "simulate": simulate,
        "second_symbol": second,
    }  # fmt: skip
    reply = app._send(BacktestStrategy, fields, timeout)
    typed = [word for word in sys.argv[1:] if word != "--json"]
    show_backtest(reply, ["evolve", *typed], as_json=as_json)


def promote(
    model_id: ModelId,
    force: Annotated[bool, typer.Option("--force", help="Whatever the evidence says; it is put on record.")] = False,
    reason: Reason = "asked for",
    as_json: AsJson = False,
) -> None:
    """Put a model in charge of its symbol, if the evidence says so; else show the evidence."""
    from evolve.cli.updates import promote

    promote(model_id, reason, force=force, as_json=as_json)


def rollback(
    symbol: SymbolArgument, timeframe: Daily = "1d", reason: Reason = "asked for", as_json: AsJson = False
) -> None:
    """Put the champion before the present one in charge again."""
    from evolve.cli.updates import rollback

    rollback(symbol, timeframe, reason, as_json=as_json)


def retrain(
    model_id: ModelId,
    period: Annotated[str, typer.Option(help="The latest stretch to show old and new on.")] = "30d",
    full: Annotated[bool, typer.Option("--full", help="Walk forward anew, not one fit only.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Train a model's recipe again on all bars there are now."""
    from evolve.cli.updates import retrain

    retrain(model_id, period, full=full, as_json=as_json, timeout=timeout)


def update(
    symbol: SymbolArgument,
    timeframe: Daily = "1d",
    check: Annotated[bool, typer.Option("--check", help="Only look, change nothing.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """One round over a symbol's models: roll back, promote, retire, look for drift, retrain."""
    from evolve.cli.updates import update

    update(symbol, timeframe, "check" if check else "smart", as_json=as_json, timeout=timeout)


def plot(
    plot_type: Annotated[str, typer.Argument(help="Such as equity_curve or candlestick; docs/gallery.md shows all.")],
    source: Annotated[str, typer.Argument(help="A model, answer, evaluation or symbol.")] = "backtest_results",
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    format: Annotated[str, typer.Option(help="png, svg or html.")] = "png",
    timeframe: TimeframeOption = None,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Draw a chart of a model, answer, evaluation or symbol."""
    from evolve.cli import app
    from evolve.cli.pictures import draw

    draw(app._send, plot_type, source, theme, format, timeframe, simulate, as_json=as_json, timeout=timeout)


def report(
    source: Annotated[str, typer.Argument(help="A model, answer, evaluation or symbol.")],
    theme: Theme = "light",
    simulate: Simulate = False,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a PDF to FILE instead (extra `pdf`).")] = None,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """One page about a model, answer, evaluation or symbol: verdict, charts, figures; opens from disk."""
    from evolve.cli import app
    from evolve.cli.pictures import report

    report(app._send, source, theme, simulate, pdf, as_json=as_json, timeout=timeout)


def read_chart(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or the like.")],
    analysis: Annotated[str, typer.Option(help="general, line or candlestick.")] = "general",
    calibrate: Annotated[
        list[str] | None, typer.Option("--y", metavar="PIXEL=VALUE", help="A row and its value; give two or more.")
    ] = None,
    describe: Annotated[
        bool,
        typer.Option(
            "--describe", help="Let the vision model of EVOLVE_LLM_MODEL say what it sees; sends it the picture."
        ),
    ] = False,
    model: Annotated[str | None, typer.Option(help="Another vision model to describe it.")] = None,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Recover curves, return, drawdown, volatility and trend from the picture of a chart."""
    from evolve.cli import app
    from evolve.cli.pictures import read

    asked = model or ("auto" if describe else None)
    read(app._send, image, analysis, calibrate or [], asked, as_json=as_json, timeout=timeout)
