"""Who may touch what on the server? An ACL file: each service and the clients only their own keys and channels.

For Redis ≥ 7 and Valkey (it uses selectors). A service may do what it needs with its own keys, and ask the others as any
client: send, withdraw, and read replies that are addressed to it. A client cannot read what others send or are answered,
take requests, or answer them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence

from evolve.messaging import redis_keys as keys
from evolve.messaging.bus import LANES, control_channel, input_channel, output_channel

CLIENT = "client"
SUPERVISOR = "supervisor"
WEB = "web"  # pages and HTTP API: a client that may see how old the queues are and look after dead letters too
SCALER = "scaler"  # what starts replicas by what waits (deploy/kubernetes/keda)

CONNECT = "+ping +hello +auth +client|setname +client|id +select +command +cluster|slots +cluster|shards +info +time"
SCRIPTS = "+eval +evalsha +script|load"
# What a client's scripts and reads need (`send`, `withdraw`, `stored_reply`, `queue`, `replicas`).
ASK = "+wait +xadd +xlen +hset +hget +expire +zscore +zadd +zcard +hvals"
ANSWER = (
    "+xgroup|create +xgroup|delconsumer +xreadgroup +xautoclaim +xclaim +xpending +xack +xdel +xtrim +xread +xrange +xrevrange "
    "+hmget +hgetall +hkeys +hdel +del +exists +zrem +zrangebyscore +get +set +rpush +ltrim +lrange"
)
TALK = "+publish +subscribe +unsubscribe"


def acl_file(services: Sequence[str], passwords: Mapping[str, str]) -> str:
    """The file, for `aclfile`. Passwords go in as hashes."""
    lines = ["user default off resetchannels -@all", _user(CLIENT, passwords[CLIENT], _asks(CLIENT, services))]
    lines += [_user(name, passwords[name], [*_asks(name, services), _answers(name)]) for name in services]
    dead = [f"(~{keys.dead(name)} +xrange +xrevrange +xdel)" for name in services]
    ages = [f"(~{keys.requests(name, lane)} +xrange +xpending)" for name in services for lane in LANES]
    ages += [f"(~{keys.figures(name)} +hgetall)" for name in services]
    again = [
        f"(~{keys.state(name, '*')} +del)" for name in services
    ]  # a dead letter that is tried again forgets its error
    lines.append(_user(WEB, passwords[WEB], [*_asks(WEB, services), *dead, *ages, *again]))
    # It bridges, answers for services that are down, and is who looks after dead letters.
    channels = " ".join(channel for name in services for channel in _channels(name))
    supervisor = [CONNECT, SCRIPTS, ASK, ANSWER, TALK, "~evolve:*", channels]
    lines.append(_user(SUPERVISOR, passwords[SUPERVISOR], supervisor))
    lengths = [f"~{keys.requests(name, lane)}" for name in services for lane in LANES]
    lines.append(_user(SCALER, passwords[SCALER], [CONNECT, "+xlen", *lengths]))
    return "\n".join(lines) + "\n"


def users(services: Sequence[str]) -> list[str]:
    return [CLIENT, *services, WEB, SUPERVISOR, SCALER]


def new_password() -> str:
    return secrets.token_urlsafe(24)


def _user(name: str, password: str, rules: Sequence[str]) -> str:
    hashed = hashlib.sha256(password.encode()).hexdigest()
    return " ".join([f"user {name} on #{hashed} resetkeys resetchannels -@all", *rules])


def _answers(service: str) -> str:
    """A service does what it needs with its own keys and channels."""
    return f"(~{keys.everything(service)} {' '.join(_channels(service))} {SCRIPTS} {ASK} {ANSWER} {TALK})"


def _asks(asker: str, services: Sequence[str]) -> list[str]:
    """Who asks puts requests into queues and withdraws them, and reads only the replies to itself."""
    rules = [CONNECT, SCRIPTS, ASK]
    for service in services:
        rules += [f"~{keys.requests(service, lane)}" for lane in LANES]
        rules += [f"~{keys.state(service, '*')}", f"~{keys.delayed(service)}", f"~{keys.replicas(service)}"]
        rules += [f"~{keys.dead(service)}", f"(~{keys.replies(service, asker + '-*')} +xread)"]
        rules += [f"(&{input_channel(service)} &{control_channel(service)} +publish)"]
    # In one rule: the feed of the web server subscribes to all of them by one command, and one rule has to allow all of a command.
    outputs = " ".join(f"&{output_channel(service)}" for service in services)
    return [*rules, f"({outputs} +subscribe +unsubscribe)"]


def _channels(service: str) -> list[str]:
    return [f"&{channel(service)}" for channel in (input_channel, output_channel, control_channel)]
