"""What an attack is thrown at: the executor in the configurations that the wall must hold in.

Each function has the harness's form: run(code, input, timeout_s, memory_mb) → dict.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from evolve.sandbox.executor import SafeExecutor

Adapter = Callable[[str, dict[str, Any], float, int], dict[str, Any]]


@functools.cache
def _executor(**options: bool) -> SafeExecutor:
    executor = SafeExecutor(memory_limit_mb=256, timeout_seconds=2, **options)  # in EVOLVE_HOME
    executor.wait_until_warm()
    return executor


def _run(
    options: dict[str, bool], code: str, input: dict[str, Any], timeout_s: float, memory_mb: int
) -> dict[str, Any]:
    executor = _executor(**options)
    result = executor.execute(code, "attack", input, timeout_seconds=timeout_s, memory_limit_mb=memory_mb).to_dict()
    # The harness knows what a program says by these names; what it says in any other field would be forged.
    return {"stdout": result.pop("output"), "stderr": result.pop("logs"), **result}


def gate_on(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    return _run({}, code, input, timeout_s, memory_mb)


def gate_off(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    return _run({"validate_code": False}, code, input, timeout_s, memory_mb)


def gate_on_no_namespaces(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    return _run({"namespaces": False}, code, input, timeout_s, memory_mb)


def no_namespaces(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    return _run({"validate_code": False, "namespaces": False}, code, input, timeout_s, memory_mb)


def seccomp_only(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    return _run({"validate_code": False, "namespaces": False, "landlock": False}, code, input, timeout_s, memory_mb)


def no_wall(code: str, input: dict[str, Any], timeout_s: float, memory_mb: int) -> dict[str, Any]:
    """What the attacks can do where nothing stops them: shows that the judge sees it."""
    return _run({"validate_code": False, "enable_sandbox": False}, code, input, timeout_s, memory_mb)
