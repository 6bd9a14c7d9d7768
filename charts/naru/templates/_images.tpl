{{- /* An image's reference. `image` says what is set, `name` the project's image where no repository is. */ -}}
{{- define "naru.image" -}}
{{- $images := .root.Values.images -}}
{{- $repository := .image.repository | default (printf "%s/%s" $images.registry .name) -}}
{{- $tag := .image.tag | default (ternary "" ($images.tag | default .root.Chart.AppVersion) (ne .image.repository "")) -}}
{{- $repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "naru.versionImage" -}}
{{- $name := ternary .version.bento "llm-cpu" (eq .version.runtime "bentoml") -}}
{{- include "naru.image" (dict "root" .root "image" .version.image "name" $name) -}}
{{- end -}}

{{- define "naru.pullSecrets" -}}
{{- with .Values.images.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
