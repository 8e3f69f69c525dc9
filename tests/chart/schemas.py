"""Holds a render to Kubernetes' schemas, and to the rules that no schema has."""

import kubernetes_validate
import jsonschema

# The oldest version that Chart.yaml allows, and the newest there is.
VERSIONS = ["1.29", "1.37"]

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}


def strict(properties, required):
    """An object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


# Of the Prometheus operator's kinds, what the chart and its rules use: Kubernetes' own schemas do not know them.
OF_OPERATOR = {
    "ServiceMonitor": strict(
        {
            "selector": strict({"matchLabels": TEXTS}, ["matchLabels"]),
            "namespaceSelector": strict({"matchNames": {"type": "array", "items": {"type": "string"}}}, ["matchNames"]),
            "endpoints": {
                "type": "array",
                "minItems": 1,
                "items": strict(
                    {
                        "port": {"type": "string"},
                        "path": {"type": "string"},
                        "interval": DURATION,
                        "scrapeTimeout": DURATION,
                        "relabelings": {
                            "type": "array",
                            "items": strict(
                                {k: {"type": "string"} for k in ("action", "targetLabel", "replacement")}, ["action"]
                            ),
                        },
                    },
                    ["port"],
                ),
            },
        },
        ["selector", "endpoints"],
    ),
    "PrometheusRule": strict(
        {
            "groups": {
                "type": "array",
                "minItems": 1,
                "items": strict(
                    {
                        "name": {"type": "string"},
                        "interval": DURATION,
                        "rules": {
                            "type": "array",
                            "items": strict(
                                {
                                    **{k: {"type": "string"} for k in ("record", "alert", "expr")},
                                    "for": DURATION,
                                    "keep_firing_for": DURATION,
                                    "labels": TEXTS,
                                    "annotations": TEXTS,
                                },
                                ["expr"],
                            ),
                        },
                    },
                    ["name", "rules"],
                ),
            }
        },
        ["groups"],
    ),
}


def hold_to_schemas(objects):
    """Every object is one that the API server would take, unknown fields refused."""
    for o in objects.all:
        if o["apiVersion"] == "monitoring.coreos.com/v1":
            jsonschema.validate(o["spec"], OF_OPERATOR[o["kind"]])
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(o, version, strict=True)


def hold_to_promises(objects):
    """What holds in every render, whatever the values."""
    names = [(o["kind"], o["metadata"]["name"]) for o in objects.all]
    assert len(names) == len(set(names)), "an object stands there twice"
    for name, pod in objects.pods():
        hold_pod(name, pod)
    gateway = objects.gateway
    labels = objects.named("Deployment")["spec"]["template"]["metadata"]["labels"]
    for o in objects.all:
        if o["kind"] == "Service" and not o["metadata"]["name"].endswith("-sandbox"):
            assert o["spec"]["selector"].items() <= labels.items(), "a Service selects no gateway"
            ports = {port["name"] for port in gateway["containers"][0]["ports"]}
            assert {port["targetPort"] for port in o["spec"]["ports"]} <= ports, "a Service leads to no port"
    public = {port["targetPort"] for port in objects.named("Service")["spec"]["ports"]}
    assert public == {"public"}, "the admin listener is on the callers' Service"


def hold_pod(name, pod):
    """A pod is restricted, holds no token, and can be written to nowhere."""
    assert pod["automountServiceAccountToken"] is False, name
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 65532, name
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
        assert security["capabilities"] == {"drop": ["ALL"]} and not security["privileged"], name
        assert "lifecycle" not in container and "command" not in container, f"{name}: the image has no shell"
        assert container["resources"]["limits"]["memory"], name
        for mount in container.get("volumeMounts", []):
            assert mount["readOnly"] and "subPath" not in mount, f"{name}: {mount['name']} would not follow its source"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container.get(probe, {}):
                assert container[probe]["httpGet"]["port"] == "admin", name
