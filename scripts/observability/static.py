"""Checks rules, cases, runbooks and dashboard against each other, without running anything."""

import itertools
import re
import sys

import files
import promql

PANEL_TYPES = {"stat", "timeseries", "bargauge", "state-timeline", "table"}
SECTIONS = ["## What it means", "## Impact", "## Confirm", "## Fix", "## Do not", "## Escalate"]
LINK = re.compile(r"\]\((docs/runbooks/[^)]+)\)")
wrong = []


def expect(condition, what):
    if not condition:
        wrong.append(what)


def check_scope(where, expression, labels):
    """Every selector of an expression picks one release by these labels, and keeps the others' series out."""
    for selector in promql.read(expression)[0]:
        given = {label: value for label, operator, value in selector.matchers if operator == "="}
        for label, value in labels.items():
            expect(given.get(label) == value, f"{where}: {selector.metric} is not limited to {label}={value}")


def check_alert(alert):
    name, notes = alert["alert"], alert.get("annotations", {})
    expect(name.startswith("Idv"), f"{name}: does not begin with Idv")
    expect(alert["labels"].get("severity") in ("page", "ticket"), f"{name}: severity is neither page nor ticket")
    expect(set(notes) == {"summary", "description", "runbook_url"}, f"{name}: annotations are {sorted(notes)}")
    expect(notes.get("runbook_url") == f"docs/runbooks/{name}.md", f"{name}: another runbook_url")


def check_runbooks(names):
    index = (files.RUNBOOKS / "README.md").read_text()
    written = {path.stem for path in files.RUNBOOKS.glob("*.md")} - {"README"}
    expect(written == names, f"runbooks without alert or alerts without runbook: {sorted(written ^ names)}")
    for name in written & names:
        expect(f"({name}.md)" in index, f"{name}: not in docs/runbooks/README.md")
        text = (files.RUNBOOKS / f"{name}.md").read_text()
        expect(text.startswith(f"# {name}\n"), f"{name}.md: another title")
        found = [line for line in text.splitlines() if line.startswith("## ")]
        expect(found == SECTIONS, f"{name}.md: its sections are {found}")
        for other in re.findall(r"\b(Idv[A-Z]\w+)", text):
            expect(other in names, f"{name}.md: names {other}, which is no alert")
    with_queries = {name for name, _ in files.runbook_queries()}
    with_logs = {name for name, _ in files.log_queries()}
    expect(names <= with_queries & with_logs, f"runbooks without query: {sorted(names - (with_queries & with_logs))}")
    for name, block in files.blocks("sh"):
        check_commands(f"runbook {name}", block)
    for name, query in files.runbook_queries():
        check_scope(f"runbook {name}", query, {"namespace": files.RELEASE["namespace"]})


def check_commands(where, block):
    """What makes a command fail as printed, on a real cluster."""
    for line in block.splitlines():
        # Some pods have no previous run, and kubectl stops at the first that has none.
        expect("--previous" not in line or "--ignore-errors" in line, f"{where}: --previous without --ignore-errors")
    # kubectl needs a moment until it listens.
    expect("&\n" not in block or "&\nsleep " in block, f"{where}: does not wait for the command in the background")


def metrics_of(expression, records):
    """The scraped metrics an expression rests on, recorded ones taken apart."""
    selectors, _ = promql.read(expression)
    found = set()
    for selector in selectors:
        recorded = records.get(selector.metric)
        found |= metrics_of(recorded, records) if recorded else {selector.metric}
    return found


def check_cases(alerts, records):
    """A firing and a silent case for each alert, and in each silent one all metrics that it would take to fire."""
    firing, silent = set(), {}
    for name, case in files.cases():
        if "alerts" in case:
            firing.add(name)
        else:
            silent.setdefault(name, []).append({series.partition("{")[0] for series in case["series"]})
    names = {alert["alert"] for alert in alerts}
    expect(firing == names, f"no firing case, or no such alert: {sorted(firing ^ names)}")
    expect(set(silent) == names, f"no silent case, or no such alert: {sorted(set(silent) ^ names)}")
    for alert in alerts:
        needs = metrics_of(alert["expr"], records)
        for given in silent.get(alert["alert"], []):
            expect(needs <= given, f"{alert['alert']}: a silent case without {sorted(needs - given)} proves nothing")


def check_panel(panel, names):
    where = f"panel {panel.get('title')!r}"
    expect(panel["type"] in PANEL_TYPES, f"{where}: type {panel['type']}")
    expect(panel.get("title"), f"{where}: no title")
    expect(panel.get("description"), f"{where}: no description")
    expect(panel["fieldConfig"]["defaults"].get("unit"), f"{where}: no unit")
    expect(panel["datasource"]["uid"] == "${datasource}", f"{where}: a datasource of its own")
    if panel["type"] != "stat":
        expect(all(target["legendFormat"] for target in panel["targets"]), f"{where}: a query without a legend")
    for link in LINK.findall(panel.get("description", "")):
        expect((files.ROOT / link).is_file(), f"{where}: links to {link}")
    for name in re.findall(r"\b(Idv[A-Z]\w+)\]", panel.get("description", "")):
        expect(name in names, f"{where}: names {name}, which is no alert")


def check_layout(dashboard):
    taken = {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    expect(len(ids) == len(set(ids)), "two panels with one id")
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        expect(place["x"] + place["w"] <= 24, f"panel {panel['title']!r}: wider than the page")
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        for cell in itertools.product(columns, rows):
            other = taken.setdefault(cell, panel["title"])
            expect(other == panel["title"], f"panels {other!r} and {panel['title']!r} overlap")


def main():
    alerts = files.alerts()
    names = {alert["alert"] for alert in alerts}
    records = {rule["record"]: rule["expr"] for rule in files.rules() if "record" in rule}
    expect(len(names) == len(alerts), "two alerts of one name")
    for alert in alerts:
        check_alert(alert)
    check_runbooks(names)
    check_cases(alerts, records)
    for rule in files.rules():
        check_scope(rule.get("alert") or rule["record"], rule["expr"], files.RELEASE)
    for dashboard in files.dashboards():
        expect(dashboard["uid"] and dashboard["schemaVersion"] >= 39, "no uid, or a schema older than Grafana 10")
        check_layout(dashboard)
        for where, query in files.queries(dashboard):
            check_scope(where, promql.substitute(query), files.RELEASE)
        for panel in files.panels(dashboard):
            check_panel(panel, names)
        linked = set(re.findall(r"docs/runbooks/(\w+)\.md\)", str(dashboard)))
        print(f"dashboard {dashboard['uid']}: {len(files.panels(dashboard))} panels, {len(linked)} runbooks linked")
    print(f"{len(alerts)} alerts, {len(records)} recorded ratios, {len(files.cases())} cases")
    for what in wrong:
        print(f"wrong: {what}")
    sys.exit(1 if wrong else 0)


main()
