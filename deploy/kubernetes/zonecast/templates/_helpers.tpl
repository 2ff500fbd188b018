{{- define "zonecast.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "zonecast.selector" -}}
app.kubernetes.io/name: zonecast
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "zonecast.labels" -}}
{{ include "zonecast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* The Secret that instances get their settings from, empty for none. */}}
{{- define "zonecast.secret" -}}
{{- if .Values.secrets.existing }}{{ .Values.secrets.existing }}
{{- else if .Values.secrets.values }}{{ include "zonecast.name" . }}
{{- end -}}
{{- end -}}

{{/* What the schema can't say. */}}
{{- define "zonecast.check" -}}
{{- if and (not .Values.redis.url) (or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled) }}
{{- fail "more than one instance needs redis.url: set it, or replicas to 1 without autoscaling" }}
{{- end }}
{{- if regexMatch "//[^/@]*:[^/@]*@" .Values.redis.url }}
{{- fail "redis.url has a password in it: give it as REDIS_PASSWORD, in secrets.values or in the Secret that secrets.existing names" }}
{{- end }}
{{- if and .Values.secrets.existing .Values.secrets.values }}
{{- fail "secrets.existing and secrets.values are both set: give one of them" }}
{{- end }}
{{- if and (not (include "zonecast.secret" .)) (ne (toString .Values.config.ALLOW_ANONYMOUS) "true") }}
{{- fail "no secrets: set secrets.existing, or secrets.values with AUTH_TOKEN_SECRET, PUBLISH_KEYS and OPERATOR_PASSWORD" }}
{{- end }}
{{- if and .Values.ingress.tlsSecret (not .Values.ingress.host) }}
{{- fail "ingress.tlsSecret needs ingress.host: set the name that the certificate is for" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) }}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas: raise it" }}
{{- end }}
{{- end -}}

{{/* Longer than an instance takes to leave. */}}
{{- define "zonecast.grace" -}}
{{- add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 15 -}}
{{- end -}}

{{/* Probes ask by a name of the loopback interface, which ALLOWED_HOSTS never refuses. */}}
{{- define "zonecast.probe" -}}
httpGet:
  path: {{ . }}
  port: http
  httpHeaders: [{name: Host, value: localhost}]
{{- end -}}
