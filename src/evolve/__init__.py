"""What can a program use of Evolve without knowing where it stands? Loaded when it is named: importing this costs nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.client.client import ServiceClient
    from evolve.client.core import AsyncClient
    from evolve.errors import EvolveError
    from evolve.evidence import Evidence
    from evolve.manager.manager import ServiceManager
    from evolve.market.bars import Bars
    from evolve.quant_gpt import QuantGPT
    from evolve.settings import Settings

__all__ = [
    "AsyncClient",
    "Bars",
    "Evidence",
    "EvolveError",
    "QuantGPT",
    "ServiceClient",
    "ServiceManager",
    "Settings",
]

_PLACES = {
    "AsyncClient": "evolve.client.core",
    "Bars": "evolve.market.bars",
    "Evidence": "evolve.evidence",
    "EvolveError": "evolve.errors",
    "QuantGPT": "evolve.quant_gpt",
    "ServiceClient": "evolve.client.client",
    "ServiceManager": "evolve.manager.manager",
    "Settings": "evolve.settings",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'evolve' has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
