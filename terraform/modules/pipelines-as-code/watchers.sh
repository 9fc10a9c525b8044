#!/bin/sh
# Makes WATCHERS watchers share the work of Pipelines-as-Code.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

name=pipelines-as-code-watcher
watchers() {
  kubectl -n pipelines-as-code "$@"
}
replicas() {
  watchers get "$1" "$name" --ignore-not-found -o 'jsonpath={.spec.replicas}'
}

alone=$WATCHERS shared=
if [ -n "$(replicas statefulset)" ]; then
  shared=0
  if [ "$WATCHERS" -gt 1 ]; then
    alone=0 shared=$WATCHERS
  fi
fi
if [ "$(replicas deployment)/$(replicas statefulset)" != "$alone/$shared" ]; then
  # Watchers read the number of buckets at start, and two must never own the same bucket, so all
  # stop before any starts.
  watchers scale deployment "$name" --replicas 0
  if [ -n "$shared" ]; then
    watchers scale statefulset "$name" --replicas 0
  fi
  watchers wait pod --selector app.kubernetes.io/name=watcher --for delete --timeout "${DEADLINE}s"
  buckets=$((WATCHERS > 1 ? WATCHERS : 1))
  watchers patch configmap pac-watcher-config-leader-election --type merge --patch "{\"data\":{\"buckets\":\"$buckets\"}}"
  watchers scale deployment "$name" --replicas "$alone"
  if [ -n "$shared" ]; then
    watchers scale statefulset "$name" --replicas "$shared"
  fi
fi
rolled_out pipelines-as-code "$DEADLINE"
