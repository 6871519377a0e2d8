"""What does a request and its reply over Redis cost, with Evolve's bus and with the task queues a user would pick?

One run, one table: CPU milliseconds per request by client, workers and server, requests per second and latency, of a
1 KB echo with 64 requests in flight and with one, by one worker process and by two. Every peer is set up as its documentation advises
for work that must not be lost (see `bench/peers/echo_*.py`), in an environment of its own under `.bench/`, made on demand;
one that cannot be installed or run is reported, never left out. All share one Valkey server with its log synced
each second, on a Unix socket. The peers take turns and medians are shown: the machine may be busy with something else. CPU
seconds are the figure to trust.

    python bench/bus.py                                  all peers
    python bench/bus.py --only evolve,dramatiq --repeat 1
    python bench/bus.py --write docs/performance.md      put the table there
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from report.page import ROOT, load, provenance, write_section

from evolve.messaging.embedded import binary

PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = ROOT / ".bench"
EVOLVE = "evolve"
WARM_UP = 200
SETTLE_S = 0.15  # acknowledgements are sent after the reply: they belong to the request, and are counted
START_S = 60.0
INSTALL_S = 300.0

# Peer → the command of its worker, in words after `python`; {n} worker processes, or one command each where it has none.
WORKERS: dict[str, str] = {
    EVOLVE: "echo_evolve.py worker",
    "dramatiq": "-m dramatiq echo_dramatiq --processes {n} --threads 8",
    "celery": "-m celery -A echo_celery worker -l INFO -P prefork -c {n} --without-gossip --without-mingle",
    "taskiq": "-m taskiq worker echo_taskiq:broker --workers {n}",
    "faststream": "-m faststream run echo_faststream:app --workers {n}",
    "arq": "-m arq echo_arq.WorkerSettings",
}


class NotRun(Exception):
    """Why a peer has no figures."""


@dataclass(frozen=True)
class Figures:
    """What one cell cost. CPU in milliseconds per request."""

    client: float
    workers: float
    server: float
    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int

    @property
    def total(self) -> float:
        return self.client + self.workers + self.server


@dataclass(frozen=True)
class Load:
    """What a client reports of one cell (see `peers/load.py`)."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    wrong: int


@dataclass(frozen=True)
class Cell:
    peer: str
    workers: int
    in_flight: int


# --- environments ---


def python_of(peer: str) -> Path:
    """The interpreter that has `peer`; installs it first if need be. Raises NotRun."""
    if peer == EVOLVE:
        return Path(sys.executable)
    pins = PEERS / f"{peer}.txt"
    home = ENVIRONMENTS / peer
    python, stamp = home / "bin" / "python", home / "installed.txt"
    if stamp.is_file() and stamp.read_text() == pins.read_text():
        return python
    print(f"installing {peer} into {home.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(pins)],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pins)],
        ]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotRun(f"could not be installed: {error}") from None
        if done.returncode:
            raise NotRun(f"could not be installed: {last_line(done.stderr)}")
    stamp.write_text(pins.read_text())
    return python


def version_of(peer: str) -> str:
    if peer == EVOLVE:
        return f"redis-py {importlib.metadata.version('redis')}"
    lines = (PEERS / f"{peer}.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return ", ".join(f"{name} {pins[name]}" for name in (peer, "taskiq-redis", "redis", "hiredis") if name in pins)


# --- processes ---


@contextlib.contextmanager
def started(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], *, name: str, talk: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A program in a process group of its own, which ends with the block; its output goes to `<name>.log`."""
    with open(folder / f"{name}.log", "a") as log:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, env=dict(environment), text=True, start_new_session=True,
            stdin=subprocess.PIPE if talk else subprocess.DEVNULL, stdout=subprocess.PIPE if talk else log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if talk and process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        end(process, patience_s=1.0 if talk else 0.0)


def end(process: subprocess.Popen[str], *, patience_s: float) -> None:
    """End a program and all its children: by itself, then asked, then killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True)]
        if patience_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        psutil.wait_procs(family, timeout=2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def cpu_seconds(processes: Sequence[subprocess.Popen[str]]) -> float:
    """CPU that programs and their descendants have used so far, those that ended and were waited for included."""
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(process.pid)
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    used += sum(one.cpu_times()[:4])  # user, system, and both of waited-for children
    return used


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The server of a run and its socket. No TCP port, so it meets no other server."""
    listening = folder / "valkey.sock"
    options = "--port 0 --appendonly yes --appendfsync everysec --save --daemonize no --unixsocketperm 700".split()
    options.insert(options.index("--save") + 1, "")
    command = [binary(), *options, "--unixsocket", listening, "--dir", folder]
    with started(command, folder, os.environ, name="valkey") as process:
        until(listening.exists, process, folder / "valkey.log")
        yield process, listening


def flush(listening: Path) -> None:
    from redis import Redis

    with Redis(unix_socket_path=str(listening)) as client:
        client.flushall()


def until(condition, process: subprocess.Popen[str], log: Path) -> None:  # type: ignore[no-untyped-def]
    limit = time.monotonic() + START_S
    while not condition():
        if process.poll() is not None or time.monotonic() > limit:
            raise NotRun(f"did not start: {last_line(log.read_text(errors='replace'))}")
        time.sleep(0.01)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


# --- measuring ---


class Client:
    """The load program of a peer."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.hear(START_S)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                if line.startswith("{"):  # some peers log to standard output
                    self._lines.put(line)
        self._lines.put("")

    def hear(self, within_s: float) -> dict[str, object]:
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            raise NotRun(f"no answer within {within_s:g} s") from None
        if not line:
            raise NotRun(f"its client ended: {last_line(self._log.read_text(errors='replace'))}")
        return json.loads(line)  # type: ignore[no-any-return]

    def load(self, requests: int, in_flight: int, cap_s: float) -> Load:
        """What the load saw. Raises NotRun for a wrong echo."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"requests": requests, "in_flight": in_flight, "cap_s": cap_s}) + "\n")
        self.process.stdin.flush()
        found = Load(**self.hear(cap_s + 60))  # type: ignore[arg-type]
        if found.wrong:
            raise NotRun(f"{found.wrong} wrong echoes")
        return found


def session(
    peer: str, workers: int, server: subprocess.Popen[str], listening: Path, options: argparse.Namespace
) -> dict[Cell, Figures]:
    """Start a peer, warm it up, measure it with many requests in flight and with one, end it."""
    folder = listening.parent / f"{peer}-{workers}"
    folder.mkdir(exist_ok=True)
    python = python_of(peer)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("REDIS_", "EVOLVE_", "CELERY_"))
    }
    environment |= {
        "PYTHONPATH": str(PEERS), "BENCH_SOCKET": str(listening), "LOG_LEVEL": "INFO", "OMP_NUM_THREADS": "1",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "EVOLVE_HOME": str(folder / "home"), "EVOLVE_LOG_DIR": str(folder / "logs"),
    }  # fmt: skip
    words = [PEERS / word if word.endswith(".py") else word for word in WORKERS[peer].format(n=workers).split()]
    copies = 1 if "{n}" in WORKERS[peer] else workers
    flush(listening)
    found: dict[Cell, Figures] = {}
    with contextlib.ExitStack() as stack:
        serving = [
            stack.enter_context(started([python, *words], folder, environment, name=f"worker{copy}"))
            for copy in range(copies)
        ]
        asking = stack.enter_context(
            started([python, PEERS / f"echo_{peer}.py", "client"], folder, environment, name="client", talk=True)
        )
        client = Client(asking, folder / "client.log")
        client.load(WARM_UP, 64, options.cap)
        for in_flight, requests in ((64, options.many), (1, options.one)):
            time.sleep(SETTLE_S)
            groups = ([asking], serving, [server])
            before = [cpu_seconds(group) for group in groups]
            seen = client.load(requests, in_flight, options.cap)
            time.sleep(SETTLE_S)
            spent = [
                1000 * (cpu_seconds(group) - old) / seen.requests for group, old in zip(groups, before, strict=True)
            ]
            found[Cell(peer, workers, in_flight)] = Figures(
                *spent,
                per_second=seen.requests / seen.seconds,
                p50_ms=seen.p50_ms,
                p99_ms=seen.p99_ms,
                requests=seen.requests,
            )
    return found


def median(figures: Sequence[Figures]) -> Figures:
    """Field by field; the total is the sum of the medians' parts."""
    names = Figures.__dataclass_fields__
    return Figures(**{name: statistics.median(getattr(one, name) for one in figures) for name in names})


def measure(options: argparse.Namespace) -> tuple[dict[Cell, list[Figures]], dict[str, str]]:
    """Figures of every repetition, and why peers have none."""
    measured: dict[Cell, list[Figures]] = {}
    failed: dict[str, str] = {}
    for peer in options.only:
        try:
            python_of(peer)
        except NotRun as reason:
            failed[peer] = str(reason)
    folder = Path(tempfile.mkdtemp(prefix="ev-bus-"))
    try:
        with valkey(folder) as (server, listening):
            for repetition in range(options.repeat):
                for workers in options.workers:
                    # Forth and back, so that what the machine does meanwhile falls on all alike.
                    for peer in options.only[:: 1 if repetition % 2 == 0 else -1]:
                        if peer in failed:
                            continue
                        try:
                            found = session(peer, workers, server, listening, options)
                        except NotRun as reason:
                            failed[peer] = str(reason)
                            continue
                        for cell, figures in found.items():
                            measured.setdefault(cell, []).append(figures)
                        many = found[Cell(peer, workers, 64)]
                        print(
                            f"{repetition + 1}/{options.repeat} {peer}, {workers} worker(s): {many.total:.2f} ms CPU, "
                            f"{many.per_second:.0f}/s; load {load()}",
                            file=sys.stderr,
                        )
    finally:
        if options.keep:
            print(f"logs in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return measured, failed


def table(measured: Mapping[Cell, Sequence[Figures]], failed: Mapping[str, str], options: argparse.Namespace) -> str:
    """The markdown table, one block per number of workers and requests in flight."""
    head = [
        "| CPU ms per request: client | workers | server | **total** | requests/s | p50 ms | p99 ms | CPU, × Evolve |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines = [
        f"{options.provenance}; load {options.load_before} before, {load()} after; {options.repeat} repetitions, medians.",
        "",
    ]
    lines += ["; ".join(f"{peer} ({version_of(peer)})" for peer in options.only) + ".", ""]
    lines += [
        f"{options.many} requests with 64 in flight, {options.one} with one, after {WARM_UP} to warm up; at most {options.cap:g} s each.",
        "",
    ]
    for in_flight in (64, 1):
        for workers in options.workers:
            lines += [f"**{in_flight} in flight, {workers} worker{'s' if workers > 1 else ''}**", ""]
            lines += [f"| peer {head[0]}", f"|---{head[1]}"]
            ours = measured.get(Cell(EVOLVE, workers, in_flight))
            for peer in options.only:
                runs = measured.get(Cell(peer, workers, in_flight))
                if not runs:
                    lines.append(f"| {peer} | not run: {failed.get(peer, 'no figures')} |  |  |  |  |  |  |  |")
                    continue
                one = median(runs)
                # One that failed on the way shows the figures it has, and says why there are no more.
                name = f"{peer} ({len(runs)} of {options.repeat}, then: {failed[peer]})" if peer in failed else peer
                # Ratios are taken within a repetition, where both met the same machine.
                ratio = statistics.median(a.total / b.total for a, b in zip(runs, ours, strict=False)) if ours else None
                lines.append(
                    f"| {name} | {one.client:.2f} | {one.workers:.2f} | {one.server:.2f} | **{one.total:.2f}** | "
                    f"{one.per_second:.0f} | {one.p50_ms:.1f} | {one.p99_ms:.1f} | {'' if ratio is None else f'{ratio:.1f}'} |"
                )
            lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Request and reply over Redis: Evolve's bus beside its peers.")
    parser.add_argument("--only", default=",".join(WORKERS), help="peers, separated by commas (default: all)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (3)")
    parser.add_argument("--workers", default="1,2", help="worker processes (1,2)")
    parser.add_argument("--many", type=int, default=2000, help="requests with 64 in flight (2000)")
    parser.add_argument("--one", type=int, default=300, help="requests with one in flight (300)")
    parser.add_argument("--cap", type=float, default=30.0, help="seconds after which a cell sends no more (30)")
    parser.add_argument("--write", type=Path, help="the page whose section `bus` gets the table")
    parser.add_argument("--json", type=Path, help="a file for all figures of all repetitions")
    parser.add_argument("--keep", action="store_true", help="keep the logs and say where")
    options = parser.parse_args()
    options.only = [peer.strip() for peer in options.only.split(",")]
    options.workers = [int(number) for number in options.workers.split(",")]
    unknown = sorted(set(options.only) - set(WORKERS))
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}; there are {', '.join(WORKERS)}")
    options.load_before, options.provenance = load(), provenance()  # now: the checkout may change meanwhile
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measured, failed = measure(options)
    text = table(measured, failed, options)
    print(text)
    if options.json:
        rows = [{**vars(cell), **vars(one), "total": one.total} for cell, runs in measured.items() for one in runs]
        options.json.write_text(json.dumps(rows, indent=1))
    if options.write:
        write_section(options.write, "bus", text)
    return 0 if EVOLVE not in failed else 1


if __name__ == "__main__":
    sys.exit(main())
