{{- /* The front of every object's name: the release, and the chart's name unless the release already has it. */ -}}
{{- define "naru.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) .Values.fullnameOverride -}}
{{- include "naru.short" (dict "name" $full "most" 40) -}}
{{- end -}}

{{- /* A name cut to `most` characters; a cut one ends in a digest of the whole, so that no two become one. */ -}}
{{- define "naru.short" -}}
{{- if gt (len .name) (int .most) -}}
{{- printf "%s-%s" (trunc (sub (int .most) 9 | int) .name | trimSuffix "-") (sha256sum .name | trunc 8) -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end -}}

{{- /* A model's or version's name as a label and as a part of object names: `Qwen/Qwen3-8B` becomes `qwen-qwen3-8b`. */ -}}
{{- define "naru.slug" -}}
{{- regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" -}}
{{- end -}}

{{- define "naru.gateway" -}}
{{- printf "%s-gateway" (include "naru.fullname" .) -}}
{{- end -}}

{{- define "naru.gatewayAccount" -}}
{{- default (include "naru.gateway" .) .Values.gateway.serviceAccount.name -}}
{{- end -}}

{{- define "naru.modelAccount" -}}
{{- default (printf "%s-models" (include "naru.fullname" .)) .Values.modelServiceAccount.name -}}
{{- end -}}

{{- /* The Secret with one key in plain text, or nothing where keys come from a file alone. */ -}}
{{- define "naru.developmentSecret" -}}
{{- if .Values.keys.developmentSecret -}}
{{- .Values.keys.developmentSecret -}}
{{- else if not .Values.keys.existingSecret -}}
{{- printf "%s-key" (include "naru.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "naru.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "naru.labels" -}}
{{ include "naru.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "naru.gatewaySelector" -}}
{{ include "naru.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- /* What selects the pods of one version; `root` is the chart's context, `version` an element of naru.versions. */ -}}
{{- define "naru.versionSelector" -}}
{{ include "naru.selector" .root }}
app.kubernetes.io/component: model
naru-serving/model: {{ .version.modelLabel | quote }}
naru-serving/version: {{ .version.versionLabel | quote }}
{{- end -}}
