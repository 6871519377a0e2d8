"""What did the sandbox do? An append-only log that every replica shares, so statistics are the same whoever is asked.

`<home>/sandbox/executions.jsonl` holds one line per run; with `log_executions=False` the line says only how it ended, how
long it took and what memory it used, so that counts stay right and nothing names what was run.
`<home>/sandbox/security.jsonl` holds what an operator must see, always.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from evolve.clock import Clock, iso
from evolve.errors import Unavailable
from evolve.logs import logger
from evolve.sandbox.result import ExecutionResult, Json
from evolve.security_events import Detail, SecurityEvent, report

COMPACT_BYTES = 32 << 20  # about 200,000 runs; then all but the newest become one line of sums
RECENT = 10_000  # runs that percentiles are taken from


class Tally:
    """Counts and sums over all runs, durations of the recent ones."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.seconds = 0.0
        self.peak_mib = 0.0
        self.recent: deque[float] = deque(maxlen=RECENT)

    def add(self, line: dict[str, Any]) -> None:
        if "sums" in line:  # what compaction left of older runs
            self.by_status.update(line["sums"])
            self.seconds += line["s"]
        else:
            self.by_status[line["status"]] += 1
            self.seconds += line["s"]
            self.recent.append(line["s"])
        self.peak_mib = max(self.peak_mib, line["mib"])

    def percentile(self, share: float) -> float:
        """Nearest rank; 0 when nothing ran."""
        ordered = sorted(self.recent)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Journal:
    """The log of one home. Safe for many threads and processes."""

    def __init__(self, directory: Path, *, clock: Clock, log_executions: bool) -> None:
        self._directory = directory
        self.executions, self.security, self._lock_file = (
            directory / name for name in ("executions.jsonl", "security.jsonl", "lock")
        )
        self._clock = clock
        self._log_executions = log_executions
        self._lock = threading.Lock()
        self._tally = Tally()
        self._read = (0, 0)  # inode and offset up to which the tally has read
        self._log = logger(component="sandbox")

    def record(self, results: Sequence[ExecutionResult], *, kind: str, name: str, code: str) -> None:
        """Write the runs of one program down. Raises Unavailable when the home cannot be written."""
        about: dict[str, Any] = {}
        if self._log_executions:
            digest = hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()[:16]
            about = {"at": iso(self._clock.now()), "kind": kind, "name": name[:200], "code": digest}
            seconds = round(sum(result.execution_time for result in results), 6)
            statuses = dict(Counter(result.status for result in results))
            self._log.info("execution", kind=kind, name=name[:200], code=digest, statuses=statuses, seconds=seconds)
        self._append(self.executions, [_line(result, about) for result in results])

    def security_event(self, event: SecurityEvent, **details: Detail) -> None:
        """Something an operator must see: a refusal, a forbidden system call, a sandbox switched off."""
        report(event, **details)
        self._append(self.security, [{"at": iso(self._clock.now()), "event": event, **details}])

    def tally(self) -> Tally:
        """All runs of this home, by any process. Reads only what was added since the last call."""
        with self._lock, self._shared():
            try:
                with self.executions.open("rb") as file:
                    inode = os.fstat(file.fileno()).st_ino
                    if inode != self._read[0]:
                        self._tally, self._read = Tally(), (inode, 0)
                    file.seek(self._read[1])
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        self._tally.add(orjson.loads(line))
                        self._read = (inode, self._read[1] + len(line))
            except FileNotFoundError:
                self._tally, self._read = Tally(), (0, 0)
            return self._tally

    def statistics(self) -> dict[str, Json]:
        """Counts, times and memory over all runs of this home. What did not succeed has failed, refused programs too."""
        tally = self.tally()
        total = tally.by_status.total()
        successful = tally.by_status["success"]
        return {
            "total_executions": total,
            "successful_executions": successful,
            "failed_executions": total - successful,
            "success_rate": successful / total if total else 0.0,
            "total_execution_time": tally.seconds,
            "average_execution_time": tally.seconds / total if total else 0.0,
            "p50_execution_time": tally.percentile(0.50),
            "p99_execution_time": tally.percentile(0.99),
            "peak_memory_mb": tally.peak_mib,
            "by_status": dict(tally.by_status),
        }

    def clean(self) -> None:
        """Remove what a process that died during compaction left."""
        with contextlib.suppress(OSError), self._exclusive():
            for left in self._directory.glob("executions.jsonl.*.new"):
                left.unlink(missing_ok=True)

    def _append(self, path: Path, lines: list[dict[str, Any]]) -> None:
        data = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        with self._shared():
            # One write: the lines of several processes do not mix.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, data)
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
        if path == self.executions and size > COMPACT_BYTES:
            self._compact()

    def _compact(self) -> None:
        with self._exclusive():
            if self.executions.stat().st_size <= COMPACT_BYTES:
                return  # another process was faster
            lines = self.executions.read_bytes().splitlines(keepends=True)
            older = Tally()
            for line in lines[:-RECENT]:
                older.add(orjson.loads(line))
            sums = {"sums": dict(older.by_status), "s": older.seconds, "mib": older.peak_mib}
            new = self._directory / f"executions.jsonl.{os.getpid()}.new"
            new.write_bytes(orjson.dumps(sums, option=orjson.OPT_APPEND_NEWLINE) + b"".join(lines[-RECENT:]))
            new.chmod(0o600)
            new.replace(self.executions)

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            try:
                self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # a home is private to its user
                self._directory.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise Unavailable(f"cannot write the sandbox's log to {self._directory}: {error.strerror}") from None
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"cannot write the sandbox's log to {self._directory}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _shared(self) -> contextlib.AbstractContextManager[None]:
        return self._locked(fcntl.LOCK_SH)

    def _exclusive(self) -> contextlib.AbstractContextManager[None]:
        return self._locked(fcntl.LOCK_EX)


def _line(result: ExecutionResult, about: dict[str, Any]) -> dict[str, Any]:
    line = {"status": result.status, "s": result.execution_time, "mib": result.memory_used, **about}
    if about and result.error:
        line["error"] = result.error[:500]
    return line
