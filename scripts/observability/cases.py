"""Writes the rules as the chart renders them for one release, and the cases of tests/prometheus as tests for promtool.

    cases.py FOLDER        writes FOLDER/rules/*.yaml and FOLDER/*.yaml
"""

import re
import sys
from pathlib import Path

import yaml

import files

TARGETS = {
    "$a": files.TARGET | {"pod": "gateway-a", "instance": "10.0.0.1:8081"},
    "$b": files.TARGET | {"pod": "gateway-b", "instance": "10.0.0.2:8081"},
    "$c": files.TARGET | {"pod": "gateway-c", "instance": "10.0.0.3:8081"},
    "$d": files.TARGET | {"pod": "gateway-d", "instance": "10.0.0.4:8081"},
    # The same release name in another namespace, another release in this one, and something else.
    "$staging": files.TARGET | {"namespace": "staging", "pod": "gateway-s", "instance": "10.0.1.1:8081"},
    "$other": files.TARGET | {"job": "other-admin", "service": "other-admin", "pod": "other-a", "instance": "10.0.0.9:8081"},
    "$stranger": {"namespace": "monitoring", "job": "node-exporter", "instance": "10.0.2.1:9100"},
}


def series(text):
    target = re.search(r"\$\w+", text)[0]
    return text.replace(target, files.labels(TARGETS[target]))


def expected(rule, alert):
    """The labels and annotations of an alert that a case expects."""
    given = {name: value for name, value in alert.items() if name != "says"}
    fill = lambda text: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: given[found[1]], text)
    notes = rule["annotations"]
    return {
        "exp_labels": files.RELEASE | rule["labels"] | given,
        "exp_annotations": notes | {"summary": fill(notes["summary"]), "description": alert["says"]},
    }


def promtool_test(rule, case):
    return {
        "name": f"{rule['alert']}: {case.get('fires') or case.get('silent')}",
        "interval": interval_of(case),
        "input_series": [{"series": series(text), "values": values} for text, values in case["series"].items()],
        "alert_rule_test": [{
            "alertname": rule["alert"],
            "eval_time": case["at"],
            "exp_alerts": [expected(rule, alert) for alert in case.get("alerts", [])],
        }],
    }


def interval_of(case):
    """How often a case scrapes and evaluates: cases of several days do not need every minute."""
    return case.get("interval", "1m")


def write(folder):
    """Writes the rules, and the tests for each file of them and each interval. Returns the folder of the rules."""
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    by_name = {rule["alert"]: rule for rule in files.alerts()}
    for path in files.RULES:
        text = files.render(path.read_text())
        (rules / path.name).write_text(text)
        # Without it promtool evaluates groups in any order, and alerts before what they select is recorded.
        order = [group["name"] for group in yaml.safe_load(text)["groups"]]
        cases = files.cases(path.name)
        for interval in {interval_of(case) for _, case in cases}:
            tests = [promtool_test(by_name[alert], case) for alert, case in cases if interval_of(case) == interval]
            whole = {"rule_files": [f"rules/{path.name}"], "evaluation_interval": interval, "group_eval_order": order}
            whole["tests"] = tests
            (folder / f"{path.stem}-{interval}.yaml").write_text(yaml.safe_dump(whole, width=1000, sort_keys=False))
    return rules


if __name__ == "__main__":
    write(Path(sys.argv[1]))
