"""Where does an error's address lead? To the pages of the documentation, which travel with the package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from evolve.web.problems import NotFound

NAME = re.compile(r"[a-z0-9-]{1,60}\.md")


@cache
def _directory() -> Path | None:
    """In the package, else in the checkout; None for an installation without."""
    here = Path(__file__).resolve()
    packed, checkout = here.parents[1] / "documents", here.parents[3] / "docs"
    return packed if packed.is_dir() else checkout if checkout.is_dir() else None


async def document(http: Request) -> Response:
    """A page as Markdown, under `/docs/<name>.md`. Raises NotFound."""
    name = str(http.path_params["name"])
    directory = _directory()
    path = directory / name if directory is not None and NAME.fullmatch(name) else None
    if path is None or not path.is_file():
        raise NotFound(f"there is no page {name[:60]!r} in the documentation")
    return PlainTextResponse(
        path.read_text(encoding="utf-8"), media_type="text/markdown", headers={"cache-control": "no-cache"}
    )
