{{- /* A quantity of Kubernetes' (`500m`, `2Gi`, 4) as a number. */ -}}
{{- define "naru.quantity" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15
    "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[A-Za-z]*$" .)) -}}
{{- else -}}
{{- float64 . -}}
{{- end -}}
{{- end -}}

{{- /* Seconds of `500ms`, `2s`, `5m`, `1h` or of a number, rounded down. */ -}}
{{- define "naru.seconds" -}}
{{- if kindIs "string" . -}}
{{- $number := regexFind "^[0-9.]+" . | float64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mulf $number (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit) | floor | int64 -}}
{{- else -}}
{{- floor . | int64 -}}
{{- end -}}
{{- end -}}
