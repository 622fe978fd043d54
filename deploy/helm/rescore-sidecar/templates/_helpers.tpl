{{- define "rescore-sidecar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rescore-sidecar.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rescore-sidecar.labels" -}}
{{ include "rescore-sidecar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The pods that the container runs in: the Deployment's, or another chart's. */}}
{{- define "rescore-sidecar.pods" -}}
{{- if eq .Values.topology "beside" -}}
{{- if not .Values.service.selector -}}
{{- fail "topology beside needs service.selector, the labels of the pods" -}}
{{- end -}}
{{- toYaml .Values.service.selector -}}
{{- else -}}
{{- include "rescore-sidecar.selector" . -}}
{{- end -}}
{{- end -}}

{{- define "rescore-sidecar.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rescore-sidecar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rescore-sidecar.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* What `serve` and `models prepare` share: environment, mounts and rights. */}}
{{- define "rescore-sidecar.surroundings" -}}
image: {{ include "rescore-sidecar.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: OPENSEARCH_URL, value: {{ .Values.opensearchUrl | quote }}}
  {{- if eq .Values.models.prepare "init" }}
  # Instead of the image's own folder, which cannot be written.
  - {name: XDG_CACHE_HOME, value: /cache}
  {{- else if ne .Values.models.prepare "image" }}
  {{- fail (printf "models.prepare is image or init, not %s" .Values.models.prepare) }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: config, mountPath: /etc/rescore-sidecar, readOnly: true}
  - {name: cache, mountPath: /cache}
  - {name: tmp, mountPath: /tmp}
  {{- with .Values.models.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
