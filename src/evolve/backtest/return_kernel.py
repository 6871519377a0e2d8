"""The compiled pass of `return_sums`, which says what it gives. Importing this module imports numba and compiles (or loads) it."""

from __future__ import annotations

from numba import njit, types

_RETURNS = types.Array(types.float64, 1, "A", readonly=True)
_F, _N, _B = types.float64, types.int64, types.boolean
_SUMS = types.Tuple((_F, _F, _F, _F, _F, _F, _F, _N, _N, _F, _F, _B, _F, _N, _B, _F))  # type: ignore[no-untyped-call]


@njit(_SUMS(_RETURNS), cache=True, error_model="numpy")
def pass_over_compiled(sample):  # type: ignore[no-untyped-def]
    scale = 0.0
    mean = squares = cubes = fourths = 0.0
    gains = losses = downside = largest = 0.0
    winners = losers = 0
    ruined = False
    equity = peak = 1.0
    peak_at = 0
    deepest, deepest_peak_at, back_at = 0.0, 0, 0
    under = False  # whether the account is still below the peak before its deepest fall
    for bar in range(sample.size):
        one = sample[bar]
        size = abs(one)
        if size > scale * 1e6:  # the first return that moves, and a far larger one: else a fourth power would overflow
            shrink = scale / size
            mean *= shrink
            squares *= shrink**2
            cubes *= shrink**3
            fourths *= shrink**4
            downside *= shrink**2
            scale = size
        if size > largest:
            largest = size
        if one > 0.0:
            gains += one
            winners += 1
        elif one < 0.0:
            losses -= one
            losers += 1
            downside += (one / scale) ** 2
            if one <= -1.0:
                ruined = True

        if scale > 0.0:
            count = bar + 1.0
            away = one / scale - mean
            step = away / count
            step_squared = step * step
            term = away * step * bar
            mean += step
            fourths += (
                term * step_squared * (count * count - 3 * count + 3) + 6 * step_squared * squares - 4 * step * cubes
            )
            cubes += term * step * (count - 2) - 3 * step * squares
            squares += term

        equity *= 1.0 + one
        if equity >= peak:
            peak, peak_at = equity, bar + 1
            if under:
                back_at, under = bar + 1, False
        else:
            depth = equity / peak - 1.0
            if depth < deepest:
                deepest, deepest_peak_at, under = depth, peak_at, True
    if scale == 0.0:
        scale = 1.0
    recovered = not under
    length = (back_at if recovered else sample.size) - deepest_peak_at if deepest < 0.0 else 0
    return (
        scale, mean * scale, squares, cubes, fourths, gains, losses, winners, losers, downside,
        equity, ruined, deepest, length, recovered, largest,
    )  # fmt: skip
