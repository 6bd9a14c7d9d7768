{{- /* Every version that the chart runs, as a JSON array. Put together once for all templates: fifty models stay fast. */ -}}
{{- define "naru.versions" -}}
{{- include "naru.prune" . -}}
{{- if not (hasKey .Values "versionsOnce") }}{{ $_ := set .Values "versionsOnce" (include "naru.allVersions" .) }}{{ end -}}
{{- .Values.versionsOnce -}}
{{- end -}}

{{- /*
An element is what `defaults`, `runtimes`, the model and the version say
together, and: model, label, name (of its objects), modelLabel, versionLabel, task, runtime, percentile (of its slo), share
(of the model's weights), pool (its node pool) and kind (Deployment or LeaderWorkerSet).
*/ -}}
{{- define "naru.allVersions" -}}
{{- $versions := list -}}
{{- $root := . -}}
{{- range $model, $entry := .Values.models -}}
{{- if ne $entry.runtime "external" -}}
{{- $weights := 0 -}}
{{- range $entry.versions }}{{ $weights = add $weights (include "naru.weight" . | int) }}{{ end -}}
{{- range $label, $own := $entry.versions -}}
{{- $version := include "naru.version" (dict "root" $root "entry" $entry "own" $own) | fromJson -}}
{{- $slug := printf "%s-%s" (include "naru.slug" $model) (include "naru.slug" $label) -}}
{{- $identity := dict "model" $model "label" $label "runtime" $entry.runtime "task" $entry.task
    "name" (include "naru.short" (dict "name" (printf "%s-%s" (include "naru.fullname" $root) $slug) "most" 52))
    "modelLabel" (include "naru.short" (dict "name" (include "naru.slug" $model) "most" 63))
    "versionLabel" (include "naru.short" (dict "name" (include "naru.slug" $label) "most" 63))
    "percentile" (dig "slo" "percentile" 95 $entry)
    "share" (ternary 0.0 (divf (include "naru.weight" $own | int) (max 1 $weights)) (eq $weights 0))
    "kind" (ternary "LeaderWorkerSet" "Deployment" (gt (int $version.nodes) 1)) -}}
{{- $versions = append $versions (merge $identity $version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $versions -}}
{{- end -}}

{{- /* A version's weight; the registry's default is 100. */ -}}
{{- define "naru.weight" -}}
{{- dig "weight" 100 (default dict .) | int -}}
{{- end -}}

{{- /* One version as `defaults` < `runtimes` < model < version say. `entry` is the model's, `own` the version's. */ -}}
{{- define "naru.version" -}}
{{- $values := .root.Values -}}
{{- $serving := keys $values.defaults -}}
{{- $ofModel := include "naru.pick" (dict "from" .entry "names" $serving) | fromJson -}}
{{- $ofVersion := include "naru.pick" (dict "from" .own "names" $serving) | fromJson -}}
{{- $asked := mergeOverwrite (deepCopy $values.defaults) (deepCopy $ofModel) (deepCopy $ofVersion) -}}
{{- $runtime := .entry.runtime -}}
{{- if eq $runtime "vllm" }}{{ $runtime = ternary "vllm" "vllmCpu" (gt (int $asked.gpus) 0) }}{{ end -}}
{{- $version := mergeOverwrite (deepCopy $values.defaults) (deepCopy (get $values.runtimes $runtime)) $ofModel $ofVersion -}}
{{- $pool := mergeOverwrite (deepCopy $values.nodePoolDefaults) (deepCopy (get $values.nodePools $version.nodePool | default dict)) -}}
{{- $adapters := default dict .entry.adapters -}}
{{- mergeOverwrite $version (dict "variant" $runtime "pool" $pool "adapters" $adapters) | toJson -}}
{{- end -}}

{{- /* The entries of a map under some names, as JSON. */ -}}
{{- define "naru.pick" -}}
{{- $picked := dict -}}
{{- $from := default dict .from -}}
{{- range .names }}{{ if hasKey $from . }}{{ $_ := set $picked . (get $from .) }}{{ end }}{{ end -}}
{{- toJson $picked -}}
{{- end -}}

{{- /* Whether pods of this version are started before others are stopped: "true" or "". */ -}}
{{- define "naru.surges" -}}
{{- $spare := ge (int .pool.spareGpus) (mul (int .gpus) (int .nodes) | int) -}}
{{- if or (eq .update.strategy "surge") (and (eq .update.strategy "auto") (or (eq (int .gpus) 0) $spare)) }}true{{ end -}}
{{- end -}}

{{- /* Seconds from the eviction of a pod to its being killed: the sleep, the drain, and ten for the engine to end. */ -}}
{{- define "naru.grace" -}}
{{- add (int .preStop) (int .drainTimeout) 10 -}}
{{- end -}}

{{- /* Most pods that a version can have. */ -}}
{{- define "naru.mostReplicas" -}}
{{- ternary (int .replicas) (int .autoscaling.max) (eq .autoscaling.kind "none") -}}
{{- end -}}

{{- /* Fewest pods that a version can have. */ -}}
{{- define "naru.fewestReplicas" -}}
{{- ternary (int .replicas) (int .autoscaling.min) (eq .autoscaling.kind "none") -}}
{{- end -}}
