"""Servers as users run them: with a password, TLS, Sentinel, or as a Cluster. Debian's `redis-server`, on free ports."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import until

Address = tuple[str, int]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; also not ten thousand above, where a Cluster's nodes meet."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            other = held.enter_context(socket.socket())
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 10_000))
                found.append(port)
        return found


def program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("package redis-server (it brings redis-cli too) is not installed")
    return found


def cli(*words: object, tls: Path | None = None) -> str:
    options = ["--tls", "--cacert", str(tls / "ca.crt")] if tls else []
    done = subprocess.run(
        ["redis-cli", *options, *map(str, words)], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip() or done.stderr.strip()


@contextlib.contextmanager
def redis_server(*options: object, port: int | None = None, ping: list[object] | None = None) -> Iterator[int]:
    """One server; the port it listens on. `ping` are the words that reach it, if not only `-p port`."""
    port = port or free_ports(1)[0]
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    words = [program(), *map(str, options)]
    if "--sentinel" not in words:
        words += ["--dir", str(folder), "--save", ""]
    if "--tls-port" not in words:
        words += ["--port", str(port)]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        reach = ping or ["-p", port]
        until(
            lambda: any(word in cli(*reach, "ping") for word in ("PONG", "NOAUTH", "NOPERM")),
            what=f"the server; its log: {(folder / 'log').read_text()[-400:]}",
        )
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def certificates(folder: Path) -> Path:
    """A certificate authority of our own, and a certificate for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("package openssl is not installed")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    (folder / "san").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nkeyUsage=digitalSignature,keyEncipherment\n"
    )
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=tests", "-keyout", "ca.key",
            "-out", "ca.crt", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"
    )
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
            "-extfile", "san", "-out", "server.crt")  # fmt: skip
    return folder


@contextlib.contextmanager
def cluster(nodes: int = 3) -> Iterator[list[int]]:
    """A Cluster of primaries; their ports."""
    ports = free_ports(nodes)
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(
                redis_server(
                    "--cluster-enabled", "yes", "--appendonly", "yes", "--cluster-node-timeout", "2000", port=port
                )
            )
        made = cli("--cluster", "create", *(f"127.0.0.1:{port}" for port in ports), "--cluster-yes")
        assert "All 16384 slots covered" in made, made
        until(
            lambda: all("cluster_state:ok" in cli("-p", port, "cluster", "info") for port in ports), what="the Cluster"
        )
        yield ports


@contextlib.contextmanager
def watched(name: str = "mymaster") -> Iterator[tuple[int, list[int], list[int]]]:
    """A primary with a replica and three Sentinels: the primary's port, both servers' ports, the Sentinels' ports."""
    first, second, *watchers = free_ports(5)
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(redis_server("--appendonly", "yes", port=first))
        stack.enter_context(redis_server("--appendonly", "yes", "--replicaof", f"127.0.0.1 {first}", port=second))
        until(lambda: "master_link_status:up" in cli("-p", second, "info", "replication"), what="the replica")
        for port in watchers:
            (folder / f"{port}.conf").write_text(
                f"port {port}\ndir {folder}\nsentinel monitor {name} 127.0.0.1 {first} 2\n"
                f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n"
            )
            stack.enter_context(redis_server(folder / f"{port}.conf", "--sentinel", port=port))
        for port in watchers:
            until(
                lambda port=port: "sentinels=3" in cli("-p", port, "info", "sentinel"),  # type: ignore[misc]
                what="the Sentinels to know each other",
            )
        yield first, [first, second], watchers
