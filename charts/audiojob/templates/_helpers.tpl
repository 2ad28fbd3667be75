{{/* Prefix of the names of all objects of the release. */}}
{{- define "audiojob.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of an object. Call with (dict "context" $ "component" "operator"). */}}
{{- define "audiojob.labels" -}}
{{- include "audiojob.selectorLabels" . }}
app.kubernetes.io/part-of: audiojob
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels by which a Deployment or Service finds its pods. They must never change between versions. */}}
{{- define "audiojob.selectorLabels" -}}
app.kubernetes.io/name: {{ .context.Chart.Name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Full reference of an image. Call with (dict "context" $ "image" .Values.images.runner). */}}
{{- define "audiojob.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .context.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespace that the API serves. */}}
{{- define "audiojob.apiNamespace" -}}
{{- default (first .Values.jobNamespaces) .Values.api.namespace -}}
{{- end -}}

{{/* The API's file of providers and rules, as JSON. */}}
{{- define "audiojob.apiAccess" -}}
{{- $file := omit .Values.api.access "caConfigMap" -}}
{{- if .Values.api.access.caConfigMap -}}
{{- $file = set $file "caFile" "/etc/audiojob/ca/ca.crt" -}}
{{- end -}}
{{- toJson $file -}}
{{- end -}}

{{/* All namespaces that the API serves, as a JSON list. */}}
{{- define "audiojob.apiNamespaces" -}}
{{- concat (list (include "audiojob.apiNamespace" .)) .Values.api.namespaces | uniq | toJson -}}
{{- end -}}

{{/* Pod settings of the processes of the release: they satisfy the Pod Security Standard "restricted". */}}
{{- define "audiojob.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "audiojob.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The operator's account, as the API server names it. */}}
{{- define "audiojob.operatorUser" -}}
{{- printf "system:serviceaccount:%s:%s-operator" .Release.Namespace (include "audiojob.fullname" .) -}}
{{- end -}}

{{/* Repositories of the images of phases: today's, and those of earlier releases. JSON. */}}
{{- define "audiojob.phaseRepositories" -}}
{{- concat (list .Values.images.runner.repository .Values.images.runnerTorch.repository .Values.images.runnerMusic.repository) .Values.images.earlierRepositories | uniq | toJson -}}
{{- end -}}

{{/* How pods of each job namespace may mount each library. JSON: a list of objects whose members are all strings. */}}
{{- define "audiojob.libraryMounts" -}}
{{- $mounts := list -}}
{{- range $library := .Values.libraries -}}
{{- range default $.Values.jobNamespaces $library.namespaces -}}
{{- $mounts = append $mounts (dict "namespace" . "folder" (printf "%s/libraries/%s" . $library.name) "volume" (printf "library-%s" $library.name) "claim" (default "" $library.claimName) "prefix" (default "" $library.prefix) "access" (ternary "read" "write" (default false $library.readOnly))) -}}
{{- end -}}
{{- end -}}
{{- toJson $mounts -}}
{{- end -}}

{{/* Placement of pods: call with (dict "values" .Values.operator "image" .Values.images.control). */}}
{{- define "audiojob.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "audiojob.affinity" (dict "affinity" (default dict .values.affinity) "architectures" .image.architectures) | fromYaml }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* An affinity that also keeps to the architectures: each of its required terms does, as one of them is enough. */}}
{{- define "audiojob.affinity" -}}
{{- $affinity := deepCopy .affinity -}}
{{- with .architectures -}}
{{- $needed := dict "key" "kubernetes.io/arch" "operator" "In" "values" . -}}
{{- $required := dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" list $affinity -}}
{{- $terms := list -}}
{{- range $required | default (list dict) -}}
{{- $terms = append $terms (merge (dict "matchExpressions" (append (default list .matchExpressions) $needed)) .) -}}
{{- end -}}
{{- $node := merge (dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms)) (default dict $affinity.nodeAffinity) -}}
{{- $_ := set $affinity "nodeAffinity" $node -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}

{{/* The priority of operator or API. Call with (dict "context" $ "values" .Values.api). */}}
{{- define "audiojob.priorityClassName" -}}
{{- if .values.priorityClassName -}}
{{- .values.priorityClassName -}}
{{- else if .context.Values.priorityClass.create -}}
{{- printf "%s-control" (include "audiojob.fullname" .context) -}}
{{- end -}}
{{- end -}}

{{/* Several pods of a Deployment lie apart where they can. Call with their selector labels. */}}
{{- define "audiojob.spread" -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ toJson $ }}}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Whether several pods of the API run. */}}
{{- define "audiojob.apiIsMany" -}}
{{- if or .Values.api.autoscaling.enabled (gt (int .Values.api.replicas) 1) }}true{{ end -}}
{{- end -}}

{{/* What phases are told about the store, as JSON. */}}
{{- define "audiojob.store" -}}
{{- if eq .Values.store.kind "S3" -}}
{{- $store := dict "kind" "S3" "bucket" .Values.store.s3.bucket "prefix" .Values.store.s3.prefix "region" .Values.store.s3.region "allowHttp" .Values.store.s3.allowHttp -}}
{{- with .Values.store.s3.endpoint }}{{ $_ := set $store "endpoint" . }}{{ end -}}
{{- toJson $store -}}
{{- else -}}
{{- toJson (dict "kind" "Folder") -}}
{{- end -}}
{{- end -}}

{{/* Fails for a database that the API could not use as it is installed. */}}
{{- define "audiojob.checkDatabase" -}}
{{- $database := .Values.api.database -}}
{{- if and (eq $database.kind "SQLite") (include "audiojob.apiIsMany" .) -}}
{{- fail "api.database.kind is SQLite, whose file one process alone may write: set api.replicas to 1 and api.autoscaling.enabled to false, or use PostgreSQL." -}}
{{- end -}}
{{- if and (eq $database.kind "PostgreSQL") (not $database.secret) -}}
{{- fail "api.database.secret is empty: name a Secret of the release's namespace whose key url is the address of the PostgreSQL database." -}}
{{- end -}}
{{- if .Values.api.archive.enabled -}}
{{- if eq $database.kind "None" -}}
{{- fail "api.archive.enabled needs a database: set api.database.kind to SQLite or PostgreSQL." -}}
{{- end -}}
{{- range .Values.jobNamespaces -}}
{{- if not (has . (include "audiojob.apiNamespaces" $ | fromJsonArray)) -}}
{{- fail (printf "api.archive.enabled: the API does not serve %s of jobNamespaces, whose finished jobs would wait for it. Add it to api.namespaces." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The operator's settings, which its settings file holds as JSON. No secret belongs here: whoever may read ConfigMaps of
     the namespace reads it. */}}
{{- define "audiojob.operatorSettings" -}}
jobNamespaces: {{ toJson .Values.jobNamespaces }}
images:
  runner: {{ include "audiojob.image" (dict "context" . "image" .Values.images.runner) | quote }}
  runnerTorch: {{ include "audiojob.image" (dict "context" . "image" .Values.images.runnerTorch) | quote }}
  runnerMusic: {{ include "audiojob.image" (dict "context" . "image" .Values.images.runnerMusic) | quote }}
  pullPolicy: {{ .Values.images.runner.pullPolicy }}
  runnerArchitectures: {{ toJson .Values.images.runner.architectures }}
  runnerTorchArchitectures: {{ toJson .Values.images.runnerTorch.architectures }}
  runnerMusicArchitectures: {{ toJson .Values.images.runnerMusic.architectures }}
store: {{ include "audiojob.store" . }}
libraries: {{ toJson .Values.libraries }}
modelsClaim: {{ .Values.models.enabled }}
fetch:
  allowedCIDRs: {{ toJson .Values.fetch.allowedCIDRs }}
  secret: {{ .Values.fetch.secret }}
  {{- with .Values.fetch.lyricsAddress }}
  lyricsAddress: {{ . | quote }}
  {{- end }}
  {{- if ne .Values.fetch.maxPerHost nil }}
  maxPerHost: {{ .Values.fetch.maxPerHost | int }}
  {{- end }}
  coolDown:
    maxSeconds: {{ .Values.fetch.coolDown.maxSeconds | int }}
    jobs: {{ .Values.fetch.coolDown.jobs | int }}
    namespaces: {{ .Values.fetch.coolDown.namespaces | int }}
    {{- with .Values.fetch.coolDown.since }}
    since: {{ . | quote }}
    {{- end }}
sites: {{ toJson .Values.sites }}
reuse:
  enabled: {{ .Values.reuse.enabled }}
  downloadSeconds: {{ .Values.reuse.downloadSeconds | int }}
capacity:
  maxRunning: {{ .Values.capacity.maxRunning | int }}
  ageingSeconds: {{ .Values.capacity.ageingSeconds | int }}
  {{- if ne .Values.capacity.gpus nil }}
  gpus: {{ .Values.capacity.gpus | int }}
  {{- end }}
  scaleUp: {{ toJson .Values.capacity.scaleUp }}
gpu:
  resourceName: {{ .Values.gpu.resourceName | quote }}
  shared: {{ .Values.gpu.shared }}
sweep:
  archiveWaitSeconds: {{ if and .Values.api.enabled .Values.api.archive.enabled }}604800{{ else }}0{{ end }}
disruption:
  nodeLostSeconds: {{ .Values.disruption.nodeLostSeconds | int }}
  graceSeconds: {{ .Values.disruption.graceSeconds | int }}
  lostAfterSeconds: {{ .Values.disruption.lostAfterSeconds | int }}
  protectRunning: {{ .Values.disruption.protectRunning }}
overlap:
  enabled: {{ .Values.overlap.enabled }}
  leadSeconds: {{ .Values.overlap.leadSeconds | int }}
  maxHoldSeconds: {{ .Values.overlap.maxHoldSeconds | int }}
  maxPods: {{ .Values.overlap.maxPods | int }}
  gpu: {{ .Values.overlap.gpu }}
lease:
  namespace: {{ .Release.Namespace | quote }}
  name: {{ printf "%s-operator" (include "audiojob.fullname" .) | quote }}
logLevel: {{ .Values.operator.logLevel }}
{{- end -}}

{{/* Checks that a schema cannot make. Rendered once, by operator.yaml. */}}
{{- define "audiojob.validate" -}}
{{- if not .Values.jobNamespaces -}}
{{- fail "jobNamespaces is empty, so no AudioJob could run. Name at least one existing namespace: --set 'jobNamespaces={music}'" -}}
{{- end -}}
{{- if has .Release.Namespace .Values.jobNamespaces -}}
{{- fail (printf "jobNamespaces must not hold %s, the namespace of the operator: whoever may start phases there could run them with the operator's rights. Use another namespace for jobs." .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.api.enabled (not (has (include "audiojob.apiNamespace" .) .Values.jobNamespaces)) -}}
{{- fail (printf "api.namespace is %s, which is not in jobNamespaces: its AudioJobs would never run. Add it to jobNamespaces." .Values.api.namespace) -}}
{{- end -}}
{{- if .Values.api.enabled -}}
{{- include "audiojob.checkDatabase" . -}}
{{- end -}}
{{- range .Values.api.namespaces -}}
{{- if not (has . $.Values.jobNamespaces) -}}
{{- fail (printf "api.namespaces has %s, which is not in jobNamespaces: its AudioJobs would never run. Add it to jobNamespaces." .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.api.enabled (eq .Values.api.database.kind "None") -}}
{{- if ne .Values.api.access.limits.jobsPerHourPerAddress nil -}}
{{- fail "api.access.limits.jobsPerHourPerAddress counts jobs, which takes a database: set api.database.kind" -}}
{{- end -}}
{{- if ne .Values.api.access.limits.storedBytesPerNamespace nil -}}
{{- fail "api.access.limits.storedBytesPerNamespace counts bytes, which takes a database: set api.database.kind" -}}
{{- end -}}
{{- range $name, $tier := .Values.api.access.limits.tiers -}}
{{- if or (hasKey $tier "jobsPerDay") (hasKey $tier "jobsPerHour") (hasKey $tier "concurrentJobs") (hasKey $tier "audioMinutesPerDay") (hasKey $tier "storedBytes") -}}
{{- fail (printf "api.access.limits.tiers.%s counts jobs or bytes, which takes a database: set api.database.kind" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.api.access.rules -}}
{{- if not (has .namespace (include "audiojob.apiNamespaces" $ | fromJsonArray)) -}}
{{- fail (printf "api.access.rules: the API does not serve %s; add it to api.namespaces" .namespace) -}}
{{- end -}}
{{- end -}}
{{- if .Values.files.enabled -}}
{{- if not .Values.api.enabled -}}
{{- fail "files.enabled: the API alone reaches the files service; set api.enabled too" -}}
{{- end -}}
{{- if and (eq .Values.store.kind "S3") (lt (int64 .Values.files.partsBytes) (int64 .Values.files.maxUploadBytes)) -}}
{{- fail "files.partsBytes must not be below files.maxUploadBytes: parts of an upload wait there until all are there" -}}
{{- end -}}
{{- if and .Values.files.publicUrl (ne .Values.store.kind "S3") -}}
{{- fail "files.publicUrl is where clients reach a bucket: leave it null with a folder store, whose files the API passes on" -}}
{{- end -}}
{{- $folder := and (eq .Values.store.kind "Folder") .Values.store.folder.create -}}
{{- if and $folder (not (has "ReadWriteMany" .Values.store.folder.accessModes)) (not .Values.files.oneNode) -}}
{{- fail "files.enabled: a claim that is ReadWriteOnce binds all phases to the node of the files service; use ReadWriteMany, or say files.oneNode where the cluster has one node" -}}
{{- end -}}
{{- end -}}
{{- $pools := list -}}
{{- range .Values.workerPools -}}
{{- if has .name $pools -}}
{{- fail (printf "workerPools: the name %s is there twice" .name) -}}
{{- end -}}
{{- $pools = append $pools .name -}}
{{- range .namespaces -}}
{{- if not (has . $.Values.jobNamespaces) -}}
{{- fail (printf "workerPools: %s is not in jobNamespaces: nothing would run there. Add it to jobNamespaces." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.capacity.scaleUp.enabled (ne .Values.capacity.gpus nil) -}}
{{- fail "capacity.gpus fixes the number of GPUs, so capacity.scaleUp could add none: leave gpus null and set capacity.scaleUp.maxGpus" -}}
{{- end -}}
{{- if gt (int .Values.capacity.scaleUp.gpusPerNode) (int .Values.capacity.scaleUp.maxGpus) -}}
{{- fail "capacity.scaleUp.gpusPerNode must not be above capacity.scaleUp.maxGpus" -}}
{{- end -}}
{{- if or (ne .Values.images.runner.pullPolicy .Values.images.runnerTorch.pullPolicy) (ne .Values.images.runner.pullPolicy .Values.images.runnerMusic.pullPolicy) -}}
{{- fail "images.runner.pullPolicy, images.runnerTorch.pullPolicy and images.runnerMusic.pullPolicy must be the same" -}}
{{- end -}}
{{- if gt (int .Values.api.autoscaling.minReplicas) (int .Values.api.autoscaling.maxReplicas) -}}
{{- fail "api.autoscaling.minReplicas must not be above api.autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .Values.api.ingress.enabled .Values.api.httpRoute.enabled -}}
{{- fail "api.ingress and api.httpRoute are both enabled, which would be two ways to the same host: enable one of them" -}}
{{- end -}}
{{- if and .Values.api.httpRoute.enabled (not .Values.api.httpRoute.parentRefs) -}}
{{- fail "api.httpRoute.enabled needs a Gateway: name it in api.httpRoute.parentRefs, such as [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.libraries -}}
{{- if has .name $names -}}
{{- fail (printf "libraries: the name %s is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $first := first (splitList "/" (default "" .prefix)) -}}
{{- if has $first $.Values.jobNamespaces -}}
{{- fail (printf "libraries: prefix %s lies in the folder of the jobs of namespace %s. Choose another first part, such as library/%s." .prefix $first .name) -}}
{{- end -}}
{{- range .namespaces -}}
{{- if not (has . $.Values.jobNamespaces) -}}
{{- fail (printf "libraries: %s is not in jobNamespaces" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.store.kind "S3") (not .Values.store.s3.bucket) -}}
{{- fail "store.kind is S3, so store.s3.bucket must name a bucket" -}}
{{- end -}}
{{- if .Values.models.prefetch.enabled -}}
{{- if not .Values.models.enabled -}}
{{- fail "models.prefetch.enabled needs a volume to fill: set models.enabled to true" -}}
{{- end -}}
{{- if and .Values.models.create (without .Values.models.accessModes "ReadOnlyMany" | empty) -}}
{{- fail "models.accessModes is ReadOnlyMany alone, so models.prefetch could not write: add ReadWriteOnce or ReadWriteMany, or fill the volume by hand" -}}
{{- end -}}
{{- end -}}
{{- if and (hasPrefix "http://" .Values.store.s3.endpoint) (not .Values.store.s3.allowHttp) -}}
{{- fail "store.s3.endpoint starts with http://, which sends music and keys unencrypted. Use https://, or set store.s3.allowHttp to true." -}}
{{- end -}}
{{- end -}}
