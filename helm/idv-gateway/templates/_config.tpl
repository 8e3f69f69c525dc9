{{/* The gateway's configuration file, and what the chart derives from it. */}}

{{/* All regions, the sandbox's included, as a JSON list. */}}
{{- define "idv-gateway.regions" -}}
{{- $regions := .Values.regions -}}
{{- if .Values.sandbox.enabled -}}
  {{- $keys := dict "accessKey" "sandbox-access-key" "secretKey" "sandbox-secret-key" -}}
  {{- $host := printf "%s-sandbox:%d" (include "idv-gateway.fullname" .) (int .Values.sandbox.port) -}}
  {{- range .Values.sandbox.regions -}}
    {{- $url := printf "http://%s/%s" $host . -}}
    {{- $regions = append $regions (dict "name" . "base_url" $url "allow_http" true "trialKeys" $keys) -}}
  {{- end -}}
{{- end -}}
{{- toJson $regions -}}
{{- end -}}

{{/* The sections of the file, as a JSON dict: those of `config`, and in them what the chart itself knows. */}}
{{- define "idv-gateway.sections" -}}
{{- $config := deepCopy .Values.config -}}
{{- $names := list -}}
{{- range list "" "-admin" }}{{ $names = concat $names (include "idv-gateway.serviceNames" (list $ .) | fromJsonArray) }}{{ end -}}
{{- $_ := set $config.server "allowed_hosts" (concat $names (default list $config.server.allowed_hosts) | uniq) -}}
{{- with .Values.tls -}}
  {{- if .existingSecret -}}
    {{- $files := dict "cert_file" "/run/secrets/idv-tls/tls.crt" "key_file" "/run/secrets/idv-tls/tls.key" -}}
    {{- if or .clientCa.secret .clientCa.configMap -}}
      {{- $_ := set $files "client_ca_file" "/run/secrets/idv-tls/client-ca.crt" -}}
    {{- end -}}
    {{- $_ := set $config.server "tls" $files -}}
  {{- end -}}
{{- end -}}
{{- with .Values.remote -}}
  {{- if .existingSecret -}}
    {{- $_ := set $config.remote "encryption_key_file" "/run/secrets/idv-remote/encryption-key" -}}
    {{- if not $config.remote.url }}{{ $_ := set $config.remote "url_file" "/run/secrets/idv-remote/url" }}{{ end -}}
  {{- end -}}
  {{- if or .ca.secret .ca.configMap }}{{ $_ := set $config.remote "ca_file" "/run/secrets/idv-remote/ca.crt" }}{{ end -}}
{{- end -}}
{{- if .Values.callbacks.existingSecret }}{{ $_ := set $config.callbacks "key_file" "/run/secrets/idv-callbacks/keys" }}{{ end -}}
{{- if .Values.clusterJwt.enabled -}}
  {{- $cluster := dict
        "jwks_url" "https://kubernetes.default.svc/openid/v1/jwks"
        "jwks_ca_file" "/run/secrets/idv-cluster/ca.crt"
        "jwks_token_file" "/run/secrets/idv-cluster/token" -}}
  {{- $_ := set $config.auth "jwt" (merge (default dict $config.auth.jwt) $cluster) -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* The whole file. */}}
{{- define "idv-gateway.toml" -}}
{{- $tables := list -}}
{{- range $name, $table := include "idv-gateway.sections" . | fromJson -}}
  {{- $tables = append $tables (dict "header" (printf "[%s]" $name) "path" $name "table" $table) -}}
{{- end -}}
{{- range include "idv-gateway.regions" . | fromJsonArray -}}
  {{- $region := omit . "existingSecret" "existingSecretKeys" "trialKeys" -}}
  {{- if or .existingSecret .trialKeys -}}
    {{- $_ := set $region "access_key_file" (printf "/run/secrets/idv/%s/access-key" .name) -}}
    {{- $_ := set $region "secret_key_file" (printf "/run/secrets/idv/%s/secret-key" .name) -}}
  {{- end -}}
  {{- $tables = append $tables (dict "header" "[[regions]]" "path" "regions" "table" $region) -}}
{{- end -}}
{{- range .Values.callers -}}
  {{- $caller := omit . "existingSecret" "existingSecretKey" "trial" -}}
  {{- if .existingSecret -}}
    {{- $_ := set $caller "key_sha256_file" (printf "/run/secrets/idv-callers/%s" .name) -}}
  {{- end -}}
  {{- $tables = append $tables (dict "header" "[[callers]]" "path" "callers" "table" $caller) -}}
{{- end -}}
{{- $texts := list -}}
{{- range $tables }}{{ $texts = append $texts (include "idv-gateway.toml.table" .) }}{{ end -}}
{{- compact $texts | join "\n\n" -}}
{{- end -}}

{{/* The least memory limit for the size of the cache: see `resources` in values.yaml. */}}
{{- define "idv-gateway.leastMemory" -}}
{{- $cache := include "idv-gateway.bytes" .Values.config.cache.max_bytes | int64 -}}
{{- add $cache (div $cache 2) 167772160 -}}
{{- end -}}

{{/* The seconds from the start of a pod's end until its drain is over, a sleep before SIGTERM included. */}}
{{- define "idv-gateway.drained" -}}
{{- $sleep := (((.Values.lifecycle).preStop).sleep).seconds | default 0 | int64 -}}
{{- add $sleep (include "idv-gateway.seconds" .Values.config.drain.deadline | int64) -}}
{{- end -}}

{{/* Seconds until SIGKILL. */}}
{{- define "idv-gateway.grace" -}}
{{- $drained := include "idv-gateway.drained" . | int64 -}}
{{- int64 (default (add $drained 5) .Values.terminationGracePeriodSeconds) -}}
{{- end -}}

{{/* The fewest replicas that run in normal operation. */}}
{{- define "idv-gateway.fewestReplicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | int64 -}}
{{- end -}}

{{/* The protocol of the public listener. */}}
{{- define "idv-gateway.scheme" -}}
{{- ternary "https" "http" (or .Values.tls.existingSecret .Values.config.server.tls | empty | not) -}}
{{- end -}}
