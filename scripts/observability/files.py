"""The rules, their tests, the dashboard and the runbooks, read from where they live. Judges nothing."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "helm/idv-gateway/rules").glob("*.yaml"))
TESTS = sorted((ROOT / "tests/prometheus").glob("*.yaml"))
DASHBOARDS = sorted((ROOT / "helm/idv-gateway/dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs/runbooks"


def rules():
    """Every rule, recording or alerting."""
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def tests():
    """Every test group of every test file."""
    return [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]


def dashboards():
    return [json.loads(path.read_text()) for path in DASHBOARDS]


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


def runbook_queries():
    """Every query that a runbook tells to ask, one a line, as (where, expression)."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.S):
            for query in block.splitlines():
                yield f"runbook {path.stem}", query
