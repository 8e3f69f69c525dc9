"""The same job as a small service of the usual kind: FastAPI and httpx. For orientation: it maps less than the gateway does."""

import asyncio
import hashlib
import json
import os
import time

import httpx
from fastapi import FastAPI, Request, Response

KEYS = {os.environ["KEY_SHA256"]: "bench"}
UPSTREAM = f"http://127.0.0.1:{os.environ['SANDBOX']}/my"
ACCESS, SECRET = "sandbox-access-key", "sandbox-secret-key"
RESULT = "/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result"
TOKEN = "/openapi/auth/ticket/v1/generate-token"

app = FastAPI()
client = httpx.AsyncClient(base_url=UPSTREAM, timeout=4, limits=httpx.Limits(max_connections=64))
log = open("/dev/null", "w")
results, fills, state = {}, {}, {"token": None, "until": 0.0}


async def token():
    if time.monotonic() > state["until"]:
        timestamp = str(int(time.time() * 1000))
        signature = hashlib.sha256((ACCESS + SECRET + timestamp).encode()).hexdigest()
        body = {"accessKey": ACCESS, "timestamp": timestamp, "signature": signature, "periodSecond": "3600"}
        state["token"] = (await client.post(TOKEN, json=body)).json()["data"]["token"]
        state["until"] = time.monotonic() + 2700
    return state["token"]


async def fetch(id):
    answer = (await client.post(RESULT, json={"signatureId": id}, headers={"X-ACCESS-TOKEN": await token()})).json()
    if answer["code"] != "SUCCESS":
        return answer["code"], None
    data = answer["data"]
    word = (data.get("overallResult") or data.get("idvResult") or "").upper()
    status = {"PASS": "passed", "FAIL": "failed", "INCOMPLETE": "incomplete", "": "pending"}.get(word, "unrecognized")
    face, document = data.get("faceDetail") or {}, data.get("docDetail") or {}
    body = json.dumps({
        "signatureId": id, "status": status, "final": status in ("passed", "failed", "incomplete"), "region": "my",
        "upstream": {"transactionId": answer.get("transactionId"), "result": word, "errorCode": data.get("errorCode")},
        "checks": {"face": {"result": face.get("faceResult"), "events": face.get("eventDetails")},
                   "document": {"result": document.get("docResult"), "events": document.get("eventDetails")}},
        "identity": {"fields": document.get("ocrInfo")},
        "media": [{"kind": name, "url": part[name]} for part in (face, document) for name in part if "Image" in name],
    }).encode()
    if status in ("passed", "failed"):
        results[id] = body
    return None, body


@app.get("/idv/{id}")
async def idv(id: str, request: Request):
    started = time.monotonic()
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    caller = KEYS.get(hashlib.sha256(bearer.encode()).hexdigest())
    if not caller:
        return Response(status_code=401)
    body, code, cache = results.get(id), None, "hit"
    if body is None:
        cache = "miss"
        fill = fills.get(id) or fills.setdefault(id, asyncio.ensure_future(fetch(id)))
        code, body = await fill
        fills.pop(id, None)
    status = 200 if body else 404 if code == "SIGNATURE_NOT_EXIST" else 502
    line = {"status": status, "caller": caller, "cache": cache, "duration": time.monotonic() - started}
    log.write(json.dumps(line) + "\n")
    return Response(body, status, media_type="application/json")
