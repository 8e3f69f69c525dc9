{{/*
TOML, written by hand: Helm's toToml differs between Helm 3 and Helm 4 and writes whole numbers as fractions. A JSON string
is a TOML string; control characters are refused before.
*/}}

{{- define "idv-gateway.toml.value" -}}
{{- if kindIs "string" . -}}
{{- toRawJson . -}}
{{- else if kindIs "bool" . -}}
{{- . -}}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (include "idv-gateway.toml.value" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* A table and those below it. Takes its header, its path and the table; writes nothing for an empty one. */}}
{{- define "idv-gateway.toml.table" -}}
{{- $path := .path -}}
{{- $lines := list -}}
{{- $tables := list -}}
{{- range $key, $value := .table -}}
  {{- if kindIs "map" $value -}}
    {{- $below := printf "%s.%s" $path $key -}}
    {{- $table := dict "header" (printf "[%s]" $below) "path" $below "table" $value -}}
    {{- $tables = append $tables (include "idv-gateway.toml.table" $table) -}}
  {{- else if not (kindIs "invalid" $value) -}}
    {{- $line := printf "%s = %s" $key (include "idv-gateway.toml.value" $value) -}}
    {{- $lines = ternary (prepend $lines $line) (append $lines $line) (eq $key "name") -}}
  {{- end -}}
{{- end -}}
{{- if $lines }}{{ $tables = prepend $tables (prepend $lines .header | join "\n") }}{{ end -}}
{{- compact $tables | join "\n\n" -}}
{{- end -}}
