{{/* What things are called, and the labels they carry. */}}

{{- define "idv-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release's objects, short enough for every suffix below to fit into 63 characters. */}}
{{- define "idv-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "idv-gateway.serviceAccountName" -}}
{{- $own := ternary (include "idv-gateway.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{/* The labels that select pods. Takes a list: the root, the component. */}}
{{- define "idv-gateway.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "idv-gateway.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels. Takes a list: the root, the component. */}}
{{- define "idv-gateway.labels" -}}
{{- $root := index . 0 -}}
{{ include "idv-gateway.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{/* What stands before a runbook's file name in rules and dashboards. */}}
{{- define "idv-gateway.runbooks" -}}
{{- with .Values.prometheusRule.runbookBaseUrl }}{{ trimSuffix "/" . }}{{ else }}docs/runbooks{{ end }}/
{{- end -}}

{{- define "idv-gateway.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}
