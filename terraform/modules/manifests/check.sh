#!/bin/sh
# Checks that none of NAMESPACES exists yet.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

for namespace in $NAMESPACES; do
  there=$(kubectl get namespace "$namespace" --ignore-not-found -o name) ||
    fail "The cluster of $KUBECONFIG does not answer."
  if [ -n "$there" ]; then
    fail "The cluster has a namespace $namespace already, and this Terraform state did not create it: $TITLE seems to be installed." \
      "Use another cluster, delete the namespace, or keep it and leave $TITLE out by its variable."
  fi
done
