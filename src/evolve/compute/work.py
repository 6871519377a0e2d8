"""Who does work that can be divided? The cores of this machine, a Dask or a Ray cluster: one function, one setting, the same bits.

EVOLVE_COMPUTE: `local`, `dask://host:port` (the scheduler), `ray://host:port` (the client port of the head node) or `ray://auto`
(on a machine of the cluster).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evolve.compute import local
from evolve.compute.local import Item, Progress, Result
from evolve.errors import InvalidRequest
from evolve.settings import Settings


def map_work(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    progress: Progress | None = None,
    each: Callable[[int, Result], None] | None = None,
    engine: str | None = None,
) -> list[Result]:
    """`[function(item) for item in items]`, on the configured engine or `engine`; see `local.map_work` for what it promises.

    With one worker, the work is done in this process whatever is configured: who asks for one has already been given a part. On a
    cluster `workers` only asks for more than one; how many there are is the cluster's to say, and functions travel by cloudpickle:
    what they enclose must be picklable. Raises InvalidRequest for an address that cannot be, MissingExtra, and Unavailable for a
    cluster that does not answer or whose workers have other versions of what computes.
    """
    settings = Settings.load()
    address = engine or settings.compute
    scheme = address.partition("://")[0]
    if scheme not in ("local", "dask", "ray") or (scheme != "local" and not address.partition("://")[2]):
        raise InvalidRequest(f"EVOLVE_COMPUTE={address}: write local, dask://host:port or ray://host:port")
    if scheme == "local" or workers == 1 or len(items) <= 1:
        return local.map_work(
            function, items, workers=workers, progress=progress, each=each, memory_mb=settings.compute_memory_mb
        )
    if scheme == "dask":
        from evolve.compute.dask_cluster import DaskCluster

        return DaskCluster(address).map(function, items, progress=progress, each=each)
    from evolve.compute.ray_cluster import RayCluster

    return RayCluster(address).map(function, items, progress=progress, each=each)
