"""What both buses promise beyond sending and answering: ids registered at once, requests put off, limits, dead letters."""

from __future__ import annotations

import asyncio

import pytest

from contracts.bus_contract import BLOCK_S, Ground, RedisGround
from evolve.errors import Busy
from evolve.messaging import redis_keys as keys
from evolve.messaging.bus import Delivery, fence_of
from evolve.messaging.redis_bus import LARGE_REPLY, RedisBus
from evolve.messaging.redis_scripts import UNREAD_MS

CONTENT = "hash of the content"


async def register(ground: Ground, request_id: str, *, content: str = CONTENT, reader: str = "asker") -> None:
    await ground.bus.send(ground.service, "light", b"raw", request_id=request_id, content_hash=content, reader=reader)


async def put_off(ground: Ground, request_id: str, *, delay_s: float = 10.0) -> Delivery:
    delivery = await ground.begun(request_id)
    assert await ground.bus.postpone(delivery, "a", delay_s=delay_s, made=delivery.attempt)
    return delivery


# --- ids registered with their request ---


async def test_a_request_whose_id_is_new_needs_not_begin_and_its_asker_gets_the_reply(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await register(ground, "r1")

    delivery = await ground.take()

    assert delivery.fresh
    assert await ground.bus.finish(delivery, "a", b"reply") == "sent"
    assert await ground.replies("asker") == [b"reply"]


async def test_a_request_whose_id_is_known_must_begin_and_joins_the_first(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await register(ground, "r1", reader="one")
    await register(ground, "r1", reader="two")
    first, second = await ground.take(), await ground.take()

    assert (first.fresh, second.fresh) == (True, False)
    assert await ground.bus.begin(second, "a", CONTENT, "two") == "joined"
    assert await ground.bus.finish(first, "a", b"reply") == "sent"
    assert await ground.replies("one") == await ground.replies("two") == [b"reply"]


async def test_a_request_that_comes_after_the_reply_under_the_same_id_is_answered_from_it(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await register(ground, "r1")
    await ground.bus.finish(await ground.take(), "a", b"reply")
    await register(ground, "r1", reader="late")

    assert await ground.bus.begin(await ground.take(), "a", CONTENT, "late") == "answered"
    assert await ground.replies("late") == [b"reply"]


@pytest.mark.parametrize("left", ["lapsed", "given back"])
async def test_who_takes_over_a_request_must_begin_it(ground: Ground, left: str) -> None:
    """It may have been withdrawn while nobody had it."""
    await ground.bus.open(ground.service)
    await register(ground, "r1")
    delivery = await ground.take("a")
    if left == "given back":
        await ground.bus.release(delivery, "a")
    await ground.pass_time(10.0)

    [taken] = await ground.reclaim("b")

    assert not taken.fresh


async def test_what_is_withdrawn_between_its_sending_and_its_reply_ends_cancelled(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await register(ground, "r1")
    delivery = await ground.take()
    await ground.bus.withdraw(ground.service, "r1")

    assert await ground.bus.finish(delivery, "a", b"reply") == "cancelled"
    assert await ground.replies("asker") == []
    assert await ground.bus.finish(delivery, "a", b"cancelled", cancelled=True) == "sent"
    assert await ground.replies("asker") == [b"cancelled"]


async def test_no_more_wait_than_the_limit_and_who_is_refused_is_told(server: object, unique_name: str) -> None:
    from contracts.bus_contract import MemoryGround
    from evolve.messaging.memory_bus import MemoryBus

    ground = MemoryGround(unique_name)
    ground.bus = MemoryBus(clock=ground.clock, max_queued=2)
    await _fills_up(ground)


async def test_no_more_wait_on_redis_than_the_limit(redis_ground: RedisGround) -> None:
    redis_ground.bus = RedisBus(redis_ground.redis, max_queued=2)
    await _fills_up(redis_ground)


async def _fills_up(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await register(ground, "r1")
    await register(ground, "r2")

    with pytest.raises(Busy, match=r"has 2 requests waiting"):
        await register(ground, "r3")
    assert (await ground.bus.queue(ground.service)).queued == 2


async def test_a_reader_that_lives_on_leaves_what_it_read_to_be_forgotten(redis_ground: RedisGround) -> None:
    """Its stream never expires; a day of a busy client would be gigabytes."""
    await redis_ground.bus.open(redis_ground.service)
    replies, now_ms = keys.replies(redis_ground.service, "asker"), int((await redis_ground.redis.time())[0]) * 1000
    for number in range(250):  # the server forgets by whole pieces of a stream, of a hundred
        await redis_ground.redis.xadd(replies, {"m": b"read"}, id=f"{now_ms - 2 * UNREAD_MS}-{number}")
    await redis_ground.redis.xadd(replies, {"m": b"may be unread"}, id=f"{now_ms - UNREAD_MS // 2}-0")

    await redis_ground.bus.finish(await redis_ground.begun("r1", reply_to="asker"), "a", b"reply")

    assert await redis_ground.redis.xlen(replies) < 150
    assert (await redis_ground.replies("asker"))[-2:] == [b"may be unread", b"reply"]


# --- many at once ---


async def test_many_finished_at_once_are_each_held_to_their_lease(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    for number in range(40):
        await register(ground, f"r{number}")
    deliveries = await ground.bus.receive(ground.service, "light", "a", 40, block_s=BLOCK_S)
    await ground.bus.finish(deliveries[7], "a", b"before")
    await ground.bus.withdraw(ground.service, "r9")

    finished = await ground.bus.finish_many([(d, d.request_id.encode()) for d in deliveries if d.request_id], "a")

    assert [f for f in finished if f != "sent"] == ["lost", "cancelled"]
    assert (finished[7], finished[9]) == ("lost", "cancelled")
    others = [f"r{n}".encode() for n in range(40) if n not in (7, 9)]
    assert await ground.replies("asker") == [b"before", *others]


async def test_a_replica_that_holds_more_than_one_look_shows_loses_none(redis_ground: RedisGround) -> None:
    await redis_ground.bus.open(redis_ground.service)
    for number in range(600):
        await register(redis_ground, f"r{number}")
    deliveries = await redis_ground.bus.receive(redis_ground.service, "light", "a", 600, block_s=BLOCK_S)

    last = deliveries[-5:]
    assert await redis_ground.bus.finish_many([(d, b"reply") for d in last], "a") == ["sent"] * 5


async def test_many_begun_at_once_get_each_its_own_answer(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await ground.bus.finish(await ground.begun("r0"), "a", b"reply")
    for id in ("r0", "r1", "r2", "r1"):
        await ground.send(id)
    deliveries = await ground.bus.receive(ground.service, "light", "a", 4, block_s=BLOCK_S)

    begun = await asyncio.gather(*(ground.bus.begin(d, "a", "content", None) for d in deliveries))

    assert begun == ["answered", "run", "run", "joined"]


# --- put off ---


async def test_what_is_put_off_comes_back_as_the_next_attempt_when_it_is_due(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await put_off(ground, "r1", delay_s=10)

    assert await ground.bus.resume(ground.service) == 0
    assert await ground.nothing_for()
    assert (await ground.bus.queue(ground.service)).queued == 1
    await ground.pass_time(10)

    assert await ground.bus.resume(ground.service) == 1
    again = await ground.take("b")
    assert (again.request_id, again.attempt, again.raw) == ("r1", 2, b"{}")
    assert await ground.bus.begin(again, "b", "content", None) == "run"
    assert await ground.bus.finish(again, "b", b"reply") == "sent"


async def test_what_came_back_counts_its_attempts_on(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await put_off(ground, "r1", delay_s=1)
    await ground.pass_time(1)
    await ground.bus.resume(ground.service)
    again = await ground.take("b")
    await ground.bus.release(again, "b")

    [given_back] = await ground.reclaim("c")
    await ground.pass_time(10)
    [lapsed] = await ground.reclaim("d")

    assert (given_back.attempt, lapsed.attempt) == (2, 3)


async def test_every_run_of_a_request_has_a_higher_fence_than_the_run_before(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    first = await ground.begun("r1", "a")
    await ground.pass_time(10)
    [taken_over] = await ground.reclaim("b")
    assert await ground.bus.postpone(taken_over, "b", delay_s=1, made=taken_over.attempt)
    await ground.pass_time(1)
    await ground.bus.resume(ground.service)
    put_off = await ground.take("c")

    runs = [fence_of(delivery.entry, delivery.attempt) for delivery in (first, taken_over, put_off)]
    assert runs == sorted(set(runs))


async def test_a_request_sent_again_while_it_is_put_off_waits_for_the_same_reply(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await put_off(ground, "r1", delay_s=5)
    await ground.send("r1")

    assert await ground.bus.begin(await ground.take("b"), "b", "content", "second") == "joined"
    await ground.pass_time(5)
    await ground.bus.resume(ground.service)
    await ground.bus.finish(await ground.take("b"), "b", b"reply")
    assert await ground.replies("second") == [b"reply"]


async def test_what_is_withdrawn_while_it_is_put_off_is_due_at_once(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    await put_off(ground, "r1", delay_s=3600)
    await ground.bus.withdraw(ground.service, "r1")

    assert await ground.bus.resume(ground.service) == 1
    assert await ground.bus.begin(await ground.take("b"), "b", "content", None) == "cancelled"


async def test_a_replica_that_lost_its_lease_cannot_put_a_request_off(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    zombie = await ground.begun("r1", "a")
    await ground.pass_time(10)
    await ground.reclaim("b")

    assert not await ground.bus.postpone(zombie, "a", delay_s=1, made=1)
    assert (await ground.bus.queue(ground.service)).queued == 1


async def test_a_replica_that_lost_its_lease_cannot_refuse_a_request(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    zombie = await ground.begun("r1", "a")
    await ground.pass_time(10)
    [taken] = await ground.reclaim("b")

    await ground.bus.refuse(zombie, "a", b"error", "asker", reason="malformed")

    assert await ground.replies("asker") == []
    assert await ground.bus.dead_letters(ground.service) == []
    assert not (await ground.bus.extend(ground.service, [taken], "b")).lost


# --- limits ---


async def test_a_client_may_be_ten_seconds_of_its_rate_ahead_and_no_more(ground: Ground) -> None:
    """60 a minute: ten at once, then one each second."""

    async def admitted(client: str = "one", kind: str = "t") -> float:
        return await ground.bus.admit(ground.service, client, kind, per_minute=60)

    assert [await admitted() for _ in range(10)] == [0.0] * 10
    assert 0.5 < await admitted() <= 1.0
    assert await admitted("two") == 0.0
    assert await admitted(kind="other") == 0.0


# --- dead letters ---


async def bury(ground: Ground, request_id: str, *, lane: str = "light") -> str:
    await ground.send(request_id, b"the request", lane=lane)  # type: ignore[arg-type]
    delivery = await ground.take(lane=lane)  # type: ignore[arg-type]
    await ground.bus.begin(delivery, "a", CONTENT, None)
    assert await ground.bus.finish(delivery, "a", b"error", dead="job_died: given up") == "sent"
    return (await ground.bus.dead_letters(ground.service))[0].entry


async def test_a_dead_letter_is_shown_with_its_bytes_reason_id_and_attempts(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    entry = await bury(ground, "r1")

    letter = await ground.bus.dead_letter(ground.service, entry)

    assert letter is not None
    assert (letter.raw, letter.reason, letter.request_id, letter.attempts) == (
        b"the request", "job_died: given up", "r1", 1,
    )  # fmt: skip
    assert await ground.bus.dead_letter(ground.service, "9-9") is None


async def test_a_dead_letter_that_is_retried_runs_again_under_its_id_in_its_lane(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    entry = await bury(ground, "r1", lane="heavy")

    assert await ground.bus.revive(ground.service, entry) == "r1"

    again = await ground.take("b", lane="heavy")
    assert (again.raw, again.request_id, again.attempt) == (b"the request", "r1", 1)
    assert await ground.bus.begin(again, "b", CONTENT, None) == "run"
    assert await ground.bus.dead_letters(ground.service) == []
    assert await ground.bus.revive(ground.service, entry) is None


async def test_a_dead_letter_can_be_dropped(ground: Ground) -> None:
    await ground.bus.open(ground.service)
    entry = await bury(ground, "r1")

    assert await ground.bus.drop_dead(ground.service, entry)
    assert not await ground.bus.drop_dead(ground.service, entry)
    assert await ground.bus.dead_letters(ground.service) == []


# --- large replies (Redis only) ---


async def test_a_large_reply_is_kept_once_and_read_by_all_who_wait(redis_ground: RedisGround) -> None:
    await redis_ground.bus.open(redis_ground.service)
    running = await redis_ground.begun("r1", reply_to="first")
    await redis_ground.send("r1")
    await redis_ground.bus.begin(await redis_ground.take("b"), "b", "content", "second")
    large = b"x" * (LARGE_REPLY + 1)

    assert await redis_ground.bus.finish(running, "a", large) == "sent"

    for reader in ("first", "second"):
        assert await redis_ground.replies(reader) == [large]
        stream = redis_ground.key(f"replies:{reader}")
        assert int(await redis_ground.command("MEMORY", "USAGE", stream)) < LARGE_REPLY / 4  # type: ignore[call-overload]
