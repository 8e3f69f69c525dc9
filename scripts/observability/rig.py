"""A real gateway, its sandbox and a real Prometheus on free ports of the loopback, and callers who ask all sorts of
things. What is started here is ended here."""

import contextlib
import hashlib
import http.client
import json
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import files

REGIONS = ["my", "ph"]
KINDS = {
    "pass": 50, "fail-liveness": 8, "fail-similarity": 4, "fail-card": 4, "fail-forgery": 2, "incomplete-blur": 4,
    "incomplete": 4, "pending-2": 8, "pending-6": 4, "slow-1": 1, "old": 3, "new": 3, "notfound": 4, "flaky": 2,
}
CALLERS = ["onboarding", "support", "batch"]
CONFIG = """
[server]
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
[request]
timeout = "2s"
fill_timeout = "3s"
[drain]
delay = "0s"
deadline = "5s"
[cache]
max_bytes = "2MiB"
final_ttl = "20s"
incomplete_ttl = "5s"
not_found_ttl = "2s"
"""
REGION = """
[[regions]]
name = "{name}"
base_url = "http://127.0.0.1:{sandbox}/{name}"
allow_http = true
access_key_file = "{access_key}"
secret_key = "sandbox-secret-key"
attempt_timeout = "1500ms"
"""
CALLER = """
[[callers]]
name = "{name}"
key_sha256 = "{hash}"
scopes = ["checks", "identity", "media", "refresh", "purge"]
requests_per_second = {rate}
"""
PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
  - job_name: {job}
    static_configs:
      - targets: ["127.0.0.1:{admin}"]
        labels: {labels}
"""


def free_ports(count):
    ports = subprocess.check_output([files.ROOT / "scripts/free-ports", str(count)])
    return [int(port) for port in ports.split()]


def call(port, method, path, body=None, headers=None):
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until(what, condition, seconds):
    """Waits for a condition, refused connections included."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            result = condition()
            if result:
                return result
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Rig:
    """Started by `with`; `pause` is what every `for` of the rules is shortened to, None to leave them."""

    def __init__(self, binary, work, pause=None):
        self.binary, self.work, self.pause = binary, Path(work), pause
        self.public, self.admin, self.sandbox, self.prometheus = free_ports(4)
        self.processes = []

    def __enter__(self):
        # A termination must unwind too, or it leaves three processes behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def start(self):
        config = self.work / "gateway.toml"
        access = self.work / "access-key"
        access.write_text("sandbox-access-key\n")
        regions = "".join(REGION.format(name=name, sandbox=self.sandbox, access_key=access) for name in REGIONS)
        keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in CALLERS}
        rates = {name: 2 if name == "batch" else 1000 for name in CALLERS}
        callers = "".join(CALLER.format(name=name, hash=keys[name], rate=rates[name]) for name in CALLERS)
        config.write_text(CONFIG.format(public=self.public, admin=self.admin) + regions + callers)
        self.run("sandbox", self.binary, "sandbox", "--listen", f"127.0.0.1:{self.sandbox}")
        self.run("gateway", self.binary, "serve", "--config", config)
        wait_until("the gateway is ready", lambda: call(self.admin, "GET", "/readyz")[0] == 200, 10)
        wait_until("the sandbox answers", lambda: self.faults() is None, 10)
        self.start_prometheus()

    def start_prometheus(self):
        rules = self.work / "rules"
        rules.mkdir()
        for path in files.RULES:
            text = files.render(path.read_text())
            if self.pause:
                text = re.sub(r"^(\s+for:) \w+$", rf"\1 {self.pause}", text, flags=re.M)
            (rules / path.name).write_text(text)
        config = self.work / "prometheus.yaml"
        labels = json.dumps({**files.TARGET, "pod": "gateway-a"})
        config.write_text(PROMETHEUS.format(rules=rules, admin=self.admin, job=files.RELEASE["job"], labels=labels))
        self.run("prometheus", shutil.which("prometheus"), f"--config.file={config}", "--log.level=warn",
                 f"--storage.tsdb.path={self.work}/tsdb", f"--web.listen-address=127.0.0.1:{self.prometheus}")
        wait_until("Prometheus has scraped the gateway", lambda: self.query("idv_build_info"), 20)

    def run(self, name, *command):
        log = open(self.work / f"{name}.log", "w")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def faults(self, *rules):
        """What the sandbox does wrong from now on."""
        status, why = call(self.sandbox, "PUT", "/_sandbox/faults", json.dumps(rules))
        assert status == 204, why

    def ask_prometheus(self, path, **parameters):
        status, body = call(self.prometheus, "GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
        if status == 503:
            raise ConnectionError("Prometheus is not ready yet")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def query(self, expression):
        return self.ask_prometheus("query", query=expression)["result"]

    def alerts(self):
        """State and labels of every alert that fires or is about to."""
        return [(alert["state"], alert["labels"]) for alert in self.ask_prometheus("alerts")["alerts"]]


class Traffic:
    """Callers who ask for new and for known ids, wrongly now and then, `rate` requests a second in all."""

    WORKERS = 6

    def __init__(self, rig, rate):
        self.rig, self.rate, self.over = rig, rate, threading.Event()
        self.known, self.began = [], time.monotonic()
        self.threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(self.WORKERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def work(self, seed):
        dice = random.Random(seed)
        while not self.over.is_set():
            began = time.monotonic()
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask(dice)
            # The load goes up and down over two minutes, so that pictures show more than straight lines.
            swell = 1 + 0.4 * math.sin((began - self.began) / 120 * 2 * math.pi)
            gap = self.WORKERS / (self.rate * swell) * dice.uniform(0.5, 1.5)
            self.over.wait(max(0.0, gap - (time.monotonic() - began)))

    def ask(self, dice):
        method, path, key = "GET", f"/idv/{self.id(dice)}", dice.choices(CALLERS, [60, 30, 10])[0]
        oddity = dice.random()
        if oddity < 0.01:
            key = "nobody"
        elif oddity < 0.015:
            path = "/favicon.ico"
        elif oddity < 0.02:
            path = "/idv/no%20id"
        elif oddity < 0.03:
            method = "DELETE"
        call(self.rig.public, method, path, headers={"Authorization": f"Bearer {key}"})

    def id(self, dice):
        recent = self.known[-400:]
        if recent and dice.random() < 0.6:
            return dice.choice(recent)
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        id = f"sim-{kind}-{dice.choice(REGIONS)}-{dice.getrandbits(40):010x}"
        self.known.append(id)
        return id
