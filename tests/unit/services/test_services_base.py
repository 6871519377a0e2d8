"""The base of our services: what a run may still write when another replica has taken its request over."""

from __future__ import annotations

import pytest

from evolve.errors import LeaseLost
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles
from evolve.services.base import BaseService
from evolve.settings import Settings


class Noted(Reply):
    by: str


class Note(Request[Noted], records=True):
    """Something that enters the decision log."""


class NotingService(BaseService):
    name = "noting"
    overtaken_by: Job | None = None

    @handles
    def note(self, request: Note, job: Job) -> Noted:
        if self.overtaken_by is not None:
            later, self.overtaken_by = self.overtaken_by, None
            self.handle(request, later)
        return Noted(by=f"attempt {job.attempt}")


def job(attempt: int) -> Job:
    return Job(RequestEnvelope("note", {}, request_id="r1"), wire=None, attempt=attempt, entry="1-0")  # type: ignore[arg-type]


def test_a_run_that_was_overtaken_records_nothing_and_the_later_one_does(tmp_path):
    service = NotingService(settings=Settings.load(home=tmp_path, log_dir=tmp_path))
    service.overtaken_by = job(attempt=2)

    with pytest.raises(LeaseLost):
        service.handle(Note(), job(attempt=1))

    assert service.decision_log().get("r1").outcome == {"by": "attempt 2"}
