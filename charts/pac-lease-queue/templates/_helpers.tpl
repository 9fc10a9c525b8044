{{/*
The name of everything: pac-lease-queue for a release of that name, otherwise
release-pac-lease-queue, within what a label value may hold once a suffix is added.
*/}}
{{- define "pac-lease-queue.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 24 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* The replicas, and no other pod of the release. */}}
{{- define "pac-lease-queue.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* The chart's own labels cannot be replaced: selectors go by them. */}}
{{- define "pac-lease-queue.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" .Chart.Name
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own (default dict .Values.commonLabels)) -}}
{{- end -}}

{{/* Labels of the pods of one component: list $ "component". */}}
{{- define "pac-lease-queue.podLabels" -}}
{{- $ := index . 0 -}}
{{- $own := set (include "pac-lease-queue.labels" $ | fromYaml) "app.kubernetes.io/component" (index . 1) -}}
{{- toYaml (merge $own (default dict $.Values.podLabels)) -}}
{{- end -}}

{{/* Name, namespace and labels of an object: list $ "suffix", in the release's namespace, or list $ "suffix" "namespace". */}}
{{- define "pac-lease-queue.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "pac-lease-queue.fullname" $ }}{{ index . 1 }}
namespace: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ $.Release.Namespace }}{{ end }}
labels:
  {{- include "pac-lease-queue.labels" $ | nindent 2 }}
{{- end -}}

{{/* Name and labels of an object that is in no namespace: list $ "suffix". */}}
{{- define "pac-lease-queue.clusterMetadata" -}}
{{- $ := index . 0 -}}
name: {{ include "pac-lease-queue.fullname" $ }}{{ index . 1 }}
labels:
  {{- include "pac-lease-queue.labels" $ | nindent 2 }}
{{- end -}}

{{/* Binds a role to an account, both of them of the release: list $ "kind" "suffix of the role" "account". */}}
{{- define "pac-lease-queue.binding" -}}
{{- $ := index . 0 -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ index . 1 }}
  name: {{ include "pac-lease-queue.fullname" $ }}{{ index . 2 }}
subjects:
  - kind: ServiceAccount
    name: {{ index . 3 }}
    namespace: {{ $.Release.Namespace }}
{{- end -}}

{{- define "pac-lease-queue.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "pac-lease-queue.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "pac-lease-queue.fullname" .) -}}
{{- end -}}

{{/* How the API server knows the add-on: the user name of its service account. */}}
{{- define "pac-lease-queue.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "pac-lease-queue.serviceAccountName" . }}
{{- end -}}

{{/* What hold and guard look at, in the queued namespaces only: a run that is held anywhere else nobody would start. */}}
{{- define "pac-lease-queue.namespaceSelector" -}}
{{- with .Values.watchNamespaces -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values:
        {{- toYaml . | nindent 8 }}
{{- end -}}
{{- end -}}

{{/* Every write to a PipelineRun, in whatever version, but not its status. */}}
{{- define "pac-lease-queue.pipelineRunWrites" -}}
- apiGroups: [tekton.dev]
  apiVersions: [v1]
  resources: [pipelineruns]
  operations: [CREATE, UPDATE]
{{- end -}}

{{/*
The only condition of the hold. An order that arrives after the run was started is
moved too, which changes nothing, and a condition that could be false for a moment
is one more way for an order to slip through.
*/}}
{{- define "pac-lease-queue.carriesAnOrder" -}}
- name: carries-an-execution-order
  expression: >-
    has(object.metadata.annotations) &&
    'pipelinesascode.tekton.dev/execution-order' in object.metadata.annotations
{{- end -}}

{{/*
Whether the cluster serves MutatingAdmissionPolicy. Helm knows the kinds of a
cluster it talks to; "v1/Pod" is among them. Rendering without a cluster it knows
none, and the version it renders for decides.
*/}}
{{- define "pac-lease-queue.servesMutatingAdmissionPolicy" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
true
{{- else if and (not (.Capabilities.APIVersions.Has "v1/Pod")) (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
true
{{- end -}}
{{- end -}}

{{/* How runs are held in the end: policy, webhook or none. */}}
{{- define "pac-lease-queue.hold" -}}
{{- $policy := include "pac-lease-queue.servesMutatingAdmissionPolicy" . -}}
{{- if .Values.handBack -}}
none
{{- else if eq .Values.admission.hold "auto" -}}
{{ ternary "policy" "webhook" (eq $policy "true") }}
{{- else -}}
{{ .Values.admission.hold }}
{{- end -}}
{{- end -}}

{{/* Not empty if there is a guard. */}}
{{- define "pac-lease-queue.guard" -}}
{{- if and .Values.admission.guard.enabled (not .Values.handBack) -}}
true
{{- end -}}
{{- end -}}

{{/* The container of one subcommand: list $ "name" (list "args"). Ports and probes are up to the caller. */}}
{{- define "pac-lease-queue.container" -}}
{{- $ := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "pac-lease-queue.image" $ | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
args: {{ index . 2 | toJson }}
{{- with $.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What all pods have in common but their container. */}}
{{- define "pac-lease-queue.pod" -}}
automountServiceAccountToken: true
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pac-lease-queue.env" -}}
- name: SYSTEM_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: CONFIG_NAME
  value: {{ include "pac-lease-queue.fullname" . }}-config
{{- with .Values.watchNamespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . }}
{{- end }}
{{- end -}}

{{/* What the subcommands are told of hold and guard, which are there only if they are named. */}}
{{- define "pac-lease-queue.admissionEnv" -}}
{{- if ne (include "pac-lease-queue.hold" .) "none" -}}
- name: HOLD_NAME
  value: {{ include "pac-lease-queue.fullname" . }}-hold
{{- end }}
{{- if include "pac-lease-queue.guard" . }}
- name: GUARD_NAME
  value: {{ include "pac-lease-queue.fullname" . }}-guard
{{- end }}
{{- end -}}
