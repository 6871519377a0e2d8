"""Do simulated stocks look like real ones? Twenty-one facts of daily returns against the band of twenty real stocks.

The band is where 95 % of eighty real stretches of eight years lie, so that a real stock is inside with 95 % of its facts too.
"""

from functools import cache

import numpy as np
import pytest

from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.market.sources.simulated import SimulatedSource
from stylised import FACTS, TABLE, WINDOW, facts_of, inside, real_band, real_facts, skfolio_closes, windows_of

BAND = real_band()
REAL = ("AAPL", "MSFT", "IBM", "GOOG")


@cache
def share_inside(paths):
    """Share of facts inside the band, by fact, over simulated stocks SIM0 … SIM(paths − 1)."""
    found = [
        inside(facts_of(SimulatedSource().load(BarSpec(f"SIM{number}", "1d")).close), BAND) for number in range(paths)
    ]
    return {name: float(np.mean([facts[name] for facts in found])) for name in FACTS}


def mean_share(facts):
    return float(np.mean([inside(one, BAND)[name] for one in facts for name in FACTS]))


def test_nine_tenths_of_the_facts_of_simulated_stocks_are_those_of_real_ones():
    assert np.mean(list(share_inside(10).values())) >= 0.9


def test_the_real_stretches_lie_in_their_own_band():
    assert len(real_facts()) == 80
    assert mean_share(real_facts()) == pytest.approx(0.95, abs=0.01)


def test_other_real_stocks_and_years_lie_in_the_band():
    """The bundled sample, from another vendor: the table is of real stocks, and the measure is not made for the model."""
    closes = [SampleSource().load(BarSpec(symbol, "1d")).close for symbol in REAL]
    assert mean_share([facts_of(close) for close in closes]) >= 0.85


def test_a_random_walk_is_told_from_a_stock():
    """The measure can fail: constant volatility, and even fat tails without memory, are far outside."""
    random = np.random.default_rng(1)
    plain = [facts_of(np.exp(np.cumsum(random.normal(0, 0.018, WINDOW + 1)))) for _ in range(10)]
    fat = [facts_of(np.exp(np.cumsum(0.012 * random.standard_t(4, WINDOW + 1)))) for _ in range(10)]

    assert mean_share(plain) < 0.6
    assert mean_share(fat) < 0.85


def test_volume_rises_with_the_size_of_moves_as_it_does_in_real_stocks():
    def correlation(bars):
        close, volume = bars.close[-WINDOW - 1 :], bars.volume[-WINDOW:]
        return float(np.corrcoef(np.abs(np.diff(np.log(close))), np.log(volume))[0, 1])

    real = [correlation(SampleSource().load(BarSpec(symbol, "1d"))) for symbol in REAL]
    made = [correlation(SimulatedSource().load(BarSpec(f"SIM{number}", "1d"))) for number in range(10)]

    # Four stocks span too narrow a band to hold ten paths: their middle must lie in it, widened by its own width.
    width = max(real) - min(real)
    assert min(real) - width <= np.median(made) <= max(real) + width


def test_a_day_is_busy_at_both_ends():
    """Wood, McInish, Ord (1985): variance and volume are U-shaped over New York's day."""
    bars = SimulatedSource().load(BarSpec("SIM0", "30m"))
    minute = bars.time // 60_000 % 1440
    size = np.abs(np.log(bars.close / bars.open))
    winter = [size[minute == 870 + 30 * slot].mean() for slot in range(13)]

    assert min(winter[1], winter[-1]) > max(winter[5:8])


@pytest.mark.prove
def test_a_hundred_simulated_stocks_look_real_and_no_fact_is_missed_by_most():
    shares = share_inside(100)
    for name, share in sorted(shares.items(), key=lambda item: item[1]):
        print(f"{share:.2f}  {name}")
    print(f"{np.mean(list(shares.values())):.3f}  of all")

    assert np.mean(list(shares.values())) >= 0.9
    assert min(shares.values()) >= 0.5


@pytest.mark.prove
def test_the_table_of_real_facts_is_what_skfolios_closes_give():
    pytest.importorskip("skfolio", reason="the package skfolio is not installed")
    stretches = [stretch for closes in skfolio_closes().values() for stretch in windows_of(closes)]

    assert TABLE.exists()
    for stretch, kept in zip(stretches, real_facts(), strict=True):
        assert facts_of(stretch) == pytest.approx(kept, rel=1e-5, abs=1e-6)
