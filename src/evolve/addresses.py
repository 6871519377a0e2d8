"""May this program connect there? Addresses that somebody else named are checked on the numbers they resolve to.

The connection is then made to these very numbers, so that a name which changes its answer between check and connection gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from evolve.errors import Forbidden

# Addresses that hold an IPv4 address: the outer one looks public, the inner one is where the packet goes.
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to public addresses only, by number. private: to those of this machine and its network too.

    refused: how the sentence of a refusal ends. Raises Forbidden from within a request.
    """

    def __init__(self, private: bool, *, refused: str = "it is not fetched") -> None:
        self._private = private
        self._refused = refused
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} is not known here: {error}") from None
        numbers = list(dict.fromkeys(str(each[4][0]) for each in found))
        for number in numbers:
            if not self._private and not is_public(number):
                raise Forbidden(
                    f"{host} is at {number}, an address of this machine or its own network; {self._refused}"
                )
        trouble: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for number in numbers:
            try:
                return self._plain.connect_tcp(number, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
        raise trouble or httpcore.ConnectError(f"{host} has no address")


def is_public(number: str) -> bool:
    """Whether an IP address is one of the open internet, also where it is wrapped in another."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return address.is_global and not address.is_multicast
