"""How does a loop end for certain? It is cancelled until it is gone, for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_S = 0.5


async def end_tasks(tasks: Collection[asyncio.Task[Any]], *, within_s: float = 8.0) -> set[asyncio.Task[Any]]:
    """Cancel `tasks` and wait for their end; what still runs after `within_s`.

    Once is not always enough: a library that turns a cancellation into its own timeout error swallows it, and a loop that
    tries again after errors then goes on for ever.
    """
    end = asyncio.get_running_loop().time() + within_s
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
        if pending and asyncio.get_running_loop().time() >= end:
            break
    return pending
