"""CPU per cached answer: the gateway, nginx's proxy_cache and HAProxy's cache, the same bytes, in turns.

Run by bench/hit. Every process it starts listens on loopback and is stopped by its id.
"""

import argparse
import hashlib
import http.client
import http.server
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

KEY = "bench-key-0123456789abcdefghijklmnopqrstuv"
ID = "f302f5d2454a85c2"
TARGETS = {"decision": f"/idv/{ID}?view=decision", "full": f"/idv/{ID}"}
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_open(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


def get(port, target, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{target}: {answer.status} {body[:200]}")
    return answer.getheaders(), body


class Server:
    """One competitor: a process, its port, and how to ask it."""

    def __init__(self, name, command, port, header, environment=None):
        self.name, self.port, self.header = name, port, header
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
        wait_until_open(port)

    def cpu(self):
        """utime + stime of the process and its children, threads included, in seconds."""
        pids = [self.process.pid]
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids += children.read_text().split()
        total = 0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Origin(http.server.BaseHTTPRequestHandler):
    """What nginx and HAProxy cache: the gateway's own answers, allowed to be kept."""

    protocol_version = "HTTP/1.1"
    answers, hits = {}, 0

    def do_GET(self):
        Origin.hits += 1
        headers, body = Origin.answers[self.path]
        self.send_response_only(200)
        for name, value in headers:
            self.send_header(name, "max-age=86400" if name.lower() == "cache-control" else value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except ConnectionResetError:
            pass

    def log_message(self, *_):
        pass


def gateway(name, binary, work, sandbox_port, options):
    port, admin = free_port(), free_port()
    config = work / f"{name}.toml"
    config.write_text(f"""
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
[drain]
delay = "0s"
deadline = "2s"
[[regions]]
name = "my"
base_url = "http://127.0.0.1:{sandbox_port}/my"
allow_http = true
access_key = "sandbox-access-key"
secret_key = "sandbox-secret-key"
[[callers]]
name = "bench"
key_sha256 = ["{hashlib.sha256(KEY.encode()).hexdigest()}"]
scopes = ["checks", "identity", "media", "refresh", "purge"]
[telemetry]
log = "{"info" if options.logs else "warn"}"
audit = {"true" if options.logs else "false"}
""")
    header = f"Authorization: Bearer {KEY}"
    threads = {"TOKIO_WORKER_THREADS": str(options.threads)}
    return Server(name, [binary, "serve", "--config", config], port, header, threads)


# nginx and HAProxy check nobody. HAProxy caches nothing that came with `Authorization`, so both get a header of the
# same length that means nothing.
NEUTRAL = f"X-Unchecked-1: Bearer {KEY}"


def nginx(work, origin_port, options):
    port = free_port()
    root = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm", prefix="bench-nginx-"))
    root.chmod(0o777)
    log = "access_log /dev/null combined buffer=64k;" if options.logs else "access_log off;"
    config = work / "nginx.conf"
    config.write_text(f"""
daemon off;
user root;
worker_processes {options.threads};
pid {work}/nginx.pid;
error_log {work}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
    {log}
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server_tokens off;
    sendfile {options.nginx_sendfile};
    tcp_nodelay on;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    proxy_cache_path {root}/cache keys_zone=bench:1m inactive=1h use_temp_path=off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://127.0.0.1:{origin_port};
            proxy_http_version 1.1;
            proxy_cache bench;
            proxy_cache_valid 200 1h;
        }}
    }}
}}
""")
    server = Server("nginx", ["nginx", "-c", config, "-e", f"{work}/nginx.error.log"], port, NEUTRAL)
    server.root = root
    return server


def haproxy(work, origin_port, options):
    port = free_port()
    log = ("log stdout format raw local0", "log global\n    option httplog") if options.logs else ("", "")
    config = work / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread {options.threads}
    {log[0]}
defaults
    mode http
    {log[1]}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
cache bench
    total-max-size 16
    max-object-size 65536
    max-age 3600
frontend public
    bind 127.0.0.1:{port} backlog 4096
    http-request cache-use bench
    http-response cache-store bench
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin_port}
""")
    return Server("haproxy", ["haproxy", "-db", "-f", config], port, NEUTRAL)


def wrk(server, target, seconds, options):
    """Loads one server; returns how many requests it answered."""
    command = ["wrk", "-t", str(options.threads), "-c", str(options.connections), "-d", f"{seconds}s",
               "-H", server.header, f"http://127.0.0.1:{server.port}{target}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{server.name}: {said}")
    return int(re.search(r"(\d+) requests in", said).group(1))


def round_of(servers, target, options, results):
    for server in servers:
        wrk(server, target, 1, options)
        before, began = server.cpu(), time.monotonic()
        requests = wrk(server, target, options.seconds, options)
        took = time.monotonic() - began
        results.setdefault(server.name, []).append((requests / took, (server.cpu() - before) / requests * 1e5))


def report(part, body, results):
    cost = {name: statistics.median(cpu for _, cpu in rounds) for name, rounds in results.items()}
    first = next(iter(cost.values()))
    print(f"\n{part}, body of {len(body)} bytes")
    print(f"{'':16}{'requests/s':>12}{'CPU s / 100k':>14}{'of the first':>14}   rounds")
    for name, rounds in results.items():
        rate = statistics.median(rate for rate, _ in rounds)
        each = " ".join(f"{cpu:.3f}" for _, cpu in rounds)
        print(f"{name:16}{rate:12.0f}{cost[name]:14.3f}{cost[name] / first:14.2f}   {each}", flush=True)


def start(options, work, running):
    """Starts everything, noting it in `running`. The gateways come first: their answers are what the others serve."""
    sandbox_port = free_port()
    binaries = dict(given.split("=", 1) for given in options.gateway)
    sandbox = [next(iter(binaries.values())), "sandbox", "--listen", f"127.0.0.1:{sandbox_port}"]
    running.append(Server("sandbox", sandbox, sandbox_port, ""))
    for name, binary in binaries.items():
        running.append(gateway(name, binary, work, sandbox_port, options))
    servers = running[1:]
    authorization = {"Authorization": f"Bearer {KEY}"}
    for target in TARGETS.values():
        get(servers[0].port, target, authorization)
        Origin.answers[target] = get(servers[0].port, target, authorization)
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    if not options.alone:
        running.append(nginx(work, origin.server_port, options))
        running.append(haproxy(work, origin.server_port, options))
    return running[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", action="append", default=[], metavar="NAME=BINARY",
                        help="gateways to compare; default: the release build")
    parser.add_argument("--alone", action="store_true", help="no nginx, no HAProxy")
    parser.add_argument("--logs", action="store_true", help="a line per request to /dev/null, from everybody")
    parser.add_argument("--part", choices=[*TARGETS], action="append", help="default: both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nginx-sendfile", choices=["on", "off"], default="off")
    options = parser.parse_args()
    options.gateway = options.gateway or ["gateway=target/release/idv-gateway"]
    work = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    running = []
    try:
        servers = start(options, work, running)
        print(f"{options.threads} threads each, {options.connections} connections, {options.rounds} rounds of "
              f"{options.seconds} s, logs {'on' if options.logs else 'off'}")
        for part in options.part or TARGETS:
            target = TARGETS[part]
            _, body = Origin.answers[target]
            results = {}
            for server in servers:
                name, _, value = server.header.partition(": ")
                if get(server.port, target, {name: value})[1] != body:
                    raise SystemExit(f"{server.name} serves other bytes")
            filled = Origin.hits
            for _ in range(options.rounds):
                round_of(servers, target, options, results)
            if Origin.hits != filled:
                raise SystemExit("somebody asked the origin: that was no cached answer")
            report(part, body, results)
    finally:
        for server in running:
            server.stop()
            if hasattr(server, "root"):
                shutil.rmtree(server.root)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
