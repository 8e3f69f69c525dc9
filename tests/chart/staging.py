"""Runs the staging case as its pods would: the sandbox, the gateway, and the pod of `helm test`."""

import base64
import contextlib
import hashlib
import json
import pathlib
import subprocess
import tempfile
import time
import tomllib
import urllib.request

from configuration import lay_out
from helm import ROOT

KEY = "a-key-of-staging"


@contextlib.contextmanager
def running(binary, *commands):
    """Runs commands of the binary for a while."""
    started = [subprocess.Popen([binary, *command], stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            assert process.wait() == 0, f"{process.args} ended with {process.returncode}"


def ask(url, **headers):
    """The body of an answer."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return json.loads(answer.read())


def check_staging(binary, objects, known):
    """An id of the sandbox is answered through both, the test's pod finds the gateway by its Service's name, operators may
    use that name, and the schema knows every setting of the gateway: `known` holds the keys of each section."""
    ports = subprocess.check_output([ROOT / "scripts/free-ports", "3"])
    public, admin, sandbox = [int(port) for port in ports.split()]
    here = {
        "0.0.0.0:8080": f"127.0.0.1:{public}",
        "0.0.0.0:8081": f"127.0.0.1:{admin}",
        "0.0.0.0:8090": f"127.0.0.1:{sandbox}",
        "idv-idv-gateway-admin:8081": f"localhost:{admin}",
        "idv-idv-gateway-sandbox:8090": f"127.0.0.1:{sandbox}",
    }

    def lead(text):
        for there, place in here.items():
            text = text.replace(there, place)
        return text

    commands = {name: [lead(arg) for arg in pod["containers"][0]["args"]] for name, pod in objects.pods()}
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "gateway.toml"
        file.write_text(lead(lay_out(objects, folder)))
        fill_secrets(file, objects)
        serve = [arg.replace("/etc/idv-gateway", folder) for arg in commands["idv-idv-gateway"]]
        with running(binary, commands["idv-idv-gateway-sandbox"], serve):
            test = [binary, *commands["idv-idv-gateway-healthcheck"]]
            alive = lambda: subprocess.run(test, stderr=subprocess.DEVNULL, check=False).returncode == 0
            assert any(alive() or time.sleep(0.1) for _ in range(100)), "the pod of helm test never succeeds"
            answer = ask(f"http://127.0.0.1:{public}/idv/sim-pass-ph-1", Authorization=f"Bearer {KEY}")
            assert (answer["status"], answer["region"]) == ("passed", "ph"), answer
            settings = ask(f"http://127.0.0.1:{admin}/config", Host="idv-idv-gateway-admin.identity.svc:8081")
    for section, table in settings.items():
        if table is None:  # left out
            continue
        for entry in table if isinstance(table, list) else [table]:
            unknown = entry.keys() - known.get(section, set())
            assert not unknown, f"values.schema.json does not know {section}: {unknown}"


def fill_secrets(file, objects):
    """Puts the chart's own keys, and the hash of ours, into the files that the configuration names."""
    config = tomllib.loads(file.read_text())
    keys = objects.named("Secret", "-trial-keys")["data"]
    for region in config["regions"]:
        for kind in ("access", "secret"):
            key = base64.b64decode(keys[f"{region['name']}.{kind}-key"])
            pathlib.Path(region[f"{kind}_key_file"]).write_bytes(key)
    for caller in config["callers"]:
        pathlib.Path(caller["key_sha256_file"]).write_text(hashlib.sha256(KEY.encode()).hexdigest())
