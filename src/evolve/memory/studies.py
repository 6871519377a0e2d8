"""Which trials of a study are taken, by whom, and what came of them? The table that several workers of one study share.

A worker draws a trial, tries it, and tells what came of it in the same transaction in which it draws the next. A trial is finished once:
who tells must still hold it. A worker that comes back after its death is given the trial it had; one that does not come back leaves
its trial to the others when the study is taken up again (`release`).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, delete, func, or_, select, text, update

from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import InvalidRequest, nearest
from evolve.memory.canonical import canonical_json, from_json, sha256_of
from evolve.memory.database import Database, insert_new
from evolve.memory.tables import studies, study_trials, tunings
from evolve.memory.trials import Trial, count_trial
from evolve.tunings import FINISHED, DatasetSize, StudyPlan, TrialCard, TrialState, TuningCard

ID_DIGITS = 10
# A trial that ended so many workers is what ended them: machines do not fail so often in a row.
MOST_RUNS = 6
Losses = NDArray[np.float64]

# Written out: a worker says them at every trial, and to compose them anew costs more than the database does. Unfinished trials lie within
# a lag of the newest, since no number is drawn beyond it.
_STANDING = text(
    """SELECT wanted, ends_at, newest, (SELECT min(number) FROM study_trials WHERE study_id = :study AND number > newest - :lag
           AND state IN ('waiting', 'running')) AS unfinished
       FROM (SELECT wanted, ends_at, (SELECT max(number) FROM study_trials WHERE study_id = :study) AS newest
             FROM studies WHERE study_id = :study) AS standing"""
)
_LEFT = text(
    """SELECT number, runs FROM study_trials WHERE study_id = :study AND number >= :from AND number < :ends
       AND (state = 'waiting' OR (state = 'running' AND worker = :worker)) ORDER BY state = 'waiting', number LIMIT 1"""
)
_TAKE = text(
    """UPDATE study_trials SET state = 'running', worker = :worker, runs = :runs, started_at = :at
       WHERE study_id = :study AND number = :number"""
)
_GIVE_UP = text(
    """UPDATE study_trials SET state = 'failed', error = :error, finished_at = :at WHERE study_id = :study AND number = :number"""
)
_BEGIN = text(
    """INSERT INTO study_trials (study_id, number, state, worker, runs, params, folds, losses, started_at)
       VALUES (:study, :number, 'running', :worker, 1, '{}', '[]', '', :at)"""
)
_TELL = text(
    """UPDATE study_trials SET state = :state, params = :params, score = :score, worth = :worth, folds = :folds, losses = :losses,
           error = :error, finished_at = :at
       WHERE study_id = :study AND number = :number AND state = 'running' AND worker = :worker AND runs = :runs"""
)
_TRIALS = text("SELECT * FROM study_trials WHERE study_id = :study AND number > :after ORDER BY number")
NO_LOSSES: Losses = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Study:
    """plan: what determines its trials; warm: points of earlier studies that are tried first; wanted: how many trials there shall be;
    ends_at: the number at which it was found to have stalled, None while it was not."""

    study_id: str
    plan: StudyPlan
    warm: tuple[dict[str, Any], ...]
    wanted: int
    ends_at: int | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A trial in a worker's hands. runs: how often it was begun; who tells must name the newest."""

    number: int
    runs: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """No trial to be had now. over: there will be none."""

    over: bool


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What came of a trial. score: of the folds that were run; worth: what a sampler should take it for; losses: per scored bar."""

    state: TrialState
    params: Mapping[str, Any]
    score: float | None = None
    worth: float | None = None
    folds: tuple[float, ...] = ()
    losses: Losses = field(default_factory=lambda: NO_LOSSES)
    error: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class StudyTrial:
    number: int
    state: TrialState
    worker: str
    runs: int
    params: dict[str, Any]
    score: float | None
    worth: float | None
    folds: tuple[float, ...]
    losses: Losses
    error: str | None
    seconds: float | None

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    def card(self) -> TrialCard:
        score = self.score if self.state == "complete" else None
        return TrialCard(self.number, self.state, self.params, score, self.folds, self.seconds, self.runs, self.error)


class Studies:
    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock
        self._lags: dict[str, int] = {}

    # --- a study ---

    def open(self, plan: StudyPlan, *, wanted: int, warm: Sequence[Mapping[str, Any]], request_id: str) -> Study:
        """The study of this plan, begun now or earlier. More trials wanted than before: it goes on; warm: of its beginning."""
        study_id = sha256_of(plan)[:ID_DIGITS]
        row = {
            "study_id": study_id,
            "request_id": request_id,
            "model_type": plan.model_type,
            "symbol": plan.symbol,
            "timeframe": plan.timeframe,
            "plan": canonical_json(plan),
            "warm": canonical_json(list(warm)),
            "wanted": wanted,
            "ends_at": None,
            "created_at": self._clock.now(),
        }
        with self._database.write() as connection:
            if insert_new(connection, studies, row) is None:
                more = (studies.c.study_id == study_id) & (studies.c.wanted < wanted)
                connection.execute(update(studies).where(more).values(wanted=wanted))
            return _study(_row_of(connection, study_id))

    def get(self, study_id: str) -> Study:
        """Raises InvalidRequest with the nearest ids."""
        with self._database.read() as connection:
            return _study(_row_of(connection, study_id))

    def ids(self, limit: int = 50) -> tuple[str, ...]:
        """Studies, newest first, also those that are not finished."""
        query = select(studies.c.study_id).order_by(studies.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(connection.execute(query).scalars().all())

    def release(self, study_id: str, *, but: str = "") -> int:
        """Trials that workers hold whose names do not begin with `but` are free again; returns how many. What such a worker
        tells later is refused."""
        held = (study_trials.c.study_id == study_id) & (study_trials.c.state == "running")
        if but:
            held &= ~study_trials.c.worker.startswith(but, autoescape=True)
        with self._database.write() as connection:
            freed = connection.execute(update(study_trials).where(held).values(state="waiting"))
            return int(freed.rowcount)

    def end(self, study_id: str, drawn: Drawn) -> None:
        """No trial from this one on counts, and this one is not tried: the search was found to have stalled before it.

        Of several such findings the first number stands.
        """
        number = drawn.number
        untried = (study_trials.c.number == number) & (study_trials.c.runs == drawn.runs)
        later = or_(studies.c.ends_at.is_(None), studies.c.ends_at > number)
        with self._database.write() as connection:
            connection.execute(update(studies).where(studies.c.study_id == study_id, later).values(ends_at=number))
            connection.execute(delete(study_trials).where(study_trials.c.study_id == study_id, untried))

    # --- its trials ---

    def draw(
        self, study_id: str, worker: str, *, told: tuple[Drawn, Outcome] | None = None, tried: Trial | None = None
    ) -> Drawn | Nothing:
        """Tell what came of the trial in hand, if any, and take the next: the own one of a life before, a free one, or a new number.

        tried: what the ledger counts for the told trial. A trial is refused to who no longer holds it: the other run of it counts.
        """
        with self._database.write() as connection:
            if told is not None and self._tell(connection, study_id, worker, *told) and tried is not None:
                count_trial(connection, tried, request_id=f"study {study_id}")
            return self._take(connection, study_id, worker)

    def note_params(self, study_id: str, drawn: Drawn, params: Mapping[str, Any]) -> None:
        """What a trial is trying, for who chooses the next ones meanwhile."""
        held = (study_trials.c.study_id == study_id) & (study_trials.c.number == drawn.number)
        with self._database.write() as connection:
            connection.execute(
                update(study_trials)
                .where(held, study_trials.c.runs == drawn.runs)
                .values(params=canonical_json(params))
            )

    def trials(self, study_id: str, *, after: int = -1) -> tuple[StudyTrial, ...]:
        """Those with a number above `after`, by number."""
        with self._database.read() as connection:
            found = connection.execute(_TRIALS, {"study": study_id, "after": after})
            return tuple(_trial(row) for row in found.mappings().all())

    def _tell(self, connection: Connection, study_id: str, worker: str, drawn: Drawn, outcome: Outcome) -> bool:
        told = connection.execute(
            _TELL,
            {
                "study": study_id,
                "number": drawn.number,
                "worker": worker,
                "runs": drawn.runs,
                "state": outcome.state,
                "params": canonical_json(outcome.params),
                "score": outcome.score,
                "worth": outcome.worth,
                "folds": canonical_json(list(outcome.folds)),
                "losses": b64encode(outcome.losses.astype("<f8").tobytes()).decode(),
                "error": outcome.error,
                "at": self._clock.now(),
            },
        )
        return bool(told.rowcount)

    def _take(self, connection: Connection, study_id: str, worker: str) -> Drawn | Nothing:
        lag = self._lag(connection, study_id)
        study = connection.execute(_STANDING, {"study": study_id, "lag": lag}).mappings().one()
        ends = study["wanted"] if study["ends_at"] is None else min(study["wanted"], study["ends_at"])
        newest = -1 if study["newest"] is None else study["newest"]
        now = self._clock.now()
        if study["unfinished"] is not None:
            sought = {"study": study_id, "from": study["unfinished"], "ends": ends, "worker": worker}
            left = connection.execute(_LEFT, sought).mappings().first()
            if left is not None and left["runs"] >= MOST_RUNS:
                error = f"given up: {left['runs']} workers died of it; less memory may be needed (a smaller space)"
                connection.execute(_GIVE_UP, {"study": study_id, "number": left["number"], "error": error, "at": now})
                return self._take(connection, study_id, worker)
            if left is not None:
                again = Drawn(left["number"], left["runs"] + 1)
                taken = {"study": study_id, "number": again.number, "runs": again.runs, "worker": worker, "at": now}
                connection.execute(_TAKE, taken)
                return again
        number = newest + 1
        if number >= ends:
            return Nothing(over=True)
        if study["unfinished"] is not None and study["unfinished"] <= number - lag:
            return Nothing(over=False)
        connection.execute(_BEGIN, {"study": study_id, "number": number, "worker": worker, "at": now})
        return Drawn(number, 1)

    def _lag(self, connection: Connection, study_id: str) -> int:
        """A plan never changes: it is read once."""
        if study_id not in self._lags:
            self._lags[study_id] = _study(_row_of(connection, study_id)).plan.lag
        return self._lags[study_id]

    # --- what studies found ---

    def keep(self, card: TuningCard, *, request_id: str) -> TuningCard:
        """Record what a study found; a request that ran twice has one entry, the first."""
        row = {
            "study_id": card.study_id,
            "request_id": request_id,
            "model_type": card.model_type,
            "symbol": card.symbol,
            "timeframe": card.timeframe,
            "dataset_size": card.dataset_size,
            "verdict": card.verdict,
            "card": canonical_json(card),
            "finished_at": self._clock.now(),
        }
        with self._database.write() as connection:
            insert_new(connection, tunings, row)
            kept = connection.execute(select(tunings.c.card).where(tunings.c.request_id == request_id)).scalar_one()
        return from_json(TuningCard, kept)

    def found(
        self,
        *,
        model_type: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        size: DatasetSize | None = None,
        study_id: str | None = None,
        limit: int | None = None,
    ) -> tuple[TuningCard, ...]:
        """What studies found, newest first; of each study the newest finding only."""
        newest = select(func.max(tunings.c.id)).group_by(tunings.c.study_id)
        query = select(tunings.c.card).where(tunings.c.id.in_(newest)).order_by(tunings.c.id.desc()).limit(limit)
        for column, wanted in (
            (tunings.c.model_type, model_type),
            (tunings.c.symbol, symbol),
            (tunings.c.timeframe, timeframe),
            (tunings.c.dataset_size, size),
            (tunings.c.study_id, study_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as connection:
            return tuple(from_json(TuningCard, text) for text in connection.execute(query).scalars().all())


def _row_of(connection: Connection, study_id: str) -> RowMapping:
    row = connection.execute(select(studies).where(studies.c.study_id == study_id)).mappings().first()
    if row is None:
        known = connection.execute(select(studies.c.study_id).order_by(studies.c.id.desc())).scalars().all()
        near = nearest(study_id, known) or list(known[:3])
        raise InvalidRequest(
            f"there is no study {study_id[:40]!r}; nearest: {', '.join(near) or 'none yet'}; `evolve tune run lstm` makes one",
            nearest=near,
        )
    return row


def _study(row: RowMapping) -> Study:
    warm = cast("list[dict[str, Any]]", from_json(list, row["warm"]))
    return Study(
        row["study_id"],
        from_json(StudyPlan, row["plan"]),
        tuple(warm),
        row["wanted"],
        row["ends_at"],
        row["created_at"],
    )


def _trial(row: RowMapping) -> StudyTrial:
    finished = row["finished_at"]
    return StudyTrial(
        number=row["number"],
        state=row["state"],
        worker=row["worker"],
        runs=row["runs"],
        params=json.loads(row["params"]),
        score=row["score"],
        worth=row["worth"],
        folds=tuple(json.loads(row["folds"])),
        losses=np.frombuffer(b64decode(row["losses"]), dtype="<f8").astype(np.float64),
        error=row["error"],
        seconds=None if finished is None else max(0.0, finished - row["started_at"]),
    )
