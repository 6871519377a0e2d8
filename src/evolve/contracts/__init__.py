"""The messages of each service, one file per service. Who asks another service imports only these."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evolve.errors import Unavailable, UnknownType

if TYPE_CHECKING:
    from evolve.messaging.messages import Request


def request_class(service: str, wire_type: str) -> type[Request[Any]]:
    """The class of a request by its wire names.

    Raises Unavailable for a service that this version does not have, UnknownType for a request it does not answer.
    """
    from evolve.messaging.messages import Request

    try:
        module = importlib.import_module(f"{__name__}.{service}")
    except ModuleNotFoundError:
        raise Unavailable(f"{service} is not part of this version of Evolve", service=service) from None
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Request) and value.wire_type == wire_type:
            return value
    raise UnknownType(f"{service} has no request {wire_type!r}")
