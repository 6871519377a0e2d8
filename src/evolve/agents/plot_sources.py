"""What does a data source mean? A model, an answer, an evaluation, symbols, or the latest backtest, found by what the user wrote."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

from evolve.agents.track_record import (
    TrackRecord,
    forecasts_from,
    record_of_constant,
    record_of_forecasts,
    usable_history,
)
from evolve.backtest.engine import Engine
from evolve.cards import AnswerCard, ModelCard, TrustCard
from evolve.charts.kinds import OF_BOARD, OF_STUDIES
from evolve.errors import DataUnavailable, InvalidRequest, UnknownModel, nearest
from evolve.forecasting.base import FittedForecaster, restore
from evolve.forecasting.walk_forward import OutOfSample
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import default_costs
from evolve.market.catalog import Catalog
from evolve.market.store import BarStore
from evolve.memory.aliases import Aliases
from evolve.memory.answers import Answers
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.canonical import from_json
from evolve.memory.database import Database
from evolve.memory.evaluations import Evaluations
from evolve.memory.registry import Registry
from evolve.memory.studies import Studies, Study, StudyTrial
from evolve.memory.watches import Watches
from evolve.settings import Settings
from evolve.tunings import TuningCard
from evolve.updates import BoardRow

Kind = Literal["models", "symbols", "studies", "board"]
LATEST = ("backtest_results", "latest", "latest_backtest", "backtest")
LATEST_STUDY = (*LATEST, "tuning_results", "latest_study")
WHOLE_BOARD = (*LATEST, "drift_board", "board", "watches", "watch", "all")
BUILD = "evolve build ridge AAPL"
TUNE = "evolve tune run xgboost AAPL"
MAX_NAMES = 24
KEPT = 8  # tested models that are held ready: a report draws its charts of one, a comparison of a few
LISTED = 200  # ids that an error looks through for the nearest


@dataclass(frozen=True, slots=True)
class Found:
    """What a data source turned out to be. ids: of models, symbols or studies, of the board none; answer: the one it came from."""

    kind: Kind
    ids: tuple[str, ...]
    said: str
    answer: AnswerCard | None = None
    simulate: bool = False
    timeframe: str | None = None


@dataclass(frozen=True, eq=False)
class Tested:
    """A model on the bars it was tested on: its stored out-of-sample forecasts, traded, beside buy-and-hold."""

    card: ModelCard
    bars: Bars
    forecasts: OutOfSample
    record: TrackRecord
    hold: TrackRecord

    @property
    def returns(self) -> Floats:
        return self.record.returns

    @property
    def time(self) -> Stamps:
        """Of each return."""
        return self.bars.time[self.record.start + 1 :]


def _unseen(stage: str, done: int, total: int, message: str) -> None:
    """Progress of what takes a moment only."""


def light_engine() -> Engine:
    """The compiled kernels where they are loaded, else the reference: both agree to 1e-9, far below a pixel, and loading numba costs
    0.5 s where the reference takes 40 ms more."""
    return "numba" if "evolve.backtest.kernels" in sys.modules else "numpy"


class PlotSources:
    def __init__(
        self,
        catalog: Catalog,
        registry: Registry,
        answers: Answers,
        evaluations: Evaluations,
        studies: Studies,
        aliases: Aliases,
        watches: Watches,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._answers = answers
        self._evaluations = evaluations
        self._studies = studies
        self._aliases = aliases
        self._watches = watches
        self._kept: OrderedDict[str, Tested] = OrderedDict()

    @classmethod
    def from_settings(cls, settings: Settings) -> PlotSources:
        database = Database.open(settings)
        registry = Registry(database, ArtifactStore.open(settings))
        catalog = Catalog(BarStore.open(settings))
        return cls(
            catalog, registry, Answers(database), Evaluations(database), Studies(database), Aliases(database), Watches(database)
        )  # fmt: skip

    def find(self, data_source: str) -> Found:
        """Raises InvalidRequest with the nearest names, or with the command that makes a first backtest."""
        text = data_source.strip()
        if text.lower().replace(" ", "_") in LATEST:
            return self._latest()
        names = [name.strip() for name in text.split(",") if name.strip()]
        if not 1 <= len(names) <= MAX_NAMES:
            raise InvalidRequest(f"a data source is 1 to {MAX_NAMES} names separated by commas, not {len(names)}")
        found = [self._one(name) for name in names]
        if len({each.kind for each in found}) > 1:
            raise InvalidRequest(f"{text!r} mixes models and symbols; give either models or symbols")
        ids = tuple(dict.fromkeys(id for each in found for id in each.ids))
        return replace(found[0], ids=ids, said=text if len(found) > 1 else found[0].said)

    def find_for(self, kind: str, data_source: str) -> Found:
        """What a data source means to this kind of chart. Raises as `find` and `find_study` do."""
        if kind in OF_STUDIES:
            return self.find_study(data_source)
        if kind in OF_BOARD and data_source.strip().lower().replace(" ", "_") in WHOLE_BOARD:
            return Found("board", (), "models in charge")
        return self.find(data_source)

    def find_study(self, data_source: str) -> Found:
        """As `find`, for what is drawn of a study: its id, what was tuned last, or what `find` takes. Raises InvalidRequest,
        DataUnavailable with the command that makes a study."""
        name = data_source.strip()
        found = self._studies.found(study_id=name, limit=1)
        if name.lower().replace(" ", "_") in LATEST_STUDY:
            found = self._studies.found(limit=1)
        if not found:
            found = self._study_of(self.find(data_source))
        if not found:
            raise DataUnavailable(f"no study of {name[:80]!r} is stored yet; `{TUNE}` makes one", command=TUNE)
        return Found("studies", (found[0].study_id,), f"study {found[0].study_id}")

    def _study_of(self, found: Found) -> tuple[TuningCard, ...]:
        if found.kind == "symbols":
            return self._studies.found(symbol=found.ids[0], limit=1)
        card = self._registry.get(found.ids[0])
        named = card.hyperparameters_from.removeprefix("study ")
        of_model = self._studies.found(study_id=named, limit=1)
        return of_model or self._studies.found(model_type=card.recipe.model_type, symbol=card.recipe.symbol, limit=1)

    def study(self, study_id: str) -> tuple[TuningCard, Study, tuple[StudyTrial, ...]]:
        """What a study found, what it searched, and its trials."""
        (card,) = self._studies.found(study_id=study_id, limit=1)
        return card, self._studies.get(study_id), self._studies.trials(study_id)

    def _latest(self) -> Found:
        newest = self._registry.list(limit=1)
        if not newest:
            raise DataUnavailable(f"no backtest is stored yet; `{BUILD}` makes one", command=BUILD)
        return Found("models", (newest[0].model_id,), newest[0].model_id)

    def _one(self, name: str) -> Found:
        try:
            return Found("models", (self._registry.get(name).model_id,), name)
        except UnknownModel as unknown:
            if "was deleted" in unknown.message:
                raise
        answers = {answer.answer_id: answer for answer in self._answers.latest(LISTED)}
        if name in answers:
            return self._of_answer(from_json(AnswerCard, json.dumps(dict(answers[name].document))))
        evaluated = self._evaluated(name)
        if evaluated is not None:
            return evaluated
        symbols = self._catalog.symbols()
        if name.upper().replace("/", "") in symbols:
            return Found("symbols", (name.upper().replace("/", ""),), name.upper().replace("/", ""))
        known = [LATEST[0], *(card.model_id for card in self._registry.list(limit=LISTED)), *answers, *symbols]
        close = nearest(name, known) or known[:3]
        raise InvalidRequest(
            f"there is no model, answer, evaluation or symbol {name[:80]!r}; nearest: {', '.join(close)}", nearest=close
        )

    def _of_answer(self, answer: AnswerCard) -> Found:
        ids = tuple(row.model_id for row in answer.rows if row.model_id is not None)
        simulate = bool(answer.recipe.get("simulate"))
        if ids:
            return Found("models", tuple(dict.fromkeys(ids)), f"answer {answer.answer_id}", answer, simulate)
        symbols = tuple(dict.fromkeys(str(card["symbol"]) for card in answer.recipe.get("data") or []))
        if not symbols:
            raise InvalidRequest(f"answer {answer.answer_id} rests on no model and no symbol: there is nothing to draw")
        return Found("symbols", symbols, f"answer {answer.answer_id}", answer, simulate)

    def _evaluated(self, evaluation_id: str) -> Found | None:
        for card in self._registry.list(limit=LISTED):
            past = self._evaluations.history(card.model_id, limit=LISTED)
            if any(each.evaluation_id == evaluation_id for each in past):
                return Found("models", (card.model_id,), f"evaluation {evaluation_id} of {card.model_id}")
        return None

    # --- what was found, loaded ---

    def tested(self, model_id: str) -> Tested:
        """Raises DataUnavailable when the bars that the model was tested on are no longer there."""
        card = self._registry.get(model_id)
        kept = self._kept.get(model_id)
        # What a model forecast out of sample never changes; a deleted model was refused above.
        if kept is None or kept.card != card:
            kept = self._kept[model_id] = self._traded(card)
        self._kept.move_to_end(model_id)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept

    def _traded(self, card: ModelCard) -> Tested:
        bars = self._bars_of(card)
        forecasts = forecasts_from(self._registry.out_of_sample(card.model_id))
        costs = default_costs(bars.symbol)
        engine = light_engine()
        record = record_of_forecasts(
            card.recipe.model_type, forecasts, bars, costs, model_id=card.model_id, engine=engine
        )
        hold = record_of_constant("buy and hold", 1.0, forecasts.start, bars, costs, engine=engine)
        return Tested(card, bars, forecasts, record, hold)

    def board(self, found: Found) -> tuple[BoardRow, ...]:
        """What the updater's board says: of all, of symbols, or of the models named, whoever is in charge."""
        # Here, not at the top: judging drift brings scipy.special, which no other chart needs.
        from evolve.agents.drift_watch import drift_of
        from evolve.agents.roster import Roster
        from evolve.agents.watch_board import board

        roster = Roster(self._catalog, self._registry, self._aliases)
        if found.kind != "models":
            symbols = found.ids or (None,)
            return tuple(
                row for symbol in symbols for row in board(roster, self._watches, symbol, None, progress=_unseen)
            )
        rows = []
        for card in map(self._registry.get, found.ids):
            record = roster.record(card, roster.bars(card, _unseen))
            age = len(record.bars) - 1 - record.trained_to
            rows.append(
                BoardRow(
                    card.recipe.symbol, card.recipe.timeframe, card.model_id, None, card.data.last, age, "", drift_of(record), None, None,
                    simulated=record.bars.simulated,
                )
            )  # fmt: skip
        return tuple(rows)

    def fitted(self, model_id: str) -> FittedForecaster:
        return restore(self._registry.weights(model_id))

    def bars(self, symbol: str, timeframe: str | None, *, simulate: bool) -> Bars:
        return self._catalog.load(symbol, timeframe, simulate=simulate)

    def newest_model(self, symbol: str) -> str | None:
        newest = self._registry.list(symbol=symbol, limit=1)
        return newest[0].model_id if newest else None

    def models_of(self, symbol: str) -> tuple[str, ...]:
        return tuple(card.model_id for card in self._registry.list(symbol=symbol, limit=MAX_NAMES))

    def card(self, model_id: str) -> ModelCard:
        return self._registry.get(model_id)

    def latest_trust(self, model_id: str) -> TrustCard | None:
        """Of the model's last evaluation; None where it was never evaluated."""
        past = self._evaluations.history(model_id, limit=1)
        return past[0].trust if past else None

    def real_symbols(self) -> tuple[str, ...]:
        """Symbols with real daily bars, the first `MAX_NAMES` by name."""
        listed = self._catalog.listings()
        return tuple(each.symbol for each in listed if each.origin != "simulated" and "1d" in each.timeframes)[
            :MAX_NAMES
        ]

    def _bars_of(self, card: ModelCard) -> Bars:
        """The very bars of a model's test, also when newer ones came since."""
        data = card.data
        bars = self._catalog.load(data.symbol, data.timeframe, simulate=data.simulated)
        usable, _ = usable_history(bars)
        if usable.fingerprint == data.fingerprint:
            return usable
        dates = [bars.date(bar) for bar in range(len(bars))]
        if data.first in dates and data.last in dates:
            then = bars.slice(dates.index(data.first), dates.index(data.last) + 1)
            if then.fingerprint == data.fingerprint:
                return then
        raise DataUnavailable(
            f"the bars of {data.symbol} that {card.model_id} was tested on have changed since; `evolve build {card.recipe.model_type} {data.symbol}` tests it on those of now"
        )
