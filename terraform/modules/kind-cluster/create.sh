#!/bin/sh
# Creates the cluster NAME from CONFIG, and its KUBECONFIG.
set -eu

# Removes what a killed apply left half-built. It is ours, because the name was free.
"$(dirname "$0")/delete.sh"
mkdir -p "$(dirname "$KUBECONFIG")"
# delete.sh uses this process id to find out whether a creation still runs after Terraform was
# killed.
echo $$ >"$KUBECONFIG.creating"
exec kind create cluster --name "$NAME" --kubeconfig "$KUBECONFIG" ${IMAGE:+--image "$IMAGE"} --wait "${DEADLINE}s" --config - <<END
$CONFIG
END
