"""What happens is told once, by one process, when it may be told; what cannot be delivered is kept, tried again, and given up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from feeds import open_stable

from alert_receivers import Says, receiving
from evolve.agents.alert_desk import HOUR_S, LEASE_S, AlertDesk, observations_of
from evolve.alerting.couriers import GIVE_UP_S, Delivered, Refused, TryAgain
from evolve.alerting.delivery import deliver
from evolve.alerts import AlertRule, Observation
from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest, Unavailable
from evolve.memory.alerts import AlertBook
from evolve.memory.database import Database
from evolve.memory.decisions import DecisionLog
from evolve.memory.leadership import Leadership
from evolve.settings import Settings
from evolve.updates import Standing

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


class Died(BaseException):
    """The process ends here, as by a signal: nothing catches it."""


class Post:
    """A receiver within the process: what it was given, and what it answers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.answers: list[object] = []

    def __call__(self, rule, alert, now):
        self.told.append((alert.alert_id, alert.title))
        answer = self.answers.pop(0) if self.answers else Delivered()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def titles(self):
        return [title for _, title in self.told]


@pytest.fixture
def clock():
    return FrozenClock(NOON)


@pytest.fixture
def database(tmp_path):
    with Database.open(Settings.load(home=tmp_path / "home")) as opened:
        yield opened


@pytest.fixture
def book(database, clock):
    return AlertBook(database, clock=clock)


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def sees():
    """What a look at the services sees; a test changes it."""
    return []


@pytest.fixture
def desk(database, clock, post):
    return make_desk(database, clock, post, "one")


def make_desk(database, clock, post, holder):
    log, leadership = DecisionLog(database), Leadership(database, clock=clock)
    return AlertDesk(AlertBook(database, clock=clock), log, leadership, post, holder=holder, clock=clock)


def rule(name="mine", kind="queue_age", **changes):
    limits = {"raise_at": 60.0, "clear_at": 10.0} if kind == "queue_age" else {}
    return AlertRule(name, kind, "webhook", "http://x", **{**limits, **changes})


def waits(seconds, service="updater", at=NOON):
    return Observation("queue_age", service, seconds, f"the oldest waits {seconds:g} s", at)


def states(book):
    return [(queued.alert.title.partition(":")[0], queued.state) for queued in reversed(book.log())]


# --- told once ---


def test_what_lasts_is_told_once_and_its_end_once(desk, book, post):
    book.add(rule())
    for seconds in (5, 70, 80, 30, 5, 5):
        desk.step(lambda seconds=seconds: [waits(seconds)])

    assert post.titles == ["updater: requests wait too long", "updater: over (requests wait too long)"]


def test_a_restart_tells_nothing_again_and_forgets_nothing(desk, book, post, database, clock):
    book.add(rule())
    post.answers = [TryAgain("no")]
    desk.step(lambda: [waits(70)])
    clock.advance(LEASE_S + 1)
    another = make_desk(database, clock, post, "two")
    another.step(lambda: [waits(75)])
    another.step(lambda: [waits(80)])

    assert len(post.told) == 2
    assert len({alert_id for alert_id, _ in post.told}) == 1
    assert states(book) == [("updater", "sent")]


def test_a_sender_killed_between_sending_and_noting_sends_again_under_the_same_id(desk, book, post, database, clock):
    book.add(rule())
    post.answers = [Died()]
    with pytest.raises(Died):
        desk.step(lambda: [waits(70)])
    assert states(book) == [("updater", "sending")]

    after = make_desk(database, clock, post, "two")
    assert after.step(lambda: [waits(70)]) == 0  # the dead one still holds the lead
    clock.advance(LEASE_S + 1)
    assert after.step(lambda: [waits(70)]) == 1

    assert post.told[0][0] == post.told[1][0]
    assert states(book) == [("updater", "sent")]


def test_two_at_once_send_once(desk, book, post, database, clock):
    book.add(rule())
    other = make_desk(database, clock, post, "two")
    desk.step(lambda: [waits(70)])
    other.step(lambda: [waits(70)])

    assert len(post.told) == 1


def test_one_that_slept_while_another_took_over_marks_nothing(desk, book, post, database, clock):
    """It wakes up in the middle of an attempt: what it would note is refused by the fence, and the other's record stays."""
    book.add(rule())
    other = make_desk(database, clock, Post(), "two")

    def asleep(rule, alert, now):
        clock.advance(LEASE_S + 1)
        assert other.step(lambda: [waits(70)]) == 1
        return Refused("the sleeper was told no")

    sleeper = AlertDesk(
        book, DecisionLog(database), Leadership(database, clock=clock), asleep, holder="one", clock=clock
    )
    assert sleeper.step(lambda: [waits(70)]) == 0
    assert states(book) == [("updater", "sent")]


# --- told when it may be ---


def test_what_happens_in_quiet_hours_is_told_after_them_and_only_the_latest(desk, book, post, clock):
    book.add(rule(quiet="12:00-14:00"))
    desk.step(lambda: [waits(70)])
    desk.step(lambda: [waits(5)])
    assert post.told == []
    clock.advance(2 * HOUR_S)
    desk.step(lambda: [waits(5)])

    assert post.titles == ["updater: over (requests wait too long)"]
    assert [state for _, state in states(book)] == ["superseded", "sent"]


def test_more_than_so_many_an_hour_wait_for_the_next(desk, book, post, clock):
    book.add(rule(per_hour=2))
    desk.step(lambda: [waits(70, name) for name in ("a", "b", "c")])
    assert len(post.told) == 2
    clock.advance(HOUR_S - 1)
    desk.step(list)
    assert len(post.told) == 2
    clock.advance(2)
    desk.step(list)

    assert [title[0] for title in post.titles] == ["a", "b", "c"]


def test_a_receiver_that_asks_for_time_gets_it(desk, book, post, clock):
    book.add(rule())
    post.answers = [TryAgain("busy", 120.0)]
    desk.step(lambda: [waits(70)])
    clock.advance(119)
    desk.step(lambda: [waits(70)])
    assert len(post.told) == 1
    clock.advance(1)
    desk.step(lambda: [waits(70)])
    assert len(post.told) == 2


def test_what_nobody_takes_for_a_day_is_given_up_and_says_so(desk, book, post, clock):
    book.add(rule())
    post.answers = [TryAgain("it answered status 500")] * 100
    desk.step(lambda: [waits(70)])
    while book.log()[0].state == "waiting":
        clock.advance(max(1.0, book.log()[0].due - clock.now()))
        desk.step(lambda: [waits(70)])

    queued = book.log()[0]
    assert queued.state == "failed"
    assert clock.now() - queued.alert.at > GIVE_UP_S
    assert 24 < queued.attempts < 60  # at most an hour apart, at least half of that
    assert queued.error.endswith("it answered status 500")


def test_a_receiver_in_trouble_is_not_asked_for_every_alert_that_waits(desk, book, post, clock):
    book.add(rule())
    post.answers = [TryAgain("it did not answer within 15 s")]
    desk.step(lambda: [waits(70, name) for name in ("a", "b", "c")])
    assert [title[0] for title in post.titles] == ["a"]
    clock.advance(15)
    desk.step(list)

    assert [title[0] for title in post.titles] == ["a", "a", "b", "c"]


def test_a_server_that_is_away_holds_nothing_back(desk, book, post, clock):
    book.add(rule())
    post.answers = [TryAgain("no", 60.0)]
    desk.step(lambda: [waits(70)])
    clock.advance(60)

    def away():
        raise Unavailable("the Redis server does not answer")

    with pytest.raises(Unavailable):
        desk.step(away)
    assert states(book) == [("updater", "sent")]


def test_what_is_refused_is_not_tried_again(desk, book, post):
    book.add(rule())
    post.answers = [Refused("it answered status 404")]
    desk.step(lambda: [waits(70)])
    desk.step(lambda: [waits(70)])

    assert (len(post.told), states(book)) == (1, [("updater", "failed")])


# --- rules ---


def test_without_a_rule_that_wants_to_know_nobody_looks(desk, book):
    book.add(rule("drift", "drift"))

    def look():
        raise AssertionError("nobody asked")

    assert desk.step(look) == 0


def test_a_rule_that_is_removed_tells_no_more(desk, book, post):
    book.add(rule(quiet="12:00-14:00"))
    desk.step(lambda: [waits(70)])
    book.remove("mine")
    book.add(rule(since=1.0))  # the same name, anew: it stands at the beginning
    desk.step(lambda: [waits(70)])

    assert [state for _, state in states(book)] == ["superseded", "sent"]
    with pytest.raises(InvalidRequest, match="is a rule 'mine' already"):
        book.add(rule())
    with pytest.raises(InvalidRequest, match="nearest: mine"):
        book.remove("mien")


# --- models ---


def test_a_round_of_a_watched_model_tells_its_signal_and_its_drift(tmp_path):
    """The real thing: the updater's rounds on a feed that turns around, the rules, the outbox, and a web server."""
    with open_stable(tmp_path, turns_at=600) as stable, receiving(Says(500), Says()) as receiver:
        database = stable.log._database
        book = AlertBook(database, clock=stable.clock)
        hook = {"channel": "webhook", "target": receiver.url, "private": True}
        book.add(AlertRule("signal", "signal", raise_at=0.05, clear_at=0.02, **hook))
        book.add(AlertRule("drift", "drift", symbol="FEEDUSDT", timeframe="1d", **hook))
        book.add(AlertRule("other", "signal", symbol="AAPL", **hook))
        settings = Settings.load(home=tmp_path)
        desk = make_desk(database, stable.clock, lambda *given: deliver(*given[:2], settings, now=given[2]), "one")
        stable.watch(stable.build())
        for bars in (660, 720, 780, 780):
            stable.feed.move_to(bars)
            stable.update(update_type="check", request_id=f"round-{bars}")  # the last one twice, as after a lost lease
            desk.step(list)
        stable.clock.advance(HOUR_S)
        desk.step(list)

    log = stable.log.history(100, service="updater", request_type="standing")
    sides = [(each.outcome["position"] > 0) - (each.outcome["position"] < 0) for each in reversed(log)]
    changes = sum(now != before for before, now in zip([0, *sides], sides, strict=False))
    told = [queued.alert for queued in book.log()]
    assert len(log) == len({each.request_id for each in log}) == 3
    assert sum(alert.kind == "signal" for alert in told) == changes > 0
    assert [alert.level for alert in told if alert.kind == "drift"] == ["raised"]
    assert all("SIMULATED" in alert.text for alert in told)
    assert {alert.rule for alert in told} == {"signal", "drift"}
    # The first attempt was answered with trouble: the same alert came again.
    assert len(receiver.taken) == len(told) + 1
    assert len(set(receiver.ids())) == len(told)


def test_what_was_decided_before_a_rule_was_made_is_no_news(tmp_path):
    with open_stable(tmp_path) as stable:
        database = stable.log._database
        stable.watch(stable.build())
        stable.feed.move_to(660)
        stable.update(update_type="check", request_id="before")
        book, post = AlertBook(database, clock=stable.clock), Post()
        book.add(AlertRule("signal", "signal", "webhook", "http://x", raise_at=0.0001, clear_at=0.0))
        make_desk(database, stable.clock, post, "one").step(list)

    assert post.told == []


def test_a_round_that_did_not_look_for_drift_says_nothing_of_it():
    standing = Standing("m", "AAPL", "1d", -0.5, "2013-03-01", False, None)

    (signal,) = observations_of(standing, 1.0)

    assert (signal.kind, signal.value, signal.subject) == ("signal", -0.5, "AAPL 1d")
    assert "m is short (-0.50 of the equity) as of 2013-03-01" in signal.said
