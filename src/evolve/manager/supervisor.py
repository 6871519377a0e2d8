"""The background process that keeps the services of one home running.

One per home (a lock sees to it). It forks the services' fronts from one preloaded process, restarts those that crash with
back-off, bridges plain PUBLISH for all services, answers on the control channel for those that are down, and takes orders
as JSON lines on a Unix socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from evolve import logs
from evolve.errors import EvolveError, Internal, InvalidRequest, Unavailable
from evolve.manager.autoscaler import Autoscaler
from evolve.manager.fleet import Fleet
from evolve.manager.scale import Scale, cores, parse_scales, remember, remembered
from evolve.manager.web_server import WebServer
from evolve.messaging import embedded
from evolve.messaging.bridge import Bridge
from evolve.messaging.bus import Lane, control_channel
from evolve.messaging.connection import bus_for, server_for
from evolve.messaging.control import service_status
from evolve.messaging.envelope import dump, error_response, load, new_request_id, read_request, response
from evolve.messaging.forkserver import ForkServer, launch
from evolve.messaging.messages import Request
from evolve.messaging.service import Service, load_service
from evolve.messaging.sockets import make_private, private_socket
from evolve.services import SERVICES
from evolve.settings import Settings
from evolve.version import code_version

SERVER_CHECK_S = 1.0
FRONT_PRELOAD = ("evolve.services.launch", "evolve.messaging.serving")


def socket_path(home: Path) -> Path:
    return private_socket(home / "run", "supervisor.sock")


def identity() -> dict[str, str]:
    """Which code runs: services of another checkout or version must not share a home."""
    return {"code": code_version(), "package": str(Path(__file__).resolve().parents[1]), "python": sys.executable}


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bus = bus_for(settings)
        self._server = server_for(settings)
        self._nursery = ForkServer(preload=(*FRONT_PRELOAD, *(path.partition(":")[0] for path in SERVICES.values())))
        self._jobs_socket = private_socket(settings.home / "run", "jobs.sock")
        self._jobs: Any = None
        self._fleet = Fleet(settings, self._bus, self._nursery, self._jobs_socket, self._spawn)
        self._autoscaler = Autoscaler(settings, self._bus, self._fleet)
        self._web = WebServer(settings, self._nursery)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = asyncio.Event()
        self._last_use = time.monotonic()
        self._idle_stop = False
        self._log = logs.logger(service="supervisor")

    async def serve(self) -> None:
        home = self._settings.home
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        path = socket_path(home)
        path.unlink(missing_ok=True)
        orders = await asyncio.start_unix_server(self._take_orders, path=str(path))
        path.chmod(0o600)
        bridges = [
            Bridge(self._bus, name, self._lane_of, max_bytes=self._settings.max_message_bytes) for name in SERVICES
        ]
        tasks = [asyncio.create_task(bridge.serve()) for bridge in bridges]
        tasks += [asyncio.create_task(self._answer_for_the_stopped()), asyncio.create_task(self._watch_idleness())]
        tasks.append(asyncio.create_task(self._autoscaler.serve()))
        if self._server.kind == "embedded":
            tasks.append(asyncio.create_task(self._keep_server()))
        self._log.info("supervisor started", pid=os.getpid(), server=self._server.redis_cli)
        try:
            await self._ending.wait()
        finally:
            orders.close()
            await self._web.stop()
            await self._fleet.end()
            for task in [*tasks, *self._tasks]:
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
            await self._nursery.close()
            if self._jobs is not None:
                self._jobs.terminate()
                await asyncio.to_thread(self._jobs.wait)
            await self._bus.close()
            path.unlink(missing_ok=True)
            self._log.info("supervisor stopped")

    # --- orders ---

    async def _take_orders(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._last_use = time.monotonic()
                try:
                    order = load(line, max_bytes=1 << 20)
                    answer = await self._obey(order)
                except EvolveError as error:
                    answer = {"error": {"code": error.code, "message": error.message}}
                except Exception as error:  # noqa: BLE001 - one bad order must not end the supervisor
                    self._log.exception("order failed")
                    answer = {
                        "error": {"code": Internal.code, "message": f"the supervisor failed: {error!r}; see its log"}
                    }
                writer.write(dump(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, BrokenPipeError):
            pass  # the caller left; what it ordered goes on
        finally:
            writer.close()

    async def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        name = order.get("do")
        if name == "hello":
            return {**identity(), "pid": os.getpid(), "server": self._server.url, "redis_cli": self._server.redis_cli}
        if name == "start":
            names = order["services"]
            if order.get("every"):
                # Of all services those that were scaled to none stay away; who starts one by its name means it.
                names = [service for service in names if not _is_off(self._settings, service)]
            replicas = int(order.get("replicas") or 1)
            self._idle_stop = bool(order.get("idle_stop")) and (self._idle_stop or not self._fleet.any_wanted())
            await asyncio.gather(*(self._fleet.start(service, replicas) for service in names))
            self._start_job_server()
            return await self._fleet.status(order["services"])
        if name == "scale":
            return await self._scale({str(service): str(text) for service, text in order["scales"].items()})
        if name == "stop":
            await asyncio.gather(*(self._fleet.stop(service) for service in order["services"]))
            return await self._fleet.status(order["services"])
        if name == "status":
            return await self._fleet.status(order.get("services") or list(SERVICES))
        if name == "web":
            return {"url": await self._web.start(str(order["host"]), int(order["port"]))}
        if name == "shutdown":
            self._ending.set()
            return {"stopping": True}
        raise InvalidRequest(f"the supervisor has no order {name!r}")

    async def _scale(self, texts: dict[str, str]) -> dict[str, Any]:
        """Remember how many are wanted, and make it so; a service whose range holds what runs stays as it is."""
        scales = parse_scales([f"{service}={text}" for service, text in texts.items()], cores=cores())
        remember(self._settings.home, scales)
        self._idle_stop = False  # who says how many are to run wants them to go on running
        await asyncio.gather(*(self._fit(service, scale) for service, scale in scales.items()))
        self._start_job_server()
        return await self._fleet.status(list(scales))

    async def _fit(self, service: str, scale: Scale) -> None:
        self._autoscaler.forget(service)
        await self._fleet.scale(service, min(max(self._fleet.wanted(service), scale.low), scale.high))

    # --- in the background ---

    def _start_job_server(self) -> None:
        """One warm process for the heavy work of all services, imported in the background once they are ready.

        Not for services that have none: it costs two seconds and 250 MB.
        """
        if self._jobs is not None and self._jobs.poll() is None:
            return
        services: dict[str, type[Service]] = {name: load_service(path) for name, path in SERVICES.items()}
        if not any(self._fleet.wanted(name) and cls.preload for name, cls in services.items()):
            return
        preload = ["evolve.messaging.jobs"]
        for cls in services.values():
            preload += [cls.__module__, *cls.preload]
        log = open(self._settings.logs / "job_server.log", "ab")  # noqa: SIM115 - handed to the process
        with log:
            self._jobs = launch(["--listen", str(self._jobs_socket)], tuple(dict.fromkeys(preload)), stderr=log)

    async def _keep_server(self) -> None:
        """Start the embedded server again if it dies: its log on disk still has every queued request."""
        while True:
            await asyncio.sleep(SERVER_CHECK_S)
            if self._ending.is_set():
                return
            alive = await asyncio.to_thread(embedded.process_lives, self._settings.home)
            if not alive:
                self._log.error("the embedded server is gone; starting it again")
                try:
                    await asyncio.to_thread(embedded.ensure, self._settings.home)
                except EvolveError as error:
                    self._log.error("the embedded server cannot be started", error=error.message)

    def _lane_of(self, service: str, wire_type: str) -> Lane:
        handler = load_service(SERVICES[service]).handlers.get(wire_type)
        request: type[Request[Any]] | None = handler.request if handler else None
        return "heavy" if request is not None and request.slot == "heavy" else "light"

    async def _answer_for_the_stopped(self) -> None:
        names = {control_channel(name): name for name in SERVICES}
        while True:
            try:
                async for channel, raw in self._bus.listen(list(names)):
                    if channel:
                        self._spawn(self._answer_control(names[channel], raw))
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _answer_control(self, name: str, raw: bytes) -> None:
        if await self._bus.replicas(name):
            return  # it answers for itself
        try:
            message = read_request(raw, max_bytes=self._settings.max_message_bytes)
            if message.type == "start":
                await self._fleet.start(name, 1)
                self._start_job_server()
            elif message.type == "cancel" and message.sender != "withdraw":
                await self._bus.withdraw(name, str(message.data.get("request_id", "")))
            elif message.type not in ("status", "stop"):
                return
            if message.sender == "supervisor":
                return
            answer = response(
                name, "status", await service_status(self._bus, name), at=time.time(), request_id=message.request_id
            )
            reply_to = message.reply_to
        except EvolveError as error:
            answer = error_response(name, error, request_type=None, at=time.time(), request_id=None)
            reply_to = None
        await self._bus.report(name, reply_to, dump(answer))

    async def _watch_idleness(self) -> None:
        """End everything after a set idle time, if only a question started it."""
        while True:
            await asyncio.sleep(min(5.0, self._settings.idle_stop_s / 4))
            with contextlib.suppress(Unavailable):
                queues = await asyncio.gather(*(self._bus.queue(name) for name in SERVICES))
                if any(queue.queued for queue in queues):
                    self._last_use = time.monotonic()
            if self._idle_stop and time.monotonic() - self._last_use > self._settings.idle_stop_s:
                self._log.info("idle; stopping")
                await asyncio.gather(*(self._fleet.stop(name) for name in SERVICES))
                if self._server.kind == "embedded":
                    await self._bus.close()
                    await asyncio.to_thread(embedded.stop, self._settings.home)
                self._ending.set()
                return

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("background step failed", error=repr(task.exception()))


def _is_off(settings: Settings, service: str) -> bool:
    return remembered(settings.home).get(service) == Scale(0, 0)


def main() -> int:
    """Run the supervisor of this home in the foreground; returns at once when another holds the lock."""
    settings = Settings.load()
    run = settings.home / "run"
    try:
        make_private(run)
        make_private(socket_path(settings.home).parent)
        logs.configure(
            "supervisor",
            directory=settings.logs,
            level=settings.log_level,
            form=settings.log_format,
            secrets=settings.secrets,
        )
    except EvolveError as error:
        print(error.message, file=sys.stderr)
        return 1
    lock = os.open(run / "supervisor.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0  # another one was faster; whoever started us talks to that
    (run / "supervisor.pid").write_text(f"{os.getpid()}\n")

    async def serve() -> None:
        await Supervisor(settings).serve()

    try:
        asyncio.run(serve())
    except EvolveError as error:
        logs.logger(service="supervisor").error("stopped", error=error.message)
        print(error.message, file=sys.stderr)
        return 1
    finally:
        os.close(lock)
    return 0


__all__ = ["Supervisor", "identity", "main", "new_request_id", "socket_path"]

if __name__ == "__main__":
    sys.exit(main())
