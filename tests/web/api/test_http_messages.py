"""Any message of any service over HTTP: answered at once, or as a job that can be followed, cancelled, and asked for once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evolve.services import SERVICES
from homes import until
from web.api.web_servers import JSON, Web

pytestmark = pytest.mark.xdist_group("http-api")


def end_of(web: Web, job: str) -> dict[str, object]:
    def ended() -> dict[str, object] | None:
        document = web.get(f"/api/v1/jobs/{job}").json()
        return document if document["state"] in ("succeeded", "failed", "cancelled") else None

    return until(ended, what=f"the end of {job}")


# --- quick ones ---


def test_a_quick_message_is_answered_with_its_reply(web: Web) -> None:
    answer = web.ask("echo", {"text": "hello"})

    assert answer.status_code == 200
    assert answer.json()["text"] == "hello"
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-request-id"]) == 32


def test_the_id_in_the_answer_is_the_one_in_the_logs(web: Web) -> None:
    mine = web.ask("echo", {"text": "x"}, X_Request_Id="from-my-proxy")
    ours = web.ask("echo", {"text": "x"})

    assert mine.headers["x-request-id"] == "from-my-proxy"
    lines = (web.home / "logs" / "web_service.log").read_text().splitlines()
    for id in ("from-my-proxy", ours.headers["x-request-id"]):
        assert any(f"request_id='{id}'" in line and "status=200" in line for line in lines)
    assert all("request_id=" in line for line in lines if "event='answered'" in line)


@pytest.mark.parametrize(
    ("type", "data", "status", "code"),
    [
        ("fail", {"how": "typed"}, 422, "invalid_request"),
        ("fail", {"how": "bug"}, 500, "internal"),
        ("echo", {}, 422, "invalid_request"),
        ("echo", {"text": "x", "colour": 1}, 422, "invalid_request"),
        ("echo", [], 422, "invalid_request"),
        ("shout", {"text": "x"}, 404, "not_found"),
    ],
)
def test_an_error_is_a_problem_with_its_code_and_where_to_read_on(
    web: Web, type: str, data: object, status: int, code: str
) -> None:
    answer = web.client.post(f"/api/v1/echo/{type}", content=json.dumps(data), headers=JSON)

    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].endswith(f".md#{code}")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    page, _, section = problem["type"].partition("#")
    if page == "/docs/http-api.md":
        assert f"`{section}`" in web.get(page).text


def test_a_service_that_is_not_there_is_said_at_once_and_nothing_is_lost(web: Web) -> None:
    answer = web.ask("list_models", service="model_builder")

    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert "evolve up" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1


# --- jobs ---


def test_long_work_is_a_job_whose_steps_are_streamed(web: Web) -> None:
    accepted = web.ask("slow_echo", {"text": "done", "steps": 3})
    place = accepted.headers["location"]
    with web.events(f"{place}/events") as events:
        seen = list(events)

    assert accepted.status_code == 202
    assert accepted.json()["state"] == "queued"
    assert [event.name for event in seen] == ["job", "progress", "progress", "progress", "reply"]
    assert [event.data["done"] for event in seen if event.name == "progress"] == [1, 2, 3]
    assert (seen[-1].data["status"], seen[-1].data["data"]["text"]) == ("success", "done")
    job = web.get(place).json()
    assert (job["state"], job["type"], job["result"]["text"]) == ("succeeded", "slow_echo", "done")

    # Who was cut off gets what came since; who has seen all is told not to ask again.
    with web.events(f"{place}/events", Last_Event_ID=seen[2].id) as rest:
        assert [event.id for event in rest] == [event.id for event in seen[3:]]
    assert web.get(f"{place}/events", Last_Event_Id=seen[-1].id).status_code == 204
    with web.events(f"{place}/events", Last_Event_ID="0badc0de-7") as anew:
        assert next(event.name for event in anew) == "job"  # of another life of the server: all of it again


def test_who_asks_chooses_between_waiting_and_a_job(web: Web) -> None:
    waited = web.ask("slow_echo", {"text": "w", "steps": 1}, Prefer="wait=20")
    soon = web.ask("slow_echo", {"text": "w", "steps": 600}, Prefer="wait=1")
    asynchronous = web.ask("echo", {"text": "a"}, Prefer="respond-async, wait=5")

    assert (waited.status_code, waited.json()["text"]) == (200, "w")
    assert waited.headers["preference-applied"] == "wait=20"
    assert (soon.status_code, asynchronous.status_code) == (202, 202)
    assert end_of(web, asynchronous.json()["id"])["state"] == "succeeded"
    cancelled = web.client.delete(soon.headers["location"], headers=JSON)
    assert cancelled.status_code == 202
    ended = end_of(web, soon.json()["id"])
    assert ended["state"] == "cancelled"
    assert ended["problem"]["code"] == "cancelled"  # type: ignore[index]
    assert web.client.delete(soon.headers["location"], headers=JSON).status_code == 200  # nothing is left to do


def test_the_same_key_and_content_run_once(web: Web, tmp_path: Path) -> None:
    journal, marker = tmp_path / "journal", tmp_path / "marker"
    marker.touch()
    work = {"text": "once", "journal": str(journal), "marker": str(marker)}

    def ask(_: int) -> httpx.Response:
        return web.ask("run", work, Idempotency_Key="my-key.1", Prefer="wait=20")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))

    assert [answer.json()["text"] for answer in answers] == ["once"] * 4
    assert len(journal.read_text().splitlines()) == 1
    assert ask(0).json()["text"] == "once"
    other = web.ask("run", {**work, "text": "another"}, Idempotency_Key="my-key.1")
    assert (other.status_code, other.json()["code"]) == (409, "request_id_reused")
    quick = [web.ask("echo", {"text": text}, Idempotency_Key="quick-key") for text in ("a", "a", "b")]
    assert [answer.status_code for answer in quick] == [200, 200, 409]


def test_the_jobs_are_listed_in_pages(web: Web) -> None:
    ids = {web.ask("echo", {"text": "x"}, Prefer="respond-async").json()["id"] for _ in range(5)}
    for id in ids:
        end_of(web, id)

    listed, path = [], "/api/v1/jobs?limit=2&service=echo&state=succeeded"
    while path:
        page = web.get(path)
        assert page.json()["count"] == len(page.json()["jobs"]) <= 2
        listed += [job["id"] for job in page.json()["jobs"]]
        path = page.links.get("next", {}).get("url", "")

    assert ids <= set(listed)
    assert len(listed) == len(set(listed))
    assert web.get("/api/v1/jobs?limit=0").status_code == 422
    assert web.get("/api/v1/jobs?cursor=nonsense").status_code == 422


def test_a_page_is_read_at_once_or_refused(web: Web) -> None:
    """Found by schemathesis: with a key the cursor was passed over, and the first page came again."""
    for headers in ({"Idempotency_Key": "paged"}, {"Prefer": "respond-async"}):
        answer = web.ask("list_models?cursor=MS5hYQ", service="model_builder", **headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert web.ask("list_models?cursor=x", service="model_builder").status_code == 422


def test_an_unknown_job_is_not_found(web: Web) -> None:
    assert web.get("/api/v1/jobs/nobody-asked").json()["code"] == "not_found"


def test_what_others_ask_over_the_bus_shows_in_the_feed_and_among_the_jobs(web: Web) -> None:
    from evolve.client.client import ServiceClient
    from evolve.settings import Settings

    settings = Settings.load(home=web.home, log_dir=web.home / "logs")
    with web.events("/api/v1/events?service=echo") as events, pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVICES, "echo", "services_under_test.echo:EchoService")
        with ServiceClient(settings=settings) as client:
            asked = client.send_request("echo", "slow_echo", {"text": "by bus", "steps": 2}, timeout=30)
        mine = []
        for event in events:
            if event.data.get("request_id") == asked["request_id"]:
                mine.append(event.data)
                if event.data["type"] == "echoed":
                    break

    assert [message["type"] for message in mine] == ["progress", "progress", "echoed"]
    assert mine[-1]["data"]["text"] == "by bus"
    others = web.get("/api/v1/jobs?origin=all&limit=500").json()["jobs"]
    assert asked["request_id"] in {job["id"] for job in others if job["origin"] == "bus"}
    # Its result is found by its id, as that of any request on the bus.
    assert web.get(f"/api/v1/jobs/{asked['request_id']}").json()["result"]["text"] == "by bus"


# --- health ---


def test_probes_and_figures(web: Web) -> None:
    web.ask("echo", {"text": "counted"})

    assert web.get("/health/live").json() == {"status": "live"}
    ready = web.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["services"]["echo"] == 1
    assert ready.json()["status"] == "degraded"  # the other nine do not run
    figures = web.get("/metrics").text
    assert 'evolve_http_requests_total{method="POST",route="/api/v1/echo/echo",status="200"}' in figures
    assert 'evolve_replicas{service="echo"} 1' in figures
    assert 'evolve_queue_depth{service="model_builder",lane="heavy"} 0' in figures
    assert "evolve_bus_up 1" in figures
    for line in figures.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


def test_a_traceparent_leads_from_the_http_request_to_the_exemplar_of_its_service(web: Web) -> None:
    """Also where nothing is exported: the trace is somebody else's, and is passed on."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    web.ask("slow_echo", {"text": "t", "steps": 1}, Traceparent=f"00-{trace_id}-b7ad6b7169203331-01", Prefer="wait=60")

    def shown() -> dict[str, str] | None:
        answer = web.get("/metrics", accept="application/openmetrics-text;version=1.0.0")
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        found = {
            sample.name.removesuffix("_bucket"): sample.labels.get("type") or sample.labels.get("method")
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.exemplar is not None and sample.exemplar.labels.get("trace_id") == trace_id
        }
        return found if "evolve_request_duration_seconds" in found else None

    assert until(shown, what="the replica's figures") == {
        "evolve_request_duration_seconds": "slow_echo",
        "evolve_http_request_duration_seconds": "POST",
    }


def test_services_and_their_dead_letters(web: Web) -> None:
    shown = web.get("/api/v1/services/echo").json()

    assert (shown["state"], len(shown["replicas"])) == ("running", 1)
    assert web.get("/api/v1/services").json()["count"] == len(SERVICES) + 1
    assert web.get("/api/v1/services/ecko").json()["code"] == "unknown_service"
    assert web.get("/api/v1/services/echo/dead-letters").status_code == 200
    assert web.get("/api/v1/services/echo/dead-letters/1-1").json()["code"] == "not_found"
    assert web.get("/api/v1/services/echo/dead-letters/99999999999999999999-1").status_code == 404
