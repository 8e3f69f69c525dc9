"""A change of a Secret or a ConfigMap in the cluster: an API server, enough for Helm 3 to look them up. Helm 4 would ask it
about every kind in the chart."""

import contextlib
import http.server
import json
import threading

from helm import HELMS, Objects, render

RESOURCES = [{"name": f"{kind.lower()}s", "kind": kind, "namespaced": True, "verbs": ["get"]} for kind in ("Secret", "ConfigMap")]
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "test",
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    "users": [{"name": "test", "user": {}}],
}


class ApiServer(http.server.BaseHTTPRequestHandler):
    """Knows one namespace's objects; `objects` holds them by the end of their path."""

    objects = {}

    def do_GET(self):  # pylint: disable=invalid-name
        """Answers with an object, or with what Helm asks about the server itself."""
        known = {
            "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
            "/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": RESOURCES},
        }
        for end, found in self.objects.items():
            known[f"/api/v1/namespaces/identity/{end}"] = found
        path = self.path.partition("?")[0]
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(known.get(path, status)).encode()
        self.send_response(200 if path in known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


@contextlib.contextmanager
def serving(folder):
    """Runs the API server. Yields a kubeconfig for it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    file = folder / "kubeconfig"
    file.write_text(json.dumps({**KUBECONFIG, "clusters": [cluster]}))
    try:
        yield file
    finally:
        server.shutdown()


def of_kind(kind, name, content):
    """An object with some content."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "identity"}, "data": {"a": content}}


def check_mounts(chart, folder, values):
    """A changed object starts new pods exactly if the gateway reads a file in it only at its start. Takes Helm's arguments
    for values with two mounts, `authority` with a ca_file, from a ConfigMap, and `keys` with keys, from a Secret, and with
    the second tier's authority in the Secret `tier`."""
    with serving(folder) as kubeconfig:

        def annotations(authority, keys, tier="one"):
            ApiServer.objects = {
                "configmaps/authority": of_kind("ConfigMap", "authority", authority),
                "secrets/keys": of_kind("Secret", "keys", keys),
                "secrets/tier": of_kind("Secret", "tier", tier),
            }
            args = ("--dry-run=server", "--kubeconfig", kubeconfig, *values)
            return Objects(render(chart, *args, helms=HELMS[:1])).deployment["spec"]["template"]["metadata"]["annotations"]

        before = annotations("one", "one")
        assert "checksum/mounts" in before, before
        assert annotations("two", "one") != before, "a new authority starts no new pods"
        assert annotations("one", "one", tier="two") != before, "a new authority of the second tier starts no new pods"
        assert annotations("one", "two") == before, "new keys start new pods, although they are followed"
