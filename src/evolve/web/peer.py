"""Who is at the other end of a connection on this machine? The kernel knows which user owns that socket.

What the same user could do by the command line needs no token over loopback; another user of the machine is a stranger.
Linux tells by `/proc/net/tcp`; where it does not, nobody is known, and everybody needs a token.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED = "01"

Address = tuple[str, int]


def is_loopback(host: str) -> bool:
    try:
        return _mapped(host).is_loopback
    except ValueError:
        return False


def tells_users() -> bool:
    """Whether this machine says who owns a connection."""
    return sys.platform == "linux" and TABLES[0].is_file()


def is_same_user(client: Address, server: Address) -> bool:
    """Whether the program that connected from `client` to `server`, both on loopback, runs as our own user.

    Asked while the connection is open, so that its four numbers are nobody else's.
    """
    if not (is_loopback(client[0]) and is_loopback(server[0])):
        return False
    return owner_of(client, server) == os.getuid()


def owner_of(local: Address, remote: Address) -> int | None:
    """The user id of the socket at `local` that is connected to `remote`; None where the kernel does not say."""
    wanted = {(_hex(*local, wide=wide), _hex(*remote, wide=wide)) for wide in (False, True)}
    for table in TABLES:
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            # Only an open one: what is closing belongs to the kernel, which says user 0 for it.
            if (fields[1], fields[2]) in wanted and fields[3] == ESTABLISHED:
                return int(fields[7])
    return None


def _hex(host: str, port: int, *, wide: bool) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's byte order. wide: as IPv6, mapped if need be."""
    address = _mapped(host)
    if wide and isinstance(address, ipaddress.IPv4Address):
        packed = ipaddress.IPv6Address(f"::ffff:{address}").packed
    elif not wide and isinstance(address, ipaddress.IPv6Address):
        return ""  # it stands in the other table
    else:
        packed = address.packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    ordered = [word[::-1] if sys.byteorder == "little" else word for word in words]
    return f"{b''.join(ordered).hex().upper()}:{port:04X}"


def _mapped(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that came by an IPv6 socket is the IPv4 address. Raises ValueError for a name."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def socket_address(name: object) -> Address | None:
    """Host and port of what a transport says of itself; None for a Unix socket."""
    if isinstance(name, tuple) and len(name) >= 2 and isinstance(name[0], str):
        return name[0], int(name[1])
    return None
