{{/*
Values that cannot work together, as far as only the chart can know: what the gateway's own check of its configuration
finds, it reports when it starts (exit code 78, every mistake at once). All mistakes are reported at once, each with its
key and the fix.
*/}}

{{- define "idv-gateway.refusals" -}}
{{- $parts := list "characters" "image" "keys" "sandbox" "clusterJwt" "listeners" "callbacks" "remote" "routes" "grace" "memory" -}}
{{- $parts = concat $parts (list "scaling" "rollout" "budget" "volumes" "containers" "environment" "monitoring") -}}
{{- $mistakes := list -}}
{{- range $parts -}}
  {{- $found := include (printf "idv-gateway.refusals.%s" .) $ | trim -}}
  {{- if $found }}{{ $mistakes = append $mistakes $found }}{{ end -}}
{{- end -}}
{{- if $mistakes }}{{ fail (printf "\n\nThese values cannot work:\n%s\n" (join "\n" $mistakes)) }}{{ end -}}
{{- end -}}

{{/*
No string may hold a control character, or one that ends a line for some readers of YAML and for others not: it would end
the string, and what follows it would be YAML. The values are looked at as JSON, which escapes them all but two.
*/}}
{{- define "idv-gateway.refusals.characters" -}}
{{- $escaped := "(^|[^\\\\])(\\\\\\\\)*\\\\(r|b|f|u00[01][0-9a-f]|u2028|u2029)" -}}
{{- if regexMatch (printf "%s|[\u007f-\u009f]" $escaped) (toRawJson .Values) }}
values: some text has a control character or a Unicode line separator in it; only ordinary line ends and tabs may be there
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.image" -}}
{{- if not .Values.image.repository }}
image.repository: is not set; build the image from the repository's Dockerfile, push it, and set its name here:
  docker build --build-arg IDV_VERSION={{ .Chart.AppVersion }} --build-arg IDV_REVISION="$(git rev-parse HEAD)" --tag registry.example/idv-gateway:{{ .Chart.AppVersion }} .
  docker push registry.example/idv-gateway:{{ .Chart.AppVersion }}
{{- end -}}
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

{{/* Simulated results must not reach anybody who takes them for real ones. */}}
{{- define "idv-gateway.refusals.sandbox" -}}
{{- if .Values.sandbox.enabled -}}
  {{- range .Values.regions }}
sandbox.enabled: {{ .name }} is a real region; remove it from regions, or disable the sandbox
  {{- end -}}
  {{- range .Values.callers -}}
    {{- if not .trial }}
sandbox.enabled: caller {{ .name }} would get simulated results; give it trial: true, or disable the sandbox
    {{- end -}}
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
{{- $addresses := dict "server.listen" $server.listen "server.admin_listen" $server.admin_listen -}}
{{- $_ := set $addresses "callbacks.listen" (default "" .Values.config.callbacks.listen) -}}
{{- range $key, $address := $addresses -}}
  {{- if regexMatch "^(127\\.|\\[::1\\])" $address }}
config.{{ $key }}: no Service and no probe reaches a loopback address; use 0.0.0.0 or [::] and the port
  {{- end -}}
{{- end -}}
{{- if and .Values.tls.existingSecret $server.tls }}
tls.existingSecret: config.server.tls is set too; keep one of them
{{- end -}}
{{- if and (or .Values.tls.clientCa.secret .Values.tls.clientCa.configMap) (not .Values.tls.existingSecret) }}
tls.clientCa: needs tls.existingSecret, the listener's own certificate
{{- end -}}
{{- range $name, $ca := dict "tls.clientCa" .Values.tls.clientCa "remote.ca" .Values.remote.ca -}}
  {{- if and $ca.secret $ca.configMap }}
{{ $name }}: is set to a Secret and to a ConfigMap; keep one of them
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.callbacks" -}}
{{- $config := .Values.config.callbacks -}}
{{- with .Values.callbacks -}}
{{- if and .existingSecret $config.key_file }}
callbacks.existingSecret: config.callbacks.key_file is set too; keep one of them
{{- end -}}
{{- if and (not $config.listen) (or .existingSecret .ingress.enabled .httpRoute.enabled) }}
callbacks: are off; set config.callbacks.listen to 0.0.0.0:8082
{{- end -}}
{{- end -}}
{{- if and $config.listen .Values.networkPolicy.enabled (not .Values.networkPolicy.callbacks) }}
networkPolicy.callbacks: is empty, so no callback could come in; name the namespace of the controller that forwards them
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.remote" -}}
{{- $config := .Values.config.remote -}}
{{- with .Values.remote -}}
{{- if and .existingSecret (or $config.url_file $config.encryption_key_file) }}
remote.existingSecret: config.remote names files too; keep one of them
{{- end -}}
{{- if and (or .ca.secret .ca.configMap) $config.ca_file }}
remote.ca: config.remote.ca_file is set too; keep one of them
{{- end -}}
{{- if and $.Values.networkPolicy.enabled (or .existingSecret $config.url_file) (not $config.url) (not (and .ports $.Values.networkPolicy.remote)) }}
networkPolicy.remote, remote.ports: the URL is in a file, so that the chart does not know where it leads; set both
{{- end -}}
{{- if and $.Values.networkPolicy.enabled (hasPrefix "redis+sentinel:" (default "" $config.url)) (not .ports) }}
remote.ports: config.remote.url names the sentinels; set it to the port of the servers behind them, such as [6379]
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.routes" -}}
{{- range $prefix, $routes := dict "" .Values "callbacks." .Values.callbacks -}}
  {{- if and $routes.ingress.enabled (not $routes.ingress.hosts) }}
{{ $prefix }}ingress.hosts: is empty; name at least one host
  {{- end -}}
  {{- if and $routes.httpRoute.enabled (not $routes.httpRoute.parentRefs) }}
{{ $prefix }}httpRoute.parentRefs: is empty; name the Gateway
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.grace" -}}
{{- $needed := include "idv-gateway.drained" . | int64 -}}
{{- if le (include "idv-gateway.grace" . | int64) $needed }}
terminationGracePeriodSeconds: must be more than {{ $needed }}, config.drain.deadline and a preStop sleep together, or requests are cut off; remove it to have it computed
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.memory" -}}
{{- $requested := (.Values.resources.requests).memory -}}
{{- with (.Values.resources.limits).memory -}}
{{- $limit := include "idv-gateway.bytes" . | int64 -}}
{{- $least := include "idv-gateway.leastMemory" $ | int64 -}}
{{- if lt $limit $least }}
resources.limits.memory: {{ . }} is too little for config.cache.max_bytes ({{ $.Values.config.cache.max_bytes }}), which needs one and a half times its size and 160Mi; raise it to {{ div (add $least 1048575) 1048576 }}Mi or lower the cache
{{- end -}}
{{- if $requested }}{{ if gt (include "idv-gateway.bytes" $requested | int64) $limit }}
resources.requests.memory: {{ $requested }} is more than resources.limits.memory ({{ . }}); set both to the same
{{- end }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.scaling" -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
  {{- if gt (int64 .minReplicas) (int64 .maxReplicas) }}
autoscaling.minReplicas: is more than maxReplicas ({{ int64 .maxReplicas }}); lower minReplicas or raise maxReplicas
  {{- end -}}
  {{- range $name, $target := dict "cpu" .targetCPUUtilization "memory" .targetMemoryUtilization -}}
    {{- if and $target (not (get (default dict $.Values.resources.requests) $name)) }}
autoscaling: utilization of {{ $name }} is a share of resources.requests.{{ $name }}, which is not set; set it
    {{- end -}}
  {{- end -}}
  {{- if not (or .targetCPUUtilization .targetMemoryUtilization .metrics) }}
autoscaling: has no metric; set targetCPUUtilization, or metrics
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.rollout" -}}
{{- with .Values.strategy.rollingUpdate -}}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) }}
strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so that no pod could ever be replaced; raise maxSurge to 1
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A budget that lets no pod go blocks every node drain; one that lets all go protects nothing. */}}
{{- define "idv-gateway.refusals.budget" -}}
{{- $replicas := include "idv-gateway.fewestReplicas" . | int64 -}}
{{- with .Values.podDisruptionBudget -}}
{{- if and .enabled (gt $replicas 1) -}}
  {{- if .minAvailable -}}
    {{- if ge (include "idv-gateway.share" (list .minAvailable $replicas) | int64) $replicas }}
podDisruptionBudget.minAvailable: {{ .minAvailable }} of {{ $replicas }} replicas would block every node drain; lower it, or use maxUnavailable
    {{- end -}}
  {{- else if not .maxUnavailable }}
podDisruptionBudget: has neither maxUnavailable nor minAvailable; set maxUnavailable to 1
  {{- else if ge (include "idv-gateway.share" (list .maxUnavailable $replicas) | int64) $replicas }}
podDisruptionBudget.maxUnavailable: {{ .maxUnavailable }} of {{ $replicas }} replicas would let all of them go at once; lower it
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.volumes" -}}
{{- $names := list -}}
{{- $paths := list -}}
{{- range concat (include "idv-gateway.volumes" . | fromJsonArray) .Values.extraVolumes -}}
  {{- $shown := trimPrefix "mount-" .name -}}
  {{- if has .name $names }}
mounts and extraVolumes: {{ $shown }} is there twice, or is a name of the chart's; give every volume its own name
  {{- end -}}
  {{- $names = append $names .name -}}
{{- end -}}
{{- range include "idv-gateway.volumes" . | fromJsonArray }}{{ $paths = append $paths .path }}{{ end -}}
{{- range .Values.extraVolumeMounts -}}
  {{- if has .mountPath $paths }}
extraVolumeMounts: {{ .mountPath }} is mounted already; use another path
  {{- end -}}
  {{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.containers" -}}
{{- $names := list "gateway" -}}
{{- range concat .Values.extraInitContainers .Values.extraContainers -}}
  {{- if has .name $names }}
extraContainers and extraInitContainers: {{ .name }} is there twice, or is the gateway's; give every container its own name
  {{- end -}}
  {{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{/* The chart derives ports, egress, probes, grace and memory from these settings: it would not see a variable. */}}
{{- define "idv-gateway.refusals.environment" -}}
{{- $server := "SERVER__(LISTEN|ADMIN_LISTEN|TLS__CERT_FILE)|DRAIN__(DELAY|DEADLINE)|CACHE__MAX_BYTES|AUTH__MODE|CALLBACKS__LISTEN" -}}
{{- $egress := "REMOTE__URL(_FILE)?|REGIONS__.+__(BASE|TOKEN)_URL|AUTH__JWT__JWKS_URL|TELEMETRY__OTLP_ENDPOINT" -}}
{{- range .Values.extraEnv -}}
  {{- if regexMatch (printf "^IDV__(%s|%s)$" $server $egress) (upper .name) }}
extraEnv: the chart must know {{ .name }}; set it in config, or in regions, instead
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "idv-gateway.refusals.monitoring" -}}
{{- range $kind := list "serviceMonitor" "podMonitor" -}}
{{- with get $.Values $kind -}}
{{- if and .enabled (gt (include "idv-gateway.millis" .scrapeTimeout | int64) (include "idv-gateway.millis" .interval | int64)) }}
{{ $kind }}.scrapeTimeout: is longer than interval ({{ .interval }}); lower it
{{- end -}}
{{- end -}}
{{- end -}}
{{- $rules := "" -}}
{{- range $path, $_ := .Files.Glob "rules/*.yaml" }}{{ $rules = cat $rules ($.Files.Get $path) }}{{ end -}}
{{- range $alert, $_ := .Values.prometheusRule.alerts -}}
  {{- if not (contains (printf "alert: %s\n" $alert) $rules) }}
prometheusRule.alerts: there is no alert {{ $alert }}; docs/runbooks/README.md lists them
  {{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
podMonitor: serviceMonitor is enabled too, and every pod would be scraped twice; keep one of them
{{- end -}}
{{- end -}}
