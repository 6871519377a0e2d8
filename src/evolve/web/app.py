"""What does the web server answer? The FastAPI application: the API, and the pages where they are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from evolve.client.core import AsyncClient
from evolve.settings import Settings
from evolve.version import VERSION


def create_app(settings: Settings) -> FastAPI:
    """The application. It connects at its start, by its lifespan; `app.state.client` is the `AsyncClient` of all handlers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(settings=settings) as client:
            app.state.client = client
            yield

    # FastAPI's own pages for the documentation load scripts from elsewhere; ours is docs/http-api.md and /openapi.json.
    app = FastAPI(title="Evolve", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings

    @app.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    _mount_pages(app)
    return app


def _mount_pages(app: FastAPI) -> None:
    """Add the routes of `evolve.web.pages` where that package is there: the API serves without it."""
    if importlib.util.find_spec("evolve.web.pages") is not None:
        app.include_router(importlib.import_module("evolve.web.pages").router(app))
