"""Does QuantGPT answer what seed.md asks it? As a class, at the prompt, through the client, and when it cannot."""

from __future__ import annotations

import ast
import json
import os
import pty
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import pytest
from seed_blocks import block
from seed_system import PATIENCE_S, SERVICES, System

from evolve.client.client import ServiceClient
from evolve.quant_gpt import QuantGPT
from evolve.services import SERVICES as NAMES

# Long deadlines, not long tests: jobs are nice, so on a machine that is busy with other things they come last.
pytestmark = [pytest.mark.xdist_group("running"), pytest.mark.timeout(700)]

SIMULATED = {"NVDA", "TSLA", "BTCUSDT", "ETHUSDT", "AMZN"}  # no real bars of these are bundled
ALL_QUERIES_S = 600.0  # about a minute on a quiet machine: most of it fits models, some of them at 1h

# Each example query of seed.md → intent, symbol, and what else it names. What it does not name is null.
MEANT = {
    "Give me the best model for NVDA over 90 days": ("model_recommendation", "NVDA", {"period": "90d"}),
    "Find the optimal model for TSLA on 1h timeframe": ("model_recommendation", "TSLA", {"timeframe": "1h"}),
    "What model should I use for BTCUSDT?": ("model_recommendation", "BTCUSDT", {}),
    "Should I long TSLA this week?": ("trading_signal", "TSLA", {"period": "7d", "side": "long"}),
    "What's the trading signal for AAPL?": ("trading_signal", "AAPL", {}),
    "Should I buy GOOGL now?": ("trading_signal", "GOOGL", {"side": "buy"}),
    "Analyze BTCUSDT market conditions": ("market_analysis", "BTCUSDT", {}),
    "What's happening with ETHUSDT?": ("market_analysis", "ETHUSDT", {}),
    "Give me a market overview for MSFT": ("market_analysis", "MSFT", {}),
    "What's the best strategy for crypto trading?": ("general_query", None, {}),
    "Which stocks are performing well?": ("general_query", None, {}),
    "Show me the latest model performance": ("general_query", None, {}),
}
EXAMPLES = [ast.literal_eval(line) for line in block("# Model recommendations").text.splitlines() if line.startswith('"')]  # fmt: skip


# Each fits a whole field of models, as others here do: asked by `make prove`, in the same tests.
LONG = {
    "Should I long TSLA this week?",
    "Find the optimal model for TSLA on 1h timeframe",
    "What model should I use for BTCUSDT?",
    "Should I buy GOOGL now?",
    "What's the best strategy for crypto trading?",
}


def examples(*intents: str) -> list:
    """The example queries, of these intents or all."""
    wanted = [query for query in EXAMPLES if not intents or MEANT[query][0] in intents]
    return [pytest.param(query, marks=[pytest.mark.prove] * (query in LONG)) for query in wanted]


@dataclass
class Answers:
    """The answers to the example queries: the quick ones asked of one QuantGPT as a program would, a long one when it is looked at."""

    running: System
    known: dict[str, dict] = field(default_factory=dict)

    def __getitem__(self, query: str) -> dict:
        if query not in self.known:
            self.ask([query])
        return self.known[query]

    def ask(self, queries: list[str]) -> None:
        program = (
            "import json\n"
            "from services.quant_gpt import QuantGPT\n"
            f"with QuantGPT() as gpt:\n    print(json.dumps([gpt.process_query(query) for query in {queries!r}]))\n"
        )
        replies = json.loads(self.running.python(program, timeout=ALL_QUERIES_S))
        self.known |= zip(queries, replies, strict=True)


@pytest.fixture(scope="module")
def answers(running: System) -> Answers:
    found = Answers(running)
    found.ask([query for query in EXAMPLES if query not in LONG])
    return found


def test_every_example_query_of_the_specification_is_tried_here():
    assert list(MEANT) == EXAMPLES
    assert set(EXAMPLES) >= LONG


@pytest.mark.parametrize("query", examples())
def test_an_example_query_is_understood(query, answers):
    intent, symbol, named = MEANT[query]
    result = answers[query]
    assert (result["status"], result["query"]) == ("success", query)
    parsed = result["parsed_intent"]
    assert (parsed["intent"], parsed["symbol"]) == (intent, symbol)
    slots = ("timeframe", "period", "model_type", "side")
    assert {name: parsed[name] for name in slots} == {**dict.fromkeys(slots), **named}


@pytest.mark.parametrize("query", examples())
def test_an_example_query_is_answered_with_results_and_commentary(query, answers):
    result = answers[query]
    assert result["results"]["action"] == result["parsed_intent"]["intent"]
    assert result["gpt_commentary"].endswith(result["answer"]["disclaimer"])
    # What was read from the registry has nothing to compute again; everything else can be.
    again = (
        "" if query == "Show me the latest model performance" else f"evolve reproduce {result['answer']['answer_id']}"
    )
    assert result["answer"]["reproduce"] == again


@pytest.mark.parametrize("query", examples("model_recommendation", "trading_signal", "market_analysis"))
def test_an_answer_on_simulated_bars_says_so_and_one_on_real_bars_names_their_end(query, answers):
    symbol = MEANT[query][1]
    result = answers[query]
    if symbol in SIMULATED:
        assert result["results"]["data_status"] == "simulated"
        assert "SIMULATED" in result["gpt_commentary"]
        assert {figure["source"] for figure in result["answer"]["figures"]} == {"SIMULATED"}
    else:
        assert result["results"]["data_status"] == "stale"
        assert "2013-03-01" in result["gpt_commentary"]
        assert "SIMULATED" not in result["gpt_commentary"]


@pytest.mark.parametrize("query", examples("trading_signal"))
def test_a_signal_is_never_a_view_that_the_data_cannot_carry(query, answers):
    """Real bars that end in 2013 give no side; simulated ones say that they are no view on the stock."""
    result = answers[query]
    if result["results"]["data_status"] == "stale":
        assert result["results"]["signal"] is None
        assert "no side" in result["answer"]["headline"]
    else:
        assert result["results"]["signal"] in ("BUY", "SELL", "HOLD")
        assert "no view" in result["answer"]["headline"]


def test_a_recommendation_ranks_the_models_against_baselines_and_gives_a_verdict(answers):
    answer = answers["Give me the best model for NVDA over 90 days"]["answer"]
    kinds = {row["kind"] for row in answer["rows"]}
    assert kinds == {"model", "baseline"}
    assert {"naive", "flat", "buy_and_hold"} <= {row["name"] for row in answer["rows"]}
    assert answer["verdict"] in ("edge", "no_edge", "insufficient_data")
    assert answer["slots"]["timeframe"]["origin"] == "default"


def test_the_latest_model_performance_is_read_from_what_was_built_before(answers):
    rows = answers["Show me the latest model performance"]["answer"]["rows"]
    assert rows
    assert all(row["model_id"] for row in rows)


# --- the blocks ---


def test_direct_use_prints_intent_symbol_and_commentary(running, answers):
    printed = running.python(block("Display results").text).splitlines()
    assert printed[:2] == ["Intent: model_recommendation", "Symbol: NVDA"]
    assert printed[2].startswith("GPT Commentary: ")


@pytest.mark.usefixtures("answers")
def test_service_integration_runs_as_shown(running):
    program = block("Should I buy AAPL now?").text
    printed = running.python(
        program
        + "\nprint(result['result']['status'], history['symbol'], history['count'] >= 1, 'AAPL' in symbols['symbols'])"
    )
    assert printed == "success AAPL True True\n"


def test_custom_settings_run_as_shown(running):
    program = block("# Initialize with custom settings").text
    printed = running.python(
        "from services.quant_gpt import QuantGPT\n"
        + program
        + "\nprint(quant_gpt.process_query('Analyze MSFT')['status'])\nquant_gpt.close()"
    )
    assert printed == "success\n"


@pytest.mark.prove  # ten to twenty seconds, for the time that `make test` has
def test_quant_gpt_starts_what_is_missing_and_leaves_it_running_and_the_history_outlives_it_all(fresh):
    program = "from services.quant_gpt import QuantGPT\nprint(QuantGPT().process_query('Analyze IBM')['status'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=SERVICES.parent, env=fresh.environment, capture_output=True, text=True, timeout=PATIENCE_S
    )  # fmt: skip
    assert done.stdout == "success\n", done.stderr
    assert f"started {', '.join(sorted(NAMES))}" in done.stderr
    assert "evolve down" in done.stderr
    status = fresh.json("python service_manager.py --action status")
    assert {entry["status"] for entry in status.values()} == {"running"}

    # Persistent Memory: of another run of the services, on another run of the server.
    assert fresh.shell("evolve down").returncode == 0
    look = (
        "from services.service_client import ServiceClient\nfrom services.service_manager import ServiceManager\n"
        "ServiceManager().start_service('quant_gpt')\n"
        "print([entry['query'] for entry in ServiceClient().get_query_history(symbol='IBM')['history']])"
    )
    assert fresh.python(look) == "['Analyze IBM']\n"


# --- at the prompt ---


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, system: System, *words: str) -> None:
        self._side, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *words], cwd=SERVICES, stdin=other, stdout=other, stderr=other, env={**system.environment, "TERM": "dumb"}
        )  # fmt: skip
        os.close(other)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        raw = b""
        while True:
            try:
                chunk = os.read(self._side, 65_536)
            except OSError:  # the program closed its terminal
                return
            raw += chunk
            self.text = raw.decode(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.text.count(text) < times:
            assert time.monotonic() < end, f"no {text!r} in {self.text!r}"
            self._reader.join(0.05)

    def type(self, text: str) -> None:
        os.write(self._side, text.encode())

    def exit_code(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(5.0)
        os.close(self._side)
        return code


PROMPT = "💬 Query: "


@pytest.mark.usefixtures("answers")  # asked before, so that the models are built
@pytest.mark.parametrize("skipped", [[1], pytest.param([], marks=pytest.mark.prove)], ids=["in short", "as it stands"])
def test_the_interactive_mode_of_the_specification(skipped, running):
    command, *lines = block("# Enter queries interactively").commands
    queries = [line.removeprefix(PROMPT) for line in lines]
    assert queries == ["Give me the best model for NVDA over 90 days", "Should I long TSLA this week?", "quit"]
    assert queries[1] in LONG
    queries = [query for number, query in enumerate(queries) if number not in skipped]

    terminal = Terminal(running, *command.split()[1:])
    for number, query in enumerate(queries, 1):
        terminal.wait_for(PROMPT, number)
        terminal.type(query + "\n")

    assert terminal.exit_code() == 0
    assert "no model for NVDA" in terminal.text
    assert skipped or "TSLA" in terminal.text.partition(queries[1])[2]
    assert "SIMULATED" in terminal.text


@pytest.mark.parametrize("leave", ["quit\n", "\x04", *(pytest.param(word, marks=pytest.mark.prove) for word in ("exit\n", "q\n", "QUIT\n"))])  # fmt: skip
def test_the_prompt_is_left_by(leave, running):
    terminal = Terminal(running, "launch_quant_gpt.py")
    terminal.wait_for(PROMPT)
    terminal.type(leave)
    assert terminal.exit_code() == 0
    assert "Traceback" not in terminal.text


def test_a_question_that_cannot_be_answered_leaves_the_prompt_standing(running):
    terminal = Terminal(running, "launch_quant_gpt.py")
    terminal.wait_for(PROMPT)
    terminal.type("what is the weather in Paris\n")
    terminal.wait_for(PROMPT, 2)
    terminal.type("\n")
    terminal.wait_for(PROMPT, 3)
    terminal.type("q\n")
    assert terminal.exit_code() == 0
    assert "Traceback" not in terminal.text


# --- when it cannot ---


@pytest.fixture
def gpt(running):
    with QuantGPT(settings=running.settings) as gpt:
        yield gpt


@pytest.mark.parametrize(
    "query", ["what is the weather in Paris", "asdf qwer", "", "Should I buy it?", "Give me the best model for XQZWT"]
)
def test_an_invalid_query_gets_suggestions(query, gpt):
    result = gpt.process_query(query)
    assert (result["status"], result["query"]) == ("error", query)
    assert result["error"]
    assert result["suggestions"]
    assert isinstance(result["timestamp"], float)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("skipped", [LONG, pytest.param(set(), marks=pytest.mark.prove)], ids=["quick ones", "all"])
def test_every_suggestion_is_itself_a_valid_query(skipped, gpt):
    suggestions = gpt.process_query("what is the weather in Paris")["suggestions"]
    assert len(suggestions) > len(LONG & set(suggestions))

    for suggestion in set(suggestions) - skipped:
        assert gpt.process_query(suggestion)["status"] == "success", suggestion


def test_an_unknown_symbol_names_the_nearest(gpt):
    result = gpt.process_query("Give me the best model for MSFTT over 90 days")
    assert "MSFT" in " ".join([result.get("error") or "", *result.get("suggestions", ()), str(result.get("answer"))])


def test_a_service_that_is_down_is_named_in_the_answer(fresh):
    """Without the builder, the bars are described, and the answer says which service is missing and why."""
    for name in ("prompt_router", "quant_gpt"):
        fresh.json(f"python service_manager.py --action start --service {name}")
    with ServiceClient(settings=fresh.settings) as client:
        assert client.process_natural_language_query("Analyze MSFT")["result"]["status"] == "success"
        result = client.process_natural_language_query("Give me the best model for MSFT")["result"]
    assert result["status"] == "success"
    assert [missing["service"] for missing in result["missing"]] == ["model_builder"]
    assert "evolve up" in result["missing"][0]["why"]
    assert result["answer"]["headline"].startswith("model_builder does not answer, so no model was tested")


def test_without_a_server_the_class_answers_with_an_error(tmp_path):
    with QuantGPT(redis_host="127.0.0.1", redis_port=1) as gpt:
        result = gpt.process_query("Analyze MSFT")
    assert (result["status"], result["code"]) == ("error", "unavailable")
    assert result["suggestions"]


def test_without_an_openai_key_questions_are_parsed_by_grammar(running):
    with ServiceClient(settings=running.settings) as client:
        assert client.route_prompt("Analyze MSFT")["result"]["parser"] == "grammar"


def test_questions_of_one_session_lean_on_the_ones_before(gpt):
    gpt.process_query("Analyze IBM", session="mine")
    result = gpt.process_query("and MSFT?", session="mine")
    assert result["parsed_intent"]["intent"] == "market_analysis"
    assert result["parsed_intent"]["symbol"] == "MSFT"
