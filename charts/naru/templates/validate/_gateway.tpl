{{- define "naru.validate.gateway" -}}
{{- $gateway := .Values.gateway }}
{{- if and $gateway.autoscaling.enabled (gt (int $gateway.autoscaling.min) (int $gateway.autoscaling.max)) }}
gateway.autoscaling.min: {{ int $gateway.autoscaling.min }} is above max ({{ int $gateway.autoscaling.max }})
{{- end }}
{{- if and $gateway.autoscaling.enabled (not (dig "requests" "cpu" nil $gateway.resources)) }}
gateway.resources.requests.cpu: autoscaling measures against it
{{- end }}
{{- if and $gateway.grpc.tls.clientCertificates (not $gateway.grpc.tls.existingSecret) }}
gateway.grpc.tls.clientCertificates: existingSecret is missing
{{- end }}
{{- if and (eq (dig "cache" "store" "memory" $gateway.settings) "redis") (not .Values.redis.existingSecret) }}
gateway.settings.cache.store: redis needs redis.existingSecret
{{- end }}
{{- if .Values.test.model }}
{{- if not (hasKey .Values.models .Values.test.model) }}
test.model: there is no model {{ .Values.test.model }}
{{- else if ne (get .Values.models .Values.test.model).task "chat" }}
test.model: {{ .Values.test.model }} is no chat model
{{- end }}
{{- end }}
{{- end -}}

{{- define "naru.validate.doors" -}}
{{- $values := .Values }}
{{- $tls := .Values.gateway.grpc.tls }}
{{- with .Values.ingress }}
{{- if and .enabled (not .host) }}
ingress.host: give the name clients call
{{- end }}
{{- if and .enabled .grpcHost (not $values.gateway.grpc.enabled) }}
ingress.grpcHost: gateway.grpc.enabled is off
{{- end }}
{{- if and .enabled .grpcHost (eq .grpcHost .host) }}
ingress.grpcHost: gRPC needs a name of its own
{{- end }}
{{- if and .enabled .grpcHost $tls.existingSecret }}
{{- if $tls.clientCertificates }}
ingress.grpcHost: an Ingress has no certificate to show the gRPC port (gateway.grpc.tls.clientCertificates): reach it by gateway.service.type LoadBalancer
{{- else if eq (get .grpcAnnotations "nginx.ingress.kubernetes.io/backend-protocol") "GRPC" }}
ingress.grpcAnnotations: the gRPC port ends TLS itself (gateway.grpc.tls): set nginx.ingress.kubernetes.io/backend-protocol to GRPCS
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.gatewayApi }}
{{- if and .enabled (not .parentRefs) (not .gateway.create) }}
gatewayApi.parentRefs: name the Gateway that the routes hang on, or set gateway.create
{{- end }}
{{- if and .enabled .gateway.create (not .gateway.className) }}
gatewayApi.gateway.className: give the class
{{- end }}
{{- if and .enabled .grpcHostnames (not $values.gateway.grpc.enabled) }}
gatewayApi.grpcHostnames: gateway.grpc.enabled is off
{{- end }}
{{- if and .enabled .grpcHostnames (not .hostnames) }}
gatewayApi.hostnames: without names the HTTPRoute claims those of gRPC as well, and a Gateway takes but one of the two routes
{{- end }}
{{- range $http := ternary .hostnames list .enabled }}
{{- range $grpc := $.Values.gatewayApi.grpcHostnames }}
{{- if or (eq $http $grpc) (include "naru.covers" (list $http $grpc)) (include "naru.covers" (list $grpc $http)) }}
gatewayApi.grpcHostnames: {{ $grpc }} is also one of hostnames ({{ $http }}), and a Gateway takes but one of the two routes
{{- end }}
{{- end }}
{{- end }}
{{- if and .enabled .grpcHostnames $tls.existingSecret }}
gatewayApi.grpcHostnames: a GRPCRoute speaks plain text to the gRPC port, which ends TLS itself (gateway.grpc.tls): let TLS end at the Gateway, or reach the port by gateway.service.type LoadBalancer
{{- end }}
{{- end }}
{{- end -}}

{{- /* Whether the first of two names is a wildcard for the second: "true" or "". */ -}}
{{- define "naru.covers" -}}
{{- $name := last . -}}
{{- with first . }}{{ if and (hasPrefix "*." .) (hasSuffix (trimPrefix "*" .) $name) }}true{{ end }}{{ end -}}
{{- end -}}
