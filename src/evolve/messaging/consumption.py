"""What does a replica take of its machine? Processor time, memory and descriptors of its front and of its job processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evolve.messaging.figures import Consumed


@dataclass
class Meter:
    """Measures one process, or many that come and go: what those that ended had used is kept."""

    _ended_s: float = 0.0
    _cpu_s: dict[int, float] = field(default_factory=dict)

    def read(self, processes: Iterable[psutil.Process]) -> Consumed:
        cpu_s, rss, pss, fds = dict[int, float](), 0, list[int | None](), 0
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                rss += process.memory_info().rss
                fds += process.num_fds()
                pss.append(_pss(process.pid))
        self._ended_s += sum(spent for pid, spent in self._cpu_s.items() if pid not in cpu_s)
        self._cpu_s = cpu_s
        shared = [one for one in pss if one is not None]
        return Consumed(
            cpu_s=round(self._ended_s + sum(cpu_s.values()), 2),
            rss_bytes=rss,
            pss_bytes=sum(shared) if len(shared) == len(pss) else None,
            fds=fds,
            processes=len(cpu_s),
        )


def _pss(pid: int) -> int | None:
    """Memory with what is shared divided by who shares it: forked processes share most of theirs. None where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in text.splitlines() if line.startswith("Pss:")), None)
    return None if kilobytes is None else int(kilobytes) << 10
