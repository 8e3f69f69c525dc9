"""Asks both Helms: what a chart renders with some values, or why not."""

import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/idv-gateway"
# What the release's objects are called: by default, and in the case of a trial.
FULL_NAMES = ["idv-idv-gateway", "trial"]
HELMS = [ROOT / ".tools/helm" / major / "helm" for major in ("3", "4")]


def run(helm, *args):
    """Runs Helm. Returns its exit code, and what it says on both streams."""
    done = subprocess.run([helm, *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def render(chart, *args):
    """The text that both Helms make of a chart. It must be the same, but for empty lines before a document."""
    texts = []
    for helm in HELMS:
        code, out, err = run(helm, "template", "idv", chart, "--namespace", "identity", *args)
        assert code == 0, f"{helm}: {err}"
        texts.append(re.sub(r"\n+---\n", "\n---\n", out).strip() + "\n")
    assert texts[0] == texts[1], f"Helm 3 and Helm 4 render {args} differently"
    return texts[0]


def refusals(chart, *args):
    """What each Helm says when it refuses."""
    for helm in HELMS:
        code, _, err = run(helm, "template", "idv", chart, *args)
        assert code != 0, f"{helm} takes {args}"
        yield err


class Objects:
    """The objects of a render, by kind and by what follows the release's full name."""

    def __init__(self, text):
        self.all = [document for document in yaml.safe_load_all(text) if document]

    def named(self, kind, suffix=""):
        """The object of that kind whose name ends so, or None."""
        names = {full + suffix for full in FULL_NAMES}
        found = [o for o in self.all if o["kind"] == kind and o["metadata"]["name"] in names]
        return found[0] if found else None

    def pods(self):
        """The specification of every pod, and its name."""
        for o in self.all:
            if o["kind"] == "Pod":
                yield o["metadata"]["name"], o["spec"]
            elif o["kind"] == "Deployment":
                yield o["metadata"]["name"], o["spec"]["template"]["spec"]

    @property
    def gateway(self):
        """The gateway's pod."""
        return self.named("Deployment")["spec"]["template"]["spec"]

    @property
    def toml(self):
        """The gateway's configuration file."""
        return self.named("ConfigMap")["data"]["gateway.toml"]
