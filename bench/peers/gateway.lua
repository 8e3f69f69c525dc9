-- The same job as the gateway's, as a team would script it in nginx: callers' keys by SHA-256, one region, a token kept
-- until it is old, the vendor's answer read and mapped, final results in a shared dictionary, one upstream call for all
-- who ask at once, counters, problems as JSON. The access line is nginx's own (see nginx-lua.conf).
local cjson = require "cjson.safe"
local ffi = require "ffi"

ffi.cdef "unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);"

local results, locks = ngx.shared.results, ngx.shared.locks
local tokens, counters = ngx.shared.tokens, ngx.shared.counters
local FINAL_TTL, PENDING_TTL, LOCK_TTL, WAIT = 6 * 3600, 2, 15, 8
local REASONS = { LIVENESS_ATTACK = "fraud", ID_FORGERY_DETECTED = "fraud", SIMILARITY_FAIL = "face",
  STRATEGY_HIT = "policy", USER_TIMEOUT = "user", ERROR = "system", PARAMETER_ERROR = "system" }

local M = {}
local digest = ffi.new "unsigned char[32]"

local function sha256(text)
  ffi.C.SHA256(text, #text, digest)
  return (ffi.string(digest, 32):gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

local function refuse(status, code, retryable)
  counters:incr("errors:" .. code, 1, 0)
  ngx.status = status
  ngx.header["Content-Type"] = "application/problem+json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(cjson.encode { type = "urn:idv-gateway:" .. code, status = status, code = code, retryable = retryable,
    requestId = ngx.var.request_id })
  return ngx.exit(ngx.HTTP_OK)
end

-- The caller of the request, by the hash of its key.
local function caller()
  local bearer = ngx.var.http_authorization
  local key = bearer and bearer:match "^[Bb]earer (.+)$"
  return key and M.callers[sha256(key)]
end

local function post(path, headers, body)
  ngx.req.set_header("X-ACCESS-TOKEN", headers)
  local answer = ngx.location.capture(path, { method = ngx.HTTP_POST, body = body })
  return answer.status == 200 and cjson.decode(answer.body) or nil
end

local function token()
  local kept = tokens:get "token"
  if kept then return kept end
  local timestamp = tostring(math.floor(ngx.now() * 1000))
  local answer = post("/upstream/openapi/auth/ticket/v1/generate-token", "", cjson.encode {
    accessKey = M.access_key, timestamp = timestamp, periodSecond = "3600",
    signature = sha256(M.access_key .. M.secret_key .. timestamp) })
  local fresh = answer and answer.code == "SUCCESS" and answer.data.token
  if fresh then tokens:set("token", fresh, 2700) end
  return fresh
end

local function null(value)
  if value == nil or value == "" or value == "null" then return cjson.null end
  return value
end

local function events(part)
  local list = setmetatable({}, cjson.array_mt)
  for _, event in ipairs(part.eventDetails ~= cjson.null and part.eventDetails or {}) do
    list[#list + 1] = { event = null(event.event), result = null(event.result),
      at = null(event.createTimestamp or event.createTimestmap) }
  end
  return list
end

local function media(face, document)
  local list = setmetatable({}, cjson.array_mt)
  local function add(kind, url)
    if type(url) == "string" and url:match "^https://" then
      list[#list + 1] = { kind = kind, url = url, expiresAt = ngx.time() + 82800 }
    end
  end
  add("face", face.faceImage)
  add("face_far", face.faceImageFar)
  add("face_near", face.faceImageNear)
  add("face_silent", face.silentImage)
  add("face_audit", face.auditImageUrl)
  add("face_video", face.faceVideoUrl)
  add("document_front", document.docFrontImage or document.idFrontImage)
  add("document_back", document.docBackImage or document.idBackImage)
  return list
end

local function verdict(data, face, document)
  local word = data.overallResult or data.idvResult
  if word == nil or word == cjson.null then return "pending", false end
  word = word:upper()
  if word == "FAIL" then return "failed", true end
  if word == "INCOMPLETE" then return "incomplete", true end
  local code = null(data.errorCode)
  local is_clean = (code == cjson.null or code == "SUCCESS") and face.faceResult ~= "FAIL" and document.docResult ~= "FAIL"
  if word == "PASS" and is_clean then return "passed", true end
  return "unrecognized", false
end

-- Our JSON of the vendor's `data`, and whether it is final.
local function map(id, answer)
  local data = answer.data
  local face, document = data.faceDetail, data.docDetail
  face = type(face) == "table" and face or {}
  document = type(document) == "table" and document or {}
  local status, is_final = verdict(data, face, document)
  local code = null(data.errorCode)
  local reason = cjson.null
  if status ~= "passed" and status ~= "pending" then
    reason = { code = REASONS[code] and code or "OTHER", category = REASONS[code] or "other" }
  end
  local ocr = type(document.ocrInfo) == "table" and document.ocrInfo or {}
  local front = type(ocr.front) == "table" and ocr.front or {}
  return cjson.encode {
    signatureId = id, status = status, final = is_final, reason = reason, region = M.region,
    submitted = null(data.submissionCompleted), observedAt = ngx.utctime(), stale = false,
    retryAfterSeconds = is_final and cjson.null or PENDING_TTL,
    upstream = { transactionId = null(answer.transactionId), result = null(data.overallResult), errorCode = code },
    checks = {
      face = { result = null(face.faceResult), livenessScore = null(face.faceLivenessScore),
        similarityScore = null(face.faceSimilarityScore), events = events(face) },
      document = { result = null(document.docResult or document.ocrResult), country = null(data.countryCodeIso3),
        type = null(document.docType), subType = null(document.subDocType), qualityLabels = null(document.qualityLabels),
        forgeryLabels = null(document.forgeryLabels), events = events(document) },
    },
    identity = { reference = null((data.inputParameters or {}).userId), name = null(front.name),
      idNumber = null(front.idNumber), birthDate = null(front.birthday), gender = null(front.gender),
      nationality = null(front.nationality), address = null(front.address), fields = ocr },
    media = media(face, document),
  }, is_final
end

-- Asks the upstream. Returns our JSON, or nothing and the status and code of the problem.
local function fetch(id)
  local bearer = token()
  if not bearer then return nil, 503, "upstream_unavailable" end
  local answer = post("/upstream/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result", bearer, cjson.encode { signatureId = id })
  if not answer then return nil, 502, "upstream_malformed" end
  if answer.code == "SIGNATURE_NOT_EXIST" then return nil, 404, "signature_not_found" end
  if answer.code == "IAM_FAILED" then tokens:delete "token" end
  if answer.code ~= "SUCCESS" or type(answer.data) ~= "table" then return nil, 502, "upstream_error" end
  local echoed = answer.data.signatureId
  if echoed ~= nil and echoed ~= cjson.null and echoed ~= id then return nil, 502, "upstream_id_mismatch" end
  local json, is_final = map(id, answer)
  if json then results:set(id, json, is_final and FINAL_TTL or PENDING_TTL) end
  return json, 502, "upstream_malformed"
end

-- One request asks the upstream; the others look again until it has.
local function fill(id)
  local pause, deadline = 0.001, ngx.now() + WAIT
  while not locks:add(id, true, LOCK_TTL) do
    ngx.sleep(pause)
    pause = math.min(pause * 2, 0.1)
    local json = results:get(id)
    if json then return json end
    if ngx.now() > deadline then return nil, 504, "upstream_timeout" end
  end
  local json, status, code = fetch(id)
  locks:delete(id)
  return json, status, code
end

-- What a caller may not see is cut.
local function cut(json, scopes)
  if scopes.checks and scopes.identity and scopes.media then return json end
  local whole = cjson.decode(json)
  for _, part in ipairs { "checks", "identity", "media" } do
    if not scopes[part] then whole[part] = nil end
  end
  return cjson.encode(whole)
end

function M.answer()
  local who = caller()
  if not who then return refuse(401, "unauthenticated", false) end
  ngx.var.caller = who.name
  local id = ngx.var.uri:match "^/idv/([A-Za-z0-9_-]+)$"
  if not id or #id > 64 then return refuse(400, "invalid_signature_id", false) end
  ngx.var.id_hash = sha256(id):sub(1, 16)
  local json, status, code = results:get(id), nil, nil
  ngx.var.cache = json and "hit" or "miss"
  if not json then json, status, code = fill(id) end
  if not json then return refuse(status, code, true) end
  counters:incr("answers", 1, 0)
  counters:incr(ngx.var.cache, 1, 0)
  local body = cut(json, who.scopes)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.header["X-Request-Id"] = ngx.var.request_id
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

return M
