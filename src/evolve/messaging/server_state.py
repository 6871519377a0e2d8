"""How is the server itself? What INFO says of each node, and how long a round trip takes."""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from evolve.messaging.bus import ServerState


async def look(client: Redis | RedisCluster, address: str) -> list[ServerState]:
    """One state per node that answers. Raises the library's errors."""
    if isinstance(client, RedisCluster):
        nodes = client.get_nodes()
        return [await _state(client, node.name, target_nodes=node) for node in nodes]
    return [await _state(client, address)]


async def _state(client: Redis | RedisCluster, node: str, **target: Any) -> ServerState:
    started = time.perf_counter()
    await client.execute_command("PING", **target)
    ping_s = time.perf_counter() - started
    answer = await client.execute_command("INFO", **target)
    if isinstance(answer, dict) and node in answer:  # a Cluster's client tells answers by node
        answer = answer[node]
    return state_of(answer if isinstance(answer, dict) else parsed(answer), node, ping_s)


def parsed(raw: bytes | str) -> dict[str, str]:
    """`name:value` lines; headings and what is unknown to us are left where they are."""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def state_of(info: dict[str, Any], node: str, ping_s: float) -> ServerState:
    """Raises KeyError for what is no INFO of a Redis or Valkey."""
    return ServerState(
        node=node,
        uptime_s=float(info["uptime_in_seconds"]),
        ping_s=ping_s,
        memory_used_bytes=int(info["used_memory"]),
        memory_max_bytes=int(info.get("maxmemory", 0)),
        evicted_keys=int(info["evicted_keys"]),
        connected_clients=int(info["connected_clients"]),
        rejected_connections=int(info["rejected_connections"]),
        commands=int(info["total_commands_processed"]),
        aof_enabled=str(info["aof_enabled"]) == "1",
        aof_last_write_ok=str(info.get("aof_last_write_status", "ok")) == "ok",
        # Only a server that keeps an append-only file says how often a write had to wait for the disk.
        aof_delayed_fsyncs=int(info.get("aof_delayed_fsync", 0)),
    )
