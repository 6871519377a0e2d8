"""Do the dashboard and the alert rules ask for what Evolve shows? Every expression parses, and every metric and label in it exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from jsonschema import Draft7Validator

from architecture.project_files import ROOT
from evolve.messaging.bus import LANES
from evolve.security_events import EVENTS
from evolve.services import SERVICES
from evolve.web.metrics import FAMILIES

PLACE = ROOT / "deploy" / "observability"
LABELS = {name: {*family.labels, "instance", "job", "le"} for family in FAMILIES for name in family.samples}
OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate"}}
GRAFANA = {"$__rate_interval": "5m", "$__all": ".*", "$service": ".*"}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PLACE / "grafana" / "dashboards" / "evolve.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((PLACE / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def scaler_patches() -> list[dict[str, Any]]:
    component = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "keda-age" / "kustomization.yaml").read_text())
    return list(component["patches"])


def age_triggers() -> list[tuple[str, dict[str, Any]]]:
    """The scaler's name, and what is added to its triggers."""
    found = []
    for patch in scaler_patches():
        [added] = yaml.safe_load(patch["patch"])
        assert (added["op"], added["path"]) == ("add", "/spec/triggers/-")
        found.append((patch["target"]["name"], added["value"]))
    return found


def scaler_queries() -> list[str]:
    return [trigger["metadata"]["query"] for _, trigger in age_triggers()]


def expressions() -> list[str]:
    """All of the dashboard's, with what Grafana puts in place of its variables, of the rules and of the scalers."""
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    for variable, value in GRAFANA.items():
        shown = [one.replace(variable, value) for one in shown]
    return [*shown, *(rule["expr"] for rule in rules()), *scaler_queries()]


PARTS = ("lhs", "rhs", "expr", "param", "args", "vector_selector", "vs")


def selectors(node: object) -> Iterator[Any]:
    """The metrics that an expression asks for, wherever they stand in it."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for part in node if isinstance(node, list | tuple) else (getattr(node, name, None) for name in PARTS):
        if part is not None:
            yield from selectors(part)


def test_the_metrics_of_an_expression_are_found_wherever_they_stand() -> None:
    text = "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) / -(b > 0) and max_over_time(sum(c)[1h:5m]) > quantile(0.5, d)"

    assert [one.name for one in selectors(promql_parser.parse(text))] == ["a_bucket", "b", "c", "d"]


def test_every_expression_asks_for_metrics_and_labels_that_there_are() -> None:
    asked = set()
    for expression in expressions():
        found = list(selectors(promql_parser.parse(expression)))
        assert found, expression
        for one in found:
            known = {**LABELS, **OF_PROMETHEUS}
            assert one.name in known, f"no metric {one.name}: {expression}"
            assert {matcher.name for matcher in one.matchers.matchers} <= known[one.name], expression
            asked.add(one.name)
        allowed = set().union(*({**LABELS, **OF_PROMETHEUS}[one.name] for one in found))
        for words in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {word.strip() for word in words.split(",")} <= allowed, expression
    # What nobody looks at need not be measured.
    families = {family.name for family in FAMILIES if asked & set(family.samples)}
    assert {family.name for family in FAMILIES} - families == NOT_SHOWN


# For who asks by hand; a panel for each would hide the others.
NOT_SHOWN = {
    "evolve_feed_total",
    "evolve_http_in_flight",
    "evolve_http_streams",
    "evolve_jobs",
    "evolve_queue_oldest_seconds",
    "evolve_replica_errors_total",
    "evolve_replica_processes",
    "evolve_replica_request_seconds_total",
    "evolve_replica_requests_total",
    "evolve_server_uptime_seconds",
}


def test_the_dashboard_shows_what_the_issue_asks_for_and_is_what_the_script_writes() -> None:
    checked = subprocess.run([sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--check"], capture_output=True)

    assert checked.returncode == 0, checked.stderr
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    with_exemplars = [panel["title"] for panel in panels if panel["targets"][0]["exemplar"]]
    assert {f"Duration, p{q}" for q in (50, 95, 99)} <= set(with_exemplars)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard()["panels"]]
    assert len(set(places)) == len(places)


def test_rules_about_security_name_events_of_the_list() -> None:
    for rule in rules():
        for pattern in re.findall(r'event=~"([^"]+)"', rule["expr"]):
            for one in pattern.split("|"):
                assert any(re.fullmatch(one, event) for event in EVENTS), one


def test_every_rule_is_tested_and_says_what_to_do() -> None:
    tested = yaml.safe_load((PLACE / "alerts.test.yml").read_text())["tests"]

    assert {one["name"] for one in tested} == {
        f"{rule['alert']} {what}" for rule in rules() for what in ("fires", "keeps silent")
    }
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith((".", "?"))


def test_every_service_can_be_scaled_by_the_age_of_what_waits_on_each_lane() -> None:
    schema = json.loads((ROOT / "deploy" / "kubernetes" / "keda" / "keda.schema.json").read_text())
    trigger_schema = Draft7Validator({"$ref": "#/definitions/prometheus", "definitions": schema["definitions"]})

    for _, trigger in age_triggers():
        trigger_schema.validate(trigger)
    assert {(name, trigger["metadata"]["query"]) for name, trigger in age_triggers()} == {
        (
            service.replace("_", "-"),
            f'max(evolve_queue_waiting_oldest_seconds{{service="{service}", lane="{lane}"}})',
        )
        for service in SERVICES
        for lane in LANES
    }


@pytest.mark.prove
@pytest.mark.parametrize("words", ["check rules alerts.yml", "test rules alerts.test.yml", "check config --syntax-only prometheus.yml"])  # fmt: skip
def test_prometheus_takes_the_rules_and_they_do_as_they_say(words: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")

    checked = subprocess.run([promtool, *words.split()], cwd=PLACE, capture_output=True, text=True, timeout=60)

    assert checked.returncode == 0, checked.stdout + checked.stderr
