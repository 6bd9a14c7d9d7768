{{- /* From the gateways to the models' pods, and to the ports of endpoints that run elsewhere. */ -}}
{{- define "naru.modelsEgress" -}}
{{- include "naru.prune" . -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "naru.selector" . | nindent 10 }}
          app.kubernetes.io/component: model
{{- $ports := list -}}
{{- $namespaces := list -}}
{{- range .Values.models -}}
{{- range ternary .versions dict (eq .runtime "external") -}}
{{- with . -}}
{{- range .endpoints }}{{ $ports = append $ports (include "naru.urlPort" .) }}{{ end -}}
{{- if .service }}{{ $namespaces = append $namespaces (default $.Release.Namespace .namespace) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with uniq $ports }}
- ports:
  {{- range . }}
    - {port: {{ . }}, protocol: TCP}
  {{- end }}
{{- end }}
{{- with uniq $namespaces }}
# The pods behind somebody else's Services have ports that are not known here.
- to:
  {{- range . }}
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* From a version's pods to what they load from, and to the collector of their spans: `root`, `version`. */ -}}
{{- define "naru.versionEgress" -}}
{{- $hubs := .root.Values.networkPolicy.hubs -}}
{{- if include "naru.fetches" .version }}
{{- $ports := $hubs.ports -}}
{{- with .root.Values.huggingFace.endpoint }}{{ $ports = append $ports (include "naru.urlPort" . | int) }}{{ end -}}
{{- include "naru.addressEgress" (dict "cidrs" $hubs.cidrs "ports" (uniq $ports)) }}
{{- end }}
{{- range compact (list (get .version.engine "traces") (get .version.settings "traces")) }}
- ports:
    - {port: {{ include "naru.urlPort" . }}, protocol: TCP}
{{- end }}
{{- end -}}

{{- /* Whether a model is brought from outside the cluster when its pod starts: "true" or "". */ -}}
{{- define "naru.fetches" -}}
{{- $remote := regexMatch "^(hf:|s3:|packaged:)" .source -}}
{{- range .adapters }}{{ if regexMatch "^(hf:|s3:)" . }}{{ $remote = true }}{{ end }}{{ end -}}
{{- if or $remote .fetches (eq .bento "recommendation") }}true{{ end -}}
{{- end -}}
