{{- define "llm-gateway.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "llm-gateway.labels" -}}
app.kubernetes.io/name: {{ include "llm-gateway.name" . }}
{{- end }}

{{- define "llm-gateway.selector" -}}
app.kubernetes.io/name: {{ include "llm-gateway.name" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "llm-gateway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "llm-gateway.secret" -}}
{{ .Values.existingSecret | default (include "llm-gateway.name" .) }}
{{- end }}

{{- define "llm-gateway.variables" -}}
envFrom:
  - configMapRef:
      name: {{ include "llm-gateway.name" . }}
  - secretRef:
      name: {{ include "llm-gateway.secret" . }}
{{- end }}

{{- define "llm-gateway.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "llm-gateway.podTemplate" -}}
metadata:
  labels:
    {{- include "llm-gateway.selector" . | nindent 4 }}
  {{- if or .Values.podAnnotations .Values.gatewayConfig }}
  annotations:
    {{- with .Values.gatewayConfig }}
    checksum/gateway-config: {{ toYaml . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "llm-gateway.selector" $ | nindent 10 }}
    {{- end }}
  {{- if .Values.migration.enabled }}
  initContainers:
    # Fails, and is retried, until the migration job has finished: no pod serves on an old schema.
    - name: wait-for-migrations
      image: {{ include "llm-gateway.image" . }}
      args: [dist/src/cli.js, check:db]
      {{- include "llm-gateway.variables" . | nindent 6 }}
      resources:
        requests:
          cpu: 50m
          memory: 192Mi
        limits:
          memory: 512Mi
      {{- include "llm-gateway.containerSecurity" . | nindent 6 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
  {{- end }}
  containers:
    - name: gateway
      image: {{ include "llm-gateway.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- include "llm-gateway.variables" . | nindent 6 }}
      {{- if .Values.gatewayConfig }}
      env:
        - name: GATEWAY_CONFIG
          value: /etc/llm-gateway/gateway.yaml
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.environment.PORT }}
      startupProbe:
        httpGet:
          path: /health
          port: http
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 45
      livenessProbe:
        httpGet:
          path: /health
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /ready
          port: http
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep:
            seconds: {{ .Values.preStopSeconds }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- include "llm-gateway.containerSecurity" . | nindent 6 }}
      volumeMounts:
        - name: data
          mountPath: {{ .Values.environment.DATA_DIR }}
        - name: tmp
          mountPath: /tmp
        {{- if .Values.gatewayConfig }}
        - name: gateway-config
          mountPath: /etc/llm-gateway
          readOnly: true
        {{- end }}
  volumes:
    {{- if eq .Values.workload "Deployment" }}
    - name: data
      emptyDir:
        sizeLimit: {{ .Values.journal.size }}
    {{- end }}
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if .Values.gatewayConfig }}
    - name: gateway-config
      configMap:
        name: {{ include "llm-gateway.name" . }}-models
    {{- end }}
{{- end }}

{{- define "llm-gateway.watched" -}}
{{- $kind := index . 2 }}
{{- $enabled := (index . 1).enabled | toString }}
{{- $isKnown := (index . 0).Capabilities.APIVersions.Has (print "monitoring.coreos.com/v1/" $kind) }}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") $isKnown) }}yes{{ end }}
{{- end }}
