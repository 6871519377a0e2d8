"""The client: the methods of the contract in its order, replies with their data lifted, and an envelope where others would raise."""

from __future__ import annotations

import inspect
import re
import threading
from typing import Any

import pytest

from evolve.client.client import ServiceClient, lifted
from evolve.client.core import AsyncClient, all_requests, lane_of
from evolve.contracts.model_builder import BuildModel, ListModels, ModelsListed
from evolve.contracts.performance_critic import EvaluateModel
from evolve.errors import Busy, InvalidRequest, TimedOut, Unavailable, UnknownModel, UnknownService
from evolve.settings import Settings

REQUIRED = inspect.Parameter.empty

# The table of the contract for the services that exist: parameters in order, with their defaults.
CONTRACT: dict[str, list[tuple[str, object]]] = {
    "build_model": [("model_type", "lstm"), ("symbol", "BTCUSDT"), ("timeframe", "1h"), ("features", None)],
    "evaluate_model": [("model_id", REQUIRED), ("symbol", "BTCUSDT"), ("timeframe", "1h"), ("period", "30d")],
    "route_prompt": [("user_prompt", REQUIRED), ("context", None), ("available_agents", None)],
    "process_natural_language_query": [("query", REQUIRED)],
    "get_query_history": [("limit", 10), ("symbol", None)],
    "get_available_symbols": [],
    "get_service_status": [("service_name", REQUIRED)],
    "ping_service": [("service_name", REQUIRED)],
    "close": [],
}


class Core:
    """Stands in for the asynchronous core: notes what it is to send, and answers or raises as told."""

    def __init__(self, settings: Settings, answer: dict[str, Any] | BaseException) -> None:
        self.settings, self.answer, self.sent = settings, answer, []  # type: ignore[var-annotated]

    async def request(self, service: str, wire_type: str, data: dict[str, Any], **options: Any) -> dict[str, Any]:
        self.sent.append((service, wire_type, data, options))
        return self._answered()

    async def ping(self, service: str, *, timeout: float) -> dict[str, Any]:
        return self._answered()

    async def status(self, service: str) -> dict[str, Any]:
        return self._answered()

    async def late_reply(self, service: str, request_id: str) -> dict[str, Any] | None:
        return self._answered()

    async def close(self) -> None:
        """Nothing is open."""

    def timeout_for(self, request: Any) -> float:
        return AsyncClient(settings=self.settings).timeout_for(request)

    def _answered(self) -> dict[str, Any]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


SUCCESS = {
    "type": "models_listed",
    "service": "model_builder",
    "status": "success",
    "timestamp": 1.0,
    "request_id": "r",
    "data": {"models": [], "count": 0},
}


@pytest.fixture
def make_client(tmp_path: Any) -> Any:
    clients: list[ServiceClient] = []

    def make(answer: dict[str, Any] | BaseException = SUCCESS, **settings: Any) -> tuple[ServiceClient, Core]:
        client = ServiceClient(settings=Settings.load(home=tmp_path / "home", **settings))
        core = Core(client.settings, answer)
        client._core = core  # type: ignore[assignment]
        clients.append(client)
        return client, core

    yield make
    for client in clients:
        client.close()


# --- the signatures ---


@pytest.mark.parametrize("method", CONTRACT)
def test_the_parameters_of_the_contract_are_positional_in_its_order_and_all_others_are_not(method: str) -> None:
    parameters = list(inspect.signature(getattr(ServiceClient, method)).parameters.values())[1:]
    positional = [(each.name, each.default) for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert positional == CONTRACT[method]
    assert all(each.default is not REQUIRED for each in parameters if each.kind is each.KEYWORD_ONLY)


def test_any_message_can_be_sent_by_name_in_the_contracts_order() -> None:
    names = list(inspect.signature(ServiceClient.send_request).parameters)[1:5]

    assert names == ["service_name", "message_type", "data", "wait_for_response"]


def test_the_constructor_takes_host_port_and_db_and_connects_to_nothing(tmp_path: Any) -> None:
    client = ServiceClient("nowhere.invalid", 6399, 2)

    assert (client.settings.redis_host, client.settings.redis_port, client.settings.redis_db) == (
        "nowhere.invalid",
        6399,
        2,
    )
    client.close()  # nothing was opened


def test_there_is_a_method_for_every_message_of_every_service() -> None:
    for requests in all_requests().values():
        for request in requests.values():
            assert callable(getattr(ServiceClient, request.client_method))


@pytest.mark.parametrize("method", [name for name in CONTRACT if name not in ("close", "get_service_status")])
def test_every_method_takes_a_timeout(method: str) -> None:
    assert "timeout" in inspect.signature(getattr(ServiceClient, method)).parameters


# --- what is sent ---


def test_positional_arguments_reach_their_fields(make_client: Any) -> None:
    client, core = make_client()

    client.build_model("ridge", "nvda", "1d", ["close", "rsi"])

    service, wire_type, data, _ = core.sent[0]
    assert (service, wire_type) == ("model_builder", "build_model")
    assert {name: data[name] for name in ("model_type", "symbol", "timeframe", "features")} == {
        "model_type": "ridge", "symbol": "NVDA", "timeframe": "1d", "features": ["close", "rsi"],
    }  # fmt: skip


@pytest.mark.parametrize("service", all_requests())
def test_a_method_without_optional_arguments_sends_the_defaults_of_its_message(make_client: Any, service: str) -> None:
    examples = {
        "model_ids": ["a", "b"],
        "intent": "market_analysis",
        "bars": {"close": [1.0]},
        "plot_type": "equity_curve",
        "alias": "champion",
        "timeframe": "1d",
    }
    for request in all_requests()[service].values():
        required = {
            name: examples.get(name, "x") for name, field in request.model_fields.items() if field.is_required()
        }
        client, core = make_client()

        getattr(client, request.client_method)(**required)

        sent = core.sent[0][2]
        if request.wire_type == "generate_plot":  # the one default that the client adds: where the picture goes
            assert re.fullmatch(r"plots/equity_curve_\d+\.png", sent["save_path"])
            sent = {**sent, "save_path": None}
        assert sent == request(**required).model_dump(mode="json"), request.wire_type


def test_none_stands_for_an_empty_container_and_for_null_where_null_means_something(make_client: Any) -> None:
    client, core = make_client()

    client.build_model("ridge", "AAPL", None, None)

    data = core.sent[0][2]
    assert (data["features"], data["hyperparameters"], data["timeframe"]) == ([], {}, None)


def test_what_is_wrong_is_said_before_anything_is_sent(make_client: Any) -> None:
    client, core = make_client()

    reply = client.build_model("ridge", "not a symbol!")

    assert core.sent == []
    assert (reply["type"], reply["status"], reply["code"], reply["request"]) == (
        "error",
        "error",
        "invalid_request",
        "build_model",
    )
    assert "symbol" in reply["error"]


def test_sending_without_waiting_says_so(make_client: Any) -> None:
    client, core = make_client()

    client.send_request("model_builder", "list_models", {"limit": 3}, False)

    assert core.sent[0][2] == {"limit": 3}
    assert core.sent[0][3]["wait"] is False


# --- what comes back ---


def test_the_keys_of_data_are_lifted_and_data_stays() -> None:
    assert lifted({"type": "statistics", "status": "success", "data": {"total": 3}}) == {
        "type": "statistics", "status": "success", "data": {"total": 3}, "total": 3,
    }  # fmt: skip


def test_the_envelopes_keys_win_over_lifted_ones() -> None:
    envelope = {
        "type": "t",
        "service": "s",
        "status": "success",
        "timestamp": 1.0,
        "request_id": "r",
        "data": {"type": "x", "status": "y", "service": "z"},
    }

    assert {name: lifted(envelope)[name] for name in envelope} == envelope


@pytest.mark.parametrize("data", [None, {}])
def test_without_data_nothing_is_lifted(data: object) -> None:
    assert lifted({"type": "pong", "data": data}) == {"type": "pong", "data": data}


ERRORS = [
    TimedOut("no answer in 30 s; `evolve reply model_builder r1`", service="model_builder", asked_id="r1"),
    Unavailable("the Redis server does not answer"),
    UnknownModel("there is no model 'model_123'; nearest: …", nearest=["ridge"]),
    Busy("later"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_a_dict_method_never_raises_but_returns_the_error_envelope(make_client: Any, error: Any) -> None:
    client, _ = make_client(error)
    calls = [
        lambda: client.build_model(), lambda: client.evaluate_model("model_123"), lambda: client.route_prompt("x"),
        lambda: client.process_natural_language_query("x"), lambda: client.get_query_history(), lambda: client.get_available_symbols(),
        lambda: client.get_service_status("model_builder"), lambda: client.ping_service("model_builder"),
        lambda: client.send_request("model_builder", "list_models", {}), lambda: client.get_reply("r1", "model_builder"),
    ]  # fmt: skip

    for call in calls:
        reply = call()
        assert (reply["type"], reply["status"], reply["code"], reply["error"]) == (
            "error",
            "error",
            error.code,
            error.message,
        )
        assert reply["data"]["error"] == error.message
        assert reply["service"]
        assert reply["timestamp"] > 0


def test_the_id_of_a_timed_out_request_is_in_its_error(make_client: Any) -> None:
    client, _ = make_client(ERRORS[0])

    assert client.build_model()["request_id"] == "r1"


@pytest.fixture
def nowhere(free_port: int, tmp_path: Any) -> Any:
    """A client of a port that nobody listens on."""
    with ServiceClient(settings=Settings.load(home=tmp_path / "home", redis_port=free_port)) as client:
        yield client


@pytest.mark.parametrize(
    ("data", "request_id"),
    [([1, 2], None), ("text", None), ({"a": object()}, None), ({1j: 2}, None), ({}, ""), ({}, "r" * 129)],
)
def test_what_cannot_be_sent_is_an_error_envelope_too(
    nowhere: ServiceClient, data: Any, request_id: str | None
) -> None:
    """Unreadable for the service: without this it would be a TypeError, or a wait for a reply that never comes."""
    reply = nowhere.send_request("model_builder", "list_models", data, request_id=request_id)

    assert (reply["status"], reply["code"]) == ("error", "invalid_request")


def test_an_unknown_service_is_an_error_envelope_with_the_nearest(nowhere: ServiceClient) -> None:
    for reply in (
        nowhere.send_request("model_bilder", "list_models", {}), nowhere.ping_service("model_bilder"),
        nowhere.get_service_status("model_bilder"), nowhere.get_reply("r", "model_bilder"),
    ):  # fmt: skip
        assert reply is not None
        assert (reply["status"], reply["code"]) == ("error", "unknown_service")
        assert "model_builder" in reply["error"]


def test_a_server_that_is_not_there_is_an_error_envelope(nowhere: ServiceClient) -> None:
    reply = nowhere.ping_service("model_builder", timeout=0.2)

    assert (reply["status"], reply["code"], reply["service"]) == ("error", "unavailable", "model_builder")


# --- the typed way ---


def test_ask_gives_the_typed_reply_and_raises_the_typed_error(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = [
        dict(SUCCESS),
        {
            "type": "error",
            "status": "error",
            "data": {"error": "no such model", "code": "unknown_model", "nearest": ["a"], "request": "x"},
        },
    ]

    async def request(*_: Any, **__: Any) -> dict[str, Any]:
        return answers.pop(0)

    client = ServiceClient()
    monkeypatch.setattr(client._core, "request", request)
    with client:
        assert client.ask(ListModels()) == ModelsListed(models=(), count=0)
        with pytest.raises(UnknownModel, match="no such model") as caught:
            client.ask(ListModels())
    assert caught.value.details["nearest"] == ["a"]


# --- how long it waits ---


@pytest.mark.parametrize(
    ("configured", "request_class", "seconds"),
    [
        ({}, BuildModel, 900.0),
        ({}, EvaluateModel, 600.0),
        ({}, ListModels, 30.0),
        ({"response_timeout_s": 5.0}, BuildModel, 5.0),
        ({"response_timeout_s": 30.0}, BuildModel, 30.0),
    ],
)
def test_it_waits_as_configured_else_as_long_as_the_request_usually_needs(
    configured: dict[str, float], request_class: Any, seconds: float
) -> None:
    assert AsyncClient(settings=Settings.load(**configured)).timeout_for(request_class) == seconds


def test_a_configured_thirty_seconds_in_the_environment_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to the default by value, but the user's own word."""
    monkeypatch.setenv("EVOLVE_RESPONSE_TIMEOUT", "30")

    assert AsyncClient().timeout_for(BuildModel) == 30.0


def test_a_timeout_of_the_call_wins(make_client: Any) -> None:
    client, core = make_client(response_timeout_s=5.0)

    client.build_model(timeout=1.5)
    client.build_model()
    client.send_request("model_builder", "list_models", {}, timeout=2.5)

    assert [options["timeout"] for *_, options in core.sent] == [1.5, 5.0, 2.5]


# --- threads and ends ---


def test_a_client_is_shared_by_threads(make_client: Any) -> None:
    client, core = make_client()
    threads = [threading.Thread(target=client.list_models) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(core.sent) == 8
    assert sum(thread.name == "evolve client" for thread in threading.enumerate()) >= 1


def test_a_closed_client_leaves_no_thread_and_can_be_asked_again(make_client: Any) -> None:
    client, core = make_client()
    client.list_models()
    thread = client._thread
    assert thread is not None

    client.close()
    client.close()

    assert not thread.is_alive()
    assert client.list_models()["status"] == "success"
    assert len(core.sent) == 2


def test_heavy_requests_go_in_the_heavy_lane_and_unknown_ones_in_the_light() -> None:
    assert lane_of("model_builder", "build_model") == "heavy"
    assert lane_of("model_builder", "list_models") == "light"
    assert lane_of("model_builder", "no_such_type") == "light"
    with pytest.raises(UnknownService):
        lane_of("nobody", "list_models")


def test_a_wrong_setting_is_said_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PORT", "none")

    with pytest.raises(InvalidRequest, match="REDIS_PORT"):
        ServiceClient()
