"""One suite, two buses: what `evolve.messaging.bus` promises, held against Redis streams and against memory."""

from __future__ import annotations

import asyncio
import dataclasses

import orjson
import pytest

from contracts.bus_contract import SOON_S, Ground, RedisGround, eventually, heard
from evolve.messaging.bus import ALIVE_S, GONE, LaneState, ReplicaInfo, control_channel, input_channel

LEASE_S = 10.0
CONTENT = "hash of the content"


# --- sending and taking ---


async def test_a_message_sent_before_the_first_replica_opened_the_service_waits_for_it(ground: Ground) -> None:
    await ground.send("r1", b'{"type":"early"}')

    await ground.bus.open(ground.service)

    assert (await ground.take()).raw == b'{"type":"early"}'


async def test_opening_a_service_twice_keeps_what_waits(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1")

    await ground.bus.open(ground.service)

    assert (await ground.take()).request_id == "r1"


async def test_a_waiting_replica_gets_a_message_when_it_is_sent(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    waiting = asyncio.create_task(ground.take())
    await asyncio.sleep(0)

    await ground.send("r1")

    assert (await waiting).request_id == "r1"


async def test_a_delivery_says_what_was_sent_and_that_it_is_the_first_attempt(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1", b"\x00\xffbytes", lane="heavy", named=False)

    delivery = await ground.take(lane="heavy")

    assert (delivery.service, delivery.lane, delivery.raw) == (ground.service, "heavy", b"\x00\xffbytes")
    assert (delivery.request_id, delivery.named, delivery.attempt) == ("r1", False, 1)


async def test_messages_are_taken_in_the_order_they_were_sent_and_at_most_as_many_as_asked_for(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    for number in range(5):
        await ground.send(f"r{number}")

    first = await ground.bus.receive(ground.service, "light", "a", 3, block_s=1)
    second = await ground.bus.receive(ground.service, "light", "b", 3, block_s=1)

    assert [d.request_id for d in first] == ["r0", "r1", "r2"]
    assert [d.request_id for d in second] == ["r3", "r4"]


async def test_the_lanes_are_separate_queues(ground: Ground) -> None:
    await ground.bus.open(ground.service)

    await ground.send("r1", lane="heavy")

    assert await ground.nothing_for("a", lane="light")
    assert (await ground.take(lane="heavy")).request_id == "r1"


# --- leases ---


async def test_what_one_replica_took_no_other_gets(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1")
    await ground.take("a")

    assert await ground.nothing_for("b")
    assert await ground.reclaim("b", idle_s=LEASE_S) == []


async def test_nobody_takes_over_a_lease_that_is_extended_in_time(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", "a")

    for _ in range(3):
        await ground.pass_time(0.9 * LEASE_S)
        report = await ground.bus.extend(ground.service, [delivery], "a")
        assert not report.lost
        assert await ground.reclaim("b", idle_s=LEASE_S) == []

    assert await ground.bus.finish(delivery, "a", b"reply") == "sent"


async def test_a_lapsed_lease_is_taken_over_as_the_next_attempt(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.begun("r1", "a")
    await ground.pass_time(LEASE_S)

    [second] = await ground.reclaim("b", idle_s=LEASE_S)
    await ground.pass_time(LEASE_S)
    [third] = await ground.reclaim("c", idle_s=LEASE_S)

    assert (second.request_id, second.attempt) == ("r1", 2)
    assert (third.entry, third.attempt) == (second.entry, 3)


async def test_a_lapsed_lease_is_found_behind_many_that_are_well(ground: Ground) -> None:
    """Redis looks at ten times COUNT entries in one call."""
    await ground.bus.open(ground.service)
    for number in range(31):
        await ground.send(f"r{number}")
    well = await ground.bus.receive(ground.service, "light", "a", 30, block_s=1)
    await ground.take("b")
    await ground.pass_time(LEASE_S)
    await ground.bus.extend(ground.service, well, "a")

    [taken] = await ground.bus.reclaim(ground.service, "light", "c", idle_s=LEASE_S, count=1)

    assert taken.request_id == "r30"


async def test_extending_does_not_count_an_attempt(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", "a")
    for _ in range(5):
        await ground.bus.extend(ground.service, [delivery], "a")
    await ground.pass_time(LEASE_S)

    [taken] = await ground.reclaim("b", idle_s=LEASE_S)

    assert taken.attempt == 2


async def test_a_replica_that_lost_its_lease_is_told_and_does_not_get_it_back_by_extending(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", "a")
    await ground.pass_time(LEASE_S)
    [taken] = await ground.reclaim("b", idle_s=LEASE_S)

    report = await ground.bus.extend(ground.service, [delivery], "a")

    assert report.lost == {delivery.entry}
    assert await ground.bus.begin(taken, "b", "content", None) == "run"


async def test_a_replica_that_lost_its_lease_cannot_reply(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    zombie = await ground.begun("r1", "a", reply_to="asker")
    await ground.pass_time(LEASE_S)
    [taken] = await ground.reclaim("b", idle_s=LEASE_S)

    async with ground.outputs() as outputs:
        assert await ground.bus.finish(zombie, "a", b"of the zombie") == "lost"
        assert await ground.bus.begin(taken, "b", "content", "asker") == "run"
        assert await ground.bus.finish(taken, "b", b"of the successor") == "sent"
        await outputs.wait_for(1)

    assert outputs.raw == [b"of the successor"]
    assert await ground.replies("asker") == [b"of the successor"]
    assert await ground.bus.stored_reply(ground.service, "r1") == b"of the successor"


async def test_a_replica_that_lost_its_lease_cannot_reply_after_its_successor_did(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    zombie = await ground.begun("r1", "a")
    await ground.pass_time(LEASE_S)
    [taken] = await ground.reclaim("b", idle_s=LEASE_S)
    await ground.bus.begin(taken, "b", "content", None)
    await ground.bus.finish(taken, "b", b"of the successor")

    assert await ground.bus.finish(zombie, "a", b"of the zombie") == "lost"
    assert await ground.bus.stored_reply(ground.service, "r1") == b"of the successor"


async def test_a_replica_that_lost_its_lease_cannot_begin(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1")
    zombie = await ground.take("a")
    await ground.pass_time(LEASE_S)
    await ground.reclaim("b", idle_s=LEASE_S)

    assert await ground.bus.begin(zombie, "a", CONTENT, None) == "lost"


async def test_a_replica_that_lost_its_lease_cannot_give_it_back(ground: Ground) -> None:
    """Else a third replica would start the work that the second is doing."""
    await ground.bus.open(ground.service)
    zombie = await ground.begun("r1", "a")
    await ground.pass_time(LEASE_S)
    [taken] = await ground.reclaim("b", idle_s=LEASE_S)

    await ground.bus.release(zombie, "a")

    assert await ground.reclaim("c", idle_s=LEASE_S) == []
    assert not (await ground.bus.extend(ground.service, [taken], "b")).lost


async def test_what_is_given_back_is_there_at_once_and_counts_no_attempt(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", "a")

    await ground.bus.release(delivery, "a")

    [taken] = await ground.reclaim("b", idle_s=LEASE_S)
    assert (taken.request_id, taken.attempt) == ("r1", 1)
    assert await ground.bus.begin(taken, "b", "content", None) == "run"


async def test_a_replica_that_leaves_gives_back_what_it_took_and_never_began(ground: Ground) -> None:
    """A message can be handed out in the moment its reader is stopped; nobody in the replica knows of it."""
    await ground.bus.open(ground.service)
    await ground.send("r1")
    await ground.take("a")

    await ground.bus.retire(ground.service, "a")

    [taken] = await ground.reclaim("b", idle_s=LEASE_S)
    assert (taken.request_id, taken.attempt) == ("r1", 1)


async def test_a_replica_that_leaves_with_nothing_in_hand_loses_nothing_of_others(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", "b")

    await ground.bus.retire(ground.service, "a")

    assert await ground.bus.finish(delivery, "b", b"reply") == "sent"


# --- answering once ---


async def test_finishing_publishes_replies_stores_and_removes(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", reply_to="asker")

    async with ground.outputs() as outputs:
        assert await ground.bus.finish(delivery, "a", b"reply") == "sent"
        assert await outputs.wait_for(1) == [b"reply"]

    assert await ground.replies("asker") == [b"reply"]
    assert await ground.bus.stored_reply(ground.service, "r1") == b"reply"
    assert (await ground.bus.queue(ground.service)).queued == 0
    await ground.pass_time(LEASE_S)
    assert await ground.reclaim("b", idle_s=LEASE_S) == []


async def test_a_reply_goes_only_to_who_asked(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", reply_to="asker")

    await ground.bus.finish(delivery, "a", b"reply")

    assert await ground.replies("somebody else") == []


async def test_who_waits_for_replies_gets_each_once(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    waiting = asyncio.create_task(ground.bus.read_replies(ground.service, "asker", "0-0", block_s=5))
    await asyncio.sleep(0)
    await ground.bus.finish(await ground.begun("r1", reply_to="asker"), "a", b"one")
    [(position, first)] = await waiting
    await ground.bus.finish(await ground.begun("r2", reply_to="asker"), "a", b"two")

    later = await ground.bus.read_replies(ground.service, "asker", position, block_s=5)

    assert (first, [raw for _, raw in later]) == (b"one", [b"two"])


async def test_finishing_twice_replies_once(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    delivery = await ground.begun("r1", reply_to="asker")

    assert await ground.bus.finish(delivery, "a", b"first") == "sent"
    assert await ground.bus.finish(delivery, "a", b"second") == "lost"

    assert await ground.replies("asker") == [b"first"]


async def test_a_request_sent_again_after_its_reply_is_answered_from_the_store(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.finish(await ground.begun("r1", reply_to="first"), "a", b"reply")
    await ground.send("r1")
    again = await ground.take("b")

    assert await ground.bus.begin(again, "b", "content", "second") == "answered"

    assert await ground.replies("second") == [b"reply"]
    assert await ground.replies("first") == [b"reply"]
    assert (await ground.bus.queue(ground.service)).queued == 0


async def test_who_listens_sees_the_reply_once_however_often_its_asker_sends_and_who_asks_again_by_hand_sees_it(
    ground: Ground,
) -> None:
    """A client whose sending seemed to fail sends again under the same id; its server may have taken both."""
    await ground.bus.open(ground.service)
    async with ground.outputs() as outputs:
        await ground.bus.finish(await ground.begun("r1", reply_to="asker"), "a", b"reply")
        await ground.send("r1")
        assert await ground.bus.begin(await ground.take("b"), "b", "content", "asker") == "answered"
        await ground.bus.announce(ground.service, b"something else")
        assert await outputs.wait_for(2) == [b"reply", b"something else"]

        await ground.send("r1")
        assert await ground.bus.begin(await ground.take("b"), "b", "content", None) == "answered"
        assert await outputs.wait_for(3) == [b"reply", b"something else", b"reply"]


async def test_what_an_asker_sends_anew_because_the_server_forgot_it_is_answered_to_the_asker_alone(
    ground: Ground,
) -> None:
    """The output may have heard the first answer; nobody who listens there may hear one request answered twice."""
    await ground.bus.open(ground.service)
    await ground.bus.send(
        ground.service, "light", b"{}", request_id="r1", content_hash="content", reader="asker", again=True
    )
    async with ground.outputs() as outputs:
        assert await ground.bus.finish(await ground.take(), "a", b"reply") == "sent"
        await ground.bus.announce(ground.service, b"something else")

        assert await outputs.wait_for(1) == [b"something else"]

    assert await ground.replies("asker") == [b"reply"]
    assert await ground.bus.stored_reply(ground.service, "r1") == b"reply"


async def test_who_asks_by_hand_for_what_was_sent_anew_hears_the_reply_on_the_output(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.send(
        ground.service, "light", b"{}", request_id="r1", content_hash="content", reader="asker", again=True
    )
    running = await ground.take()
    await ground.send("r1")
    assert await ground.bus.begin(await ground.take("b"), "b", "content", None) == "joined"

    async with ground.outputs() as outputs:
        await ground.bus.finish(running, "a", b"reply")
        assert await outputs.wait_for(1) == [b"reply"]


async def test_an_id_used_again_for_other_content_is_told_so(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.finish(await ground.begun("r1"), "a", b"reply")
    await ground.send("r1", b"other")

    assert await ground.bus.begin(await ground.take(), "a", "other content", None) == "reused"
    assert await ground.bus.stored_reply(ground.service, "r1") == b"reply"


async def test_an_id_used_again_for_other_content_while_it_runs_is_told_so(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.begun("r1", "a")
    await ground.send("r1", b"other")

    assert await ground.bus.begin(await ground.take("b"), "b", "other content", None) == "reused"


@pytest.mark.parametrize("lane", ["light", "heavy"])
async def test_a_request_sent_again_while_it_runs_waits_for_the_same_reply(ground: Ground, lane: str) -> None:
    """Whatever lane the second sender uses: it may be of another version, or a bridge."""
    await ground.bus.open(ground.service)
    running = await ground.begun("r1", "a", reply_to="first")
    await ground.send("r1", lane=lane)  # type: ignore[arg-type]
    again = await ground.take("b", lane=lane)  # type: ignore[arg-type]

    assert await ground.bus.begin(again, "b", "content", "second") == "joined"
    assert await ground.bus.finish(running, "a", b"reply") == "sent"

    assert await ground.replies("first") == [b"reply"]
    assert await ground.replies("second") == [b"reply"]
    assert (await ground.bus.queue(ground.service)).queued == 0


async def test_a_message_that_begins_again_with_its_successor_does_not_join_itself(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.begun("r1", "a", reply_to="asker")
    await ground.pass_time(LEASE_S)
    [taken] = await ground.reclaim("b", idle_s=LEASE_S)

    assert await ground.bus.begin(taken, "b", "content", "asker") == "run"
    assert await ground.bus.finish(taken, "b", b"reply") == "sent"
    assert await ground.replies("asker") == [b"reply"]


# --- withdrawing ---


async def test_a_request_withdrawn_before_it_began_is_cancelled(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1")

    assert await ground.bus.withdraw(ground.service, "r1")

    delivery = await ground.take()
    assert await ground.bus.begin(delivery, "a", CONTENT, "asker") == "cancelled"
    assert await ground.bus.finish(delivery, "a", b"reply") == "cancelled"
    assert await ground.bus.finish(delivery, "a", b"cancelled", cancelled=True) == "sent"
    assert await ground.replies("asker") == [b"cancelled"]


async def test_a_request_withdrawn_while_it_runs_is_reported_when_its_lease_is_extended(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    stopped, other = await ground.begun("r1"), await ground.begun("r2")

    assert await ground.bus.withdraw(ground.service, "r1")

    report = await ground.bus.extend(ground.service, [stopped, other], "a")
    assert (report.cancelled, report.lost) == ({stopped.entry}, frozenset())


async def test_a_request_sent_again_while_it_is_being_cancelled_gets_one_answer_with_the_first(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    running = await ground.begun("r1", "a", reply_to="first")
    await ground.bus.withdraw(ground.service, "r1")
    await ground.send("r1")

    async with ground.outputs() as outputs:
        assert await ground.bus.begin(await ground.take("b"), "b", "content", "second") == "joined"
        assert await ground.bus.finish(running, "a", b"cancelled", cancelled=True) == "sent"
        await outputs.wait_for(1)

    assert outputs.raw == [b"cancelled"]
    assert await ground.replies("second") == [b"cancelled"]


async def test_what_is_done_cannot_be_withdrawn(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.finish(await ground.begun("r1"), "a", b"reply")

    assert not await ground.bus.withdraw(ground.service, "r1")
    assert await ground.bus.stored_reply(ground.service, "r1") == b"reply"


async def test_withdrawing_tells_the_running_replicas_at_once(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    async with heard(ground.bus, control_channel(ground.service)) as control:
        await ground.bus.withdraw(ground.service, "r1")
        [raw] = await control.wait_for(1)

    assert orjson.loads(raw) == {"type": "cancel", "data": {"request_id": "r1"}, "from": "withdraw"}


# --- dead letters ---


async def test_what_is_refused_is_answered_removed_and_kept_with_its_reason(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1", b"\x00not json\xff")
    delivery = await ground.take()

    async with ground.outputs() as outputs:
        await ground.bus.refuse(delivery, "a", b"error", "asker", reason="malformed: not JSON")
        assert await outputs.wait_for(1) == [b"error"]

    [letter] = await ground.bus.dead_letters(ground.service)
    assert (letter.raw, letter.reason, letter.attempts) == (b"\x00not json\xff", "malformed: not JSON", 1)
    assert await ground.replies("asker") == [b"error"]
    assert (await ground.bus.queue(ground.service)).queued == 0


async def test_what_is_refused_without_a_reason_is_not_kept(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.send("r1")

    await ground.bus.refuse(await ground.take(), "a", b"error", None, reason=None)

    assert await ground.bus.dead_letters(ground.service) == []
    assert (await ground.bus.queue(ground.service)).queued == 0


async def test_a_reply_may_keep_its_request_as_a_dead_letter(ground: Ground) -> None:
    """An unknown type, or a request given up: answered like any other, and kept to be looked at."""
    await ground.bus.open(ground.service)
    await ground.send("r1", b"the request")
    delivery = await ground.take()
    await ground.bus.begin(delivery, "a", CONTENT, "asker")

    assert await ground.bus.finish(delivery, "a", b"error", dead="unknown_type: no such request") == "sent"

    [letter] = await ground.bus.dead_letters(ground.service)
    assert (letter.raw, letter.reason) == (b"the request", "unknown_type: no such request")
    assert await ground.replies("asker") == [b"error"]


async def test_the_newest_dead_letters_come_first(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    for number in range(3):
        await ground.send(f"r{number}", f"{number}".encode())
        await ground.bus.refuse(await ground.take(), "a", b"error", None, reason="bad")

    assert [letter.raw for letter in await ground.bus.dead_letters(ground.service, 2)] == [b"2", b"1"]


# --- who lives, what waits ---


async def test_replicas_are_listed_by_name_until_five_seconds_after_their_last_heartbeat(ground: Ground) -> None:
    await ground.bus.heartbeat(ground.service, ReplicaInfo("b", 2, "host", in_flight=1))
    await ground.pass_time(ALIVE_S - 1)
    await ground.bus.heartbeat(ground.service, ReplicaInfo("a", 1, "host", in_flight=1))

    assert [info.replica for info in await ground.bus.replicas(ground.service)] == ["a", "b"]
    await ground.pass_time(1.0)
    assert [info.replica for info in await ground.bus.replicas(ground.service)] == ["a"]


async def test_a_heartbeat_carries_what_the_replica_said(ground: Ground) -> None:
    said = ReplicaInfo(
        "a",
        7,
        "host",
        in_flight=2,
        cpu_s=1.5,
        rss_mb=40.5,
        state="stopping",
        version="1",
        at=await ground.bus.now(ground.service),
    )

    await ground.bus.heartbeat(ground.service, said)

    [info] = await ground.bus.replicas(ground.service)
    assert dataclasses.replace(info, at=0.0) == dataclasses.replace(said, at=0.0)


async def test_a_retired_replica_is_gone_at_once(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.heartbeat(ground.service, ReplicaInfo("a", 1, "host"))

    await ground.bus.retire(ground.service, "a")

    assert await ground.bus.replicas(ground.service) == []


async def test_the_queue_counts_what_is_not_answered_and_what_is_dead(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    for number in range(3):
        await ground.send(f"r{number}", lane="heavy")
    await ground.send("r3")
    await ground.take(lane="heavy")
    await ground.bus.refuse(await ground.take(lane="heavy"), "a", b"error", None, reason="bad")

    state = await ground.bus.queue(ground.service)

    assert (state.queued, state.dead) == (3, 1)
    assert 0 <= state.oldest_s < 60


async def test_an_empty_queue_has_no_age(ground: Ground) -> None:
    await ground.bus.open(ground.service)

    state = await ground.bus.queue(ground.service)

    assert (state.queued, state.oldest_s, state.dead) == (0, 0.0, 0)


async def test_what_no_replica_holds_waits_what_was_given_back_too(ground: Ground) -> None:
    await ground.send("r0")  # before the service was ever served
    assert (await ground.bus.lanes(ground.service))["light"].waiting == 1
    await ground.bus.open(ground.service)
    for number in range(1, 4):
        await ground.send(f"r{number}", lane="heavy")
    first = await ground.take(lane="heavy")
    await ground.take(lane="heavy")

    held = (await ground.bus.lanes(ground.service))["heavy"]
    await ground.bus.release(first, "a")
    returned = (await ground.bus.lanes(ground.service))["heavy"]

    assert (held.waiting, held.in_work) == (1, 2)
    assert (returned.waiting, returned.in_work) == (2, 1)
    assert 0 <= held.waiting_oldest_s < 60


async def test_what_is_in_work_for_long_waits_no_more(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.begun("r0")
    await ground.pass_time(60)

    found = (await ground.bus.lanes(ground.service))["light"]

    assert (found.waiting, found.waiting_oldest_s, found.in_work) == (0, 0.0, 1)


# --- publish and subscribe ---


async def test_what_is_published_reaches_every_listener_of_the_channel_and_no_other(ground: Ground) -> None:
    ours, other = input_channel(ground.service), control_channel(ground.service)
    async with heard(ground.bus, ours, other) as both, heard(ground.bus, other) as one:
        assert await ground.bus.publish(ours, b"1") == 1
        assert await ground.bus.publish(other, b"2") == 2
        await both.wait_for(2)
        await one.wait_for(1)

    assert both.messages == [(ours, b"1"), (other, b"2")]
    assert one.messages == [(other, b"2")]


async def test_publishing_to_nobody_reaches_nobody(ground: Ground) -> None:
    assert await ground.bus.publish(input_channel(ground.service), b"1") == 0


async def test_events_reach_the_output_and_the_asker(ground: Ground) -> None:
    async with ground.outputs() as outputs:
        await ground.bus.announce(ground.service, b"started")
        await ground.bus.report(ground.service, "asker", b"progress")
        await ground.bus.report(ground.service, None, b"for nobody in particular")
        await outputs.wait_for(3)

    assert outputs.raw == [b"started", b"progress", b"for nobody in particular"]
    assert await ground.replies("asker") == [b"progress"]


# --- the bridge's lease ---


async def test_one_bridge_holds_the_lease_until_it_lapses(ground: Ground) -> None:
    hold = ground.bus.hold_bridge

    assert await hold(ground.service, "one", lease_s=2.0)
    assert not await hold(ground.service, "two", lease_s=2.0)
    await ground.pass_time(1.5)
    assert await hold(ground.service, "one", lease_s=2.0), "the holder extends"
    await ground.pass_time(1.5)
    assert not await hold(ground.service, "two", lease_s=2.0)
    await ground.pass_time(0.6)
    await eventually(lambda: hold(ground.service, "two", lease_s=2.0), what="the lapsed lease")
    assert not await hold(ground.service, "one", lease_s=2.0)


async def test_only_the_holder_of_the_lease_enters_messages(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.hold_bridge(ground.service, "one", lease_s=2.0)

    async def enter(bridge: str, request_id: str) -> bool:
        return await ground.bus.enter(
            ground.service, "light", bridge, b"raw", request_id=request_id, named=False, mark="m"
        )

    assert not await enter("two", "r2")
    assert await enter("one", "r1")

    delivery = await ground.take()
    assert (delivery.request_id, delivery.named, delivery.raw) == ("r1", False, b"raw")
    assert await ground.nothing_for("b")


async def test_only_the_holder_of_the_lease_rejects_messages(ground: Ground) -> None:
    await ground.bus.hold_bridge(ground.service, "one", lease_s=2.0)

    async def reject(bridge: str) -> bool:
        return await ground.bus.reject(ground.service, bridge, b"junk", b"error", reason="malformed", mark="m")

    async with ground.outputs() as outputs:
        assert not await reject("two")
        assert await reject("one")
        await outputs.wait_for(1)

    assert outputs.raw == [b"error"]
    assert [(letter.raw, letter.reason) for letter in await ground.bus.dead_letters(ground.service)] == [
        (b"junk", "malformed")
    ]


async def test_a_successor_learns_what_was_entered_or_rejected_since_it_listens(ground: Ground) -> None:
    bus, service = ground.bus, ground.service
    await bus.open(service)
    await bus.hold_bridge(service, "one", lease_s=2.0)
    await bus.enter(service, "light", "one", b"1", request_id="r1", named=False, mark="before")
    await _until_later(ground)
    joined = await bus.now(service)
    await _until_later(ground)
    await bus.enter(service, "light", "one", b"2", request_id="r2", named=False, mark="after")
    await bus.reject(service, "one", b"3", b"error", reason="malformed", mark="rejected")

    assert await bus.entered_since(service, joined) == ["after", "rejected"]
    assert await bus.entered_since(service, 0.0) == ["before", "after", "rejected"]


async def _until_later(ground: Ground) -> None:
    """Let the bus's clock move on: the server's by itself, the memory bus's by hand."""
    before = await ground.bus.now(ground.service)

    async def moved() -> bool:
        await ground.pass_time(0.001)
        return await ground.bus.now(ground.service) > before

    await eventually(moved)


# --- a server that was emptied (Redis only: memory ends with its process) ---


async def test_an_emptied_server_gets_its_groups_back_and_answers_again(redis_ground: RedisGround) -> None:
    await redis_ground.bus.open(redis_ground.service)
    waiting = asyncio.create_task(redis_ground.bus.receive(redis_ground.service, "light", "a", 1, block_s=2))
    await asyncio.sleep(SOON_S)

    await redis_ground.command("FLUSHALL")

    assert await waiting == []
    await redis_ground.send("r1")
    delivery = (await eventually(lambda: redis_ground.bus.receive(redis_ground.service, "light", "a", 1, block_s=1)))[0]
    assert await redis_ground.bus.begin(delivery, "a", CONTENT, None) == "run"
    assert await redis_ground.bus.finish(delivery, "a", b"reply") == "sent"


async def test_reclaiming_on_an_emptied_server_finds_nothing(redis_ground: RedisGround) -> None:
    await redis_ground.bus.open(redis_ground.service)
    await redis_ground.command("FLUSHALL")

    assert await redis_ground.reclaim("a") == []


async def test_on_an_emptied_server_leases_are_lost_and_nothing_raises(redis_ground: RedisGround) -> None:
    """An error here would end the loop that extends leases, and every later long job would run twice."""
    await redis_ground.bus.open(redis_ground.service)
    running = await redis_ground.begun("r1")
    await redis_ground.command("FLUSHALL")

    assert (await redis_ground.bus.extend(redis_ground.service, [running], "a")).lost == {running.entry}
    assert await redis_ground.bus.finish(running, "a", b"reply") == "lost"
    assert await redis_ground.bus.begin(running, "a", "content", None) == "lost"
    await redis_ground.bus.release(running, "a")
    await redis_ground.bus.retire(redis_ground.service, "a")


async def test_scripts_are_known_again_after_the_server_forgot_them(redis_ground: RedisGround) -> None:
    await redis_ground.bus.open(redis_ground.service)
    await redis_ground.begun("r1")
    await redis_ground.command("SCRIPT", "FLUSH")

    assert await redis_ground.bus.finish(await redis_ground.begun("r2"), "a", b"reply") == "sent"


# --- figures ---


async def test_what_a_replica_counted_is_kept_when_it_leaves_and_added_up(ground: Ground) -> None:
    for name, answered in (("a", 3), ("b", 4)):
        raw = orjson.dumps({"counts": {"requests|echo|ok": answered, "taken_over": 0.5}})
        assert await ground.bus.note_figures(ground.service, name, raw) is True
        assert await ground.bus.note_figures(ground.service, name, raw) is False

    await ground.bus.retire(ground.service, "a")
    await ground.bus.retire(ground.service, "b")
    await ground.bus.retire(ground.service, "b")

    kept = {name: orjson.loads(raw) for name, raw in (await ground.bus.figures(ground.service)).items()}
    assert kept == {GONE: {"counts": {"requests|echo|ok": 7, "taken_over": 1}}}


async def test_a_lane_tells_what_waits_from_what_a_replica_has(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    assert (await ground.bus.lanes(ground.service))["light"] == LaneState()
    await ground.send("old")
    await ground.take("a")
    await ground.pass_time(2.0)
    await ground.send("new")
    await ground.send("other", lane="heavy")

    lanes = await ground.bus.lanes(ground.service)

    light = lanes["light"]
    assert (light.queued, light.waiting, lanes["heavy"].queued, lanes["heavy"].waiting) == (2, 1, 1, 1)
    assert light.oldest_s >= light.waiting_oldest_s >= 0
