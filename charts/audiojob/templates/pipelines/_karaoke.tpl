{{/* Parts that several pipelines share. */}}

{{/* The words of a song, from wherever there are some. Call with (dict "pipelines" … "found" …): the last is whether a phase find
     has asked a service. */}}
{{- define "audiojob.lyrics" -}}
# Beside Separate, so that lyrics that cannot be used end the job at once.
- name: lyrics
  task: Lyrics
  after: [{{ ternary "find" "normalize" (not (empty .found)) }}]
  inputs:
    - {name: lyrics, from: Job, output: lyrics, optional: true}
    - {name: source, from: download, output: source}
    - {name: audio, from: normalize, output: audio}
    {{- if .found }}
    - {name: found, from: find, output: found, optional: true}
    {{- end }}
    # Of those that parameters.download.subtitles of the job asks for.
    {{- range list "en" "de" "es" "fr" "it" "ja" "ko" "nl" "pl" "pt" "ru" "zh" }}
    - {name: subtitles-{{ . }}, from: download, output: subtitles-{{ . }}, optional: true}
    {{- end }}
  weight: 1
  {{- include "audiojob.attempt" (list .pipelines "lyrics") | nindent 2 }}
  hardLimitSeconds: 600
  stallSeconds: 300
{{- end -}}

{{/* Words into times and a film. Call with (dict "pipelines" … "reviewed" bool "weights" … "accompaniment" … "vocals" …): the
     last two are bindings, as YAML. "after" (phases) is what Align waits for, if not for the phase before it alone. */}}
{{- define "audiojob.karaokeFilm" -}}
- name: align
  task: Align
  {{- with .after }}
  after: {{ toJson . }}
  {{- end }}
  inputs:
    - {name: lyrics, from: lyrics, output: lyrics}
    - {{ .vocals }}
  weight: {{ .weights.align }}
  {{- include "audiojob.attempt" (list .pipelines "align") | nindent 2 }}
  hardLimitSeconds: 7200
  stallSeconds: 300
{{- if .reviewed }}
# People may hand in corrected lyrics in any form that Lyrics reads (spec.reviews[].inputs).
- name: corrected
  task: Lyrics
  gate: ReviewIfAsked
  inputs:
    - {name: lyrics, from: align, output: lyrics}
    - {name: audio, from: normalize, output: audio}
  weight: 1
  {{- include "audiojob.attempt" (list .pipelines "lyrics") | nindent 2 }}
  hardLimitSeconds: 600
  stallSeconds: 300
{{- end }}
- name: render
  task: Render
  inputs:
    - {name: lyrics, from: {{ ternary "corrected" "align" .reviewed }}, output: lyrics}
    - {{ .accompaniment }}
    - {{ .vocals }} # heard where parameters.render.guideVocalDecibels says so
    - {name: background, from: Job, output: background, optional: true}
  weight: {{ .weights.render }}
  {{- include "audiojob.attempt" (list .pipelines "render") | nindent 2 }}
  hardLimitSeconds: 21600
  stallSeconds: 300
{{- end -}}

{{/* What of a score goes to a library; left out where the job names no destination. Call with (dict "pipelines" …). */}}
{{- define "audiojob.publishScore" -}}
- name: publish
  task: Publish
  inputs:
    - {name: about, from: download, output: source}
    - {name: score, from: engrave, output: score}
    - {name: score-mxl, from: engrave, output: score-mxl}
    - {name: pdf, from: engrave, output: pdf}
    - {name: midi, from: engrave, output: midi}
  weight: 5
  {{- include "audiojob.attempt" (list .pipelines "publish") | nindent 2 }}
  hardLimitSeconds: 14400
  stallSeconds: 300
{{- end -}}

{{/* What an attempt gets, and the pool of workers that may do its work. Call with (list .Values.pipelines "separate"). */}}
{{- define "audiojob.attempt" -}}
{{- $pipelines := index . 0 -}}
{{- $task := index . 1 -}}
resources: {{- toYaml (index $pipelines.resources $task) | nindent 2 }}
{{- with index $pipelines.workerPools $task }}
workerPool: {{ toJson . }}
{{- end }}
{{- end -}}

{{/* How long outputs are kept, and where pods run. */}}
{{- define "audiojob.pipelineDefaults" -}}
{{- with .Values.pipelines.retentionSeconds }}
retentionSeconds: {{ . | int }}
{{- end }}
{{- with .Values.pipelines.intermediateRetentionSeconds }}
intermediateRetentionSeconds: {{ . | int }}
{{- end }}
{{- with .Values.pipelines.templates }}
templates: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
