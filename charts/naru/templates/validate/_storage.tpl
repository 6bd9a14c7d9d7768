{{- define "naru.validate.sources" -}}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- if eq .runtime "vllm" }}
{{- if not .source }}
{{ $at }}.source: say what vLLM serves: hf:…, s3://…, oci://… or a path
{{- end }}
{{- if and (eq .variant "vllm") (hasPrefix "packaged:" .source) }}
{{ $at }}.source: {{ .source }} is of the CPU image; with gpus it needs hf:…, s3://…, oci://… or a path
{{- end }}
{{- if and (eq .variant "vllmCpu") (hasPrefix "s3://" .source) }}
{{ $at }}.source: the CPU image streams no s3://; use hf:…, oci://… or a path
{{- end }}
{{- if and (hasPrefix "oci://" .source) (or (hasSuffix ":latest" .source) (not (regexMatch "@sha256:[0-9a-f]{64}$|:\\w[\\w.-]*$" .source))) }}
{{ $at }}.source: {{ .source }} names no version: end it in a tag other than latest, or in a digest
{{- end }}
{{- $of := printf "models.%s" .model }}
{{- range $name, $reference := .adapters }}
{{- if not (regexMatch "^(hf:|/)" $reference) }}
{{ $of }}.adapters.{{ $name }}: give hf:<organisation>/<name> or a path under /models
{{- end }}
{{- end }}
{{- if eq .variant "vllmCpu" }}
{{- range $name, $reference := .adapters }}
{{- if hasPrefix "hf:" $reference }}
{{ $at }}: the CPU image takes adapter {{ $name }} from a path only
{{- end }}
{{- end }}
{{- end }}
{{- if and (hasPrefix "/models" .source) (not .modelClaim) }}
{{ $at }}.modelClaim: {{ .source }} is on no volume
{{- end }}
{{- else if ne .source "" }}
{{ $at }}.source: only for vllm
{{- end }}
{{- end }}
{{- end -}}

{{- /* Several versions on a claim that one pod can use: all but one would wait for ever. */ -}}
{{- define "naru.validate.claims" -}}
{{- $users := dict }}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- if and (eq .storage.type "pvc") .storage.existingClaim (ne .storage.accessMode "ReadWriteMany") }}
{{- $mode := .storage.accessMode }}
{{- with get $users .storage.existingClaim }}
{{ $at }}.storage.existingClaim: {{ . }} has it as well, and with {{ $mode }} one pod can: give each a claim, or use ReadWriteMany
{{- end }}
{{- $_ := set $users .storage.existingClaim $at }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A claim of one pod (or node) and a rollout that needs it in two places wait for each other for ever. */ -}}
{{- define "naru.validate.storage" -}}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s.storage" .model .label }}
{{- if and (eq .storage.type "hostPath") (not .storage.hostPath) }}
{{ $at }}.hostPath: give the folder
{{- end }}
{{- if and (eq .storage.type "pvc") (ne .storage.accessMode "ReadWriteMany") }}
{{- if eq (include "naru.surges" .) "true" }}
{{ $at }}.accessMode: with {{ .storage.accessMode }} and an update by surge the new pod waits for the old one's volume, which waits for the new pod: use update.strategy replace, or ReadWriteMany
{{- end }}
{{- if gt (include "naru.mostReplicas" . | int) 1 }}
{{ $at }}.accessMode: {{ .storage.accessMode }} is for one pod, and there can be {{ include "naru.mostReplicas" . }}: use ReadWriteMany
{{- end }}
{{- if gt (int .nodes) 1 }}
{{ $at }}.accessMode: {{ .storage.accessMode }} is for one pod, and a replica has {{ int .nodes }}: use ReadWriteMany
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
