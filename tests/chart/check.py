"""Every check of the chart, one function each. Prints what was checked and stops at the first failure.

cases/         values, each a whole installation
golden/        what they render to
refusals.yaml  values that must not render, and why
files/         a rule file and a dashboard, so that the golden files do not change with the real ones
"""

import argparse
import copy
import json
import pathlib
import re
import shutil
import sys
import tempfile
import tomllib

import yaml

import cluster
import configuration
import logic
import monitoring
import schemas
import staging
import strings
from helm import CHART, HELMS, ROOT, Objects, refusals, render, run

HERE = pathlib.Path(__file__).resolve().parent
MINIMAL = HERE / "cases/minimal.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Names that Helm accepts for a release and that Kubernetes accepts for nothing, or for less than the chart needs.
RELEASES = ["idv.prod", "2024", "true", "1e3", "a--b", "x" * 53, "9" * 53, "idv-gateway", "2024-idv-gateway"]
# Keys that look like the gateway's own and are the chart's.
OWN_KEYS = {"trial"}


def check_metadata():
    """The chart is made for the gateway of this tree and explains all of its values."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert chart["appVersion"] == chart["version"] == version, f"Cargo.toml says {version}"
    assert chart["kubeVersion"] == f">={schemas.VERSIONS[0]}.0-0", "the oldest version is not the one that is tried"
    unsaid = {"description", "home", "sources", "icon", "maintainers", "annotations"} - chart.keys()
    assert not unsaid and (ROOT / chart["icon"].removeprefix(chart["home"] + "/")).exists(), f"Chart.yaml: {unsaid}, icon"
    text = (CHART / "values.yaml").read_text()
    assert yaml.safe_load(text).keys() == SCHEMA["properties"].keys(), "values.yaml and the schema differ"
    fields = SCHEMA["definitions"]["service"]["properties"].keys()
    keys = {key for keys in known_keys().values() for key in keys} | OWN_KEYS | fields
    unexplained = [key for key in keys if not re.search(rf"\b{key}\b", text)]
    assert not unexplained, f"values.yaml does not mention {unexplained}"


def check_cases(chart, binary, bless):
    """Each case renders as recorded, and Kubernetes' schemas and the binary accept it."""
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
        assert text == recorded, f"{case.name} renders differently from golden: look at the difference, then --bless"
        objects = rendered[case.stem] = Objects(text)
        schemas.check_schemas(objects)
        schemas.check_promises(objects)
        configuration.check_binary(binary, objects)
        print(f"case {case.stem}: {len(objects.all)} objects")
    recorded = {golden.stem for golden in (HERE / "golden").glob("*.yaml")}
    assert recorded == rendered.keys(), f"golden files without a case: {recorded - rendered.keys()}"
    return rendered


def check_recipes(chart, folder):
    """What the chart's README shows renders on top of the minimal installation."""
    recipes = re.findall("```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    overlay = folder / "recipe.yaml"
    for recipe in recipes:
        overlay.write_text(recipe.replace("<the hash>", "0123456789abcdef" * 4))
        schemas.check_promises(Objects(render(chart, "--values", MINIMAL, "--values", overlay)))
    assert recipes
    print(f"README: {len(recipes)} recipes render")


def known_keys():
    """The keys of the gateway's configuration that the schema knows, by section; the chart's own keys are left out."""
    sections = SCHEMA["properties"]["config"]["properties"]
    sections = {**sections, "auth.jwt": sections["auth"]["properties"]["jwt"]}
    sections["server.tls"] = sections["server"]["properties"]["tls"]
    sections |= {f"{name}s": SCHEMA["definitions"][name] for name in ("region", "caller")}
    keys = {name: {key for key in section["properties"] if key.islower()} for name, section in sections.items()}
    return {name: found - OWN_KEYS for name, found in keys.items()}


def check_reach(rendered):
    """Every value of the chart is set by some case, and every key of the gateway's configuration that the schema knows is in
    the file of some case, so that the binary has accepted it."""
    set_by_cases = {key for case in (HERE / "cases").glob("*.yaml") for key in yaml.safe_load(case.read_text())}
    unset = SCHEMA["properties"].keys() - set_by_cases - {"enabled", "probes", "securityContext", "testResources", "clusterDomain"}
    assert not unset, f"no case sets {unset}"
    files = [tomllib.loads(objects.toml) for objects in rendered.values()]
    for section, keys in known_keys().items():
        entries = []
        for file in files:
            for step in section.split("."):
                file = file.get(step, {})
            entries += file if isinstance(file, list) else [file]
        unreached = keys - {key for entry in entries for key in entry}
        assert not unreached, f"no case has {section}: {unreached}"


def check_logic(chart, folder):
    """One value more or less, and what changes in the render."""
    logic.check_logic(lambda values: Objects(render(chart, *overlaid(folder, values))))
    print(f"logic: {len(logic.STATEMENTS)} statements hold")


def overlaid(folder, values):
    """Helm's arguments for the minimal installation with some values on top."""
    overlay = folder / "overlay.yaml"
    overlay.write_text(json.dumps(values))
    return "--values", MINIMAL, "--values", overlay


def check_mounts(chart, folder):
    """What a change of mounted objects in the cluster does."""
    mounts = [
        {"name": "authority", "source": {"configMap": {"name": "authority"}}},
        {"name": "keys", "source": {"secret": {"secretName": "keys"}}},
    ]
    keys = {f"{kind}_key_file": f"/run/mounts/keys/{kind}" for kind in ("access", "secret")}
    region = {"name": "my", "ca_file": "/run/mounts/authority/ca.crt", **keys}
    cluster.check_mounts(chart, folder, overlaid(folder, {"mounts": mounts, "regions": [region], "remote": {"ca": {"secret": "tier"}}}))
    print("mounts: a changed object starts new pods if it must")


def check_names(chart):
    """Releases and namespaces of any name render valid objects."""
    for release in RELEASES:
        objects = Objects(render(chart, "--values", HERE / "cases/sandbox.yaml", release=release, namespace="2024"))
        schemas.check_schemas(objects)
        schemas.check_promises(objects)
    print(f"names: {len(RELEASES)} releases render valid objects")


def check_umbrella(chart, folder):
    """A chart around this one turns it off by a condition, and has it a second time by an alias."""
    around, alias = folder / "around", "idv_Second"
    shutil.copytree(chart, around / "charts/idv-gateway")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    first = {"name": "idv-gateway", "version": version, "condition": "idv-gateway.enabled"}
    second = {"name": "idv-gateway", "version": version, "alias": alias}
    metadata = {"apiVersion": "v2", "name": "around", "version": "1.0.0", "dependencies": [first, second]}
    (around / "Chart.yaml").write_text(json.dumps(metadata))
    minimal = yaml.safe_load(MINIMAL.read_text())
    names = []
    for enabled in (True, False):
        values = {"idv-gateway": {**minimal, "enabled": enabled}, alias: minimal}
        (around / "values.yaml").write_text(json.dumps(values))
        objects = Objects(render(around))
        schemas.check_schemas(objects)
        schemas.check_promises(objects)
        names.append([o["metadata"]["name"] for o in objects.all if o["kind"] == "Deployment"])
    assert names == [["idv-idv-gateway", "idv-idv-second"], ["idv-idv-second"]], names
    print("a chart around it: off by its condition, twice by an alias")


def check_strings(chart, folder):
    """No string in the values changes what objects there are."""

    def render_alone(values):
        file = folder / "changed.yaml"
        file.write_text(json.dumps(values))
        objects = Objects(render(chart, "--values", file))
        schemas.check_schemas(objects)
        return objects

    cases = [yaml.safe_load(case.read_text()) for case in (HERE / "cases").glob("*.yaml")]
    count = sum(strings.check_strings(json.dumps(case), SCHEMA, render_alone) for case in cases)
    print(f"strings: {count} changed, and none of them changes the objects")


def check_refusals(chart, folder):
    """What cannot work is refused with its reason, and so is an unknown key in any place."""
    table = yaml.safe_load((HERE / "refusals.yaml").read_text())
    for row in table:
        for said in refusals(chart, *overlaid(folder, row["values"])):
            unsaid = [fragment for fragment in row["says"] if fragment not in said]
            assert not unsaid, f"{row['values']}: expected {unsaid}, found {said}"
    places = list(closed_places(SCHEMA, ()))
    base = yaml.safe_load(MINIMAL.read_text())
    overlay = folder / "typo.yaml"
    for place in places:
        overlay.write_text(json.dumps(with_typo(copy.deepcopy(base), place)))
        for said in refusals(chart, "--values", overlay):
            assert "tpyo" in said, f"{place}: {said}"
    print(f"refusals: {len(table)} with their reason, typos in {len(places)} places")


def closed_places(node, path):
    """The paths of all objects that accept no unknown key; a list's first item stands for all."""
    node = SCHEMA["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
    if node.get("additionalProperties") is False:
        yield path
    for key, below in node.get("properties", {}).items():
        yield from closed_places(below, (*path, key))
    if "items" in node:
        yield from closed_places(node["items"], (*path, 0))
    for part in node.get("allOf", []):
        yield from closed_places(part, path)


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


def check_own_files(folder):
    """The chart's real rules and dashboards: accepted by the schemas, for one release alone, adjustable."""
    overlay = folder / "overlay.yaml"

    def render_with(values, **release):
        overlay.write_text(json.dumps(values))
        objects = Objects(render(CHART, "--values", MINIMAL, "--values", overlay, **release))
        schemas.check_schemas(objects)
        return objects

    monitoring.check_monitoring(render_with)
    print("rules and dashboards: limited to their release, adjustable, carried whole")


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
        check_recipes(chart, folder)
        check_logic(chart, folder)
        check_mounts(chart, folder)
        check_names(chart)
        check_umbrella(chart, folder)
        check_strings(chart, folder)
        check_refusals(chart, folder)
        check_own_files(folder)
    staging.check_staging(args.binary, rendered["sandbox"], known_keys())
    print("staging: the sandbox's case runs, and its test finds it by name")


if __name__ == "__main__":
    sys.exit(main())
