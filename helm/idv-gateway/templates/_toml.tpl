{{/*
TOML, written by hand: Helm's toToml differs from one Helm to the next and writes whole numbers as fractions.
A string in JSON's quotes is a TOML string. To YAML, U+0085 is a line's end, and JSON leaves it as it is: spelled out, it
stays within its line.
*/}}

{{- define "idv-gateway.toml.value" -}}
{{- if kindIs "string" . -}}
{{- toRawJson . | replace "\u0085" "\\u0085" | replace "\u007f" "\\u007f" -}}
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
