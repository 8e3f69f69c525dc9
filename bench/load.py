"""Load on one server: wrk as fast as it answers, h2load at a fixed rate. Both run on the cores of the load."""

import os
import random
import re
import subprocess
import sys
import time
import urllib.request

from servers import ID

# Prints requests, errors and latencies in a form of its own.
REPORT = """
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("%d %d %d %d %d\\n", summary.requests, errors.status + errors.connect + errors.read + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
# What is asked for: one id, ids of a filled cache in random order, or a new one each time.
ONE = ""
AMONG = """
request = function() return wrk.format("GET", "/idv/sim-pass-" .. math.random(1, tonumber(os.getenv("IDS")))) end
init = function() math.randomseed(tonumber(os.getenv("RUN"))) end
"""
NEW = """
local n = 0
request = function() n = n + 1 return wrk.format("GET", "/idv/sim-pass-" .. os.getenv("RUN") .. "-" .. n) end
"""


def wrk(bench, server, seconds, connections=64, script=ONE, ids=0):
    """Requests, and latencies in microseconds: p50, p99, p99.9."""
    file = bench.file("wrk.lua", script + REPORT)
    command = ["taskset", "-c", bench.load, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s",
               "-H", server.header, "-s", file, f"{server.url}/idv/{ID}"]
    environment = {**os.environ, "RUN": str(random.randrange(10**9)), "IDS": str(ids)}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    requests, errors, *latencies = map(int, said.strip().splitlines()[-1].split())
    if errors:
        sys.exit(f"{server.name}: not every answer was a result\n{said}")
    return requests, latencies


def measure(bench, server, seconds, **load):
    """One round: what a request cost in CPU, how many there were a second, and how long they took."""
    wrk(bench, server, 1, **load)
    before, began = server.cpu(), time.monotonic()
    requests, (p50, p99, p999) = wrk(bench, server, seconds, **load)
    took = time.monotonic() - began
    cost = (server.cpu() - before) / max(requests, 1) * 1e6
    return {"us": cost, "per_second": requests / took, "p50": p50, "p99": p99, "p99.9": p999}


def steady(bench, server, rate, seconds, misses=0.0):
    """One round at a fixed rate over 16 connections; `misses` is the share of new ids."""
    connections, run = 16, random.randrange(10**9)
    clients, logs = [], []
    for client in range(connections):
        count = max(20, int(rate / connections * seconds))
        new = [f"sim-pass-{run}-{client}-{n}" if random.random() < misses else ID for n in range(count)]
        uris = bench.file("uris", "".join(f"{server.url}/idv/{id}\n" for id in new))
        logs.append(bench.file("latencies", ""))
        command = ["taskset", "-c", bench.load, "h2load", "--h1", "-c1", "-n", str(count), f"--rps={rate / connections}",
                   "-H", server.header, "-i", uris, f"--log-file={logs[-1]}"]
        clients.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    before, began = server.cpu(), time.monotonic()
    if any(client.wait() for client in clients):
        sys.exit(f"{server.name}: h2load failed")
    took = time.monotonic() - began
    lines = [re.split(r"\s+", line) for log in logs for line in log.read_text().splitlines()]
    if any(line[1] != "200" for line in lines):
        sys.exit(f"{server.name}: not every answer was a result")
    latencies = sorted(int(line[2]) for line in lines)
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))]
    return {"us": (server.cpu() - before) / len(lines) * 1e6, "per_second": len(lines) / took,
            "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999)}


def fill(bench, server, first, last):
    """Asks once for each id `sim-pass-first` … `sim-pass-last`."""
    script = f"""
    local n = {first - 1}
    request = function() n = n + 1 return wrk.format("GET", "/idv/sim-pass-" .. math.min(n, {last})) end
    """
    asked = first
    while asked <= last:
        # wrk cannot stop after a number of requests, so it runs for as long as one share takes.
        requests, _ = wrk(bench, server, 5, script=script.replace(str(first - 1), str(asked - 1), 1))
        asked += requests


def page(url):
    """A page of text."""
    return urllib.request.urlopen(url).read().decode()
