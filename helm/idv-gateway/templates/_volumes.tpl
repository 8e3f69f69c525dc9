{{/*
The volumes of the gateway's pod, as a JSON list of name, path and source. Secrets are mounted as folders, never as single
files: only folders follow a change of the Secret, and the gateway follows the files.
*/}}
{{- define "idv-gateway.volumes" -}}
{{- $fullname := include "idv-gateway.fullname" . -}}
{{- $volumes := list (dict "name" "config" "path" "/etc/idv-gateway" "source" (dict "configMap" (dict "name" $fullname))) -}}
{{- if .Values.files -}}
  {{- $files := dict "configMap" (dict "name" (printf "%s-files" $fullname)) -}}
  {{- $volumes = append $volumes (dict "name" "files" "path" "/run/files" "source" $files) -}}
{{- end -}}
{{- range $name, $part := dict "idv" "regions" "idv-callers" "callers" "idv-tls" "tls" "idv-cluster" "cluster" "idv-remote" "remote" "idv-callbacks" "callbacks" -}}
  {{- with include (printf "idv-gateway.sources.%s" $part) $ | fromJsonArray -}}
    {{- $source := dict "projected" (dict "defaultMode" 288 "sources" .) -}}
    {{- $volumes = append $volumes (dict "name" $name "path" (printf "/run/secrets/%s" $name) "source" $source) -}}
  {{- end -}}
{{- end -}}
{{- range .Values.mounts -}}
  {{- $volumes = append $volumes (dict "name" (printf "mount-%s" .name) "path" (printf "/run/mounts/%s" .name) "source" .source) -}}
{{- end -}}
{{- toJson $volumes -}}
{{- end -}}

{{/* The regions' keys. */}}
{{- define "idv-gateway.sources.regions" -}}
{{- $sources := list -}}
{{- range include "idv-gateway.regions" . | fromJsonArray -}}
  {{- $access := dict "path" (printf "%s/access-key" .name) -}}
  {{- $secret := dict "path" (printf "%s/secret-key" .name) -}}
  {{- $items := list $access $secret -}}
  {{- if .trialKeys -}}
    {{- range $items }}{{ $_ := set . "key" (replace "/" "." .path) }}{{ end -}}
    {{- $name := printf "%s-trial-keys" (include "idv-gateway.fullname" $) -}}
    {{- $sources = append $sources (dict "secret" (dict "name" $name "items" $items)) -}}
  {{- else if .existingSecret -}}
    {{- $_ := set $access "key" (default "access-key" (.existingSecretKeys).accessKey) -}}
    {{- $_ := set $secret "key" (default "secret-key" (.existingSecretKeys).secretKey) -}}
    {{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* The hashes of callers' keys. */}}
{{- define "idv-gateway.sources.callers" -}}
{{- $sources := list -}}
{{- range .Values.callers -}}
  {{- if .existingSecret -}}
    {{- $item := dict "key" (default "key_sha256" .existingSecretKey) "path" .name -}}
    {{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" (list $item))) -}}
  {{- end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* The listener's certificate, and the authority of callers' certificates. */}}
{{- define "idv-gateway.sources.tls" -}}
{{- $sources := list -}}
{{- with .Values.tls -}}
  {{- if .existingSecret -}}
    {{- $items := list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key") -}}
    {{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
  {{- $sources = concat $sources (include "idv-gateway.sources.ca" (list .clientCa "client-ca.crt") | fromJsonArray) -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* An authority in a Secret or a ConfigMap. Takes a list: secret, configMap and key, and the path. */}}
{{- define "idv-gateway.sources.ca" -}}
{{- $ca := index . 0 -}}
{{- $items := list (dict "key" $ca.key "path" (index . 1)) -}}
{{- $sources := list -}}
{{- range $kind, $name := pick $ca "secret" "configMap" -}}
  {{- if $name }}{{ $sources = append $sources (dict $kind (dict "name" $name "items" $items)) }}{{ end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* The second tier's URL, encryption key and authority. */}}
{{- define "idv-gateway.sources.remote" -}}
{{- $sources := list -}}
{{- with .Values.remote -}}
  {{- if .existingSecret -}}
    {{- $items := list (dict "key" .existingSecretKeys.encryptionKey "path" "encryption-key") -}}
    {{- if not $.Values.config.remote.url }}{{ $items = append $items (dict "key" .existingSecretKeys.url "path" "url") }}{{ end -}}
    {{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
  {{- $sources = concat $sources (include "idv-gateway.sources.ca" (list .ca "ca.crt") | fromJsonArray) -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* The keys in callbacks' URLs. */}}
{{- define "idv-gateway.sources.callbacks" -}}
{{- $sources := list -}}
{{- with .Values.callbacks -}}
  {{- if .existingSecret -}}
    {{- $items := list (dict "key" .existingSecretKey "path" "keys") -}}
    {{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/* The token for the API server, and its authority. */}}
{{- define "idv-gateway.sources.cluster" -}}
{{- $sources := list -}}
{{- with .Values.clusterJwt -}}
  {{- if .enabled -}}
    {{- $token := dict "path" "token" "expirationSeconds" 3600 -}}
    {{- with .tokenAudience }}{{ $_ := set $token "audience" . }}{{ end -}}
    {{- $ca := dict "name" "kube-root-ca.crt" "items" (list (dict "key" "ca.crt" "path" "ca.crt")) -}}
    {{- $sources = list (dict "serviceAccountToken" $token) (dict "configMap" $ca) -}}
  {{- end -}}
{{- end -}}
{{- toJson $sources -}}
{{- end -}}

{{/*
Annotations that change with what the gateway reads only at its start, so that a change starts new pods, as a JSON dict. For
Secrets and ConfigMaps that are not the chart's, Helm asks the cluster; `helm template` has none to ask.
*/}}
{{- define "idv-gateway.checksums" -}}
{{- $sums := dict "checksum/config" (include "idv-gateway.toml" . | sha256sum) -}}
{{- with include (print .Template.BasePath "/secret.yaml") . | trim }}{{ $_ := set $sums "checksum/trial-keys" (sha256sum .) }}{{ end -}}
{{- with .Values.files }}{{ $_ := set $sums "checksum/files" (toJson . | sha256sum) }}{{ end -}}
{{- $read_once := list (.Values.config.auth.jwt).jwks_ca_file .Values.config.telemetry.audit_key_file .Values.config.remote.ca_file -}}
{{- range .Values.regions }}{{ $read_once = append $read_once .ca_file }}{{ end -}}
{{- $objects := list (list "Secret" .Values.remote.ca.secret) (list "ConfigMap" .Values.remote.ca.configMap) -}}
{{- if .Values.clusterJwt.enabled }}{{ $objects = append $objects (list "ConfigMap" "kube-root-ca.crt") }}{{ end -}}
{{- range .Values.mounts -}}
  {{- if contains (printf "\n/run/mounts/%s/" .name) (printf "\n%s" (compact $read_once | join "\n")) -}}
    {{- $objects = append $objects (list "Secret" (.source.secret).secretName) -}}
    {{- $objects = append $objects (list "ConfigMap" (.source.configMap).name) -}}
  {{- end -}}
{{- end -}}
{{- $contents := list -}}
{{- range $objects -}}
  {{- $kind := index . 0 -}}
  {{- with index . 1 }}{{ with lookup "v1" $kind (include "idv-gateway.namespace" $) . -}}
    {{- $contents = append $contents (list .data .binaryData) -}}
  {{- end }}{{ end -}}
{{- end -}}
{{- with $contents }}{{ $_ := set $sums "checksum/mounts" (toJson . | sha256sum) }}{{ end -}}
{{- toJson $sums -}}
{{- end -}}
