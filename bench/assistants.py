"""What does an assistant's call cost beyond the request itself: in this process, over a pipe, over HTTP?

The same request to a real service, by turns: with the client directly, and as an MCP tool by an MCP client over each transport (the servers of
pipe and HTTP are `evolve mcp` in processes of their own). Medians of many calls, and their difference from the client's own, which is what MCP
adds; the machine's other work falls on all alike.

Not called mcp.py: a script's folder comes first where Python looks, and this would be taken for the package.

    python bench/assistants.py [CALLS] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
from mcp import Client, StdioServerParameters
from report.page import load, provenance, write_section

from evolve.client.core import AsyncClient
from evolve.contracts.performance_critic import GetBestModels
from evolve.manager.manager import ServiceManager
from evolve.mcp.calls import Caller
from evolve.mcp.server import mcp_server
from evolve.settings import Settings

SERVE = [sys.executable, "-m", "evolve", "mcp"]
WARM_UP = 20
LIMIT_MS = 8.0  # what HTTP may add: an assistant's own thinking takes a thousand times as long
ARGUMENTS = {"symbol": "AAPL"}
Call = Callable[[], Awaitable[object]]


async def measured(settings: Settings, calls: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Milliseconds per way and call, and the memory of the two servers in MB (RSS)."""
    environment = {**os.environ, "EVOLVE_HOME": str(settings.home), "EVOLVE_LOG_DIR": str(settings.logs)}
    async with AsyncExitStack() as open_still:
        client = await open_still.enter_async_context(AsyncClient(settings=settings))
        inside = await open_still.enter_async_context(Client(mcp_server(Caller(client))))
        pipe = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
        over_pipe = await open_still.enter_async_context(Client(pipe))
        server, url = _http_server(environment)
        open_still.callback(_end, server)
        over_http = await open_still.enter_async_context(Client(url))
        older = await open_still.enter_async_context(Client(url, mode="legacy"))

        async def direct() -> object:
            return await client.ask(GetBestModels(symbol="AAPL", timeframe="1d"))

        def tool(assistant: Client) -> Call:
            return lambda: _called(assistant)

        ways: dict[str, Call] = {
            "the client, no MCP": direct, "in this process": tool(inside), "over a pipe": tool(over_pipe),
            "over HTTP": tool(over_http), "over HTTP, the protocol before": tool(older),
        }  # fmt: skip
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(calls + WARM_UP):
            for name, call in ways.items():
                began = time.perf_counter()
                await call()
                if turn >= WARM_UP:
                    spent[name].append(1000 * (time.perf_counter() - began))
        return spent, {"over HTTP": psutil.Process(server.pid).memory_info().rss / 2**20}


async def _called(assistant: Client) -> object:
    result = await assistant.call_tool("best_models", ARGUMENTS)
    if result.is_error:
        raise SystemExit(f"the call failed: {result.structured_content}")
    return result


def _http_server(environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """`evolve mcp --http` on a free port, and its URL."""
    server = subprocess.Popen(
        [*SERVE, "--http", "--port", "0"], env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert server.stderr is not None
    for line in server.stderr:
        if line.startswith("MCP server at "):
            return server, line.removeprefix("MCP server at ").strip()
    raise SystemExit(f"evolve mcp --http ended with code {server.wait()}")


def _end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    server.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("calls", nargs="?", type=int, default=300)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    options = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory(prefix="ev-") as place:
        settings = Settings.load(home=Path(place), log_dir=Path(place) / "logs")
        with ServiceManager(settings=settings) as manager:
            try:
                manager.start_service("performance_critic")
                spent, memory = asyncio.run(measured(settings, options.calls))
            finally:
                manager.down()
    own = statistics.median(spent["the client, no MCP"])
    lines = [
        f"{provenance()}; load {before} before, {load()} after; {options.calls} calls each, by turns.",
        "",
        "| call | p50 ms | p95 ms | MCP adds, p50 ms |",
        "|---|---|---|---|",
    ]
    for name, times in spent.items():
        median, slow = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        added = "–" if name == "the client, no MCP" else f"{median - own:.2f}"
        lines.append(f"| {name} | {median:.2f} | {slow:.2f} | {added} |")
    lines += [
        "",
        f"The HTTP server takes {memory['over HTTP']:.0f} MB (RSS). Asked for: at most {LIMIT_MS:g} ms over HTTP.",
    ]
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_section(options.write, "mcp", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
