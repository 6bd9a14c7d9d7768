{{- /*
Arguments of `vllm serve` on GPUs, the same that services/llm computes: `root`, `version`, and `worker` for the pods of a
LeaderWorkerSet that follow.
*/ -}}
{{- define "naru.vllmArguments" -}}
{{- $version := .version -}}
{{- $source := include "naru.vllmSource" $version | fromJson -}}
{{- $parts := list
    (list $source.location)
    $source.options
    (list "--served-model-name" $version.model "--host" "0.0.0.0" "--port" (toString $version.containerPort))
    (list "--tensor-parallel-size" (include "naru.tensor" $version))
    (list "--pipeline-parallel-size" (include "naru.pipeline" $version))
    (list "--shutdown-timeout" (toString $version.drainTimeout))
    (list "--enable-request-id-headers" "--enable-prompt-tokens-details" "--disable-uvicorn-access-log")
    (include "naru.engineArguments" $version.engine | fromJsonArray)
    (include "naru.adapterArguments" $version.adapters | fromJsonArray)
    (include "naru.nodeArguments" . | fromJsonArray)
    (default list $version.engine.extra_args) -}}
{{- $arguments := list -}}
{{- range $parts }}{{ $arguments = concat $arguments . }}{{ end -}}
{{- toYaml $arguments -}}
{{- end -}}

{{- /* The fields of `engine` in vLLM's words, as JSON. */ -}}
{{- define "naru.engineArguments" -}}
{{- $arguments := list -}}
{{- with .dtype }}{{ $arguments = concat $arguments (list "--dtype" .) }}{{ end -}}
{{- with .max_model_len }}{{ $arguments = concat $arguments (list "--max-model-len" (toJson .)) }}{{ end -}}
{{- with .max_num_seqs }}{{ $arguments = concat $arguments (list "--max-num-seqs" (toJson .)) }}{{ end -}}
{{- with .max_requests }}{{ $arguments = concat $arguments (list "--max-num-queued-reqs" (toJson .)) }}{{ end -}}
{{- with .kv_cache }}{{ $arguments = concat $arguments (list "--kv-cache-memory-bytes" (mul . 1073741824 | toJson)) }}{{ end -}}
{{- if .eager }}{{ $arguments = append $arguments "--enforce-eager" }}{{ end -}}
{{- with .tool_parser -}}
{{- $strictness := default "parameter" $.tool_strictness -}}
{{- $arguments = append $arguments "--enable-auto-tool-choice" -}}
{{- $arguments = concat $arguments (list "--tool-call-parser" . "--tool-strict-level" $strictness) -}}
{{- end -}}
{{- with .traces }}{{ $arguments = concat $arguments (list "--otlp-traces-endpoint" (printf "%s/v1/traces" (trimSuffix "/" .))) }}{{ end -}}
{{- toJson $arguments -}}
{{- end -}}

{{- define "naru.adapterArguments" -}}
{{- $arguments := list -}}
{{- with . }}{{ $arguments = list "--enable-lora" "--lora-modules" }}{{ end -}}
{{- range $name, $reference := . -}}
{{- $arguments = append $arguments (printf "%s=%s" $name (trimPrefix "hf:" $reference)) -}}
{{- end -}}
{{- toJson $arguments -}}
{{- end -}}

{{- /* What the operator of LeaderWorkerSets tells each pod of itself, for vLLM. */ -}}
{{- define "naru.nodeArguments" -}}
{{- $arguments := list -}}
{{- if gt (int .version.nodes) 1 -}}
{{- $arguments = concat $arguments (list "--nnodes" "$(LWS_GROUP_SIZE)" "--node-rank" "$(LWS_WORKER_INDEX)") -}}
{{- $arguments = concat $arguments (list "--master-addr" "$(LWS_LEADER_ADDRESS)") -}}
{{- if .worker }}{{ $arguments = append $arguments "--headless" }}{{ end -}}
{{- end -}}
{{- toJson $arguments -}}
{{- end -}}

{{- /* Where vLLM finds the weights and the options that go with it, as JSON. */ -}}
{{- define "naru.vllmSource" -}}
{{- $location := .source -}}
{{- $options := list -}}
{{- if hasPrefix "hf:" .source -}}
{{- $parts := splitn "@" 2 (trimPrefix "hf:" .source) -}}
{{- $location = $parts._0 -}}
{{- with $parts._1 }}{{ $options = list "--revision" . }}{{ end -}}
{{- else if hasPrefix "s3://" .source -}}
{{- $options = list "--load-format" "runai_streamer" -}}
{{- else if hasPrefix "oci://" .source -}}
{{- $location = "/weights" -}}
{{- end -}}
{{- dict "location" $location "options" $options | toJson -}}
{{- end -}}

{{- define "naru.tensor" -}}
{{- default (int .gpus) (int .parallel.tensor) -}}
{{- end -}}

{{- define "naru.pipeline" -}}
{{- default (int .nodes) (int .parallel.pipeline) -}}
{{- end -}}

{{- /* Variables of vLLM's official image under a user that the image does not know, on a root file system that is read-only. */ -}}
{{- define "naru.vllmEnvironment" -}}
- name: HOME
  value: /var/cache/naru
- name: USER
  value: naru
- name: HF_HOME
  value: /var/cache/naru/huggingface
- name: VLLM_CACHE_ROOT
  value: /var/cache/naru/vllm
- name: TORCHINDUCTOR_CACHE_DIR
  value: /var/cache/naru/inductor
- name: TRITON_CACHE_DIR
  value: /var/cache/naru/triton
- name: VLLM_NO_USAGE_STATS
  value: "1"
- name: DO_NOT_TRACK
  value: "1"
{{- if .engine.traces }}
- name: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
  value: http/protobuf
- name: OTEL_SERVICE_NAME
  value: naru-llm
{{- end }}
{{- end -}}

{{- /* Variables of the project's CPU image, which computes vLLM's arguments itself. */ -}}
{{- define "naru.vllmCpuEnvironment" -}}
- name: NARU_CACHE
  value: /var/cache/naru
- name: NARU_LLM__HOST
  value: 0.0.0.0
- name: NARU_LLM__PORT
  value: {{ .containerPort | quote }}
- name: NARU_LLM__MODEL
  value: {{ ternary "/weights" .source (hasPrefix "oci://" .source) | quote }}
- name: NARU_LLM__SERVED_NAME
  value: {{ .model | quote }}
- name: NARU_LLM__DEVICE
  value: cpu
- name: NARU_LLM__DRAIN_TIMEOUT
  value: {{ .drainTimeout | quote }}
- name: HF_HOME
  value: /var/cache/naru/huggingface
{{- with .adapters }}
- name: NARU_LLM__LORA
  value: {{ toJson . | quote }}
{{- end }}
{{- range $name, $value := .engine }}
{{- if not (kindIs "invalid" $value) }}
- name: NARU_LLM__{{ upper $name }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
{{- end -}}
