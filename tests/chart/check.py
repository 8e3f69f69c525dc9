"""Every check of the chart, one function each. Prints what was held, ends at the first breach.

cases/       values, each a whole installation
golden/      what they render to
refusals.yaml  values that must not render, and why
files/       a rule file and a dashboard, so that the golden files do not change with the real ones
"""

import argparse
import base64
import copy
import json
import pathlib
import shutil
import sys
import tempfile
import tomllib

import yaml

import configuration
import schemas
from helm import CHART, HELMS, ROOT, Objects, refusals, render, run

HERE = pathlib.Path(__file__).resolve().parent
MINIMAL = HERE / "cases/minimal.yaml"
# Uses sections that this version of the gateway does not have.
PLANNED = "planned"


def check_metadata():
    """The chart is made for the gateway of this tree, and explains all of its values."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert chart["appVersion"] == version, f"appVersion is {chart['appVersion']}, Cargo.toml says {version}"
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}, "values.yaml and the schema differ"
    text = (CHART / "values.yaml").read_text()
    config = schema["properties"]["config"]["properties"]
    keys = [key for section in config.values() for key in section["properties"]]
    keys += [key for name in ("region", "caller") for key in schema["definitions"][name]["properties"]]
    unsaid = [key for key in keys if key not in text]
    assert not unsaid, f"values.yaml says nothing of {unsaid}"


def check_cases(chart, binary, bless):
    """Each case renders as recorded, is valid for Kubernetes and, if this version has its sections, for the binary."""
    rendered = {}
    for case in sorted((HERE / "cases").glob("*.yaml")):
        for helm in HELMS:
            code, out, err = run(helm, "lint", "--strict", chart, "--values", case)
            assert code == 0 and "Fail:" not in err and "funcMap fail" not in err, f"{case.name}: {out}{err}"
        text = render(chart, "--values", case)
        golden = HERE / "golden" / case.name
        if bless:
            golden.write_text(text)
        recorded = golden.read_text() if golden.exists() else ""
        assert text == recorded, f"{case.name} renders otherwise than recorded: look at the difference, then --bless"
        objects = rendered[case.stem] = Objects(text)
        schemas.hold_to_schemas(objects)
        schemas.hold_to_promises(objects)
        if case.stem != PLANNED:
            configuration.hold_to_binary(binary, objects)
        print(f"case {case.stem}: {len(objects.all)} objects")
    return rendered


def check_reach(rendered):
    """Every key of the gateway's configuration that the schema knows is in the file of some case."""
    files = [tomllib.loads(objects.toml) for objects in rendered.values()]
    schema = json.loads((CHART / "values.schema.json").read_text())

    def missing(properties, tables, path):
        for key, kind in properties.items():
            found = [table[key] for table in tables if key in table]
            if not found and "_" in key + "_" and not any(c.isupper() for c in key):
                yield f"{path}{key}"
            yield from missing(kind.get("properties", {}), [t for t in found if isinstance(t, dict)], f"{path}{key}.")

    unreached = list(missing(schema["properties"]["config"]["properties"], files, ""))
    for name in ("region", "caller"):
        tables = [table for file in files for table in file[f"{name}s"]]
        properties = {k: v for k, v in schema["definitions"][name]["properties"].items()}
        unreached += missing(properties, tables, f"{name}s.")
    unreached = [key for key in unreached if key != "callers.key_sha256_file"]
    assert not unreached, f"no case shows {unreached}"


def check_logic(chart):
    """One value more or less, and what changes in the render."""

    def with_values(*sets):
        args = [arg for setting in sets for arg in ("--set", setting)]
        return Objects(render(chart, "--values", MINIMAL, *args))

    spec = lambda objects, kind, suffix="": (objects.named(kind, suffix) or {}).get("spec")
    volumes = lambda objects: {volume["name"] for volume in objects.gateway["volumes"]}
    trial = ("regions[0].existingSecret=", "regions[0].trialKeys.accessKey=a", "regions[0].trialKeys.secretKey=b")
    hpa = "autoscaling.enabled=true"
    table = [
        ("an existing Secret is mounted, none made", (), lambda o: not o.named("Secret", "-trial-keys") and "idv" in volumes(o)),
        ("keys in the values make a Secret", trial, lambda o: base64.b64decode(o.named("Secret", "-trial-keys")["data"]["my.access-key"]) == b"a"),
        ("replicas are the Deployment's", ("replicaCount=3",), lambda o: spec(o, "Deployment")["replicas"] == 3 and not o.named("HorizontalPodAutoscaler")),
        ("replicas are the autoscaler's", (hpa,), lambda o: "replicas" not in spec(o, "Deployment") and spec(o, "HorizontalPodAutoscaler")["minReplicas"] == 2),
        ("two replicas have a budget", (), lambda o: spec(o, "PodDisruptionBudget")["maxUnavailable"] == 1),
        ("one replica has none", ("replicaCount=1",), lambda o: not o.named("PodDisruptionBudget")),
        ("one replica that may grow has none", (hpa, "autoscaling.minReplicas=1"), lambda o: not o.named("PodDisruptionBudget")),
        ("an autoscaler's two have one", (hpa, "replicaCount=1"), lambda o: bool(o.named("PodDisruptionBudget"))),
        ("minAvailable replaces maxUnavailable", ("podDisruptionBudget.minAvailable=1",), lambda o: "maxUnavailable" not in spec(o, "PodDisruptionBudget")),
        ("without TLS the port is http", (), lambda o: spec(o, "Service")["ports"][0]["name"] == "http" and "idv-tls" not in volumes(o)),
        ("with TLS it is https", ("tls.existingSecret=t",), lambda o: spec(o, "Service")["ports"][0]["appProtocol"] == "https" and "client_ca_file" not in o.toml),
        ("a client CA is mutual TLS", ("tls.existingSecret=t", "tls.clientCa.secret=c"), lambda o: "client_ca_file" in o.toml),
        ("grace follows the deadline", ("config.drain.deadline=90500ms",), lambda o: o.gateway["terminationGracePeriodSeconds"] == 96),
        ("grace can be given", ("terminationGracePeriodSeconds=60",), lambda o: o.gateway["terminationGracePeriodSeconds"] == 60),
        ("no policy if none is wanted", ("networkPolicy.enabled=false",), lambda o: not o.named("NetworkPolicy")),
        ("the image follows appVersion", (), lambda o: o.gateway["containers"][0]["image"] == "idv-gateway:0.1.0"),
        ("a tag", ("image.tag=x",), lambda o: o.gateway["containers"][0]["image"] == "idv-gateway:x"),
        ("nothing is monitored unasked", (), lambda o: not {"ServiceMonitor", "PrometheusRule"} & {x["kind"] for x in o.all}),
        ("no dashboard unasked", (), lambda o: not o.named("ConfigMap", "-dashboard-.*")),
        ("numbers set by hand stay whole", ("config.server.max_connections=1000000",), lambda o: "max_connections = 1000000\n" in o.toml),
    ]
    for what, sets, holds in table:
        assert holds(with_values(*sets)), f"it does not hold that {what}"
    sum_of = lambda *sets: with_values(*sets).named("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert sum_of() != sum_of("config.cache.final_ttl=1h"), "a new configuration starts no new pods"
    assert sum_of(*trial) != sum_of(*trial[:2], "regions[0].trialKeys.secretKey=c"), "new trial keys start no new pods"
    print(f"logic: {len(table) + 2} statements hold")


def check_refusals(chart, folder):
    """What cannot work is refused with its reason, and a key that nobody knows in every place."""
    table = yaml.safe_load((HERE / "refusals.yaml").read_text())
    overlay = folder / "overlay.yaml"
    for row in table:
        overlay.write_text(json.dumps(row["values"]))
        for said in refusals(chart, "--values", MINIMAL, "--values", overlay):
            unsaid = [fragment for fragment in row["says"] if fragment not in said]
            assert not unsaid, f"{row['values']}: expected {unsaid}, found {said}"
    schema = json.loads((CHART / "values.schema.json").read_text())
    places = list(closed_places(schema, schema, ()))
    base = yaml.safe_load(MINIMAL.read_text())
    for place in places:
        overlay.write_text(json.dumps(with_typo(copy.deepcopy(base), place)))
        for said in refusals(chart, "--values", overlay):
            assert "tpyo" in said, f"{place}: {said}"
    print(f"refusals: {len(table)} told with their reason, typos in {len(places)} places")


def closed_places(schema, node, path):
    """The paths of all objects that take no unknown key; a list's first item stands for all."""
    node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
    if node.get("additionalProperties") is False:
        yield path
    for key, below in node.get("properties", {}).items():
        yield from closed_places(schema, below, (*path, key))
    if "items" in node:
        yield from closed_places(schema, node["items"], (*path, 0))


def with_typo(values, place):
    """The values, and an unknown key at a place in them."""
    at = values
    for step, after in zip(place, (*place[1:], "tpyo")):
        fresh = [] if after == 0 else {}
        if isinstance(at, list):
            if not at:
                at.append(fresh)
        else:
            at.setdefault(step, fresh)
        at = at[step]
    at["tpyo"] = "x"
    return values


def check_own_files():
    """The chart's real rules and dashboards arrive whole."""
    enabled = ("--set", "prometheusRule.enabled=true", "--set", "dashboards.enabled=true")
    objects = Objects(render(CHART, "--values", MINIMAL, *enabled))
    schemas.hold_to_schemas(objects)
    files = [*(CHART / "rules").glob("*.yaml"), *(CHART / "dashboards").glob("*.json")]
    for file in files:
        if file.suffix == ".yaml":
            carried = objects.named("PrometheusRule", f"-{file.stem}")["spec"]
            assert carried == yaml.safe_load(file.read_text()), file
        else:
            carried = objects.named("ConfigMap", f"-dashboard-{file.stem}")["data"][file.name]
            assert json.loads(carried) == json.loads(file.read_text()), file
    print(f"rules and dashboards: {len(files)} carried unchanged")


def main():
    """Runs every check."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--bless", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        chart = folder / "idv-gateway"
        shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("rules", "dashboards"))
        shutil.copytree(HERE / "files", chart, dirs_exist_ok=True)
        check_metadata()
        rendered = check_cases(chart, args.binary, args.bless)
        check_reach(rendered)
        check_logic(chart)
        check_refusals(chart, folder)
    check_own_files()
    secret = rendered["sandbox"].named("Secret", "-trial-keys")["data"]
    keys = {name: base64.b64decode(key).decode() for name, key in secret.items()}
    configuration.hold_sandbox_to_its_word(args.binary, rendered["sandbox"], keys)
    print("sandbox: the staging case runs, and the test's command finds it by name")


if __name__ == "__main__":
    sys.exit(main())
