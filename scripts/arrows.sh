#!/usr/bin/env bash
# Holds the arrows between the rooms of addon/ that no import shows: who calls the coordination API,
# and who spells PAC's annotations and labels. Imports are held
# by scripts/tools/lint/arrows.yaml.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# only PATTERN SENTENCE PATH... - PATTERN may be in these paths of addon/ and in tests, nowhere
# else.
only() {
  local pattern=$1 sentence=$2 found
  shift 2
  found=$(git grep --untracked -nE "$pattern" -- 'addon/*.go' ':!*_test.go' "${@/#/:!}") || return 0
  failed=1
  echo "$sentence:" >&2
  echo "$found" >&2
}

only '\.Coordination(V1)?\(\)' 'only addon/store/lease and addon/inspect, and the wiring for them, call the coordination API' \
  addon/store/lease addon/inspect addon/controller addon/watches
# Not a key: the group and version of PAC's API, pipelinesascode.tekton.dev/v1alpha1.
only 'pipelinesascode\.tekton\.dev/([^v]|v[^1])' "only addon/pac knows PAC's annotations and labels" \
  addon/pac
exit $failed
