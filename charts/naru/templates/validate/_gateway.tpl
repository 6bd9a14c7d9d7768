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
{{- end }}
{{- end -}}
