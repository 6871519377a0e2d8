"""Which fitted models may be recommended: those whose forecasts do not know the future."""

from __future__ import annotations

import numpy as np
import pytest
from desks import noise

from evolve.agents import lookahead_audit
from evolve.agents.lookahead_audit import audit_model
from evolve.errors import DataUnavailable
from evolve.forecasting.base import FittedForecaster, forecaster
from evolve.market.bars import Bars, Floats


class Peeking(FittedForecaster):
    """Forecasts from the highest close it is handed, later ones included."""

    family, horizon_bars, timeframe = "peeking", 1, "1d"
    first_bar = 5

    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        return bars.close.max() / bars.close[start:] - 1, np.ones(len(bars) - start)

    def to_bytes(self) -> bytes:
        return b""


@pytest.fixture
def fewer_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the forecasts: each is made again for every cut and kind, and a model that peeks peeks at all of them."""
    monkeypatch.setattr(lookahead_audit, "AUDITED_BARS", 100)


@pytest.mark.parametrize("family", ["naive", "drift", "ridge", "xgboost"])
def test_our_families_pass(family: str, fewer_bars: None) -> None:
    bars = noise(600)
    fitted = forecaster(family).fit(bars.slice(0, 400))

    audit = audit_model("model", fitted, bars)

    assert audit.passed, audit.reason
    assert audit.cuts >= 32
    figures = {item.name: item.value for item in audit.figures}
    assert figures["warm_up_bars"] == fitted.first_bar
    assert {"settled_bars", "sharpe", "sharpe_one_bar_later"} < set(figures)


def test_a_network_passes_though_it_sums_in_another_order_for_fewer_bars(fewer_bars: None) -> None:
    pytest.importorskip("torch", reason="a network needs torch: make torch")
    bars = noise(500)
    fitted = forecaster("lstm").fit(bars.slice(0, 400), hyperparameters={"epochs": 1})

    audit = audit_model("model", fitted, bars)

    assert audit.passed, audit.reason


def test_a_model_that_peeks_is_found_out() -> None:
    audit = audit_model("model", Peeking(), noise(400))

    assert not audit.passed
    assert "looks ahead" in audit.reason


def test_too_few_bars_are_named() -> None:
    with pytest.raises(DataUnavailable, match="too few to audit"):
        audit_model("model", Peeking(), noise(50))
