"""ServiceManager: start, stop and look at the services of this home. State survives between calls: the supervisor keeps it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolve.errors import EvolveError, InvalidRequest, TimedOut, Unavailable, error_for
from evolve.manager import web_record
from evolve.manager.supervisor import identity, socket_path
from evolve.messaging import embedded
from evolve.messaging.connection import server_for
from evolve.services import SERVICES, service_path
from evolve.settings import Settings

SUPERVISOR_READY_S = 15.0
ORDER_S = 60.0  # starting waits 20 s, draining 20 s; anything longer is stuck


class ServiceManager:
    """Starts services through the supervisor of this home, which the first start launches and only `down` ends.

    redis_host, redis_port, redis_db as for every service: the defaults mean "as configured".
    All methods raise typed errors (`evolve.errors`) and never wait longer than a minute.
    """

    def __init__(
        self,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_db: int = 0,
        *,
        settings: Settings | None = None,
    ) -> None:
        self.settings: Settings = (
            settings if settings is not None else Settings.for_server(redis_host, redis_port, redis_db)
        )
        self._connection: socket.socket | None = None

    def start_service(self, name: str, replicas: int = 1, *, idle_stop: bool = False) -> dict[str, Any]:
        """Run `replicas` of a service; returns its status once each answers. Starts nothing twice."""
        service_path(name)
        return self._start([name], replicas, idle_stop)

    def start_all_services(self, replicas: int = 1, *, idle_stop: bool = False) -> dict[str, Any]:
        """Run every service. idle_stop: end all after half an hour without work (what `evolve ask` starts)."""
        return self._start(list(SERVICES), replicas, idle_stop)

    def stop_service(self, name: str) -> dict[str, Any]:
        """Drain and end all replicas of a service, also those launched by hand; returns its status."""
        service_path(name)
        return self._stop([name])

    def stop_all_services(self) -> dict[str, Any]:
        return self._stop(list(SERVICES))

    def restart_service(self, name: str) -> dict[str, Any]:
        """Stop a service and start as many replicas as ran before (at least one)."""
        running = len(self.get_service_status(name)[name]["pids"])
        self.stop_service(name)
        return self.start_service(name, max(1, running))

    def get_service_status(self, name: str | None = None) -> dict[str, Any]:
        """{service: {status, pids, uptime_s, restarts, log}}; starts nothing."""
        if name is not None:
            service_path(name)
        names = [name] if name is not None else list(SERVICES)
        if self._connect():
            return self._services(self._order({"do": "status", "services": names}))
        return self._status_without_supervisor(names)

    def send_message(self, name: str, type: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request and wait for its response envelope."""
        from evolve.client.client import ServiceClient

        with ServiceClient(settings=self.settings) as client:
            return client.send_request(name, type, data or {})

    def get_manager_stats(self) -> dict[str, Any]:
        """Counts over all services, and which supervisor and server serve this home."""
        status = self.get_service_status()
        hello = self._order({"do": "hello"}) if self._connect() else {}
        server = server_for(self.settings)
        return {
            "total_services": len(status),
            "running_services": sum(entry["status"] == "running" for entry in status.values()),
            "replicas": sum(len(entry["pids"]) for entry in status.values()),
            "restarts": sum(entry["restarts"] for entry in status.values()),
            "supervisor_pid": hello.get("pid"),
            "server": hello.get("redis_cli") or server.redis_cli,
            # Of a server of the user's own only its use can tell.
            "server_running": server.kind != "embedded" or embedded.is_running(self.settings.home),
            "home": str(self.settings.home),
            "web": [asdict(record) for record in web_record.running(self.settings.home)],
            "services": status,
        }

    def up(self, *, redis_port: int = 0, replicas: int = 1) -> dict[str, Any]:
        """Everything on: the embedded server (on TCP too if a port is given), the supervisor, all services."""
        if redis_port:
            if server_for(self.settings).kind != "embedded":
                raise InvalidRequest(
                    "a port was given, but REDIS_URL or `evolve config` names a server of your own; unset it"
                )
            embedded.ensure(self.settings.home, port=redis_port)
        return self.start_all_services(replicas)

    def serve_web(self, host: str | None = None, port: int | None = None) -> str:
        """Run the web server in the background, unless it runs; its address. Starts no service. Raises Unavailable for a port that is taken.

        Without a port, the configured one, or any free one where another program has that.
        """
        if not self._connect():
            self._launch_supervisor()
        order = {"do": "web", "host": host or self.settings.web_host, "port": self.settings.web_port}
        if port is not None:
            order["port"] = port
        try:
            return str(self._order(order)["url"])
        except Unavailable:
            if port is not None or "web_port" in self.settings.model_fields_set:
                raise
            return str(self._order({**order, "port": 0})["url"])

    def down(self) -> dict[str, Any]:
        """Everything off: services, supervisor, and the embedded server. Returns what was stopped."""
        stopped: list[str] = []
        embedded_server = server_for(self.settings).kind == "embedded"
        if not self._connect(check=False) and embedded_server:
            # Services launched by hand would wait for ever for the server that ends here; only a supervisor can end them.
            running = self._status_without_supervisor(list(SERVICES))
            if any(entry["pids"] for entry in running.values()):
                self._launch_supervisor()
        if self._connection is not None:
            running = self._services(self._order({"do": "status"}))
            stopped = [name for name, entry in running.items() if entry["pids"]]
            self._order({"do": "stop", "services": list(running)})
            pid = int(self._order({"do": "hello"})["pid"])
            self._order({"do": "shutdown"})
            self.close()
            _wait_for_end(pid)
        for record in web_record.running(self.settings.home):
            os.kill(record.pid, signal.SIGTERM)  # one that `evolve serve` runs in some terminal
            _wait_for_end(record.pid)
        server = embedded_server and embedded.stop(self.settings.home)
        return {"stopped": stopped, "embedded_server_stopped": server}

    def close(self) -> None:
        """Let go of the supervisor; it and the services go on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- talking to the supervisor ---

    def _start(self, names: Sequence[str], replicas: int, idle_stop: bool) -> dict[str, Any]:
        if replicas < 1:
            raise InvalidRequest(f"replicas must be at least 1, not {replicas}")
        if server_for(self.settings).kind == "embedded":
            embedded.ensure(self.settings.home)  # a supervisor that lives may have lost it a moment ago
        launched = not self._connect()
        if launched:
            self._launch_supervisor()
        try:
            return self._services(
                self._order({"do": "start", "services": list(names), "replicas": replicas, "idle_stop": idle_stop})
            )
        except EvolveError:
            if launched:
                self._end_supervisor()
            raise

    def _end_supervisor(self) -> None:
        """A start that failed leaves what it found: a supervisor tied to a server that is not there would stand in the way."""
        with contextlib.suppress(EvolveError):
            pid = int(self._order({"do": "hello"})["pid"])
            self._order({"do": "shutdown"})
            self.close()
            _wait_for_end(pid)
        self.close()

    def _stop(self, names: list[str]) -> dict[str, Any]:
        if not self._connect():
            running = self._status_without_supervisor(names)
            if not any(entry["pids"] for entry in running.values()):
                return running
            self._launch_supervisor()  # launched by hand: only a supervisor can wait for their end
        return self._services(self._order({"do": "stop", "services": names}))

    def _services(self, answer: dict[str, Any]) -> dict[str, Any]:
        services: dict[str, Any] = answer["services"]
        return services

    def _connect(self, *, check: bool = True) -> bool:
        """Whether the supervisor of this home is reached. Raises Unavailable when it runs other code or serves another server."""
        if self._connection is not None:
            if not _hung_up(self._connection):
                return True
            self.close()  # the supervisor of before ended; another may run now
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ORDER_S)
        try:
            connection.connect(str(socket_path(self.settings.home)))
        except OSError:
            connection.close()
            return False
        self._connection = connection
        if check:
            try:
                self._refuse_strangers(self._order({"do": "hello"}))
            except Unavailable:
                self.close()
                raise
        return True

    def _refuse_strangers(self, hello: dict[str, Any]) -> None:
        ours = identity()
        if hello["package"] != ours["package"] or hello["code"] != ours["code"]:
            raise Unavailable(
                f"services of another checkout or version run in {self.settings.home}: {hello['code']} from {hello['package']}, "
                f"this is {ours['code']} from {ours['package']}; stop them with `evolve down`, or set EVOLVE_HOME to another directory"
            )
        mine = server_for(self.settings).url
        if hello["server"] != mine:
            raise Unavailable(
                f"the services of {self.settings.home} talk to another server than the one asked for; "
                "stop them with `evolve down`, or set EVOLVE_HOME to another directory"
            )

    def _launch_supervisor(self) -> None:
        home = self.settings.home
        environment = {**os.environ, "EVOLVE_HOME": str(home.absolute()), "EVOLVE_LOG_DIR": str(self.settings.logs)}
        for variable, value in (
            ("REDIS_HOST", self.settings.redis_host),
            ("REDIS_PORT", self.settings.redis_port),
            ("REDIS_DB", self.settings.redis_db),
            ("REDIS_URL", self.settings.redis_url),
            # By the environment alone: neither the bus nor a command line may hold a key.
            ("OPENAI_API_KEY", self.settings.openai_api_key),
            ("OPENAI_BASE_URL", self.settings.openai_base_url),
        ):
            if value is not None:
                environment[variable] = str(value)
            else:
                environment.pop(variable, None)  # an argument may have overruled the environment
        process = subprocess.Popen(
            [sys.executable, "-m", "evolve.manager.supervisor"],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end = time.monotonic() + SUPERVISOR_READY_S
        while time.monotonic() < end:
            if self._connect():
                process.returncode = 0  # it outlives us on purpose; without this, Python warns that it still runs
                if process.stderr is not None:
                    process.stderr.close()
                return
            if process.poll() not in (None, 0):
                reason = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
                lines = reason.splitlines()
                raise Unavailable(lines[-1] if lines else "the supervisor ended at once; see its log")
            time.sleep(0.01)
        raise Unavailable(f"the supervisor was not ready within {SUPERVISOR_READY_S:g} s; see {self.settings.logs}")

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            raise Unavailable("no supervisor runs in this home; start one with `evolve up`")
        try:
            self._connection.sendall(json.dumps(order).encode() + b"\n")
            buffer = bytearray()
            while not buffer.endswith(b"\n"):
                chunk = self._connection.recv(65_536)
                if not chunk:
                    raise Unavailable("the supervisor ended while it was asked; see logs/supervisor_service.log")
                buffer += chunk
        except TimeoutError:
            self.close()
            raise TimedOut(
                f"the supervisor did not answer within {ORDER_S:g} s; see logs/supervisor_service.log"
            ) from None
        except OSError as error:
            self.close()
            raise Unavailable(f"the supervisor is gone: {error}") from None
        answer: dict[str, Any] = json.loads(buffer)
        if "error" in answer:
            raise error_for(answer["error"]["code"])(answer["error"]["message"])
        return answer

    def _status_without_supervisor(self, names: list[str]) -> dict[str, Any]:
        """Services launched by hand announce themselves on the server; without one nothing runs."""
        from evolve.manager.unsupervised import replicas_by_service

        found = replicas_by_service(self.settings, names)
        return {
            name: {
                "status": "running" if found[name] else "stopped",
                "pids": [info.pid for info in found[name]],
                "uptime_s": 0.0,
                "restarts": 0,
                "log": str(self.settings.logs / f"{name}_service.log"),
            }
            for name in names
        }


def _hung_up(connection: socket.socket) -> bool:
    # Between two orders it has nothing to say: whatever can be read is its end.
    return bool(select.select([connection], [], [], 0)[0])


def _wait_for_end(pid: int, *, wait_s: float = 30.0) -> None:
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        except PermissionError:
            return
        if Path("/proc").is_dir() and _is_zombie(pid):
            return  # our own child, ended; nobody else reads its status
        time.sleep(0.02)
    raise TimedOut(f"the supervisor (pid {pid}) did not end within {wait_s:g} s; see its log")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
