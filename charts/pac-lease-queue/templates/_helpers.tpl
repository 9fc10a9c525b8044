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

{{- define "pac-lease-queue.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pac-lease-queue.labels" -}}
{{ include "pac-lease-queue.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* How the API server knows the add-on: the user name of its service account. */}}
{{- define "pac-lease-queue.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "pac-lease-queue.fullname" . }}
{{- end -}}

{{/* What hold and guard look at: every write to a PipelineRun, in whatever version, but not its status. */}}
{{- define "pac-lease-queue.pipelineRunWrites" -}}
matchPolicy: Equivalent
resourceRules:
  - apiGroups: [tekton.dev]
    apiVersions: [v1]
    resources: [pipelineruns]
    operations: [CREATE, UPDATE]
{{- end -}}

{{/*
Fails unless the cluster serves MutatingAdmissionPolicy. Helm knows the kinds of a
cluster it talks to; "v1/Pod" is among them. Rendering without a cluster it knows
none, and the version it renders for decides.
*/}}
{{- define "pac-lease-queue.requireMutatingAdmissionPolicy" -}}
{{- if not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
{{- if or (.Capabilities.APIVersions.Has "v1/Pod") (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "admission.hold is \"policy\", but this cluster (Kubernetes %s) does not serve MutatingAdmissionPolicy in admissionregistration.k8s.io/v1, which is there from 1.36 on. Upgrade the cluster, or set admission.hold to \"none\" and keep the guard on, which refuses what Pipelines-as-Code then tries to start. If this was rendered without a cluster, name the right version with --kube-version." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
