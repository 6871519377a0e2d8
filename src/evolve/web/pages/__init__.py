"""The pages: what a person with only a browser can see and do. Made by the server; scripts stream, draw and open beside."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from evolve.web.pages import (
    alerts,
    answers,
    ask,
    compare,
    data,
    doctor,
    frame,
    jobs,
    messages,
    models,
    pictures,
    research,
    routing,
    sandbox,
    services,
    strategies,
    studies,
)


def router(app: FastAPI) -> APIRouter:
    """All pages of the application, and the files they load under `/assets`."""
    frame.mount_assets(app)
    pages = APIRouter(include_in_schema=False)
    for part in (
        ask, routing, answers, jobs, models, compare, strategies, sandbox, research, pictures, data, studies, services, messages, alerts, doctor,
    ):  # fmt: skip
        pages.include_router(part.router)
    return pages
