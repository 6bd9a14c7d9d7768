{{- /*
Models, versions and pools that are `null` are not wanted: that is how one values file takes away what another one has. Every
template that reads them begins with this.
*/ -}}
{{- define "naru.prune" -}}
{{- range $entries := list .Values.models .Values.nodePools -}}
{{- range $name, $entry := $entries -}}
{{- if not (kindIs "map" $entry) }}{{ $_ := unset $entries $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $entry := .Values.models -}}
{{- range $label, $version := $entry.versions -}}
{{- if not (kindIs "map" $version) }}{{ $_ := unset $entry.versions $label }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
