{{/*
What the schema cannot see: values that do not fit together. All mistakes are told at once, each with its key and what
would be right. The gateway itself checks its configuration further when it starts.
*/}}

{{- define "idv-gateway.refusals" -}}
{{- $mistakes := list -}}
{{- range list "regions" "auth" "server" "drain" "memory" "replicas" "files" "environment" "monitoring" -}}
  {{- $found := include (printf "idv-gateway.refusals.%s" .) $ | trim -}}
  {{- if $found }}{{ $mistakes = append $mistakes $found }}{{ end -}}
{{- end -}}
{{- if $mistakes }}{{ fail (printf "\n\nThe values cannot work:\n%s\n" (join "\n" $mistakes)) }}{{ end -}}
{{- end -}}

{{- define "idv-gateway.refusals.regions" -}}
{{- $regions := include "idv-gateway.regions" . | fromJsonArray -}}
{{- $from_env := or .Values.extraEnv .Values.extraEnvFrom -}}
{{- if not $regions }}
regions: at least one is needed: write its name and existingSecret (or set sandbox.enabled for a trial)
{{- end -}}
{{- $names := list -}}
{{- range $regions -}}
  {{- if has .name $names }}
regions: {{ .name }} stands there twice (the sandbox's count too); give every region its own name
  {{- end -}}
  {{- $names = append $names .name -}}
  {{- $files := or .access_key_file .secret_key_file -}}
  {{- $given := len (compact (list .existingSecret .trialKeys $files)) -}}
  {{- if gt $given 1 }}
regions: {{ .name }} has its keys in several places; keep one of existingSecret, trialKeys, access_key_file and secret_key_file
  {{- else if and (eq $given 0) (not $from_env) }}
regions: {{ .name }} has no keys; write existingSecret, the name of a Secret with access-key and secret-key
  {{- else if and $files (not (and .access_key_file .secret_key_file)) }}
regions: {{ .name }} needs access_key_file and secret_key_file, both
  {{- end -}}
  {{- if and (not .base_url) (not (has .name (list "id" "sg" "my" "th" "ph" "vn"))) (not $from_env) }}
regions: {{ .name }} needs base_url; only id, sg, my, th, ph and vn know theirs
  {{- end -}}
  {{- $urls := compact (list .base_url .token_url) | join " " -}}
  {{- if and (contains "http://" $urls) (not .allow_http) }}
regions: {{ .name }} would show keys and people to the network over http; write https, or allow_http: true for a sandbox
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.auth" -}}
{{- $mode := default "keys" .Values.config.auth.mode -}}
{{- $takes_jwt := has $mode (list "jwt" "keys+jwt") -}}
{{- $regions := list -}}
{{- range include "idv-gateway.regions" . | fromJsonArray }}{{ $regions = append $regions .name }}{{ end -}}
{{- $keys := false }}{{- $subjects := false }}{{- $names := list -}}
{{- range $caller := .Values.callers -}}
  {{- if or .key_sha256 .key_sha256_file .existingSecret }}{{ $keys = true }}{{ end -}}
  {{- if .subject }}{{ $subjects = true }}{{ end -}}
  {{- if has .name $names }}
callers: {{ .name }} stands there twice; give every caller its own name
  {{- end -}}
  {{- $names = append $names .name -}}
  {{- if and .existingSecret .key_sha256_file }}
callers: {{ .name }} has existingSecret and key_sha256_file; keep one of them
  {{- end -}}
  {{- range .regions -}}
    {{- if not (has . $regions) }}
callers: {{ $caller.name }} may ask {{ . }}, which is none of the regions ({{ join ", " $regions }})
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if eq $mode "none" }}
config.auth.mode: none lets everyone in, and the gateway takes it on a loopback address only, where no Service reaches it; write keys, jwt or keys+jwt
{{- else if not (or (and $keys (ne $mode "jwt")) (and $subjects $takes_jwt)) }}
callers: nobody could be let in; write at least one with {{ get (dict "keys" "key_sha256 or existingSecret" "jwt" "subject" "keys+jwt" "key_sha256, existingSecret or subject") $mode }}
{{- end -}}
{{- $jwt := default dict .Values.config.auth.jwt -}}
{{- $key_set := or .Values.clusterJwt.enabled $jwt.jwks_url $jwt.jwks_file -}}
{{- $from_env := or .Values.extraEnv .Values.extraEnvFrom -}}
{{- if and $takes_jwt (not $from_env) (not (and $jwt.issuer $jwt.audience $key_set)) }}
config.auth.jwt: mode {{ $mode }} needs issuer, audience, and a key set: jwks_url, jwks_file or clusterJwt.enabled
{{- end -}}
{{- if and (not $takes_jwt) (or .Values.clusterJwt.enabled $jwt) }}
config.auth.mode: {{ $mode }} takes no tokens, so clusterJwt and config.auth.jwt have no effect; write jwt or keys+jwt
{{- end -}}
{{- if and .Values.clusterJwt.enabled (or $jwt.jwks_url $jwt.jwks_file $jwt.jwks_ca_file $jwt.jwks_token_file) }}
clusterJwt: takes the key set from the cluster; remove the jwks keys of config.auth.jwt, or disable it
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.server" -}}
{{- $server := .Values.config.server -}}
{{- range list "listen" "admin_listen" -}}
  {{- if or (hasPrefix "127." (get $server .)) (hasPrefix "[::1]" (get $server .)) }}
config.server.{{ . }}: a loopback address is reached by no Service and no probe; write 0.0.0.0 or [::] and the port
  {{- end -}}
{{- end -}}
{{- $ports := list (include "idv-gateway.port" $server.listen) (include "idv-gateway.port" $server.admin_listen) -}}
{{- with .Values.config.callbacks.listen }}{{ $ports = append $ports (include "idv-gateway.port" .) }}{{ end -}}
{{- if ne (len $ports) (len (uniq $ports)) }}
config.server: listen, admin_listen and callbacks.listen need a port each
{{- end -}}
{{- $client_cas := compact (list .Values.tls.clientCa.secret .Values.tls.clientCa.configMap) -}}
{{- if and .Values.tls.existingSecret $server.tls }}
tls.existingSecret: given together with config.server.tls; keep one of them
{{- end -}}
{{- if and $client_cas (not .Values.tls.existingSecret) }}
tls.clientCa: needs tls.existingSecret, the listener's own certificate
{{- end -}}
{{- if gt (len $client_cas) 1 }}
tls.clientCa: given as a Secret and as a ConfigMap; keep one of them
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.drain" -}}
{{- $drain := .Values.config.drain -}}
{{- $deadline := include "idv-gateway.millis" $drain.deadline | int64 -}}
{{- if ge (include "idv-gateway.millis" $drain.delay | int64) $deadline }}
config.drain.delay: must be shorter than config.drain.deadline ({{ $drain.deadline }}), which includes it
{{- end -}}
{{- if le (mul 1000 (include "idv-gateway.grace" . | int64)) $deadline }}
terminationGracePeriodSeconds: must be longer than config.drain.deadline ({{ $drain.deadline }}), or requests are cut off; leave it out to have it computed
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.memory" -}}
{{- with (.Values.resources.limits).memory -}}
{{- $least := include "idv-gateway.leastMemory" $ | int64 -}}
{{- if lt (include "idv-gateway.bytes" . | int64) $least }}
resources.limits.memory: {{ . }} does not hold config.cache.max_bytes ({{ $.Values.config.cache.max_bytes }}) one and a half times and 160Mi beside; raise it to {{ div (add $least 1048575) 1048576 }}Mi or lower the cache
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.replicas" -}}
{{- $scale := .Values.autoscaling -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if $scale.enabled -}}
  {{- if gt (int64 $scale.minReplicas) (int64 $scale.maxReplicas) }}
autoscaling.minReplicas: is more than maxReplicas ({{ $scale.maxReplicas }}); lower it, or raise that
  {{- end -}}
  {{- range $name, $target := dict "cpu" $scale.targetCPUUtilization "memory" $scale.targetMemoryUtilization -}}
    {{- if and $target (not (get (default dict $.Values.resources.requests) $name)) }}
autoscaling: a utilization of {{ $name }} is a share of resources.requests.{{ $name }}, which is missing
    {{- end -}}
  {{- end -}}
  {{- if not (or $scale.targetCPUUtilization $scale.targetMemoryUtilization) }}
autoscaling: scales by nothing; write targetCPUUtilization
  {{- end -}}
{{- end -}}
{{- $kept := $budget.minAvailable -}}
{{- if and $budget.enabled $kept (not (hasSuffix "%" (toString $kept))) (ge (int64 $kept) (include "idv-gateway.fewestReplicas" . | int64)) }}
podDisruptionBudget.minAvailable: {{ int64 $kept }} of {{ include "idv-gateway.fewestReplicas" . }} replicas would let no node be emptied; lower it, or use maxUnavailable
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.files" -}}
{{- $names := list -}}
{{- range .Values.mounts -}}
  {{- if has .name $names }}
mounts: {{ .name }} stands there twice; give every mount its own name
  {{- end -}}
  {{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{/* The chart derives ports, egress, probes, grace and memory from these: a variable would go behind its back. */}}
{{- define "idv-gateway.refusals.environment" -}}
{{- $addresses := list "SERVER__LISTEN" "SERVER__ADMIN_LISTEN" "SERVER__TLS__CERT_FILE" "CALLBACKS__LISTEN" -}}
{{- $egress := list "AUTH__JWT__JWKS_URL" "REMOTE__URL" "TELEMETRY__OTLP_ENDPOINT" -}}
{{- $derived := concat $addresses $egress (list "DRAIN__DELAY" "DRAIN__DEADLINE" "CACHE__MAX_BYTES" "AUTH__MODE") -}}
{{- range .Values.extraEnv -}}
  {{- if has (trimPrefix "IDV__" (upper .name)) $derived }}
extraEnv: {{ .name }} is something the chart must know; write config.{{ trimPrefix "IDV__" .name | lower | replace "__" "." }} instead
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.monitoring" -}}
{{- with .Values.serviceMonitor -}}
{{- if and .enabled (gt (include "idv-gateway.millis" .scrapeTimeout | int64) (include "idv-gateway.millis" .interval | int64)) }}
serviceMonitor.scrapeTimeout: is longer than interval ({{ .interval }}); lower it
{{- end -}}
{{- end -}}
{{- end -}}
