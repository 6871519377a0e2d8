"""Does the client do what seed.md shows? Its Python block from top to bottom, its command line, and what happens when things go wrong."""

from __future__ import annotations

import ast
import json
import re
import shlex
import socket
import threading
import time
from pathlib import Path

import pytest
from seed_blocks import block, without_slow_calls
from seed_system import System, eventually

from evolve.client.cli import main as client_main
from evolve.client.client import ServiceClient
from evolve.services import SERVICES as NAMES

# Long deadlines, not long tests: jobs are nice, so on a machine that is busy with other things they come last.
pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

CLIENT = "python service_client.py --action"


@pytest.fixture(scope="module")
def printed(running) -> list[dict]:
    """What the ServiceClient block prints, in its order."""
    program = without_slow_calls(block("client.build_model('lstm', 'BTCUSDT', '1h')").text)
    return [ast.literal_eval(line) for line in running.python(program, timeout=600.0).splitlines()]


@pytest.fixture
def client(running):
    with ServiceClient(settings=running.settings) as client:
        yield client


# --- the block "Using ServiceClient" ---


def test_the_block_runs_from_top_to_bottom_with_an_answer_for_every_call(printed):
    assert [reply["type"] for reply in printed] == [
        "model_built",
        "error",  # model_123 is nobody's model
        "error",  # so it cannot be trained anew either
        "github_search_results",
        "plot_generated",
        "prompt_routed",
        "query_processed",
        "query_history",
        "available_symbols",
        "model_executed",
        "strategy_executed",
        "indicator_executed",
        "statistics",
        "cleanup_completed",
    ]


def test_build_model_answers_with_a_registered_lstm(printed):
    card = printed[0]["model_info"]
    assert (card["recipe"]["model_type"], card["data"]["symbol"], card["data"]["timeframe"]) == (
        "lstm",
        "BTCUSDT",
        "1h",
    )
    assert card["model_id"].startswith("lstm-BTCUSDT-1h-")
    assert card["data"]["source"] == "SIMULATED"  # there are no real bars of BTCUSDT here, and it says so


def test_evaluating_model_123_names_the_nearest_ids_and_the_command_that_builds_one(printed):
    reply = printed[1]
    assert (reply["status"], reply["code"]) == ("error", "unknown_model")
    assert printed[0]["model_info"]["model_id"] in reply["error"]
    assert reply["command"] in reply["error"]
    assert shlex.split(reply["command"])[:2] == ["evolve", "build"]


def test_searching_without_a_network_succeeds_and_says_where_the_answer_comes_from(printed):
    reply = printed[3]
    assert (reply["status"], reply["query"], reply["count"]) == ("success", "trading bot machine learning", 0)
    assert (reply["results"], reply["source"]) == ([], "library")
    assert reply["as_of"]
    assert "GitHub could not be asked" in reply["note"]


def test_route_prompt_names_the_service_and_the_request_to_send_and_runs_nothing(printed):
    result = printed[5]["result"]
    assert (result["target_agent"], result["intent"]) == ("model_builder", "model_build")
    request = result["request"]
    assert (request["service"], request["type"]) == ("model_builder", "build_model")
    assert {"model_type": "lstm", "symbol": "BTCUSDT"}.items() <= request["data"].items()


def test_generate_plot_draws_the_latest_backtest_into_the_plots_directory(printed, running):
    """`backtest_results` is the walk-forward test of the model that the block built just before."""
    result = printed[4]["result"]
    assert (result["success"], result["plot_type"]) == (True, "equity_curve")
    assert result["data_source"] == printed[0]["model_info"]["model_id"]
    assert result["simulated"]  # there are no real bars of BTCUSDT here
    assert re.fullmatch(r"equity_curve_\d+\.png", Path(result["save_path"]).name)
    assert Path(result["save_path"]).parent == running.settings.plots.resolve()
    assert Path(result["save_path"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("printed")
def test_plot_exits_with_0_and_prints_where_the_picture_is(running):
    reply = running.json(f"{CLIENT} plot")
    assert reply["type"] == "plot_generated"
    assert Path(reply["result"]["save_path"]).is_file()


def test_charts_insights_and_pictures_are_asked_for_by_methods_of_their_own(client):
    plot = client.generate_plot("candlestick", "AAPL", {"theme": "dark", "format": "svg"})
    assert Path(plot["result"]["save_path"]).read_text().startswith("<?xml")
    insights = client.generate_insights("AAPL")["result"]["insights"]
    assert insights
    assert all(each["evidence"] and Path(each["plot"]).is_file() for each in insights)
    assert [each["weight"] for each in insights] == sorted((each["weight"] for each in insights), reverse=True)
    assert client.get_plot_history("candlestick")["history"][0]["save_path"] == plot["result"]["save_path"]
    assert "equity_curve" in client.generate_plot("equity_curv", "AAPL")["error"]
    assert "AAPL" in client.generate_plot("equity_curve", "AAPLE")["error"]
    assert client.analyze_image("/etc/passwd")["code"] == "forbidden"


def test_a_question_in_plain_english_is_answered_with_its_parse_and_a_commentary(printed):
    result = printed[6]["result"]
    assert result["query"] == "Give me the best model for NVDA over 90 days"
    assert result["status"] == "success"
    parsed = result["parsed_intent"]
    assert (parsed["intent"], parsed["symbol"], parsed["period"]) == ("model_recommendation", "NVDA", "90d")
    assert result["gpt_commentary"]


def test_the_query_history_of_a_symbol_holds_the_question(printed):
    assert (printed[7]["symbol"], printed[7]["count"]) == ("NVDA", len(printed[7]["history"]))
    assert printed[7]["history"][0]["query"] == "Give me the best model for NVDA over 90 days"


def test_the_available_symbols_hold_those_of_the_specification(printed):
    """Section "Supported Parameters"."""
    reply = printed[8]
    assert set(reply["symbols"]) >= {"BTCUSDT", "ETHUSDT", "NVDA", "TSLA", "AAPL", "GOOGL", "MSFT", "AMZN"}
    assert set(reply["timeframes"]) >= {"1m", "5m", "15m", "1h", "4h", "1d"}
    assert reply["periods"] == ["7d", "14d", "30d", "90d", "180d", "1y"]
    assert set(reply["models"]) >= {"lstm", "xgboost", "ensemble", "transformer", "tcn"}


def test_the_programs_of_the_block_run_and_return_what_they_say(printed):
    values = [reply["result"]["return_value"] for reply in printed[9:12]]
    assert [reply["result"]["status"] for reply in printed[9:12]] == ["success"] * 3
    assert values == [
        {"prediction": 100.5},
        {"signal": "BUY", "confidence": 0.8},
        {"ma": 101.0, "signal": "BULLISH"},
    ]


def test_every_timeframe_and_symbol_of_the_specification_can_be_asked_for(client):
    """The smallest model on each: what is offered can be used."""
    for symbol, timeframe in [("BTCUSDT", "5m"), ("ETHUSDT", "4h"), ("AMZN", "15m"), ("TSLA", "1d"), ("NVDA", "1m")]:
        reply = client.build_model("naive", symbol, timeframe)
        assert reply["type"] == "model_built", (symbol, timeframe, reply)


def test_the_keys_of_data_are_lifted_and_data_stays(printed):
    for reply in printed:
        assert {key for key in reply["data"] if key not in reply} == set()
        assert reply["status"] in ("success", "error")


def test_closing_ends_the_clients_thread_and_a_closed_client_connects_again(running):
    before = set(threading.enumerate())
    client = ServiceClient(settings=running.settings)
    client.ping_service("prompt_router")
    client.close()
    assert set(threading.enumerate()) == before

    assert client.ping_service("prompt_router")["type"] == "pong"
    client.close()


# --- tuning ---


def test_tuning_searches_remembers_and_says_what_to_use(client):
    tuned = client.tune_hyperparameters(
        "ridge", {"alpha": [1.0, 10.0, 100.0]}, "grid", 10, symbol="AAPL", timeframe="1d"
    )

    assert tuned["type"] == "hyperparameters_tuned", tuned
    result = tuned["result"]
    assert (result["n_trials"], result["complete"] + result["pruned"]) == (4, 4)  # three points after the defaults
    assert result["best_params"]["alpha"] in (1.0, 10.0, 100.0)
    assert isinstance(result["best_score"], float)
    assert [card["study_id"] for card in client.get_tuning_history("ridge")["history"]] == [result["study_id"]]
    best = client.get_best_params("ridge")
    assert (best["type"], best["model_type"], best["dataset_size"]) == ("best_hyperparameters", "ridge", "medium")
    assert best["best_params"] == result["recommended_params"]
    everything = client.auto_tune(["ridge"], ["random"], 4, symbol="AAPL", timeframe="1d")
    assert everything["type"] == "auto_tune_completed", everything
    assert (everything["result"]["models_tuned"], everything["result"]["overall_improvement"]) == (["ridge"], 0.0)
    drawn = client.generate_plot("tuning_slices", result["study_id"])
    assert drawn["type"] == "plot_generated", drawn


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("oracle",), "unknown model type 'oracle'"),
        (("ridge", None, "bayes"), "unknown optimization_method 'bayes'; nearest: bayesian"),
        (("ridge", {"alfa": [1, 2]}), "unknown hyperparameter 'alfa' in param_space; nearest: alpha"),
        (("ridge", {"alpha": {"low": 1, "high": 5, "step": 2}}), "param_space"),
        (("ridge", {}, "bayesian", 0), "n_trials must be at least 1"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_a_sentence(client, arguments, said):
    reply = client.tune_hyperparameters(*arguments, symbol="AAPL", timeframe="1d")

    assert (reply["status"], reply["code"]) == ("error", "invalid_request")
    assert said in reply["error"]


def test_a_question_that_asks_for_tuning_is_answered_with_its_verdict(client):
    reply = client.process_natural_language_query("tune the ridge on IBM daily, 12 trials")

    result = reply["result"]
    assert result["status"] == "success", result
    assert result["answer"]["headline"].startswith("Tuned ridge on IBM at 1d: the defaults are as good (study ")
    assert "To use: alpha = 0." in result["gpt_commentary"]


@pytest.mark.prove
def test_the_line_of_the_specification_that_tunes_an_lstm_answers_within_three_minutes(client):
    seen = []
    started = time.monotonic()

    result = client.tune_hyperparameters("lstm", on_progress=seen.append)

    assert result["type"] == "hyperparameters_tuned", result
    assert time.monotonic() - started <= 180
    assert (result["result"]["n_trials"], result["result"]["cv_folds"]) == (50, 5)
    assert len({event["done"] for event in seen}) > 5, "progress was not shown"


# --- the command line ---


def test_the_specifications_commands_are_all_tried_here():
    actions = [line.split()[3] for line in block("service_client.py --action build").commands]
    assert actions == ["build", "evaluate", "retrain", "search", "tune", "plot", "route"]


@pytest.mark.usefixtures("printed")  # the lstm is built by then; building it again finds it
def test_build_prints_the_reply_as_json_and_exits_with_0(running):
    reply = running.json(f"{CLIENT} build")
    assert (reply["type"], reply["found"]) == ("model_built", True)
    assert reply["model_info"]["recipe"]["model_type"] == "lstm"


def test_evaluate_of_an_unknown_model_prints_the_error_reply_and_exits_with_1(running):
    reply = running.json(f"{CLIENT} evaluate --service model_123", code=1)
    assert (reply["status"], reply["code"]) == ("error", "unknown_model")


def test_evaluate_of_a_built_model_exits_with_0(running, client):
    model_id = client.build_model("naive", "BTCUSDT", "1h")["model_info"]["model_id"]
    reply = running.json(f"{CLIENT} evaluate --service {model_id}")
    assert (reply["type"], reply["evaluation"]["model_id"]) == ("model_evaluated", model_id)


def test_retrain_of_a_built_model_exits_with_0(running, client):
    model_id = client.build_model("naive", "BTCUSDT", "1h")["model_info"]["model_id"]
    reply = running.json(f"{CLIENT} retrain --service {model_id}")
    assert (reply["type"], reply["result"]["success"]) == ("model_retrained", True)


def test_retrain_of_an_unknown_model_prints_the_error_reply_and_exits_with_1(running):
    reply = running.json(f"{CLIENT} retrain --service model_123", code=1)
    assert (reply["status"], reply["code"]) == ("error", "unknown_model")


def test_the_updater_answers_its_messages_over_the_client(client):
    old, new = (
        client.build_model(model_type, "ETHUSDT", "1d")["model_info"]["model_id"] for model_type in ("naive", "drift")
    )
    assert client.auto_update("ETHUSDT", "1d")["result"]["champion"] == new
    refused = client.replace_model(new, old)
    assert (refused["type"], refused["result"]["success"]) == ("model_replaced", False)
    assert refused["result"]["test"]["figures"]
    assert client.tune_model("model_123")["code"] == "unknown_model"
    history = client.get_update_history(new)["history"]
    assert [step["kind"] for step in history][:1] == ["refused"]


def test_route_exits_with_0(running):
    assert running.json(f"{CLIENT} route")["type"] == "prompt_routed"


def test_search_exits_with_0(running):
    assert running.json(f"{CLIENT} search")["type"] == "github_search_results"


def test_tune_exits_with_0_and_shows_its_trials(running):
    done = running.shell(f"{CLIENT} tune --model-type ridge --symbol MSFT --timeframe 1d")

    assert json.loads(done.stdout)["type"] == "hyperparameters_tuned"
    assert "of at most 50, fold" in done.stderr


def test_progress_goes_to_stderr_and_only_the_reply_to_stdout(running):
    done = running.shell(f"{CLIENT} build --model-type ridge --symbol IBM --timeframe 1d")
    assert json.loads(done.stdout)["type"] == "model_built"
    assert "fold 1 of 5" in done.stderr


@pytest.mark.parametrize("wrong", ["", "--action sell", "--action evaluate", "--action build --redis-port many"])
def test_wrong_usage_exits_with_2_and_says_what_is_right(wrong, capsys):
    with pytest.raises(SystemExit) as leaving:
        client_main(wrong.split())
    printed = capsys.readouterr()
    assert (leaving.value.code, printed.out) == (2, "")
    assert "--action" in printed.err


# --- models over their life, and the messages without a line in the block ---


def test_a_model_is_built_listed_evaluated_compared_ranked_and_deleted(client):
    ids = [client.build_model(model_type, "MSFT", "1d")["model_info"]["model_id"] for model_type in ("naive", "drift")]

    assert set(ids) <= {card["model_id"] for card in client.list_models(symbol="MSFT")["models"]}
    assert client.get_model_info(ids[0])["model_info"]["recipe"]["model_type"] == "naive"
    evaluation = client.evaluate_model(ids[1], "MSFT", "1d", "90d")["evaluation"]
    assert {"sharpe", "drawdown", "win_rate"} <= evaluation["metrics"].keys()
    assert "overall_score" in evaluation
    assert [card["model_id"] for card in client.get_evaluation_history(ids[1])["history"]] == [ids[1]]
    assert ids[1] in [card["model_id"] for card in client.get_best_models("MSFT", "1d")["models"]]
    comparison = client.compare_models(ids, "MSFT", "1d")["comparison"]
    assert {row["model_id"] for row in comparison["rows"] if row["kind"] == "model"} == set(ids)
    assert comparison["winner"] is None  # naive and drift know nothing
    assert client.delete_model(ids[0])["model_id"] == ids[0]
    assert client.get_model_info(ids[0])["code"] == "unknown_model"


def test_the_router_detects_parses_and_remembers(client):
    prompt = "Should I long TSLA this week?"
    assert client.detect_intent(prompt)["result"]["intent"] == "trading_signal"
    arguments = client.parse_arguments(prompt, "trading_signal")["result"]["arguments"]
    assert (arguments["symbol"], arguments["side"]) == ("TSLA", "long")
    client.route_prompt(prompt)
    assert client.get_routing_history(limit=1)["history"][0]["user_prompt"] == prompt


def test_ping_and_status_reach_every_service(client):
    for name in NAMES:
        assert client.ping_service(name)["type"] == "pong"
        status = client.get_service_status(name)
        assert (status["type"], status["state"], len(status["replicas"])) == ("status", "running", 1)
        assert {"pid", "host", "in_flight", "cpu_s", "rss_mb"} <= status["replicas"][0].keys()


# --- errors ---


def test_a_timeout_is_an_error_with_the_id_that_fetches_the_late_reply(client):
    reply = client.build_model("ridge", "GOOG", "1d", timeout=0.001)

    assert (reply["status"], reply["code"]) == ("error", "timeout")
    late = eventually(lambda: client.get_reply(reply["request_id"]))
    assert (late["type"], late["model_info"]["data"]["symbol"]) == ("model_built", "GOOG")


def test_a_request_can_be_withdrawn_by_its_id(client):
    reply = client.build_model("lstm", "ETHUSDT", "1h", timeout=0.001)

    assert client.cancel(reply["request_id"])
    assert eventually(lambda: client.get_reply(reply["request_id"]))["code"] == "cancelled"


@pytest.mark.parametrize(
    ("call", "code", "hint"),
    [
        (lambda client: client.send_request("model_bilder", "list_models", {}), "unknown_service", "model_builder"),
        (lambda client: client.ping_service("model_bilder"), "unknown_service", "model_builder"),
        (lambda client: client.send_request("model_builder", "list_modles", {}), "unknown_type", "list_models"),
        (lambda client: client.send_request("model_builder", "build_model", {"symbl": "A"}), "invalid_request", "symbol"),
        (lambda client: client.build_model("lstm", "not a symbol"), "invalid_request", "symbol"),
        (lambda client: client.build_model("lstmm", "MSFT", "1d"), "invalid_request", "lstm"),
        (lambda client: client.build_model("ridge", "APPL", "1d"), "unknown_symbol", "AAPL"),
        (lambda client: client.build_model("ridge", "AAPL", "1h"), "data_unavailable", "1d"),
        (lambda client: client.evaluate_model("model_123"), "unknown_model", "evolve build"),
    ],
)  # fmt: skip
def test_a_bad_request_is_an_error_reply_that_says_what_is_right(call, code, hint, client):
    reply = call(client)
    assert (reply["type"], reply["status"], reply["code"]) == ("error", "error", code)
    assert hint in reply["error"]


def test_a_stopped_service_is_named_with_the_command_that_starts_it(fresh):
    fresh.json("python service_manager.py --action start --service prompt_router")
    with ServiceClient(settings=fresh.settings) as client:
        reply = client.build_model("naive", "MSFT", "1d")
        [service] = [name for name in NAMES if name in reply["error"].split()]

        assert (reply["code"], service) == ("unavailable", "model_builder")
        assert "service_manager.py --action start --service model_builder" in reply["error"]


@pytest.fixture
def nobodys_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_down_is_an_error_and_never_replaced_by_another(nobodys_port, running: System):
    with ServiceClient(redis_port=nobodys_port) as client:
        reply = client.build_model()
        assert (reply["status"], reply["code"]) == ("error", "unavailable")
        assert str(nobodys_port) in reply["error"]

    for line in (
        f"python service_manager.py --action status --redis-port {nobodys_port}",
        f"{CLIENT} build --redis-port {nobodys_port}",
    ):
        done = running.shell(line)
        assert done.returncode == 1
        assert json.loads(done.stdout)["status"] == "error"
        assert "Traceback" not in done.stderr


def test_a_launcher_without_its_server_ends_with_one_sentence(nobodys_port, running: System):
    done = running.shell("python launch_prompt_router.py", extra={"REDIS_PORT": str(nobodys_port)})
    assert done.returncode == 1
    assert str(nobodys_port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("LOG_LEVEL", "LOUD"), ("REDIS_PORT", "many"), ("REDIS_URL", "localhost:6379")]
)
def test_a_setting_that_is_wrong_is_named(variable, value, running: System, tmp_path):
    elsewhere = {"EVOLVE_HOME": str(tmp_path)}
    done = running.shell("python service_manager.py --action status", extra={variable: value, **elsewhere})
    assert done.returncode == 1
    assert variable in done.stderr
    assert "Traceback" not in done.stderr
