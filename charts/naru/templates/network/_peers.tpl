{{- define "naru.dnsEgress" -}}
- to:
  {{- range .Values.networkPolicy.dns }}
    - {{ toYaml . | nindent 6 | trim }}
  {{- end }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{- /* Addresses and ports, as a rule of egress. */ -}}
{{- define "naru.addressEgress" -}}
- to:
  {{- range .cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
  {{- end }}
  ports:
  {{- range .ports }}
    - {port: {{ int . }}, protocol: TCP}
  {{- end }}
{{- end -}}

{{- /* The port of `http://host:port/path`. */ -}}
{{- define "naru.urlPort" -}}
{{- $host := (urlParse .).host -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end -}}
