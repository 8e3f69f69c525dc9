{{/* Names, namespaces, labels, and the image. */}}

{{/* The chart's name, or what a chart around it calls it: an alias may have capitals and underscores. */}}
{{- define "idv-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | lower | replace "_" "-" | trunc 50 | trimAll "-" -}}
{{- end -}}

{{/*
The name of the release's objects. A Service takes the strictest names: no dots, no digit first, 63 characters. Suffixes
take 13 of those. A release may be called 2024 or idv.prod.
*/}}
{{- define "idv-gateway.fullname" -}}
{{- $name := include "idv-gateway.name" . -}}
{{- $release := replace "." "-" .Release.Name -}}
{{- $full := ternary $release (printf "%s-%s" $release $name) (contains $name $release) -}}
{{- $full = default $full .Values.fullnameOverride -}}
{{- if regexMatch "^[0-9]" $full }}{{ $full = printf "%s-%s" $name $release }}{{ end -}}
{{- if gt (len $full) 50 }}{{ $full = printf "%s-%s" (trunc 41 $full) (sha256sum $full | trunc 8) }}{{ end -}}
{{- $full -}}
{{- end -}}

{{- define "idv-gateway.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "idv-gateway.serviceAccountName" -}}
{{- $own := ternary (include "idv-gateway.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{/* The labels that select pods. Takes a list: the root, the component. */}}
{{- define "idv-gateway.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "idv-gateway.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of an object. Takes a list: the root, the component, and perhaps labels of the object's own. */}}
{{- define "idv-gateway.labels" -}}
{{- $root := index . 0 -}}
{{ include "idv-gateway.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- with merge dict (rest (rest .) | first | default dict) $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object. Takes a dict: root, component, and perhaps name or suffix, labels, annotations. */}}
{{- define "idv-gateway.metadata" -}}
name: {{ default (printf "%s%s" (include "idv-gateway.fullname" .root) (default "" .suffix)) .name | quote }}
namespace: {{ include "idv-gateway.namespace" .root | quote }}
labels:
  {{- include "idv-gateway.labels" (list .root .component .labels) | nindent 2 }}
{{- with merge dict (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What precedes a runbook's file name in rules and dashboards. */}}
{{- define "idv-gateway.runbooks" -}}
{{- with .Values.prometheusRule.runbookBaseUrl }}{{ trimSuffix "/" . }}{{ else }}docs/runbooks{{ end }}/
{{- end -}}

{{/* The image. A registry of `global` replaces the one in the repository. */}}
{{- define "idv-gateway.image" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.repository -}}
{{- with (.Values.global).imageRegistry -}}
  {{- $repository = printf "%s/%s" . (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}
