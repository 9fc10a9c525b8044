#!/bin/sh
# Uninstalls RELEASE, which hands the queues back to Pipelines-as-Code, and removes its namespace.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

if gone; then
  exit
fi
helm uninstall "$RELEASE" --namespace "$RELEASE" --ignore-not-found --wait --timeout "${DEADLINE}s" || {
  explain "$RELEASE"
  echo "The queues could not be handed back; the add-on is uninstalled anyway. Runs that wait may wait for ever."
  helm uninstall "$RELEASE" --namespace "$RELEASE" --ignore-not-found --no-hooks --wait --timeout "${DEADLINE}s"
}
kubectl delete namespace "$RELEASE" --ignore-not-found --timeout "${DEADLINE}s"
