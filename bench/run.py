"""What an answer costs: the gateway beside caches that do less and gateways that do the same. Run by bench/run.

Servers and load have cores of their own; servers take turns, round by round. Figures are medians of the rounds, ratios
medians of the ratios round by round. Results go to bench/results/DATE: a page, the numbers as JSON, and plots.
"""

import argparse
import datetime
import json
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import load
from plot import bars
from servers import FLOOR, Bench

HERE = pathlib.Path(__file__).parent
COLUMNS = {"us": "CPU µs a request", "per_second": "requests/s", "p50": "p50 µs", "p99": "p99 µs", "p99.9": "p99.9 µs"}


class Report:
    """The page, as it grows, and the numbers and plots beside it."""

    def __init__(self, folder, options):
        self.folder, self.options, self.numbers, self.text = folder, options, {}, []
        folder.mkdir(parents=True, exist_ok=True)
        self.machine = machine()
        self.note = f"{datetime.date.today()}, {self.machine['processor']}, {self.machine['cores']} cores"
        self.say(f"# Measured on {datetime.date.today()}\n\n" + "\n".join(f"- {k}: {v}" for k, v in self.machine.items()))
        self.say(f"{options.rounds} rounds of {options.seconds} s; the server on core {options.servers}, load and upstream on "
                 f"core {options.load}. CPU time is the server's processes' own. Ratios are medians of the ratios round by round.")

    def say(self, text):
        print(text + "\n", flush=True)
        self.text.append(text)
        self.folder.joinpath("README.md").write_text("\n\n".join(self.text) + "\n")

    def rounds(self, scenario, title, results):
        """A table of rounds, and its plot. `results`: a list of rounds for each server."""
        self.numbers[scenario] = results
        self.folder.joinpath("results.json").write_text(json.dumps(self.numbers, indent=1) + "\n")
        median = {name: {key: statistics.median(r[key] for r in rounds) for key in COLUMNS} for name, rounds in results.items()}
        ours = next(iter(results.values()))
        # Round by round: what else the machine does is the same for both.
        ratio = {name: statistics.median(a["us"] / b["us"] for a, b in zip(ours, rounds)) for name, rounds in results.items()}
        lines = [f"## {title}\n", f"| | {' | '.join(COLUMNS.values())} | gateway ÷ this |", "|---" * (len(COLUMNS) + 2) + "|"]
        for name, row in median.items():
            cells = [f"{row['us']:.1f}", f"{row['per_second']:.0f}", *(f"{row[p]:.0f}" for p in ("p50", "p99", "p99.9"))]
            lines.append(f"| {name} | {' | '.join(cells)} | {ratio[name]:.2f} |")
        # What nobody would deploy, and what costs many times as much, is in the table alone.
        drawn = [name for name in results if name != FLOOR and ratio[name] > 0.2]
        plot = [(name, median[name]["us"], (min(r["us"] for r in results[name]), max(r["us"] for r in results[name])))
                for name in drawn]
        self.folder.joinpath(f"{scenario}.svg").write_text(bars(title, "CPU µs a request", plot, self.note))
        self.say("\n".join(lines) + f"\n\n![{title}]({scenario}.svg)")

    def facts(self, title, head, rows):
        self.numbers[title] = rows
        self.folder.joinpath("results.json").write_text(json.dumps(self.numbers, indent=1) + "\n")
        lines = [f"## {title}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        self.say("\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows]))


def machine():
    def first(*command):
        said = subprocess.run(command, capture_output=True, text=True)
        return (said.stdout + said.stderr).strip().splitlines()[0]

    processor = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":")[1].strip()
    cores = sum(line.startswith("processor") for line in open("/proc/cpuinfo"))
    versions = ", ".join([first("nginx", "-v"), first("haproxy", "-v").split(" 20")[0], first("wrk", "-v").split(" Copy")[0]])
    revision = first("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
    busy = pathlib.Path("/proc/loadavg").read_text().split()[0]
    return {"gateway": revision, "processor": processor, "cores": cores, "kernel": platform.release(),
            "versions": versions, "load average before the run": busy}


def turns(options, servers, round_of):
    """Lets the servers take turns."""
    results = {}
    for _ in range(options.rounds):
        for server in servers:
            results.setdefault(server.name, []).append(round_of(server))
    return results


def hit(bench, report, options):
    ours = bench.gateway()
    answer = ours.ask()[1:]
    origin = bench.origin(answer)
    servers = [ours, bench.haproxy(origin), bench.nginx_cache(origin), bench.floor(answer), bench.lua(), bench.service()]
    for server in servers:
        status, _, body = server.ask()
        if status != 200:
            sys.exit(f"{server.name}: {status} {body[:200]}")
    title = f"A cached answer of {len(answer[1]):,} bytes"
    report.rounds("hit", f"{title}, 64 connections", turns(options, servers, lambda s: load.measure(bench, s, options.seconds)))
    few = servers[:5]
    report.rounds("connections", f"{title}, 1,000 connections",
                  turns(options, few, lambda s: load.measure(bench, s, options.seconds, connections=1000)))
    rate = options.rate
    report.rounds("steady", f"{title}, {rate:,} a second, 16 connections",
                  turns(options, few, lambda s: load.steady(bench, s, rate, options.seconds)))


def miss(bench, report, options):
    ours = bench.gateway()
    origin = bench.origin(ours.ask()[1:])
    servers = [ours, bench.nginx_pass(origin), bench.lua()]
    report.rounds("miss", "Every request a miss, 64 connections",
                  turns(options, servers, lambda s: load.measure(bench, s, options.seconds, script=load.NEW)))
    both = [ours, servers[2]]
    report.rounds("mixed", f"95 % hits, {options.rate:,} a second, 16 connections",
                  turns(options, both, lambda s: load.steady(bench, s, options.rate, options.seconds, misses=0.05)))


def entries(bench, report, options):
    """What a larger cache costs in time."""
    server = bench.gateway(cache="8GiB")
    results, last = {}, 0
    for count in options.entries:
        load.fill(bench, server, last + 1, count)
        last = count
        round_of = lambda _: load.measure(bench, server, options.seconds, script=load.AMONG, ids=count)
        results[f"idv-gateway, {count:,} entries"] = [round_of(server) for _ in range(options.rounds)]
    report.rounds("entries", "A cached answer out of more and more entries", results)


def tls(bench, report, options):
    certificate, key = bench.work / "cert.pem", bench.work / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    ours = bench.gateway_over_tls(certificate, key)
    origin = bench.origin(ours.ask()[1:])
    servers = [ours, bench.haproxy_over_tls(origin, certificate, key), bench.nginx_cache_over_tls(origin, certificate, key)]
    for server in servers:
        server.ask()
    report.rounds("tls", "A cached answer over TLS, 64 kept connections",
                  turns(options, servers, lambda s: load.measure(bench, s, options.seconds)))


def start(bench, report, options):
    rows = []
    for name, begin in {"idv-gateway": bench.gateway, "nginx + Lua": bench.lua, "FastAPI": bench.service}.items():
        ready, first = [], []
        for _ in range(5):
            server = begin()
            server.ask()
            ready.append(server.ready_after * 1000)
            first.append((time.monotonic() - server.began) * 1000)
            idle = server.resident()
            bench.stop(server)
        rows.append([name, f"{statistics.median(ready):.0f}", f"{statistics.median(first):.0f}", f"{idle:.1f}"])
    report.facts("From start to the first answer, which is a miss", ["", "ms until it listens", "ms until it has answered", "MiB then"], rows)


def memory(bench, report, options):
    rows, count = [], options.kept
    for server in (bench.gateway(), bench.lua()):
        server.ask()
        before = server.resident()
        load.fill(bench, server, 1, count)
        grown = server.resident() - before
        rows.append([server.name, f"{before:.1f}", f"{grown:.0f}", f"{grown * 1024 / count:.2f}"])
    report.facts(f"Memory for {count:,} results", ["", "MiB before", "MiB more", "KiB a result"], rows)
    server = bench.gateway(cache="64MiB")
    server.ask()
    before = server.resident()
    load.fill(bench, server, 1, count)
    admin = f"http://127.0.0.1:{bench.admin_port}/metrics"
    metrics = dict(line.rsplit(" ", 1) for line in load.page(admin).splitlines() if line.startswith("idv_cache_"))
    rows = [["64 MiB", metrics["idv_cache_entries"], f"{server.resident() - before:.0f}"]]
    report.facts("A full cache", ["cache.max_bytes", f"results kept of {count:,}", "MiB more"], rows)


SCENARIOS = {"hit": hit, "miss": miss, "tls": tls, "start": start, "memory": memory, "entries": entries}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--binary", default=HERE.parent / "target/release/idv-gateway", type=pathlib.Path)
    parser.add_argument("--results", default=HERE / "results" / str(datetime.date.today()), type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=8000, help="requests a second where the rate is fixed")
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 200_000, 1_000_000])
    parser.add_argument("--kept", type=int, default=100_000, help="results in the measurement of memory")
    parser.add_argument("--servers", default="0", help="the core of the server under measurement")
    parser.add_argument("--load", default="1", help="the cores of load and upstream")
    options = parser.parse_args()
    report = Report(options.results, options)
    for name in options.scenario or SCENARIOS:
        work = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm", prefix="bench-"))
        work.chmod(0o755)
        bench = Bench(options.binary, work, servers=options.servers, load=options.load)
        try:
            SCENARIOS[name](bench, report, options)
        finally:
            for server in reversed(bench.running):
                server.stop()
            shutil.rmtree(work)


main()
