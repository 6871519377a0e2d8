"""How is work divided over the workers of a Ray cluster?

Ray does an item again whose worker died, a few times. What was begun when the caller gives up is killed, what was not begun is not begun.

The connection is kept until this process ends: Ray gives each connection workers of its own, which take seconds to start and to import
what they compute with.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from evolve.compute.local import Item, Progress, Result
from evolve.compute.parcel import Batch, Batches, Collected, Done, packed, same_versions, versions, work_on
from evolve.errors import JobDied, MissingExtra, Unavailable
from evolve.logs import logger

AUTO = "ray://auto"
RETRIES = 3  # as Dask's: of an item whose worker died
AHEAD_PER_CPU = 3
LOOK_S = 15.0  # without news it is looked whether there are processors
# For the first worker of a connection: it takes 3 s here, and takes 20 on a machine that is busy.
FIRST_WORKER_S = 60.0


class RayCluster:
    def __init__(self, address: str) -> None:
        self.address = address

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        progress: Progress | None,
        each: Callable[[int, Result], None] | None,
    ) -> list[Result]:
        ray = _CONNECTION.to(self.address)
        collected: Collected[Item, Result] = Collected(items, progress, each)
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(work_on)
        running: dict[Any, Batch[Item]] = {}
        try:
            with self._there():
                # Put once: each node fetches it once and its workers share the memory.
                parcel = ray.put(packed(function))
                workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            batches = Batches(items, workers)
            while True:
                with self._there():
                    while len(running) < AHEAD_PER_CPU * workers and (batch := batches.next()):
                        running[remote.remote(parcel, batch)] = batch
                    if not running:
                        return collected.in_order()
                    reference = self._next(ray, list(running))
                    done = _done(ray, reference, running.pop(reference), batches)
                if done is not None:
                    batches.took(done)
                    collected.take(done)
        finally:
            if running and ray.is_initialized():
                for each_running in running:
                    ray.cancel(each_running, force=True)

    def _next(self, ray: Any, running: list[Any]) -> Any:
        """The next that is done, however long an item takes; Unavailable when no processor is left to do one."""
        deserted = False
        while True:
            ready, _ = ray.wait(running, num_returns=1, timeout=LOOK_S)
            if ready:
                return ready[0]
            # Twice in a row: one that was restarted is back by then.
            before, deserted = deserted, not ray.cluster_resources().get("CPU")
            if before and deserted:
                raise Unavailable(
                    f"the Ray cluster at {self.address} lost its last processor; start a node (`ray start --address=…`) and ask again"
                )

    @contextmanager
    def _there(self) -> Iterator[None]:
        """What Ray is asked within raises Unavailable when its cluster has gone."""
        try:
            yield
        except _gone() as error:
            _CONNECTION.end()
            raise Unavailable(
                f"the Ray cluster at {self.address} went away in the middle of the work ({_first_line(error)}); ask again when it is back, or set EVOLVE_COMPUTE=local"
            ) from None


class _Connection:
    """The one of this process; Ray has one at a time."""

    def __init__(self) -> None:
        self._address = ""
        self._lock = threading.Lock()

    def to(self, address: str) -> Any:
        """Ray, connected to this cluster; Unavailable, MissingExtra."""
        ray = _ray(address)
        with self._lock:
            try:
                if not self._still(ray, address):
                    self._connect(ray, address)
            except Unavailable:  # other versions: workers that are started later may have the right ones
                self.end()
                raise
            return ray

    def _still(self, ray: Any, address: str) -> bool:
        """Whether the connection that is kept is to this cluster, and it answers."""
        if self._address != address or not ray.is_initialized():
            return False
        try:
            _compared(ray, address)
        except _gone() as error:
            logger().warning("the Ray cluster went away; connecting anew", address=address, how=_first_line(error))
            return False
        return True

    def _connect(self, ray: Any, address: str) -> None:
        self.end()
        try:
            ray.init(address="auto" if address == AUTO else address, log_to_driver=False, configure_logging=False)
            if not self._address:
                atexit.register(self.end)
            self._address = address
            _compared(ray, address)
        except _gone(RuntimeError) as error:
            raise Unavailable(
                f"no Ray cluster answers at {address} ({_first_line(error)}); start one (`ray start --head`), or set EVOLVE_COMPUTE=local"
            ) from None

    def end(self) -> None:
        if self._address:
            # What is no longer there need not be told.
            with suppress(*_gone()):
                _ray(self._address).shutdown()


_CONNECTION = _Connection()


def _ray(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra(
            f"EVOLVE_COMPUTE={address} needs Ray: pip install 'evolve-trading[ray]'", extra="ray"
        ) from None
    return ray


def _gone(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What Ray raises when its cluster does not answer any more; by its client port, ConnectionError."""
    import ray

    return (*more, ConnectionError, TimeoutError, ray.exceptions.RpcError, ray.exceptions.RaySystemError)


def _compared(ray: Any, address: str) -> None:
    there = ray.remote(num_cpus=0)(versions).remote()
    same_versions(address, [ray.get(there, timeout=FIRST_WORKER_S)])


def _done(ray: Any, reference: Any, batch: Batch[Item], batches: Batches[Item]) -> Done | None:
    """What came of a batch; None when it ended its workers and its items are given again one by one."""
    try:
        done: Done = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        if batches.one_by_one(batch):
            return None
        raise JobDied(f"an item ended its worker {RETRIES + 1} times: {_first_line(error)}", item=batch[0][0]) from None
    return done


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
