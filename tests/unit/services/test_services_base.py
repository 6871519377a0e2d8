"""The base of our services: what a run may still write when another replica has taken its request over."""

from __future__ import annotations

import pytest

from evolve.audit_trail import AuditTrail
from evolve.errors import Forbidden, LeaseLost
from evolve.messaging.envelope import RequestEnvelope
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, handles, load_service
from evolve.services import SERVICES
from evolve.services.base import AUDITED, BaseService
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


class Deleted(Reply):
    model_id: str


class DeleteModel(Request[Deleted], records=True):
    """What others may rely on goes away."""

    model_id: str


class DeletingService(BaseService):
    name = "deleting"

    @handles
    def delete_model(self, request: DeleteModel, job: Job) -> Deleted:
        if request.model_id == "champion":
            raise Forbidden("it is in charge")
        return Deleted(model_id=request.model_id)


def job(attempt: int, sender: str | None = None) -> Job:
    return Job(RequestEnvelope("note", {}, request_id="r1", sender=sender), wire=None, attempt=attempt, entry="1-0")  # type: ignore[arg-type]


def test_what_decides_about_others_models_is_on_record_with_who_asked_also_when_refused(tmp_path):
    service = DeletingService(settings=Settings.load(home=tmp_path, log_dir=tmp_path))

    service.handle(DeleteModel(model_id="ridge-1"), job(attempt=1, sender="client-7"))
    with pytest.raises(Forbidden):
        service.handle(DeleteModel(model_id="champion"), job(attempt=1))

    trail = AuditTrail(tmp_path)
    assert [
        (entry.what, entry.who, entry.details["model_id"], entry.details["result"]) for entry in trail.entries()
    ] == [
        ("delete_model", "client-7", "ridge-1", "success"),
        ("delete_model", "nobody named", "champion", "forbidden"),
    ]
    assert trail.verify().problem == ""


def test_what_is_audited_is_a_message_that_there_is():
    requests = {wire_type for service in SERVICES.values() for wire_type in load_service(service).handlers}

    assert requests >= AUDITED


def test_a_run_that_was_overtaken_records_nothing_and_the_later_one_does(tmp_path):
    service = NotingService(settings=Settings.load(home=tmp_path, log_dir=tmp_path))
    service.overtaken_by = job(attempt=2)

    with pytest.raises(LeaseLost):
        service.handle(Note(), job(attempt=1))

    assert service.decision_log().get("r1").outcome == {"by": "attempt 2"}
