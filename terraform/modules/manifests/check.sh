#!/bin/sh
# Checks that nothing of NAMESPACES is there yet.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

for namespace in $NAMESPACES; do
  there=$(kubectl get namespace "$namespace" --ignore-not-found -o name) ||
    fail "The cluster of $KUBECONFIG does not answer."
  if [ -n "$there" ]; then
    fail "The cluster has a namespace $namespace already, and this Terraform state did not make it: $TITLE seems to be installed." \
      "Use another cluster, or delete what is there, or, if it is to stay, leave $TITLE out by its variable."
  fi
done
