#!/bin/sh
# Makes the cluster NAME as CONFIG says, and its KUBECONFIG.
set -eu

# What a killed apply left half-built is ours: the name was free.
"$(dirname "$0")/delete.sh"
mkdir -p "$(dirname "$KUBECONFIG")"
# By its process id delete.sh finds out whether this still runs, after Terraform was killed.
echo $$ >"$KUBECONFIG.creating"
exec kind create cluster --name "$NAME" --kubeconfig "$KUBECONFIG" ${IMAGE:+--image "$IMAGE"} --wait "${DEADLINE}s" --config - <<END
$CONFIG
END
