{{/*
What the name of every object begins with: pac-lease-queue for a release of that name, otherwise
release-pac-lease-queue. Short enough to be a label value once a suffix is added.
*/}}
{{- define "pac-lease-queue.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 24 | trimSuffix "-") $name -}}
{{- end -}}
{{- end -}}

{{/* Selects the replicas, and no other pod of the release. */}}
{{- define "pac-lease-queue.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* commonLabels cannot replace the chart's own labels, because selectors use them. */}}
{{- define "pac-lease-queue.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" .Chart.Name
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own (default dict .Values.commonLabels)) -}}
{{- end -}}

{{/* Labels of the pods of one component. Arguments: list $ "component". */}}
{{- define "pac-lease-queue.podLabels" -}}
{{- $ := index . 0 -}}
{{- $own := set (include "pac-lease-queue.labels" $ | fromYaml) "app.kubernetes.io/component" (index . 1) -}}
{{- toYaml (merge $own (default dict $.Values.podLabels)) -}}
{{- end -}}

{{/*
Name, namespace and labels of an object. Arguments: list $ "suffix" for the release's namespace,
or list $ "suffix" "namespace".
*/}}
{{- define "pac-lease-queue.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "pac-lease-queue.fullname" $ }}{{ index . 1 }}
namespace: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ $.Release.Namespace }}{{ end }}
labels:
  {{- include "pac-lease-queue.labels" $ | nindent 2 }}
{{- end -}}

{{/* Name and labels of a cluster-scoped object. Arguments: list $ "suffix". */}}
{{- define "pac-lease-queue.clusterMetadata" -}}
{{- $ := index . 0 -}}
name: {{ include "pac-lease-queue.fullname" $ }}{{ index . 1 }}
labels:
  {{- include "pac-lease-queue.labels" $ | nindent 2 }}
{{- end -}}

{{/*
Binds a role of the release to an account of the release. Arguments: list $ "kind" "suffix of the
role" "account".
*/}}
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

{{/*
"true" if the release has objects besides those in namespaces, so that whoever installs it may make
such.
*/}}
{{- define "pac-lease-queue.clusterScoped" -}}
{{- if or (not .Values.watchNamespaces) (ne (include "pac-lease-queue.hold" .) "none") (include "pac-lease-queue.guard" .) -}}
true
{{- end -}}
{{- end -}}

{{/*
"true" if objects of the cluster can be looked up. Without a cluster (helm template, Argo CD,
--dry-run=client) no lookup finds anything. An installation that has its rights in named namespaces
only may be made by someone who may not look further, and for whom a lookup would fail.
*/}}
{{- define "pac-lease-queue.looksUp" -}}
{{- if and (include "pac-lease-queue.clusterScoped" .) (lookup "v1" "Namespace" "" "default") -}}
true
{{- end -}}
{{- end -}}

{{/*
Those of the usual namespaces that Pipelines-as-Code is in, separated by commas: its own and that of
OpenShift Pipelines. It does not run without this ConfigMap.
*/}}
{{- define "pac-lease-queue.pacFound" -}}
{{- $found := list -}}
{{- range list "pipelines-as-code" "openshift-pipelines" -}}
{{- if lookup "v1" "ConfigMap" . "pipelines-as-code" -}}
{{- $found = append $found . -}}
{{- end -}}
{{- end -}}
{{- join "," $found -}}
{{- end -}}

{{/*
The namespace of Pipelines-as-Code. Without a cluster to look in, that of its own manifests.
*/}}
{{- define "pac-lease-queue.pacNamespace" -}}
{{- with .Values.pac.namespace -}}
{{ . }}
{{- else -}}
{{ splitList "," (include "pac-lease-queue.pacFound" .) | first | default "pipelines-as-code" }}
{{- end -}}
{{- end -}}

{{/*
The ConfigMaps of the further controllers of Pipelines-as-Code, separated by commas. Empty if there
are none, or if there is no cluster to look in.
*/}}
{{- define "pac-lease-queue.pacConfigMaps" -}}
{{- $names := .Values.pac.configMaps -}}
{{- if and (not $names) (include "pac-lease-queue.looksUp" .) -}}
{{- range (lookup "apps/v1" "Deployment" (include "pac-lease-queue.pacNamespace" .) "").items -}}
{{- range .spec.template.spec.containers -}}
{{- range .env -}}
{{- if and (eq .name "PAC_CONTROLLER_CONFIGMAP") .value -}}
{{- $names = append $names .value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- without $names "pipelines-as-code" | uniq | sortAlpha | join "," -}}
{{- end -}}

{{/* A registry of its own takes the place of the first part of the repository, if that is one. */}}
{{- define "pac-lease-queue.image" -}}
{{- $registry := .Values.image.registry | default (dig "imageRegistry" "" (.Values.global | default dict)) -}}
{{- with .Values.image -}}
{{- $repository := .repository -}}
{{- if $registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" .repository "") -}}
{{- end -}}
{{ $repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "pac-lease-queue.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "pac-lease-queue.fullname" .) -}}
{{- end -}}

{{/* The user name by which the API server knows the add-on's service account. */}}
{{- define "pac-lease-queue.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "pac-lease-queue.serviceAccountName" . }}
{{- end -}}

{{/* The user name of the account that hands the queues back during an uninstall. */}}
{{- define "pac-lease-queue.handBackUsername" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "pac-lease-queue.fullname" . }}-hand-back
{{- end -}}

{{/* The group of the service accounts of Pipelines-as-Code. */}}
{{- define "pac-lease-queue.pacGroup" -}}
system:serviceaccounts:{{ include "pac-lease-queue.pacNamespace" . }}
{{- end -}}

{{/* Pipelines-as-Code makes the request. */}}
{{- define "pac-lease-queue.isByPAC" -}}
{{- if .Values.pac.enabled -}}
(has(request.userInfo.groups) && {{ include "pac-lease-queue.pacGroup" . | squote }} in request.userInfo.groups)
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/* The run was held before the request. */}}
{{- define "pac-lease-queue.wasHeld" -}}
has(oldObject.spec) && has(oldObject.spec.status) && oldObject.spec.status == 'PipelineRunPending'
{{- end -}}

{{/* Match condition: the user is in no break-glass group. Empty if there are no such groups. */}}
{{- define "pac-lease-queue.notBreakGlass" -}}
{{- with .Values.admission.guard.breakGlassGroups -}}
- name: not-a-break-glass-group
  expression: >-
    !has(request.userInfo.groups) ||
    !request.userInfo.groups.exists(g, g in {{ toJson . }})
{{- end -}}
{{- end -}}

{{/* Ends the message of a refusal: whom else the refused person may ask. */}}
{{- define "pac-lease-queue.orBreakGlass" -}}
{{- with .Values.admission.guard.breakGlassGroups }}, or ask a member of {{ join ", " . }}{{ end -}}
{{- end -}}

{{/*
Restricts hold and guard to the queued namespaces: no replica would start a run that is held
anywhere else.
*/}}
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

{{/* Every write to a PipelineRun in any API version, except writes to its status. */}}
{{- define "pac-lease-queue.pipelineRunWrites" -}}
- apiGroups: [tekton.dev]
  apiVersions: [v1]
  resources: [pipelineruns]
  operations: [CREATE, UPDATE]
{{- end -}}

{{/*
Which writes the hold changes, in CEL that Kubernetes 1.28 knows. An order is held whatever run it
is on, also on one that was started, where that does no harm: any further condition could be false
for a moment and let an order slip through.
*/}}
{{- define "pac-lease-queue.carriesAnOrder" -}}
{{- if .Values.pac.enabled -}}
(has(object.metadata.annotations) &&
'pipelinesascode.tekton.dev/execution-order' in object.metadata.annotations)
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/* A run that waits is cancelled in a way that runs its finally tasks. */}}
{{- define "pac-lease-queue.cancelsGracefully" -}}
(request.operation == 'UPDATE' && has(object.spec) && has(object.spec.status) &&
object.spec.status in ['CancelledRunFinally', 'StoppedRunFinally'] &&
{{ include "pac-lease-queue.wasHeld" . }} &&
{{- if include "pac-lease-queue.queuesLabelled" . }}
({{ include "pac-lease-queue.isLabelled" "oldObject" }} ||
{{- else }}
(
{{- end }}
{{ include "pac-lease-queue.isPACs" (list . "oldObject") }}))
{{- end -}}

{{/* Kueue starts a run that was passed to it, and the run still says that it waits for Kueue. */}}
{{- define "pac-lease-queue.startsByKueue" -}}
(request.operation == 'UPDATE' && {{ include "pac-lease-queue.wasHeld" . }} &&
!(has(object.spec) && has(object.spec.status) && object.spec.status != '') &&
has(object.metadata.labels) && 'kueue.x-k8s.io/queue-name' in object.metadata.labels &&
has(object.metadata.annotations) && 'pac-lease-queue.dev/status' in object.metadata.annotations &&
object.metadata.annotations['pac-lease-queue.dev/status'] == 'claimed')
{{- end -}}

{{/*
A new run that may be queued. Whether Kueue's webhook labels it for Kueue shows only afterwards, and
the API server then asks again only what it has asked before.
*/}}
{{- define "pac-lease-queue.createsARun" -}}
(request.operation == 'CREATE' &&
{{- if include "pac-lease-queue.queuesLabelled" . }}
({{ include "pac-lease-queue.isLabelled" "object" }} ||
{{- else }}
(
{{- end }}
{{ include "pac-lease-queue.isPACs" (list . "object") }}))
{{- end -}}

{{/* "true" if any PipelineRun may be queued by its label. */}}
{{- define "pac-lease-queue.queuesLabelled" -}}
{{- if .Values.runQueues.enabled -}}
true
{{- end -}}
{{- end -}}

{{/* The run is queued by its label. Argument: the object in CEL. */}}
{{- define "pac-lease-queue.isLabelled" -}}
(has({{ . }}.metadata.labels) && 'pac-lease-queue.dev/queue' in {{ . }}.metadata.labels &&
{{ . }}.metadata.labels['pac-lease-queue.dev/queue'] != '' &&
!('app.kubernetes.io/managed-by' in {{ . }}.metadata.labels &&
{{ . }}.metadata.labels['app.kubernetes.io/managed-by'] == 'pipelinesascode.tekton.dev'))
{{- end -}}

{{/* A new run is labelled for a queue. */}}
{{- define "pac-lease-queue.createsALabelledRun" -}}
(request.operation == 'CREATE' && {{ include "pac-lease-queue.isLabelled" "object" }})
{{- end -}}

{{/* A new run with the label of Pipelines-as-Code is made by another client. */}}
{{- define "pac-lease-queue.copiesARun" -}}
{{- if .Values.pac.enabled -}}
(request.operation == 'CREATE' &&
has(object.metadata.labels) && 'app.kubernetes.io/managed-by' in object.metadata.labels &&
object.metadata.labels['app.kubernetes.io/managed-by'] == 'pipelinesascode.tekton.dev' &&
!{{ include "pac-lease-queue.isByPAC" . }})
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/* The run is one of Pipelines-as-Code. Arguments: list $ "the object in CEL". */}}
{{- define "pac-lease-queue.isPACs" -}}
{{- $object := index . 1 -}}
{{- if (index . 0).Values.pac.enabled -}}
(has({{ $object }}.metadata.labels) && 'app.kubernetes.io/managed-by' in {{ $object }}.metadata.labels &&
{{ $object }}.metadata.labels['app.kubernetes.io/managed-by'] == 'pipelinesascode.tekton.dev')
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/*
"true" if the cluster serves MutatingAdmissionPolicy. Helm knows the kinds of a cluster that it
talks to, and "v1/Pod" is among them. When it renders without a cluster it knows none, and the
Kubernetes version that it renders for decides.
*/}}
{{- define "pac-lease-queue.servesMutatingAdmissionPolicy" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
true
{{- else if and (not (.Capabilities.APIVersions.Has "v1/Pod")) (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
true
{{- end -}}
{{- end -}}

{{/* The hold that results from the values: policy, webhook or none. */}}
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

{{/*
What is to be said of this cluster's version of Kubernetes, by what was tested; nothing as a rule.
*/}}
{{- define "pac-lease-queue.untested" -}}
{{- $tested := (.Files.Get "files/tested.yaml" | fromYaml).kubernetes -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- $minor := (semver $version).Minor -}}
{{- $failure := get (default dict $tested.failed) (printf "1.%d" $minor) -}}
{{- if $failure -}}
Kubernetes {{ $version }} failed in tests: {{ $failure }}. Tested is {{ $tested.oldest }} to {{ $tested.newest }}.
{{- else if or (not $tested.oldest) (lt $minor (semver (printf "%s.0" $tested.oldest)).Minor) (gt $minor (semver (printf "%s.0" $tested.newest)).Minor) -}}
Kubernetes {{ $version }} was not tested, and nothing is known to fail on it. Tested is {{ $tested.oldest }} to {{ $tested.newest }}.
{{- end -}}
{{- end -}}

{{/* "true" if there is a guard, otherwise empty. It outlasts a hand-back. */}}
{{- define "pac-lease-queue.guard" -}}
{{- if .Values.admission.guard.enabled -}}
true
{{- end -}}
{{- end -}}

{{/*
The container of one subcommand, without ports and probes. Arguments: list $ "name" (list "args").
*/}}
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

{{/* What all pods have in common, except their containers. */}}
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
{{- with .Values.dnsPolicy | default (ternary "ClusterFirstWithHostNet" "" .Values.hostNetwork) }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
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
{{- if not .Values.pac.enabled }}
- name: WITHOUT_PAC
  value: "true"
{{- end }}
{{- with .Values.watchNamespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . }}
{{- end }}
{{- end -}}

{{/* "true" if metrics are served over TLS, to authorized clients only. */}}
{{- define "pac-lease-queue.secureMetrics" -}}
{{- if and .Values.metrics.enabled .Values.metrics.secure.enabled -}}
true
{{- end -}}
{{- end -}}

{{/* Names hold and guard for the subcommands. A missing variable means that there is none. */}}
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
