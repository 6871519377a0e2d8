"""What does a person see when a page cannot be shown? The error's sentence, in the same frame, and a way on."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evolve.errors import EvolveError
from evolve.web.pages.frame import problem_page


def page(request: Request, error: EvolveError) -> Response:
    return problem_page(request, error)
