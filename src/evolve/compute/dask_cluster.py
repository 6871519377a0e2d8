"""How is work divided over the workers of a Dask cluster?

Dask gives the items of a worker that died to another one; an item that ended several workers is what ended them (`job_died`). What was
begun when the caller gives up runs to its end on its worker and is forgotten; what was not begun is not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from evolve.compute.local import Item, Progress, Result
from evolve.compute.parcel import Batch, Batches, Collected, Done, packed, same_versions, versions, work_on
from evolve.errors import JobDied, MissingExtra, Unavailable

CONNECT_S = 10.0
# So many batches per worker are on their way at once: enough that none waits for the scheduler, few enough that little is lost to a cancel.
AHEAD_PER_WORKER = 3


class DaskCluster:
    def __init__(self, address: str) -> None:
        self.address = address
        self._scheduler = "tcp://" + address.partition("://")[2]

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        progress: Progress | None,
        each: Callable[[int, Result], None] | None,
    ) -> list[Result]:
        with self._client() as client:
            distributed: Any = import_module("distributed")
            collected: Collected[Item, Result] = Collected(items, progress, each)
            # Broadcast: each worker has it before the first item, over a tree of workers and not from here to each.
            parcel = client.scatter(packed(function), broadcast=True, hash=False)
            workers = max(1, sum(client.nthreads().values()))
            batches = Batches(items, workers)
            running: dict[Any, Batch[Item]] = {}
            arriving = distributed.as_completed(loop=client.loop)
            try:
                while True:
                    while len(running) < AHEAD_PER_WORKER * workers and (batch := batches.next()):
                        future = client.submit(work_on, parcel, batch, pure=False, retries=0)
                        running[future] = batch
                        arriving.add(future)
                    if not running:
                        return collected.in_order()
                    future = next(arriving)
                    batch = running.pop(future)
                    done = _done(future, batch, batches)
                    if done is not None:
                        batches.took(done)
                        collected.take(done)
            finally:
                client.cancel(list(running))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            distributed: Any = import_module("distributed")  # whose functions have no types
        except ImportError:
            raise MissingExtra(
                f"EVOLVE_COMPUTE={self.address} needs Dask: pip install 'evolve-trading[dask]'", extra="dask"
            ) from None
        try:
            client = distributed.Client(self._scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                f"no Dask scheduler answers at {self._scheduler} ({type(error).__name__}); start one (`dask scheduler`), or set EVOLVE_COMPUTE=local"
            ) from None
        with client:
            there = client.run(versions)
            if not there:
                raise Unavailable(
                    f"the Dask scheduler at {self._scheduler} has no workers; start some (`dask worker {self._scheduler} --nthreads 1`)"
                )
            same_versions(self.address, list(there.values()))
            yield client


def _done(future: Any, batch: Batch[Item], batches: Batches[Item]) -> Done | None:
    """What came of a batch; None when it ended its workers and its items are given again one by one."""
    distributed: Any = import_module("distributed")
    try:
        done: Done = future.result()
    except distributed.scheduler.KilledWorker as error:
        if batches.one_by_one(batch):
            return None
        raise JobDied(
            f"an item ended the worker that did it, {error.allowed_failures + 1} times; if memory ran out, give workers more (`dask worker --memory-limit`)",
            item=batch[0][0],
        ) from None
    except distributed.client.FutureCancelledError as error:
        raise Unavailable(
            f"the Dask cluster gave up an item: its scheduler was restarted, or its last worker is gone, and with it what it worked with ({error}); ask again when it has workers (`dask worker --nthreads 1`)"
        ) from None
    return done
