"""Runs both Helms: what a chart renders with some values, or why it refuses them."""

import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/idv-gateway"
HELMS = [ROOT / ".tools/helm" / major / "helm" for major in ("3", "4")]
# Of the release in all cases but those about names.
RELEASE, NAMESPACE = "idv", "identity"


def run(helm, *args):
    """Runs Helm. Returns its exit code, its output and its errors."""
    done = subprocess.run([helm, *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def render(chart, *args, release=RELEASE, namespace=NAMESPACE, helms=HELMS):
    """The text that both Helms render. It must be the same, but for empty lines before a document."""
    texts = []
    for helm in helms:
        code, out, err = run(helm, "template", release, chart, "--namespace", namespace, *args)
        assert code == 0, f"{helm}: {err}"
        texts.append(re.sub(r"\n+---\n", "\n---\n", out).strip() + "\n")
    assert len(set(texts)) == 1, f"Helm 3 and Helm 4 render {args} differently"
    return texts[0]


def refusals(chart, *args):
    """The error of each Helm, which must refuse."""
    for helm in HELMS:
        code, _, err = run(helm, "template", RELEASE, chart, *args)
        assert code != 0, f"{helm} accepts {args}"
        yield err


class Objects:
    """The objects of a render, by kind and by what follows the full name of the release."""

    def __init__(self, text):
        self.all = [document for document in yaml.safe_load_all(text) if document]

    @property
    def deployment(self):
        """The gateway's Deployment."""
        labelled = ("app.kubernetes.io/component", "gateway")
        return next(o for o in self.all if o["kind"] == "Deployment" and labelled in o["metadata"]["labels"].items())

    def named(self, kind, suffix=""):
        """The object of that kind and name, or None."""
        name = self.deployment["metadata"]["name"] + suffix
        return next((o for o in self.all if (o["kind"], o["metadata"]["name"]) == (kind, name)), None)

    def spec(self, kind, suffix=""):
        """The specification of an object; empty if there is none."""
        return (self.named(kind, suffix) or {}).get("spec", {})

    def pods(self):
        """The name and the specification of every pod."""
        for o in self.all:
            if o["kind"] == "Pod":
                yield o["metadata"]["name"], o["spec"]
            elif o["kind"] == "Deployment":
                yield o["metadata"]["name"], o["spec"]["template"]["spec"]

    @property
    def pod(self):
        """The gateway's pod."""
        return self.deployment["spec"]["template"]["spec"]

    @property
    def container(self):
        """The gateway's container."""
        return self.pod["containers"][0]

    @property
    def kinds(self):
        """Every kind there is."""
        return {o["kind"] for o in self.all}

    @property
    def toml(self):
        """The gateway's configuration file."""
        return self.named("ConfigMap")["data"]["gateway.toml"]
