"""Which panels show how Evolve does? The Grafana dashboard, written from the questions it answers.

.venv/bin/python scripts/dashboard.py            writes deploy/observability/grafana/dashboards/evolve.json
.venv/bin/python scripts/dashboard.py --check    exit code 1 when the file is not what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "deploy" / "observability" / "grafana" / "dashboards" / "evolve.json"
WIDTH, HEIGHT = 8, 8  # three panels in a row of Grafana's 24 columns
SERVICE = 'service=~"$service"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One question. queries: (PromQL, legend); exemplars: dots that lead to the trace of one request."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str = ""
    exemplars: bool = False
    kind: str = "timeseries"


def quantile(q: float, metric: str, by: str) -> str:
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{SERVICE}}}[$__rate_interval])))"


def rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{SERVICE}{more}}}[$__rate_interval]))"


ERRORS = ', code!="ok"'
ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel("Rate", "reqps", ((rate("evolve_requests_total", "service"), "{{service}}"),)),
        Panel("Errors by code", "reqps", ((rate("evolve_requests_total", "service, code", ERRORS), "{{service}} {{code}}"),)),
        Panel("Error ratio", "percentunit", ((f"{rate('evolve_requests_total', 'service', ERRORS)} / {rate('evolve_requests_total', 'service')}", "{{service}}"),)),
        *(
            Panel(f"Duration, {name}", "s", ((quantile(q, "evolve_request_duration_seconds", "service, type"), "{{service}} {{type}}"),), "A dot is one request: its trace, and its id for `evolve trace`.", exemplars=True)
            for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
        ),
        Panel("Wait before work, p95", "s", ((quantile(0.95, "evolve_request_wait_seconds", "service, lane"), "{{service}} {{lane}}"),)),
        Panel("HTTP rate by status", "reqps", (("sum by (status) (rate(evolve_http_requests_total[$__rate_interval]))", "{{status}}"),)),
        Panel("HTTP duration, p95", "s", (("histogram_quantile(0.95, sum by (le, route) (rate(evolve_http_request_duration_seconds_bucket[$__rate_interval])))", "{{route}}"),), exemplars=True),
    ),
    "Queues": (
        Panel("Waiting", "short", ((f"max by (service, lane) (evolve_queue_waiting{{{SERVICE}}})", "{{service}} {{lane}}"),), "Requests that no replica took yet."),
        Panel("Age of the oldest that waits", "s", ((f"max by (service, lane) (evolve_queue_waiting_oldest_seconds{{{SERVICE}}})", "{{service}} {{lane}}"),)),
        Panel("In the queue, work in hand included", "short", ((f"max by (service, lane) (evolve_queue_depth{{{SERVICE}}})", "{{service}} {{lane}}"), (f"max by (service) (evolve_queue_delayed{{{SERVICE}}})", "{{service}} put off"))),
        Panel("Leases taken over and lost", "short", ((rate("evolve_lease_takeovers_total", "service"), "{{service}} taken over"), (rate("evolve_leases_lost_total", "service"), "{{service}} lost"))),
        Panel("Retries and deaths of jobs", "short", ((rate("evolve_retries_total", "service, reason"), "{{service}} {{reason}}"), (rate("evolve_job_deaths_total", "service"), "{{service}} job died"))),
        Panel("Dead letters", "short", ((f"max by (service) (evolve_dead_letters{{{SERVICE}}})", "{{service}} kept"), (rate("evolve_dead_letters_made_total", "service"), "{{service}} new, a second"))),
    ),
    "Sandbox and security": (
        Panel("Verdicts of the sandbox", "reqps", (("sum by (verdict) (rate(evolve_sandbox_verdicts_total[$__rate_interval]))", "{{verdict}}"),)),
        Panel("Security events", "short", (("sum by (event) (increase(evolve_security_events_total[$__rate_interval])) > 0", "{{event}}"),)),
    ),
    "Replicas": (
        Panel("Replicas", "short", ((f"max by (service) (evolve_replicas{{{SERVICE}}})", "{{service}}"),)),
        Panel("CPU", "short", ((f"max by (service, replica, part) (rate(evolve_replica_cpu_seconds_total{{{SERVICE}}}[$__rate_interval]))", "{{service}} {{replica}} {{part}}"),), "Cores; jobs are the job processes."),
        Panel("Memory (proportional)", "bytes", ((f"max by (service, replica, part) (evolve_replica_proportional_memory_bytes{{{SERVICE}}})", "{{service}} {{replica}} {{part}}"),)),
        Panel("Memory (resident)", "bytes", ((f"max by (service, replica, part) (evolve_replica_resident_memory_bytes{{{SERVICE}}})", "{{service}} {{replica}} {{part}}"),)),
        Panel("Open descriptors", "short", ((f"max by (service, replica, part) (evolve_replica_open_fds{{{SERVICE}}})", "{{service}} {{replica}} {{part}}"),)),
        Panel("Age of replicas", "s", ((f"time() - max by (service, replica) (evolve_replica_start_time_seconds{{{SERVICE}}})", "{{service}} {{replica}}"),)),
        Panel("Requests in hand", "short", ((f"max by (service, replica) (evolve_replica_in_flight{{{SERVICE}}})", "{{service}} {{replica}}"),)),
    ),
    "Server of the bus": (
        Panel("Memory", "bytes", (("max by (node) (evolve_server_memory_used_bytes)", "{{node}} used"), ("max by (node) (evolve_server_memory_max_bytes) > 0", "{{node}} at most"))),
        Panel("Round trip", "s", (("max by (node) (evolve_server_ping_seconds)", "{{node}}"),)),
        Panel("Append-only file", "short", (("max by (node) (rate(evolve_server_aof_delayed_fsyncs_total[$__rate_interval]))", "{{node}} writes that waited, a second"), ("min by (node) (evolve_server_aof_last_write_ok)", "{{node}} last write went well"))),
        Panel("Evicted keys, refused connections", "short", (("max by (node) (increase(evolve_server_evicted_keys_total[$__rate_interval]))", "{{node}} evicted"), ("max by (node) (increase(evolve_server_rejected_connections_total[$__rate_interval]))", "{{node}} refused"))),
        Panel("Connections, commands", "short", (("max by (node) (evolve_server_connected_clients)", "{{node}} connections"), ("max by (node) (rate(evolve_server_commands_total[$__rate_interval]))", "{{node}} commands a second"))),
        Panel("Free on the disk of the home", "bytes", (("min(evolve_home_free_bytes)", "free"),)),
    ),
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    down = 0
    for title, row in ROWS.items():
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": down, "w": 24, "h": 1}})  # fmt: skip
        down += 1
        for number, panel in enumerate(row):
            across, below = number % 3 * WIDTH, down + number // 3 * HEIGHT
            panels.append(_panel(panel, len(panels) + 1, {"x": across, "y": below, "w": WIDTH, "h": HEIGHT}))
        down += -(-len(row) // 3) * HEIGHT
    return {
        "uid": "evolve",
        "title": "Evolve",
        "tags": ["evolve"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_data_source(), _service()]},
        "panels": panels,
    }


def _panel(panel: Panel, id: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "expr": query,
            "legendFormat": legend,
            "exemplar": panel.exemplars,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
        }
        for number, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets,
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _service() -> dict[str, Any]:
    return {
        "name": "service",
        "type": "query",
        "label": "Service",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": "label_values(evolve_replicas, service)", "refId": "service"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def written() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the Grafana dashboard.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when it is out of date")
    if parser.parse_args().check:
        current = FILE.is_file() and FILE.read_text() == written()
        if not current:
            print(f"{FILE.name} is out of date: run scripts/dashboard.py", file=sys.stderr)
        return int(not current)
    FILE.write_text(written())
    return 0


if __name__ == "__main__":
    sys.exit(main())
