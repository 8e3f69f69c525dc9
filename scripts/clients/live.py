"""A gateway of all kinds of regions and callers, as it answers today and as a later version may."""

import hashlib
import http.server
import json
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path


def free_ports(count: int) -> list[int]:
    ports = subprocess.check_output([Path(__file__).parents[1] / "free-ports", str(count)])
    return [int(port) for port in ports.split()]


def configuration(public: int, admin: int, sandbox: int) -> str:
    """Three regions, one of which is down, and callers of all kinds."""
    text = f'[server]\nlisten = "127.0.0.1:{public}"\nadmin_listen = "127.0.0.1:{admin}"\n'
    for name, url in [("my", f"{sandbox}/my"), ("ph", f"{sandbox}/ph"), ("down", 1)]:
        text += f'[[regions]]\nname = "{name}"\nbase_url = "http://127.0.0.1:{url}"\nallow_http = true\n'
        text += 'access_key = "sandbox-access-key"\nsecret_key = "sandbox-secret-key"\n'
    for name, more in [("all", 'regions = ["my", "ph", "down"]'), ("few", 'regions = ["my"]'), ("slow", "requests_per_second = 1")]:
        digest = hashlib.sha256(name.encode()).hexdigest()
        text += f'[[callers]]\nname = "{name}"\nkey_sha256 = "{digest}"\nscopes = ["checks", "identity", "media", "purge"]\n{more}\n'
    return text


def get(url: str, key: str) -> tuple[int, dict, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as failure:
        return failure.code, dict(failure.headers), failure.read()


def extended(value: object) -> object:
    """A body as a later version may send it."""
    words = {"reason": {"code": "NEW_REASON", "category": "new_category"}, "media": {"kind": "new_kind"}}
    if isinstance(value, list):
        return [extended(item) for item in value]
    if not isinstance(value, dict):
        return value
    body = {key: extended(item) for key, item in value.items()} | {"addedLater": {"deep": [1, None]}}
    for key, new in words.items():
        for item in body.get(key) if isinstance(body.get(key), list) else [body.get(key)]:
            if isinstance(item, dict):
                item |= new
    if "retryable" in body:
        body |= {"code": "new_problem", "type": "urn:idv-gateway:new_problem"}
    return body


def proxy(upstream: str, change) -> str:
    """Serves the gateway with its bodies changed. Uses up the allowance of the caller `slow` first."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            for _ in range(2 if key == "slow" else 1):
                status, headers, body = get(upstream + self.path, key)
            body = json.dumps(change(json.loads(body))).encode()
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def line(status: int, body: dict) -> str:
    """What a client must print of a body."""
    if status != 200:
        return f"{status} {body['code']} {str(body['retryable']).lower()}"
    reason = f"{body['reason']['code']},{str(body['reason']['userCanRetry']).lower()}" if body["reason"] else "-"
    face = (body["checks"]["face"] or {}).get("result") or "-"
    media = body["media"][0]["kind"] if body["media"] else "-"
    return f"200 {body['status']} {str(body['final']).lower()} {reason} {face} {body['identity']['birthDate'] or '-'} {media}"
