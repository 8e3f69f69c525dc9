{{/* How Prometheus finds the gateway, and what rules and dashboards are made of. */}}

{{/* The job of the gateway's targets: the admin Service, as the operator calls it. */}}
{{- define "idv-gateway.job" -}}
{{ include "idv-gateway.fullname" . }}-admin
{{- end -}}

{{/* How Prometheus scrapes a gateway. Takes a list: the root, the values of a ServiceMonitor or a PodMonitor. */}}
{{- define "idv-gateway.scrape" -}}
{{- $monitor := index . 1 -}}
port: admin
path: /metrics
interval: {{ $monitor.interval | quote }}
scrapeTimeout: {{ $monitor.scrapeTimeout | quote }}
relabelings:
  # The job that rules and dashboards select.
  - action: replace
    targetLabel: job
    replacement: {{ include "idv-gateway.job" (index . 0) | quote }}
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
A file of rules/ or dashboards/ for this release. `$scope` is what selects its series, `$replicas` how many there should be,
`$waiters` how many requests may wait on each, `$release` its name and `$uid` a name for its dashboard. Takes a list: the
root, the path, the quotation mark.
*/}}
{{- define "idv-gateway.monitoring" -}}
{{- $root := index . 0 -}}
{{- $quote := index . 2 -}}
{{- $namespace := include "idv-gateway.namespace" $root -}}
{{- $release := printf "%s/%s" $namespace (include "idv-gateway.fullname" $root) -}}
{{- $scope := printf "namespace=%s%s%s, job=%s%s%s" $quote $namespace $quote $quote (include "idv-gateway.job" $root) $quote -}}
{{- $text := $root.Files.Get (index . 1) | replace "docs/runbooks/" (include "idv-gateway.runbooks" $root) -}}
{{- $text = $text | replace "$scope" $scope | replace "$replicas" (include "idv-gateway.fewestReplicas" $root) -}}
{{- $text = $text | replace "$waiters" (default 10000 $root.Values.config.wait.max_waiters | int64 | toString) -}}
{{- $text | replace "$release" $release | replace "$uid" (printf "idv-%s" (sha256sum $release | trunc 16)) | trim -}}
{{- end -}}

{{/* One rule with the settings of its alert; nothing if the alert is disabled. Takes a list: the root, the rule. */}}
{{- define "idv-gateway.rule" -}}
{{- $settings := (index . 0).Values.prometheusRule -}}
{{- $rule := index . 1 -}}
{{- $own := default dict (get $settings.alerts (default "" $rule.alert)) -}}
{{- if not (and (hasKey $own "enabled") (not $own.enabled)) -}}
{{- with $rule.alert -}}
  {{- $severity := default $rule.labels.severity $own.severity -}}
  {{- $severity = default $severity (get $settings.severities $severity) -}}
  {{- $_ := set $rule "labels" (merge (dict "severity" $severity) (default dict $own.labels) $rule.labels) -}}
  {{- $_ := set $rule "annotations" (merge dict (default dict $own.annotations) $rule.annotations) -}}
  {{- with $own.for }}{{ $_ := set $rule "for" . }}{{ end -}}
{{- end -}}
{{- toJson $rule -}}
{{- end -}}
{{- end -}}
