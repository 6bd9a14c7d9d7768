{{- /* What the gateway's registry asks of an entry beyond its shape: refused here, not when the gateway reads it. */ -}}
{{- define "naru.validate.registry" -}}
{{- $names := keys .Values.models }}
{{- range $name, $entry := .Values.models }}
{{- $at := printf "models.%s" $name }}
{{- with $entry.admission }}
{{- if eq (empty .concurrency) (empty .per_endpoint) }}
{{ $at }}.admission: give concurrency or per_endpoint, one of them
{{- end }}
{{- if and .overflow (not $entry.fallback) }}
{{ $at }}.admission.overflow: the model has no fallback
{{- end }}
{{- end }}
{{- if and $entry.hedge (eq $entry.task "chat") }}
{{ $at }}.hedge: a chat answer is never asked for twice
{{- end }}
{{- $prices := list (dict "at" $at "price" $entry.price) }}
{{- range $label, $version := $entry.versions }}
{{- $price := dig "price" nil (default dict $version) }}
{{- $prices = append $prices (dict "at" (printf "%s.versions.%s" $at $label) "price" $price) }}
{{- end }}
{{- range $prices }}
{{- if .price }}
{{- if and (not (has $entry.task (list "chat" "embedding"))) (or .price.input .price.output) }}
{{ .at }}.price: a {{ $entry.task }} model counts no tokens; give its price per request
{{- else if not (or .price.input .price.output .price.request) }}
{{ .at }}.price: give input, output or request; leave the price out where the model costs nothing
{{- end }}
{{- end }}
{{- end }}
{{- range keys (default dict $entry.adapters) | sortAlpha }}
{{- if has . $names }}
{{ $at }}.adapters.{{ . }}: it names more than one model or adapter
{{- end }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "naru.validate.fallbacks" -}}
{{- $models := .Values.models }}
{{- range $name, $entry := $models }}
{{- $at := printf "models.%s.fallback" $name }}
{{- range default list $entry.fallback }}
{{- if not (hasKey $models .) }}
{{ $at }}: there is no model {{ . }}
{{- else if ne (get $models .).task $entry.task }}
{{ $at }}: {{ . }} does another task
{{- end }}
{{- end }}
{{- /* As many steps as there are models reach everything that can be reached. */ -}}
{{- $reached := default list $entry.fallback }}
{{- range $models }}
{{- range $reached }}{{ $reached = concat $reached (dig . "fallback" list $models) | uniq }}{{ end }}
{{- end }}
{{- if has $name $reached }}
{{ $at }}: it leads back to {{ $name }}
{{- end }}
{{- end }}
{{- end -}}
