"""`evolve tune …`: hyperparameters searched, the searches so far, and what to use, as a terminal shows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli.options import AsJson, ModelType, Seed, Simulate, Timeout
from evolve.errors import InvalidRequest

if TYPE_CHECKING:
    from evolve.tunings import TuningCard

tune_app = typer.Typer(help="Hyperparameters: search, look back, use.", no_args_is_help=True, rich_markup_mode=None)

Symbol = Annotated[str, typer.Option("--symbol", help="On whose training part.")]
Timeframe = Annotated[
    str | None, typer.Option("--timeframe", help="1m 5m 15m 30m 1h 4h 1d 1w; default: the finest with real bars.")
]
Trials = Annotated[int, typer.Option("--trials", min=1, max=10_000, help="At most so many.")]
Workers = Annotated[int, typer.Option("--workers", min=0, max=64, help="Trials at once; 0: as configured.")]
Folds = Annotated[
    int, typer.Option("--folds", min=2, max=20, help="Stretches of the training part, one after the other.")
]


@tune_app.command("run")
def run(
    model_type: ModelType,
    symbol: Annotated[str, typer.Argument(help="On whose training part.")] = "AAPL",
    timeframe: Timeframe = None,
    trials: Trials = 50,
    method: Annotated[str, typer.Option("--method", help="bayesian, grid or random.")] = "bayesian",
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space", metavar="NAME=VALUES", help="max_depth=1,2,3 or learning_rate=0.01..0.2; may be repeated."
        ),
    ] = None,
    folds: Folds = 5,
    horizon: Annotated[int, typer.Option("--horizon", min=1, max=63, metavar="BARS", help="Bars ahead.")] = 1,
    seed: Seed = 0,
    to_the_end: Annotated[bool, typer.Option("--to-the-end", help="Do not stop early, and give no trial up.")] = False,
    workers: Workers = 0,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Search a family's hyperparameters inside the training part; Ctrl-C withdraws it, and what was tried is kept."""
    from evolve.cli.app import _send
    from evolve.cli.show import print_json
    from evolve.contracts.meta_tuner import TuneHyperparameters

    fields: dict[str, Any] = {
        "model_type": model_type, "param_space": space_of(space or []), "optimization_method": method, "n_trials": trials,
        "cv_folds": folds, "symbol": symbol, "timeframe": timeframe, "horizon_bars": horizon, "seed": seed, "simulate": simulate,
        "stop_early": not to_the_end, "prune": not to_the_end, "workers": workers,
    }  # fmt: skip
    reply = _send(TuneHyperparameters, fields, timeout)
    print_json(reply) if as_json else show_tuning(reply.result)


@tune_app.command("auto")
def auto(
    model_types: Annotated[list[str] | None, typer.Argument(help="Default: lstm xgboost.")] = None,
    symbol: Symbol = "AAPL",
    timeframe: Timeframe = None,
    trials: Trials = 30,
    method: Annotated[list[str] | None, typer.Option("--method", help="May be repeated.")] = None,
    folds: Folds = 5,
    seed: Seed = 0,
    workers: Workers = 0,
    simulate: Simulate = False,
    as_json: AsJson = False,
    timeout: Timeout = None,
) -> None:
    """Tune several families one after the other."""
    from evolve.cli.app import _send
    from evolve.cli.show import console, print_json
    from evolve.contracts.meta_tuner import AutoTune

    fields: dict[str, Any] = {
        "model_types": model_types or ["lstm", "xgboost"], "optimization_methods": method or ["bayesian"], "symbol": symbol,
        "timeframe": timeframe, "max_trials_per_model": trials, "cv_folds": folds, "seed": seed, "workers": workers, "simulate": simulate,
    }  # fmt: skip
    reply = _send(AutoTune, fields, timeout)
    if as_json:
        print_json(reply)
        return
    for card in reply.result.studies:
        show_tuning(card)
    for gap in reply.result.failed:
        console().print(f"{gap['study']}: not tuned: {gap['why']}", style="yellow", markup=False)


@tune_app.command("history")
def history(
    model_type: ModelType,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What studies of a family found, newest first."""
    from evolve.cli.app import _send
    from evolve.cli.show import console, print_json
    from evolve.contracts.meta_tuner import GetTuningHistory

    reply = _send(GetTuningHistory, {"model_type": model_type, "limit": limit}, None)
    if as_json:
        print_json(reply)
        return
    for card in reply.history:
        console().print(
            f"{card.study_id}  {card.finished_at}  {card.symbol} {card.timeframe}{' SIMULATED' if card.data.simulated else ''}  "
            f"{card.optimization_method} ({card.sampler}), {card.complete} whole and {card.pruned} pruned trials  {card.verdict.replace('_', ' ')}",
            markup=False,
        )
    if not reply.history:
        console().print(f"{model_type} was not tuned yet: evolve tune run {model_type}", markup=False)


@tune_app.command("show")
def show(
    study_id: Annotated[str, typer.Argument(help="As `evolve tune history` shows it.")], as_json: AsJson = False
) -> None:
    """The trials of a study, by number."""
    from evolve.cli.app import _send
    from evolve.cli.show import console, print_json
    from evolve.contracts.meta_tuner import GetStudyTrials

    reply = _send(GetStudyTrials, {"study_id": study_id}, None)
    if as_json:
        print_json(reply)
        return
    for trial in reply.trials:
        score = f"{100 * trial.score:+.3f} %" if trial.score is not None else "–"
        again = f"  begun {trial.runs} times" if trial.runs > 1 else ""
        console().print(
            f"{trial.number:>4}  {trial.state:<8}  {score:>10}  {trial.error or params_text(trial.params)}{again}",
            markup=False,
        )


@tune_app.command("best")
def best(
    model_type: ModelType,
    size: Annotated[str, typer.Option("--size", help="small, medium or large.")] = "medium",
    as_json: AsJson = False,
) -> None:
    """The hyperparameters to use for a family, and why these."""
    from evolve.cli.app import _send
    from evolve.cli.show import console, print_json
    from evolve.contracts.meta_tuner import GetBestParams

    reply = _send(GetBestParams, {"model_type": model_type, "dataset_size": size}, None)
    if as_json:
        print_json(reply)
        return
    console().print(params_text(reply.best_params), style="bold", markup=False)
    console().print(f"from {reply.origin}: {reply.reason}", markup=False)


def show_tuning(card: TuningCard) -> None:
    from evolve.cli.show import console
    from evolve.evidence import render

    output = console()
    if card.data.simulated:
        output.print(
            "SIMULATED DATA: invented prices; nothing below is a view on the market", style="bold white on red"
        )
    found = " (found)" if card.found else ""
    output.print(
        f"{card.model_type} on {card.symbol} {card.timeframe}: {card.verdict.replace('_', ' ')}{found}",
        style="bold",
        markup=False,
    )
    output.print(f"  {card.reason}", markup=False)
    output.print(f"  to use      {params_text(card.recommended_params)}", markup=False)
    if card.best_params != card.recommended_params:
        output.print(f"  top trial   {card.best_trial}: {params_text(card.best_params)}", markup=False)
    for figure in card.figures:
        output.print(f"  {figure.name:<14} {render(figure)}", markup=False)
    if card.importance:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in card.by_importance()[:4])
        output.print(f"  importance     {shares}", markup=False)
    output.print(
        f"  study {card.study_id}: {card.sampler}, {card.complete} whole, {card.pruned} pruned, {card.failed} failed trials; "
        f"{card.cv_folds} folds inside the first {card.train_bars:,} bars (to {card.train_last})",
        markup=False,
    )
    for said in (f"ended {card.stopped_early}" if card.stopped_early else "", *card.notes):
        if said:
            output.print(f"• {said}", style="dim", markup=False)


def params_text(params: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in sorted(params.items())
    )


def space_of(given: list[str]) -> dict[str, Any]:
    """`max_depth=1,2,3`, `learning_rate=0.01..0.2`, `subsample=0.5` as a param_space. Raises InvalidRequest."""
    space: dict[str, Any] = {}
    for each in given:
        name, equals, values = each.partition("=")
        if not equals or not name.strip() or not values.strip():
            raise InvalidRequest(
                f"--space takes NAME=VALUES, as max_depth=1,2,3 or learning_rate=0.01..0.2, not {each[:60]!r}"
            )
        low, range_, high = values.partition("..")
        if range_:
            space[name.strip()] = {"low": _value(low), "high": _value(high)}
        else:
            listed = [_value(value) for value in values.split(",")]
            space[name.strip()] = listed if len(listed) > 1 else listed[0]
    return space


def _value(text: str) -> Any:
    try:
        return json.loads(text.strip())
    except ValueError:
        return text.strip()
