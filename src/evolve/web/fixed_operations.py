"""Which operations does the API have beside the messages? Jobs, the feed, services, dead letters and health, as OpenAPI says it."""

from __future__ import annotations

from typing import Any

from evolve.web.problems import STATUSES

JSON = "application/json"
Operation = dict[str, Any]


def object_of(properties: dict[str, Any], *, optional: tuple[str, ...] = (), more: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
        "additionalProperties": more,
    }


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(name: str, item: str) -> dict[str, Any]:
    return object_of({name: {"type": "array", "items": ref(item)}, "count": {"type": "integer", "minimum": 0}})


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: dict[str, Any] = {"type": "string"}
SECONDS: dict[str, Any] = {"type": "number", "description": "Unix seconds"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}

_JOB: dict[str, Any] = {
    "id": TEXT,
    "service": TEXT,
    "type": {
        "type": ["string", "null"],
        "description": "What was asked; null while that is not known (asked by others).",
    },
    "origin": {"enum": ["http", "bus"]},
    "state": {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]},
    "created": SECONDS,
    "updated": SECONDS,
    "progress": or_null(ref("Progress")),
    "waiting": {
        "type": ["string", "null"],
        "description": "Why nothing happens, while the service or the server is away.",
    },
    "reply_type": {"type": ["string", "null"]},
    "problem": or_null(ref("Problem")),
    "links": object_of({"self": TEXT, "events": TEXT}),
}

DATA_TYPES: dict[str, Any] = {
    "Problem": {
        **object_of(
            {
                "type": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "The section that says what to do.",
                },
                "title": TEXT,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string", "description": "A sentence to act on."},
                "code": {"enum": sorted(STATUSES)},
                "request_id": TEXT,
            },
            more=True,
        ),
        "description": "RFC 9457. What else an error knows (nearest names, wrong fields) stands beside, under names of its own.",
    },
    "Progress": object_of(
        {"stage": TEXT, "done": {"type": "number"}, "total": {"type": "number"}, "message": TEXT}, more=True
    ),
    "Job": object_of(_JOB),
    "JobWithResult": object_of(
        {**_JOB, "result": {"type": ["object", "null"], "description": "The reply of a job that succeeded."}}
    ),
    "Jobs": list_of("jobs", "Job"),
    "Service": object_of(
        {
            "service": TEXT,
            "state": {"enum": ["running", "stopping", "stopped"]},
            "queued": COUNT,
            "oldest_s": {"type": "number", "minimum": 0},
            "dead": COUNT,
            "replicas": {"type": "array", "items": {"type": "object"}},
        }
    ),
    "Services": list_of("services", "Service"),
    "Ordered": object_of(
        {
            "service": TEXT,
            "status": {"enum": ["running", "starting", "stopping", "stopped", "crashed"]},
            "pids": {"type": "array", "items": {"type": "integer"}},
            "uptime_s": {"type": "number"},
            "restarts": COUNT,
            "log": TEXT,
        }
    ),
    "DeadLetter": object_of(
        {
            "service": TEXT,
            "entry": TEXT,
            "request_id": {"type": ["string", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "attempts": COUNT,
            "reason": TEXT,
            "raw": {"type": "string", "description": "The message as it came; bytes that are no UTF-8 are escaped."},
            "is_text": {"type": "boolean"},
        }
    ),
    "DeadLetters": list_of("dead_letters", "DeadLetter"),
    "Retried": object_of({"request_id": TEXT}),
    "Live": object_of({"status": {"enum": ["live"]}}),
    "Ready": object_of(
        {
            "status": {"enum": ["ready", "degraded", "unavailable"]},
            "version": TEXT,
            "bus": {"type": "boolean"},
            "feed": {"type": "boolean"},
            "services": {"type": "object", "additionalProperties": COUNT},
        },
        optional=("version", "bus", "feed", "services"),
    ),
}


def answers(schema: str, description: str, status: str = "200") -> dict[str, Any]:
    return {status: {"description": description, "content": {JSON: {"schema": ref(schema)}}}}


def _paged(schema: str, description: str) -> dict[str, Any]:
    found = answers(schema, description)
    found["200"]["headers"] = {"Link": {"description": '`rel="next"`: the next page.', "schema": TEXT}}
    return found


def _stream(description: str, *names: str) -> dict[str, Any]:
    """The schema is that of one event."""
    data = {"type": "string", "contentMediaType": JSON}
    event = object_of({"id": TEXT, "event": {"enum": list(names)}, "data": data, "retry": COUNT}, optional=("retry",))
    return {"200": {"description": description, "content": {"text/event-stream": {"schema": event}}}}


def query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 128}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_ID = path("id", "The job's id: the `Idempotency-Key` it was asked with, or one of ours.")
SERVICE = path("service", "A service's name.")
_ENTRY = path("entry", "The dead letter's entry.")
_CURSOR = query("cursor", {"type": "string", "maxLength": 200}, "From the `Link` of the page before.")
_LAST_EVENT = {
    "name": "Last-Event-ID", "in": "header", "required": False,
    "description": "The id of the last event seen: what came since is sent first.", "schema": {"type": "string"},
}  # fmt: skip
READ_ERRORS = (401, 403, 429, 500, 503)
# An empty object: whatever changes something is asked with JSON, which no form of another site's page can send.
NO_BODY = {"required": True, "content": {JSON: {"schema": {"type": "object", "maxProperties": 0}}}}


def limit(most: int, usual: int) -> dict[str, Any]:
    return query("limit", {"type": "integer", "minimum": 1, "maximum": most, "default": usual}, "How many at once.")


def _order(verb: str, summary: str) -> tuple[str, str, Operation]:
    operation: Operation = {
        "operationId": f"{verb}_service", "tags": ["services"], "summary": summary, "effect": "admin",
        "parameters": [SERVICE], "requestBody": NO_BODY, "responses": answers("Ordered", "How it is now."),
        "errors": (400, *READ_ERRORS, 404, 413, 415, 422, 504),
    }  # fmt: skip
    return f"/api/v1/services/{{service}}/{verb}", "post", operation


_LETTERS = "/api/v1/services/{service}/dead-letters"

FIXED: tuple[tuple[str, str, Operation], ...] = (
    ("/api/v1/jobs", "get", {
        "operationId": "list_jobs", "tags": ["jobs"], "summary": "The jobs that this server knows, newest first.", "effect": "read",
        "parameters": [
            limit(500, 50), _CURSOR, query("state", {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]}, "Only these."),
            query("service", TEXT, "Only of this service."),
            query("origin", {"enum": ["http", "all"], "default": "http"}, "`all`: also what others ask for over the bus."),
        ],
        "responses": _paged("Jobs", "A page of jobs."), "errors": (*READ_ERRORS, 422),
    }),
    ("/api/v1/jobs/{id}", "get", {
        "operationId": "get_job", "tags": ["jobs"], "summary": "A job, with its result once it has one.", "effect": "read",
        "parameters": [_ID], "responses": answers("JobWithResult", "The job."), "errors": (*READ_ERRORS, 404),
    }),
    ("/api/v1/jobs/{id}", "delete", {
        "operationId": "cancel_job", "tags": ["jobs"], "summary": "Cancel a job, queued or running.", "effect": "run",
        "parameters": [_ID],
        "responses": {**answers("Job", "It was done already."), **answers("Job", "Its end is on the way.", "202")},
        "errors": (*READ_ERRORS, 400, 404, 413, 415),
    }),
    ("/api/v1/jobs/{id}/events", "get", {
        "operationId": "stream_job", "tags": ["jobs"], "summary": "A job's steps as they come, as server-sent events.", "effect": "read",
        "description": "Events: `job` (the job), `progress` ({stage, done, total, message}), `state` ({state, why}: the service or the "
        "server went away, or came back), `reply` ({status, type, data}; `large`: fetch the job instead). The stream ends after `reply`; "
        "who comes back with its id gets `204`. A comment every 15 s keeps the connection.",
        "parameters": [_ID, _LAST_EVENT],
        "responses": {**_stream("The events.", "job", "progress", "state", "reply"), "204": {"description": "It ended, and you have seen all of it."}},
        "errors": (*READ_ERRORS, 404),
    }),
    ("/api/v1/events", "get", {
        "operationId": "stream_feed", "tags": ["services"], "summary": "What services say, as it comes, as server-sent events.",
        "description": "Events: `message` ({service, type, status, request_id, timestamp, data, bytes}; data is null when larger than 16 "
        "kB), `bus` ({connected, why}), `resync` ({missed}): you were slower than the messages, and go on with what is new.",
        "effect": "read",
        "parameters": [query("service", {"type": "array", "items": TEXT}, "Only of these."), _LAST_EVENT],
        "responses": _stream("The events; the stream does not end.", "message", "bus", "resync"), "errors": (*READ_ERRORS, 404),
    }),
    ("/api/v1/services", "get", {
        "operationId": "list_services", "tags": ["services"], "summary": "All services: state, queue, replicas.", "effect": "read",
        "parameters": [], "responses": answers("Services", "All of them."), "errors": READ_ERRORS,
    }),
    ("/api/v1/services/{service}", "get", {
        "operationId": "get_service", "tags": ["services"], "summary": "One service: state, queue, replicas.", "effect": "read",
        "parameters": [SERVICE], "responses": answers("Service", "How it is."), "errors": (*READ_ERRORS, 404),
    }),
    _order("start", "Start a service; returns once it answers."),
    _order("stop", "Let a service finish what is in work, and stop it."),
    _order("restart", "Stop a service, and start as many replicas as ran."),
    (_LETTERS, "get", {
        "operationId": "list_dead_letters", "tags": ["services"], "summary": "What could not be answered, newest first.", "effect": "read",
        "parameters": [SERVICE, limit(1_000, 50), _CURSOR], "responses": _paged("DeadLetters", "A page of them."),
        "errors": (*READ_ERRORS, 404, 422),
    }),
    (f"{_LETTERS}/{{entry}}", "get", {
        "operationId": "get_dead_letter", "tags": ["services"], "summary": "One dead letter: reason, attempts, content.",
        "effect": "read", "parameters": [SERVICE, _ENTRY], "responses": answers("DeadLetter", "The letter."),
        "errors": (*READ_ERRORS, 404),
    }),
    (f"{_LETTERS}/{{entry}}", "delete", {
        "operationId": "drop_dead_letter", "tags": ["services"], "summary": "Delete a dead letter for good.", "effect": "admin",
        "parameters": [SERVICE, _ENTRY], "responses": {"204": {"description": "It is gone."}},
        "errors": (*READ_ERRORS, 400, 404, 413, 415),
    }),
    (f"{_LETTERS}/{{entry}}/retry", "post", {
        "operationId": "retry_dead_letter", "tags": ["services"], "summary": "Put a dead letter back into its queue.", "effect": "admin",
        "parameters": [SERVICE, _ENTRY], "requestBody": NO_BODY,
        "responses": answers("Retried", "It is queued; `Location` is its job.", "202"),
        "errors": (400, *READ_ERRORS, 404, 413, 415, 422),
    }),
    ("/health/live", "get", {
        "operationId": "get_liveness", "tags": ["health"], "summary": "Whether this process answers.", "effect": "",
        "parameters": [], "responses": answers("Live", "It does."), "errors": (403, 500),
    }),
    ("/health/ready", "get", {
        "operationId": "get_readiness", "tags": ["health"], "summary": "Whether the bus is reached, and which services answer.",
        "effect": "", "parameters": [],
        "responses": {**answers("Ready", "It is."), **answers("Ready", "The server of the bus does not answer.", "503")},
        "errors": (403, 500),
    }),
    ("/metrics", "get", {
        "operationId": "get_metrics", "tags": ["health"], "summary": "Figures for Prometheus.", "effect": "read", "parameters": [],
        "responses": {"200": {"description": "Text exposition format 0.0.4, or OpenMetrics 1.0 where that is accepted: with exemplars.", "content": {"text/plain": {"schema": TEXT}, "application/openmetrics-text": {"schema": TEXT}}}},
        "errors": (401, 403, 429, 500),
    }),
)  # fmt: skip
