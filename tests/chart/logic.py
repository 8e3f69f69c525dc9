"""One value more or less than the least installation, and what changes in the render."""

import base64
import json
import re

TRIAL = ["regions[0].existingSecret=", "regions[0].trialKeys.accessKey=a", "regions[0].trialKeys.secretKey=b"]
AUTOSCALED = ["autoscaling.enabled=true"]
DIGEST = "sha256:" + "0" * 64
TLS = ["tls.existingSecret=t"]
LINE_END = "callers[0].subject=q\u0085  x: |"
LINKED = ["prometheusRule.enabled=true", "dashboards.enabled=true"]
ELSEWHERE = [*LINKED, "prometheusRule.runbookBaseUrl=https://git.example/runbooks"]


def spec(objects, kind, suffix=""):
    """The specification of an object; empty if there is none."""
    return (objects.named(kind, suffix) or {}).get("spec", {})


def volumes(objects):
    """The names of the gateway's volumes."""
    return {volume["name"] for volume in objects.gateway["volumes"]}


def kinds(objects):
    """Every kind there is."""
    return {o["kind"] for o in objects.all}


def image(objects):
    """The gateway's image."""
    return objects.gateway["containers"][0]["image"]


def made_key(objects):
    """The access key in the Secret that the chart makes."""
    return base64.b64decode(objects.named("Secret", "-trial-keys")["data"]["my.access-key"])


def port(objects):
    """The callers' port of the Service."""
    return spec(objects, "Service")["ports"][0]


def runbooks(objects):
    """What stands before the file names of runbooks: in the example's rule, in a panel's description, in its link."""
    alert = spec(objects, "PrometheusRule", "-example")["groups"][0]["rules"][1]
    panel = json.loads(objects.named("ConfigMap", "-dashboard-example")["data"]["example.json"])["panels"][0]
    description = re.search(r"\]\((.*)\)", panel["description"])[1]
    return [link.rpartition("/")[0] for link in (alert["annotations"]["runbook_url"], description, panel["links"][0]["url"])]


def grace(objects):
    """Seconds between SIGTERM and SIGKILL."""
    return objects.gateway["terminationGracePeriodSeconds"]


# What holds, of the least installation with which values set, and how it shows.
STATEMENTS = [
    ("an existing Secret is mounted", [], lambda o: "idv" in volumes(o)),
    ("no Secret is made beside it", [], lambda o: "Secret" not in kinds(o)),
    ("keys in the values make a Secret", TRIAL, lambda o: made_key(o) == b"a"),
    ("it is mounted", TRIAL, lambda o: "idv" in volumes(o)),
    ("replicas are the Deployment's", ["replicaCount=3"], lambda o: spec(o, "Deployment")["replicas"] == 3),
    ("nothing scales by itself", [], lambda o: "HorizontalPodAutoscaler" not in kinds(o)),
    ("replicas are left to an autoscaler", AUTOSCALED, lambda o: "replicas" not in spec(o, "Deployment")),
    ("it keeps two", AUTOSCALED, lambda o: spec(o, "HorizontalPodAutoscaler")["minReplicas"] == 2),
    ("it asks for the CPU alone", AUTOSCALED, lambda o: len(spec(o, "HorizontalPodAutoscaler")["metrics"]) == 1),
    ("two replicas have a budget", [], lambda o: spec(o, "PodDisruptionBudget")["maxUnavailable"] == 1),
    ("one replica has none", ["replicaCount=1"], lambda o: "PodDisruptionBudget" not in kinds(o)),
    (
        "nor has one that may grow",
        [*AUTOSCALED, "autoscaling.minReplicas=1"],
        lambda o: "PodDisruptionBudget" not in kinds(o),
    ),
    ("an autoscaler's two have one", [*AUTOSCALED, "replicaCount=1"], lambda o: "PodDisruptionBudget" in kinds(o)),
    (
        "minAvailable replaces maxUnavailable",
        ["podDisruptionBudget.minAvailable=1"],
        lambda o: "maxUnavailable" not in spec(o, "PodDisruptionBudget"),
    ),
    ("without TLS callers speak http", [], lambda o: port(o)["name"] == "http" and "[server.tls]" not in o.toml),
    ("with TLS https", TLS, lambda o: port(o)["appProtocol"] == "https" and "idv-tls" in volumes(o)),
    ("without a client certificate", TLS, lambda o: "client_ca_file" not in o.toml),
    ("unless there is an authority", [*TLS, "tls.clientCa.secret=c"], lambda o: "client_ca_file" in o.toml),
    ("grace is the deadline and five seconds", [], lambda o: grace(o) == 25),
    ("rounded up", ["config.drain.deadline=90500ms"], lambda o: grace(o) == 96),
    ("or as given", ["terminationGracePeriodSeconds=60"], lambda o: grace(o) == 60),
    ("a policy is made", [], lambda o: "NetworkPolicy" in kinds(o)),
    ("or not", ["networkPolicy.enabled=false"], lambda o: "NetworkPolicy" not in kinds(o)),
    ("a tag is taken", ["image.tag=x"], lambda o: image(o) == "idv-gateway:x"),
    ("a digest wins", ["image.tag=x", f"image.digest={DIGEST}"], lambda o: image(o) == f"idv-gateway@{DIGEST}"),
    ("nothing is monitored unasked", [], lambda o: not {"ServiceMonitor", "PrometheusRule"} & kinds(o)),
    ("no dashboard is made unasked", [], lambda o: not o.named("ConfigMap", "-dashboard-example")),
    ("runbooks are named as in the repository", LINKED, lambda o: runbooks(o) == ["docs/runbooks"] * 3),
    ("or where they are", ELSEWHERE, lambda o: runbooks(o) == ["https://git.example/runbooks"] * 3),
    ("no sandbox is made unasked", [], lambda o: not o.named("Deployment", "-sandbox")),
    ("what ends a line to YAML ends none here", [LINE_END], lambda o: r'"q\u0085  x: |"' in o.toml),
    ("whole numbers stay whole", ["config.server.max_connections=1000000"], lambda o: "= 1000000\n" in o.toml),
]

# Pairs of values whose pods must not be the same: a new configuration takes new pods.
RESTARTS = [
    ([], ["config.cache.final_ttl=1h"]),
    (TRIAL, [*TRIAL[:2], "regions[0].trialKeys.secretKey=c"]),
]


def hold_to_logic(with_values):
    """Every statement above. Takes what renders the least installation with some values set."""
    for what, values, holds in STATEMENTS:
        assert holds(with_values(values)), f"{values}: it does not hold that {what}"
    for before, after in RESTARTS:
        pods = [spec(with_values(values), "Deployment")["template"] for values in (before, after)]
        assert pods[0] != pods[1], f"{after} starts no new pods"
