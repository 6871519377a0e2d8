"""The services' handlers: each answers its request with the declared reply, and what was decided is on record before the reply is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from evolve.agents.updater_desk import Tuning
from evolve.contracts.meta_tuner import (
    AutoTune,
    GetBestParams,
    GetStudyTrials,
    GetTuningHistory,
    HyperparametersTuned,
    TuneHyperparameters,
    WorkOnStudy,
)
from evolve.contracts.model_builder import (
    BuildModel,
    DeleteModel,
    ExportModel,
    GetModelInfo,
    ImportModel,
    ListAliases,
    ListModels,
    ModelBuilt,
    ModelExported,
    MoveAlias,
)
from evolve.contracts.multimodal import (
    AnalyzeImage,
    GenerateInsights,
    GeneratePlot,
    GenerateReport,
    GetPlotHistory,
    GetSeries,
)
from evolve.contracts.performance_critic import (
    AuditModel,
    AuditStrategy,
    BacktestStrategy,
    CompareModels,
    EvaluateModel,
    GetBestModels,
    GetEvaluationHistory,
    ModelEvaluated,
    ModelsCompared,
)
from evolve.contracts.prompt_router import DetectIntent, GetRoutingHistory, ParseArguments, RoutePrompt, RoutingHistory
from evolve.contracts.quant_gpt import (
    GetAnswer,
    GetAvailableSymbols,
    GetQueryHistory,
    ProcessQuery,
    QueryHistory,
    QueryProcessed,
)
from evolve.contracts.research import (
    AddResearchNote,
    GenerateCode,
    GetResearchLog,
    SearchArxiv,
    SearchGithub,
    SummarizePaper,
)
from evolve.contracts.safe_executor import (
    Cleanup,
    ExecuteBars,
    ExecuteIndicator,
    ExecuteModel,
    ExecuteStrategy,
    GetStatistics,
)
from evolve.contracts.updater import (
    AutoUpdate,
    CheckDrift,
    GetUpdateHistory,
    GetWatchBoard,
    ReplaceModel,
    RetrainModel,
    RollBack,
    StartWatch,
    StopWatch,
    TuneModel,
)
from evolve.errors import EvolveError, InvalidRequest, Unavailable, UnknownModel, UnknownService
from evolve.market.bars import Bars
from evolve.market.store import BarStore
from evolve.memory.database import Database
from evolve.memory.decisions import Decision, DecisionLog
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, load_service
from evolve.services import SERVICES, launch, service_path
from evolve.services.safe_executor import SafeExecutorService
from evolve.settings import Settings

DAY_MS = 86_400_000
HOLD = "def main(input_data): return 'HOLD'"

# service → request → response, from the contract's table, for the services that exist.
CONTRACT = {
    "meta_tuner": {
        "tune_hyperparameters": "hyperparameters_tuned", "get_tuning_history": "tuning_history", "get_best_params": "best_hyperparameters",
        "auto_tune": "auto_tune_completed",
    },
    "model_builder": {"build_model": "model_built", "list_models": "models_listed", "get_model_info": "model_info", "delete_model": "model_deleted"},
    "multimodal": {
        "generate_plot": "plot_generated", "analyze_image": "image_analyzed", "generate_insights": "insights_generated",
        "get_plot_history": "plot_history",
    },
    "performance_critic": {
        "evaluate_model": "model_evaluated", "compare_models": "models_compared", "get_evaluation_history": "evaluation_history",
        "get_best_models": "best_models",
    },
    "prompt_router": {
        "route_prompt": "prompt_routed", "detect_intent": "intent_detected", "parse_arguments": "arguments_parsed",
        "get_routing_history": "routing_history",
    },
    "quant_gpt": {"process_query": "query_processed", "get_query_history": "query_history", "get_available_symbols": "available_symbols"},
    "research": {
        "search_github": "github_search_results", "search_arxiv": "arxiv_search_results", "summarize_paper": "paper_summarized",
        "generate_code": "code_generated", "get_research_log": "research_log",
    },
    "safe_executor": {
        "execute_model": "model_executed", "execute_strategy": "strategy_executed", "execute_indicator": "indicator_executed",
        "get_statistics": "statistics", "cleanup": "cleanup_completed",
    },
    "updater": {
        "retrain_model": "model_retrained", "tune_model": "model_tuned", "replace_model": "model_replaced",
        "get_update_history": "update_history", "auto_update": "auto_update_completed",
    },
}  # fmt: skip


def flat_noise(bars: int = 320, symbol: str = "TINY") -> Bars:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars(
        symbol=symbol, timeframe="1d", time=1_600_000_000_000 + DAY_MS * np.arange(bars), open=open_, high=np.maximum(open_, close),
        low=np.minimum(open_, close), close=close, volume=np.full(bars, 1e6), source="made for a test", bars_per_year=252.0,
    )  # fmt: skip


class Building:
    """All services in this process: what a job asks of another one is handled at once, under an id of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.services = {name: load_service(path)(settings=settings) for name, path in SERVICES.items()}
        self.down: set[str] = set()
        self.progressed: list[str] = []
        self._count = 0

    def handle(self, request: Request[Any], request_id: str = "r1", **envelope: Any) -> Reply:
        envelope = {"parent": None, "sender": "a test", **envelope}
        wired = RequestEnvelope(request.wire_type, request.model_dump(mode="json"), request_id=request_id, **envelope)
        service = self.services[request.service]
        return service.handle(type(service).parse(wired), Job(wired, self))

    def progress(self, stage: str, done: int, total: int, message: str) -> None:
        self.progressed.append(stage)

    def ask_all(self, requests: Sequence[Request[Any]], timeout_s: float | None) -> list[Reply | BaseException]:
        return [self._asked(request) for request in requests]

    def _asked(self, request: Request[Any]) -> Reply | BaseException:
        if request.service in self.down:
            return Unavailable(f"{request.service} is not running", service=request.service)
        self._count += 1
        try:
            return self.handle(request, f"asked-{self._count}", sender="quant_gpt", parent="r1")
        except EvolveError as error:
            return error


@pytest.fixture
def building(settings: Settings) -> Building:
    BarStore(settings.home).save(flat_noise())
    BarStore(settings.home).save(flat_noise(1_600, symbol="NOISE"))
    return Building(settings)


@pytest.fixture
def log(building: Building) -> Iterator[DecisionLog]:
    with Database.open(building.settings) as database:
        yield DecisionLog(database)


def line_picture(settings: Settings) -> str:
    """A red line across a white picture, where pictures may be read from."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).line((10, 150, 290, 60), fill="red", width=2)
    settings.plots.mkdir(parents=True, exist_ok=True)
    picture.save(settings.plots / "line.png")
    return "line.png"


def built(building: Building, model_type: str = "naive") -> str:
    reply = building.handle(BuildModel(model_type=model_type, symbol="TINY", timeframe=None), f"build-{model_type}")
    assert isinstance(reply, ModelBuilt)
    return reply.model_info.model_id


# --- what is answered ---


@pytest.mark.parametrize("service", CONTRACT)
def test_a_service_answers_the_requests_of_the_contract_with_its_responses(service: str) -> None:
    handlers = load_service(service_path(service)).handlers

    answered = {name: handler.request.reply_type.wire_type for name, handler in handlers.items()}

    assert {name: answered.get(name) for name in CONTRACT[service]} == CONTRACT[service]


@pytest.mark.parametrize("service", SERVICES)
def test_a_handler_is_named_after_its_request_and_the_service_after_its_module(service: str) -> None:
    cls = load_service(service_path(service))

    assert cls.name == service
    assert all(name == handler.name == handler.request.wire_type for name, handler in cls.handlers.items())
    assert {handler.request.service for handler in cls.handlers.values()} == {service}


@pytest.fixture
def sandboxed(building: Building) -> Iterator[Building]:
    """With the process that the safe executor keeps beside its front."""
    cls = SafeExecutorService
    with cls.beside(building.settings) as settings:
        building.services["safe_executor"] = cls(settings=settings)
        yield building


def test_every_handler_answers_with_the_reply_that_its_request_declares(
    sandboxed: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = sandboxed
    # What the meta tuner finds is its own tests' business.
    monkeypatch.setattr("evolve.services.updater._Desk.tune", lambda desk, order: Tuning({}, {}, 0.0, None))
    naive, drift = built(building), built(building, "drift")
    answer = building.handle(ProcessQuery(query="Analyze TINY over 30 days"), "q1")
    assert isinstance(answer, QueryProcessed)
    assert answer.result.answer is not None, answer.result.error
    paper: Any = building.handle(
        SummarizePaper(paper_abstract="We test momentum over the past week on daily data."), "p1"
    )
    exported = building.handle(ExportModel(model_id=naive), "x1")
    assert isinstance(exported, ModelExported)
    tuning = {"symbol": "NOISE", "timeframe": "1d", "cv_folds": 2}
    tuned = building.handle(TuneHyperparameters(model_type="ridge", n_trials=3, **tuning), "t1")
    assert isinstance(tuned, HyperparametersTuned)
    study_id = tuned.result.study_id
    requests: list[Request[Any]] = [
        TuneHyperparameters(model_type="ridge", n_trials=3, **tuning), AutoTune(model_types=("ridge",), max_trials_per_model=2, **tuning),
        GetTuningHistory(model_type="ridge"), GetBestParams(model_type="ridge"), WorkOnStudy(study_id=study_id, worker="w"),
        GetStudyTrials(study_id=study_id),
        SearchGithub(query="bots"), SearchArxiv(query="momentum"), SummarizePaper(paper_abstract="We test momentum on daily data."),
        GenerateCode(description="momentum over the past week", symbol="TINY"), GetResearchLog(), AddResearchNote(entry_id=paper.entry_id, note="read"),
        ExportModel(model_id=naive), ImportModel(bundle=exported.bundle), ListAliases(),
        MoveAlias(alias="champion", model_id=naive, symbol="TINY", timeframe="1d"),
        BuildModel(model_type="naive", symbol="TINY", timeframe=None), ListModels(), GetModelInfo(model_id=naive),
        EvaluateModel(model_id=naive, symbol=None, timeframe=None), CompareModels(model_ids=(naive, drift), symbol=None, timeframe=None),
        AuditModel(model_id=naive), GetEvaluationHistory(model_id=naive), GetBestModels(symbol="TINY", timeframe="1d"),
        RoutePrompt(user_prompt="Analyze AAPL"), DetectIntent(user_prompt="Analyze AAPL"),
        ParseArguments(user_prompt="Analyze AAPL", intent="market_analysis"), GetRoutingHistory(),
        ProcessQuery(query="What can you do?"), GetQueryHistory(), GetAvailableSymbols(), GetAnswer(answer_id=answer.result.answer.answer_id),
        GeneratePlot(plot_type="equity_curve", data_source=naive), GenerateInsights(data_source="TINY", include_plots=False), GetPlotHistory(),
        GenerateReport(data_source="TINY"), GetSeries(data_source=naive), AnalyzeImage(image_path=line_picture(building.settings), calibration={"y": ((0, 2), (200, 1))}),
        RetrainModel(model_id=naive), TuneModel(model_id=naive), CheckDrift(model_id=naive), GetUpdateHistory(model_id=naive),
        ReplaceModel(old_model_id=naive, new_model_id=drift, force=True), RollBack(symbol="TINY", timeframe="1d"),
        AutoUpdate(symbol="TINY", timeframe="1d"), StartWatch(model_id=naive), GetWatchBoard(), StopWatch(symbol="TINY", timeframe="1d"),
        DeleteModel(model_id=drift),
        ExecuteModel(model_code=HOLD, model_name="m"), ExecuteStrategy(strategy_code=HOLD, strategy_name="s"),
        ExecuteIndicator(indicator_code=HOLD, indicator_name="i"), GetStatistics(), Cleanup(),
        ExecuteBars(strategy_code=HOLD, strategy_name="s", bars={"close": [1.0]}),
        BacktestStrategy(strategy_code=HOLD, strategy_name="s", symbol="TINY", timeframe=None),
        AuditStrategy(strategy_code=HOLD, strategy_name="s", symbol="TINY", timeframe=None),
    ]  # fmt: skip

    answers = [building.handle(request, f"each-{number}") for number, request in enumerate(requests)]

    assert [type(answer) for answer in answers] == [request.reply_type for request in requests]
    tested = {request.wire_type for request in requests}
    assert tested == {name for service in CONTRACT for name in load_service(service_path(service)).handlers}, (
        "a request without a test"
    )


def test_tuning_without_a_meta_tuner_says_which_service_is_missing(
    building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    naive = built(building)
    building.down.add("meta_tuner")

    with pytest.raises(Unavailable, match="meta_tuner is not") as missing:
        building.handle(TuneModel(model_id=naive))

    assert missing.value.details["service"] == "meta_tuner"


@pytest.mark.parametrize("question", ["retrain my TINY model", "update my TINY model"])
def test_a_model_that_is_meant_but_not_named_is_trained_anew(building: Building, question: str) -> None:
    naive = built(building)

    reply: Any = building.handle(ProcessQuery(query=question))

    assert reply.result.status == "success", reply.result.error
    assert reply.result.answer.headline == f"{naive} stays as it is."
    assert "nothing to learn" in reply.result.gpt_commentary.lower()


def test_a_champion_is_meant_before_a_newer_model(building: Building) -> None:
    naive = built(building)
    building.handle(MoveAlias(alias="champion", model_id=naive, symbol="TINY", timeframe="1d"), "move")
    built(building, "drift")

    reply: Any = building.handle(ProcessQuery(query="retrain my TINY model"))

    assert reply.result.answer.headline.startswith(naive)


def test_without_a_model_of_the_symbol_retraining_says_how_to_build_one(building: Building) -> None:
    reply: Any = building.handle(ProcessQuery(query="retrain my TINY model"))

    assert reply.result.status == "error"
    assert "`evolve build ridge TINY`" in reply.result.error


@pytest.mark.parametrize("question", ["is my TINY model still good today?", "has the model of TINY drifted?"])
def test_whether_a_model_is_still_good_is_what_its_own_bars_say(building: Building, question: str) -> None:
    naive = built(building)

    reply: Any = building.handle(ProcessQuery(query=question))

    assert reply.result.status == "success", reply.result.error
    assert reply.result.answer.headline == f"{naive} cannot be judged yet."
    assert "it needs 42" in reply.result.gpt_commentary


def test_is_it_still_good_asks_about_the_model_before_it(building: Building) -> None:
    naive = built(building)
    building.handle(ProcessQuery(query=f"how did {naive} do?", session="s"), "first")

    reply: Any = building.handle(ProcessQuery(query="is it still good today?", session="s"), "second")

    assert reply.result.answer.headline == f"{naive} cannot be judged yet."


@pytest.mark.parametrize("question", ["retrain my TINY model", "is my TINY model still good today?"])
def test_without_the_updater_these_questions_name_it(building: Building, question: str) -> None:
    built(building)
    building.down.add("updater")

    reply: Any = building.handle(ProcessQuery(query=question))

    named = reply.result.missing or (reply.result.answer.missing if reply.result.answer else ())
    assert "updater" in {gap["service"] for gap in named}


def test_a_round_that_cannot_be_carried_out_is_done_for_the_timetable(building: Building) -> None:
    """Else it would be sent again and again."""
    naive = built(building)
    building.handle(StartWatch(model_id=naive), "watch")
    BarStore(building.settings.home).save(flat_noise(100))

    with pytest.raises(EvolveError, match="do not hold"):
        building.handle(AutoUpdate(symbol="TINY", timeframe="1d", scheduled_for=1e10), "round")

    board: Any = building.handle(GetWatchBoard(), "board")
    assert "do not hold" in board.rows[0].watch.last_result


def test_one_of_a_papers_address_title_and_text_is_needed(building: Building) -> None:
    with pytest.raises(InvalidRequest, match="one of paper_url, paper_title and paper_abstract"):
        building.handle(SummarizePaper(paper_url=None, paper_title=" "))


def test_a_reply_survives_the_wire(building: Building) -> None:
    naive = built(building)

    reply = building.handle(EvaluateModel(model_id=naive, symbol=None, timeframe=None))

    assert ModelEvaluated.model_validate(reply.model_dump(mode="json")) == reply


def test_counts_and_echoed_words_agree_with_the_lists(building: Building) -> None:
    built(building)

    listed: Any = building.handle(ListModels(symbol="TINY"))
    best: Any = building.handle(GetBestModels(symbol="TINY", timeframe="1d", metric="sharpe"))

    assert listed.count == len(listed.models) == 1
    assert (best.symbol, best.timeframe, best.metric, best.models) == ("TINY", "1d", "sharpe", ())


def test_a_question_travels_over_the_other_services(building: Building) -> None:
    reply: Any = building.handle(ProcessQuery(query="Give me the best model for TINY over 30 days"))

    # xgboost and lstm are built for real elsewhere; here the point is who asked whom.
    assert reply.result.status == "success"
    assert {row.name for row in reply.result.answer.rows} >= {"ridge", "buy_and_hold", "naive", "flat", "drift"}
    assert {"understand", "build"} <= set(building.progressed)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.agents.recommendation.CANDIDATES", ("ridge", "drift"))
    monkeypatch.setattr("evolve.agents.figures.INTERVAL_DRAWS", 100)
    # Nobody listens there: what research looks for outside, it does not find.
    monkeypatch.setenv("EVOLVE_GITHUB_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVOLVE_ARXIV_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("evolve.charts.equity.equity_png", lambda *_, **__: None)


@pytest.mark.parametrize("down", ["prompt_router", "model_builder", "performance_critic"])
def test_a_service_that_is_down_is_named_beside_what_could_be_answered(building: Building, down: str) -> None:
    building.down.add(down)

    reply: Any = building.handle(ProcessQuery(query="Give me the best model for TINY over 30 days"))

    assert reply.result.status == "success"
    # The list may also name candidates that cannot be built on this machine.
    named = [gap for gap in reply.result.missing if "model_type" not in gap]
    assert [gap["service"] for gap in named] == [down]
    assert named[0]["why"].startswith(f"{down} is not running")


@pytest.mark.parametrize("context", [{"history": "Analyze AAPL"}, {"history": 5}, {"history": {"a": 1}}])
def test_a_history_that_is_no_list_is_refused_in_a_sentence(building: Building, context: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"context\.history must be a list"):
        building.handle(RoutePrompt(user_prompt="and MSFT?", context=context))


@pytest.mark.parametrize("context", [None, {}, {"history": None}, {"history": []}, {"other": 1}])
def test_no_history_is_no_history_however_it_is_said(building: Building, context: dict[str, Any] | None) -> None:
    reply: Any = building.handle(RoutePrompt(user_prompt="Analyze AAPL", context=context))

    assert reply.result.intent == "market_analysis"


# --- what is on record ---


def recorded(log: DecisionLog, request_id: str) -> Decision:
    return log.get(request_id)


def test_a_decision_is_on_record_when_the_reply_is_handed_over(building: Building, log: DecisionLog) -> None:
    reply: Any = building.handle(
        BuildModel(model_type="naive", symbol="TINY", timeframe=None, seed=4), "r7", parent="r6", sender="cli"
    )

    decision = recorded(log, "r7")

    assert (decision.service, decision.request_type, decision.status) == ("model_builder", "build_model", "success")
    assert (decision.symbols, decision.seed, decision.parent, decision.asked_by) == (("TINY",), 4, "r6", "cli")
    assert decision.data_hash == flat_noise().fingerprint == reply.model_info.data.fingerprint
    assert decision.inputs["model_type"] == "naive"
    assert decision.outcome["model_info"]["model_id"] == reply.model_info.model_id  # type: ignore[index]
    assert decision.code_version == reply.model_info.code_version


def test_a_refused_request_is_on_record_with_its_code_and_sentence(building: Building, log: DecisionLog) -> None:
    with pytest.raises(UnknownModel):
        building.handle(EvaluateModel(model_id="model_123", symbol="TINY", timeframe="1d"))

    decision = recorded(log, "r1")

    assert (decision.status, decision.error_code, decision.symbols) == ("error", "unknown_model", ("TINY",))
    assert "model_123" in str(decision.outcome["error"])


def test_a_request_that_runs_twice_is_on_record_once(building: Building, log: DecisionLog) -> None:
    for _ in range(2):
        building.handle(BuildModel(model_type="naive", symbol="TINY", timeframe=None), "same")

    assert [decision.request_id for decision in log.history()] == ["same"]


def test_looking_something_up_is_no_decision(building: Building, log: DecisionLog) -> None:
    for request in (
        ListModels(),
        GetRoutingHistory(),
        DetectIntent(user_prompt="Analyze AAPL"),
        GetAvailableSymbols(),
        GetQueryHistory(),
    ):
        building.handle(request)

    assert log.history() == ()


def test_an_evaluation_and_a_comparison_name_the_bars_they_rest_on(building: Building, log: DecisionLog) -> None:
    naive, drift = built(building), built(building, "drift")

    evaluated = building.handle(EvaluateModel(model_id=naive, symbol=None, timeframe=None), "e")
    compared = building.handle(CompareModels(model_ids=(naive, drift), symbol=None, timeframe=None), "c")

    assert isinstance(evaluated, ModelEvaluated)
    assert isinstance(compared, ModelsCompared)
    for request_id in ("e", "c"):
        assert (recorded(log, request_id).symbols, recorded(log, request_id).data_hash) == (
            ("TINY",),
            flat_noise().fingerprint,
        )


def test_a_question_is_on_record_with_its_answers_id_but_without_the_answer(
    building: Building, log: DecisionLog
) -> None:
    reply: Any = building.handle(ProcessQuery(query="Analyze TINY over 30 days"), "q")

    decision = recorded(log, "q")

    assert decision.outcome["answer_id"] == reply.result.answer.answer_id
    assert decision.outcome["headline"] == reply.result.answer.headline
    assert "figures" not in str(decision.outcome)
    assert (decision.symbols, decision.data_hash) == (("TINY",), flat_noise().fingerprint)


def test_the_requests_of_a_question_name_it_as_their_parent(building: Building, log: DecisionLog) -> None:
    building.handle(ProcessQuery(query="Analyze TINY over 30 days"), "r1")

    (routed,) = log.history(service="prompt_router")

    assert (routed.parent, routed.asked_by) == ("r1", "quant_gpt")


def test_the_history_of_questions_is_newest_first_by_symbol_with_what_came_of_them(building: Building) -> None:
    asked: dict[str, Any] = {
        query: building.handle(ProcessQuery(query=query), query)
        for query in ("Analyze TINY over 30 days", "Analyze AAPL over 30 days", "Tell me a joke")
    }

    def past(**options: Any) -> QueryHistory:
        found = building.handle(GetQueryHistory(**options))
        assert isinstance(found, QueryHistory)
        return found

    assert [each.query for each in past().history] == [
        "Tell me a joke",
        "Analyze AAPL over 30 days",
        "Analyze TINY over 30 days",
    ]
    assert [each.status for each in past().history] == ["error", "success", "success"]
    (tiny,) = past(symbol="TINY").history
    answer = asked["Analyze TINY over 30 days"].result.answer
    assert (tiny.answer_id, tiny.headline, tiny.intent) == (answer.answer_id, answer.headline, "market_analysis")
    assert past(limit=1).count == 1


def test_a_reproduced_question_is_remembered_in_its_words(building: Building) -> None:
    answer: Any = building.handle(ProcessQuery(query="Analyze TINY over 30 days"), "first")

    building.handle(ProcessQuery(query="", reproduce=answer.result.answer.answer_id), "again")

    history: Any = building.handle(GetQueryHistory())
    assert [each.query for each in history.history] == ["Analyze TINY over 30 days"] * 2


def test_a_follow_up_in_a_session_is_understood_from_the_record(building: Building) -> None:
    building.handle(ProcessQuery(query="Analyze AAPL over 30 days", session="s"), "q1")

    reply: Any = building.handle(ProcessQuery(query="and TINY?", session="s"), "q2")

    assert (reply.result.parsed_intent.symbol, reply.result.parsed_intent.period) == ("TINY", "30d")


def test_routed_prompts_are_remembered(building: Building) -> None:
    for number, prompt in enumerate(("Analyze AAPL", "Should I buy MSFT?")):
        building.handle(RoutePrompt(user_prompt=prompt), f"p{number}")

    found = building.handle(GetRoutingHistory(intent="trading_signal"))

    assert isinstance(found, RoutingHistory)
    assert [(each.user_prompt, each.target_agent) for each in found.history] == [("Should I buy MSFT?", "quant_gpt")]
    assert (found.count, found.intent) == (1, "trading_signal")


def test_a_secret_in_a_question_never_reaches_the_record(building: Building, log: DecisionLog) -> None:
    building.handle(RoutePrompt(user_prompt="Analyze AAPL with api_key=sk-abcdefghijklmnopqrstuvwx"), "s")

    assert "sk-abcdef" not in str(recorded(log, "s"))


# --- the frame around them ---


def test_the_longest_horizon_of_a_request_is_the_longest_that_is_forecast() -> None:
    from evolve.forecasting.base import MAX_HORIZON_BARS

    BuildModel(horizon_bars=MAX_HORIZON_BARS)
    with pytest.raises(ValidationError):
        BuildModel(horizon_bars=MAX_HORIZON_BARS + 1)


def test_an_unknown_service_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownService, match="model_builder"):
        service_path("model_bilder")


@pytest.mark.parametrize("name", SERVICES)
def test_constructing_a_service_connects_to_nothing_and_writes_nothing(settings: Settings, name: str) -> None:
    service = load_service(service_path(name))(settings=settings)

    assert service.get_service_info()["name"] == name
    assert not service.get_service_info()["running"]
    assert not settings.home.exists()


def test_the_key_for_a_language_model_given_to_quant_gpt_wins(settings: Settings) -> None:
    cls: Any = load_service(service_path("quant_gpt"))

    assert (
        cls(
            openai_api_key="sk-given", settings=settings.model_copy(update={"openai_api_key": "sk-environment"})
        ).settings.openai_api_key
        == "sk-given"
    )
    assert (
        cls(settings=settings.model_copy(update={"openai_api_key": "sk-environment"})).settings.openai_api_key
        == "sk-environment"
    )


def test_no_service_loads_an_array_library_before_its_first_request() -> None:
    program = (
        "import sys; from evolve.services import SERVICES; from evolve.messaging.service import load_service\n"
        "for path in SERVICES.values(): load_service(path)()\n"
        "print([name for name in ('numpy', 'pandas', 'numba', 'torch', 'scipy', 'sqlalchemy', 'matplotlib', 'xgboost') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no_such"], 1, "nearest"),
        ([], 2, "usage"),
        (["model_builder", "--redis-port", "abc"], 2, "invalid int"),
        (["model_builder", "--redis-port", "99999"], 1, "REDIS_PORT must be"),
    ],
)
def test_a_wrong_launch_says_what_is_wrong(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        left = launch.main(arguments)
    except SystemExit as leaving:
        left = int(leaving.code or 0)

    assert left == code
    assert said in capsys.readouterr().err


def test_a_service_that_overrides_nothing_records_symbol_and_seed(settings: Settings) -> None:
    class Plain(Request[ModelBuilt], service="plain", wire="plain_request"):
        symbol: str = "AAPL"
        seed: int = 9

    from evolve.services.base import BaseService

    facts = BaseService(settings=settings).facts(Plain(), Unavailable("no"))

    assert (facts.symbols, facts.seed, facts.data_hash) == (("AAPL",), 9, None)


def test_a_question_that_got_no_answer_is_on_record_as_refused(building: Building, log: DecisionLog) -> None:
    building.handle(ProcessQuery(query="best model for TINY over 0 days"), "r9")

    decision = recorded(log, "r9")

    assert (decision.status, decision.error_code) == ("error", "invalid_request")


def test_a_bug_of_ours_is_on_record_too(building: Building, log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "evolve.agents.model_builder.ModelBuilderAgent.build",
        lambda *_, **__: (_ for _ in ()).throw(ZeroDivisionError("x")),
    )

    with pytest.raises(ZeroDivisionError):
        building.handle(BuildModel(model_type="naive", symbol="TINY", timeframe=None), "r10")

    decision = recorded(log, "r10")
    assert (decision.status, decision.error_code) == ("error", "internal")
    assert decision.outcome["error"] == "ZeroDivisionError: x"
