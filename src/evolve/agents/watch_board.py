"""Who is in charge where, how do they do, and what comes next? The board of champions and challengers."""

from __future__ import annotations

from evolve.agents.charge import in_shadow
from evolve.agents.drift_watch import drift_of
from evolve.agents.refit import Progress
from evolve.agents.roster import Roster
from evolve.agents.timetable import next_run
from evolve.clock import iso
from evolve.errors import EvolveError
from evolve.memory.watches import Watched, Watches
from evolve.updates import BoardRow, Watch


def board(
    roster: Roster, watches: Watches, symbol: str | None, timeframe: str | None, *, progress: Progress
) -> tuple[BoardRow, ...]:
    """One row for each symbol and timeframe with a champion, a challenger or a timetable; one that cannot be judged says why in `note`."""
    held = {(move.symbol, move.timeframe) for move in roster.aliases.current(symbol=symbol, timeframe=timeframe)}
    watched = {(each.symbol, each.timeframe): each for each in watches.all()}
    wanted = {key for key in held | watched.keys() if symbol in (None, key[0]) and timeframe in (None, key[1])}
    return tuple(_row(*key, watched.get(key), roster, progress) for key in sorted(wanted))


def _row(symbol: str, timeframe: str, watched: Watched | None, roster: Roster, progress: Progress) -> BoardRow:
    charge = roster.charge(symbol, timeframe)
    shown = watch_card(watched) if watched else None
    champion, challenger, move = charge.champion, charge.challenger, charge.last_move("champion")
    since = move.at if move is not None else ""
    row = BoardRow(symbol, timeframe, champion, challenger, "", None, since, None, None, shown)
    if champion is None:
        return row
    try:
        card = roster.registry.get(champion)
        record = roster.record(card, roster.bars(card, progress))
        test = None
        if challenger is not None:
            rival = roster.record(roster.registry.get(challenger), record.bars)
            test, _ = in_shadow(charge, record, rival, roster.alike(charge, record, rival, progress))
    except EvolveError as error:
        return BoardRow(symbol, timeframe, champion, challenger, "", None, since, None, None, shown, note=error.message)
    age = len(record.bars) - 1 - record.trained_to
    return BoardRow(
        symbol, timeframe, champion, challenger, card.data.last, age, since, drift_of(record), test, shown,
        simulated=record.bars.simulated,
    )  # fmt: skip


def watch_card(watched: Watched) -> Watch:
    after = max(watched.since, watched.claimed, watched.done)
    return Watch(
        watched.symbol, watched.timeframe, watched.simulate, watched.cron, watched.timezone, watched.max_age_bars,
        next_run=iso(next_run(watched.cron, watched.timezone, after=after)),
        last_run=iso(watched.done) if watched.done else "", last_result=watched.result,
    )  # fmt: skip
