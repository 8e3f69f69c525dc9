"""Checks a render against Kubernetes' schemas, and against rules that no schema has."""

import re

import jsonschema
import kubernetes_validate

# The oldest version that Chart.yaml allows, and the newest there is.
VERSIONS = ["1.29", "1.37"]

TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
OBJECTS = {"type": "array", "items": {"type": "object"}}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


def strict(required, **optional):
    """An object with these properties and no others."""
    properties = {**required, **optional}
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def some(item):
    """A list that is not empty."""
    return {"type": "array", "minItems": 1, "items": item}


SELECTOR = strict({"matchLabels": TEXTS})
RELABELING = strict({"action": TEXT}, targetLabel=TEXT, replacement=TEXT, regex=TEXT, sourceLabels=some(TEXT))
SCRAPE = strict(
    {"port": TEXT, "path": TEXT},
    interval=DURATION,
    scrapeTimeout=DURATION,
    relabelings=some(RELABELING),
    metricRelabelings=some(RELABELING),
)
RULE = strict(
    {"expr": TEXT}, record=TEXT, alert=TEXT, **{"for": DURATION}, keep_firing_for=DURATION, labels=TEXTS, annotations=TEXTS
)
MONITOR = {"selector": SELECTOR, "namespaceSelector": strict({"matchNames": some(TEXT)})}
CILIUM_PORTS = strict({"ports": some(strict({"port": TEXT, "protocol": TEXT}))}, rules=strict({"dns": OBJECTS}))
HTTP_RULE = strict(
    {
        "matches": some(strict({"path": strict({"type": TEXT, "value": TEXT})})),
        "backendRefs": some(strict({"name": TEXT, "port": PORT})),
    },
    filters=OBJECTS,
    timeouts=strict({}, request=DURATION, backendRequest=DURATION),
)

# What the chart uses of kinds that Kubernetes' own schemas do not have.
CUSTOM = {
    "ServiceMonitor": strict({**MONITOR, "endpoints": some(SCRAPE)}),
    "PodMonitor": strict({**MONITOR, "podMetricsEndpoints": some(SCRAPE)}),
    "PrometheusRule": strict({"groups": some(strict({"name": TEXT, "rules": some(RULE)}, interval=DURATION))}),
    "CiliumNetworkPolicy": strict(
        {
            "endpointSelector": SELECTOR,
            "egress": some(
                strict(
                    {"toPorts": some(CILIUM_PORTS)},
                    toEndpoints=some(SELECTOR),
                    toFQDNs=some(strict({"matchName": TEXT})),
                    toEntities=some(TEXT),
                )
            ),
        }
    ),
    "HTTPRoute": strict({"parentRefs": OBJECTS, "rules": some(HTTP_RULE)}, hostnames=some(TEXT)),
}


def check_schemas(objects, versions=tuple(VERSIONS)):
    """The API server accepts every object; it would refuse unknown fields and wrong types."""
    for o in objects.all:
        if o["kind"] in CUSTOM:
            jsonschema.validate(o["spec"], CUSTOM[o["kind"]])
            continue
        for version in versions:
            kubernetes_validate.validate(o, version, strict=True)


def check_promises(objects):
    """What holds in every render, whatever the values."""
    names = [(o["kind"], o["metadata"]["name"]) for o in objects.all]
    assert len(names) == len(set(names)), "an object is there twice"
    for o in objects.all:
        check_names(o)
    for name, pod in objects.pods():
        check_pod(name, pod)
    check_services(objects)
    for o in objects.all:
        if o["kind"] == "NetworkPolicy":
            check_egress(o["spec"]["egress"])


def check_names(o):
    """Names and labels that Kubernetes accepts: its schemas know only that they are strings."""
    name, labels = o["metadata"]["name"], o["metadata"].get("labels", {})
    pattern = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?" if o["kind"] == "Service" else r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
    assert re.fullmatch(pattern, name), f"{o['kind']} {name}"
    for label in labels.values():
        assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", label), f"{name}: {label}"


def check_pod(name, pod):
    """A pod is restricted, holds no token and cannot write anywhere."""
    own = [c for c in pod["containers"] if c["name"] in ("gateway", "sandbox", "healthcheck")]
    assert pod["automountServiceAccountToken"] is False, name
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
    assert pod["securityContext"]["runAsNonRoot"], name
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    for container in own:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
        assert security["capabilities"] == {"drop": ["ALL"]} and not security["privileged"], name
        assert "exec" not in str(container.get("lifecycle")), f"{name}: the image has no shell"
        assert container["resources"]["limits"]["memory"], name
        for mount in container.get("volumeMounts", []):
            assert mount["readOnly"] and "subPath" not in mount, f"{name}: {mount['name']} would not follow its source"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container.get(probe, {}):
                assert container[probe]["httpGet"]["port"] == "admin", name


def check_services(objects):
    """Every Service selects pods of its component and leads to a port they have; callers do not reach the admin port."""
    deployments = {
        o["metadata"]["name"]: o["spec"]["template"] for o in objects.all if o["kind"] == "Deployment"
    }
    for o in objects.all:
        if o["kind"] == "Service":
            selected = [
                template
                for template in deployments.values()
                if o["spec"]["selector"].items() <= template["metadata"]["labels"].items()
            ]
            assert len(selected) == 1, f"{o['metadata']['name']} selects {len(selected)} Deployments"
            ports = {port["name"] for container in selected[0]["spec"]["containers"] for port in container.get("ports", [])}
            assert {port["targetPort"] for port in o["spec"]["ports"]} <= ports, f"{o['metadata']['name']} leads to no port"
    public = {port["targetPort"] for port in objects.spec("Service")["ports"]}
    assert public == {"public"}, "the admin listener is on the callers' Service"


def check_egress(rules):
    """Only DNS may go to any address."""
    for rule in rules:
        ports = {port["port"] for port in rule.get("ports", [])}
        assert rule.get("to") or ports == {53}, f"{ports or 'every port'} of any address"
        for peer in rule.get("to", []):
            block = peer.get("ipBlock", {})
            assert not block.get("cidr", "").endswith("/0") or block.get("except"), f"{ports} of any address"
