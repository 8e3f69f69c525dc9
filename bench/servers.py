"""The servers that bench/run compares: each a process on loopback, pinned to the cores of servers and stopped by its id."""

import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

KEY = "bench-key-0123456789abcdefghijklmnopqrstuv"
KEY_SHA256 = hashlib.sha256(KEY.encode()).hexdigest()
AUTHORIZATION = f"Authorization: Bearer {KEY}"
# nginx's and HAProxy's caches check nobody, and HAProxy keeps nothing that came with `Authorization`: they get a header
# of the same length that means nothing.
NEUTRAL = f"X-Unchecked-1: Bearer {KEY}"
ID = "sim-pass-hit"
FLOOR = "read and write in C"
PEERS = pathlib.Path(__file__).parent / "peers"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, header, insecure=False):
    """The status, headers and body of one answer."""
    import ssl

    name, _, value = header.partition(": ")
    context = ssl._create_unverified_context() if insecure else None
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers={name: value}), timeout=60, context=context)
        return answer.status, answer.getheaders(), answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers.items(), refusal.read()


class Server:
    """One server under measurement."""

    def __init__(self, name, command, port, header=AUTHORIZATION, environment=None, cores="0", scheme="http"):
        self.name, self.port, self.header = name, port, header
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.began = time.monotonic()
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, *map(str, command)], stdout=subprocess.DEVNULL, env=environment
        )
        self.wait_until_open()

    def wait_until_open(self):
        while time.monotonic() < self.began + 60:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self.ready_after = time.monotonic() - self.began
                return
            except OSError:
                time.sleep(0.001)
        sys.exit(f"{self.name} does not listen on {self.port}")

    def processes(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def cpu(self):
        """The CPU time of the process and its children, threads included, in seconds."""
        total = 0
        for pid in self.processes():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident(self):
        """Resident memory in MiB. Shared memory counts once: for the process that uses the most of it."""
        private, shared = 0, 0
        for pid in self.processes():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            sizes = {line.split()[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Rss")}
            private += sizes["RssAnon:"] + sizes["RssFile:"]
            shared = max(shared, sizes["RssShmem:"])
        return (private + shared) / 1024

    def ask(self, id=ID):
        return get(f"{self.url}/idv/{id}", self.header, insecure=self.url.startswith("https"))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    """Everything that runs, so that all of it is stopped at the end."""

    def __init__(self, binary, work, threads=1, servers="0", load="1"):
        self.binary, self.work, self.threads, self.servers, self.load = binary, work, threads, servers, load
        self.running = []
        self.sandbox_port = free_port()
        self.start("sandbox", [binary, "sandbox", "--listen", f"127.0.0.1:{self.sandbox_port}"], self.sandbox_port, cores=load)

    def start(self, name, command, port, **options):
        options.setdefault("cores", self.servers)
        server = Server(name, command, port, **options)
        self.running.append(server)
        return server

    def stop(self, server):
        self.running.remove(server)
        server.stop()

    def folder(self, name):
        folder = self.work / f"{name}-{free_port()}"
        folder.mkdir()
        return folder

    def file(self, name, text):
        path = self.work / f"{free_port()}-{name}"
        path.write_text(text)
        return path

    def gateway(self, name="idv-gateway", cache="1GiB", extra="", scheme="http", waiting=False):
        port, self.admin_port = free_port(), free_port()
        callers = "" if waiting else f'[[callers]]\nname = "bench"\nkey_sha256 = ["{KEY_SHA256}"]\n' + (
            'scopes = ["checks", "identity", "media"]\n')
        config = self.file("gateway.toml", f"""
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{self.admin_port}"
{extra}
[drain]
delay = "0s"
deadline = "2s"
[cache]
max_bytes = "{cache}"
[auth]
mode = "{"none" if waiting else "keys"}"
[[regions]]
name = "my"
base_url = "http://127.0.0.1:{self.sandbox_port}/my"
allow_http = true
access_key = "sandbox-access-key"
secret_key = "sandbox-secret-key"
{callers}
""")
        return self.start(name, [self.binary, "serve", "--config", config], port, scheme=scheme)

    def gateway_over_tls(self, certificate, key):
        extra = f'[server.tls]\ncert_file = "{certificate}"\nkey_file = "{key}"'
        return self.gateway("idv-gateway, TLS", extra=extra, scheme="https")

    def origin(self, answer):
        """What the caches keep and the proxy passes on: one answer for every path, out of nginx on the load's core."""
        headers, body = answer
        root = self.folder("root")
        root.joinpath("answer.json").write_bytes(body)
        kept = "".join(f'add_header {name} "{value}";' for name, value in headers if name.lower().startswith("x-"))
        return self.nginx("origin", f"""
            default_type application/json;
            add_header Cache-Control max-age=86400;
            {kept}
            root {root};
            open_file_cache max=10;
            rewrite ^ /answer.json break;
        """, cores=self.load)

    def nginx(self, name, location, http="", listen="", cores=None, scheme="http"):
        port, folder = free_port(), self.folder("nginx")
        folder.chmod(0o777)
        places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.file("nginx.conf", f"""
daemon off;
user root;
worker_processes {self.threads};
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    {places}
    server_tokens off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    {http.replace("@folder@", str(folder))}
    server {{
        listen 127.0.0.1:{port} backlog=4096 {listen};
        location / {{ {location} }}
    }}
}}
""")
        command = ["nginx", "-c", config, "-e", f"{folder}/error.log"]
        return self.start(name, command, port, header=NEUTRAL, cores=cores or self.servers, scheme=scheme)

    def nginx_cache(self, origin, name="nginx cache", http="", listen="", scheme="http"):
        http += """
            proxy_cache_path @folder@/cache keys_zone=bench:1m inactive=1h use_temp_path=off;
            open_file_cache max=1000 inactive=1h;
            open_file_cache_valid 1h;
        """
        return self.nginx(name, f"""
            proxy_pass http://127.0.0.1:{origin.port};
            proxy_http_version 1.1;
            proxy_cache bench;
            proxy_cache_valid 200 1h;
        """, http, listen, scheme=scheme)

    def nginx_cache_over_tls(self, origin, certificate, key):
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
        return self.nginx_cache(origin, "nginx cache, TLS", tls, "ssl", "https")

    def nginx_pass(self, origin):
        return self.nginx("nginx proxy_pass", "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection '';",
                          f"upstream origin {{ server 127.0.0.1:{origin.port}; keepalive 64; keepalive_requests 1000000000; }}")

    def haproxy(self, origin, name="HAProxy cache", bind="", scheme="http"):
        port = free_port()
        config = self.file("haproxy.cfg", f"""
global
    nbthread {self.threads}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
cache bench
    total-max-size 16
    max-object-size 65536
    max-age 3600
frontend public
    bind 127.0.0.1:{port} backlog 4096 {bind}
    http-request cache-use bench
    http-response cache-store bench
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin.port}
""")
        return self.start(name, ["haproxy", "-db", "-f", config], port, header=NEUTRAL, scheme=scheme)

    def haproxy_over_tls(self, origin, certificate, key):
        both = self.file("both.pem", certificate.read_text() + key.read_text())
        return self.haproxy(origin, "HAProxy cache, TLS", f"ssl crt {both}", "https")

    def lua(self):
        """nginx with the script that a team would write instead of the gateway."""
        port, folder = free_port(), self.folder("lua")
        text = PEERS.joinpath("nginx-lua.conf").read_text()
        values = {"threads": self.threads, "work": folder, "here": PEERS, "key_sha256": KEY_SHA256,
                  "sandbox": self.sandbox_port, "port": port}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return self.start("nginx + Lua", ["nginx", "-c", self.file("lua.conf", text), "-e", f"{folder}/error.log"], port)

    def service(self):
        """A service of the usual kind, in Python."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", PEERS, "--port", port,
                   "--log-level", "error", "--no-access-log"]
        environment = {"KEY_SHA256": KEY_SHA256, "SANDBOX": str(self.sandbox_port)}
        return self.start("FastAPI", command, port, environment=environment)

    def floor(self, answer):
        """An epoll loop in C that reads and writes the same bytes."""
        headers, body = answer
        head = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        file = self.work / "floor.answer"
        file.write_bytes(head.encode() + body)
        program = self.work / "floor"
        subprocess.run(["cc", "-O2", "-o", program, PEERS / "floor.c"], check=True)
        port = free_port()
        return self.start(FLOOR, [program, port, file], port)
