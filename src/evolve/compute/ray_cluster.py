"""How is work divided over the workers of a Ray cluster?

Ray does an item again whose worker died, a few times. What was begun when the caller gives up is killed, what was not begun is not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evolve.compute.local import Item, Progress, Result
from evolve.compute.parcel import Collected, packed, same_versions, versions, work_on
from evolve.errors import JobDied, MissingExtra, Unavailable

AUTO = "ray://auto"
RETRIES = 3  # as Dask's: of an item whose worker died
AHEAD_PER_CPU = 4


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
        with self._connected() as ray:
            collected: Collected[Item, Result] = Collected(items, progress, each)
            remote = ray.remote(num_cpus=1, max_retries=RETRIES)(work_on)
            # Put once: each node fetches it once and its workers share the memory.
            parcel = ray.put(packed(function))
            waiting = iter(enumerate(items))
            ahead = AHEAD_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
            running: dict[Any, int] = {}
            try:
                while True:
                    for index, each_item in waiting:
                        running[remote.remote(parcel, index, each_item)] = index
                        if len(running) >= ahead:
                            break
                    if not running:
                        return collected.in_order()
                    (done,), _ = ray.wait(list(running), num_returns=1)
                    item = running.pop(done)
                    try:
                        collected.take(ray.get(done))
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                        raise JobDied(
                            f"an item ended its worker {RETRIES + 1} times: {str(error).splitlines()[0]}", item=item
                        ) from None
            finally:
                for each_running in running:
                    ray.cancel(each_running, force=True)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            import ray
        except ImportError:
            raise MissingExtra(
                f"EVOLVE_COMPUTE={self.address} needs Ray: pip install 'evolve-trading[ray]'", extra="ray"
            ) from None
        try:
            ray.init(
                address="auto" if self.address == AUTO else self.address, log_to_driver=False, configure_logging=False
            )
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            raise Unavailable(
                f"no Ray cluster answers at {self.address} ({str(error).splitlines()[0]}); start one (`ray start --head`), or set EVOLVE_COMPUTE=local"
            ) from None
        try:
            same_versions(self.address, [ray.get(ray.remote(num_cpus=0)(versions).remote())])
            yield ray
        finally:
            ray.shutdown()
