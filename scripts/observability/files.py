"""The rules, their cases, the dashboard and the runbooks, as the chart renders them for one release."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "helm/idv-gateway/rules").glob("*.yaml"))
TESTS = ROOT / "tests/prometheus"
DASHBOARDS = sorted((ROOT / "helm/idv-gateway/dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs/runbooks"
# The release idv-gateway in the namespace idv, by the labels that its scrape targets have.
RELEASE = {"namespace": "idv", "job": "idv-gateway-admin"}
# All labels that the Prometheus operator gives the targets of the chart's ServiceMonitor, but for pod and instance. They
# win over labels of the same name in the metrics.
TARGET = RELEASE | {"service": "idv-gateway-admin", "endpoint": "admin", "container": "gateway"}
REPLICAS = 2
WAITERS = 10000


def labels(given, quote='"'):
    return ", ".join(f"{name}={quote}{value}{quote}" for name, value in given.items())


def render(text, quote='"'):
    """A file of rules/ or dashboards/ as the chart renders it, but for severities and links."""
    text = text.replace("$scope", labels(RELEASE, quote)).replace("$replicas", str(REPLICAS))
    text = text.replace("$waiters", str(WAITERS))
    return text.replace("$release", "idv/idv-gateway").replace("$uid", "idv-gateway")


def rules():
    """Every rule, recording or alerting."""
    groups = [group for path in RULES for group in yaml.safe_load(render(path.read_text()))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def cases(name="*.yaml"):
    """Every case of the files of that name in tests/prometheus, as (alert, case)."""
    # Everything is text: 0x20 is twenty samples, not a number.
    by_alert = [yaml.load(path.read_text(), yaml.BaseLoader) for path in sorted(TESTS.glob(name))]
    return [(alert, case) for file in by_alert for alert, cases in file.items() for case in cases]


def dashboards():
    return [json.loads(render(path.read_text(), '\\"')) for path in DASHBOARDS]


def panels(dashboard):
    """Every panel that shows something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard):
    """Every query of a dashboard, as (where, expression)."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"panel {panel['title']!r}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation {annotation['name']!r}", annotation["expr"]


def blocks(language):
    """Every code block of that language in the runbooks, as (name, text)."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.S | re.M):
            yield path.stem, block


def runbook_queries():
    """Every query in a runbook, one a line, as (name, expression)."""
    for name, block in blocks("promql"):
        for query in block.splitlines():
            yield name, query


def log_queries():
    """Every query for the log in a runbook, as (name, jq program)."""
    for name, block in blocks("sh"):
        for program in re.findall(r"jq -cR '(.*?)'", block):
            yield name, program
