{{- define "naru.validate.placement" -}}
{{- $pools := .Values.nodePools }}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- $gpus := int .gpus }}
{{- if and $gpus (not .nodePool) }}
{{ $at }}.nodePool: a model on GPUs needs one of nodePools
{{- else if and .nodePool (not (hasKey $pools .nodePool)) }}
{{ $at }}.nodePool: there is no {{ .nodePool }} in nodePools
{{- end }}
{{- if and $gpus (gt (int .pool.gpusPerNode) 0) (gt $gpus (int .pool.gpusPerNode)) }}
{{ $at }}.gpus: {{ $gpus }} are more than a node of {{ .nodePool }} has ({{ int .pool.gpusPerNode }}); see nodes
{{- end }}
{{- if and (gt $gpus 1) (contains "mig-" .pool.resource) (not .pool.dra.enabled) }}
{{ $at }}.gpus: vLLM can't join MIG slices ({{ .pool.resource }}): 1 at most
{{- end }}
{{- if and (gt $gpus 1) (hasSuffix ".shared" .pool.resource) (not .pool.dra.enabled) }}
{{ $at }}.gpus: slices of time ({{ .pool.resource }}) may all be of one GPU, on which vLLM can't be parallel: 1 at most
{{- end }}
{{- $version := . }}
{{- range list "limits" "requests" }}
{{- if hasKey (get $version.resources . | default dict) $version.pool.resource }}
{{ $at }}.resources.{{ . }}: {{ $version.pool.resource }} is set by gpus
{{- end }}
{{- end }}
{{- if ge (int .loading.usual) (int .loading.deadline) }}
{{ $at }}.loading: usual ({{ int .loading.usual }}) must be below deadline ({{ int .loading.deadline }})
{{- end }}
{{- end }}
{{- range $name, $own := $pools }}
{{- $pool := mergeOverwrite (deepCopy $.Values.nodePoolDefaults) (deepCopy (default dict $own)) }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $name) }}
nodePools.{{ $name }}: a pool's name is lower-case letters, digits and dashes
{{- end }}
{{- if and $pool.karpenter.enabled (not $pool.karpenter.requirements) }}
nodePools.{{ $name }}.karpenter.requirements: say at least which instances have the GPUs
{{- end }}
{{- range $taint := $pool.karpenter.taints }}
{{- $tolerated := false }}
{{- range $pool.tolerations }}
{{- $key := or (not .key) (eq (default "" .key) $taint.key) }}
{{- $effect := or (not .effect) (eq (default "" .effect) $taint.effect) }}
{{- if and $key $effect }}{{ $tolerated = true }}{{ end }}
{{- end }}
{{- if and $pool.karpenter.enabled (not $tolerated) }}
nodePools.{{ $name }}.tolerations: nothing tolerates the taint {{ $taint.key }} that karpenter.taints gives its nodes
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "naru.validate.parallel" -}}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- $all := mul (int .gpus) (int .nodes) | int }}
{{- if eq .variant "vllm" }}
{{- $parts := mul (include "naru.tensor" . | int) (include "naru.pipeline" . | int) | int }}
{{- if ne $parts $all }}
{{ $at }}.parallel: tensor times pipeline is {{ $parts }}, but there are {{ $all }} GPUs (gpus times nodes)
{{- end }}
{{- else if gt (int .nodes) 1 }}
{{ $at }}.nodes: only vllm on GPUs spans nodes
{{- else if or (gt (int .parallel.tensor) 1) (gt (int .parallel.pipeline) 1) }}
{{ $at }}.parallel: only vllm on GPUs is parallel
{{- end }}
{{- end }}
{{- end -}}
