"""Several hosts on one machine: network namespaces joined by a switch of ours, whose links can be cut, slowed and made lossy.

Each host has an address of its own and sees the others through a TAP device; the frames pass one process (`network_switch`), which
drops and delays them by seeded dice. TCP runs above it in the kernel as ever: what is lost it sends again, what is cut is silence and
no refusal. (The kernel's own netem would do, where a machine has it; a switch needs only /dev/net/tun.)

The switch ends with this process, however it ends, and the devices with the switch; names carry the process's number, so that whoever
comes next removes what a killed test left.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

NAMESPACES = Path("/run/netns")
FOLDERS = Path("/tmp")  # short, and open to other users: sockets lie there, and a PostgreSQL that is not root
TUN = Path("/dev/net/tun")
PREFIX = "evnet"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
PATIENCE_S = 30.0

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def missing() -> str:
    """What this machine lacks for hosts of its own; empty where nothing is."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs the package iproute2"
    if not TUN.exists():
        return f"needs {TUN}"
    probe = f"{PREFIX}-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces are not allowed here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return ""


class Network:
    """Hosts by name, all joined. Use as a context manager."""

    def __init__(self, hosts: Sequence[str], *, seed: int = 0) -> None:
        self.seed = seed
        self._numbers = {host: number for number, host in enumerate(hosts, start=1)}
        self._mark = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._switch: subprocess.Popen[str] | None = None

    def address(self, host: str) -> str:
        return f"10.77.0.{self._numbers[host]}"

    # --- links ---

    def set_link(self, a: str, b: str, *, delay_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0, cut: bool = False) -> None:  # fmt: skip
        """What frames between two hosts meet, in each direction: `delay_s` to `delay_s + jitter_s`, and of `loss` (a fraction) none arrives."""
        self._tell(
            ends=[self._numbers[a], self._numbers[b]], delay_s=delay_s, jitter_s=jitter_s, loss=1.0 if cut else loss
        )

    def cut(self, host: str, *others: str) -> None:
        """Nothing passes between `host` and `others` (none named: everybody), not even a refusal."""
        for other in others or self._others(host):
            self.set_link(host, other, cut=True)

    def join(self, host: str, *others: str) -> None:
        """As new again."""
        for other in others or self._others(host):
            self.set_link(host, other)

    def dropped(self) -> int:
        """How many frames the switch has dropped."""
        return self._tell()["dropped"]

    def passed(self) -> int:
        """How many it has passed on."""
        return self._tell()["passed"]

    def _others(self, host: str) -> list[str]:
        return [other for other in self._numbers if other != host]

    def _tell(self, **change: object) -> dict[str, int]:
        assert self._switch is not None
        assert self._switch.stdin is not None
        assert self._switch.stdout is not None
        self._switch.stdin.write(json.dumps(change) + "\n")
        self._switch.stdin.flush()
        answer: dict[str, int] = json.loads(self._switch.stdout.readline())
        return answer

    # --- what runs there ---

    @contextlib.contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Sockets that this thread opens within the block, and processes it starts, are on `host`. Others of the process are not."""
        with open("/proc/thread-self/ns/net", "rb") as before:
            _enter(NAMESPACES / self._name(host))
            try:
                yield
            finally:
                _set_namespace(before.fileno())

    # --- life ---

    def __enter__(self) -> Network:
        sweep()
        taps: list[int] = []
        try:
            for host in self._numbers:
                _ip("netns", "add", self._name(host))
                with self.inside(host):
                    taps.append(_tap())
                self._configure(host)
            switch = Path(__file__).with_name("network_switch.py")
            self._switch = subprocess.Popen(
                [sys.executable, "-S", str(switch), str(self.seed), *map(str, taps)],
                pass_fds=taps, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            self._tell()  # it answers: it is there
        except BaseException:
            self._remove()
            raise
        finally:
            for tap in taps:
                os.close(tap)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._remove()

    def _configure(self, host: str) -> None:
        number = self._numbers[host]
        # Everybody knows everybody's device from the start: what a cut link must not do is to make a host forget who is where.
        neighbours = "".join(
            f"neigh add 10.77.0.{other} lladdr 02:00:00:00:00:{other:02x} dev eth0 nud permanent\n"
            for other in self._numbers.values()
            if other != number
        )
        batch = (
            f"link set lo up\nlink set eth0 address 02:00:00:00:00:{number:02x}\nlink set eth0 up\n"
            f"addr add {self.address(host)}/24 dev eth0\n{neighbours}"
        )
        _ip("-n", self._name(host), "-batch", "-", said=batch)

    def _remove(self) -> None:
        if self._switch is not None:
            self._switch.kill()
            self._switch.wait()
            for pipe in (self._switch.stdin, self._switch.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._switch = None
        for host in self._numbers:
            _delete(self._name(host))

    def _name(self, host: str) -> str:
        return f"{self._mark}-{host}"


def sweep() -> list[str]:
    """End and remove what tests that were killed left behind; the names of what was removed."""
    left = []
    for place in _without_owner(NAMESPACES):
        _delete(place.name)
        left.append(place.name)
    for place in _without_owner(FOLDERS):
        if place.is_mount():
            subprocess.run(["umount", "-l", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)
        left.append(place.name)
    return left


def _without_owner(places: Path) -> list[Path]:
    """Whose name carries the number of a process that is no more."""
    named = sorted(places.glob(f"{PREFIX}-*")) if places.exists() else []
    return [place for place in named if not Path(f"/proc/{place.name.split('-')[1]}").exists()]


def _delete(name: str) -> None:
    """With the processes in it: without a name nobody would find them."""
    if not (NAMESPACES / name).exists():
        return
    for pid in _ip("netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _ip("netns", "del", name)


def _tap() -> int:
    """A new device eth0 of the namespace this thread is in; it is there as long as somebody holds it open."""
    tap = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
    Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("1")
    return tap


def _enter(place: Path) -> None:
    with open(place, "rb") as namespace:
        _set_namespace(namespace.fileno())


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _ip(*words: str, said: str = "") -> str:
    done = subprocess.run(["ip", *words], input=said, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def new_folder() -> Path:
    """For servers and homes; `sweep` removes those of tests that were killed."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=FOLDERS))


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own that holds `size` ("4m") at most, in memory."""
    sweep()
    place = new_folder()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", PREFIX, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
