{{/*
The files of the gateway's pod, as a JSON list of name, path and source. Secrets are mounted as folders, never as single
files: only folders follow a change of the Secret, and the gateway follows the files.
*/}}
{{- define "idv-gateway.volumes" -}}
{{- $fullname := include "idv-gateway.fullname" . -}}
{{- $volumes := list (dict "name" "config" "path" "/etc/idv-gateway" "source" (dict "configMap" (dict "name" $fullname))) -}}
{{- $keys := list -}}
{{- range include "idv-gateway.regions" . | fromJsonArray -}}
  {{- $access := printf "%s/access-key" .name -}}
  {{- $secret := printf "%s/secret-key" .name -}}
  {{- if .trialKeys -}}
    {{- $items := list (dict "key" (replace "/" "." $access) "path" $access) (dict "key" (replace "/" "." $secret) "path" $secret) -}}
    {{- $keys = append $keys (dict "secret" (dict "name" (printf "%s-trial-keys" $fullname) "items" $items)) -}}
  {{- else if .existingSecret -}}
    {{- $named := default dict .existingSecretKeys -}}
    {{- $items := list
          (dict "key" (default "access-key" $named.accessKey) "path" $access)
          (dict "key" (default "secret-key" $named.secretKey) "path" $secret) -}}
    {{- $keys = append $keys (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
{{- end -}}
{{- $hashes := list -}}
{{- range .Values.callers -}}
  {{- if .existingSecret -}}
    {{- $items := list (dict "key" (default "key_sha256" .existingSecretKey) "path" .name) -}}
    {{- $hashes = append $hashes (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
  {{- end -}}
{{- end -}}
{{- $tls := list -}}
{{- with .Values.tls -}}
  {{- if .existingSecret -}}
    {{- $items := list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key") -}}
    {{- $tls = append $tls (dict "secret" (dict "name" .existingSecret "items" $items)) -}}
    {{- $items := list (dict "key" .clientCa.key "path" "client-ca.crt") -}}
    {{- range $kind, $name := dict "secret" .clientCa.secret "configMap" .clientCa.configMap -}}
      {{- if $name }}{{ $tls = append $tls (dict $kind (dict "name" $name "items" $items)) }}{{ end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $cluster := list -}}
{{- with .Values.clusterJwt -}}
  {{- if .enabled -}}
    {{- $token := dict "path" "token" "expirationSeconds" 3600 -}}
    {{- if .tokenAudience }}{{ $_ := set $token "audience" .tokenAudience }}{{ end -}}
    {{- $ca := dict "name" "kube-root-ca.crt" "items" (list (dict "key" "ca.crt" "path" "ca.crt")) -}}
    {{- $cluster = list (dict "serviceAccountToken" $token) (dict "configMap" $ca) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $sources := dict "idv" $keys "idv-callers" $hashes "idv-tls" $tls "idv-cluster" $cluster -}}
  {{- if $sources -}}
    {{- $source := dict "projected" (dict "defaultMode" 288 "sources" $sources) -}}
    {{- $volumes = append $volumes (dict "name" $name "path" (printf "/run/secrets/%s" $name) "source" $source) -}}
  {{- end -}}
{{- end -}}
{{- range .Values.mounts -}}
  {{- $volumes = append $volumes (dict "name" (printf "mount-%s" .name) "path" (printf "/run/mounts/%s" .name) "source" .source) -}}
{{- end -}}
{{- toJson $volumes -}}
{{- end -}}
