"""What changes in the render when one value of the minimal installation does."""

import base64
import ipaddress
import json
import re

TRIAL = {"regions": [{"name": "my", "trialKeys": {"accessKey": "a", "secretKey": "b"}}]}
AUTOSCALED = {"autoscaling": {"enabled": True}}
DIGEST = "sha256:" + "0" * 64
TLS = {"tls": {"existingSecret": "t"}}
LINKED = {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
ELSEWHERE = {**LINKED, "prometheusRule": {"enabled": True, "runbookBaseUrl": "https://git.example/runbooks"}}
CA_FILE = {"regions": [{"name": "my", "existingSecret": "a", "ca_file": "/run/files/ca.crt"}]}
CILIUM = {"networkPolicy": {"cilium": {"enabled": True}}}
CLUSTER_JWT = {"clusterJwt": {"enabled": True}}
SANDBOX = {"sandbox": {"enabled": True}, "regions": [], "callers": []}
IN_CLUSTER = {"config": {"telemetry": {"otlp_endpoint": "http://collector.tracing.svc:4318"}}}


# An address in each private range of IPv4.
PRIVATE = ["10.0.0.1", "100.64.0.1", "169.254.169.254", "172.31.0.1", "192.168.0.1"]


def is_excepted(objects, address):
    """Whether the policy leaves an IPv6 address out of the Internet."""
    [block] = [peer["ipBlock"] for peer in egress(objects, 443) if peer["ipBlock"]["cidr"] == "::/0"]
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr) for cidr in block["except"])


def volumes(objects):
    """The names of the gateway's volumes."""
    return {volume["name"] for volume in objects.pod["volumes"]}


def made_key(objects):
    """The access key in the Secret that the chart makes."""
    return base64.b64decode(objects.named("Secret", "-trial-keys")["data"]["my.access-key"])


def port(objects):
    """The callers' port of the Service."""
    return objects.spec("Service")["ports"][0]


def runbooks(objects):
    """What precedes the file names of runbooks: in the example's rule, in a panel's description, in its link."""
    alert = objects.spec("PrometheusRule", "-example")["groups"][0]["rules"][1]
    panel = json.loads(objects.named("ConfigMap", "-dashboard-example")["data"]["identity-idv-idv-gateway-example.json"])["panels"][0]
    description = re.search(r"\]\((.*)\)", panel["description"])[1]
    links = (alert["annotations"]["runbook_url"], description, panel["links"][0]["url"])
    return [link.rpartition("/")[0] for link in links]


def grace(objects):
    """Seconds until SIGKILL."""
    return objects.pod["terminationGracePeriodSeconds"]


def egress(objects, number):
    """The peers that a port may be reached at, of all rules."""
    rules = objects.spec("NetworkPolicy")["egress"]
    return [peer for rule in rules for peer in rule.get("to", []) if number in {p["port"] for p in rule["ports"]}]


def namespace(name):
    """The peer that is a namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


# What holds, for the minimal installation with which values on top, and how it shows.
STATEMENTS = [
    ("an existing Secret is mounted", {}, lambda o: "idv" in volumes(o)),
    ("no Secret is made beside it", {}, lambda o: "Secret" not in o.kinds),
    ("keys in the values make a Secret", TRIAL, lambda o: made_key(o) == b"a"),
    ("it is mounted", TRIAL, lambda o: "idv" in volumes(o)),
    ("the Deployment has the replicas", {"replicaCount": 3}, lambda o: o.spec("Deployment")["replicas"] == 3),
    ("nothing scales by itself", {}, lambda o: "HorizontalPodAutoscaler" not in o.kinds),
    ("an autoscaler sets the replicas", AUTOSCALED, lambda o: "replicas" not in o.spec("Deployment")),
    ("it keeps two", AUTOSCALED, lambda o: o.spec("HorizontalPodAutoscaler")["minReplicas"] == 2),
    ("it looks at the CPU alone", AUTOSCALED, lambda o: len(o.spec("HorizontalPodAutoscaler")["metrics"]) == 1),
    ("two replicas have a budget", {}, lambda o: o.spec("PodDisruptionBudget")["maxUnavailable"] == 1),
    ("one replica has none", {"replicaCount": 1}, lambda o: "PodDisruptionBudget" not in o.kinds),
    (
        "nor has one that may grow",
        {"autoscaling": {"enabled": True, "minReplicas": 1}},
        lambda o: "PodDisruptionBudget" not in o.kinds,
    ),
    ("an autoscaler's two have one", {**AUTOSCALED, "replicaCount": 1}, lambda o: "PodDisruptionBudget" in o.kinds),
    (
        "minAvailable replaces maxUnavailable",
        {"podDisruptionBudget": {"minAvailable": 1}},
        lambda o: "maxUnavailable" not in o.spec("PodDisruptionBudget"),
    ),
    ("callers use http without TLS", {}, lambda o: port(o)["name"] == "http" and "[server.tls]" not in o.toml),
    ("and https with it", TLS, lambda o: port(o)["appProtocol"] == "https" and "idv-tls" in volumes(o)),
    ("TLS alone asks for no client certificate", TLS, lambda o: "client_ca_file" not in o.toml),
    (
        "an authority of callers does",
        {"tls": {"existingSecret": "t", "clientCa": {"secret": "c"}}},
        lambda o: "client_ca_file" in o.toml,
    ),
    ("grace is the deadline and five seconds", {}, lambda o: grace(o) == 25),
    ("rounded up", {"config": {"drain": {"deadline": "90500ms"}}}, lambda o: grace(o) == 96),
    ("and a sleep before it", {"lifecycle": {"preStop": {"sleep": {"seconds": 4}}}}, lambda o: grace(o) == 29),
    ("or as given", {"terminationGracePeriodSeconds": 60}, lambda o: grace(o) == 60),
    ("a policy is made", {}, lambda o: "NetworkPolicy" in o.kinds),
    ("or not", {"networkPolicy": {"enabled": False}}, lambda o: "NetworkPolicy" not in o.kinds),
    ("regions are on the Internet", {}, lambda o: egress(o, 443)[0]["ipBlock"]["cidr"] == "0.0.0.0/0"),
    ("a Service is in its namespace", IN_CLUSTER, lambda o: egress(o, 4318) == [namespace("tracing")]),
    (
        "a host without dots is in the release's",
        {"config": {"telemetry": {"otlp_endpoint": "http://collector:4318"}}},
        lambda o: egress(o, 4318) == [namespace("identity")],
    ),
    (
        "peers of a purpose replace what the URL says",
        {**IN_CLUSTER, "networkPolicy": {"collector": [namespace("elsewhere")]}},
        lambda o: egress(o, 4318) == [namespace("elsewhere")],
    ),
    (
        "the second tier is reached at its port only",
        {"config": {"remote": {"url": "redis://valkey.cache.svc:6390"}}},
        lambda o: egress(o, 6390) == [namespace("cache")] and not egress(o, 6379),
    ),
    (
        "so is each server of a cluster",
        {"config": {"remote": {"url": "redis+cluster://a.one.svc:7000,b.two.svc"}}},
        lambda o: egress(o, 7000) == [namespace("one")] and egress(o, 6379) == [namespace("two")],
    ),
    (
        "and what is behind sentinels",
        {"config": {"remote": {"url": "redis+sentinel://s.cache.svc:26379/main"}}, "remote": {"ports": [6379]}},
        lambda o: egress(o, 26379) == egress(o, 6379) == [namespace("cache")],
    ),
    (
        "nothing receives callbacks unless they are on",
        {},
        lambda o: not o.named("Service", "-callbacks") and "callbacks" not in str(o.spec("NetworkPolicy")["ingress"]),
    ),
    ("Cilium allows names", CILIUM, lambda o: "my-api.advance.ai" in str(o.spec("CiliumNetworkPolicy"))),
    ("and the policy no Internet then", CILIUM, lambda o: o.spec("NetworkPolicy")["egress"] == []),
    ("it knows the API server by itself", {**CILIUM, **CLUSTER_JWT}, lambda o: "kube-apiserver" in str(o.spec("CiliumNetworkPolicy"))),
    ("and lets nobody there who does not need it", CILIUM, lambda o: "kube-apiserver" not in str(o.spec("CiliumNetworkPolicy"))),
    ("the Internet behind NAT64 is open", {}, lambda o: not is_excepted(o, "64:ff9b::203.0.113.1")),
    ("and what is private behind it is not", {}, lambda o: all(is_excepted(o, f"64:ff9b::{a}") for a in PRIVATE)),
    ("a tag is used", {"image": {"tag": "x"}}, lambda o: o.container["image"].endswith("/idv-gateway:x")),
    (
        "a digest wins",
        {"image": {"tag": "x", "digest": DIGEST}},
        lambda o: o.container["image"].endswith(f"/idv-gateway@{DIGEST}"),
    ),
    (
        "a registry of all charts replaces its own",
        {"global": {"imageRegistry": "mirror.example/hub"}},
        lambda o: o.container["image"].startswith("mirror.example/hub/idv-gateway:"),
    ),
    (
        "localhost is a registry",
        {"global": {"imageRegistry": "mirror.example"}, "image": {"repository": "localhost/idv-gateway"}},
        lambda o: o.container["image"].startswith("mirror.example/idv-gateway:"),
    ),
    (
        "the sandbox's pods have the annotations of all pods",
        {**SANDBOX, "commonAnnotations": {"a": "b"}},
        lambda o: o.named("Deployment", "-sandbox")["spec"]["template"]["metadata"]["annotations"] == {"a": "b"},
    ),
    (
        "a strategy without rolling is one",
        {"strategy": {"type": "Recreate"}},
        lambda o: o.spec("Deployment")["strategy"] == {"type": "Recreate"},
    ),
    (
        "a Service has what Kubernetes 1.29 does not know yet",
        {"service": {"trafficDistribution": "PreferClose"}},
        lambda o: o.spec("Service")["trafficDistribution"] == "PreferClose",
    ),
    ("nothing is monitored unless enabled", {}, lambda o: not {"ServiceMonitor", "PrometheusRule"} & o.kinds),
    ("nothing is exposed unless enabled", {}, lambda o: not {"Ingress", "HTTPRoute"} & o.kinds),
    ("no dashboard is made unless enabled", {}, lambda o: not o.named("ConfigMap", "-dashboard-example")),
    ("runbooks are named as in the repository", LINKED, lambda o: runbooks(o) == ["docs/runbooks"] * 3),
    ("or where they are", ELSEWHERE, lambda o: runbooks(o) == ["https://git.example/runbooks"] * 3),
    ("no sandbox is made unless enabled", {}, lambda o: not o.named("Deployment", "-sandbox")),
    (
        "whole numbers stay whole",
        {"config": {"server": {"max_connections": 1000000}}},
        lambda o: "= 1000000\n" in o.toml,
    ),
]

# Pairs of values whose pods must differ, because the gateway reads these only at its start.
RESTARTS = [
    ({}, {"config": {"cache": {"final_ttl": "1h"}}}),
    (TRIAL, {"regions": [{"name": "my", "trialKeys": {"accessKey": "a", "secretKey": "c"}}]}),
    ({**CA_FILE, "files": {"ca.crt": "a"}}, {**CA_FILE, "files": {"ca.crt": "b"}}),
]


def check_logic(with_values):
    """Every statement above. Takes a function that renders the minimal installation with some values on top."""
    for what, values, holds in STATEMENTS:
        assert holds(with_values(values)), f"{values}: it does not hold that {what}"
    for before, after in RESTARTS:
        pods = [with_values(values).spec("Deployment")["template"] for values in (before, after)]
        assert pods[0] != pods[1], f"{after} starts no new pods"
