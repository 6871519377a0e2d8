"""Does a program do what its paper claims? Run in the sandbox, checked, backtested with costs beside baselines, and compared.

A program is run twice by us, the second time on bars whose future was changed, and once by the performance critic, who gives the
verdict on the edge. What we compute ourselves is what costs took away, and the comparison with the claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from evolve.agents.author import Candidate, Writer
from evolve.agents.figures import figures
from evolve.agents.strategy import Strategy, columns_of
from evolve.agents.track_record import RESAMPLING_SEED, first_train_bars, record_of_positions, usable_history
from evolve.cards import ComparisonCard, Costs, RankedRow
from evolve.errors import InvalidRequest
from evolve.evidence import Evidence, EvidenceBook, render, render_interval
from evolve.findings import Check, CodeSuggestion, Replication, ReplicationStatus
from evolve.market.bars import Bars, Floats
from evolve.market.calendar import default_costs
from evolve.market.pair import Pair, pair_of_bars
from evolve.research.codegen import MOST_REPAIRS

DEFAULT_SYMBOL = "AAPL"  # its bundled bars are real
FREE = Costs(fee_bps=0.0, slippage_bps=0.0)
# The future is changed behind six tenths of the bars: enough before it for every window of the library, enough behind it to differ.
CUT = 0.6
CHANGE_SEED = 7
# Returns of published strategies are 26 % lower out of sample even where the effect is real: three quarters of a claim confirm it.
# Source: McLean and Pontiff (2016), Does Academic Research Destroy Stock Return Predictability?, J. Finance 71(1).
CONFIRMS = 0.75
SHOWN = ("sharpe", "cagr", "drawdown", "turnover_per_year", "costs_paid", "exposure", "alpha_p_value")
# claimed figure → ours, where they mean the same
COMPARABLE = {"sharpe": "sharpe", "annual_return": "cagr"}


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """status: as in `RunResult`; decisions: what it returned at each bar until it ended."""

    status: str
    error: str
    decisions: tuple[Any, ...]


class Workbench(Protocol):
    """The sandbox and the performance critic. Each method raises their typed errors."""

    def run(self, code: str, name: str, bars: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> ProgramRun: ...
    def backtest(self, code: str, name: str, given: Bars | Pair) -> ComparisonCard: ...
    def progress(self, stage: str, done: int, total: int, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Try:
    """One run of a program. trouble: empty where it went well, else what went wrong, with `detail` for whoever mends it."""

    run: ProgramRun
    position: Floats | None
    checks: tuple[Check, ...]
    trouble: str = ""
    detail: str = ""


def try_out(
    writer: Writer, given: Bars | Pair, claims: Sequence[Evidence], bench: Workbench, caveats: Sequence[str] = ()
) -> CodeSuggestion:
    """The program with its checks and the replication verdict; mended at most twice, or else reported as failing.

    claims: what the text states of its strategy. Raises DataUnavailable for too few bars, Unavailable where no sandbox runs.
    """
    given, notes = _usable(given)
    bars = given.bars if isinstance(given, Pair) else given
    candidate = writer.first()
    repairs: list[str] = []
    while True:
        tried = _tried(candidate, given, bench)
        better = writer.mended(tried.trouble, tried.detail, len(repairs)) if _mendable(tried, repairs) else None
        if better is None:
            break
        candidate, what = better
        repairs.append(what)
    if tried.trouble or tried.position is None or not all(check.passed for check in tried.checks):
        return _suggestion(candidate, "failing", tried.checks, repairs, None)
    comparison = bench.backtest(candidate.code, candidate.name, given)
    own = _own_figures(candidate.name, tried.position, bars)
    row = next(row for row in comparison.rows if row.kind == "model")
    checks = (*tried.checks, _same_again(own, row))
    caveats = (
        *caveats, *candidate.caveats, *_caveats(candidate, given), *notes, *comparison.trust.caveats
    )  # fmt: skip
    replication = compare(claims, row, own["gross"], comparison, caveats)
    status = "tested" if checks[-1].passed else "failing"
    return _suggestion(candidate, status, checks, repairs, replication if status == "tested" else None)


def _tried(candidate: Candidate, given: Bars | Pair, bench: Workbench) -> _Try:
    """Gate, sandbox, decisions, look-ahead audit, positions; ends at the first that fails."""
    bars = given.bars if isinstance(given, Pair) else given
    bench.progress("sandbox", 0, len(bars), f"{candidate.name} decides on {len(bars):,} bars in the sandbox")
    run = bench.run(candidate.code, candidate.name, columns_of(given), _about(bars))
    checks: tuple[Check, ...] = (_gate(run), _sandbox(run, len(bars)))
    if run.status != "success":
        return _Try(run, None, checks, run.status, run.error)
    try:
        position = Strategy(candidate.code, candidate.name).positions(run.decisions, bars)
    except InvalidRequest as error:
        return _Try(run, None, (*checks, Check("takes_positions", False, error.message)), "no_decision", error.message)
    ahead = _look_ahead(candidate, run, given, bench)
    checks = (*checks, ahead, _takes_positions(candidate, position, bars))
    if not ahead.passed:
        return _Try(run, position, checks, "look_ahead", ahead.detail)
    return _Try(run, position, checks, "" if checks[-1].passed else "no_position", checks[-1].detail)


def _mendable(tried: _Try, repairs: Sequence[str]) -> bool:
    return bool(tried.trouble) and tried.trouble != "system_error" and len(repairs) < MOST_REPAIRS


def _usable(given: Bars | Pair) -> tuple[Bars | Pair, tuple[str, ...]]:
    if not isinstance(given, Pair):
        return usable_history(given)
    kept, notes = usable_history(given.bars)
    return given.slice(len(given.bars) - len(kept), len(given.bars)), notes


def compare(
    claims: Sequence[Evidence], row: RankedRow, gross: Evidence, comparison: ComparisonCard, caveats: Sequence[str]
) -> Replication:
    """The replication verdict. row: the program's figures, net of costs; gross: its Sharpe ratio without costs."""
    book = EvidenceBook()
    claimed = [book.adopt(claim) for claim in claims]
    net = book.adopt(row.figures["sharpe"])
    before = book.adopt(gross)
    rest = [book.adopt(row.figures[name]) for name in SHOWN[1:] if name in row.figures]
    held = next((each for each in comparison.rows if each.name == "buy_and_hold"), None)
    benchmark = [] if held is None else [book.adopt(held.figures["sharpe"])]
    ours = {each.name: each for each in (net, *rest)}
    status, headline = _judged(claimed, ours, before, comparison)
    held_sharpe = f"; buy-and-hold had {render(benchmark[0])}" if benchmark else ""
    headline = f"{headline}{held_sharpe}; verdict on the edge: {comparison.verdict}"
    data, costs = comparison.trust.data, comparison.trust.costs
    simulated = "SIMULATED bars; " if data.simulated else ""
    return Replication(
        status=status,
        headline=headline,
        claimed=tuple(claimed),
        reproduced=(net, before, *rest, *benchmark),
        symbol=comparison.symbol,
        timeframe=comparison.timeframe,
        data=f"{simulated}{data.bars:,} bars, {data.first} to {data.last}, {data.source}; scored on the last {comparison.trust.out_of_sample_bars:,}",
        costs=f"{costs.fee_bps:g} bp fee and {costs.slippage_bps:g} bp slippage per leg",
        verdict=f"{comparison.verdict}: {comparison.reason}",
        caveats=tuple(dict.fromkeys(caveats)),
    )


def _judged(
    claimed: Sequence[Evidence], ours: Mapping[str, Evidence], gross: Evidence, comparison: ComparisonCard
) -> tuple[ReplicationStatus, str]:
    claim = next((each for name in COMPARABLE for each in claimed if each.name == name), None)
    net = ours["sharpe"]
    found = f"Sharpe {_shown(net)} net of costs, {render(gross)} before them"
    if comparison.verdict == "insufficient_data" or not isinstance(net.value, float):
        return "insufficient_data", f"Too few bars to say: {comparison.reason}"
    eaten = _above_zero(gross) and not _above_zero(net)
    if claim is None:
        took = "; costs take away what there is before them" if eaten else ""
        if claimed:
            stated = ", ".join(dict.fromkeys(each.name for each in claimed))
            return (
                "not_comparable",
                f"What is claimed ({stated}) cannot be compared with a backtest on one symbol. Found: {found}{took}",
            )
        return "no_claim", f"The text states no figure. Found: {found}{took}"
    mine = ours.get(COMPARABLE[claim.name])
    said = f"{claim.name} {render(claim)}"
    if isinstance(mine, Evidence) and _confirms(claim, mine) and _above_zero(net):
        return "reproduced", f"Reproduced here: claimed {said}, found {mine.name} {_shown(mine)}. Found: {found}"
    if eaten:
        return "costs_remove_it", f"There is an edge before costs, and costs remove it: claimed {said}, found {found}"
    return "not_reproduced", f"Not reproduced: claimed {said}, found {found}"


def _confirms(claim: Evidence, mine: Evidence) -> bool:
    if not isinstance(claim.value, float | int) or not isinstance(mine.value, float | int):
        return False
    return claim.value > 0 and mine.value >= CONFIRMS * claim.value


def _above_zero(sharpe: Evidence) -> bool:
    """Whether its whole interval is: a positive figure alone may be luck."""
    return sharpe.low is not None and sharpe.low > 0


def _shown(item: Evidence) -> str:
    interval = render_interval(item)
    return f"{render(item)} ({interval})" if interval else render(item)


# ── Checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gate(run: ProgramRun) -> Check:
    refused = run.status == "validation_error"
    return Check("gate", not refused, run.error if refused else "imports, names and attributes are allowed")


def _sandbox(run: ProgramRun, bars: int) -> Check:
    if run.status == "success":
        return Check("sandbox", True, f"decided on {len(run.decisions):,} of {bars:,} bars")
    return Check("sandbox", False, f"{run.status} at bar {len(run.decisions):,}: {run.error[:300]}")


def _look_ahead(candidate: Candidate, first: ProgramRun, given: Bars | Pair, bench: Workbench) -> Check:
    """The same program on the same past and another future must decide the same up to there."""
    bars = given.bars if isinstance(given, Pair) else given
    cut = round(CUT * len(bars))
    bench.progress("audit", 0, 1, f"changing every bar after {bars.date(cut)}")
    second = bench.run(candidate.code, candidate.name, columns_of(with_another_future(given, cut)), _about(bars))
    if second.status != "success":
        return Check(
            "look_ahead", None, f"could not be audited: the second run ended with {second.status}: {second.error[:200]}"
        )
    differ = next((bar for bar in range(cut + 1) if first.decisions[bar] != second.decisions[bar]), None)
    if differ is None:
        return Check(
            "look_ahead",
            True,
            f"{cut + 1:,} decisions stayed the same when every bar after {bars.date(cut)} was changed",
        )
    return Check(
        "look_ahead",
        False,
        f"the decision of {bars.date(differ)} changed with bars after {bars.date(cut)}, or by chance",
    )


def _takes_positions(candidate: Candidate, position: Floats, bars: Bars) -> Check:
    held, scored = _held(position, bars), len(bars) - first_train_bars(len(bars), horizon_bars=1)
    if held == 0:
        usual = ", ".join(f"{each.name} = {each.value}" for each in candidate.settings if each.origin == "usual")
        said = f"; the text does not state {usual}" if usual else ""
        return Check(
            "takes_positions", False, f"it never takes a position in the {scored:,} bars that are scored{said}"
        )
    return Check("takes_positions", True, f"in the market on {held:,} of {scored:,} scored bars")


def _held(position: Floats, bars: Bars) -> int:
    return int(np.count_nonzero(position[first_train_bars(len(bars), horizon_bars=1) :]))


def _same_again(own: Mapping[str, Evidence], row: RankedRow) -> Check:
    """The critic's own run must give the figure that our run gives."""
    mine, theirs = own["net"].value, row.figures["sharpe"].value
    if mine == theirs:
        return Check("same_again", True, "the performance critic's run gave the same Sharpe ratio to the last digit")
    return Check("same_again", False, f"two runs gave different figures: Sharpe {mine} and {theirs}")


def _own_figures(name: str, position: Floats, bars: Bars) -> dict[str, Evidence]:
    """Sharpe ratios of our run over the scored stretch: `net` of the venue's costs, and `gross` of them."""
    start = first_train_bars(len(bars), horizon_bars=1)
    found = {}
    for kind, costs in (("net", default_costs(bars.symbol)), ("gross", FREE)):
        record = record_of_positions(name, position[start:], start, bars, costs)
        book = EvidenceBook()
        found[kind] = figures(record, bars, book, names=("sharpe",), seed=RESAMPLING_SEED)["sharpe"]
    gross = found["gross"]
    found["gross"] = replace(gross, name="sharpe_before_costs", computed=f"{gross.computed}; without any costs")
    return found


def with_another_future(given: Bars | Pair, cut: int) -> Bars | Pair:
    """The same bars up to `cut`, and behind it prices on another path; deterministic. Of a pair each leg goes its own way."""
    if isinstance(given, Pair):
        return pair_of_bars(_changed(given.first, cut, CHANGE_SEED), _changed(given.second, cut, CHANGE_SEED + 1))
    return _changed(given, cut, CHANGE_SEED)


def _changed(bars: Bars, cut: int, seed: int) -> Bars:
    steps = np.random.default_rng(seed).normal(0, 0.03, len(bars) - cut - 1)
    factor = np.concatenate([np.ones(cut + 1), np.exp(np.cumsum(steps))])
    return replace(
        bars, open=bars.open * factor, high=bars.high * factor, low=bars.low * factor, close=bars.close * factor
    )


def _about(bars: Bars) -> dict[str, str]:
    return {"symbol": bars.symbol, "timeframe": bars.timeframe}


def _caveats(candidate: Candidate, given: Bars | Pair) -> list[str]:
    usual = [each.name for each in candidate.settings if each.origin == "usual"]
    found = [
        "one pair, not the sample of the text" if isinstance(given, Pair) else "one symbol, not the sample of the text"
    ]
    if usual:
        found.append(f"the text does not state {', '.join(usual)}: the usual values were taken")
    timeframe = given.bars.timeframe if isinstance(given, Pair) else given.timeframe
    if timeframe != "1d":
        found.append(f"spans of the text count trading days; here they count bars of {timeframe}")
    return found


def _suggestion(
    candidate: Candidate, status: str, checks: Sequence[Check], repairs: Sequence[str], replication: Replication | None
) -> CodeSuggestion:
    return CodeSuggestion(
        status="tested" if status == "tested" else "failing",
        code=candidate.code,
        name=candidate.name,
        title=candidate.title,
        family=candidate.family,
        implementation_type=candidate.implementation_type,
        settings=candidate.settings,
        reasons=candidate.reasons,
        checks=tuple(checks),
        repairs=tuple(repairs),
        replication=replication,
        written_by="language model" if candidate.by else "template",
        others=candidate.others,
        by=candidate.by,
        notes=candidate.notes,
    )
