#!/bin/sh
# Deletes the cluster NAME and its files on this machine, in whatever state they are.
set -eu

waited=0
# A creation whose Terraform was killed goes on for a while, and would create containers after we
# delete.
while creating=$(cat "$KUBECONFIG.creating" 2>/dev/null) &&
  ps -o args= -p "$creating" 2>/dev/null | grep -qF -- "kind create cluster --name $NAME "; do
  if [ "$waited" = 600 ]; then
    echo "The creation of cluster \"$NAME\" (process $creating) still runs after 10 minutes. End it, and run destroy again." >&2
    exit 1
  fi
  sleep 1
  waited=$((waited + 1))
done

if ! said=$(kind delete cluster --name "$NAME" --kubeconfig "$KUBECONFIG" 2>&1); then
  echo "The cluster \"$NAME\" cannot be deleted: $said" >&2
  echo "Make sure that the container engine runs and that kind is in PATH, and run destroy again." >&2
  exit 1
fi
rm -f "$KUBECONFIG" "$KUBECONFIG.lock" "$KUBECONFIG.creating"

# kind creates its network with the first cluster and leaves it behind. A network in use is not
# removed.
if [ -z "$(kind get clusters 2>/dev/null)" ]; then
  for engine in ${KIND_EXPERIMENTAL_PROVIDER:-docker podman nerdctl}; do
    "$engine" network rm kind >/dev/null 2>&1 || :
  done
fi
