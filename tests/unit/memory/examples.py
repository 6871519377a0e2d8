"""Values to store, with only what matters to a test given."""

from __future__ import annotations

from dataclasses import replace

from evolve.cards import Costs, DataCard, ModelCard, Recipe, TrustCard
from evolve.evidence import Evidence
from evolve.memory.decisions import Decision
from evolve.memory.evaluations import Evaluation
from evolve.memory.registry import model_id_of

CODE_VERSION = "0.1.0+abc"


def recipe(**changes: object) -> Recipe:
    usual = Recipe(
        model_type="ridge",
        symbol="AAPL",
        timeframe="1d",
        features=("log_return_1", "volatility_20"),
        hyperparameters={"alpha": 1.0},
        horizon_bars=1,
        seed=7,
        folds=5,
        embargo_bars=1,
        first_train_bars=500,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def data(**changes: object) -> DataCard:
    usual = DataCard("AAPL", "1d", "bokeh-sampledata", "f" * 64, 3270, "2000-03-01", "2013-03-01", False, "stale")
    return replace(usual, **changes)  # type: ignore[arg-type]


def sharpe(value: float | None) -> Evidence:
    return Evidence(
        "e1",
        "sharpe_ratio",
        "ridge",
        value,
        "ratio",
        as_of="2013-03-01",
        source="bokeh-sampledata",
        computed="walk-forward",
    )


def card(*, code_version: str = CODE_VERSION, fingerprint: str = "f" * 64, **changes: object) -> ModelCard:
    made_from = recipe(**changes)
    return ModelCard(
        model_id=model_id_of(made_from, data_fingerprint=fingerprint, code_version=code_version),
        recipe=made_from,
        data=data(fingerprint=fingerprint, symbol=made_from.symbol),
        created_at="2026-01-02T03:04:05Z",
        code_version=code_version,
        weights_sha256="",
        metrics=(sharpe(0.1 + 0.2),),
    )


def decision(**changes: object) -> Decision:
    usual = Decision(
        service="model_builder",
        request_id="r1",
        request_type="build_model",
        inputs={"model_type": "ridge", "symbol": "AAPL"},
        outcome={"model_id": "ridge-AAPL-1d-00000000"},
        status="success",
        code_version=CODE_VERSION,
        started_at=100.0,
        finished_at=101.5,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def evaluation(model_id: str, request_id: str, *, score: float | None = 0.5, symbol: str = "AAPL") -> Evaluation:
    trust = TrustCard(
        verdict="no_edge",
        reason="the interval of the Sharpe ratio holds 0",
        data=data(symbol=symbol),
        costs=Costs(fee_bps=1.0, slippage_bps=2.0),
        folds=5,
        out_of_sample_bars=2700,
        trials=3,
        ledger_position=3,
        baselines=("flat", "buy-and-hold"),
    )
    return Evaluation(
        model_id=model_id,
        request_id=request_id,
        symbol=symbol,
        timeframe="1d",
        evaluated_at="2026-01-02T03:04:05Z",
        code_version=CODE_VERSION,
        overall_score=score,
        figures=(sharpe(score),),
        trust=trust,
        period_days=365,
    )
