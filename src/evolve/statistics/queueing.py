"""How long does work wait for a free server? Analytic approximations for the queue M/G/c and its kin.

Times are seconds, rates per second. `scv` is a squared coefficient of variation (variance over squared mean): 1 for exponential times
or Poisson arrivals, 0 for what never varies. One waiting line, served in the order of arrival, that may grow without bound.

Sources: A. K. Erlang (1917), Solution of some problems in the theory of probabilities; J. F. C. Kingman (1961), The single server queue in heavy
traffic, Proc. Cambridge Phil. Soc. 57; A. O. Allen (1990), Probability, Statistics and Queueing Theory, 2nd ed., section 5.4 (the formula of
Allen and Cunneen); W. Whitt (1993), Approximations for the GI/G/m queue, Production and Operations Management 2(2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """What one server needs for one request."""

    mean_s: float
    scv: float

    @classmethod
    def fitted(cls, seconds: Sequence[float]) -> ServiceTime:
        """The moments of a sample of at least two (ddof=1). Raises ValueError for fewer, or for none above zero."""
        if len(seconds) < 2 or not (mean := math.fsum(seconds) / len(seconds)) > 0:
            raise ValueError("a service time is fitted to at least two measurements, not all of them zero")
        variance = math.fsum((each - mean) ** 2 for each in seconds) / (len(seconds) - 1)
        return cls(mean, variance / mean**2)

    @classmethod
    def mixed(cls, parts: Sequence[tuple[float, ServiceTime]]) -> ServiceTime:
        """Of requests of several kinds, each with its share (weights; they need not add up to one)."""
        total = math.fsum(weight for weight, _ in parts)
        mean = math.fsum(weight * part.mean_s for weight, part in parts) / total
        second = math.fsum(weight * part.mean_s**2 * (1 + part.scv) for weight, part in parts) / total
        return cls(mean, second / mean**2 - 1)


@dataclass(frozen=True, slots=True)
class Queue:
    """arrivals: per second. arrivals_scv: of the times between them."""

    arrivals: float
    service: ServiceTime
    servers: int
    arrivals_scv: float = 1.0

    @property
    def utilisation(self) -> float:
        return self.arrivals * self.service.mean_s / self.servers

    @property
    def waits(self) -> float:
        """The probability that a request finds all servers busy (Erlang C; exact for M/M/c). 1 for a queue that only grows."""
        if self.utilisation >= 1:
            return 1.0
        return erlang_c(self.servers, self.arrivals * self.service.mean_s)

    @property
    def mean_wait_s(self) -> float:
        """Allen–Cunneen: the wait of M/M/c times the mean of both scv. Exact for M/M/c and M/G/1, Kingman's bound in heavy traffic for one server."""
        if self.utilisation >= 1:
            return math.inf
        exponential = self.waits * self.service.mean_s / (self.servers * (1 - self.utilisation))
        return exponential * (self.arrivals_scv + self.service.scv) / 2

    def wait_quantile_s(self, q: float) -> float:
        """The wait that a share `q` of requests stays below; 0 where more than that are served at once.

        Who waits is taken to wait for an exponential time of mean `mean_wait_s / waits` (Whitt 1993, section 4): exact for M/M/c.
        """
        if self.utilisation >= 1:
            return math.inf
        if self.waits <= 1 - q or not self.mean_wait_s:
            return 0.0
        return self.mean_wait_s / self.waits * math.log(self.waits / (1 - q))


def erlang_c(servers: int, offered: float) -> float:
    """The probability to wait in M/M/c. offered: erlangs (arrival rate × mean service time), below `servers`."""
    blocked = 1.0  # Erlang B, by its recursion: factorials of hundreds of servers overflow
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def servers_for(
    arrivals: float, service: ServiceTime, *, wait_s: float, q: float = 0.95, arrivals_scv: float = 1.0
) -> int:
    """The fewest servers with which a share `q` waits for no longer than `wait_s`."""
    servers = math.floor(arrivals * service.mean_s) + 1
    while Queue(arrivals, service, servers, arrivals_scv).wait_quantile_s(q) > wait_s:
        servers += 1
    return servers
