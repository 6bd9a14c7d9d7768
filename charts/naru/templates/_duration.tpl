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
