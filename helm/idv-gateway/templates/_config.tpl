{{/* The gateway's configuration as the values make it. */}}

{{/* Every region, the sandbox's included, as a JSON list. */}}
{{- define "idv-gateway.regions" -}}
{{- $root := . -}}
{{- $regions := .Values.regions -}}
{{- if .Values.sandbox.enabled -}}
  {{- $keys := dict "accessKey" "sandbox-access-key" "secretKey" "sandbox-secret-key" -}}
  {{- $host := printf "%s-sandbox:%v" (include "idv-gateway.fullname" .) .Values.sandbox.port -}}
  {{- range .Values.sandbox.regions -}}
    {{- $url := printf "http://%s/%s" $host . -}}
    {{- $regions = append $regions (dict "name" . "base_url" $url "allow_http" true "trialKeys" $keys) -}}
  {{- end -}}
{{- end -}}
{{- toJson $regions -}}
{{- end -}}

{{/* The whole file. */}}
{{- define "idv-gateway.toml" -}}
{{- $config := deepCopy .Values.config -}}
{{- with .Values.tls -}}
  {{- if .existingSecret -}}
    {{- $files := dict "cert_file" "/run/secrets/idv-tls/tls.crt" "key_file" "/run/secrets/idv-tls/tls.key" -}}
    {{- if or .clientCa.secret .clientCa.configMap -}}
      {{- $_ := set $files "client_ca_file" "/run/secrets/idv-tls/client-ca.crt" -}}
    {{- end -}}
    {{- $_ := set $config.server "tls" $files -}}
  {{- end -}}
{{- end -}}
{{- if .Values.clusterJwt.enabled -}}
  {{- $cluster := dict
        "jwks_url" "https://kubernetes.default.svc/openid/v1/jwks"
        "jwks_ca_file" "/run/secrets/idv-cluster/ca.crt"
        "jwks_token_file" "/run/secrets/idv-cluster/token" -}}
  {{- $_ := set $config.auth "jwt" (merge (default dict $config.auth.jwt) $cluster) -}}
{{- end -}}
{{- $tables := list -}}
{{- range list "server" "request" "drain" "auth" "cache" "media" "telemetry" -}}
  {{- $table := dict "header" (printf "[%s]" .) "path" . "table" (get $config .) -}}
  {{- $tables = append $tables (include "idv-gateway.toml.table" $table) -}}
{{- end -}}
{{- range include "idv-gateway.regions" . | fromJsonArray -}}
  {{- $region := omit . "existingSecret" "existingSecretKeys" "trialKeys" -}}
  {{- if or .existingSecret .trialKeys -}}
    {{- $_ := set $region "access_key_file" (printf "/run/secrets/idv/%s/access-key" .name) -}}
    {{- $_ := set $region "secret_key_file" (printf "/run/secrets/idv/%s/secret-key" .name) -}}
  {{- end -}}
  {{- $table := dict "header" "[[regions]]" "path" "regions" "table" $region -}}
  {{- $tables = append $tables (include "idv-gateway.toml.table" $table) -}}
{{- end -}}
{{- range .Values.callers -}}
  {{- $caller := omit . "existingSecret" "existingSecretKey" -}}
  {{- if .existingSecret -}}
    {{- $_ := set $caller "key_sha256_file" (printf "/run/secrets/idv-callers/%s" .name) -}}
  {{- end -}}
  {{- $table := dict "header" "[[callers]]" "path" "callers" "table" $caller -}}
  {{- $tables = append $tables (include "idv-gateway.toml.table" $table) -}}
{{- end -}}
{{- compact $tables | join "\n\n" -}}
{{- end -}}

{{/* The least memory that holds the cache and all beside it: see `resources` in values.yaml. */}}
{{- define "idv-gateway.leastMemory" -}}
{{- $cache := include "idv-gateway.bytes" .Values.config.cache.max_bytes | int64 -}}
{{- add $cache (div $cache 2) 167772160 -}}
{{- end -}}

{{/* Seconds between SIGTERM and SIGKILL. */}}
{{- define "idv-gateway.grace" -}}
{{- $deadline := include "idv-gateway.seconds" .Values.config.drain.deadline | int64 -}}
{{- int64 (default (add $deadline 5) .Values.terminationGracePeriodSeconds) -}}
{{- end -}}

{{/* The fewest replicas there are in a normal hour. */}}
{{- define "idv-gateway.fewestReplicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | int64 -}}
{{- end -}}

{{/* How callers speak to the public listener. */}}
{{- define "idv-gateway.scheme" -}}
{{- ternary "https" "http" (or .Values.tls.existingSecret .Values.config.server.tls | empty | not) -}}
{{- end -}}
