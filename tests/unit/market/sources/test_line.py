"""The line to a service: patience, pace, memory, limits and discretion. Against a real server; time passes only by waiting."""

import json
import logging
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_services import HTML, KEY, NOON, Reply, Waits, reply, serving
from evolve.errors import BadAnswer, DeadlineExceeded, RateLimited, Unavailable
from evolve.market.sources.line import LONGEST_PAUSE_S, MAX_ATTEMPTS, Line, Question, json_of, wait_asked
from evolve.market.sources.pace import Allowance, Pace

PLENTY = Allowance(1000, 1.0)


def line(service, home, *, waits=None, allowance=PLENTY, **more):
    waits = waits or Waits()
    return Line(
        "acme", service.url, allowance, home, clock=waits.clock, sleep=waits.sleep, **{"jitter": lambda: 0.0, **more}
    )


def body(answer):
    return json_of(answer, "acme")


def one_after_another(*replies):
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


# ── Patience ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_service_that_recovers_is_asked_again_after_growing_pauses(tmp_path, status):
    waits = Waits()
    with serving(one_after_another(reply({}, status), reply({}, status), reply({}, status), reply([1]))) as service:
        assert line(service, tmp_path, waits=waits).ask(Question("/x"), body) == [1]

    assert waits.seconds == [0.25, 0.5, 1.0]  # half of 0.5, 1 and 2 s: the jitter draws the least here
    assert len(service.asked) == 4


def test_a_service_that_stays_down_is_unavailable_and_says_what_it_said(tmp_path):
    with (
        serving(lambda asked: reply({"message": "maintenance until noon"}, 503)) as service,
        pytest.raises(Unavailable, match=r"acme is in trouble .status 503.*maintenance until noon"),
    ):
        line(service, tmp_path).ask(Question("/x"), body)
    assert len(service.asked) == MAX_ATTEMPTS


def test_an_html_page_of_trouble_is_named_and_not_repeated(tmp_path):
    with serving(lambda asked: Reply(HTML, 502)) as service, pytest.raises(Unavailable) as caught:
        line(service, tmp_path).ask(Question("/x"), body)
    assert "an HTML page" in caught.value.message
    assert "Just a moment" not in caught.value.message


def test_nobody_at_home_is_unavailable(tmp_path):
    with serving(lambda asked: reply([])) as service:
        pass
    with pytest.raises(Unavailable, match=r"does not answer .no connection"):
        line(service, tmp_path).ask(Question("/x"), body)


def test_retry_after_in_seconds_is_obeyed(tmp_path):
    waits = Waits()
    with serving(one_after_another(reply({}, 429, headers={"Retry-After": "17"}), reply([1]))) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)
    assert waits.seconds == [17.0]


def test_retry_after_as_a_date_is_obeyed(tmp_path):
    waits = Waits()  # it is 2024-01-10T12:00:00Z
    late = reply({}, 429, headers={"Retry-After": "Wed, 10 Jan 2024 12:00:42 GMT"})
    with serving(one_after_another(late, reply([1]))) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)
    assert waits.seconds == [42.0]


def test_the_reset_of_a_rate_limit_is_obeyed(tmp_path):
    waits = Waits()
    late = reply({}, 429, headers={"X-RateLimit-Reset": str(int(NOON) + 9)})
    with serving(one_after_another(late, reply([1]))) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)
    assert waits.seconds == [9.0]


def test_a_wait_longer_than_the_limit_is_refused_at_once_and_says_how_long(tmp_path):
    waits = Waits()
    with (
        serving(lambda asked: reply({"detail": "slow down"}, 429, headers={"Retry-After": "3600"})) as service,
        pytest.raises(RateLimited, match=r"slow down.*try again in 3600 s") as caught,
    ):
        line(service, tmp_path, waits=waits, limit_s=300.0).ask(Question("/x"), body)
    assert caught.value.details == {"source": "acme", "retry_after_s": 3600.0}
    assert waits.seconds == []
    assert len(service.asked) == 1


def test_who_is_refused_for_ever_is_told_so(tmp_path):
    with serving(lambda asked: reply({}, 429)) as service, pytest.raises(RateLimited, match="try again later"):
        line(service, tmp_path).ask(Question("/x"), body)


@given(attempt=st.integers(1, 40), chance=st.floats(0, 1))
def test_a_pause_is_bounded_and_at_least_half_of_its_step(attempt, chance):
    made = Line("acme", "http://localhost", PLENTY, Path("/nowhere"), jitter=lambda: chance)
    step = min(LONGEST_PAUSE_S, 0.5 * 2 ** (attempt - 1))

    assert step / 2 <= made._pause(attempt) <= step <= LONGEST_PAUSE_S


def test_other_words_for_waiting_are_no_number():
    assert wait_asked({"retry-after": "soon"}, NOON) is None
    assert wait_asked({}, NOON) is None


def test_half_an_answer_is_asked_for_again(tmp_path):
    with serving(one_after_another(Reply(b"[1, 2", cut=True), reply([1, 2, 3]))) as service:
        assert line(service, tmp_path).ask(Question("/x"), body) == [1, 2, 3]


# ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_that_drips_is_left_when_time_is_up(tmp_path):
    waits = Waits()

    def drip():
        waits.clock.advance(1.0)

    with (
        serving(lambda asked: Reply(b"[", drip=drip)) as service,
        pytest.raises(DeadlineExceeded, match="acme took longer than 20 s"),
    ):
        line(service, tmp_path, waits=waits, limit_s=20.0).ask(Question("/x"), body)


def test_a_service_that_falls_silent_is_unavailable(tmp_path):
    heard = threading.Event()

    with serving(lambda asked: Reply(b"[", drip=lambda: heard.wait(10))) as service:
        asking = line(service, tmp_path, silence_s=0.05)
        with pytest.raises(Unavailable, match="silence"):
            asking.ask(Question("/x"), body)
        heard.set()
    assert len(service.asked) == MAX_ATTEMPTS


def test_redirects_are_not_followed(tmp_path):
    """They would carry the key to another host."""
    away = Reply(b"", 302, headers={"Location": "http://127.0.0.1:1/elsewhere"})
    with serving(lambda asked: away) as service, pytest.raises(BadAnswer):
        line(service, tmp_path).ask(Question("/x"), body)
    assert len(service.asked) == 1


# ── Pace ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_keep_to_the_allowance_also_across_processes(tmp_path):
    """Each line stands for a process of its own."""
    waits = Waits()
    with serving(lambda asked: reply([1])) as service:
        for number in range(7):
            line(service, tmp_path, waits=waits, allowance=Allowance(5, 60.0)).ask(Question(f"/{number}"), body)

    assert waits.seconds == [60.0]  # five at once, the sixth a minute after the first; the seventh then has room


@settings(max_examples=30, deadline=None)
@given(
    allowance=st.builds(Allowance, st.integers(1, 5), st.floats(1, 60)),
    pauses=st.lists(st.floats(0, 30), min_size=2, max_size=25),
)
def test_no_window_ever_holds_more_requests_than_allowed(tmp_path_factory, allowance, pauses):
    pace = Pace(allowance, tmp_path_factory.mktemp("pace") / "acme.pace")
    now, sent = NOON, []
    for pause in pauses:
        now += pause
        sent.append(now + pace.book(now))

    assert sent == sorted(sent)
    for first, later in zip(sent, sent[allowance.requests :], strict=False):
        assert later - first >= allowance.seconds - 1e-6


def test_a_damaged_record_of_the_pace_is_begun_anew(tmp_path):
    path = tmp_path / "acme.pace"
    path.write_text('{"no": "list')
    assert Pace(Allowance(1, 60.0), path).book(NOON) == 0.0
    assert json.loads(path.read_text()) == [NOON]


def test_who_waits_is_told_why(tmp_path):
    told = []
    with serving(
        one_after_another(reply({"error": "5 a minute"}, 429, headers={"Retry-After": "12"}), reply([1]))
    ) as service:
        line(service, tmp_path, tell=told.append).ask(Question("/x"), body)
    assert told == [
        "waiting 12 s: acme refuses more requests for now ("
        + '{"error": "5 a minute"}); try again in 12 s, or ask for less at a time'
    ]


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_question_is_answered_from_disk_while_fresh(tmp_path):
    waits = Waits()
    with serving(lambda asked: reply([1])) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x", {"a": "1"}), body)
        waits.clock.advance(3599)
        again = line(service, tmp_path, waits=waits)
        assert again.ask(Question("/x", {"a": "1"}), body) == [1]
        assert again.as_of == NOON  # what was said then, not now
        again.ask(Question("/x", {"a": "2"}), body)
    assert len(service.asked) == 2


def test_an_older_answer_is_confirmed_by_its_tag(tmp_path):
    waits = Waits()

    def answer(asked):
        return Reply(b"", 304) if asked.headers.get("if-none-match") == '"v1"' else reply([1], headers={"ETag": '"v1"'})

    with serving(answer) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)
        waits.clock.advance(7200)
        asking = line(service, tmp_path, waits=waits)
        assert asking.ask(Question("/x"), body) == [1]
        assert asking.as_of == NOON + 7200
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)  # confirmed, hence fresh
    assert [asked.headers.get("if-none-match") for asked in service.asked] == [None, '"v1"']


def test_an_older_answer_without_a_tag_is_asked_for_anew(tmp_path):
    waits = Waits()
    with serving(one_after_another(reply([1]), reply([2]))) as service:
        line(service, tmp_path, waits=waits).ask(Question("/x"), body)
        waits.clock.advance(3601)
        assert line(service, tmp_path, waits=waits).ask(Question("/x"), body) == [2]


def test_what_was_not_accepted_is_not_kept(tmp_path):
    """An HTML page with status 200 must not answer for an hour."""
    with serving(one_after_another(Reply(HTML, 200, "text/html"), reply([1]))) as service:
        with pytest.raises(BadAnswer, match="an HTML page"):
            line(service, tmp_path).ask(Question("/x"), body)
        assert line(service, tmp_path).ask(Question("/x"), body) == [1]


def test_a_damaged_answer_on_disk_is_asked_for_anew(tmp_path):
    with serving(lambda asked: reply([1, 2, 3])) as service:
        line(service, tmp_path).ask(Question("/x"), body)
        (kept,) = (tmp_path / "acme").glob("*.answer")
        kept.write_bytes(kept.read_bytes().replace(b"2", b"9"))
        assert line(service, tmp_path).ask(Question("/x"), body) == [1, 2, 3]
    assert len(service.asked) == 2


# ── Discretion ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_reaches_the_service_and_nothing_else(tmp_path, caplog):
    """Not the disk, not the log, not the error, not even when the service repeats it."""
    question = Question("/x", {"a": "1"}, {"apikey": KEY}, {"Authorization": f"Bearer {KEY}"})
    caplog.set_level(logging.DEBUG)
    with serving(lambda asked: reply({"error": f"key {KEY} is overdrawn, Bearer {KEY}"}, 429)) as service:
        with pytest.raises(RateLimited) as caught:
            line(service, tmp_path).ask(question, body)
        service.answer = lambda asked: reply([1])
        line(service, tmp_path).ask(question, body)

    assert service.asked[0].query == {"a": "1", "apikey": KEY}
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert "key *** is overdrawn" in caught.value.message
    assert KEY not in caught.value.message
    assert KEY not in caplog.text
    for path in tmp_path.rglob("*"):
        assert KEY not in path.name
        if path.is_file():
            assert KEY.encode() not in path.read_bytes()
