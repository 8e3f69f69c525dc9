"""A gateway in a container: its confinement, its answers, its memory under load, its drain."""

import http.client
import json
import re
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from image.engine import IMAGE, MEMORY_LIMIT, MIB, expect
from image.upstream import FIXTURES, Front

# The first is in the certificate in tests/fixtures.
TLS_NAME, HOSTS_NAME = "gateway.test", "upstream.hosts.test"
KEY = "a caller of this check"
CALLERS = 32
# Three times what the cache holds.
IDS = 12_000
CONFIG = """
[server]
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
[drain]
delay = "1s"
deadline = "10s"
[cache]
max_bytes = "16MiB"
[[regions]]
name = "my"
base_url = "https://{tls_name}:{front}/my"
ca_file = "/etc/idv-gateway/ca.pem"
access_key = "sandbox-access-key"
secret_key = "sandbox-secret-key"
[[regions]]
name = "ph"
base_url = "http://{hosts_name}:{sandbox}/ph"
allow_http = true
access_key = "sandbox-access-key"
secret_key = "sandbox-secret-key"
[[callers]]
name = "check"
key_sha256 = ["{hash}"]
scopes = ["checks", "identity", "media"]
"""


class Caller:
    """One connection to a listener."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)

    def get(self, path):
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def verdict(self, path):
        """The status of a verification, or what came in its place."""
        status, body = self.get(path)
        return json.loads(body)["status"] if status == 200 else body


class Running:
    """A gateway in a container, with the sandbox in another one behind TLS."""

    def __init__(self, engine, revision):
        self.engine, image = engine, f"{IMAGE}:{revision}"
        self.public, self.admin, sandbox = free_ports(3)
        engine.start(image, "sandbox", "--listen", f"127.0.0.1:{sandbox}", options=["--no-healthcheck"])
        self.front = Front(TLS_NAME, sandbox)
        self.front.start()
        etc = Path(engine.work) / "etc"
        etc.mkdir()
        shutil.copy(FIXTURES / "test-only-authority.pem", etc / "ca.pem")
        ports = {"public": self.public, "admin": self.admin, "sandbox": sandbox, "front": self.front.port}
        words = {"tls_name": TLS_NAME, "hosts_name": HOSTS_NAME, "hash": sha256(KEY.encode()).hexdigest()}
        (etc / "gateway.toml").write_text(CONFIG.format(**ports, **words))
        options = ["--volume", f"{etc}:/etc/idv-gateway:ro", "--add-host", f"{HOSTS_NAME}:127.0.0.1"]
        # As in a cluster: a search list, and names that count as absolute only from five dots on.
        options += ["--dns", self.front.dns, "--dns-search", "cluster.test", "--dns-option", "ndots:5"]
        self.name = engine.start(image, options=options)
        self.pid = engine.inspect(self.name, ".State.Pid")

    def is_alive(self):
        return self.engine.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def logs(self):
        logs = self.engine.podman("logs", self.name, check=False)
        return logs.stdout + logs.stderr

    def status(self):
        """What the kernel knows about the process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}

    def memory(self, version_1, version_2):
        """A figure of the container's memory, by its name in either version of control groups."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            files = {"memory": f"/sys/fs/cgroup/memory{path}/memory.{version_1}"}
            file = Path(files.get(controllers, f"/sys/fs/cgroup{path}/memory.{version_2}"))
            if controllers in ("memory", "") and file.exists():
                return int(file.read_text())
        raise SystemExit("no control group holds the container's memory")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def check_confinement(running):
    status = running.status()
    expect(set(status["Uid"].split()) == {"65532"}, "it runs as user 65532")
    expect(int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, "it has no capabilities and can gain none")
    expect(status["NoNewPrivs"] == "1", "it can gain no privileges")
    mounts = [line.split() for line in Path(f"/proc/{running.pid}/mountinfo").read_text().splitlines()]
    root = next(mount[5].split(",") for mount in mounts if mount[4] == "/")
    expect("ro" in root, "its file system is read-only")
    shell = running.engine.podman("exec", running.name, "/bin/sh", "-c", "true", check=False)
    expect(shell.returncode != 0, "there is no shell to run in it")
    limit = running.memory("limit_in_bytes", "max")
    expect(limit == MEMORY_LIMIT, f"the kernel limits it to {limit // MIB} MiB")
    expect(f'"limit_mib":{limit // MIB}' in running.logs(), "its log warns that this may be too little")


def check_answers(running, revision):
    caller, admin, asked = Caller(running.public), Caller(running.admin), running.front.names.asked
    expect(admin.get("/readyz")[0] == 200, "it is ready")
    expect(running.engine.inspect(running.name, ".State.Health.Status") == "healthy", "its own health check passes")
    verdict = caller.verdict("/idv/sim-pass-1?region=my")
    expect(verdict == "passed" and running.front.connections > 0, f"an answer over TLS from {TLS_NAME}: {verdict}")
    expect(TLS_NAME in asked, f"a DNS server was asked for {', '.join(sorted(set(asked)))}")
    verdict = caller.verdict("/idv/sim-fail-liveness-1?region=ph")
    expect(verdict == "failed", f"an answer from {HOSTS_NAME}: {verdict}")
    expect(HOSTS_NAME not in asked, "whose address /etc/hosts holds")
    expect(f'revision="{revision}"' in admin.get("/metrics")[1], "idv_build_info names the revision")


def check_memory(running):
    """More distinct ids than the cache holds, each asked twice."""

    def ask(first):
        caller = Caller(running.public)
        return [caller.verdict(f"/idv/sim-pass-{n}?region=my") for n in range(first, IDS, CALLERS) for _ in range(2)]

    idle, started = running.status()["VmRSS"], time.monotonic()
    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            verdicts = [verdict for verdicts in pool.map(ask, range(CALLERS)) for verdict in verdicts]
    except (OSError, http.client.HTTPException) as error:
        raise SystemExit(f"FAILED: it survives load within its memory: {error}") from error
    wrong = [verdict for verdict in verdicts if verdict != "passed"]
    rate = len(verdicts) / (time.monotonic() - started)
    expect(len(verdicts) == 2 * IDS and not wrong, f"{len(verdicts)} answers, {rate:.0f} a second, wrong: {wrong[:3]}")
    evictions = re.findall(r"^idv_cache_evictions_total\{.*\} (\S+)", Caller(running.admin).get("/metrics")[1], re.M)
    expect(sum(map(float, evictions)) > 0, "the cache was full")
    peak, group = running.status()["VmHWM"], running.memory("max_usage_in_bytes", "peak")
    counted = f"resident {idle} before and {peak} at most, {group // 1024} kB for the whole container"
    expect(group < MEMORY_LIMIT, counted)


def comes_true(holds, seconds=5):
    """Whether something becomes true within that time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


def check_drain(running):
    """SIGTERM while an answer is two seconds away."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(Caller(running.public).verdict, "/idv/sim-slow-2-drain?region=my")
        fills = lambda: re.search(r"^idv_fills_in_flight (\d+)$", Caller(running.admin).get("/metrics")[1], re.M)[1]
        expect(comes_true(lambda: fills() == "1"), "an upstream call is in flight")
        running.engine.podman("kill", "--signal", "TERM", running.name)
        expect(comes_true(lambda: Caller(running.admin).get("/readyz")[0] == 503), "after SIGTERM it is not ready")
        expect(not slow.done(), "the request is still in flight then")
        expect(slow.result() == "passed", f"it is answered: {slow.result()}")
    code = running.engine.podman("wait", running.name).stdout.strip()
    expect(code == "0", f"and the gateway exits with {code}")


def check_running(engine, revision):
    running = Running(engine, revision)
    if not comes_true(running.is_alive, seconds=30):
        raise SystemExit(f"FAILED: it is alive within 30 seconds\n{running.logs()}")
    check_confinement(running)
    check_answers(running, revision)
    check_memory(running)
    check_drain(running)
