#!/bin/sh
# Deletes FIRST, then what SELECTOR selects outside of NAMESPACES, then NAMESPACES. Does nothing if
# they go WITH_CLUSTER.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

if [ "$WITH_CLUSTER" = true ] || gone; then
  exit
fi
# shellcheck disable=SC2086 # FIRST is a list of arguments
if [ -n "$FIRST" ] && kubectl get ${FIRST%% *} >/dev/null 2>&1 && ! kubectl delete $FIRST --all-namespaces --timeout 60s; then
  echo "No controller removes the finalizers of the remaining objects; they are removed here."
  kubectl get $FIRST --all-namespaces -o 'jsonpath={range .items[*]}{.metadata.namespace} {.kind}/{.metadata.name}{"\n"}{end}' |
    while read -r namespace object; do
      kubectl -n "$namespace" patch "$object" --type merge --patch '{"metadata":{"finalizers":null}}' || :
    done
fi
if [ -n "$SELECTOR" ]; then
  # Webhooks first: without their servers they would refuse the deletions that follow.
  for kind in mutatingwebhookconfigurations,validatingwebhookconfigurations customresourcedefinitions clusterrolebindings,clusterroles; do
    kubectl delete "$kind" --ignore-not-found --selector "$SELECTOR" --timeout "${DEADLINE}s"
  done
fi
for namespace in $NAMESPACES; do
  kubectl delete namespace "$namespace" --ignore-not-found --timeout "${DEADLINE}s" || {
    kubectl get namespace "$namespace" -o 'jsonpath={range .status.conditions[*]}{.message}{"\n"}{end}'
    fail "$TITLE cannot be removed: namespace $namespace still exists after $DEADLINE seconds. What holds it is above."
  }
done
