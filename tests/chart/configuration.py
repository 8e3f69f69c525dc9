"""Gives the rendered configuration to the real binary, with files where the pod mounts them."""

import base64
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile

from helm import ROOT

AUTHORITIES = ("ca.crt", "client-ca.crt", "corporate-ca.crt")


def lay_out(objects, folder):
    """Makes the files of the gateway's volumes in a folder. Returns the configuration with its paths in that folder."""
    mounts = {mount["name"]: mount["mountPath"] for mount in objects.container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in objects.pod["volumes"]}
    for volume in objects.pod["volumes"]:
        place = pathlib.Path(folder + mounts[volume["name"]])
        place.mkdir(parents=True)
        for name in (objects.named("ConfigMap", "-files") or {"data": {}})["data"] if volume["name"] == "files" else ():
            write(place / name)
        for source in volume.get("projected", {}).get("sources", []):
            for path in paths_of(source):
                write(place / path)
    # The chart does not know the file names in a source of the user's own, only its folder.
    for path in re.findall(r'"(/run/mounts/[^"]+)"', objects.toml):
        assert pathlib.Path(folder + path).parent.is_dir(), f"{path} is in no mount"
        write(pathlib.Path(folder + path))
    return re.sub(r'"(/run/[^"]+)"', lambda path: f'"{folder}{path[1]}"', objects.toml)


def paths_of(source):
    """The files of one source of a projected volume."""
    for kind in ("secret", "configMap"):
        yield from (item["path"] for item in source.get(kind, {}).get("items", []))
    if "serviceAccountToken" in source:
        yield source["serviceAccountToken"]["path"]


def write(path):
    """A file with what its name promises, or else 64 hexadecimal digits of its own: a key, and the hash of a key."""
    pem = {"tls.crt": "server", "tls.key": "server-key"} | dict.fromkeys(AUTHORITIES, "authority")
    content = hashlib.sha256(str(path).encode()).hexdigest() + "\n"
    if path.name in pem:
        content = (ROOT / f"tests/fixtures/tls/test-only-{pem[path.name]}.pem").read_text()
    if path.name == "encryption-key":
        content = base64.b64encode(hashlib.sha256(str(path).encode()).digest()).decode() + "\n"
    if path.name == "url":
        content = "redis://:a-password@valkey.cache.svc:6379\n"
    if path.parent.name == "jwks":
        content = key_set()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def key_set():
    """A key set of one key: the public half of the tests' own on P-256, which ends the file of the private one."""
    lines = (ROOT / "tests/fixtures/jwt/test-only-ec.pem").read_text().splitlines()
    public = base64.b64decode("".join(lines[1:-1]))[-64:]
    x, y = (base64.urlsafe_b64encode(half).decode().rstrip("=") for half in (public[:32], public[32:]))
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}]})


def environment(objects):
    """The variables of the gateway's container."""
    env = objects.container.get("env", [])
    return {**os.environ, **{variable["name"]: variable["value"] for variable in env}}


def check_binary(binary, objects):
    """`check-config` finds no mistake."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "gateway.toml"
        file.write_text(lay_out(objects, folder))
        args = [binary, "check-config", "--config", file]
        done = subprocess.run(args, env=environment(objects), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{file.read_text()}"
