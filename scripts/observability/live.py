"""Checks rules, dashboard and runbooks against a real gateway under a real Prometheus that labels its targets as the
operator does: everything they name is exported, every query and rule works, one alert fires and others do not."""

import json
import re
import subprocess
import sys
import tempfile
import time

import files
import promql
from rig import Rig, Traffic, call, wait_until

# Long enough for a pending id to become final and for a result to outlive its time in the cache.
HEALTHY_SECONDS = 10
# What every `for` of the rules is cut to; windows and thresholds stay as they are.
PAUSE = "1s"
RESET = {"region": "my", "endpoint": "get_result", "fault": {"reset": True}}
# Fields of lines that nothing here makes the gateway write.
RARE_FIELDS = {"place", "what", "error", "skew_seconds", "setting", "listener", "limit"}
wrong = []


def see_an_alert_fire(rig):
    """Resets every get-result of one region: its breaker must alert, the other's not, nor what did not happen."""

    def regions(name):
        return [(state, labels.get("region")) for state, labels in rig.alerts() if labels["alertname"] == name]

    rig.faults(RESET)
    began = time.monotonic()
    wait_until("IdvBreakerOpen fires for region my", lambda: ("firing", "my") in regions("IdvBreakerOpen"), 30)
    took = time.monotonic() - began
    print(f"IdvBreakerOpen fires for region my {took:.0f} s after the first reset (every `for` cut to {PAUSE})")
    if any(region != "my" for _, region in regions("IdvBreakerOpen")):
        wrong.append("IdvBreakerOpen: for a region that is well")
    for name in ("IdvIdMismatch", "IdvPanics", "IdvAccountRefused", "IdvAbsent"):
        if regions(name):
            wrong.append(f"{name}: fires without a reason")


def exported(rig):
    """Every metric Prometheus has, with its labels and their values."""
    metrics = {}
    for series in rig.ask_prometheus("series", **{"match[]": '{__name__!=""}'}):
        labels = metrics.setdefault(series.pop("__name__"), {})
        for label, value in series.items():
            labels.setdefault(label, set()).add(value)
    return metrics


def check_names(where, query, metrics):
    """Every metric, label and label value that a query names."""
    try:
        selectors, groupings = promql.read(query)
    except ValueError as error:
        wrong.append(f"{where}: {error}")
        return
    for selector in selectors:
        labels = metrics.get(selector.metric)
        if labels is None:
            wrong.append(f"{where}: no metric {selector.metric}")
            continue
        for label, operator, value in selector.matchers:
            for part in promql.unmatched(operator, value, labels.get(label, set())):
                wrong.append(f"{where}: {selector.metric} has no {label} {part!r}")
    for grouping in groupings:
        known = set().union(*(metrics.get(metric, {}) for metric in grouping.metrics))
        # A metric that is missing has been reported, and its labels cannot be known.
        if grouping.labels - known and grouping.metrics <= set(metrics):
            wrong.append(f"{where}: no label {sorted(grouping.labels - known)} in {sorted(grouping.metrics)}")


def check_panel(rig, panel, metrics):
    """Runs a panel's queries. Returns how many gave data."""
    with_data = 0
    for target in panel["targets"]:
        where = f"panel {panel['title']!r}"
        try:
            result = rig.query(promql.substitute(target["expr"]))
        except ValueError as error:
            wrong.append(f"{where}: {error}")
            continue
        labels = set().union(*(series["metric"] for series in result))
        missing = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - labels
        if result and missing:
            wrong.append(f"{where}: the legend names {sorted(missing)}, which the result has not")
        if not result:
            wrong.append(f"{where}: no data for {target['expr']}")
        with_data += bool(result)
    return with_data


def check_rules(rig):
    """Every rule must have been evaluated without error."""
    rules = [rule for group in rig.ask_prometheus("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            wrong.append(f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
    if len(rules) != len(files.rules()):
        wrong.append(f"Prometheus has {len(rules)} rules of {len(files.rules())}")
    print(f"{len(rules)} rules evaluated")


def check_exposition(rig):
    """What promtool has to say about the text itself."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=call(rig.admin, "GET", "/metrics")[1],
                             capture_output=True)
    if checked.returncode != 0:
        wrong.append(f"promtool check metrics: {(checked.stdout + checked.stderr).decode()}")


def check_log_queries(rig):
    """Every jq program of the runbooks runs on the gateway's log, and names fields that some line has."""
    log = (rig.work / "gateway.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    fields = {field for line in lines for field in line} | RARE_FIELDS
    programs = files.log_queries()
    for name, program in programs:
        ran = subprocess.run(["jq", "-cR", program], input=log, capture_output=True, text=True)
        if ran.returncode != 0:
            wrong.append(f"runbook {name}: jq: {ran.stderr}")
        # Text between quotation marks holds no field.
        for field in set(re.findall(r"\.([a-z]\w*)", re.sub(r'"[^"]*"', "", program))) - fields:
            wrong.append(f"runbook {name}: no line of the log has a field {field}")


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as work, Rig(binary, work, PAUSE) as rig:
        with Traffic(rig, rate=80):
            time.sleep(HEALTHY_SECONDS)
            see_an_alert_fire(rig)
            metrics = exported(rig)
            shown = asked = 0
            for dashboard in files.dashboards():
                for where, query in files.queries(dashboard):
                    check_names(where, promql.substitute(query), metrics)
                for panel in files.panels(dashboard):
                    shown += check_panel(rig, panel, metrics)
                    asked += len(panel["targets"])
        print(f"{shown} of {asked} panel queries give data")
        if hidden := [label for labels in metrics.values() for label in labels if label.startswith("exported_")]:
            wrong.append(f"labels of targets hide ours: {sorted(set(hidden))}")
        for rule in files.rules():
            check_names(f"rule {rule.get('alert') or rule['record']}", rule["expr"], metrics)
        for name, query in files.runbook_queries():
            # What the cluster exports is not here to be compared with.
            if "container_" not in query:
                check_names(f"runbook {name}", query, metrics)
        check_log_queries(rig)
        check_rules(rig)
        check_exposition(rig)
    for what in dict.fromkeys(wrong):
        print(f"wrong: {what}")
    sys.exit(1 if wrong else 0)


main()
