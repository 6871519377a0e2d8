"""Where does the bus keep what in Redis? One name per thing; the ACL and the tests use the same ones.

All keys of a service carry its name as hash tag, so that one script reaches them on a Cluster too.
"""

from __future__ import annotations

from evolve.messaging.bus import Lane

GROUP = "replicas"  # the consumer group of every stream of requests


def requests(service: str, lane: Lane) -> str:
    """Stream: `m` envelope, `i` request id, `n` named, `r` its id was registered with it, `a` attempts made before."""
    return f"evolve:{{{service}}}:requests:{lane}"


def state(service: str, request_id: str) -> str:
    """Hash: `hash` of the content, `at` lane and entry, `state`, `reply`, and `to:<reader>` for each who waits."""
    return f"evolve:{{{service}}}:request:{request_id}"


def replies(service: str, reader: str = "") -> str:
    """Stream for one asker: `m` a reply or progress, or `ref` the id of a reply too large to be kept twice."""
    return f"evolve:{{{service}}}:replies:{reader}"


def delayed(service: str) -> str:
    """Sorted set: ids of requests that wait for their next attempt, by the millisecond when it is due."""
    return f"evolve:{{{service}}}:delayed"


def dead(service: str) -> str:
    """Stream of dead letters: `m` original bytes, `reason`, `attempts`, `i`, `n`, `lane`."""
    return f"evolve:{{{service}}}:dead"


def replicas(service: str) -> str:
    """Hash: replica → its last heartbeat, JSON."""
    return f"evolve:{{{service}}}:replicas"


def figures(service: str) -> str:
    """Hash: replica → what it counted since its start, JSON; `-` → the counts of all that left."""
    return f"evolve:{{{service}}}:figures"


def bridge(service: str) -> str:
    """Who holds the bridge's lease."""
    return f"evolve:{{{service}}}:bridge"


def entered(service: str) -> str:
    """List: when and what the bridge entered lately."""
    return f"evolve:{{{service}}}:entered"


def rate(service: str, client: str, wire_type: str) -> str:
    """When the next request of one kind by one client conforms to its rate."""
    return f"evolve:{{{service}}}:rate:{wire_type}:{client}"


def everything(service: str) -> str:
    """A pattern of all of them."""
    return f"evolve:{{{service}}}:*"
