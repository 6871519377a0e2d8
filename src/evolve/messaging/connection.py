"""Which server do we talk to? From settings to a connected client, by the rules of the contract.

REDIS_URL wins. A host, port or db that differs from the defaults is used as given, and never replaced by another server.
The defaults mean "as configured": the server chosen with `evolve config`, else, with a password or TLS, the user's own at
localhost:6379, else the embedded one of this home.
"""

from __future__ import annotations

import contextlib
import json
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError

from evolve.errors import InvalidRequest
from evolve.messaging import embedded
from evolve.messaging.redis_bus import RedisBus
from evolve.settings import Settings

SOCKET_TIMEOUT_S = 4.0  # twice the longest BLOCK we send; a server silent for longer counts as gone


@dataclass(frozen=True, slots=True)
class Server:
    """A server to connect to. kind: `embedded` (ours, in this home), `configured` or `given` (the user's own)."""

    url: str
    kind: str

    @property
    def redis_cli(self) -> str:
        """The command line that opens this server, without its password."""
        if self.url.startswith("unix://"):
            return f"redis-cli -s {unquote(self.url.removeprefix('unix://').partition('?')[0])}"
        return f"redis-cli -u {_without_password(self.url)}"


def server_for(settings: Settings) -> Server:
    """The server these settings mean. Starts nothing."""
    if settings.redis_url:
        return Server(settings.redis_url, "given")
    if not settings.redis_is_default:
        return Server(_url(settings), "given")
    chosen = configured_url(settings.home)
    if chosen:
        return Server(chosen, "configured")
    if settings.redis_tls or settings.redis_password or settings.redis_username:
        return Server(_url(settings), "given")  # ours has neither: a server of the user's at the usual place is meant
    return Server(f"unix://{quote(str(embedded.socket_path(settings.home)))}?db=0", "embedded")


def configured_url(home: Path) -> str | None:
    """What `evolve config redis URL` stored, or None."""
    try:
        return json.loads((home / "config.json").read_text()).get("redis_url") or None
    except OSError:
        return None  # no choice was stored; a home that cannot be used is named where something is written to it
    except (json.JSONDecodeError, AttributeError, UnicodeDecodeError):
        raise InvalidRequest(f"{home / 'config.json'} is not JSON; mend it or delete it") from None


def client_for(settings: Settings, *, server: Server | None = None) -> Redis:
    """An asyncio client; connects at the first command. Raises InvalidRequest for a URL that is none."""
    server = server or server_for(settings)
    scheme = server.url.partition("://")[0]
    options: dict[str, Any] = {
        # RESP2: the same answers from Redis 6.2 to 8 and Valkey.
        "protocol": 2,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": 3.0,
    }
    if settings.redis_username:
        options["username"] = settings.redis_username
    if settings.redis_password:
        options["password"] = settings.redis_password
    if scheme.startswith("rediss"):
        options |= _tls(settings)
    try:
        if scheme.endswith("+cluster"):
            return _cluster(server.url, options)
        # About a second in all: rides over a restart, and still tells the user soon that nobody is there.
        # Only refused or broken connections: a server that is silent was waited for once already.
        options["retry"] = Retry(ExponentialBackoff(cap=0.4, base=0.05), retries=4, supported_errors=(ConnectionError,))
        options["health_check_interval"] = 30
        client = (
            _sentinel(server.url, options)
            if scheme.endswith("+sentinel")
            # `from_pool` owns the pool: closing the client closes its connections too.
            else Redis.from_pool(ConnectionPool.from_url(server.url, **options))
        )
    except ValueError as error:
        raise InvalidRequest(
            f"REDIS_URL is not valid: {error}; use redis://host:port/db, rediss://…, unix:///path, "
            "redis+sentinel://host:port,host:port/name or redis+cluster://host:port"
        ) from None
    # Answers as the server sent them: the bus reads them itself, and the converters cost a third of a command.
    client.response_callbacks.clear()
    return client


def _tls(settings: Settings) -> dict[str, str]:
    """Whom to trust, and this client's own certificate. Raises InvalidRequest when a file of them is not there: TLS would only say "no such file"."""
    named = {
        "ssl_ca_certs": ("REDIS_CA_CERTS", settings.redis_ca_certs),
        "ssl_certfile": ("REDIS_CERTFILE", settings.redis_certfile),
        "ssl_keyfile": ("REDIS_KEYFILE", settings.redis_keyfile),
    }
    for variable, path in named.values():
        if path and not Path(path).is_file():
            raise InvalidRequest(f"{variable} names {path}, and there is no such file")
    return {option: path for option, (_, path) in named.items() if path}


class _Sentinels(Sentinel):
    """Asked in turn for the primary, first the one that knew it last."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        # The library moves that one to the front of its list by the place it had before it was asked. Connections that ask at
        # once share the list: each such pair then had one Sentinel twice, and another no more, neither asked nor closed.
        mine = copy(self)
        mine.sentinels = list(self.sentinels)
        found: tuple[str, int] = await Sentinel.discover_master(mine, service_name)
        self.sentinels.sort(key=lambda sentinel: sentinel is not mine.sentinels[0])
        return found


class _Watched(Redis):
    """A client found by Sentinels, which closes its connections to them too."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        pool = cast("SentinelConnectionPool", self.connection_pool)
        async with contextlib.AsyncExitStack() as closing:  # all of them, whatever becomes of the others
            for sentinel in pool.sentinel_manager.sentinels:
                closing.push_async_callback(sentinel.aclose)
            closing.push_async_callback(super().aclose, close_connection_pool)


def _sentinel(url: str, options: dict[str, Any]) -> Redis:
    """The primary of `redis+sentinel://host:port,host:port/name/db`, whichever it is by then."""
    hosts, path, credentials, tls = _parts_of(url, port=26_379)
    name, _, db = path.partition("/")
    if not name:
        raise ValueError("a Sentinel's URL ends with the name of its primary")
    options |= credentials | ({"ssl": True} if tls else {})
    # One that is silent is passed over at once: by itself the library would try it ten times, for a quarter of a minute.
    watchers: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        "retry": Retry(NoBackoff(), 0),
    }
    watchers |= {"ssl": True} if tls else {}
    watchers |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    sentinel = _Sentinels(hosts, sentinel_kwargs=watchers)  # type: ignore[no-untyped-call]
    # A failover takes seconds: until then the old primary is away and there is no new one.
    options["retry"] = Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=14, supported_errors=(ConnectionError,))
    client: Redis = sentinel.master_for(name, redis_class=_Watched, db=int(db or 0), **options)
    return client


def _cluster(url: str, options: dict[str, Any]) -> Redis:
    """A Cluster. Every key of a service carries the service's name as hash tag, so its scripts run on one node."""
    hosts, path, credentials, tls = _parts_of(url, port=6_379)
    if path not in ("", "0"):
        raise InvalidRequest(
            f"a Redis Cluster has only database 0, not {path!r}: leave REDIS_DB and the path of the URL at 0"
        )
    options |= credentials
    client = RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in hosts], ssl=tls, **options)
    for command in [name for name in client.response_callbacks if not name.startswith(("COMMAND", "CLUSTER"))]:
        del client.response_callbacks[command]  # as above; the others serve the client itself
    return cast("Redis", client)


def _parts_of(url: str, *, port: int) -> tuple[list[tuple[str, int]], str, dict[str, str], bool]:
    """Hosts, path, credentials and whether TLS is meant, of a URL that may name several hosts."""
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    login, at, names = place.rpartition("@")
    username, _, password = login.partition(":")
    credentials = {"username": unquote(username), "password": unquote(password)} if at else {}
    hosts = []
    for name in names.split(","):
        host, colon, number = name.rpartition(":")
        if colon and not number.isdecimal():
            raise ValueError(f"{number!r} is no port")
        hosts.append((host.strip("[]") if colon else name, int(number) if colon else port))
    if not all(host for host, _ in hosts):
        raise ValueError("it names no host")
    return (
        hosts,
        path.partition("?")[0],
        {key: value for key, value in credentials.items() if value},
        scheme.startswith("rediss"),
    )


def bus_for(settings: Settings) -> RedisBus:
    """The bus these settings mean; starts the embedded server when it is the one meant and down. Raises InvalidRequest."""
    server = server_for(settings)
    if server.kind == "embedded":
        embedded.ensure(settings.home)
    if settings.redis_wait_replicas and "+cluster" in server.url.partition("://")[0]:
        raise InvalidRequest(
            "REDIS_WAIT_REPLICAS works with one primary (Sentinel), not with a Cluster; unset it, and set min-replicas-to-write there"
        )
    return RedisBus(
        client_for(settings, server=server),
        done_retention_s=settings.done_retention_s,
        max_queued=settings.max_queued,
        wait_replicas=settings.redis_wait_replicas,
    )


def _url(settings: Settings) -> str:
    scheme = "rediss" if settings.redis_tls else "redis"
    host = f"[{settings.redis_host}]" if ":" in settings.redis_host else settings.redis_host
    return f"{scheme}://{host}:{settings.redis_port}/{settings.redis_db}"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    credentials, at, address = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{address}" if at else url
