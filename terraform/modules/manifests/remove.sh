#!/bin/sh
# Removes NAMESPACES and what has SELECTOR outside of them, FIRST before that, unless it goes WITH_CLUSTER.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

if [ "$WITH_CLUSTER" = true ] || gone; then
  exit
fi
# shellcheck disable=SC2086 # FIRST is a list of arguments
if [ -n "$FIRST" ] && kubectl get ${FIRST%% *} >/dev/null 2>&1 && ! kubectl delete $FIRST --all-namespaces --timeout 60s; then
  echo "Nobody takes care of the finalizers of what is left; they are taken off."
  kubectl get $FIRST --all-namespaces -o 'jsonpath={range .items[*]}{.metadata.namespace} {.kind}/{.metadata.name}{"\n"}{end}' |
    while read -r namespace object; do
      kubectl -n "$namespace" patch "$object" --type merge --patch '{"metadata":{"finalizers":null}}' || :
    done
fi
if [ -n "$SELECTOR" ]; then
  # The webhooks first: with their servers gone they would refuse what follows.
  for kind in mutatingwebhookconfigurations,validatingwebhookconfigurations customresourcedefinitions clusterrolebindings,clusterroles; do
    kubectl delete "$kind" --ignore-not-found --selector "$SELECTOR" --timeout "${DEADLINE}s"
  done
fi
for namespace in $NAMESPACES; do
  kubectl delete namespace "$namespace" --ignore-not-found --timeout "${DEADLINE}s" || {
    kubectl get namespace "$namespace" -o 'jsonpath={range .status.conditions[*]}{.message}{"\n"}{end}'
    fail "$TITLE cannot be removed: namespace $namespace is still there after $DEADLINE seconds. What holds it is above."
  }
done
