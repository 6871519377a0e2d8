"""Values as people read them, and forms as browsers send them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from starlette.requests import Request

from evolve.errors import InvalidRequest
from evolve.web.pages import frame


def form(body: bytes, kind: str = "application/x-www-form-urlencoded") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "path": "/ask", "query_string": b"", "headers": headers}, receive)


async def test_a_form_is_read_as_a_browser_sends_it() -> None:
    assert await frame.form_of(form(b"query=best+model+%3Cb%3E&thread=")) == {"query": "best model <b>", "thread": ""}
    assert await frame.form_of(form(b"")) == {}


@pytest.mark.parametrize(
    "request_",
    [
        form(b"{}", "application/json"),
        form(b"&".join(b"a=%d" % n for n in range(60))),
        form(b"query=\xff"),
        form(b"a=" + b"x" * frame.MAX_FORM),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(request_: Request) -> None:
    with pytest.raises(InvalidRequest):
        await frame.form_of(request_)


@pytest.mark.parametrize(
    ("value", "limit", "cell"),
    [(0.0, 0.1, "h4"), (0.1, 0.1, "h8"), (0.9, 0.1, "h8"), (-0.05, 0.1, "h2"), (0.1, 0.0, "h4")],
)
def test_a_cell_of_the_heat_map_has_its_full_colour_at_the_limit(value: float, limit: float, cell: str) -> None:
    assert frame._heat(value, limit) == cell


def test_pages_load_neither_arrays_nor_a_database() -> None:
    """An idle web process stays light; libraries come with the first page that needs them."""
    code = "import sys, evolve.web.pages; print([name for name in ('numpy', 'pandas', 'torch', 'sqlalchemy', 'matplotlib', 'numba') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
