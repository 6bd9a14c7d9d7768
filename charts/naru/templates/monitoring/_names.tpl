{{- /* The name of the object that carries a file: `root`, `path`. */ -}}
{{- define "naru.fileName" -}}
{{- $file := base .path | trimSuffix (ext .path) -}}
{{- include "naru.short" (dict "name" (printf "%s-%s" (include "naru.fullname" .root) (include "naru.slug" $file)) "most" 63) -}}
{{- end -}}
