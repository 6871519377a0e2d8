"""Can the services be spoken to without any of our code? Envelopes, channels and the redis-cli lines of seed.md."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
import redis
from seed_blocks import block
from seed_system import PATIENCE_S, System, eventually

from evolve.client.client import ServiceClient
from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.services import SERVICES as NAMES

pytestmark = pytest.mark.xdist_group("running")

REQUEST = json.loads(block('"param1": "value1"').text)
RESPONSE = json.loads(block('"result": "response_data"').text)

needs_redis_cli = pytest.mark.skipif(
    shutil.which("redis-cli") is None, reason="no redis-cli: install redis-server (apt, or brew install redis)"
)


@pytest.fixture
def server(running) -> Iterator[redis.Redis]:
    """A plain redis-py connection to the server the services use."""
    with redis.Redis(unix_socket_path=str(embedded.socket_path(running.home))) as connection:
        yield connection


@pytest.fixture
def listen(server) -> Iterator[Callable[..., Callable[[Callable[[dict], bool]], dict]]]:
    """listen(channel) → next_that(condition): the first message from now on that meets it."""
    subscriptions = []

    def subscribe(channel: str) -> Callable[[Callable[[dict], bool]], dict]:
        subscription = server.pubsub(ignore_subscribe_messages=True)
        subscriptions.append(subscription)
        subscription.subscribe(channel)
        server.ping()
        subscription.get_message(timeout=1.0)

        def next_that(condition: Callable[[dict], bool]) -> dict:
            def look() -> dict | None:
                message = subscription.get_message(timeout=0.2)
                envelope = json.loads(message["data"]) if message else None
                return envelope if envelope and condition(envelope) else None

            return eventually(look, what=f"the message on {channel}")

        return next_that

    yield subscribe
    for subscription in subscriptions:
        subscription.close()


def request(wire_type: str, data: dict, **more: object) -> dict:
    """A request with the fields of the specification, and only those unless more are given."""
    message = {"type": wire_type, "data": data, "timestamp": REQUEST["timestamp"], **more}
    assert set(REQUEST) <= set(message)
    return message


# --- envelopes ---


@pytest.mark.parametrize("way", ["redis-py", "evolve bus publish", "redis-cli"])
def test_a_request_published_by_hand_is_answered_on_the_output_channel(way, running: System, server, listen):
    """With the three fields of seed.md and nothing else; the answer has the five of seed.md and nothing else."""
    if way == "redis-cli" and shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli: install redis-server (apt, or brew install redis)")
    said = f"Should I buy MSFT now? ({way})"
    message = json.dumps(request("detect_intent", {"user_prompt": said}))
    next_that = listen("prompt_router_output")

    if way == "redis-py":
        heard = server.publish("prompt_router_input", message)
    elif way == "redis-cli":
        socket_path = embedded.socket_path(running.home)
        heard = int(
            subprocess.check_output(["redis-cli", "-s", socket_path, "publish", "prompt_router_input", message])
        )
    else:
        heard = int(running.shell(f"evolve bus publish prompt_router_input '{message}'").stdout)

    assert heard >= 1
    reply = next_that(lambda envelope: envelope["type"] == "intent_detected")
    assert set(reply) == set(RESPONSE)
    assert (reply["service"], reply["status"]) == ("prompt_router", RESPONSE["status"])
    assert reply["data"]["result"]["intent"] == "trading_signal"
    assert isinstance(reply["timestamp"], float)


def test_a_request_with_an_id_is_answered_with_it(server, listen):
    next_that = listen("prompt_router_output")
    server.publish(
        "prompt_router_input",
        json.dumps(request("detect_intent", {"user_prompt": "Analyze IBM"}, request_id="mine-1")),
    )
    assert next_that(lambda envelope: envelope.get("request_id") == "mine-1")["type"] == "intent_detected"


def test_progress_and_reply_both_show_on_the_output_channel_and_progress_is_never_last(server, listen):
    next_that = listen("model_builder_output")
    data = {"model_type": "naive", "symbol": "IBM", "timeframe": "1d", "seed": 7}
    server.publish("model_builder_input", json.dumps(request("build_model", data, request_id="watched-1")))
    seen: list[dict] = []

    def ours(envelope: dict) -> bool:
        if envelope.get("request_id") == "watched-1":
            seen.append(envelope)
        return bool(seen) and seen[-1]["type"] != "progress"

    assert next_that(ours)["type"] == "model_built"
    assert {"stage", "done", "total", "message"} == set(seen[0]["data"])
    assert [envelope["type"] for envelope in seen[:-1]] == ["progress"] * (len(seen) - 1)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("this is no JSON", "malformed"),
        ('["a", "list"]', "malformed"),
        ('{"data": {}}', "malformed"),
        ('{"type": "no_such_thing", "data": {}}', "unknown_type"),
        ('{"type": "detect_intent", "data": {}}', "invalid_request"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_an_error(raw, code, server, listen):
    next_that = listen("prompt_router_output")
    server.publish("prompt_router_input", raw)
    reply = next_that(lambda envelope: envelope["status"] == "error")
    assert (reply["type"], reply["service"], reply["data"]["code"]) == ("error", "prompt_router", code)
    assert reply["data"]["error"]


def test_a_malformed_message_is_kept_in_the_dead_letter_stream(running: System, server, listen):
    with ServiceClient(settings=running.settings) as client:
        before = client.get_service_status("performance_critic")["dead"]
        next_that = listen("performance_critic_output")
        server.publish("performance_critic_input", "{")
        next_that(lambda envelope: envelope["status"] == "error")
        assert client.get_service_status("performance_critic")["dead"] == before + 1


def test_the_control_channel_answers_ping_and_status(server, listen):
    next_that = listen("quant_gpt_output")
    for wire_type, answer in (("ping", "pong"), ("status", "status")):
        server.publish("quant_gpt_control", json.dumps(request(wire_type, {}, request_id=f"control-{wire_type}")))
        reply = next_that(lambda envelope, id=f"control-{wire_type}": envelope.get("request_id") == id)
        assert reply["type"] == answer


def test_a_stop_message_ends_a_service_and_a_start_message_brings_it_back(running: System, server, listen):
    next_that = listen("prompt_router_output")
    server.publish("prompt_router_control", json.dumps(request("stop", {})))
    next_that(lambda envelope: envelope["type"] == "service_stopped")
    with ServiceManager(settings=running.settings) as manager:
        eventually(lambda: manager.get_service_status("prompt_router")["prompt_router"]["status"] == "stopped")

        server.publish("prompt_router_control", json.dumps(request("start", {})))

        next_that(lambda envelope: envelope["type"] == "service_started")
        eventually(lambda: manager.get_service_status("prompt_router")["prompt_router"]["status"] == "running")


def test_each_decision_is_in_the_log_of_decisions_before_its_reply_is_sent(running: System, server, listen):
    """Step 3 before step 4 of "Service Communication Flow": whoever has the reply finds the decision."""
    next_that = listen("prompt_router_output")
    server.publish(
        "prompt_router_input",
        json.dumps(request("route_prompt", {"user_prompt": "Analyze GOOG"}, request_id="logged-1")),
    )
    next_that(lambda envelope: envelope.get("request_id") == "logged-1")

    decisions = running.json("evolve history --limit 50 --json")
    [decision] = [each for each in decisions if each["request_id"] == "logged-1"]
    assert (decision["service"], decision["inputs"]["user_prompt"]) == ("prompt_router", "Analyze GOOG")
    assert decision["status"] == "success"


def test_many_requests_of_many_clients_are_answered_each_to_its_own_asker(running: System):
    """Parallel Processing: three services at once, and nobody gets another's answer."""
    answers: dict[str, str] = {}

    def ask(symbol: str) -> None:
        with ServiceClient(settings=running.settings) as client:
            reply = client.parse_arguments(f"Analyze {symbol}", "market_analysis")
            answers[symbol] = reply["result"]["arguments"]["symbol"]
            client.list_models(symbol=symbol)
            client.get_query_history(symbol=symbol)

    symbols = ["AAPL", "MSFT", "IBM", "GOOGL", "TSLA", "AMZN"]
    threads = [threading.Thread(target=ask, args=(symbol,)) for symbol in symbols]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert answers == {symbol: symbol for symbol in symbols}


# --- channels and redis-cli ---


def test_every_service_listens_on_its_input_and_control_channels(server):
    listening = {name.decode() for name in server.pubsub_channels()}
    assert {f"{name}_{kind}" for name in NAMES for kind in ("input", "control")} <= listening


@needs_redis_cli
def test_the_debug_commands_work_on_the_embedded_server(running: System):
    """As `evolve status` prints them: the embedded server has no TCP port unless it is asked for one."""
    redis_cli = running.json("evolve status --json")["server"]
    ping, channels, monitor, log = block("redis-cli ping").commands
    assert running.shell(ping.replace("redis-cli", redis_cli)).stdout == "PONG\n"
    assert "model_builder_input" in running.shell(channels.replace("redis-cli", redis_cli)).stdout.split()
    assert monitor == "redis-cli monitor"
    assert "service='model_builder'" in running.shell(log.replace("tail -f", "tail"), cwd=running.home).stdout


@needs_redis_cli
@pytest.mark.parametrize("command", block("redis-cli subscribe model_builder_output").commands)
def test_redis_cli_sees_requests_and_replies_as_they_pass(command, running: System):
    """`monitor` shows the request and its reply, `subscribe model_builder_output` the reply."""
    redis_cli = running.json("evolve status --json")["server"].split()
    watcher = subprocess.Popen(
        [*redis_cli, *command.split()[1:]], stdout=subprocess.PIPE, env=running.environment, text=True
    )
    assert watcher.stdout is not None
    with watcher:
        watcher.stdout.readline()  # it listens now
        with ServiceClient(settings=running.settings) as client:
            client.list_models(symbol="IBM")
        for line in watcher.stdout:
            if "models_listed" in line:
                break
        watcher.terminate()


@needs_redis_cli
def test_a_tcp_port_makes_the_plain_redis_cli_commands_work(fresh, free_port):
    """`evolve up --redis-port 6379` is what seed.md's `redis-cli ping` needs; here on a free port."""
    assert fresh.shell(f"evolve up --redis-port {free_port}").returncode == 0
    ping, channels, *_ = block("redis-cli ping").commands
    assert fresh.shell(ping.replace("redis-cli", f"redis-cli -p {free_port}")).stdout == "PONG\n"
    assert "quant_gpt_input" in fresh.shell(channels.replace("redis-cli", f"redis-cli -p {free_port}")).stdout


def test_where_no_redis_cli_is_evolve_bus_monitors_and_subscribes(running: System):
    watcher = subprocess.Popen(
        ["evolve", "bus", "subscribe", "prompt_router_output", "--count", "1"],
        env=running.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stderr is not None
    assert "listening" in watcher.stderr.readline()
    with ServiceClient(settings=running.settings) as client:
        client.detect_intent("Analyze IBM")
    out, _ = watcher.communicate(timeout=PATIENCE_S)
    assert json.loads(out)["service"] == "prompt_router"


def test_a_message_that_nobody_hears_is_known_to_be_lost(fresh):
    """Durability starts at the bridge: with nothing of Evolve running, PUBLISH says 0, and 0 is printed."""
    assert fresh.shell("evolve bus publish prompt_router_input '{}'").stdout == "0\n"
