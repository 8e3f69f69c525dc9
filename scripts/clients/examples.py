"""The examples of docs/clients.md and the samples of openapi.yaml, run against a gateway over the sandbox."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".tools/clients/work"

# The examples of docs/clients.md by heading: the tool chain, the file, the command.
EXAMPLES = {
    "Shell": ("jq", "wait.sh", "sh wait.sh"),
    "Python, requests": ("python", "wait_requests.py", "python wait_requests.py"),
    "Python, httpx": ("python", "wait_httpx.py", "python wait_httpx.py"),
    "TypeScript, fetch": ("node", "wait.mts", "node wait.mts"),
    "Go, net/http": ("go", "wait.go", "go build -o wait-go wait.go && ./wait-go"),
    "Java, HttpClient": ("javac", "Wait.java", "java -cp openapi-generator.jar Wait.java"),
}

# What every example must print for an id; `flaky` fails twice at the vendor, `pending` is final after 3 s.
PRINTED = {
    "sim-pass-my": "passed",
    "sim-fail-liveness-my": "failed LIVENESS_ATTACK",
    "sim.dots": "problem invalid_signature_id",
    "sim-pass-my-flaky": "passed",
    "sim-pending-3-my": "passed",
}

# What the samples of openapi.yaml must print: by operation, for curl and for the others.
SAMPLES = {"getVerification": '"passed"', "headVerification": "200", "forgetVerification": "204"}, {
    "getVerification": "passed", "headVerification": "200 final", "forgetVerification": "forgotten"}


def output(command: str, url: str) -> str:
    environment = os.environ | {"IDV_URL": url, "IDV_KEY": "few", "KEY": "few"}
    done = subprocess.run(command, shell=True, cwd=WORK, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.strip()


def example(heading: str, text: str, url: str) -> str | None:
    """What an example of docs/clients.md prints otherwise than it should."""
    _, file, command = EXAMPLES[heading]
    block = re.search(rf"^### {re.escape(heading)}$.*?^```\w+\n(.*?)^```$", text, re.S | re.M)
    (WORK / file).write_text(block[1])
    for id, wanted in PRINTED.items():
        printed = output(f"{command} {own(id, file)}", url)
        if printed != wanted:
            return f"{own(id, file)}: printed {printed!r}, not {wanted!r}"
    return None


def own(id: str, file: str) -> str:
    """An id of its own for every example: results are cached."""
    return id if "." in id else f"{id}-{file.replace('.', '-')}"


def examples(url: str, sandbox: int) -> dict[str, str | None]:
    """What the examples of docs/clients.md print otherwise than they should."""
    text = (ROOT / "docs/clients.md").read_text()
    todo = {heading: file for heading, (tool, file, _) in EXAMPLES.items() if shutil.which(tool)}
    flaky = [own(id, file) for file in todo.values() for id in PRINTED if "flaky" in id]
    rules = json.dumps([{"signature_id": id, "times": 2, "fault": {"status": 500}} for id in flaky])
    fault = urllib.request.Request(f"http://127.0.0.1:{sandbox}/_sandbox/faults", rules.encode(), method="PUT")
    urllib.request.urlopen(fault).close()
    with ThreadPoolExecutor(len(todo)) as pool:
        return dict(zip(todo, pool.map(lambda heading: example(heading, text, url), todo)))


def samples(url: str) -> dict[str, str | None]:
    """What the samples of openapi.yaml print otherwise than they should."""
    read = "import json, sys, yaml; json.dump(yaml.safe_load(open('openapi.yaml')), sys.stdout, default=str)"
    document = json.loads(subprocess.run(["python", "-c", read], cwd=WORK, capture_output=True, check=True).stdout)
    kinds = {"curl": ("sample.sh", "sh sample.sh"), "Python": ("sample.py", "python sample.py"), "TypeScript": ("sample.mts", "node sample.mts")}
    wrong: dict[str, str | None] = {}
    for operation in document["paths"]["/idv/{signatureId}"].values():
        for sample in operation.get("x-codeSamples", []) if isinstance(operation, dict) else []:
            file, command = kinds[sample["label"]]
            (WORK / file).write_text(sample["source"].replace("http://127.0.0.1:8080", url))
            wanted = SAMPLES[sample["label"] != "curl"][operation["operationId"]]
            printed = output(command, url)
            name = f"sample of {operation['operationId']}, {sample['label']}"
            wrong[name] = None if wanted in printed else f"printed {printed!r}, not {wanted!r}"
    return wrong
