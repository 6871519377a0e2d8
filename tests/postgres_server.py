"""A PostgreSQL of a test's own: a cluster in a directory of its own, on a Unix socket and a free port, never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PACKAGE = "postgresql"


def programs() -> Path | None:
    """The newest directory that holds initdb; None without the Debian package."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class PostgresServer:
    def __init__(self, place: Path, bin: Path, *, address: str = "127.0.0.1") -> None:
        """address: where it listens; whoever reaches it may do all."""
        self._data, self._bin = place / "data", bin
        self._place, self._address = place, address
        with socket.socket() as free:
            free.bind((address, 0))
            self.port = free.getsockname()[1]
        # initdb and postgres refuse to run as root.
        self._who = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._who:
            os.chown(place, self._who.pw_uid, self._who.pw_gid)
        self._run(
            "initdb",
            "-D",
            str(self._data),
            "-U",
            "evolve",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        if address != "127.0.0.1":
            with open(self._data / "pg_hba.conf", "a") as rules:
                rules.write("host all all samenet trust\n")

    @property
    def url(self) -> str:
        return f"postgresql://evolve@{self._address}:{self.port}/postgres"

    def start(self) -> None:
        # fsync stays on: what was committed must outlive the kill of a whole server, and the tests ask for that.
        options = f"-p {self.port} -k {self._place} -c listen_addresses={self._address} -c max_connections=60"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._place / "log"), "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """mode: fast (sessions are ended) or immediate (as a power cut, recovery at the next start)."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def kill(self) -> None:
        """SIGKILL to all its processes, wherever they are."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=20)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = {"user": self._who.pw_uid, "group": self._who.pw_gid, "extra_groups": []} if self._who else {}
        done = subprocess.run(
            [str(self._bin / program), *arguments], cwd=self._place, timeout=60, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else None, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **as_user,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}"


@contextmanager
def postgres_server(*, address: str = "127.0.0.1") -> Iterator[PostgresServer | None]:
    """A running server, or None where the package is not installed."""
    bin = programs()
    if bin is None:
        yield None
        return
    # Not in pytest's own directories, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="evolve-pg-", dir="/tmp") as place:
        server = PostgresServer(Path(place), bin, address=address)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
