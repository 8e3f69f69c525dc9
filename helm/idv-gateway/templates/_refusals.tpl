{{/*
Values that cannot work together, as far as only the chart can know: what the gateway's own check of its configuration
finds, it reports when it starts (exit code 78, every mistake at once). All mistakes are reported at once, each with its
key and the fix.
*/}}

{{- define "idv-gateway.refusals" -}}
{{- $mistakes := list -}}
{{- range list "keys" "clusterJwt" "listeners" "grace" "memory" "replicas" "mounts" "environment" "monitoring" -}}
  {{- $found := include (printf "idv-gateway.refusals.%s" .) $ | trim -}}
  {{- if $found }}{{ $mistakes = append $mistakes $found }}{{ end -}}
{{- end -}}
{{- if $mistakes }}{{ fail (printf "\n\nThese values cannot work:\n%s\n" (join "\n" $mistakes)) }}{{ end -}}
{{- end -}}

{{- define "idv-gateway.refusals.keys" -}}
{{- range include "idv-gateway.regions" . | fromJsonArray -}}
  {{- $files := or .access_key_file .secret_key_file -}}
  {{- if gt (len (compact (list .existingSecret .trialKeys $files))) 1 }}
regions: {{ .name }} has several sources of keys; keep one of existingSecret, trialKeys, and access_key_file with secret_key_file
  {{- end -}}
{{- end -}}
{{- range .Values.callers -}}
  {{- if and .existingSecret .key_sha256_file }}
callers: {{ .name }} has existingSecret and key_sha256_file; keep one of them
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.clusterJwt" -}}
{{- $jwt := default dict .Values.config.auth.jwt -}}
{{- if and .Values.clusterJwt.enabled (or $jwt.jwks_url $jwt.jwks_file $jwt.jwks_ca_file $jwt.jwks_token_file) }}
clusterJwt: uses the cluster's key set; remove the jwks keys from config.auth.jwt, or disable clusterJwt
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.listeners" -}}
{{- $server := .Values.config.server -}}
{{- range list "listen" "admin_listen" -}}
  {{- if or (hasPrefix "127." (get $server .)) (hasPrefix "[::1]" (get $server .)) }}
config.server.{{ . }}: no Service and no probe reaches a loopback address; use 0.0.0.0 or [::] and the port
  {{- end -}}
{{- end -}}
{{- $client_cas := compact (list .Values.tls.clientCa.secret .Values.tls.clientCa.configMap) -}}
{{- if and .Values.tls.existingSecret $server.tls }}
tls.existingSecret: config.server.tls is set too; keep one of them
{{- end -}}
{{- if and $client_cas (not .Values.tls.existingSecret) }}
tls.clientCa: needs tls.existingSecret, the listener's own certificate
{{- end -}}
{{- if gt (len $client_cas) 1 }}
tls.clientCa: is set to a Secret and to a ConfigMap; keep one of them
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.grace" -}}
{{- $deadline := .Values.config.drain.deadline -}}
{{- if le (mul 1000 (include "idv-gateway.grace" . | int64)) (include "idv-gateway.millis" $deadline | int64) }}
terminationGracePeriodSeconds: must be longer than config.drain.deadline ({{ $deadline }}), or requests are cut off; remove it to have it computed
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.memory" -}}
{{- with (.Values.resources.limits).memory -}}
{{- $least := include "idv-gateway.leastMemory" $ | int64 -}}
{{- if lt (include "idv-gateway.bytes" . | int64) $least }}
resources.limits.memory: {{ . }} is too little for config.cache.max_bytes ({{ $.Values.config.cache.max_bytes }}), which needs one and a half times its size and 160Mi; raise it to {{ div (add $least 1048575) 1048576 }}Mi or lower the cache
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.replicas" -}}
{{- $scale := .Values.autoscaling -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if $scale.enabled -}}
  {{- if gt (int64 $scale.minReplicas) (int64 $scale.maxReplicas) }}
autoscaling.minReplicas: is more than maxReplicas ({{ $scale.maxReplicas }}); lower minReplicas or raise maxReplicas
  {{- end -}}
  {{- range $name, $target := dict "cpu" $scale.targetCPUUtilization "memory" $scale.targetMemoryUtilization -}}
    {{- if and $target (not (get (default dict $.Values.resources.requests) $name)) }}
autoscaling: utilization of {{ $name }} is a share of resources.requests.{{ $name }}, which is not set; set it
    {{- end -}}
  {{- end -}}
  {{- if not (or $scale.targetCPUUtilization $scale.targetMemoryUtilization) }}
autoscaling: has no metric; set targetCPUUtilization
  {{- end -}}
{{- end -}}
{{- $kept := $budget.minAvailable -}}
{{- if and $budget.enabled $kept (not (hasSuffix "%" (toString $kept))) (ge (int64 $kept) (include "idv-gateway.fewestReplicas" . | int64)) }}
podDisruptionBudget.minAvailable: {{ int64 $kept }} of {{ include "idv-gateway.fewestReplicas" . }} replicas would block every node drain; lower it, or use maxUnavailable
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.mounts" -}}
{{- $names := list -}}
{{- range .Values.mounts -}}
  {{- if has .name $names }}
mounts: {{ .name }} is there twice; give every mount its own name
  {{- end -}}
  {{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{/* The chart derives ports, egress, probes, grace and memory from these settings: it would not see a variable. */}}
{{- define "idv-gateway.refusals.environment" -}}
{{- $server := "SERVER__(LISTEN|ADMIN_LISTEN|TLS__CERT_FILE)|DRAIN__(DELAY|DEADLINE)|CACHE__MAX_BYTES|AUTH__MODE" -}}
{{- $egress := "REGIONS__.+__(BASE|TOKEN)_URL|AUTH__JWT__JWKS_URL|TELEMETRY__OTLP_ENDPOINT" -}}
{{- range .Values.extraEnv -}}
  {{- if regexMatch (printf "^IDV__(%s|%s)$" $server $egress) (upper .name) }}
extraEnv: the chart must know {{ .name }}; set it in config, or in regions, instead
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
