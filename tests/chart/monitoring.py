"""Rules and dashboards as the chart renders them: for one release alone, and with the settings of each alert."""

import json
import pathlib
import re
import sys

import yaml

from helm import CHART, Objects, render

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/observability"))
import promql  # noqa: E402

ENABLED = {
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
    "serviceMonitor": {"enabled": True},
}


def rules(objects):
    """Every rule of every PrometheusRule."""
    groups = [group for o in objects.all if o["kind"] == "PrometheusRule" for group in o["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alert(objects, name):
    """The alert of that name, or None."""
    return next((rule for rule in rules(objects) if rule.get("alert") == name), None)


def dashboard(objects):
    """The file name of the dashboard, and the dashboard."""
    [(name, text)] = objects.named("ConfigMap", "-dashboard-idv-gateway")["data"].items()
    return name, json.loads(text)


def job(objects):
    """The job that the ServiceMonitor gives its targets."""
    [endpoint] = objects.spec("ServiceMonitor")["endpoints"]
    return next(r["replacement"] for r in endpoint["relabelings"] if r.get("targetLabel") == "job")


def queries(objects):
    """Every expression of rules and dashboard, Grafana's variables filled in."""
    yield from (rule["expr"] for rule in rules(objects))
    panels = dashboard(objects)[1]["panels"]
    yield from (promql.substitute(target["expr"]) for panel in panels for target in panel.get("targets", []))


def check_scope(objects, namespace):
    """Every selector picks this release and no other."""
    wanted = {("namespace", "=", namespace), ("job", "=", job(objects))}
    for query in queries(objects):
        for selector in promql.read(query)[0]:
            assert wanted <= set(selector.matchers), f"{selector} in {query}"


def check_releases(render_with):
    """Releases of one name in two namespaces, and two in one, share no job, uid or file name."""
    seen = []
    for release, namespace in [("idv", "identity"), ("idv", "staging"), ("idv-two", "identity")]:
        objects = render_with(ENABLED, release=release, namespace=namespace)
        check_scope(objects, namespace)
        assert job(objects) == objects.named("Service", "-admin")["metadata"]["name"]
        name, board = dashboard(objects)
        assert not re.search(r"\$(scope|release|uid|replicas|waiters)\b", json.dumps(board)), "a placeholder is left"
        assert len(board["uid"]) <= 40, "Grafana refuses a longer uid"
        seen.append({(namespace, job(objects)), name, board["uid"], board["title"]})
    assert len(set.union(*seen)) == sum(map(len, seen)), "two releases share a name"


def with_rules(**settings):
    """Values with the rules enabled."""
    return {**ENABLED, "prometheusRule": {"enabled": True, **settings}}


def check_settings(render_with):
    """Severities, switches and settings of single alerts, extra rules, and the number of replicas."""
    objects = render_with(ENABLED)
    severities = {rule["labels"]["severity"] for rule in rules(objects) if "alert" in rule}
    assert severities == {"critical", "warning"}, severities
    own = {
        "IdvPanics": {"enabled": False},
        "IdvUpstreamSlow": {"for": "45m", "severity": "info", "labels": {"team": "id"}, "annotations": {"chat": "#id"}},
        "IdvServingStale": {"severity": "page"},
    }
    extra = [{"record": "a:b", "expr": "1"}]
    objects = render_with(with_rules(severities={"page": "P1", "ticket": "P3"}, alerts=own, extraRules=extra))
    assert alert(objects, "IdvPanics") is None
    assert alert(objects, "IdvAbsent")["labels"]["severity"] == "P1"
    assert alert(objects, "IdvServingStale")["labels"]["severity"] == "P1"
    slow = alert(objects, "IdvUpstreamSlow")
    assert slow["for"] == "45m" and slow["labels"] == {"severity": "info", "team": "id"}, slow
    assert slow["annotations"]["chat"] == "#id" and slow["annotations"]["runbook_url"].endswith("IdvUpstreamSlow.md")
    assert {"record": "a:b", "expr": "1"} in rules(objects)
    for values, replicas in [({"replicaCount": 5}, 5), ({"autoscaling": {"enabled": True, "minReplicas": 3}}, 3)]:
        down = alert(render_with({**ENABLED, **values}), "IdvReplicaDown")["expr"]
        assert f"< {replicas}\n" in down, down
    waiters = alert(render_with({**ENABLED, "config": {"wait": {"max_waiters": 40}}}), "IdvWaitersNearLimit")
    assert "0.45 * 40\n" in waiters["expr"] and "most 40 may" in waiters["annotations"]["description"], waiters


def check_carried(render_with):
    """The rules arrive whole but for what is filled in, and links lead to the runbooks."""
    objects = render_with(ENABLED)
    for file in (CHART / "rules").glob("*.yaml"):
        text = file.read_text().replace("$scope", f'namespace="identity", job="{job(objects)}"').replace("$replicas", "2")
        text = text.replace("$waiters", "10000")
        text = text.replace("severity: page", "severity: critical").replace("severity: ticket", "severity: warning")
        assert objects.named("PrometheusRule", f"-{file.stem}")["spec"] == yaml.safe_load(text), file


def check_monitoring(render_with):
    """All of the above. `render_with` renders the chart with values laid over the minimal installation."""
    check_releases(render_with)
    check_settings(render_with)
    check_carried(render_with)
