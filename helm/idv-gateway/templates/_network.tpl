{{/* Hosts and ports, and where the gateway may connect to. */}}

{{/* The port of an address such as 0.0.0.0:8080 or [::]:8080. */}}
{{- define "idv-gateway.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{/* The host of a URL: a name, an IPv4 address, or an IPv6 address in brackets. */}}
{{- define "idv-gateway.urlHost" -}}
{{- regexReplaceAll "^[a-z]+://(\\[[^\\]]*\\]|[^/:?]*).*$" . "${1}" | lower -}}
{{- end -}}

{{/* The port of a URL, by default the scheme's own. */}}
{{- define "idv-gateway.urlPort" -}}
{{- $port := regexReplaceAll "^[a-z]+://(\\[[^\\]]*\\]|[^/:?]*)(:([0-9]+))?.*$" . "${3}" -}}
{{- default (get (dict "https" "443" "http" "80" "redis" "6379") (splitList "://" . | first)) $port -}}
{{- end -}}

{{/* The names of one of the release's Services, as a JSON list. Takes a list: the root, the Service's suffix. */}}
{{- define "idv-gateway.serviceNames" -}}
{{- $root := index . 0 -}}
{{- $service := printf "%s%s" (include "idv-gateway.fullname" $root) (index . 1) -}}
{{- $local := printf "%s.%s" $service (include "idv-gateway.namespace" $root) -}}
{{- list $service $local (printf "%s.svc" $local) (printf "%s.svc.%s" $local $root.Values.clusterDomain) | toJson -}}
{{- end -}}

{{/* The URLs that the gateway connects to, as a JSON dict of lists by purpose, named as in `networkPolicy`. */}}
{{- define "idv-gateway.urls" -}}
{{- $regions := list -}}
{{- range .Values.regions -}}
  {{- $preset := printf "https://%sapi.advance.ai" (ternary "" (printf "%s-" .name) (eq .name "id")) -}}
  {{- $regions = concat $regions (compact (list (default $preset .base_url) .token_url)) -}}
{{- end -}}
{{- $issuer := compact (list (.Values.config.auth.jwt).jwks_url) -}}
{{- $collector := compact (list .Values.config.telemetry.otlp_endpoint) -}}
{{- $remote := include "idv-gateway.remoteUrls" . | fromJsonArray -}}
{{- dict "regions" $regions "tokenIssuer" $issuer "collector" $collector "remote" $remote | toJson -}}
{{- end -}}

{{/*
A URL for each host and port of the second tier, as a JSON list. A URL in a Secret is not known here: its ports are in
`remote.ports`, and its hosts are the peers of `networkPolicy.remote`, whatever the name.
*/}}
{{- define "idv-gateway.remoteUrls" -}}
{{- $urls := list -}}
{{- $hosts := list -}}
{{- range default "" .Values.config.remote.url | regexFind "://[^/]*" | trimPrefix "://" | splitList "," | compact -}}
  {{- $urls = append $urls (printf "redis://%s" .) -}}
  {{- $hosts = append $hosts (printf "redis://%s" . | include "idv-gateway.urlHost") -}}
{{- end -}}
{{- range $host := default (list "remote") $hosts -}}
  {{- range $.Values.remote.ports }}{{ $urls = append $urls (printf "redis://%s:%d" $host (int .)) }}{{ end -}}
{{- end -}}
{{- uniq $urls | toJson -}}
{{- end -}}

{{/*
The peers of a NetworkPolicy that a host stands for, as a JSON list: an address itself, or the namespace of a Service. Empty
for any other name. Takes a list: the root, the host.
*/}}
{{- define "idv-gateway.peers" -}}
{{- $host := index . 1 -}}
{{- $namespace := include "idv-gateway.serviceNamespace" . -}}
{{- $peers := list -}}
{{- if hasPrefix "[" $host -}}
  {{- $peers = list (dict "ipBlock" (dict "cidr" (printf "%s/128" (trimAll "[]" $host)))) -}}
{{- else if regexMatch "^[0-9.]+$" $host -}}
  {{- $peers = list (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) -}}
{{- else if $namespace -}}
  {{- $peers = list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" $namespace))) -}}
{{- end -}}
{{- toJson $peers -}}
{{- end -}}

{{/*
The Internet, but nothing private, as a JSON list of peers. Where pods have IPv6 only, NAT64 brings them to IPv4 addresses
through 64:ff9b::/96: the private ones among those are left out one by one.
*/}}
{{- define "idv-gateway.internet" -}}
{{- $private := list "10.0.0.0/8" "100.64.0.0/10" "169.254.0.0/16" "172.16.0.0/12" "192.168.0.0/16" -}}
{{- $v4 := dict "cidr" "0.0.0.0/0" "except" $private -}}
{{- $mapped := list "64:ff9b::a00:0/104" "64:ff9b::6440:0/106" "64:ff9b::a9fe:0/112" "64:ff9b::ac10:0/108" "64:ff9b::c0a8:0/112" -}}
{{- $v6 := dict "cidr" "::/0" "except" (concat $mapped (list "fc00::/7" "fe80::/10")) -}}
{{- list (dict "ipBlock" $v4) (dict "ipBlock" $v6) | toJson -}}
{{- end -}}

{{/* The namespace of a host that names a Service of the cluster, else nothing. Takes a list: the root, the host. */}}
{{- define "idv-gateway.serviceNamespace" -}}
{{- $root := index . 0 -}}
{{- $parts := index . 1 | trimSuffix (printf ".%s" $root.Values.clusterDomain) | splitList "." -}}
{{- if eq (len $parts) 1 -}}
{{- include "idv-gateway.namespace" $root -}}
{{- else if and (eq (last $parts) "svc") (ge (len $parts) 3) -}}
{{- index $parts (sub (len $parts) 2 | int) -}}
{{- end -}}
{{- end -}}

{{/*
Where the gateway connects to, each place once, as a JSON list of dicts: `purpose`, `port`, and either `to`, the peers of a
NetworkPolicy, or `host`, a name that Cilium is to resolve.
*/}}
{{- define "idv-gateway.egress" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $places := list -}}
{{- range $purpose, $urls := include "idv-gateway.urls" . | fromJson -}}
  {{- range $urls -}}
    {{- $host := include "idv-gateway.urlHost" . -}}
    {{- $place := dict "purpose" $purpose "port" (include "idv-gateway.urlPort" . | int) -}}
    {{- $peers := get $policy $purpose | default (include "idv-gateway.peers" (list $ $host) | fromJsonArray) -}}
    {{- if $peers -}}
      {{- $_ := set $place "to" $peers -}}
    {{- else if $policy.cilium.enabled -}}
      {{- $_ := set $place "host" $host -}}
    {{- else -}}
      {{- $_ := set $place "to" (include "idv-gateway.internet" $ | fromJsonArray) -}}
    {{- end -}}
    {{- $places = append $places $place -}}
  {{- end -}}
{{- end -}}
{{- uniq $places | toJson -}}
{{- end -}}
