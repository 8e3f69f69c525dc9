{{/* Numbers from the configuration's own notations. */}}

{{/* A duration such as 250ms, 5s, 10m or 1h in milliseconds. */}}
{{- define "idv-gateway.millis" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .)) -}}
{{- end -}}

{{/* A duration in whole seconds, rounded up. */}}
{{- define "idv-gateway.seconds" -}}
{{- div (add (include "idv-gateway.millis" . | int64) 999) 1000 -}}
{{- end -}}

{{/* A size in bytes: a number, the gateway's 256MiB or Kubernetes' 512Mi. */}}
{{- define "idv-gateway.bytes" -}}
{{- if not (kindIs "string" .) -}}
{{- int64 . -}}
{{- else -}}
{{- $decimal := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $binary := dict "K" 1024 "M" 1048576 "G" 1073741824 "T" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" . | trimSuffix "B" -}}
{{- $size := get $decimal $unit -}}
{{- if hasSuffix "i" $unit }}{{ $size = get $binary (trimSuffix "i" $unit) }}{{ end -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) $size | int64 -}}
{{- end -}}
{{- end -}}

{{/* How many of some replicas a number or a percentage is, rounded up as Kubernetes does. Takes a list: it, the replicas. */}}
{{- define "idv-gateway.share" -}}
{{- $share := index . 0 -}}
{{- if hasSuffix "%" (toString $share) -}}
{{- div (add (mul (trimSuffix "%" $share | int64) (index . 1)) 99) 100 -}}
{{- else -}}
{{- int64 $share -}}
{{- end -}}
{{- end -}}
