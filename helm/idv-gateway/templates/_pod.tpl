{{/* What the pods of the gateway, the sandbox and the test have in common. */}}

{{/* The pod's security, no token, and where it may run. */}}
{{- define "idv-gateway.pod" -}}
serviceAccountName: {{ include "idv-gateway.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with concat (default list (.Values.global).imagePullSecrets) .Values.imagePullSecrets | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with pick .Values "nodeSelector" "tolerations" "hostAliases" "dnsPolicy" "dnsConfig" | include "idv-gateway.given" }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "idv-gateway.container" -}}
image: {{ include "idv-gateway.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/* The entries of a dict that say something, as YAML. */}}
{{- define "idv-gateway.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
  {{- if not (has $value (list nil "" (dict) (list))) }}{{ $_ := set $given $key $value }}{{ end -}}
{{- end -}}
{{- with $given }}{{ toYaml . }}{{ end -}}
{{- end -}}
