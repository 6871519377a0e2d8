"""Cards with figures in them, small enough to read."""

from __future__ import annotations

from evolve.cards import (
    AnswerCard,
    Costs,
    Curve,
    DataCard,
    EvaluationCard,
    ModelCard,
    RankedRow,
    Recipe,
    TrustCard,
)
from evolve.evidence import Evidence


def figure(name: str, value: float | None, *, low: float | None = None, high: float | None = None, level: float | None = None) -> Evidence:  # fmt: skip
    unit = "fraction" if name in ("total_return", "drawdown") else "price" if level else "ratio"
    return Evidence(f"e-{name}", name, "ridge", value, unit, "2013-03-01", "a source", "by hand", low, high, level)


def data(*, simulated: bool = False) -> DataCard:
    return DataCard(
        "AAPL", "1d", "a source", "f" * 64, 3_270, "2000-03-01", "2013-03-01", simulated, "simulated" if simulated else "stale"
    )  # fmt: skip


def trust(*, simulated: bool = False, caveats: tuple[str, ...] = ("one caveat",)) -> TrustCard:
    return TrustCard(
        "no_edge", "No edge found.", data(simulated=simulated), Costs(1.0, 4.0, 50.0), 5, 2_269, 7, 7, ("flat",), caveats=caveats,
        reproduce="evolve reproduce a1",
    )  # fmt: skip


CURVE = Curve("ridge", ("2013-02-27", "2013-02-28", "2013-03-01"), (1.0, 1.1, 1.05))
ROW = RankedRow(1, "ridge", "model", "ridge-AAPL", {"sharpe": figure("sharpe", 0.07, low=-0.67, high=0.73), "total_return": figure("total_return", 0.02)})  # fmt: skip
FLAT = RankedRow(2, "flat", "baseline", None, {"sharpe": figure("sharpe", None)})


def answer(query: str = "Is there a model for AAPL?", *, simulated: bool = False, curves: tuple[Curve, ...] = ()) -> AnswerCard:  # fmt: skip
    return AnswerCard(
        "a1", query, "model_recommendation", "No edge found.", "no_edge", "simulated" if simulated else "stale", {}, (ROW, FLAT),
        trust(simulated=simulated), tuple(ROW.figures.values()), ("Because.",), curves, "Research, not advice.", "evolve reproduce a1",
    )  # fmt: skip


def evaluation(curves: tuple[Curve, ...] = (CURVE,)) -> EvaluationCard:
    return EvaluationCard(
        "v1", "ridge-AAPL", "AAPL", "1d", "90d", 0.33, dict(ROW.figures), {"total_return": figure("total_return", 0.01)}, trust(), "", curves
    )  # fmt: skip


def model(outlook: tuple[Evidence, ...] = ()) -> ModelCard:
    recipe = Recipe("ridge", "AAPL", "1d", ("return_1",), {"alpha": 1.0}, 1, 0, 5, 1, 1_000)
    return ModelCard("ridge-AAPL", recipe, data(), "2026-01-01T00:00:00Z", "0.1.0", "w" * 64, tuple(ROW.figures.values()), outlook=outlook)  # fmt: skip


OUTLOOK = (
    figure("median", 56.15),
    figure("band_50", 56.15, low=55.64, high=56.84, level=0.5),
    figure("band_90", 56.15, low=54.48, high=57.95, level=0.9),
)
