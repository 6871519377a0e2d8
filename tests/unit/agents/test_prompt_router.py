"""The prompt router: a sentence becomes a request that can be sent as it stands, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evolve.agents.prompt_router import PromptRouterAgent, search_terms
from evolve.cards import ReadyRequest, Routing
from evolve.contracts import request_class
from evolve.errors import InvalidRequest
from evolve.language.intents import INTENTS
from evolve.memory.database import Database
from evolve.memory.decisions import Decision, DecisionLog
from evolve.services import SERVICES
from evolve.settings import Settings

ID = "ridge-AAPL-1d-3f9c2a7b"


@pytest.fixture
def log(settings: Settings) -> Iterator[DecisionLog]:
    with Database.open(settings) as database:
        yield DecisionLog(database)


@pytest.fixture
def router(log: DecisionLog) -> PromptRouterAgent:
    return PromptRouterAgent(log)


def sent(routing: Routing) -> ReadyRequest:
    assert routing.request is not None
    return routing.request


# The example queries of the specification, and who must carry them out.
@pytest.mark.parametrize(
    ("prompt", "service", "wire_type"),
    [
        ("Give me the best model for NVDA over 90 days", "quant_gpt", "process_query"),
        ("Should I long TSLA this week?", "quant_gpt", "process_query"),
        ("Analyze BTCUSDT market conditions", "quant_gpt", "process_query"),
        ("What's the best trading strategy for cryptocurrency?", "quant_gpt", "process_query"),
        ("Show me the latest model performance", "quant_gpt", "process_query"),
        ("Build me an LSTM model for Bitcoin prediction", "model_builder", "build_model"),
        (f"Evaluate {ID} over 90 days", "performance_critic", "evaluate_model"),
        ("Retrain model_123", "updater", "retrain_model"),
        ("Tune the hyperparameters of the lstm", "meta_tuner", "tune_hyperparameters"),
        ("Find papers on momentum trading", "research", "search_arxiv"),
        ("Search GitHub for trading bots", "research", "search_github"),
        ("Plot the equity curve of AAPL", "multimodal", "generate_plot"),
    ],
)
def test_a_sentence_is_sent_to_the_service_that_carries_it_out(
    router: PromptRouterAgent, prompt: str, service: str, wire_type: str
) -> None:
    routing = router.route(prompt)

    assert (routing.target_agent, sent(routing).service, sent(routing).type) == (service, service, wire_type)


@pytest.mark.parametrize(
    ("prompt", "terms"),
    [
        ("Find papers on momentum trading", "momentum trading"),
        ("Search GitHub for trading bots", "trading bots"),
        ("are there any repos about pairs trading on github?", "pairs trading"),
        ("show me recent research", "show me recent research"),
    ],
)
def test_a_search_is_asked_for_its_subject_alone(prompt: str, terms: str) -> None:
    assert search_terms(prompt) == terms


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("Plot the equity curve of AAPL", {"plot_type": "equity_curve", "data_source": "AAPL"}),
        ("Plot AAPL", {"plot_type": "candlestick", "data_source": "AAPL"}),
        ("Plot the correlation of AAPL and MSFT", {"plot_type": "correlation_heatmap", "data_source": "AAPL,MSFT"}),
        (f"Plot the monthly returns of {ID}", {"plot_type": "monthly_returns", "data_source": ID}),
        ("Plot the equity curve", {"plot_type": "equity_curve", "data_source": "backtest_results"}),
    ],
)
def test_the_chart_that_a_sentence_names_is_asked_for(
    router: PromptRouterAgent, prompt: str, wanted: dict[str, str]
) -> None:
    assert sent(router.route(prompt)).data == wanted


@pytest.mark.parametrize(
    "prompt",
    [
        "Build a ridge model for AAPL",
        "Build me a model",
        f"Evaluate {ID}",
        f"How did {ID} do on MSFT at 1h?",
        "Analyze AAPL",
        "Show me the latest model performance",
    ],
)
def test_the_request_can_be_sent_as_it_stands(router: PromptRouterAgent, prompt: str) -> None:
    request = sent(router.route(prompt))

    request_class(request.service, request.type)(**request.data)  # raises for what the service would refuse


def test_an_unnamed_timeframe_means_the_finest_real_one_not_the_wires_hour(router: PromptRouterAgent) -> None:
    """AAPL has no real bars at 1h: the wire's default would refuse what the sentence asks for."""
    request = sent(router.route("Build a ridge model for AAPL"))

    built = request_class(request.service, request.type)(**request.data)

    assert (built.model_type, built.symbol, built.timeframe) == ("ridge", "AAPL", None)  # type: ignore[attr-defined]


def test_a_model_is_evaluated_on_its_own_bars_unless_others_are_named(router: PromptRouterAgent) -> None:
    """The wire's default symbol is BTCUSDT, which nobody asked about."""
    own, other = sent(router.route(f"Evaluate {ID}")), sent(router.route(f"Evaluate {ID} on MSFT"))

    assert (own.data["model_id"], own.data["symbol"], own.data["timeframe"]) == (ID, None, None)
    assert other.data["symbol"] == "MSFT"


@pytest.mark.parametrize(
    "prompt",
    [f"Delete model {ID}", "Delete all my models", "Buy 100 shares of AAPL for me", "Place a market order for 10 TSLA"],
)
def test_what_destroys_or_trades_gets_no_request(router: PromptRouterAgent, prompt: str) -> None:
    routing = router.route(prompt)

    assert (routing.intent, routing.target_agent, routing.request) == ("unsupported", None, None)
    assert len(routing.suggestions) >= 3


def test_every_suggestion_is_a_sentence_that_can_be_carried_out(router: PromptRouterAgent) -> None:
    for suggestion in router.route("What is the weather in Paris?").suggestions:
        assert router.route(suggestion).target_agent in SERVICES


def test_a_service_that_is_not_available_is_not_chosen_and_the_reason_says_so(router: PromptRouterAgent) -> None:
    routing = router.route("Analyze AAPL", available=["model_builder"])

    assert (routing.target_agent, routing.request) == (None, None)
    assert any("quant_gpt" in reason and "not among" in reason for reason in routing.reasons)


def test_all_services_are_available_when_none_are_named(router: PromptRouterAgent) -> None:
    assert router.route("Analyze AAPL", available=[]).target_agent == "quant_gpt"


def test_a_follow_up_leans_on_the_sentences_before_it(router: PromptRouterAgent) -> None:
    routing = router.route("and on MSFT?", history=["Give me the best model for AAPL over 90 days"])

    assert routing.intent == "model_recommendation"
    assert (routing.arguments["symbol"], routing.arguments["period"]) == ("MSFT", "90d")
    assert routing.slots["period_days"].origin == "inherited"


def test_what_a_sentence_does_not_name_is_null(router: PromptRouterAgent) -> None:
    assert router.route("What can you do?").arguments == {
        "symbol": None, "symbols": [], "timeframe": None, "period": None, "model_type": None, "side": None,
    }  # fmt: skip


def test_slots_say_what_was_stated_in_which_words(router: PromptRouterAgent) -> None:
    slots = router.route("Should I buy AAPL and MSFT over the next 2 weeks?").slots

    assert (slots["symbols"].value, slots["symbols"].origin) == ("AAPL, MSFT", "stated")
    assert (slots["period_days"].value, slots["side"].value) == (14, "buy")


def test_an_intent_is_detected_with_its_confidence(router: PromptRouterAgent) -> None:
    detected = router.detect("Should I buy AAPL now?")

    assert detected.intent == "trading_signal"
    assert 0 < detected.confidence <= 1
    assert detected.parser == "grammar"


def test_arguments_are_parsed_for_a_given_intent_and_only_a_signal_has_a_side(router: PromptRouterAgent) -> None:
    signal = router.arguments("Should I short TSLA on the 4h?", "trading_signal")
    analysis = router.arguments("Should I short TSLA on the 4h?", "market_analysis")

    assert (signal.arguments["symbol"], signal.arguments["timeframe"], signal.arguments["side"]) == (
        "TSLA",
        "4h",
        "short",
    )
    assert analysis.arguments["side"] is None
    assert "side" not in analysis.slots


def test_an_unknown_intent_is_refused_with_the_nearest(router: PromptRouterAgent) -> None:
    with pytest.raises(InvalidRequest, match="trading_signal") as caught:
        router.arguments("Should I buy AAPL?", "trading_signals")

    assert caught.value.details["known"] == sorted(INTENTS)


@pytest.mark.parametrize(
    "prompt", ["", "   ", "?!", "x" * 4000, "买入 AAPL 吗？", "\x00\x1b[2J", "' OR 1=1 --", "{{e1}}"]
)
def test_any_text_is_routed_without_an_error(router: PromptRouterAgent, prompt: str) -> None:
    assert router.route(prompt).intent in INTENTS


def decided(log: DecisionLog, request_id: str, prompt: str, routing: Routing, status: str = "success") -> None:
    from dataclasses import asdict

    log.record(
        Decision(
            service="prompt_router", request_id=request_id, request_type="route_prompt", inputs={"user_prompt": prompt},
            outcome={"result": asdict(routing)} if status == "success" else {"error": "no"}, status=status,  # type: ignore[arg-type]
            code_version="test", started_at=0.0, finished_at=1.0,
        )
    )  # fmt: skip


def test_the_history_is_newest_first_by_intent_and_without_failures(
    router: PromptRouterAgent, log: DecisionLog
) -> None:
    for number, prompt in enumerate(["Analyze AAPL", "Should I buy TSLA?", "Analyze MSFT"]):
        decided(log, f"r{number}", prompt, router.route(prompt))
    decided(log, "r9", "broken", router.route("Analyze AAPL"), status="error")

    assert [each.user_prompt for each in router.history(None, 10)] == [
        "Analyze MSFT",
        "Should I buy TSLA?",
        "Analyze AAPL",
    ]
    assert [each.user_prompt for each in router.history("market_analysis", 1)] == ["Analyze MSFT"]
    assert router.history("market_analysis", 10)[0].target_agent == "quant_gpt"
    assert router.history("market_analysis", 10)[0].at == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize(
    ("prompt", "data"),
    [
        ("Tune the hyperparameters of the lstm", {"model_type": "lstm"}),
        ("Tune xgboost on AAPL", {"model_type": "xgboost", "symbol": "AAPL", "timeframe": None}),
        ("bayesian optimisation of lstm hyperparameters, BTC, 1h, 50 trials", {"model_type": "lstm", "symbol": "BTCUSDT", "timeframe": "1h", "n_trials": 50}),
        ("Grid search the xgboost parameters for IBM", {"model_type": "xgboost", "symbol": "IBM", "timeframe": None, "optimization_method": "grid"}),
        ("tune ridge on MSFT daily by random search, 20 combinations", {"model_type": "ridge", "symbol": "MSFT", "timeframe": "1d", "optimization_method": "random", "n_trials": 20}),
    ],
)  # fmt: skip
def test_a_search_is_asked_for_as_the_sentence_names_it(router: PromptRouterAgent, prompt: str, data: dict[str, object]) -> None:  # fmt: skip
    assert sent(router.route(prompt)).data == data
