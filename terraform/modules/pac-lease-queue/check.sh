#!/bin/sh
# Checks that no Helm release RELEASE exists yet.
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/../scripts/cluster.sh"

there=$(helm list --all-namespaces --filter "^$RELEASE\$" --short) || fail "The cluster of $KUBECONFIG does not answer."
if [ -n "$there" ]; then
  fail "The cluster has a Helm release $RELEASE already, and this Terraform state did not create it." \
    "Uninstall it (helm uninstall $RELEASE), or use another cluster."
fi
