{{- /* What a container is told twice, and memory that it can't have. */ -}}
{{- define "naru.validate.containers" -}}
{{- $root := . }}
{{- include "naru.validate.name" . }}
{{- $own := include "naru.gatewayEnvironment" . | fromYamlArray }}
{{- range list "HTTP" "GRPC" "ADMIN" }}{{ $own = append $own (dict "name" (printf "NARU_GATEWAY__%s__PORT" .)) }}{{ end }}
{{- include "naru.validate.variables" (dict "at" "gateway" "own" $own "env" .Values.gateway.env) }}
{{- include "naru.validate.resources" (dict "at" "gateway" "resources" .Values.gateway.resources) }}
{{- range include "naru.versions" . | fromJsonArray }}
{{- $at := printf "models.%s.versions.%s" .model .label }}
{{- $own := include "naru.modelEnvironment" (dict "root" $root "version" .) | fromYamlArray }}
{{- include "naru.validate.variables" (dict "at" $at "own" $own "env" .env) }}
{{- include "naru.validate.resources" (dict "at" $at "resources" .resources) }}
{{- $limit := dig "limits" "memory" nil .resources }}
{{- if and .sharedMemory $limit (gt (include "naru.quantity" .sharedMemory | float64) (include "naru.quantity" $limit | float64)) }}
{{ $at }}.sharedMemory: {{ .sharedMemory }} counts as memory, of which the pod may have {{ $limit }} (resources.limits.memory)
{{- end }}
{{- include "naru.validate.arguments" (dict "at" $at "given" .engine.extra_args) }}
{{- end }}
{{- end -}}

{{- define "naru.validate.variables" -}}
{{- $at := .at }}
{{- $env := .env }}
{{- range .own }}
{{- if hasKey $env .name }}
{{ $at }}.env.{{ .name }}: the chart sets this variable itself: leave it out
{{- end }}
{{- end }}
{{- end -}}

{{- define "naru.validate.resources" -}}
{{- $at := .at }}
{{- $limits := default dict .resources.limits }}
{{- range $name, $asked := default dict .resources.requests }}
{{- $limit := get $limits $name }}
{{- if and $asked $limit (gt (include "naru.quantity" $asked | float64) (include "naru.quantity" $limit | float64)) }}
{{ $at }}.resources.requests.{{ $name }}: {{ $asked }} is above the limit, {{ $limit }}: raise resources.limits.{{ $name }} as well
{{- end }}
{{- end }}
{{- end -}}

{{- /* Flags of vLLM that the chart gives it: a second one would win, and probes and Services would not know. */ -}}
{{- define "naru.validate.arguments" -}}
{{- $at := .at }}
{{- $fields := dict "model" "source" "served-model-name" "the model's key in models" "revision" "source" "port" "containerPort"
    "tensor-parallel-size" "parallel.tensor" "tp" "parallel.tensor" "pipeline-parallel-size" "parallel.pipeline" "pp" "parallel.pipeline"
    "shutdown-timeout" "drainTimeout" "nnodes" "nodes" "lora-modules" "adapters" "otlp-traces-endpoint" "engine.traces"
    "api-key" "env.VLLM_API_KEY, from a Secret, with gateway.upstreamKey" }}
{{- range default list .given }}
{{- $flag := regexFind "^--?[A-Za-z_-]+" . | trimAll "-" | replace "_" "-" }}
{{- with get $fields $flag }}
{{ $at }}.engine.extra_args: --{{ $flag }} is said by {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Services' names begin with a letter and have no dots, which a release's name may. */ -}}
{{- define "naru.validate.name" -}}
{{- $name := include "naru.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: {{ $name }} can't begin a Service's name: give lower-case letters, digits and dashes, a letter first
{{- end }}
{{- end -}}
