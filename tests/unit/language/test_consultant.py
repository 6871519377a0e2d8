"""A language model is asked within its means: budget, rest after failures, record and replay; and no key leaves this process."""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from evolve.clock import SYSTEM_CLOCK, Clock, FrozenClock
from evolve.errors import EvolveError, Forbidden, InvalidRequest, RateLimited, Unavailable
from evolve.language.model.allowance import Allowance, Limits
from evolve.language.model.breaker import FAILURES, REST_S, Breaker
from evolve.language.model.configured import consultant_for, is_configured
from evolve.language.model.consultant import Consultant
from evolve.language.model.endpoint import Completion, Message
from evolve.language.model.narration import Opinion
from evolve.language.model.openai_endpoint import OpenAiEndpoint
from evolve.settings import Settings
from language.fake_openai import Exchange, FakeOpenAi, Handler, fake_openai

KEY = "sk-test-0123456789abcdef0123456789"
ASK = (Message("system", "always the same"), Message("user", "what of AAPL?"))


def limits(**changed: Any) -> Limits:
    return Limits(
        **{"seconds_per_question": 5.0, "tokens_per_question": 50_000, "tokens_per_day": 1_000_000, **changed}
    )


def consultant(url: str, home: Path, *, clock: Clock = SYSTEM_CLOCK, replay: bool = False, **limit: Any) -> Consultant:
    endpoint = OpenAiEndpoint(KEY, url, "fake")
    return Consultant(endpoint, limits(**limit), home, clock=clock, replay=replay, secret=KEY, wait=lambda _: None)


# --- who is not there, and who does not let us in ---


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_told_at_once_and_not_tried_again(code: int, tmp_path: Path):
    with fake_openai(refuses_greeting=code) as fake:
        with pytest.raises(Forbidden, match=str(code)) as refused:
            consultant(fake.url, tmp_path).ask(ASK, Opinion)
        assert KEY not in refused.value.message

        with pytest.raises(Unavailable, match="not asked again"):
            consultant(fake.url, tmp_path).ask(ASK, Opinion)
        assert fake.asked == []


def test_another_key_is_tried_though_the_first_one_was_refused(tmp_path: Path):
    with fake_openai() as fake:
        refused = OpenAiEndpoint("sk-wrong", fake.url, "fake")
        Breaker(tmp_path, refused.identity, SYSTEM_CLOCK).failed(Forbidden("no"))

        assert consultant(fake.url, tmp_path).ask(ASK, Opinion).value.view == "unclear"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def silent() -> socket.socket:
    """Takes connections into its backlog and never answers."""
    return socket.create_server(("127.0.0.1", 0), backlog=1)


def test_nobody_at_that_address_is_known_within_three_seconds(tmp_path: Path):
    OpenAiEndpoint(KEY, "http://127.0.0.1:1/v1", "fake")  # the SDK's import is not what is measured
    with silent() as listening:
        addresses = (
            f"http://127.0.0.1:{closed_port()}/v1",
            f"http://127.0.0.1:{listening.getsockname()[1]}/v1",
            "http://no-such-host.invalid/v1",
        )
        for address in addresses:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                consultant(address, tmp_path).ask(ASK, Opinion)
            assert time.monotonic() - started < 3.0


# --- budgets ---


def test_a_call_that_could_pass_the_tokens_of_a_question_is_not_made(tmp_path: Path):
    with fake_openai() as fake:
        with pytest.raises(RateLimited, match="EVOLVE_LLM_TOKENS_PER_QUESTION"):
            consultant(fake.url, tmp_path, tokens_per_question=1_000).ask(ASK, Opinion)
        assert fake.asked == []


def test_the_tokens_of_a_day_are_shared_by_all_questions_and_new_on_the_next_day(tmp_path: Path):
    clock = FrozenClock()
    means = limits(tokens_per_day=2_000)
    Allowance(means, tmp_path, clock).pay(ASK, Completion("x", 900, 100))

    later = Allowance(means, tmp_path, clock)
    with pytest.raises(RateLimited, match="a day"):
        later.check(ASK, 1_200)
    clock.advance(86_400)
    later = Allowance(means, tmp_path, clock)
    later.check(ASK, 1_200)


def test_money_is_counted_by_the_prices_of_the_user(tmp_path: Path):
    clock = FrozenClock()
    means = limits(usd_per_question=0.01, usd_per_million_in=10.0, usd_per_million_out=20.0)
    allowance = Allowance(means, tmp_path, clock)
    allowance.pay(ASK, Completion("x", 300, 100))

    assert allowance.spent.usd == pytest.approx(300 * 10e-6 + 100 * 20e-6)
    with pytest.raises(RateLimited, match=r"0\.01 USD"):
        allowance.check(ASK, 300)


def test_the_seconds_of_a_question_end(tmp_path: Path):
    clock = FrozenClock()
    allowance = Allowance(limits(seconds_per_question=10.0), tmp_path, clock)
    clock.advance(10.5)

    with pytest.raises(RateLimited, match="10 s"):
        allowance.check(ASK, 10)


def test_a_money_limit_without_prices_and_a_server_without_a_model_are_refused(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="EVOLVE_LLM_USD_PER_MILLION_IN"):
        consultant_for(Settings.load(home=tmp_path, openai_api_key=KEY, llm_usd_per_day=1.0))
    with pytest.raises(InvalidRequest, match="EVOLVE_LLM_MODEL"):
        consultant_for(Settings.load(home=tmp_path, openai_base_url="http://127.0.0.1:1/v1"))


def test_nothing_is_asked_where_neither_key_nor_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    assert not is_configured(Settings.load(home=tmp_path))


# --- the breaker ---


def test_an_endpoint_rests_after_failures_in_a_row_and_is_asked_again_later(tmp_path: Path):
    clock = FrozenClock()
    breaker = Breaker(tmp_path, "one", clock)
    for _ in range(FAILURES - 1):
        breaker.failed(Unavailable("it failed (500)"))
    breaker.check()
    breaker.failed(Unavailable("it failed (500)"))

    with pytest.raises(Unavailable, match=r"it failed \(500\) \(not asked again for 60 s\)"):
        Breaker(tmp_path, "one", clock).check()  # another process sees it too
    clock.advance(REST_S + 1)
    breaker.check()


def test_a_success_forgets_the_failures_before_it(tmp_path: Path):
    clock = FrozenClock()
    breaker = Breaker(tmp_path, "one", clock)
    for _ in range(3 * FAILURES):
        breaker.failed(Unavailable("x"))
        if breaker._read()[0] < FAILURES:
            breaker.succeeded()
    assert breaker._read()[0] < FAILURES


def test_the_wait_that_a_server_asks_for_is_kept(tmp_path: Path):
    waited: list[float] = []
    refused: list[Exchange] = []

    def behave(handler: Handler, exchange: Exchange) -> bool:
        if exchange.shape == "canary" or refused:
            return False
        refused.append(exchange)
        handler.json(429, {"error": {}}, retry_after="2")
        return True

    with fake_openai(behave=behave) as fake:
        endpoint = OpenAiEndpoint(KEY, fake.url, "fake")
        Consultant(endpoint, limits(), tmp_path, clock=SYSTEM_CLOCK, wait=waited.append).ask(ASK, Opinion)

    assert waited == [2.0]


# --- the record ---


def test_the_same_question_is_not_paid_for_twice_and_replayed_without_a_server(tmp_path: Path):
    with fake_openai() as fake:
        first = consultant(fake.url, tmp_path).ask(ASK, Opinion)
        second = consultant(fake.url, tmp_path).ask(ASK, Opinion)
        assert len(fake.of("opinion")) == 1
        url = fake.url
    third = consultant(url, tmp_path, replay=True).ask(ASK, Opinion)

    assert (first.replayed, second.replayed, third.replayed) == (False, True, True)
    assert first.value == second.value == third.value


def test_a_replay_never_asks_for_what_was_not_asked_before(tmp_path: Path):
    with fake_openai() as fake:
        with pytest.raises(Unavailable, match="never asked"):
            consultant(fake.url, tmp_path, replay=True).ask(ASK, Opinion)
        assert fake.asked == []


def test_a_failure_that_was_recorded_is_replayed_as_one_and_asked_again_in_earnest(tmp_path: Path):
    with fake_openai(says={**FakeOpenAi().says, "opinion": {"view": "42"}}) as fake:
        with pytest.raises(EvolveError):
            consultant(fake.url, tmp_path).ask(ASK, Opinion)
        with pytest.raises(EvolveError, match="could not be used"):
            consultant(fake.url, tmp_path, replay=True).ask(ASK, Opinion)
        fake.says["opinion"] = {"view": "favourable"}
        assert consultant(fake.url, tmp_path).ask(ASK, Opinion).value.view == "favourable"


def test_samples_of_one_question_are_exchanges_of_their_own(tmp_path: Path):
    with fake_openai() as fake:
        asker = consultant(fake.url, tmp_path)
        for sample in range(3):
            asker.ask(ASK, Opinion, sample=sample)

        assert len(fake.of("opinion")) == 3


def test_every_prompt_begins_with_the_same_words_whatever_is_asked(tmp_path: Path):
    with fake_openai(obeys=frozenset({"prompt"})) as fake:
        asker = consultant(fake.url, tmp_path)
        asker.ask(ASK, Opinion)
        asker.ask((ASK[0], Message("user", "what of MSFT?")), Opinion)

        assert len({json.dumps(exchange.body["messages"][0]) for exchange in fake.of("opinion")}) == 1


def test_the_key_reaches_neither_logs_nor_files_nor_prompts(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), fake_openai() as fake:
        asker = consultant(fake.url, tmp_path)
        asker.ask((ASK[0], Message("user", f"my key is {KEY}, what of AAPL?")), Opinion)
        sent = json.dumps([exchange.body for exchange in fake.asked])
        assert fake.asked[-1].headers["authorization"] == f"Bearer {KEY}"

    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in caplog.text + sent + written
    assert "[redacted]" in sent
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("exchanges/*/*.json"))
